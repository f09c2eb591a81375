//! A batch of shares on its way through coinbase, merkle fold and header, one share a lane.
//!
//! ```text
//! Words<16, N>   word 0:   lane 0, lane 1, .. lane N-1     one vector
//!                word 1:   lane 0, lane 1, .. lane N-1     the next
//!                ..
//! ```
//! A digest keeps this form from the first hash of a share to its last: what one compression leaves is copied, vector by
//! vector, to where the next one reads it. Only what differs by lane is scattered: the blocks with the extranonces and
//! the headers. What all lanes have in common, blocks of their coinbase and branches, is read once and broadcast.
//! Lanes of different jobs may stand side by side: what they do not share is scattered, and a lane that is done earlier
//! keeps its digest while the others go on. Lanes without a share compute what nobody reads.
//!
//! Everything is inlined into one function a backend, so that copies use its registers; the compressions are not.

use super::share::words;
use super::{INITIAL_STATE, Share, pair};
use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;

/// The compressions of a backend. A value of it proves that this processor can them.
pub(super) trait Kernel<const N: usize>: Copy {
    /// Compresses a block a lane.
    fn compress(self, state: &mut Words<8, N>, block: &Words<16, N>);

    /// Compresses a block that is the same in all lanes: its 64 scheduled words with the round constants added.
    fn compress_common(self, state: &mut Words<8, N>, scheduled: &[u32; 64]);
}

/// Words of all lanes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Words<const WORDS: usize, const N: usize>(pub(super) [[u32; N]; WORDS]);

impl<const WORDS: usize, const N: usize> Words<WORDS, N> {
    #[inline(always)]
    fn broadcast(words: &[u32; WORDS]) -> Self {
        let mut all = Self([[0; N]; WORDS]);
        all.broadcast_at(0, words);
        all
    }

    #[inline(always)]
    fn broadcast_at(&mut self, start: usize, words: &[u32]) {
        for (lanes, word) in self.0[start..].iter_mut().zip(words) {
            *lanes = [*word; N];
        }
    }

    #[inline(always)]
    fn set_lane_at(&mut self, start: usize, lane: usize, words: &[u32]) {
        for (lanes, word) in self.0[start..].iter_mut().zip(words) {
            lanes[lane] = *word;
        }
    }

    /// Takes the lanes of `new` where `mask` is all ones.
    #[inline(always)]
    fn take_where(&mut self, mask: &[u32; N], new: &Self) {
        for (lanes, new) in self.0.iter_mut().zip(&new.0) {
            for lane in 0..N {
                lanes[lane] = (new[lane] & mask[lane]) | (lanes[lane] & !mask[lane]);
            }
        }
    }
}

impl<const N: usize> Words<8, N> {
    #[inline(always)]
    fn lane(&self, lane: usize) -> Hash256 {
        let mut bytes = [0; 32];
        for (chunk, lanes) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(&self.0) {
            *chunk = lanes[lane].to_be_bytes();
        }
        Hash256::from_internal(bytes)
    }
}

/// The block with a 32-byte digest, for the second hash; the digest is still missing.
const DIGEST_BLOCK: [u32; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0x8000_0000, 0, 0, 0, 0, 0, 0, 256];

/// The second block of a header: last word of the root, time, bits and nonce are still missing.
const HEADER_END: [u32; 16] = [0, 0, 0, 0, 0x8000_0000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 640];

/// The block behind 64 bytes, which is nothing but padding, scheduled.
const PAIR_PADDING: [u32; 64] = schedule([0x8000_0000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 512]);

/// Hashes at most `N` shares, but at least one.
#[inline(always)]
pub(super) fn hash<K: Kernel<N>, const N: usize>(kernel: K, shares: &[Share<'_>], hashes: &mut [ShareHash]) {
    let shares = &shares[..shares.len().min(N)];
    let mut digest_block = Words::broadcast(&DIGEST_BLOCK);
    let coinbase = hash_coinbases(kernel, shares, &mut digest_block);
    let root = fold(kernel, shares, coinbase, &mut digest_block);
    let hash = hash_headers(kernel, shares, &root, &mut digest_block);
    for (lane, (share, out)) in shares.iter().zip(hashes).enumerate() {
        *out = ShareHash { header: share.header(&root.lane(lane)), hash: hash.lane(lane) };
    }
}

/// The scalar way.
pub(super) fn hash_one_by_one(shares: &[Share<'_>], hashes: &mut [ShareHash]) {
    for (share, hash) in shares.iter().zip(hashes) {
        *hash = share.hash();
    }
}

/// Hashes at most `N` pairs of nodes to their parents, but at least one.
#[inline(always)]
pub(super) fn hash_pairs<K: Kernel<N>, const N: usize>(kernel: K, pairs: &[[Hash256; 2]], parents: &mut [Hash256]) {
    let mut block = Words([[0; N]; 16]);
    for (lane, [left, right]) in pairs.iter().take(N).enumerate() {
        block.set_lane_at(0, lane, &words::<32, 8>(left.as_internal()));
        block.set_lane_at(8, lane, &words::<32, 8>(right.as_internal()));
    }
    let parent = hash_pair(kernel, &block, &mut Words::broadcast(&DIGEST_BLOCK));
    for (lane, out) in parents.iter_mut().take(N).enumerate() {
        *out = parent.lane(lane);
    }
}

/// The scalar way.
pub(super) fn hash_pairs_one_by_one(pairs: &[[Hash256; 2]], parents: &mut [Hash256]) {
    for ([left, right], parent) in pairs.iter().zip(parents) {
        *parent = pair(left, right);
    }
}

#[inline(always)]
fn hash_coinbases<K: Kernel<N>, const N: usize>(
    kernel: K,
    shares: &[Share<'_>],
    digest_block: &mut Words<16, N>,
) -> Words<8, N> {
    let mut state = Words([[0; N]; 8]);
    let mut counts = [0; N];
    for (lane, share) in shares.iter().enumerate() {
        state.set_lane_at(0, lane, &share.midstate.state);
        counts[lane] = share.coinbase_blocks();
    }
    let one_coinbase = shares[1..].iter().all(|share| share.has_coinbase_of(&shares[0]));
    let (fewest, most) = extent(&counts[..shares.len()]);
    let mut block = Words([[0; N]; 16]);
    for index in 0..most {
        if one_coinbase && shares[0].is_constant(index) {
            block.broadcast_at(0, &shares[0].coinbase_block(index));
        } else {
            let unfinished = shares.iter().enumerate().filter(|(lane, _)| index < counts[*lane]);
            unfinished.for_each(|(lane, share)| block.set_lane_at(0, lane, &share.coinbase_block(index)));
        }
        if index < fewest {
            kernel.compress(&mut state, &block);
        } else {
            let mut next = state;
            kernel.compress(&mut next, &block);
            state.take_where(&unfinished_lanes(&counts, index), &next);
        }
    }
    digest_again(kernel, &state, digest_block)
}

/// One level of the tree after the other.
#[inline(always)]
fn fold<K: Kernel<N>, const N: usize>(
    kernel: K,
    shares: &[Share<'_>],
    coinbase: Words<8, N>,
    digest_block: &mut Words<16, N>,
) -> Words<8, N> {
    let mut depths = [0; N];
    for (depth, share) in depths.iter_mut().zip(shares) {
        *depth = share.branches.len();
    }
    let (fewest, most) = extent(&depths[..shares.len()]);
    let one_path = shares[1..].iter().all(|share| std::ptr::eq(share.branches, shares[0].branches));
    let (mut node, mut pair) = (coinbase, Words([[0; N]; 16]));
    for level in 0..most {
        pair.0[..8].copy_from_slice(&node.0);
        if one_path {
            pair.broadcast_at(8, &words::<32, 8>(shares[0].branches[level].as_internal()));
        } else {
            let branches =
                shares.iter().enumerate().filter_map(|(lane, share)| Some((lane, share.branches.get(level)?)));
            branches.for_each(|(lane, branch)| pair.set_lane_at(8, lane, &words::<32, 8>(branch.as_internal())));
        }
        let parent = hash_pair(kernel, &pair, digest_block);
        if level < fewest {
            node = parent;
        } else {
            node.take_where(&unfinished_lanes(&depths, level), &parent);
        }
    }
    node
}

/// A node of the tree from the block that both its children fill.
#[inline(always)]
fn hash_pair<K: Kernel<N>, const N: usize>(
    kernel: K,
    block: &Words<16, N>,
    digest_block: &mut Words<16, N>,
) -> Words<8, N> {
    let mut state = Words::broadcast(&INITIAL_STATE);
    kernel.compress(&mut state, block);
    kernel.compress_common(&mut state, &PAIR_PADDING);
    digest_again(kernel, &state, digest_block)
}

#[inline(always)]
fn hash_headers<K: Kernel<N>, const N: usize>(
    kernel: K,
    shares: &[Share<'_>],
    root: &Words<8, N>,
    digest_block: &mut Words<16, N>,
) -> Words<8, N> {
    let mut start = Words([[0; N]; 16]);
    let mut end = Words::broadcast(&HEADER_END);
    for (lane, share) in shares.iter().enumerate() {
        start.0[0][lane] = share.version.swap_bytes();
        start.set_lane_at(1, lane, &words::<32, 8>(share.previous_block.as_internal()));
        end.set_lane_at(1, lane, &[share.ntime.swap_bytes(), share.bits.swap_bytes(), share.nonce.swap_bytes()]);
    }
    start.0[9..].copy_from_slice(&root.0[..7]);
    end.0[0] = root.0[7];
    let mut state = Words::broadcast(&INITIAL_STATE);
    kernel.compress(&mut state, &start);
    kernel.compress(&mut state, &end);
    digest_again(kernel, &state, digest_block)
}

/// The second SHA-256, of a digest.
#[inline(always)]
fn digest_again<K: Kernel<N>, const N: usize>(
    kernel: K,
    digest: &Words<8, N>,
    digest_block: &mut Words<16, N>,
) -> Words<8, N> {
    digest_block.0[..8].copy_from_slice(&digest.0);
    let mut state = Words::broadcast(&INITIAL_STATE);
    kernel.compress(&mut state, digest_block);
    state
}

/// The smallest and the largest.
#[inline(always)]
fn extent(counts: &[usize]) -> (usize, usize) {
    counts.iter().fold((usize::MAX, 0), |(fewest, most), count| (fewest.min(*count), most.max(*count)))
}

/// All ones for the lanes that have something at `index`.
#[inline(always)]
fn unfinished_lanes<const N: usize>(counts: &[usize; N], index: usize) -> [u32; N] {
    counts.map(|count| if index < count { u32::MAX } else { 0 })
}

/// The 64 words of a block's message schedule, each with its round constant added (FIPS 180-4, 6.2.2).
const fn schedule(block: [u32; 16]) -> [u32; 64] {
    let mut words = [0u32; 64];
    let mut at = 0;
    while at < 64 {
        words[at] = if at < 16 {
            block[at]
        } else {
            let (early, late) = (words[at - 15], words[at - 2]);
            let sigma0 = early.rotate_right(7) ^ early.rotate_right(18) ^ (early >> 3);
            let sigma1 = late.rotate_right(17) ^ late.rotate_right(19) ^ (late >> 10);
            words[at - 16].wrapping_add(sigma0).wrapping_add(words[at - 7]).wrapping_add(sigma1)
        };
        at += 1;
    }
    while at > 0 {
        at -= 1;
        words[at] = words[at].wrapping_add(ROUND_CONSTANTS.0[at / 16][at % 16]);
    }
    words
}

/// The round constants on a cache line's border, sixteen rounds a row.
#[repr(align(64))]
pub(super) struct RoundConstants(pub(super) [[u32; 16]; 4]);

/// FIPS 180-4, 4.2.2.
pub(super) static ROUND_CONSTANTS_TABLE: RoundConstants = ROUND_CONSTANTS;

const ROUND_CONSTANTS: RoundConstants = RoundConstants([
    [
        0x428a_2f98,
        0x7137_4491,
        0xb5c0_fbcf,
        0xe9b5_dba5,
        0x3956_c25b,
        0x59f1_11f1,
        0x923f_82a4,
        0xab1c_5ed5,
        0xd807_aa98,
        0x1283_5b01,
        0x2431_85be,
        0x550c_7dc3,
        0x72be_5d74,
        0x80de_b1fe,
        0x9bdc_06a7,
        0xc19b_f174,
    ],
    [
        0xe49b_69c1,
        0xefbe_4786,
        0x0fc1_9dc6,
        0x240c_a1cc,
        0x2de9_2c6f,
        0x4a74_84aa,
        0x5cb0_a9dc,
        0x76f9_88da,
        0x983e_5152,
        0xa831_c66d,
        0xb003_27c8,
        0xbf59_7fc7,
        0xc6e0_0bf3,
        0xd5a7_9147,
        0x06ca_6351,
        0x1429_2967,
    ],
    [
        0x27b7_0a85,
        0x2e1b_2138,
        0x4d2c_6dfc,
        0x5338_0d13,
        0x650a_7354,
        0x766a_0abb,
        0x81c2_c92e,
        0x9272_2c85,
        0xa2bf_e8a1,
        0xa81a_664b,
        0xc24b_8b70,
        0xc76c_51a3,
        0xd192_e819,
        0xd699_0624,
        0xf40e_3585,
        0x106a_a070,
    ],
    [
        0x19a4_c116,
        0x1e37_6c08,
        0x2748_774c,
        0x34b0_bcb5,
        0x391c_0cb3,
        0x4ed8_aa4a,
        0x5b9c_ca4f,
        0x682e_6ff3,
        0x748f_82ee,
        0x78a5_636f,
        0x84c8_7814,
        0x8cc7_0208,
        0x90be_fffa,
        0xa450_6ceb,
        0xbef9_a3f7,
        0xc671_78f2,
    ],
]);
