//! What is said on a connection, in either protocol: bytes and the time come in, bytes go out.

use std::io;
use std::time::Instant;

use super::session::Session;
use super::v2::V2Session;
use super::work::{Share, Work};
use super::{MinerOptions, MinerStats};
use crate::limits::LINE_BYTES_MAX;

/// Call [`Talk::advance`] first and whenever time passed or bytes came; write what [`Talk::take_outgoing`] gives. After
/// [`Talk::failure`] says something, close.
pub(super) trait Talk {
    /// Says what is due.
    fn advance(&mut self, now: Instant);
    /// Takes bytes of the pool.
    fn hear(&mut self, bytes: &mut [u8]) -> io::Result<()>;
    /// What is to be written.
    fn take_outgoing(&mut self) -> Vec<u8>;
    /// Work to hash, once there is some.
    fn work(&mut self) -> Option<&mut Work>;
    /// Sends a share.
    fn submit(&mut self, share: &Share);
    /// Whether a submit is unanswered.
    fn awaits_verdicts(&self) -> bool;
    /// Why it cannot go on.
    fn failure(&self) -> Option<&str>;
    /// What the next connection may resume.
    fn session_id(&self) -> Option<&str>;
    /// Whether the pool takes shares.
    fn is_authorized(&self) -> bool;
    /// `before` (the connections before this one) with what this connection adds.
    fn stats_after(&self, before: &MinerStats) -> MinerStats;
}

/// Begins to talk as these options say.
pub(super) fn talk(options: &MinerOptions, session_id: Option<String>) -> io::Result<Box<dyn Talk>> {
    Ok(match options.authority {
        Some(authority) => Box::new(V2Session::begin(options, authority).map_err(io::Error::other)?),
        None => Box::new(Lines { session: Session::new(options.clone(), session_id), received: Vec::new() }),
    })
}

/// Stratum V1.
struct Lines {
    session: Session,
    received: Vec<u8>,
}

impl Talk for Lines {
    fn advance(&mut self, now: Instant) {
        self.session.advance(now);
    }

    fn hear(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.received.extend_from_slice(bytes);
        if self.received.len() > LINE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the pool sent a line without an end"));
        }
        while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.received.drain(..=end).collect();
            self.session.receive(String::from_utf8_lossy(&line).trim());
        }
        Ok(())
    }

    fn take_outgoing(&mut self) -> Vec<u8> {
        self.session.take_outgoing().into_bytes()
    }

    fn work(&mut self) -> Option<&mut Work> {
        self.session.work()
    }

    fn submit(&mut self, share: &Share) {
        self.session.submit(share);
    }

    fn awaits_verdicts(&self) -> bool {
        self.session.awaits_verdicts()
    }

    fn failure(&self) -> Option<&str> {
        self.session.failure()
    }

    fn session_id(&self) -> Option<&str> {
        self.session.session_id()
    }

    fn is_authorized(&self) -> bool {
        self.session.is_authorized()
    }

    fn stats_after(&self, before: &MinerStats) -> MinerStats {
        self.session.stats_after(before)
    }
}
