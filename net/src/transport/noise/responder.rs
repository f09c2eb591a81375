//! The pool's side of the handshake: one key comes, one answer goes.

use super::authority::{AuthorityKey, AuthorityPublicKey};
use super::certificate::{self, Certificate};
use super::session::NoiseSession;
use super::suite::{self, Curve, EncodedKey};
use super::{ACT_1_BYTES, ACT_2_BYTES, NoiseError};
use std::fmt;
use warppool_components::limits::{
    FRAME_PAYLOAD_BYTES_MAX, NOISE_CERTIFICATE_LEEWAY_SECONDS, NOISE_CERTIFICATE_SECONDS,
};
use warppool_components::units::UnixTime;

/// Answers handshakes in the name of an authority.
///
/// Its static key, the key's encoding and the certificate live for [`NOISE_CERTIFICATE_SECONDS`], so that a handshake
/// consists of what cannot be kept: an ephemeral key and two shared secrets. They are renewed by the first handshake behind
/// that time, or before it when the clock was set back: no handshake ever shows a certificate whose time is over.
pub struct Responder {
    authority: AuthorityKey,
    curve: Curve,
    identity: Option<Identity>,
}

/// What the pool shows for an hour.
struct Identity {
    key: EncodedKey,
    certificate: [u8; certificate::BYTES],
    signed_at: u64,
}

impl Responder {
    /// Signs nothing yet.
    pub fn new(authority: AuthorityKey) -> Self {
        Self { authority, curve: Curve::new(), identity: None }
    }

    /// Whose name it answers in.
    pub fn authority(&self) -> AuthorityPublicKey {
        self.authority.public()
    }

    /// What the last handshake showed.
    pub fn certificate(&self) -> Option<Certificate> {
        self.identity.as_ref().map(|identity| Certificate::decode(&identity.certificate))
    }

    /// The answer to an initiator's key, and what the connection is encrypted by from then on.
    ///
    /// # Errors
    /// [`NoiseError`] when the system gives no randomness. Nothing that a peer sends is an error: all of 64 bytes are a key.
    pub fn answer(
        &mut self,
        act_1: &[u8; ACT_1_BYTES],
        now: UnixTime,
    ) -> Result<([u8; ACT_2_BYTES], NoiseSession), NoiseError> {
        let identity = identity(&mut self.identity, &self.authority, &self.curve, now)?;
        let mut handshake = suite::respond(&self.curve, identity.key)?;
        handshake.read_message(act_1, &mut [])?;
        let mut act_2 = [0; ACT_2_BYTES];
        handshake.write_message(&identity.certificate, &mut act_2)?;
        let (from_initiator, to_initiator) = handshake.dangerously_get_raw_split();
        Ok((act_2, NoiseSession::chunked(&to_initiator, &from_initiator, FRAME_PAYLOAD_BYTES_MAX as u32)))
    }
}

/// The one at hand, or a new one when it is not of the present hour.
fn identity<'a>(
    place: &'a mut Option<Identity>,
    authority: &AuthorityKey,
    curve: &Curve,
    now: UnixTime,
) -> Result<&'a Identity, NoiseError> {
    let kept = place.take().filter(|kept| kept.is_good_at(now));
    Ok(place.insert(match kept {
        Some(kept) => kept,
        None => Identity::make(authority, curve, now)?,
    }))
}

impl Identity {
    fn make(authority: &AuthorityKey, curve: &Curve, now: UnixTime) -> Result<Self, NoiseError> {
        let key = EncodedKey::generate(curve)?;
        let second = now.header_seconds();
        let valid_from = second.saturating_sub(NOISE_CERTIFICATE_LEEWAY_SECONDS);
        let not_valid_after = second.saturating_add(NOISE_CERTIFICATE_SECONDS + NOISE_CERTIFICATE_LEEWAY_SECONDS);
        let certificate = Certificate::sign(authority, curve, &key.x_only(), valid_from, not_valid_after);
        Ok(Self { key, certificate: certificate.encode(), signed_at: now.seconds() })
    }

    fn is_good_at(&self, now: UnixTime) -> bool {
        let end = self.signed_at + u64::from(NOISE_CERTIFICATE_SECONDS);
        (self.signed_at..end).contains(&now.seconds())
    }
}

/// By hand, because it holds secrets.
impl fmt::Debug for Responder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Responder {{ authority: {} }}", self.authority())
    }
}
