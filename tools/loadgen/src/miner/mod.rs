//! Simulated miners: each one a thread with one connection that really hashes and talks as one kind of firmware.
//!
//! A miner verifies what it is sent, so a swarm of them is a checker of the pool too: order of messages, difficulty
//! before job, a coinbase that decodes and pays the user, job ids never reused. What it finds wrong is collected in
//! [`MinerStats::violations`] and never stops it, as real firmware would not stop either.
//!
//! The layers: `target` and `hasher` are arithmetic, `job` decodes and assembles, `checker` judges,
//! `session` is Stratum V1 and `v2` Stratum V2, both without a socket, `thread` is the only place with a socket and a clock.

mod checker;
mod device;
mod hasher;
mod job;
mod session;
mod talk;
mod target;
mod thread;
mod v2;
mod work;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use warppool_net::transport::noise::AuthorityPublicKey;

pub use device::Device;
pub use hasher::{Found, HEADER_BYTES, HeaderHasher};
pub use job::{Job, JobError};
pub use target::Target as ShareTarget;
pub use thread::SimMiner;

/// What one simulated miner is and whom it mines for.
#[derive(Clone)]
pub struct MinerOptions {
    /// Where the pool listens for plain Stratum V1, or for Stratum V2.
    pub pool: SocketAddr,
    /// Firmware whose behaviour is imitated.
    pub device: Device,
    /// Who vouches for the pool, if it is to be spoken to in Stratum V2, as AxeOS does on one extended channel. The device then only
    /// decides how the search space is walked.
    pub authority: Option<AuthorityPublicKey>,
    /// `address.worker`, as typed into the miner's settings.
    pub username: String,
    /// Password; pools read options such as `d=0.001` from it.
    pub password: String,
    /// Difficulty that the miner suggests; `None` is the firmware's own default (NerdMiner 0.00015, Bitaxe 1000,
    /// nothing from the others). Bitaxe and bmminer send integers only: a value below 1 is not sent by them, so
    /// pin it by the password instead.
    pub suggest_difficulty: Option<f64>,
    /// Hashes per second at most, so that a demonstration leaves the machine usable. `None` takes a whole core.
    pub hashes_per_second_max: Option<f64>,
    /// Chooses where ASIC-like devices start in the nonce and version space.
    pub seed: u64,
    /// NerdMiner alone: how long it waits after its subscribe before it reads one line (the device: about 1.2 s).
    pub subscribe_read_delay: Duration,
}

impl MinerOptions {
    /// Options of a miner with password `x`, the firmware's own suggestion, no throttle and seed 0.
    #[must_use]
    pub fn new(pool: SocketAddr, device: Device, username: impl Into<String>) -> Self {
        Self {
            pool,
            device,
            authority: None,
            username: username.into(),
            password: "x".to_owned(),
            suggest_difficulty: None,
            hashes_per_second_max: None,
            seed: 0,
            subscribe_read_delay: Duration::from_millis(1200),
        }
    }
}

impl std::fmt::Debug for MinerOptions {
    /// Leaves the password out: some pools take it for a secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("MinerOptions")
            .field("pool", &self.pool)
            .field("device", &self.device)
            .field("authority", &self.authority)
            .field("username", &self.username)
            .field("suggest_difficulty", &self.suggest_difficulty)
            .field("hashes_per_second_max", &self.hashes_per_second_max)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// What a simulated miner has done so far, over all its connections.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MinerStats {
    /// Whether it is authorized on a live connection.
    pub connected: bool,
    /// Times that it connected.
    pub connections: u64,
    /// Double SHA-256 of headers computed.
    pub hashes: u64,
    /// Submits sent.
    pub shares_sent: u64,
    /// Submits that the pool accepted.
    pub accepted: u64,
    /// Submits that the pool refused.
    pub rejected: u64,
    /// The refused ones by the error's code; 0 stands for a refusal without one. Reasons of Stratum V2 stand under the codes that
    /// Stratum V1 has for them.
    pub rejected_by_code: BTreeMap<i64, u64>,
    /// Shares sent whose hash met the network's target too.
    pub block_candidates: u64,
    /// Jobs received.
    pub jobs: u64,
    /// Difficulty in force for the current job; 0 before the first.
    pub difficulty: f64,
    /// The last trouble with socket or pool, for a person.
    pub last_error: Option<String>,
    /// What the pool did against the protocol, at most [`VIOLATIONS_KEPT_MAX`](crate::limits::VIOLATIONS_KEPT_MAX).
    pub violations: Vec<String>,
    /// All violations, also those not kept as text.
    pub violations_total: u64,
}
