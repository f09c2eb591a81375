//! A token bucket for each network, in one number: the moment at which the bucket would be full again.
//!
//! With a steady rate of one token every `T`, taking a token moves that moment by `T` (GCRA, the generic cell rate algorithm
//! of ATM). A token is there while the moment is less than `burst - 1` times `T` ahead. A bucket that is full needs no entry.

use super::PeerNetwork;
use std::collections::HashMap;
use std::time::Duration;
use warppool_components::limits::ADDRESSES_REMEMBERED_MAX;
use warppool_components::units::Instant;

/// How often something may happen.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    /// In the long run. Above zero.
    pub per_second: f64,
    /// At once.
    pub burst: u32,
}

impl Rate {
    /// Time after which one more is allowed.
    fn interval_ns(&self) -> u64 {
        // At most 1e12 for the slowest rate that the configuration takes.
        (1e9 / self.per_second.max(1e-3)) as u64
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    full_at: Instant,
    last_seen: Instant,
}

/// The buckets that are not full. At most [`ADDRESSES_REMEMBERED_MAX`]: beyond it those are forgotten that are full, were
/// quiet for long, or else the half that has used least, so that the worst stay known.
#[derive(Debug, Default)]
pub struct Buckets {
    by_network: HashMap<PeerNetwork, Bucket>,
}

impl Buckets {
    /// Takes a token of `peer` if there is one. One that was quiet for `forget_after` starts with a full bucket.
    pub fn take(&mut self, peer: PeerNetwork, rate: Rate, forget_after: Duration, now: Instant) -> bool {
        let interval = rate.interval_ns();
        let ahead_max = Duration::from_nanos(interval.saturating_mul(u64::from(rate.burst.saturating_sub(1))));
        if let Some(bucket) = self.by_network.get_mut(&peer) {
            let is_forgotten = now.since(bucket.last_seen) >= forget_after;
            bucket.last_seen = now;
            let full_at = if is_forgotten { now } else { bucket.full_at.max(now) };
            let has_token = full_at.since(now) <= ahead_max;
            bucket.full_at = if has_token { full_at + Duration::from_nanos(interval) } else { full_at };
            return has_token;
        }
        if self.by_network.len() >= ADDRESSES_REMEMBERED_MAX {
            self.make_room(forget_after, now);
        }
        let full_at = now + Duration::from_nanos(interval);
        self.by_network.insert(peer, Bucket { full_at, last_seen: now });
        true
    }

    /// Networks that are remembered.
    pub fn len(&self) -> usize {
        self.by_network.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_network.is_empty()
    }

    /// Looks through all, which is paid for by the many insertions until it is needed again: at least half is free then.
    fn make_room(&mut self, forget_after: Duration, now: Instant) {
        self.by_network.retain(|_, bucket| bucket.full_at > now && now.since(bucket.last_seen) < forget_after);
        let kept_max = ADDRESSES_REMEMBERED_MAX / 2;
        if self.by_network.len() <= kept_max {
            return;
        }
        let mut used: Vec<_> = self.by_network.iter().map(|(peer, bucket)| (bucket.full_at, *peer)).collect();
        let excess = used.len() - kept_max;
        let (lowest, ..) = used.select_nth_unstable(excess);
        for (_, peer) in lowest {
            self.by_network.remove(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    const RATE: Rate = Rate { per_second: 2.0, burst: 3 };
    const FORGET_AFTER: Duration = Duration::from_secs(60);

    fn peer(number: u32) -> PeerNetwork {
        PeerNetwork::of(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    fn at(milliseconds: u64) -> Instant {
        Instant(1) + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_burst_and_then_the_steady_rate() {
        let mut buckets = Buckets::default();
        let mut taken = |milliseconds| buckets.take(peer(1), RATE, FORGET_AFTER, at(milliseconds));
        let expected = [
            (0, true),
            (0, true),
            (0, true),
            (0, false),
            (499, false),
            (500, true),
            (500, false),
            // Refused attempts use nothing up.
            (1000, true),
            (3000, true),
            (3000, true),
            (3000, true),
            (3000, false),
        ];
        for (milliseconds, has_token) in expected {
            assert_eq!(taken(milliseconds), has_token, "at {milliseconds} ms");
        }
    }

    #[test]
    fn one_that_was_quiet_for_long_starts_anew() {
        let slow = Rate { per_second: 0.001, burst: 1 };
        let mut buckets = Buckets::default();
        assert!(buckets.take(peer(1), slow, FORGET_AFTER, at(0)));
        assert!(!buckets.take(peer(1), slow, FORGET_AFTER, at(59_000)));
        assert!(!buckets.take(peer(1), slow, FORGET_AFTER, at(118_000)), "who keeps trying is not quiet");
        assert!(buckets.take(peer(1), slow, FORGET_AFTER, at(178_000)));
    }

    #[test]
    fn memory_is_bounded_and_the_worst_stay_known() {
        let mut buckets = Buckets::default();
        let rate = Rate { per_second: 0.01, burst: 2 };
        for _ in 0..3 {
            buckets.take(peer(0), rate, FORGET_AFTER, at(0));
        }
        for number in 1..3 * ADDRESSES_REMEMBERED_MAX as u32 {
            buckets.take(peer(number), rate, FORGET_AFTER, at(1));
            assert!(buckets.len() <= ADDRESSES_REMEMBERED_MAX);
        }
        assert!(!buckets.take(peer(0), rate, FORGET_AFTER, at(2)), "it still has to wait");
        // Once all are full again nothing is worth remembering.
        let last = ADDRESSES_REMEMBERED_MAX as u32 * 4;
        for number in 0..ADDRESSES_REMEMBERED_MAX as u32 {
            buckets.take(peer(last + number), rate, FORGET_AFTER, at(10_000_000));
        }
        assert!(buckets.len() <= ADDRESSES_REMEMBERED_MAX && buckets.len() > ADDRESSES_REMEMBERED_MAX / 4);
    }
}
