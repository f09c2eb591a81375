//! What a job and an extranonce2 hash to, by nothing but the bitcoin crate.

use bitcoin::block::{Header, Version};
use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::hex::FromHex;
use bitcoin::{BlockHash, CompactTarget, Target, TxMerkleNode};
use serde_json::Value;

/// Whether a share of this job with nonce 1 is a block.
pub(crate) fn is_block(job: &Value, extranonce1: &str, extranonce2: &str) -> bool {
    let header = header(job, extranonce1, extranonce2);
    Target::from_compact(header.bits).is_met_by(header.block_hash())
}

/// The hash of a share of this job with nonce 1, as explorers show it.
pub(crate) fn block_hash(job: &Value, extranonce1: &str, extranonce2: &str) -> String {
    header(job, extranonce1, extranonce2).block_hash().to_string()
}

/// Whether a job has transactions beside the coinbase.
pub(crate) fn has_transactions(job: &Value) -> bool {
    !job[4].as_array().unwrap().is_empty()
}

/// Whether a job builds on a block, whose hash is in display order. The previous block's last word on the wire is its first
/// in display order.
pub(crate) fn builds_on(job: &Value, tip: &str) -> bool {
    tip.starts_with(&job[1].as_str().unwrap()[56..])
}

fn header(job: &Value, extranonce1: &str, extranonce2: &str) -> Header {
    let text = |place: usize| job[place].as_str().unwrap();
    let number = |place: usize| u32::from_str_radix(text(place), 16).unwrap();
    let coinbase = Vec::from_hex(&[text(2), extranonce1, extranonce2, text(3)].concat()).unwrap();
    let branches = job[4].as_array().unwrap().iter().map(|branch| Vec::from_hex(branch.as_str().unwrap()).unwrap());
    let root = branches.fold(sha256d::Hash::hash(&coinbase), |left, right| {
        let mut engine = sha256d::Hash::engine();
        engine.input(left.as_byte_array());
        engine.input(&right);
        sha256d::Hash::from_engine(engine)
    });
    // The previous block comes with the bytes of each of its eight words turned round.
    let mut previous = Vec::from_hex(text(1)).unwrap();
    previous.chunks_mut(4).for_each(<[u8]>::reverse);
    Header {
        version: Version::from_consensus(number(5).cast_signed()),
        prev_blockhash: BlockHash::from_slice(&previous).unwrap(),
        merkle_root: TxMerkleNode::from_raw_hash(root),
        time: number(7),
        bits: CompactTarget::from_consensus(number(6)),
        nonce: 1,
    }
}
