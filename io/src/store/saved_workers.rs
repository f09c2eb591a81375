//! Which saved workers are too many.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use warppool_components::limits::WORKERS_MAX;
use warppool_components::record::WorkerRow;
use warppool_components::units::UnixTime;

/// A worker seen within this time is never forgotten for being one too many.
const LIVE_SECONDS: u64 = 86_400;

/// An index of the table of workers: who owns each, and when it was last seen.
#[derive(Default)]
pub(super) struct SavedWorkers {
    rows: HashMap<u32, Saved>,
    written_last: HashSet<u32>,
}

struct Saved {
    user: Arc<str>,
    last_seen: UnixTime,
    blocks_found: u32,
}

impl SavedWorkers {
    /// An index of `rows`.
    pub(super) fn new(rows: &[WorkerRow]) -> Self {
        let mut saved = Self::default();
        rows.iter().for_each(|row| saved.insert(row));
        saved
    }

    /// Rows that were committed, all at once.
    pub(super) fn written<'a>(&mut self, rows: impl Iterator<Item = &'a WorkerRow>) {
        self.written_last.clear();
        for row in rows {
            self.insert(row);
            self.written_last.insert(row.id.0);
        }
    }

    /// Whether a row tells what its shares do not: that there is such a worker, or that it has found a block.
    pub(super) fn is_news(&self, row: &WorkerRow) -> bool {
        self.rows.get(&row.id.0).is_none_or(|saved| saved.blocks_found != row.blocks_found)
    }

    /// Rows that were removed.
    pub(super) fn removed(&mut self, ids: &[u32]) {
        for id in ids {
            self.rows.remove(id);
        }
    }

    /// Workers to forget, so that no user has more than `per_user_max` and all together not more than
    /// `total_max`; those not seen for longest first. Workers of the last commit stay, and so do those seen
    /// within a day, unless they alone are more than the pool can hold.
    pub(super) fn surplus(&self, per_user_max: usize, total_max: usize, now: UnixTime) -> Vec<u32> {
        let mut per_user = HashMap::<&str, usize>::new();
        for saved in self.rows.values() {
            *per_user.entry(&saved.user).or_default() += 1;
        }
        if self.rows.len() <= total_max && per_user.values().all(|count| *count <= per_user_max) {
            return Vec::new();
        }
        let mut oldest_first: Vec<_> = self.rows.iter().filter(|(id, _)| !self.written_last.contains(id)).collect();
        oldest_first.sort_unstable_by_key(|(id, saved)| (saved.last_seen, **id));
        let mut surplus = Vec::new();
        oldest_first.retain(|(id, saved)| {
            let count = per_user.entry(&saved.user).or_default();
            let goes = *count > per_user_max && !is_live(saved, now);
            *count -= usize::from(goes);
            surplus.extend(goes.then_some(**id));
            !goes
        });
        for (id, saved) in oldest_first {
            let left = self.rows.len() - surplus.len();
            if left > WORKERS_MAX || (left > total_max && !is_live(saved, now)) {
                surplus.push(*id);
            }
        }
        surplus
    }

    fn insert(&mut self, row: &WorkerRow) {
        let (user, last_seen, blocks_found) = (Arc::clone(&row.address), row.last_seen, row.blocks_found);
        self.rows.insert(row.id.0, Saved { user, last_seen, blocks_found });
    }
}

fn is_live(saved: &Saved, now: UnixTime) -> bool {
    saved.last_seen.seconds() + LIVE_SECONDS > now.seconds()
}

#[cfg(test)]
mod tests {
    use super::super::testing::worker_row;
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_000_000);

    /// Workers 1..=n of `user`, last seen that many thousand seconds after 1970.
    fn workers(user: &str, ids: std::ops::RangeInclusive<u32>) -> Vec<WorkerRow> {
        ids.map(|id| WorkerRow {
            last_seen: UnixTime::from_seconds(u64::from(id) * 1000),
            ..worker_row(id, user, &id.to_string())
        })
        .collect()
    }

    #[test]
    fn the_one_not_seen_for_longest_goes_first() {
        let mut rows = workers("alice", 1..=4);
        rows.extend(workers("bob", 5..=6));
        let saved = SavedWorkers::new(&rows);
        assert!(saved.surplus(4, 6, NOW).is_empty());
        assert_eq!(saved.surplus(2, 6, NOW), [1, 2], "too many of one user");
        assert_eq!(saved.surplus(4, 5, NOW), [1], "too many in all");
        assert_eq!(saved.surplus(3, 3, NOW), [1, 2, 3], "both");
    }

    #[test]
    fn workers_of_the_last_commit_and_of_today_stay() {
        let mut rows = workers("alice", 1..=3);
        rows[1].last_seen = UnixTime::from_seconds(NOW.seconds() - LIVE_SECONDS + 1);
        let mut saved = SavedWorkers::new(&rows);
        saved.written(rows[..1].iter());
        assert_eq!(saved.surplus(0, 0, NOW), [3]);
        saved.written(rows[2..].iter());
        assert_eq!(saved.surplus(0, 0, NOW), [1]);
        saved.removed(&[1]);
        assert!(saved.surplus(0, 0, NOW).is_empty());
    }

    #[test]
    fn even_workers_of_today_go_beyond_what_the_pool_can_hold() {
        let now = UnixTime::from_seconds(10);
        let saved = SavedWorkers::new(&workers("a", 1..=WORKERS_MAX as u32 + 2));
        assert_eq!(saved.surplus(WORKERS_MAX * 2, 1, now), [1, 2]);
    }
}
