//! Noise, by which Stratum V2 is encrypted: from the bytes of a socket to frames in the clear and back.
//!
//! A connection begins with the handshake `Noise_NX_Secp256k1+EllSwift_ChaChaPoly_SHA256`. The initiator sends an ephemeral
//! key ([`ACT_1_BYTES`]), the responder answers with one of its own, its static key and a [`Certificate`] by which a
//! long-lived [`AuthorityKey`] vouches for that static key ([`ACT_2_BYTES`]). From then on every frame is encrypted in two
//! parts: its header by itself, its payload in chunks ([`NoiseSession`]).
//!
//! - [`Responder`] is the pool's side: one call for each handshake, no state between two calls but the certificate, which
//!   it renews by itself.
//! - [`Initiator`] is the side of a miner or of a proxy that connects to another pool; it checks the certificate.
//!
//! - [`first_generation`] is the same for peers that have been left behind, on a port of their own.
//!
//! The pattern is carried by the crate snow, over libsecp256k1's ElligatorSwift (BIP324) and aws-lc's ChaCha20-Poly1305.
//!
//! What does not happen here: no socket, no clock (the time is a parameter), no message is understood.

mod aead;
mod authority;
mod certificate;
mod chunked;
pub mod first_generation;
mod initiator;
mod responder;
mod session;
mod suite;

pub use authority::{AuthorityKey, AuthorityPublicKey, InvalidAuthorityKey};
pub use certificate::{Certificate, CertificateError};
pub use initiator::Initiator;
pub use responder::Responder;
pub use session::NoiseSession;

/// Bytes of the initiator's message: an ephemeral key.
pub const ACT_1_BYTES: usize = suite::ENCODED_KEY_BYTES;

/// Bytes of the responder's message: an ephemeral key, the static key and the certificate, the latter two with their tags.
pub const ACT_2_BYTES: usize =
    suite::ENCODED_KEY_BYTES + (suite::ENCODED_KEY_BYTES + aead::TAG_BYTES) + (certificate::BYTES + aead::TAG_BYTES);

const _: () = assert!(ACT_1_BYTES == 64 && ACT_2_BYTES == 234);

/// Why a connection's Noise has ended.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoiseError {
    /// What was received was not encrypted by the keys of this connection, or not at this place of it.
    #[error(
        "what was received does not fit the keys of the connection: it was changed on its way, or the peer lost count"
    )]
    Undecipherable,
    /// A frame's header announces more than is taken.
    #[error("a frame announces a payload of {payload_bytes} bytes; at most {payload_bytes_max} are taken")]
    FrameTooLong {
        /// What it announces.
        payload_bytes: u32,
        /// What is taken.
        payload_bytes_max: u32,
    },
    /// A peer of the first generation said something else than its handshake, or offers no cipher that is spoken here.
    #[error("what was received is not the handshake of the first generation, or offers another cipher than ChaChaPoly")]
    NotFirstGeneration,
    /// What is to be sent does not consist of whole frames.
    #[error("what is to be sent is not made of whole frames")]
    NotWholeFrames,
    /// So many messages were sent by one key that its numbers are used up; nobody lives to see it.
    #[error("the key of the connection is used up")]
    KeyUsedUp,
    /// The other side's certificate is not good.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The library refuses to go on with the handshake.
    #[error("the handshake failed: {0}")]
    Handshake(String),
}

impl From<snow::Error> for NoiseError {
    fn from(error: snow::Error) -> Self {
        match error {
            snow::Error::Decrypt => Self::Undecipherable,
            other => Self::Handshake(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
