//! Commits: what is pending becomes durable exactly once, whatever the disk does.
//!
//! Every commit writes its number, one more than the last, together with its rows. When a commit fails, it may
//! have become durable all the same; so the database is opened again and its number read: if it is that of the
//! failed commit, its rows are there, else they are pending again.

use super::StoreOptions;
use super::aggregate::{OpenBuckets, Written};
use super::chunk;
use super::codec;
use super::error::StoreError;
use super::file::Environment;
use super::guard::guarded;
use super::journal;
use super::migrate::meta_number;
use super::pending::{Pending, Queued};
use super::restore;
use super::retention;
use super::saved_workers::SavedWorkers;
use super::shared::Shared;
use super::tables::{
    self, COMMIT_SEQUENCE, META, POOL_TOTALS, SETTINGS, SHARES, SHARES_DROPPED, SUMMED_SEQUENCE, UNSUMMED_BUCKET,
    WORKER_ID_MAX, WORKERS,
};
use super::unsummed::Unsummed;
use crate::failpoint;
use redb::{Database, Durability, ReadableDatabase, WriteTransaction};
use std::sync::Arc;
use std::time::Instant;
use warppool_components::record::{BlockRow, ShareRow, WorkerRow};

/// Holds what is not durable yet and makes it so.
pub(super) struct Committer {
    options: StoreOptions,
    environment: Environment,
    pub(super) shared: Arc<Shared>,
    /// What waits for the next commit.
    pub(super) pending: Pending,
    /// A commit whose end is not known, because it failed.
    in_doubt: Option<Pending>,
    /// It includes the sums.
    is_sum_in_doubt: bool,
    /// Number of the last commit that is known to be durable.
    sequence: u64,
    /// Number of the last commit whose shares are in the sums.
    summed_sequence: u64,
    unsummed: Unsummed,
    open_buckets: OpenBuckets,
    saved_workers: SavedWorkers,
    worker_id_max: u32,
}

impl Committer {
    /// Takes over the open database of `shared`.
    pub(super) fn new(
        options: StoreOptions,
        environment: Environment,
        shared: Arc<Shared>,
    ) -> Result<Self, StoreError> {
        let mut committer = Self {
            options,
            environment,
            shared,
            pending: Pending::default(),
            in_doubt: None,
            is_sum_in_doubt: false,
            sequence: 0,
            summed_sequence: 0,
            unsummed: Unsummed::default(),
            open_buckets: OpenBuckets::default(),
            saved_workers: SavedWorkers::default(),
            worker_id_max: 0,
        };
        let database = committer.shared.database()?;
        committer.sequence = committer.read_indexes(&database)?;
        committer.summed_sequence = committer.sequence;
        Ok(committer)
    }

    /// Takes a change from the queue.
    pub(super) fn add(&mut self, queued: Queued) {
        self.pending.add(queued);
    }

    /// The oldest change that is not durable.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.in_doubt.as_ref().and_then(|in_doubt| in_doubt.oldest).or(self.pending.oldest)
    }

    /// Share and block rows that are not durable.
    pub(super) fn rows_waiting(&self) -> (usize, usize) {
        let parts = || self.in_doubt.iter().chain([&self.pending]);
        (parts().map(|part| part.shares.len()).sum(), parts().map(|part| part.blocks.len()).sum())
    }

    /// Whether more may be taken from the queue.
    pub(super) fn has_room(&self) -> bool {
        self.in_doubt.is_none() && self.pending.has_room()
    }

    /// Whether there are shares that the sums do not include; a commit with nothing else to do adds them.
    pub(super) fn is_behind(&self) -> bool {
        !self.unsummed.is_empty()
    }

    /// Commits the pending blocks, if there are any, and then everything else.
    ///
    /// # Errors
    /// After one, [`Self::recover`] must succeed before the next commit.
    pub(super) fn commit_all(&mut self) -> Result<(), StoreError> {
        guarded(|| self.commit_parts())
    }

    fn commit_parts(&mut self) -> Result<(), StoreError> {
        if !self.pending.blocks.is_empty() {
            let blocks = self.pending.take_blocks();
            // Nothing stands between them and the disk; sums that wait go on waiting.
            self.commit(blocks, self.unsummed.is_empty())?;
        }
        let rest = std::mem::take(&mut self.pending);
        if rest.is_empty() && !self.is_behind() {
            self.shared.add_committed_batches(rest.changes);
            return Ok(());
        }
        let is_sum = self.unsummed.must_sum_with(&rest, &self.saved_workers, self.options.workers_summed_at_once);
        self.commit(rest, is_sum)
    }

    /// One step of retention. Returns whether another one should follow soon.
    ///
    /// # Errors
    /// As for [`Self::commit_all`].
    pub(super) fn prune(&mut self) -> Result<bool, StoreError> {
        guarded(|| self.prune_step())
    }

    fn prune_step(&mut self) -> Result<bool, StoreError> {
        let database = self.shared.database()?;
        let mut transaction = database.begin_write()?;
        // Nothing is lost when a crash undoes it: it is removed again. So the disk need not be waited for.
        if transaction.set_durability(Durability::None).is_err() {
            tracing::debug!("retention commits durably");
        }
        let (unsummed, now) = (self.unsummed.first_bucket_with(&[]), self.environment.now());
        let pruned = retention::prune(&transaction, &self.options, &self.saved_workers, unsummed, now)?;
        if pruned.rows == 0 {
            transaction.abort()?;
            return Ok(false);
        }
        transaction.commit()?;
        self.saved_workers.removed(&pruned.workers);
        Ok(pruned.more)
    }

    /// Whether a failed commit is in doubt or the database is closed.
    pub(super) fn needs_recovery(&self) -> bool {
        self.in_doubt.is_some() || self.shared.database().is_err()
    }

    /// Opens the database again after a failure, and finds out whether the failed commit took place.
    ///
    /// # Errors
    /// The database cannot be opened or read yet; to be tried again.
    pub(super) fn recover(&mut self) -> Result<(), StoreError> {
        guarded(|| self.open_again())
    }

    fn open_again(&mut self) -> Result<(), StoreError> {
        self.shared.set_database(None);
        let database = Arc::new(self.environment.open_database()?);
        let durable = self.read_indexes(&database)?;
        if let Some(mut in_doubt) = self.in_doubt.take() {
            if durable > self.sequence {
                self.shared.add_committed_batches(in_doubt.changes);
                self.summed(in_doubt, durable);
            } else {
                in_doubt.append(std::mem::take(&mut self.pending));
                self.pending = in_doubt;
            }
        }
        self.sequence = durable;
        self.shared.set_database(Some(database));
        Ok(())
    }

    /// Closes the database.
    pub(super) fn close(&mut self) {
        let close = || {
            self.shared.set_database(None);
            Ok(())
        };
        if let Err(error) = guarded(close) {
            tracing::error!(%error, "the store was closed with a failure");
        }
    }

    fn commit(&mut self, part: Pending, is_sum: bool) -> Result<(), StoreError> {
        let started = Instant::now();
        self.is_sum_in_doubt = is_sum;
        let part = self.in_doubt.insert(part);
        pass(&part.blocks, "journal.write", "outcome.write");
        let database = self.shared.database()?;
        let mut transaction = database.begin_write()?;
        transaction.set_quick_repair(true);
        journal::write(&transaction, &part.blocks, self.environment.now())?;
        let sequence = self.sequence + 1;
        write_shares(&transaction, &part.shares, sequence)?;
        let written = if is_sum {
            let earlier = self.unsummed.workers.iter().filter(|(id, _)| !part.workers.contains_key(id));
            write_workers(&transaction, earlier.chain(&part.workers))?;
            self.open_buckets.write(&transaction, &self.unsummed.shares_with(&part.shares))?
        } else {
            Written::default()
        };
        let summed_sequence = if is_sum { sequence } else { self.summed_sequence };
        write_summed(&transaction, summed_sequence, self.unsummed.first_bucket_with(&part.shares))?;
        write_settings(&transaction, part)?;
        let worker_id_max = self.worker_id_max.max(largest_worker_id(part));
        write_meta(&transaction, sequence, worker_id_max, part)?;
        pass(&part.blocks, "journal.sync", "outcome.sync");
        transaction.commit()?;
        pass(&part.blocks, "journal.synced", "outcome.synced");
        self.settle(sequence, worker_id_max, written);
        self.shared.histogram.record(started.elapsed());
        Ok(())
    }

    fn settle(&mut self, sequence: u64, worker_id_max: u32, written: Written) {
        self.sequence = sequence;
        self.worker_id_max = worker_id_max;
        self.open_buckets.committed(written);
        if let Some(part) = self.in_doubt.take() {
            if !part.workers.is_empty() {
                self.saved_workers.written(part.workers.values());
            }
            self.shared.add_committed_batches(part.changes);
            self.summed(part, sequence);
        }
    }

    /// `part` is durable as commit `sequence`, and so are the sums if it included them.
    fn summed(&mut self, part: Pending, sequence: u64) {
        if self.is_sum_in_doubt {
            self.unsummed.clear();
            self.summed_sequence = sequence;
        } else {
            self.unsummed.add(part);
        }
    }

    /// Reads from the database what is held in memory of it. Returns the number of its last commit.
    fn read_indexes(&mut self, database: &Database) -> Result<u64, StoreError> {
        self.open_buckets.clear();
        self.saved_workers = SavedWorkers::new(&restore::read_workers(database)?);
        self.worker_id_max = restore::read_worker_id_max(database)?;
        let meta = database.begin_read()?.open_table(META)?;
        meta_number(&meta, COMMIT_SEQUENCE)
    }
}

/// Comes by one of two failpoints when a commit has a found block in it: the first when this is the block's first row,
/// which brings its bytes, the second when it tells what became of it.
fn pass(rows: &[BlockRow], journal: &'static str, outcome: &'static str) {
    if let Some(row) = rows.first() {
        failpoint::reached(if row.raw.is_some() { journal } else { outcome });
    }
}

fn write_shares(transaction: &WriteTransaction, shares: &[ShareRow], sequence: u64) -> Result<(), StoreError> {
    let mut table = transaction.open_table(SHARES)?;
    let (mut rest, mut value, mut place) = (shares, Vec::new(), 0);
    while let Some((bucket, run)) = chunk::first_run(rest) {
        chunk::pack(bucket, run, &mut value);
        table.insert(&tables::chunk_key(bucket, sequence, place), value.as_slice())?;
        place += 1;
        rest = &rest[run.len()..];
    }
    Ok(())
}

fn write_workers<'a>(
    transaction: &WriteTransaction,
    rows: impl Iterator<Item = (&'a u32, &'a WorkerRow)>,
) -> Result<(), StoreError> {
    let mut table = transaction.open_table(WORKERS)?;
    for (id, row) in rows {
        let key = id.to_be_bytes();
        let value = codec::encode_worker(row).map_err(|error| tables::damaged("workers", &key, error))?;
        table.insert(&key, value.as_slice())?;
    }
    Ok(())
}

fn write_summed(transaction: &WriteTransaction, sequence: u64, unsummed_bucket: u64) -> Result<(), StoreError> {
    let mut meta = transaction.open_table(META)?;
    meta.insert(SUMMED_SEQUENCE, sequence.to_le_bytes().as_slice())?;
    meta.insert(UNSUMMED_BUCKET, unsummed_bucket.to_le_bytes().as_slice())?;
    Ok(())
}

fn write_settings(transaction: &WriteTransaction, part: &Pending) -> Result<(), StoreError> {
    let mut table = transaction.open_table(SETTINGS)?;
    for (name, value) in &part.settings {
        match value {
            Some(value) => table.insert(name.as_str(), value.as_str())?,
            None => table.remove(name.as_str())?,
        };
    }
    Ok(())
}

fn write_meta(
    transaction: &WriteTransaction,
    sequence: u64,
    worker_id_max: u32,
    part: &Pending,
) -> Result<(), StoreError> {
    let mut meta = transaction.open_table(META)?;
    meta.insert(COMMIT_SEQUENCE, sequence.to_le_bytes().as_slice())?;
    meta.insert(WORKER_ID_MAX, worker_id_max.to_le_bytes().as_slice())?;
    if part.shares_dropped > 0 {
        let dropped = meta_number(&meta, SHARES_DROPPED)?.saturating_add(part.shares_dropped);
        meta.insert(SHARES_DROPPED, dropped.to_le_bytes().as_slice())?;
    }
    if let Some(totals) = &part.totals {
        let value = codec::encode_pool_totals(totals)
            .map_err(|error| tables::damaged("meta", POOL_TOTALS.as_bytes(), error))?;
        meta.insert(POOL_TOTALS, value.as_slice())?;
    }
    Ok(())
}

fn largest_worker_id(part: &Pending) -> u32 {
    let of_shares = part.shares.iter().map(|row| row.worker.0).max();
    let of_workers = part.workers.keys().copied().max();
    of_shares.max(of_workers).unwrap_or(0)
}
