//! Everything that a tick wants done.

use crate::block::BlockCandidate;
use crate::connection::{CloseReason, ConnectionKey};
use crate::event::PoolEvent;
use crate::inbox::SharedBytes;
use crate::record::StoreBatch;
use crate::snapshot::Snapshot;
use crate::units::Instant;
use crate::upstream::UpstreamShare;
use std::ops::Range;
use std::sync::Arc;

/// Bytes for a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// A part of [`Outbox::bytes`].
    Own(Range<u32>),
    /// Text that others get too.
    Shared(SharedBytes),
}

/// One write. Writes to the same connection happen in their order in the outbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// To whom.
    pub connection: ConnectionKey,
    /// What.
    pub body: Body,
}

/// A connection that is to end, after what was written to it has been handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Close {
    /// Which one.
    pub connection: ConnectionKey,
    /// Why.
    pub reason: CloseReason,
}

/// Something for the log. The engine does not log: the runtime does, off the share path.
#[derive(Clone, PartialEq, Debug)]
pub struct Notice {
    /// Whether it needs the operator's attention.
    pub level: NoticeLevel,
    /// One sentence.
    pub text: String,
}

/// How loud a notice is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeLevel {
    /// For those who look closely.
    Debug,
    /// Ordinary life of a pool.
    Info,
    /// The operator should know.
    Warn,
}

/// The engine's output. Buffers are reused: `clear` keeps their memory.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Text of this tick's own replies.
    pub bytes: Vec<u8>,
    /// What goes to whom, in order.
    pub writes: Vec<Write>,
    /// Which connections end.
    pub closes: Vec<Close>,
    /// Found blocks: to be submitted at once, before anything is written to disk.
    pub blocks: Vec<Arc<BlockCandidate>>,
    /// Shares for the pool that the work came from.
    pub upstream: Vec<UpstreamShare>,
    /// What the store is to keep.
    pub records: StoreBatch,
    /// What people watch live.
    pub events: Vec<PoolEvent>,
    /// What the log is told.
    pub notices: Vec<Notice>,
    /// A new picture of the pool, when one was due.
    pub snapshot: Option<Box<Snapshot>>,
    /// When the engine wants its next tick even if nothing arrives.
    pub wake_at: Option<Instant>,
    /// Lines that were shares in this tick, for the runtime's histograms.
    pub shares: u32,
    /// A job for a new tip is among the writes.
    pub new_tip: bool,
    /// Nobody waits for the latest job any more.
    pub fanout_done: bool,
    /// How many connections were sent each message of the operator, in the order of the orders.
    pub messages_shown: Vec<u32>,
}

impl Outbox {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.writes.clear();
        self.closes.clear();
        self.blocks.clear();
        self.upstream.clear();
        self.records.shares.clear();
        self.records.shares_dropped = 0;
        self.records.workers.clear();
        self.records.totals = None;
        self.records.blocks.clear();
        self.events.clear();
        self.notices.clear();
        self.snapshot = None;
        self.wake_at = None;
        self.shares = 0;
        self.new_tip = false;
        self.fanout_done = false;
        self.messages_shown.clear();
    }

    /// The bytes of `body`.
    pub fn body<'a>(&'a self, body: &'a Body) -> &'a [u8] {
        match body {
            Body::Own(range) => &self.bytes[range.start as usize..range.end as usize],
            Body::Shared(bytes) => bytes,
        }
    }
}
