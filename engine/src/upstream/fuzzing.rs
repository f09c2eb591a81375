//! What an upstream may say, for the fuzzer, which makes it up. Only there with the feature `fuzzing`; nothing of the
//! translator goes this way.

use super::channel::Channel;
use super::v2::{self, UpstreamChannel};
use std::time::Instant;
use warppool_components::node::NodeEvent;
use warppool_components::units::UnixTime;
use warppool_components::upstream::UpstreamShare;

/// The hash rate that the upstream was told.
const HASH_RATE: f32 = 1e12;

/// What the answer to `SetupConnection` says; `None` when the frame is another.
pub fn set_up(frame: &[u8]) -> Option<Result<(), String>> {
    v2::set_up(frame).map(|outcome| outcome.map_err(|error| error.to_string()))
}

/// A channel at an upstream.
#[derive(Debug)]
pub struct FuzzedChannel(UpstreamChannel);

impl FuzzedChannel {
    /// What the answer to the request for a channel says; `None` when the frame is another.
    pub fn open(frame: &[u8], user: &str) -> Option<Result<Self, String>> {
        let opened = v2::opened(frame, user)?;
        Some(opened.map(|opened| Self(UpstreamChannel::new(1, opened, HASH_RATE))).map_err(|error| error.to_string()))
    }

    /// Takes a frame in; gives what the engine is to know.
    ///
    /// # Errors
    /// Why the session ends, in the words of the log.
    pub fn hear(&mut self, frame: &[u8], now: UnixTime) -> Result<Vec<NodeEvent>, String> {
        self.0.hear(frame, now).map(|heard| heard.events).map_err(|error| error.to_string())
    }

    /// The frame that submits a share, unless it is of no use any more.
    pub fn submit(&mut self, share: &UpstreamShare, now: Instant) -> Option<Vec<u8>> {
        self.0.submit(share, now).ok()
    }

    /// The frame that tells another hash rate, if it is another one by far.
    pub fn update(&mut self, hashes_per_second: f64) -> Option<Vec<u8>> {
        self.0.tell_rate(hashes_per_second)
    }

    /// Shares that await an answer.
    pub fn pending(&mut self) -> u64 {
        self.0.pending().count()
    }
}
