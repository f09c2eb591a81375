//! Sixteen lanes in 512-bit registers with AVX-512.
//!
//! As many operations as with AVX-512VL for twice the lanes, but two a cycle at most, and on some processors the clock of
//! everything that follows is lower for a while. Calibration decides whether that pays.

#![allow(unsafe_code, reason = "calls of functions that need an instruction set, loads and stores of vectors")]

use super::lanes::{Kernel, ROUND_CONSTANTS_TABLE, Words};
use super::{Share, lanes};
use std::arch::asm;
use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_loadu_si512, _mm512_ror_epi32, _mm512_set1_epi32, _mm512_srli_epi32,
    _mm512_storeu_si512, _mm512_ternarylogic_epi32,
};
use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;

type Vector = __m512i;

const LANES: usize = 16;

/// Truth tables of three inputs, read from the highest bit: 111, 110, 101, 100, 011, 010, 001, 000.
const EXCLUSIVE_OR: i32 = 0b1001_0110;
/// The second input where the first is set, else the third.
const CHOOSE: i32 = 0b1100_1010;
/// What at least two inputs are.
const MAJORITY: i32 = 0b1110_1000;

proof!(Avx512, "avx512f", ["avx512f"], "Proof that this processor has AVX-512.");

kernel!("avx512f");

#[target_feature(enable = "avx512f")]
#[inline]
fn load(lanes: &[u32; LANES]) -> Vector {
    // SAFETY: the array is as long as a vector, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(lanes: &mut [u32; LANES], vector: Vector) {
    // SAFETY: the array is as long as a vector, and the store needs no alignment.
    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), vector) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn splat(word: u32) -> Vector {
    _mm512_set1_epi32(word.cast_signed())
}

#[target_feature(enable = "avx512f")]
#[inline]
fn add(a: Vector, b: Vector) -> Vector {
    _mm512_add_epi32(a, b)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn choose(e: Vector, f: Vector, g: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<CHOOSE>(e, f, g)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn majority(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm512_ternarylogic_epi32::<MAJORITY>(a, b, c)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn big_sigma0(x: Vector) -> Vector {
    let rotated = (_mm512_ror_epi32::<2>(x), _mm512_ror_epi32::<13>(x), _mm512_ror_epi32::<22>(x));
    _mm512_ternarylogic_epi32::<EXCLUSIVE_OR>(rotated.0, rotated.1, rotated.2)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn big_sigma1(x: Vector) -> Vector {
    let rotated = (_mm512_ror_epi32::<6>(x), _mm512_ror_epi32::<11>(x), _mm512_ror_epi32::<25>(x));
    _mm512_ternarylogic_epi32::<EXCLUSIVE_OR>(rotated.0, rotated.1, rotated.2)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn small_sigma0(x: Vector) -> Vector {
    let rotated = (_mm512_ror_epi32::<7>(x), _mm512_ror_epi32::<18>(x), _mm512_srli_epi32::<3>(x));
    _mm512_ternarylogic_epi32::<EXCLUSIVE_OR>(rotated.0, rotated.1, rotated.2)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn small_sigma1(x: Vector) -> Vector {
    let rotated = (_mm512_ror_epi32::<17>(x), _mm512_ror_epi32::<19>(x), _mm512_srli_epi32::<10>(x));
    _mm512_ternarylogic_epi32::<EXCLUSIVE_OR>(rotated.0, rotated.1, rotated.2)
}

/// The same value, of which the compiler does not know what it is a sum of.
#[target_feature(enable = "avx512f")]
#[inline]
fn keep(mut x: Vector) -> Vector {
    // SAFETY: no instruction at all; the register is in and out.
    unsafe { asm!("/* {x} */", x = inlateout(zmm_reg) x, options(pure, nomem, nostack, preserves_flags)) };
    x
}
