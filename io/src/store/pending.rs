//! What was taken from the queue and is not committed yet.

use std::collections::BTreeMap;
use std::time::Instant;
use warppool_components::limits::{SETTINGS_PENDING_MAX, STORE_BLOCK_ROWS_PENDING_MAX, STORE_ROWS_PENDING_MAX};
use warppool_components::record::{BlockRow, PoolTotalsRow, ShareRow, StoreBatch, WorkerRow};

/// What other threads hand to the writer.
#[derive(Debug)]
pub(super) enum Change {
    /// What a tick has to say.
    Batch(StoreBatch),
    /// A setting's new value; `None` removes it.
    Setting(String, Option<String>),
}

/// A change and when it came.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) change: Change,
    pub(super) at: Instant,
}

/// Changes merged for one commit.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) shares: Vec<ShareRow>,
    pub(super) shares_dropped: u64,
    /// Sorted: a tree on disk is cheapest to change in its order, and the same input gives the same file.
    pub(super) workers: BTreeMap<u32, WorkerRow>,
    pub(super) totals: Option<Box<PoolTotalsRow>>,
    pub(super) blocks: Vec<BlockRow>,
    pub(super) settings: BTreeMap<String, Option<String>>,
    /// Changes that are done when all this is committed.
    pub(super) changes: u64,
    /// When the first of them came.
    pub(super) oldest: Option<Instant>,
}

impl Pending {
    /// Takes a change in.
    pub(super) fn add(&mut self, queued: Queued) {
        self.changes += 1;
        self.oldest.get_or_insert(queued.at);
        match queued.change {
            Change::Batch(mut batch) => {
                self.shares.append(&mut batch.shares);
                self.shares_dropped += batch.shares_dropped;
                self.workers.extend(batch.workers.into_iter().map(|row| (row.id.0, row)));
                self.totals = batch.totals.or(self.totals.take());
                self.blocks.append(&mut batch.blocks);
            }
            Change::Setting(name, value) => {
                self.settings.insert(name, value);
            }
        }
    }

    /// Takes in what came after it.
    pub(super) fn append(&mut self, mut later: Self) {
        self.shares.append(&mut later.shares);
        self.shares_dropped += later.shares_dropped;
        self.workers.extend(later.workers);
        self.totals = later.totals.or(self.totals.take());
        self.blocks.append(&mut later.blocks);
        self.settings.append(&mut later.settings);
        self.changes += later.changes;
        self.oldest = self.oldest.or(later.oldest);
    }

    /// The blocks alone, which are committed before everything else.
    pub(super) fn take_blocks(&mut self) -> Self {
        Self { blocks: std::mem::take(&mut self.blocks), ..Self::default() }
    }

    /// Whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.shares.is_empty()
            && self.shares_dropped == 0
            && self.workers.is_empty()
            && self.totals.is_none()
            && self.blocks.is_empty()
            && self.settings.is_empty()
    }

    /// Whether more may be taken from the queue.
    pub(super) fn has_room(&self) -> bool {
        self.shares.len() < STORE_ROWS_PENDING_MAX
            && self.blocks.len() < STORE_BLOCK_ROWS_PENDING_MAX
            && self.settings.len() < SETTINGS_PENDING_MAX
    }
}
