//! Measures how many share rows a second the store's writer makes durable:
//! `cargo run --release -p warppool-io --example store_rate`.

use std::io::Write;
use std::time::{Duration, Instant};
use warppool_components::record::{ShareRow, StoreBatch};
use warppool_components::units::UnixTime;
use warppool_components::worker::WorkerId;
use warppool_io::store::{StoreOptions, open};

const BATCHES: u64 = 2000;
const ROWS_PER_BATCH: u64 = 2000;
const WORKERS: u64 = 1000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let (store, _) = open(StoreOptions {
        path: directory.path().join("store.redb"),
        flush_interval: Duration::from_millis(250),
        cache_bytes: 64 << 20,
        shares_raw_kept: Duration::from_secs(3600),
        shares_5min_kept: Duration::from_secs(604_800),
        shares_daily_kept: None,
        saved_workers_per_user_max: 64,
        saved_workers_total_max: 1024,
        workers_summed_at_once: warppool_components::limits::WORKERS_SUMMED_AT_ONCE,
    })?;
    let writer = store.writer();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let row = |n: u64| ShareRow {
        worker: WorkerId((n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32 % WORKERS as u32),
        at: UnixTime::from_seconds(now),
        count: 1,
        difficulty: 1024.0,
        reached: 2048.0,
        reject: None,
    };
    let rows: Vec<_> = (0..ROWS_PER_BATCH).map(row).collect();

    let started = Instant::now();
    for _ in 0..BATCHES {
        let mut batch = StoreBatch { shares: rows.clone(), ..StoreBatch::default() };
        while let Err(back) = writer.try_send(batch) {
            batch = back;
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    store.close()?;
    let seconds = started.elapsed().as_secs_f64();
    let commits = writer.commit_histogram();
    writeln!(
        std::io::stdout(),
        "{} rows of {WORKERS} workers in {seconds:.2} s: {:.0} rows/s; {} commits, {:.1} ms each",
        BATCHES * ROWS_PER_BATCH,
        (BATCHES * ROWS_PER_BATCH) as f64 / seconds,
        commits.counts.iter().sum::<u64>(),
        commits.sum_seconds * 1000.0 / commits.counts.iter().sum::<u64>() as f64,
    )?;
    Ok(())
}
