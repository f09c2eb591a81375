//! Merkle trees over transaction ids: the path of the coinbase, and the witness commitment.
//!
//! Everything is in internal byte order. The coinbase is never hashed here: it differs from miner to miner, so a
//! template carries the path from it to the root instead.

use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use warppool_components::units::Hash256;

/// Start of the scriptPubKey that carries the witness commitment: OP_RETURN, a push of 36 bytes, the BIP141 tag.
const COMMITMENT_SCRIPT_PREFIX: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// The coinbase's witness: the one value that BIP141 leaves free. Everybody uses zeros.
const WITNESS_RESERVED_VALUE: Hash256 = Hash256::ZERO;

/// Takes a level of a merkle tree one up, in place: neighbours are hashed together, and the parents take the first half.
/// It is given an even number of nodes.
///
/// A tree of a full block is some 4000 pairs, twice a template, so whoever can hash pairs side by side hands that in;
/// the plain way here hashes one after the other.
#[derive(Clone)]
pub struct LevelHasher(Arc<HashLevel>);

type HashLevel = dyn Fn(&mut [Hash256]) + Send + Sync;

impl LevelHasher {
    /// This function, which must give what the plain way gives.
    pub fn new(hash_level: impl Fn(&mut [Hash256]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hash_level))
    }

    fn hash_level(&self, nodes: &mut [Hash256]) {
        (self.0)(nodes);
    }

    fn hash_pair(&self, left: Hash256, right: Hash256) -> Hash256 {
        let mut nodes = [left, right];
        self.hash_level(&mut nodes);
        nodes[0]
    }

    /// The merkle root that belongs to a coinbase's id and its path.
    pub fn fold(&self, coinbase: Hash256, branches: &[Hash256]) -> Hash256 {
        branches.iter().fold(coinbase, |node, sibling| self.hash_pair(node, *sibling))
    }
}

impl Default for LevelHasher {
    fn default() -> Self {
        Self::new(hash_level_plainly)
    }
}

impl fmt::Debug for LevelHasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LevelHasher")
    }
}

fn hash_level_plainly(nodes: &mut [Hash256]) {
    for parent in 0..nodes.len() / 2 {
        let mut pair = [0; 64];
        pair[..32].copy_from_slice(nodes[2 * parent].as_internal());
        pair[32..].copy_from_slice(nodes[2 * parent + 1].as_internal());
        nodes[parent] = double_sha256(&pair);
    }
}

/// Double SHA-256 of `bytes`.
pub fn double_sha256(bytes: &[u8]) -> Hash256 {
    Hash256::from_internal(Sha256::digest(Sha256::digest(bytes)).into())
}

/// The merkle path of the coinbase, deepest first, when `others` are the ids of all other transactions of the
/// block in their order.
pub fn coinbase_branches(others: &[Hash256], hasher: &LevelHasher) -> Vec<Hash256> {
    let mut branches = Vec::new();
    let mut level = others.to_vec();
    // Where each level begins: without its first node, which is the one that depends on the coinbase.
    let mut start = 0;
    while let Some(sibling) = level.get(start).copied() {
        branches.push(sibling);
        start += 1;
        if !(level.len() - start).is_multiple_of(2) {
            level.extend(level.last().copied());
        }
        hasher.hash_level(&mut level[start..]);
        level.truncate(start + (level.len() - start) / 2);
    }
    branches
}

/// The scriptPubKey of the witness commitment (BIP141) for a block whose other transactions have these wtxids.
/// The coinbase's own wtxid counts as zero.
pub fn witness_commitment_script(wtxids: &[Hash256], hasher: &LevelHasher) -> [u8; 38] {
    let root = hasher.fold(Hash256::ZERO, &coinbase_branches(wtxids, hasher));
    let mut script = [0; 38];
    script[..6].copy_from_slice(&COMMITMENT_SCRIPT_PREFIX);
    script[6..].copy_from_slice(hasher.hash_pair(root, WITNESS_RESERVED_VALUE).as_internal());
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hashes::{Hash, sha256d};

    #[test]
    fn mainnet_block_100000_folds_to_its_root() {
        let ids = [
            "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
            "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
            "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
            "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
        ]
        .map(|id| Hash256::parse_display(id).expect("a hash"));
        let branches = coinbase_branches(&ids[1..], &LevelHasher::default());
        assert_eq!(branches.len(), 2);
        assert_eq!(
            LevelHasher::default().fold(ids[0], &branches).to_string(),
            "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766"
        );
    }

    #[test]
    fn every_size_agrees_with_the_bitcoin_crate() {
        let hasher = LevelHasher::default();
        let ids: Vec<Hash256> = (0u32..300).map(|number| double_sha256(&number.to_le_bytes())).collect();
        for count in 1..ids.len() {
            let oracle = bitcoin::merkle_tree::calculate_root(
                ids[..count].iter().map(|id| sha256d::Hash::from_byte_array(*id.as_internal())),
            )
            .expect("not empty");
            let root = hasher.fold(ids[0], &coinbase_branches(&ids[1..count], &hasher));
            assert_eq!(root.as_internal(), oracle.as_byte_array(), "{count} transactions");
        }
    }

    #[test]
    fn the_commitment_of_an_empty_block_is_the_well_known_one() {
        assert_eq!(
            const_hex::encode(witness_commitment_script(&[], &LevelHasher::default())),
            "6a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9"
        );
    }
}
