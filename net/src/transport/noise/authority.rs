//! The key that stands for a pool: miners are given its public half in the pool's address.

use super::suite::Curve;
use bitcoin::base58;
use bitcoin::secp256k1::{Keypair, Message, SecretKey, XOnlyPublicKey, schnorr};
use std::fmt;
use std::str::FromStr;

/// What stands before the key in its text, so that a key of another kind is not taken for one.
const TEXT_VERSION: [u8; 2] = [1, 0];

/// Why a text or bytes are no authority key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidAuthorityKey {
    /// A character, the length or the checksum is wrong.
    #[error("is not the public key of a pool's authority: a character is wrong or missing")]
    Text,
    /// The text is intact and holds something else.
    #[error("is the text of something else than the public key of a pool's authority")]
    Kind,
    /// No point of the curve has this coordinate.
    #[error("is not a public key of secp256k1")]
    Point,
    /// Not a private key.
    #[error("is not a private key of secp256k1: 32 bytes, written as 64 hexadecimal digits")]
    Secret,
}

/// The private half, which signs certificates. It leaves this type only by [`AuthorityKey::secret_bytes`].
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityKey {
    pair: Keypair,
}

impl AuthorityKey {
    /// A new one, by the system's randomness.
    pub fn generate() -> Self {
        let curve = Curve::new();
        Self { pair: Keypair::new(curve.secp(), &mut bitcoin::secp256k1::rand::thread_rng()) }
    }

    /// From the bytes of a private key, most significant first.
    ///
    /// # Errors
    /// [`InvalidAuthorityKey::Secret`] when it is 0 or beyond the curve's order.
    pub fn from_secret_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidAuthorityKey> {
        let mut secret = SecretKey::from_slice(bytes).map_err(|_| InvalidAuthorityKey::Secret)?;
        let pair = Keypair::from_secret_key(Curve::new().secp(), &secret);
        secret.non_secure_erase();
        Ok(Self { pair })
    }

    /// The private key itself. Whoever asks keeps it out of logs, errors and other people's hands.
    pub fn secret_bytes(&self) -> [u8; 32] {
        self.pair.secret_bytes()
    }

    /// The half that everybody may know.
    pub fn public(&self) -> AuthorityPublicKey {
        AuthorityPublicKey(self.pair.x_only_public_key().0)
    }

    /// A BIP340 signature.
    pub(super) fn sign(&self, curve: &Curve, digest: [u8; 32]) -> [u8; 64] {
        curve.secp().sign_schnorr(&Message::from_digest(digest), &self.pair).serialize()
    }
}

impl Drop for AuthorityKey {
    fn drop(&mut self) {
        self.pair.non_secure_erase();
    }
}

/// By hand, because it is a secret.
impl fmt::Debug for AuthorityKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AuthorityKey {{ public: {}, secret: (hidden) }}", self.public())
    }
}

/// The public half: an x-coordinate of secp256k1 (BIP340). Its text is the one in `stratum2+tcp://HOST:PORT/KEY`:
/// base58 with a checksum over a version and the coordinate.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuthorityPublicKey(XOnlyPublicKey);

impl AuthorityPublicKey {
    /// From an x-coordinate, most significant byte first.
    ///
    /// # Errors
    /// [`InvalidAuthorityKey::Point`] when no point has it.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, InvalidAuthorityKey> {
        XOnlyPublicKey::from_slice(bytes).map(Self).map_err(|_| InvalidAuthorityKey::Point)
    }

    /// The x-coordinate, most significant byte first.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.serialize()
    }

    /// Whether `signature` over `digest` is this authority's.
    pub(super) fn has_signed(self, curve: &Curve, digest: [u8; 32], signature: &[u8; 64]) -> bool {
        let message = Message::from_digest(digest);
        schnorr::Signature::from_slice(signature)
            .is_ok_and(|signature| curve.secp().verify_schnorr(&signature, &message, &self.0).is_ok())
    }
}

impl fmt::Display for AuthorityPublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; TEXT_VERSION.len() + 32];
        bytes[..TEXT_VERSION.len()].copy_from_slice(&TEXT_VERSION);
        bytes[TEXT_VERSION.len()..].copy_from_slice(&self.to_bytes());
        base58::encode_check_to_fmt(formatter, &bytes)
    }
}

impl fmt::Debug for AuthorityPublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AuthorityPublicKey({self})")
    }
}

impl FromStr for AuthorityPublicKey {
    type Err = InvalidAuthorityKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = base58::decode_check(text).map_err(|_| InvalidAuthorityKey::Text)?;
        let key = bytes.strip_prefix(&TEXT_VERSION).ok_or(InvalidAuthorityKey::Kind)?;
        Self::from_bytes(key.try_into().map_err(|_| InvalidAuthorityKey::Kind)?)
    }
}
