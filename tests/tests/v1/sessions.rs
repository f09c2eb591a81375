//! Rule 27, usernames, several workers on one connection, sessions that come back, hang-ups, sums.

use std::time::Duration;
use warppool_components::event::PoolEventKind;
use warppool_components::inbox::Command;
use warppool_components::record::{Restored, WorkerRow};
use warppool_components::reject::Reject;
use warppool_components::settings::{Payee, PayoutSettings, Settings};
use warppool_components::snapshot::WorkerSnapshot;
use warppool_tests::pool::{Pool, authorize, settings};
use warppool_tests::work::{EASY_BITS, address, script, taproot_address, with_bits};

fn worker<'a>(pool: &'a Pool, label: &str) -> &'a WorkerSnapshot {
    let workers = &pool.snapshot.as_ref().expect("published").workers;
    workers.iter().find(|worker| &*worker.label == label).unwrap_or_else(|| panic!("{label} in {workers:?}"))
}

fn publish(pool: &mut Pool) {
    pool.advance(Duration::from_secs(1));
}

/// Rule 27.
#[test]
fn rule_27_a_share_credits_its_own_worker_when_the_address_is_the_same() {
    let mut pool = Pool::default().with_work();
    let (user, other) = (format!("{}.one", address(1)), format!("{}.two", address(1)));
    let stranger = format!("{}.three", address(2));
    let conn = pool.join(&user, "d=1e-10");
    for (number, name) in [&user, &other, &other, &stranger, &"bob".to_owned(), &String::new()].into_iter().enumerate()
    {
        let share = pool.miner(conn).search().extranonce2(number as u64).hit();
        assert_eq!(pool.submit(conn, name, &share), Ok(()), "{name}");
    }
    publish(&mut pool);
    assert_eq!(worker(&pool, &user).accepted, 4, "its own and those of strangers");
    assert_eq!(worker(&pool, &other).accepted, 2);
    assert_eq!(pool.snapshot.as_ref().expect("published").workers.len(), 2, "a stranger becomes no worker");
    assert_eq!((worker(&pool, &user).connections, worker(&pool, &other).connections), (1, 1));
    pool.hang_up(conn);
    publish(&mut pool);
    assert_eq!((worker(&pool, &user).connections, worker(&pool, &other).connections), (0, 0));
}

#[test]
fn usernames_name_who_is_paid_or_are_refused_in_words() {
    let long = format!("{}.{}", taproot_address(1), "w".repeat(32));
    for (user, label) in [
        (address(1), address(1)),
        (format!("{}.rig.1", address(1)), format!("{}.rig.1", address(1))),
        (format!("{}_rig", address(1)), format!("{}.rig", address(1))),
        (long.clone(), long),
    ] {
        let mut pool = Pool::default().with_work();
        pool.join(&user, "x");
        publish(&mut pool);
        let worker = worker(&pool, &label);
        let paid = worker.outputs.iter().find(|output| output.role == "miner").expect("paid");
        assert_eq!(*paid.script, *script(&worker.address).as_bytes(), "{user}");
    }
    for (user, said) in [
        ("", "empty"),
        ("bob", "no Bitcoin address"),
        ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq.rig", "regtest"),
        ("bcrt1qqyqszqgpqyqszqgpqyqszqgpqyqszqgpvxat9u.rig", "no Bitcoin address"),
    ] {
        let mut pool = Pool::default().with_work();
        let conn = pool.connect();
        let lines = pool.ask(conn, &authorize(2, user, "x"));
        assert!(lines.len() == 1 && lines[0].starts_with(r#"{"id":2,"result":false,"error":[24,"#), "{lines:?}");
        assert!(lines[0].contains(said), "{user}: {lines:?}");
        assert_eq!(pool.closed(conn), None, "refused, not thrown out");
    }
}

#[test]
fn without_an_address_the_operators_is_paid_when_he_says_so() {
    let fallback = Payee { address: address(9).into(), script: script(&address(9)).as_bytes().into() };
    let payout = PayoutSettings { fallback: Some(fallback), ..settings().payout };
    let mut pool = Pool::new(Settings { payout, ..settings() }, 7).with_work();
    let conn = pool.join("bob.rig", "d=1e-10");
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, "bob.rig", &share), Ok(()));
    publish(&mut pool);
    assert_eq!(*worker(&pool, "bob.rig").outputs[0].script, *script(&address(9)).as_bytes());
}

/// Defect 21: a taproot address of 64 characters on this network (62 on mainnet) with a name of 32; and what firmware makes
/// of it that cuts names at 63.
#[test]
fn defect_21_long_names_are_fine_and_a_cut_one_is_told_what_happened_to_it() {
    let user = format!("{}.{}", taproot_address(1), "w".repeat(32));
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&user, "d=1e-9");
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &user, &share), Ok(()));
    publish(&mut pool);
    assert_eq!(worker(&pool, &user).accepted, 1);
    let cut = pool.connect();
    let lines = pool.ask(cut, &authorize(7, &user[..63], "x"));
    assert!(lines.len() == 1 && lines[0].starts_with(r#"{"id":7,"result":false,"error":[24,"#), "{lines:?}");
    assert!(lines[0].contains("63 characters") && lines[0].contains("alias"), "{lines:?}");
    let lines = pool.ask(cut, &authorize(8, &user[..62], "x"));
    assert!(lines[0].contains("no Bitcoin address") && !lines[0].contains("63 characters"), "{lines:?}");
}

/// Defect 25.
#[test]
fn defect_25_a_failed_second_authorize_leaves_the_first() {
    let mut pool = Pool::default().with_work();
    let user = address(1);
    let conn = pool.join(&user, "d=1e-10");
    let lines = pool.ask(conn, &authorize(3, "nobody", "d=1024"));
    assert!(lines.len() == 1 && lines[0].contains("false"), "{lines:?}");
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &user, &share), Ok(()));
    pool.new_tip();
    assert!(pool.miner(conn).job().difficulty < 1e-9, "the refused password pins nothing");
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &user, &share), Ok(()));
}

/// Defect 31.
#[test]
fn defect_31_three_authorizes_on_one_connection_and_gauges_that_return_to_zero() {
    let mut pool = Pool::default().with_work();
    let users: Vec<String> = (1..=3).map(|number| format!("{}.rig{number}", address(number))).collect();
    let conn = pool.join(&users[0], "d=1e-10");
    let second = pool.join(&users[0], "x");
    for (id, user) in [(3, &users[1]), (4, &users[2]), (5, &users[1])] {
        let lines = pool.ask(conn, &authorize(id, user, "x"));
        assert_eq!(lines, [format!("{{\"id\":{id},\"result\":true,\"error\":null}}")], "no second job either");
    }
    // Another spelling of the first one is no second connection of it.
    pool.ask(conn, &authorize(6, &users[0].replace('.', "_"), "x"));
    for (number, user) in users.iter().enumerate() {
        let share = pool.miner(conn).search().extranonce2(number as u64).hit();
        assert_eq!(pool.submit(conn, user, &share), Ok(()));
    }
    publish(&mut pool);
    let gauges = |pool: &Pool| {
        let counts: Vec<u32> = users.iter().map(|user| worker(pool, user).connections).collect();
        let totals = &pool.snapshot.as_ref().expect("published").pool;
        (counts, totals.connections_v1, totals.workers_online)
    };
    assert_eq!(gauges(&pool), (vec![2, 1, 1], 2, 3));
    assert!(users.iter().all(|user| worker(&pool, user).accepted == 1));
    pool.hang_up(conn);
    publish(&mut pool);
    assert_eq!(gauges(&pool), (vec![1, 0, 0], 1, 1));
    pool.hang_up(second);
    // A second hang-up of the same connection changes nothing.
    pool.hang_up(second);
    publish(&mut pool);
    assert_eq!(gauges(&pool), (vec![0, 0, 0], 0, 0));
    // People are told when nobody has come back for a while.
    pool.advance(Duration::from_secs(31));
    let count = |wanted: fn(&PoolEventKind) -> bool| pool.events.iter().filter(|event| wanted(&event.kind)).count();
    assert_eq!(count(|kind| matches!(kind, PoolEventKind::WorkerUp { .. })), 3);
    assert_eq!(count(|kind| matches!(kind, PoolEventKind::WorkerDown { .. })), 3);
}

/// A farm has more rigs on its address than are remembered when they are gone; one that restarts is still the same.
#[test]
fn a_worker_beyond_the_caps_that_comes_back_is_the_same() {
    let caps = Settings { saved_workers_per_user_max: 1, saved_workers_total_max: 1, ..settings() };
    let mut pool = Pool::new(caps, 7).with_work();
    let users: Vec<String> = (1..=3).map(|number| format!("{}.rig{number}", address(1))).collect();
    let conns: Vec<_> = users.iter().map(|user| pool.join(user, "d=1e-10")).collect();
    let share = pool.miner(conns[2]).search().hit();
    assert_eq!(pool.submit(conns[2], &users[2], &share), Ok(()));
    publish(&mut pool);
    let before = worker(&pool, &users[2]).id;
    pool.hang_up(conns[2]);
    pool.advance(Duration::from_secs(300));
    pool.join(&users[2], "d=1e-10");
    publish(&mut pool);
    assert_eq!((worker(&pool, &users[2]).id, worker(&pool, &users[2]).accepted), (before, 1));
}

/// A connection may have a thousand workers, so telling each what the miner is must not be had by repeating a request.
#[test]
fn what_a_miner_is_it_says_once() {
    let mut pool = Pool::default().with_work();
    let conn = pool.connect();
    pool.send(conn, &[&authorize(1, &address(1), "x")]);
    for (agent, expected) in [("", ""), ("bitaxe/2", "bitaxe/2"), ("nicehash/1", "bitaxe/2"), ("", "bitaxe/2")] {
        pool.send(conn, &[&format!(r#"{{"id":2,"method":"mining.subscribe","params":["{agent}"]}}"#)]);
        publish(&mut pool);
        assert_eq!(&*worker(&pool, &address(1)).user_agent, expected, "{agent}");
    }
}

/// Defect 16.
#[test]
fn defect_16_the_last_share_counts_although_the_miner_has_hung_up() {
    let mut pool = Pool::default();
    let template = pool.next_tip();
    pool.template(with_bits(template, EASY_BITS));
    let user = address(1);
    let conn = pool.join(&user, "d=1e-9");
    let share = pool.miner(conn).search().hit();
    pool.push_line(conn, &share.line(9, &user));
    pool.push_hang_up(conn);
    pool.tick();
    assert_eq!(pool.blocks.len(), 1);
    assert_eq!(pool.blocks[0].hash.to_string(), share.hash);
    assert_eq!(&*pool.blocks[0].worker_label, user);
    publish(&mut pool);
    assert_eq!((worker(&pool, &user).accepted, worker(&pool, &user).connections), (1, 0));
}

/// A whole life in one segment: open, subscribe, authorize, hang up.
#[test]
fn a_connection_may_come_and_go_in_one_tick() {
    let mut pool = Pool::default().with_work();
    let conn = pool.push_open();
    pool.push_line(conn, r#"{"id":1,"method":"mining.subscribe"}"#);
    pool.push_line(conn, &authorize(2, &address(1), "x"));
    pool.push_hang_up(conn);
    pool.tick();
    publish(&mut pool);
    assert_eq!(worker(&pool, &address(1)).connections, 0);
    assert_eq!(pool.snapshot.as_ref().expect("published").pool.connections_v1, 0);
}

/// The cgminer lineage: the session's extranonce comes back, and shares found meanwhile are still good.
#[test]
fn a_session_is_resumed_within_ten_minutes() {
    let mut pool = Pool::default().with_work();
    let user = address(1);
    let conn = pool.join(&user, "d=1e-10");
    let (session, extranonce1) = (pool.miner(conn).session.clone(), pool.miner(conn).extranonce1.clone());
    let pending = pool.miner(conn).search().extranonce2(7).hit();
    let sent = pool.miner(conn).search().extranonce2(8).hit();
    assert_eq!(pool.submit(conn, &user, &sent), Ok(()));
    let subscribe = format!(r#"{{"id":1,"method":"mining.subscribe","params":["cgminer/4.12","{session}"]}}"#);
    let rival = pool.connect();
    pool.send(rival, &[&subscribe]);
    assert_ne!(pool.miner(rival).extranonce1, extranonce1, "a live session is nobody else's");
    pool.hang_up(conn);
    pool.advance(Duration::from_secs(595));
    let again = pool.connect();
    pool.send(again, &[&subscribe]);
    pool.send(again, &[&authorize(2, &user, "d=1e-10")]);
    assert_eq!((&pool.miner(again).session, &pool.miner(again).extranonce1), (&session, &extranonce1));
    let share = pool.miner(again).search().hit();
    assert_eq!(pool.submit(again, &user, &share), Ok(()));
    assert_eq!(pool.submit(again, &user, &pending), Ok(()), "a share of the time before");
    let duplicate = Err((22, "Duplicate share".to_owned()));
    assert_eq!(pool.submit(again, &user, &sent), duplicate, "and nothing is credited twice");
    pool.hang_up(again);
    pool.advance(Duration::from_secs(605));
    let late = pool.connect();
    pool.send(late, &[&subscribe]);
    assert_ne!(pool.miner(late).extranonce1, extranonce1, "too late");
    assert!(!pool.miner(late).extranonce1.is_empty(), "but served");
}

#[test]
fn what_is_no_session_gets_a_new_one() {
    let mut pool = Pool::default();
    for session in ["null", "\"\"", "\"ffffffffffffffff\"", "\"x\"", "7", "\"00000000\""] {
        let conn = pool.connect();
        let lines = pool.ask(conn, &format!(r#"{{"id":1,"method":"mining.subscribe","params":["a",{session}]}}"#));
        assert!(lines[0].contains("mining.notify"), "{lines:?}");
    }
}

/// Defect 36: what miners were told, the store, the workers and the pool agree.
#[test]
fn defect_36_all_sums_are_equal() {
    let mut pool = Pool::default().with_work();
    let users: Vec<String> = (1..=3).map(|number| format!("{}.rig", address(number))).collect();
    let conns: Vec<_> = users.iter().map(|user| pool.join(user, "d=1e-9")).collect();
    let (mut told, mut refusals) = (0u64, 0u64);
    for round in 0..30 {
        for (conn, user) in conns.iter().zip(&users) {
            let search = pool.miner(*conn).search().extranonce2(round);
            let share = if round % 3 == 0 { search.miss() } else { search.hit() };
            match pool.submit(*conn, user, &share) {
                Ok(()) => told += 1,
                Err(_) => refusals += 1,
            }
        }
        pool.advance(Duration::from_secs(7));
        if round == 15 {
            pool.new_tip();
        }
    }
    conns.iter().for_each(|conn| pool.hang_up(*conn));
    pool.command(Command::Shutdown);
    assert_eq!((told, refusals), (60, 30));
    let snapshot = pool.snapshot.as_ref().expect("published").clone();
    let rejected = |counts: &[u64; Reject::COUNT]| counts.iter().sum::<u64>();
    let rows = pool.shares.iter().filter(|row| row.reject.is_none());
    assert_eq!(rows.clone().count() as u64, told);
    assert_eq!(pool.shares.len() as u64, told + refusals);
    assert_eq!((snapshot.pool.accepted, rejected(&snapshot.pool.rejected)), (told, refusals));
    let close = |one: f64, other: f64| (one - other).abs() < 1e-15;
    let credited: f64 = rows.clone().map(|row| row.difficulty).sum();
    assert!(close(credited, snapshot.pool.accepted_difficulty) && close(credited, told as f64 * 1e-9));
    for worker in &snapshot.workers {
        let row: &WorkerRow = pool.workers.iter().rev().find(|row| row.id == worker.id).expect("stored");
        let own = rows.clone().filter(|row| row.worker == worker.id);
        assert_eq!((row.accepted, worker.accepted, own.clone().count()), (20, 20, 20));
        assert_eq!((rejected(&row.rejected), rejected(&worker.rejected)), (10, 10));
        assert!(close(row.accepted_difficulty, own.clone().map(|row| row.difficulty).sum()));
        assert!(close(row.accepted_difficulty, worker.accepted_difficulty));
        let best = own.map(|row| row.reached).fold(0.0, f64::max);
        assert_eq!((row.best_ever, worker.best_ever), (best, best));
    }
    let sum = |get: fn(&PoolEventKind) -> u64| pool.events.iter().map(|event| get(&event.kind)).sum::<u64>();
    assert_eq!(sum(|kind| if let PoolEventKind::SharesAccepted { accepted, .. } = kind { *accepted } else { 0 }), told);

    // A restart goes on from the same sums.
    let workers = snapshot.workers.iter().map(|it| pool.workers.iter().rev().find(|row| row.id == it.id));
    let restored =
        Restored { workers: workers.map(|row| row.expect("stored").clone()).collect(), ..Restored::default() };
    let saved = pool.totals.expect("stored");
    assert_eq!((saved.accepted, rejected(&saved.rejected)), (told, refusals));
    assert_eq!(
        (saved.accepted_difficulty, saved.best_ever),
        (snapshot.pool.accepted_difficulty, snapshot.pool.best_ever)
    );
    let mut pool = Pool::restored(settings(), 8, restored.clone()).with_work();
    let conn = pool.join(&users[0], "d=1e-9");
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &users[0], &share), Ok(()));
    publish(&mut pool);
    let totals = &pool.snapshot.as_ref().expect("published").pool;
    assert_eq!((totals.accepted, rejected(&totals.rejected), worker(&pool, &users[0]).accepted), (61, 30, 21));

    // The pool's own sums do not depend on which workers are remembered.
    let alone = Restored { workers: restored.workers[..1].to_vec(), totals: Some(saved), ..restored };
    let mut pool = Pool::restored(settings(), 9, alone);
    publish(&mut pool);
    let totals = &pool.snapshot.as_ref().expect("published").pool;
    assert_eq!((totals.accepted, rejected(&totals.rejected)), (told, refusals));
    assert_eq!((totals.accepted_difficulty, totals.best_ever), (saved.accepted_difficulty, saved.best_ever));
}

/// State of vardiff comes back with the worker: the precedence of the starting difficulty.
#[test]
fn a_worker_starts_where_it_settled() {
    let mut pool = Pool::default().with_work();
    let user = address(1);
    let conn = pool.join(&user, "x");
    for share in pool.miner(conn).search().hits(42) {
        pool.advance(Duration::from_secs(1));
        pool.submit(conn, &user, &share).expect("good");
    }
    let settled = pool.miner(conn).difficulty.expect("told");
    assert!(settled > 1e-9);
    pool.hang_up(conn);
    publish(&mut pool);
    let again = pool.join(&user, "x");
    assert_eq!(pool.miner(again).difficulty, Some(settled));
    let pinned = pool.join(&user, "d=2");
    assert_eq!(pool.miner(pinned).difficulty, Some(2.0), "a pin comes before what is stored");
    let row = pool.workers.last().expect("stored").clone();
    let mut pool = Pool::restored(settings(), 8, Restored { workers: vec![row], ..Restored::default() }).with_work();
    let conn = pool.join_as("bitaxe", &user, "x");
    assert_eq!(pool.miner(conn).difficulty, Some(settled), "and outlives a restart");
    let fresh = pool.join_as("bitaxe", &address(2), "x");
    assert_eq!(pool.miner(fresh).difficulty, Some(1024.0), "its class decides for a new worker");
}

/// Anybody can authorize under any name; what is remembered of those that left is bounded.
#[test]
fn workers_that_left_are_remembered_up_to_the_caps_the_latest_first() {
    let caps = Settings { saved_workers_per_user_max: 3, saved_workers_total_max: 4, ..settings() };
    let mut pool = Pool::new(caps, 7).with_work();
    let here = pool.join(&format!("{}.here", address(1)), "x");
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        for owner in [1, 2] {
            let conn = pool.join(&format!("{}.{name}", address(owner)), "x");
            pool.advance(Duration::from_secs(1 + number as u64));
            pool.hang_up(conn);
        }
    }
    pool.advance(Duration::from_secs(3));
    let known = |pool: &Pool| pool.snapshot.as_ref().expect("published").workers.len();
    assert_eq!(known(&pool), 9, "who left just now may be back in a moment");
    pool.advance(Duration::from_secs(700));
    let workers = &pool.snapshot.as_ref().expect("published").workers;
    let mut labels: Vec<String> = workers.iter().map(|worker| worker.label.to_string()).collect();
    labels.sort();
    let mut expected = vec![
        format!("{}.here", address(1)),
        format!("{}.d", address(1)),
        format!("{}.c", address(2)),
        format!("{}.d", address(2)),
    ];
    expected.sort();
    assert_eq!(labels, expected, "the one that is here, and of the others the latest");
    assert_eq!(pool.closed(here), None);
}
