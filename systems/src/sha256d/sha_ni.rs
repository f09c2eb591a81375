//! The SHA instructions of x86, two shares interleaved.
//!
//! An instruction does two rounds, and the next two wait for it: four cycles. Alone a share is bound by that wait, 128 cycles
//! a compression; a second share fills the gaps. With both the port of these instructions is the bound. The rounds of a
//! common block need no schedule, which makes them the cheaper half.
//!
//! ```text
//! Words<8, 2>    a0 a1 b0 b1 | c0 c1 d0 d1 | e0 e1 f0 f1 | g0 g1 h0 h1
//! a lane         abef: f e b a (lowest first)      cdgh: h g d c
//! ```
//! So a lane's register is one shuffle of two vectors of the batch.

#![allow(unsafe_code, reason = "calls of functions that need an instruction set, loads and stores of vectors")]

use super::lanes::{Kernel, ROUND_CONSTANTS_TABLE, Words};
use super::{Share, lanes};
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_castps_si128, _mm_castsi128_ps, _mm_loadu_si128, _mm_setzero_si128,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi32, _mm_shuffle_ps,
    _mm_storeu_si128, _mm_unpackhi_epi32, _mm_unpacklo_epi32,
};
use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;

/// Proof that this processor has the SHA instructions.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShaNi(());

impl ShaNi {
    /// The one way to such a value: this processor can it.
    pub(super) fn detect() -> Option<Self> {
        (std::arch::is_x86_feature_detected!("sha")
            && std::arch::is_x86_feature_detected!("ssse3")
            && std::arch::is_x86_feature_detected!("sse4.1"))
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

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn hash_one(kernel: ShaNi, shares: &[Share<'_>], hashes: &mut [ShareHash]) {
    lanes::hash::<ShaNi, 1>(kernel, shares, hashes);
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn hash_two(kernel: ShaNi, shares: &[Share<'_>], hashes: &mut [ShareHash]) {
    lanes::hash::<ShaNi, 2>(kernel, shares, hashes);
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
fn hash_pairs(kernel: ShaNi, pairs: &[[Hash256; 2]], parents: &mut [Hash256]) {
    if pairs.len() == 1 {
        lanes::hash_pairs::<ShaNi, 1>(kernel, pairs, parents);
    } else {
        lanes::hash_pairs::<ShaNi, 2>(kernel, pairs, parents);
    }
}

impl<const N: usize> Kernel<N> for ShaNi {
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

/// State of a lane: `abef` and `cdgh`.
type State = [__m128i; 2];

#[target_feature(enable = "sha,ssse3,sse4.1")]
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

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline(never)]
fn compress_common<const N: usize>(state: &mut Words<8, N>, scheduled: &[u32; 64]) {
    let mut now = load_state(state);
    for at in 0..16 {
        four_rounds(&mut now, [constants_at(scheduled, at); N]);
    }
    add_to_state(state, &now);
}

/// The lanes take turns, so that one computes while the other waits.
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn four_rounds<const N: usize>(states: &mut [State; N], words: [__m128i; N]) {
    for ([abef, cdgh], word) in states.iter_mut().zip(words) {
        *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, word);
    }
    for ([abef, cdgh], word) in states.iter_mut().zip(words) {
        *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32::<0b00_00_11_10>(word));
    }
}

/// Four words of the schedule from the last sixteen, the oldest of which are at `at`.
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn next_four(words: &[__m128i; 4], at: usize) -> __m128i {
    let [oldest, second, third, latest] = [0, 1, 2, 3].map(|step| words[(at + step) % 4]);
    let early = _mm_sha256msg1_epu32(oldest, second);
    let seven_back = _mm_alignr_epi8::<4>(latest, third);
    _mm_sha256msg2_epu32(_mm_add_epi32(early, seven_back), latest)
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn add_all<const N: usize>(words: &[[__m128i; 4]; N], at: usize, constants: __m128i) -> [__m128i; N] {
    let mut sums = [constants; N];
    for (sum, words) in sums.iter_mut().zip(words) {
        *sum = _mm_add_epi32(words[at], constants);
    }
    sums
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn constants_at(constants: &[u32], at: usize) -> __m128i {
    load(&constants.as_chunks::<4>().0[at])
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn load_block<const N: usize>(block: &Words<16, N>) -> [[__m128i; 4]; N] {
    let vectors = block.0.as_flattened().as_chunks::<4>().0;
    let mut lanes = [[_mm_setzero_si128(); 4]; N];
    for at in 0..4 {
        if N == 1 {
            lanes[0][at] = load(&vectors[at]);
        } else {
            let (low, high) = (load(&vectors[2 * at]), load(&vectors[2 * at + 1]));
            lanes[0][at] = select::<0b10_00_10_00>(low, high);
            lanes[1][at] = select::<0b11_01_11_01>(low, high);
        }
    }
    lanes
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn load_state<const N: usize>(state: &Words<8, N>) -> [State; N] {
    const { assert!(N == 1 || N == 2, "there are registers for two lanes") };
    let vectors = state.0.as_flattened().as_chunks::<4>().0;
    let mut lanes = [[_mm_setzero_si128(); 2]; N];
    if N == 1 {
        let (abcd, efgh) = (load(&vectors[0]), load(&vectors[1]));
        lanes[0] = [select::<0b00_01_00_01>(efgh, abcd), select::<0b10_11_10_11>(efgh, abcd)];
    } else {
        let [ab, cd, ef, gh] = [0, 1, 2, 3].map(|at| load(&vectors[at]));
        lanes[0] = [select::<0b00_10_00_10>(ef, ab), select::<0b00_10_00_10>(gh, cd)];
        lanes[1] = [select::<0b01_11_01_11>(ef, ab), select::<0b01_11_01_11>(gh, cd)];
    }
    lanes
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn add_to_state<const N: usize>(state: &mut Words<8, N>, lanes: &[State; N]) {
    let vectors = state.0.as_flattened_mut().as_chunks_mut::<4>().0;
    let [abef, cdgh] = lanes[0];
    if N == 1 {
        add_to(&mut vectors[0], select::<0b10_11_10_11>(abef, cdgh));
        add_to(&mut vectors[1], select::<0b00_01_00_01>(abef, cdgh));
    } else {
        let [other_abef, other_cdgh] = lanes[1];
        add_to(&mut vectors[0], swap_halves(_mm_unpackhi_epi32(abef, other_abef)));
        add_to(&mut vectors[1], swap_halves(_mm_unpackhi_epi32(cdgh, other_cdgh)));
        add_to(&mut vectors[2], swap_halves(_mm_unpacklo_epi32(abef, other_abef)));
        add_to(&mut vectors[3], swap_halves(_mm_unpacklo_epi32(cdgh, other_cdgh)));
    }
}

/// Two words of `low` and two of `high`, by their places, the first at the right.
#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn select<const PLACES: i32>(low: __m128i, high: __m128i) -> __m128i {
    _mm_castps_si128(_mm_shuffle_ps::<PLACES>(_mm_castsi128_ps(low), _mm_castsi128_ps(high)))
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn swap_halves(vector: __m128i) -> __m128i {
    _mm_shuffle_epi32::<0b01_00_11_10>(vector)
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn load(words: &[u32; 4]) -> __m128i {
    // SAFETY: the array is as long as a vector, and the load needs no alignment.
    unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
}

#[target_feature(enable = "sha,ssse3,sse4.1")]
#[inline]
fn add_to(words: &mut [u32; 4], vector: __m128i) {
    let sum = _mm_add_epi32(load(words), vector);
    // SAFETY: the array is as long as a vector, and the store needs no alignment.
    unsafe { _mm_storeu_si128(words.as_mut_ptr().cast(), sum) }
}
