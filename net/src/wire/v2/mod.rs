//! Stratum V2: binary frames.
//!
//! Encryption is not here but in `transport`: what is read and written here are frames in the clear. [`message`] holds one
//! struct for each message, which both reads and writes it, so that pool, translator and simulated miners share one codec.
//! Texts and lists are borrowed from the frame: nothing allocates but the buffer that is written to. [`scan_shares`] reads
//! the one message that matters for throughput.
//!
//! What does not happen here: nothing is remembered between two frames, nobody is answered.

mod field;
mod header;
pub mod message;
mod submit;

pub use field::{ChannelIds, DecodeError, ExtensionIds, MerklePath, Text, Wide};
pub use header::{FRAME_HEADER_BYTES, FrameHeader};
pub use message::Message;
pub use submit::{Shares, error_code, scan_shares};

/// The extension of every message that the base protocol defines.
pub const EXTENSION_BASE: u16 = 0;

/// The extension by which others are negotiated.
pub const EXTENSION_NEGOTIATION: u16 = 1;

/// The protocol version that is spoken, and the only one there is.
pub const PROTOCOL_VERSION: u16 = 2;

/// Splits a frame into its header and its payload. `None` when the bytes are not exactly one frame.
pub fn split(frame: &[u8]) -> Option<(FrameHeader, &[u8])> {
    let (header, payload) = frame.split_first_chunk::<FRAME_HEADER_BYTES>()?;
    let header = FrameHeader::decode(*header);
    (payload.len() == header.payload_bytes as usize).then_some((header, payload))
}
