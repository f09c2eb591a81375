//! The store without its thread: commits happen when the caller says so.
//!
//! For simulators, which bring a disk of their own and decide what it does. Format, commits, recovery and retention are
//! those of the store; what is missing is the queue and the thread that decides when.

use super::committer::Committer;
use super::error::StoreError;
use super::file::{Environment, checked, create_or_restart, open_error};
use super::pending::{Change, Queued};
use super::{StoreOptions, StoreReader, open_committer};
use redb::{Database, StorageBackend};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use warppool_components::record::{Restored, StoreBatch};
use warppool_components::units::UnixTime;

/// An open store that does nothing by itself.
pub struct SteppedStore {
    committer: Committer,
}

impl Drop for SteppedStore {
    fn drop(&mut self) {
        self.committer.close();
    }
}

impl SteppedStore {
    /// Opens or creates a store on `disk` and reads what the engine starts from. `clock` is asked for the age of rows.
    ///
    /// # Errors
    /// [`StoreError`], as for a file.
    pub fn open<D: StorageBackend + Clone>(
        options: StoreOptions,
        disk: D,
        clock: impl Fn() -> UnixTime + Send + 'static,
    ) -> Result<(Self, Restored), StoreError> {
        let cache_bytes = options.cache_bytes;
        let open = move || {
            let create = || Database::builder().set_cache_size(cache_bytes).create_with_backend(disk.clone());
            let read = |start: &mut [u8]| StorageBackend::read(&disk, 0, start);
            create_or_restart(create, read, || disk.set_len(0))
                .and_then(|database| checked(database, disk.len()?))
                .map_err(|error| open_error(Path::new("simulated"), error))
        };
        let environment = Environment { open: Box::new(open), clock: Box::new(clock) };
        let (committer, restored) = open_committer(options, environment)?;
        Ok((Self { committer }, restored))
    }

    /// Takes a batch for the next commit; gives it back when there is no room.
    ///
    /// # Errors
    /// The batch, to be merged with what comes and offered again.
    pub fn offer(&mut self, batch: StoreBatch) -> Result<(), StoreBatch> {
        if !self.committer.has_room() {
            return Err(batch);
        }
        self.committer.add(Queued { change: Change::Batch(batch), at: Instant::now() });
        Ok(())
    }

    /// Makes everything that was offered durable, after finding out what became of a commit that failed before.
    ///
    /// # Errors
    /// What the disk says; nothing is lost, and the next call tries again.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        if self.committer.needs_recovery() {
            self.committer.recover()?;
        }
        self.committer.commit_all()
    }

    /// One step of retention. Returns whether another one should follow soon.
    ///
    /// # Errors
    /// What the disk says.
    pub fn prune(&mut self) -> Result<bool, StoreError> {
        if self.committer.needs_recovery() {
            self.committer.recover()?;
        }
        self.committer.prune()
    }

    /// The way out.
    pub fn reader(&self) -> StoreReader {
        StoreReader::new(Arc::clone(&self.committer.shared))
    }
}
