//! The node's side: work from Bitcoin Core to the engine, found blocks from the engine to Bitcoin Core.
//!
//! Each node has a watcher (what is the tip, is the node to be trusted), a template fetcher, threads that submit
//! and, where configured, a listener to its ZMQ notifications; one follower looks after found blocks. None of them
//! waits for another. All that they learn goes to `source`, which makes [`NodeEvent`]s of it in one order.
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
pub mod rpc;
mod secret;
mod source;
mod status;
mod submit;
pub mod template;
mod watch;
mod work;
mod zmq;

pub use credentials::CredentialsError;
pub use merkle::LevelHasher;
pub use rpc::RpcTimeouts;
pub use secret::Secret;

use credentials::Credentials;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded};
use fetch::Orders;
use follow::FollowList;
use rpc::RpcClient;
use source::{Effect, Sink, Source};
use status::ZmqView;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use submit::Submission;
use template::Tip;
use warppool_components::block::BlockCandidate;
use warppool_components::limits::{BLOCKS_SUBMITTING_MAX, TIP_CHECKS_QUEUED_MAX};
use warppool_components::node::NodeEvent;
use warppool_components::settings::Network;
use warppool_components::template::Template;
use warppool_components::units::{Hash256, UnixTime};
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

/// Why a watcher is to look before its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wake {
    /// This block is probably the tip.
    Block(Hash256),
    /// Something happened.
    Look,
}

/// One node, as its threads share it.
struct Node {
    rpc: RpcClient,
    orders: Orders,
    wakes: Sender<Wake>,
    submissions: Sender<Arc<Submission>>,
}

/// What all threads share.
struct Shared {
    this: std::sync::Weak<Self>,
    network: Network,
    template_refresh: Duration,
    poll_interval: Duration,
    timeouts: RpcTimeouts,
    level_hasher: LevelHasher,
    nodes: Vec<Node>,
    source: Source,
    follow: FollowList,
    /// The latest tip that any node spoke of, and when its name was first heard.
    tip_heard: Mutex<Option<(Hash256, Instant)>>,
    /// Found blocks that a node has not been sent once, counted for each node.
    unsent: AtomicUsize,
    /// Disconnected when the pool stops.
    stop: Receiver<Infallible>,
    threads: Mutex<Threads>,
}

/// Threads that run, and how to learn that they have ended.
struct Threads {
    handles: Vec<JoinHandle<()>>,
    /// Every thread holds a copy; `None` when no more may start.
    alive: Option<Sender<Infallible>>,
}

impl Shared {
    fn is_stopping(&self) -> bool {
        self.stop.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// A node's tip, asked for while it was `before`, and what follows from it.
    fn tip(&self, node: usize, tip: Tip, before: Option<Hash256>) {
        let effect = self.source.tip(node, tip, before);
        self.after(node, &effect);
    }

    /// The name of a tip has reached the pool, whoever brought it.
    fn hear_of_tip(&self, hash: Hash256) {
        let mut heard = self.tip_heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.is_none_or(|(known, _)| known != hash) {
            *heard = Some((hash, Instant::now()));
        }
    }

    /// A node's template, and what follows from it.
    fn template(&self, node: usize, template: Template) {
        self.hear_of_tip(template.previous_block);
        let effect = self.source.template(node, template);
        if effect.was_late {
            self.nodes[node].orders.forget_latest();
        }
        self.after(node, &effect);
    }

    fn after(&self, node: usize, effect: &Effect) {
        if effect.tip_changed {
            self.follow.look();
        }
        if effect.was_late {
            // A full queue means that a look is due anyway.
            let _ = self.nodes[node].wakes.try_send(Wake::Look);
        }
    }

    /// News of a node's notifications. Long polls are of use only where they do not work.
    fn zmq(&self, node: usize, change: impl FnOnce(&mut ZmqView)) {
        let works = self.source.zmq(node, change);
        self.nodes[node].orders.set_longpoll_useful(!works);
    }

    fn refresh(&self) {
        self.nodes.iter().for_each(|node| node.orders.refresh());
    }

    fn spawn(&self, name: String, work: impl FnOnce(&Self) + Send + 'static) -> Result<(), std::io::Error> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(alive), Some(shared)) = (threads.alive.clone(), self.this.upgrade()) else { return Ok(()) };
        let run = move || {
            work(&shared);
            drop(alive);
        };
        threads.handles.retain(|handle| !handle.is_finished());
        threads.handles.push(std::thread::Builder::new().name(name).spawn(run)?);
        Ok(())
    }

    /// Starts the fetcher that carries out orders of this generation.
    fn start_fetcher(&self, node: usize, generation: u64) {
        if let Err(error) = self.spawn(format!("node{node}-work"), move |shared| fetch::run(shared, node, generation)) {
            tracing::error!(%error, "cannot start a thread for templates");
        }
    }
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
    let source = source(&options, &nodes, Box::new(sink));
    let shared = Arc::new_cyclic(|this| Shared {
        this: this.clone(),
        network: options.network,
        template_refresh: options.template_refresh,
        poll_interval: options.poll_interval,
        timeouts,
        level_hasher: options.level_hasher.clone(),
        nodes,
        source,
        follow: FollowList::default(),
        tip_heard: Mutex::default(),
        unsent: AtomicUsize::new(0),
        stop: stopped,
        threads: Mutex::new(Threads { handles: Vec::new(), alive: Some(alive) }),
    });
    let handle = NodeHandle { shared, stop: Some(stop), ended };
    for (node, (queues, subscription)) in queues.into_iter().zip(subscriptions).enumerate() {
        handle.start_node(node, queues, subscription)?;
    }
    handle.shared.spawn("node-follow".to_owned(), follow::run)?;
    Ok(handle)
}

/// The receiving ends of a node's queues.
struct Queues {
    wakes: Receiver<Wake>,
    submissions: Receiver<Arc<Submission>>,
}

fn connect(options: &NodeOptions, timeouts: RpcTimeouts) -> Result<(Vec<Node>, Vec<Queues>), NodeError> {
    let connect = |endpoint: &Endpoint| {
        let address = address(&endpoint.rpc_url, options.network)?;
        let credentials =
            Credentials::new(endpoint.cookie_path.clone(), endpoint.user.as_deref(), endpoint.password.as_ref());
        let (wakes, wakes_received) = bounded(TIP_CHECKS_QUEUED_MAX);
        let (submissions, submissions_received) = bounded(BLOCKS_SUBMITTING_MAX);
        let rpc = RpcClient::new(address, credentials, timeouts);
        let node = Node { rpc, orders: Orders::new(), wakes, submissions };
        Ok((node, Queues { wakes: wakes_received, submissions: submissions_received }))
    };
    options.nodes.iter().map(connect).collect()
}

fn source(options: &NodeOptions, nodes: &[Node], sink: Sink) -> Source {
    let name = |(node, endpoint): (&Node, &Endpoint)| (node.rpc.address().to_owned(), endpoint.zmq_hashblock.is_some());
    let names = nodes.iter().zip(&options.nodes).map(name).collect();
    Source::new(options.network, options.empty_job_on_new_tip, names, sink)
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
    fn start_node(&self, node: usize, queues: Queues, subscription: Option<Subscription>) -> Result<(), NodeError> {
        let Queues { wakes, submissions } = queues;
        self.shared.spawn(format!("node{node}-tip"), move |shared| watch::run(shared, node, &wakes))?;
        self.shared.spawn(format!("node{node}-work"), move |shared| fetch::run(shared, node, 0))?;
        for thread in 0..submit::THREADS_PER_NODE {
            let submissions = submissions.clone();
            let name = format!("node{node}-submit{thread}");
            self.shared.spawn(name, move |shared| submit::run(shared, node, &submissions))?;
        }
        if let Some(subscription) = subscription {
            self.shared.spawn(format!("node{node}-zmq"), move |shared| watch::listen(shared, node, subscription))?;
        }
        Ok(())
    }

    /// Sends a found block to all nodes at once. Does not block.
    pub fn submit(&self, candidate: Arc<BlockCandidate>) {
        submit::submit(&self.shared, candidate);
    }

    /// Sends a block of an earlier run, whose final answer is not known, from its serialised bytes.
    pub fn resubmit(&self, hash: Hash256, block: Arc<[u8]>) {
        submit::resubmit(&self.shared, hash, block);
    }

    /// Follows a block that was accepted in an earlier run.
    pub fn follow(&self, hash: Hash256) {
        self.shared.follow.add(hash, None);
    }

    /// When the name of the latest tip reached the pool first: by ZMQ, by a poll or with a template.
    pub fn tip_heard_at(&self) -> Option<Instant> {
        self.shared.tip_heard.lock().unwrap_or_else(PoisonError::into_inner).map(|(_, at)| at)
    }

    /// Asks every node for a template now, or as soon as the request in flight has ended.
    pub fn refresh(&self) {
        self.shared.refresh();
    }

    /// Stops: no event comes after this returns. A found block that was not sent yet is sent first. Threads that wait for a node's answer are left behind and end
    /// with it; the others are joined.
    pub fn stop(mut self) {
        self.shut_down();
    }

    fn shut_down(&mut self) {
        if self.stop.take().is_none() {
            return;
        }
        self.shared.source.stop();
        self.shared.follow.stop();
        self.shared.nodes.iter().for_each(|node| node.orders.stop());
        let handles = {
            let mut threads = self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner);
            threads.alive = None;
            std::mem::take(&mut threads.handles)
        };
        self.wait_for_threads();
        for handle in handles.into_iter().filter(JoinHandle::is_finished) {
            let _ = handle.join();
        }
    }
}

impl NodeHandle {
    /// Until all threads have ended, or until patience ends: more of it while a found block is on its way.
    fn wait_for_threads(&self) {
        let began_at = Instant::now();
        loop {
            // Disconnected as soon as the last thread has let go of its copy.
            let outcome = self.ended.recv_timeout(STOP_LOOK_INTERVAL);
            let is_sending = self.shared.unsent.load(Ordering::Acquire) > 0;
            let patience = if is_sending { STOP_PATIENCE_WITH_BLOCK } else { STOP_PATIENCE };
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

/// The wall clock.
fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
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
