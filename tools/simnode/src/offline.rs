//! The chain without its wire: for simulators that bring their own clock and have no thread to spare.
//!
//! The same rules, templates and answers as behind the RPC server; times are arguments.

use crate::chain::{Chain, ChainRules, StoredBlock, Submission};
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
        Self::with_mempool(bits, seed, seed, initial_height, transactions, now)
    }

    /// The same with transactions that a seed of their own decides: the other node's mempool.
    ///
    /// # Panics
    /// Never: the regression test network is known.
    pub fn with_mempool(
        bits: u32,
        seed: u64,
        mempool_seed: u64,
        initial_height: u32,
        transactions: RangeInclusive<usize>,
        now: u32,
    ) -> Self {
        let rules = ChainRules::new("regtest", bits).expect("the regression test network is known");
        let mut chain = Chain::new(rules, seed, initial_height, Mempool::new(mempool_seed, transactions), now);
        if mempool_seed != seed {
            chain.part_ways(mempool_seed);
        }
        Self(chain)
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
        describe(self.0.tip(), self.0.tip_block())
    }

    /// A known block as a tip, and how many blocks there are from it to the tip, itself included; -1 when it is beside the
    /// best chain. `hash` in internal byte order.
    pub fn header(&self, hash: [u8; 32]) -> Option<(OfflineTip, i64)> {
        let hash = BlockHash::from_byte_array(hash);
        let stored = self.0.get(&hash)?;
        let depth = i64::from(self.0.height()) - i64::from(stored.height) + 1;
        Some((describe(hash, stored), if self.0.is_active(&hash) { depth } else { -1 }))
    }

    /// The block of the best chain at `height`, in internal byte order.
    pub fn at(&self, height: u32) -> Option<[u8; 32]> {
        self.0.at(height).map(|hash| hash.to_byte_array())
    }

    /// Learns the transactions of a block from a peer that has them, as a node that validates them itself would not have
    /// to.
    pub fn learn(&mut self, block: &[u8], peer: &Self) {
        let Ok(block) = deserialize::<Block>(block) else { return };
        self.0.learn(&block, &peer.0);
    }

    /// Takes over the best chain of a peer when it has more work. Whether it did.
    pub fn follow(&mut self, peer: &Self, now: u32) -> bool {
        self.0.follow(&peer.0, now)
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

fn describe(hash: BlockHash, stored: &StoredBlock) -> OfflineTip {
    OfflineTip {
        hash: hash.to_byte_array(),
        height: stored.height,
        bits: stored.header.bits.to_consensus(),
        time: stored.header.time,
        median_time: stored.median_time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_900_000_000;
    const BITS: u32 = 0x1f0f_ffff;

    /// Two chains of one history, each with transactions of its own.
    fn two() -> [OfflineChain; 2] {
        [1, 2].map(|mempool_seed| OfflineChain::with_mempool(BITS, 1, mempool_seed, 20, 5..=10, NOW))
    }

    #[test]
    fn the_longer_branch_wins_when_two_chains_meet_again_whatever_their_transactions() {
        let [mut one, mut other] = two();
        assert_eq!(one.tip(), other.tip(), "one history");
        assert_ne!(one.template(NOW), other.template(NOW), "other transactions");
        for _ in 0..3 {
            one.mine_external(NOW);
        }
        let lost = one.tip();
        for _ in 0..5 {
            other.mine_external(NOW);
        }
        assert!(!other.follow(&one, NOW), "less work");
        assert!(one.follow(&other, NOW));
        assert_eq!(one.tip(), other.tip());
        assert_eq!(one.header(lost.hash), Some((lost, -1)));
        assert_eq!(other.header(lost.hash), None, "nobody told it of a branch that lost");
        one.reorganise(2, NOW);
        assert!(other.follow(&one, NOW));
        assert_eq!(other.at(25), one.at(25));
        other.mine_external(NOW);
        assert_eq!(other.header(one.tip().hash), Some((one.tip(), 2)));
    }
}
