//! Shares and their verdicts.

use crate::client::{Client, Heard, Share};
use crate::order::subsidy_only;
use warppool_tests::pool::Pool;
use warppool_tests::work::address;

fn pool() -> Pool {
    Pool::default().with_work()
}

#[test]
fn a_share_of_each_kind_is_credited() {
    let mut pool = pool();
    let user = format!("{}.rig", address(1));
    let mut client = Client::connect(&mut pool, "maker", 0);
    let (extended, _) = client.open_extended(&mut pool, &user);
    let (standard, _) = client.open_standard(&mut pool, &user);
    for (channel, bits) in [(extended, 0), (extended, 0x1fff_ffe0), (standard, 0), (standard, 0x0000_0020)] {
        let share = client.hit_rolling(channel, if channel == extended { 77 } else { 0 }, bits);
        assert_eq!(client.submit(&mut pool, channel, &share), Ok(()), "{channel} {bits:x}");
    }
    let empty = subsidy_only(&mut pool);
    pool.template(empty);
    client.hear(&mut pool);
    for channel in [extended, standard] {
        let share = client.hit(channel, 0);
        assert_eq!(client.submit(&mut pool, channel, &share), Ok(()), "on the job that was sent ahead");
    }
    pool.advance(std::time::Duration::from_secs(1));
    assert_eq!((pool.shares.len(), pool.workers.last().map(|row| (row.accepted, &*row.name))), (6, Some((6, "rig"))));
}

#[test]
fn every_refusal_has_its_code() {
    for is_extended in [true, false] {
        let mut pool = pool();
        let mut client = Client::connect(&mut pool, "maker", 0);
        let (channel, _) = match is_extended {
            true => client.open_extended(&mut pool, &address(1)),
            false => client.open_standard(&mut pool, &address(1)),
        };
        let job = client.channel(channel).jobs[0].clone();
        let good = client.hit(channel, 0);
        let low = client.channel(channel).search(&job, 0, 0, |hash, target| !target.is_met_by(hash));
        let early = client.channel(channel).share(&job, 0, 0, job.ntime - 1, 0);
        let late = client.channel(channel).share(&job, 0, 0, job.ntime + 7100, 0);
        let bits = client.channel(channel).share(&job, 0, 0x1f, job.ntime, 0);
        let ahead = Share { job: crate::order::AHEAD, ..good.clone() };
        let unknown = Share { job: 4000, ..good.clone() };
        assert_eq!(client.submit(&mut pool, channel, &good), Ok(()));
        for (share, code) in [
            (&good, "duplicate-share"),
            (&low, "difficulty-too-low"),
            (&early, "ntime-too-old"),
            (&late, "ntime-too-new"),
            (&bits, "version-bits-not-allowed"),
            (&unknown, "invalid-job-id"),
            (&ahead, "invalid-job-id"),
        ] {
            assert_eq!(client.submit(&mut pool, channel, share), Err(code.into()), "{is_extended}");
        }
        if is_extended {
            for bytes in [0, 2, 7, 9, 32] {
                let share = Share { extranonce: vec![0; bytes], ..good.clone() };
                assert_eq!(client.submit(&mut pool, channel, &share), Err("bad-extranonce-size".into()), "{bytes}");
            }
        }
        let stale = client.hit_rolling(channel, 0, 0x20);
        pool.new_tip();
        client.hear(&mut pool);
        assert_eq!(client.submit(&mut pool, channel, &stale), Err("stale-share".into()));
        assert_eq!(client.submit(&mut pool, 99, &stale), Err("invalid-channel-id".into()));
    }
}

/// A share of the other kind than its channel is nobody's.
#[test]
fn the_kind_of_a_share_is_that_of_its_channel() {
    let mut pool = pool();
    let mut client = Client::connect(&mut pool, "maker", 0);
    let (channel, _) = client.open_extended(&mut pool, &address(1));
    let share = client.hit(channel, 0);
    client.channel(channel).is_extended = false;
    assert_eq!(client.submit(&mut pool, channel, &share), Err("invalid-channel-id".into()));
}

/// Credited shares of a tick are told by channel in one message, refused ones each.
#[test]
fn verdicts_of_a_tick_are_summed_by_channel() {
    let mut pool = pool();
    let mut client = Client::connect(&mut pool, "maker", 0);
    let (one, _) = client.open_extended(&mut pool, &address(1));
    let (two, _) = client.open_standard(&mut pool, &address(1));
    client.hear(&mut pool);
    let first = client.hit(one, 1);
    let shares = [(one, first.clone()), (one, client.hit(one, 2)), (two, client.hit(two, 0)), (one, first)];
    let numbers: Vec<u32> =
        shares.iter().map(|(channel, share)| client.push_share(&mut pool, *channel, share)).collect();
    pool.tick();
    let heard = client.hear(&mut pool);
    let expected = [
        Heard::Refused { channel: one, sequence: numbers[3], code: "duplicate-share".into() },
        Heard::Credited { channel: one, last: numbers[1], count: 2, sum: 0 },
        Heard::Credited { channel: two, last: numbers[2], count: 1, sum: 0 },
    ];
    assert_eq!(heard[..3], expected);
}

/// A job keeps the target under which it took effect, in the pool as in the client.
#[test]
fn a_target_governs_later_jobs_and_those_that_wait() {
    let mut pool = pool();
    let mut client = Client::connect(&mut pool, "maker", 0);
    let (channel, _) = client.open_extended(&mut pool, &address(1));
    // Many shares at once: the miner is far faster than was thought.
    for extranonce in 0..200 {
        let share = client.hit(channel, extranonce);
        client.push_share(&mut pool, channel, &share);
    }
    pool.advance(std::time::Duration::from_millis(100));
    let heard = client.hear(&mut pool);
    assert!(heard.contains(&Heard::Target { channel }), "a harder target is told at once: {heard:?}");
    let easy = client.channel(channel).jobs[0].clone();
    let hard = client.channel(channel).target;
    assert!(hard.to_big_endian() < easy.target.to_big_endian());
    let share =
        client.channel(channel).search(&easy, 1000, 0, |hash, target| target.is_met_by(hash) && !hard.is_met_by(hash));
    assert_eq!(client.submit(&mut pool, channel, &share), Ok(()), "the job at hand keeps its target");
    let empty = subsidy_only(&mut pool);
    pool.template(empty);
    client.hear(&mut pool);
    let job = client.channel(channel).jobs.last().expect("a job").clone();
    let between =
        client.channel(channel).search(&job, 0, 0, |hash, _| easy.target.is_met_by(hash) && !hard.is_met_by(hash));
    assert_eq!(client.submit(&mut pool, channel, &between), Err("difficulty-too-low".into()));
    let good = client.hit(channel, 3);
    assert_eq!(client.submit(&mut pool, channel, &good), Ok(()));
}
