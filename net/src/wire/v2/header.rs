//! The head of a frame: to which extension it belongs, what it is, how long it is.

/// Bytes of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 6;

/// The longest payload that a header can tell: its length has 24 bits.
const PAYLOAD_BYTES_MAX: u32 = (1 << 24) - 1;

/// The top bit of the extension: the message's first field is a channel.
const CHANNEL_BIT: u16 = 1 << 15;

/// A frame's header. On the wire: extension and channel bit (16 bits), type (8), length (24), little endian
/// (Stratum V2 specification, 3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// The extension that defines the message, 0 for the base protocol, without the channel bit.
    pub extension: u16,
    /// Whether the message belongs to a channel, whose number is the first field of its payload.
    pub is_channel_message: bool,
    /// What the payload is.
    pub message_type: u8,
    /// Bytes of the payload in the clear.
    pub payload_bytes: u32,
}

impl FrameHeader {
    /// Reads a header.
    pub const fn decode(bytes: [u8; FRAME_HEADER_BYTES]) -> Self {
        let extension = u16::from_le_bytes([bytes[0], bytes[1]]);
        Self {
            extension: extension & !CHANNEL_BIT,
            is_channel_message: extension & CHANNEL_BIT != 0,
            message_type: bytes[2],
            payload_bytes: u32::from_le_bytes([bytes[3], bytes[4], bytes[5], 0]),
        }
    }

    /// Writes it. A payload of 2^24 bytes or more cannot be told; nobody makes one.
    pub const fn encode(self) -> [u8; FRAME_HEADER_BYTES] {
        debug_assert!(self.payload_bytes <= PAYLOAD_BYTES_MAX);
        let channel_bit = if self.is_channel_message { CHANNEL_BIT } else { 0 };
        let extension = (self.extension & !CHANNEL_BIT | channel_bit).to_le_bytes();
        let length = self.payload_bytes.to_le_bytes();
        [extension[0], extension[1], self.message_type, length[0], length[1], length[2]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Laid out by hand after the specification.
    #[test]
    fn a_header_is_six_little_endian_bytes() {
        let header =
            FrameHeader { extension: 2, is_channel_message: true, message_type: 0x1b, payload_bytes: 0x01_02_03 };
        assert_eq!(header.encode(), [2, 0x80, 0x1b, 3, 2, 1]);
        assert_eq!(FrameHeader::decode([2, 0x80, 0x1b, 3, 2, 1]), header);
    }

    #[test]
    fn every_header_is_read_and_written_back() {
        for number in 0..u64::from(u16::MAX) {
            let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
            let bytes = [mixed[0], mixed[1], mixed[2], mixed[3], mixed[4], mixed[5]];
            assert_eq!(FrameHeader::decode(bytes).encode(), bytes);
        }
    }
}
