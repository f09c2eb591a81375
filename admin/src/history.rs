//! The past, as HTTP asks for it. The store answers; an adapter stands between them.

use std::time::Duration;
use warppool_components::record::{BlockRow, HistoryPoint};
use warppool_components::units::{Hash256, UnixTime};
use warppool_components::worker::WorkerId;

/// Answers about the past. Calls may block: they are made on threads of their own, a few at once.
pub trait History: Send + Sync {
    /// Shares of a worker, or of the whole pool for `None`, in steps that start at multiples of `step`, from the step at
    /// `from` to the one that holds `to`, rising. Steps of which nothing is known are left out.
    ///
    /// # Errors
    /// [`HistoryError`] when the store cannot answer.
    fn history(
        &self,
        worker: Option<WorkerId>,
        from: UnixTime,
        to: UnixTime,
        step: Duration,
    ) -> Result<Vec<HistoryPoint>, HistoryError>;

    /// Found blocks by falling height and hash (display order), at most `limit`, from behind `before` on.
    ///
    /// # Errors
    /// [`HistoryError`] when the store cannot answer.
    fn blocks(&self, before: Option<(u32, Hash256)>, limit: usize) -> Result<Vec<BlockRow>, HistoryError>;
}

/// Why the past is not known now. The text is for the log; browsers are told only the kind.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HistoryError {
    /// The store is closing or busy: later it may answer.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The store failed.
    #[error("the store could not be read: {0}")]
    Failed(String),
}
