//! The first messages of a connection to an upstream: setup, and one extended channel for all miners.

use super::channel::UpstreamChannel;
use crate::upstream::UpstreamOptions;
use crate::upstream::address::UpstreamAddress;
use crate::upstream::error::{UpstreamError, printable};
use crate::upstream::link::Link;
use crate::upstream::work::EXTRANONCE_BYTES_MAX;
use warppool_components::units::Target;
use warppool_components::upstream::UPSTREAM_OWN_BYTES;
use warppool_net::wire::v2::message::{
    OpenExtendedMiningChannel, OpenExtendedMiningChannelSuccess, OpenMiningChannelError, SetupConnection,
    SetupConnectionError, SetupConnectionSuccess, setup_flags,
};
use warppool_net::wire::v2::{DecodeError, Message, PROTOCOL_VERSION};

/// The mining protocol in `SetupConnection`.
const PROTOCOL_MINING: u8 = 0;

/// `SetupConnection.Success`: versions of headers may not be rolled.
const REQUIRES_FIXED_VERSION: u32 = 1;

/// Our number for the one request for a channel.
const REQUEST: u32 = 1;

/// An open channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Opened {
    /// Its number.
    pub(super) channel_id: u32,
    /// The group that it belongs to.
    pub(super) group_id: u32,
    /// The upstream's part of the extranonce.
    pub(super) prefix: Vec<u8>,
    /// Bytes of the extranonce that are ours.
    pub(super) own_bytes: usize,
    /// What shares must meet.
    pub(super) target: Target,
}

/// Sets the connection up and opens the channel, for our session of this number.
pub(in crate::upstream) fn open(
    link: &mut Link,
    address: &UpstreamAddress,
    options: &UpstreamOptions,
    session: u32,
) -> Result<UpstreamChannel, UpstreamError> {
    let setup = SetupConnection {
        protocol: PROTOCOL_MINING,
        min_version: PROTOCOL_VERSION,
        max_version: PROTOCOL_VERSION,
        flags: setup_flags::REQUIRES_VERSION_ROLLING,
        endpoint_host: address.endpoint.host.as_str().into(),
        endpoint_port: address.endpoint.port,
        vendor: "WarpPool".into(),
        hardware_version: "translator".into(),
        firmware: env!("CARGO_PKG_VERSION").into(),
        device_id: "".into(),
    };
    link.send(&setup.to_frame())?;
    link.wait_for(set_up)?;
    let request = OpenExtendedMiningChannel {
        request_id: REQUEST,
        user_identity: options.user.as_str().into(),
        nominal_hash_rate: options.nominal_hash_rate,
        max_target: Target::MAX,
        min_extranonce_size: UPSTREAM_OWN_BYTES as u16,
    };
    link.send(&request.to_frame())?;
    let opened = link.wait_for(|frame| opened(frame, &options.user))?;
    Ok(UpstreamChannel::new(session, opened, options.nominal_hash_rate))
}

/// What the answer to the setup says; `None` when the frame is not that answer.
pub(super) fn set_up(frame: &[u8]) -> Option<Result<(), UpstreamError>> {
    if let Some(refusal) = read::<SetupConnectionError<'_>>(frame) {
        return Some(Err(match refusal {
            Ok(refusal) if refusal.flags & setup_flags::REQUIRES_VERSION_ROLLING != 0 => UpstreamError::FixedVersion,
            Ok(refusal) => UpstreamError::Setup(printable(&refusal.error_code.to_text())),
            Err(error) => error.into(),
        }));
    }
    let success = read::<SetupConnectionSuccess>(frame)?;
    Some(match success {
        Ok(success) if success.flags & REQUIRES_FIXED_VERSION != 0 => Err(UpstreamError::FixedVersion),
        Ok(success) if success.used_version != PROTOCOL_VERSION => {
            Err(UpstreamError::Setup(format!("it speaks version {} of the protocol", success.used_version)))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    })
}

/// The channel, or why there is none; `None` when the frame does not answer the request for it.
pub(super) fn opened(frame: &[u8], user: &str) -> Option<Result<Opened, UpstreamError>> {
    if let Some(refusal) = read::<OpenMiningChannelError<'_>>(frame) {
        let user = user.to_owned();
        return Some(Err(match refusal {
            Ok(refusal) => UpstreamError::Channel { user, code: printable(&refusal.error_code.to_text()) },
            Err(error) => error.into(),
        }));
    }
    let success = read::<OpenExtendedMiningChannelSuccess<'_>>(frame)?;
    Some(success.map_err(Into::into).and_then(|success| with_room(&success)))
}

/// A channel whose extranonce leaves us enough.
fn with_room(success: &OpenExtendedMiningChannelSuccess<'_>) -> Result<Opened, UpstreamError> {
    let own_bytes = usize::from(success.extranonce_size);
    if own_bytes < UPSTREAM_OWN_BYTES {
        return Err(UpstreamError::Extranonce(own_bytes));
    }
    let all_bytes = success.extranonce_prefix.len() + own_bytes;
    if all_bytes > EXTRANONCE_BYTES_MAX {
        return Err(UpstreamError::ExtranonceTooLong(all_bytes));
    }
    Ok(Opened {
        channel_id: success.channel_id,
        group_id: success.group_channel_id,
        prefix: success.extranonce_prefix.to_vec(),
        own_bytes,
        target: success.target,
    })
}

/// `None` when the frame is another message.
fn read<'a, M: Message<'a>>(frame: &'a [u8]) -> Option<Result<M, DecodeError>> {
    match M::decode(frame) {
        Err(DecodeError::OtherMessage(_)) => None,
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_of_use_when_its_extranonce_leaves_enough_and_is_no_longer_than_the_protocol_allows() {
        for (prefix, size, reason) in [
            (&[1; 4][..], 8, None),
            (&[1; 24], 8, None),
            (&[1; 4], 7, Some("leaves 7 bytes of the extranonce")),
            (&[1; 25], 8, Some("gives an extranonce of 33 bytes; 32 are allowed")),
            (&[], u16::MAX, Some("gives an extranonce of 65535 bytes")),
        ] {
            let success = OpenExtendedMiningChannelSuccess {
                request_id: REQUEST,
                channel_id: 1,
                target: Target::MAX,
                extranonce_size: size,
                extranonce_prefix: prefix,
                group_channel_id: 2,
            };
            let outcome = opened(&success.to_frame(), "user").expect("the answer").map_err(|error| error.to_string());
            match reason {
                None => assert_eq!(outcome.map(|opened| opened.prefix), Ok(prefix.to_vec())),
                Some(reason) => assert!(outcome.as_ref().is_err_and(|error| error.contains(reason)), "{outcome:?}"),
            }
        }
    }
}
