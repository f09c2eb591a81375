//! The store on a disk that fails or loses power at every operation in turn.

use super::committer::Committer;
use super::pending::{Change, Queued};
use super::shared::Shared;
use super::testing::{Clock, Disk, START_MS, block_row, blocks, options, share_row, shares, wait_until, worker_row};
use super::{SteppedStore, StoreOptions, StoreReader, migrate};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use warppool_components::limits::{STORE_BATCHES_QUEUED_MAX, STORE_ROWS_PENDING_MAX, WORKERS_SUMMED_AT_ONCE};
use warppool_components::record::{HistoryPoint, PoolTotalsRow, ShareRow, StoreBatch, WorkerRow};
use warppool_components::reject::RejectCounts;
use warppool_components::units::UnixTime;
use warppool_components::worker::WorkerId;

const WORKERS: u32 = 3;
const BATCHES: u64 = 6;
const SHARES_PER_BATCH: u64 = 10;

/// Sums that are written with every commit, and sums that wait.
const SUMMED_AT_ONCE: [usize; 2] = [WORKERS_SUMMED_AT_ONCE, 0];

/// Shares of batch number `number`, over two five-minute buckets.
fn shares_of(number: u64) -> impl Iterator<Item = ShareRow> {
    (0..SHARES_PER_BATCH).map(move |n| {
        let share = share_row(n as u32 % WORKERS + 1, START_MS + number * 80_000 + n);
        if n == 9 { ShareRow { reject: Some(2), count: 7, difficulty: 0.0, reached: 0.0, ..share } } else { share }
    })
}

/// A worker's row after so many batches, as the engine sums.
fn worker_after(id: u32, batches: u64) -> WorkerRow {
    let (accepted, accepted_difficulty, rejected, best_ever) = (0, 0.0, RejectCounts::default(), 0.0);
    let empty = WorkerRow { accepted, accepted_difficulty, rejected, best_ever, ..worker_row(id, "bc1q", "rig") };
    (0..batches).flat_map(shares_of).filter(|share| share.worker == WorkerId(id)).fold(empty, |mut row, share| {
        row.last_seen = share.at;
        if share.reject.is_some() {
            row.rejected[2] += u64::from(share.count);
        } else {
            row.accepted += 1;
            row.accepted_difficulty += share.difficulty;
            (row.best_ever, row.last_share_at) = (share.reached, Some(share.at));
        }
        row
    })
}

/// Batch number `number`: shares, the totals of their workers, and in every third a block.
fn batch(number: u64) -> StoreBatch {
    StoreBatch {
        shares: shares_of(number).collect(),
        shares_dropped: 0,
        workers: (1..=WORKERS).map(|id| worker_after(id, number + 1)).collect(),
        totals: Some(Box::new(PoolTotalsRow {
            accepted: (number + 1) * (SHARES_PER_BATCH - 1),
            ..PoolTotalsRow::default()
        })),
        blocks: if number % 3 == 2 { vec![block_row(number as u32, number as u8)] } else { Vec::new() },
    }
}

fn queued(number: u64) -> Queued {
    Queued { change: Change::Batch(batch(number)), at: Instant::now() }
}

fn committer(disk: &Disk, clock: &Clock, workers_summed_at_once: usize) -> Committer {
    let environment = disk.environment(clock);
    let database = environment.open_database().expect("opens before anything fails");
    migrate::bring_up_to_date(&database, "simulated".as_ref()).expect("creates its tables");
    let shared = Arc::new(Shared::new(Arc::new(database)));
    let options = StoreOptions { workers_summed_at_once, ..options("simulated".into()) };
    Committer::new(options, environment, shared).expect("reads its indexes")
}

/// Sum of the shares by one way of looking at them.
fn total(reader: &StoreReader, worker: Option<WorkerId>, step_seconds: u64) -> (u64, f64, u64) {
    let (from, to) = (UnixTime::from_millis(START_MS), UnixTime::from_millis(START_MS + 3_600_000));
    let points = reader.history(worker, from, to, Duration::from_secs(step_seconds)).expect("a history");
    let add = |(accepted, difficulty, rejected): (u64, f64, u64), point: &HistoryPoint| {
        (accepted + point.accepted, difficulty + point.accepted_difficulty, rejected + point.rejected)
    };
    points.iter().fold((0, 0.0, 0), add)
}

/// Checks that all ways of looking agree, and returns how many batches' shares are there.
fn batches_stored(reader: &StoreReader) -> u64 {
    let raw = total(reader, None, 10);
    for step in [300, 600, 86_400] {
        assert_eq!(total(reader, None, step), raw, "the pool's sums in steps of {step} s");
    }
    for worker in (1..=WORKERS).map(|id| Some(WorkerId(id))) {
        let raw = total(reader, worker, 10);
        assert_eq!(total(reader, worker, 300), raw, "five-minute sums of {worker:?}");
        assert_eq!(total(reader, worker, 86_400), raw, "daily sums of {worker:?}");
    }
    let (accepted, difficulty, rejected) = raw;
    assert_eq!(difficulty, accepted as f64 * 16.0);
    // The refused share of a batch stands for seven.
    assert_eq!((accepted + rejected) % (SHARES_PER_BATCH + 6), 0, "a batch is there whole or not at all");
    (accepted + rejected) / (SHARES_PER_BATCH + 6)
}

#[test]
fn a_power_cut_at_any_operation_loses_only_what_was_not_committed() {
    SUMMED_AT_ONCE.iter().for_each(|at_once| cut_power_at_any_operation(*at_once));
}

fn cut_power_at_any_operation(summed_at_once: usize) {
    let clock = Clock::new();
    let mut operations = 0;
    loop {
        let disk = Disk::default();
        let mut committer = committer(&disk, &clock, summed_at_once);
        disk.fail_after(operations, u64::MAX);
        let mut blocks_sent = 0;
        let mut sent = 0;
        let failed = (0..BATCHES).any(|number| {
            committer.add(queued(number));
            sent += 1;
            blocks_sent += batch(number).blocks.len();
            // Sums that wait are written when there is nothing else.
            committer.commit_all().is_err() || (number == 3 && committer.commit_all().is_err())
        });
        let committed = committer.shared.committed_batches.load(Ordering::SeqCst);
        for seed in [0, u64::MAX, 0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03, 0x5555_5555_5555_5555] {
            let (store, restored) = disk.after_power_cut(seed).open(&clock).expect("opens after a power cut");
            let stored = batches_stored(&store.reader());
            assert!((committed..=sent).contains(&stored), "{committed} committed, {stored} stored, {sent} sent");
            let expected = (1..=WORKERS).map(|id| worker_after(id, stored));
            assert_eq!(restored.workers, expected.filter(|_| stored > 0).collect::<Vec<_>>());
            assert_eq!(restored.totals.map_or(0, |totals| totals.accepted), stored * (SHARES_PER_BATCH - 1));
            assert!(restored.blocks.len() as u64 >= committed / 3 && restored.blocks.len() <= blocks_sent);
            assert!(restored.blocks.iter().all(|block| block.raw.as_ref().is_some_and(|raw| raw.len() == 300)));
            store.close().expect("closes");
        }
        if !failed {
            assert!(operations > 50, "the fault-free run took only {operations} operations");
            return;
        }
        operations += 1;
    }
}

/// Found by the simulation, seed 129: commits far apart and shares that are kept for a short time.
#[test]
fn shares_that_are_in_no_sums_yet_outlive_their_time() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let mut committer = committer(&disk, &clock, 0);
    for number in 0..3 {
        committer.add(queued(number));
        committer.commit_all().expect("the disk is well");
    }
    clock.set_ms(START_MS + 2 * 3_600_000);
    while committer.prune().expect("the disk is well") {}
    // Makes durable what was forgotten.
    committer.add(queued(3));
    committer.commit_all().expect("the disk is well");
    assert!(committer.is_behind(), "sums wait");
    let (store, restored) = disk.after_power_cut(0).open(&clock).expect("opens after a power cut");
    assert_eq!(restored.workers, (1..=WORKERS).map(|id| worker_after(id, 4)).collect::<Vec<_>>());
    store.close().expect("closes");
}

#[test]
fn a_power_cut_while_the_store_is_created_leaves_one_that_opens() {
    let clock = Clock::new();
    for operations in 0.. {
        let disk = Disk::default();
        disk.fail_after(operations, u64::MAX);
        let opened = disk.open(&clock).is_ok();
        for seed in [0, u64::MAX, 0x9E37_79B9_7F4A_7C15, 0x5555_5555_5555_5555] {
            let (store, restored) = disk.after_power_cut(seed).open(&clock).expect("opens after a power cut");
            assert_eq!(restored.worker_id_max, 0);
            store.close().expect("closes");
        }
        if opened {
            return;
        }
    }
}

#[test]
fn a_disk_that_fails_for_a_while_costs_nothing_and_counts_nothing_twice() {
    let clock = Clock::new();
    for (failures, summed_at_once) in
        [1, 3, 20].into_iter().flat_map(|count| SUMMED_AT_ONCE.map(|at_once| (count, at_once)))
    {
        let mut operations = 0;
        loop {
            let disk = Disk::default();
            let mut committer = committer(&disk, &clock, summed_at_once);
            disk.fail_after(operations, failures);
            let mut attempts = 0;
            for number in 0..=BATCHES {
                // In the end nothing comes, which is when sums that wait are written.
                if number < BATCHES {
                    committer.add(queued(number));
                }
                while committer.commit_all().is_err() {
                    while committer.recover().is_err() {
                        attempts += 1;
                        assert!(attempts < 100, "does not recover");
                    }
                    attempts += 1;
                }
            }
            let reader = StoreReader::new(Arc::clone(&committer.shared));
            assert_eq!(batches_stored(&reader), BATCHES, "{failures} failures after {operations} operations");
            assert_eq!(committer.shared.committed_batches.load(Ordering::SeqCst), BATCHES);
            assert_eq!(reader.blocks(None, 10).expect("blocks").len(), 2);
            if attempts == 0 {
                break;
            }
            operations += 1;
        }
    }
}

#[test]
fn a_failing_disk_is_told_fills_the_queue_and_loses_nothing_when_it_heals() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let (store, _) = disk.open(&clock).expect("opens");
    let writer = store.writer();
    disk.fail_after(0, u64::MAX);
    let rows = vec![share_row(1, START_MS); 8192];
    let mut sent = 0;
    wait_until("a full queue", || {
        let batch = shares(rows.clone());
        let refused = writer.try_send(batch.clone());
        match &refused {
            Ok(()) => sent += 1,
            Err(back) => assert_eq!(*back, batch, "the batch comes back whole"),
        }
        let most = STORE_BATCHES_QUEUED_MAX + STORE_ROWS_PENDING_MAX / rows.len() + 1;
        assert!(sent <= most as u64, "{sent} batches were taken, more than the bounds allow");
        sent >= STORE_BATCHES_QUEUED_MAX as u64 && writer.health().is_some() && refused.is_err()
    });
    let health = writer.health().expect("it says that it fails");
    assert!(health.contains("no space left on device") && health.contains("rows wait"), "{health}");
    assert!(writer.lag() > Duration::ZERO);

    disk.heal();
    wait_until("the commit of all that was taken", || writer.committed() == sent);
    wait_until("good health", || writer.health().is_none());
    wait_until("no lag", || writer.lag() == Duration::ZERO);
    assert_eq!(total(&store.reader(), None, 300).0, sent * rows.len() as u64);
    store.close().expect("closes");
}

#[test]
fn closing_on_a_dead_disk_says_what_is_lost() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let (store, _) = disk.open(&clock).expect("opens");
    disk.fail_after(0, u64::MAX);
    store.writer().try_send(shares(vec![share_row(1, START_MS); 3])).expect("there is room");
    store.writer().try_send(blocks(vec![block_row(1, 1)])).expect("there is room");
    let text = store.close().expect_err("nothing can be saved").to_string();
    assert!(text.starts_with("3 share rows and 1 block rows could not be saved"), "{text}");
}

/// redb panics at some damage, and while it unwinds once more, which would end the program. So damage is found before anything
/// is written: what opens takes rows, and what does not says what to do.
#[test]
fn a_damaged_file_is_refused_with_what_to_do_or_takes_rows() {
    let open =
        |disk: &Disk| SteppedStore::open(options("simulated".into()), disk.clone(), || UnixTime::from_millis(START_MS));
    let disk = Disk::default();
    let (mut store, _) = open(&disk).expect("a new store");
    for number in 0..BATCHES {
        store.offer(batch(number)).expect("there is room");
        store.commit().expect("the disk is well");
    }
    drop(store);
    let (mut opened, mut refused) = (0, 0);
    for place in (0..disk.bytes()).step_by(disk.bytes() / 400) {
        for value in [0, 0xff] {
            match open(&disk.damaged(place, value)) {
                Ok((mut store, _)) => {
                    opened += 1;
                    let reader = store.reader();
                    let _ = (reader.blocks(None, 100), reader.worker(WorkerId(1)), reader.shares_dropped());
                    store.offer(batch(BATCHES)).expect("there is room");
                    store.commit().expect("what opens takes rows");
                    store.prune().expect("what opens loses rows that are too old");
                }
                Err(error) => {
                    refused += 1;
                    let text = error.to_string();
                    assert!(text.contains("move the file away") && text.contains("backup"), "{text}");
                }
            }
        }
    }
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused: the test damages nothing that matters");
}
