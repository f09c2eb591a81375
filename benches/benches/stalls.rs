//! The longest ticks: what a submit may have to wait for when thousands of workers are to be looked at and written down.
//!
//! A mean hides it: one tick in a thousand that takes ten milliseconds is nothing in the mean, and everything for the
//! hundredth of all submits that wait for it.

use std::time::{Duration, Instant};
use warppool_benches::scene::Scene;
use warppool_benches::table;

/// Workers, each on a connection of its own.
const WORKERS: [u32; 2] = [1000, 10_000];

/// Shares of a tick, and the time from tick to tick: 30,000 a second.
const SHARES_PER_TICK: u32 = 30;
const BETWEEN_TICKS: Duration = Duration::from_millis(1);

/// Ticks measured: ten seconds of the pool's life.
const TICKS: u32 = 10_000;

fn main() {
    table::heading(
        "The longest ticks",
        "10,000 ticks of 30 shares, one a millisecond of the pool's time, from lines to answers, without sockets and store. \
         Pictures for the dashboard are taken, rows for the store handed over.",
    );
    let columns = ["median", "p99", "p99.9", "longest", "share of time in ticks over 1 ms"].map(str::to_owned);
    let rows: Vec<_> = WORKERS.iter().map(|workers| (workers.to_string(), ticks(*workers))).collect();
    table::grid("workers", &columns, &rows);
}

/// Figures of the ticks of a pool with so many workers.
fn ticks(workers: u32) -> Vec<String> {
    let mut scene = Scene::with_miners(workers);
    let mut took: Vec<f64> = (0..TICKS)
        .map(|tick| {
            let mut inbox = scene.shares_from(tick * SHARES_PER_TICK % workers, SHARES_PER_TICK, workers);
            scene.now.instant = scene.now.instant + BETWEEN_TICKS;
            let start = Instant::now();
            scene.tick(&mut inbox);
            start.elapsed().as_nanos() as f64
        })
        .collect();
    took.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| table::time(took[((took.len() - 1) as f64 * share) as usize]);
    let (long, all): (f64, f64) = (took.iter().filter(|time| **time > 1e6).sum(), took.iter().sum());
    vec![at(0.5), at(0.99), at(0.999), at(1.0), format!("{:.1} %", 100.0 * long / all)]
}
