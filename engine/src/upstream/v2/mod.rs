//! A pool of Stratum V2: setup, one extended channel for all miners, its frames.

mod channel;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod opening;

pub(super) use opening::open;
