//! A whole block out of the pool's parts and a real template's transactions, judged by the `bitcoin` crate.

use bitcoin::consensus::{Encodable, deserialize, serialize};
use bitcoin::{Block, Transaction};
use serde_json::Value;
use std::sync::Arc;
use warppool_components::settings::{Payee, PayoutSettings};
use warppool_components::template::{Template, TemplateId, TemplateKind};
use warppool_components::units::{Hash256, Sats, Target, UnixTime};
use warppool_systems::{coinbase, sha256d};

const JSON: &str = include_str!("../../tests/data/gbt-regtest-25tx.json");

#[test]
fn defect_33_a_block_of_real_transactions_commits_to_txids_and_carries_its_witness() {
    let json: Value = serde_json::from_str(JSON).expect("JSON of a node");
    let transactions = transactions(&json);
    let template = template(&json, &transactions);
    let prefix = coinbase::prefix(&template, 3, "/warppool/");
    let payee = Payee { address: "".into(), script: Arc::from([0x51].as_slice()) };
    let outputs = coinbase::outputs(&template, &payee, &PayoutSettings::default());
    let suffix = coinbase::suffix(&template, &outputs);
    let coinbase = coinbase::with_witness(&template, &prefix, &[9; 12], &suffix);
    let hash = sha256d::double(&[&prefix[..], &[9; 12], &suffix].concat());
    let root = sha256d::fold(hash, &template.merkle_branches);

    let block = block(&template, root, &coinbase);
    assert_eq!(block.txdata.len(), 26);
    assert!(block.check_merkle_root());
    assert!(block.check_witness_commitment());
    assert_eq!(block.bip34_block_height(), Ok(u64::from(template.height)));
    let paid: u64 = block.txdata[0].output.iter().map(|output| output.value.to_sat()).sum();
    assert_eq!(Some(paid), json["coinbasevalue"].as_u64());
    let wtxids = merkle_path(transactions.iter().map(|transaction| serialized_hash(&transaction.compute_wtxid())));
    assert_ne!(wtxids, template.merkle_branches.to_vec(), "the template must tell wtxids from txids");
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digit = |index| u8::from_str_radix(&hexadecimal[index..index + 2], 16).expect("hexadecimal digits");
    (0..hexadecimal.len()).step_by(2).map(digit).collect()
}

fn transactions(json: &Value) -> Vec<Transaction> {
    let listed = json["transactions"].as_array().expect("a list");
    listed.iter().map(|entry| deserialize(&bytes(entry["data"].as_str().expect("text"))).expect("valid")).collect()
}

fn serialized_hash(hash: &impl Encodable) -> Hash256 {
    Hash256::from_internal(serialize(hash).try_into().expect("32 bytes"))
}

fn template(json: &Value, transactions: &[Transaction]) -> Template {
    let text = |key: &str| json[key].as_str().expect("text");
    let number = |key: &str| json[key].as_u64().expect("a number");
    let bits = u32::from_str_radix(text("bits"), 16).expect("hexadecimal");
    Template {
        id: TemplateId(1),
        kind: TemplateKind::Full,
        height: number("height") as u32,
        version: number("version") as u32,
        previous_block: Hash256::parse_display(text("previousblockhash")).expect("a hash"),
        bits,
        network_target: Target::from_compact(bits).expect("a target"),
        current_time: UnixTime::from_seconds(number("curtime")),
        min_time: UnixTime::from_seconds(number("mintime")),
        coinbase_value: Sats(number("coinbasevalue")),
        fees: Sats::ZERO,
        witness_commitment: Some(bytes(text("default_witness_commitment")).into()),
        merkle_branches: merkle_path(transactions.iter().map(|each| serialized_hash(&each.compute_txid()))).into(),
        transaction_count: transactions.len() as u32,
        transactions: transactions.iter().flat_map(serialize).collect(),
        weight: 0,
        received_at: UnixTime::from_seconds(number("curtime")),
    }
}

/// The path of the first leaf, whose own hash is not known yet, by the textbook.
fn merkle_path(rest: impl Iterator<Item = Hash256>) -> Vec<Hash256> {
    let mut level: Vec<Hash256> = std::iter::once(Hash256::ZERO).chain(rest).collect();
    let mut path = Vec::new();
    while level.len() > 1 {
        path.push(level[1]);
        level = level.chunks(2).map(|pair| sha256d::pair(&pair[0], pair.last().expect("not empty"))).collect();
    }
    path
}

/// Header, count and transactions, as a node reads them.
fn block(template: &Template, root: Hash256, coinbase: &[u8]) -> Block {
    let mut block = template.version.to_le_bytes().to_vec();
    block.extend_from_slice(template.previous_block.as_internal());
    block.extend_from_slice(root.as_internal());
    block.extend_from_slice(&template.current_time.header_seconds().to_le_bytes());
    block.extend_from_slice(&template.bits.to_le_bytes());
    block.extend_from_slice(&[0; 4]);
    block.push(1 + template.transaction_count as u8);
    block.extend_from_slice(coinbase);
    block.extend_from_slice(&template.transactions);
    deserialize(&block).expect("a block with nothing behind it")
}
