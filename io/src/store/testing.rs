//! Rows, options, a simulated clock and a simulated disk for the store's tests.

use super::file::{Environment, checked, create_or_restart, open_error};
use super::{Restored, Store, StoreError, StoreOptions, open_in};
use redb::{Database, StorageBackend};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use warppool_components::block::BlockState;
use warppool_components::limits::WORKERS_SUMMED_AT_ONCE;
use warppool_components::record::{BlockRow, ShareRow, StoreBatch, WorkerRow};
use warppool_components::units::{Hash256, Sats, UnixTime};
use warppool_components::worker::WorkerId;

/// The time at which tests begin: a midnight in UTC, in milliseconds.
pub(super) const START_MS: u64 = 1_700_006_400_000;

pub(super) fn share_row(worker: u32, at_ms: u64) -> ShareRow {
    ShareRow {
        worker: WorkerId(worker),
        at: UnixTime::from_millis(at_ms),
        count: 1,
        difficulty: 16.0,
        reached: 64.0,
        reject: None,
    }
}

pub(super) fn worker_row(id: u32, address: &str, name: &str) -> WorkerRow {
    WorkerRow {
        id: WorkerId(id),
        address: address.into(),
        name: name.into(),
        first_seen: UnixTime::from_seconds(1000),
        last_seen: UnixTime::from_seconds(2000),
        user_agent: "bitaxe".into(),
        accepted: 5,
        accepted_difficulty: 1280.0,
        rejected: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        best_ever: 4096.0,
        last_share_at: Some(UnixTime::from_seconds(1500)),
        blocks_found: 2,
        difficulty: None,
        hashes_per_second: 1e12,
    }
}

/// A pending block of `height` whose hash is `byte` repeated, with bytes to journal.
pub(super) fn block_row(height: u32, byte: u8) -> BlockRow {
    BlockRow {
        hash: Hash256::from_internal([byte; 32]),
        height,
        state: BlockState::Pending,
        found_at: UnixTime::from_millis(START_MS),
        worker: WorkerId(7),
        worker_label: "bc1q.rig1".into(),
        address: "bc1q".into(),
        payout: Sats(312_500_000),
        coinbase_value: Sats(312_600_000),
        share_difficulty: 2e14,
        network_difficulty: 1e14,
        raw: Some(vec![byte; 300].into()),
    }
}

pub(super) fn shares(rows: Vec<ShareRow>) -> StoreBatch {
    StoreBatch { shares: rows, ..StoreBatch::default() }
}

pub(super) fn blocks(rows: Vec<BlockRow>) -> StoreBatch {
    StoreBatch { blocks: rows, ..StoreBatch::default() }
}

pub(super) fn options(path: PathBuf) -> StoreOptions {
    StoreOptions {
        path,
        flush_interval: Duration::from_millis(5),
        cache_bytes: 4 << 20,
        shares_raw_kept: Duration::from_secs(3600),
        shares_5min_kept: Duration::from_secs(7 * 86_400),
        shares_daily_kept: None,
        saved_workers_per_user_max: 64,
        saved_workers_total_max: 1024,
        workers_summed_at_once: WORKERS_SUMMED_AT_ONCE,
    }
}

/// Waits until `done`, at most half a minute.
pub(super) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A clock that tests set, in milliseconds.
#[derive(Clone)]
pub(super) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START_MS)))
    }

    pub(super) fn set_ms(&self, millis: u64) {
        self.0.store(millis, Ordering::SeqCst);
    }

    fn now(&self) -> UnixTime {
        UnixTime::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A disk in memory that fails at a chosen operation. What was written since the last sync is lost in a power
/// cut, or only some of it, as a seed decides.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<DiskState>>);

#[derive(Debug, Default)]
struct DiskState {
    /// What a power cut leaves.
    durable: Vec<u8>,
    /// What programs see.
    visible: Vec<u8>,
    /// Changes since the last sync, in order.
    unsynced: Vec<Change>,
    /// Writes, resizes and syncs so far.
    operations: u64,
    /// Operations from the first to before the second fail.
    failing: Option<(u64, u64)>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Resize(length) => image.resize(*length, 0),
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if image.len() < end {
                    image.resize(end, 0);
                }
                image[*offset..end].copy_from_slice(data);
            }
        }
    }
}

impl Disk {
    /// Lets `count` operations from now on succeed, and then fails as many as `failures`.
    pub(super) fn fail_after(&self, count: u64, failures: u64) {
        let mut state = self.state();
        let first = state.operations + count;
        state.failing = Some((first, first.saturating_add(failures)));
    }

    /// Lets everything succeed again.
    pub(super) fn heal(&self) {
        self.state().failing = None;
    }

    /// The disk after a power cut. Of the unsynced changes those survive whose bit of `seed` is set; resizes
    /// always do, as the file system journals them.
    pub(super) fn after_power_cut(&self, seed: u64) -> Self {
        let state = self.state();
        let mut image = state.durable.clone();
        for (place, change) in state.unsynced.iter().enumerate() {
            if matches!(change, Change::Resize(_)) || seed >> (place % 64) & 1 == 1 {
                change.apply(&mut image);
            }
        }
        Self(Arc::new(Mutex::new(DiskState { durable: image.clone(), visible: image, ..DiskState::default() })))
    }

    /// The disk with some bytes from `place` on replaced by `value`.
    pub(super) fn damaged(&self, place: usize, value: u8) -> Self {
        let mut image = self.state().visible.clone();
        image.iter_mut().skip(place).take(8).for_each(|byte| *byte = value);
        Self(Arc::new(Mutex::new(DiskState { durable: image.clone(), visible: image, ..DiskState::default() })))
    }

    /// How many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        self.state().visible.len()
    }

    pub(super) fn environment(&self, clock: &Clock) -> Environment {
        let (disk, clock) = (self.clone(), clock.clone());
        let create = |disk: &Self| Database::builder().set_cache_size(4 << 20).create_with_backend(disk.clone());
        let open = move || {
            let read = |start: &mut [u8]| StorageBackend::read(&disk, 0, start);
            let database = create_or_restart(|| create(&disk), read, || disk.set_len(0))
                .and_then(|database| checked(database, disk.len()?));
            database.map_err(|error| open_error(Path::new("simulated"), error))
        };
        Environment { open: Box::new(open), clock: Box::new(move || clock.now()) }
    }

    /// Opens a store on it, with the usual options.
    pub(super) fn open(&self, clock: &Clock) -> Result<(Store, Restored), StoreError> {
        open_in(options("simulated".into()), self.environment(clock))
    }

    fn state(&self) -> MutexGuard<'_, DiskState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        change.apply(&mut state.visible);
        state.unsynced.push(change);
        Ok(())
    }
}

impl DiskState {
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        let fails = self.failing.is_some_and(|(first, end)| (first..end).contains(&(self.operations - 1)));
        if fails {
            Err(io::Error::new(io::ErrorKind::StorageFull, "simulated: no space left on device"))
        } else {
            Ok(())
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().visible.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let start = offset as usize;
        let data = state.visible.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(data);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Change::Resize(length as usize))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset as usize, data.to_vec()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let changes = std::mem::take(&mut state.unsynced);
        let DiskState { durable, .. } = &mut *state;
        changes.iter().for_each(|change| change.apply(durable));
        Ok(())
    }
}
