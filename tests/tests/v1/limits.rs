//! What one connection or one address may do, and that the others do not notice.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use warppool_components::connection::CloseReason;
use warppool_components::inbox::Command;
use warppool_components::limits::{
    INVALID_LINES_UNTIL_CHEAP, INVALID_LINES_UNTIL_CLOSED, LINES_PER_CONNECTION_PER_TICK_MAX,
    PAYEES_LINGERING_PER_ADDRESS_MAX, SHARE_HASHES_PER_CONNECTION_MAX, WORKERS_PER_CONNECTION_MAX,
    WORKERS_PICTURED_PER_TICK,
};
use warppool_components::reject::Reject;
use warppool_components::settings::Settings;
use warppool_components::snapshot::WorkerSnapshot;
use warppool_systems::payees::Payees;
use warppool_systems::resources::WorkerIndex;
use warppool_tests::miner::Share;
use warppool_tests::pool::{Conn, Pool, authorize, difficulty, settings};
use warppool_tests::work::{address, with_bits};

/// Every hash is a share.
const EASIEST: &str = "d=1e-12";

fn elsewhere() -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))
}

/// The names that are refused when `names` are authorized on one connection at once.
fn refused(pool: &mut Pool, conn: Conn, names: std::ops::Range<u32>) -> usize {
    let lines: Vec<String> = names.map(|number| authorize(9, &format!("{}.w{number}", address(1)), "x")).collect();
    pool.send(conn, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    let answers = pool.take(conn);
    let is_refusal = |line: &&String| line.contains("\"result\":false") && line.contains("too often");
    answers.iter().filter(is_refusal).count()
}

#[test]
fn authorizes_over_the_rate_are_answered_false_and_the_connection_stays() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&address(1), EASIEST);
    assert_eq!(refused(&mut pool, conn, 0..30), 0, "the burst");
    assert_eq!(refused(&mut pool, conn, 30..130), 100);
    assert_eq!(refused(&mut pool, conn, 0..30), 0, "known names cost nothing");
    // The address has used up what it has, on other connections too. The first one of each is paid for by its connect.
    let mut other = pool.join(&format!("{}.other", address(1)), EASIEST);
    assert_eq!(refused(&mut pool, other, 200..201), 1);
    let mut far = pool.connect_from(elsewhere());
    assert_eq!(refused(&mut pool, far, 300..331), 0);
    pool.advance(Duration::from_secs(5));
    assert_eq!(refused(&mut pool, conn, 30..40), 5, "one a second");
    for conn in [&mut other, &mut far] {
        assert_eq!(pool.closed(*conn), None);
    }
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &address(1), &share), Ok(()), "and mines on");

    let unlimited = Settings { rate_limits: None, ..settings() };
    pool.command(Command::Reload(Box::new(unlimited)));
    assert_eq!(refused(&mut pool, conn, 1000..1200), 0, "switched off by a reload");
}

/// A farm comes back: no authorize is refused, whatever the order.
#[test]
fn a_thousand_miners_of_one_address_authorize_at_once() {
    let mut pool = Pool::default().with_work();
    let conns: Vec<Conn> = (0..1000).map(|_| pool.push_open()).collect();
    for (number, conn) in conns.iter().enumerate() {
        pool.push_line(*conn, r#"{"id":1,"method":"mining.subscribe","params":["farm"]}"#);
        pool.push_line(*conn, &authorize(2, &format!("{}.rig{number}", address(1)), EASIEST));
    }
    pool.tick();
    for conn in &conns {
        assert!(pool.take(*conn).contains(&r#"{"id":2,"result":true,"error":null}"#.to_owned()));
    }
    let share = pool.miner(conns[999]).search().hit();
    assert_eq!(pool.submit(conns[999], &format!("{}.rig999", address(1)), &share), Ok(()));
}

#[test]
fn new_names_in_shares_are_bounded_and_their_shares_credited_all_the_same() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&address(1), EASIEST);
    let before = pool.world().resource::<WorkerIndex>().by_label.len();
    for number in 0..200 {
        let share = pool.miner(conn).search().extranonce2(number).hit();
        assert_eq!(pool.submit(conn, &format!("{}.w{number}", address(1)), &share), Ok(()));
    }
    let after = pool.world().resource::<WorkerIndex>().by_label.len();
    assert_eq!(after - before, 31, "one for the connection and the burst of its address");
    pool.advance(Duration::from_secs(10));
    assert_eq!(pool.snapshot.as_ref().expect("published").pool.accepted, 200);
    let share = pool.miner(conn).search().extranonce2(200).hit();
    assert_eq!(pool.submit(conn, &format!("{}.w199", address(1)), &share), Ok(()));
    assert_eq!(pool.world().resource::<WorkerIndex>().by_label.len(), after + 1, "later it is known");
}

#[test]
fn a_connection_carries_a_bounded_number_of_names() {
    let mut pool = Pool::new(Settings { rate_limits: None, ..settings() }, 7).with_work();
    let conn = pool.join(&address(1), EASIEST);
    for number in 0..WORKERS_PER_CONNECTION_MAX + 50 {
        let share = pool.miner(conn).search().extranonce2(number as u64).hit();
        assert_eq!(pool.submit(conn, &format!("{}.w{number}", address(1)), &share), Ok(()));
    }
    assert_eq!(pool.world().resource::<WorkerIndex>().by_label.len(), WORKERS_PER_CONNECTION_MAX);
}

/// Addresses that were used once are not kept for the ten minutes that jobs live.
#[test]
fn an_address_that_names_ever_new_payees_holds_a_bounded_number() {
    let mut pool = Pool::default().with_work();
    let other = pool.join(&address(250), EASIEST);
    for number in 0..200 {
        let conn = pool.connect_from(elsewhere());
        pool.send(conn, &[r#"{"id":1,"method":"mining.subscribe","params":[]}"#, &authorize(2, &address(number), "x")]);
        assert!(!pool.miner(conn).jobs.is_empty());
        pool.hang_up(conn);
    }
    let payees = pool.world().resource::<Payees>().len();
    assert!(payees <= PAYEES_LINGERING_PER_ADDRESS_MAX + 2, "{payees}");
    // Indexes that were given anew judge nobody's share with another's coinbase, nor pay another.
    let share = pool.miner(other).search().hit();
    assert_eq!(pool.submit(other, &address(250), &share), Ok(()));
    let conn = pool.join(&address(0), EASIEST);
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &address(0), &share), Ok(()));
    // One that just left and comes back finds its work still good.
    let session = pool.miner(conn).session.clone();
    let share = pool.miner(conn).search().extranonce2(1).hit();
    pool.hang_up(conn);
    let conn = pool.connect();
    pool.send(conn, &[&format!(r#"{{"id":1,"method":"mining.subscribe","params":["cgminer","{session}"]}}"#)]);
    pool.send(conn, &[&authorize(2, &address(0), EASIEST)]);
    pool.take(conn);
    assert_eq!(pool.submit(conn, &address(0), &share), Ok(()));
}

/// A large machine with a tiny `d=`: its difficulty rises, and says so, at most a few seconds later.
#[test]
fn a_pinned_difficulty_gives_way_to_a_flood() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&address(1), "d=1e-9");
    let quiet = pool.join(&address(2), "d=1e-9");
    let pinned = pool.miner(conn).difficulty;
    for number in 0..300 {
        pool.advance(Duration::from_millis(10));
        let share = pool.miner(conn).search().extranonce2(number).hit();
        assert_eq!(pool.submit(conn, &address(1), &share), Ok(()), "no share is refused for it");
        if number % 20 == 0 {
            let share = pool.miner(quiet).search().extranonce2(number).hit();
            assert_eq!(pool.submit(quiet, &address(2), &share), Ok(()));
        }
    }
    let raised = pool.miner(conn).difficulty.expect("told");
    assert!(raised > 60.0 * 1e-9, "some 100 shares a second become some one: {raised}");
    assert_eq!(pool.miner(quiet).difficulty, pinned, "5 a second are bearable");
    let jobs = pool.miner(quiet).jobs.len();
    // It cannot be pinned back.
    pool.send(conn, &[&authorize(9, &address(1), "d=1e-9"), &authorize(10, &address(1), "d=1e-9,md=1e-12")]);
    assert_eq!(pool.miner(conn).difficulty, Some(raised));
    pool.advance(Duration::from_secs(31));
    assert_eq!(pool.miner(conn).job().difficulty, raised, "it governs the next job");
    assert_eq!(pool.miner(quiet).jobs.len(), jobs + 1);
}

/// One connection cannot make the pool send everybody a new job, nor fill a job for others.
#[test]
fn a_flood_of_good_shares_is_its_senders_own_affair() {
    let mut pool = Pool::new(easiest(), 7).with_work();
    let conn = pool.join(&address(1), EASIEST);
    let other = pool.join(&address(2), EASIEST);
    let jobs = pool.miner(other).jobs.len();
    let share = pool.miner(conn).search().hit();
    let mut accepted = 0;
    let mut refusals = 0;
    let mut number = 0_u64;
    while refusals == 0 {
        for _ in 0..LINES_PER_CONNECTION_PER_TICK_MAX * 16 {
            number += 1;
            let share = Share { extranonce2: format!("{number:016x}"), ..share.clone() };
            pool.push_line(conn, &share.line(number, &address(1)));
        }
        pool.tick();
        let answers = pool.take(conn);
        let good = answers.iter().filter(|line| line.contains("\"result\":true")).count();
        accepted += good;
        refusals += answers.len() - good;
    }
    assert_eq!(accepted, SHARE_HASHES_PER_CONNECTION_MAX as usize);
    let refused = pool.snapshot.as_ref().map_or(0, |snapshot| snapshot.pool.rejected[Reject::JobExhausted.index()]);
    assert!(refused as usize <= refusals);
    let share = pool.miner(other).search().hit();
    assert_eq!(pool.submit(other, &address(2), &share), Ok(()));
    assert_eq!(pool.miner(other).jobs.len(), jobs, "no job but those that were due");
    assert_eq!(pool.closed(conn), None, "a full job is not the miner's fault");
    pool.advance(Duration::from_secs(31));
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &address(1), &share), Ok(()), "the next job has room");
}

/// Difficulty is never changed, and every hash is a share.
fn easiest() -> Settings {
    let mut settings = settings();
    settings.vardiff.enabled = false;
    settings.vardiff.initial = difficulty(1e-12);
    settings
}

#[test]
fn refused_shares_are_stored_as_numbers() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&address(1), "d=4");
    let miss = pool.miner(conn).search().miss();
    let unknown = Share { job: "ffff".to_owned(), ..miss.clone() };
    for number in 0..1000_u64 {
        pool.push_line(conn, &miss.line(number, &address(1)));
        pool.push_line(conn, &unknown.line(number, &address(1)));
    }
    pool.tick();
    pool.advance(Duration::from_secs(1));
    let counts: Vec<_> = pool.shares.iter().map(|row| (row.reject, row.count)).collect();
    let expected = |reject: Reject| (Some(reject.index() as u8), 1000);
    assert_eq!(counts, [expected(Reject::UnknownJob), expected(Reject::LowDifficulty)]);
    assert_eq!(pool.workers.last().expect("stored").rejected.iter().sum::<u64>(), 2000);
}

/// Shares of nobody's job, text that is no request, authorizes without end.
#[test]
fn a_flood_of_invalid_lines_is_answered_and_then_ended() {
    type Line = fn(u64) -> String;
    let floods: [(&str, Line); 4] = [
        ("an unknown job", |n| {
            format!(r#"{{"id":{n},"method":"mining.submit","params":["{}","ffff","{n:016x}","0","0"]}}"#, address(1))
        }),
        ("malformed shares", |n| format!(r#"{{"id":{n},"method":"mining.submit","params":[1]}}"#)),
        ("noise", |n| format!("\u{1}\u{2}noise {n}")),
        ("authorizes", |n| authorize(n, &format!("{}.w{n}", address(1)), "x")),
    ];
    for (what, line) in floods {
        let mut pool = Pool::default().with_work();
        let good = pool.join(&address(2), EASIEST);
        let conn = pool.connect_from(elsewhere());
        pool.send(conn, &[r#"{"id":1,"method":"mining.subscribe","params":[]}"#, &authorize(2, &address(1), EASIEST)]);
        pool.take(conn);
        let mut sent = 0;
        while pool.closed(conn).is_none() {
            for _ in 0..LINES_PER_CONNECTION_PER_TICK_MAX {
                sent += 1;
                pool.push_line(conn, &line(sent));
            }
            pool.tick();
            assert_eq!(pool.take(conn).len(), LINES_PER_CONNECTION_PER_TICK_MAX, "{what}: every line is answered");
            assert!(sent < 2 * u64::from(INVALID_LINES_UNTIL_CLOSED), "{what}");
            pool.advance(Duration::from_millis(200));
        }
        assert!(sent >= u64::from(INVALID_LINES_UNTIL_CLOSED), "{what}: {sent}");
        assert_eq!(pool.closed(conn), Some(CloseReason::InvalidLines), "{what}");
        let share = pool.miner(good).search().hit();
        assert_eq!(pool.submit(good, &address(2), &share), Ok(()));
        // It may come back, and be good.
        let conn = pool.join(&address(1), EASIEST);
        let share = pool.miner(conn).search().hit();
        assert_eq!(pool.submit(conn, &address(1), &share), Ok(()));
    }
}

#[test]
fn a_block_in_a_flood_of_invalid_shares_is_found() {
    let mut pool = Pool::default();
    let template = with_bits(pool.next_tip(), 0x2000_ffff);
    pool.template(template);
    let conn = pool.join(&address(1), "d=1000000");
    // Blocks are easier than shares here, so this one is refused as a share.
    let block = pool.miner(conn).search().first(|reached| reached > 6.1e-8);
    let miss = pool.miner(conn).search().extranonce2(9).first(|reached| reached < 5e-8);
    for number in 0..u64::from(INVALID_LINES_UNTIL_CHEAP) * 2 {
        pool.push_line(conn, &miss.line(number, &address(1)));
    }
    pool.tick();
    assert_eq!(pool.blocks.len(), 0);
    pool.take(conn);
    assert_eq!(pool.submit(conn, &address(1), &block).map_err(|(code, _)| code), Err(23));
    assert_eq!(pool.blocks.len(), 1);
    assert_eq!(pool.closed(conn), None);
}

/// A tip moves often and a miner is slow to follow: all its shares are stale, and it stays.
#[test]
fn stale_shares_are_no_flood() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&address(1), EASIEST);
    let old = pool.miner(conn).search().hit();
    pool.new_tip();
    for number in 0..u64::from(INVALID_LINES_UNTIL_CLOSED) + 100 {
        pool.push_line(conn, &old.line(number, &address(1)));
    }
    pool.tick();
    pool.advance(Duration::from_secs(5));
    assert_eq!(pool.closed(conn), None);
}

/// Defect 19.
#[test]
fn defect_19_of_ten_thousand_miners_none_is_stale_on_one_tip() {
    const MINERS: usize = 10_000;
    let caps = Settings { connections_max: MINERS, rate_limits: None, ..easiest() };
    let mut pool = Pool::new(caps, 7).with_work();
    let conns: Vec<Conn> = (0..MINERS).map(|_| pool.push_open()).collect();
    for lines in conns.chunks(2000) {
        for conn in lines {
            pool.push_line(*conn, r#"{"id":1,"method":"mining.subscribe","params":["x"]}"#);
            pool.push_line(*conn, &authorize(2, &address(1), "x"));
        }
        pool.tick();
    }
    // A new template every ten seconds; a tenth of the miners answers each with work of the job before.
    for round in 0..9_u64 {
        let share = pool.miner(conns[0]).search().hit();
        let template = pool.next_template();
        pool.template(template);
        pool.advance(Duration::from_secs(10));
        for (number, conn) in conns.iter().enumerate().skip(round as usize % 10).step_by(10) {
            let share = Share { extranonce2: format!("{round:016x}"), ..share.clone() };
            pool.push_line(*conn, &share.line(number as u64, &address(1)));
        }
        pool.tick();
    }
    pool.advance(Duration::from_secs(1));
    let totals = &pool.snapshot.as_ref().expect("published").pool;
    assert_eq!((totals.accepted, totals.rejected.iter().sum::<u64>()), (9 * 1000, 0));
}

/// A picture of many workers is taken over several ticks, between which shares are judged and miners leave. It has every worker
/// once, in order, and the one that is taken at the end agrees with the sums.
#[test]
fn a_picture_of_more_workers_than_a_tick_looks_at_is_whole() {
    let mut pool = Pool::new(Settings { rate_limits: None, ..settings() }, 7).with_work();
    let each = WORKERS_PICTURED_PER_TICK * 2 / 3;
    let user = |conn: usize, number: usize| format!("{}.{conn}x{number}", address(1));
    let conns: Vec<Conn> = (0..4).map(|conn| pool.join(&user(conn, 0), "d=1e-9")).collect();
    for (place, conn) in conns.iter().enumerate() {
        let lines: Vec<String> = (1..each).map(|number| authorize(9, &user(place, number), "x")).collect();
        lines.chunks(64).for_each(|lines| pool.send(*conn, &lines.iter().map(String::as_str).collect::<Vec<_>>()));
        pool.take(*conn);
    }
    let mut told = 0;
    pool.snapshot = None;
    for round in 0..20 {
        pool.advance(Duration::from_millis(500));
        let share = pool.miner(conns[0]).search().extranonce2(round).hit();
        told += u64::from(pool.submit(conns[0], &user(0, round as usize), &share).is_ok());
        let Some(snapshot) = pool.snapshot.take() else { continue };
        let mut ids: Vec<u32> = snapshot.workers.iter().map(|worker| worker.id.0).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), snapshot.workers.len()), (4 * each, 4 * each));
        let rank = |worker: &WorkerSnapshot| (worker.presence.is_online(), worker.hashrates[1], Reverse(worker.id));
        let ranks = snapshot.workers.iter().map(rank);
        assert!(ranks.is_sorted_by(|one, other| one >= other), "online first, then the largest hash rate");
    }
    pool.hang_up(conns[3]);
    pool.command(Command::Shutdown);
    let last = pool.snapshot.as_ref().expect("taken when the pool stops");
    assert_eq!((told, last.pool.accepted), (20, 20));
    assert_eq!(last.workers.iter().map(|worker| worker.accepted).sum::<u64>(), 20);
    assert!(last.workers.iter().all(|worker| worker.connections == 0));
}
