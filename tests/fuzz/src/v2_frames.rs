//! Frames of Stratum V2 in the clear: where each ends, what it says, and that both are written back as they were read. The
//! reference project's crates read every frame as well; which ones are taken and what is in each field must be the same.
//!
//! Input: the bytes of a connection behind its encryption, frame after frame. The last one may be cut short.

use binary_sv2::{B032, B064K, Deserialize, GetSize, Seq064K, Seq0255, Serialize, Str0255, Sv2Option, U256};
use common_messages_sv2 as common;
use framing_sv2::framing::SerializedFrame;
use framing_sv2::header::Header;
use mining_sv2 as mining;
use warppool_components::limits::EXTRANONCE2_BYTES;
use warppool_components::share::EXTRANONCE2_FIXED;
use warppool_components::units::{Hash256, Target};
use warppool_net::wire::v2::message::*;
use warppool_net::wire::v2::{
    ChannelIds, DecodeError, EXTENSION_BASE, EXTENSION_NEGOTIATION, FRAME_HEADER_BYTES, FrameHeader, MerklePath, Text,
    Wide, scan_shares, split,
};

/// Frames of an input that are looked at.
const FRAMES_MAX: usize = 16;

/// The header's only field that has no room for everything a text may have.
const TEXT_BYTES_MAX: usize = 255;

/// Runs one input.
pub fn check(data: &[u8]) {
    let mut rest = data;
    for _ in 0..FRAMES_MAX {
        let Some(length) = whole_frame(rest) else { break };
        let (frame, behind) = rest.split_at(length);
        check_frame(frame);
        rest = behind;
    }
    // What is cut short is no frame, but its payload may be read as one of every length.
    if let Some((header, payload)) = rest.split_at_checked(FRAME_HEADER_BYTES)
        && whole_frame(rest).is_none()
    {
        assert_eq!(split(rest), None, "a frame that is not whole");
        assert_eq!(scan_shares(rest), None, "a share in a frame that is not whole");
        compare(header[2], payload);
    }
}

/// Where the first frame ends, as the reference crate reads its header.
fn whole_frame(bytes: &[u8]) -> Option<usize> {
    let header = Header::from_bytes(bytes.get(..Header::SIZE)?).expect("six bytes are a header");
    Some(Header::SIZE + header.payload_length()).filter(|length| *length <= bytes.len())
}

fn check_frame(frame: &[u8]) {
    let (header, payload) = split(frame).expect("a whole frame");
    let mut theirs = SerializedFrame::from_bytes(frame.to_vec()).expect("a whole frame");
    let their_header = theirs.header();
    assert_eq!(header.message_type, their_header.msg_type());
    assert_eq!(header.is_channel_message, their_header.channel_msg());
    assert_eq!(header.extension, their_header.ext_type_without_channel_msg());
    assert_eq!(payload, theirs.payload());
    assert_eq!(header.encode(), frame[..FRAME_HEADER_BYTES], "a header is written as it was read");
    check_shares(&header, payload, frame);
    match header.extension {
        EXTENSION_BASE => compare(header.message_type, payload),
        EXTENSION_NEGOTIATION => check_negotiation(header.message_type, payload),
        _ => {}
    }
}

/// The way of shares agrees with the general one.
fn check_shares(header: &FrameHeader, payload: &[u8], frame: &[u8]) {
    let scanned = scan_shares(frame);
    let is_base = header.extension == EXTENSION_BASE;
    let standard = SubmitSharesStandard::decode_payload(payload).ok();
    let extended = SubmitSharesExtended::decode_payload(payload).ok();
    match header.message_type {
        SubmitSharesStandard::TYPE if is_base => {
            assert_eq!(scanned.is_some(), standard.is_some());
            let Some((scanned, share)) = scanned.zip(standard) else { return };
            let claim = scanned.claim;
            assert_eq!((scanned.channel_id, scanned.sequence_number), (share.channel_id, share.sequence_number));
            assert_eq!((claim.job.0, claim.nonce, claim.ntime), (share.job_id, share.nonce, share.ntime));
            assert_eq!((claim.version, claim.is_whole_version), (Some(share.version), true));
            assert_eq!((scanned.is_extended, claim.extranonce2_digits), (false, EXTRANONCE2_FIXED));
        }
        SubmitSharesExtended::TYPE if is_base => {
            assert_eq!(scanned.is_some(), extended.is_some());
            let Some((scanned, share)) = scanned.zip(extended) else { return };
            let claim = scanned.claim;
            assert_eq!((scanned.channel_id, scanned.sequence_number), (share.channel_id, share.sequence_number));
            assert_eq!((claim.job.0, claim.nonce, claim.ntime), (share.job_id, share.nonce, share.ntime));
            assert_eq!((claim.version, claim.is_whole_version), (Some(share.version), true));
            assert!(scanned.is_extended);
            assert_eq!(usize::from(claim.extranonce2_digits), 2 * share.extranonce.len());
            if share.extranonce.len() == EXTRANONCE2_BYTES {
                assert_eq!(claim.extranonce2, share.extranonce);
            }
        }
        _ => assert_eq!(scanned, None, "a share in another message"),
    }
}

/// The negotiation has no reference crate here: it is written back as it was read.
fn check_negotiation(message_type: u8, payload: &[u8]) {
    fn round<'a, M: Message<'a> + PartialEq>(payload: &'a [u8]) {
        if let Ok(message) = M::decode_payload(payload) {
            assert!(payload.starts_with(&written(&message)), "another payload than was read");
        }
    }
    match message_type {
        RequestExtensions::TYPE => round::<RequestExtensions<'_>>(payload),
        RequestExtensionsSuccess::TYPE => round::<RequestExtensionsSuccess<'_>>(payload),
        RequestExtensionsError::TYPE => round::<RequestExtensionsError<'_>>(payload),
        _ => {}
    }
}

fn written<'a>(message: &impl Message<'a>) -> Vec<u8> {
    let mut payload = Vec::new();
    message.encode_payload(&mut payload);
    payload
}

/// What the reference crate makes of a payload: the message if there is one, and the bytes that it writes for it.
fn theirs<'a, T: Deserialize<'a> + GetSize>(payload: &'a mut [u8]) -> Option<T> {
    binary_sv2::from_bytes(payload).ok()
}

fn written_by_them(message: impl Serialize + GetSize) -> Vec<u8> {
    binary_sv2::to_bytes(message).expect("what was read can be written")
}

/// Where the reference crate is known to read otherwise: it takes the lowest bit of a truth value, and refuses the number of a
/// protocol that it does not know.
fn differs_by_design(message_type: u8, ours: Result<(), DecodeError>, payload: &[u8]) -> bool {
    matches!(ours, Err(DecodeError::NotABit(_)))
        || (message_type == SetupConnection::TYPE && payload.first().is_some_and(|protocol| *protocol > 2))
}

macro_rules! compare {
    ($($name:ident = $theirs:ty { $($field:ident),* })*) => {
        /// A payload as both read it.
        fn compare(message_type: u8, payload: &[u8]) {
            match message_type {
                $($name::TYPE => {
                    let ours = $name::decode_payload(payload);
                    let mut copy = payload.to_vec();
                    let reference = theirs::<$theirs>(&mut copy);
                    if differs_by_design(message_type, ours.map(|_| ()), payload) {
                        return;
                    }
                    let (ours, reference) = match (ours, reference) {
                        (Ok(ours), Some(reference)) => (ours, reference),
                        (Err(_), None) => return,
                        (ours, reference) => panic!("{ours:?} here and {reference:?} there"),
                    };
                    $(assert!(ours.$field.is_same(&reference.$field), "{}: {ours:?} is no {reference:?}", stringify!($field));)*
                    let bytes = written(&ours);
                    assert!(payload.starts_with(&bytes), "{ours:?} is written otherwise than it was read");
                    assert_eq!(bytes, written_by_them(reference));
                    let frame = ours.to_frame();
                    let again = $name::decode(&frame).map(|again| written(&again));
                    assert_eq!(again, Ok(bytes), "our own frame of {ours:?}");
                })*
                _ => {}
            }
        }
    };
}

compare! {
    SetupConnection = common::SetupConnection<'_> {
        protocol, min_version, max_version, flags, endpoint_host, endpoint_port, vendor, hardware_version, firmware, device_id
    }
    SetupConnectionSuccess = common::SetupConnectionSuccess { used_version, flags }
    SetupConnectionError = common::SetupConnectionError<'_> { flags, error_code }
    Reconnect = common::Reconnect<'_> { new_host, new_port }
    OpenStandardMiningChannel = mining::OpenStandardMiningChannel<'_> {
        request_id, user_identity, nominal_hash_rate, max_target
    }
    OpenStandardMiningChannelSuccess = mining::OpenStandardMiningChannelSuccess<'_> {
        request_id, channel_id, target, extranonce_prefix, group_channel_id
    }
    OpenMiningChannelError = mining::OpenMiningChannelError<'_> { request_id, error_code }
    OpenExtendedMiningChannel = mining::OpenExtendedMiningChannel<'_> {
        request_id, user_identity, nominal_hash_rate, max_target, min_extranonce_size
    }
    OpenExtendedMiningChannelSuccess = mining::OpenExtendedMiningChannelSuccess<'_> {
        request_id, channel_id, target, extranonce_size, extranonce_prefix, group_channel_id
    }
    NewMiningJob = mining::NewMiningJob<'_> { channel_id, job_id, min_ntime, version, merkle_root }
    UpdateChannel = mining::UpdateChannel<'_> { channel_id, nominal_hash_rate, maximum_target }
    UpdateChannelError = mining::UpdateChannelError<'_> { channel_id, error_code }
    CloseChannel = mining::CloseChannel<'_> { channel_id, reason_code }
    SetExtranoncePrefix = mining::SetExtranoncePrefix<'_> { channel_id, extranonce_prefix }
    SubmitSharesStandard = mining::SubmitSharesStandard {
        channel_id, sequence_number, job_id, nonce, ntime, version
    }
    SubmitSharesExtended = mining::SubmitSharesExtended<'_> {
        channel_id, sequence_number, job_id, nonce, ntime, version, extranonce
    }
    SubmitSharesSuccess = mining::SubmitSharesSuccess {
        channel_id, last_sequence_number, new_submits_accepted_count, new_shares_sum
    }
    SubmitSharesError = mining::SubmitSharesError<'_> { channel_id, sequence_number, error_code }
    NewExtendedMiningJob = mining::NewExtendedMiningJob<'_> {
        channel_id, job_id, min_ntime, version, version_rolling_allowed, merkle_path, coinbase_tx_prefix, coinbase_tx_suffix
    }
    SetNewPrevHash = mining::SetNewPrevHash<'_> { channel_id, job_id, prev_hash, min_ntime, nbits }
    SetTarget = mining::SetTarget<'_> { channel_id, maximum_target }
    SetGroupChannel = mining::SetGroupChannel<'_> { group_channel_id, channel_ids }
}

/// A field of ours and the reference crate's.
trait Same<T> {
    fn is_same(&self, theirs: &T) -> bool;
}

macro_rules! same_numbers {
    ($($kind:ty),*) => {$(
        impl Same<$kind> for $kind {
            fn is_same(&self, theirs: &$kind) -> bool {
                self == theirs
            }
        }
    )*};
}

same_numbers!(u16, u32, u64, bool);

impl Same<common::Protocol> for u8 {
    fn is_same(&self, theirs: &common::Protocol) -> bool {
        *self == *theirs as Self
    }
}

/// By their bits: a number that is none is never equal to itself.
impl Same<f32> for f32 {
    fn is_same(&self, theirs: &f32) -> bool {
        self.to_bits() == theirs.to_bits()
    }
}

impl Same<Str0255<'_>> for Text<'_> {
    fn is_same(&self, theirs: &Str0255<'_>) -> bool {
        assert!(self.0.len() <= TEXT_BYTES_MAX);
        self.0 == theirs.as_bytes()
    }
}

impl Same<B032<'_>> for &[u8] {
    fn is_same(&self, theirs: &B032<'_>) -> bool {
        *self == theirs.as_bytes()
    }
}

impl Same<B064K<'_>> for Wide<'_> {
    fn is_same(&self, theirs: &B064K<'_>) -> bool {
        self.0 == theirs.as_bytes()
    }
}

impl Same<U256<'_>> for Hash256 {
    fn is_same(&self, theirs: &U256<'_>) -> bool {
        self.as_internal().as_slice() == theirs.as_bytes()
    }
}

impl Same<U256<'_>> for Target {
    fn is_same(&self, theirs: &U256<'_>) -> bool {
        self.to_big_endian().iter().rev().eq(theirs.as_bytes())
    }
}

impl Same<Sv2Option<'_, u32>> for Option<u32> {
    fn is_same(&self, theirs: &Sv2Option<'_, u32>) -> bool {
        self.as_ref() == theirs.as_ref()
    }
}

impl Same<Seq0255<'_, U256<'_>>> for MerklePath<'_> {
    fn is_same(&self, theirs: &Seq0255<'_, U256<'_>>) -> bool {
        self.len() == theirs.len() && self.iter().zip(theirs.iter_bytes()).all(|(one, two)| one.as_internal() == two)
    }
}

impl Same<Seq064K<'_, u32>> for ChannelIds<'_> {
    fn is_same(&self, theirs: &Seq064K<'_, u32>) -> bool {
        self.iter().eq(theirs.iter().copied())
    }
}
