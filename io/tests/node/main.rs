//! The node's side against a node of cardboard over real sockets: what an operator relies on.

#[expect(clippy::unwrap_used, reason = "a fake that is wrong may fall over; it only runs in tests")]
mod fake_node;

use fake_node::{FakeNode, Script, Submitted, hash};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use warppool_components::block::{BlockCandidate, BlockState};
use warppool_components::node::{NodeEvent, NodeHealth, NodeStatus};
use warppool_components::settings::Network;
use warppool_components::template::{Template, TemplateKind};
use warppool_components::units::{Difficulty, Hash256, Sats, UnixTime};
use warppool_components::worker::WorkerId;
use warppool_io::node::{Endpoint, LevelHasher, NodeHandle, NodeOptions, RpcTimeouts, Secret, start_with_timeouts};

const DEADLINE: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_millis(20);
const NEVER: Duration = Duration::from_secs(3600);

/// The running node's side and its events.
struct Pool {
    handle: NodeHandle,
    events: Receiver<NodeEvent>,
}

impl Pool {
    fn start(options: NodeOptions) -> Self {
        let (sender, events) = channel();
        let timeouts = RpcTimeouts {
            connect: Duration::from_secs(2),
            submit: Duration::from_millis(300),
            ..RpcTimeouts::default()
        };
        let sink = move |event| drop(sender.send(event));
        let handle = start_with_timeouts(options, timeouts, sink).expect("valid options");
        Self { handle, events }
    }

    /// The first event from which `pick` makes something; others are passed over.
    fn wait<T>(&self, what: &str, mut pick: impl FnMut(NodeEvent) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).unwrap_or_else(|_| panic!("not in time: {what}"));
            if let Some(found) = pick(event) {
                return found;
            }
        }
    }

    fn template(&self) -> Arc<Template> {
        self.wait("a template", |event| if let NodeEvent::Template(it) = event { Some(it) } else { None })
    }

    fn expect_template(&self, kind: TemplateKind, tip: u8) {
        let template = self.template();
        assert_eq!((template.kind, template.previous_block), (kind, hash(tip)));
    }

    /// Work on a tip, whether or not the full template was quicker than the empty one.
    fn expect_work_on(&self, tip: u8) {
        self.wait("work on the tip", |event| match event {
            NodeEvent::Template(it) if it.previous_block == hash(tip) => Some(()),
            _ => None,
        });
    }

    fn status(&self, what: &str, is_so: impl Fn(&NodeStatus) -> bool) -> NodeStatus {
        self.wait(what, |event| if let NodeEvent::Status(it) = event { Some(it).filter(&is_so) } else { None })
    }

    fn block(&self) -> (Hash256, BlockState) {
        self.wait("news of a block", |event| {
            if let NodeEvent::Block { hash, state } = event { Some((hash, state)) } else { None }
        })
    }
}

fn endpoint(node: &FakeNode) -> Endpoint {
    Endpoint {
        rpc_url: node.url(),
        cookie_path: None,
        user: Some("pool".to_owned()),
        password: Some(Secret::new("hunter2".to_owned())),
        zmq_hashblock: None,
        zmq_rawblock: None,
    }
}

/// A loopback address that no other test and no outgoing connection uses, so that its port is still free when a
/// node comes back to it.
fn address_of_its_own() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    SocketAddr::from(([127, 1 + high % 250, low, NEXT.fetch_add(1, Ordering::Relaxed)], 0))
}

fn options(nodes: Vec<Endpoint>) -> NodeOptions {
    NodeOptions {
        network: Network::Regtest,
        nodes,
        template_refresh: NEVER,
        poll_interval: SOON,
        empty_job_on_new_tip: true,
        level_hasher: LevelHasher::default(),
    }
}

fn candidate(name: u8) -> Arc<BlockCandidate> {
    let json = include_str!("../../../tests/data/gbt-regtest-25tx.json").as_bytes();
    let checked =
        warppool_io::node::template::parse(json, Network::Regtest, UnixTime::default(), &LevelHasher::default())
            .expect("valid");
    Arc::new(BlockCandidate {
        hash: hash(name),
        header: [name; 80],
        coinbase: Arc::new([1, 2, 3]),
        template: Arc::new(checked.template),
        worker: WorkerId(1),
        worker_label: "address.rig".into(),
        address: "address".into(),
        payout: Sats(5),
        share_difficulty: Difficulty::ONE,
        found_at: UnixTime::default(),
        share_rejected: false,
    })
}

fn submitted_hex(script: &Script) -> Vec<String> {
    let submissions = script.calls.iter().filter(|(method, _)| method == "submitblock");
    submissions.map(|(_, parameters)| parameters[0].as_str().expect("hex").to_owned()).collect()
}

fn publisher() -> (zmq::Socket, String) {
    let socket = zmq::Context::new().socket(zmq::PUB).expect("a socket");
    socket.set_linger(0).expect("an option");
    socket.bind("tcp://127.0.0.1:*").expect("a port");
    let address = socket.get_last_endpoint().expect("an address").expect("text");
    (socket, address)
}

fn publish(socket: &zmq::Socket, name: u8, sequence: u32) {
    let frames: [&[u8]; 3] = [b"hashblock", &hash(name).to_display(), &sequence.to_le_bytes()];
    socket.send_multipart(frames, 0).expect("sent");
}

#[test]
fn work_comes_at_the_start_and_with_every_tip_that_the_poll_finds() {
    let node = FakeNode::start();
    let pool = Pool::start(options(vec![endpoint(&node)]));
    pool.expect_template(TemplateKind::Full, 1);
    node.with(|script| script.holds_templates = true);
    node.add_block(2);
    pool.expect_template(TemplateKind::SubsidyOnly, 2);
    node.with(|script| script.holds_templates = false);
    pool.expect_template(TemplateKind::Full, 2);
    let is_complete = |status: &NodeStatus| {
        let calls: u64 = status.nodes[0].rpc_latency_counts.iter().sum();
        status.height == 101 && status.network_hashes_per_second > 0.0 && calls > 0
    };
    let status = pool.status("the new height", is_complete);
    assert_eq!((status.health, status.message.as_str()), (NodeHealth::Ready, ""));
    assert_eq!(status.nodes[0].version, "/Cardboard:31/");
}

#[test]
fn a_long_poll_brings_the_template_of_a_new_tip() {
    let node = FakeNode::start();
    node.with(|script| script.gives_longpoll_id = true);
    let pool = Pool::start(NodeOptions { poll_interval: NEVER, ..options(vec![endpoint(&node)]) });
    pool.expect_template(TemplateKind::Full, 1);
    node.wait("a long poll", |script| {
        script.calls.iter().any(|(_, parameters)| !parameters[0]["longpollid"].is_null())
    });
    node.add_block(2);
    pool.expect_template(TemplateKind::Full, 2);
    node.with(|script| assert_eq!(script.templates_in_flight_max, 1));
}

#[test]
fn zmq_wakes_the_watcher() {
    let (socket, address) = publisher();
    let node = FakeNode::start();
    let with_zmq = Endpoint { zmq_hashblock: Some(address), ..endpoint(&node) };
    let pool = Pool::start(NodeOptions { poll_interval: NEVER, ..options(vec![with_zmq]) });
    let (mut has_work, mut has_zmq) = (false, false);
    pool.wait("work and ZMQ", |event| {
        has_work |= matches!(&event, NodeEvent::Template(_));
        has_zmq |= matches!(&event, NodeEvent::Status(status) if status.nodes[0].zmq);
        (has_work && has_zmq).then_some(())
    });
    node.add_block(2);
    publish(&socket, 2, 0);
    pool.expect_work_on(2);
    // A message was lost with the block that it announced; the gap makes the watcher look.
    node.add_block(3);
    publish(&socket, 2, 2);
    pool.expect_work_on(3);
}

#[test]
fn defect_12_a_silent_zmq_is_noticed_and_the_poll_finds_the_tip() {
    let (_socket, address) = publisher();
    let node = FakeNode::start();
    let with_zmq = Endpoint { zmq_hashblock: Some(address), ..endpoint(&node) };
    let pool = Pool::start(options(vec![with_zmq]));
    pool.status("a connected ZMQ", |status| status.nodes[0].zmq && status.health == NodeHealth::Ready);
    node.wait("the first tip", |script| script.count("getbestblockhash") >= 2);
    node.add_block(2);
    let status = pool.status("a warning", |status| !status.nodes[0].zmq);
    assert!(status.message.contains("ZMQ") && status.health == NodeHealth::Ready, "{}", status.message);
    assert_eq!(status.tip, hash(2));
}

#[test]
fn defect_14_and_32_a_slow_template_delays_no_tip_and_is_asked_for_once() {
    let node = FakeNode::start();
    let refreshing = NodeOptions { template_refresh: Duration::from_millis(1), ..options(vec![endpoint(&node)]) };
    let pool = Pool::start(refreshing);
    pool.expect_template(TemplateKind::Full, 1);
    node.with(|script| script.holds_templates = true);
    node.wait("a slow template", |script| script.templates_in_flight == 1);
    for tip in 2..6 {
        node.add_block(tip);
        let template = pool.wait("work on the tip", |event| match event {
            NodeEvent::Template(it) if it.previous_block == hash(tip) => Some(it),
            _ => None,
        });
        assert_eq!(template.kind, TemplateKind::SubsidyOnly);
    }
    pool.handle.refresh();
    node.with(|script| {
        assert_eq!(script.templates_in_flight_max, 1);
        script.holds_templates = false;
    });
    pool.wait("the full template", |event| match event {
        NodeEvent::Template(it) if it.kind == TemplateKind::Full && it.previous_block == hash(5) => Some(()),
        _ => None,
    });
    node.with(|script| assert_eq!(script.templates_in_flight_max, 1));
}

#[test]
fn templates_are_refreshed_at_the_interval_and_on_order() {
    let node = FakeNode::start();
    let pool = Pool::start(options(vec![endpoint(&node)]));
    let first = pool.template();
    pool.handle.refresh();
    let second = pool.template();
    assert!(second.id > first.id && second.kind == TemplateKind::Full);
    let often = FakeNode::start();
    let pool = Pool::start(NodeOptions { template_refresh: SOON, ..options(vec![endpoint(&often)]) });
    for _ in 0..3 {
        pool.expect_template(TemplateKind::Full, 1);
    }
}

#[test]
fn defect_13_a_node_that_is_down_is_said_so_and_served_when_it_comes() {
    let absent = FakeNode::start_at(address_of_its_own());
    let (address, endpoint) = (absent.address, endpoint(&absent));
    drop(absent);
    let pool = Pool::start(options(vec![endpoint]));
    let status = pool.status("a lost node", |status| status.health == NodeHealth::Lost);
    assert!(status.message.contains(&address.to_string()), "{}", status.message);
    assert!(!status.message.contains("hunter2") && !status.nodes[0].up);
    let node = FakeNode::start_at(address);
    pool.expect_template(TemplateKind::Full, 1);
    drop(node);
    pool.status("a lost node again", |status| status.health == NodeHealth::Lost);
    let node = FakeNode::start_at(address);
    node.add_block(2);
    pool.wait("work of the node that came back", |event| match event {
        NodeEvent::Template(it) if it.previous_block == hash(2) && it.kind == TemplateKind::Full => Some(()),
        _ => None,
    });
}

#[test]
fn a_node_of_another_network_gives_no_work() {
    let node = FakeNode::start();
    node.with(|script| script.chain = "main");
    let pool = Pool::start(options(vec![endpoint(&node)]));
    let status = pool.status("the wrong chain", |status| status.health == NodeHealth::WrongChain);
    assert!(status.message.contains("main") && status.message.contains("regtest"), "{}", status.message);
    node.wait("several polls", |script| script.count("getbestblockhash") > 3);
    node.with(|script| assert_eq!(script.count("getblocktemplate"), 0));
}

#[test]
fn a_node_with_another_genesis_block_gives_no_work_until_it_is_replaced() {
    let node = FakeNode::start_at(address_of_its_own());
    node.with(|script| script.genesis = Some(hash(77)));
    let (address, endpoint) = (node.address, endpoint(&node));
    let pool = Pool::start(options(vec![endpoint]));
    let status = pool.status("another chain", |status| status.health == NodeHealth::WrongChain);
    assert!(status.message.contains("block 0") && status.message.contains(&hash(77).to_string()), "{}", status.message);
    node.wait("several polls", |script| script.count("getblockhash") > 3);
    node.with(|script| assert_eq!(script.count("getblocktemplate"), 0));
    node.with(|script| script.genesis = None);
    pool.expect_template(TemplateKind::Full, 1);
    let asked = node.with(|script| script.count("getblockhash"));
    node.wait("several polls", |script| script.count("getbestblockhash") > 20);
    node.with(|script| assert_eq!(script.count("getblockhash"), asked, "asked once until it is gone"));
    drop(node);
    pool.status("a lost node", |status| status.health == NodeHealth::Lost);
    let other = FakeNode::start_at(address);
    other.with(|script| script.genesis = Some(hash(78)));
    pool.status("another chain in its place", |status| {
        status.health == NodeHealth::WrongChain && status.message.contains(&hash(78).to_string())
    });
}

#[test]
fn a_signet_whose_blocks_need_a_signature_gives_no_work() {
    let node = FakeNode::start();
    node.with(|script| (script.chain, script.challenge) = ("signet", Some("512103ad5e0edad18cb1f0fc0d28")));
    let pool = Pool::start(NodeOptions { network: Network::Signet, ..options(vec![endpoint(&node)]) });
    let status = pool.status("the challenge", |status| status.message.contains("challenge 512103ad5e"));
    assert_eq!(status.health, NodeHealth::Ready);
}

#[test]
fn defect_24_a_node_in_initial_block_download_gives_no_work_until_it_has_finished() {
    let node = FakeNode::start();
    node.with(|script| script.syncing = true);
    let pool = Pool::start(options(vec![endpoint(&node)]));
    let status = pool.status("a syncing node", |status| status.health == NodeHealth::Syncing);
    assert!(status.message.contains("initial block download") && status.nodes[0].syncing, "{}", status.message);
    node.wait("several polls", |script| script.count("getbestblockhash") > 3);
    node.with(|script| {
        assert_eq!(script.count("getblocktemplate"), 0);
        script.syncing = false;
    });
    pool.expect_template(TemplateKind::Full, 1);
}

#[test]
fn defect_35_signet_is_asked_with_its_rule() {
    let node = FakeNode::start();
    node.with(|script| (script.chain, script.challenge) = ("signet", Some("51")));
    let pool = Pool::start(NodeOptions { network: Network::Signet, ..options(vec![endpoint(&node)]) });
    pool.expect_template(TemplateKind::Full, 1);
    node.with(|script| {
        let (_, parameters) = script.calls.iter().find(|(method, _)| method == "getblocktemplate").expect("a call");
        assert_eq!(parameters[0]["rules"], json!(["segwit", "signet"]));
    });
}

/// A file of its own for each test, gone at the end.
struct CookieFile(PathBuf);

impl CookieFile {
    fn new(cookie: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("warppool-cookie-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let file = Self(std::env::temp_dir().join(name));
        file.write(cookie);
        file
    }

    fn write(&self, cookie: &str) {
        std::fs::write(&self.0, cookie).expect("a temporary file");
    }
}

impl Drop for CookieFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_rotated_cookie_is_read_again_and_a_wrong_one_is_named() {
    // Base64 of "__cookie__:one", "__cookie__:two".
    let (one, two) = ("Basic X19jb29raWVfXzpvbmU=", "Basic X19jb29raWVfXzp0d28=");
    let cookie = CookieFile::new("__cookie__:one\n");
    let node = FakeNode::start();
    node.with(|script| script.authorization = Some(one.to_owned()));
    let by_cookie = Endpoint { cookie_path: Some(cookie.0.clone()), ..endpoint(&node) };
    let pool = Pool::start(options(vec![by_cookie]));
    pool.expect_template(TemplateKind::Full, 1);
    cookie.write("__cookie__:two");
    node.with(|script| script.authorization = Some(two.to_owned()));
    node.add_block(2);
    pool.wait("work without an outage", |event| match event {
        NodeEvent::Template(it) => (it.previous_block == hash(2)).then_some(()),
        NodeEvent::Status(status) => {
            assert_ne!(status.health, NodeHealth::Lost, "the call that was refused is made again: {}", status.message);
            None
        }
        _ => None,
    });
    node.with(|script| script.authorization = Some("another".to_owned()));
    let status = pool.status("a refused cookie", |status| status.health == NodeHealth::Lost);
    assert!(status.message.contains(&cookie.0.display().to_string()), "{}", status.message);
    assert!(!status.message.contains("__cookie__") && !status.message.contains("X19jb29raWVfXzp0d28"));
}

#[test]
fn a_template_with_a_wrong_commitment_is_refused_and_the_last_work_stays() {
    let node = FakeNode::start();
    let pool = Pool::start(options(vec![endpoint(&node)]));
    pool.expect_template(TemplateKind::Full, 1);
    node.with(|script| script.breaks_commitment = true);
    pool.handle.refresh();
    let status = pool.status("a complaint", |status| status.message.contains("default_witness_commitment"));
    assert_eq!(status.health, NodeHealth::Ready);
    node.with(|script| script.breaks_commitment = false);
    pool.expect_template(TemplateKind::Full, 1);
    pool.status("no complaint", |status| status.message.is_empty());
}

#[test]
fn nodes_that_disagree_are_named_and_all_get_the_blocks() {
    let (first, second) = (FakeNode::start(), FakeNode::start());
    second.with(|script| script.blocks = vec![hash(7)]);
    let pool = Pool::start(options(vec![endpoint(&first), endpoint(&second)]));
    let status = pool.status("disagreement", |status| status.message.contains("disagree"));
    assert_eq!(status.health, NodeHealth::Ready);
    first.with(|script| script.submissions.push_back(Submitted::Result(json!("bad-prevblk"))));
    let block = candidate(50);
    pool.handle.submit(Arc::clone(&block));
    assert_eq!(pool.block(), (hash(50), BlockState::Accepted), "one acceptance is enough");
    let hex: String = block.serialise().iter().map(|byte| format!("{byte:02x}")).collect();
    for node in [&first, &second] {
        node.wait("the block", |script| submitted_hex(script) == [hex.clone()]);
    }
}

#[test]
fn defect_17_and_34_each_answer_to_a_block_has_its_meaning() {
    use BlockState::{Accepted, Orphaned, Rejected};
    let text = |answer: &str| Submitted::Result(json!(answer));
    let null = || Submitted::Result(Value::Null);
    // Answers in turn, what the chain says of the block, the state, how often it was submitted.
    let table = [
        (vec![null()], None, Accepted, 1),
        (vec![text("duplicate")], None, Accepted, 1),
        (vec![text("inconclusive")], Some(1), Accepted, 1),
        (vec![text("inconclusive")], Some(-1), Orphaned, 1),
        (vec![text("inconclusive"), null()], None, Accepted, 2),
        (vec![text("duplicate-inconclusive")], Some(3), Accepted, 1),
        (vec![Submitted::Silence], Some(1), Accepted, 1),
        (vec![Submitted::Silence, null()], None, Accepted, 2),
        (vec![Submitted::Silence, text("duplicate")], Some(-1), Accepted, 2),
        (vec![Submitted::HangUp, null()], None, Accepted, 2),
        (vec![Submitted::Error(-28, "Loading block index"), null()], None, Accepted, 2),
        (vec![Submitted::Status(503), null()], None, Accepted, 2),
        (vec![text("prev-blk-not-found"), null()], None, Accepted, 2),
        (vec![text("time-too-new"), null()], None, Accepted, 2),
        (vec![text("high-hash")], None, Rejected("high-hash".to_owned()), 1),
        (vec![text("duplicate-invalid")], None, Rejected("duplicate-invalid".to_owned()), 1),
        (vec![Submitted::Error(-22, "Block decode failed")], None, Rejected("Block decode failed".to_owned()), 1),
    ];
    for (answers, confirmations, expected, submissions) in table {
        let node = FakeNode::start();
        node.with(|script| {
            script.submissions.extend(answers.clone());
            script.confirmations.extend(confirmations.map(|count| (hash(50), count)));
        });
        let pool = Pool::start(options(vec![endpoint(&node)]));
        pool.handle.submit(candidate(50));
        assert_eq!(pool.block(), (hash(50), expected), "{answers:?}, {confirmations:?}");
        node.with(|script| assert_eq!(script.count("submitblock"), submissions, "{answers:?}, {confirmations:?}"));
    }
}

#[test]
fn a_block_waits_for_its_node_and_does_not_wait_behind_templates() {
    let absent = FakeNode::start_at(address_of_its_own());
    let (address, endpoint) = (absent.address, endpoint(&absent));
    drop(absent);
    let pool = Pool::start(options(vec![endpoint]));
    pool.status("a lost node", |status| status.health == NodeHealth::Lost);
    pool.handle.resubmit(hash(60), Arc::new([0xab; 100]));
    let node = FakeNode::start_at(address);
    node.with(|script| script.holds_templates = true);
    assert_eq!(pool.block(), (hash(60), BlockState::Accepted));
    node.with(|script| assert_eq!(submitted_hex(script), ["ab".repeat(100)]));
    node.with(|script| script.holds_templates = false);
}

#[test]
fn a_found_block_is_followed_on_the_chain_and_gives_the_next_work() {
    let node = FakeNode::start();
    let pool = Pool::start(NodeOptions { poll_interval: NEVER, ..options(vec![endpoint(&node)]) });
    pool.expect_template(TemplateKind::Full, 1);
    node.add_block(2);
    pool.handle.submit(candidate(2));
    // The long poll may bring the work before the answer about the block has been read.
    let (mut seen, mut has_work) = (Vec::new(), false);
    pool.wait("work on the own block, and its acceptance", |event| {
        match event {
            NodeEvent::Block { state, .. } => seen.push(state),
            NodeEvent::Template(it) => has_work |= it.kind == TemplateKind::Full && it.previous_block == hash(2),
            _ => {}
        }
        (has_work && !seen.is_empty()).then_some(())
    });
    assert_eq!(seen, [BlockState::Accepted]);
}

#[test]
fn confirmations_are_counted_and_a_reorganisation_is_told_both_ways() {
    let node = FakeNode::start();
    node.with(|script| script.blocks = vec![hash(1), hash(2)]);
    let pool = Pool::start(options(vec![endpoint(&node)]));
    pool.handle.follow(hash(2));
    assert_eq!(pool.block(), (hash(2), BlockState::Accepted));
    node.add_block(3);
    assert_eq!(pool.block(), (hash(2), BlockState::Confirmed(2)));
    node.with(|script| {
        script.blocks = vec![hash(1), hash(4), hash(5), hash(6)];
        script.confirmations.insert(hash(2), -1);
    });
    assert_eq!(pool.block(), (hash(2), BlockState::Orphaned));
    node.with(|script| {
        script.blocks = vec![hash(1), hash(2), hash(3), hash(8), hash(9)];
        script.confirmations.clear();
    });
    assert_eq!(pool.block(), (hash(2), BlockState::Confirmed(4)));
}

#[test]
fn stopping_leaves_a_hanging_long_poll_behind_and_ends_the_events() {
    let node = FakeNode::start();
    node.with(|script| script.gives_longpoll_id = true);
    let pool = Pool::start(options(vec![endpoint(&node)]));
    pool.expect_template(TemplateKind::Full, 1);
    node.wait("a long poll", |script| script.templates_in_flight == 1);
    let Pool { handle, events } = pool;
    let (ended, end) = channel();
    std::thread::spawn(move || {
        handle.stop();
        ended.send(()).expect("the test waits");
    });
    end.recv_timeout(DEADLINE).expect("stops although the node does not answer");
    while events.try_recv().is_ok() {}
    node.add_block(2);
    node.wait("the answer", |script| script.templates_in_flight == 0);
    assert!(events.try_recv().is_err());
}

/// Stopping right after a block was found must not cost it.
#[test]
fn blocks_that_wait_when_the_pool_stops_are_sent_all_the_same() {
    let node = FakeNode::start();
    let pool = Pool::start(options(vec![endpoint(&node)]));
    pool.expect_template(TemplateKind::Full, 1);
    for name in 50..90 {
        pool.handle.submit(candidate(name));
    }
    pool.handle.stop();
    node.with(|script| assert_eq!(script.count("submitblock"), 40));
}

#[test]
fn a_block_of_an_earlier_run_is_told_as_deep_as_it_is() {
    let node = FakeNode::start();
    node.with(|script| {
        script.blocks = (1..=9).map(hash).collect();
        script.submissions.push_back(Submitted::Result(json!("duplicate")));
    });
    let pool = Pool::start(NodeOptions { poll_interval: NEVER, ..options(vec![endpoint(&node)]) });
    pool.expect_template(TemplateKind::Full, 9);
    pool.handle.resubmit(hash(4), Arc::new([1; 90]));
    assert_eq!(pool.block(), (hash(4), BlockState::Accepted));
    assert_eq!(pool.block(), (hash(4), BlockState::Confirmed(6)));
}

#[test]
fn a_second_node_takes_over_when_the_first_is_gone() {
    let (first, second) = (FakeNode::start(), FakeNode::start());
    let pool = Pool::start(options(vec![endpoint(&first), endpoint(&second)]));
    let name = first.url();
    pool.expect_template(TemplateKind::Full, 1);
    drop(first);
    let is_half = |status: &NodeStatus| status.message.contains(&format!("{name} is down")) && status.nodes[1].up;
    assert_eq!(pool.status("one node down", is_half).health, NodeHealth::Ready);
    second.add_block(2);
    pool.expect_work_on(2);
}
