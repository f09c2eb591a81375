//! The past in steps of time.

use super::aggregate::Aggregate;
use super::chunk;
use super::error::StoreError;
use super::tables::{self, Level, SHARES, bucket_of, damaged, worker_bucket_key};
use redb::{ReadTransaction, ReadableTable};
use std::ops::Range;
use std::time::Duration;
use warppool_components::limits::{HISTORY_ROWS_MAX, STORE_HISTORY_POINTS_MAX};
use warppool_components::record::HistoryPoint;
use warppool_components::units::UnixTime;
use warppool_components::worker::WorkerId;

/// Answers [`StoreReader::history`](super::StoreReader::history).
pub(super) fn read(
    transaction: &ReadTransaction,
    worker: Option<WorkerId>,
    from: UnixTime,
    to: UnixTime,
    step: Duration,
) -> Result<Vec<HistoryPoint>, StoreError> {
    let mut steps = Steps::new(from, to, step)?;
    let level = if steps.seconds >= Level::Day.seconds() { Level::Day } else { Level::FiveMinutes };
    match worker {
        _ if steps.seconds < Level::FiveMinutes.seconds() => sum_shares(transaction, worker, &mut steps)?,
        Some(worker) => sum_worker(transaction, level, worker, &mut steps)?,
        None => sum_pool(transaction, level, &mut steps)?,
    }
    Ok(steps.points())
}

/// Sums by step.
struct Steps {
    /// First second of the first step.
    start: u64,
    /// Seconds of a step.
    seconds: u64,
    sums: Vec<Aggregate>,
}

impl Steps {
    fn new(from: UnixTime, to: UnixTime, step: Duration) -> Result<Self, StoreError> {
        let seconds = step.as_secs();
        if seconds == 0 || to <= from {
            return Err(StoreError::HistoryEmpty);
        }
        let start = from.seconds() - from.seconds() % seconds;
        let count = to.millis().div_ceil(1000).saturating_sub(start).div_ceil(seconds);
        let count = usize::try_from(count)
            .ok()
            .filter(|count| *count <= STORE_HISTORY_POINTS_MAX)
            .ok_or(StoreError::HistoryPoints(count))?;
        Ok(Self { start, seconds, sums: vec![Aggregate::default(); count] })
    }

    /// All seconds of all steps.
    fn span(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.seconds.saturating_mul(self.sums.len() as u64))
    }

    /// The sum of the step that this second lies in.
    fn at(&mut self, second: u64) -> Option<&mut Aggregate> {
        let step = second.checked_sub(self.start)? / self.seconds;
        self.sums.get_mut(usize::try_from(step).ok()?)
    }

    fn points(self) -> Vec<HistoryPoint> {
        let Self { start, seconds, sums } = self;
        let point = |(step, sum): (u64, Aggregate)| HistoryPoint {
            at: UnixTime::from_seconds(start.saturating_add(step * seconds)),
            accepted: sum.accepted,
            accepted_difficulty: sum.accepted_difficulty,
            rejected: sum.rejected,
            best: sum.best,
        };
        (0..).zip(sums).map(point).collect()
    }
}

fn sum_shares(transaction: &ReadTransaction, worker: Option<WorkerId>, steps: &mut Steps) -> Result<(), StoreError> {
    let table = transaction.open_table(SHARES)?;
    let span = steps.span();
    let first = tables::chunk_key(Level::FiveMinutes.start(span.start), 0, 0);
    let end = tables::chunk_key(span.end, 0, 0);
    let mut rows_read = 0;
    for entry in table.range::<&tables::ChunkKey>(&first..&end)? {
        let (key, value) = entry?;
        let bucket = bucket_of(key.value());
        let rows = chunk::rows(bucket, value.value()).map_err(|error| damaged("shares", key.value(), error))?;
        rows_read += rows.len();
        if rows_read > HISTORY_ROWS_MAX {
            return Err(StoreError::HistoryRows);
        }
        for row in rows.filter(|row| worker.is_none_or(|worker| row.worker == worker)) {
            if let Some(sum) = steps.at(row.at.seconds()) {
                sum.count(&row);
            }
        }
    }
    Ok(())
}

fn sum_pool(transaction: &ReadTransaction, level: Level, steps: &mut Steps) -> Result<(), StoreError> {
    let table = transaction.open_table(level.pool_table())?;
    let span = steps.span();
    for entry in table.range::<&[u8; 8]>(&span.start.to_be_bytes()..&span.end.to_be_bytes())? {
        let (key, value) = entry?;
        let sum =
            Aggregate::decode(value.value()).map_err(|error| damaged(level.pool_table_name(), key.value(), error))?;
        if let Some(step) = steps.at(bucket_of(key.value())) {
            step.merge(&sum);
        }
    }
    Ok(())
}

/// One look-up for each bucket that the table can have: the table is sorted by time, not by worker.
fn sum_worker(
    transaction: &ReadTransaction,
    level: Level,
    worker: WorkerId,
    steps: &mut Steps,
) -> Result<(), StoreError> {
    let table = transaction.open_table(level.worker_table())?;
    let (Some((oldest, _)), Some((newest, _))) = (table.first()?, table.last()?) else { return Ok(()) };
    let span = steps.span();
    let first = span.start.next_multiple_of(level.seconds()).max(bucket_of(oldest.value()));
    let last = bucket_of(newest.value());
    for bucket in (first..span.end).step_by(level.seconds() as usize).take_while(|bucket| *bucket <= last) {
        let key = worker_bucket_key(bucket, worker.0);
        let Some(value) = table.get(&key)? else { continue };
        let sum = Aggregate::decode(value.value()).map_err(|error| damaged(level.worker_table_name(), &key, error))?;
        if let Some(step) = steps.at(bucket) {
            step.merge(&sum);
        }
    }
    Ok(())
}
