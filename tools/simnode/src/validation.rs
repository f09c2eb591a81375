//! The judge: what makes Bitcoin Core refuse a block, with Core's reason strings and in Core's order.
//!
//! Scripts are not executed. In their place stands exact inclusion: every transaction but the coinbase must be
//! one that this node's mempool offered, witness included.
//! Sources: Core's validation.cpp; BIP22 (reasons), BIP34 (height), BIP141 (witness commitment).

use crate::limits::{BLOCK_WEIGHT_MAX, FUTURE_BLOCK_SECONDS_MAX};
use crate::mempool::Mempool;
use bitcoin::block::Header;
use bitcoin::blockdata::locktime::absolute::LOCK_TIME_THRESHOLD;
use bitcoin::consensus::encode::VarInt;
use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::script::Builder;
use bitcoin::{Amount, Block, Target, Transaction, Txid};
use std::collections::HashSet;

/// Why a block is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Core's reason string.
    pub(crate) reason: String,
    /// Whether the header's hash stands for the failure, so that the same block later is `duplicate-invalid`.
    /// Not so where another body could make the same header valid.
    pub(crate) permanent: bool,
}

type Judgement = Result<(), Refusal>;

/// Bytes that begin the script of a witness commitment (BIP141).
pub(crate) const WITNESS_COMMITMENT_PREFIX: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// Whether the proof of work counts. Proposals have none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProofOfWork {
    Required,
    Ignored,
}

/// What the chain demands of a block on a given parent.
pub(crate) struct BlockContext {
    /// Height of the block.
    pub(crate) height: u32,
    /// nBits of the block.
    pub(crate) bits: u32,
    /// Median of the times of the last 11 blocks.
    pub(crate) median_time_past: u32,
    /// The node's clock.
    pub(crate) now: u32,
    /// New coins at this height.
    pub(crate) subsidy_sats: u64,
}

/// What can be checked without the chain.
pub(crate) fn check_block(block: &Block, proof_of_work: ProofOfWork) -> Judgement {
    check_proof_of_work(&block.header, proof_of_work)?;
    check_merkle_root(block)?;
    let stripped_size = block.txdata.iter().map(Transaction::base_size).sum::<usize>() + 81;
    refuse_if(block.txdata.is_empty() || stripped_size as u64 * 4 > BLOCK_WEIGHT_MAX, "bad-blk-length")?;
    refuse_if(!block.txdata[0].is_coinbase(), "bad-cb-missing")?;
    refuse_if(block.txdata[1..].iter().any(Transaction::is_coinbase), "bad-cb-multiple")?;
    block.txdata.iter().try_for_each(check_transaction)
}

/// What the header's place in the chain demands.
pub(crate) fn check_header(header: &Header, context: &BlockContext) -> Judgement {
    refuse_if(header.bits.to_consensus() != context.bits, "bad-diffbits")?;
    refuse_if(header.time <= context.median_time_past, "time-too-old")?;
    refuse_if(header.time > context.now.saturating_add(FUTURE_BLOCK_SECONDS_MAX), "time-too-new")?;
    let version = header.version.to_consensus();
    refuse_if(version < 4, &format!("bad-version(0x{version:08x})"))
}

/// What the block's height and its witnesses demand.
pub(crate) fn check_contents(block: &Block, context: &BlockContext) -> Judgement {
    let is_final = |transaction: &Transaction| is_final(transaction, context.height, context.median_time_past);
    refuse_for_good_if(!block.txdata.iter().all(is_final), "bad-txns-nonfinal")?;
    let height_push = Builder::new().push_int(i64::from(context.height)).into_script();
    let coinbase_script = block.txdata[0].input[0].script_sig.as_bytes();
    refuse_for_good_if(!coinbase_script.starts_with(height_push.as_bytes()), "bad-cb-height")?;
    check_witness_commitment(block)?;
    refuse_for_good_if(block.weight().to_wu() > BLOCK_WEIGHT_MAX, "bad-blk-weight")
}

/// What the state of the chain demands: inputs exist, nobody is paid too much.
pub(crate) fn check_inputs(block: &Block, context: &BlockContext, mempool: &Mempool) -> Judgement {
    let mut earlier: HashSet<Txid> = HashSet::with_capacity(block.txdata.len());
    let mut fees_sats = 0;
    for transaction in &block.txdata[1..] {
        let txid = transaction.compute_txid();
        let entry = mempool.get(&txid).filter(|entry| !entry.confirmed && !earlier.contains(&txid));
        let Some(entry) = entry else { return refuse_for_good_if(true, "bad-txns-inputs-missingorspent") };
        let has_parent = |parent: &Txid| {
            earlier.contains(parent) || mempool.get(parent).is_none_or(|parent_entry| parent_entry.confirmed)
        };
        refuse_for_good_if(!entry.parents.iter().all(has_parent), "bad-txns-inputs-missingorspent")?;
        // Stands for the execution of scripts: the witness must be the one that the mempool offered.
        refuse_for_good_if(
            transaction.compute_wtxid() != entry.wtxid,
            "block-script-verify-flag-failed (Witness program hash mismatch)",
        )?;
        fees_sats += entry.fee_sats;
        earlier.insert(txid);
    }
    let paid_sats: u64 = block.txdata[0].output.iter().map(|output| output.value.to_sat()).sum();
    refuse_for_good_if(paid_sats > context.subsidy_sats + fees_sats, "bad-cb-amount")
}

/// Root of a merkle tree and whether the list of leaves is ambiguous (CVE-2012-2459: equal neighbours).
pub(crate) fn merkle_root(mut level: Vec<sha256d::Hash>) -> (sha256d::Hash, bool) {
    let mut ambiguous = false;
    while level.len() > 1 {
        ambiguous |= level.chunks_exact(2).any(|pair| pair[0] == pair[1]);
        level = level.chunks(2).map(|pair| hash_pair(pair[0], *pair.last().unwrap_or(&pair[0]))).collect();
    }
    (level.first().copied().unwrap_or_else(sha256d::Hash::all_zeros), ambiguous)
}

/// The commitment hash of BIP141 over the witness hashes of all transactions but the coinbase.
pub(crate) fn witness_commitment(wtxids: impl Iterator<Item = sha256d::Hash>, reserved_value: &[u8]) -> sha256d::Hash {
    let leaves = std::iter::once(sha256d::Hash::all_zeros()).chain(wtxids).collect();
    let mut engine = sha256d::Hash::engine();
    engine.input(merkle_root(leaves).0.as_byte_array());
    engine.input(reserved_value);
    sha256d::Hash::from_engine(engine)
}

fn hash_pair(left: sha256d::Hash, right: sha256d::Hash) -> sha256d::Hash {
    let mut engine = sha256d::Hash::engine();
    engine.input(left.as_byte_array());
    engine.input(right.as_byte_array());
    sha256d::Hash::from_engine(engine)
}

/// Easiest target of regtest, `0x207fffff`; a header may not claim an easier one.
fn easiest_target() -> Target {
    Target::from_compact(bitcoin::CompactTarget::from_consensus(0x207f_ffff))
}

fn check_proof_of_work(header: &Header, proof_of_work: ProofOfWork) -> Judgement {
    if proof_of_work == ProofOfWork::Ignored {
        return Ok(());
    }
    let bits = header.bits.to_consensus();
    let target = Target::from_compact(header.bits);
    let is_out_of_range = bits >> 24 > 0x20 || target > easiest_target();
    refuse_if(is_out_of_range || !target.is_met_by(header.block_hash()), "high-hash")
}

fn check_merkle_root(block: &Block) -> Judgement {
    let leaves = block.txdata.iter().map(|transaction| transaction.compute_txid().to_raw_hash()).collect();
    let (root, ambiguous) = merkle_root(leaves);
    refuse_if(root != block.header.merkle_root.to_raw_hash(), "bad-txnmrklroot")?;
    refuse_if(ambiguous, "bad-txns-duplicate")
}

fn check_transaction(transaction: &Transaction) -> Judgement {
    refuse_if(transaction.input.is_empty(), "bad-txns-vin-empty")?;
    refuse_if(transaction.output.is_empty(), "bad-txns-vout-empty")?;
    refuse_if(transaction.base_size() as u64 * 4 > BLOCK_WEIGHT_MAX, "bad-txns-oversize")?;
    let mut total: u64 = 0;
    for output in &transaction.output {
        let sats = output.value.to_sat();
        refuse_if(sats > i64::MAX as u64, "bad-txns-vout-negative")?;
        refuse_if(output.value > Amount::MAX_MONEY, "bad-txns-vout-toolarge")?;
        total += sats;
        refuse_if(total > Amount::MAX_MONEY.to_sat(), "bad-txns-txouttotal-toolarge")?;
    }
    let outpoints: HashSet<_> = transaction.input.iter().map(|input| input.previous_output).collect();
    refuse_if(outpoints.len() != transaction.input.len(), "bad-txns-inputs-duplicate")?;
    if transaction.is_coinbase() {
        return refuse_if(!(2..=100).contains(&transaction.input[0].script_sig.len()), "bad-cb-length");
    }
    refuse_if(outpoints.iter().any(|outpoint| outpoint.is_null()), "bad-txns-prevout-null")
}

/// Core's `IsFinalTx`: a lock time counts only when some input does not opt out of it.
fn is_final(transaction: &Transaction, height: u32, median_time_past: u32) -> bool {
    let lock_time = transaction.lock_time.to_consensus_u32();
    let reached = if lock_time < LOCK_TIME_THRESHOLD { height } else { median_time_past };
    lock_time == 0 || lock_time < reached || !transaction.is_lock_time_enabled()
}

fn check_witness_commitment(block: &Block) -> Judgement {
    let coinbase = &block.txdata[0];
    let is_commitment = |script: &[u8]| script.len() >= 38 && script.starts_with(&WITNESS_COMMITMENT_PREFIX);
    let commitment = coinbase.output.iter().rfind(|output| is_commitment(output.script_pubkey.as_bytes()));
    let Some(commitment) = commitment else {
        let has_witness = block.txdata.iter().flat_map(|transaction| &transaction.input);
        return refuse_if(has_witness.into_iter().any(|input| !input.witness.is_empty()), "unexpected-witness");
    };
    let witness = &coinbase.input[0].witness;
    let reserved_value = witness.nth(0).filter(|value| witness.len() == 1 && value.len() == 32);
    let Some(reserved_value) = reserved_value else { return refuse_if(true, "bad-witness-nonce-size") };
    let wtxids = block.txdata[1..].iter().map(|transaction| transaction.compute_wtxid().to_raw_hash());
    let expected = witness_commitment(wtxids, reserved_value);
    refuse_if(commitment.script_pubkey.as_bytes()[6..38] != expected.as_byte_array()[..], "bad-witness-merkle-match")
}

/// Size of a block in bytes: with its witnesses, and without.
pub(crate) fn block_sizes(block: &Block) -> (usize, usize) {
    let head = 80 + VarInt::from(block.txdata.len()).size();
    let stripped = head + block.txdata.iter().map(Transaction::base_size).sum::<usize>();
    (head + block.txdata.iter().map(Transaction::total_size).sum::<usize>(), stripped)
}

fn refuse_if(condition: bool, reason: &str) -> Judgement {
    if condition { Err(Refusal { reason: reason.to_owned(), permanent: false }) } else { Ok(()) }
}

fn refuse_for_good_if(condition: bool, reason: &str) -> Judgement {
    refuse_if(condition, reason).map_err(|refusal| Refusal { permanent: true, ..refusal })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::consensus::encode::deserialize_hex;

    /// A template that Bitcoin Core gave on regtest.
    fn real_template() -> serde_json::Value {
        serde_json::from_str(include_str!("../tests/data/gbt-regtest-25tx.json")).unwrap()
    }

    #[test]
    fn the_witness_commitment_of_a_real_template_is_computed() {
        let template = real_template();
        let transactions = template["transactions"].as_array().unwrap();
        let wtxids = transactions.iter().map(|entry| {
            let transaction: Transaction = deserialize_hex(entry["data"].as_str().unwrap()).unwrap();
            transaction.compute_wtxid().to_raw_hash()
        });
        let script = [&WITNESS_COMMITMENT_PREFIX[..], witness_commitment(wtxids, &[0; 32]).as_byte_array()].concat();
        assert_eq!(const_hex::encode(script), template["default_witness_commitment"].as_str().unwrap());
    }

    #[test]
    fn merkle_roots_are_those_of_the_library_and_repeated_leaves_are_seen() {
        let leaf = |number: u8| sha256d::Hash::hash(&[number]);
        for count in 1..=17 {
            let leaves: Vec<_> = (0..count).map(leaf).collect();
            let expected = bitcoin::merkle_tree::calculate_root(leaves.iter().copied()).unwrap();
            assert_eq!(merkle_root(leaves), (expected, false), "{count} leaves");
        }
        let (honest, repeated) = (vec![leaf(1), leaf(2), leaf(3)], vec![leaf(1), leaf(2), leaf(3), leaf(3)]);
        assert_eq!(merkle_root(honest).0, merkle_root(repeated.clone()).0);
        assert!(merkle_root(repeated).1);
    }

    #[test]
    fn a_lock_time_binds_only_when_an_input_agrees() {
        let template = real_template();
        let mut transaction: Transaction =
            deserialize_hex(template["transactions"][0]["data"].as_str().unwrap()).unwrap();
        for (lock_time, sequence, expected) in [
            (0, 0, true),
            (99, 0xffff_fffe, true),
            (100, 0xffff_fffe, false),
            (100, 0xffff_ffff, true),
            (500_000_099, 0, true),
            (500_000_100, 0, false),
        ] {
            transaction.lock_time = bitcoin::absolute::LockTime::from_consensus(lock_time);
            transaction.input[0].sequence = bitcoin::Sequence(sequence);
            assert_eq!(is_final(&transaction, 100, 500_000_100), expected, "{lock_time} {sequence:x}");
        }
    }
}
