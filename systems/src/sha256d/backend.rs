//! The ways to hash that this program knows, and which of them this processor can go.

use super::{Share, lanes};
use std::sync::OnceLock;
use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;

#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512, avx512vl::Avx512Vl, bmi2::Bmi2, sha_ni::ShaNi};

/// What `$call` gives with the kernel of `$backend`; `None` for the scalar way and for what this processor cannot.
/// Detection is remembered by the standard library: asking again is one load.
#[cfg(target_arch = "x86_64")]
macro_rules! with_kernel {
    ($backend:expr, $kernel:pat => $call:expr) => {
        match $backend {
            Backend::Scalar | Backend::Neon => None,
            Backend::Bmi2 => Bmi2::detect().map(|$kernel| $call),
            Backend::ShaNi => ShaNi::detect().map(|$kernel| $call),
            Backend::Avx2 => Avx2::detect().map(|$kernel| $call),
            Backend::Avx512Vl => Avx512Vl::detect().map(|$kernel| $call),
            Backend::Avx512 => Avx512::detect().map(|$kernel| $call),
        }
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! with_kernel {
    ($backend:expr, $kernel:pat => $call:expr) => {
        match $backend {
            Backend::Neon => Neon::detect().map(|$kernel| $call),
            Backend::Scalar | Backend::Bmi2 | Backend::ShaNi | Backend::Avx2 | Backend::Avx512Vl | Backend::Avx512 => {
                None
            }
        }
    };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
macro_rules! with_kernel {
    ($backend:expr, $kernel:pat => $call:expr) => {
        None
    };
}

/// A way to hash shares.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Backend {
    /// Share by share over crate `sha2`, which finds SHA instructions by itself. Works everywhere.
    Scalar,
    /// Share by share in 32-bit registers, with the shifts and rotations of BMI2.
    Bmi2,
    /// Two shares interleaved in the SHA instructions of x86.
    ShaNi,
    /// Two shares interleaved in the SHA instructions of aarch64.
    Neon,
    /// Eight lanes in 256-bit registers.
    Avx2,
    /// Eight lanes in 256-bit registers, with the rotation and three-input logic of AVX-512.
    Avx512Vl,
    /// Sixteen lanes in 512-bit registers.
    Avx512,
}

impl Backend {
    /// All of them, available or not.
    pub const ALL: [Self; 7] =
        [Self::Scalar, Self::Bmi2, Self::ShaNi, Self::Neon, Self::Avx2, Self::Avx512Vl, Self::Avx512];

    /// What this processor can, found out once. [`Backend::Scalar`] is always among them, and first.
    pub fn available() -> &'static [Self] {
        static AVAILABLE: OnceLock<Vec<Backend>> = OnceLock::new();
        AVAILABLE.get_or_init(|| Self::ALL.into_iter().filter(|backend| backend.detect()).collect())
    }

    /// Whether this processor can it.
    pub fn is_available(self) -> bool {
        Self::available().contains(&self)
    }

    /// The one of this [`name`](Self::name).
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backend| backend.name() == name)
    }

    /// For logs, tables and configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Bmi2 => "bmi2",
            Self::ShaNi => "sha_ni",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512Vl => "avx512vl",
            Self::Avx512 => "avx512",
        }
    }

    /// Shares that are hashed side by side. Fewer cost as much.
    pub fn lanes(self) -> usize {
        match self {
            Self::Scalar | Self::Bmi2 => 1,
            Self::ShaNi | Self::Neon => 2,
            Self::Avx2 | Self::Avx512Vl => 8,
            Self::Avx512 => 16,
        }
    }

    /// Whether it uses registers whose units sleep when they are not used.
    pub(super) fn is_wide(self) -> bool {
        self.lanes() >= 8
    }

    fn detect(self) -> bool {
        let kernel: Option<()> = with_kernel!(self, _ => ());
        self == Self::Scalar || kernel.is_some()
    }

    /// Hashes at most as many shares as there are lanes. What this processor cannot is done by the scalar way.
    pub(super) fn hash_batch(self, shares: &[Share<'_>], hashes: &mut [ShareHash]) {
        let done: Option<()> = with_kernel!(self, kernel => kernel.hash(shares, hashes));
        done.unwrap_or_else(|| lanes::hash_one_by_one(shares, hashes));
    }

    /// Hashes at most as many pairs of nodes to their parents as there are lanes.
    pub(super) fn hash_pairs(self, pairs: &[[Hash256; 2]], parents: &mut [Hash256]) {
        let done: Option<()> = with_kernel!(self, kernel => kernel.hash_pairs(pairs, parents));
        done.unwrap_or_else(|| lanes::hash_pairs_one_by_one(pairs, parents));
    }
}
