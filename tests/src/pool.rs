//! The pool without sockets: an engine, a clock that the test moves, and what each connection was sent.

mod frames;

use crate::hashing;
use crate::miner::{Miner, Share};
use crate::work;
use bevy_ecs::world::World;
use serde_json::Value;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use warppool_components::block::BlockCandidate;
use warppool_components::connection::{CloseReason, ConnectionKey, Protocol};
use warppool_components::device_class::DeviceClass;
use warppool_components::event::PoolEvent;
use warppool_components::inbox::{Closed, Command, Inbox, Now, Opened};
use warppool_components::node::{NodeEvent, NodeHealth, NodeStatus};
use warppool_components::outbox::{Body, Outbox};
use warppool_components::record::{PoolTotalsRow, Restored, ShareRow, WorkerRow};
use warppool_components::settings::{Network, Payee, PayoutSettings, RateLimits, Settings, VardiffSettings};
use warppool_components::snapshot::Snapshot;
use warppool_components::template::Template;
use warppool_components::units::{Difficulty, Instant, Sats, UnixTime};
use warppool_components::upstream::UpstreamShare;
use warppool_engine::Engine;
use warppool_reference::Client;
use warppool_systems::sha256d::Backend;

/// Where the virtual wall clock starts, in seconds since 1970.
pub const START_SECONDS: u64 = 1_800_000_000;

/// A connection of a test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conn(usize);

/// What a share was answered with: nothing wrong, or code and text.
pub type Verdict = Result<(), (u64, String)>;

/// The pool and all that it has done so far.
pub struct Pool {
    engine: Engine,
    inbox: Inbox,
    outbox: Outbox,
    now: Now,
    wake_at: Option<Instant>,
    ends: Vec<End>,
    /// Of the connections that are opened next.
    generation: u32,
    tip: u32,
    templates: u64,
    requests: u64,
    /// Found blocks, in order.
    pub blocks: Vec<Arc<BlockCandidate>>,
    /// Shares for the pool above, in order.
    pub upstream: Vec<UpstreamShare>,
    /// Share rows for the store, in order.
    pub shares: Vec<ShareRow>,
    /// Worker rows for the store, in order; later ones replace earlier ones.
    pub workers: Vec<WorkerRow>,
    /// The latest sums of the pool for the store.
    pub totals: Option<PoolTotalsRow>,
    /// The latest snapshot.
    pub snapshot: Option<Box<Snapshot>>,
    /// Events, in order.
    pub events: Vec<PoolEvent>,
    /// Writes of the last tick in their order, and where the bytes of those lie that several connections share.
    pub writes: Vec<(Conn, Option<*const u8>)>,
    /// To how many connections each message of the operator went, in order.
    pub messages_shown: Vec<u32>,
    /// Every outbox as text, when asked for.
    pub trace: Option<Vec<String>>,
}

/// The miner's end of a connection.
struct End {
    key: ConnectionKey,
    unread: VecDeque<String>,
    /// Writes to a connection of Stratum V2, each one or more frames.
    frames: Vec<Vec<u8>>,
    protocol: Protocol,
    miner: Miner,
    /// The reference project's miner, which takes what is written to a connection of Stratum V2 in place of `frames`.
    client: Option<Box<Client>>,
    closed: Option<CloseReason>,
}

/// What the operator of the tests decided: regtest, no fee, difficulties so low that a share takes a few hashes.
pub fn settings() -> Settings {
    Settings {
        network: Network::Regtest,
        payout: PayoutSettings { pay_username_address: true, ..PayoutSettings::default() },
        pool_tag: "warppool".into(),
        vardiff: VardiffSettings {
            enabled: true,
            target_seconds_per_share: 10.0,
            min: difficulty(1e-12),
            max: difficulty(1e12),
            hysteresis: 0.30,
            max_step: 4.0,
            initial: difficulty(1e-9),
        },
        device_classes: device_classes(),
        stratum_password: "".into(),
        connections_max: 4096,
        snapshot_interval: Duration::from_secs(1),
        node_loss_disconnect: Duration::from_secs(120),
        saved_workers_per_user_max: 64,
        saved_workers_total_max: 1024,
        rate_limits: Some(RateLimits::default()),
        idle_evict: Duration::from_secs(300),
    }
}

/// A few of the shipped classes.
fn device_classes() -> Arc<[DeviceClass]> {
    let class = |name: &str, patterns: &[&str], start, seconds_per_share, pads_extranonce2| DeviceClass {
        name: name.into(),
        patterns: patterns.iter().map(|pattern| (*pattern).into()).collect(),
        start: difficulty(start),
        seconds_per_share,
        pads_extranonce2,
    };
    [
        class("ESP32", &["nerdminerv2"], 0.002, 30.0, true),
        class("Bitaxe", &["bitaxe"], 1024.0, 10.0, false),
        class("Antminer", &["bmminer", "antminer"], 65536.0, 10.0, false),
        class("Braiins OS", &["bosminer", "braiins"], 262_144.0, 10.0, false),
        class("proxy", &["farm*proxy"], 1_048_576.0, 3.0, false),
        class("NiceHash", &["nicehash"], 524_288.0, 5.0, false),
        class("CPU or GPU", &["cpuminer"], 0.1, 10.0, false),
    ]
    .into()
}

/// A difficulty.
pub fn difficulty(value: f64) -> Difficulty {
    Difficulty::new(value).expect("a difficulty")
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(settings(), 7)
    }
}

impl Pool {
    /// A pool with a node that is ready and has no work yet.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self::restored(settings, seed, Restored::default())
    }

    /// The same with what the store remembers.
    pub fn restored(settings: Settings, seed: u64, restored: Restored) -> Self {
        let now = Now { instant: Instant(1_000_000_000), unix: UnixTime::from_seconds(START_SECONDS) };
        let mut pool = Self {
            engine: Engine::new(settings, seed, restored, now),
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            now,
            wake_at: None,
            ends: Vec::new(),
            generation: 1,
            tip: 0,
            templates: 0,
            requests: 0,
            blocks: Vec::new(),
            upstream: Vec::new(),
            shares: Vec::new(),
            workers: Vec::new(),
            totals: None,
            snapshot: None,
            events: Vec::new(),
            writes: Vec::new(),
            messages_shown: Vec::new(),
            trace: None,
        };
        pool.engine.set_hashing(hashing::of_the_environment());
        pool.health(NodeHealth::Ready);
        pool
    }

    /// One whose work comes from another pool, which knows `user`; who mines here is a name and nothing else.
    pub fn translating(settings: Settings, user: &str) -> Self {
        let payout = PayoutSettings { fallback: Some(Payee::upstream(user)), ..PayoutSettings::default() };
        let mut pool = Self::new(Settings { payout, ..settings }, 7);
        pool.engine.take_work_from_upstream();
        pool
    }

    /// Hashes with this backend, whatever the environment says.
    ///
    /// # Panics
    /// When this processor cannot it.
    pub fn hashing_with(mut self, backend: Backend) -> Self {
        self.engine.set_hashing(hashing::with(backend));
        self
    }

    /// The same with a first template.
    pub fn with_work(mut self) -> Self {
        self.new_tip();
        self
    }

    /// Writes every outbox down from now on.
    pub fn traced(mut self) -> Self {
        self.trace = Some(Vec::new());
        self
    }

    // What arrives for the next tick.

    /// A connection is accepted.
    pub fn push_open(&mut self) -> Conn {
        self.push_open_from(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// The same from another address.
    pub fn push_open_from(&mut self, peer: IpAddr) -> Conn {
        self.push_open_speaking(Protocol::StratumV1, peer)
    }

    fn push_open_speaking(&mut self, protocol: Protocol, peer: IpAddr) -> Conn {
        let key = ConnectionKey { slot: self.ends.len() as u32, generation: self.generation };
        self.inbox.opened.push(Opened { connection: key, peer, protocol });
        let (unread, frames, miner) = (VecDeque::new(), Vec::new(), Miner::default());
        self.ends.push(End { key, unread, frames, protocol, miner, client: None, closed: None });
        Conn(self.ends.len() - 1)
    }

    /// A line arrives.
    pub fn push_line(&mut self, conn: Conn, line: &str) {
        self.push_bytes(conn, line.as_bytes());
    }

    /// The same of bytes that need not be text.
    pub fn push_bytes(&mut self, conn: Conn, line: &[u8]) {
        self.inbox.push_line(self.ends[conn.0].key, line);
    }

    /// A frame of Stratum V2 arrives.
    pub fn push_frame(&mut self, conn: Conn, frame: &[u8]) {
        self.inbox.push_line(self.ends[conn.0].key, frame);
    }

    /// The miner hangs up.
    pub fn push_hang_up(&mut self, conn: Conn) {
        self.inbox.closed.push(Closed { connection: self.ends[conn.0].key, reason: CloseReason::Peer });
    }

    /// A template arrives.
    pub fn push_template(&mut self, template: Template) {
        self.inbox.node.push(NodeEvent::Template(Arc::new(template)));
    }

    /// News of the node arrive.
    pub fn push_node(&mut self, event: NodeEvent) {
        self.inbox.node.push(event);
    }

    /// A full template for the current tip, not yet pushed.
    pub fn next_template(&mut self) -> Template {
        self.templates += 1;
        work::template(self.templates, self.tip, self.now.unix)
    }

    /// A full template for a new tip, not yet pushed.
    pub fn next_tip(&mut self) -> Template {
        self.tip += 1;
        self.next_template()
    }

    /// Forgets what was opened last, as far back as it has ended: later connections get the places. For tests of very many
    /// connections; whoever still holds one that is forgotten must not use it.
    pub fn forget_ended(&mut self) {
        while self.ends.last().is_some_and(|end| end.closed.is_some()) {
            self.ends.pop();
        }
        self.generation += 1;
    }

    /// Forgets what came of everything so far: rows, events, found blocks. For tests that last.
    pub fn forget_results(&mut self) {
        self.shares.clear();
        self.workers.clear();
        self.events.clear();
        self.blocks.clear();
        self.upstream.clear();
        self.messages_shown.clear();
    }

    /// Work of the subsidy alone for a new tip, as the node's side makes it, not yet pushed: what was sent ahead fits it.
    pub fn next_bare_tip(&mut self) -> Template {
        self.tip += 1;
        self.templates += 1;
        let bare = work::subsidy_only(self.templates, self.tip, self.now.unix);
        let coinbase_value = Sats::subsidy(bare.height, Network::Regtest.halving_interval());
        Template { coinbase_value, ..bare }
    }

    // Each of these is one tick.

    /// Runs a tick with what was pushed.
    pub fn tick(&mut self) {
        let open_before: Vec<bool> = self.ends.iter().map(|end| end.closed.is_none()).collect();
        let hung_up: Vec<ConnectionKey> = self.inbox.closed.iter().map(|closed| closed.connection).collect();
        self.engine.tick(self.now, &mut self.inbox, &mut self.outbox);
        assert!(self.inbox.is_empty(), "a tick takes everything");
        self.deliver(&open_before);
        for end in self.ends.iter_mut().filter(|end| hung_up.contains(&end.key)) {
            end.closed = Some(CloseReason::Peer);
        }
        self.keep();
    }

    fn deliver(&mut self, open_before: &[bool]) {
        self.writes.clear();
        for write in &self.outbox.writes {
            let shared = if let Body::Shared(bytes) = &write.body { Some(bytes.as_ptr()) } else { None };
            self.writes.push((Conn(write.connection.slot as usize), shared));
            let bytes = self.outbox.body(&write.body);
            let place = write.connection.slot as usize;
            assert!(open_before[place], "nothing is written to a connection that has ended: {bytes:?}");
            let end = &mut self.ends[place];
            assert_eq!(
                write.connection, end.key,
                "what is written to a connection does not reach a later one in its place"
            );
            if end.protocol == Protocol::StratumV2 {
                match &mut end.client {
                    Some(client) => client.hear(bytes),
                    None => end.frames.push(bytes.to_vec()),
                }
                continue;
            }
            let text = std::str::from_utf8(bytes).expect("lines are text");
            assert!(text.ends_with('\n') && text.len() > 1, "a write is whole lines: {text:?}");
            for line in text.lines() {
                assert!(!line.is_empty(), "no empty lines");
                end.miner.hear(line);
                end.unread.push_back(line.to_owned());
            }
        }
        self.ends.iter().filter_map(|end| end.client.as_ref()).for_each(|client| client.check_whole());
        for close in &self.outbox.closes {
            let end = &mut self.ends[close.connection.slot as usize];
            assert_eq!(end.closed, None, "a connection is closed once");
            end.closed = Some(close.reason);
        }
    }

    fn keep(&mut self) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:?}", self.outbox));
        }
        self.blocks.extend(self.outbox.blocks.iter().cloned());
        self.upstream.extend(self.outbox.upstream.iter().copied());
        self.shares.extend(self.outbox.records.shares.iter().copied());
        self.workers.extend(self.outbox.records.workers.iter().cloned());
        self.totals = self.outbox.records.totals.as_deref().copied().or(self.totals);
        self.events.extend(self.outbox.events.iter().cloned());
        self.snapshot = self.outbox.snapshot.take().or(self.snapshot.take());
        self.messages_shown.append(&mut self.outbox.messages_shown);
        self.wake_at = self.outbox.wake_at;
        if let Some(at) = self.wake_at {
            assert!(at > self.now.instant, "a wake-up in the past would spin");
        }
    }

    /// Opens a connection.
    pub fn connect(&mut self) -> Conn {
        let conn = self.push_open();
        self.tick();
        conn
    }

    /// Opens a connection from another address.
    pub fn connect_from(&mut self, peer: IpAddr) -> Conn {
        let conn = self.push_open_from(peer);
        self.tick();
        conn
    }

    /// Opens a connection of Stratum V2, its handshake done.
    pub fn connect_v2(&mut self) -> Conn {
        let conn = self.push_open_speaking(Protocol::StratumV2, IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.tick();
        conn
    }

    /// Sends lines in one segment.
    pub fn send(&mut self, conn: Conn, lines: &[&str]) {
        lines.iter().for_each(|line| self.push_line(conn, line));
        self.tick();
    }

    /// Sends a line and takes all that comes back at once.
    pub fn ask(&mut self, conn: Conn, line: &str) -> Vec<String> {
        assert!(self.ends[conn.0].unread.is_empty(), "read first: {:?}", self.ends[conn.0].unread);
        self.send(conn, &[line]);
        self.take(conn)
    }

    /// Hangs up.
    pub fn hang_up(&mut self, conn: Conn) {
        self.push_hang_up(conn);
        self.tick();
    }

    /// Gives the pool a full template for a new tip.
    pub fn new_tip(&mut self) {
        let template = self.next_tip();
        self.template(template);
    }

    /// Gives the pool a template.
    pub fn template(&mut self, template: Template) {
        self.push_template(template);
        self.tick();
    }

    /// Tells the pool how the node is.
    pub fn health(&mut self, health: NodeHealth) {
        self.push_node(NodeEvent::Status(NodeStatus { health, ..NodeStatus::default() }));
        self.tick();
    }

    /// Gives the pool an order.
    pub fn command(&mut self, command: Command) {
        self.inbox.commands.push(command);
        self.tick();
    }

    /// Lets time pass, ticking whenever the engine wants it.
    pub fn advance(&mut self, duration: Duration) {
        let until = self.now.instant + duration;
        while let Some(at) = self.wake_at.filter(|at| *at <= until) {
            self.set_clock(at);
            self.tick();
        }
        self.set_clock(until);
        self.tick();
    }

    fn set_clock(&mut self, at: Instant) {
        let passed = at.since(self.now.instant).as_millis() as u64;
        self.now = Now { instant: at, unix: UnixTime::from_millis(self.now.unix.millis() + passed) };
    }

    /// The engine's world, to look inside.
    pub fn world(&mut self) -> &mut World {
        self.engine.world()
    }

    // What came of it.

    /// The moment.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Takes the lines that a connection was sent since the last time.
    pub fn take(&mut self, conn: Conn) -> Vec<String> {
        self.ends[conn.0].unread.drain(..).collect()
    }

    /// Takes what was written to a connection of Stratum V2 since the last time, write by write.
    pub fn take_frames(&mut self, conn: Conn) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.ends[conn.0].frames)
    }

    /// What the miner at the other end knows.
    pub fn miner(&self, conn: Conn) -> &Miner {
        &self.ends[conn.0].miner
    }

    /// Why a connection ended, if it did.
    pub fn closed(&self, conn: Conn) -> Option<CloseReason> {
        self.ends[conn.0].closed
    }

    /// Connects, subscribes and authorizes in the usual way.
    pub fn join(&mut self, user: &str, password: &str) -> Conn {
        self.join_as("test/1.0", user, password)
    }

    /// The same as a device with this user agent.
    pub fn join_as(&mut self, agent: &str, user: &str, password: &str) -> Conn {
        let conn = self.connect();
        self.send(conn, &[&format!(r#"{{"id":1,"method":"mining.subscribe","params":["{agent}"]}}"#)]);
        self.send(conn, &[&authorize(2, user, password)]);
        let lines = self.take(conn);
        assert_eq!(lines[1], r#"{"id":2,"result":true,"error":null}"#, "{lines:?}");
        conn
    }

    /// The same with version rolling negotiated first.
    pub fn join_rolling(&mut self, user: &str, password: &str) -> Conn {
        let conn = self.connect();
        self.send(conn, &[CONFIGURE]);
        self.send(conn, &[r#"{"id":1,"method":"mining.subscribe","params":["test/1.0"]}"#]);
        self.send(conn, &[&authorize(2, user, password)]);
        self.take(conn);
        conn
    }

    /// Submits a share; other lines that come with the verdict stay unread.
    pub fn submit(&mut self, conn: Conn, user: &str, share: &Share) -> Verdict {
        self.requests += 1;
        let id = 1_000_000 + self.requests;
        self.verdict(conn, id, &share.line(id, user))
    }

    /// Sends a line with `id` and reads its answer as a verdict.
    pub fn verdict(&mut self, conn: Conn, id: u64, line: &str) -> Verdict {
        self.send(conn, &[line]);
        let unread = &mut self.ends[conn.0].unread;
        let is_it = |line: &String| line.starts_with(&format!("{{\"id\":{id},"));
        let place = unread.iter().position(is_it).unwrap_or_else(|| panic!("no answer to {line}: {unread:?}"));
        let answer = unread.remove(place).expect("found just now");
        read_verdict(&answer)
    }
}

/// `mining.configure` of a miner that rolls what it may.
pub const CONFIGURE: &str =
    r#"{"id":0,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"ffffffff"}]}"#;

/// `mining.authorize`.
pub fn authorize(id: u64, user: &str, password: &str) -> String {
    format!(r#"{{"id":{id},"method":"mining.authorize","params":["{user}","{password}"]}}"#)
}

/// What the answer to a share says.
pub fn read_verdict(answer: &str) -> Verdict {
    let value: Value = serde_json::from_str(answer).expect("JSON");
    if value["error"].is_null() {
        assert_eq!(value["result"], Value::Bool(true), "{answer}");
        return Ok(());
    }
    assert_eq!(value["result"], Value::Null, "{answer}");
    let error = value["error"].as_array().expect("errors are lists");
    assert!(error.len() == 3 && error[2].is_null(), "code, text, null: {answer}");
    Err((error[0].as_u64().expect("a code"), error[1].as_str().expect("a text").to_owned()))
}
