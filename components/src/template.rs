//! A block template: the node's proposal for the next block, without its coinbase.

use crate::units::{Hash256, Sats, Target, UnixTime};
use std::sync::Arc;

/// Number of a template, unique in one run of the pool and rising.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TemplateId(pub u64);

/// Where a template came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TemplateKind {
    /// The node's own template with its transactions.
    Full,
    /// Only the subsidy, made by us the moment a new tip was seen.
    SubsidyOnly,
}

/// Everything a job is made of but the coinbase. Checked when it was parsed: the witness commitment is our own
/// computation, `bits` gives `network_target`, branches belong to the transactions.
#[derive(Clone, PartialEq, Debug)]
pub struct Template {
    /// Our number for it.
    pub id: TemplateId,
    /// Full or subsidy only.
    pub kind: TemplateKind,
    /// Height of the block to be found.
    pub height: u32,
    /// Header version; the bits that miners may roll are zero.
    pub version: u32,
    /// The tip it builds on.
    pub previous_block: Hash256,
    /// `nBits` of the header.
    pub bits: u32,
    /// What `bits` means.
    pub network_target: Target,
    /// ntime to hand out.
    pub current_time: UnixTime,
    /// Smallest ntime that consensus allows: the median of the last eleven blocks, plus one second.
    pub min_time: UnixTime,
    /// Subsidy and fees: what the outputs of the coinbase must sum to.
    pub coinbase_value: Sats,
    /// The fees within it.
    pub fees: Sats,
    /// scriptPubKey of the witness commitment output (38 bytes), absent before segwit is active.
    pub witness_commitment: Option<Arc<[u8]>>,
    /// Merkle path of the coinbase over txids, deepest first, in internal byte order.
    pub merkle_branches: Arc<[Hash256]>,
    /// Transactions other than the coinbase.
    pub transaction_count: u32,
    /// Those transactions, serialised with witness, one after the other.
    pub transactions: Arc<[u8]>,
    /// Weight of those transactions in weight units.
    pub weight: u64,
    /// When the pool received it.
    pub received_at: UnixTime,
}

/// Seconds that a template's time is carried forward at most, should our clock jump: half of what Core allows.
const AGE_SECONDS_MAX: u64 = 3600;

impl Template {
    /// What the node's clock shows when ours shows `now`. It is the node that refuses a block from too far in the
    /// future, and its clock need not be ours.
    pub fn time_at(&self, now: UnixTime) -> UnixTime {
        let age_seconds = now.seconds().saturating_sub(self.received_at.seconds()).min(AGE_SECONDS_MAX);
        UnixTime::from_seconds(self.current_time.seconds().saturating_add(age_seconds))
    }
}
