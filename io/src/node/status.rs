//! What is known of each node, and the judgement over all of them in words for the operator. Pure.

use super::pins::Stranger;
use super::rpc::{ChainInfo, Latencies};
use super::work::Work;
use std::time::Duration;
use warppool_components::node::{NodeHealth, NodeState, NodeStatus};
use warppool_components::settings::Network;
use warppool_components::units::{Hash256, Target, UnixTime};

/// A tip older than this is a sign that the node has lost its peers: by chance it happens once in 160,000 blocks.
const TIP_AGE_SUSPICIOUS_SECONDS: u64 = 2 * 3600;

/// What a node's chain is to us.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Standing {
    /// Not asked yet, or gone since.
    #[default]
    Unknown,
    /// Another network's.
    WrongChain(String),
    /// One with another block than all nodes of the configured network have.
    Stranger(Stranger),
    /// In initial block download.
    Syncing { blocks: u32, headers: u32 },
    /// To be worked on.
    Ready,
}

impl Standing {
    /// `stranger` says which block of the node is not the network's.
    pub(super) fn of(chain: &ChainInfo, stranger: Option<Stranger>, network: Network) -> Self {
        if chain.chain != network.chain() {
            Self::WrongChain(chain.chain.clone())
        } else if let Some(stranger) = stranger {
            Self::Stranger(stranger)
        } else if chain.initialblockdownload {
            Self::Syncing { blocks: chain.blocks, headers: chain.headers }
        } else {
            Self::Ready
        }
    }
}

/// What is known of a node's notifications.
#[derive(Clone, Debug, Default)]
pub(super) struct ZmqView {
    pub(super) configured: bool,
    pub(super) connected: bool,
    /// A tip came without a word.
    pub(super) silent: bool,
    /// The block of the latest notification.
    pub(super) heard: Option<Hash256>,
    /// The node says that it publishes none.
    pub(super) unpublished: bool,
}

impl ZmqView {
    pub(super) fn works(&self) -> bool {
        self.connected && !self.silent
    }
}

/// One node as the pool sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) name: String,
    pub(super) standing: Standing,
    /// An attempt to reach it has ended, one way or the other.
    pub(super) tried: bool,
    pub(super) up: bool,
    pub(super) error: String,
    pub(super) version: String,
    pub(super) zmq: ZmqView,
    /// Why there is no template from it.
    pub(super) template_error: Option<String>,
    pub(super) latencies: Latencies,
}

impl View {
    pub(super) fn usable(&self) -> bool {
        self.up && self.standing == Standing::Ready
    }

    fn state(&self, height: u32) -> NodeState {
        NodeState {
            name: self.name.clone(),
            up: self.up,
            version: self.version.clone(),
            syncing: matches!(self.standing, Standing::Syncing { .. }),
            height,
            rpc_latency: self.latencies.last,
            rpc_latency_counts: self.latencies.counts,
            rpc_latency_sum_seconds: self.latencies.sum_seconds,
            zmq: self.zmq.works(),
            error: if self.up { self.template_error.clone().unwrap_or_default() } else { self.error.clone() },
        }
    }
}

/// The judgement over all nodes.
pub(super) fn health(views: &[View]) -> NodeHealth {
    if views.iter().any(View::usable) {
        NodeHealth::Ready
    } else if views.iter().any(|view| view.up && matches!(view.standing, Standing::Syncing { .. })) {
        NodeHealth::Syncing
    } else if views
        .iter()
        .any(|view| view.up && matches!(view.standing, Standing::WrongChain(_) | Standing::Stranger(_)))
    {
        NodeHealth::WrongChain
    } else if views.iter().all(|view| view.tried) {
        NodeHealth::Lost
    } else {
        NodeHealth::Starting
    }
}

/// The state of the nodes together. `since` and the network's hash rate are for the caller to fill in.
pub(super) fn status(views: &[View], work: &Work, network: Network, now: UnixTime) -> NodeStatus {
    let tip = work.current();
    let difficulty =
        tip.and_then(|tip| Target::from_compact(tip.bits).ok()).map_or(0.0, |it| it.to_difficulty().value());
    let height_of = |node| work.tip_of(node).map_or(0, |tip| tip.height);
    NodeStatus {
        health: health(views),
        message: message(views, work, network, now),
        since: UnixTime::default(),
        difficulty,
        height: tip.map_or(0, |tip| tip.height),
        tip: tip.map_or(Hash256::ZERO, |tip| tip.hash),
        network_hashes_per_second: 0.0,
        nodes: views.iter().enumerate().map(|(node, view)| view.state(height_of(node))).collect(),
    }
}

/// The same without what changes with every call to a node.
pub(super) fn without_latencies(status: &NodeStatus) -> NodeStatus {
    let mut status = status.clone();
    for node in &mut status.nodes {
        node.rpc_latency = Duration::ZERO;
        node.rpc_latency_counts = Default::default();
        node.rpc_latency_sum_seconds = 0.0;
    }
    status
}

fn message(views: &[View], work: &Work, network: Network, now: UnixTime) -> String {
    let mut sentences: Vec<String> = views.iter().flat_map(|view| complaints(view, network)).collect();
    if let Some(tip) = work.current() {
        for node in work.disagreeing() {
            let Some(other) = work.tip_of(node) else { continue };
            sentences.push(format!(
                "The nodes disagree about the tip: {} is at {} (height {}), the pool works on {} (height {}).",
                views[node].name, other.hash, other.height, tip.hash, tip.height
            ));
        }
        let age_seconds = now.seconds().saturating_sub(tip.time.seconds());
        if network != Network::Regtest && age_seconds > TIP_AGE_SUSPICIOUS_SECONDS {
            let hours = age_seconds / 3600;
            sentences.push(format!("The tip is over {hours} h old: look whether the node still has peers."));
        }
    }
    if health(views) == NodeHealth::Lost {
        sentences.insert(0, "No node answers; the last work is served until the time limit for that.".to_owned());
    }
    sentences.join(" ")
}

fn complaints(view: &View, network: Network) -> Vec<String> {
    let name = &view.name;
    let mut sentences = Vec::new();
    if view.tried && !view.up {
        sentences.push(format!("{name} is down: {}.", view.error));
        return sentences;
    }
    match &view.standing {
        Standing::WrongChain(chain) => sentences.push(format!(
            "{name} is on the chain {chain}, the configured network is {} ({}): no work from it.",
            network.name(),
            network.chain()
        )),
        Standing::Stranger(Stranger { height, found, expected }) => sentences.push(format!(
            "{name} says that it is on {}, but its block {height} is {found} and not {expected}: it follows another \
             chain, no work from it.",
            network.name()
        )),
        Standing::Syncing { blocks, headers } => sentences.push(format!(
            "{name} is in initial block download (block {blocks} of {headers}): no work until it has finished.{}",
            if network == Network::Regtest { " On regtest a single new block ends it." } else { "" }
        )),
        Standing::Ready | Standing::Unknown => {}
    }
    if view.zmq.configured && view.zmq.unpublished {
        sentences.push(format!("{name} publishes no hashblock by ZMQ: set zmqpubhashblock in its bitcoin.conf."));
    } else if view.zmq.configured && view.zmq.silent {
        sentences.push(format!("ZMQ of {name} was silent about a new tip; tips are found by polling."));
    }
    if let Some(error) = &view.template_error {
        sentences.push(format!("No new template from {name}: {error}."));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::template::Tip;

    fn view(up: bool, standing: Standing) -> View {
        View { name: "node".to_owned(), tried: true, up, standing, error: "refused".to_owned(), ..View::default() }
    }

    fn stranger() -> Stranger {
        Stranger { height: 7, found: Hash256::ZERO, expected: Hash256::from_internal([1; 32]) }
    }

    fn tip_of_age(seconds: u64, now: UnixTime) -> Work {
        let mut work = Work::new(Network::Mainnet, true, 1);
        let _ = work.set_usable(0, true, now);
        let time = UnixTime::from_seconds(now.seconds() - seconds);
        let hash = Hash256::from_internal([3; 32]);
        let _ = work.tip(0, Tip { hash, height: 900_000, bits: 0x1702_4321, time, median_time: time }, now);
        work
    }

    #[test]
    fn a_node_whose_tip_does_not_move_is_told_of() {
        let now = UnixTime::from_seconds(2_000_000_000);
        let views = [view(true, Standing::Ready)];
        for (seconds, warns) in [(60, false), (TIP_AGE_SUSPICIOUS_SECONDS, false), (3 * 3600 + 1, true)] {
            let message = message(&views, &tip_of_age(seconds, now), Network::Mainnet, now);
            assert_eq!(message.contains("over 3 h old"), warns, "{seconds}: {message}");
        }
        let on_regtest = message(&views, &tip_of_age(86_400, now), Network::Regtest, now);
        assert_eq!(on_regtest, "", "there a tip may be as old as it likes");
    }

    #[test]
    fn a_stranger_is_named_with_the_block_that_gives_it_away() {
        let text = complaints(&view(true, Standing::Stranger(stranger())), Network::Mainnet).join(" ");
        assert!(text.contains("says that it is on mainnet") && text.contains("block 7"), "{text}");
    }

    #[test]
    fn one_good_node_is_enough_and_what_answers_outranks_what_does_not() {
        let syncing = Standing::Syncing { blocks: 1, headers: 2 };
        let wrong = Standing::WrongChain("main".to_owned());
        let table = [
            (vec![View::default()], NodeHealth::Starting),
            (vec![view(false, Standing::Unknown), View::default()], NodeHealth::Starting),
            (vec![view(false, Standing::Unknown)], NodeHealth::Lost),
            (vec![view(false, Standing::Ready)], NodeHealth::Lost),
            (vec![view(true, syncing.clone())], NodeHealth::Syncing),
            (vec![view(true, wrong.clone()), view(false, Standing::Unknown)], NodeHealth::WrongChain),
            (vec![view(true, wrong), view(true, syncing)], NodeHealth::Syncing),
            (vec![view(true, Standing::Stranger(stranger()))], NodeHealth::WrongChain),
            (vec![view(false, Standing::Unknown), view(true, Standing::Ready)], NodeHealth::Ready),
        ];
        for (views, expected) in table {
            assert_eq!(health(&views), expected, "{views:?}");
        }
    }
}
