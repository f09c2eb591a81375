//! From when until when a certificate is valid.
//!
//! The one thing of X.509 that the pool itself wants to know, so it walks to that place and understands nothing else:
//! RFC 5280, section 4.1 (`Certificate`, `TBSCertificate`, `Validity`), in DER.

use super::date::unix_from_civil;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// Both ends in seconds since 1970, themselves included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Validity {
    pub(super) not_before: i64,
    pub(super) not_after: i64,
}

/// The validity in a certificate; `None` when it is none.
pub(super) fn validity(certificate: &[u8]) -> Option<Validity> {
    let (certificate, _) = expect(SEQUENCE, certificate)?;
    let (signed, _) = expect(SEQUENCE, certificate)?;
    let (tag, _, behind_version) = element(signed)?;
    let rest = if tag == VERSION { behind_version } else { signed };
    let (_serial, rest) = expect(INTEGER, rest)?;
    let (_algorithm, rest) = expect(SEQUENCE, rest)?;
    let (_issuer, rest) = expect(SEQUENCE, rest)?;
    let (times, _) = expect(SEQUENCE, rest)?;
    let (tag, text, rest) = element(times)?;
    let not_before = time(tag, text)?;
    let (tag, text, _) = element(rest)?;
    Some(Validity { not_before, not_after: time(tag, text)? })
}

/// Content of the element at the front, which must have this tag, and what stands behind it.
fn expect(wanted: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag and content of the element at the front, and what stands behind it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDhhmmssZ` (from 1950 to 2049) or `YYYYMMDDhhmmssZ`.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let digits = text.strip_suffix(b"Z")?;
    let number = |bytes: &[u8]| {
        bytes.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    };
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year = number(&digits[..2])?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (number(&digits[..4])?, &digits[4..]),
        _ => return None,
    };
    let parts: Vec<i64> = rest.chunks(2).map(number).collect::<Option<_>>()?;
    let &[month @ 1..=12, day @ 1..=31, hour @ 0..=23, minute @ 0..=59, second @ 0..=60] = parts.as_slice() else {
        return None;
    };
    Some(unix_from_civil(year, month, day) + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    #[test]
    fn validity_is_read_from_real_certificates() {
        for (from, until) in
            [((2026, 1, 1), (2027, 6, 30)), ((1999, 12, 31), (2049, 12, 31)), ((2020, 2, 29), (2051, 1, 1))]
        {
            let mut params = CertificateParams::new(vec!["pool.test".to_owned()]).expect("a name");
            params.not_before = date_time_ymd(from.0, from.1, from.2);
            params.not_after = date_time_ymd(until.0, until.1, until.2);
            let key = KeyPair::generate().expect("a key");
            let certificate = params.self_signed(&key).expect("a certificate");
            let seconds = |(year, month, day): (i32, u8, u8)| unix_from_civil(year.into(), month.into(), day.into());
            let expected = Validity { not_before: seconds(from), not_after: seconds(until) };
            let der = certificate.der();
            assert_eq!(validity(der), Some(expected));
            // No prefix of it, and nothing with a byte changed, does any harm.
            for length in 0..der.len() {
                assert_eq!(validity(&der[..length]), None);
                let mut changed = der.to_vec();
                changed[length] ^= 0xff;
                let _ = validity(&changed);
            }
        }
    }
}
