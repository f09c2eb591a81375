//! Miners of Stratum V2 on work of another pool: what they find there is what the other pool would compute.

use crate::client::{Client, Share};
use bitcoin::block::{Header, Version};
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{BlockHash, CompactTarget, TxMerkleNode};
use std::sync::Arc;
use warppool_components::node::NodeEvent;
use warppool_components::template::Template;
use warppool_components::units::{Difficulty, Target};
use warppool_components::upstream::{GivenCoinbase, GivenWork, UpstreamShare};
use warppool_tests::pool::{Pool, difficulty, settings};
use warppool_tests::work::{address, join};

/// What the other pool put around our bytes.
const SUFFIX: [u8; 40] = [0x5f; 40];

/// A coinbase up to our bytes, a different one for each job.
fn prefix(job_id: u32) -> Vec<u8> {
    [&[0x2a; 70][..], &job_id.to_le_bytes(), &[0xaa, 0xbb, 0xcc, 0xdd]].concat()
}

fn target(value: f64) -> Target {
    Target::from_difficulty(Difficulty::new(value).expect("positive"))
}

/// The other pool gives a job.
fn give(pool: &mut Pool, template: &Arc<Template>, session: u32, job_id: u32, target: Target) {
    pool.push_node(NodeEvent::UpstreamTarget(target));
    give_as(pool, template, false, coinbase(session, job_id, target));
}

fn give_as(pool: &mut Pool, template: &Arc<Template>, clean: bool, coinbase: GivenCoinbase) {
    let (template, coinbase) = (Arc::clone(template), Arc::new(coinbase));
    pool.push_node(NodeEvent::Given(GivenWork { template, coinbase, clean }));
    pool.tick();
}

fn coinbase(session: u32, job_id: u32, target: Target) -> GivenCoinbase {
    GivenCoinbase::new(session, job_id, &prefix(job_id), &SUFFIX, target).expect("long enough")
}

/// What a share hashes to at the other pool.
fn hash_above(share: &UpstreamShare, template: &Template) -> String {
    let coinbase = [&prefix(share.job_id)[..], &share.extranonce, &SUFFIX].concat();
    let branches = template.merkle_branches.iter().map(|branch| sha256d::Hash::from_byte_array(*branch.as_internal()));
    let root = branches.fold(sha256d::Hash::hash(&coinbase), join);
    let header = Header {
        version: Version::from_consensus(share.version.cast_signed()),
        prev_blockhash: BlockHash::from_byte_array(*template.previous_block.as_internal()),
        merkle_root: TxMerkleNode::from_raw_hash(root),
        time: share.ntime,
        bits: CompactTarget::from_consensus(template.bits),
        nonce: share.nonce,
    };
    header.block_hash().to_string()
}

/// A translator with work and a miner that has both kinds of channel.
fn begin(wanted: Target) -> (Pool, Arc<Template>, Client, [u32; 2]) {
    let mut pool = Pool::translating(settings(), "the user above");
    let template = Arc::new(pool.next_tip());
    give(&mut pool, &template, 1, 501, wanted);
    let mut client = Client::connect(&mut pool, "maker", 0);
    let (extended, _) = client.open_extended(&mut pool, "anybody.rig");
    let (standard, _) = client.open_standard(&mut pool, &address(1));
    (pool, template, client, [extended, standard])
}

#[test]
fn shares_of_both_kinds_of_channel_are_the_same_work_above() {
    let (mut pool, template, mut client, channels) = begin(target(1e-9));
    assert_eq!(client.channel(channels[0]).extranonce_bytes, 4);
    for (channel, bits) in channels.into_iter().zip([0x0012_2000, 0]) {
        let share: Share = client.hit_rolling(channel, 0x0102_0304, bits);
        assert_eq!(client.submit(&mut pool, channel, &share), Ok(()));
        let sent = pool.upstream.pop().expect("it was handed on");
        assert_eq!((sent.session, sent.job_id), (1, 501));
        assert_eq!(hash_above(&sent, &template), share.hash.to_string());
        assert_eq!(client.submit(&mut pool, channel, &share), Err("duplicate-share".into()));
        assert!(pool.upstream.is_empty() && pool.blocks.is_empty());
    }
}

#[test]
fn a_difficulty_is_never_harder_than_what_the_other_pool_wants() {
    let (mut pool, template, mut client, [extended, _]) = begin(target(5e-10));
    let hardest = client.channel(extended).jobs[0].target.to_difficulty();
    assert!(hardest <= difficulty(5.001e-10), "not the 1e-9 of the settings: {hardest}");
    give(&mut pool, &template, 1, 502, target(3e-10));
    client.hear(&mut pool);
    let job = client.channel(extended).jobs.last().expect("a job").clone();
    assert!(job.target.to_difficulty() <= difficulty(3.001e-10), "an easier one comes with its job");
    // A harder wish leaves miners where they are: what is too easy for the other pool stays here.
    let hard = target(1e-6);
    give(&mut pool, &template, 1, 503, hard);
    client.hear(&mut pool);
    let job = client.channel(extended).jobs.last().expect("a job").clone();
    let share = client.channel(extended).search(&job, 9, 0, |hash, own| own.is_met_by(hash) && !hard.is_met_by(hash));
    assert_eq!(client.submit(&mut pool, extended, &share), Ok(()));
    assert!(pool.upstream.is_empty());
}

#[test]
fn an_earlier_job_of_the_session_is_good_until_the_tip_changes() {
    let (mut pool, template, mut client, [extended, _]) = begin(target(1e-9));
    let [before, late] = [1, 2].map(|extranonce| client.hit(extended, extranonce));
    give(&mut pool, &template, 1, 502, target(1e-9));
    client.hear(&mut pool);
    assert_eq!(client.submit(&mut pool, extended, &before), Ok(()));
    let template = Arc::new(pool.next_tip());
    give(&mut pool, &template, 1, 503, target(1e-9));
    client.hear(&mut pool);
    assert_eq!(client.submit(&mut pool, extended, &late), Err("stale-share".into()));
    let share = client.hit(extended, 3);
    assert_eq!(client.submit(&mut pool, extended, &share), Ok(()));
    let sent: Vec<_> = pool.upstream.iter().map(|share| share.job_id).collect();
    assert_eq!(sent, [501, 503]);
}

#[test]
fn a_clean_job_makes_earlier_ones_stale_on_the_same_tip_too() {
    let (mut pool, template, mut client, [extended, _]) = begin(target(1e-9));
    let late = client.hit(extended, 1);
    give_as(&mut pool, &template, true, coinbase(1, 502, target(1e-9)));
    // This client takes it for an error when a tip is told twice; here that is how the earlier jobs end.
    client.channels.values_mut().for_each(|channel| channel.tip = None);
    client.hear(&mut pool);
    assert_eq!(client.submit(&mut pool, extended, &late), Err("stale-share".into()));
    let share = client.hit(extended, 2);
    assert_eq!(client.submit(&mut pool, extended, &share), Ok(()));
}

#[test]
fn no_version_bits_are_rolled_that_the_other_pool_does_not_allow() {
    let (mut pool, template, mut client, [extended, _]) = begin(target(1e-9));
    let wide = client.hit_rolling(extended, 1, 0x0000_0020);
    assert_eq!(client.submit(&mut pool, extended, &wide), Ok(()), "Stratum V2 has the bits of BIP323");
    let narrow = coinbase(1, 502, target(1e-9)).with_version_mask(0x1fff_e000);
    give_as(&mut pool, &template, false, narrow);
    client.hear(&mut pool);
    let wide = client.hit_rolling(extended, 2, 0x0000_0020);
    assert_eq!(client.submit(&mut pool, extended, &wide), Err("version-bits-not-allowed".into()));
    let usual = client.hit_rolling(extended, 3, 0x0000_2000);
    assert_eq!(client.submit(&mut pool, extended, &usual), Ok(()));
}

#[test]
fn no_work_is_made_of_the_same_job_twice() {
    let (mut pool, _, mut client, [extended, _]) = begin(target(1e-9));
    pool.advance(std::time::Duration::from_secs(100));
    client.hear(&mut pool);
    assert_eq!(client.channel(extended).jobs.len(), 1);
}
