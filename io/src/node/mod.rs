//! The node's side: work from Bitcoin Core to the engine, found blocks from the engine to Bitcoin Core.
//!
//! What is asked of which node, and what follows from the answers, is decided in [`side`](self) and the machines that it is
//! made of, without clock, socket or thread: `watch` (what is the tip, is the node to be trusted), `fetch` (when to ask for
//! templates), `submit` (found blocks), `follow` (what became of them), `work` (what to hand out), `source` (what the engine
//! is told, in one order). `threads` carries the questions: for each node one thread for its tip, one for templates, two
//! that submit and, where configured, a listener to its ZMQ notifications; one more follows found blocks. None of them waits
//! for another's call. [`SteppedNodes`] leaves the carrying to the caller.
//!
//! What does not happen here: no job is built, no coinbase made, nothing is written to disk, and no transaction is
//! validated: that is the node's work.

mod credentials;
#[cfg(test)]
mod empty_work_tests;
mod fetch;
mod follow;
pub mod merkle;
mod pins;
mod question;
pub mod rpc;
mod secret;
mod side;
mod source;
mod status;
mod stepped;
mod submit;
pub mod template;
mod threads;
mod watch;
mod work;
mod zmq;

pub use credentials::CredentialsError;
pub use merkle::LevelHasher;
pub use question::{Outcome, Question, Reply};
pub use rpc::RpcTimeouts;
pub use secret::Secret;
pub use side::SideOptions;
pub use stepped::{Errand, SteppedNodes, Ticket};
pub use submit::{Submission, Upkeep};
pub use zmq::Notification;

use credentials::Credentials;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rpc::RpcClient;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use threads::{Node, Shared, Sink};
use warppool_components::block::BlockCandidate;
use warppool_components::limits::BLOCKS_SUBMITTING_MAX;
use warppool_components::node::NodeEvent;
use warppool_components::settings::Network;
use warppool_components::units::Hash256;
use zmq::Subscription;

/// How long [`NodeHandle::stop`] waits for threads before it leaves them behind.
const STOP_PATIENCE: Duration = Duration::from_millis(1000);

/// How long it waits when a found block has not been sent to every node yet. The next start would send it again, but
/// nobody knows when that is.
const STOP_PATIENCE_WITH_BLOCK: Duration = Duration::from_secs(15);

/// Between two looks whether such a block is sent.
const STOP_LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What the node's side is to do.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// The network that every node must be on.
    pub network: Network,
    /// The nodes, at least one.
    pub nodes: Vec<Endpoint>,
    /// How often a template is fetched when nothing else asks for one.
    pub template_refresh: Duration,
    /// How often the tip is asked for.
    pub poll_interval: Duration,
    /// Whether miners get work without transactions the moment a tip is known.
    pub empty_job_on_new_tip: bool,
    /// How the trees of templates are hashed.
    pub level_hasher: LevelHasher,
}

/// How to reach one node.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `http://host:port`. Without a port, Bitcoin Core's default for the network.
    pub rpc_url: String,
    /// The node's cookie file; preferred to user and password, which stand in when it cannot be read.
    pub cookie_path: Option<PathBuf>,
    /// RPC user.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// Address of the node's `zmqpubhashblock`, such as `tcp://127.0.0.1:28332`.
    pub zmq_hashblock: Option<String>,
    /// Address of its `zmqpubrawblock`, as a cross-check.
    pub zmq_rawblock: Option<String>,
}

/// Why the node's side cannot start. A node that is down is no reason: it is tried until it is there.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Nobody to ask.
    #[error("no node is configured: set rpc_url in [node]")]
    NoNodes,
    /// An address that is none.
    #[error("rpc_url {url}: {why}; it is http://host:port")]
    Url {
        /// The address, without what may be a password.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A ZMQ address that is none.
    #[error("the ZMQ address {address} cannot be used: {why}; it is tcp://host:port")]
    Zmq {
        /// The address or addresses.
        address: String,
        /// What ZMQ says.
        why: String,
    },
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The running node's side. Dropping it stops it.
pub struct NodeHandle {
    shared: Arc<Shared>,
    stop: Option<Sender<Infallible>>,
    ended: Receiver<Infallible>,
}

/// Starts asking the nodes. Events go to `sink`, which is called from several threads, one at a time, and must
/// not block.
///
/// # Errors
/// [`NodeError`] for addresses that cannot be used. A node that does not answer is no error.
pub fn start(options: NodeOptions, sink: impl Fn(NodeEvent) + Send + Sync + 'static) -> Result<NodeHandle, NodeError> {
    start_with_timeouts(options, RpcTimeouts::default(), sink)
}

/// The same with other limits on how long calls may take.
///
/// # Errors
/// As [`start`].
pub fn start_with_timeouts(
    options: NodeOptions,
    timeouts: RpcTimeouts,
    sink: impl Fn(NodeEvent) + Send + Sync + 'static,
) -> Result<NodeHandle, NodeError> {
    if options.nodes.is_empty() {
        return Err(NodeError::NoNodes);
    }
    let subscriptions = options.nodes.iter().map(subscribe).collect::<Result<Vec<_>, _>>()?;
    let (nodes, queues) = connect(&options, timeouts)?;
    let (stop, stopped) = bounded(0);
    let (alive, ended) = bounded(0);
    let sink: Sink = Box::new(sink);
    let shared =
        Shared::new(side_options(&options, &nodes, timeouts), options.level_hasher, nodes, sink, stopped, alive);
    let handle = NodeHandle { shared, stop: Some(stop), ended };
    for (node, (submissions, subscription)) in queues.into_iter().zip(subscriptions).enumerate() {
        handle.shared.start_node(node, &submissions, subscription)?;
    }
    handle.shared.start_follower()?;
    Ok(handle)
}

/// The receiving end of a node's found blocks.
type Queue = Receiver<Arc<Submission>>;

fn connect(options: &NodeOptions, timeouts: RpcTimeouts) -> Result<(Vec<Node>, Vec<Queue>), NodeError> {
    let connect = |endpoint: &Endpoint| {
        let address = address(&endpoint.rpc_url, options.network)?;
        let credentials =
            Credentials::new(endpoint.cookie_path.clone(), endpoint.user.as_deref(), endpoint.password.as_ref());
        let (submissions, queue) = bounded(BLOCKS_SUBMITTING_MAX);
        Ok((Node { rpc: RpcClient::new(address, credentials, timeouts), submissions }, queue))
    };
    options.nodes.iter().map(connect).collect()
}

fn side_options(options: &NodeOptions, nodes: &[Node], timeouts: RpcTimeouts) -> SideOptions {
    let name = |(node, endpoint): (&Node, &Endpoint)| (node.rpc.address().to_owned(), endpoint.zmq_hashblock.is_some());
    SideOptions {
        network: options.network,
        template_refresh: options.template_refresh,
        poll_interval: options.poll_interval,
        template_patience: timeouts.template,
        empty_job_on_new_tip: options.empty_job_on_new_tip,
        nodes: nodes.iter().zip(&options.nodes).map(name).collect(),
    }
}

fn subscribe(endpoint: &Endpoint) -> Result<Option<Subscription>, NodeError> {
    let (hashblock, rawblock) = (endpoint.zmq_hashblock.as_deref(), endpoint.zmq_rawblock.as_deref());
    if hashblock.is_none() && rawblock.is_none() {
        return Ok(None);
    }
    Subscription::connect(hashblock, rawblock).map(Some).map_err(|error| NodeError::Zmq {
        address: [hashblock, rawblock].into_iter().flatten().collect::<Vec<_>>().join(" or "),
        why: error.to_string(),
    })
}

/// `http://host:port` from what the operator wrote. Nothing else may be in it: a password in an address ends up in
/// logs, and a path would be a wallet's.
fn address(url: &str, network: Network) -> Result<String, NodeError> {
    let error = |why| {
        let shown = url.rsplit('@').next().unwrap_or_default().to_owned();
        Err(NodeError::Url { url: shown, why })
    };
    if url.starts_with("https://") {
        return error("TLS is not spoken; use a tunnel or a private network");
    }
    let Some(rest) = url.strip_prefix("http://") else { return error("it does not begin with http://") };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains('@') {
        return error("user and password belong into rpc_user and rpc_pass");
    }
    if authority.contains(['/', '?', '#']) {
        return error("a path has no place in it");
    }
    if authority.is_empty() || authority.contains(|character: char| character.is_whitespace()) {
        return error("there is no host in it");
    }
    // An IPv6 address has colons inside its brackets.
    match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0) => {
            Ok(format!("http://{authority}"))
        }
        Some(_) => error("the port is a number from 1 to 65535"),
        None => Ok(format!("http://{authority}:{}", default_port(network))),
    }
}

/// The RPC port of Bitcoin Core.
const fn default_port(network: Network) -> u16 {
    match network {
        Network::Mainnet => 8332,
        Network::Testnet4 => 48332,
        Network::Signet => 38332,
        Network::Regtest => 18443,
    }
}

impl NodeHandle {
    /// Sends a found block to all nodes at once. Does not block.
    pub fn submit(&self, candidate: Arc<BlockCandidate>) {
        self.shared.enqueue(Submission::found(candidate, self.shared.nodes.len(), self.shared.now().instant));
    }

    /// Sends a block of an earlier run, whose final answer is not known, from its serialised bytes.
    pub fn resubmit(&self, hash: Hash256, block: Arc<[u8]>) {
        let now = self.shared.now().instant;
        self.shared.enqueue(Submission::found_earlier(hash, block, self.shared.nodes.len(), now));
    }

    /// Follows a block that was accepted in an earlier run.
    pub fn follow(&self, hash: Hash256) {
        self.shared.change(|side, _| side.follow(hash));
    }

    /// When the name of the latest tip reached the pool first: by ZMQ, by a poll or with a template.
    pub fn tip_heard_at(&self) -> Option<Instant> {
        self.shared.tip_heard_at()
    }

    /// Asks every node for a template now, or as soon as the request in flight has ended.
    pub fn refresh(&self) {
        self.shared.change(|side, _| side.refresh());
    }

    /// Stops: no event comes after this returns. A found block that was not sent yet is sent first. Threads that wait for a
    /// node's answer are left behind and end with it; the others are joined.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        if self.stop.take().is_none() {
            return;
        }
        let handles = self.shared.stop();
        self.wait_for_threads();
        for handle in handles.into_iter().filter(std::thread::JoinHandle::is_finished) {
            let _ = handle.join();
        }
    }

    /// Until all threads have ended, or until patience ends: more of it while a found block is on its way.
    fn wait_for_threads(&self) {
        let began_at = Instant::now();
        loop {
            // Disconnected as soon as the last thread has let go of its copy.
            let outcome = self.ended.recv_timeout(STOP_LOOK_INTERVAL);
            let patience = if self.shared.is_sending() { STOP_PATIENCE_WITH_BLOCK } else { STOP_PATIENCE };
            if outcome == Err(RecvTimeoutError::Disconnected) || began_at.elapsed() >= patience {
                return;
            }
        }
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        self.shut_down();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port_and_nothing_else() {
        let accepted = [
            ("http://127.0.0.1:8332", "http://127.0.0.1:8332"),
            ("http://node/", "http://node:18443"),
            ("http://[::1]", "http://[::1]:18443"),
            ("http://[::1]:7", "http://[::1]:7"),
        ];
        for (url, expected) in accepted {
            assert_eq!(address(url, Network::Regtest).expect(url), expected);
        }
        let refused = [
            ("127.0.0.1:8332", "begin with"),
            ("https://node:1", "TLS"),
            ("http://node:1/wallet/x", "path"),
            ("http://", "no host"),
            ("http://node:0", "port"),
            ("http://node:70000", "port"),
        ];
        for (url, why) in refused {
            let text = address(url, Network::Regtest).expect_err(url).to_string();
            assert!(text.contains(why), "{url}: {text}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let text = address("http://user:hunter2@node:1", Network::Regtest).expect_err("refused").to_string();
        assert!(text.contains("rpc_user") && !text.contains("hunter2"), "{text}");
    }
}
