//! Core's cookie: a user and a password drawn anew at each start, in a file that only its owner reads.

use bitcoin::secp256k1::rand::{RngCore, thread_rng};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Draws a cookie, writes it to `path` with mode 0600, and gives the `Authorization` header that goes with it.
pub(crate) fn write(path: &Path) -> io::Result<String> {
    let mut secret = [0; 32];
    thread_rng().fill_bytes(&mut secret);
    let cookie = format!("__cookie__:{}", const_hex::encode(secret));
    // As Core does: a reader finds the old file or the new one, never a part.
    let temporary = path.with_extension("tmp");
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(cookie.as_bytes())?;
    drop(file);
    fs::rename(&temporary, path)?;
    Ok(format!("Basic {}", base64(cookie.as_bytes())))
}

/// Base64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().enumerate().fold(0_u32, |group, (i, byte)| group | u32::from(*byte) << (16 - 8 * i));
        for digit in 0..4 {
            let index = (group >> (18 - 6 * digit) & 0x3f) as usize;
            text.push(if digit <= chunk.len() { char::from(ALPHABET[index]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_gives_the_vectors_of_rfc_4648() {
        for (plain, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
