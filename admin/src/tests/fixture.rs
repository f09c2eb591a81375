//! A pool made by hand, and a server that shows it.

use super::client::{PATIENCE, get};
use crate::assets::{Asset, Assets};
use crate::history::{History, HistoryError};
use crate::options::AdminOptions;
use crate::server::{AdminHandle, Publisher, start_with};
use crate::state::{Bounds, State};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use warppool_components::block::BlockState;
use warppool_components::job::CoinbaseOutput;
use warppool_components::node::{NodeHealth, NodeState, NodeStatus};
use warppool_components::record::{BlockRow, HistoryPoint};
use warppool_components::settings::Network;
use warppool_components::snapshot::{
    HistogramSnapshot, JobSnapshot, PoolSnapshot, RuntimeSnapshot, Snapshot, SocketsSnapshot, WorkerSnapshot,
};
use warppool_components::template::TemplateKind;
use warppool_components::units::{Hash256, Sats, UnixTime};
use warppool_components::worker::{PresenceState, TipLatency, WorkerId};

pub(super) const NOW: UnixTime = UnixTime::from_seconds(1_763_688_000);
pub(super) const WORKER: &str = "bc1qexample.rig1";

/// A running server.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) publisher: Publisher,
    pub(super) state: Arc<State>,
    handle: Option<AdminHandle>,
}

impl Server {
    /// One that shows [`snapshot`].
    pub(super) fn new() -> Self {
        Self::with(options(), Bounds::default(), Arc::default(), Files::default())
    }

    pub(super) fn with(options: AdminOptions, bounds: Bounds, history: Arc<FakeHistory>, files: Files) -> Self {
        let server = Self::silent(options, bounds, history, files);
        server.show(snapshot());
        server
    }

    /// One to which nothing has been published.
    pub(super) fn silent(options: AdminOptions, bounds: Bounds, history: Arc<FakeHistory>, files: Files) -> Self {
        let state = Arc::new(State::new(options, bounds, history, Arc::new(files)));
        let (handle, publisher) = start_with(Arc::clone(&state)).expect("loopback can be listened on");
        Self { address: handle.addresses()[0], publisher, state, handle: Some(handle) }
    }

    /// Publishes a snapshot and waits until it is answered from.
    pub(super) fn show(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        self.publisher.publish(Arc::clone(&snapshot));
        wait_until(|| self.state.published().is_ok_and(|published| Arc::ptr_eq(&published.snapshot, &snapshot)));
    }

    pub(super) fn json(&self, path: &str) -> serde_json::Value {
        let answer = get(self.address, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.take().expect("a server is stopped once").stop();
    }
}

/// Polls until something holds.
pub(super) fn wait_until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "what was waited for did not happen");
        std::thread::yield_now();
    }
}

pub(super) fn options() -> AdminOptions {
    AdminOptions {
        listen: vec!["127.0.0.1:0".into()],
        network: Network::Mainnet,
        brand_name: "WarpPool".into(),
        server_location: "self-hosted".into(),
        fiat_currency: "EUR".into(),
        public_url: "https://pool.example.org".into(),
        public_reads: true,
        version: "0.1.0",
        worker_metrics: true,
        trust_proxy_headers: false,
    }
}

/// Files of a dashboard.
#[derive(Default)]
pub(super) struct Files(pub(super) BTreeMap<&'static str, &'static [u8]>);

impl Assets for Files {
    fn get(&self, path: &str) -> Option<Asset> {
        let bytes = *self.0.get(path)?;
        let mut hash = [0; 32];
        hash.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        Some(Asset { bytes: Cow::Borrowed(bytes), hash })
    }
}

/// A store with one point and as many blocks as asked for, whose door can be shut.
#[derive(Default)]
pub(super) struct FakeHistory {
    pub(super) error: Option<HistoryError>,
    pub(super) blocks: Vec<BlockRow>,
    pub(super) door: Mutex<Door>,
    pub(super) moved: Condvar,
}

#[derive(Default)]
pub(super) struct Door {
    shut: bool,
    waiting: usize,
}

impl FakeHistory {
    pub(super) fn set_shut(&self, shut: bool) {
        self.door.lock().expect("no panic").shut = shut;
        self.moved.notify_all();
    }

    pub(super) fn wait_for_callers(&self, count: usize) {
        let door = self.door.lock().expect("no panic");
        let waited = self.moved.wait_timeout_while(door, PATIENCE, |door| door.waiting < count).expect("no panic");
        assert!(!waited.1.timed_out(), "only {} callers came", waited.0.waiting);
    }

    fn enter(&self) -> Result<(), HistoryError> {
        let mut door = self.door.lock().expect("no panic");
        door.waiting += 1;
        self.moved.notify_all();
        let mut door = self.moved.wait_timeout_while(door, PATIENCE, |door| door.shut).expect("no panic").0;
        door.waiting -= 1;
        self.error.clone().map_or(Ok(()), Err)
    }
}

impl History for FakeHistory {
    fn history(
        &self,
        worker: Option<WorkerId>,
        from: UnixTime,
        to: UnixTime,
        step: Duration,
    ) -> Result<Vec<HistoryPoint>, HistoryError> {
        self.enter()?;
        assert!(from < to && from.seconds().is_multiple_of(step.as_secs()));
        let rejected = u64::from(worker.map_or(0, |worker| worker.0));
        Ok(vec![HistoryPoint { at: from, accepted: 31, accepted_difficulty: 223_517.5, rejected, best: 812_345.5 }])
    }

    fn blocks(&self, before: Option<(u32, Hash256)>, limit: usize) -> Result<Vec<BlockRow>, HistoryError> {
        self.enter()?;
        let older = |row: &&BlockRow| {
            before.is_none_or(|before| (row.height, row.hash.to_display()) < (before.0, before.1.to_display()))
        };
        Ok(self.blocks.iter().filter(older).take(limit).cloned().collect())
    }
}

/// A pool of three workers on the main network in which everything is known.
pub(super) fn snapshot() -> Snapshot {
    Snapshot {
        at: NOW,
        started_at: UnixTime::from_seconds(NOW.seconds() - 86_400),
        pool: PoolSnapshot {
            hashrates: [3.1e12, 3.2e12, 3.2e12, 3.2e12, 3.1e12, 3.1e12, 3.0e12],
            accepted: 812_345,
            accepted_difficulty: 98_765_432.5,
            rejected: [9, 1, 1, 5, 0, 0, 0, 0, 0, 0, 1, 0],
            best_now: 512_345_678.25,
            best_ever: 98_123_456_789.5,
            blocks_found: 1,
            connections_v1: 4,
            connections_v2: 0,
            workers_online: 2,
            authorized: 12,
            disconnected: 8,
            notify_bytes: 123_456,
            tip_to_first_share_seconds: HistogramSnapshot { bounds: vec![1.0, 10.0], counts: vec![1, 2, 1], sum: 42.5 },
        },
        workers: vec![
            worker(1, "bc1qexample", "rig1", 1.2e12, 2),
            worker(2, "bc1qother", "", 1.0e12, 1),
            worker(3, "bc1qother", "Übung <b>/#1", 1.5e12, 0),
        ],
        job: Some(Arc::new(job())),
        node: Arc::new(node()),
        blocks: vec![block(923_456)].into(),
        runtime: runtime(),
    }
}

pub(super) fn worker(id: u32, address: &str, name: &str, hashes: f64, connections: u32) -> WorkerSnapshot {
    let label = if name.is_empty() { address.to_owned() } else { format!("{address}.{name}") };
    WorkerSnapshot {
        id: WorkerId(id),
        label: label.into(),
        address: address.into(),
        name: name.into(),
        user_agent: "bitaxe/BM1370".into(),
        device_class: "bitaxe".into(),
        connections,
        presence: if connections > 0 { PresenceState::Mining } else { PresenceState::Disconnected },
        expected_share_seconds: Some(14.5),
        quiet_seconds: Some(5.25),
        tip_latency: Some(TipLatency { last_seconds: 4.5, mean_seconds: 12.25 }),
        hashrates: [hashes; 7],
        accepted: 412_345,
        accepted_difficulty: 48_765_432.5,
        rejected: [4, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0],
        best_now: 512_345_678.25 / f64::from(id),
        best_ever: 98_123_456_789.5 / f64::from(id),
        difficulty: 4096.5,
        first_seen: UnixTime::from_seconds(1_760_000_000),
        last_seen: UnixTime::from_seconds(NOW.seconds() - 1),
        last_share_at: Some(UnixTime::from_seconds(NOW.seconds() - 5)),
        blocks_found: 1,
        outputs: outputs(),
    }
}

fn outputs() -> Arc<[CoinbaseOutput]> {
    let output = |role, address: &str, value| CoinbaseOutput {
        role,
        address: address.into(),
        script: vec![0x00, 0x14, 0xab].into(),
        value: Sats(value),
    };
    let outputs =
        [("miner", "bc1qexample", 311_107_500), ("fee", "bc1qpool", 3_142_500), ("witness commitment", "", 0)];
    outputs.map(|(role, address, value)| output(role, address, value)).into()
}

fn job() -> JobSnapshot {
    JobSnapshot {
        id: "1a2b".into(),
        height: 924_001,
        previous_block: hash(1),
        version: 0x2000_0000,
        bits: 0x1701_ec1b,
        difficulty: 152_270_000_000_000.5,
        ntime: 1_763_687_990,
        created_at: UnixTime::from_seconds(NOW.seconds() - 10),
        template_received_at: UnixTime::from_seconds(NOW.seconds() - 10),
        kind: TemplateKind::Full,
        transactions: 3120,
        weight: 3_992_210,
        coinbase_value: Sats(314_250_000),
        fees: Sats(1_750_000),
        tag: "/warppool/".into(),
        coinbase_script: "0361190e".into(),
        outputs: outputs(),
        merkle_branches: 12,
        payouts: 2,
    }
}

fn node() -> NodeStatus {
    NodeStatus {
        health: NodeHealth::Ready,
        message: String::new(),
        since: UnixTime::from_seconds(NOW.seconds() - 86_390),
        difficulty: 152_270_000_000_000.5,
        height: 924_000,
        tip: hash(1),
        network_hashes_per_second: 1.09e21,
        nodes: vec![NodeState {
            name: "http://127.0.0.1:8332".into(),
            up: true,
            version: "/Satoshi:29.0.0/".into(),
            syncing: false,
            height: 924_000,
            rpc_latency: Duration::from_micros(2100),
            rpc_latency_counts: [0, 7, 2, 0, 0, 0, 0, 0, 0, 0, 1],
            rpc_latency_sum_seconds: 6.5,
            zmq: true,
            error: String::new(),
        }],
    }
}

fn runtime() -> RuntimeSnapshot {
    let histogram = HistogramSnapshot { bounds: vec![0.001, 0.01, 1.0], counts: vec![5, 3, 0, 1], sum: 2.5 };
    RuntimeSnapshot {
        tick_seconds: histogram.clone(),
        store_commit_seconds: histogram,
        store_lag_seconds: 0.125,
        connections_accepted: 31,
        connections_over_cap: 7,
        accept_failures: 2,
        admin_messages_dropped: 3,
        listeners: vec!["[::]:3333".into()],
        sockets: SocketsSnapshot {
            tls_connections: 1,
            handshakes_resumed: 5,
            noise_abandoned: 6,
            refused: vec![("http", 2)],
            ..SocketsSnapshot::default()
        },
        profile: "small".into(),
        ..RuntimeSnapshot::default()
    }
}

pub(super) fn hash(number: u8) -> Hash256 {
    let mut bytes = [0; 32];
    bytes[31] = number;
    Hash256::from_display(bytes)
}

pub(super) fn block(height: u32) -> BlockRow {
    BlockRow {
        hash: hash(height as u8),
        height,
        state: BlockState::Confirmed(100),
        found_at: UnixTime::from_seconds(1_763_400_000),
        worker: WorkerId(1),
        worker_label: WORKER.into(),
        address: "bc1qexample".into(),
        payout: Sats(311_107_500),
        coinbase_value: Sats(314_250_000),
        share_difficulty: 160_270_000_000_000.5,
        network_difficulty: 152_270_000_000_000.5,
        raw: None,
    }
}
