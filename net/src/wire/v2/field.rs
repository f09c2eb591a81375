//! What messages are made of: numbers in little endian, and texts and lists behind their length (specification, 3.1).

use warppool_components::units::{Hash256, Target};

/// Why bytes are not the message that their header announces.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// They end within a field.
    #[error("the frame ends within a field: {missing} more bytes are needed")]
    Short {
        /// How many bytes are missing at least.
        missing: usize,
    },
    /// A truth value or an optional field begins with another byte than 0 or 1.
    #[error("{0} stands where 0 or 1 is allowed")]
    NotABit(u8),
    /// A text or list is longer than its kind of field allows.
    #[error("a field has {bytes} bytes, {max} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// The frame is another message.
    #[error("the frame is a message of type {0:#04x}, not the one that was asked for")]
    OtherMessage(u8),
}

/// Takes fields off the front of a payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the first byte on.
    pub(super) const fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    fn array<const BYTES: usize>(&mut self) -> Result<&'a [u8; BYTES], DecodeError> {
        let missing = BYTES.saturating_sub(self.rest.len());
        let (field, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Short { missing })?;
        self.rest = rest;
        Ok(field)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let missing = count.saturating_sub(self.rest.len());
        let (field, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Short { missing })?;
        self.rest = rest;
        Ok(field)
    }
}

/// Something that stands in a message.
pub(super) trait Field<'a>: Sized {
    /// Takes it off the front.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no such field.
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError>;

    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);
}

macro_rules! number {
    ($($kind:ty),*) => {$(
        impl Field<'_> for $kind {
            #[inline]
            fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.array().map(|bytes| Self::from_le_bytes(*bytes))
            }

            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

number!(u8, u16, u32, u64, f32);

impl Field<'_> for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match u8::read(reader)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::NotABit(other)),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

/// `OPTION[U32]`: a count of 0 or 1, and the value.
impl Field<'_> for Option<u32> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if bool::read(reader)? { u32::read(reader).map(Some) } else { Ok(None) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }
}

/// A hash as it stands in headers.
impl Field<'_> for Hash256 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(|bytes| Self::from_internal(*bytes))
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_internal());
    }
}

/// A target as a number of 256 bits, lowest byte first.
impl Field<'_> for Target {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut bytes = *reader.array::<32>()?;
        bytes.reverse();
        Ok(Self::from_big_endian(bytes))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut bytes = self.to_big_endian();
        bytes.reverse();
        out.extend_from_slice(&bytes);
    }
}

/// `STR0_255`: at most 255 bytes, in UTF-8 if their sender keeps to the rules. A longer one is cut when it is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Text<'a>(pub &'a [u8]);

impl Text<'_> {
    /// The text, what is no UTF-8 replaced.
    pub fn to_text(self) -> String {
        String::from_utf8_lossy(self.0).into_owned()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(&text.as_bytes()[..text.floor_char_boundary(usize::from(u8::MAX))])
    }
}

impl<'a> Field<'a> for Text<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let length = u8::read(reader)?;
        reader.bytes(usize::from(length)).map(Self)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let bytes = &self.0[..self.0.len().min(usize::from(u8::MAX))];
        out.push(bytes.len() as u8);
        out.extend_from_slice(bytes);
    }
}

/// Longest `B0_32`.
const SHORT_BYTES_MAX: usize = 32;

/// `B0_32`: an extranonce or a part of one.
impl<'a> Field<'a> for &'a [u8] {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let bytes = usize::from(u8::read(reader)?);
        if bytes > SHORT_BYTES_MAX {
            return Err(DecodeError::TooLong { bytes, max: SHORT_BYTES_MAX });
        }
        reader.bytes(bytes)
    }

    fn write(&self, out: &mut Vec<u8>) {
        debug_assert!(self.len() <= SHORT_BYTES_MAX);
        out.push(self.len() as u8);
        out.extend_from_slice(self);
    }
}

/// `B0_64K`: a part of a coinbase.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wide<'a>(pub &'a [u8]);

impl<'a> Field<'a> for Wide<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let length = u16::read(reader)?;
        reader.bytes(usize::from(length)).map(Self)
    }

    fn write(&self, out: &mut Vec<u8>) {
        debug_assert!(self.0.len() <= usize::from(u16::MAX));
        (self.0.len() as u16).write(out);
        out.extend_from_slice(self.0);
    }
}

/// `SEQ0_255[U256]`: a merkle path, deepest first, as it was received or as the pool holds it.
#[derive(Clone, Copy, Debug)]
pub enum MerklePath<'a> {
    /// In a frame.
    Received(&'a [[u8; 32]]),
    /// In a template.
    Held(&'a [Hash256]),
}

impl MerklePath<'_> {
    /// How many hashes it has.
    pub const fn len(&self) -> usize {
        match self {
            Self::Received(hashes) => hashes.len(),
            Self::Held(hashes) => hashes.len(),
        }
    }

    /// Whether the coinbase is the only transaction.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The hashes, deepest first.
    pub fn iter(&self) -> impl Iterator<Item = Hash256> {
        (0..self.len()).map(|place| match self {
            Self::Received(hashes) => Hash256::from_internal(hashes[place]),
            Self::Held(hashes) => hashes[place],
        })
    }
}

impl PartialEq for MerklePath<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a> Field<'a> for MerklePath<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = usize::from(u8::read(reader)?);
        Ok(Self::Received(reader.bytes(32 * count)?.as_chunks().0))
    }

    fn write(&self, out: &mut Vec<u8>) {
        debug_assert!(self.len() <= usize::from(u8::MAX));
        out.push(self.len() as u8);
        match self {
            Self::Received(hashes) => out.extend_from_slice(hashes.as_flattened()),
            Self::Held(hashes) => hashes.iter().for_each(|hash| hash.write(out)),
        }
    }
}

macro_rules! list {
    ($(#[$meta:meta])* $name:ident, $item:ty, $bytes:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name<'a> {
            /// In a frame.
            Received(&'a [[u8; $bytes]]),
            /// To be sent.
            Held(&'a [$item]),
        }

        impl $name<'_> {
            /// How many there are.
            pub const fn len(&self) -> usize {
                match self {
                    Self::Received(items) => items.len(),
                    Self::Held(items) => items.len(),
                }
            }

            /// Whether there is none.
            pub const fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// The numbers in their order.
            pub fn iter(&self) -> impl Iterator<Item = $item> {
                (0..self.len()).map(|place| match self {
                    Self::Received(items) => <$item>::from_le_bytes(items[place]),
                    Self::Held(items) => items[place],
                })
            }
        }

        impl PartialEq for $name<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl<'a> Field<'a> for $name<'a> {
            fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
                let count = usize::from(u16::read(reader)?);
                Ok(Self::Received(reader.bytes($bytes * count)?.as_chunks().0))
            }

            fn write(&self, out: &mut Vec<u8>) {
                debug_assert!(self.len() <= usize::from(u16::MAX));
                (self.len() as u16).write(out);
                self.iter().for_each(|item| item.write(out));
            }
        }
    };
}

list!(
    /// `SEQ0_64K[U32]`: channels.
    ChannelIds, u32, 4
);
list!(
    /// `SEQ0_64K[U16]`: extensions.
    ExtensionIds, u16, 2
);
