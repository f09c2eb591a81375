//! The chain without its wire: for simulators that bring their own clock and have no thread to spare.
//!
//! The same rules, templates and answers as behind the RPC server; times are arguments.

use crate::chain::{Chain, ChainRules, Submission};
use crate::mempool::Mempool;
use crate::template::BlockTemplate;
use bitcoin::consensus::encode::deserialize;
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash};
use std::ops::RangeInclusive;

/// A tip as `getblockheader` tells of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OfflineTip {
    /// Its hash, in internal byte order.
    pub hash: [u8; 32],
    /// Its height.
    pub height: u32,
    /// `nBits` of its header.
    pub bits: u32,
    /// Time in its header, in seconds.
    pub time: u32,
    /// Median of the times of the eleven blocks that end with it, in seconds.
    pub median_time: u32,
}

/// A regression test chain.
pub struct OfflineChain(Chain);

impl OfflineChain {
    /// A chain of `initial_height` blocks, all with `bits`; templates hold as many transactions as `transactions` says.
    /// Two chains of one seed and one history are equal.
    ///
    /// # Panics
    /// Never: the regression test network is known.
    pub fn new(bits: u32, seed: u64, initial_height: u32, transactions: RangeInclusive<usize>, now: u32) -> Self {
        let rules = ChainRules::new("regtest", bits).expect("the regression test network is known");
        Self(Chain::new(rules, seed, initial_height, Mempool::new(seed, transactions), now))
    }

    /// The result of `getblocktemplate`, as JSON.
    ///
    /// # Panics
    /// Never: a template holds nothing that JSON cannot.
    pub fn template(&self, now: u32) -> Vec<u8> {
        serde_json::to_vec(&BlockTemplate::new(&self.0, now)).expect("a template is plain data")
    }

    /// The result of `submitblock`: `None` is acceptance, else Core's word for it.
    pub fn submit(&mut self, block: &[u8], now: u32) -> Option<String> {
        let Ok(block) = deserialize::<Block>(block) else { return Some("Block decode failed".to_owned()) };
        match self.0.submit(block, now) {
            Submission::Connected => None,
            Submission::SideChain => Some("inconclusive".to_owned()),
            Submission::Duplicate => Some("duplicate".to_owned()),
            Submission::Refused(reason) => Some(reason),
        }
    }

    /// Somebody else finds a block.
    pub fn mine_external(&mut self, now: u32) {
        self.0.mine_external(now);
    }

    /// Replaces the last `depth` blocks by one more than that.
    pub fn reorganise(&mut self, depth: u32, now: u32) {
        self.0.reorganise(depth, now);
    }

    /// The tip.
    pub fn tip(&self) -> OfflineTip {
        let stored = self.0.tip_block();
        OfflineTip {
            hash: self.0.tip().to_byte_array(),
            height: stored.height,
            bits: stored.header.bits.to_consensus(),
            time: stored.header.time,
            median_time: stored.median_time,
        }
    }

    /// Whether the block is valid and known, in the best chain or beside it. `hash` in internal byte order.
    pub fn knows(&self, hash: [u8; 32]) -> bool {
        self.0.get(&BlockHash::from_byte_array(hash)).is_some()
    }

    /// Whether the best chain holds the block. `hash` in internal byte order.
    pub fn is_active(&self, hash: [u8; 32]) -> bool {
        self.0.is_active(&BlockHash::from_byte_array(hash))
    }
}
