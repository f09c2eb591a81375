//! Reading what is committed.

use super::codec;
use super::error::StoreError;
use super::guard::guarded;
use super::history;
use super::journal;
use super::migrate::meta_number;
use super::shared::Shared;
use super::tables::{self, BLOCKS, META, SETTINGS, SHARES_DROPPED, WORKERS};
use redb::{AccessGuard, ReadTransaction, ReadableDatabase, StorageError};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use warppool_components::limits::BLOCKS_PER_READ_MAX;
use warppool_components::record::{BlockRow, HistoryPoint, WorkerRow};
use warppool_components::units::{Hash256, UnixTime};
use warppool_components::worker::WorkerId;

/// Reads committed data, each call in a short read transaction of its own. Never waits for the writer.
///
/// Every call fails with [`StoreError::Unavailable`] while the store is opened again after a failure and once it
/// is closed, and with [`StoreError::Database`], [`StoreError::Damaged`] or [`StoreError::Corrupt`] when the file
/// cannot be read.
#[derive(Clone, Debug)]
pub struct StoreReader {
    shared: Arc<Shared>,
}

impl StoreReader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Shares of a worker, or of the whole pool, in steps of `step` (whole seconds) that begin at multiples of it
    /// since 1970: from the step that `from` lies in to the last that begins before `to`. Steps without shares
    /// are there too, with zeros.
    ///
    /// Steps below 300 s are summed from single shares, steps from a day on from daily sums in UTC, those between
    /// from sums of five minutes; a sum counts for the step in which it begins. What retention has removed is zero.
    ///
    /// # Errors
    /// [`StoreError::HistoryEmpty`], [`StoreError::HistoryPoints`] and [`StoreError::HistoryRows`] for a question
    /// that has no answer or too long a one.
    pub fn history(
        &self,
        worker: Option<WorkerId>,
        from: UnixTime,
        to: UnixTime,
        step: Duration,
    ) -> Result<Vec<HistoryPoint>, StoreError> {
        self.read(|transaction| history::read(transaction, worker, from, to, step))
    }

    /// At most `limit` blocks (and at most [`BLOCKS_PER_READ_MAX`]) below the given height and hash, newest first;
    /// `None` begins with the newest. `raw` is never filled.
    ///
    /// # Errors
    /// See [`StoreReader`].
    pub fn blocks(&self, before: Option<(u32, Hash256)>, limit: usize) -> Result<Vec<BlockRow>, StoreError> {
        let end = before.map(|(height, hash)| tables::block_key(height, hash));
        let end = end.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        self.read(|transaction| {
            let table = transaction.open_table(BLOCKS)?;
            let newest_first = table.range::<&tables::BlockKey>((Bound::Unbounded, end))?.rev();
            let read = |entry: Result<(AccessGuard<'_, &tables::BlockKey>, AccessGuard<'_, &[u8]>), StorageError>| {
                let (key, value) = entry?;
                Ok(journal::read(key.value(), value.value())?.row)
            };
            newest_first.take(limit.min(BLOCKS_PER_READ_MAX)).map(read).collect()
        })
    }

    /// A saved worker as last committed.
    ///
    /// # Errors
    /// See [`StoreReader`].
    pub fn worker(&self, id: WorkerId) -> Result<Option<WorkerRow>, StoreError> {
        let key = id.0.to_be_bytes();
        self.read(|transaction| {
            let Some(value) = transaction.open_table(WORKERS)?.get(&key)? else { return Ok(None) };
            codec::decode_worker(id.0, value.value()).map(Some).map_err(|error| tables::damaged("workers", &key, error))
        })
    }

    /// A setting's value.
    ///
    /// # Errors
    /// See [`StoreReader`].
    pub fn setting(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.read(|transaction| Ok(transaction.open_table(SETTINGS)?.get(key)?.map(|value| value.value().to_owned())))
    }

    /// Share rows that were ever dropped because the store lagged.
    ///
    /// # Errors
    /// See [`StoreReader`].
    pub fn shares_dropped(&self) -> Result<u64, StoreError> {
        self.read(|transaction| meta_number(&transaction.open_table(META)?, SHARES_DROPPED))
    }

    fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        guarded(|| work(&self.shared.database()?.begin_read()?))
    }
}
