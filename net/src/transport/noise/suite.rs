//! What `Secp256k1+EllSwift_ChaChaPoly_SHA256` means, for the library that carries the pattern.
//!
//! Keys of secp256k1 travel as 64 bytes that look random (ElligatorSwift); the shared secret is that of BIP324, in which
//! both encodings and who of the two began have a part.

use super::NoiseError;
use super::aead::HandshakeCipher;
use bitcoin::secp256k1::ellswift::{ElligatorSwift, ElligatorSwiftParty};
use bitcoin::secp256k1::{All, PublicKey, Secp256k1, SecretKey};
use snow::params::{BaseChoice, CipherChoice, DHChoice, HandshakeChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use std::sync::Arc;

/// The name that goes into every key.
const NAME: &str = "Noise_NX_Secp256k1+EllSwift_ChaChaPoly_SHA256";

/// Bytes of a public key on the wire.
pub(super) const ENCODED_KEY_BYTES: usize = 64;

/// Bytes of a shared secret and of a private key.
const SECRET_BYTES: usize = 32;

/// What all handshakes of one side share: tables of the curve, blinded once against those who measure.
#[derive(Clone)]
pub(super) struct Curve(Arc<Secp256k1<All>>);

impl Curve {
    /// Blinding by the system's randomness.
    pub(super) fn new() -> Self {
        Self(Arc::new(Secp256k1::new()))
    }

    pub(super) fn secp(&self) -> &Secp256k1<All> {
        &self.0
    }
}

/// A key pair with its encoding, which costs as much to compute as the handshake's own arithmetic.
#[derive(Clone, Copy)]
pub(super) struct EncodedKey {
    secret: SecretKey,
    encoding: ElligatorSwift,
}

impl EncodedKey {
    /// A new one.
    pub(super) fn generate(curve: &Curve) -> Result<Self, NoiseError> {
        let mut random = DefaultResolver.resolve_rng().ok_or_else(no_randomness)?;
        Ok(Self::draw(curve, &mut *random)?)
    }

    fn draw(curve: &Curve, random: &mut dyn Random) -> Result<Self, snow::Error> {
        let (mut secret, mut encoding) = ([0; SECRET_BYTES], [0; SECRET_BYTES]);
        random.try_fill_bytes(&mut encoding)?;
        loop {
            random.try_fill_bytes(&mut secret)?;
            // One in 2^128 draws is no key.
            if let Ok(secret) = SecretKey::from_slice(&secret) {
                return Ok(Self {
                    secret,
                    encoding: ElligatorSwift::from_seckey(curve.secp(), secret, Some(encoding)),
                });
            }
        }
    }

    /// The x-coordinate of the public key.
    pub(super) fn x_only(&self) -> [u8; 32] {
        x_only(self.encoding.to_array())
    }
}

/// The x-coordinate of the key that an encoding stands for; every 64 bytes stand for one.
pub(super) fn x_only(encoding: [u8; ENCODED_KEY_BYTES]) -> [u8; 32] {
    PublicKey::from_ellswift(ElligatorSwift::from_array(encoding)).x_only_public_key().0.serialize()
}

/// A handshake for the side that answers, which has a static key.
pub(super) fn respond(curve: &Curve, key: EncodedKey) -> Result<HandshakeState, NoiseError> {
    let suite = Suite { curve: curve.clone(), party: ElligatorSwiftParty::B, known: Some(key) };
    let secret = key.secret.secret_bytes();
    Ok(Builder::with_resolver(params(), Box::new(suite)).local_private_key(&secret)?.build_responder()?)
}

/// A handshake for the side that begins.
pub(super) fn initiate(curve: &Curve) -> Result<HandshakeState, NoiseError> {
    let suite = Suite { curve: curve.clone(), party: ElligatorSwiftParty::A, known: None };
    Ok(Builder::with_resolver(params(), Box::new(suite)).build_initiator()?)
}

fn params() -> NoiseParams {
    // The library has no name for this curve; what it is told instead is not looked at but by `Suite`.
    let pattern: HandshakeChoice = "NX".parse().expect("a pattern that the library has");
    let (cipher, hash) = (CipherChoice::ChaChaPoly, HashChoice::SHA256);
    NoiseParams::new(NAME.to_owned(), BaseChoice::Noise, pattern, DHChoice::Curve25519, cipher, hash)
}

fn no_randomness() -> NoiseError {
    NoiseError::Handshake("the system gives no randomness".to_owned())
}

/// Primitives for one handshake.
struct Suite {
    curve: Curve,
    party: ElligatorSwiftParty,
    known: Option<EncodedKey>,
}

impl CryptoResolver for Suite {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        DefaultResolver.resolve_rng()
    }

    fn resolve_dh(&self, _: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::new(EllSwiftDh {
            curve: self.curve.clone(),
            party: self.party,
            known: self.known,
            private: [0; SECRET_BYTES],
            public: [0; ENCODED_KEY_BYTES],
        }))
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, _: &CipherChoice) -> Option<Box<dyn Cipher>> {
        Some(Box::new(HandshakeCipher::default()))
    }
}

/// A key pair of a handshake, static or ephemeral.
struct EllSwiftDh {
    curve: Curve,
    party: ElligatorSwiftParty,
    /// A static key whose encoding is known.
    known: Option<EncodedKey>,
    private: [u8; SECRET_BYTES],
    public: [u8; ENCODED_KEY_BYTES],
}

impl EllSwiftDh {
    fn take(&mut self, key: EncodedKey) {
        self.private = key.secret.secret_bytes();
        self.public = key.encoding.to_array();
    }
}

impl Dh for EllSwiftDh {
    fn name(&self) -> &'static str {
        "Secp256k1+EllSwift"
    }

    fn pub_len(&self) -> usize {
        ENCODED_KEY_BYTES
    }

    fn priv_len(&self) -> usize {
        SECRET_BYTES
    }

    fn dh_len(&self) -> usize {
        SECRET_BYTES
    }

    /// The only key that is ever set is the one that is known.
    fn set(&mut self, private: &[u8]) {
        if let Some(known) = self.known.filter(|known| known.secret.secret_bytes() == private) {
            self.take(known);
        }
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), snow::Error> {
        EncodedKey::draw(&self.curve, random).map(|key| self.take(key))
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &self.private
    }

    fn dh(&self, theirs: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let secret = SecretKey::from_slice(&self.private).map_err(|_| snow::Error::Dh)?;
        let theirs = theirs.first_chunk().ok_or(snow::Error::Dh)?;
        let (ours, theirs) = (ElligatorSwift::from_array(self.public), ElligatorSwift::from_array(*theirs));
        let (first, second) = match self.party {
            ElligatorSwiftParty::A => (ours, theirs),
            ElligatorSwiftParty::B => (theirs, ours),
        };
        let shared = ElligatorSwift::shared_secret(first, second, secret, self.party, None);
        out[..SECRET_BYTES].copy_from_slice(shared.as_secret_bytes());
        Ok(())
    }
}
