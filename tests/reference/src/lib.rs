//! A Stratum V2 miner that judges a pool.
//!
//! It is made of the reference project's crates (handshake, frames, messages) and crate `bitcoin` (coinbase, merkle root,
//! header), with nothing of the pool's own: what both sides shared, this side could not judge.
//!
//! - [`message`]: frames to messages and back, each checked for its length, extension and channel bit.
//! - [`channel`]: what a channel knows, and the rules of its jobs, tips, targets and verdicts.
//! - [`client`]: a connection in the clear: frames in, frames out, no socket.
//! - [`work`]: searching a share by real hashes.
//! - [`secured`]: the same frames over TCP and Noise. [`miner`]: a client over them.
//!
//! **It panics** with a sentence at the first violation of the specification: it is for tests, where that is the verdict.
//!
//! What does not happen here: nothing is sent by itself, no clock is read but for deadlines of sockets.

#![forbid(unsafe_code)]

pub mod channel;
pub mod client;
pub mod message;
pub mod miner;
pub mod secured;
pub mod work;

pub use channel::{Channel, ChannelKind, Job, JobState};
pub use client::{Client, Verdict};
pub use miner::Miner;
pub use secured::Secured;
pub use work::{Search, Share};

/// `SetupConnection`: extended jobs are not understood.
pub const REQUIRES_STANDARD_JOBS: u32 = 1;
/// `SetupConnection`: the miner will declare its own jobs.
pub const REQUIRES_WORK_SELECTION: u32 = 2;
/// `SetupConnection`: version bits must be free to roll.
pub const REQUIRES_VERSION_ROLLING: u32 = 4;

/// `SetupConnection.Success`: the header's version may not be changed.
pub const REQUIRES_FIXED_VERSION: u32 = 1;
/// `SetupConnection.Success`: no standard channels here.
pub const REQUIRES_EXTENDED_CHANNELS: u32 = 2;
