//! Forgetting what is older than it may be, in small steps.

use super::StoreOptions;
use super::error::StoreError;
use super::journal;
use super::saved_workers::SavedWorkers;
use super::tables::{Level, SHARES, WORKERS, bucket_of};
use redb::{ReadableTable, TableDefinition, WriteTransaction};
use std::time::Duration;
use warppool_components::limits::STORE_PRUNED_PER_STEP_MAX;
use warppool_components::units::UnixTime;

/// What one step removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pruned {
    /// Rows of all tables together.
    pub(super) rows: usize,
    /// Workers among them.
    pub(super) workers: Vec<u32>,
    /// A table had more to remove than one step may.
    pub(super) more: bool,
}

/// Removes from every table at most [`STORE_PRUNED_PER_STEP_MAX`] rows that are too old. Shares from the bucket `unsummed` on stay
/// however old they are: after a crash the sums are made of them.
pub(super) fn prune(
    transaction: &WriteTransaction,
    options: &StoreOptions,
    saved: &SavedWorkers,
    unsummed: u64,
    now: UnixTime,
) -> Result<Pruned, StoreError> {
    let mut pruned = Pruned::default();
    let oldest_share = oldest_kept(Level::FiveMinutes, now, options.shares_raw_kept).min(unsummed);
    pruned.add(prune_older(transaction, SHARES, oldest_share)?);
    let kept = [(Level::FiveMinutes, Some(options.shares_5min_kept)), (Level::Day, options.shares_daily_kept)];
    for (level, kept) in kept.into_iter().filter_map(|(level, kept)| Some((level, kept?))) {
        let oldest = oldest_kept(level, now, kept);
        pruned.add(prune_older(transaction, level.worker_table(), oldest)?);
        pruned.add(prune_older(transaction, level.pool_table(), oldest)?);
    }
    pruned.add(journal::prune(transaction, now)?);
    pruned.workers = forget_workers(transaction, options, saved, now)?;
    pruned.add(pruned.workers.len());
    Ok(pruned)
}

impl Pruned {
    fn add(&mut self, rows: usize) {
        self.rows += rows;
        self.more |= rows >= STORE_PRUNED_PER_STEP_MAX;
    }
}

/// Start of the oldest bucket that holds something young enough.
fn oldest_kept(level: Level, now: UnixTime, kept: Duration) -> u64 {
    level.start(now.seconds().saturating_sub(kept.as_secs()))
}

/// Removes the first rows of a table whose keys begin with a bucket before `oldest`.
fn prune_older<const N: usize>(
    transaction: &WriteTransaction,
    table: TableDefinition<'static, &'static [u8; N], &'static [u8]>,
    oldest: u64,
) -> Result<usize, StoreError> {
    let mut table = transaction.open_table(table)?;
    for removed in 0..STORE_PRUNED_PER_STEP_MAX {
        let old = table.first()?.is_some_and(|(key, _)| bucket_of(key.value()) < oldest);
        if !old {
            return Ok(removed);
        }
        table.pop_first()?;
    }
    Ok(STORE_PRUNED_PER_STEP_MAX)
}

/// Removes workers over the caps, with their vardiff state. Their aggregates stay as long as all others.
fn forget_workers(
    transaction: &WriteTransaction,
    options: &StoreOptions,
    saved: &SavedWorkers,
    now: UnixTime,
) -> Result<Vec<u32>, StoreError> {
    let mut surplus = saved.surplus(options.saved_workers_per_user_max, options.saved_workers_total_max, now);
    surplus.truncate(STORE_PRUNED_PER_STEP_MAX);
    let mut table = transaction.open_table(WORKERS)?;
    for id in &surplus {
        table.remove(&id.to_be_bytes())?;
    }
    Ok(surplus)
}
