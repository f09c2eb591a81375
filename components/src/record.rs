//! What the store keeps: rows as the engine writes them and gets them back at start.

use crate::block::BlockState;
use crate::reject::RejectCounts;
use crate::units::{Hash256, Sats, UnixTime};
use crate::worker::WorkerId;
use bevy_ecs::component::Component;
use std::sync::Arc;

/// A judged share, or several refused ones of one worker and cause.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ShareRow {
    /// Who is credited, or whose it would have been.
    pub worker: WorkerId,
    /// When it was judged.
    pub at: UnixTime,
    /// Shares that the row stands for: 1 when credited. Of refused ones nobody needs to know each.
    pub count: u32,
    /// Difficulty that it is credited with: its job's; 0 when refused.
    pub difficulty: f64,
    /// Difficulty that its hash reached; 0 when refused.
    pub reached: f64,
    /// `None` when credited, else the cause's [`Reject::index`](crate::reject::Reject::index).
    pub reject: Option<u8>,
}

/// A worker, with totals since it was first seen. Written whole on every change, at most once a flush.
#[derive(Clone, PartialEq, Debug)]
pub struct WorkerRow {
    /// Its number.
    pub id: WorkerId,
    /// The address, or what stood in its place.
    pub address: Arc<str>,
    /// Its own name, may be empty.
    pub name: Arc<str>,
    /// First authorize.
    pub first_seen: UnixTime,
    /// Last sign of life.
    pub last_seen: UnixTime,
    /// User agent of its latest connection.
    pub user_agent: Arc<str>,
    /// Shares credited.
    pub accepted: u64,
    /// Sum of their difficulties.
    pub accepted_difficulty: f64,
    /// Shares refused, by cause.
    pub rejected: RejectCounts,
    /// Best share ever, as a difficulty.
    pub best_ever: f64,
    /// Last credited share.
    pub last_share_at: Option<UnixTime>,
    /// Blocks that a node accepted.
    pub blocks_found: u32,
    /// Difficulty to start from at reconnect; `None` when it was never settled.
    pub difficulty: Option<f64>,
    /// Hash rate estimate that belongs to it.
    pub hashes_per_second: f64,
}

/// Sums over the whole pool since the store began. They outlive workers that are forgotten.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct PoolTotalsRow {
    /// Shares credited.
    pub accepted: u64,
    /// Sum of their difficulties.
    pub accepted_difficulty: f64,
    /// Shares refused, by cause; those of nobody too.
    pub rejected: RejectCounts,
    /// Best share ever, as a difficulty.
    pub best_ever: f64,
}

/// A found block as it is remembered. The key is `hash`; a later row replaces an earlier one.
#[derive(Component, Clone, PartialEq, Debug)]
pub struct BlockRow {
    /// Its hash.
    pub hash: Hash256,
    /// Its height.
    pub height: u32,
    /// What became of it.
    pub state: BlockState,
    /// When it was found.
    pub found_at: UnixTime,
    /// Who found it.
    pub worker: WorkerId,
    /// `address.name` of the finder.
    pub worker_label: Arc<str>,
    /// Address paid.
    pub address: Arc<str>,
    /// What that address gets.
    pub payout: Sats,
    /// Value of the whole coinbase.
    pub coinbase_value: Sats,
    /// Difficulty of its hash.
    pub share_difficulty: f64,
    /// Network's difficulty then.
    pub network_difficulty: f64,
    /// The whole block as submitted, present in the first row only: journaled until its state is final.
    pub raw: Option<Arc<[u8]>>,
}

/// All that one tick has to say to the store.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct StoreBatch {
    /// Judged shares, in order.
    pub shares: Vec<ShareRow>,
    /// Shares that were dropped before because the store lagged.
    pub shares_dropped: u64,
    /// Changed workers.
    pub workers: Vec<WorkerRow>,
    /// Sums of the pool that include these shares.
    pub totals: Option<Box<PoolTotalsRow>>,
    /// Found blocks and changes of their state. A batch with a block is committed durably at once.
    pub blocks: Vec<BlockRow>,
}

impl StoreBatch {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.shares.is_empty()
            && self.shares_dropped == 0
            && self.workers.is_empty()
            && self.totals.is_none()
            && self.blocks.is_empty()
    }
}

/// What the engine gets back from the store at start.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Restored {
    /// All known workers.
    pub workers: Vec<WorkerRow>,
    /// Sums of the pool; absent in a store of a version that did not keep them.
    pub totals: Option<PoolTotalsRow>,
    /// Blocks, newest first, at most [`BLOCKS_IN_SNAPSHOT_MAX`](crate::limits::BLOCKS_IN_SNAPSHOT_MAX) and all that are not yet final; rows that
    /// still need their journal carry `raw`.
    pub blocks: Vec<BlockRow>,
    /// Blocks ever found and accepted.
    pub blocks_found: u64,
    /// Largest worker number ever given.
    pub worker_id_max: u32,
}

/// Shares of one step of time, of a worker or of the whole pool.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct HistoryPoint {
    /// Start of the step.
    pub at: UnixTime,
    /// Shares credited in it.
    pub accepted: u64,
    /// Sum of their difficulties; times 2^32 through the step's seconds it is the hash rate.
    pub accepted_difficulty: f64,
    /// Shares refused in it.
    pub rejected: u64,
    /// Best share of it, as a difficulty.
    pub best: f64,
}
