//! A picture of the pool at one moment: all that HTTP ever sees of the engine.

use crate::job::CoinbaseOutput;
use crate::node::NodeStatus;
use crate::record::BlockRow;
use crate::reject::RejectCounts;
use crate::template::TemplateKind;
use crate::units::{Hash256, Sats, UnixTime};
use crate::upstream::UpstreamSnapshot;
use crate::worker::{HASHRATE_WINDOWS_SECONDS, PresenceState, TipLatency, WorkerId};
use std::sync::Arc;

/// Hashes a second over each of [`HASHRATE_WINDOWS_SECONDS`].
pub type Hashrates = [f64; HASHRATE_WINDOWS_SECONDS.len()];

/// The pool at one moment. Published every second or so; readers share it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Snapshot {
    /// When it was taken.
    pub at: UnixTime,
    /// When the pool started.
    pub started_at: UnixTime,
    /// Sums over all workers.
    pub pool: PoolSnapshot,
    /// Every known worker, live ones first, by falling hash rate.
    pub workers: Vec<WorkerSnapshot>,
    /// The latest job, absent before the first template.
    pub job: Option<Arc<JobSnapshot>>,
    /// The nodes.
    pub node: Arc<NodeStatus>,
    /// Found blocks, newest first.
    pub blocks: Arc<[BlockRow]>,
    /// Measurements of the runtime, filled in by it.
    pub runtime: RuntimeSnapshot,
}

/// Sums over all workers.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PoolSnapshot {
    /// Hash rates.
    pub hashrates: Hashrates,
    /// Shares credited since the store began.
    pub accepted: u64,
    /// Sum of their difficulties.
    pub accepted_difficulty: f64,
    /// Shares refused since the store began, by cause.
    pub rejected: RejectCounts,
    /// Best share since the pool started, as a difficulty.
    pub best_now: f64,
    /// Best share ever.
    pub best_ever: f64,
    /// Blocks that a node accepted, ever.
    pub blocks_found: u64,
    /// Live V1 connections.
    pub connections_v1: u32,
    /// Live V2 connections.
    pub connections_v2: u32,
    /// Workers that are online by [`PresenceState::is_online`].
    pub workers_online: u32,
    /// Authorize requests that succeeded since the start.
    pub authorized: u64,
    /// Connections that ended since the start.
    pub disconnected: u64,
    /// Bytes of job notifications handed over since the start.
    pub notify_bytes: u64,
    /// From a new tip to each worker's first credited share on it, since the start.
    pub tip_to_first_share_seconds: HistogramSnapshot,
}

/// Upper bounds of [`PoolSnapshot::tip_to_first_share_seconds`]: vardiff aims at a share each 3 to 30 seconds.
pub const TIP_LATENCY_BOUNDS_SECONDS: [f64; 11] = [0.1, 0.3, 1.0, 3.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// One worker.
#[derive(Clone, PartialEq, Debug)]
pub struct WorkerSnapshot {
    /// Its number.
    pub id: WorkerId,
    /// `address.name`, or the address alone: its name in the API.
    pub label: Arc<str>,
    /// The address.
    pub address: Arc<str>,
    /// Its own name, may be empty.
    pub name: Arc<str>,
    /// User agent of its latest connection.
    pub user_agent: Arc<str>,
    /// Class of its device.
    pub device_class: Arc<str>,
    /// Live connections.
    pub connections: u32,
    /// Whether it is there.
    pub presence: PresenceState,
    /// Seconds between two shares at its own rate and the difficulty in force; before its rate is known, what the
    /// difficulty was chosen for, or the time it has waited if that is longer. `None` when it has no work.
    pub expected_share_seconds: Option<f32>,
    /// Seconds since its last share, or since it was given work; `None` when it has none.
    pub quiet_seconds: Option<f32>,
    /// How soon its first share on a new tip comes.
    pub tip_latency: Option<TipLatency>,
    /// Hash rates.
    pub hashrates: Hashrates,
    /// Shares credited, over restarts.
    pub accepted: u64,
    /// Sum of their difficulties.
    pub accepted_difficulty: f64,
    /// Shares refused, by cause.
    pub rejected: RejectCounts,
    /// Best share since the pool started.
    pub best_now: f64,
    /// Best share ever.
    pub best_ever: f64,
    /// Difficulty in force, 0 when unknown.
    pub difficulty: f64,
    /// First authorize.
    pub first_seen: UnixTime,
    /// Last sign of life.
    pub last_seen: UnixTime,
    /// Last credited share.
    pub last_share_at: Option<UnixTime>,
    /// Blocks that a node accepted.
    pub blocks_found: u32,
    /// What a block found by this worker now would pay to whom. On a connection with several workers that is
    /// whom its first one named.
    pub outputs: Arc<[CoinbaseOutput]>,
}

/// The latest job.
#[derive(Clone, PartialEq, Debug)]
pub struct JobSnapshot {
    /// Its number in hexadecimal, as miners see it.
    pub id: String,
    /// Height of the block to be found.
    pub height: u32,
    /// The tip it builds on.
    pub previous_block: Hash256,
    /// Header version.
    pub version: u32,
    /// `nBits`.
    pub bits: u32,
    /// Network difficulty that `bits` mean.
    pub difficulty: f64,
    /// ntime handed out, in seconds.
    pub ntime: u32,
    /// When it was made.
    pub created_at: UnixTime,
    /// When its template came from the node; older than the job when the job is a refresh.
    pub template_received_at: UnixTime,
    /// Full or subsidy only.
    pub kind: TemplateKind,
    /// Transactions without the coinbase.
    pub transactions: u32,
    /// Their weight.
    pub weight: u64,
    /// Subsidy and fees.
    pub coinbase_value: Sats,
    /// The fees within.
    pub fees: Sats,
    /// Text of the pool's tag as it stands in the coinbase.
    pub tag: String,
    /// scriptSig of the coinbase in hexadecimal, the extranonce's bytes as zeros.
    pub coinbase_script: String,
    /// Outputs for one of the payees in use, or of the fallback address.
    pub outputs: Arc<[CoinbaseOutput]>,
    /// Merkle branches.
    pub merkle_branches: u32,
    /// Distinct payees that the job is prepared for.
    pub payouts: u32,
}

/// A histogram: counts below rising bounds.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct HistogramSnapshot {
    /// Upper bounds in seconds, or in plain counts for sizes.
    pub bounds: Vec<f64>,
    /// Observations in each bucket (not cumulative); one more than bounds, for what exceeds all.
    pub counts: Vec<u64>,
    /// Sum of the observations.
    pub sum: f64,
}

/// What happened to connections before a line of theirs was understood.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SocketsSnapshot {
    /// Live connections over TLS.
    pub tls_connections: u32,
    /// TLS handshakes with a signature of ours, since the start.
    pub handshakes_full: u64,
    /// TLS handshakes of clients that were known, since the start.
    pub handshakes_resumed: u64,
    /// TLS handshakes that failed, since the start.
    pub handshakes_failed: u64,
    /// Live connections of Stratum V2.
    pub noise_connections: u32,
    /// Stratum V2 handshakes that were answered, since the start.
    pub noise_handshakes: u64,
    /// Clients that left after the answer without a word, mostly because they expected another key, since the start.
    pub noise_abandoned: u64,
    /// Connections of Stratum V2 that were closed, because what came did not fit their keys or was too long, since the start.
    pub noise_failed: u64,
    /// Connections that were closed for what they said first, since the start: a word for the reason, and how many.
    pub refused: Vec<(&'static str, u64)>,
    /// When the certificate expires, if there is one.
    pub certificate_expires_at: Option<UnixTime>,
}

/// What the runtime measures about itself.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RuntimeSnapshot {
    /// Duration of a tick.
    pub tick_seconds: HistogramSnapshot,
    /// Shares in a tick that had any.
    pub tick_shares: HistogramSnapshot,
    /// From the read that brought a share to the write of its answer.
    pub share_ack_seconds: HistogramSnapshot,
    /// From the template of a new tip to the first byte handed to the kernel.
    pub tip_to_first_notify_seconds: HistogramSnapshot,
    /// The same to the last connection.
    pub tip_to_last_notify_seconds: HistogramSnapshot,
    /// Duration of a commit of the store.
    pub store_commit_seconds: HistogramSnapshot,
    /// Age of the oldest batch that the store has not taken.
    pub store_lag_seconds: f64,
    /// Share rows dropped because the store lagged.
    pub store_rows_dropped: u64,
    /// Connections of miners that were accepted and served.
    pub connections_accepted: u64,
    /// Connections closed at once, because there were too many.
    pub connections_over_cap: u64,
    /// Attempts at which the system could not accept a connection.
    pub accept_failures: u64,
    /// Snapshots and events that the HTTP side did not take in time.
    pub admin_messages_dropped: u64,
    /// Addresses on which miners are served: `HOST:PORT` in plain text, `stratum+ssl://HOST:PORT` over TLS.
    pub listeners: Vec<String>,
    /// What the sockets counted.
    pub sockets: SocketsSnapshot,
    /// Name of the profile in force.
    pub profile: String,
    /// What became of shares at the pool that the work comes from; `None` when it comes from a node.
    pub upstream: Option<UpstreamSnapshot>,
}
