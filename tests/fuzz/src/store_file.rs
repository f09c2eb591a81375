//! A store whose file was damaged: it is refused with an error, or it opens, answers every question with rows or an error,
//! takes new rows, and opens again. It never ends the program.
//!
//! Input: a byte that says which file, then changes to a store with some of everything in it, four bytes each: place (two
//! bytes, over the whole file in steps or within a page, as the third says), kind and value. What of all that is done with the
//! store decides a sum of the bytes: each step takes longer than the fuzzer does for an input.

use crate::bytes::Bytes;
use redb::StorageBackend;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use warppool_components::block::BlockState;
use warppool_components::record::{BlockRow, PoolTotalsRow, Restored, ShareRow, StoreBatch, WorkerRow};
use warppool_components::units::{Hash256, Sats, UnixTime};
use warppool_components::worker::WorkerId;
use warppool_io::store::{SteppedStore, StoreError, StoreOptions};

/// A midnight in UTC.
const START: UnixTime = UnixTime::from_seconds(1_700_006_400);

/// A disk in memory.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Vec<u8>>>);

impl Disk {
    fn image(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.image().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (image, start) = (self.image(), offset as usize);
        let end = start.checked_add(out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(image.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        // A damaged length must not take the fuzzer's memory.
        if length > 64 << 20 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.image().resize(length as usize, 0);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut image, start) = (self.image(), offset as usize);
        let place = start.checked_add(data.len()).and_then(|end| image.get_mut(start..end));
        place.ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(data);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The undamaged file, as a clean stop leaves it and as a kill does.
static IMAGES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let disk = Disk::default();
    let (mut store, _) = open(&disk).expect("a new store");
    for number in 0..3 {
        store.offer(batch(number)).expect("there is room");
        store.commit().expect("memory does not fail");
    }
    let killed = disk.image().clone();
    drop(store);
    let stopped = disk.image().clone();
    [stopped, killed]
});

/// Runs one input.
pub fn check(data: &[u8]) {
    let mut bytes = Bytes(data);
    let mut image = IMAGES[usize::from(bytes.byte() & 1)].clone();
    let steps = data.iter().fold(0_u8, |sum, byte| sum.rotate_left(3) ^ byte);
    let does = |share: u8| steps & share == share;
    while !bytes.is_empty() {
        damage(&mut image, &mut bytes);
    }
    let disk = Disk(Arc::new(Mutex::new(image)));
    let Ok((mut store, restored)) = open(&disk) else { return };
    look_at(&restored);
    if does(0b1) {
        ask(&store);
    }
    if does(0b110) {
        // A refused batch, a failed commit or retention are the disk's fault and said; what counts is that they return.
        let _ = store.offer(batch(9));
        if store.commit().is_ok() {
            ask(&store);
        }
    }
    if does(0b1_1000) {
        let _ = store.prune();
    }
    drop(store);
    if does(0b110_0000) {
        let _ = open(&disk);
    }
}

fn damage(image: &mut Vec<u8>, bytes: &mut Bytes<'_>) {
    let (place, kind, value) = (bytes.short(), bytes.byte(), bytes.byte());
    let place = match kind & 3 {
        0 => place,
        1 => place * 16,
        2 => place * 256,
        // Pages in use stand at the end of the first ones.
        _ => (place >> 8) * 4096 + (place & 0xff),
    } % image.len().max(1);
    match kind >> 2 {
        0..=40 => image.get_mut(place).into_iter().for_each(|byte| *byte = value),
        41..=50 => image.get_mut(place).into_iter().for_each(|byte| *byte ^= 1 << (value & 7)),
        51..=55 => image.iter_mut().skip(place).take(8).for_each(|byte| *byte = value),
        56..=58 => image.iter_mut().skip(place).take(usize::from(value) * 16).for_each(|byte| *byte = 0),
        59..=60 => image.truncate(place),
        61 => {
            let end = (place + usize::from(value)).min(image.len());
            image.copy_within(..end - place, place);
        }
        _ => image.iter_mut().skip(place).take(4096).for_each(|byte| *byte = value),
    }
}

fn open(disk: &Disk) -> Result<(SteppedStore, Restored), StoreError> {
    let options = StoreOptions {
        path: "fuzzed".into(),
        flush_interval: Duration::from_millis(250),
        cache_bytes: 1 << 20,
        shares_raw_kept: Duration::from_secs(3600),
        shares_5min_kept: Duration::from_secs(7 * 86_400),
        shares_daily_kept: None,
        saved_workers_per_user_max: 4,
        saved_workers_total_max: 8,
        workers_summed_at_once: warppool_components::limits::WORKERS_SUMMED_AT_ONCE,
    };
    SteppedStore::open(options, disk.clone(), || START)
}

/// What the engine starts from is whole: nothing in it is stranger than its type.
fn look_at(restored: &Restored) {
    assert!(format!("{restored:?}").len() > 10);
}

/// Every question that the dashboard asks.
fn ask(store: &SteppedStore) {
    let reader = store.reader();
    let (from, to) = (UnixTime::from_seconds(START.seconds() - 3600), UnixTime::from_seconds(START.seconds() + 3600));
    for worker in [None, Some(WorkerId(1))] {
        for seconds in [60, 300, 86_400] {
            if let Ok(points) = reader.history(worker, from, to, Duration::from_secs(seconds)) {
                assert!(!points.is_empty());
            }
        }
    }
    let _ = reader.history(
        None,
        UnixTime::from_seconds(0),
        UnixTime::from_millis(u64::MAX),
        Duration::from_secs(u64::MAX / 4),
    );
    let _ = reader.blocks(None, 100);
    let _ = reader.worker(WorkerId(1));
    let _ = reader.setting("name");
    let _ = reader.shares_dropped();
}

fn batch(number: u64) -> StoreBatch {
    let at = |millis: u64| UnixTime::from_millis(START.millis() + 1000 * number + millis);
    let share = |worker: u32, millis: u64, reject: Option<u8>| ShareRow {
        worker: WorkerId(worker),
        at: at(millis),
        count: 1,
        difficulty: 16.0,
        reached: 64.0,
        reject,
    };
    StoreBatch {
        shares: (0..8).map(|n| share(n as u32 % 3, n, (n == 5).then_some(2))).collect(),
        shares_dropped: 1,
        workers: (0..3).map(|id| worker(id, at(0))).collect(),
        totals: Some(Box::new(PoolTotalsRow { accepted: 8 * number, ..PoolTotalsRow::default() })),
        blocks: vec![block(number as u32, at(0))],
    }
}

fn worker(id: u32, at: UnixTime) -> WorkerRow {
    WorkerRow {
        id: WorkerId(id),
        address: "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into(),
        name: format!("rig{id}").into(),
        first_seen: START,
        last_seen: at,
        user_agent: "bitaxe".into(),
        accepted: 5,
        accepted_difficulty: 80.0,
        rejected: Default::default(),
        best_ever: 64.0,
        last_share_at: Some(at),
        blocks_found: 0,
        difficulty: Some(16.0),
        hashes_per_second: 1e12,
    }
}

fn block(number: u32, at: UnixTime) -> BlockRow {
    let state = [BlockState::Pending, BlockState::Accepted, BlockState::Confirmed(100), BlockState::Orphaned];
    BlockRow {
        hash: Hash256::from_internal([number as u8; 32]),
        height: 1000 + number,
        state: state[number as usize % state.len()].clone(),
        found_at: at,
        worker: WorkerId(1),
        worker_label: "somebody.rig1".into(),
        address: "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080".into(),
        payout: Sats(1),
        coinbase_value: Sats(1),
        share_difficulty: 1.0,
        network_difficulty: 1.0,
        raw: Some(vec![7; 200].into()),
    }
}
