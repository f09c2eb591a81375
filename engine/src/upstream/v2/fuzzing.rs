//! The opening of a session for the fuzzer, without a connection.

use super::channel::UpstreamChannel;
use super::opening;
use crate::upstream::error::UpstreamError;

/// The hash rate that the upstream was told.
const HASH_RATE: f32 = 1e12;

/// What the answer to `SetupConnection` says; `None` when the frame is another.
pub fn set_up(frame: &[u8]) -> Option<Result<(), String>> {
    opening::set_up(frame).map(|outcome| outcome.map_err(|error| error.to_string()))
}

/// What the answer to the request for a channel says; `None` when the frame is another.
pub(in crate::upstream) fn open(frame: &[u8], user: &str) -> Option<Result<UpstreamChannel, UpstreamError>> {
    let opened = opening::opened(frame, user)?;
    Some(opened.map(|opened| UpstreamChannel::new(1, opened, HASH_RATE)))
}
