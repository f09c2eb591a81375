//! What the engine and the admin's side rely on, on a disk that works.

use super::tables::JOURNAL;
use super::testing::{Clock, Disk, START_MS, block_row, blocks, options, share_row, shares, wait_until, worker_row};
use super::{Store, StoreError, StoreOptions, StoreWriter, open_in};
use redb::{ReadableDatabase, ReadableTableMetadata};
use std::time::Duration;
use warppool_components::block::BlockState;
use warppool_components::limits::{
    BLOCKS_IN_SNAPSHOT_MAX, ORPHANED_BLOCK_FOLLOWED_SECONDS, SHARE_ROWS_PER_CHUNK_MAX, STORE_PRUNED_PER_STEP_MAX,
};
use warppool_components::record::{BlockRow, HistoryPoint, PoolTotalsRow, Restored, ShareRow, StoreBatch, WorkerRow};
use warppool_components::units::{Hash256, UnixTime};
use warppool_components::worker::WorkerId;

const DAY_MS: u64 = 86_400_000;

/// Sends a batch and waits until it is durable.
fn commit(writer: &StoreWriter, batch: StoreBatch) {
    let before = writer.committed();
    writer.try_send(batch).expect("there is room");
    wait_until("the commit", || writer.committed() > before);
}

fn reopen(store: Store, disk: &Disk, clock: &Clock) -> (Store, Restored) {
    store.close().expect("closes");
    disk.open(clock).expect("opens again")
}

fn open_with(disk: &Disk, clock: &Clock, change: impl FnOnce(&mut StoreOptions)) -> Store {
    let mut options = options("simulated".into());
    change(&mut options);
    open_in(options, disk.environment(clock)).expect("opens").0
}

fn journal_is_empty(store: &Store) -> bool {
    let database = store.shared.database().expect("open");
    let journal = database.begin_read().expect("reads").open_table(JOURNAL).expect("a table");
    journal.is_empty().expect("reads")
}

fn ms(millis: u64) -> UnixTime {
    UnixTime::from_millis(millis)
}

fn accepted(points: &[HistoryPoint]) -> Vec<u64> {
    points.iter().map(|point| point.accepted).collect()
}

#[test]
fn a_new_store_has_nothing_and_a_reopened_one_the_same_as_before() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let (store, restored) = disk.open(&clock).expect("opens");
    assert_eq!(restored, Restored::default());

    let worker = WorkerRow { difficulty: Some(1024.0), ..worker_row(4, "bc1q", "rig1") };
    let totals = PoolTotalsRow { accepted: 7, accepted_difficulty: 1.5, rejected: worker.rejected, best_ever: 9e15 };
    let batch = StoreBatch {
        shares: vec![share_row(9, START_MS)],
        shares_dropped: 3,
        workers: vec![worker_row(4, "bc1q", "old"), worker.clone()],
        totals: Some(Box::new(totals)),
        blocks: vec![block_row(10, 1)],
    };
    commit(&store.writer(), batch);
    store.writer().try_set("profile", Some("small")).expect("there is room");

    let (store, restored) = reopen(store, &disk, &clock);
    assert_eq!(restored.workers, std::slice::from_ref(&worker));
    assert_eq!(restored.totals, Some(totals));
    assert_eq!(restored.blocks, [block_row(10, 1)], "the journal's bytes come back");
    assert_eq!((restored.blocks_found, restored.worker_id_max), (0, 9));
    let reader = store.reader();
    assert_eq!(reader.worker(WorkerId(4)).expect("reads"), Some(worker));
    assert_eq!(reader.worker(WorkerId(5)).expect("reads"), None);
    assert_eq!(reader.shares_dropped().expect("reads"), 3);
    assert_eq!(reader.setting("profile").expect("reads").as_deref(), Some("small"));
    assert_eq!(reader.setting("other").expect("reads"), None);
    store.close().expect("closes");
    assert!(matches!(reader.setting("profile"), Err(StoreError::Unavailable)));
}

#[test]
fn a_closed_store_takes_nothing_and_has_committed_all_it_took() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let store = open_with(&disk, &clock, |options| options.flush_interval = Duration::from_secs(3600));
    let (writer, reader) = (store.writer(), store.reader());
    writer.try_send(shares(vec![share_row(1, START_MS); 5])).expect("there is room");
    assert!(writer.lag() > Duration::ZERO);
    store.close().expect("closes");
    assert_eq!((writer.committed(), writer.lag()), (1, Duration::ZERO));
    let batch = shares(vec![share_row(1, START_MS)]);
    assert_eq!(writer.try_send(batch.clone()), Err(batch));
    assert!(matches!(writer.try_set("a", Some("b")), Err(StoreError::Busy)));
    assert!(matches!(reader.blocks(None, 1), Err(StoreError::Unavailable)));

    let (store, restored) = disk.open(&clock).expect("opens");
    assert_eq!(restored.worker_id_max, 1);
    let points = store.reader().history(None, ms(START_MS), ms(START_MS + 1), Duration::from_secs(300));
    assert_eq!(accepted(&points.expect("a history")), [5]);
}

#[test]
fn a_block_is_committed_at_once_whatever_the_interval() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let store = open_with(&disk, &clock, |options| options.flush_interval = Duration::from_secs(3600));
    store.writer().try_send(shares(vec![share_row(1, START_MS)])).expect("there is room");
    commit(&store.writer(), blocks(vec![block_row(10, 1)]));
    let (_, restored) = disk.after_power_cut(0).open(&clock).expect("opens");
    assert_eq!(restored.blocks, [block_row(10, 1)]);
    assert!(store.writer().commit_histogram().counts.iter().sum::<u64>() >= 2, "the block had a commit of its own");
}

#[test]
fn the_journal_lasts_until_the_state_is_final() {
    let cases = [
        (BlockState::Pending, true, 0),
        (BlockState::Accepted, true, 1),
        (BlockState::Confirmed(99), true, 1),
        (BlockState::Confirmed(100), false, 1),
        (BlockState::Orphaned, true, 0),
        (BlockState::Rejected("bad-txns".into()), false, 0),
    ];
    for (state, journaled, found) in cases {
        let (disk, clock) = (Disk::default(), Clock::new());
        let (store, _) = disk.open(&clock).expect("opens");
        commit(&store.writer(), blocks(vec![block_row(10, 1)]));
        let later = BlockRow { state: state.clone(), raw: None, ..block_row(10, 1) };
        commit(&store.writer(), blocks(vec![later.clone()]));
        assert_eq!(store.reader().blocks(None, 9).expect("reads"), std::slice::from_ref(&later));
        assert_eq!(journal_is_empty(&store), !journaled, "{state}");

        let (_store, restored) = reopen(store, &disk, &clock);
        let raw = journaled.then(|| block_row(10, 1).raw).flatten();
        assert_eq!(restored.blocks, [BlockRow { raw, ..later }], "{state}");
        assert_eq!(restored.blocks_found, found, "{state}");
    }
}

#[test]
fn an_orphaned_block_stays_counted_and_loses_its_journal_in_the_end() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let (store, _) = disk.open(&clock).expect("opens");
    for state in [BlockState::Pending, BlockState::Accepted, BlockState::Orphaned] {
        commit(&store.writer(), blocks(vec![BlockRow { state, ..block_row(10, 1) }]));
    }
    clock.set_ms(START_MS + ORPHANED_BLOCK_FOLLOWED_SECONDS * 1000 - 1);
    let (store, restored) = reopen(store, &disk, &clock);
    assert_eq!(restored.blocks_found, 1);
    assert!(restored.blocks[0].raw.is_some());
    clock.set_ms(START_MS + ORPHANED_BLOCK_FOLLOWED_SECONDS * 1000);
    let (store, restored) = reopen(store, &disk, &clock);
    assert!(restored.blocks[0].raw.is_none());
    wait_until("an empty journal", || journal_is_empty(&store));
}

#[test]
fn blocks_are_paged_newest_first_and_all_unfinished_ones_are_restored() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let (store, _) = disk.open(&clock).expect("opens");
    let count = BLOCKS_IN_SNAPSHOT_MAX as u32 + 10;
    let row = |height: u32| {
        let state = if height == 3 { BlockState::Accepted } else { BlockState::Confirmed(100) };
        BlockRow { state, ..block_row(height, height as u8) }
    };
    commit(&store.writer(), blocks((1..=count).map(row).collect()));

    let heights = |before: Option<(u32, Hash256)>, limit| {
        let rows = store.reader().blocks(before, limit).expect("reads");
        rows.iter().map(|row| row.height).collect::<Vec<_>>()
    };
    assert_eq!(heights(None, 3), [count, count - 1, count - 2]);
    assert_eq!(heights(Some((4, row(4).hash)), 9), [3, 2, 1]);
    assert_eq!(heights(Some((4, Hash256::ZERO)), 1), [3]);

    let (_store, restored) = reopen(store, &disk, &clock);
    let restored_heights: Vec<_> = restored.blocks.iter().map(|row| row.height).collect();
    let newest = (count + 1 - BLOCKS_IN_SNAPSHOT_MAX as u32..=count).rev();
    assert_eq!(restored_heights, newest.chain([3]).collect::<Vec<_>>());
    assert_eq!(restored.blocks_found, u64::from(count));
}

#[test]
fn history_is_summed_in_steps_for_the_pool_and_for_a_worker() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let (store, _) = disk.open(&clock).expect("opens");
    let refused = ShareRow { reject: Some(1), reached: 1e9, ..share_row(1, START_MS + 299_999) };
    let best = ShareRow { reached: 99.0, ..share_row(2, START_MS + 299_999) };
    let rows =
        [share_row(1, START_MS), refused, best, share_row(1, START_MS + 300_000), share_row(1, START_MS + DAY_MS)];
    // One commit each, so that every bucket is continued.
    rows.iter().for_each(|row| commit(&store.writer(), shares(vec![*row])));

    let history = |worker: Option<u32>, seconds, step| {
        let (from, to) = (ms(START_MS), ms(START_MS + seconds * 1000));
        store.reader().history(worker.map(WorkerId), from, to, Duration::from_secs(step)).expect("a history")
    };
    for (step, sums) in [(100, &[1, 0, 1, 1][..]), (300, &[2, 1]), (600, &[3]), (86_400, &[3])] {
        let seconds = step * sums.len() as u64;
        assert_eq!(accepted(&history(None, seconds, step)), sums, "steps of {step} s");
    }
    assert_eq!(accepted(&history(None, 2 * 86_400, 86_400)), [3, 1]);
    assert_eq!(accepted(&history(Some(1), 600, 300)), [1, 1]);
    assert_eq!(accepted(&history(Some(1), 2 * 86_400, 86_400)), [2, 1]);
    assert_eq!(accepted(&history(Some(2), 400, 100)), [0, 0, 1, 0]);
    assert_eq!(accepted(&history(Some(3), 600, 300)), [0, 0]);
    let first = HistoryPoint { at: ms(START_MS), accepted: 2, accepted_difficulty: 32.0, rejected: 1, best: 99.0 };
    assert_eq!(history(None, 300, 300), [first]);
}

#[test]
fn questions_about_the_past_without_a_short_answer_are_refused() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let (store, _) = disk.open(&clock).expect("opens");
    let ask = |from, to, step_ms| store.reader().history(None, ms(from), ms(to), Duration::from_millis(step_ms));
    assert!(matches!(ask(5, 5, 1000), Err(StoreError::HistoryEmpty)));
    assert!(matches!(ask(0, 5, 999), Err(StoreError::HistoryEmpty)));
    assert!(matches!(ask(0, 10_001_000, 1000), Err(StoreError::HistoryPoints(10_001))));
    assert!(matches!(ask(0, u64::MAX, 300_000), Err(StoreError::HistoryPoints(_))));
    assert_eq!(ask(0, 10_000_000, 1000).map(|points| points.len()).expect("just allowed"), 10_000);
}

#[test]
fn sums_of_open_buckets_go_on_after_a_restart_and_take_late_shares() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let (mut store, _) = disk.open(&clock).expect("opens");
    for _restart in 0..3 {
        commit(&store.writer(), shares(vec![share_row(1, START_MS + 300_000), share_row(1, START_MS)]));
        commit(&store.writer(), shares(vec![share_row(1, START_MS)]));
        store = reopen(store, &disk, &clock).0;
    }
    for worker in [None, Some(WorkerId(1))] {
        let history = |to, step| {
            let points = store.reader().history(worker, ms(START_MS), ms(START_MS + to), Duration::from_secs(step));
            accepted(&points.expect("a history"))
        };
        assert_eq!(history(600_000, 300), [6, 3]);
        assert_eq!(history(600_000, 100), [6, 0, 0, 3, 0, 0]);
        assert_eq!(history(DAY_MS, 86_400), [9]);
    }
}

#[test]
fn what_is_too_old_goes_in_steps_and_nothing_else() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let store = open_with(&disk, &clock, |_| ());
    // More chunks than one step removes, each in a bucket of its own, and one of today.
    let old = START_MS - 30 * DAY_MS;
    let buckets = STORE_PRUNED_PER_STEP_MAX as u64 + 100;
    let mut rows: Vec<_> = (0..buckets).map(|n| share_row(1, old + n * 300_000)).collect();
    rows.extend(vec![share_row(1, START_MS); SHARE_ROWS_PER_CHUNK_MAX + 1]);
    clock.set_ms(old);
    store.writer().try_send(shares(rows)).expect("there is room");
    let (store, _) = reopen(store, &disk, &clock);
    let count = |from, days, step| {
        let points = store.reader().history(None, ms(from), ms(from + days * DAY_MS), Duration::from_secs(step));
        points.expect("a history").iter().map(|point| point.accepted).sum::<u64>()
    };
    assert_eq!(count(old, 3, 3600), buckets, "nothing is old yet");

    clock.set_ms(START_MS + 60_000);
    let (store, _) = reopen(store, &disk, &clock);
    let count = |from, days, step| {
        let points = store.reader().history(None, ms(from), ms(from + days * DAY_MS), Duration::from_secs(step));
        points.expect("a history").iter().map(|point| point.accepted).sum::<u64>()
    };
    wait_until("the end of the old five-minute sums", || count(old, 3, 3600) == 0);
    wait_until("the end of the old shares", || count(old, 1, 60) == 0 && count(old + DAY_MS, 1, 60) == 0);
    assert_eq!(count(old, 3, 86_400), buckets, "daily sums are kept for ever");
    let today = SHARE_ROWS_PER_CHUNK_MAX as u64 + 1;
    assert_eq!((count(START_MS, 1, 60), count(START_MS, 1, 300)), (today, today));
}

#[test]
fn saved_workers_over_the_caps_go_and_their_history_and_numbers_stay() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let (store, _) = disk.open(&clock).expect("opens");
    let row = |id: u32| WorkerRow {
        last_seen: ms(START_MS - DAY_MS * u64::from(10 - id)),
        ..worker_row(id, "bc1q", &id.to_string())
    };
    let mut batch = shares(vec![share_row(9, START_MS)]);
    batch.workers = [3, 2, 9, 1].map(row).to_vec();
    commit(&store.writer(), batch);
    store.close().expect("closes");

    let store = open_with(&disk, &clock, |options| options.saved_workers_per_user_max = 2);
    wait_until("the caps", || store.reader().worker(WorkerId(2)).expect("reads").is_none());
    let (store, restored) = reopen(store, &disk, &clock);
    let ids: Vec<_> = restored.workers.iter().map(|worker| worker.id.0).collect();
    assert_eq!((ids, restored.worker_id_max), (vec![3, 9], 9));
    let points = store.reader().history(Some(WorkerId(9)), ms(START_MS), ms(START_MS + 1), Duration::from_secs(300));
    assert_eq!(accepted(&points.expect("a history")), [1]);
}

#[test]
fn settings_change_vanish_and_have_a_bound() {
    let (disk, clock) = (Disk::default(), Clock::new());
    let (store, _) = disk.open(&clock).expect("opens");
    let (writer, reader) = (store.writer(), store.reader());
    for value in [Some("a"), Some("b"), None] {
        let before = writer.committed();
        writer.try_set("profile", value).expect("there is room");
        wait_until("the commit", || writer.committed() > before);
        assert_eq!(reader.setting("profile").expect("reads").as_deref(), value);
    }
    let long = "x".repeat(20_000);
    assert!(matches!(writer.try_set("profile", Some(&long)), Err(StoreError::SettingLength(_))));
}
