//! How long commits take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the histogram's buckets in seconds, inclusive; one more bucket holds what is longer.
pub const COMMIT_SECONDS_BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

const BUCKETS: usize = COMMIT_SECONDS_BOUNDS.len() + 1;

/// Durations of all commits since the start.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct CommitHistogram {
    /// Commits by duration, each counted in one bucket of [`COMMIT_SECONDS_BOUNDS`]; the last are those beyond.
    pub counts: [u64; BUCKETS],
    /// Sum of the durations in seconds.
    pub sum_seconds: f64,
}

/// The same, counted by one thread while others read.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    counts: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
}

impl Histogram {
    pub(super) fn record(&self, duration: Duration) {
        let bucket = COMMIT_SECONDS_BOUNDS.partition_point(|bound| *bound < duration.as_secs_f64());
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> CommitHistogram {
        CommitHistogram {
            counts: std::array::from_fn(|bucket| self.counts[bucket].load(Ordering::Relaxed)),
            sum_seconds: Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::default();
        for millis in [1, 2, 5000, 5001] {
            histogram.record(Duration::from_millis(millis));
        }
        let read = histogram.read();
        assert_eq!(read.counts, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert!((read.sum_seconds - 10.004).abs() < 1e-9);
    }
}
