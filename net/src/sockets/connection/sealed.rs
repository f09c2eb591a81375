//! What a connection over TLS does otherwise: its bytes go through [`TlsServer`] on their way in and out.
//!
//! Plain text and ciphertext pass through buffers that all connections share; what the socket does not take waits in the
//! same queue, under the same cap, as that of a plain connection.

use super::{Connection, Cover, Progress, Quota, Written};
use crate::transport::lines::LineTooLong;
use crate::transport::plain::Piece;
use crate::transport::tls::{Scratch, TlsServer};
use std::io::{self, ErrorKind, Read};
use warppool_components::connection::CloseReason;

impl Connection {
    /// Puts TLS between the socket and the lines.
    pub(in crate::sockets) fn secure(&mut self, tls: TlsServer) {
        self.cover = Some(Box::new(Cover::Tls(Box::new(tls))));
    }

    /// The TLS of the connection, if it has any.
    pub(in crate::sockets) fn tls(&self) -> Option<&TlsServer> {
        match self.cover.as_deref() {
            Some(Cover::Tls(tls)) => Some(tls),
            _ => None,
        }
    }

    fn tls_mut(&mut self) -> Option<&mut TlsServer> {
        match self.cover.as_deref_mut() {
            Some(Cover::Tls(tls)) => Some(tls),
            _ => None,
        }
    }

    /// As [`Self::read_lines`], through TLS. What the handshake wants said is written at once.
    pub(super) fn read_sealed(
        &mut self,
        tls: &mut TlsServer,
        buffer: &mut [u8],
        scratch: &mut Scratch,
        quota: &mut Quota,
        mut deliver: impl FnMut(&[u8]),
    ) -> Result<Progress, CloseReason> {
        let too_long = |_: LineTooLong| CloseReason::LineTooLong;
        if self.lines.has_more() {
            quota.lines -= self.lines.resume(quota.lines, &mut deliver).map_err(too_long)?;
        }
        while !self.lines.has_more() && quota.lines > 0 && quota.bytes > 0 {
            if tls.is_closed_by_peer() {
                self.lines.finish(deliver);
                return Ok(Progress::Ended(CloseReason::Peer));
            }
            match self.stream.read(buffer) {
                // Nobody vouches for the end of an unfinished line.
                Ok(0) => return Ok(Progress::Ended(CloseReason::Peer)),
                Ok(count) => {
                    quota.bytes = quota.bytes.saturating_sub(count);
                    scratch.clear();
                    let received = tls.receive(&mut buffer[..count], scratch);
                    let lines = self.lines.receive(&scratch.plain, quota.lines, &mut deliver).map_err(too_long)?;
                    quota.lines -= lines;
                    self.answer_handshake(&scratch.cipher)?;
                    received.map_err(|_| CloseReason::TlsFailed)?;
                    let may_hold_more = self.ends || self.lines.has_more() || tls.is_closed_by_peer();
                    if count < buffer.len() && !may_hold_more {
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

    /// A peer that makes TLS talk (by key updates) and does not listen is a slow reader like any other.
    fn answer_handshake(&mut self, cipher: &[u8]) -> Result<(), CloseReason> {
        if cipher.is_empty() || self.is_given_up() {
            return Ok(());
        }
        self.write_plain(std::iter::once(Piece::Own(cipher))).map_err(|_| CloseReason::SocketError)?;
        if self.is_slow() { Err(CloseReason::SlowReader) } else { Ok(()) }
    }

    /// As `write_plain`, through TLS: everything for a connection in one go.
    pub(super) fn write_sealed<'a>(
        &mut self,
        pieces: impl Iterator<Item = Piece<'a>>,
        scratch: &mut Scratch,
    ) -> io::Result<Written> {
        let Some(tls) = self.tls_mut() else { return Ok(Written::default()) };
        scratch.clear();
        pieces.for_each(|piece| scratch.plain.extend_from_slice(piece.bytes()));
        tls.seal(&scratch.plain, &mut scratch.cipher).map_err(io::Error::other)?;
        self.write_plain(std::iter::once(Piece::Own(&scratch.cipher)))
    }

    /// Tells a peer over TLS that nothing more will come, so that it can tell an end from a cut.
    pub(super) fn say_farewell(&mut self) {
        if let Some(tls) = self.tls_mut() {
            let mut farewell = Vec::new();
            tls.close(&mut farewell);
            self.queue.push(Piece::Own(&farewell), 0);
        }
    }
}
