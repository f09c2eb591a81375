//! Rules 17, 19, 20, 21 and 28, and what becomes of work when tips and nodes come and go.

use std::time::Duration;
use warppool_components::connection::CloseReason;
use warppool_components::inbox::Command;
use warppool_components::limits::FANOUT_CONNECTIONS_PER_TICK;
use warppool_components::node::{NodeEvent, NodeHealth, NodeStatus};
use warppool_tests::pool::{Conn, Pool, authorize, settings};
use warppool_tests::work::{self, EASY_BITS, address, tip_hash, with_bits};

const STALE: (u64, &str) = (21, "Stale share: a new block was found");

fn refused(verdict: (u64, &str)) -> Result<(), (u64, String)> {
    Err((verdict.0, verdict.1.to_owned()))
}

/// Rule 17 and defect 11: the miner at the other end refuses an id, or (coinbase, ntime, prevhash), that comes twice.
#[test]
fn rule_17_judging_6_and_defect_11_no_work_is_ever_handed_out_twice() {
    let mut pool = Pool::default().with_work();
    let conns = [pool.join(&address(1), "x"), pool.join(&address(2), "d=1e-9"), pool.join(&address(1), "x")];
    let mut stuck = pool.next_template();
    for minute in 0..60 {
        pool.template(stuck.clone());
        pool.advance(Duration::from_secs(20));
        let newer = pool.next_template();
        pool.template(newer);
        pool.advance(Duration::from_secs(40));
        if minute % 7 == 0 {
            let next = pool.next_tip();
            let empty = work::subsidy_only(next.id.0, 1 + minute / 7 + 1, pool.now().unix);
            assert_eq!(empty.previous_block, next.previous_block);
            // Twice in one second, and both kinds: the most alike that jobs can be.
            pool.template(empty.clone());
            pool.template(next.clone());
            pool.template(empty);
            pool.template(next.clone());
            stuck = next;
        }
    }
    for conn in conns {
        let jobs = pool.miner(conn).jobs.len();
        assert!((120..180).contains(&jobs), "{jobs} jobs in an hour");
        assert_eq!(pool.closed(conn), None);
    }
    // The two of one address differ in extranonce1 alone, so their work differs too.
    assert_ne!(pool.miner(conns[0]).extranonce1, pool.miner(conns[2]).extranonce1);
}

#[test]
fn rule_19_only_a_new_tip_is_clean() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&address(1), "x");
    let newer = pool.next_template();
    pool.template(newer);
    pool.advance(Duration::from_secs(300));
    pool.new_tip();
    pool.advance(Duration::from_secs(60));
    let next = pool.next_tip();
    pool.template(work::subsidy_only(50, 3, pool.now().unix));
    pool.template(next);
    let clean: Vec<bool> = pool.miner(conn).jobs.iter().map(|job| job.clean).collect();
    let places: Vec<usize> = (0..clean.len()).filter(|place| clean[*place]).collect();
    // The first job, ten refreshes, a tip, two refreshes, a tip, its full template.
    assert_eq!((clean.len(), places), (16, vec![0, 11, 14]), "{clean:?}");
}

/// Defect 10: whatever was sent a moment ago, a tip waits for nothing.
#[test]
fn defect_10_a_new_tip_goes_out_in_the_tick_that_brings_it() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&address(1), "x");
    for _ in 0..20 {
        pool.new_tip();
        let lines = pool.take(conn);
        assert!(lines.len() == 1 && lines[0].ends_with(",true]}"), "{lines:?}");
        // The full template after an empty one does not wait for the refresh either.
        let next = pool.next_tip();
        pool.template(work::subsidy_only(next.id.0, next.height - 1000, pool.now().unix));
        assert!(pool.take(conn)[0].ends_with(",true]}"));
        pool.template(next);
        assert!(pool.take(conn)[0].ends_with(",false]}"));
    }
}

/// Invariant 6 and the fan-out of a tip: the largest miners first, the text of one payout script once.
#[test]
fn a_new_tip_goes_to_the_largest_first_and_is_written_once() {
    let mut pool = Pool::default().with_work();
    let small = pool.join(&address(1), "d=1e-9");
    let large = pool.join(&address(2), "d=1024");
    let middle = pool.join(&format!("{}.b", address(1)), "d=1");
    let waiting = pool.connect();
    pool.new_tip();
    let [first, second, third] = pool.writes[..] else { panic!("{:?}", pool.writes) };
    assert_eq!((first.0, second.0, third.0), (large, middle, small));
    assert!(first.1.is_some() && second.1.is_some());
    assert_ne!(first.1, second.1, "another address, another text");
    assert_eq!(second.1, third.1, "the same bytes for both workers of an address");
    assert!(pool.take(waiting).is_empty());
}

#[test]
fn rule_20_a_job_with_a_new_time_every_30_seconds() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&address(1), "x");
    let mut ntime = pool.miner(conn).job().ntime;
    for _ in 0..120 {
        pool.advance(Duration::from_secs(30));
        let lines = pool.take(conn);
        let notifies = lines.iter().filter(|line| line.contains("mining.notify")).count();
        assert_eq!(notifies, 1, "{lines:?}");
        assert_eq!(pool.miner(conn).job().ntime, ntime + 30);
        ntime += 30;
    }
}

#[test]
fn rule_21_the_silent_are_kept_and_those_without_a_worker_are_not() {
    let mut pool = Pool::default().with_work();
    let (silent, probe, idle) = (pool.join(&address(1), "x"), pool.connect(), pool.connect());
    pool.send(idle, &[r#"{"id":1,"method":"mining.subscribe"}"#, &authorize(2, "nobody", "x")]);
    pool.advance(Duration::from_secs(58));
    assert_eq!((pool.closed(probe), pool.closed(idle)), (None, None));
    pool.advance(Duration::from_secs(4));
    assert_eq!(pool.closed(probe), Some(CloseReason::AuthorizeDeadline));
    assert_eq!(pool.closed(idle), Some(CloseReason::AuthorizeDeadline), "a refused authorize is none");
    pool.advance(Duration::from_secs(2 * 3600));
    assert_eq!(pool.closed(silent), None);
}

#[test]
fn rule_28_old_jobs_of_a_tip_are_good_for_five_minutes() {
    let mut pool = Pool::default().with_work();
    let user = address(1);
    let conn = pool.join(&user, "d=1e-10");
    let share = pool.miner(conn).search().hit();
    let later = pool.miner(conn).search().extranonce2(9).hit();
    pool.advance(Duration::from_secs(300));
    assert!(pool.miner(conn).jobs.len() > 10);
    assert_eq!(pool.submit(conn, &user, &share), Ok(()));
    pool.advance(Duration::from_secs(3600));
    assert_eq!(pool.submit(conn, &user, &later), refused((21, "Job not found")), "not for ever");
}

#[test]
fn rule_28_a_share_of_an_old_tip_is_stale_but_a_block_is_submitted() {
    let mut pool = Pool::default();
    let template = pool.next_tip();
    pool.template(with_bits(template, EASY_BITS));
    let user = address(1);
    // So hard for a share that only its being a block can count.
    let conn = pool.join(&user, "d=1e-9");
    let easiest_block = 1.0 / f64::from(0x7fff_ffff_u32);
    let block = pool.miner(conn).search().first(|reached| reached > 1.1 * easiest_block && reached < 0.9e-9);
    let good = pool.miner(conn).search().extranonce2(5).hit();
    pool.new_tip();
    assert_eq!(pool.submit(conn, &user, &block), refused(STALE));
    assert_eq!(pool.blocks.len(), 1, "the node may think otherwise about the tip");
    assert_eq!(pool.blocks[0].hash.to_string(), block.hash);
    assert!(pool.blocks[0].share_rejected);
    assert_eq!(pool.submit(conn, &user, &good), refused(STALE));
    pool.advance(Duration::from_secs(2));
    let counts = &pool.snapshot.as_ref().expect("published").pool;
    assert_eq!((counts.rejected[0], counts.accepted), (2, 0));
}

/// Defect 13: the node is gone for good.
#[test]
fn defect_13_miners_are_released_when_the_node_is_lost_and_those_who_come_back_too() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&address(1), "x");
    pool.health(NodeHealth::Lost);
    pool.take(conn);
    pool.advance(Duration::from_secs(100));
    let told = pool.take(conn);
    assert_eq!(told.len(), 2, "a sign of life every 40 s");
    assert!(told.iter().all(|line| line.contains("mining.set_difficulty")), "no fresh work of an old tip: {told:?}");
    assert_eq!(pool.closed(conn), None);
    pool.advance(Duration::from_secs(25));
    assert_eq!(pool.closed(conn), Some(CloseReason::NodeLost));
    let again = pool.connect();
    pool.send(again, &[r#"{"id":1,"method":"mining.subscribe"}"#, &authorize(2, &address(1), "x")]);
    assert!(pool.take(again).iter().all(|line| !line.contains("\"mining.notify\",\"params\"")), "stale work");
    pool.advance(Duration::from_secs(3));
    assert_eq!(pool.closed(again), Some(CloseReason::NodeLost));
    pool.health(NodeHealth::Ready);
    let back = pool.join(&address(1), "x");
    pool.advance(Duration::from_secs(35));
    assert_eq!((pool.closed(back), pool.miner(back).jobs.len() >= 2), (None, true));
}

/// A node that comes back and has to synchronise for hours gives no work either, and what is left is of an old tip.
#[test]
fn defect_13_miners_are_released_from_a_node_that_only_synchronises_too() {
    for health in [NodeHealth::Syncing, NodeHealth::WrongChain] {
        let mut pool = Pool::default().with_work();
        let conn = pool.join(&address(1), "x");
        pool.health(NodeHealth::Lost);
        pool.advance(Duration::from_secs(60));
        pool.health(health);
        pool.advance(Duration::from_secs(65));
        assert_eq!(pool.closed(conn), Some(CloseReason::NodeLost), "{health:?}");
    }
}

fn status_of(tip: u32) -> NodeEvent {
    let status = NodeStatus { health: NodeHealth::Ready, tip: tip_hash(tip), ..NodeStatus::default() };
    NodeEvent::Status(status)
}

/// The node is well and knows a new tip, but gives no template for it.
#[test]
fn defect_13_work_of_a_tip_that_is_known_to_be_stale_is_not_handed_out_and_miners_are_released() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&address(1), "d=1e-9");
    pool.push_node(status_of(2));
    pool.tick();
    pool.take(conn);
    pool.advance(Duration::from_secs(60));
    assert!(pool.take(conn).iter().all(|line| !line.contains("mining.notify")), "no fresh work of a stale tip");
    let newcomer = pool.join(&address(2), "d=1e-9");
    assert!(pool.miner(newcomer).jobs.is_empty(), "nor for those who come now");
    // Found on the old tip, it may still win: the node decides.
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &address(1), &share), Ok(()));
    pool.advance(Duration::from_secs(65));
    assert_eq!(pool.closed(conn), Some(CloseReason::NodeLost));
    let late = pool.join(&address(1), "d=1e-9");
    pool.new_tip();
    assert_eq!((pool.closed(late), pool.miner(late).jobs.len()), (None, 1), "the template came after all");
}

/// The template is told before the status that goes with it, and the engine may turn in between.
#[test]
fn a_template_that_is_the_first_to_know_of_a_tip_is_no_sign_of_stale_work() {
    let mut pool = Pool::default();
    let conn = pool.join(&address(1), "d=1e-9");
    for tip in 1..4 {
        pool.new_tip();
        assert_eq!(pool.miner(conn).jobs.len(), tip as usize);
        pool.push_node(status_of(tip));
        pool.tick();
        let newcomer = pool.join(&address(2), "d=1e-9");
        assert_eq!(pool.miner(newcomer).jobs.len(), 1);
    }
}

#[test]
fn miners_hear_something_within_a_minute_while_there_is_no_work() {
    let mut pool = Pool::default().with_work();
    let (busy, early) = (pool.join(&address(1), "d=1e-9"), pool.connect());
    pool.send(early, &[r#"{"id":1,"method":"mining.subscribe"}"#]);
    pool.take(early);
    pool.health(NodeHealth::Lost);
    pool.take(busy);
    for _ in 0..2 {
        pool.advance(Duration::from_secs(45));
        let told = pool.take(busy);
        assert!(!told.is_empty() && told.iter().all(|line| line.contains("mining.set_difficulty")), "{told:?}");
    }
    assert_eq!(pool.take(early), Vec::<String>::new(), "nothing unsolicited before authorize");
    let share = pool.miner(busy).search().hit();
    assert_eq!(pool.submit(busy, &address(1), &share), Ok(()), "the difficulty is the one it was");
}

#[test]
fn a_full_pool_refuses_one_more_and_nobody_else_notices() {
    let mut pool =
        Pool::new(warppool_components::settings::Settings { connections_max: 2, ..settings() }, 7).with_work();
    let (first, second) = (pool.join(&address(1), "d=1e-9"), pool.connect());
    let third = pool.connect();
    assert_eq!(pool.closed(third), Some(CloseReason::ConnectionCap));
    pool.push_hang_up(third);
    pool.hang_up(second);
    let fourth = pool.join(&address(2), "x");
    assert_eq!((pool.closed(first), pool.closed(fourth)), (None, None));
    let share = pool.miner(first).search().hit();
    assert_eq!(pool.submit(first, &address(1), &share), Ok(()));
}

/// Rule 25: what an AxeOS probe of health does, 120 times a minute for some minutes. Nobody is banned, nothing is left behind.
#[test]
fn rule_25_and_defect_18_probes_that_hang_up_at_once_cost_nothing() {
    let mut pool = Pool::default().with_work();
    for number in 0..600 {
        let probe = pool.connect();
        if number % 2 == 0 {
            let lines = pool.ask(probe, r#"{"id":1,"method":"mining.subscribe","params":["bitaxe"]}"#);
            assert!(lines.len() == 1 && lines[0].contains("mining.notify"), "{lines:?}");
        }
        pool.hang_up(probe);
        pool.advance(Duration::from_millis(500));
    }
    let conn = pool.join(&address(1), "d=1e-9");
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &address(1), &share), Ok(()));
    pool.advance(Duration::from_secs(1));
    assert_eq!(pool.snapshot.as_ref().expect("published").pool.connections_v1, 1);
}

/// Rule 26: whatever happens (retargets, tips, reloads, a lost node, a stop), no miner is ever told to go elsewhere.
#[test]
fn rule_26_nobody_is_told_to_reconnect_elsewhere() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&address(1), "x");
    let mut heard = Vec::new();
    for share in pool.miner(conn).search().hits(8) {
        pool.submit(conn, &address(1), &share).expect("good");
    }
    pool.command(Command::Reload(Box::new(settings())));
    pool.new_tip();
    pool.advance(Duration::from_secs(600));
    heard.extend(pool.take(conn));
    pool.health(NodeHealth::Lost);
    pool.advance(Duration::from_secs(300));
    let last = pool.join(&address(2), "x");
    pool.health(NodeHealth::Ready);
    pool.command(Command::Shutdown);
    heard.extend(pool.take(conn));
    heard.extend(pool.take(last));
    assert!(heard.len() > 20 && heard.iter().all(|line| !line.contains("client.reconnect")), "{heard:?}");
    assert!(pool.closed(conn).is_some() && pool.closed(last).is_some());
}

/// A tip for more connections than a tick serves: the largest first, the rest in the ticks that follow at once, and
/// whoever missed a tip's first job gets the one after it as the first.
#[test]
fn a_tip_for_thousands_goes_out_in_parts_and_nobody_is_left_out_or_served_twice() {
    let mut pool = Pool::default().with_work();
    let count = FANOUT_CONNECTIONS_PER_TICK + 200;
    let conns: Vec<Conn> = (0..count).map(|_| pool.push_open()).collect();
    for (number, conn) in conns.iter().enumerate() {
        pool.push_line(*conn, r#"{"id":1,"method":"mining.subscribe","params":["test"]}"#);
        let pin = if number < 200 { "d=1" } else { "d=1024" };
        pool.push_line(*conn, &authorize(2, &address((number % 7) as u8), pin));
    }
    pool.tick();
    pool.advance(Duration::from_millis(1));
    conns.iter().for_each(|conn| drop(pool.take(*conn)));

    let full = pool.next_tip();
    pool.template(work::subsidy_only(full.id.0, full.height - 1000, pool.now().unix));
    let lines_of =
        |pool: &mut Pool, conns: &[Conn]| -> Vec<Vec<String>> { conns.iter().map(|conn| pool.take(*conn)).collect() };
    let (small, large) = conns.split_at(200);
    assert!(lines_of(&mut pool, large).iter().all(|lines| lines.len() == 1 && lines[0].ends_with(",true]}")));
    assert!(lines_of(&mut pool, small).iter().all(Vec::is_empty), "the smallest wait for the next tick");
    // The full template comes before it is their turn.
    pool.template(full);
    pool.advance(Duration::from_millis(1));
    assert!(lines_of(&mut pool, large).iter().all(|lines| lines.len() == 1 && lines[0].ends_with(",false]}")));
    assert!(lines_of(&mut pool, small).iter().all(|lines| lines.len() == 1 && lines[0].ends_with(",true]}")));
    pool.advance(Duration::from_secs(1));
    assert!(lines_of(&mut pool, &conns).iter().all(Vec::is_empty));
}
