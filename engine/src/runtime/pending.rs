//! What the store has not taken yet.

use std::collections::HashMap;
use std::time::Duration;
use warppool_components::limits::SHARE_ROWS_PENDING_MAX;
use warppool_components::record::{ShareRow, StoreBatch, WorkerRow};
use warppool_components::units::Instant;
use warppool_components::worker::WorkerId;
use warppool_io::store::{CommitHistogram, StoreWriter};

/// How soon a full queue is tried again.
pub(super) const RETRY: Duration = Duration::from_millis(10);

/// How long a found block waits for room in the store's queue when the pool stops.
const PATIENCE_WITH_BLOCK: Duration = Duration::from_secs(10);

/// Batches on their way to the store's thread. Never waits for it: what does not fit is merged. Rows of workers are
/// totals, so the latest replaces earlier ones; of shares the oldest are dropped, and counted, when the store lags too far.
#[derive(Debug)]
pub(super) struct PendingRecords {
    writer: StoreWriter,
    waiting: StoreBatch,
    waiting_since: Option<Instant>,
    rows_dropped: u64,
}

impl PendingRecords {
    pub(super) fn new(writer: StoreWriter) -> Self {
        Self { writer, waiting: StoreBatch::default(), waiting_since: None, rows_dropped: 0 }
    }

    /// Takes `records` and hands over what the store's queue accepts.
    pub(super) fn offer(&mut self, records: &mut StoreBatch, now: Instant) {
        if records.is_empty() && self.waiting.is_empty() {
            return;
        }
        let records = std::mem::take(records);
        let batch = match (self.waiting.is_empty(), records.is_empty()) {
            (true, _) => records,
            // Every tick comes by here while the disk is slow: merging costs time for each worker that waits.
            (false, true) => std::mem::take(&mut self.waiting),
            (false, false) => self.merged(records),
        };
        match self.writer.try_send(batch) {
            Ok(()) => self.waiting_since = None,
            Err(refused) => {
                self.waiting = refused;
                self.waiting_since.get_or_insert(now);
            }
        }
    }

    /// Whether something waits for room in the store's queue.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Age of what waits longest, here or with the store.
    pub(super) fn lag(&self, now: Instant) -> Duration {
        self.waiting_since.map_or(Duration::ZERO, |since| now.since(since)).max(self.writer.lag())
    }

    /// Share rows given up because the store lagged.
    pub(super) fn rows_dropped(&self) -> u64 {
        self.rows_dropped
    }

    /// How long commits took.
    pub(super) fn commits(&self) -> CommitHistogram {
        self.writer.commit_histogram()
    }

    /// Hands over the rest, waiting for room up to `patience`, and longer for a found block.
    pub(super) fn flush(&mut self, patience: Duration) {
        let has_block = !self.waiting.blocks.is_empty();
        let deadline = std::time::Instant::now() + if has_block { PATIENCE_WITH_BLOCK } else { patience };
        while self.is_waiting() && std::time::Instant::now() < deadline {
            self.offer(&mut StoreBatch::default(), Instant::default());
            std::thread::yield_now();
        }
        if self.is_waiting() {
            tracing::error!("the store does not take the last {} shares", self.waiting.shares.len());
        }
    }

    /// What waits, followed by `records`.
    fn merged(&mut self, mut records: StoreBatch) -> StoreBatch {
        let mut batch = std::mem::take(&mut self.waiting);
        batch.shares.append(&mut records.shares);
        batch.blocks.append(&mut records.blocks);
        batch.shares_dropped += records.shares_dropped + self.drop_oldest(&mut batch.shares);
        batch.workers = latest(batch.workers.into_iter().chain(records.workers));
        batch.totals = records.totals.take().or(batch.totals);
        batch
    }

    fn drop_oldest(&mut self, shares: &mut Vec<ShareRow>) -> u64 {
        let excess = shares.len().saturating_sub(SHARE_ROWS_PENDING_MAX);
        shares.drain(..excess);
        self.rows_dropped += excess as u64;
        excess as u64
    }
}

/// The last row of each worker.
fn latest(rows: impl Iterator<Item = WorkerRow>) -> Vec<WorkerRow> {
    let by_id: HashMap<WorkerId, WorkerRow> = rows.map(|row| (row.id, row)).collect();
    by_id.into_values().collect()
}
