//! The handle by which the engine writes.

use super::error::StoreError;
use super::histogram::CommitHistogram;
use super::pending::{Change, Queued};
use super::shared::Shared;
use crossbeam::channel::{Sender, TrySendError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use warppool_components::limits::SETTING_BYTES_MAX;
use warppool_components::record::StoreBatch;

/// Hands batches to the store's thread. Never waits for the disk.
#[derive(Clone, Debug)]
pub struct StoreWriter {
    queue: Sender<Queued>,
    shared: Arc<Shared>,
}

impl StoreWriter {
    pub(super) fn new(queue: Sender<Queued>, shared: Arc<Shared>) -> Self {
        Self { queue, shared }
    }

    /// Queues a batch; it is durable after the flush interval at the latest, with a block in it at once.
    ///
    /// # Errors
    /// Gives the batch back when
    /// [`STORE_BATCHES_QUEUED_MAX`](warppool_components::limits::STORE_BATCHES_QUEUED_MAX) wait already or the store
    /// is closed. The caller keeps it, merges it with what comes, and tries again.
    pub fn try_send(&self, batch: StoreBatch) -> Result<(), StoreBatch> {
        match self.enqueue(Change::Batch(batch)) {
            Err(Change::Batch(batch)) => Err(batch),
            // What comes back is what was sent, so this is success.
            Ok(()) | Err(Change::Setting(..)) => Ok(()),
        }
    }

    /// Queues a setting's new value; `None` removes it. Readers see it after the flush interval at the latest.
    ///
    /// # Errors
    /// [`StoreError::SettingLength`] for one that is too long, [`StoreError::Busy`] when the queue is full.
    pub fn try_set(&self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        if name.len() + value.map_or(0, str::len) > SETTING_BYTES_MAX {
            return Err(StoreError::SettingLength(name.chars().take(64).collect()));
        }
        let change = Change::Setting(name.to_owned(), value.map(str::to_owned));
        self.enqueue(change).map_err(|_| StoreError::Busy)
    }

    /// How long the oldest change that is not durable has been waiting.
    pub fn lag(&self) -> Duration {
        self.shared.intake().oldest.map_or(Duration::ZERO, |oldest| oldest.elapsed())
    }

    /// How many changes (batches and settings) are durable, of those sent since the start, in their order.
    pub fn committed(&self) -> u64 {
        self.shared.committed_batches.load(Ordering::Acquire)
    }

    /// Why the last commit failed and what happens next; `None` while all is well.
    pub fn health(&self) -> Option<String> {
        self.shared.health()
    }

    /// How long commits took since the start, for `warppool_store_commit_seconds`.
    pub fn commit_histogram(&self) -> CommitHistogram {
        self.shared.histogram.read()
    }

    fn enqueue(&self, change: Change) -> Result<(), Change> {
        let mut intake = self.shared.intake();
        if intake.closed {
            return Err(change);
        }
        let at = Instant::now();
        match self.queue.try_send(Queued { change, at }) {
            Ok(()) => {
                intake.oldest.get_or_insert(at);
                Ok(())
            }
            Err(TrySendError::Full(queued) | TrySendError::Disconnected(queued)) => Err(queued.change),
        }
    }
}
