//! A pool of Stratum V2: setup, one extended channel for all miners, its frames.

mod channel;
mod opening;

#[cfg(feature = "fuzzing")]
pub(super) use channel::UpstreamChannel;
#[cfg(feature = "fuzzing")]
pub(super) use opening::{opened, set_up};

pub(super) use opening::open;
