//! What both kinds of channels are promised, told by the reference project's miner.

use bitcoin::Target;
use bitcoin::consensus::deserialize;
use common_messages_sv2::Protocol;
use std::collections::HashMap;
use std::time::Duration;
use warppool_components::block::BlockCandidate;
use warppool_components::template::Template;
use warppool_components::units::UnixTime;
use warppool_reference::client::any_target;
use warppool_reference::message::Message;
use warppool_reference::{Client, REQUIRES_STANDARD_JOBS, REQUIRES_VERSION_ROLLING, Share};
use warppool_tests::pool::{Conn, Pool};
use warppool_tests::work;

/// A connection with an extended and a standard channel.
fn with_channels(pool: &mut Pool) -> (Conn, [u32; 2]) {
    let conn = pool.connect_judged(0);
    let extended = pool.open_extended(conn, &work::address(1)).expect("an extended channel");
    let standard = pool.open_standard(conn, &work::address(2)).expect("a standard channel");
    (conn, [extended, standard])
}

#[test]
fn shares_are_credited_and_refused_by_their_codes() {
    let mut pool = Pool::default().with_work();
    let (conn, channels) = with_channels(&mut pool);
    for id in channels {
        let channel = pool.channel(conn, id);
        let (good, low) = (channel.search().hit(), channel.search().miss());
        let rolled = channel.search().version_bits(0x1fff_ffe0).hit();
        let fixed = channel.search().version_bits(1 << 31).hit();
        let unknown = Share { job: 77_777, ..good.clone() };
        assert_eq!(pool.submit_v2(conn, &good), Ok(()));
        assert_eq!(pool.submit_v2(conn, &rolled), Ok(()));
        for (share, code) in [
            (&good, "duplicate-share"),
            (&low, "difficulty-too-low"),
            (&unknown, "invalid-job-id"),
            (&fixed, "version-bits-not-allowed"),
        ] {
            assert_eq!(pool.submit_v2(conn, share), Err(code.to_owned()));
        }
        let stray = Share { channel: 55_555, ..good.clone() };
        assert_eq!(pool.submit_v2(conn, &stray), Err("invalid-channel-id".to_owned()));
        pool.new_tip();
        assert_eq!(pool.submit_v2(conn, &good), Err("stale-share".to_owned()));
        assert_eq!(pool.channel(conn, id).accepted, 2);
    }
    let extended = pool.channel(conn, channels[0]).search().hit();
    let longer = Share { extranonce: Some(vec![0; 31]), ..extended };
    assert_eq!(pool.submit_v2(conn, &longer), Err("bad-extranonce-size".to_owned()));
}

/// Found by the simulation, seed 6: the node's clock showed less than its last template had let one expect, and the full job
/// allowed earlier times than the tip that it is on.
#[test]
fn no_job_allows_earlier_times_than_its_tip() {
    let mut pool = Pool::default().with_work();
    let (conn, channels) = with_channels(&mut pool);
    let (bare, full) = (pool.next_bare_tip(), pool.next_template());
    let earlier = UnixTime::from_seconds(bare.current_time.seconds() - 1);
    pool.template(bare);
    pool.template(Template { current_time: earlier, ..full });
    for id in channels {
        let channel = pool.channel(conn, id);
        assert!(!channel.job().was_future, "the full job");
        assert_eq!(channel.job().min_ntime, channel.tip.map(|tip| tip.min_ntime));
    }
}

#[test]
fn a_new_tip_is_one_short_message_and_the_full_job_follows_on_it() {
    let mut pool = Pool::default().with_work();
    let (conn, channels) = with_channels(&mut pool);
    // The job for the next height has been sent ahead.
    pool.advance(Duration::from_secs(1));
    for id in channels {
        assert!(pool.channel(conn, id).future_job().is_some(), "channel {id} has nothing for the next tip");
    }
    pool.client_mut(conn).heard.clear();
    let bare = pool.next_bare_tip();
    pool.template(bare);
    let heard: Vec<Message> = pool.client_mut(conn).heard.drain(..).collect();
    let mut tips = HashMap::new();
    for message in &heard {
        match message {
            Message::SetNewPrevHash(tip) => *tips.entry(tip.channel_id).or_insert(0) += 1,
            Message::NewMiningJob(_) | Message::NewExtendedMiningJob(_) => {
                assert_eq!(tips.len(), channels.len(), "{} before the tip", message.name());
            }
            _ => {}
        }
    }
    assert_eq!(tips.len(), channels.len(), "{heard:?}");
    assert!(tips.values().all(|count| *count == 1), "{tips:?}");
    for id in channels {
        let share = pool.channel(conn, id).search().hit();
        assert_eq!(pool.submit_v2(conn, &share), Ok(()), "on the job that was sent ahead");
    }
    let full = pool.next_template();
    pool.template(full);
    pool.advance(Duration::from_secs(1));
    for id in channels {
        let job = pool.channel(conn, id).job();
        assert!(!job.was_future, "the full job follows on the same tip");
        let share = pool.channel(conn, id).search().hit();
        assert_eq!(pool.submit_v2(conn, &share), Ok(()));
    }
}

#[test]
fn each_kind_of_channel_finds_blocks_that_pay_its_user() {
    let mut pool = Pool::default();
    let template = work::with_bits(pool.next_tip(), work::EASY_BITS);
    pool.template(template);
    let (conn, channels) = with_channels(&mut pool);
    for (id, payee) in channels.into_iter().zip([work::address(1), work::address(2)]) {
        let share = pool.channel(conn, id).search().version_bits(0x0040_0000).block();
        assert_eq!(pool.submit_v2(conn, &share), Ok(()));
        let block = pool.blocks.last().expect("a block");
        check_block(block, &share, &payee);
    }
    assert_eq!(pool.blocks.len(), channels.len());
}

fn check_block(candidate: &BlockCandidate, share: &Share, payee: &str) {
    let block: bitcoin::Block = deserialize(&candidate.serialise()).expect("a block");
    assert_eq!(block.block_hash().to_string(), share.hash);
    assert!(block.check_merkle_root() && block.check_witness_commitment());
    let script = work::script(payee);
    let coinbase = &block.txdata[0];
    assert!(coinbase.output.iter().any(|output| output.script_pubkey == script), "{payee} is not paid");
}

#[test]
fn miners_of_both_versions_never_hash_the_same() {
    let mut pool = Pool::default().with_work();
    let (conn, _) = with_channels(&mut pool);
    for number in 0..40 {
        let name = format!("{}.{number}", work::address(1));
        pool.open_extended(conn, &name).expect("an extended channel");
        pool.open_standard(conn, &name).expect("a standard channel");
    }
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let prefixes: Vec<String> = pool.client(conn).channels().map(|one| hexadecimal(&one.extranonce_prefix)).collect();
    for _ in 0..40 {
        let miner = pool.join(&work::address(1), "x");
        let extranonce1 = &pool.miner(miner).extranonce1;
        let is_apart = |prefix: &&String| !prefix.starts_with(extranonce1) && !extranonce1.starts_with(prefix.as_str());
        assert!(prefixes.iter().all(|prefix| is_apart(&prefix)), "{extranonce1} is among {prefixes:?}");
    }
}

#[test]
fn setups_that_cannot_be_met_are_refused_by_their_codes() {
    type Setup = fn(&mut Client) -> Vec<u8>;
    let cases: [(Setup, &str); 3] = [
        (|client| client.setup_as(Protocol::JobDeclarationProtocol, 2..=2, 0, "x"), "unsupported-protocol"),
        (|client| client.setup_as(Protocol::MiningProtocol, 3..=9, 0, "x"), "protocol-version-mismatch"),
        (|client| client.setup(1 << 30), "unsupported-feature-flags"),
    ];
    for (setup, code) in cases {
        let mut pool = Pool::default().with_work();
        let conn = pool.push_open_judged();
        let frame = setup(pool.client_mut(conn));
        pool.send_frames(conn, &frame);
        assert_eq!(pool.client(conn).is_set_up(), Err(code.to_owned()));
    }
}

#[test]
fn openings_that_cannot_be_met_are_refused_by_their_codes() {
    let mut pool = Pool::default().with_work();
    let conn = pool.connect_judged(REQUIRES_VERSION_ROLLING);
    let name = work::address(1);
    let asks = [
        (pool.client_mut(conn).open_extended("nobody", 1.0, any_target(), 2), "unknown-user"),
        (pool.client_mut(conn).open_extended(&name, 1.0, any_target(), 33), "min-extranonce-size-too-large"),
        (pool.client_mut(conn).open_standard(&name, 1.0, Target::ZERO), "max-target-out-of-range"),
    ];
    for ((request, frame), code) in asks {
        assert_eq!(pool.open_channel(conn, request, &frame), Err(code.to_owned()));
    }
    // The connection is as good as before.
    let channel = pool.open_standard(conn, &name).expect("a channel");
    let share = pool.channel(conn, channel).search().hit();
    assert_eq!(pool.submit_v2(conn, &share), Ok(()));
}

#[test]
fn a_miner_of_standard_jobs_alone_gets_no_other() {
    let mut pool = Pool::default().with_work();
    let conn = pool.connect_judged(REQUIRES_STANDARD_JOBS);
    let channel = pool.open_standard(conn, &work::address(1)).expect("a channel");
    for _ in 0..3 {
        pool.new_tip();
        let share = pool.channel(conn, channel).search().hit();
        assert_eq!(pool.submit_v2(conn, &share), Ok(()));
    }
}

#[test]
fn a_target_is_what_the_miner_asked_for_and_spares_what_is_in_flight() {
    let mut pool = Pool::default().with_work();
    let (conn, channels) = with_channels(&mut pool);
    for id in channels {
        let before = pool.channel(conn, id).search().hit();
        let harder = Target::from_be_bytes(std::array::from_fn(|place| if place == 0 { 0 } else { 0xff }));
        let heard = pool.channel(conn, id).targets_heard;
        let update = pool.client_mut(conn).update(id, 1.0, harder);
        pool.send_frames(conn, &update);
        assert_eq!(pool.channel(conn, id).targets_heard, heard + 1, "UpdateChannel is answered by SetTarget");
        assert!(pool.channel(conn, id).target <= harder);
        assert_eq!(pool.submit_v2(conn, &before), Ok(()), "the job keeps the target that it was sent under");
    }
}

#[test]
fn what_is_closed_is_closed_with_all_its_members() {
    let mut pool = Pool::default().with_work();
    let conn = pool.connect_judged(0);
    let name = work::address(1);
    let one = pool.open_extended(conn, &name).expect("a channel");
    let two = pool.open_extended(conn, &name).expect("a channel");
    let share = pool.channel(conn, one).search().hit();
    assert_eq!(pool.channel(conn, one).group, pool.channel(conn, two).group);
    let group = pool.channel(conn, one).group;
    let close = pool.client_mut(conn).close(group);
    pool.send_frames(conn, &close);
    assert_eq!(pool.submit_v2(conn, &share), Err("invalid-channel-id".to_owned()));
    pool.new_tip();
    assert_eq!(pool.closed(conn), None);
}
