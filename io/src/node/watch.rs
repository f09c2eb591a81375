//! The watcher of one node: finds a new tip, and knows whether the node is to be trusted.
//!
//! It asks for the best block every `poll_interval`, and at once when ZMQ, or a block of our own, says that there
//! is one. It never asks for templates: those may take half a minute, and a tip is not to wait behind one.

use super::pins::{Stranger, pins};
use super::rpc::{ChainInfo, RpcError};
use super::status::Standing;
use super::zmq::{Notification, Subscription};
use super::{Shared, Wake};
use crossbeam::channel::{Receiver, select};
use std::time::{Duration, Instant};
use warppool_components::units::Hash256;

/// How often a node that is fine is asked for its chain and whether it is still in step.
const CHAIN_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Between two attempts to reach a node that does not answer.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Oldest Bitcoin Core whose answers the pool is made for.
const VERSION_MIN: u32 = 270_000;

struct Watcher<'a> {
    shared: &'a Shared,
    node: usize,
    /// The last attempt was answered.
    connected: bool,
    standing: Standing,
    /// Pinned blocks that the node was found to have since it was last gone.
    pins_seen: usize,
    chain_checked_at: Option<Instant>,
    /// When the node was last not there at all.
    gone_at: Option<Instant>,
    /// The best block at the last look.
    last_best: Option<Hash256>,
    /// A tip that the poll found before ZMQ said a word.
    unannounced: Option<Hash256>,
}

/// Watches `node` until the pool stops.
pub(super) fn run(shared: &Shared, node: usize, wakes: &Receiver<Wake>) {
    let mut watcher = Watcher {
        shared,
        node,
        connected: false,
        standing: Standing::Unknown,
        pins_seen: 0,
        chain_checked_at: None,
        gone_at: None,
        last_best: None,
        unannounced: None,
    };
    let mut hint = None;
    let mut pause = PAUSE_MIN;
    while !shared.is_stopping() {
        let wait = match watcher.look(hint) {
            Ok(()) => {
                pause = PAUSE_MIN;
                shared.poll_interval
            }
            Err(error) => {
                watcher.failed(&error);
                let wait = pause;
                pause = (pause * 2).min(PAUSE_MAX);
                wait
            }
        };
        hint = wait_for_wake(shared, wakes, wait);
    }
}

/// Waits for the next look; the latest block that somebody named, if any.
fn wait_for_wake(shared: &Shared, wakes: &Receiver<Wake>, wait: Duration) -> Option<Hash256> {
    let first = select! {
        recv(wakes) -> wake => wake.ok(),
        recv(shared.stop) -> _ => None,
        default(wait) => None,
    };
    let named = |wake| if let Wake::Block(hash) = wake { Some(hash) } else { None };
    // One look serves all that wait.
    first.into_iter().chain(wakes.try_iter()).filter_map(named).last()
}

impl Watcher<'_> {
    fn look(&mut self, hint: Option<Hash256>) -> Result<(), RpcError> {
        let came_back = !self.connected;
        if came_back {
            self.check_chain()?;
            self.connected = true;
        }
        let moved = self.check_tip(hint)?;
        let due = self.chain_checked_at.is_none_or(|at| at.elapsed() >= CHAIN_CHECK_INTERVAL);
        if !came_back && (due || self.standing != Standing::Ready) {
            self.check_chain()?;
        }
        if came_back {
            self.describe_node();
        }
        if moved || came_back {
            self.ask_network_hashrate();
        }
        self.replace_stalled_fetcher();
        self.shared.source.alive(self.node, self.rpc().latencies());
        Ok(())
    }

    /// Finds out whether the tip is another one. `hint` names a block that is probably the tip.
    fn check_tip(&mut self, hint: Option<Hash256>) -> Result<bool, RpcError> {
        let known = self.shared.source.tip_of(self.node).map(|tip| tip.hash);
        let named = match hint.filter(|hash| Some(*hash) != known) {
            Some(hash) => self.rpc().block_header(&hash)?.filter(|header| header.confirmations == 1),
            None => None,
        };
        let header = match named {
            Some(header) => header,
            None => {
                let best = self.rpc().best_block_hash()?;
                self.compare_with_zmq(best);
                if Some(best) == known {
                    return Ok(false);
                }
                self.shared.hear_of_tip(best);
                // The template is asked for already while the header is on its way.
                self.shared.nodes[self.node].orders.want_tip(best);
                self.rpc().block_header(&best)?.ok_or(RpcError::Empty { method: "getblockheader" })?
            }
        };
        self.shared.hear_of_tip(header.tip.hash);
        self.last_best = Some(header.tip.hash);
        self.shared.nodes[self.node].orders.want_tip(header.tip.hash);
        self.shared.tip(self.node, header.tip, known);
        tracing::debug!(node = self.node, height = header.tip.height, tip = %header.tip.hash, "new tip");
        Ok(true)
    }

    /// A tip that the poll found should have been announced by the time of the next poll. The first tip after a
    /// connection was made is nobody's to announce.
    fn compare_with_zmq(&mut self, best: Hash256) {
        let heard = self.shared.source.zmq_heard(self.node);
        let is_new = self.last_best != Some(best);
        if let Some(hash) = self.unannounced.take()
            && heard != Some(hash)
            && !is_new
        {
            self.shared.zmq(self.node, |zmq| zmq.silent = zmq.configured);
        }
        if is_new && self.last_best.is_some() && heard != Some(best) {
            self.unannounced = Some(best);
        }
        self.last_best = Some(best);
    }

    fn check_chain(&mut self) -> Result<(), RpcError> {
        let chain = self.rpc().chain_info()?;
        self.chain_checked_at = Some(Instant::now());
        let stranger = self.check_pins(&chain)?;
        self.standing = self.shared.source.answers(self.node, &chain, stranger);
        self.shared.nodes[self.node].orders.set_usable(self.standing == Standing::Ready);
        Ok(())
    }

    /// Asks for the pinned blocks that the node has reached and was not asked for since it was last gone; the first
    /// that is another one.
    fn check_pins(&mut self, chain: &ChainInfo) -> Result<Option<Stranger>, RpcError> {
        if chain.chain != self.shared.network.chain() {
            return Ok(None);
        }
        let pins = pins(self.shared.network);
        while let Some(pin) = pins.get(self.pins_seen).filter(|pin| pin.height <= chain.blocks) {
            let (found, expected) = (self.rpc().block_hash(pin.height)?, pin.hash());
            if found != expected {
                return Ok(Some(Stranger { height: pin.height, found, expected }));
            }
            self.pins_seen += 1;
        }
        Ok(None)
    }

    /// What is good to know but nothing depends on: a node that does not tell is no worse.
    fn describe_node(&self) {
        let network = self.rpc().network_info().ok();
        let unpublished =
            self.rpc().zmq_notifications().is_ok_and(|all| !all.iter().any(|it| it.kind == "pubhashblock"));
        if let Some(info) = network.as_ref().filter(|info| info.version < VERSION_MIN) {
            let (node, version) = (self.rpc().address(), &info.subversion);
            tracing::warn!(node, version, "the pool is made for Bitcoin Core 27 and newer");
        }
        self.shared.source.describe(self.node, network.map(|info| info.subversion), unpublished);
    }

    fn ask_network_hashrate(&self) {
        if let Ok(info) = self.rpc().mining_info() {
            self.shared.source.network_hashrate(info.networkhashps);
        }
    }

    fn replace_stalled_fetcher(&self) {
        let orders = &self.shared.nodes[self.node].orders;
        if orders.is_stalled(self.gone_at, self.shared.timeouts.template) {
            tracing::info!(node = self.rpc().address(), "a template request died with its connection; asking anew");
            self.shared.start_fetcher(self.node, orders.supersede());
        }
    }

    fn failed(&mut self, error: &RpcError) {
        // Slow is not gone: a node that is only slow keeps the request that it is working on.
        let gone = !matches!(error, RpcError::TimedOut { .. });
        if matches!(error, RpcError::Connect { .. }) {
            self.gone_at = Some(Instant::now());
        }
        self.connected = false;
        (self.last_best, self.unannounced) = (None, None);
        if gone {
            self.standing = Standing::Unknown;
            // Another node may stand there when one answers again.
            self.pins_seen = 0;
            self.shared.nodes[self.node].orders.set_usable(false);
        }
        self.shared.source.down(self.node, error.to_string(), gone);
    }

    fn rpc(&self) -> &super::rpc::RpcClient {
        &self.shared.nodes[self.node].rpc
    }
}

/// Hears the node's notifications until the pool stops.
pub(super) fn listen(shared: &Shared, node: usize, subscription: Subscription) {
    let wake = |wake| {
        // A full queue means that a look is due anyway.
        let _ = shared.nodes[node].wakes.try_send(wake);
    };
    subscription.run(
        || !shared.is_stopping(),
        |notification| match notification {
            Notification::Block(hash) => {
                shared.hear_of_tip(hash);
                wake(Wake::Block(hash));
                shared.zmq(node, |zmq| (zmq.connected, zmq.silent, zmq.heard) = (true, false, Some(hash)));
            }
            Notification::Gap => {
                tracing::info!(node, "ZMQ lost a message");
                wake(Wake::Look);
            }
            Notification::Connected => shared.zmq(node, |zmq| (zmq.connected, zmq.silent) = (true, false)),
            Notification::Disconnected => {
                shared.zmq(node, |zmq| zmq.connected = false);
                wake(Wake::Look);
            }
        },
    );
}
