//! Events that people watch live.

use crate::block::BlockState;
use crate::node::NodeHealth;
use crate::units::{Hash256, Sats, UnixTime};
use std::sync::Arc;

/// Something worth showing at once.
#[derive(Clone, PartialEq, Debug)]
pub struct PoolEvent {
    /// When it happened.
    pub at: UnixTime,
    /// What.
    pub kind: PoolEventKind,
}

/// The kinds of event. Their names in the API are in [`PoolEventKind::label`].
#[derive(Clone, PartialEq, Debug)]
pub enum PoolEventKind {
    /// A block of ours was accepted by a node.
    BlockFound {
        /// Its hash.
        hash: Hash256,
        /// Its height.
        height: u32,
        /// Who found it.
        worker: Arc<str>,
        /// What its finder is paid.
        payout: Sats,
        /// What became of it so far.
        state: BlockState,
    },
    /// A new job goes to the miners.
    NewJob {
        /// Its height.
        height: u32,
        /// Its number in hexadecimal, as miners see it.
        job: String,
        /// Whether it is for a new tip.
        clean: bool,
        /// Transactions in it, without the coinbase.
        transactions: u32,
        /// Subsidy and fees.
        value: Sats,
    },
    /// Shares of the last second, together.
    SharesAccepted {
        /// Credited.
        accepted: u64,
        /// Sum of their difficulties.
        difficulty: f64,
        /// Refused.
        rejected: u64,
    },
    /// A worker is online that was not.
    WorkerUp {
        /// `address.name`.
        worker: Arc<str>,
    },
    /// A worker is offline, and not for a moment only.
    WorkerDown {
        /// `address.name`.
        worker: Arc<str>,
    },
    /// The state of the node changed.
    Health {
        /// To what.
        health: NodeHealth,
        /// A sentence for the operator.
        message: String,
    },
}

impl PoolEventKind {
    /// Name of the event in the API.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::BlockFound { .. } => "block_found",
            Self::NewJob { .. } => "new_job",
            Self::SharesAccepted { .. } => "shares_accepted",
            Self::WorkerUp { .. } => "worker_up",
            Self::WorkerDown { .. } => "worker_down",
            Self::Health { .. } => "health_snapshot",
        }
    }
}
