//! Stratum V2: binary frames.
//!
//! Encryption is not here but in `transport`: what is read and written here are frames in the clear.

mod header;

pub use header::{FRAME_HEADER_BYTES, FrameHeader};
