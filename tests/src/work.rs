//! Hand-made templates with real transactions, and addresses of the regression test network.

use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{
    Address, Amount, Block, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute,
    transaction,
};
use std::sync::Arc;
use warppool_components::settings::{Cut, Payee};
use warppool_components::template::{Template, TemplateId, TemplateKind};
use warppool_components::units::{Hash256, Sats, Target, UnixTime};

/// `nBits` of difficulty 1: no share of these tests meets it by chance.
pub const HARD_BITS: u32 = 0x1d00_ffff;

/// `nBits` of the regression test network: every second hash is a block.
pub const EASY_BITS: u32 = 0x207f_ffff;

/// Subsidy and fees of the templates.
pub const COINBASE_VALUE: Sats = Sats(5_000_012_347);

/// A P2WPKH address whose program is `number` twenty times.
pub fn address(number: u8) -> String {
    text(&witness_script(0, &[number; 20]))
}

/// A P2TR address (62 characters on mainnet, 64 here) whose program is `number` thirty-two times.
pub fn taproot_address(number: u8) -> String {
    text(&witness_script(1, &[number; 32]))
}

/// The script that `address` stands for, by crate `bitcoin`.
pub fn script(address: &str) -> ScriptBuf {
    let address: Address<_> = address.parse().expect("an address of these tests");
    address.require_network(bitcoin::Network::Regtest).expect("an address of regtest").script_pubkey()
}

/// A part of the reward for `address`.
pub fn cut(address: &str, basis_points: u32) -> Cut {
    let payee = Payee { address: address.into(), script: script(address).as_bytes().into() };
    Cut { payee, basis_points }
}

fn witness_script(version: u8, program: &[u8]) -> ScriptBuf {
    let opcode = if version == 0 { 0 } else { 0x50 + version };
    let mut bytes = vec![opcode, program.len() as u8];
    bytes.extend_from_slice(program);
    bytes.into()
}

fn text(script: &ScriptBuf) -> String {
    Address::from_script(script, bitcoin::Network::Regtest).expect("a witness program").to_string()
}

/// A full template for a block on tip number `tip`, with six transactions.
pub fn template(id: u64, tip: u32, now: UnixTime) -> Template {
    let transactions = transactions(tip, 6);
    let bytes: Vec<u8> = transactions.iter().flat_map(serialize).collect();
    Template {
        kind: TemplateKind::Full,
        coinbase_value: COINBASE_VALUE,
        fees: Sats(12_347),
        witness_commitment: Some(witness_commitment(&transactions)),
        merkle_branches: branches(&transactions),
        transaction_count: transactions.len() as u32,
        transactions: bytes.into(),
        weight: transactions.iter().map(|transaction| transaction.weight().to_wu()).sum(),
        ..subsidy_only(id, tip, now)
    }
}

/// A subsidy-only template for the same tip.
pub fn subsidy_only(id: u64, tip: u32, now: UnixTime) -> Template {
    Template {
        id: TemplateId(id),
        kind: TemplateKind::SubsidyOnly,
        height: 1000 + tip,
        version: 0x2000_0000,
        previous_block: tip_hash(tip),
        bits: HARD_BITS,
        network_target: Target::from_compact(HARD_BITS).expect("difficulty 1"),
        current_time: now,
        min_time: UnixTime::from_seconds(now.seconds() - 3600),
        coinbase_value: Sats(5_000_000_000),
        fees: Sats::ZERO,
        witness_commitment: Some(witness_commitment(&[])),
        merkle_branches: [].into(),
        transaction_count: 0,
        transactions: [].into(),
        weight: 0,
        received_at: now,
    }
}

/// The same template for a network of another difficulty.
pub fn with_bits(template: Template, bits: u32) -> Template {
    Template { bits, network_target: Target::from_compact(bits).expect("valid nBits"), ..template }
}

/// Hash of tip number `tip`.
pub fn tip_hash(tip: u32) -> Hash256 {
    Hash256::from_internal(sha256d::Hash::hash(&tip.to_le_bytes()).to_byte_array())
}

fn transactions(tip: u32, count: u32) -> Vec<Transaction> {
    (0..count).map(|number| transaction(tip, number)).collect()
}

/// A transaction with a witness, different for each tip and number.
fn transaction(tip: u32, number: u32) -> Transaction {
    let txid = Txid::from_raw_hash(sha256d::Hash::hash(&[tip.to_le_bytes(), number.to_le_bytes()].concat()));
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { txid, vout: number },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[vec![number as u8 + 1; 71], vec![2; 33]]),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(10_000 + u64::from(number)),
            script_pubkey: witness_script(0, &[number as u8; 20]),
        }],
    }
}

/// scriptPubKey of the commitment to `transactions` behind a coinbase (BIP141).
fn witness_commitment(transactions: &[Transaction]) -> Arc<[u8]> {
    let wtxids = transactions.iter().map(|transaction| transaction.compute_wtxid().to_raw_hash());
    let leaves = std::iter::once(sha256d::Hash::all_zeros()).chain(wtxids);
    let root = bitcoin::merkle_tree::calculate_root(leaves).expect("the coinbase is a leaf");
    let commitment = Block::compute_witness_commitment(&bitcoin::WitnessMerkleNode::from_raw_hash(root), &[0; 32]);
    let mut script = vec![0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    script.extend_from_slice(commitment.as_byte_array());
    script.into()
}

/// Siblings on the coinbase's way to the root, deepest first.
fn branches(transactions: &[Transaction]) -> Arc<[Hash256]> {
    // The coinbase itself is not known yet; whatever stands in its place never becomes a branch.
    let mut level = vec![sha256d::Hash::all_zeros()];
    level.extend(transactions.iter().map(|transaction| transaction.compute_txid().to_raw_hash()));
    let mut branches = Vec::new();
    while level.len() > 1 {
        branches.push(Hash256::from_internal(level[1].to_byte_array()));
        if level.len() % 2 == 1 {
            level.extend(level.last().copied());
        }
        level = level.chunks(2).map(|pair| join(pair[0], pair[1])).collect();
    }
    branches.into()
}

/// The parent of two nodes of a merkle tree.
pub fn join(left: sha256d::Hash, right: sha256d::Hash) -> sha256d::Hash {
    sha256d::Hash::hash(&[left.to_byte_array(), right.to_byte_array()].concat())
}
