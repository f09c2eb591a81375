//! What a pool above may say, for the fuzzer, which makes it up. Only there with the feature `fuzzing`; nothing of the
//! translator goes this way.

use super::channel::Channel;
use super::{v1, v2};
use std::time::Instant;
use warppool_components::node::NodeEvent;
use warppool_components::units::UnixTime;
use warppool_components::upstream::UpstreamShare;

pub use v2::fuzzing::set_up;

/// A session with a pool above.
pub struct FuzzedChannel(Box<dyn Channel>);

impl FuzzedChannel {
    /// With a pool of Stratum V1 that leaves us eight bytes of the extranonce and the usual version bits.
    pub fn open_v1() -> Self {
        Self(Box::new(v1::fuzzing::open()))
    }

    /// What the answer of a pool of Stratum V2 to the request for a channel says; `None` when the frame is another.
    pub fn open_v2(frame: &[u8], user: &str) -> Option<Result<Self, String>> {
        let channel = v2::fuzzing::open(frame, user)?;
        Some(channel.map(|channel| Self(Box::new(channel))).map_err(|error| error.to_string()))
    }

    /// Takes a message in; gives what the engine is to know and what the pool is answered.
    ///
    /// # Errors
    /// Why the session ends, in the words of the log.
    pub fn hear(&mut self, message: &[u8], now: UnixTime) -> Result<(Vec<NodeEvent>, Option<Vec<u8>>), String> {
        let heard = self.0.hear(message, now).map_err(|error| error.to_string())?;
        Ok((heard.events, heard.answer))
    }

    /// The message that submits a share, unless it is of no use any more.
    pub fn submit(&mut self, share: &UpstreamShare, now: Instant) -> Option<Vec<u8>> {
        self.0.submit(share, now).ok()
    }

    /// The message that tells another hash rate, if it is another one by far.
    pub fn tell_rate(&mut self, hashes_per_second: f64) -> Option<Vec<u8>> {
        self.0.tell_rate(hashes_per_second)
    }

    /// Shares that await an answer.
    pub fn pending(&mut self) -> u64 {
        self.0.pending().count()
    }
}
