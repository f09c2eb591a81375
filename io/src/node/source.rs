//! The one place where the nodes' words become events: whoever hears something says it here, and what follows for
//! the pool waits in one order for whoever carries it to the engine. Pure: no clock, no thread, no lock.

use super::pins::Stranger;
use super::rpc::{ChainInfo, Latencies};
use super::status::{Standing, View, ZmqView, status, without_latencies};
use super::template::Tip;
use super::work::Work;
use std::sync::Arc;
use warppool_components::block::BlockState;
use warppool_components::node::{NodeEvent, NodeHealth, NodeStatus};
use warppool_components::settings::Network;
use warppool_components::template::Template;
use warppool_components::units::{Hash256, UnixTime};

/// How often a status leaves when nothing but latencies changed.
const LATENCIES_INTERVAL_MILLIS: u64 = 5000;

/// What is known of all nodes together.
pub(super) struct Source {
    network: Network,
    work: Work,
    views: Vec<View>,
    network_hashes_per_second: f64,
    told: NodeStatus,
    told_at: UnixTime,
    /// What the engine has not been told yet, oldest first.
    pub(super) events: Vec<NodeEvent>,
    /// When something last changed of which the status has not been told.
    changed_at: Option<UnixTime>,
}

/// What a change to the state did.
pub(super) struct Effect {
    /// The pool works on another tip now.
    pub(super) tip_changed: bool,
    /// What was said came too late and was passed over; the node is to be asked anew.
    pub(super) was_late: bool,
}

impl Source {
    /// For nodes with these names; the flag says whether ZMQ is configured.
    pub(super) fn new(network: Network, empty_job_on_new_tip: bool, nodes: Vec<(String, bool)>) -> Self {
        let work = Work::new(network, empty_job_on_new_tip, nodes.len());
        let view =
            |(name, configured)| View { name, zmq: ZmqView { configured, ..ZmqView::default() }, ..View::default() };
        Self {
            network,
            work,
            views: nodes.into_iter().map(view).collect(),
            network_hashes_per_second: 0.0,
            told: NodeStatus::default(),
            told_at: UnixTime::default(),
            events: Vec::new(),
            changed_at: None,
        }
    }

    /// The node has answered about its chain, and whether one of its blocks is not the network's.
    pub(super) fn answers(
        &mut self,
        node: usize,
        chain: &ChainInfo,
        stranger: Option<Stranger>,
        now: UnixTime,
    ) -> Standing {
        let standing = Standing::of(chain, stranger, self.network);
        let found = standing.clone();
        self.change(now, |source| {
            let view = &mut source.views[node];
            (view.tried, view.up, view.standing) = (true, true, found);
            let usable = view.usable();
            source.work.set_usable(node, usable, now)
        });
        standing
    }

    /// The node still answers.
    pub(super) fn alive(&mut self, node: usize, latencies: Latencies, now: UnixTime) {
        self.change(now, |source| {
            let view = &mut source.views[node];
            (view.up, view.latencies) = (true, latencies);
            let usable = view.usable();
            source.work.set_usable(node, usable, now)
        });
    }

    /// The node does not answer. When `gone`, what was known of its chain is to be asked anew.
    pub(super) fn down(&mut self, node: usize, error: String, gone: bool, now: UnixTime) {
        self.change(now, |source| {
            let view = &mut source.views[node];
            (view.tried, view.up, view.error) = (true, false, error);
            if gone {
                view.standing = Standing::Unknown;
            }
            source.work.set_usable(node, false, now)
        });
    }

    /// The node's tip, asked for while it was `before`.
    pub(super) fn tip(&mut self, node: usize, tip: Tip, before: Option<Hash256>, now: UnixTime) -> Effect {
        let mut was_late = false;
        let effect = self.change(now, |source| {
            was_late = !source.work.is_fresh(node, &tip, before);
            if was_late { None } else { source.work.tip(node, tip, now) }
        });
        Effect { was_late, ..effect }
    }

    /// A checked template. It is a sign of life, too: a node can be too busy for small questions, and still work.
    pub(super) fn template(&mut self, node: usize, template: Template, now: UnixTime) -> Effect {
        let mut was_late = false;
        let effect = self.change(now, |source| {
            was_late = !source.work.is_timely(node, &template);
            let view = &mut source.views[node];
            view.template_error = None;
            if view.standing != Standing::Ready {
                return None;
            }
            view.up = true;
            // Whatever empty work that would give, the full one follows in the same breath.
            let before = source.work.set_usable(node, true, now);
            source.work.template(node, template, now).or(before)
        });
        Effect { was_late, ..effect }
    }

    /// There was no template, or it was refused.
    pub(super) fn no_template(&mut self, node: usize, error: String, now: UnixTime) {
        self.change(now, |source| {
            source.views[node].template_error = Some(error);
            None
        });
    }

    /// Version and what the node says about its notifications.
    pub(super) fn describe(&mut self, node: usize, version: Option<String>, unpublished: bool, now: UnixTime) {
        self.change(now, |source| {
            let view = &mut source.views[node];
            if let Some(version) = version {
                view.version = version;
            }
            view.zmq.unpublished = unpublished;
            None
        });
    }

    /// Changes what is known of a node's notifications; gives whether they work.
    pub(super) fn zmq(&mut self, node: usize, now: UnixTime, change: impl FnOnce(&mut ZmqView)) -> bool {
        let mut works = false;
        self.change(now, |source| {
            change(&mut source.views[node].zmq);
            works = source.views[node].zmq.works();
            None
        });
        works
    }

    /// Estimated hashes a second of the whole network.
    pub(super) fn network_hashrate(&mut self, hashes_per_second: f64, now: UnixTime) {
        self.change(now, |source| {
            source.network_hashes_per_second = hashes_per_second;
            None
        });
    }

    /// News of a found block.
    pub(super) fn block(&mut self, hash: Hash256, state: BlockState) {
        self.events.push(NodeEvent::Block { hash, state });
    }

    /// The tip of a node.
    pub(super) fn tip_of(&self, node: usize) -> Option<&Tip> {
        self.work.tip_of(node)
    }

    /// Height of the tip that is worked on, 0 when there is none.
    pub(super) fn height(&self) -> u32 {
        self.work.current().map_or(0, |tip| tip.height)
    }

    /// The block of the node's latest notification.
    pub(super) fn zmq_heard(&self, node: usize) -> Option<Hash256> {
        self.views[node].zmq.heard
    }

    /// How a node is called.
    pub(super) fn name(&self, node: usize) -> &str {
        &self.views[node].name
    }

    /// Nodes in the order in which they should be asked about the chain.
    pub(super) fn nodes_to_ask(&self) -> Vec<usize> {
        self.work.nodes_to_ask()
    }

    fn change(&mut self, now: UnixTime, change: impl FnOnce(&mut Self) -> Option<Arc<Template>>) -> Effect {
        let tip_before = self.work.current().map(|tip| tip.hash);
        let work = change(self);
        let tip_changed = self.work.current().map(|tip| tip.hash) != tip_before;
        self.events.extend(work.map(NodeEvent::Template));
        self.changed_at = Some(now);
        Effect { tip_changed, was_late: false }
    }

    /// Tells of the status when it is news. To be called when work has gone: nothing may stand between a new tip and the
    /// miners.
    pub(super) fn tell_status(&mut self) {
        let Some(now) = self.changed_at.take() else { return };
        let mut status = status(&self.views, &self.work, self.network, now);
        status.network_hashes_per_second = self.network_hashes_per_second;
        let told = &self.told;
        let first = self.told_at == UnixTime::default();
        status.since = if status.health == told.health && !first { told.since } else { now };
        let news = first || without_latencies(&status) != without_latencies(told);
        let due = now.millis().saturating_sub(self.told_at.millis()) >= LATENCIES_INTERVAL_MILLIS && status != *told;
        if !news && !due {
            return;
        }
        if status.health != told.health || status.message != told.message {
            log(&status);
        }
        self.told = status.clone();
        self.told_at = now;
        self.events.push(NodeEvent::Status(status));
    }
}

fn log(status: &NodeStatus) {
    let (health, message) = (status.health.label(), status.message.as_str());
    match status.health {
        NodeHealth::Ready if message.is_empty() => tracing::info!("all nodes are well"),
        NodeHealth::Ready => tracing::warn!(message, "not all is well with the nodes"),
        NodeHealth::Starting => tracing::debug!(message, "the nodes have not answered yet"),
        NodeHealth::Syncing | NodeHealth::WrongChain | NodeHealth::Lost => {
            tracing::warn!(health, message, "no new work for miners");
        }
    }
}
