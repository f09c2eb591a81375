//! A pool of Stratum V1: one worker for all miners, its lines.
//!
//! The pool's `extranonce1` and the first bytes of what it leaves to us are the same for all shares of a job; the last
//! eight bytes are the connection's and the miner's below, as with a pool of Stratum V2.

mod channel;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod job;
mod opening;

pub(super) use opening::open;
