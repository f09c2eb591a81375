//! The one place where the nodes' words become events: whoever hears something says it here, and what follows for
//! the pool leaves through the sink, in one order, under one lock. After [`Source::stop`] nothing leaves any more.

use super::now;
use super::pins::Stranger;
use super::rpc::{ChainInfo, Latencies};
use super::status::{Standing, View, ZmqView, status, without_latencies};
use super::template::Tip;
use super::work::Work;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use warppool_components::block::BlockState;
use warppool_components::node::{NodeEvent, NodeHealth, NodeStatus};
use warppool_components::settings::Network;
use warppool_components::template::Template;
use warppool_components::units::{Hash256, UnixTime};

/// How often a status leaves when nothing but latencies changed.
const LATENCIES_INTERVAL_MILLIS: u64 = 5000;

/// Where events go.
pub(super) type Sink = Box<dyn Fn(NodeEvent) + Send + Sync>;

pub(super) struct Source {
    network: Network,
    sink: Sink,
    inner: Mutex<Inner>,
}

struct Inner {
    stopped: bool,
    work: Work,
    views: Vec<View>,
    network_hashes_per_second: f64,
    told: NodeStatus,
    told_at: UnixTime,
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
    pub(super) fn new(network: Network, empty_job_on_new_tip: bool, nodes: Vec<(String, bool)>, sink: Sink) -> Self {
        let work = Work::new(network, empty_job_on_new_tip, nodes.len());
        let view =
            |(name, configured)| View { name, zmq: ZmqView { configured, ..ZmqView::default() }, ..View::default() };
        let inner = Inner {
            stopped: false,
            work,
            views: nodes.into_iter().map(view).collect(),
            network_hashes_per_second: 0.0,
            told: NodeStatus::default(),
            told_at: UnixTime::default(),
        };
        Self { network, sink, inner: Mutex::new(inner) }
    }

    /// No event leaves after this returns.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
    }

    /// The node has answered about its chain, and whether one of its blocks is not the network's.
    pub(super) fn answers(&self, node: usize, chain: &ChainInfo, stranger: Option<Stranger>) -> Standing {
        let standing = Standing::of(chain, stranger, self.network);
        let found = standing.clone();
        self.change(|inner, now| {
            let view = &mut inner.views[node];
            (view.tried, view.up, view.standing) = (true, true, found);
            let usable = view.usable();
            inner.work.set_usable(node, usable, now)
        });
        standing
    }

    /// The node still answers.
    pub(super) fn alive(&self, node: usize, latencies: Latencies) {
        self.change(|inner, now| {
            let view = &mut inner.views[node];
            (view.up, view.latencies) = (true, latencies);
            let usable = view.usable();
            inner.work.set_usable(node, usable, now)
        });
    }

    /// The node does not answer. When `gone`, what was known of its chain is to be asked anew.
    pub(super) fn down(&self, node: usize, error: String, gone: bool) {
        self.change(|inner, now| {
            let view = &mut inner.views[node];
            (view.tried, view.up, view.error) = (true, false, error);
            if gone {
                view.standing = Standing::Unknown;
            }
            inner.work.set_usable(node, false, now)
        });
    }

    /// The node's tip, asked for while it was `before`.
    pub(super) fn tip(&self, node: usize, tip: Tip, before: Option<Hash256>) -> Effect {
        let mut was_late = false;
        let effect = self.change(|inner, now| {
            was_late = !inner.work.is_fresh(node, &tip, before);
            if was_late { None } else { inner.work.tip(node, tip, now) }
        });
        Effect { was_late, ..effect }
    }

    /// A checked template. It is a sign of life, too: a node can be too busy for small questions, and still work.
    pub(super) fn template(&self, node: usize, template: Template) -> Effect {
        let mut was_late = false;
        let effect = self.change(|inner, now| {
            was_late = !inner.work.is_timely(node, &template);
            let view = &mut inner.views[node];
            view.template_error = None;
            if view.standing != Standing::Ready {
                return None;
            }
            view.up = true;
            // Whatever empty work that would give, the full one follows in the same breath.
            let before = inner.work.set_usable(node, true, now);
            inner.work.template(node, template, now).or(before)
        });
        Effect { was_late, ..effect }
    }

    /// There was no template, or it was refused.
    pub(super) fn no_template(&self, node: usize, error: String) {
        self.change(|inner, _| {
            inner.views[node].template_error = Some(error);
            None
        });
    }

    /// Version and what the node says about its notifications.
    pub(super) fn describe(&self, node: usize, version: Option<String>, unpublished: bool) {
        self.change(|inner, _| {
            let view = &mut inner.views[node];
            if let Some(version) = version {
                view.version = version;
            }
            view.zmq.unpublished = unpublished;
            None
        });
    }

    /// Changes what is known of a node's notifications; gives whether they work.
    pub(super) fn zmq(&self, node: usize, change: impl FnOnce(&mut ZmqView)) -> bool {
        let mut works = false;
        self.change(|inner, _| {
            change(&mut inner.views[node].zmq);
            works = inner.views[node].zmq.works();
            None
        });
        works
    }

    /// Estimated hashes a second of the whole network.
    pub(super) fn network_hashrate(&self, hashes_per_second: f64) {
        self.change(|inner, _| {
            inner.network_hashes_per_second = hashes_per_second;
            None
        });
    }

    /// News of a found block.
    pub(super) fn block(&self, hash: Hash256, state: BlockState) {
        let inner = self.lock();
        if !inner.stopped {
            (self.sink)(NodeEvent::Block { hash, state });
        }
    }

    /// The tip of a node.
    pub(super) fn tip_of(&self, node: usize) -> Option<Tip> {
        self.lock().work.tip_of(node).copied()
    }

    /// Height of the tip that is worked on, 0 when there is none.
    pub(super) fn height(&self) -> u32 {
        self.lock().work.current().map_or(0, |tip| tip.height)
    }

    /// The block of the node's latest notification.
    pub(super) fn zmq_heard(&self, node: usize) -> Option<Hash256> {
        self.lock().views[node].zmq.heard
    }

    /// Nodes in the order in which they should be asked about the chain.
    pub(super) fn nodes_to_ask(&self) -> Vec<usize> {
        self.lock().work.nodes_to_ask()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Inner, UnixTime) -> Option<Arc<Template>>) -> Effect {
        let now = now();
        let mut inner = self.lock();
        let tip_before = inner.work.current().map(|tip| tip.hash);
        let work = change(&mut inner, now);
        let tip_changed = inner.work.current().map(|tip| tip.hash) != tip_before;
        if !inner.stopped {
            // Work first: nothing may stand between a new tip and the miners.
            if let Some(template) = work {
                (self.sink)(NodeEvent::Template(template));
            }
            self.tell_status(&mut inner, now);
        }
        Effect { tip_changed, was_late: false }
    }

    fn tell_status(&self, inner: &mut Inner, now: UnixTime) {
        let mut status = status(&inner.views, &inner.work, self.network, now);
        status.network_hashes_per_second = inner.network_hashes_per_second;
        let told = &inner.told;
        let first = inner.told_at == UnixTime::default();
        status.since = if status.health == told.health && !first { told.since } else { now };
        let news = first || without_latencies(&status) != without_latencies(told);
        let due = now.millis().saturating_sub(inner.told_at.millis()) >= LATENCIES_INTERVAL_MILLIS && status != *told;
        if !news && !due {
            return;
        }
        if status.health != told.health || status.message != told.message {
            log(&status);
        }
        inner.told = status.clone();
        inner.told_at = now;
        (self.sink)(NodeEvent::Status(status));
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
