//! ChaCha20-Poly1305 with the nonces of Noise: four zero bytes and a counter, little endian (Noise revision 34, 12.3).

use super::NoiseError;
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// Bytes of a tag, which stands behind what it vouches for.
pub(super) const TAG_BYTES: usize = 16;

/// A key with the number of the message that it encrypts or decrypts next.
pub(super) struct CipherKey {
    key: LessSafeKey,
    counter: u64,
}

impl CipherKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self { key: expand(key), counter: 0 }
    }

    /// Encrypts `text` where it stands and returns its tag.
    pub(super) fn seal(&mut self, text: &mut [u8]) -> Result<[u8; TAG_BYTES], NoiseError> {
        let nonce = self.next_nonce()?;
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::empty(), text).map_err(|_| NoiseError::KeyUsedUp)?;
        Ok(tag_bytes(&tag))
    }

    /// Decrypts `sealed`, a text and its tag, where it stands; the text is its front.
    pub(super) fn open(&mut self, sealed: &mut [u8]) -> Result<(), NoiseError> {
        let nonce = self.next_nonce()?;
        let opened = self.key.open_in_place(nonce, Aad::empty(), sealed);
        opened.map(drop).map_err(|_| NoiseError::Undecipherable)
    }

    fn next_nonce(&mut self) -> Result<Nonce, NoiseError> {
        let nonce = nonce(self.counter);
        // The last number is reserved (Noise, 5.1).
        self.counter = self.counter.checked_add(1).ok_or(NoiseError::KeyUsedUp)?;
        Ok(nonce)
    }
}

/// The same for the handshake, as the library of the pattern wants it: it counts by itself.
#[derive(Default)]
pub(super) struct HandshakeCipher(Option<LessSafeKey>);

impl snow::types::Cipher for HandshakeCipher {
    fn name(&self) -> &'static str {
        "ChaChaPoly"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Some(expand(key));
    }

    fn encrypt(&self, number: u64, associated: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        let key = self.0.as_ref().expect("the library gives a key before it encrypts");
        let (text, rest) = out.split_at_mut(plain.len());
        text.copy_from_slice(plain);
        let tag = key.seal_in_place_separate_tag(nonce(number), Aad::from(associated), text);
        let tag = tag.expect("only texts of 256 GiB cannot be encrypted, and a handshake has some hundred bytes");
        rest[..TAG_BYTES].copy_from_slice(&tag_bytes(&tag));
        plain.len() + TAG_BYTES
    }

    fn decrypt(&self, number: u64, associated: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<usize, snow::Error> {
        let key = self.0.as_ref().ok_or(snow::Error::Decrypt)?;
        let length = sealed.len().checked_sub(TAG_BYTES).ok_or(snow::Error::Decrypt)?;
        let (text, tag) = sealed.split_at(length);
        let opened = key.open_separate_gather(nonce(number), Aad::from(associated), text, tag, &mut out[..length]);
        opened.map(|()| length).map_err(|_| snow::Error::Decrypt)
    }
}

fn expand(key: &[u8; 32]) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("a key of ChaCha20-Poly1305 has 32 bytes");
    LessSafeKey::new(key)
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

fn tag_bytes(tag: &aws_lc_rs::aead::Tag) -> [u8; TAG_BYTES] {
    let mut bytes = [0; TAG_BYTES];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}
