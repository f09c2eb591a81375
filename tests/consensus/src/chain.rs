//! The node's side: what it knows of its tip, and the template that it would offer for the next block.

use crate::coins::{Lock, Paying};
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Target, Transaction, TxIn, TxMerkleNode,
    TxOut, Witness, WitnessMerkleNode, absolute, block, transaction,
};
use std::fmt::Write;
use warppool_components::units::{Hash256, UnixTime};
use warppool_io::node::template;

/// `nBits` of the regression test network: every second hash is a block.
pub const BITS: u32 = 0x207f_ffff;

/// Blocks between two halvings on the regression test network.
const HALVING_BLOCKS: u32 = 150;

/// What a block at `height` brings, by the rule of the regression test network.
pub const fn subsidy(height: u32) -> u64 {
    let halvings = height / HALVING_BLOCKS;
    if halvings >= 64 { 0 } else { (50 * 100_000_000) >> halvings }
}

/// The end of a chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tip {
    /// Hash of its last block.
    pub hash: BlockHash,
    /// Height of that.
    pub height: u32,
    /// Times of the last eleven blocks, oldest first.
    times: Vec<u32>,
}

impl Tip {
    /// The chain of the genesis block alone.
    pub fn genesis() -> Self {
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        Self { hash: genesis.block_hash(), height: 0, times: vec![genesis.header.time] }
    }

    /// A tip that no chain has.
    pub fn nowhere() -> Self {
        Self { hash: BlockHash::all_zeros(), ..Self::genesis() }
    }

    /// The chain with one more block.
    pub fn with(&self, header: &block::Header) -> Self {
        let mut times = self.times[self.times.len().saturating_sub(10)..].to_vec();
        times.push(header.time);
        Self { hash: header.block_hash(), height: self.height + 1, times }
    }

    /// Time of the last block.
    pub fn time(&self) -> u32 {
        *self.times.last().expect("a chain has a block")
    }

    /// Median of the last eleven times: the next block's is above it.
    pub fn median_time(&self) -> u32 {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// The same as `io::node` tells of a tip.
    pub fn told(&self) -> template::Tip {
        template::Tip {
            hash: Hash256::from_internal(self.hash.to_byte_array()),
            height: self.height,
            bits: BITS,
            time: UnixTime::from_seconds(u64::from(self.time())),
            median_time: UnixTime::from_seconds(u64::from(self.median_time())),
        }
    }

    /// A block of nothing but the subsidy, which anybody may spend: for long chains quickly, not for judging.
    pub fn cheap_block(&self) -> Block {
        let coinbase = Transaction {
            version: transaction::Version::ONE,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: bitcoin::script::Builder::new()
                    .push_int(i64::from(self.height) + 1)
                    .push_int(0)
                    .into_script(),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output: vec![TxOut {
                value: Amount::from_sat(subsidy(self.height + 1)),
                script_pubkey: Lock::WitnessScriptHash.script(),
            }],
        };
        let header = block::Header {
            version: block::Version::from_consensus(0x2000_0000),
            prev_blockhash: self.hash,
            merkle_root: TxMerkleNode::from_raw_hash(coinbase.compute_txid().to_raw_hash()),
            time: self.time() + 600,
            bits: CompactTarget::from_consensus(BITS),
            nonce: 0,
        };
        let mut block = Block { header, txdata: vec![coinbase] };
        grind(&mut block.header, true);
        block
    }
}

/// Finds a nonce with which the hash meets the target that the network has, or misses it.
pub fn grind(header: &mut block::Header, meets: bool) {
    let target = Target::from_compact(CompactTarget::from_consensus(BITS)).min(header.target());
    header.nonce = (0..=u32::MAX)
        .find(|nonce| target.is_met_by(block::Header { nonce: *nonce, ..*header }.block_hash()) == meets)
        .expect("every second hash does");
}

/// A block template of the node.
#[derive(Clone, Debug)]
pub struct Offer {
    /// What it builds on.
    pub tip: Tip,
    /// The transactions.
    pub transactions: Vec<Paying>,
    /// `curtime`.
    pub time: u32,
    /// `version`.
    pub version: u32,
}

impl Offer {
    /// Subsidy and fees.
    pub fn value(&self) -> u64 {
        subsidy(self.tip.height + 1) + self.fees()
    }

    /// The fees alone.
    pub fn fees(&self) -> u64 {
        self.transactions.iter().map(|paying| paying.fee).sum()
    }

    /// The answer to `getblocktemplate` as Bitcoin Core writes it.
    pub fn json(&self) -> String {
        let mut json = String::with_capacity(2000 + 1000 * self.transactions.len());
        let rules =
            r#""capabilities":["proposal"],"rules":["csv","!segwit","taproot"],"vbavailable":{},"vbrequired":0"#;
        let _ = write!(json, "{{{rules},\"version\":{},\"previousblockhash\":\"{}\",", self.version, self.tip.hash);
        json.push_str("\"transactions\":[");
        for (index, paying) in self.transactions.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let transaction = &paying.transaction;
            let _ = write!(
                json,
                r#"{comma}{{"data":"{}","txid":"{}","hash":"{}","depends":[],"fee":{},"sigops":{},"weight":{}}}"#,
                serialize_hex(transaction),
                transaction.compute_txid(),
                transaction.compute_wtxid(),
                paying.fee,
                transaction.total_sigop_cost(|_| None),
                transaction.weight().to_wu(),
            );
        }
        let _ = write!(
            json,
            r#"],"coinbaseaux":{{}},"coinbasevalue":{},"longpollid":"{}7","target":"{:064x}","mintime":{},"#,
            self.value(),
            self.tip.hash,
            Target::from_compact(CompactTarget::from_consensus(BITS)),
            self.tip.median_time() + 1,
        );
        let _ = write!(
            json,
            r#""mutable":["time","transactions","prevblock"],"noncerange":"00000000ffffffff","sigoplimit":80000,"sizelimit":4000000,"weightlimit":4000000,"curtime":{},"bits":"{BITS:08x}","height":{},"default_witness_commitment":"{}"}}"#,
            self.time,
            self.tip.height + 1,
            commitment(self.transactions.iter().map(|paying| &paying.transaction)).to_hex_string(),
        );
        json
    }
}

/// scriptPubKey of the commitment to `transactions` behind a coinbase (BIP141).
pub fn commitment<'a>(transactions: impl Iterator<Item = &'a Transaction>) -> ScriptBuf {
    let wtxids = transactions.map(|transaction| transaction.compute_wtxid().to_raw_hash());
    let leaves = std::iter::once(sha256d::Hash::all_zeros()).chain(wtxids);
    let root = bitcoin::merkle_tree::calculate_root(leaves).expect("the coinbase is a leaf");
    let commitment = Block::compute_witness_commitment(&WitnessMerkleNode::from_raw_hash(root), &[0; 32]);
    [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], commitment.as_byte_array()].concat().into()
}
