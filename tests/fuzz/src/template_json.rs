//! `getblocktemplate`: a template that is accepted says what its JSON says, read by a JSON library's tree and computed anew
//! with crate `bitcoin`: values, times, merkle branches, witness commitment, weight, and the coinbase made of it.
//!
//! Input: a byte that chooses the network and whether the text is mended first (target from bits, witness commitment from
//! the transactions, value from the fees: none of these is met by chance), then the text.

use crate::bytes::Bytes;
use bitcoin::consensus::deserialize;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::{CompactTarget, Transaction, WitnessMerkleNode};
use serde_json::{Value, json};
use std::sync::LazyLock;
use warppool_components::settings::{Network, PayoutSettings};
use warppool_components::template::{Template, TemplateKind};
use warppool_components::units::{Hash256, UnixTime};
use warppool_io::node::LevelHasher;
use warppool_io::node::template::{CheckedTemplate, Tip, parse, subsidy_only};
use warppool_systems::coinbase;

const NOW: UnixTime = UnixTime::from_seconds(1_795_218_700);

static HASHER: LazyLock<LevelHasher> = LazyLock::new(LevelHasher::default);

/// Runs one input.
pub fn check(data: &[u8]) {
    let mut bytes = Bytes(data);
    let choice = bytes.byte();
    let network = Network::ALL[usize::from(choice >> 1) % Network::ALL.len()];
    let text = bytes.rest();
    let mended = if choice & 1 != 0 { mended(text, network) } else { None };
    let text = mended.as_deref().unwrap_or(text);
    match parse(text, network, NOW, &HASHER) {
        Ok(CheckedTemplate { template, longpoll_id }) => {
            // A tree also looks at members that nobody reads.
            let Ok(value) = serde_json::from_slice::<Value>(text) else { return };
            check_template(&template, &value, network);
            assert_eq!(longpoll_id.as_deref(), value.get("longpollid").and_then(Value::as_str));
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && said.len() < 1000 + text.len(), "a sentence without end");
        }
    }
}

/// The text with what belongs together made to fit.
fn mended(text: &[u8], network: Network) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(text).ok()?;
    let bits = u32::from_str_radix(value.get("bits")?.as_str()?, 16).ok()?;
    let target = bitcoin::Target::from_compact(CompactTarget::from_consensus(bits));
    let wtxids = ids(&value, "hash")?;
    let fees = value["transactions"]
        .as_array()?
        .iter()
        .filter_map(|entry| entry["fee"].as_u64())
        .try_fold(0u64, u64::checked_add)?;
    let members = value.as_object_mut()?;
    members.insert("target".into(), json!(target.to_be_bytes().to_lower_hex_string()));
    members.insert("default_witness_commitment".into(), json!(commitment(&wtxids).to_lower_hex_string()));
    if members.get("coinbasevalue").and_then(Value::as_u64).is_some_and(|value| value < fees) {
        members.insert("coinbasevalue".into(), json!(fees));
    }
    if network == Network::Signet {
        members.entry("signet_challenge").or_insert(json!("51"));
    }
    serde_json::to_vec(&value).ok()
}

/// All ids of this field, in internal order.
fn ids(value: &Value, field: &str) -> Option<Vec<sha256d::Hash>> {
    let id = |entry: &Value| entry[field].as_str()?.parse().ok();
    value["transactions"].as_array()?.iter().map(id).collect()
}

/// The script of the commitment to these transactions, by crate `bitcoin`.
fn commitment(wtxids: &[sha256d::Hash]) -> Vec<u8> {
    let leaves = std::iter::once(sha256d::Hash::all_zeros()).chain(wtxids.iter().copied());
    let root = bitcoin::merkle_tree::calculate_root(leaves).expect("the coinbase is a leaf");
    let root = WitnessMerkleNode::from_raw_hash(root);
    let commitment = bitcoin::Block::compute_witness_commitment(&root, &[0; 32]);
    [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], commitment.as_byte_array()].concat()
}

fn check_template(template: &Template, value: &Value, network: Network) {
    let number = |field: &str| value[field].as_u64().expect("a number");
    let listed = value["transactions"].as_array().expect("a list");
    let sum = |field: &str| listed.iter().map(|entry| entry[field].as_u64().expect("a number")).sum::<u64>();
    assert_eq!((template.kind, template.received_at), (TemplateKind::Full, NOW));
    assert_eq!(u64::from(template.height), number("height"));
    assert_eq!(template.coinbase_value.0, number("coinbasevalue"));
    assert_eq!((template.fees.0, template.weight), (sum("fee"), sum("weight")));
    assert!(template.weight <= 4_000_000 && template.coinbase_value >= template.fees);
    assert_eq!(template.transaction_count as usize, listed.len());
    assert_eq!(template.current_time, UnixTime::from_seconds(number("curtime")));
    assert_eq!(template.min_time, UnixTime::from_seconds(number("mintime")));
    assert!(template.current_time >= template.min_time);
    assert_eq!(template.previous_block.to_string(), value["previousblockhash"].as_str().expect("text").to_lowercase());
    check_bits(template, value);
    check_ids(template, value);
    let data: Vec<u8> =
        listed.iter().flat_map(|entry| Vec::from_hex(entry["data"].as_str().expect("text")).expect("hex")).collect();
    assert_eq!(template.transactions[..], data[..]);
    check_coinbase(template);
    check_empty(template, network);
}

fn check_bits(template: &Template, value: &Value) {
    assert_eq!(Some(template.bits), u32::from_str_radix(value["bits"].as_str().expect("text"), 16).ok());
    let target = bitcoin::Target::from_compact(CompactTarget::from_consensus(template.bits));
    let told = value["target"].as_str().expect("text").to_lowercase();
    assert_eq!(target.to_be_bytes().to_lower_hex_string(), told);
    let version = value["version"].as_i64().expect("a number") as u32;
    let required = value.get("vbrequired").and_then(Value::as_u64).unwrap_or(0) as u32;
    assert_eq!(template.version & !(0x1fff_ffe0 & !required), template.version, "bits that miners may roll are zero");
    assert_eq!(template.version & 0xe000_001f, version & 0xe000_001f);
}

fn check_ids(template: &Template, value: &Value) {
    let (txids, wtxids) = (ids(value, "txid").expect("ids"), ids(value, "hash").expect("ids"));
    let coinbase = sha256d::Hash::from_byte_array([7; 32]);
    let leaves = std::iter::once(coinbase).chain(txids.iter().copied());
    let root = bitcoin::merkle_tree::calculate_root(leaves).expect("the coinbase is a leaf");
    let ours = HASHER.fold(Hash256::from_internal([7; 32]), &template.merkle_branches);
    assert_eq!(ours.as_internal(), root.as_byte_array(), "the branches belong to other transactions");
    match &template.witness_commitment {
        Some(script) => assert_eq!(script[..], commitment(&wtxids)[..]),
        None => assert_eq!(txids, wtxids, "a witness without a commitment"),
    }
}

/// The coinbase that miners would hash, as crate `bitcoin` reads it.
fn check_coinbase(template: &Template) {
    let payee = warppool_systems::identity::payee("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", Network::Regtest)
        .expect("an address of regtest");
    let outputs = coinbase::outputs(template, &payee, &PayoutSettings::default());
    let prefix = coinbase::prefix(template, 1, "/warppool/");
    let suffix = coinbase::suffix(template, &outputs);
    let bytes = coinbase::with_witness(template, &prefix, &[0x55; 12], &suffix);
    let transaction: Transaction = deserialize(&bytes).expect("a transaction");
    assert!(transaction.is_coinbase());
    let paid: u64 = transaction.output.iter().map(|output| output.value.to_sat()).sum();
    assert_eq!(paid, template.coinbase_value.0, "the coinbase claims another value");
    let script = &transaction.input[0].script_sig;
    assert!((2..=100).contains(&script.len()));
    let height = bitcoin::script::Builder::new().push_int(i64::from(template.height)).into_script();
    assert!(script.as_bytes().starts_with(height.as_bytes()), "BIP34: the height stands first");
    if let Some(expected) = &template.witness_commitment {
        assert!(transaction.output.iter().any(|output| output.script_pubkey.as_bytes() == &expected[..]));
    }
}

/// Empty work on a tip that this template stands on.
fn check_empty(template: &Template, network: Network) {
    let tip = Tip {
        hash: template.previous_block,
        height: template.height,
        bits: template.bits,
        time: template.current_time,
        median_time: template.min_time,
    };
    let Some(empty) = subsidy_only(&tip, template, network, NOW) else { return };
    assert_eq!((empty.transaction_count, empty.weight, empty.fees.0), (0, 0, 0));
    assert!(
        empty.current_time >= empty.min_time && empty.min_time > tip.median_time
            || tip.median_time.millis() > u64::MAX - 2000
    );
    assert_eq!(empty.witness_commitment.is_some(), template.witness_commitment.is_some());
    check_coinbase(&empty);
}
