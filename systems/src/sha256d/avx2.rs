//! Eight lanes in 256-bit registers with AVX2.
//!
//! A rotation is two shifts and an or, and 16 registers do not hold state and schedule: 3256 operations a compression,
//! 2188 of a common block, three a cycle at most.

#![allow(unsafe_code, reason = "calls of functions that need an instruction set, loads and stores of vectors")]

use super::lanes::{Kernel, ROUND_CONSTANTS_TABLE, Words};
use super::{Share, lanes};
use std::arch::asm;
use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_loadu_si256, _mm256_or_si256, _mm256_set1_epi32,
    _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_si256, _mm256_xor_si256,
};
use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;

type Vector = __m256i;

const LANES: usize = 8;

proof!(Avx2, "avx2", ["avx2"], "Proof that this processor has AVX2.");

kernel!("avx2");

#[target_feature(enable = "avx2")]
#[inline]
fn load(lanes: &[u32; LANES]) -> Vector {
    // SAFETY: the array is as long as a vector, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(lanes: &mut [u32; LANES], vector: Vector) {
    // SAFETY: the array is as long as a vector, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), vector) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn splat(word: u32) -> Vector {
    _mm256_set1_epi32(word.cast_signed())
}

#[target_feature(enable = "avx2")]
#[inline]
fn add(a: Vector, b: Vector) -> Vector {
    _mm256_add_epi32(a, b)
}

#[target_feature(enable = "avx2")]
#[inline]
fn xor(a: Vector, b: Vector) -> Vector {
    _mm256_xor_si256(a, b)
}

#[target_feature(enable = "avx2")]
#[inline]
fn rotate<const RIGHT: i32, const LEFT: i32>(x: Vector) -> Vector {
    _mm256_or_si256(_mm256_srli_epi32::<RIGHT>(x), _mm256_slli_epi32::<LEFT>(x))
}

#[target_feature(enable = "avx2")]
#[inline]
fn choose(e: Vector, f: Vector, g: Vector) -> Vector {
    xor(g, _mm256_and_si256(e, xor(f, g)))
}

#[target_feature(enable = "avx2")]
#[inline]
fn majority(a: Vector, b: Vector, c: Vector) -> Vector {
    // The next round needs `a ^ b` again as its `b ^ c`; the compiler sees it.
    xor(b, _mm256_and_si256(xor(a, b), xor(b, c)))
}

#[target_feature(enable = "avx2")]
#[inline]
fn big_sigma0(x: Vector) -> Vector {
    xor(xor(rotate::<2, 30>(x), rotate::<13, 19>(x)), rotate::<22, 10>(x))
}

#[target_feature(enable = "avx2")]
#[inline]
fn big_sigma1(x: Vector) -> Vector {
    xor(xor(rotate::<6, 26>(x), rotate::<11, 21>(x)), rotate::<25, 7>(x))
}

#[target_feature(enable = "avx2")]
#[inline]
fn small_sigma0(x: Vector) -> Vector {
    xor(xor(rotate::<7, 25>(x), rotate::<18, 14>(x)), _mm256_srli_epi32::<3>(x))
}

#[target_feature(enable = "avx2")]
#[inline]
fn small_sigma1(x: Vector) -> Vector {
    xor(xor(rotate::<17, 15>(x), rotate::<19, 13>(x)), _mm256_srli_epi32::<10>(x))
}

/// The same value, of which the compiler does not know what it is a sum of.
#[target_feature(enable = "avx2")]
#[inline]
fn keep(mut x: Vector) -> Vector {
    // SAFETY: no instruction at all; the register is in and out.
    unsafe { asm!("/* {x} */", x = inlateout(ymm_reg) x, options(pure, nomem, nostack, preserves_flags)) };
    x
}
