//! A double SHA-256 and its two byte orders.

use std::fmt;

/// A 256-bit hash in internal byte order: the order in which it was computed and goes into headers and
/// merkle trees. What people and RPC see is the reverse, "display order".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hash256([u8; 32]);

/// Why text is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// Not 64 characters.
    #[error("a hash has 64 hexadecimal digits, this has {0} characters")]
    Length(usize),
    /// A character outside 0-9, a-f, A-F.
    #[error("character {0} of the hash is not a hexadecimal digit")]
    Digit(usize),
}

impl Hash256 {
    /// All bits zero, as in the coinbase's previous output.
    pub const ZERO: Self = Self([0; 32]);

    /// From bytes in internal order.
    pub const fn from_internal(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From bytes in display order.
    pub fn from_display(mut bytes: [u8; 32]) -> Self {
        bytes.reverse();
        Self(bytes)
    }

    /// The bytes in internal order.
    pub const fn as_internal(&self) -> &[u8; 32] {
        &self.0
    }

    /// The bytes in display order.
    pub fn to_display(self) -> [u8; 32] {
        let mut bytes = self.0;
        bytes.reverse();
        bytes
    }

    /// From 64 hexadecimal digits in display order.
    ///
    /// # Errors
    /// [`HexError`] names the length or the first character that does not fit.
    pub fn parse_display(text: &str) -> Result<Self, HexError> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(HexError::Length(digits.len()));
        }
        let mut bytes = [0; 32];
        for (index, pair) in digits.chunks_exact(2).enumerate() {
            let high = digit(pair[0]).ok_or(HexError::Digit(2 * index))?;
            let low = digit(pair[1]).ok_or(HexError::Digit(2 * index + 1))?;
            bytes[31 - index] = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).map(|value| value as u8)
}

impl fmt::Display for Hash256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENESIS: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";

    #[test]
    fn display_order_is_the_reverse_of_internal_order() {
        let hash = Hash256::parse_display(GENESIS).expect("a valid hash");
        assert_eq!(hash.as_internal()[..4], [0x6f, 0xe2, 0x8c, 0x0a]);
        assert_eq!(hash.to_string(), GENESIS);
        assert_eq!(Hash256::from_display(hash.to_display()), hash);
    }

    #[test]
    fn text_that_is_no_hash_is_refused_with_the_place() {
        assert_eq!(Hash256::parse_display("00"), Err(HexError::Length(2)));
        assert_eq!(Hash256::parse_display(&GENESIS.replace("19d6", "19x6")), Err(HexError::Digit(12)));
    }
}
