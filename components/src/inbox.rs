//! Everything that reached the engine since the last tick.

use crate::connection::{CloseReason, ConnectionKey, Protocol};
use crate::node::NodeEvent;
use crate::settings::Settings;
use crate::units::{Instant, UnixTime};
use std::net::IpAddr;
use std::sync::Arc;

/// The moment of a tick on both clocks. The runtime reads them; the engine is given them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// The monotonic clock.
    pub instant: Instant,
    /// The wall clock.
    pub unix: UnixTime,
}

/// A connection that was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Its name from now on.
    pub connection: ConnectionKey,
    /// The other side.
    pub peer: IpAddr,
    /// What it speaks.
    pub protocol: Protocol,
}

/// One complete message: a line of Stratum V1 without its newline and carriage return, or a frame of Stratum V2 in the clear,
/// header and payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line {
    /// Who sent it.
    pub connection: ConnectionKey,
    /// Its first byte in [`Inbox::bytes`].
    pub start: u32,
    /// Behind its last byte.
    pub end: u32,
}

/// A connection that is gone. Its last lines are in the same or an earlier inbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed {
    /// Which one.
    pub connection: ConnectionKey,
    /// Why.
    pub reason: CloseReason,
}

/// What the operator has to say to miners.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MinerMessage {
    /// `address.name`, or an address for all of its workers; nobody means everybody.
    pub worker: Option<Arc<str>>,
    /// What they are told.
    pub content: MinerMessageContent,
}

/// What miners can be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MinerMessageContent {
    /// A sentence for their screens and logs: at most
    /// [`MINER_MESSAGE_BYTES_MAX`](crate::limits::MINER_MESSAGE_BYTES_MAX), without control characters.
    Show(Arc<str>),
    /// They are to connect anew. Host and port of the pool from now on, nothing means where they are; at most
    /// [`RECONNECT_HOST_BYTES_MAX`](crate::limits::RECONNECT_HOST_BYTES_MAX) bytes of printable ASCII.
    Reconnect(Option<(Arc<str>, u16)>),
}

/// An order from outside the engine.
#[derive(Clone, Debug)]
pub enum Command {
    /// New settings; those that can change live do, from the next job on.
    Reload(Box<Settings>),
    /// Tell miners something.
    TellMiners(MinerMessage),
    /// Write everything down, tell miners nothing, close every connection: the pool stops.
    Shutdown,
}

/// The engine's input. Buffers are reused: `clear` keeps their memory.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Accepted connections.
    pub opened: Vec<Opened>,
    /// Text of all lines, one after the other.
    pub bytes: Vec<u8>,
    /// The lines; those of one connection follow each other in order of arrival.
    pub lines: Vec<Line>,
    /// Ended connections.
    pub closed: Vec<Closed>,
    /// News from the node.
    pub node: Vec<NodeEvent>,
    /// Orders.
    pub commands: Vec<Command>,
}

impl Inbox {
    /// The text of `line`.
    pub fn text(&self, line: &Line) -> &[u8] {
        &self.bytes[line.start as usize..line.end as usize]
    }

    /// Appends a line; for tests and simulators, sockets write into `bytes` themselves.
    pub fn push_line(&mut self, connection: ConnectionKey, text: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(text);
        self.lines.push(Line { connection, start, end: self.bytes.len() as u32 });
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.opened.is_empty()
            && self.lines.is_empty()
            && self.closed.is_empty()
            && self.node.is_empty()
            && self.commands.is_empty()
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.opened.clear();
        self.bytes.clear();
        self.lines.clear();
        self.closed.clear();
        self.node.clear();
        self.commands.clear();
    }
}

/// Shared text that many connections are sent.
pub type SharedBytes = Arc<[u8]>;
