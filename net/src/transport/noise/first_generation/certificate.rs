//! The certificate of the first generation: today's times, signed by an Ed25519 key.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use std::ops::Range;
use warppool_components::limits::{NOISE_CERTIFICATE_LEEWAY_SECONDS, NOISE_CERTIFICATE_SECONDS};
use warppool_components::units::UnixTime;

/// Bytes of a certificate: version, first and last second, signature.
pub(super) const BYTES: usize = TIMES_BYTES + 64;

/// Bytes of it before the signature.
const TIMES_BYTES: usize = 2 + 4 + 4;

/// Signs certificates and keeps the last one for its hour.
pub(super) struct Signer {
    pair: Ed25519KeyPair,
    kept: Option<([u8; BYTES], Range<u64>)>,
}

impl Signer {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("every 32 bytes are a seed");
        Self { pair, kept: None }
    }

    pub(super) fn public(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        bytes
    }

    /// One that is good now: the last one, or a new one when that is older than an hour or from the future.
    pub(super) fn certificate(&mut self, static_key: &[u8; 32], now: UnixTime) -> [u8; BYTES] {
        let kept = self.kept.as_ref().filter(|(_, hour)| hour.contains(&now.seconds()));
        match kept {
            Some((certificate, _)) => *certificate,
            None => self.sign(static_key, now),
        }
    }

    fn sign(&mut self, static_key: &[u8; 32], now: UnixTime) -> [u8; BYTES] {
        let second = now.header_seconds();
        let valid_from = second.saturating_sub(NOISE_CERTIFICATE_LEEWAY_SECONDS);
        let not_valid_after = second.saturating_add(NOISE_CERTIFICATE_SECONDS + NOISE_CERTIFICATE_LEEWAY_SECONDS);
        let mut certificate = [0; BYTES];
        certificate[2..6].copy_from_slice(&valid_from.to_le_bytes());
        certificate[6..TIMES_BYTES].copy_from_slice(&not_valid_after.to_le_bytes());
        let signed = signed_bytes(&certificate[..TIMES_BYTES], static_key, &self.public());
        certificate[TIMES_BYTES..].copy_from_slice(self.pair.sign(&signed).as_ref());
        let end = now.seconds() + u64::from(NOISE_CERTIFICATE_SECONDS);
        self.kept = Some((certificate, now.seconds()..end));
        certificate
    }
}

/// What a signature is over: version and times, then both keys behind their lengths (16 bits, little endian).
pub(super) fn signed_bytes(times: &[u8], static_key: &[u8; 32], authority: &[u8; 32]) -> Vec<u8> {
    let length = 32_u16.to_le_bytes();
    [times, &length, static_key, &length, authority].concat()
}
