//! Shares: read without allocation into what every protocol's shares become, and what they are refused with.

use super::message::{Message, SubmitSharesExtended, SubmitSharesStandard};
use super::{EXTENSION_BASE, split};
use warppool_components::job::JobId;
use warppool_components::limits::EXTRANONCE2_BYTES;
use warppool_components::reject::Reject;
use warppool_components::share::{EXTRANONCE2_FIXED, ShareClaim};

/// A share as it stands in a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shares {
    /// The channel's number on its connection.
    pub channel_id: u32,
    /// The client's number for the share.
    pub sequence_number: u32,
    /// Whether it came as one of an extended channel.
    pub is_extended: bool,
    /// What is claimed. Its job is the number on the wire. Digits of the extranonce are those it would have in
    /// hexadecimal: any other number than the usual one is an error, as in Stratum V1.
    pub claim: ShareClaim,
}

/// Reads `SubmitSharesStandard` and `SubmitSharesExtended`. `None` when the frame is something else, or malformed.
#[inline]
pub fn scan_shares(frame: &[u8]) -> Option<Shares> {
    let (header, payload) = split(frame)?;
    if header.extension != EXTENSION_BASE {
        return None;
    }
    match header.message_type {
        SubmitSharesStandard::TYPE => SubmitSharesStandard::decode_payload(payload).ok().map(standard),
        SubmitSharesExtended::TYPE => SubmitSharesExtended::decode_payload(payload).ok().map(extended),
        _ => None,
    }
}

/// The pool has fixed the extranonce: what would be the miner's part is zero.
const fn standard(share: SubmitSharesStandard) -> Shares {
    let claim = ShareClaim {
        job: JobId(share.job_id),
        extranonce2: [0; EXTRANONCE2_BYTES],
        extranonce2_digits: EXTRANONCE2_FIXED,
        ntime: share.ntime,
        nonce: share.nonce,
        version: Some(share.version),
        is_whole_version: true,
    };
    Shares { channel_id: share.channel_id, sequence_number: share.sequence_number, is_extended: false, claim }
}

fn extended(share: SubmitSharesExtended<'_>) -> Shares {
    let mut extranonce2 = [0; EXTRANONCE2_BYTES];
    if let Some(place) = EXTRANONCE2_BYTES.checked_sub(share.extranonce.len()) {
        extranonce2[place..].copy_from_slice(share.extranonce);
    }
    let claim = ShareClaim {
        job: JobId(share.job_id),
        extranonce2,
        extranonce2_digits: 2 * share.extranonce.len() as u8,
        ntime: share.ntime,
        nonce: share.nonce,
        version: Some(share.version),
        is_whole_version: true,
    };
    Shares { channel_id: share.channel_id, sequence_number: share.sequence_number, is_extended: true, claim }
}

/// What a refused share is answered with. The specification names five; the others are ours, and a client that does not
/// know one takes it for what it is, a refusal.
pub const fn error_code(reject: Reject) -> &'static str {
    match reject {
        Reject::StaleTip => "stale-share",
        Reject::UnknownJob => "invalid-job-id",
        Reject::Duplicate => "duplicate-share",
        Reject::LowDifficulty => "difficulty-too-low",
        Reject::Unauthorized | Reject::NotSubscribed => "invalid-channel-id",
        Reject::TimeTooOld => "ntime-too-old",
        Reject::TimeTooNew => "ntime-too-new",
        Reject::VersionOutsideMask => "version-bits-not-allowed",
        Reject::Extranonce2Size => "bad-extranonce-size",
        Reject::Malformed => "malformed-share",
        Reject::JobExhausted => "job-exhausted",
    }
}
