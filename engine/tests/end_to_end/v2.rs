//! Stratum V2 through the whole program: handshake, both kinds of channels, verdicts, blocks and tips, by a miner that is made
//! of the reference project's crates alone and fails at every violation of the specification.

use crate::harness::{Pool, RawMiner, Site, address, has_transactions, node, node_with, until};
use std::collections::HashSet;
use std::time::Duration;
use warppool_loadgen::modes::throughput;
use warppool_loadgen::{Protocol, Target, V2Options};
use warppool_net::transport::noise::AuthorityPublicKey;
use warppool_reference::message::Message;
use warppool_reference::secured::Secured;
use warppool_reference::{Miner, REQUIRES_STANDARD_JOBS, Share};
use warppool_simnode::{Faults, SimBlock, SimNode};

/// Some 65,536 hashes a block.
const FEW_HASHES: u32 = 0x1f00_ffff;

/// A bit that every miner may roll.
const ROLLED: u32 = 0x0040_0000;

/// An extended and a standard channel on one connection.
fn with_channels(pool: &mut Pool) -> (Miner, [u32; 2]) {
    let mut miner = pool.v2_miner(0);
    let extended = miner.open_extended(&format!("{}.extended", address(1))).unwrap();
    let standard = miner.open_standard(&format!("{}.standard", address(2))).unwrap();
    (miner, [extended, standard])
}

#[test]
fn shares_of_both_kinds_are_credited_and_refused_by_their_codes() {
    let (node, _directory) = node();
    let mut pool = Pool::start(&Site::new(&node));
    let (mut miner, channels) = with_channels(&mut pool);
    for (id, name) in channels.into_iter().zip(["extended", "standard"]) {
        let channel = miner.channel(id);
        let (good, low) = (channel.search().hit(), channel.search().miss());
        let rolled = channel.search().version_bits(ROLLED).hit();
        let fixed = channel.search().version_bits(1 << 31).hit();
        let unknown = Share { job: 77_777, ..good.clone() };
        let stray = Share { channel: 55_555, ..good.clone() };
        assert_eq!(miner.submit(&good), Ok(()));
        assert_eq!(miner.submit(&rolled), Ok(()));
        for (share, code) in [
            (&good, "duplicate-share"),
            (&low, "difficulty-too-low"),
            (&unknown, "invalid-job-id"),
            (&fixed, "version-bits-not-allowed"),
            (&stray, "invalid-channel-id"),
        ] {
            assert_eq!(miner.submit(share), Err(code.to_owned()), "{name}");
        }
        node.mine_external_block();
        miner.until_stale(id, good.job);
        assert_eq!(miner.submit(&good), Err("stale-share".to_owned()), "{name}");
        let payee = if name == "extended" { address(1) } else { address(2) };
        let worker = until("the worker's sums", || {
            let known = pool.worker(&format!("{payee}.{name}"))?;
            (known["shares"]["accepted"] == 2 && known["shares"]["rejected"].as_u64() >= Some(4)).then_some(known)
        });
        assert!(worker["shares"]["accepted_difficulty"].as_f64().unwrap() > 0.0, "{worker}");
    }
}

/// Blocks that the node took from the pool.
fn taken(node: &SimNode) -> Vec<SimBlock> {
    node.blocks().into_iter().filter(|block| block.submitted).collect()
}

#[test]
fn each_kind_of_channel_finds_a_block_that_the_node_takes() {
    let (node, _directory) = node_with(|options| options.bits = FEW_HASHES);
    let mut pool = Pool::start(&Site::new(&node));
    let (mut miner, channels) = with_channels(&mut pool);
    for (id, payee) in channels.into_iter().zip([address(1), address(2)]) {
        let share = miner.channel(id).search().version_bits(ROLLED).block();
        assert_eq!(miner.submit(&share), Ok(()));
        let block = until("the block", || taken(&node).into_iter().find(|block| block.hash == share.hash));
        assert!(block.coinbase_outputs.iter().any(|output| output.address.as_deref() == Some(payee.as_str())));
        assert_eq!(block.version.cast_unsigned(), share.version, "the rolled version reached the node");
        // The pool's own block is a new tip for both.
        channels.into_iter().for_each(|other| miner.until_stale(other, share.job));
    }
    pool.json_when("/api/blocks", |page| page["blocks_found"] == channels.len());
}

#[test]
fn a_new_tip_is_one_message_and_the_full_job_follows() {
    let (node, _directory) = node();
    let mut pool = Pool::start(&Site::new(&node));
    let (mut miner, channels) = with_channels(&mut pool);
    for id in channels {
        miner.until("work for the next tip", |client| client.channel(id).future_job().is_some());
    }
    let ahead = channels.map(|id| miner.channel(id).future_job().unwrap().id);
    miner.client.heard.clear();
    // A template that takes its time shows that miners do not wait for it.
    let delay = [("getblocktemplate".to_owned(), Duration::from_millis(700))].into();
    node.set_faults(Faults { delay, ..Faults::default() });
    node.mine_external_block();
    for (id, job) in channels.into_iter().zip(ahead) {
        miner.until("the tip", |client| client.channel(id).tips_heard == 2);
        let named = miner.client.heard.iter().find_map(|message| match message {
            Message::SetNewPrevHash(tip) if tip.channel_id == id => Some(tip.job_id),
            _ => None,
        });
        assert_eq!(named, Some(job), "the tip makes use of the job that was sent ahead");
        let share = miner.channel(id).search().hit();
        assert_eq!(miner.submit(&share), Ok(()), "at once");
    }
    for (id, job) in channels.into_iter().zip(ahead) {
        miner.until("the full job", |client| client.channel(id).job().id != job);
        // On a busy machine the first share may have been on the full job too.
        let share = miner.channel(id).search().from_nonce(1_000_000).hit();
        assert_eq!(miner.submit(&share), Ok(()), "on the full job");
        assert_eq!(miner.channel(id).tips_heard, 2, "the full job needs no other tip");
    }
}

#[test]
fn miners_of_both_versions_share_a_pool() {
    let (node, _directory) = node();
    let mut pool = Pool::start(&Site::new(&node));
    let names = |number: u8| (format!("{}.one", address(number)), format!("{}.two", address(number)));
    let mut old: Vec<RawMiner> = (0..5).map(|number| RawMiner::join(pool.miners, &names(number).0)).collect();
    let mut new: Vec<(Miner, u32)> = Vec::new();
    for number in 0..5 {
        let mut miner = pool.v2_miner(REQUIRES_STANDARD_JOBS * u32::from(number % 2));
        let name = names(number).1;
        let channel = if number % 2 == 0 { miner.open_extended(&name) } else { miner.open_standard(&name) };
        new.push((miner, channel.unwrap()));
    }
    let prefixes: HashSet<Vec<u8>> =
        new.iter().map(|(miner, channel)| miner.channel(*channel).extranonce_prefix.clone()).collect();
    assert_eq!(prefixes.len(), new.len(), "{prefixes:?}");
    for round in 0..3 {
        for miner in &mut old {
            let job = miner.wait_for("mining.notify", has_transactions);
            miner.submit_good(&job);
        }
        for (miner, channel) in &mut new {
            miner.until("a tip", |client| client.channel(*channel).tips_heard > round);
            let share = miner.channel(*channel).search().hit();
            assert_eq!(miner.submit(&share), Ok(()));
        }
        node.mine_external_block();
    }
    for number in 0..5 {
        let (one, two) = names(number);
        for name in [one, two] {
            until("the worker's sums", || pool.worker(&name).filter(|known| known["shares"]["accepted"] == 3));
        }
    }
    assert_eq!(pool.metric("warppool_shares_accepted_total"), 30.0);
}

/// The swarm has an encoder of its own: what it says of a pool is worth something only if the pool credits its shares.
#[test]
fn the_swarm_is_credited_in_both_kinds_of_channels() {
    let (node, _directory) = node();
    let site = Site::new(&node).with("vardiff.initial_diff", "1e-12");
    let mut pool = Pool::start(&site);
    let (server, authority) = pool.v2_address();
    let authority = AuthorityPublicKey::from_bytes(&authority).unwrap();
    for is_standard in [false, true] {
        let v2 = V2Options { authority, channels: 3, is_standard, only_handshake: false };
        let target = Target {
            server,
            protocol: Protocol::StratumV2,
            username: format!("{}.{is_standard}", address(3)),
            password: "x".to_owned(),
            connections: 4,
            server_pid: None,
            login_timeout: Duration::from_secs(20),
            tls: None,
            v2: Some(v2),
            sources_from: None,
            is_remote_allowed: false,
        };
        let figures = throughput::run(&throughput::Options {
            target,
            window: 8,
            rate_per_second: None,
            warm_up: Duration::ZERO,
            duration: Duration::from_millis(300),
        })
        .unwrap();
        assert!(figures.accepted > 100 && figures.rejected_by_code.is_empty(), "{figures:?}");
        assert_eq!((figures.lines_unknown, figures.connections_lost), (0, 0), "{figures:?}");
    }
}

#[test]
fn another_authority_is_not_believed() {
    let (node, _directory) = node();
    let mut pool = Pool::start(&Site::new(&node));
    let (address, authority) = pool.v2_address();
    let mut other = authority;
    other[31] ^= 1;
    // Half of all numbers are no key at all.
    let refusal = (0..=u8::MAX).filter(|byte| *byte != authority[31]).find_map(|byte| {
        other[31] = byte;
        let error = Secured::connect(address, other).err().expect("the key of nobody vouches for the pool");
        (!error.contains("InvalidRawPublicKey")).then_some(error)
    });
    assert!(refusal.as_deref().is_some_and(|error| error.contains("InvalidCertificate")), "{refusal:?}");
}
