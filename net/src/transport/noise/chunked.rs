//! Frames whose header is encrypted by itself and whose payload is in chunks: Stratum V2 as it is spoken today.
//!
//! The order of calls is that of [`Lines`](crate::transport::lines::Lines): [`ChunkedSession::receive`] for each piece of the
//! stream; when a limit stopped it ([`ChunkedSession::has_more`]), [`ChunkedSession::resume`] before the next piece.
//! [`ChunkedSession::seal`] at any time.
//!
//! Frames are decrypted and encrypted where they stand. What is kept between two pieces is the frame that is not whole,
//! and its memory is given back with its end, so that an idle connection holds its keys and nothing else.

use super::NoiseError;
use super::aead::{CipherKey, TAG_BYTES};
use crate::wire::v2::{FRAME_HEADER_BYTES, FrameHeader};
use std::fmt;

/// Bytes of a header on the wire.
const SEALED_HEADER_BYTES: usize = FRAME_HEADER_BYTES + TAG_BYTES;

/// Plain bytes in one chunk of a payload: what a Noise message holds beside its tag.
const CHUNK_BYTES: usize = 65_535 - TAG_BYTES;

/// The keys of a connection, and the start of a frame that nobody took yet.
pub(super) struct ChunkedSession {
    sealing: CipherKey,
    opening: CipherKey,
    payload_bytes_max: u32,
    /// The start of a frame, or whole frames too when `has_more`. A header that is decrypted stands there in the clear.
    pending: Vec<u8>,
    /// The first frame's header is decrypted.
    is_header_open: bool,
    has_more: bool,
    has_heard: bool,
}

impl ChunkedSession {
    /// Keys for both directions; at most `payload_bytes_max` are taken in a frame.
    pub(super) fn new(sealing: &[u8; 32], opening: &[u8; 32], payload_bytes_max: u32) -> Self {
        Self {
            sealing: CipherKey::new(sealing),
            opening: CipherKey::new(opening),
            payload_bytes_max,
            pending: Vec::new(),
            is_header_open: false,
            has_more: false,
            has_heard: false,
        }
    }

    /// Takes up to `frames_max` frames from what was kept and `received`, which is decrypted where it stands, and keeps the
    /// rest. Each is handed to `deliver` in the clear, header and payload. Returns how many were taken.
    ///
    /// # Errors
    /// [`NoiseError::Undecipherable`] or [`NoiseError::FrameTooLong`]: the connection is of no use any more. Frames before
    /// it were delivered.
    pub(super) fn receive(
        &mut self,
        received: &mut [u8],
        frames_max: usize,
        deliver: impl FnMut(&[u8]),
    ) -> Result<usize, NoiseError> {
        debug_assert!(!self.has_more, "what an earlier limit left comes first");
        if self.pending.is_empty() {
            let (used, frames) = self.take(received, frames_max, deliver)?;
            self.pending.extend_from_slice(&received[used..]);
            return Ok(frames);
        }
        self.pending.extend_from_slice(received);
        self.take_pending(frames_max, deliver)
    }

    /// Goes on with what a limit left of an earlier piece.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub(super) fn resume(&mut self, frames_max: usize, deliver: impl FnMut(&[u8])) -> Result<usize, NoiseError> {
        self.take_pending(frames_max, deliver)
    }

    /// Whether a whole frame is still kept, because a limit stopped [`Self::receive`] or [`Self::resume`].
    pub(super) const fn has_more(&self) -> bool {
        self.has_more
    }

    /// Whether the peer has shown that it has the keys, by a header that could be decrypted.
    pub(super) const fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// Bytes that are kept.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Appends `frames`, whole ones in the clear, encrypted to `out`.
    ///
    /// # Errors
    /// [`NoiseError::NotWholeFrames`] when something else is to be sent.
    pub(super) fn seal(&mut self, frames: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        let mut rest = frames;
        while let Some((header, behind)) = rest.split_first_chunk() {
            let length = FrameHeader::decode(*header).payload_bytes as usize;
            let (payload, next) = behind.split_at_checked(length).ok_or(NoiseError::NotWholeFrames)?;
            self.append_sealed(header, out)?;
            for chunk in payload.chunks(CHUNK_BYTES) {
                self.append_sealed(chunk, out)?;
            }
            rest = next;
        }
        if rest.is_empty() { Ok(()) } else { Err(NoiseError::NotWholeFrames) }
    }

    fn append_sealed(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        let start = out.len();
        out.extend_from_slice(plain);
        let tag = self.sealing.seal(&mut out[start..])?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    fn take_pending(&mut self, frames_max: usize, deliver: impl FnMut(&[u8])) -> Result<usize, NoiseError> {
        let mut pending = std::mem::take(&mut self.pending);
        let (used, frames) = self.take(&mut pending, frames_max, deliver)?;
        // What is over is copied, so that the memory of what was taken is given back.
        self.pending = if used == 0 { pending } else { pending[used..].to_vec() };
        Ok(frames)
    }

    /// Takes frames from the front of `buffer`. Returns how many bytes are done with, and how many frames were taken.
    fn take(
        &mut self,
        buffer: &mut [u8],
        frames_max: usize,
        mut deliver: impl FnMut(&[u8]),
    ) -> Result<(usize, usize), NoiseError> {
        let (mut used, mut frames) = (0, 0);
        self.has_more = false;
        while let Some((start, payload_bytes)) = self.next_header(buffer, used)? {
            used = start;
            let sealed = start + FRAME_HEADER_BYTES..start + FRAME_HEADER_BYTES + sealed_bytes(payload_bytes);
            if sealed.end > buffer.len() {
                break;
            }
            if frames == frames_max {
                self.has_more = true;
                break;
            }
            self.open_payload(&mut buffer[sealed.clone()])?;
            deliver(&buffer[start..start + FRAME_HEADER_BYTES + payload_bytes]);
            self.is_header_open = false;
            (used, frames) = (sealed.end, frames + 1);
        }
        Ok((used, frames))
    }

    /// Where the next frame's header stands in the clear, directly before the payload, and how long the payload will be.
    /// `None` when the header is not whole.
    fn next_header(&mut self, buffer: &mut [u8], at: usize) -> Result<Option<(usize, usize)>, NoiseError> {
        let mut start = at;
        if !self.is_header_open {
            let Some(sealed) = buffer.get_mut(at..at + SEALED_HEADER_BYTES) else { return Ok(None) };
            self.opening.open(sealed)?;
            (self.is_header_open, self.has_heard) = (true, true);
            sealed.copy_within(..FRAME_HEADER_BYTES, TAG_BYTES);
            start += TAG_BYTES;
        }
        let header = buffer[start..].first_chunk().expect("an open header is kept with what follows it");
        let payload_bytes = FrameHeader::decode(*header).payload_bytes;
        if payload_bytes > self.payload_bytes_max {
            return Err(NoiseError::FrameTooLong { payload_bytes, payload_bytes_max: self.payload_bytes_max });
        }
        Ok(Some((start, payload_bytes as usize)))
    }

    /// Decrypts all chunks and moves them together, to the front.
    fn open_payload(&mut self, sealed: &mut [u8]) -> Result<(), NoiseError> {
        let (mut from, mut to) = (0, 0);
        while from < sealed.len() {
            let end = sealed.len().min(from + CHUNK_BYTES + TAG_BYTES);
            self.opening.open(&mut sealed[from..end])?;
            if to < from {
                sealed.copy_within(from..end - TAG_BYTES, to);
            }
            to += end - TAG_BYTES - from;
            from = end;
        }
        Ok(())
    }
}

/// Bytes of a payload on the wire.
const fn sealed_bytes(payload_bytes: usize) -> usize {
    payload_bytes + payload_bytes.div_ceil(CHUNK_BYTES) * TAG_BYTES
}

/// By hand, because it holds keys and perhaps a password.
impl fmt::Debug for ChunkedSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ChunkedSession {{ pending: {} bytes, has_more: {} }}", self.pending.len(), self.has_more)
    }
}
