//! What a session with a pool above consists of, whatever is spoken there: jobs come, shares go, verdicts come back.

use super::address::{UpstreamAddress, UpstreamProtocol};
use super::error::UpstreamError;
use super::link::Link;
use super::pending::Pending;
use super::{UpstreamOptions, v1, v2};
use std::time::Instant;
use warppool_components::node::NodeEvent;
use warppool_components::units::{Target, UnixTime};
use warppool_components::upstream::UpstreamShare;

/// An open session, without a socket or a clock. Messages are frames of Stratum V2 in the clear, or lines of Stratum V1.
pub(super) trait Channel {
    /// What shares must meet, once it is known.
    fn target(&self) -> Option<Target>;

    /// Takes a message in.
    ///
    /// # Errors
    /// When the pool is of no use any more; the session ends.
    fn hear(&mut self, message: &[u8], now: UnixTime) -> Result<Heard, UpstreamError>;

    /// The message that submits a share.
    ///
    /// # Errors
    /// The share is not sent, and this is why.
    fn submit(&mut self, share: &UpstreamShare, now: Instant) -> Result<Vec<u8>, Dropped>;

    /// The message that tells another hash rate, if it is another one by far and the protocol knows such a thing.
    fn tell_rate(&mut self, hashes_per_second: f64) -> Option<Vec<u8>>;

    /// What awaits an answer.
    fn pending(&mut self) -> &mut Pending;
}

/// Opens a session, the `session`th of this run, in the protocol of its address.
///
/// # Errors
/// When the pool above is not what can be worked with, or does not answer in time.
pub(super) fn open(
    link: &mut Link,
    address: &UpstreamAddress,
    options: &UpstreamOptions,
    session: u32,
) -> Result<Box<dyn Channel>, UpstreamError> {
    Ok(match address.protocol {
        UpstreamProtocol::V1 { .. } => Box::new(v1::open(link, address, options, session)?),
        UpstreamProtocol::V2(_) => Box::new(v2::open(link, address, options, session)?),
    })
}

/// What a message leads to.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// For the engine, in this order.
    pub(super) events: Vec<NodeEvent>,
    /// For the counts.
    pub(super) verdict: Option<Verdict>,
    /// For the pool.
    pub(super) answer: Option<Vec<u8>>,
}

impl Heard {
    /// News for the engine.
    pub(super) fn event(event: NodeEvent) -> Self {
        Self { events: vec![event], ..Self::default() }
    }

    /// What a share got.
    pub(super) fn verdict(verdict: Option<Verdict>) -> Self {
        Self { verdict, ..Self::default() }
    }
}

/// What the pool above said of shares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// So many were credited.
    Accepted(u32),
    /// One was not.
    Rejected {
        /// What a miner of Stratum V1 is told.
        code: u32,
        /// In the pool's words.
        reason: String,
    },
}

/// Why a share was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dropped {
    /// Its job is of an earlier session.
    OtherSession,
    /// Its job cannot be named to the pool any more.
    JobGone,
    /// Too many await an answer.
    TooManyPending,
}
