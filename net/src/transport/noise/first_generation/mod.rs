//! The first generation of Stratum V2's encryption, `Noise_NX_25519_ChaChaPoly_BLAKE2s`, for peers that were left behind.
//!
//! Every Noise message travels behind its length in 16 bits, little endian. A peer may begin by offering ciphers: a magic
//! number and a list of them; the choice is the answer, and both are committed to by the handshake's prologue. Then comes an
//! ephemeral key (32 bytes), and the answer holds a static key and a certificate as its payload: version and times as today,
//! signed by an Ed25519 key. After that each frame is a Noise message, header and payload together.
//!
//! Both keys follow from the pool's [`AuthorityKey`], so that they are the same after every start: peers of this generation
//! are given one or the other.

mod certificate;
mod lengths;

pub(super) use lengths::LengthsSession;

use super::aead::HandshakeCipher;
use super::authority::AuthorityKey;
use super::session::NoiseSession;
use super::{NoiseError, aead};
use bitcoin::base58;
use bitcoin::hashes::{Hash as _, HashEngine, sha256};
use certificate::Signer;
use snow::Builder;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use std::fmt;
use warppool_components::limits::FRAME_PAYLOAD_BYTES_MAX;
use warppool_components::units::UnixTime;

/// The name that goes into every key.
const NAME: &str = "Noise_NX_25519_ChaChaPoly_BLAKE2s";

/// Bytes of the length before a message.
const LENGTH_BYTES: usize = 2;

/// Bytes of a public key.
const KEY_BYTES: usize = 32;

/// What an offer of ciphers begins with; the last digit was counted up once.
const OFFER_MAGIC: [&[u8; 4]; 2] = [b"STR2", b"STR3"];

/// The cipher that is spoken here, as an offer names it.
const CHACHA_POLY: &[u8; 4] = b"CHCH";

/// Bytes of the longest first message with its length: an offer of 255 ciphers.
pub const FIRST_MESSAGE_BYTES_MAX: usize = LENGTH_BYTES + 4 + 1 + 255 * 4;

/// The pool's side.
pub struct FirstGeneration {
    signer: Signer,
    static_secret: [u8; KEY_BYTES],
    static_public: [u8; KEY_BYTES],
}

/// What becomes of a peer's message.
#[derive(Debug)]
pub enum Reply {
    /// Its cipher is chosen; a key follows, and with it this is to be shown again.
    Chosen {
        /// What is to be sent.
        answer: Vec<u8>,
        /// To what both sides have committed themselves.
        prologue: Box<[u8]>,
    },
    /// The handshake is over.
    Done {
        /// What is to be sent.
        answer: Vec<u8>,
        /// What the connection is encrypted by from then on.
        session: Box<NoiseSession>,
    },
}

/// Bytes of the message, its length included, that `seen` begins with, once all of it is there.
///
/// # Errors
/// [`NoiseError::NotFirstGeneration`] when no handshake has a message of that length.
pub fn first_message_bytes(seen: &[u8]) -> Result<Option<usize>, NoiseError> {
    let Some(length) = seen.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let whole = LENGTH_BYTES + usize::from(u16::from_le_bytes(*length));
    if whole > FIRST_MESSAGE_BYTES_MAX {
        return Err(NoiseError::NotFirstGeneration);
    }
    Ok((seen.len() >= whole).then_some(whole))
}

impl FirstGeneration {
    /// In the name of the pool's authority.
    pub fn new(authority: &AuthorityKey) -> Self {
        let static_secret = derive(authority, b"warppool/stratum-v2/first-generation/static");
        let mut pair = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("a curve that the library has");
        pair.set(&static_secret);
        let mut static_public = [0; KEY_BYTES];
        static_public.copy_from_slice(pair.pubkey());
        let seed = derive(authority, b"warppool/stratum-v2/first-generation/authority");
        Self { signer: Signer::new(&seed), static_secret, static_public }
    }

    /// The authority's public key, as peers are given it: base58 with a checksum.
    pub fn authority_text(&self) -> String {
        base58::encode_check(&self.signer.public())
    }

    /// The static public key, in the same form, for peers that know the pool by it.
    pub fn static_text(&self) -> String {
        base58::encode_check(&self.static_public)
    }

    /// Answers a whole message, of as many bytes as [`first_message_bytes`] says; `prologue` is that of an earlier offer.
    ///
    /// # Errors
    /// [`NoiseError::NotFirstGeneration`] when it is neither an offer nor a key, or the offer has no cipher that is spoken here.
    pub fn answer(&mut self, message: &[u8], prologue: Option<&[u8]>, now: UnixTime) -> Result<Reply, NoiseError> {
        let message = message.get(LENGTH_BYTES..).ok_or(NoiseError::NotFirstGeneration)?;
        match prologue {
            _ if message.len() == KEY_BYTES => self.answer_key(message, prologue.unwrap_or_default(), now),
            None => choose(message),
            Some(_) => Err(NoiseError::NotFirstGeneration),
        }
    }

    fn answer_key(&mut self, key: &[u8], prologue: &[u8], now: UnixTime) -> Result<Reply, NoiseError> {
        let params: NoiseParams = NAME.parse()?;
        let builder = Builder::with_resolver(params, Box::new(Primitives));
        let mut handshake = builder.local_private_key(&self.static_secret)?.prologue(prologue)?.build_responder()?;
        handshake.read_message(key, &mut [])?;
        let certificate = self.signer.certificate(&self.static_public, now);
        let mut act_2 = [0; KEY_BYTES + KEY_BYTES + aead::TAG_BYTES + certificate::BYTES + aead::TAG_BYTES];
        handshake.write_message(&certificate, &mut act_2)?;
        let (from_initiator, to_initiator) = handshake.dangerously_get_raw_split();
        let session = NoiseSession::with_lengths(&to_initiator, &from_initiator, FRAME_PAYLOAD_BYTES_MAX as u32);
        Ok(Reply::Done { answer: with_length(&act_2), session: Box::new(session) })
    }
}

/// Takes our cipher from an offer: the magic number, how many, and their names.
fn choose(offer: &[u8]) -> Result<Reply, NoiseError> {
    let names = offer.split_first_chunk::<4>().filter(|(magic, _)| OFFER_MAGIC.contains(magic)).map(|(_, names)| names);
    let names = names.ok_or(NoiseError::NotFirstGeneration)?;
    let (count, list) = names.split_first().ok_or(NoiseError::NotFirstGeneration)?;
    let is_whole = list.len() == usize::from(*count) * CHACHA_POLY.len();
    if !is_whole || !list.chunks(CHACHA_POLY.len()).any(|name| name == CHACHA_POLY) {
        return Err(NoiseError::NotFirstGeneration);
    }
    let prologue = [names, CHACHA_POLY].concat().into_boxed_slice();
    Ok(Reply::Chosen { answer: with_length(CHACHA_POLY), prologue })
}

/// Messages of a handshake are far below what 16 bits tell.
fn with_length(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_le_bytes(), message].concat()
}

/// A secret of its own for each purpose, from which the authority's cannot be told.
fn derive(authority: &AuthorityKey, purpose: &[u8]) -> [u8; 32] {
    let mut engine = sha256::Hash::engine();
    engine.input(purpose);
    engine.input(&authority.secret_bytes());
    sha256::Hash::from_engine(engine).to_byte_array()
}

/// The library's own primitives, but our cipher.
struct Primitives;

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        DefaultResolver.resolve_rng()
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, _: &CipherChoice) -> Option<Box<dyn Cipher>> {
        Some(Box::new(HandshakeCipher::default()))
    }
}

/// By hand, because it holds secrets.
impl fmt::Debug for FirstGeneration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FirstGeneration {{ authority: {} }}", self.authority_text())
    }
}

#[cfg(test)]
mod tests;
