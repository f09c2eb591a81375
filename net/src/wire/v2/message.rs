//! The messages of the mining protocol, each written down once: reading and writing follow from the list of its fields.
//!
//! Bytes behind the last known field are passed over: extensions append theirs there (specification, 3.4.3).

use super::field::{ChannelIds, DecodeError, ExtensionIds, Field, MerklePath, Reader, Text, Wide};
use super::header::{FRAME_HEADER_BYTES, FrameHeader};
use super::{EXTENSION_BASE, EXTENSION_NEGOTIATION, split};
use warppool_components::units::{Hash256, Target};

/// A message that frames are made of and that is read out of them.
pub trait Message<'a>: Sized {
    /// The extension that defines it.
    const EXTENSION: u16;
    /// Its type.
    const TYPE: u8;
    /// Whether its first field is a channel.
    const IS_CHANNEL_MESSAGE: bool;

    /// Reads a payload.
    ///
    /// # Errors
    /// [`DecodeError`] when it ends too early or a field cannot be what it is.
    fn decode_payload(payload: &'a [u8]) -> Result<Self, DecodeError>;

    /// Appends the payload.
    fn encode_payload(&self, out: &mut Vec<u8>);

    /// Appends the whole frame.
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
        self.encode_payload(out);
        let header = FrameHeader {
            extension: Self::EXTENSION,
            is_channel_message: Self::IS_CHANNEL_MESSAGE,
            message_type: Self::TYPE,
            payload_bytes: (out.len() - start - FRAME_HEADER_BYTES) as u32,
        };
        out[start..start + FRAME_HEADER_BYTES].copy_from_slice(&header.encode());
    }

    /// The whole frame, for tests and where nothing is to be saved.
    fn to_frame(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Reads a whole frame.
    ///
    /// # Errors
    /// [`DecodeError`] when it is another message, or not a whole one.
    fn decode(frame: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, payload) = split(frame).ok_or(DecodeError::Short { missing: 1 })?;
        if header.message_type != Self::TYPE || header.extension != Self::EXTENSION {
            return Err(DecodeError::OtherMessage(header.message_type));
        }
        Self::decode_payload(payload)
    }
}

macro_rules! messages {
    ($(
        $(#[$meta:meta])*
        $name:ident $(<$life:lifetime>)? = $extension:ident $kind:literal $is_channel:literal {
            $($(#[$field_meta:meta])* $field:ident: $field_kind:ty,)*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Debug)]
        pub struct $name $(<$life>)? {
            $($(#[$field_meta])* pub $field: $field_kind,)*
        }

        messages!(@message $name $(<$life>)? = $extension $kind $is_channel { $($field),* });
    )*};
    (@message $name:ident = $extension:ident $kind:literal $is_channel:literal { $($field:ident),* }) => {
        impl Message<'_> for $name {
            messages!(@body $extension $kind $is_channel { $($field),* } '_);
        }
    };
    (@message $name:ident<$life:lifetime> = $extension:ident $kind:literal $is_channel:literal { $($field:ident),* }) => {
        impl<$life> Message<$life> for $name<$life> {
            messages!(@body $extension $kind $is_channel { $($field),* } $life);
        }
    };
    (@body $extension:ident $kind:literal $is_channel:literal { $($field:ident),* } $life:lifetime) => {
        const EXTENSION: u16 = $extension;
        const TYPE: u8 = $kind;
        const IS_CHANNEL_MESSAGE: bool = $is_channel;

        #[inline]
        fn decode_payload(payload: &$life [u8]) -> Result<Self, DecodeError> {
            let mut reader = Reader::new(payload);
            Ok(Self { $($field: Field::read(&mut reader)?),* })
        }

        #[inline]
        fn encode_payload(&self, out: &mut Vec<u8>) {
            $(self.$field.write(out);)*
        }
    };
}

messages! {
    /// A client's first message: what it wants to speak, and what it is.
    SetupConnection<'a> = EXTENSION_BASE 0x00 false {
        /// Which protocol: 0 is mining.
        protocol: u8,
        /// Lowest version that it speaks.
        min_version: u16,
        /// Highest version that it speaks.
        max_version: u16,
        /// What it needs ([`setup_flags`]).
        flags: u32,
        /// Host that it connected to.
        endpoint_host: Text<'a>,
        /// Port that it connected to.
        endpoint_port: u16,
        /// Who made the device.
        vendor: Text<'a>,
        /// Which device it is.
        hardware_version: Text<'a>,
        /// Which software it runs.
        firmware: Text<'a>,
        /// Which one of its kind it is.
        device_id: Text<'a>,
    }

    /// The connection is set up.
    SetupConnectionSuccess = EXTENSION_BASE 0x01 false {
        /// The version that is spoken from now on.
        used_version: u16,
        /// What the server needs of the client: 1 a fixed version in headers, 2 extended channels.
        flags: u32,
    }

    /// It is not.
    SetupConnectionError<'a> = EXTENSION_BASE 0x02 false {
        /// The flags that cannot be met.
        flags: u32,
        /// Why.
        error_code: Text<'a>,
    }

    /// The client is to connect anew.
    Reconnect<'a> = EXTENSION_BASE 0x04 false {
        /// Where; empty for where it is.
        new_host: Text<'a>,
        /// Which port; 0 for the one it uses.
        new_port: u16,
    }

    /// A channel for a device that mines headers only: the pool fixes the whole coinbase.
    OpenStandardMiningChannel<'a> = EXTENSION_BASE 0x10 false {
        /// The client's number for this request.
        request_id: u32,
        /// Who is paid and credited.
        user_identity: Text<'a>,
        /// Hashes a second that are expected of it.
        nominal_hash_rate: f32,
        /// Easiest target that it takes.
        max_target: Target,
    }

    /// The standard channel is open.
    OpenStandardMiningChannelSuccess<'a> = EXTENSION_BASE 0x11 false {
        /// The client's number for the request.
        request_id: u32,
        /// The channel from now on.
        channel_id: u32,
        /// What shares of its jobs must meet.
        target: Target,
        /// The extranonce in its coinbases, all of it.
        extranonce_prefix: &'a [u8],
        /// The group that it belongs to.
        group_channel_id: u32,
    }

    /// No channel was opened.
    OpenMiningChannelError<'a> = EXTENSION_BASE 0x12 false {
        /// The client's number for the request.
        request_id: u32,
        /// Why.
        error_code: Text<'a>,
    }

    /// A channel for one that makes coinbases itself: a proxy, or a device that rolls the extranonce.
    OpenExtendedMiningChannel<'a> = EXTENSION_BASE 0x13 false {
        /// The client's number for this request.
        request_id: u32,
        /// Who is paid and credited.
        user_identity: Text<'a>,
        /// Hashes a second that are expected of it.
        nominal_hash_rate: f32,
        /// Easiest target that it takes.
        max_target: Target,
        /// Bytes of extranonce that it needs for itself.
        min_extranonce_size: u16,
    }

    /// The extended channel is open.
    OpenExtendedMiningChannelSuccess<'a> = EXTENSION_BASE 0x14 false {
        /// The client's number for the request.
        request_id: u32,
        /// The channel from now on.
        channel_id: u32,
        /// What shares of its jobs must meet.
        target: Target,
        /// Bytes of extranonce that are its own.
        extranonce_size: u16,
        /// The bytes before them.
        extranonce_prefix: &'a [u8],
        /// The group that it belongs to.
        group_channel_id: u32,
    }

    /// A job for a standard channel.
    NewMiningJob = EXTENSION_BASE 0x15 true {
        /// For which channel.
        channel_id: u32,
        /// Its number.
        job_id: u32,
        /// Smallest ntime; without one the job waits for a [`SetNewPrevHash`] that names it.
        min_ntime: Option<u32>,
        /// Version of the header, rolled bits zero.
        version: u32,
        /// Merkle root of the header.
        merkle_root: Hash256,
    }

    /// The hash rate behind a channel has changed, or what target it takes.
    UpdateChannel = EXTENSION_BASE 0x16 true {
        /// Which channel.
        channel_id: u32,
        /// Hashes a second that are expected of it.
        nominal_hash_rate: f32,
        /// Easiest target that it takes.
        maximum_target: Target,
    }

    /// The change was refused.
    UpdateChannelError<'a> = EXTENSION_BASE 0x17 true {
        /// Which channel.
        channel_id: u32,
        /// Why.
        error_code: Text<'a>,
    }

    /// A channel ends, or all of a group.
    CloseChannel<'a> = EXTENSION_BASE 0x18 true {
        /// Which channel or group.
        channel_id: u32,
        /// Why.
        reason_code: Text<'a>,
    }

    /// Another prefix stands in a channel's coinbases from the next job on.
    SetExtranoncePrefix<'a> = EXTENSION_BASE 0x19 true {
        /// Which channel.
        channel_id: u32,
        /// The prefix.
        extranonce_prefix: &'a [u8],
    }

    /// A share of a standard channel.
    SubmitSharesStandard = EXTENSION_BASE 0x1a true {
        /// Which channel.
        channel_id: u32,
        /// The client's number for it, rising on the channel.
        sequence_number: u32,
        /// The job.
        job_id: u32,
        /// Header nonce.
        nonce: u32,
        /// Header time.
        ntime: u32,
        /// Header version, whole.
        version: u32,
    }

    /// A share of an extended channel.
    SubmitSharesExtended<'a> = EXTENSION_BASE 0x1b true {
        /// Which channel.
        channel_id: u32,
        /// The client's number for it, rising on the channel.
        sequence_number: u32,
        /// The job.
        job_id: u32,
        /// Header nonce.
        nonce: u32,
        /// Header time.
        ntime: u32,
        /// Header version, whole.
        version: u32,
        /// The client's own part of the extranonce.
        extranonce: &'a [u8],
    }

    /// Shares were credited.
    SubmitSharesSuccess = EXTENSION_BASE 0x1c true {
        /// On which channel.
        channel_id: u32,
        /// The latest of them.
        last_sequence_number: u32,
        /// How many since the last such message.
        new_submits_accepted_count: u32,
        /// The sum of their difficulties.
        new_shares_sum: u64,
    }

    /// A share was not credited.
    SubmitSharesError<'a> = EXTENSION_BASE 0x1d true {
        /// On which channel.
        channel_id: u32,
        /// Which one.
        sequence_number: u32,
        /// Why.
        error_code: Text<'a>,
    }

    /// A job for an extended channel or a group of them.
    NewExtendedMiningJob<'a> = EXTENSION_BASE 0x1f true {
        /// For which channel or group.
        channel_id: u32,
        /// Its number.
        job_id: u32,
        /// Smallest ntime; without one the job waits for a [`SetNewPrevHash`] that names it.
        min_ntime: Option<u32>,
        /// Version of the header, rolled bits zero.
        version: u32,
        /// Whether bits of it may be rolled (BIP323).
        version_rolling_allowed: bool,
        /// Path of the coinbase to the root.
        merkle_path: MerklePath<'a>,
        /// The coinbase up to the extranonce, without witness.
        coinbase_tx_prefix: Wide<'a>,
        /// The coinbase from behind the extranonce.
        coinbase_tx_suffix: Wide<'a>,
    }

    /// A new tip: the job that was sent ahead for it is now what is worked on.
    SetNewPrevHash = EXTENSION_BASE 0x20 true {
        /// For which channel or group.
        channel_id: u32,
        /// The job.
        job_id: u32,
        /// The tip.
        prev_hash: Hash256,
        /// Smallest ntime.
        min_ntime: u32,
        /// `nBits` of the header.
        nbits: u32,
    }

    /// What shares must meet of the jobs that come, and of those that wait for their tip.
    SetTarget = EXTENSION_BASE 0x21 true {
        /// On which channel or group.
        channel_id: u32,
        /// The target.
        maximum_target: Target,
    }

    /// Channels belong to another group from now on.
    SetGroupChannel<'a> = EXTENSION_BASE 0x25 false {
        /// The group.
        group_channel_id: u32,
        /// Its channels.
        channel_ids: ChannelIds<'a>,
    }

    /// Asks for extensions.
    RequestExtensions<'a> = EXTENSION_NEGOTIATION 0x00 false {
        /// The client's number for this request.
        request_id: u16,
        /// Which ones.
        requested_extensions: ExtensionIds<'a>,
    }

    /// Some of them are there.
    RequestExtensionsSuccess<'a> = EXTENSION_NEGOTIATION 0x01 false {
        /// The client's number for the request.
        request_id: u16,
        /// Which ones.
        supported_extensions: ExtensionIds<'a>,
    }

    /// None of them is there, or one is missing that the server insists on.
    RequestExtensionsError<'a> = EXTENSION_NEGOTIATION 0x02 false {
        /// The client's number for the request.
        request_id: u16,
        /// Those that are not there.
        unsupported_extensions: ExtensionIds<'a>,
        /// Those that the client would have to know.
        required_extensions: ExtensionIds<'a>,
    }
}

/// Flags of [`SetupConnection`] in the mining protocol.
pub mod setup_flags {
    /// It takes standard jobs only.
    pub const REQUIRES_STANDARD_JOBS: u32 = 1;
    /// It wants to choose transactions itself.
    pub const REQUIRES_WORK_SELECTION: u32 = 2;
    /// It must be allowed to roll the version.
    pub const REQUIRES_VERSION_ROLLING: u32 = 4;
}
