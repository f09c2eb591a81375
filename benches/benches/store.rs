//! Share rows to the disk: through the store, which packs them and commits in groups, beside a row a key in the same
//! database. Rows are counted; all are durable when the clock is read.

use redb::{Database, TableDefinition};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use warppool_benches::table;
use warppool_benches::turns::{Way, in_turns};
use warppool_components::limits::STORE_ROWS_PER_COMMIT;
use warppool_components::record::{ShareRow, StoreBatch};
use warppool_components::units::UnixTime;
use warppool_components::worker::WorkerId;
use warppool_io::store::{self, Store, StoreOptions};

/// Rows of one commit: what makes the store commit without waiting for its interval.
const ROWS: usize = STORE_ROWS_PER_COMMIT;

/// Rows that leave the engine together: 50 ms at some 80,000 shares a second.
const ROWS_PER_BATCH: usize = 4096;

/// Rows committed one by one, of the plainest way.
const ROWS_ALONE: usize = 20;

const SHARES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("shares");

fn main() {
    table::heading(
        "Share rows to the disk",
        &format!("{ROWS} rows of 64 workers, durable (fsync) in a file of the system's directory for temporary files."),
    );
    let directory = std::env::temp_dir().join(format!("warppool-bench-store-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory of our own");
    let costs = {
        let mut keys = RowAKey::open(&directory.join("keys.redb"));
        let mut alone = RowAKey::open(&directory.join("alone.redb"));
        let mut packed = Packed::open(directory.join("packed.redb"));
        in_turns(
            Duration::from_secs(8),
            vec![
                Way::timed("plain: a row a key, all in one commit", ROWS, || keys.save(ROWS)),
                Way::timed("a commit a row", ROWS_ALONE, || (0..ROWS_ALONE).map(|_| alone.save(1)).sum()),
                Way::timed("the store: rows packed, group commit, sums kept", ROWS, || packed.save()),
            ],
        )
    };
    table::ratios("row", &costs);
    std::fs::remove_dir_all(&directory).expect("our own directory");
}

fn row(number: u64) -> ShareRow {
    ShareRow {
        worker: WorkerId(1 + (number % 64) as u32),
        at: UnixTime::from_millis(1_800_000_000_000 + number / 80),
        difficulty: 1024.0,
        reached: 1024.0 + number as f64,
        count: 1,
        reject: None,
    }
}

/// The plain way: time and number are the key.
struct RowAKey {
    database: Database,
    saved: u64,
}

impl RowAKey {
    fn open(path: &Path) -> Self {
        let database = Database::create(path).expect("a new file");
        Self { database, saved: 0 }
    }

    fn save(&mut self, count: usize) -> Duration {
        let rows: Vec<ShareRow> = (self.saved..).take(count).map(row).collect();
        let start = Instant::now();
        let write = self.database.begin_write().expect("nobody else writes");
        {
            let mut table = write.open_table(SHARES).expect("its own table");
            for row in &rows {
                let key = [row.at.millis().to_be_bytes(), self.saved.to_be_bytes()].concat();
                self.saved += 1;
                let mut value = row.worker.0.to_le_bytes().to_vec();
                value.extend(row.difficulty.to_le_bytes());
                value.extend(row.reached.to_le_bytes());
                value.push(row.reject.unwrap_or(u8::MAX));
                table.insert(key.as_slice(), value.as_slice()).expect("room on the disk");
            }
        }
        write.commit().expect("a disk that takes it");
        start.elapsed()
    }
}

/// Ours.
struct Packed {
    store: Store,
    made: u64,
    batches: u64,
}

impl Packed {
    fn open(path: PathBuf) -> Self {
        let day = Duration::from_secs(86_400);
        let options = StoreOptions {
            path,
            flush_interval: Duration::from_secs(5),
            cache_bytes: 64 * 1024 * 1024,
            shares_raw_kept: 100_000 * day,
            shares_5min_kept: 100_000 * day,
            shares_daily_kept: None,
            saved_workers_per_user_max: 64,
            saved_workers_total_max: 1024,
            workers_summed_at_once: warppool_components::limits::WORKERS_SUMMED_AT_ONCE,
        };
        let (store, _) = store::open(options).expect("a new file");
        Self { store, made: 0, batches: 0 }
    }

    fn save(&mut self) -> Duration {
        let mut batches = Vec::new();
        for _ in 0..ROWS / ROWS_PER_BATCH {
            let shares: Vec<ShareRow> = (self.made..).take(ROWS_PER_BATCH).map(row).collect();
            self.made += shares.len() as u64;
            batches.push(StoreBatch { shares, ..StoreBatch::default() });
        }
        self.batches += batches.len() as u64;
        let writer = self.store.writer();
        let start = Instant::now();
        for batch in batches {
            assert!(writer.try_send(batch).is_ok(), "the queue holds them");
        }
        while writer.committed() < self.batches {
            std::thread::sleep(Duration::from_micros(20));
        }
        start.elapsed()
    }
}
