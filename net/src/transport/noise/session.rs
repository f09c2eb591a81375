//! An encrypted connection after its handshake, of either generation: frames in the clear on one side, bytes of a socket on
//! the other.

use super::NoiseError;
use super::chunked::ChunkedSession;
use super::first_generation::LengthsSession;

/// The keys of a connection, and the start of a frame that nobody took yet.
///
/// The order of calls is that of [`Lines`](crate::transport::lines::Lines): [`NoiseSession::receive`] for each piece of the
/// stream; when a limit stopped it ([`NoiseSession::has_more`]), [`NoiseSession::resume`] before the next piece.
/// [`NoiseSession::seal`] at any time.
#[derive(Debug)]
pub struct NoiseSession(Generation);

#[derive(Debug)]
enum Generation {
    Present(ChunkedSession),
    First(LengthsSession),
}

impl NoiseSession {
    /// Keys for both directions; at most `payload_bytes_max` are taken in a frame.
    pub(super) fn chunked(sealing: &[u8; 32], opening: &[u8; 32], payload_bytes_max: u32) -> Self {
        Self(Generation::Present(ChunkedSession::new(sealing, opening, payload_bytes_max)))
    }

    /// The same for the first generation.
    pub(super) fn with_lengths(sealing: &[u8; 32], opening: &[u8; 32], payload_bytes_max: u32) -> Self {
        Self(Generation::First(LengthsSession::new(sealing, opening, payload_bytes_max)))
    }

    /// Takes up to `frames_max` frames from what was kept and `received`, which is decrypted where it stands, and keeps the
    /// rest. Each is handed to `deliver` in the clear, header and payload. Returns how many were taken.
    ///
    /// # Errors
    /// [`NoiseError::Undecipherable`] or [`NoiseError::FrameTooLong`]: the connection is of no use any more. Frames before
    /// it were delivered.
    pub fn receive(
        &mut self,
        received: &mut [u8],
        frames_max: usize,
        deliver: impl FnMut(&[u8]),
    ) -> Result<usize, NoiseError> {
        match &mut self.0 {
            Generation::Present(session) => session.receive(received, frames_max, deliver),
            Generation::First(session) => session.receive(received, frames_max, deliver),
        }
    }

    /// Goes on with what a limit left of an earlier piece.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub fn resume(&mut self, frames_max: usize, deliver: impl FnMut(&[u8])) -> Result<usize, NoiseError> {
        match &mut self.0 {
            Generation::Present(session) => session.resume(frames_max, deliver),
            Generation::First(session) => session.resume(frames_max, deliver),
        }
    }

    /// Whether a whole frame is still kept, because a limit stopped [`Self::receive`] or [`Self::resume`].
    pub const fn has_more(&self) -> bool {
        match &self.0 {
            Generation::Present(session) => session.has_more(),
            Generation::First(session) => session.has_more(),
        }
    }

    /// Whether the peer has shown that it has the keys, by something that could be decrypted.
    pub const fn has_heard(&self) -> bool {
        match &self.0 {
            Generation::Present(session) => session.has_heard(),
            Generation::First(session) => session.has_heard(),
        }
    }

    /// Bytes that are kept.
    pub fn pending_bytes(&self) -> usize {
        match &self.0 {
            Generation::Present(session) => session.pending_bytes(),
            Generation::First(session) => session.pending_bytes(),
        }
    }

    /// Appends `frames`, whole ones in the clear, encrypted to `out`.
    ///
    /// # Errors
    /// [`NoiseError::NotWholeFrames`] when something else is to be sent.
    pub fn seal(&mut self, frames: &[u8], out: &mut Vec<u8>) -> Result<(), NoiseError> {
        match &mut self.0 {
            Generation::Present(session) => session.seal(frames, out),
            Generation::First(session) => session.seal(frames, out),
        }
    }
}

/// The keys of connections are known here, for the fuzz targets, which tamper with what is encrypted by them.
#[cfg(feature = "fuzzing")]
impl NoiseSession {
    /// One end of a connection without a handshake: what it seals by one key the other end opens by the same.
    pub fn of_keys(is_first_generation: bool, sealing: &[u8; 32], opening: &[u8; 32], payload_bytes_max: u32) -> Self {
        let session = if is_first_generation { Self::with_lengths } else { Self::chunked };
        session(sealing, opening, payload_bytes_max)
    }
}
