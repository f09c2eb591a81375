//! Sums of shares over five minutes and over a day, per worker and for the whole pool.
//!
//! A bucket that is still open is held in memory as it was last committed, so that a commit reads nothing for
//! workers that are busy. What is not in memory (a first share, a late share, everything after a start) is read
//! from its table and continued; memory is changed only after a commit, so nothing is counted twice.

use super::chunk;
use super::error::{Malformed, StoreError};
use super::tables::{Level, WorkerBucketKey, bucket_of, worker_bucket_key};
use redb::{ReadableTable, WriteTransaction};
use std::collections::{BTreeMap, HashMap};
use warppool_components::record::ShareRow;

const VERSION: u8 = 1;
const VALUE_BYTES: usize = 33;

/// The sum of some shares.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Aggregate {
    /// Shares credited.
    pub(super) accepted: u64,
    /// Sum of their difficulties.
    pub(super) accepted_difficulty: f64,
    /// Shares refused.
    pub(super) rejected: u64,
    /// Best difficulty that a credited share reached.
    pub(super) best: f64,
}

impl Aggregate {
    /// Adds one share.
    pub(super) fn count(&mut self, row: &ShareRow) {
        if row.reject.is_some() {
            self.rejected = self.rejected.saturating_add(u64::from(row.count));
            return;
        }
        self.accepted += 1;
        self.accepted_difficulty += row.difficulty;
        self.best = self.best.max(row.reached);
    }

    /// Adds the shares of another sum.
    pub(super) fn merge(&mut self, other: &Self) {
        // A damaged row may hold any number.
        self.accepted = self.accepted.saturating_add(other.accepted);
        self.accepted_difficulty += other.accepted_difficulty;
        self.rejected = self.rejected.saturating_add(other.rejected);
        self.best = self.best.max(other.best);
    }

    /// Version, accepted, accepted_difficulty, rejected, best; numbers of eight bytes, little-endian.
    pub(super) fn encode(&self) -> [u8; VALUE_BYTES] {
        let mut value = [0; VALUE_BYTES];
        value[0] = VERSION;
        value[1..9].copy_from_slice(&self.accepted.to_le_bytes());
        value[9..17].copy_from_slice(&self.accepted_difficulty.to_le_bytes());
        value[17..25].copy_from_slice(&self.rejected.to_le_bytes());
        value[25..].copy_from_slice(&self.best.to_le_bytes());
        value
    }

    /// The opposite of [`Self::encode`].
    pub(super) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let (&version, numbers) = value.split_first().ok_or(Malformed::Length(0))?;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let ([accepted, accepted_difficulty, rejected, best], []) = numbers.as_chunks::<8>() else {
            return Err(Malformed::Length(value.len()));
        };
        Ok(Self {
            accepted: u64::from_le_bytes(*accepted),
            accepted_difficulty: f64::from_le_bytes(*accepted_difficulty),
            rejected: u64::from_le_bytes(*rejected),
            best: f64::from_le_bytes(*best),
        })
    }
}

/// Sums by key of the table per worker: sorted, because a tree is cheapest to change in its order.
type Sums = BTreeMap<WorkerBucketKey, Aggregate>;

/// The open buckets of all workers, as last committed.
#[derive(Default)]
pub(super) struct OpenBuckets {
    five_minutes: HashMap<WorkerBucketKey, Aggregate>,
    days: HashMap<WorkerBucketKey, Aggregate>,
}

/// New values of buckets that a transaction has written but not committed.
#[derive(Default)]
pub(super) struct Written(Vec<(Level, Sums)>);

impl OpenBuckets {
    /// Writes what `rows` add to all four tables into `transaction`; [`Self::committed`] takes over the result.
    pub(super) fn write(&self, transaction: &WriteTransaction, rows: &[ShareRow]) -> Result<Written, StoreError> {
        let five_minutes = sum_by_worker(rows);
        let days = days_of(&five_minutes);
        let mut written = Vec::with_capacity(Level::ALL.len());
        for (level, added) in [(Level::FiveMinutes, five_minutes), (Level::Day, days)] {
            add_to_pool(transaction, level, &added)?;
            written.push((level, self.add_to_workers(transaction, level, added)?));
        }
        Ok(Written(written))
    }

    /// The transaction is durable: remembers its values and forgets buckets that are over.
    pub(super) fn committed(&mut self, written: Written) {
        for (level, sums) in written.0 {
            let Some(newest) = sums.last_key_value().map(|(key, _)| bucket_of(key)) else { continue };
            let open = self.level_mut(level);
            open.extend(sums);
            open.retain(|key, _| bucket_of(key) == newest);
        }
    }

    /// Forgets everything: what is on the disk decides again.
    pub(super) fn clear(&mut self) {
        self.five_minutes.clear();
        self.days.clear();
    }

    fn add_to_workers(&self, transaction: &WriteTransaction, level: Level, mut sums: Sums) -> Result<Sums, StoreError> {
        let open = self.level(level);
        let mut table = transaction.open_table(level.worker_table())?;
        for (key, sum) in &mut sums {
            let before = match open.get(key) {
                Some(before) => *before,
                None => table.get(key)?.map_or_else(Default::default, |value| {
                    read_or_restart(level.worker_table_name(), key, value.value())
                }),
            };
            sum.merge(&before);
            table.insert(key, sum.encode().as_slice())?;
        }
        Ok(sums)
    }

    fn level(&self, level: Level) -> &HashMap<WorkerBucketKey, Aggregate> {
        match level {
            Level::FiveMinutes => &self.five_minutes,
            Level::Day => &self.days,
        }
    }

    fn level_mut(&mut self, level: Level) -> &mut HashMap<WorkerBucketKey, Aggregate> {
        match level {
            Level::FiveMinutes => &mut self.five_minutes,
            Level::Day => &mut self.days,
        }
    }
}

fn add_to_pool(transaction: &WriteTransaction, level: Level, added: &Sums) -> Result<(), StoreError> {
    let mut pool = BTreeMap::<u64, Aggregate>::new();
    for (key, sum) in added {
        pool.entry(bucket_of(key)).or_default().merge(sum);
    }
    let mut table = transaction.open_table(level.pool_table())?;
    for (bucket, mut sum) in pool {
        let key = bucket.to_be_bytes();
        if let Some(value) = table.get(&key)? {
            sum.merge(&read_or_restart(level.pool_table_name(), &key, value.value()));
        }
        table.insert(&key, sum.encode().as_slice())?;
    }
    Ok(())
}

/// Five-minute sums of `rows` per worker.
fn sum_by_worker(rows: &[ShareRow]) -> Sums {
    let mut sums = Sums::new();
    let mut rest = rows;
    while let Some((bucket, run)) = chunk::first_run(rest) {
        let mut by_worker = HashMap::<u32, Aggregate>::with_capacity(64);
        for row in run {
            by_worker.entry(row.worker.0).or_default().count(row);
        }
        for (worker, sum) in by_worker {
            sums.entry(worker_bucket_key(bucket, worker)).or_default().merge(&sum);
        }
        rest = &rest[run.len()..];
    }
    sums
}

/// The same sums by day.
fn days_of(five_minutes: &Sums) -> Sums {
    let mut days = Sums::new();
    for (key, sum) in five_minutes {
        let mut day = *key;
        day[..8].copy_from_slice(&Level::Day.start(bucket_of(key)).to_be_bytes());
        days.entry(day).or_default().merge(sum);
    }
    days
}

/// A sum that cannot be read must not stop all later shares: it begins anew, and the log says so.
fn read_or_restart(table: &'static str, key: &[u8], value: &[u8]) -> Aggregate {
    Aggregate::decode(value).unwrap_or_else(|error| {
        tracing::error!(table, key = const_hex::encode(key), %error, "an aggregate is damaged and begins anew");
        Aggregate::default()
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::share_row;
    use super::*;

    #[test]
    fn sums_come_back_as_they_went_in() {
        let sum = Aggregate { accepted: 1, accepted_difficulty: 2.5, rejected: 3, best: 1e15 };
        let value = sum.encode();
        assert_eq!(Aggregate::decode(&value), Ok(sum));
        assert_eq!(Aggregate::decode(&value[..32]), Err(Malformed::Length(32)));
        assert_eq!(Aggregate::decode(&[0; 33]), Err(Malformed::Version(0)));
    }

    #[test]
    fn only_credited_shares_count_for_difficulty_and_best() {
        let credited = ShareRow { difficulty: 8.0, reached: 20.0, ..share_row(1, 0) };
        let refused = ShareRow { reached: 1e9, reject: Some(2), ..credited };
        let mut sum = Aggregate::default();
        [credited, refused, credited].iter().for_each(|row| sum.count(row));
        assert_eq!(sum, Aggregate { accepted: 2, accepted_difficulty: 16.0, rejected: 1, best: 20.0 });
    }

    #[test]
    fn a_day_is_the_sum_of_its_buckets() {
        let rows = [share_row(1, 86_400_000 - 1), share_row(1, 86_400_000), share_row(1, 86_700_000)];
        let days = days_of(&sum_by_worker(&rows));
        let counts: Vec<_> = days.iter().map(|(key, sum)| (bucket_of(key), sum.accepted)).collect();
        assert_eq!(counts, [(0, 1), (86_400, 2)]);
    }
}
