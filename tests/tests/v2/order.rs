//! The order of messages that firmware depends on.

use crate::client::{Client, Heard, Heard::*};
use std::time::Duration;
use warppool_components::template::Template;
use warppool_components::units::Sats;
use warppool_tests::pool::Pool;
use warppool_tests::work::{self, address};

/// The first job that is sent ahead; the next ones follow.
pub(crate) const AHEAD: u32 = 0x8000_0001;

/// Subsidy-only work on the next tip, as the node's side makes it.
pub(crate) fn subsidy_only(pool: &mut Pool) -> Template {
    let next = pool.next_tip();
    let tip = next.height - 1000;
    Template { coinbase_value: Sats::subsidy(next.height, 150), ..work::subsidy_only(next.id.0, tip, pool.now().unix) }
}

/// AxeOS: an extended channel, a ring of eight jobs that wait, a tip in one small message.
#[test]
fn axeos_is_told_a_tip_in_one_message() {
    let mut pool = Pool::default().with_work();
    let mut axe = Client::connect(&mut pool, "bitaxe", 0);
    let (channel, heard) = axe.open_extended(&mut pool, &address(1));
    assert_eq!(channel, 1);
    let begin = [FutureJob { channel, job: 1 }, Tip { channel, job: 1 }, FutureJob { channel, job: AHEAD }];
    assert_eq!(heard, begin);
    for round in 0..20 {
        pool.advance(Duration::from_secs(31));
        let heard = axe.hear(&mut pool);
        let jobs: Vec<_> = heard.iter().filter(|heard| !matches!(heard, Target { .. })).collect();
        assert!(matches!(jobs[..], [Job { .. }]), "a better job takes effect at once: {heard:?}");

        let empty = subsidy_only(&mut pool);
        pool.template(empty);
        let writes = axe.hear_writes(&mut pool);
        let job = AHEAD + round;
        let tip: Vec<Heard> = writes.concat().into_iter().filter(|heard| !matches!(heard, Target { .. })).collect();
        assert_eq!(tip, [Tip { channel, job }], "the tip names the job that waits");

        let full = pool.next_template();
        pool.template(full);
        pool.advance(Duration::from_millis(1));
        let mut writes = axe.hear_writes(&mut pool);
        writes.iter_mut().for_each(|heard| heard.retain(|heard| !matches!(heard, Target { .. })));
        assert!(
            matches!(&writes[..], [heard] if matches!(heard[..], [Job { .. }, FutureJob { job: next, .. }] if next == job + 1)),
            "the full job on the same tip, then the next one ahead, in one write: {writes:?}"
        );
    }
}

/// A full template on a new tip, without subsidy-only work before it.
#[test]
fn a_tip_that_could_not_be_foreseen_brings_its_job_in_the_same_write() {
    let mut pool = Pool::default().with_work();
    let mut axe = Client::connect(&mut pool, "bitaxe", 0);
    let (channel, _) = axe.open_extended(&mut pool, &address(1));
    pool.new_tip();
    pool.advance(Duration::from_millis(1));
    let writes = axe.hear_writes(&mut pool);
    assert_eq!(writes[0], [FutureJob { channel, job: 2 }, Tip { channel, job: 2 }]);
    assert_eq!(writes[1], [FutureJob { channel, job: AHEAD + 1 }]);
    // Another value than was foreseen: the same.
    let wrong = Template { coinbase_value: Sats(1), ..subsidy_only(&mut pool) };
    pool.template(wrong);
    assert_eq!(axe.hear(&mut pool), [FutureJob { channel, job: 3 }, Tip { channel, job: 3 }]);
}

/// Braiins OS: a standard channel, every job drops what it has, and it computes nothing.
#[test]
fn braiins_os_never_gets_the_same_job_twice() {
    let mut pool = Pool::default().with_work();
    let mut braiins = Client::connect(&mut pool, "Braiins", 0);
    let (channel, heard) = braiins.open_standard(&mut pool, &address(1));
    let begin = [FutureJob { channel, job: 1 }, Tip { channel, job: 1 }, FutureJob { channel, job: AHEAD }];
    assert_eq!(heard, begin);
    let empty = subsidy_only(&mut pool);
    pool.template(empty);
    assert_eq!(braiins.hear(&mut pool), [Tip { channel, job: AHEAD }]);
    let full = pool.next_template();
    pool.template(full.clone());
    pool.advance(Duration::from_millis(1));
    assert_eq!(braiins.hear(&mut pool), [Job { channel, job: 3 }, FutureJob { channel, job: AHEAD + 1 }]);
    // The same template again: its job has another coinbase, and comes only when it is due.
    pool.template(full);
    assert_eq!(braiins.hear(&mut pool), []);
    pool.advance(Duration::from_secs(300));
    let heard = braiins.hear(&mut pool);
    let jobs = heard.iter().filter(|heard| matches!(heard, Job { .. })).count();
    assert!((9..=11).contains(&jobs), "a job each 30 s: {heard:?}");
}

/// Miners of both protocols get the same job, under the number that each knows it by.
#[test]
fn the_job_that_was_sent_ahead_is_an_ordinary_one_for_v1() {
    let mut pool = Pool::default().with_work();
    let v1 = pool.join(&address(2), "d=1e-9");
    let mut axe = Client::connect(&mut pool, "maker", 0);
    let (channel, _) = axe.open_extended(&mut pool, &address(1));
    let empty = subsidy_only(&mut pool);
    pool.template(empty);
    let share = pool.miner(v1).search().hit();
    assert_eq!((&*share.job, pool.submit(v1, &address(2), &share)), ("2", Ok(())));
    axe.hear(&mut pool);
    let share = axe.hit(channel, 5);
    assert_eq!((share.job, axe.submit(&mut pool, channel, &share)), (AHEAD, Ok(())));
    let misnamed = super::client::Share { job: 2, ..axe.hit(channel, 6) };
    assert_eq!(
        axe.submit(&mut pool, channel, &misnamed),
        Err("invalid-job-id".into()),
        "it has one number on the wire"
    );
}

/// No node, no jobs: the pool still says something, so that no firmware takes it for dead.
#[test]
fn silence_is_broken_by_the_target() {
    let mut pool = Pool::default().with_work();
    let mut axe = Client::connect(&mut pool, "bitaxe", 0);
    let (channel, _) = axe.open_extended(&mut pool, &address(1));
    pool.health(warppool_components::node::NodeHealth::Lost);
    pool.advance(Duration::from_secs(100));
    let heard = axe.hear(&mut pool);
    assert_eq!(heard, vec![Target { channel }; heard.len()]);
    assert!(heard.len() >= 2, "{heard:?}");
}

/// One that comes before there is work waits for it.
#[test]
fn the_first_job_comes_when_there_is_one() {
    let mut pool = Pool::default();
    let mut axe = Client::connect(&mut pool, "bitaxe", 0);
    let (channel, heard) = axe.open_extended(&mut pool, &address(1));
    assert_eq!(heard, []);
    pool.new_tip();
    pool.advance(Duration::from_millis(1));
    let begin = [FutureJob { channel, job: 1 }, Tip { channel, job: 1 }, FutureJob { channel, job: AHEAD }];
    assert_eq!(axe.hear(&mut pool), begin);
}
