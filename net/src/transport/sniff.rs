//! What a connection speaks, told from its first bytes.
//!
//! One port serves everybody, so each kind must be known for certain before a byte is taken as its own. The hard case
//! is Stratum V2: it begins with a 64-byte EllSwift key, in which every value of every byte is as likely as any other.
//! Nothing is therefore decided on fewer than [`SNIFF_BYTES_MIN`] bytes, and never for another protocol on less than what a
//! random key shows once in some 10^10 connections. Whoever sends less than that is waited for: a lone newline, or half
//! a request.
//!
//! What does not happen here: nothing is read, kept or consumed. The caller shows the first bytes again, with more
//! behind them, as long as the answer is [`Sniff::NeedMore`].

/// Bytes below which nothing is decided.
pub const SNIFF_BYTES_MIN: usize = 8;

/// Bytes after which everything is decided: the length of an EllSwift key. More are never looked at.
pub const SNIFF_BYTES_MAX: usize = 64;

/// Bytes of text after which an object that begins as JSON is a request of Stratum V1. The shortest real one, with a
/// method in it, is twice as long.
const JSON_BYTES: usize = 16;

/// Bytes of text that is no JSON object, which Stratum V1 then answers as malformed.
const TEXT_BYTES: usize = 32;

/// Beginning of a PROXY header in binary form.
pub(super) const PROXY_V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Beginning of a PROXY header in text form.
pub(super) const PROXY_V1_SIGNATURE: &[u8; 6] = b"PROXY ";

/// Beginnings of HTTP/1 requests, and of HTTP/2.
const HTTP_METHODS: [&[u8]; 9] =
    [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS ", b"DELETE ", b"PATCH ", b"CONNECT ", b"PRI * "];

/// What the first bytes are the beginning of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sniff {
    /// Not known yet: more bytes are needed.
    NeedMore,
    /// Lines of JSON, or text that V1 answers as malformed.
    StratumV1,
    /// A TLS ClientHello.
    Tls,
    /// The ephemeral key of a Noise handshake: Stratum V2.
    Noise,
    /// An HTTP request.
    Http,
    /// A PROXY header, of either version.
    Proxy,
}

/// Tells what `bytes` are the beginning of. Answers do not change as more bytes come, except from
/// [`Sniff::NeedMore`]: it is the shortest beginning that can be told which decides, however many bytes came at once.
pub fn sniff(bytes: &[u8]) -> Sniff {
    let lengths = SNIFF_BYTES_MIN..=bytes.len().min(SNIFF_BYTES_MAX);
    let mut answers = lengths.map(|length| sniff_beginning(&bytes[..length]));
    answers.find(|answer| *answer != Sniff::NeedMore).unwrap_or(Sniff::NeedMore)
}

/// What these bytes are alone.
fn sniff_beginning(bytes: &[u8]) -> Sniff {
    if is_client_hello(bytes) {
        Sniff::Tls
    } else if begins_as(bytes, PROXY_V2_SIGNATURE) {
        if bytes.len() < PROXY_V2_SIGNATURE.len() { Sniff::NeedMore } else { Sniff::Proxy }
    } else if bytes.starts_with(PROXY_V1_SIGNATURE) && is_text(&bytes[..SNIFF_BYTES_MIN]) {
        Sniff::Proxy
    } else if HTTP_METHODS.iter().any(|method| bytes.starts_with(method)) && is_text(&bytes[..SNIFF_BYTES_MIN]) {
        Sniff::Http
    } else {
        sniff_text(bytes)
    }
}

/// Text is Stratum V1, anything else a key.
fn sniff_text(bytes: &[u8]) -> Sniff {
    let rest = bytes.trim_ascii_start();
    let is_object = match rest.split_first() {
        Some((b'{', inner)) => matches!(inner.trim_ascii_start().first(), Some(b'"' | b'}')),
        _ => false,
    };
    let enough = if is_object { JSON_BYTES } else { TEXT_BYTES };
    if !is_text(&bytes[..bytes.len().min(enough)]) {
        return Sniff::Noise;
    }
    // A whole line says as much as a longer part of one: braces, quotes and newline must all be in their places.
    let is_line = rest.contains(&b'\n') && (is_object || bytes.len() >= JSON_BYTES);
    if bytes.len() >= enough || is_line { Sniff::StratumV1 } else { Sniff::NeedMore }
}

/// A TLS record of type handshake that holds the start of a ClientHello: `16 03 0x`, the record's length, `01` and the
/// message's length, which no real client lets reach 64 KiB.
fn is_client_hello(bytes: &[u8]) -> bool {
    let &[0x16, 0x03, 0x00..=0x04, high, low, 0x01, 0x00, _, ..] = bytes else { return false };
    (64..=16 * 1024).contains(&u16::from_be_bytes([high, low]))
}

fn begins_as(bytes: &[u8], signature: &[u8]) -> bool {
    let common = bytes.len().min(signature.len());
    bytes[..common] == signature[..common]
}

/// Printable ASCII, blanks and the ends of lines.
fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::Rng;
    use proptest::test_runner::{RngAlgorithm, TestRng};

    /// The answer at each length, as bytes come one by one.
    fn answers(bytes: &[u8]) -> Vec<Sniff> {
        (0..=bytes.len()).map(|length| sniff(&bytes[..length])).collect()
    }

    /// What is decided at last; before that, only more is asked for, and once decided nothing changes.
    fn decided(bytes: &[u8]) -> Sniff {
        let answers = answers(bytes);
        let last = *answers.last().expect("an answer for no bytes");
        let first = answers.iter().position(|answer| *answer != Sniff::NeedMore).unwrap_or(answers.len());
        assert!(first >= SNIFF_BYTES_MIN.min(answers.len()), "decided on {first} bytes: {bytes:?}");
        assert!(answers[first..].iter().all(|answer| *answer == last), "changed its mind: {answers:?}");
        last
    }

    #[test]
    fn every_kind_is_known_however_it_is_cut() {
        let hello = [&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3], [7; 190].as_slice()].concat();
        let post_quantum = [&[0x16, 3, 1, 0x07, 0, 1, 0, 6, 252, 3, 3], [7; 190].as_slice()].concat();
        for (bytes, expected) in [
            (b"{\"id\": 1, \"method\": \"mining.subscribe\"}\n".as_slice(), Sniff::StratumV1),
            (b"{\"params\":[],\"id\":0}\n", Sniff::StratumV1),
            (b"\n", Sniff::NeedMore),
            (b"\r\n\r\n\r\n\r\n\r\n", Sniff::NeedMore),
            (b"\n{\"id\":1,\"method\":\"mining.configure\"}", Sniff::StratumV1),
            (b"\r\n\r\n{\"id\":1,\"method\":\"mining.configure\"}", Sniff::StratumV1),
            (b"  {  \"id\" : 1, \"method\": 2}", Sniff::StratumV1),
            (b"{\"id\":1}\n", Sniff::StratumV1),
            (b"{}\n{}\n{}\n", Sniff::StratumV1),
            (b"{\"id\":1,", Sniff::NeedMore),
            (b"[1, 2, 3, 4, 5, 6]\n", Sniff::StratumV1),
            (&[b'x'; 64], Sniff::StratumV1),
            (&[b'\n'; 64], Sniff::StratumV1),
            (&hello, Sniff::Tls),
            (&post_quantum, Sniff::Tls),
            (b"GET / HTTP/1.1\r\n", Sniff::Http),
            (b"POST /api HTTP/1.0\r\n", Sniff::Http),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Sniff::Http),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Sniff::Proxy),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", Sniff::Proxy),
            (b"\r\n\r\n\0\r\nQU", Sniff::NeedMore),
            (&[0; 64], Sniff::Noise),
            (b"\x16\x03\x01\xff\xff\x01\0\0", Sniff::Noise),
            (b"{\"id\":\xff\xff\xff", Sniff::Noise),
            (b"GET \xff\xff\xff\xff\xff", Sniff::Noise),
            // What comes behind the bytes that decided changes nothing, whether it came with them or later.
            (b"a line of text ok\n and then \x0f none", Sniff::StratumV1),
            (b"{               \x0c\"id\":1}", Sniff::Noise),
        ] {
            assert_eq!(decided(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    /// Every 64-byte string is the EllSwift encoding of a key (BIP324), and each is as likely as any other.
    #[test]
    fn defect_08_no_key_of_a_hundred_thousand_is_misrouted() {
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[8; 32]);
        // Bytes that begin something else are forced upon the first place: one byte decides nothing.
        let first_bytes = b"{\x16GPHOD[\n\r \t";
        for number in 0..100_000 {
            let mut key = [0; SNIFF_BYTES_MAX];
            random.fill_bytes(&mut key);
            assert_eq!(decided(&key), Sniff::Noise, "{key:02x?}");
            key[0] = first_bytes[number % first_bytes.len()];
            assert_eq!(decided(&key), Sniff::Noise, "{key:02x?}");
        }
    }
}
