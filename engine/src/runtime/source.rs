//! Where work comes from and found blocks go: Bitcoin Core, or another pool.

use crate::upstream::{self, UpstreamHandle, UpstreamOptions};
use std::sync::Arc;
use std::time::Instant;
use warppool_components::block::BlockCandidate;
use warppool_components::node::NodeEvent;
use warppool_components::units::Hash256;
use warppool_components::upstream::{UpstreamShare, UpstreamSnapshot};
use warppool_io::node::{self, NodeError, NodeHandle, NodeOptions};

/// Where work is to come from.
#[derive(Debug)]
pub enum SourceOptions {
    /// The operator's nodes.
    Node(NodeOptions),
    /// Another pool: this one is a translator.
    Upstream(UpstreamOptions),
}

/// Its threads. What concerns blocks of our own is asked of nodes alone: a translator has none.
pub(super) enum Source {
    Node(NodeHandle),
    Upstream(UpstreamHandle),
}

impl Source {
    pub(super) fn start(
        options: SourceOptions,
        sink: impl Fn(NodeEvent) + Send + Sync + 'static,
    ) -> Result<Self, NodeError> {
        match options {
            SourceOptions::Node(options) => node::start(options, sink).map(Self::Node),
            SourceOptions::Upstream(options) => Ok(Self::Upstream(upstream::start(options, sink)?)),
        }
    }

    pub(super) const fn is_upstream(&self) -> bool {
        matches!(self, Self::Upstream(_))
    }

    /// Hands a found block to every node.
    pub(super) fn submit(&self, block: Arc<BlockCandidate>) {
        if let Self::Node(node) = self {
            node.submit(block);
        }
    }

    /// Hands a block of an earlier run to every node.
    pub(super) fn resubmit(&self, hash: Hash256, raw: Arc<[u8]>) {
        if let Self::Node(node) = self {
            node.resubmit(hash, raw);
        }
    }

    /// Follows a block of an earlier run.
    pub(super) fn follow(&self, hash: Hash256) {
        if let Self::Node(node) = self {
            node.follow(hash);
        }
    }

    /// Sends shares to the other pool.
    pub(super) fn forward(&self, shares: impl Iterator<Item = UpstreamShare>) {
        if let Self::Upstream(upstream) = self {
            upstream.forward(shares);
        }
    }

    /// Tells the other pool what to expect.
    pub(super) fn set_hash_rate(&self, hashes_per_second: f64) {
        if let Self::Upstream(upstream) = self {
            upstream.set_hash_rate(hashes_per_second);
        }
    }

    /// When a node was first heard to speak of the tip.
    pub(super) fn tip_heard_at(&self) -> Option<Instant> {
        match self {
            Self::Node(node) => node.tip_heard_at(),
            Self::Upstream(_) => None,
        }
    }

    /// What became of shares at the other pool.
    pub(super) fn figures(&self) -> Option<UpstreamSnapshot> {
        match self {
            Self::Node(_) => None,
            Self::Upstream(upstream) => Some(upstream.figures()),
        }
    }

    pub(super) fn stop(self) {
        match self {
            Self::Node(node) => node.stop(),
            Self::Upstream(upstream) => upstream.stop(),
        }
    }
}
