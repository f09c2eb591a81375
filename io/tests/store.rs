//! The store as a program uses it: a real file, modes, versions, and a process that is killed while it writes.

use redb::{Database, ReadableDatabase, TableDefinition};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use warppool_components::record::{HistoryPoint, ShareRow, StoreBatch};
use warppool_components::units::UnixTime;
use warppool_components::worker::WorkerId;
use warppool_io::store::{FORMAT_VERSION, StoreError, StoreOptions, StoreReader, open};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const CHILD_PATH: &str = "WARPPOOL_TEST_STORE";
const SHARES_PER_BATCH: u64 = 20;

fn options(path: PathBuf) -> StoreOptions {
    StoreOptions {
        path,
        flush_interval: Duration::from_millis(10),
        cache_bytes: 16 << 20,
        shares_raw_kept: Duration::from_secs(3600),
        shares_5min_kept: Duration::from_secs(604_800),
        shares_daily_kept: None,
        saved_workers_per_user_max: 64,
        saved_workers_total_max: 1024,
        workers_summed_at_once: warppool_components::limits::WORKERS_SUMMED_AT_ONCE,
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("exists").permissions().mode() & 0o777
}

fn now() -> UnixTime {
    UnixTime::from_seconds(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs())
}

#[test]
fn others_can_read_neither_the_directory_nor_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("deep/warppool/store.redb");
    open(options(path.clone())).expect("opens").0.close().expect("closes");
    assert_eq!((mode(&path), mode(path.parent().expect("its directory"))), (0o600, 0o700));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("sets the mode");
    open(options(path.clone())).expect("opens").0.close().expect("closes");
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_newer_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.redb");
    open(options(path.clone())).expect("opens").0.close().expect("closes");
    let newer = FORMAT_VERSION + 1;
    {
        let database = Database::open(&path).expect("opens");
        let transaction = database.begin_write().expect("writes");
        let bytes = newer.to_le_bytes();
        transaction.open_table(META).expect("its table").insert("format_version", bytes.as_slice()).expect("inserts");
        transaction.commit().expect("commits");
    }
    let error = open(options(path.clone())).expect_err("newer");
    assert!(matches!(error, StoreError::Newer { found, known: FORMAT_VERSION, .. } if found == newer));
    let text = format!(
        "the store {} has format version {newer}, this WarpPool knows versions up to {FORMAT_VERSION}: run the newer \
         WarpPool, or set another [store] path",
        path.display()
    );
    assert_eq!(error.to_string(), text);
    let database = Database::open(&path).expect("it is not locked any more");
    let meta = database.begin_read().expect("reads").open_table(META).expect("its table");
    assert_eq!(meta.get("format_version").expect("reads").expect("its row").value(), newer.to_le_bytes());
}

#[test]
fn files_that_cannot_be_the_store_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.redb");
    let (first, _) = open(options(path.clone())).expect("opens");
    let locked = open(options(path.clone())).expect_err("in use");
    assert!(matches!(&locked, StoreError::Locked { path: named } if *named == path), "{locked}");
    assert!(locked.to_string().contains("stop the WarpPool that runs on it"), "{locked}");
    first.close().expect("closes");

    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "not a database").expect("writes");
    let error = open(options(text)).expect_err("no database").to_string();
    assert!(error.contains("notes.txt cannot be read"), "{error}");
    let inside_file = open(options(path.join("store.redb"))).expect_err("a file is no directory").to_string();
    assert!(inside_file.contains("cannot be created"), "{inside_file}");
}

#[test]
fn a_file_that_was_never_finished_is_made_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.redb");
    std::fs::write(&path, vec![0; 1 << 16]).expect("writes");
    open(options(path)).expect("opens").0.close().expect("closes");
}

/// Not a test by itself: the process that is killed. Says which batch it has sent and how many are durable.
#[test]
#[ignore = "run by the test that kills it"]
fn writes_until_killed() {
    let Some(path) = std::env::var_os(CHILD_PATH) else { return };
    let (store, _) = open(options(path.into())).expect("opens");
    let writer = store.writer();
    let (mut sent, mut told) = (0, 0);
    loop {
        let row = |n: u64| ShareRow {
            worker: WorkerId((n % 7) as u32 + 1),
            at: now(),
            count: 1,
            difficulty: 8.0,
            reached: 9.0,
            reject: (n == 0).then_some(3),
        };
        let batch = StoreBatch { shares: (0..SHARES_PER_BATCH).map(row).collect(), ..StoreBatch::default() };
        sent += u64::from(writer.try_send(batch).is_ok());
        if writer.committed() > told {
            told = writer.committed();
            println!("durable {told} sent {sent}");
        }
        std::thread::yield_now();
    }
}

/// A process that writes; killed when it goes out of scope.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a writing process, kills it (SIGKILL) after so many lines, and returns the last line's number of
/// durable batches.
fn write_and_kill(path: &Path, lines: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "writes_until_killed", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD_PATH, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut victim = Victim(child);
    let durable = |line: String| line.strip_prefix("durable ")?.split(' ').next()?.parse::<u64>().ok();
    let mut numbers = output.lines().map_while(Result::ok).filter_map(durable);
    let told = numbers.by_ref().take(lines).last().expect("it writes");
    victim.0.kill().expect("kills");
    // What it said before it died counts too.
    let told = numbers.last().unwrap_or(told);
    victim.0.wait().expect("ends");
    told
}

fn total(reader: &StoreReader, worker: Option<WorkerId>, step: u64) -> (u64, f64, u64) {
    let (from, to) = (now().seconds() - 1500, now().seconds() + 60);
    let step = Duration::from_secs(step);
    let points = reader.history(worker, UnixTime::from_seconds(from), UnixTime::from_seconds(to), step);
    let add = |(accepted, difficulty, rejected): (u64, f64, u64), point: &HistoryPoint| {
        (accepted + point.accepted, difficulty + point.accepted_difficulty, rejected + point.rejected)
    };
    points.expect("a history").iter().fold((0, 0.0, 0), add)
}

#[test]
fn a_killed_process_leaves_a_store_with_all_that_was_durable() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store.redb");
    let mut durable = 0;
    for lines in [1, 3, 10, 25] {
        durable += write_and_kill(&path, lines);
        let (store, restored) = open(options(path.clone())).expect("opens after a kill");
        let reader = store.reader();
        let raw = total(&reader, None, 60);
        let stored = (raw.0 + raw.2) / SHARES_PER_BATCH;
        assert_eq!((raw.0 + raw.2) % SHARES_PER_BATCH, 0, "a batch is there whole or not at all");
        assert!(stored >= durable, "{stored} batches are stored, {durable} were said to be durable");
        assert_eq!(raw.2, stored, "each has one refused share");
        assert_eq!(restored.worker_id_max, 7);
        assert_eq!(total(&reader, None, 300), raw);
        let by_worker = (1..=7).map(|id| total(&reader, Some(WorkerId(id)), 300));
        let sum = by_worker.fold((0, 0.0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2));
        assert_eq!(sum, raw);
        store.close().expect("closes");
        durable = stored;
    }
}
