//! Hexadecimal text as Stratum uses it: unpadded numbers in, padded lowercase bytes out.

const NO_DIGIT: u8 = 0xff;

const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut table = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 10 {
        table[b'0' as usize + digit] = digit as u8;
        digit += 1;
    }
    while digit < 16 {
        table[b'a' as usize + digit - 10] = digit as u8;
        table[b'A' as usize + digit - 10] = digit as u8;
        digit += 1;
    }
    table
}

/// A number of up to 16 digits of any case; no digits are zero.
pub(super) fn parse_u64(digits: &[u8]) -> Option<u64> {
    if digits.len() > 16 {
        return None;
    }
    let mut value = 0;
    let mut seen = 0;
    for digit in digits {
        let nibble = VALUES[usize::from(*digit)];
        seen |= nibble;
        value = value << 4 | u64::from(nibble & 0x0f);
    }
    (seen != NO_DIGIT).then_some(value)
}

/// A number of 1 to 8 digits of any case.
pub(super) fn parse_u32(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    parse_u64(digits).and_then(|value| u32::try_from(value).ok())
}

/// The same, with `0x` allowed in front.
pub(super) fn parse_prefixed_u32(text: &[u8]) -> Option<u32> {
    parse_u32(without_prefix(text))
}

/// `text` without a leading `0x`.
pub(super) fn without_prefix(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text)
}

/// Appends two lowercase digits for each byte.
pub(super) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0x0f)]]));
}

/// Appends 8 lowercase digits.
pub(super) fn push_u32(out: &mut Vec<u8>, value: u32) {
    push_bytes(out, &value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_to_eight_digits_of_any_case() {
        let cases: [(&[u8], Option<u32>); 9] = [
            (b"a1", Some(0xa1)),
            (b"DeadBeef", Some(0xdead_beef)),
            (b"0x1", Some(1)),
            (b"0XfF", Some(0xff)),
            (b"0x00000001", Some(1)),
            (b"", None),
            (b"0x", None),
            (b"123456789", None),
            (b"12g4", None),
        ];
        for (text, value) in cases {
            assert_eq!(parse_prefixed_u32(text), value, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn exactly_the_sixteen_digits_are_digits() {
        for byte in 0..=255u8 {
            let expected = char::from(byte).to_digit(16);
            assert_eq!(parse_u32(&[byte]), expected, "byte {byte}");
            assert_eq!(parse_u32(&[b'f', byte]), expected.map(|value| 0xf0 | value), "byte {byte}");
        }
    }
}
