//! Double SHA-256 for shares: coinbase, merkle fold, header.
//!
//! The start of a job's coinbase never changes, so its whole 64-byte blocks are compressed once a job (a
//! midstate); a share pays for the rest of its coinbase (usually three compressions and one for the second hash), for
//! three compressions a merkle branch, one of them of a constant block, and for three of the header: 43 for a share
//! with 12 branches.
//!
//! This file is the scalar way, over the compression of crate `sha2`. It is the reference of all others, which
//! hash several shares side by side, one a lane:
//!
//! - [`Share`] is what is hashed, [`Hasher`] hashes any number of them, or the levels of a template's tree, and [`Calibration`] says which [`Backend`] is the
//!   fastest on this machine for how many.
//! - `lanes` walks a batch through coinbase, fold and header; it is safe code, written once for all backends.
//! - `avx2`, `avx512vl`, `avx512`, `bmi2`, `sha_ni` and, on aarch64, `neon` each hold two compressions, of blocks that differ
//!   by lane and of a block that is the same in all lanes. They are the only place with `unsafe` code: calls of functions
//!   that need an instruction set, which a value that only detection makes (`Avx2`, `ShaNi`, ...) proves to be there, and
//!   loads and stores of whole vectors.
//!
//! No result depends on the backend, on the size of a batch or on what else is in it. Nothing here allocates for a share.

mod backend;
mod calibration;
mod hasher;
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "only the scalar way is there")
)]
mod lanes;
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "only the scalar way is there")
)]
mod share;

#[cfg(target_arch = "x86_64")]
#[macro_use]
mod kernel;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512vl;
#[cfg(target_arch = "x86_64")]
mod bmi2;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod sha_ni;

#[cfg(test)]
mod tests;

pub use backend::Backend;
pub use calibration::{Calibration, Measured};
pub use hasher::Hasher;
pub use share::Share;

use sha2::block_api::compress256;
use warppool_components::units::Hash256;

/// Initial state of SHA-256 (FIPS 180-4, 5.3.3).
const INITIAL_STATE: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// SHA-256 stopped after a whole number of blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Midstate {
    state: [u32; 8],
    bytes: u64,
}

impl Midstate {
    /// Of nothing.
    const EMPTY: Self = Self { state: INITIAL_STATE, bytes: 0 };

    /// Compresses the whole blocks of `prefix`; the rest of at most 63 bytes is given back to be hashed later.
    pub fn new(prefix: &[u8]) -> (Self, &[u8]) {
        let (blocks, tail) = prefix.as_chunks::<64>();
        let mut state = INITIAL_STATE;
        compress256(&mut state, blocks);
        (Self { state, bytes: 64 * blocks.len() as u64 }, tail)
    }

    /// SHA-256 of SHA-256 of what the midstate holds followed by `parts`.
    pub fn finish_double(&self, parts: [&[u8]; 3]) -> Hash256 {
        let mut buffer = BlockBuffer { state: self.state, block: [0; 64], filled: 0 };
        let mut bytes = self.bytes;
        for part in parts {
            bytes += part.len() as u64;
            buffer.push(part);
        }
        Hash256::from_internal(digest_of_digest(&buffer.finish(bytes)))
    }
}

/// A block that fills up. Lives on the stack.
struct BlockBuffer {
    state: [u32; 8],
    block: [u8; 64],
    filled: usize,
}

impl BlockBuffer {
    fn push(&mut self, mut bytes: &[u8]) {
        if self.filled > 0 {
            let taken = bytes.len().min(64 - self.filled);
            self.block[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled < 64 {
                return;
            }
            compress256(&mut self.state, &[self.block]);
        }
        let (blocks, rest) = bytes.as_chunks::<64>();
        compress256(&mut self.state, blocks);
        self.block[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    /// Padding: a one bit, zeros, the length in bits (FIPS 180-4, 5.1.1).
    fn finish(mut self, bytes: u64) -> [u32; 8] {
        self.block[self.filled] = 0x80;
        self.block[self.filled + 1..].fill(0);
        if self.filled >= 56 {
            compress256(&mut self.state, &[self.block]);
            self.block.fill(0);
        }
        self.block[56..].copy_from_slice(&(8 * bytes).to_be_bytes());
        compress256(&mut self.state, &[self.block]);
        self.state
    }
}

/// The second SHA-256: of a 32-byte digest.
fn digest_of_digest(first: &[u32; 8]) -> [u8; 32] {
    let mut block = [0; 64];
    write_state(&mut block[..32], first);
    block[32] = 0x80;
    block[56..].copy_from_slice(&256u64.to_be_bytes());
    let mut state = INITIAL_STATE;
    compress256(&mut state, &[block]);
    let mut digest = [0; 32];
    write_state(&mut digest, &state);
    digest
}

fn write_state(bytes: &mut [u8], state: &[u32; 8]) {
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(state) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
}

/// The merkle root of a coinbase along its path: `branches` deepest first, internal byte order.
pub fn fold(coinbase: Hash256, branches: &[Hash256]) -> Hash256 {
    branches.iter().fold(coinbase, |left, right| pair(&left, right))
}

/// Double SHA-256 of two hashes: one node of the merkle tree.
pub fn pair(left: &Hash256, right: &Hash256) -> Hash256 {
    let mut block = [0; 64];
    block[..32].copy_from_slice(left.as_internal());
    block[32..].copy_from_slice(right.as_internal());
    let mut padding = [0; 64];
    padding[0] = 0x80;
    padding[56..].copy_from_slice(&512u64.to_be_bytes());
    let mut state = INITIAL_STATE;
    compress256(&mut state, &[block, padding]);
    Hash256::from_internal(digest_of_digest(&state))
}

/// The hash of a block header.
pub fn header(header: &[u8; 80]) -> Hash256 {
    double(header)
}

/// Double SHA-256 of any bytes.
pub fn double(bytes: &[u8]) -> Hash256 {
    let (midstate, tail) = Midstate::new(bytes);
    midstate.finish_double([tail, &[], &[]])
}
