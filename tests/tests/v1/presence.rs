//! Who is there: what a snapshot and its events say of slow, silent and departed workers, and what a block would pay them.

use std::time::Duration;
use warppool_components::event::PoolEventKind;
use warppool_components::settings::{PayoutSettings, Settings};
use warppool_components::snapshot::WorkerSnapshot;
use warppool_components::worker::PresenceState;
use warppool_tests::pool::{Conn, Pool, authorize, settings};
use warppool_tests::work::{address, cut};

fn worker<'a>(pool: &'a Pool, label: &str) -> &'a WorkerSnapshot {
    let workers = &pool.snapshot.as_ref().expect("published").workers;
    workers.iter().find(|worker| &*worker.label == label).unwrap_or_else(|| panic!("{label} in {workers:?}"))
}

fn advance(pool: &mut Pool, seconds: u64) {
    pool.advance(Duration::from_secs(seconds));
}

/// One share each ten seconds.
fn mine(pool: &mut Pool, conn: Conn, user: &str, shares: u64) {
    for number in 0..shares {
        advance(pool, 10);
        let share = pool.miner(conn).search().extranonce2(number).hit();
        assert_eq!(pool.submit(conn, user, &share), Ok(()));
    }
}

/// Workers that came (`true`) and went, in the order in which it was told.
fn told(pool: &Pool) -> Vec<bool> {
    let news = pool.events.iter().filter_map(|event| match &event.kind {
        PoolEventKind::WorkerUp { .. } => Some(true),
        PoolEventKind::WorkerDown { .. } => Some(false),
        _ => None,
    });
    news.collect()
}

fn online(pool: &Pool) -> u32 {
    pool.snapshot.as_ref().expect("published").pool.workers_online
}

#[test]
fn a_nerdminer_without_a_share_is_connected_and_expected() {
    let mut pool = Pool::default().with_work();
    let user = format!("{}.nerd", address(1));
    let conn = pool.join_as("NerdMinerV2", &user, "x");
    advance(&mut pool, 2);
    let nerd = worker(&pool, &user);
    assert_eq!((nerd.presence, nerd.expected_share_seconds), (PresenceState::Waiting, Some(30.0)));
    assert!(nerd.quiet_seconds.is_some_and(|seconds| seconds < 3.0));
    // 300 kH/s at a difficulty far too hard: quarter of an hour without a share is nothing.
    advance(&mut pool, 900);
    let nerd = worker(&pool, &user);
    assert_eq!((nerd.presence, online(&pool), pool.closed(conn)), (PresenceState::Waiting, 1, None));
    assert!(nerd.expected_share_seconds.is_some_and(|seconds| seconds >= 900.0), "{nerd:?}");
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &user, &share), Ok(()));
    advance(&mut pool, 1);
    assert_eq!(worker(&pool, &user).presence, PresenceState::Mining);
    assert_eq!(told(&pool), [true]);
}

#[test]
fn a_miner_whose_silence_is_no_chance_is_offline_while_still_connected() {
    let mut pool = Pool::default().with_work();
    let user = format!("{}.rig", address(1));
    let conn = pool.join(&user, "d=1e-9");
    mine(&mut pool, conn, &user, 40);
    advance(&mut pool, 60);
    let rig = worker(&pool, &user);
    assert_eq!(rig.presence, PresenceState::Mining, "six expected intervals");
    assert!(rig.expected_share_seconds.is_some_and(|seconds| (seconds - 10.0).abs() < 0.5), "{rig:?}");
    advance(&mut pool, 60);
    assert_eq!((worker(&pool, &user).presence, online(&pool)), (PresenceState::Silent, 0));
    assert_eq!((pool.closed(conn), told(&pool)), (None, vec![true]), "not told before it is beyond doubt");
    advance(&mut pool, 300);
    assert_eq!(told(&pool), [true, false]);
    let share = pool.miner(conn).search().extranonce2(99).hit();
    assert_eq!(pool.submit(conn, &user, &share), Ok(()));
    advance(&mut pool, 1);
    assert_eq!((worker(&pool, &user).presence, online(&pool)), (PresenceState::Mining, 1));
    assert_eq!(told(&pool), [true, false, true]);
}

#[test]
fn a_reconnect_is_no_news() {
    let mut pool = Pool::default().with_work();
    let user = address(1);
    for _ in 0..4 {
        let conn = pool.join(&user, "x");
        advance(&mut pool, 40);
        pool.hang_up(conn);
        advance(&mut pool, 5);
        assert_eq!((worker(&pool, &user).presence, online(&pool)), (PresenceState::Disconnected, 0));
    }
    assert_eq!(told(&pool), [true]);
    advance(&mut pool, 31);
    assert_eq!(told(&pool), [true, false]);
}

#[test]
fn the_first_share_on_a_new_tip_is_timed() {
    let mut pool = Pool::default().with_work();
    let (user, late_user) = (format!("{}.rig", address(1)), format!("{}.late", address(1)));
    let conn = pool.join(&user, "d=1e-9");
    mine(&mut pool, conn, &user, 3);
    assert_eq!(worker(&pool, &user).tip_latency, None, "it was not there when the first tip came");
    pool.new_tip();
    let late = pool.join(&late_user, "d=1e-9");
    advance(&mut pool, 7);
    for (conn, user) in [(conn, &user), (late, &late_user), (conn, &user)] {
        let number = pool.shares.len() as u64 + 50;
        let share = pool.miner(conn).search().extranonce2(number).hit();
        assert_eq!(pool.submit(conn, user, &share), Ok(()));
        advance(&mut pool, 2);
    }
    let latency = worker(&pool, &user).tip_latency.expect("timed");
    assert_eq!((latency.last_seconds, latency.mean_seconds), (7.0, 7.0));
    assert_eq!(worker(&pool, &late_user).tip_latency, None);
    let histogram = &pool.snapshot.as_ref().expect("published").pool.tip_to_first_share_seconds;
    assert_eq!((histogram.counts.iter().sum::<u64>(), histogram.sum), (1, 7.0));
    let place = histogram.bounds.iter().position(|bound| *bound == 10.0).expect("a bound");
    assert_eq!(histogram.counts[place], 1, "{histogram:?}");
}

#[test]
fn workers_of_one_connection_are_told_whom_a_block_really_pays() {
    let payout = PayoutSettings { fee: Some(cut(&address(9), 150)), ..settings().payout };
    let mut pool = Pool::new(Settings { payout, ..settings() }, 7).with_work();
    let (first, second, own) = (address(1), address(2), address(3));
    let conn = pool.join(&first, "x");
    pool.ask(conn, &authorize(3, &second, "x"));
    pool.join(&own, "x");
    advance(&mut pool, 1);
    let value = pool.snapshot.as_ref().and_then(|snapshot| snapshot.job.as_ref()).expect("a job").coinbase_value.0;
    for (label, paid) in [(&first, &first), (&second, &first), (&own, &own)] {
        let outputs = &worker(&pool, label).outputs;
        let to = |role: &str| outputs.iter().find(|output| output.role == role).expect(role);
        assert_eq!(&*to("miner").address, paid, "{label}");
        assert_eq!((to("fee").value.0, to("miner").value.0), (value * 15 / 1000, value - value * 15 / 1000));
    }
}
