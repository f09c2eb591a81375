//! From an outbox to the sockets: everything for one connection in one system call, in the outbox's order.

use super::Sockets;
use crate::transport::plain::Piece;
use std::ops::Range;
use warppool_components::connection::{CloseReason, ConnectionKey};
use warppool_components::outbox::{Body, Outbox};

/// No write of the outbox.
pub(super) const NO_WRITE: u32 = u32::MAX;

/// What became of an outbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SendReport {
    /// Bytes that the system took at once.
    pub bytes: usize,
    /// System calls that wrote.
    pub calls: usize,
    /// Connections that something was written to.
    pub connections: usize,
    /// Writes for connections that are gone.
    pub stale: usize,
    /// Connections given up, because they left too much unread; the next inbox names them.
    pub slow_readers: usize,
}

/// The writes of an outbox as one chain for each connection. Kept for its memory only.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// For each write the next one to the same connection.
    next: Vec<u32>,
    /// Connections with a chain, in order of their first write.
    touched: Vec<ConnectionKey>,
}

impl Sockets {
    /// Writes what can be written, queues the rest, then ends connections. Nothing here waits. Connections that
    /// are gone, their slots used again or not, are passed over; failures are `Closed` in the next inbox.
    pub fn send(&mut self, outbox: &Outbox) -> SendReport {
        let mut report = SendReport::default();
        self.link(outbox, &mut report);
        for index in 0..self.links.touched.len() {
            self.write_chain(self.links.touched[index], outbox, &mut report);
        }
        for close in &outbox.closes {
            if let Some(connection) = self.free(close.connection) {
                connection.hang_up(&mut self.read_buffer);
            }
        }
        report
    }

    fn link(&mut self, outbox: &Outbox, report: &mut SendReport) {
        let Links { next, touched } = &mut self.links;
        next.clear();
        next.resize(outbox.writes.len(), NO_WRITE);
        touched.clear();
        for (index, write) in outbox.writes.iter().enumerate() {
            let Some(connection) = self.table.get_mut(write.connection) else {
                report.stale += 1;
                continue;
            };
            match std::mem::replace(&mut connection.last_write, index as u32) {
                NO_WRITE => {
                    connection.first_write = index as u32;
                    touched.push(write.connection);
                }
                last => next[last as usize] = index as u32,
            }
        }
    }

    fn write_chain(&mut self, key: ConnectionKey, outbox: &Outbox, report: &mut SendReport) {
        let Some(connection) = self.table.get_mut(key) else { return };
        let at = std::mem::replace(&mut connection.first_write, NO_WRITE);
        connection.last_write = NO_WRITE;
        if connection.is_given_up() {
            return;
        }
        let failed = match connection.write(Chain { outbox, next: &self.links.next, at }, &mut self.scratch) {
            Ok(written) => {
                report.bytes += written.bytes;
                report.calls += written.calls;
                report.connections += 1;
                connection.is_slow().then_some(CloseReason::SlowReader)
            }
            Err(_) => Some(CloseReason::SocketError),
        };
        if let Some(reason) = failed {
            report.slow_readers += usize::from(reason == CloseReason::SlowReader);
            connection.give_up(reason);
            connection.mark_ready(key, &mut self.ready);
        }
    }
}

/// The bodies for one connection; own ones that lie side by side come as one.
struct Chain<'a> {
    outbox: &'a Outbox,
    next: &'a [u32],
    at: u32,
}

impl<'a> Chain<'a> {
    fn body(&self) -> Option<&'a Body> {
        self.outbox.writes.get(self.at as usize).map(|write| &write.body)
    }

    fn step(&mut self) {
        self.at = self.next[self.at as usize];
    }

    /// `range` and all own bodies that continue it.
    fn joined(&mut self, range: &Range<u32>) -> Piece<'a> {
        let mut end = range.end;
        while let Some(Body::Own(more)) = self.body()
            && more.start == end
        {
            end = more.end;
            self.step();
        }
        Piece::Own(&self.outbox.bytes[range.start as usize..end as usize])
    }
}

impl<'a> Iterator for Chain<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let body = self.body()?;
        self.step();
        Some(match body {
            Body::Own(range) => self.joined(range),
            Body::Shared(bytes) => Piece::Shared(bytes),
        })
    }
}
