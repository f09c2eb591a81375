//! The channel hears frames and sends shares.

use super::*;
use warppool_components::limits::{MERKLE_BRANCHES_MAX, UPSTREAM_ANSWERS_PENDING_MAX};
use warppool_components::units::Difficulty;
use warppool_components::units::Hash256;
use warppool_components::upstream::GivenWork;
use warppool_net::wire::v2::{MerklePath, Wide};

const CHANNEL: u32 = 7;
const GROUP: u32 = 8;
const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

/// Version, one input without an outpoint, a script that begins with a height of 840,000.
fn coinbase_start() -> Vec<u8> {
    let script = [3, 0x40, 0xd1, 0x0c];
    [&2u32.to_le_bytes()[..], &[1], &[0; 32], &[0xff; 4], &[script.len() as u8 + 12], &script].concat()
}

fn channel(own_bytes: usize) -> UpstreamChannel {
    let target = Target::from_difficulty(Difficulty::new(16.0).expect("positive"));
    let opened = Opened { channel_id: CHANNEL, group_id: GROUP, prefix: vec![0xaa; 4], own_bytes, target };
    UpstreamChannel::new(3, opened, 1e12)
}

fn job(channel_id: u32, job_id: u32, min_ntime: Option<u32>) -> Vec<u8> {
    let prefix = coinbase_start();
    let message = NewExtendedMiningJob {
        channel_id,
        job_id,
        min_ntime,
        version: 0x2000_2000,
        version_rolling_allowed: true,
        merkle_path: MerklePath::Held(&[Hash256::from_internal([5; 32])]),
        coinbase_tx_prefix: Wide(&prefix),
        coinbase_tx_suffix: Wide(&[0xff; 10]),
    };
    message.to_frame()
}

fn tip(job_id: u32, hash: u8) -> Vec<u8> {
    let prev_hash = Hash256::from_internal([hash; 32]);
    SetNewPrevHash { channel_id: GROUP, job_id, prev_hash, min_ntime: 1_700_000_000, nbits: 0x1d00_ffff }.to_frame()
}

fn given(channel: &mut UpstreamChannel, frame: &[u8]) -> Option<GivenWork> {
    let events = channel.hear(frame, NOW).expect("sound").events;
    match events.into_iter().next() {
        Some(NodeEvent::Given(work)) => Some(work),
        other => {
            assert_eq!(other, None);
            None
        }
    }
}

fn share(session: u32) -> UpstreamShare {
    let extranonce = [1, 2, 3, 4, 5, 6, 7, 8];
    UpstreamShare { session, job_id: 11, nonce: 12, ntime: 13, version: 14, extranonce }
}

#[test]
fn a_job_becomes_work_when_its_tip_is_named_or_at_once() {
    let mut channel = channel(8);
    assert!(given(&mut channel, &job(CHANNEL, 1, Some(5))).is_none(), "no tip is known");
    assert!(given(&mut channel, &job(CHANNEL, 1, None)).is_none());
    assert!(given(&mut channel, &job(GROUP, 2, None)).is_none());
    let work = given(&mut channel, &tip(2, 9)).expect("the job that was named");
    assert_eq!((work.coinbase.session, work.coinbase.job_id), (3, 2));
    assert_eq!(*work.coinbase.prefix, [&coinbase_start()[..], &[0xaa; 4]].concat());
    assert_eq!(work.template.previous_block, Hash256::from_internal([9; 32]));
    assert_eq!((work.template.height, work.template.bits), (840_000, 0x1d00_ffff));
    assert_eq!(work.template.version, 0x2000_0000, "the bits that miners roll are zero");
    assert_eq!(work.template.time_at(NOW).header_seconds(), 1_700_000_000);
    let work = given(&mut channel, &job(CHANNEL, 3, Some(1_700_000_030))).expect("at once");
    assert_eq!((work.coinbase.job_id, work.template.min_time.seconds()), (3, 1_700_000_030));
    assert!(given(&mut channel, &tip(1, 10)).is_none(), "a job is used up by a tip, whether it was named or not");
    assert!(given(&mut channel, &job(99, 4, Some(5))).is_none(), "of another channel");
}

#[test]
fn another_prefix_or_target_holds_for_what_comes_after_it() {
    let mut channel = channel(10);
    given(&mut channel, &job(CHANNEL, 1, None));
    let prefix = SetExtranoncePrefix { channel_id: CHANNEL, extranonce_prefix: &[0xbb; 6] };
    assert!(given(&mut channel, &prefix.to_frame()).is_none());
    let harder = Target::from_difficulty(Difficulty::new(32.0).expect("positive"));
    let told = channel.hear(&SetTarget { channel_id: CHANNEL, maximum_target: harder }.to_frame(), NOW).expect("sound");
    assert_eq!(told.events, [NodeEvent::UpstreamTarget(harder)]);
    let work = given(&mut channel, &tip(1, 9)).expect("work");
    let unused = [0; 2];
    assert_eq!(*work.coinbase.prefix, [&coinbase_start()[..], &[0xaa; 4], &unused].concat());
    assert_eq!(work.coinbase.target, harder, "a job that waits takes effect under the new target");
    let work = given(&mut channel, &job(CHANNEL, 2, Some(1_700_000_000))).expect("work");
    assert_eq!(*work.coinbase.prefix, [&coinbase_start()[..], &[0xbb; 6], &unused].concat());
}

#[test]
fn shares_are_sent_numbered_and_wait_for_their_verdicts() {
    let mut channel = channel(10);
    let now = Instant::now();
    let frames: Vec<_> = (0..3).map(|_| channel.submit(&share(3), now).expect("sent")).collect();
    let sent = SubmitSharesExtended::decode(&frames[2]).expect("a share");
    assert_eq!((sent.channel_id, sent.sequence_number, sent.job_id), (CHANNEL, 3, 11));
    assert_eq!((sent.nonce, sent.ntime, sent.version), (12, 13, 14));
    assert_eq!(sent.extranonce, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let error = SubmitSharesError { channel_id: CHANNEL, sequence_number: 2, error_code: "difficulty-too-low".into() };
    let verdict = channel.hear(&error.to_frame(), NOW).expect("sound").verdict;
    let rejected = Verdict::Rejected { code: 23, reason: "difficulty-too-low".into() };
    assert_eq!((verdict, channel.pending.count()), (Some(rejected), 2));
    let success = SubmitSharesSuccess {
        channel_id: CHANNEL,
        last_sequence_number: 3,
        new_submits_accepted_count: 2,
        new_shares_sum: 32,
    };
    let verdict = channel.hear(&success.to_frame(), NOW).expect("sound").verdict;
    assert_eq!((verdict, channel.pending.count()), (Some(Verdict::Accepted(2)), 0));
}

#[test]
fn reasons_stand_for_the_codes_of_stratum_v1() {
    for (reason, code) in [
        ("difficulty-too-low", 23),
        ("stale-share", 21),
        ("invalid-job-id", 21),
        ("duplicate-share", 22),
        ("something-new", 20),
    ] {
        assert_eq!(code_of_v1(reason), code, "{reason}");
    }
}

#[test]
fn a_share_of_another_session_or_one_too_many_is_not_sent() {
    let mut channel = channel(8);
    let now = Instant::now();
    assert_eq!(channel.submit(&share(2), now), Err(Dropped::OtherSession));
    for _ in 0..UPSTREAM_ANSWERS_PENDING_MAX {
        channel.submit(&share(3), now).expect("room");
    }
    assert_eq!(channel.submit(&share(3), now), Err(Dropped::TooManyPending));
}

#[test]
fn a_hash_rate_is_told_when_it_is_another_one_by_far() {
    let mut channel = channel(8);
    for rate in [0.0, f64::NAN, f64::INFINITY, 1e12, 1.4e12, 0.7e12] {
        assert_eq!(channel.tell_rate(rate), None, "{rate}");
    }
    let frame = channel.tell_rate(2e12).expect("twice as much");
    let update = UpdateChannel::decode(&frame).expect("an update");
    assert_eq!((update.channel_id, update.nominal_hash_rate, update.maximum_target), (CHANNEL, 2e12, Target::MAX));
    assert_eq!(channel.tell_rate(2e12), None);
    assert!(channel.tell_rate(1e12).is_some(), "miners that left are told too");
}

#[test]
fn an_upstream_of_no_use_is_left_with_a_reason() {
    let fixed = NewExtendedMiningJob {
        channel_id: CHANNEL,
        job_id: 1,
        min_ntime: None,
        version: 4,
        version_rolling_allowed: false,
        merkle_path: MerklePath::Held(&[]),
        coinbase_tx_prefix: Wide(&[]),
        coinbase_tx_suffix: Wide(&[]),
    };
    let long = NewExtendedMiningJob {
        version_rolling_allowed: true,
        merkle_path: MerklePath::Held(&[Hash256::ZERO; MERKLE_BRANCHES_MAX + 1]),
        ..fixed
    };
    // What the other side says goes into the log: without orders to a terminal, on one line.
    let close = CloseChannel { channel_id: GROUP, reason_code: "e\x1bno\nugh".into() };
    let mut bits = tip(1, 1);
    let end = bits.len();
    bits[end - 4..].fill(0);
    for (frame, reason) in [
        (fixed.to_frame(), "does not allow miners to roll versions"),
        (long.to_frame(), "its merkle path is longer"),
        (close.to_frame(), "closed the channel: enough"),
        (Reconnect { new_host: "".into(), new_port: 0 }.to_frame(), "asks to connect anew"),
        (bits, "impossible nBits"),
    ] {
        let error = channel(8).hear(&frame, NOW).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error}");
    }
}
