//! Submits at even times, whatever the server does: its latency under a load that it did not choose.
//!
//! A latency counts from the time at which a submit was due, not from when it could be sent, so that a server that
//! stalls is charged for all that waited meanwhile.

use std::time::Duration;

/// A wait below this is spent asking the kernel again: its clock for waits goes by milliseconds.
const SPIN_BELOW: Duration = Duration::from_millis(2);

/// Which connection is due when: one after the other, over and over.
#[derive(Debug)]
pub(super) struct Schedule {
    start_ns: u64,
    rate_per_second: u64,
    connections: usize,
    sent: u64,
}

impl Schedule {
    /// `rate_per_second` submits, spread over `connections`, from `start_ns` on.
    pub(super) fn new(start_ns: u64, rate_per_second: u32, connections: usize) -> Self {
        Self { start_ns, rate_per_second: u64::from(rate_per_second.max(1)), connections, sent: 0 }
    }

    /// The next connection that is due at `now_ns`, and since when.
    pub(super) fn next_due(&mut self, now_ns: u64) -> Option<(usize, u64)> {
        let due_ns = self.due_ns();
        (due_ns <= now_ns).then(|| {
            let index = (self.sent % self.connections.max(1) as u64) as usize;
            self.sent += 1;
            (index, due_ns)
        })
    }

    /// How long the kernel may be waited for.
    pub(super) fn sleep(&self, now_ns: u64) -> Duration {
        let wait = Duration::from_nanos(self.due_ns().saturating_sub(now_ns));
        if wait < SPIN_BELOW { Duration::ZERO } else { wait - SPIN_BELOW }
    }

    fn due_ns(&self) -> u64 {
        let after_ns = u128::from(self.sent) * 1_000_000_000 / u128::from(self.rate_per_second);
        self.start_ns.saturating_add(u64::try_from(after_ns).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;
    use std::time::Duration;

    #[test]
    fn all_that_was_due_comes_with_the_time_at_which_it_was_due() {
        let mut schedule = Schedule::new(1_000, 1_000, 2);
        let mut due = |now_ns| std::iter::from_fn(|| schedule.next_due(now_ns)).collect::<Vec<_>>();
        assert_eq!(due(1_000), [(0, 1_000)]);
        assert_eq!(due(1_000_999), []);
        assert_eq!(due(3_001_000), [(1, 1_001_000), (0, 2_001_000), (1, 3_001_000)]);
    }

    #[test]
    fn a_long_wait_is_slept_and_a_short_one_is_not() {
        let mut schedule = Schedule::new(0, 10, 1);
        schedule.next_due(0);
        assert_eq!(schedule.sleep(0), Duration::from_millis(98));
        assert_eq!(schedule.sleep(99_000_000), Duration::ZERO);
    }
}
