//! Work from another pool instead of a node: what the translator is given, and what it hands back.
//!
//! The other pool makes the coinbase; only the bytes of its extranonce that it leaves to us are ours. A job's
//! [`EXTRANONCE_BYTES`] are then three parts: the last bytes before ours ([`Lead`], the same for all shares of the job), the
//! channel's unique part, and what is left for the miner ([`UPSTREAM_EXTRANONCE2_BYTES`]).

use crate::limits::{EXTRANONCE_BYTES, EXTRANONCE1_BYTES, EXTRANONCE2_BYTES, UPSTREAM_EXTRANONCE2_BYTES};
use crate::template::Template;
use crate::units::Target;
use std::sync::Arc;

/// Bytes of a job's extranonce that are not ours.
pub const LEAD_BYTES: usize = EXTRANONCE_BYTES - UPSTREAM_OWN_BYTES;

/// Bytes of the upstream's extranonce that we fill: the channel's unique part and the miner's.
pub const UPSTREAM_OWN_BYTES: usize = EXTRANONCE1_BYTES + UPSTREAM_EXTRANONCE2_BYTES;

/// Where the miner's part begins in a claim, which is filled up at the left.
const CLAIMED_FROM: usize = EXTRANONCE2_BYTES - UPSTREAM_EXTRANONCE2_BYTES;

/// Version bits that a job of Stratum V2 lets miners roll (BIP323).
pub const VERSION_MASK_V2: u32 = 0x1fff_ffe0;

/// The last bytes before ours.
pub type Lead = [u8; LEAD_BYTES];

/// A coinbase that another pool made, and the job that it belongs to there.
#[derive(Clone, PartialEq, Debug)]
pub struct GivenCoinbase {
    /// Which of our sessions with an upstream the job came in; shares of earlier ones are of no use.
    pub session: u32,
    /// The upstream's number for the job.
    pub job_id: u32,
    /// Everything before our bytes, without witness: the upstream's part of the extranonce is its end.
    pub prefix: Arc<[u8]>,
    /// Everything behind our bytes.
    pub suffix: Arc<[u8]>,
    /// What a share must meet to be worth something to the upstream.
    pub target: Target,
    /// Version bits in which a share may differ from the job.
    pub version_mask: u32,
    lead: Lead,
}

impl GivenCoinbase {
    /// With the version bits of Stratum V2; `None` when the prefix is too short for any coinbase.
    pub fn new(session: u32, job_id: u32, prefix: &[u8], suffix: &[u8], target: Target) -> Option<Self> {
        let lead = *prefix.last_chunk()?;
        let (prefix, suffix) = (prefix.into(), suffix.into());
        Some(Self { session, job_id, prefix, suffix, target, version_mask: VERSION_MASK_V2, lead })
    }

    /// The same with other version bits.
    #[must_use]
    pub fn with_version_mask(self, version_mask: u32) -> Self {
        Self { version_mask, ..self }
    }

    /// What of the prefix stands before the extranonce of [`EXTRANONCE_BYTES`].
    pub fn hashed_once(&self) -> &[u8] {
        &self.prefix[..self.prefix.len() - LEAD_BYTES]
    }

    /// A share's extranonce as the coinbase holds it.
    pub fn extranonce(
        &self,
        extranonce1: [u8; EXTRANONCE1_BYTES],
        extranonce2: &[u8; EXTRANONCE2_BYTES],
    ) -> [u8; EXTRANONCE_BYTES] {
        let mut bytes = [0; EXTRANONCE_BYTES];
        bytes[..LEAD_BYTES].copy_from_slice(&self.lead);
        bytes[LEAD_BYTES..LEAD_BYTES + EXTRANONCE1_BYTES].copy_from_slice(&extranonce1);
        bytes[LEAD_BYTES + EXTRANONCE1_BYTES..].copy_from_slice(&extranonce2[CLAIMED_FROM..]);
        bytes
    }
}

/// A job of an upstream.
#[derive(Clone, PartialEq, Debug)]
pub struct GivenWork {
    /// Header and merkle path. It has no transactions: whoever gave the job has them.
    pub template: Arc<Template>,
    /// The coinbase.
    pub coinbase: Arc<GivenCoinbase>,
    /// The other pool takes no share of earlier jobs any more, also on the same tip.
    pub clean: bool,
}

/// A share that is worth something to the upstream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpstreamShare {
    /// The session of its job.
    pub session: u32,
    /// The upstream's number for its job.
    pub job_id: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Header time.
    pub ntime: u32,
    /// Header version, whole.
    pub version: u32,
    /// Our bytes of the extranonce.
    pub extranonce: [u8; UPSTREAM_OWN_BYTES],
}

/// What became of the shares that were worth something to the upstream, since the start.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UpstreamSnapshot {
    /// Where the work comes from, as the operator wrote it without the key; empty while there is none.
    pub name: String,
    /// Sent.
    pub sent: u64,
    /// Credited by the upstream.
    pub accepted: u64,
    /// Refused by the upstream, by the code of Stratum V1 that its reason stands for.
    pub rejected: Vec<(u32, u64)>,
    /// Never answered in time.
    pub unanswered: u64,
    /// Not sent: there was no upstream, its session was over, or too many waited for an answer.
    pub dropped: u64,
    /// Sessions with an upstream.
    pub sessions: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_extranonce_stand_in_the_coinbase_as_they_are_hashed() {
        let prefix: Vec<u8> = (0..60).collect();
        let given = GivenCoinbase::new(1, 7, &prefix, &[0xff], Target::MAX).expect("long enough");
        let extranonce = given.extranonce([0xa1, 0xa2, 0xa3, 0xa4], &[0, 0, 0, 0, 0xb1, 0xb2, 0xb3, 0xb4]);
        let hashed = [given.hashed_once(), &extranonce].concat();
        let sent = [&prefix[..], &[0xa1, 0xa2, 0xa3, 0xa4, 0xb1, 0xb2, 0xb3, 0xb4]].concat();
        assert_eq!(hashed, sent);
        assert!(GivenCoinbase::new(1, 7, &[0; LEAD_BYTES - 1], &[], Target::MAX).is_none());
    }
}
