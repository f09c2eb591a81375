//! What an authority says about a static key: that it is the pool's, and for how long.

use super::authority::{AuthorityKey, AuthorityPublicKey};
use super::suite::Curve;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use warppool_components::units::UnixTime;

/// Bytes of a certificate: version, both times, signature.
pub(super) const BYTES: usize = SIGNED_BYTES + 64;

/// Bytes of it that are signed, together with the static key.
const SIGNED_BYTES: usize = 2 + 4 + 4;

/// The only version there is.
const VERSION: u16 = 0;

/// Seconds that the clocks of two sides may differ at the ends of a certificate's time, as other implementations have it.
const CLOCK_TOLERANCE_SECONDS: u32 = 10;

/// Why a certificate is not good.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateError {
    /// Another version of it.
    #[error("the pool's certificate is of version {0}; only version {VERSION} is known")]
    Version(u16),
    /// Its time has not come.
    #[error(
        "the pool's certificate is valid only from {valid_from}, and it is {now} (unix time): the clock of this machine or of the pool is wrong"
    )]
    NotYetValid {
        /// Its first second.
        valid_from: u32,
        /// The time here.
        now: u32,
    },
    /// Its time is over.
    #[error(
        "the pool's certificate was valid until {not_valid_after}, and it is {now} (unix time): the pool does not renew it, or a clock is wrong"
    )]
    Expired {
        /// Its last second.
        not_valid_after: u32,
        /// The time here.
        now: u32,
    },
    /// Not signed by the expected authority.
    #[error(
        "the pool's certificate is not signed by the authority in its address: the address is another pool's or an old one, or somebody stands in between"
    )]
    WrongAuthority,
}

/// A signed statement about a static key. On the wire: version (16 bits), first and last second (32 bits each), little
/// endian, and a BIP340 signature over the SHA-256 of these and the static key's x-coordinate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// What follows; 0.
    pub version: u16,
    /// First second of its time, since 1970.
    pub valid_from: u32,
    /// Last second of its time.
    pub not_valid_after: u32,
    /// By the authority.
    pub signature: [u8; 64],
}

impl Certificate {
    /// Signs for a static key, given by its x-coordinate.
    pub(super) fn sign(
        authority: &AuthorityKey,
        curve: &Curve,
        static_key: &[u8; 32],
        valid_from: u32,
        not_valid_after: u32,
    ) -> Self {
        let mut certificate = Self { version: VERSION, valid_from, not_valid_after, signature: [0; 64] };
        certificate.signature = authority.sign(curve, certificate.digest(static_key));
        certificate
    }

    /// Whether `authority` vouches for a static key at this time.
    ///
    /// # Errors
    /// [`CertificateError`] says what is wrong.
    pub(super) fn check(
        &self,
        authority: AuthorityPublicKey,
        curve: &Curve,
        static_key: &[u8; 32],
        now: UnixTime,
    ) -> Result<(), CertificateError> {
        let Self { version, valid_from, not_valid_after, .. } = *self;
        let now = now.header_seconds();
        if version != VERSION {
            return Err(CertificateError::Version(version));
        }
        // First of all: the times of a certificate that anybody may have made say nothing.
        if !authority.has_signed(curve, self.digest(static_key), &self.signature) {
            return Err(CertificateError::WrongAuthority);
        }
        if now < valid_from.saturating_sub(CLOCK_TOLERANCE_SECONDS) {
            return Err(CertificateError::NotYetValid { valid_from, now });
        }
        if now > not_valid_after.saturating_add(CLOCK_TOLERANCE_SECONDS) {
            return Err(CertificateError::Expired { not_valid_after, now });
        }
        Ok(())
    }

    /// As it is sent.
    pub(super) fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..SIGNED_BYTES].copy_from_slice(&self.signed_bytes());
        bytes[SIGNED_BYTES..].copy_from_slice(&self.signature);
        bytes
    }

    /// As it was received.
    pub(super) fn decode(bytes: &[u8; BYTES]) -> Self {
        let (signed, signature) = bytes.split_at(SIGNED_BYTES);
        let number = |at: usize| u32::from_le_bytes([signed[at], signed[at + 1], signed[at + 2], signed[at + 3]]);
        let mut certificate = Self {
            version: u16::from_le_bytes([signed[0], signed[1]]),
            valid_from: number(2),
            not_valid_after: number(6),
            signature: [0; 64],
        };
        certificate.signature.copy_from_slice(signature);
        certificate
    }

    fn signed_bytes(&self) -> [u8; SIGNED_BYTES] {
        let mut bytes = [0; SIGNED_BYTES];
        bytes[..2].copy_from_slice(&self.version.to_le_bytes());
        bytes[2..6].copy_from_slice(&self.valid_from.to_le_bytes());
        bytes[6..].copy_from_slice(&self.not_valid_after.to_le_bytes());
        bytes
    }

    fn digest(&self, static_key: &[u8; 32]) -> [u8; 32] {
        let mut engine = sha256::Hash::engine();
        engine.input(&self.signed_bytes());
        engine.input(static_key);
        sha256::Hash::from_engine(engine).to_byte_array()
    }
}
