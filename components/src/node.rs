//! What the node's side tells the engine.

use crate::block::BlockState;
use crate::template::Template;
use crate::units::{Hash256, Target, UnixTime};
use crate::upstream::GivenWork;
use std::sync::Arc;
use std::time::Duration;

/// A message from the node's threads.
#[derive(Clone, PartialEq, Debug)]
pub enum NodeEvent {
    /// Work to hand out. It starts a new tip when `previous_block` differs from the last one's.
    Template(Arc<Template>),
    /// Work of another pool to hand out. It starts a new tip when `previous_block` differs from the last one's, or the session
    /// is another.
    Given(GivenWork),
    /// What that pool wants of a share: no miner is given a harder difficulty.
    UpstreamTarget(Target),
    /// What is known of the nodes; sent on every change.
    Status(NodeStatus),
    /// News of a found block.
    Block {
        /// Which one.
        hash: Hash256,
        /// What became of it.
        state: BlockState,
    },
}

/// Whether work can be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NodeHealth {
    /// No answer yet since the start.
    #[default]
    Starting,
    /// At least one node is synchronised and answers.
    Ready,
    /// Nodes answer, but are in initial block download: no work.
    Syncing,
    /// A node answers for another network than the configured one: no work.
    WrongChain,
    /// No node answers: the last work is served until the operator's time limit.
    Lost,
}

impl NodeHealth {
    /// Short name for the API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Syncing => "syncing",
            Self::WrongChain => "wrong_chain",
            Self::Lost => "lost",
        }
    }
}

/// The state of the nodes together.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NodeStatus {
    /// The judgement over all nodes.
    pub health: NodeHealth,
    /// A sentence for the operator: what is wrong and what to do; empty when all is well.
    pub message: String,
    /// Since when `health` is what it is.
    pub since: UnixTime,
    /// Network's difficulty at the tip.
    pub difficulty: f64,
    /// Height of the tip, 0 when unknown.
    pub height: u32,
    /// The tip.
    pub tip: Hash256,
    /// Estimated hashes a second of the whole network (`getmininginfo`).
    pub network_hashes_per_second: f64,
    /// Each node by itself.
    pub nodes: Vec<NodeState>,
}

/// The state of one node.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NodeState {
    /// Its RPC address without user and password.
    pub name: String,
    /// Whether its last RPC succeeded.
    pub up: bool,
    /// `subversion` of the node.
    pub version: String,
    /// Whether it is in initial block download.
    pub syncing: bool,
    /// Its tip's height.
    pub height: u32,
    /// Duration of the last RPC.
    pub rpc_latency: Duration,
    /// RPC latencies since the start in the buckets of `warppool_bitcoin_rpc_latency_seconds`; see
    /// [`RPC_LATENCY_BOUNDS_SECONDS`].
    pub rpc_latency_counts: [u64; 11],
    /// Sum of those latencies in seconds.
    pub rpc_latency_sum_seconds: f64,
    /// Whether ZMQ notifications arrive; false also when none is configured.
    pub zmq: bool,
    /// Last error, empty when the last call succeeded.
    pub error: String,
}

/// Upper bounds of the latency buckets; an eleventh one has no bound.
pub const RPC_LATENCY_BOUNDS_SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
