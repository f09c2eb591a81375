//! Hash rates over several windows at once.
//!
//! Each window is an exponential one: what was credited `t` seconds ago counts `exp(-t / window)`. So a rate needs
//! one number a window, whatever the number of shares. A share costs one addition; the fading is done when
//! somebody looks.

use warppool_components::snapshot::Hashrates;
use warppool_components::units::{Difficulty, Instant};
use warppool_components::worker::{HASHRATE_WINDOWS_SECONDS, Hashrate};

/// A rate that begins now.
pub fn start(now: Instant) -> Hashrate {
    Hashrate { updated_at: now, started_at: now, ..Hashrate::default() }
}

/// Counts a share of `difficulty`.
pub fn add(rate: &mut Hashrate, difficulty: Difficulty) {
    rate.pending += difficulty.value();
}

/// Hashes a second over each window. A window that is younger than its length is judged by its age.
pub fn rates(rate: &mut Hashrate, now: Instant) -> Hashrates {
    let elapsed = now.since(rate.updated_at).as_secs_f64();
    let age = now.since(rate.started_at).as_secs_f64().max(1.0);
    let mut rates = Hashrates::default();
    for ((sum, rate_of_window), window) in rate.sums.iter_mut().zip(&mut rates).zip(HASHRATE_WINDOWS_SECONDS) {
        let window = window as f64;
        *sum = *sum * (-elapsed / window).exp() + rate.pending;
        let weight = window * (1.0 - (-age / window).exp());
        *rate_of_window = *sum * Difficulty::HASHES_AT_ONE / weight;
    }
    rate.pending = 0.0;
    rate.updated_at = now;
    rates
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_steady_miner_shows_its_rate_in_every_window_from_the_first_minutes_on() {
        let start_at = Instant(0);
        let mut rate = start(start_at);
        let mut now = start_at;
        // One share of difficulty 10 each 5 seconds: 2 * 2^32 hashes a second.
        for _ in 0..120 {
            now = now + Duration::from_secs(5);
            add(&mut rate, Difficulty::new(10.0).expect("positive"));
            let _ = rates(&mut rate, now);
        }
        let expected = 2.0 * Difficulty::HASHES_AT_ONE;
        for (window, value) in HASHRATE_WINDOWS_SECONDS.iter().zip(rates(&mut rate, now)) {
            assert!((value / expected - 1.0).abs() < 0.05, "{window}: {value} against {expected}");
        }
    }

    #[test]
    fn a_miner_that_left_fades_from_the_short_windows_first() {
        let mut rate = start(Instant(0));
        add(&mut rate, Difficulty::new(1000.0).expect("positive"));
        // What was added counts from the next look on, and somebody looks every second.
        let _ = rates(&mut rate, Instant(0));
        let hour = Instant(0) + Duration::from_secs(3600);
        let rates = rates(&mut rate, hour);
        assert!(rates[0] < 1e-6 * rates[3]);
        assert!(rates[6] > 0.9 * 1000.0 * Difficulty::HASHES_AT_ONE / 3600.0);
    }
}
