//! The ways to hash that this program knows, and which of them this processor can go.

use super::{Share, lanes};
use std::sync::OnceLock;
use warppool_components::share::ShareHash;

#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512, avx512vl::Avx512Vl, bmi2::Bmi2, sha_ni::ShaNi};

/// A way to hash shares.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Backend {
    /// Share by share over crate `sha2`, which finds SHA instructions by itself. Works everywhere.
    Scalar,
    /// Share by share in 32-bit registers, with the shifts and rotations of BMI2.
    Bmi2,
    /// Two shares interleaved in the SHA instructions of x86.
    ShaNi,
    /// Eight lanes in 256-bit registers.
    Avx2,
    /// Eight lanes in 256-bit registers, with the rotation and three-input logic of AVX-512.
    Avx512Vl,
    /// Sixteen lanes in 512-bit registers.
    Avx512,
}

impl Backend {
    /// All of them, available or not.
    pub const ALL: [Self; 6] = [Self::Scalar, Self::Bmi2, Self::ShaNi, Self::Avx2, Self::Avx512Vl, Self::Avx512];

    /// What this processor can, found out once. [`Backend::Scalar`] is always among them, and first.
    pub fn available() -> &'static [Self] {
        static AVAILABLE: OnceLock<Vec<Backend>> = OnceLock::new();
        AVAILABLE.get_or_init(|| Self::ALL.into_iter().filter(|backend| backend.detect()).collect())
    }

    /// Whether this processor can it.
    pub fn is_available(self) -> bool {
        Self::available().contains(&self)
    }

    /// For logs and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Bmi2 => "bmi2",
            Self::ShaNi => "sha_ni",
            Self::Avx2 => "avx2",
            Self::Avx512Vl => "avx512vl",
            Self::Avx512 => "avx512",
        }
    }

    /// Shares that are hashed side by side. Fewer cost as much.
    pub fn lanes(self) -> usize {
        match self {
            Self::Scalar | Self::Bmi2 => 1,
            Self::ShaNi => 2,
            Self::Avx2 | Self::Avx512Vl => 8,
            Self::Avx512 => 16,
        }
    }

    /// Whether it uses registers whose units sleep when they are not used.
    pub(super) fn is_wide(self) -> bool {
        self.lanes() >= 8
    }

    #[cfg(target_arch = "x86_64")]
    fn detect(self) -> bool {
        match self {
            Self::Scalar => true,
            Self::Bmi2 => Bmi2::detect().is_some(),
            Self::ShaNi => ShaNi::detect().is_some(),
            Self::Avx2 => Avx2::detect().is_some(),
            Self::Avx512Vl => Avx512Vl::detect().is_some(),
            Self::Avx512 => Avx512::detect().is_some(),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn detect(self) -> bool {
        self == Self::Scalar
    }

    /// Hashes at most as many shares as there are lanes. What this processor cannot is done by the scalar way.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn hash_batch(self, shares: &[Share<'_>], hashes: &mut [ShareHash]) {
        // Detection is remembered by the standard library: asking again is one load.
        let done = match self {
            Self::Scalar => None,
            Self::Bmi2 => Bmi2::detect().map(|kernel| kernel.hash(shares, hashes)),
            Self::ShaNi => ShaNi::detect().map(|kernel| kernel.hash(shares, hashes)),
            Self::Avx2 => Avx2::detect().map(|kernel| kernel.hash(shares, hashes)),
            Self::Avx512Vl => Avx512Vl::detect().map(|kernel| kernel.hash(shares, hashes)),
            Self::Avx512 => Avx512::detect().map(|kernel| kernel.hash(shares, hashes)),
        };
        done.unwrap_or_else(|| lanes::hash_one_by_one(shares, hashes));
    }

    /// Hashes some shares. Without vector instructions of ours all go the scalar way.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn hash_batch(self, shares: &[Share<'_>], hashes: &mut [ShareHash]) {
        lanes::hash_one_by_one(shares, hashes);
    }
}
