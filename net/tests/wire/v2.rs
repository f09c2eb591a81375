//! Frames of Stratum V2, judged by the reference project's crates: what we write they read, and what they would write is what
//! we wrote, byte for byte. Both directions, random contents.

use binary_sv2::{from_bytes, to_bytes};
use common_messages_sv2 as common;
use mining_sv2 as reference;
use proptest::collection::vec;
use proptest::prelude::*;
use warppool_components::share::EXTRANONCE2_FIXED;
use warppool_components::units::{Hash256, Target};
use warppool_net::wire::v2::message::*;
use warppool_net::wire::v2::{
    ChannelIds, DecodeError, ExtensionIds, FrameHeader, MerklePath, Message, Text, Wide, scan_shares, split,
};

/// Our frame of `$ours` is read back as it was, its header is the reference's, and its payload is the reference's.
macro_rules! agrees {
    ($kind:ident, $ours:expr, $theirs:ty, $message_type:expr, $channel_bit:expr) => {{
        let ours = $ours;
        let mut frame = ours.to_frame();
        prop_assert_eq!($kind::decode(&frame), Ok(ours));
        let (header, payload) = split(&frame).expect("a whole frame");
        let expected = FrameHeader {
            extension: 0,
            is_channel_message: $channel_bit,
            message_type: $message_type,
            payload_bytes: payload.len() as u32,
        };
        prop_assert_eq!(header, expected);
        let payload = payload.to_vec();
        let theirs: $theirs = from_bytes(&mut frame[6..]).expect("the reference reads it");
        prop_assert_eq!(to_bytes(theirs).expect("the reference writes it"), payload);
    }};
}

fn target() -> impl Strategy<Value = Target> {
    any::<[u8; 32]>().prop_map(Target::from_big_endian)
}

fn hash() -> impl Strategy<Value = Hash256> {
    any::<[u8; 32]>().prop_map(Hash256::from_internal)
}

fn text() -> impl Strategy<Value = String> {
    vec("[a-z0-9./-]", 0..250).prop_map(|characters| characters.concat())
}

proptest! {
    #[test]
    fn what_clients_send(
        (request_id, channel_id, sequence_number, job_id) in any::<(u32, u32, u32, u32)>(),
        (nonce, ntime, version, port, size) in any::<(u32, u32, u32, u16, u16)>(),
        (rate, max_target) in (0f32..1e18, target()),
        (one, two) in (text(), text()),
        extranonce in vec(any::<u8>(), 0..=32),
    ) {
        let (user_identity, error_code) = (Text::from(&*one), Text::from(&*two));
        let setup = SetupConnection {
            protocol: 0, min_version: 2, max_version: size, flags: version, endpoint_host: error_code, endpoint_port: port,
            vendor: user_identity, hardware_version: error_code, firmware: user_identity, device_id: error_code,
        };
        agrees!(SetupConnection, setup, common::SetupConnection<'_>, common::MESSAGE_TYPE_SETUP_CONNECTION, false);
        let standard = OpenStandardMiningChannel { request_id, user_identity, nominal_hash_rate: rate, max_target };
        agrees!(OpenStandardMiningChannel, standard, reference::OpenStandardMiningChannel<'_>,
            reference::MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL, reference::CHANNEL_BIT_OPEN_STANDARD_MINING_CHANNEL);
        let extended = OpenExtendedMiningChannel {
            request_id, user_identity, nominal_hash_rate: rate, max_target, min_extranonce_size: size,
        };
        agrees!(OpenExtendedMiningChannel, extended, reference::OpenExtendedMiningChannel<'_>,
            reference::MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL, reference::CHANNEL_BIT_OPEN_EXTENDED_MINING_CHANNEL);
        let update = UpdateChannel { channel_id, nominal_hash_rate: rate, maximum_target: max_target };
        agrees!(UpdateChannel, update, reference::UpdateChannel<'_>,
            reference::MESSAGE_TYPE_UPDATE_CHANNEL, reference::CHANNEL_BIT_UPDATE_CHANNEL);
        let close = CloseChannel { channel_id, reason_code: error_code };
        agrees!(CloseChannel, close, reference::CloseChannel<'_>,
            reference::MESSAGE_TYPE_CLOSE_CHANNEL, reference::CHANNEL_BIT_CLOSE_CHANNEL);
        let standard = SubmitSharesStandard { channel_id, sequence_number, job_id, nonce, ntime, version };
        agrees!(SubmitSharesStandard, standard, reference::SubmitSharesStandard,
            reference::MESSAGE_TYPE_SUBMIT_SHARES_STANDARD, reference::CHANNEL_BIT_SUBMIT_SHARES_STANDARD);
        let extended = SubmitSharesExtended {
            channel_id, sequence_number, job_id, nonce, ntime, version, extranonce: &extranonce,
        };
        agrees!(SubmitSharesExtended, extended, reference::SubmitSharesExtended<'_>,
            reference::MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED, reference::CHANNEL_BIT_SUBMIT_SHARES_EXTENDED);
    }

    #[test]
    fn what_the_pool_sends(
        (request_id, channel_id, job_id, version, group_channel_id) in any::<(u32, u32, u32, u32, u32)>(),
        (min_ntime, count, sum, size, version_rolling_allowed) in any::<(Option<u32>, u32, u64, u16, bool)>(),
        (target, prev_hash, merkle_root) in (target(), hash(), hash()),
        one in text(),
        extranonce in vec(any::<u8>(), 0..=32),
        path in vec(hash(), 0..20),
        (prefix, suffix) in (vec(any::<u8>(), 0..400), vec(any::<u8>(), 0..400)),
        ids in vec(any::<u32>(), 0..50),
    ) {
        let error_code = Text::from(&*one);
        let extranonce_prefix = &extranonce[..];
        let success = SetupConnectionSuccess { used_version: size, flags: version };
        agrees!(SetupConnectionSuccess, success, common::SetupConnectionSuccess,
            common::MESSAGE_TYPE_SETUP_CONNECTION_SUCCESS, false);
        let error = SetupConnectionError { flags: version, error_code };
        agrees!(SetupConnectionError, error, common::SetupConnectionError<'_>,
            common::MESSAGE_TYPE_SETUP_CONNECTION_ERROR, false);
        let reconnect = Reconnect { new_host: error_code, new_port: size };
        agrees!(Reconnect, reconnect, common::Reconnect<'_>, common::MESSAGE_TYPE_RECONNECT, false);
        let standard =
            OpenStandardMiningChannelSuccess { request_id, channel_id, target, extranonce_prefix, group_channel_id };
        agrees!(OpenStandardMiningChannelSuccess, standard, reference::OpenStandardMiningChannelSuccess<'_>,
            reference::MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL_SUCCESS,
            reference::CHANNEL_BIT_OPEN_STANDARD_MINING_CHANNEL_SUCCESS);
        let extended = OpenExtendedMiningChannelSuccess {
            request_id, channel_id, target, extranonce_size: size, extranonce_prefix, group_channel_id,
        };
        agrees!(OpenExtendedMiningChannelSuccess, extended, reference::OpenExtendedMiningChannelSuccess<'_>,
            reference::MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS,
            reference::CHANNEL_BIT_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS);
        let error = OpenMiningChannelError { request_id, error_code };
        agrees!(OpenMiningChannelError, error, reference::OpenMiningChannelError<'_>,
            reference::MESSAGE_TYPE_OPEN_MINING_CHANNEL_ERROR, reference::CHANNEL_BIT_OPEN_MINING_CHANNEL_ERROR);
        let job = NewMiningJob { channel_id, job_id, min_ntime, version, merkle_root };
        agrees!(NewMiningJob, job, reference::NewMiningJob<'_>,
            reference::MESSAGE_TYPE_NEW_MINING_JOB, reference::CHANNEL_BIT_NEW_MINING_JOB);
        let job = NewExtendedMiningJob {
            channel_id, job_id, min_ntime, version, version_rolling_allowed, merkle_path: MerklePath::Held(&path),
            coinbase_tx_prefix: Wide(&prefix), coinbase_tx_suffix: Wide(&suffix),
        };
        agrees!(NewExtendedMiningJob, job, reference::NewExtendedMiningJob<'_>,
            reference::MESSAGE_TYPE_NEW_EXTENDED_MINING_JOB, reference::CHANNEL_BIT_NEW_EXTENDED_MINING_JOB);
        let tip = SetNewPrevHash { channel_id, job_id, prev_hash, min_ntime: count, nbits: version };
        agrees!(SetNewPrevHash, tip, reference::SetNewPrevHash<'_>,
            reference::MESSAGE_TYPE_MINING_SET_NEW_PREV_HASH, reference::CHANNEL_BIT_MINING_SET_NEW_PREV_HASH);
        let told = SetTarget { channel_id, maximum_target: target };
        agrees!(SetTarget, told, reference::SetTarget<'_>,
            reference::MESSAGE_TYPE_SET_TARGET, reference::CHANNEL_BIT_SET_TARGET);
        let prefix = SetExtranoncePrefix { channel_id, extranonce_prefix };
        agrees!(SetExtranoncePrefix, prefix, reference::SetExtranoncePrefix<'_>,
            reference::MESSAGE_TYPE_SET_EXTRANONCE_PREFIX, reference::CHANNEL_BIT_SET_EXTRANONCE_PREFIX);
        let group = SetGroupChannel { group_channel_id, channel_ids: ChannelIds::Held(&ids) };
        agrees!(SetGroupChannel, group, reference::SetGroupChannel<'_>,
            reference::MESSAGE_TYPE_SET_GROUP_CHANNEL, reference::CHANNEL_BIT_SET_GROUP_CHANNEL);
        let success = SubmitSharesSuccess {
            channel_id, last_sequence_number: job_id, new_submits_accepted_count: count, new_shares_sum: sum,
        };
        agrees!(SubmitSharesSuccess, success, reference::SubmitSharesSuccess,
            reference::MESSAGE_TYPE_SUBMIT_SHARES_SUCCESS, reference::CHANNEL_BIT_SUBMIT_SHARES_SUCCESS);
        let error = SubmitSharesError { channel_id, sequence_number: job_id, error_code };
        agrees!(SubmitSharesError, error, reference::SubmitSharesError<'_>,
            reference::MESSAGE_TYPE_SUBMIT_SHARES_ERROR, reference::CHANNEL_BIT_SUBMIT_SHARES_ERROR);
        let error = UpdateChannelError { channel_id, error_code };
        agrees!(UpdateChannelError, error, reference::UpdateChannelError<'_>,
            reference::MESSAGE_TYPE_UPDATE_CHANNEL_ERROR, reference::CHANNEL_BIT_UPDATE_CHANNEL_ERROR);
    }

    /// The same bytes do not show that fields of the same size have not changed places.
    #[test]
    fn shares_of_the_reference_are_read_field_by_field(
        (channel_id, sequence_number, job_id, nonce, ntime, version) in any::<(u32, u32, u32, u32, u32, u32)>(),
        extranonce in vec(any::<u8>(), 0..=32),
    ) {
        let standard =
            reference::SubmitSharesStandard { channel_id, sequence_number, job_id, nonce, ntime, version };
        let extended = reference::SubmitSharesExtended {
            channel_id, sequence_number, job_id, nonce, ntime, version,
            extranonce: (&extranonce[..]).try_into().expect("at most 32 bytes"),
        };
        let payloads = [to_bytes(standard).expect("bytes"), to_bytes(extended).expect("bytes")];
        for (is_extended, payload) in [(false, &payloads[0]), (true, &payloads[1])] {
            let message_type = if is_extended { 0x1b } else { 0x1a };
            let payload_bytes = payload.len() as u32;
            let header = FrameHeader { extension: 0, is_channel_message: true, message_type, payload_bytes };
            let frame = [&header.encode()[..], payload].concat();
            let shares = scan_shares(&frame).expect("a share");
            prop_assert_eq!((shares.channel_id, shares.sequence_number, shares.is_extended), (channel_id, sequence_number, is_extended));
            let claim = shares.claim;
            prop_assert_eq!((claim.job.0, claim.nonce, claim.ntime, claim.version), (job_id, nonce, ntime, Some(version)));
            let digits = if is_extended { 2 * extranonce.len() as u8 } else { EXTRANONCE2_FIXED };
            prop_assert_eq!(claim.extranonce2_digits, digits);
            if is_extended && extranonce.len() <= 8 {
                let filled_up = [&vec![0; 8 - extranonce.len()][..], &extranonce[..]].concat();
                prop_assert_eq!(&claim.extranonce2[..], &filled_up[..]);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), message_type in 0u8..0x30) {
        let _ = (split(&bytes), scan_shares(&bytes));
        macro_rules! read_as {
            ($($kind:ident),*) => { $(let _ = $kind::decode(&bytes); let _ = $kind::decode_payload(&bytes);)* };
        }
        read_as!(SetupConnection, SetupConnectionSuccess, SetupConnectionError, Reconnect, OpenStandardMiningChannel,
            OpenStandardMiningChannelSuccess, OpenMiningChannelError, OpenExtendedMiningChannel,
            OpenExtendedMiningChannelSuccess, NewMiningJob, UpdateChannel, UpdateChannelError, CloseChannel,
            SetExtranoncePrefix, SubmitSharesStandard, SubmitSharesExtended, SubmitSharesSuccess, SubmitSharesError,
            NewExtendedMiningJob, SetNewPrevHash, SetTarget, SetGroupChannel, RequestExtensions,
            RequestExtensionsSuccess, RequestExtensionsError);
        let header = FrameHeader { extension: 0, is_channel_message: true, message_type, payload_bytes: bytes.len() as u32 };
        let _ = scan_shares(&[&header.encode()[..], &bytes].concat());
    }
}

/// Laid out by hand after the specification: the reference's crates do not hold this extension.
#[test]
fn extensions_are_asked_for_by_their_numbers() {
    let request = RequestExtensions { request_id: 0x0102, requested_extensions: ExtensionIds::Held(&[2, 3]) };
    let frame = [1, 0, 0, 8, 0, 0, 2, 1, 2, 0, 2, 0, 3, 0];
    assert_eq!(request.to_frame(), frame);
    assert_eq!(RequestExtensions::decode(&frame), Ok(request));
}

#[test]
fn a_frame_is_read_only_as_what_it_is() {
    let frame = SetupConnectionSuccess { used_version: 2, flags: 0 }.to_frame();
    assert_eq!(SetTarget::decode(&frame), Err(DecodeError::OtherMessage(1)));
    assert!(split(&frame[..frame.len() - 1]).is_none());
    let longer = [&frame[..], &[0]].concat();
    assert!(split(&longer).is_none(), "two frames are not one");
}

/// Extensions put their fields behind the known ones.
#[test]
fn what_stands_behind_the_known_fields_is_passed_over() {
    let share = SubmitSharesStandard { channel_id: 1, sequence_number: 2, job_id: 3, nonce: 4, ntime: 5, version: 6 };
    let mut frame = share.to_frame();
    frame.extend_from_slice(&[2, 0, 1, 4, 0, 1, 2, 3, 4]);
    frame[3] += 9;
    assert_eq!(SubmitSharesStandard::decode(&frame), Ok(share));
    assert!(scan_shares(&frame).is_some());
}
