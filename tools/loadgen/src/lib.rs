//! The miners' side of Stratum, for demonstrations and for measuring.
//!
//! [`miner`] holds simulated miners that really hash and speak as a given firmware does, in Stratum V1 or V2; they check what the pool
//! sends on the way. [`modes`] hold the swarm: many connections in one event loop that hash nothing and measure a
//! server (throughput, fan-out of a new tip, connection storm, idle memory), and the bare echo server to compare with.
//!
//! Nothing here knows the pool's own messages: it is the independent other side of the wire, usable against any pool. Only
//! the encryption of Stratum V2 is shared with it, which others judge.
#![forbid(unsafe_code)]

pub mod limits;
pub mod miner;
pub mod modes;
pub mod process;
pub mod report;
pub mod scrape;
mod swarm;
pub mod tls;

pub use swarm::{Protocol, SwarmError, Target, V2Options};
