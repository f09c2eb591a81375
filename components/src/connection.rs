//! A miner's connection.

use crate::units::Instant;
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use std::net::IpAddr;
use std::sync::Arc;

/// Name of a connection between the sockets and the engine: a slot that is reused, and which use it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ConnectionKey {
    /// Place in tables of live connections; small and dense.
    pub slot: u32,
    /// Counts the uses of the slot, so that a late message for its former owner reaches nobody.
    pub generation: u32,
}

/// What a connection speaks. Only `parse` and `reply` ask.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Protocol {
    /// Stratum V1: lines of JSON.
    #[default]
    StratumV1,
    /// Stratum V2: binary frames.
    StratumV2,
}

/// Why a connection ended, in the words of whoever ended it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CloseReason {
    /// The miner hung up.
    Peer,
    /// The socket failed (reset, time-out of keepalive).
    SocketError,
    /// Nearly all that the miner sent was invalid, thousands of lines.
    InvalidLines,
    /// A line exceeded [`LINE_BYTES_MAX`](crate::limits::LINE_BYTES_MAX).
    LineTooLong,
    /// It spoke something that is not served here: HTTP, plain text on the port for TLS or for Stratum V2, or TLS without a
    /// certificate to serve it by.
    Misdirected,
    /// A PROXY header came from an address that may not send one, or is malformed.
    ProxyRefused,
    /// The TLS handshake failed, or what followed was not encrypted by its keys.
    TlsFailed,
    /// What followed a Stratum V2 handshake was not encrypted by its keys.
    NoiseFailed,
    /// A frame's payload exceeded [`FRAME_PAYLOAD_BYTES_MAX`](crate::limits::FRAME_PAYLOAD_BYTES_MAX).
    FrameTooLong,
    /// The miner does not read what it is sent.
    SlowReader,
    /// No worker was authorized in time.
    AuthorizeDeadline,
    /// The pool has as many connections as the operator allows.
    ConnectionCap,
    /// No node answers; miners are released to their own fail-over.
    NodeLost,
    /// The pool stops.
    Shutdown,
}

impl CloseReason {
    /// A few words for the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Peer => "miner hung up",
            Self::SocketError => "socket failed",
            Self::InvalidLines => "nearly all its shares or lines are invalid",
            Self::LineTooLong => "line too long",
            Self::Misdirected => "speaks what is not served here",
            Self::ProxyRefused => "PROXY header refused",
            Self::TlsFailed => "TLS failed",
            Self::NoiseFailed => "Stratum V2 encryption failed",
            Self::FrameTooLong => "frame too long",
            Self::SlowReader => "miner does not read",
            Self::AuthorizeDeadline => "no authorize in time",
            Self::ConnectionCap => "connection cap reached",
            Self::NodeLost => "node lost",
            Self::Shutdown => "pool stops",
        }
    }
}

/// A live connection.
#[derive(Component, Clone, Debug)]
pub struct Connection {
    /// How the sockets call it.
    pub key: ConnectionKey,
    /// The other side's address.
    pub peer: IpAddr,
    /// What it speaks.
    pub protocol: Protocol,
    /// When it was accepted.
    pub opened_at: Instant,
    /// When its last line came.
    pub heard_at: Instant,
    /// Its channel, where its conduct is counted. A V1 connection has no other; on a V2 connection this one does not mine.
    pub channel: Entity,
    /// The engine has asked for its end, or learnt of it; nothing is sent any more.
    pub closing: bool,
}

/// What a V1 miner has told about itself before and beside its shares.
#[derive(Component, Clone, Debug, Default)]
pub struct Session {
    /// `mining.subscribe` was answered.
    pub subscribed: bool,
    /// Name under which the extranonce can be had again.
    pub session_id: u64,
    /// It has asked to authorize; the first time is paid for by its connect.
    pub has_asked_to_authorize: bool,
    /// User agent, cut at [`USER_AGENT_BYTES_MAX`](crate::limits::USER_AGENT_BYTES_MAX).
    pub user_agent: Arc<str>,
    /// Difficulty that the miner suggested last.
    pub suggested_difficulty: Option<f64>,
}
