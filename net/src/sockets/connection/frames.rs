//! What a connection of Stratum V2 does otherwise: its bytes go through [`NoiseSession`] on their way in and out.
//!
//! Frames are decrypted in the buffer that all connections share; what is sent is encrypted in another one, and what the
//! socket does not take of it waits in the same queue, under the same cap, as that of a plain connection.

use super::{Connection, Cover, Progress, Quota, Written};
use crate::transport::noise::{NoiseError, NoiseSession};
use crate::transport::plain::Piece;
use crate::transport::tls::Scratch;
use std::io::{self, ErrorKind, Read};
use warppool_components::connection::CloseReason;

impl Connection {
    /// Puts the keys of a handshake between the socket and the frames.
    pub(in crate::sockets) fn encrypt(&mut self, session: NoiseSession) {
        self.cover = Some(Box::new(Cover::Noise(session)));
    }

    /// The encryption of Stratum V2, if the connection speaks it.
    pub(in crate::sockets) fn noise(&self) -> Option<&NoiseSession> {
        match self.cover.as_deref() {
            Some(Cover::Noise(session)) => Some(session),
            _ => None,
        }
    }

    /// As [`Self::read_lines`], with frames. What ends a stream within a frame is no frame.
    pub(super) fn read_frames(
        &mut self,
        session: &mut NoiseSession,
        buffer: &mut [u8],
        quota: &mut Quota,
        mut deliver: impl FnMut(&[u8]),
    ) -> Result<Progress, CloseReason> {
        if session.has_more() {
            quota.lines -= session.resume(quota.lines, &mut deliver).map_err(close_reason)?;
        }
        while !session.has_more() && quota.lines > 0 && quota.bytes > 0 {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(Progress::Ended(CloseReason::Peer)),
                Ok(count) => {
                    quota.bytes = quota.bytes.saturating_sub(count);
                    let frames = session.receive(&mut buffer[..count], quota.lines, &mut deliver);
                    quota.lines -= frames.map_err(close_reason)?;
                    if count < buffer.len() && !self.ends && !session.has_more() {
                        return Ok(Progress::Drained);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Drained),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(CloseReason::SocketError),
            }
        }
        Ok(Progress::Unfinished)
    }

    /// As `write_plain`, encrypted: everything for a connection in one go. Each piece is made of whole frames.
    pub(super) fn write_frames<'a>(
        &mut self,
        mut pieces: impl Iterator<Item = Piece<'a>>,
        scratch: &mut Scratch,
    ) -> io::Result<Written> {
        let Some(Cover::Noise(session)) = self.cover.as_deref_mut() else { return Ok(Written::default()) };
        scratch.clear();
        pieces.try_for_each(|piece| session.seal(piece.bytes(), &mut scratch.cipher)).map_err(io::Error::other)?;
        self.write_plain(std::iter::once(Piece::Own(&scratch.cipher)))
    }
}

fn close_reason(error: NoiseError) -> CloseReason {
    match error {
        NoiseError::FrameTooLong { .. } => CloseReason::FrameTooLong,
        _ => CloseReason::NoiseFailed,
    }
}
