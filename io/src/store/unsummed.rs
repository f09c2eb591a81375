//! Shares that are durable and not yet in the sums.
//!
//! A share costs a twentieth of a microsecond as a packed row, and ten in the row of its worker and in that worker's two open
//! buckets. With thousands of busy workers nearly every commit would change the rows of all of them, which is most of a
//! core. So such commits write the shares alone, and every [`COMMITS_BETWEEN_SUMS`]th what they add up to. After a crash the
//! next open adds up what is missing, from the shares themselves ([`super::catch_up`]).

use super::chunk;
use super::pending::Pending;
use super::saved_workers::SavedWorkers;
use std::borrow::Cow;
use std::collections::BTreeMap;
use warppool_components::limits::{COMMITS_BETWEEN_SUMS, STORE_ROWS_PENDING_MAX};
use warppool_components::record::{ShareRow, WorkerRow};

/// What the next sums have to take in.
#[derive(Debug, Default)]
pub(super) struct Unsummed {
    /// In the order in which they came.
    pub(super) shares: Vec<ShareRow>,
    /// Rows of workers that changed with them.
    pub(super) workers: BTreeMap<u32, WorkerRow>,
    /// Commits since the last sums.
    commits: u32,
    /// The first bucket that a share lies in.
    first_bucket: Option<u64>,
}

impl Unsummed {
    /// Whether the sums are up to date.
    pub(super) fn is_empty(&self) -> bool {
        self.commits == 0
    }

    /// Whether `part` is to be committed together with the sums: nearly always. A worker that is new, one that has found a block,
    /// and shares that came without their rows could not be added up again, so they never wait.
    pub(super) fn must_sum_with(&self, part: &Pending, saved: &SavedWorkers, workers_summed_at_once: usize) -> bool {
        let is_small = part.workers.len() <= workers_summed_at_once;
        (is_small && self.is_empty())
            || part.is_empty()
            || self.commits + 1 >= COMMITS_BETWEEN_SUMS
            || self.shares.len() + part.shares.len() > STORE_ROWS_PENDING_MAX
            || part.shares_dropped > 0
            || part.workers.values().any(|row| saved.is_news(row))
    }

    /// Takes in what was committed without sums.
    pub(super) fn add(&mut self, part: Pending) {
        self.first_bucket = self.first_bucket.into_iter().chain(first_bucket(&part.shares)).min();
        self.shares.extend(part.shares);
        self.workers.extend(part.workers);
        self.commits += 1;
    }

    /// Everything is in the sums.
    pub(super) fn clear(&mut self) {
        self.shares.clear();
        self.workers.clear();
        self.commits = 0;
        self.first_bucket = None;
    }

    /// Its shares and `later` ones, in order.
    pub(super) fn shares_with<'a>(&self, later: &'a [ShareRow]) -> Cow<'a, [ShareRow]> {
        if self.shares.is_empty() { Cow::Borrowed(later) } else { Cow::Owned([&self.shares, later].concat()) }
    }

    /// The first bucket that a share of it, or of `later` ones, lies in.
    pub(super) fn first_bucket_with(&self, later: &[ShareRow]) -> u64 {
        self.first_bucket.into_iter().chain(first_bucket(later)).min().unwrap_or(u64::MAX)
    }
}

fn first_bucket(shares: &[ShareRow]) -> Option<u64> {
    shares.iter().map(chunk::bucket).min()
}
