//! Hashing of headers that differ only in the nonce: the first 64 bytes are compressed once (midstate), each nonce
//! then costs two compressions.

use sha2::block_api::compress256;

use super::target::Target;

/// Bytes of a block header.
pub const HEADER_BYTES: usize = 80;

/// Initial state of SHA-256 (FIPS 180-4, section 5.3.3).
const INITIAL_STATE: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Where the nonce stands in the header's second block.
const NONCE_AT: usize = 12;

/// One header, ready to be hashed under many nonces.
pub struct HeaderHasher {
    midstate: [u32; 8],
    /// Last 16 bytes of the header, then the padding of an 80-byte message.
    tail: [u8; 64],
    /// The first digest, then the padding of a 32-byte message.
    outer: [u8; 64],
}

impl HeaderHasher {
    /// Prepares a header as it goes into the block; its nonce field is ignored.
    pub fn new(header: &[u8; HEADER_BYTES]) -> Self {
        let mut midstate = INITIAL_STATE;
        let mut head = [0_u8; 64];
        head.copy_from_slice(&header[..64]);
        compress256(&mut midstate, &[head]);
        let mut tail = padded(HEADER_BYTES);
        tail[..16].copy_from_slice(&header[64..]);
        Self { midstate, tail, outer: padded(32) }
    }

    /// Hashes `count` nonces from `first` on (wrapping) and stops at the first that meets the target. Returns how
    /// many were hashed, and whether the last of them met it.
    pub fn search(&mut self, first: u32, count: u32, target: &Target) -> (u32, Option<Found>) {
        for tried in 0..count {
            let nonce = first.wrapping_add(tried);
            let digest = self.hash(nonce);
            if target.is_met_by(&digest) {
                return (tried + 1, Some(Found { nonce, digest }));
            }
        }
        (count, None)
    }

    /// Double SHA-256 of the header with this nonce, as the final state's words.
    fn hash(&mut self, nonce: u32) -> [u32; 8] {
        self.tail[NONCE_AT..NONCE_AT + 4].copy_from_slice(&nonce.to_le_bytes());
        let mut state = self.midstate;
        compress256(&mut state, std::slice::from_ref(&self.tail));
        for (place, word) in self.outer.chunks_exact_mut(4).zip(state) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        let mut digest = INITIAL_STATE;
        compress256(&mut digest, std::slice::from_ref(&self.outer));
        digest
    }
}

/// A nonce whose hash meets the share target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// The nonce.
    pub nonce: u32,
    /// The final state of the second SHA-256, as [`Target::is_met_by`] takes it.
    pub digest: [u32; 8],
}

/// An otherwise zero last block with the padding of a message of `bytes` bytes.
fn padded(bytes: usize) -> [u8; 64] {
    let mut block = [0_u8; 64];
    block[bytes % 64] = 0x80;
    block[56..].copy_from_slice(&(bytes as u64 * 8).to_be_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::{HEADER_BYTES, HeaderHasher};
    use crate::miner::target::Target;
    use bitcoin::hex::FromHex;

    /// Mainnet block 100000.
    const HEADER: &str = "0100000050120119172a610421a6c3011dd330d9df07b63616c2cc1f1cd00200000000006657a9252aacd5c0b2940996ecff952228c3067cc38d4885efb5a4ac4247e9f337221b4d4c86041b0f2b5710";

    #[test]
    fn block_100000_is_found_at_its_nonce() {
        let header = <[u8; HEADER_BYTES]>::from_hex(HEADER).expect("valid hex");
        let target = Target::from_compact(0x1b04_864c);
        let (tried, found) = HeaderHasher::new(&header).search(274_148_111 - 3, 10, &target);
        let found = found.expect("the nonce is within the range");
        assert_eq!((tried, found.nonce), (4, 274_148_111));
        assert_eq!((found.digest[7].swap_bytes(), found.digest[6].swap_bytes()), (0x0000_0000, 0x0003_ba27));
    }
}
