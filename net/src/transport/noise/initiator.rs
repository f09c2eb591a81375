//! The side that connects: it begins the handshake and judges who answers.

use super::authority::AuthorityPublicKey;
use super::certificate::{self, Certificate};
use super::session::NoiseSession;
use super::suite::{self, Curve};
use super::{ACT_1_BYTES, ACT_2_BYTES, NoiseError, aead};
use snow::HandshakeState;
use std::fmt;
use warppool_components::units::UnixTime;

/// A handshake whose answer is awaited.
pub struct Initiator {
    curve: Curve,
    handshake: Box<HandshakeState>,
}

impl Initiator {
    /// Begins a handshake. The bytes are what is to be sent.
    ///
    /// # Errors
    /// [`NoiseError::Handshake`] when the system gives no randomness.
    pub fn new() -> Result<(Self, [u8; ACT_1_BYTES]), NoiseError> {
        let curve = Curve::new();
        let mut handshake = Box::new(suite::initiate(&curve)?);
        // The library wants room for a tag, although nothing is encrypted yet.
        let mut message = [0; ACT_1_BYTES + aead::TAG_BYTES];
        handshake.write_message(&[], &mut message)?;
        let mut act_1 = [0; ACT_1_BYTES];
        act_1.copy_from_slice(&message[..ACT_1_BYTES]);
        Ok((Self { curve, handshake }, act_1))
    }

    /// Judges the answer by the authority that the pool's address names and by the time; frames with a payload of up to
    /// `payload_bytes_max` will be taken.
    ///
    /// # Errors
    /// [`NoiseError::Certificate`] when the other side is not who it should be; [`NoiseError::Undecipherable`] when the
    /// answer was not made for this handshake.
    pub fn finish(
        mut self,
        act_2: &[u8; ACT_2_BYTES],
        authority: AuthorityPublicKey,
        now: UnixTime,
        payload_bytes_max: u32,
    ) -> Result<NoiseSession, NoiseError> {
        let mut certificate = [0; certificate::BYTES];
        self.handshake.read_message(act_2, &mut certificate)?;
        let static_key = self.handshake.get_remote_static().and_then(<[u8]>::first_chunk);
        let static_key = static_key.ok_or_else(|| NoiseError::Handshake("the answer has no static key".to_owned()))?;
        Certificate::decode(&certificate).check(authority, &self.curve, &suite::x_only(*static_key), now)?;
        let (to_responder, from_responder) = self.handshake.dangerously_get_raw_split();
        Ok(NoiseSession::chunked(&to_responder, &from_responder, payload_bytes_max))
    }
}

/// By hand, because it holds secrets.
impl fmt::Debug for Initiator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Initiator")
    }
}
