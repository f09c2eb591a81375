//! The store: what WarpPool remembers over restarts, in one redb file.
//!
//! One thread writes; everyone else hands it batches through a bounded queue or reads committed data in short
//! read transactions. Shares and workers are committed in groups, at most [`StoreOptions::flush_interval`] after
//! the first of a group came; a batch with a block is committed at once, the block before everything else. Every
//! commit is durable when it returns. A restart after a kill takes the same path as any other start.
//!
//! When the disk refuses a commit, the thread keeps what it has (bounded), opens the file again, asks it whether
//! the commit took place after all, and tries again with growing pauses; [`StoreWriter::health`] says so meanwhile.
//!
//! Nothing here decides anything about shares or blocks, and nothing here runs on the engine's thread but the
//! queue's two short locks. STORE.md describes the format table by table.

mod aggregate;
mod catch_up;
mod chunk;
mod codec;
mod committer;
mod error;
mod file;
mod guard;
mod histogram;
mod history;
mod journal;
mod migrate;
mod pending;
mod reader;
mod restore;
mod retention;
#[cfg(feature = "fuzzing")]
pub mod row_bytes;
mod saved_workers;
mod shared;
mod stepped;
mod tables;
mod thread;
mod unsummed;
mod writer;

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod writer_tests;

pub use error::{Malformed, StoreError};
pub use histogram::{COMMIT_SECONDS_BOUNDS, CommitHistogram};
pub use migrate::FORMAT_VERSION;
pub use reader::StoreReader;
pub use stepped::SteppedStore;
pub use warppool_components::record::Restored;
pub use writer::StoreWriter;

use committer::Committer;
use crossbeam::channel;
use file::Environment;
use shared::Shared;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use warppool_components::limits::STORE_BATCHES_QUEUED_MAX;

/// Where the store is and how long it keeps what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreOptions {
    /// The file. Its directory is made with mode 0700, the file has mode 0600.
    pub path: PathBuf,
    /// The most time between a batch's arrival and its commit, and so what a crash may lose.
    pub flush_interval: Duration,
    /// Memory for pages of the file.
    pub cache_bytes: usize,
    /// How long single shares are kept.
    pub shares_raw_kept: Duration,
    /// How long five-minute sums are kept.
    pub shares_5min_kept: Duration,
    /// How long daily sums are kept; `None` is for ever.
    pub shares_daily_kept: Option<Duration>,
    /// Workers remembered per address. Beyond it the one not seen for longest goes.
    pub saved_workers_per_user_max: usize,
    /// Workers remembered in all.
    pub saved_workers_total_max: usize,
    /// Changed workers in a commit up to which their sums are written with it:
    /// [`WORKERS_SUMMED_AT_ONCE`](warppool_components::limits::WORKERS_SUMMED_AT_ONCE) but in tests.
    pub workers_summed_at_once: usize,
}

/// An open store. Dropping it closes it too, but then nobody learns of an error.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    writer: StoreWriter,
    stop: channel::Sender<()>,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
}

/// Opens the store, or creates it, and reads what the engine starts from.
///
/// # Errors
/// [`StoreError`] says what is wrong with the path, the file or its version, and what to do.
pub fn open(options: StoreOptions) -> Result<(Store, Restored), StoreError> {
    file::prepare(&options.path)?;
    let environment = Environment::real(&options);
    open_in(options, environment)
}

fn open_in(options: StoreOptions, environment: Environment) -> Result<(Store, Restored), StoreError> {
    let (batches, queue) = channel::bounded(STORE_BATCHES_QUEUED_MAX);
    let (stop, stopped) = channel::bounded(1);
    let (committer, restored) = open_committer(options.clone(), environment)?;
    let shared = Arc::clone(&committer.shared);
    let writer_thread = thread::WriterThread::new(options.flush_interval, committer, queue, stopped);
    let thread = std::thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || writer_thread.run())
        .map_err(StoreError::Thread)?;
    let writer = StoreWriter::new(batches, Arc::clone(&shared));
    Ok((Store { shared, writer, stop, thread: Some(thread) }, restored))
}

/// Opens the database, brings it up to date, reads what there is.
fn open_committer(options: StoreOptions, environment: Environment) -> Result<(Committer, Restored), StoreError> {
    guard::guarded(|| {
        let database = environment.open_database()?;
        migrate::bring_up_to_date(&database, &options.path)?;
        catch_up::run(&database)?;
        let restored = restore::read(&database, environment.now())?;
        let shared = Arc::new(Shared::new(Arc::new(database)));
        Ok((Committer::new(options, environment, shared)?, restored))
    })
}

impl Store {
    /// The way in.
    pub fn writer(&self) -> StoreWriter {
        self.writer.clone()
    }

    /// The way out. It serves until the store is closed.
    pub fn reader(&self) -> StoreReader {
        StoreReader::new(Arc::clone(&self.shared))
    }

    /// Commits all that was sent, stops the thread and closes the file.
    ///
    /// # Errors
    /// [`StoreError::Unsaved`] when the disk refuses the last rows.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.stop_and_join()
    }

    fn stop_and_join(&mut self) -> Result<(), StoreError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.shared.refuse_more();
        // The thread reads the channel until its end, and it ends only by this message.
        let _ = self.stop.try_send(());
        thread
            .join()
            .unwrap_or_else(|_| Err(StoreError::Unsaved { rows: 0, blocks: 0, why: "its thread panicked".into() }))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.stop_and_join() {
            tracing::error!(%error, "the store was closed with a failure");
        }
    }
}
