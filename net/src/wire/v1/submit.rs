//! `mining.submit`: the fast path and the meaning of its fields, which both paths share.

use super::hex;
use warppool_components::job::JobId;
use warppool_components::limits::{EXTRANONCE2_BYTES, REQUEST_ID_BYTES_MAX};
use warppool_components::reject::Reject;
use warppool_components::share::ShareClaim;

const _: () = assert!(EXTRANONCE2_BYTES == 8, "extranonce2 is read as one u64");

/// A `mining.submit` in one of the usual shapes, its text borrowed from the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Submit<'a> {
    /// JSON text of the request's id, byte for byte.
    pub id: &'a [u8],
    /// The worker's name: ASCII without escapes.
    pub username: &'a [u8],
    /// What is claimed.
    pub claim: ShareClaim,
}

/// A `mining.submit` that no share can be made of. The username may be known all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubmitError {
    /// A parameter is missing, or it is not a string.
    #[error(
        "{0} is missing or not a string: mining.submit takes [worker, job, extranonce2, ntime, nonce, version bits]"
    )]
    NotText(&'static str),
    /// ntime, nonce or version is not a number.
    #[error("{0} is not 1 to 8 hexadecimal digits")]
    NotANumber(&'static str),
    /// extranonce2 has other characters than hexadecimal digits.
    #[error("extranonce2 is not hexadecimal")]
    Extranonce2NotHexadecimal,
    /// extranonce2 is longer than what the pool announced.
    #[error("extranonce2 has {0} digits, {max} are allowed", max = 2 * EXTRANONCE2_BYTES)]
    Extranonce2TooLong(usize),
}

impl SubmitError {
    /// The cause under which it is counted and answered.
    pub const fn reject(self) -> Reject {
        match self {
            Self::Extranonce2TooLong(_) => Reject::Extranonce2Size,
            _ => Reject::Malformed,
        }
    }
}

/// Reads a `mining.submit` of a usual shape: the members `id`, `method` and `params` in any order, each once,
/// five or six parameters without escapes, spaces and tabs between tokens. Allocates nothing.
///
/// `None` means "not for me", not "wrong": the caller then asks [`parse`](super::parse).
pub fn scan_submit(line: &[u8]) -> Option<Submit<'_>> {
    let mut scanner = Scanner { bytes: line, at: 0 };
    let (mut id, mut params, mut is_submit) = (None, None, false);
    scanner.expect(b'{')?;
    loop {
        let key = scanner.string()?;
        scanner.expect(b':')?;
        match key {
            b"id" if id.is_none() => id = Some(scanner.id()?),
            b"params" if params.is_none() => params = Some(scanner.params()?),
            b"method" if !is_submit && scanner.string()? == b"mining.submit" => is_submit = true,
            _ => return None,
        }
        match scanner.token()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    let (username, claim) = params.filter(|_| is_submit && scanner.is_at_end())?;
    Some(Submit { id: id?, username, claim })
}

/// The fields of a share as the miner wrote them, without quotes and escapes.
pub(super) struct Fields<'a> {
    pub(super) job: &'a [u8],
    pub(super) extranonce2: &'a [u8],
    pub(super) ntime: &'a [u8],
    pub(super) nonce: &'a [u8],
    /// Empty when there is no sixth parameter.
    pub(super) version: &'a [u8],
}

/// What the fields claim. A job that is not 1 to 8 digits becomes number 0, which no job has.
pub(super) fn claim(fields: &Fields<'_>) -> Result<ShareClaim, SubmitError> {
    let digits = fields.extranonce2.len();
    if digits > 2 * EXTRANONCE2_BYTES {
        return Err(SubmitError::Extranonce2TooLong(digits));
    }
    let extranonce2 = hex::parse_u64(fields.extranonce2).ok_or(SubmitError::Extranonce2NotHexadecimal)?;
    Ok(ShareClaim {
        job: JobId(hex::parse_u32(fields.job).unwrap_or(0)),
        extranonce2: extranonce2.to_be_bytes(),
        extranonce2_digits: digits as u8,
        ntime: hex::parse_prefixed_u32(fields.ntime).ok_or(SubmitError::NotANumber("ntime"))?,
        nonce: hex::parse_prefixed_u32(fields.nonce).ok_or(SubmitError::NotANumber("nonce"))?,
        version: match fields.version {
            b"" => None,
            text => Some(hex::parse_prefixed_u32(text).ok_or(SubmitError::NotANumber("version"))?),
        },
        is_whole_version: false,
    })
}

/// A place in a line.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The next byte that is not a space or tab; moves behind it.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            if byte != b' ' && byte != b'\t' {
                return Some(byte);
            }
        }
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.token()? == wanted).then_some(())
    }

    fn is_at_end(&mut self) -> bool {
        self.token().is_none()
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        self.string_rest()
    }

    /// What is left of a string whose opening quote was read. Gives up at escapes, control characters and
    /// bytes beyond ASCII. Not inlined: in each of its callers the loop would spill registers.
    #[inline(never)]
    fn string_rest(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let length = rest.iter().position(|byte| !PLAIN[usize::from(*byte)])?;
        if rest[length] != b'"' {
            return None;
        }
        self.at += length + 1;
        Some(&rest[..length])
    }

    /// An id that is a plain string, a natural number or `null`; quotes belong to it.
    fn id(&mut self) -> Option<&'a [u8]> {
        let first = self.token()?;
        let start = self.at - 1;
        match first {
            b'"' => {
                self.string_rest()?;
            }
            b'0' => {}
            b'1'..=b'9' => {
                let rest = &self.bytes[self.at..];
                self.at += rest.iter().position(|byte| !byte.is_ascii_digit())?;
            }
            b'n' if self.bytes[self.at..].starts_with(b"ull") => self.at += 3,
            _ => return None,
        }
        Some(&self.bytes[start..self.at]).filter(|id| id.len() <= REQUEST_ID_BYTES_MAX)
    }

    /// Five or six strings in brackets; a sixth that is empty counts as absent.
    fn params(&mut self) -> Option<(&'a [u8], ShareClaim)> {
        self.expect(b'[')?;
        let username = self.string()?;
        let mut fields = Fields {
            job: self.next_param()?,
            extranonce2: self.next_param()?,
            ntime: self.next_param()?,
            nonce: self.next_param()?,
            version: b"",
        };
        match self.token()? {
            b']' => {}
            b',' => {
                fields.version = self.string()?;
                self.expect(b']')?;
            }
            _ => return None,
        }
        Some((username, claim(&fields).ok()?))
    }

    #[inline]
    fn next_param(&mut self) -> Option<&'a [u8]> {
        self.expect(b',')?;
        self.string()
    }
}

/// Bytes that stand for themselves inside a JSON string: printable ASCII but quote and backslash.
const PLAIN: [bool; 256] = plain();

const fn plain() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0x20;
    while byte < 0x80 {
        table[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    table
}
