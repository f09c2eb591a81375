//! What is hashed for one share: references into its job and the few numbers that are its own.

use super::{Midstate, fold, header};
use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;

/// A share before it is hashed.
#[derive(Clone, Copy, Debug)]
pub struct Share<'a> {
    /// The start of the coinbase, as far as it was hashed once for the job.
    pub midstate: &'a Midstate,
    /// The coinbase from there up to the extranonce.
    pub tail: &'a [u8],
    /// What differs from share to share.
    pub extranonce: &'a [u8],
    /// The coinbase behind the extranonce.
    pub suffix: &'a [u8],
    /// The merkle path of the coinbase, deepest first.
    pub branches: &'a [Hash256],
    /// Header version.
    pub version: u32,
    /// The tip it builds on.
    pub previous_block: &'a Hash256,
    /// Header time.
    pub ntime: u32,
    /// The network's target, compact.
    pub bits: u32,
    /// Header nonce.
    pub nonce: u32,
}

impl Share<'static> {
    /// Fills arrays.
    pub const EMPTY: Self = Self {
        midstate: &Midstate::EMPTY,
        tail: &[],
        extranonce: &[],
        suffix: &[],
        branches: &[],
        version: 0,
        previous_block: &Hash256::ZERO,
        ntime: 0,
        bits: 0,
        nonce: 0,
    };
}

impl Share<'_> {
    /// The scalar way, and what every other must agree with.
    pub(super) fn hash(&self) -> ShareHash {
        let coinbase = self.midstate.finish_double([self.tail, self.extranonce, self.suffix]);
        let header_bytes = self.header(&fold(coinbase, self.branches));
        ShareHash { header: header_bytes, hash: header(&header_bytes) }
    }

    /// The 80 bytes of the block header.
    pub(super) fn header(&self, root: &Hash256) -> [u8; 80] {
        let mut header = [0; 80];
        header[..4].copy_from_slice(&self.version.to_le_bytes());
        header[4..36].copy_from_slice(self.previous_block.as_internal());
        header[36..68].copy_from_slice(root.as_internal());
        header[68..72].copy_from_slice(&self.ntime.to_le_bytes());
        header[72..76].copy_from_slice(&self.bits.to_le_bytes());
        header[76..].copy_from_slice(&self.nonce.to_le_bytes());
        header
    }

    /// Blocks of the coinbase that the midstate does not hold, with the padding.
    pub(super) fn coinbase_blocks(&self) -> usize {
        // A byte 0x80 and eight bytes of length (FIPS 180-4, 5.1.1).
        (self.coinbase_bytes() + 9).div_ceil(64)
    }

    /// One of them, as words.
    pub(super) fn coinbase_block(&self, index: usize) -> [u32; 16] {
        let (mut block, mut at) = ([0; 64], 0);
        for part in [self.tail, self.extranonce, self.suffix] {
            copy_overlap(&mut block, 64 * index, part, at);
            at += part.len();
        }
        copy_overlap(&mut block, 64 * index, &[0x80], at);
        if index + 1 == self.coinbase_blocks() {
            block[56..].copy_from_slice(&(8 * (self.midstate.bytes + at as u64)).to_be_bytes());
        }
        words(&block)
    }

    /// Whether a block of the coinbase holds nothing of the extranonce.
    pub(super) fn is_constant(&self, index: usize) -> bool {
        let (start, end) = (self.tail.len(), self.tail.len() + self.extranonce.len());
        end <= 64 * index || 64 * (index + 1) <= start
    }

    /// Whether only the extranonces of two coinbases differ.
    pub(super) fn has_coinbase_of(&self, other: &Share<'_>) -> bool {
        std::ptr::eq(self.midstate, other.midstate)
            && std::ptr::eq(self.tail, other.tail)
            && self.extranonce.len() == other.extranonce.len()
            && std::ptr::eq(self.suffix, other.suffix)
    }

    fn coinbase_bytes(&self) -> usize {
        self.tail.len() + self.extranonce.len() + self.suffix.len()
    }
}

/// Copies what of `part`, which stands at `part_at` of a message, falls into the block at `block_at`.
fn copy_overlap(block: &mut [u8; 64], block_at: usize, part: &[u8], part_at: usize) {
    let start = block_at.max(part_at);
    let end = (block_at + 64).min(part_at + part.len());
    if start < end {
        block[start - block_at..end - block_at].copy_from_slice(&part[start - part_at..end - part_at]);
    }
}

/// Bytes as SHA-256 reads them: big-endian words.
pub(super) fn words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [u32; WORDS] {
    const { assert!(BYTES == 4 * WORDS) };
    let (chunks, _) = bytes.as_chunks::<4>();
    std::array::from_fn(|word| u32::from_be_bytes(chunks[word]))
}
