//! Noise messages behind their lengths, each mostly one frame: the stream of the first generation.

use super::LENGTH_BYTES;
use crate::transport::noise::NoiseError;
use crate::transport::noise::aead::{CipherKey, TAG_BYTES};
use crate::wire::v2::{FRAME_HEADER_BYTES, FrameHeader};
use std::fmt;

/// Plain bytes that a Noise message holds.
const MESSAGE_BYTES_MAX: usize = 65_535 - TAG_BYTES;

/// The keys of a connection, the start of a message that is not whole, and what no frame was made of yet.
pub(in crate::transport::noise) struct LengthsSession {
    sealing: CipherKey,
    opening: CipherKey,
    payload_bytes_max: u32,
    /// The start of a message as it came.
    sealed: Vec<u8>,
    /// The start of a frame in the clear, or whole frames too when `has_more`.
    plain: Vec<u8>,
    has_more: bool,
    has_heard: bool,
    /// Why nothing is taken behind `plain`.
    broken: Option<NoiseError>,
}

impl LengthsSession {
    pub(in crate::transport::noise) fn new(sealing: &[u8; 32], opening: &[u8; 32], payload_bytes_max: u32) -> Self {
        Self {
            sealing: CipherKey::new(sealing),
            opening: CipherKey::new(opening),
            payload_bytes_max,
            sealed: Vec::new(),
            plain: Vec::new(),
            has_more: false,
            has_heard: false,
            broken: None,
        }
    }

    /// As [`NoiseSession::receive`](crate::transport::noise::NoiseSession::receive).
    pub(in crate::transport::noise) fn receive(
        &mut self,
        received: &[u8],
        frames_max: usize,
        deliver: impl FnMut(&[u8]),
    ) -> Result<usize, NoiseError> {
        debug_assert!(!self.has_more, "what an earlier limit left comes first");
        let mut sealed = std::mem::take(&mut self.sealed);
        sealed.extend_from_slice(received);
        // What came before a broken message still counts, however many calls it takes.
        match self.open_messages(&mut sealed) {
            Ok(used) => self.sealed = sealed.split_off(used),
            Err(error) => self.broken = Some(error),
        }
        self.resume(frames_max, deliver)
    }

    /// As [`NoiseSession::resume`](crate::transport::noise::NoiseSession::resume).
    pub(in crate::transport::noise) fn resume(
        &mut self,
        frames_max: usize,
        mut deliver: impl FnMut(&[u8]),
    ) -> Result<usize, NoiseError> {
        let plain = std::mem::take(&mut self.plain);
        let (mut rest, mut frames) = (plain.as_slice(), 0);
        self.has_more = false;
        while let Some(frame) = self.first_frame(rest)? {
            if frames == frames_max {
                self.has_more = true;
                break;
            }
            deliver(frame);
            (rest, frames) = (&rest[frame.len()..], frames + 1);
        }
        self.plain = rest.to_vec();
        if !self.has_more
            && let Some(error) = self.broken.take()
        {
            return Err(error);
        }
        Ok(frames)
    }

    pub(in crate::transport::noise) const fn has_more(&self) -> bool {
        self.has_more
    }

    pub(in crate::transport::noise) const fn has_heard(&self) -> bool {
        self.has_heard
    }

    pub(in crate::transport::noise) fn pending_bytes(&self) -> usize {
        self.sealed.len() + self.plain.len()
    }

    /// As [`NoiseSession::seal`](crate::transport::noise::NoiseSession::seal).
    pub(in crate::transport::noise) fn seal(&mut self, frames: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        let mut rest = frames;
        while let Some(header) = rest.first_chunk() {
            let length = FRAME_HEADER_BYTES + FrameHeader::decode(*header).payload_bytes as usize;
            let (frame, next) = rest.split_at_checked(length).ok_or(NoiseError::NotWholeFrames)?;
            frame.chunks(MESSAGE_BYTES_MAX).try_for_each(|message| self.append_sealed(message, out))?;
            rest = next;
        }
        if rest.is_empty() { Ok(()) } else { Err(NoiseError::NotWholeFrames) }
    }

    fn append_sealed(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        // A message has at most 65,535 bytes with its tag.
        out.extend_from_slice(&((message.len() + TAG_BYTES) as u16).to_le_bytes());
        let start = out.len();
        out.extend_from_slice(message);
        let tag = self.sealing.seal(&mut out[start..])?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// Decrypts all whole messages at the front of `sealed`. Returns how many bytes they are.
    fn open_messages(&mut self, sealed: &mut [u8]) -> Result<usize, NoiseError> {
        let mut used = 0;
        while let Some(length) = sealed[used..].first_chunk::<LENGTH_BYTES>() {
            let length = usize::from(u16::from_le_bytes(*length));
            let text_bytes = length.checked_sub(TAG_BYTES).ok_or(NoiseError::Undecipherable)?;
            self.check_length(text_bytes.saturating_sub(FRAME_HEADER_BYTES) as u32)?;
            let start = used + LENGTH_BYTES;
            let Some(message) = sealed.get_mut(start..start + length) else { break };
            self.opening.open(message)?;
            self.has_heard = true;
            self.plain.extend_from_slice(&message[..text_bytes]);
            used = start + length;
        }
        Ok(used)
    }

    /// The frame that `plain` begins with, once it is whole.
    fn first_frame<'a>(&self, plain: &'a [u8]) -> Result<Option<&'a [u8]>, NoiseError> {
        let Some(header) = plain.first_chunk() else { return Ok(None) };
        let payload_bytes = FrameHeader::decode(*header).payload_bytes;
        self.check_length(payload_bytes)?;
        Ok(plain.get(..FRAME_HEADER_BYTES + payload_bytes as usize))
    }

    fn check_length(&self, payload_bytes: u32) -> Result<(), NoiseError> {
        let payload_bytes_max = self.payload_bytes_max;
        if payload_bytes > payload_bytes_max {
            return Err(NoiseError::FrameTooLong { payload_bytes, payload_bytes_max });
        }
        Ok(())
    }
}

/// By hand, because it holds keys and perhaps a password.
impl fmt::Debug for LengthsSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LengthsSession {{ pending: {} bytes }}", self.pending_bytes())
    }
}
