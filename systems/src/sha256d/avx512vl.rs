//! Eight lanes in 256-bit registers with AVX-512VL.
//!
//! It has a rotation, logic of three inputs in one operation, and 32 registers, so that the schedule stays in them: 1624
//! operations a compression, 1032 of a common block, three a cycle at most. The clock stays what it was, other than with
//! 512-bit registers.

#![allow(unsafe_code, reason = "calls of functions that need an instruction set, loads and stores of vectors")]

use super::lanes::{Kernel, ROUND_CONSTANTS_TABLE, Words};
use super::{Share, lanes};
use std::arch::asm;
use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_loadu_si256, _mm256_ror_epi32, _mm256_set1_epi32, _mm256_srli_epi32,
    _mm256_storeu_si256, _mm256_ternarylogic_epi32,
};
use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;

type Vector = __m256i;

const LANES: usize = 8;

/// Truth tables of three inputs, read from the highest bit: 111, 110, 101, 100, 011, 010, 001, 000.
const EXCLUSIVE_OR: i32 = 0b1001_0110;
/// The second input where the first is set, else the third.
const CHOOSE: i32 = 0b1100_1010;
/// What at least two inputs are.
const MAJORITY: i32 = 0b1110_1000;

proof!(Avx512Vl, "avx2", ["avx512f", "avx512vl", "avx2"], "Proof that this processor has AVX-512VL.");

kernel!("avx512f,avx512vl,avx2");

#[target_feature(enable = "avx512f,avx512vl,avx2")]
#[inline]
fn load(lanes: &[u32; LANES]) -> Vector {
    // SAFETY: the array is as long as a vector, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512vl,avx2")]
#[inline]
fn store(lanes: &mut [u32; LANES], vector: Vector) {
    // SAFETY: the array is as long as a vector, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), vector) }
}

#[target_feature(enable = "avx512f,avx512vl,avx2")]
#[inline]
fn splat(word: u32) -> Vector {
    _mm256_set1_epi32(word.cast_signed())
}

#[target_feature(enable = "avx512f,avx512vl,avx2")]
#[inline]
fn add(a: Vector, b: Vector) -> Vector {
    _mm256_add_epi32(a, b)
}

#[target_feature(enable = "avx512f,avx512vl,avx2")]
#[inline]
fn choose(e: Vector, f: Vector, g: Vector) -> Vector {
    _mm256_ternarylogic_epi32::<CHOOSE>(e, f, g)
}

#[target_feature(enable = "avx512f,avx512vl,avx2")]
#[inline]
fn majority(a: Vector, b: Vector, c: Vector) -> Vector {
    _mm256_ternarylogic_epi32::<MAJORITY>(a, b, c)
}

#[target_feature(enable = "avx512f,avx512vl,avx2")]
#[inline]
fn big_sigma0(x: Vector) -> Vector {
    let rotated = (_mm256_ror_epi32::<2>(x), _mm256_ror_epi32::<13>(x), _mm256_ror_epi32::<22>(x));
    _mm256_ternarylogic_epi32::<EXCLUSIVE_OR>(rotated.0, rotated.1, rotated.2)
}

#[target_feature(enable = "avx512f,avx512vl,avx2")]
#[inline]
fn big_sigma1(x: Vector) -> Vector {
    let rotated = (_mm256_ror_epi32::<6>(x), _mm256_ror_epi32::<11>(x), _mm256_ror_epi32::<25>(x));
    _mm256_ternarylogic_epi32::<EXCLUSIVE_OR>(rotated.0, rotated.1, rotated.2)
}

#[target_feature(enable = "avx512f,avx512vl,avx2")]
#[inline]
fn small_sigma0(x: Vector) -> Vector {
    let rotated = (_mm256_ror_epi32::<7>(x), _mm256_ror_epi32::<18>(x), _mm256_srli_epi32::<3>(x));
    _mm256_ternarylogic_epi32::<EXCLUSIVE_OR>(rotated.0, rotated.1, rotated.2)
}

#[target_feature(enable = "avx512f,avx512vl,avx2")]
#[inline]
fn small_sigma1(x: Vector) -> Vector {
    let rotated = (_mm256_ror_epi32::<17>(x), _mm256_ror_epi32::<19>(x), _mm256_srli_epi32::<10>(x));
    _mm256_ternarylogic_epi32::<EXCLUSIVE_OR>(rotated.0, rotated.1, rotated.2)
}

/// The same value, of which the compiler does not know what it is a sum of.
#[target_feature(enable = "avx512f,avx512vl,avx2")]
#[inline]
fn keep(mut x: Vector) -> Vector {
    // SAFETY: no instruction at all; the register is in and out.
    unsafe { asm!("/* {x} */", x = inlateout(ymm_reg) x, options(pure, nomem, nostack, preserves_flags)) };
    x
}
