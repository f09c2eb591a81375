//! What the tests of the whole pool are made with.
//!
//! - [`pool`]: an engine with a virtual clock, without sockets: lines or frames in, the same out, and all else that a tick
//!   wants done. Miners of Stratum V2 are those of the reference project ([`warppool_reference`]).
//! - [`miner`]: the miners' view: it reads what the pool writes, checks what must hold for every line, finds shares.
//!   It hashes with crate `bitcoin`, so it does not repeat mistakes of ours.
//! - [`work`]: hand-made templates with real transactions, and addresses.
//! - [`transcript`]: runs files of lines in and out.
//!
//! What does not happen here: nothing sleeps, no port is opened, no clock is read.

#![forbid(unsafe_code)]

pub mod hashing;
pub mod miner;
pub mod pool;
pub mod transcript;
pub mod work;
