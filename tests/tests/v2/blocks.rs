//! A block found on a channel, taken apart by crate `bitcoin`.

use crate::client::{Client, Heard};
use crate::order::subsidy_only;
use bitcoin::Block;
use bitcoin::consensus::deserialize;
use std::time::Duration;
use warppool_net::wire::v2::message::CloseChannel;
use warppool_tests::pool::Pool;
use warppool_tests::work::{EASY_BITS, address, script, with_bits};

/// A client with both kinds of channel on a network where every second share is a block.
fn easy() -> (Pool, Client, [u32; 2]) {
    let mut pool = Pool::default();
    let template = pool.next_tip();
    pool.template(with_bits(template, EASY_BITS));
    let mut client = Client::connect(&mut pool, "maker", 0);
    let (extended, _) = client.open_extended(&mut pool, &address(1));
    let (standard, _) = client.open_standard(&mut pool, &address(2));
    (pool, client, [extended, standard])
}

/// The block of the first share that the network's target is met by.
fn find(pool: &mut Pool, client: &mut Client, channel: u32, bits: u32) -> (Block, String) {
    let network = warppool_components::units::Target::from_compact(EASY_BITS).expect("a target");
    let job = client.channel(channel).jobs.last().expect("a job").clone();
    let share =
        client.channel(channel).search(&job, 0, bits, |hash, target| network.is_met_by(hash) && target.is_met_by(hash));
    let before = pool.blocks.len();
    assert_eq!(client.submit(pool, channel, &share), Ok(()));
    assert_eq!(pool.blocks.len(), before + 1);
    (deserialize(&pool.blocks[before].serialise()).expect("a block"), share.hash.to_string())
}

fn check(block: &Block, hash: &str, payee: &str, height: u64) {
    assert_eq!(block.block_hash().to_string(), hash);
    assert!(block.check_merkle_root() && block.check_witness_commitment());
    assert_eq!(block.bip34_block_height(), Ok(height));
    assert!(block.header.validate_pow(bitcoin::CompactTarget::from_consensus(EASY_BITS).into()).is_ok());
    assert_eq!(block.txdata[0].output[0].script_pubkey, script(payee));
}

#[test]
fn a_block_of_either_kind_of_channel_is_whole() {
    let (mut pool, mut client, [extended, standard]) = easy();
    for (channel, payee) in [(extended, address(1)), (standard, address(2))] {
        let (block, hash) = find(&mut pool, &mut client, channel, 0x1f0f_0fe0);
        check(&block, &hash, &payee, 1001);
        assert_eq!(block.txdata.len(), 7);
        assert_eq!(block.header.version.to_consensus() as u32, 0x2000_0000 ^ 0x1f0f_0fe0);
    }
}

/// Shares of a channel that ends in the same tick are judged before it does.
#[test]
fn a_block_that_comes_with_the_end_of_its_channel_is_not_lost() {
    let (mut pool, mut client, [extended, _]) = easy();
    let network = warppool_components::units::Target::from_compact(EASY_BITS).expect("a target");
    let job = client.channel(extended).jobs[0].clone();
    let share =
        client.channel(extended).search(&job, 0, 0, |hash, target| network.is_met_by(hash) && target.is_met_by(hash));
    let last = client.push_share(&mut pool, extended, &share);
    let close = CloseChannel { channel_id: extended, reason_code: "".into() };
    let heard = client.ask(&mut pool, &close);
    assert_eq!((heard.len(), pool.blocks.len()), (1, 1));
    assert!(matches!(heard[0], Heard::Credited { last: credited, .. } if credited == last), "{heard:?}");
    assert_eq!(client.submit(&mut pool, extended, &share), Err("invalid-channel-id".into()));
}

#[test]
fn a_block_of_the_job_that_was_sent_ahead_is_whole() {
    let (mut pool, mut client, channels) = easy();
    let empty = subsidy_only(&mut pool);
    pool.template(with_bits(empty, EASY_BITS));
    pool.advance(Duration::from_millis(1));
    client.hear(&mut pool);
    for (channel, payee) in channels.into_iter().zip([address(1), address(2)]) {
        let (block, hash) = find(&mut pool, &mut client, channel, 0);
        check(&block, &hash, &payee, 1002);
        assert_eq!(block.txdata.len(), 1);
        let subsidy = 5_000_000_000 >> (1002 / 150);
        assert_eq!(block.txdata[0].output[0].value.to_sat(), subsidy);
    }
}
