//! One connection: its socket, the start of a line, and what it was not able to take.

mod frames;
mod sealed;

use super::send::NO_WRITE;
use crate::admission::PeerNetwork;
use crate::transport::lines::{LineTooLong, Lines};
use crate::transport::noise::NoiseSession;
use crate::transport::plain::{Piece, SendQueue};
use crate::transport::tls::{Scratch, TlsServer};
use mio::net::TcpStream;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use warppool_components::connection::{CloseReason, ConnectionKey};
use warppool_components::limits::{SEND_BUFFER_BYTES_MAX, SEND_BUFFER_BYTES_UNTIL_UNHEARD};

/// Bodies handed to the system in one call; replies of one tick lie side by side and count as one.
const SLICES_PER_WRITE: usize = 32;

/// Reads that are thrown away before a socket is closed. Closing with unread bytes makes the system reset the
/// connection, and the peer may lose what it was sent last.
const READS_BEFORE_CLOSE: usize = 4;

/// What may still be taken from a connection in this tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Quota {
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

/// How far reading came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// Nothing is left; the next event tells of more.
    Drained,
    /// The quota ended first.
    Unfinished,
    /// Nothing will come any more.
    Ended(CloseReason),
}

/// What one write achieved.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Written {
    pub(super) bytes: usize,
    pub(super) calls: usize,
}

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// It came from an address that may speak for another. The engine learns of it when it is known for which.
    Held,
    /// What it speaks is not known.
    Undecided,
    /// It speaks HTTP; its request is not there as a whole.
    Http,
    /// It speaks TLS; the handshake is not over.
    Handshake,
    /// It speaks Stratum V2; its key, or what the first generation says before it, is not there as a whole.
    NoiseKey,
    /// That is there and waits for an answer.
    NoiseHandshake,
    /// Its lines or frames are taken.
    Served,
}

/// What a listener is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Door {
    /// Everything that miners speak.
    Any,
    /// TLS alone.
    Tls,
    /// Stratum V2 alone.
    Noise,
    /// The first generation of Stratum V2 alone.
    FirstGeneration,
}

/// What stands between a socket and its messages.
#[derive(Debug)]
enum Cover {
    /// Lines of Stratum V1 within TLS.
    Tls(Box<TlsServer>),
    /// Frames of Stratum V2.
    Noise(NoiseSession),
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// Where it comes from, as limits count it; unknown while a proxy has not said it.
    network: PeerNetwork,
    /// It was let in, so its end is counted too.
    is_admitted: bool,
    lines: Lines,
    queue: SendQueue,
    /// What encrypts it; a connection in plain text has none, and pays with a pointer alone for those that have.
    cover: Option<Box<Cover>>,
    pub(super) stage: Stage,
    pub(super) door: Door,
    /// First and last write of the outbox at hand that is for this connection.
    pub(super) first_write: u32,
    pub(super) last_write: u32,
    /// It stands in the list of those that may have something to read.
    is_ready: bool,
    /// It has something to read, but is not listened to before it reads itself.
    is_unheard: bool,
    /// An event told that the stream has an end, so reading goes on until it is found.
    ends: bool,
    /// We gave it up: nothing is written any more, what is readable is read once more, then it is over.
    given_up: Option<CloseReason>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, door: Door) -> Self {
        Self {
            stream,
            network: PeerNetwork::default(),
            is_admitted: false,
            lines: Lines::default(),
            queue: SendQueue::default(),
            cover: None,
            stage: Stage::Undecided,
            door,
            first_write: NO_WRITE,
            last_write: NO_WRITE,
            is_ready: false,
            is_unheard: false,
            ends: false,
            given_up: None,
        }
    }

    /// It was let in as one of this network.
    pub(super) const fn admit(&mut self, network: PeerNetwork) {
        (self.network, self.is_admitted) = (network, true);
    }

    /// The network as one of which it was let in.
    pub(super) fn admitted(&self) -> Option<PeerNetwork> {
        self.is_admitted.then_some(self.network)
    }

    pub(super) fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub(super) fn mark_ready(&mut self, key: ConnectionKey, ready: &mut VecDeque<ConnectionKey>) {
        if !self.is_ready {
            self.is_ready = true;
            ready.push_back(key);
        }
    }

    /// It is taken from the list of those that may have something to read.
    pub(super) fn unmark_ready(&mut self) {
        self.is_ready = false;
    }

    pub(super) fn note_end(&mut self) {
        self.ends = true;
    }

    /// Whether no more bytes will come than the socket holds.
    pub(super) const fn ends(&self) -> bool {
        self.ends
    }

    /// The bytes that stand first in the socket, up to the size of `buffer`; they stay there. 0 when there are none yet.
    pub(super) fn peek(&mut self, buffer: &mut [u8]) -> Result<usize, CloseReason> {
        loop {
            return match self.stream.peek(buffer) {
                Ok(0) => Err(CloseReason::Peer),
                Ok(count) => Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => Err(CloseReason::SocketError),
            };
        }
    }

    /// Takes bytes that were seen by [`Self::peek`]; `buffer` has their size.
    pub(super) fn consume(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.stream.read_exact(buffer)
    }

    /// Sends nothing more. The owner marks it as ready, so that its end is reported.
    pub(super) fn give_up(&mut self, reason: CloseReason) {
        self.queue.clear();
        self.given_up.get_or_insert(reason);
    }

    pub(super) const fn is_given_up(&self) -> bool {
        self.given_up.is_some()
    }

    /// Hands complete lines or frames to `deliver` until the socket is empty or the quota used up.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        scratch: &mut Scratch,
        quota: &mut Quota,
        deliver: impl FnMut(&[u8]),
    ) -> Progress {
        self.is_ready = false;
        // What it sent before it ended, or before we gave it up, is finite.
        self.is_unheard = !self.ends && self.given_up.is_none() && self.is_behind();
        if self.is_unheard {
            return Progress::Drained;
        }
        let progress = match self.cover.take() {
            None => self.read_lines(buffer, quota, deliver).unwrap_or(Progress::Ended(CloseReason::LineTooLong)),
            Some(mut cover) => {
                let progress = match &mut *cover {
                    Cover::Tls(tls) => self.read_sealed(tls, buffer, scratch, quota, deliver),
                    Cover::Noise(session) => self.read_frames(session, buffer, quota, deliver),
                };
                self.cover = Some(cover);
                progress.unwrap_or_else(Progress::Ended)
            }
        };
        match (self.given_up, progress) {
            // The peer is gone; what it sent before is finite and still worth having.
            (Some(CloseReason::SocketError), Progress::Unfinished) | (None, _) => progress,
            (Some(reason), _) => Progress::Ended(reason),
        }
    }

    fn read_lines(
        &mut self,
        buffer: &mut [u8],
        quota: &mut Quota,
        mut deliver: impl FnMut(&[u8]),
    ) -> Result<Progress, LineTooLong> {
        if self.lines.has_more() {
            quota.lines -= self.lines.resume(quota.lines, &mut deliver)?;
        }
        while !self.lines.has_more() && quota.lines > 0 && quota.bytes > 0 {
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.lines.finish(deliver);
                    return Ok(Progress::Ended(CloseReason::Peer));
                }
                Ok(count) => {
                    quota.bytes = quota.bytes.saturating_sub(count);
                    quota.lines -= self.lines.receive(&buffer[..count], quota.lines, &mut deliver)?;
                    // A short read has emptied the socket: the call that would say so can be spared.
                    if count < buffer.len() && !self.ends && !self.lines.has_more() {
                        return Ok(Progress::Drained);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Drained),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(Progress::Ended(CloseReason::SocketError)),
            }
        }
        Ok(Progress::Unfinished)
    }

    /// Writes `pieces` behind what already waits, and queues what the socket does not take.
    pub(super) fn write<'a>(
        &mut self,
        pieces: impl Iterator<Item = Piece<'a>>,
        scratch: &mut Scratch,
    ) -> io::Result<Written> {
        match self.cover.as_deref() {
            None => self.write_plain(pieces),
            Some(Cover::Tls(_)) => self.write_sealed(pieces, scratch),
            Some(Cover::Noise(_)) => self.write_frames(pieces, scratch),
        }
    }

    fn write_plain<'a>(&mut self, mut pieces: impl Iterator<Item = Piece<'a>>) -> io::Result<Written> {
        let mut written = Written::default();
        while self.queue.is_empty() {
            let mut batch = [Piece::Own(&[]); SLICES_PER_WRITE];
            let count = batch.iter_mut().zip(&mut pieces).map(|(place, piece)| *place = piece).count();
            if count == 0 {
                return Ok(written);
            }
            let sent = self.write_batch(&batch[..count])?;
            written.bytes += sent;
            written.calls += 1;
        }
        pieces.for_each(|piece| self.queue.push(piece, 0));
        Ok(written)
    }

    fn write_batch(&mut self, batch: &[Piece<'_>]) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
        for (slice, piece) in slices.iter_mut().zip(batch) {
            *slice = IoSlice::new(piece.bytes());
        }
        let mut sent = write_some(&mut self.stream, &slices[..batch.len()])?;
        let total = sent;
        for piece in batch {
            let skipped = sent.min(piece.bytes().len());
            self.queue.push(*piece, skipped);
            sent -= skipped;
        }
        if !self.queue.is_empty() {
            // Only a socket that has refused bytes tells when it takes some again.
            self.flush()?;
        }
        Ok(total)
    }

    /// Writes what waits, until all is gone or the socket takes no more.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
            let count = self.queue.fill(&mut slices);
            match write_some(&mut self.stream, &slices[..count])? {
                0 => return Ok(()),
                sent => self.queue.advance(sent),
            }
        }
        Ok(())
    }

    /// Whether it was not listened to, and has read so much since that it is again.
    pub(super) fn is_heard_again(&mut self) -> bool {
        let is_heard_again = self.is_unheard && !self.is_behind();
        self.is_unheard &= !is_heard_again;
        is_heard_again
    }

    fn is_behind(&self) -> bool {
        self.queue.bytes() > SEND_BUFFER_BYTES_UNTIL_UNHEARD
    }

    pub(super) fn is_slow(&self) -> bool {
        self.queue.bytes() > SEND_BUFFER_BYTES_MAX
    }

    /// Writes bytes as they are, as far as the socket takes them: for a peer that speaks no protocol of ours.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        // It is about to be left; a peer that is gone misses nothing.
        let _ = self.write_plain(std::iter::once(Piece::Own(bytes)));
    }

    /// Ends the connection in such a way that the peer gets what was written.
    pub(super) fn hang_up(mut self, buffer: &mut [u8]) {
        self.say_farewell();
        // Errors mean that the peer is gone already, which is what is wanted.
        let _ = self.flush();
        let _ = self.stream.shutdown(Shutdown::Write);
        for _ in 0..READS_BEFORE_CLOSE {
            if !matches!(self.stream.read(buffer), Ok(count) if count > 0) {
                break;
            }
        }
    }
}

/// Bytes that the socket took; 0 when it takes none now. `slices` hold at least one byte.
fn write_some(stream: &mut TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        let result = match slices {
            [slice] => stream.write(slice),
            slices => stream.write_vectored(slices),
        };
        match result {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            result => return result,
        }
    }
}
