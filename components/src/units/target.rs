//! Targets: the 256-bit number that a hash may not exceed.

use super::{Difficulty, Hash256};
use std::fmt;

/// The largest hash, read as a 256-bit number, that still counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Target {
    /// Least significant limb first.
    limbs: [u64; 4],
}

/// A header's `nBits` that no target belongs to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nBits {bits:08x} {why}")]
pub struct CompactTargetError {
    /// The refused value.
    pub bits: u32,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Target {
    /// The easiest target there is: every hash meets it.
    pub const MAX: Self = Self { limbs: [u64::MAX; 4] };

    /// The target of difficulty 1, `0xffff << 208`.
    pub const DIFFICULTY_ONE: Self = Self { limbs: [0, 0, 0, 0xffff_0000] };

    /// From 32 bytes, most significant first (display order).
    pub fn from_big_endian(bytes: [u8; 32]) -> Self {
        let mut limbs = [0; 4];
        for (limb, chunk) in limbs.iter_mut().rev().zip(bytes.chunks_exact(8)) {
            *limb = chunk.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        }
        Self { limbs }
    }

    /// 32 bytes, most significant first (display order).
    pub fn to_big_endian(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.limbs.iter().rev()) {
            chunk.copy_from_slice(&limb.to_be_bytes());
        }
        bytes
    }

    /// The number's limbs, least significant first.
    pub const fn limbs(self) -> [u64; 4] {
        self.limbs
    }

    /// From a header's `nBits`. Source: `arith_uint256::SetCompact` and `DeriveTarget` of Bitcoin Core.
    ///
    /// # Errors
    /// [`CompactTargetError`] for zero, negative and overflowing values, which consensus refuses too.
    pub fn from_compact(bits: u32) -> Result<Self, CompactTargetError> {
        let error = |why| CompactTargetError { bits, why };
        let size = bits >> 24;
        let word = u64::from(bits & 0x007f_ffff);
        if bits & 0x0080_0000 != 0 && word != 0 {
            return Err(error("is negative"));
        }
        if word == 0 || (size < 3 && word >> (8 * (3 - size)) == 0) {
            return Err(error("is zero"));
        }
        if size > 34 || (word > 0xff && size > 33) || (word > 0xffff && size > 32) {
            return Err(error("does not fit into 256 bits"));
        }
        let mut bytes = [0u8; 32];
        for index in 0..3u32 {
            // Byte `index` of the mantissa, least significant first, stands at place size - 3 + index.
            let place = size + index;
            if let Some(place) = place.checked_sub(3).filter(|place| *place < 32) {
                bytes[31 - place as usize] = (word >> (8 * index)) as u8;
            }
        }
        Ok(Self::from_big_endian(bytes))
    }

    /// The target of a difficulty: `floor(difficulty-1 target / difficulty)`, exact for every `f64`; [`Self::MAX`]
    /// where the quotient does not fit.
    pub fn from_difficulty(difficulty: Difficulty) -> Self {
        // An f64 is mantissa * 2^exponent exactly, so the quotient is 0xffff * 2^(208 - exponent) / mantissa:
        // a long division of a shifted constant by one 53-bit number.
        let (mantissa, exponent) = decompose(difficulty.value());
        let shift = 208 - exponent;
        let one = 0xffff_u128;
        if shift < 0 {
            // The difficulty exceeds 2^208: no bit of the quotient is left.
            return Self::default();
        }
        let shift = shift as u32;
        let mut limbs = [0u64; 4];
        // Divide (one << shift) by mantissa bit by bit from the top, keeping quotient bits below 256.
        let mut remainder = one;
        let mut quotient = remainder / u128::from(mantissa);
        remainder %= u128::from(mantissa);
        if quotient != 0 && shift >= 256 {
            return Self::MAX;
        }
        limbs[0] = quotient as u64;
        for _ in 0..shift {
            if limbs[3] >> 63 != 0 {
                return Self::MAX;
            }
            remainder <<= 1;
            quotient = u128::from(remainder >= u128::from(mantissa));
            if quotient == 1 {
                remainder -= u128::from(mantissa);
            }
            for index in (1..4).rev() {
                limbs[index] = limbs[index] << 1 | limbs[index - 1] >> 63;
            }
            limbs[0] = limbs[0] << 1 | quotient as u64;
        }
        Self { limbs }
    }

    /// The difficulty of this target, as near as an `f64` comes.
    pub fn to_difficulty(self) -> Difficulty {
        let quotient = Self::DIFFICULTY_ONE.to_f64() / self.to_f64().max(1.0);
        Difficulty::new(quotient).unwrap_or(Difficulty::ONE)
    }

    /// The difficulty that `hash` would just meet: how good a share is.
    pub fn difficulty_of(hash: &Hash256) -> Difficulty {
        Self::from_big_endian(hash.to_display()).to_difficulty()
    }

    /// Whether `hash`, read as a number, is at or under this target.
    pub fn is_met_by(&self, hash: &Hash256) -> bool {
        let bytes = hash.as_internal();
        for index in (0..4).rev() {
            let mut chunk = [0; 8];
            chunk.copy_from_slice(&bytes[8 * index..8 * index + 8]);
            let limb = u64::from_le_bytes(chunk);
            if limb != self.limbs[index] {
                return limb < self.limbs[index];
            }
        }
        true
    }

    fn to_f64(self) -> f64 {
        self.limbs.iter().rev().fold(0.0, |value, limb| value * 18_446_744_073_709_551_616.0 + *limb as f64)
    }
}

impl PartialOrd for Target {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Target {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.limbs.iter().rev().cmp(other.limbs.iter().rev())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limbs.iter().rev().try_for_each(|limb| write!(formatter, "{limb:016x}"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

/// A positive finite number as `mantissa * 2^exponent`, mantissa odd or as stored.
fn decompose(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let stored = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    let (mantissa, exponent) = if stored == 0 { (fraction, -1074) } else { (fraction | 1 << 52, stored - 1075) };
    let zeros = mantissa.trailing_zeros();
    (mantissa >> zeros, exponent + zeros as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difficulty(value: f64) -> Difficulty {
        Difficulty::new(value).expect("a positive number")
    }

    #[test]
    fn difficulty_one_is_the_historical_target() {
        assert_eq!(Target::from_difficulty(Difficulty::ONE), Target::DIFFICULTY_ONE);
        assert_eq!(Target::from_compact(0x1d00_ffff).expect("valid"), Target::DIFFICULTY_ONE);
        assert_eq!(Target::DIFFICULTY_ONE.to_difficulty(), Difficulty::ONE);
    }

    #[test]
    fn known_targets_of_mainnet_and_regtest() {
        let mainnet_100000 = Target::from_compact(0x1b04_864c).expect("valid");
        assert_eq!(mainnet_100000.to_string(), "000000000004864c000000000000000000000000000000000000000000000000");
        assert!((mainnet_100000.to_difficulty().value() - 14_484.162_361_225_399).abs() < 1e-6);
        let regtest = Target::from_compact(0x207f_ffff).expect("valid");
        assert_eq!(regtest.to_string(), "7fffff0000000000000000000000000000000000000000000000000000000000");
        assert!((regtest.to_difficulty().value() / 4.656_542_373_906_925e-10 - 1.0).abs() < 1e-15);
    }

    #[test]
    fn bits_that_consensus_refuses_are_refused() {
        for bits in [0, 0x0100_3456, 0x1d80_ffff, 0x2300_0001, 0x2200_0100, 0x2101_0000, 0xff12_3456] {
            assert!(Target::from_compact(bits).is_err(), "{bits:08x}");
        }
        assert_eq!(Target::from_compact(0x0112_3456).expect("valid").limbs(), [0x12, 0, 0, 0]);
        assert_eq!(Target::from_compact(0x0500_9234).expect("valid").limbs(), [0x9234_0000, 0, 0, 0]);
    }

    #[test]
    fn small_and_large_difficulties_divide_exactly() {
        assert_eq!(
            Target::from_difficulty(difficulty(1024.0)).to_string(),
            "00000000003fffc0000000000000000000000000000000000000000000000000"
        );
        assert_eq!(
            Target::from_difficulty(difficulty(0.5)).to_string(),
            "00000001fffe0000000000000000000000000000000000000000000000000000"
        );
        assert_eq!(
            Target::from_difficulty(difficulty(3.0)).to_string(),
            "0000000055550000000000000000000000000000000000000000000000000000"
        );
        assert_eq!(
            Target::from_difficulty(difficulty(65535.0)).to_string(),
            "0000000000010000000000000000000000000000000000000000000000000000"
        );
        assert_eq!(Target::from_difficulty(difficulty(1e-300)), Target::MAX);
        assert_eq!(Target::from_difficulty(difficulty(1e300)), Target::default());
    }

    #[test]
    fn a_hash_meets_a_target_at_equality_and_below() {
        let target = Target::from_compact(0x1b04_864c).expect("valid");
        let equal = Hash256::from_display(target.to_big_endian());
        assert!(target.is_met_by(&equal));
        let mut above = target.to_big_endian();
        above[31] = 1;
        assert!(!target.is_met_by(&Hash256::from_display(above)));
        let mut below = target.to_big_endian();
        below[7] -= 1;
        assert!(target.is_met_by(&Hash256::from_display(below)));
    }
}
