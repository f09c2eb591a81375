//! The judge accepts a good block and refuses every kind of bad one with Core's reason.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use bitcoin::absolute::LockTime;
use bitcoin::block::Version;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::{Amount, Block, CompactTarget, OutPoint, ScriptBuf, Transaction, TxMerkleNode, Txid, Witness};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use support::{Fixture, build, commit_and_seal, mine, seal};

#[test]
fn a_good_block_is_accepted_and_becomes_the_tip() {
    let fixture = Fixture::start();
    let template = fixture.template();
    let block = build(&template);
    assert_eq!(fixture.submit(&block), None);
    assert_eq!(fixture.node.tip(), block.block_hash().to_string());
    let blocks = fixture.node.blocks();
    assert_eq!(blocks.len(), 1);
    let ours = &blocks[0];
    assert_eq!((ours.height, ours.transactions, ours.submitted), (131, 25, true));
    assert_eq!(ours.coinbase_outputs[0].sats, template["coinbasevalue"].as_u64().unwrap());
    assert!(ours.coinbase_outputs[0].address.as_ref().unwrap().starts_with("bcrt1q"));
    assert_eq!(ours.coinbase_outputs[1].address, None);
}

#[test]
fn a_block_with_rolled_version_bits_or_without_transactions_is_accepted() {
    let fixture = Fixture::start();
    let mut block = fixture.good_block();
    block.header.version = Version::from_consensus(0x2abc_e000);
    mine(&mut block);
    assert_eq!(fixture.submit(&block), None);
    assert_eq!(fixture.node.blocks()[0].version, 0x2abc_e000);

    let mut empty = fixture.good_block();
    empty.txdata.truncate(1);
    empty.txdata[0].output[0].value = Amount::from_sat(5_000_000_000);
    commit_and_seal(&mut empty);
    assert_eq!(fixture.submit(&empty), None);
}

#[test]
fn subsidy_halves_at_height_150_of_regtest() {
    let fixture = Fixture::start_with(|options| {
        options.initial_height = 148;
        options.transactions = 0..=0;
    });
    for (height, sats) in [(149, 5_000_000_000_u64), (150, 2_500_000_000)] {
        let template = fixture.template();
        assert_eq!((&template["height"], &template["coinbasevalue"]), (&json!(height), &json!(sats)));
        assert_eq!(fixture.submit(&build(&template)), None);
    }
}

type Mutation = (&'static str, fn(&mut Block));

/// Every way to spoil a block, with the reason that Core gives.
const MUTATIONS: &[Mutation] = &[
    ("high-hash", |block| {
        while block.header.target().is_met_by(block.block_hash()) {
            block.header.nonce += 1;
        }
    }),
    ("high-hash", |block| {
        block.header.bits = CompactTarget::from_consensus(0x2100_ffff);
    }),
    ("bad-txnmrklroot", |block| {
        block.header.merkle_root = TxMerkleNode::from_byte_array([1; 32]);
        mine(block);
    }),
    ("bad-txnmrklroot", |block| {
        // Witness hashes in place of transaction hashes.
        let leaves = block.txdata.iter().map(|transaction| transaction.compute_wtxid().to_raw_hash());
        block.header.merkle_root = bitcoin::merkle_tree::calculate_root(leaves).unwrap().into();
        mine(block);
    }),
    ("bad-txns-duplicate", |block| {
        // An odd level: repeating its last leaf keeps the root.
        block.txdata.push(block.txdata.last().unwrap().clone());
        mine(block);
    }),
    ("bad-blk-length", |block| {
        block.txdata.clear();
        seal(block);
    }),
    ("bad-cb-missing", |block| {
        block.txdata.remove(0);
        seal(block);
    }),
    ("bad-cb-multiple", |block| {
        let mut second = block.txdata[0].clone();
        second.output.truncate(1);
        block.txdata.push(second);
        commit_and_seal(block);
    }),
    ("bad-cb-length", |block| {
        block.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(vec![0; 101]);
        seal(block);
    }),
    ("bad-cb-length", |block| {
        block.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(vec![0]);
        seal(block);
    }),
    ("bad-txns-vout-empty", |block| {
        block.txdata[0].output.clear();
        seal(block);
    }),
    ("bad-txns-vout-negative", |block| {
        block.txdata[0].output[0].value = Amount::from_sat(u64::MAX);
        seal(block);
    }),
    ("bad-txns-vout-toolarge", |block| {
        block.txdata[0].output[0].value = Amount::MAX_MONEY + Amount::ONE_SAT;
        seal(block);
    }),
    ("bad-txns-txouttotal-toolarge", |block| {
        block.txdata[0].output[0].value = Amount::MAX_MONEY;
        block.txdata[0].output[1].value = Amount::ONE_SAT;
        seal(block);
    }),
    ("bad-txns-inputs-duplicate", |block| {
        let input = block.txdata[1].input[0].clone();
        block.txdata[1].input.push(input);
        commit_and_seal(block);
    }),
    ("bad-txns-prevout-null", |block| {
        let mut input = block.txdata[1].input[0].clone();
        input.previous_output = OutPoint::null();
        block.txdata[1].input.push(input);
        commit_and_seal(block);
    }),
    ("bad-diffbits", |block| {
        block.header.bits = CompactTarget::from_consensus(0x207f_fffe);
        mine(block);
    }),
    ("time-too-old", |block| {
        // The template's time is that of the clock; the median of the last 11 blocks is six seconds older.
        block.header.time -= 3600;
        mine(block);
    }),
    ("time-too-new", |block| {
        block.header.time = unix_time() + 7200 + 60;
        mine(block);
    }),
    ("bad-version(0x00000003)", |block| {
        block.header.version = Version::from_consensus(3);
        mine(block);
    }),
    ("bad-txns-nonfinal", |block| {
        let coinbase = &mut block.txdata[0];
        coinbase.lock_time = LockTime::from_consensus(coinbase.lock_time.to_consensus_u32() + 1);
        seal(block);
    }),
    ("bad-cb-height", |block| {
        block.txdata[0].input[0].script_sig = Builder::new().push_int(132).push_slice(b"/test/").into_script();
        seal(block);
    }),
    ("bad-cb-height", |block| {
        // A height with a longer push than the minimal one.
        block.txdata[0].input[0].script_sig = ScriptBuf::from_bytes(vec![3, 131, 0, 0]);
        seal(block);
    }),
    ("bad-witness-nonce-size", |block| block.txdata[0].input[0].witness.clear()),
    ("bad-witness-nonce-size", |block| {
        block.txdata[0].input[0].witness = Witness::from_slice(&[[0_u8; 31]]);
    }),
    ("bad-witness-nonce-size", |block| {
        block.txdata[0].input[0].witness = Witness::from_slice(&[[0_u8; 32], [0; 32]]);
    }),
    ("bad-witness-merkle-match", |block| {
        block.txdata[0].input[0].witness = Witness::from_slice(&[[1_u8; 32]]);
    }),
    ("bad-witness-merkle-match", |block| {
        // The first transaction with a witness loses it; transaction hashes stay.
        let spoiled = block.txdata[1..].iter_mut().find(|transaction| !transaction.input[0].witness.is_empty());
        spoiled.unwrap().input[0].witness = Witness::from_slice(&[[5_u8; 64]]);
    }),
    ("unexpected-witness", |block| {
        block.txdata[0].output.truncate(1);
        seal(block);
    }),
    ("bad-blk-weight", |block| {
        // Just under the limit of the stripped size, over it with the witnesses.
        let stripped: usize = block.txdata.iter().map(Transaction::base_size).sum();
        let padding = 1_000_000 - 81 - stripped - 32;
        block.txdata[0].output[0].script_pubkey = ScriptBuf::from_bytes(vec![0x6a; padding]);
        seal(block);
    }),
    ("bad-txns-inputs-missingorspent", |block| {
        // A transaction that nobody knows.
        block.txdata[1].output[0].value -= Amount::ONE_SAT;
        commit_and_seal(block);
    }),
    ("bad-txns-inputs-missingorspent", |block| {
        // The same transaction twice.
        block.txdata.insert(1, block.txdata[3].clone());
        commit_and_seal(block);
    }),
    ("bad-txns-inputs-missingorspent", |block| {
        let (parent, child) = family(block);
        block.txdata.swap(parent, child);
        commit_and_seal(block);
    }),
    ("bad-txns-inputs-missingorspent", |block| {
        let (parent, _) = family(block);
        block.txdata.remove(parent);
        commit_and_seal(block);
    }),
    ("block-script-verify-flag-failed (Witness program hash mismatch)", |block| {
        let spoiled = block.txdata[1..].iter_mut().find(|transaction| !transaction.input[0].witness.is_empty());
        spoiled.unwrap().input[0].witness = Witness::from_slice(&[[5_u8; 64]]);
        commit_and_seal(block);
    }),
    ("bad-cb-amount", |block| {
        block.txdata[0].output[0].value += Amount::ONE_SAT;
        seal(block);
    }),
    ("bad-cb-amount", |block| {
        // All the fees, but not all the transactions.
        block.txdata.pop();
        commit_and_seal(block);
    }),
    ("prev-blk-not-found", |block| {
        block.header.prev_blockhash = bitcoin::BlockHash::from_byte_array([3; 32]);
        mine(block);
    }),
];

#[test]
fn every_spoiled_block_is_refused_with_the_reason_of_core() {
    let fixture = Fixture::start();
    let good = fixture.good_block();
    let tip = fixture.node.tip();
    for (index, (reason, spoil)) in MUTATIONS.iter().enumerate() {
        let mut block = good.clone();
        spoil(&mut block);
        assert_eq!(fixture.submit(&block).as_deref(), Some(*reason), "mutation {index}");
        assert_eq!(fixture.node.tip(), tip, "mutation {index} ({reason}) changed the tip");
    }
    assert_eq!(fixture.submit(&good), None, "the block that was spoiled is good");
}

#[test]
fn a_block_may_be_one_second_younger_than_the_median_of_the_last_11() {
    let fixture = Fixture::start();
    let mintime = fixture.template()["mintime"].as_u64().unwrap() as u32;
    let mut block = fixture.good_block();
    for (time, expected) in [(mintime - 1, Some("time-too-old")), (mintime, None)] {
        block.header.time = time;
        mine(&mut block);
        assert_eq!(fixture.submit(&block).as_deref(), expected);
    }
}

#[test]
fn proposals_are_judged_alike_but_need_no_work_and_add_nothing() {
    let fixture = Fixture::start();
    let mut good = fixture.good_block();
    let propose =
        |block: &Block| fixture.call("getblocktemplate", json!([{"mode": "proposal", "data": serialize_hex(block)}]));
    let needs_work = ["high-hash", "prev-blk-not-found"];
    for (reason, spoil) in MUTATIONS.iter().filter(|(reason, _)| !needs_work.contains(reason)) {
        let mut block = good.clone();
        spoil(&mut block);
        assert_eq!(propose(&block), json!(reason));
    }
    while good.header.target().is_met_by(good.block_hash()) {
        good.header.nonce += 1;
    }
    assert_eq!(propose(&good), Value::Null);
    assert_eq!(fixture.node.height(), 130);
    fixture.node.mine_external_block();
    assert_eq!(propose(&good), json!("inconclusive-not-best-prevblk"));
}

#[test]
fn a_block_that_is_known_is_a_duplicate() {
    let fixture = Fixture::start();
    let good = fixture.good_block();
    let mut overpaid = good.clone();
    overpaid.txdata[0].output[0].value += Amount::ONE_SAT;
    seal(&mut overpaid);
    assert_eq!(fixture.submit(&overpaid).as_deref(), Some("bad-cb-amount"));
    assert_eq!(fixture.submit(&overpaid).as_deref(), Some("duplicate-invalid"));

    let mut child = good.clone();
    child.header.prev_blockhash = overpaid.block_hash();
    mine(&mut child);
    assert_eq!(fixture.submit(&child).as_deref(), Some("bad-prevblk"));

    assert_eq!(fixture.submit(&good), None);
    assert_eq!(fixture.submit(&good).as_deref(), Some("duplicate"));
}

#[test]
fn a_body_that_was_spoiled_on_the_way_does_not_condemn_its_header() {
    let fixture = Fixture::start();
    let good = fixture.good_block();
    let mut spoiled = good.clone();
    spoiled.txdata[0].input[0].witness.clear();
    assert_eq!(spoiled.block_hash(), good.block_hash());
    assert_eq!(fixture.submit(&spoiled).as_deref(), Some("bad-witness-nonce-size"));
    assert_eq!(fixture.submit(&good), None);
}

#[test]
fn what_is_not_a_block_is_an_error() {
    let fixture = Fixture::start();
    let good = serialize_hex(&fixture.good_block());
    for data in ["", "zz", "0x00", &good[..good.len() - 2], &(good.clone() + "00")] {
        let error = fixture.error("submitblock", json!([data]));
        assert_eq!(error, json!({"code": -22, "message": "Block decode failed"}));
    }
    assert_eq!(fixture.error("submitblock", json!([5]))["code"], json!(-3));
    assert_eq!(fixture.error("submitblock", json!([]))["code"], json!(-1));
}

/// Positions of a transaction and of a later one that spends it.
fn family(block: &Block) -> (usize, usize) {
    let txids: Vec<Txid> = block.txdata.iter().map(Transaction::compute_txid).collect();
    for (child, transaction) in block.txdata.iter().enumerate().skip(1) {
        let parents = transaction.input.iter().map(|input| input.previous_output.txid);
        if let Some(parent) = parents.filter_map(|parent| txids.iter().position(|txid| *txid == parent)).next() {
            return (parent, child);
        }
    }
    panic!("the template has no dependent transactions");
}

fn unix_time() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32
}
