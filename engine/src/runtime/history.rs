//! The store as the HTTP side sees it.

use std::time::Duration;
use warppool_admin::{History, HistoryError};
use warppool_components::record::{BlockRow, HistoryPoint};
use warppool_components::units::{Hash256, UnixTime};
use warppool_components::worker::WorkerId;
use warppool_io::store::{StoreError, StoreReader};

/// Reads by short transactions of its own; the engine does not notice.
#[derive(Debug)]
pub(super) struct StoreHistory(pub(super) StoreReader);

impl History for StoreHistory {
    fn history(
        &self,
        worker: Option<WorkerId>,
        from: UnixTime,
        to: UnixTime,
        step: Duration,
    ) -> Result<Vec<HistoryPoint>, HistoryError> {
        self.0.history(worker, from, to, step).map_err(failed)
    }

    fn blocks(&self, before: Option<(u32, Hash256)>, limit: usize) -> Result<Vec<BlockRow>, HistoryError> {
        self.0.blocks(before, limit).map_err(failed)
    }
}

fn failed(error: StoreError) -> HistoryError {
    match error {
        StoreError::Unavailable | StoreError::Busy => HistoryError::Unavailable(error.to_string()),
        other => HistoryError::Failed(other.to_string()),
    }
}
