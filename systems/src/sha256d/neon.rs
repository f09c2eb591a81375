//! The SHA instructions of aarch64, two shares interleaved.
//!
//! Four rounds are two instructions, one for each half of the state, and the next four wait for both: four to five cycles on
//! the cores of the last years, which take one of these instructions a cycle. Of a block of a lane's own that is some 70
//! cycles of waiting for 56 of work, of a common block, which needs no schedule, for 32. So a second share fills the gaps
//! and then the unit is the bound; more lanes than two would have their words transposed and find no gap left.
//!
//! ```text
//! Words<8, 2>    a0 a1 b0 b1 | c0 c1 d0 d1 | e0 e1 f0 f1 | g0 g1 h0 h1
//! a lane         a b c d       e f g h
//! ```
//! So a lane's register is the even or the odd words of two vectors of the batch.

#![allow(unsafe_code, reason = "calls of functions that need an instruction set, loads and stores of vectors")]

use super::lanes::{Kernel, ROUND_CONSTANTS_TABLE, Words};
use super::{Share, lanes};
use std::arch::aarch64::{
    uint32x4_t, vaddq_u32, vdupq_n_u32, vld1q_u32, vsha256h2q_u32, vsha256hq_u32, vsha256su0q_u32, vsha256su1q_u32,
    vst1q_u32, vuzp1q_u32, vuzp2q_u32, vzip1q_u32, vzip2q_u32,
};
use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;

/// Proof that this processor has the SHA-2 instructions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neon(());

impl Neon {
    /// The one way to such a value: this processor can it.
    pub(super) fn detect() -> Option<Self> {
        (std::arch::is_aarch64_feature_detected!("neon") && std::arch::is_aarch64_feature_detected!("sha2"))
            .then_some(Self(()))
    }

    /// Hashes one or two shares.
    pub(super) fn hash(self, shares: &[Share<'_>], hashes: &mut [ShareHash]) {
        // SAFETY: `self` exists, so the processor can what the functions need.
        unsafe { if shares.len() == 1 { hash_one(self, shares, hashes) } else { hash_two(self, shares, hashes) } }
    }

    /// Hashes one or two pairs of nodes to their parents.
    pub(super) fn hash_pairs(self, pairs: &[[Hash256; 2]], parents: &mut [Hash256]) {
        // SAFETY: `self` exists, so the processor can what the function needs.
        unsafe { hash_pairs(self, pairs, parents) }
    }
}

#[target_feature(enable = "neon,sha2")]
fn hash_one(kernel: Neon, shares: &[Share<'_>], hashes: &mut [ShareHash]) {
    lanes::hash::<Neon, 1>(kernel, shares, hashes);
}

#[target_feature(enable = "neon,sha2")]
fn hash_two(kernel: Neon, shares: &[Share<'_>], hashes: &mut [ShareHash]) {
    lanes::hash::<Neon, 2>(kernel, shares, hashes);
}

#[target_feature(enable = "neon,sha2")]
fn hash_pairs(kernel: Neon, pairs: &[[Hash256; 2]], parents: &mut [Hash256]) {
    if pairs.len() == 1 {
        lanes::hash_pairs::<Neon, 1>(kernel, pairs, parents);
    } else {
        lanes::hash_pairs::<Neon, 2>(kernel, pairs, parents);
    }
}

impl<const N: usize> Kernel<N> for Neon {
    #[inline(always)]
    fn compress(self, state: &mut Words<8, N>, block: &Words<16, N>) {
        // SAFETY: `self` exists, so the processor can what the function needs.
        unsafe { compress(state, block) }
    }

    #[inline(always)]
    fn compress_common(self, state: &mut Words<8, N>, scheduled: &[u32; 64]) {
        // SAFETY: `self` exists, so the processor can what the function needs.
        unsafe { compress_common(state, scheduled) }
    }
}

/// State of a lane: `abcd` and `efgh`.
type State = [uint32x4_t; 2];

#[target_feature(enable = "neon,sha2")]
#[inline(never)]
fn compress<const N: usize>(state: &mut Words<8, N>, block: &Words<16, N>) {
    let mut words = load_block(block);
    let mut now = load_state(state);
    let constants = ROUND_CONSTANTS_TABLE.0.as_flattened();
    for at in 0..4 {
        four_rounds(&mut now, add_all(&words, at, constants_at(constants, at)));
    }
    for turn in 1..4 {
        for at in 0..4 {
            words.iter_mut().for_each(|words| words[at] = next_four(words, at));
            four_rounds(&mut now, add_all(&words, at, constants_at(constants, 4 * turn + at)));
        }
    }
    add_to_state(state, &now);
}

#[target_feature(enable = "neon,sha2")]
#[inline(never)]
fn compress_common<const N: usize>(state: &mut Words<8, N>, scheduled: &[u32; 64]) {
    let mut now = load_state(state);
    for at in 0..16 {
        four_rounds(&mut now, [constants_at(scheduled, at); N]);
    }
    add_to_state(state, &now);
}

/// The lanes take turns, so that one computes while the other waits.
#[target_feature(enable = "neon,sha2")]
#[inline]
fn four_rounds<const N: usize>(states: &mut [State; N], words: [uint32x4_t; N]) {
    let before = *states;
    for (([abcd, _], [abcd_before, efgh_before]), word) in states.iter_mut().zip(before).zip(words) {
        *abcd = vsha256hq_u32(abcd_before, efgh_before, word);
    }
    for (([_, efgh], [abcd_before, efgh_before]), word) in states.iter_mut().zip(before).zip(words) {
        *efgh = vsha256h2q_u32(efgh_before, abcd_before, word);
    }
}

/// Four words of the schedule from the last sixteen, the oldest of which are at `at`.
#[target_feature(enable = "neon,sha2")]
#[inline]
fn next_four(words: &[uint32x4_t; 4], at: usize) -> uint32x4_t {
    let [oldest, second, third, latest] = [0, 1, 2, 3].map(|step| words[(at + step) % 4]);
    vsha256su1q_u32(vsha256su0q_u32(oldest, second), third, latest)
}

#[target_feature(enable = "neon,sha2")]
#[inline]
fn add_all<const N: usize>(words: &[[uint32x4_t; 4]; N], at: usize, constants: uint32x4_t) -> [uint32x4_t; N] {
    let mut sums = [constants; N];
    for (sum, words) in sums.iter_mut().zip(words) {
        *sum = vaddq_u32(words[at], constants);
    }
    sums
}

#[target_feature(enable = "neon,sha2")]
#[inline]
fn constants_at(constants: &[u32], at: usize) -> uint32x4_t {
    load(&constants.as_chunks::<4>().0[at])
}

#[target_feature(enable = "neon,sha2")]
#[inline]
fn load_block<const N: usize>(block: &Words<16, N>) -> [[uint32x4_t; 4]; N] {
    let mut lanes = [[vdupq_n_u32(0); 4]; N];
    for at in 0..4 {
        let words = load_four_words(block, at);
        for (lane, words) in lanes.iter_mut().zip(words) {
            lane[at] = words;
        }
    }
    lanes
}

#[target_feature(enable = "neon,sha2")]
#[inline]
fn load_state<const N: usize>(state: &Words<8, N>) -> [State; N] {
    let (abcd, efgh) = (load_four_words(state, 0), load_four_words(state, 1));
    let mut lanes = [[vdupq_n_u32(0); 2]; N];
    for (lane, halves) in lanes.iter_mut().zip(abcd.into_iter().zip(efgh)) {
        *lane = [halves.0, halves.1];
    }
    lanes
}

#[target_feature(enable = "neon,sha2")]
#[inline]
fn add_to_state<const N: usize>(state: &mut Words<8, N>, lanes: &[State; N]) {
    let vectors = state.0.as_flattened_mut().as_chunks_mut::<4>().0;
    for half in 0..2 {
        if N == 1 {
            add_to(&mut vectors[half], lanes[0][half]);
        } else {
            let (even, odd) = (lanes[0][half], lanes[1][half]);
            add_to(&mut vectors[2 * half], vzip1q_u32(even, odd));
            add_to(&mut vectors[2 * half + 1], vzip2q_u32(even, odd));
        }
    }
}

/// The words `4 * at` to `4 * at + 3` of each lane.
#[target_feature(enable = "neon,sha2")]
#[inline]
fn load_four_words<const WORDS: usize, const N: usize>(words: &Words<WORDS, N>, at: usize) -> [uint32x4_t; N] {
    const { assert!(N == 1 || N == 2, "lanes are taken apart in one step") };
    let vectors = words.0.as_flattened().as_chunks::<4>().0;
    let mut lanes = [vdupq_n_u32(0); N];
    if N == 1 {
        lanes[0] = load(&vectors[at]);
    } else {
        let (low, high) = (load(&vectors[2 * at]), load(&vectors[2 * at + 1]));
        lanes[0] = vuzp1q_u32(low, high);
        lanes[1] = vuzp2q_u32(low, high);
    }
    lanes
}

#[target_feature(enable = "neon,sha2")]
#[inline]
fn load(words: &[u32; 4]) -> uint32x4_t {
    // SAFETY: the array is as long as a vector, and the load needs no alignment beyond the array's.
    unsafe { vld1q_u32(words.as_ptr()) }
}

#[target_feature(enable = "neon,sha2")]
#[inline]
fn add_to(words: &mut [u32; 4], vector: uint32x4_t) {
    let sum = vaddq_u32(load(words), vector);
    // SAFETY: the array is as long as a vector, and the store needs no alignment beyond the array's.
    unsafe { vst1q_u32(words.as_mut_ptr(), sum) }
}
