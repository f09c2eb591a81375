//! Each rule, broken once: the judge says which.

use crate::says::{self, GROUP, NOW};
use bitcoin::Target;
use std::panic::{AssertUnwindSafe, catch_unwind};
use warppool_reference::client::any_target;
use warppool_reference::{Client, REQUIRES_STANDARD_JOBS, REQUIRES_VERSION_ROLLING};

/// A client that is set up with these flags.
fn with_flags(flags: u32) -> Client {
    let mut client = Client::default();
    client.setup(flags);
    client.hear(&says::setup_success(0));
    client
}

/// With standard channel 5 and extended channel 6, each with job 1 and its tip.
fn with_channels(flags: u32) -> Client {
    let mut client = with_flags(flags);
    client.open_standard("somebody", 1e6, Target::MAX_ATTAINABLE_REGTEST);
    client.open_extended("somebody", 1e6, Target::MAX_ATTAINABLE_REGTEST, 4);
    let target = Target::MAX_ATTAINABLE_REGTEST;
    client.hear(&says::standard_opened(1, 5, b"12345678", target));
    client.hear(&says::extended_opened(2, 6, b"abcd", 4, target));
    client.hear(&[says::job(5, 1, None), says::tip(5, 1), extended(6, 1, None), says::tip(6, 1)].concat());
    client
}

fn extended(channel: u32, job: u32, min_ntime: Option<u32>) -> Vec<u8> {
    says::extended_job_of((channel, job), min_ntime, says::coinbase(job, 8))
}

/// A client, what a pool sends it then, and words of the sentence about it.
type Case = (fn() -> Client, fn() -> Vec<u8>, &'static str);

fn fresh() -> Client {
    let mut client = Client::default();
    client.setup(0);
    client
}

fn opening() -> Client {
    let mut client = with_flags(0);
    client.open_extended("somebody", 1e6, Target::MAX_ATTAINABLE_REGTEST, 4);
    client
}

fn open() -> Client {
    with_channels(0)
}

/// With one share of channel 5 in flight, and a second.
fn submitted() -> Client {
    let mut client = open();
    for nonce in [0, 1000] {
        let share = client.channel(5).search().from_nonce(nonce).hit();
        client.submit(&share);
    }
    client
}

/// A frame whose byte `place` is another.
fn spoilt(mut frame: Vec<u8>, place: usize, byte: u8) -> Vec<u8> {
    frame[place] = byte;
    frame
}

#[test]
fn every_violation_is_told_by_its_sentence() {
    let cases: Vec<Case> = vec![
        // Frames.
        (open, || says::job(5, 2, None)[..9].to_vec(), "ends within a frame"),
        (open, || spoilt(says::job(5, 2, None), 1, 0), "wrong channel bit"),
        (open, || spoilt(says::job(5, 2, None), 0, 2), "extension that nobody negotiated"),
        (open, || spoilt(says::job(5, 2, None), 2, 0x16), "no pool sends"),
        (open, || spoilt([says::target(5, Target::MAX), vec![0]].concat(), 3, 37), "another length than its fields"),
        // The order of a connection.
        (Client::default, || says::setup_success(0), "before SetupConnection"),
        (fresh, || says::job(5, 1, None), "before SetupConnection was answered"),
        (fresh, || says::setup_success(4), "flags of SetupConnection.Success that nobody knows"),
        (open, || says::setup_success(0), "answered twice"),
        (opening, || says::target(5, Target::MAX), "between an Open request and its answer"),
        // Openings.
        (opening, || says::extended_opened(9, 6, b"abcd", 4, any_target()), "never made"),
        (opening, || says::extended_opened(1, 6, b"abcd", 4, any_target()), "easier than the miner's maximum"),
        (opening, || says::extended_opened(1, 6, b"abcd", 2, Target::MAX), "at least 4 were asked for"),
        (opening, || says::extended_opened(1, 6, &[1; 29], 4, Target::MAX), "33 bytes, 32 at most"),
        (opening, || says::standard_opened(1, 6, b"abcd", Target::MAX), "a standard channel where an extended"),
        (opening, || says::extended_opened(1, 6, b"abcd", 4, Target::ZERO), "no hash meets the target 0"),
        (open, || says::extended_opened(2, 7, b"efgh", 4, Target::MAX), "is answered twice"),
        (again, || says::extended_opened(3, 6, b"efgh", 4, Target::MAX), "channel number 6 is taken"),
        (again, || says::extended_opened(3, GROUP, b"efgh", 4, Target::MAX), "is taken"),
        (again, || says::extended_opened(3, 7, b"abc", 5, Target::MAX), "share extranonces"),
        (again, || says::extended_opened(3, 7, b"efgh", 5, Target::MAX), "another extranonce length than its group"),
        // Jobs.
        (empty, || says::job(5, 1, Some(NOW)), "active before any SetNewPrevHash"),
        (open, || says::job(5, 1, Some(NOW)), "job id 1 was used before"),
        (open, || says::job_of(5, 2, Some(NOW), 0x2000_0000, [1; 32]), "same work as an earlier job"),
        (open, || says::job(5, 2, Some(NOW - 1)), "earlier times than its tip"),
        (open, || says::job(6, 2, None), "NewMiningJob for the extended channel"),
        (open, || says::job(GROUP, 2, None), "addressed to the group"),
        (open, || says::job(8, 2, None), "unknown channel 8"),
        (open, || extended(5, 2, None), "for the standard channel 5"),
        (open, || says::extended_job_of((6, 2), None, says::coinbase(2, 9)), "is no transaction"),
        (open, segwit, "segwit marker"),
        (open, outside, "outside the coinbase's script"),
        (standard_only, || extended(GROUP, 2, None), "requires standard ones"),
        (rolling, fixed_version, "must roll"),
        // Tips.
        (open, || says::tip(5, 9), "never sent"),
        (open, || [says::job(5, 2, Some(NOW)), says::tip(5, 2)].concat(), "was sent with min_ntime"),
        (open, || says::tip(5, 1), "waits for no tip"),
        (open, left_behind, "waits for no tip"),
        (open, overwritten, "has overwritten the future job 2"),
        // Targets, prefixes, groups.
        (open, || says::target(5, any_target()), "easier than the miner's maximum"),
        (open, || says::prefix(5, b"1234"), "another length"),
        (open, || says::prefix(GROUP, b"12345678"), "addressed to the group"),
        (open, || says::group(6, &[5]), "group number 6 is a channel's"),
        // Verdicts.
        (submitted, || says::credited(5, 7, 1, 0), "waits for no answer"),
        (submitted, || says::credited(5, 1, 1, 0), "credits 1 of 2 shares"),
        (submitted, || says::credited(5, 1, 2, 9), "a sum of 9"),
        (submitted, || [says::credited(5, 0, 1, 0), says::credited(5, 0, 1, 0)].concat(), "waits for no answer"),
        (submitted, || says::refused(5, 0, "So sorry."), "which is no code"),
        (submitted, || says::refused(5, 7, "stale-share"), "waits for no answer"),
        (submitted, || says::refused(8, 0, "invalid-channel-id"), "waits for no answer"),
    ];
    for (client, frames, words) in cases {
        let mut client = client();
        let told = catch_unwind(AssertUnwindSafe(|| client.hear(&frames())));
        let told = told.err().unwrap_or_else(|| panic!("nothing is told where one expects {words:?}"));
        let sentence = told
            .downcast_ref::<String>()
            .map_or_else(|| (*told.downcast_ref::<&str>().expect("panics have a sentence")).to_owned(), Clone::clone);
        assert!(sentence.contains(words), "{sentence:?} where one expects {words:?}");
    }
}

#[test]
fn a_first_job_without_its_tip_is_half_a_write() {
    let mut client = empty();
    client.check_whole();
    client.hear(&says::job(5, 1, None));
    assert!(catch_unwind(AssertUnwindSafe(|| client.check_whole())).is_err());
    client.hear(&says::tip(5, 1));
    client.check_whole();
}

#[test]
fn a_target_governs_what_is_sent_later_and_what_waits() {
    let mut client = open();
    client.hear(&says::job(5, 2, None));
    client.hear(&says::target(5, Target::MAX));
    let governing = |client: &Client, job| client.channel(5).job_of(job).and_then(|job| job.target);
    assert_eq!(governing(&client, 1), Some(Target::MAX_ATTAINABLE_REGTEST), "the active job keeps its own");
    client.hear(&says::job(5, 3, Some(NOW)));
    assert_eq!(governing(&client, 3), Some(Target::MAX));
    client.hear(&says::tip(5, 2));
    assert_eq!(governing(&client, 2), Some(Target::MAX), "a job that waited takes the new one");
}

/// A third opening under way.
fn again() -> Client {
    let mut client = open();
    client.open_extended("somebody", 1e6, any_target(), 4);
    client
}

/// A channel without any job.
fn empty() -> Client {
    let mut client = with_flags(0);
    client.open_standard("somebody", 1e6, any_target());
    client.hear(&says::standard_opened(1, 5, b"12345678", Target::MAX));
    client
}

fn standard_only() -> Client {
    with_channels(REQUIRES_STANDARD_JOBS)
}

fn rolling() -> Client {
    with_channels(REQUIRES_VERSION_ROLLING)
}

/// The place of `version_rolling_allowed` in a job with min_ntime unset.
const ROLLING_PLACE: usize = 6 + 4 + 4 + 1 + 4;

fn fixed_version() -> Vec<u8> {
    spoilt(extended(6, 2, None), ROLLING_PLACE, 0)
}

fn segwit() -> Vec<u8> {
    let (prefix, suffix) = says::coinbase(2, 8);
    let (version, rest) = prefix.split_at(4);
    let (body, lock_time) = suffix.split_at(suffix.len() - 4);
    let witness = [vec![1, 32], vec![0; 32]].concat();
    let prefix = [version, &[0, 1], rest].concat();
    says::extended_job_of((6, 2), None, (prefix, [body, &witness, lock_time].concat()))
}

/// The extranonce behind the script: the script ends before it.
fn outside() -> Vec<u8> {
    let (prefix, suffix) = says::coinbase(2, 8);
    let cut = 20;
    says::extended_job_of((6, 2), None, (prefix[..cut].to_vec(), [&prefix[cut + 8..], &[0; 8], &suffix].concat()))
}

/// A tip that names a job left behind by an earlier tip.
fn left_behind() -> Vec<u8> {
    [says::job(5, 2, None), says::job(5, 3, None), says::tip(5, 3), says::tip(5, 2)].concat()
}

/// A Bitaxe keeps future jobs by their id modulo 8.
fn overwritten() -> Vec<u8> {
    [says::job(5, 2, None), says::job(5, 10, None), says::tip(5, 2)].concat()
}
