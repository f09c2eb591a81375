//! Targets: 256-bit bounds that a hash must not exceed. Computed as firmware does it, in floating point, so that a
//! pool's integer arithmetic is checked by something that is not its copy.

/// A target as eight 32-bit limbs, least significant first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target(pub [u32; 8]);

/// Difficulty 1 is `0xffff * 2^208`.
const DIFFICULTY_ONE_FACTOR: f64 = 65535.0;
const DIFFICULTY_ONE_SHIFT: i32 = 208;
const MANTISSA_BITS: u32 = 52;

impl Target {
    const MAX: Self = Self([u32::MAX; 8]);

    /// Target of a share difficulty; `None` when that is not a positive number.
    pub fn from_difficulty(difficulty: f64) -> Option<Self> {
        if !(difficulty.is_finite() && difficulty > 0.0) {
            return None;
        }
        let bits = (DIFFICULTY_ONE_FACTOR / difficulty).to_bits();
        let exponent = i32::try_from(bits >> MANTISSA_BITS).unwrap_or(i32::MAX);
        let mantissa = (bits & ((1 << MANTISSA_BITS) - 1)) | (1 << MANTISSA_BITS);
        Some(Self::shifted(mantissa, exponent - 1075 + DIFFICULTY_ONE_SHIFT))
    }

    /// Target of a header's compact `bits`; nothing meets a negative or zero one.
    pub fn from_compact(bits: u32) -> Self {
        let exponent = i32::from((bits >> 24) as u8);
        let mantissa = if bits & 0x0080_0000 == 0 { u64::from(bits & 0x007f_ffff) } else { 0 };
        Self::shifted(mantissa, 8 * (exponent - 3))
    }

    /// The share difficulty that it stands for.
    pub fn to_difficulty(self) -> f64 {
        let number = self.0.iter().rev().fold(0.0, |number, limb| number * 4_294_967_296.0 + f64::from(*limb));
        DIFFICULTY_ONE_FACTOR * 2_f64.powi(DIFFICULTY_ONE_SHIFT) / number
    }

    /// `mantissa * 2^shift`, cut to integers below and to the largest target above.
    fn shifted(mantissa: u64, shift: i32) -> Self {
        let mut limbs = [0_u32; 8];
        let Ok(shift) = u32::try_from(shift) else {
            let cut = mantissa.checked_shr(shift.unsigned_abs()).unwrap_or(0);
            (limbs[0], limbs[1]) = (cut as u32, (cut >> 32) as u32);
            return Self(limbs);
        };
        if mantissa != 0 && shift + (64 - mantissa.leading_zeros()) > 256 {
            return Self::MAX;
        }
        let wide = u128::from(mantissa) << (shift % 32);
        for (offset, limb) in limbs.iter_mut().skip((shift / 32) as usize).take(4).enumerate() {
            *limb = (wide >> (32 * offset)) as u32;
        }
        Self(limbs)
    }

    /// Whether a hash is at or under this target. `digest` is the final SHA-256 state: eight big-endian words of a
    /// number whose least significant byte comes first.
    pub fn is_met_by(&self, digest: &[u32; 8]) -> bool {
        for (word, limb) in digest.iter().zip(&self.0).rev() {
            let word = word.swap_bytes();
            if word != *limb {
                return word < *limb;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Target;
    use bitcoin::hashes::Hash;

    fn as_bitcoin(target: Target) -> bitcoin::Target {
        let mut bytes = [0_u8; 32];
        for (place, limb) in bytes.chunks_exact_mut(4).zip(target.0) {
            place.copy_from_slice(&limb.to_le_bytes());
        }
        bitcoin::Target::from_le_bytes(bytes)
    }

    #[test]
    fn difficulty_agrees_with_the_bitcoin_crate() {
        let one = Target::from_difficulty(1.0).expect("positive");
        assert_eq!(as_bitcoin(one), bitcoin::Target::MAX_ATTAINABLE_MAINNET);
        for difficulty in [1e-9, 0.00015, 0.002, 0.5, 1.0, 3.0, 1024.0, 524_288.0, 1e14] {
            let target = as_bitcoin(Target::from_difficulty(difficulty).expect("positive"));
            let back = target.difficulty_float();
            assert!((back / difficulty - 1.0).abs() < 1e-12, "{difficulty} came back as {back}");
            let ours = Target::from_difficulty(difficulty).expect("positive").to_difficulty();
            assert!((ours / difficulty - 1.0).abs() < 1e-12, "{difficulty} came back as {ours}");
        }
    }

    #[test]
    fn impossible_difficulties_have_no_target() {
        for difficulty in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Target::from_difficulty(difficulty), None);
        }
        assert_eq!(Target::from_difficulty(1e-300), Some(Target::MAX));
    }

    #[test]
    fn compact_agrees_with_the_bitcoin_crate() {
        for bits in [0x1d00_ffff, 0x207f_ffff, 0x1b04_864c, 0x1703_4219, 0x0200_8000] {
            let expected = bitcoin::Target::from_compact(bitcoin::CompactTarget::from_consensus(bits));
            assert_eq!(as_bitcoin(Target::from_compact(bits)), expected, "{bits:08x}");
        }
    }

    #[test]
    fn meeting_is_inclusive_and_by_the_most_significant_byte_last() {
        let target = Target::from_compact(0x1d00_ffff);
        let words_of = |bytes: [u8; 32]| {
            let mut words = [0_u32; 8];
            for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
                *word = u32::from_be_bytes(chunk.try_into().expect("four bytes"));
            }
            words
        };
        let exact = as_bitcoin(target).to_le_bytes();
        let mut above = exact;
        above[0] = 1;
        for (bytes, met) in [(exact, true), (above, false), ([0; 32], true), ([0xff; 32], false)] {
            assert_eq!(target.is_met_by(&words_of(bytes)), met);
            let hash = bitcoin::BlockHash::from_byte_array(bytes);
            assert_eq!(as_bitcoin(target).is_met_by(hash), met);
        }
    }
}
