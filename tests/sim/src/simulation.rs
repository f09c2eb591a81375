//! The run: one queue of things to come, ordered by time, and what each of them does.
//!
//! First a phase with faults, then one without, in which progress is required. No thread, no clock, no randomness but the
//! seed's: the same seed gives the same bytes.

use crate::disk::Disk;
use crate::ledger::{Ledger, Tips};
use crate::miner::{Device, Heard, Intention, Submit, read_answer};
use crate::node::{self, Answer, Node};
use crate::options::Options;
use crate::pool::{FLUSH_INTERVAL, PoolSide, Submission, WallClock};
use crate::random::Random;
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use warppool_components::block::BlockState;
use warppool_components::connection::{CloseReason, ConnectionKey, Protocol};
use warppool_components::inbox::{Closed, Command, Now, Opened};
use warppool_components::node::{NodeEvent, NodeHealth};
use warppool_components::outbox::Close;
use warppool_components::settings::Settings;
use warppool_components::units::{Instant, UnixTime};
use warppool_tests::pool::{START_SECONDS, settings};
use warppool_tests::work::{address, cut};

/// Most lines that a connection delivers to one tick.
const LINES_PER_TICK: usize = 256;

/// Silence that no miner must see while the node is well (rule 20).
const SILENCE_MAX: Duration = Duration::from_secs(61);

/// Time at the end in which every miner must be served.
const PROGRESS: Duration = Duration::from_secs(900);

/// Between two attempts to submit a block.
const RESUBMIT: Duration = Duration::from_secs(2);

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Hash of everything that the pool put out, in order.
    pub hash: [u8; 32],
    /// Shares accepted.
    pub accepted: u64,
    /// Shares refused.
    pub refused: u64,
    /// Blocks found.
    pub blocks: usize,
    /// Crashes of the pool.
    pub crashes: u64,
    /// Ticks.
    pub ticks: u64,
}

/// Things to come.
#[derive(Clone, Debug)]
enum Event {
    Connect { device: usize },
    ToPool { link: usize, bytes: Vec<u8> },
    EndToPool { link: usize, reason: CloseReason },
    ToMiner { link: usize, bytes: Vec<u8> },
    EndToMiner { link: usize },
    Find { device: usize, work_version: u64 },
    Reset { device: usize },
    Stall { device: usize },
    Tick,
    Flush,
    Crash,
    Start,
    External,
    Reorganise,
    TipSeen,
    Template { tip: [u8; 32] },
    Refresh,
    Outage,
    NodeUp,
    Resubmit,
    Reload,
    Calm,
}

/// A connection, seen from both ends.
struct Link {
    device: usize,
    /// While the pool has it.
    key: Option<ConnectionKey>,
    /// While the miner has it.
    is_at_miner: bool,
    /// Nothing arrives before what was sent earlier.
    to_pool_at: u64,
    to_miner_at: u64,
    last_line_at: u64,
    is_working: bool,
    /// It has ended, and the next tick hears of it.
    has_ended: bool,
    /// Lines for the next tick.
    lines: VecDeque<Vec<u8>>,
    /// Submits on their way, with the extranonce1 that they were made with.
    sent: HashMap<u64, (Submit, String)>,
}

/// The run.
pub struct Simulation {
    options: Options,
    random: Random,
    now_ns: u64,
    sequence: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: HashMap<u64, Event>,
    node: Node,
    disk: Disk,
    wall: WallClock,
    pool: Option<PoolSide>,
    starts: u64,
    tick_due: Option<u64>,
    flush_due: bool,
    pool_tip: Option<[u8; 32]>,
    ready_since: Option<u64>,
    devices: Vec<Device>,
    device_links: Vec<Option<usize>>,
    accepted_lately: Vec<u64>,
    links: Vec<Link>,
    by_slot: BTreeMap<u32, usize>,
    /// Connections with lines for the next tick, in the order in which they came.
    talking: Vec<usize>,
    ended: Vec<usize>,
    ledger: Ledger,
    crash_at_block: bool,
    is_calm: bool,
    end_at: u64,
    output: Sha256,
    crashes: u64,
    ticks: u64,
}

/// Runs the conditions to their end.
///
/// # Panics
/// With a sentence, when something is not as it must be: that is the finding.
pub fn run(options: Options) -> Outcome {
    let mut simulation = Simulation::new(options);
    simulation.prepare();
    while let Some(Reverse((at, sequence))) = simulation.queue.pop() {
        if at > simulation.end_at {
            break;
        }
        simulation.now_ns = at;
        let event = simulation.events.remove(&sequence).expect("what is queued is there");
        simulation.happen(event);
    }
    simulation.finish()
}

impl Simulation {
    fn new(options: Options) -> Self {
        let mut random = Random::new(!options.seed);
        let end_at = nanos(options.troubled + options.calm);
        let wall = WallClock::default();
        let unix = UnixTime::from_seconds(START_SECONDS);
        let devices: Vec<Device> =
            (0..options.miners).map(|number| Device::new(number, options.wrong_shares, random.fork())).collect();
        Self {
            node: Node::new(random.next(), unix),
            disk: Disk::new(random.fork()),
            device_links: vec![None; devices.len()],
            accepted_lately: vec![0; devices.len()],
            devices,
            now_ns: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            events: HashMap::new(),
            wall,
            pool: None,
            starts: 0,
            tick_due: None,
            flush_due: false,
            pool_tip: None,
            ready_since: None,
            links: Vec::new(),
            by_slot: BTreeMap::new(),
            talking: Vec::new(),
            ended: Vec::new(),
            ledger: Ledger::default(),
            crash_at_block: false,
            is_calm: false,
            end_at,
            output: Sha256::new(),
            crashes: 0,
            ticks: 0,
            random,
            options,
        }
    }

    fn prepare(&mut self) {
        self.at(Duration::ZERO, Event::Start);
        for device in 0..self.devices.len() {
            let after = self.random.between(0, 20_000);
            self.at(Duration::from_millis(after), Event::Connect { device });
            self.soon(self.options.reset, Event::Reset { device });
            self.soon(self.options.stall, Event::Stall { device });
        }
        self.soon(Some(self.options.external_block), Event::External);
        self.soon(self.options.reorganisation, Event::Reorganise);
        self.soon(self.options.node_outage, Event::Outage);
        self.soon(self.options.crash, Event::Crash);
        self.soon(self.options.reload, Event::Reload);
        self.at(Duration::from_secs(30), Event::Refresh);
        self.at(self.options.troubled, Event::Calm);
    }

    // Time.

    fn at(&mut self, after: Duration, event: Event) {
        self.at_ns(self.now_ns + nanos(after), event);
    }

    fn at_ns(&mut self, at_ns: u64, event: Event) {
        self.sequence += 1;
        self.events.insert(self.sequence, event);
        self.queue.push(Reverse((at_ns, self.sequence)));
    }

    /// After a time of a Poisson process, when there is a mean.
    fn soon(&mut self, mean: Option<Duration>, event: Event) {
        let Some(mean) = mean else { return };
        let after = Duration::from_secs_f64(self.random.exponential(mean.as_secs_f64()));
        self.at(after, event);
    }

    fn now(&self) -> Now {
        Now { instant: Instant(1_000_000_000 + self.now_ns), unix: self.unix() }
    }

    fn unix(&self) -> UnixTime {
        UnixTime::from_millis(START_SECONDS * 1000 + self.now_ns / 1_000_000)
    }

    /// Wants a tick at `at_ns` at the latest.
    fn want_tick(&mut self, at_ns: u64) {
        if self.pool.is_some() && self.tick_due.is_none_or(|due| at_ns < due) {
            self.tick_due = Some(at_ns);
            self.at_ns(at_ns, Event::Tick);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Connect { device } => self.connect(device),
            Event::ToPool { link, bytes } => self.reach_pool(link, &bytes),
            Event::EndToPool { link, reason } => self.end_at_pool(link, reason),
            Event::ToMiner { link, bytes } => self.reach_miner(link, &bytes),
            Event::EndToMiner { link } => self.end_at_miner(link),
            Event::Find { device, work_version } => self.find(device, work_version),
            Event::Reset { device } => self.reset(device),
            Event::Stall { device } => self.stall(device),
            Event::Tick => self.tick_if_due(),
            Event::Flush => self.flush(),
            Event::Crash => self.crash_some_time(),
            Event::Start => self.start(),
            Event::External => self.external_block(),
            Event::Reorganise => self.reorganise(),
            Event::TipSeen => self.tip_seen(),
            Event::Template { tip } => self.template(tip),
            Event::Refresh => self.refresh(),
            Event::Outage => self.outage(),
            Event::NodeUp => self.node_up(),
            Event::Resubmit => self.resubmit(),
            Event::Reload => self.reload(),
            Event::Calm => self.calm(),
        }
    }

    // Miners and the network.

    fn connect(&mut self, device: usize) {
        if self.device_links[device].is_some() {
            return;
        }
        let Some(pool) = &mut self.pool else {
            let after = self.random.between(1, 10);
            return self.at(Duration::from_secs(after), Event::Connect { device });
        };
        let key = pool.key();
        let peer = IpAddr::V4(Ipv4Addr::new(10, 0, (device / 250) as u8, (device % 250) as u8 + 1));
        pool.inbox.opened.push(Opened { connection: key, peer, protocol: Protocol::StratumV1 });
        let now_ns = self.now_ns;
        self.links.push(Link {
            device,
            key: Some(key),
            is_at_miner: true,
            to_pool_at: now_ns,
            to_miner_at: now_ns,
            last_line_at: now_ns,
            is_working: false,
            has_ended: false,
            lines: VecDeque::new(),
            sent: HashMap::new(),
        });
        let link = self.links.len() - 1;
        self.by_slot.insert(key.slot, link);
        self.device_links[device] = Some(link);
        self.want_tick(now_ns);
        for segment in self.devices[device].connect() {
            self.send_to_pool(link, segment.as_bytes());
        }
    }

    fn send_to_pool(&mut self, link: usize, bytes: &[u8]) {
        for piece in self.pieces(bytes) {
            let at = self.arrival(self.links[link].to_pool_at);
            self.links[link].to_pool_at = at;
            self.at_ns(at, Event::ToPool { link, bytes: piece });
        }
    }

    fn send_to_miner(&mut self, link: usize, bytes: &[u8]) {
        for piece in self.pieces(bytes) {
            let at = self.arrival(self.links[link].to_miner_at);
            self.links[link].to_miner_at = at;
            self.at_ns(at, Event::ToMiner { link, bytes: piece });
        }
    }

    /// Bytes as they arrive: at once, in a few pieces, or one by one.
    fn pieces(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        if self.is_calm || !self.random.chance(self.options.cuts) {
            return vec![bytes.to_vec()];
        }
        let longest = *self.random.pick(&[1, 7, 100]).min(&bytes.len()).max(&(bytes.len() / 40 + 1));
        bytes.chunks(longest).map(<[u8]>::to_vec).collect()
    }

    /// When something that is sent now arrives, but not before `earliest`.
    fn arrival(&mut self, earliest: u64) -> u64 {
        let longest = if self.is_calm { Duration::from_millis(5) } else { self.options.latency };
        let delay = self.random.between(0, nanos(longest));
        (self.now_ns + delay).max(earliest)
    }

    fn reach_pool(&mut self, link: usize, bytes: &[u8]) {
        let one = &mut self.links[link];
        let Some((pool, key)) = self.pool.as_mut().zip(one.key).filter(|_| !one.has_ended) else { return };
        let lines = pool.lines.get_mut(&key.slot).expect("an open connection has its lines");
        let result = lines.receive(bytes, usize::MAX, |line| one.lines.push_back(line.to_vec()));
        assert!(result.is_ok(), "no miner sends lines that long");
        if !one.lines.is_empty() && !self.talking.contains(&link) {
            self.talking.push(link);
        }
        self.want_tick(self.now_ns);
    }

    fn end_at_pool(&mut self, link: usize, reason: CloseReason) {
        let one = &mut self.links[link];
        let Some((pool, key)) = self.pool.as_mut().zip(one.key).filter(|_| !one.has_ended) else { return };
        one.has_ended = true;
        if !one.lines.is_empty() && reason == CloseReason::SocketError && one.lines.len() > LINES_PER_TICK {
            one.lines.truncate(LINES_PER_TICK);
        }
        pool.inbox.closed.push(Closed { connection: key, reason });
        self.ended.push(link);
        self.want_tick(self.now_ns);
    }

    /// Puts the lines that came into the inbox, those of a connection together; gives the submits among them.
    fn read_lines(&mut self) -> Vec<(usize, Submit, String)> {
        let mut judged = Vec::new();
        for link in std::mem::take(&mut self.talking) {
            let one = &mut self.links[link];
            let Some((pool, key)) = self.pool.as_mut().zip(one.key) else { continue };
            let count = one.lines.len().min(LINES_PER_TICK);
            for line in one.lines.drain(..count) {
                pool.inbox.push_line(key, &line);
                let submit = submit_id(&line).and_then(|id| one.sent.remove(&id));
                judged.extend(submit.map(|(submit, extranonce1)| (link, submit, extranonce1)));
            }
            if !one.lines.is_empty() {
                self.talking.push(link);
            }
        }
        judged
    }

    /// Connections that the tick has heard the end of are gone.
    fn forget_ended(&mut self) {
        for link in std::mem::take(&mut self.ended) {
            let Some(key) = self.links[link].key.take() else { continue };
            self.by_slot.remove(&key.slot);
            if let Some(pool) = &mut self.pool {
                pool.free(key);
            }
        }
    }

    fn reach_miner(&mut self, link: usize, bytes: &[u8]) {
        if !self.links[link].is_at_miner {
            return;
        }
        let device = self.links[link].device;
        for heard in self.devices[device].read(bytes) {
            match heard {
                Heard::Work => self.appoint(device),
                Heard::Verdict(id, verdict) => {
                    let unanswered = &mut self.devices[device].unanswered;
                    let place = unanswered.iter().position(|submit| submit.id == id);
                    assert!(place.is_some(), "an answer to a submit that was answered before: {id} {verdict:?}");
                    unanswered.remove(place.expect("just looked"));
                    let is_late = self.now_ns + nanos(PROGRESS) >= self.end_at;
                    self.accepted_lately[device] += u64::from(verdict.is_ok() && is_late);
                }
                Heard::Other => {}
            }
        }
    }

    fn end_at_miner(&mut self, link: usize) {
        if !std::mem::replace(&mut self.links[link].is_at_miner, false) {
            return;
        }
        let device = self.links[link].device;
        self.device_links[device] = None;
        self.devices[device].work_version += 1;
        let after = self.random.between(200, 10_000);
        self.at(Duration::from_millis(after), Event::Connect { device });
    }

    fn appoint(&mut self, device: usize) {
        if let Some(after) = self.devices[device].time_to_find() {
            let work_version = self.devices[device].work_version;
            self.at(after, Event::Find { device, work_version });
        }
    }

    fn find(&mut self, device: usize, work_version: u64) {
        let Some(link) = self.device_links[device] else { return };
        if self.devices[device].work_version != work_version || !self.devices[device].authorized {
            return;
        }
        let submit = self.devices[device].find();
        let line = submit.share.line(submit.id, &submit.user) + "\n";
        let extranonce1 = self.devices[device].knows.extranonce1.clone();
        self.links[link].sent.insert(submit.id, (submit.clone(), extranonce1));
        self.devices[device].unanswered.push_back(submit);
        self.send_to_pool(link, line.as_bytes());
        self.appoint(device);
    }

    fn reset(&mut self, device: usize) {
        self.soon(self.options.reset.filter(|_| !self.is_calm), Event::Reset { device });
        let Some(link) = self.device_links[device] else { return };
        if self.random.chance(0.5) {
            // What is on its way to the pool still arrives, then the end.
            let at = self.links[link].to_pool_at.max(self.now_ns);
            self.at_ns(at, Event::EndToPool { link, reason: CloseReason::Peer });
        } else {
            self.end_at_pool(link, CloseReason::SocketError);
        }
        self.end_at_miner(link);
    }

    fn stall(&mut self, device: usize) {
        self.soon(self.options.stall.filter(|_| !self.is_calm), Event::Stall { device });
        let Some(link) = self.device_links[device] else { return };
        let until = self.now_ns + nanos(Duration::from_secs(self.random.between(1, 120)));
        self.links[link].to_miner_at = self.links[link].to_miner_at.max(until);
    }

    // The pool.

    fn start(&mut self) {
        if self.pool.is_some() {
            return;
        }
        self.starts += 1;
        self.set_wall();
        self.disk.set_failing(0.0);
        let seed = self.random.next();
        let started = PoolSide::start(self.settings(), seed, &self.disk, &self.wall, self.now());
        let (mut pool, restored) =
            started.unwrap_or_else(|error| panic!("the store does not open after a crash: {error}"));
        self.disk.set_failing(if self.is_calm { 0.0 } else { self.options.disk_errors });
        self.ledger.restart(&restored);
        for row in restored.blocks.iter().filter(|row| row.state == BlockState::Pending) {
            let bytes = row.raw.clone().expect("a block whose fate is open is journaled whole");
            pool.submissions.push(Submission { hash: *row.hash.as_internal(), bytes });
        }
        self.pool = Some(pool);
        (self.pool_tip, self.ready_since) = (None, None);
        self.node.forget();
        if self.node.is_up {
            self.tell(node::health(NodeHealth::Ready, self.unix()));
            self.ready_since = Some(self.now_ns);
            self.at(Duration::from_millis(1), Event::TipSeen);
        }
        self.at(Duration::from_millis(1), Event::Resubmit);
        self.want_tick(self.now_ns);
    }

    fn settings(&self) -> Settings {
        let mut settings = settings();
        // The classes' difficulties are those of real hardware.
        settings.device_classes = [].into();
        settings.payout.fee =
            (self.options.fee_basis_points > 0).then(|| cut(&address(250), self.options.fee_basis_points));
        settings
    }

    fn set_wall(&self) {
        self.wall.store(self.unix().millis(), Ordering::Relaxed);
    }

    fn tell(&mut self, event: NodeEvent) {
        if let Some(pool) = &mut self.pool {
            pool.inbox.node.push(event);
            self.want_tick(self.now_ns);
        }
    }

    fn tick_if_due(&mut self) {
        if self.tick_due.is_some_and(|due| due <= self.now_ns) && self.pool.is_some() {
            self.tick_due = None;
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.ticks += 1;
        self.set_wall();
        let now = self.now();
        let judged = self.read_lines();
        let Some(pool) = &mut self.pool else { return };
        let template = pool.inbox.node.iter().rev().find_map(|event| match event {
            NodeEvent::Template(template) => Some(*template.previous_block.as_internal()),
            _ => None,
        });
        let tips = Tips { before: self.pool_tip, after: template.or(self.pool_tip) };
        self.pool_tip = tips.after;
        pool.engine.tick(now, &mut pool.inbox, &mut pool.outbox);
        let expected = self.expectations(judged, tips);
        self.take_blocks();
        let is_crashing = self.crash_at_block && self.has_new_submissions();
        self.deliver(expected);
        self.forget_ended();
        if is_crashing {
            // The blocks have gone out, nothing of this tick is on the disk.
            self.crash_at_block = false;
            return self.crash(true);
        }
        self.keep();
        if !self.talking.is_empty() {
            self.want_tick(self.now_ns + 1);
        }
    }

    /// What each submit of the tick may be answered, in their order.
    fn expectations(&mut self, judged: Vec<(usize, Submit, String)>, tips: Tips) -> Vec<Expected> {
        let unix_seconds = self.unix().header_seconds();
        let mut expected = Vec::new();
        for (link, submit, extranonce1) in judged {
            let allowed = self.ledger.allowed(&submit, &extranonce1, tips, unix_seconds);
            let is_block = submit.share.reached >= node::DIFFICULTY * 1.0001;
            if is_block && allowed == [Ok(())] {
                self.ledger.expect_block(&submit.share.hash);
            }
            if submit.intention == Intention::TooNew {
                self.ledger.expect_refusal(&submit.share.hash);
            }
            expected.push(Expected { link, submit, allowed });
        }
        expected
    }

    fn take_blocks(&mut self) {
        let Some(pool) = &mut self.pool else { return };
        for block in &pool.outbox.blocks {
            let hash = *block.hash.as_internal();
            self.ledger.found(&block.hash.to_string(), hash, self.now_ns);
            self.output.update(hash);
            pool.submissions.push(Submission { hash, bytes: block.serialise().into() });
        }
        self.ledger.check_blocks();
        if !pool.outbox.blocks.is_empty() {
            self.submit_all();
        }
    }

    fn has_new_submissions(&self) -> bool {
        self.pool.as_ref().is_some_and(|pool| !pool.outbox.blocks.is_empty())
    }

    fn deliver(&mut self, expected: Vec<Expected>) {
        let Some(pool) = &self.pool else { return };
        let writes: Vec<(ConnectionKey, Vec<u8>)> =
            pool.outbox.writes.iter().map(|write| (write.connection, pool.outbox.body(&write.body).to_vec())).collect();
        let closes: Vec<Close> = pool.outbox.closes.clone();
        let mut answers = HashMap::new();
        for (key, bytes) in writes {
            self.output.update(key.slot.to_le_bytes());
            self.output.update(&bytes);
            assert_eq!(bytes.last(), Some(&b'\n'), "a write is whole lines");
            let link = *self.by_slot.get(&key.slot).expect("nothing is written to a connection that has ended");
            assert_eq!(self.links[link].key, Some(key), "a write for a former owner of the slot");
            self.read_answers(link, &bytes, &mut answers);
            self.links[link].last_line_at = self.now_ns;
            if !self.links[link].has_ended {
                self.send_to_miner(link, &bytes);
            }
        }
        for one in expected {
            self.judge(one, &mut answers);
        }
        for close in closes {
            self.output.update([close.reason as u8]);
            self.close(close);
        }
    }

    fn read_answers(&mut self, link: usize, bytes: &[u8], answers: &mut HashMap<(usize, u64), Result<(), i64>>) {
        let text = std::str::from_utf8(bytes).expect("lines are text");
        for line in text.lines() {
            match read_answer(line) {
                Some((id, verdict)) => drop(answers.insert((link, id), verdict)),
                None => self.links[link].is_working |= line.contains(r#""method":"mining.notify""#),
            }
        }
    }

    /// A submit that came is answered in its tick, unless its miner has hung up meanwhile.
    fn judge(&mut self, one: Expected, answers: &mut HashMap<(usize, u64), Result<(), i64>>) {
        let Expected { link, submit, allowed } = one;
        match answers.remove(&(link, submit.id)) {
            Some(verdict) => self.ledger.verdict(&submit, &allowed, verdict, self.now_ns),
            None if self.links[link].has_ended => self.ledger.unanswered(&submit, &allowed, self.now_ns),
            None => panic!("no answer to {submit:?} in its tick, allowed {allowed:?}"),
        }
    }

    fn close(&mut self, close: Close) {
        let Some(link) = self.by_slot.remove(&close.connection.slot) else { return };
        self.links[link].key = None;
        if let Some(pool) = &mut self.pool {
            pool.free(close.connection);
        }
        assert!(
            matches!(close.reason, CloseReason::NodeLost | CloseReason::AuthorizeDeadline | CloseReason::Shutdown),
            "a miner that did nothing wrong was closed: {:?}",
            close.reason
        );
        let at = self.links[link].to_miner_at.max(self.now_ns);
        self.at_ns(at, Event::EndToMiner { link });
    }

    /// Everything of a tick that is not for miners.
    fn keep(&mut self) {
        let now_ns = self.now_ns;
        let Some(pool) = &mut self.pool else { return };
        let records = &pool.outbox.records;
        self.output.update(format!("{:?}", records.shares));
        self.ledger.rows(&records.workers, &records.shares, now_ns);
        let has_blocks = !pool.outbox.records.blocks.is_empty();
        pool.offer_records();
        // A block is journaled at once.
        let has_blocks = !pool.waiting.blocks.is_empty() || has_blocks;
        let (is_dirty, wake_at) = (pool.is_dirty, pool.outbox.wake_at);
        if let Some(snapshot) = pool.outbox.snapshot.take() {
            self.ledger.check_snapshot(&snapshot);
            self.check_silence();
        }
        if has_blocks {
            self.flush();
        } else if is_dirty && !std::mem::replace(&mut self.flush_due, true) {
            self.at(FLUSH_INTERVAL, Event::Flush);
        }
        if let Some(at) = wake_at {
            self.want_tick((at.0 - 1_000_000_000).max(now_ns + 1));
        }
    }

    /// While the node is well, every miner with work hears something once a minute.
    fn check_silence(&self) {
        let Some(since) = self.ready_since else { return };
        let now_ns = self.now_ns;
        for link in self.links.iter().filter(|link| link.key.is_some() && link.is_working) {
            let silence = now_ns - link.last_line_at.max(since);
            assert!(
                silence <= nanos(SILENCE_MAX),
                "miner {} has heard nothing for {} s",
                link.device,
                silence / 1_000_000_000
            );
        }
    }

    fn flush(&mut self) {
        self.flush_due = false;
        self.set_wall();
        let Some(pool) = &mut self.pool else { return };
        if pool.commit() {
            self.ledger.committed();
        }
        if pool.is_dirty {
            self.flush_due = true;
            self.at(FLUSH_INTERVAL, Event::Flush);
        }
    }

    fn crash_some_time(&mut self) {
        self.soon(self.options.crash.filter(|_| !self.is_calm), Event::Crash);
        if self.random.chance(0.5) {
            self.crash_at_block = true;
        } else {
            self.crash(false);
        }
    }

    /// `is_at_block`: in the tick that found a block, before anything of it is on the disk.
    fn crash(&mut self, is_at_block: bool) {
        if self.pool.take().is_none() {
            return;
        }
        self.crashes += 1;
        let is_excused = self.options.disk_errors > 0.0 || is_at_block;
        self.ledger.crash(is_excused, |hash| self.node.chain.knows(hash));
        self.disk = if self.options.power_cuts { self.disk.after_power_cut() } else { self.disk.after_kill() };
        (self.tick_due, self.flush_due) = (None, false);
        self.talking.clear();
        self.ended.clear();
        self.by_slot.clear();
        for link in 0..self.links.len() {
            if self.links[link].key.take().is_some() {
                let at = self.links[link].to_miner_at.max(self.now_ns);
                self.at_ns(at, Event::EndToMiner { link });
            }
        }
        let after = self.random.between(1, 30);
        self.at(Duration::from_secs(after), Event::Start);
    }

    fn reload(&mut self) {
        self.soon(self.options.reload.filter(|_| !self.is_calm), Event::Reload);
        let settings = self.settings();
        if let Some(pool) = &mut self.pool {
            pool.inbox.commands.push(Command::Reload(Box::new(settings)));
            self.want_tick(self.now_ns);
        }
    }

    // The node.

    fn external_block(&mut self) {
        self.soon(Some(self.options.external_block), Event::External);
        self.node.chain.mine_external(self.unix().header_seconds());
        self.chain_changed();
    }

    fn reorganise(&mut self) {
        self.soon(self.options.reorganisation.filter(|_| !self.is_calm), Event::Reorganise);
        let depth = self.random.between(1, 6) as u32;
        self.node.chain.reorganise(depth, self.unix().header_seconds());
        self.chain_changed();
    }

    /// ZMQ tells at once, or the poll finds it out within a second.
    fn chain_changed(&mut self) {
        let is_silent = !self.is_calm && self.random.chance(self.options.silent_tips);
        let after = if is_silent { self.random.between(1, 1000) } else { 1 };
        self.at(Duration::from_millis(after), Event::TipSeen);
    }

    fn tip_seen(&mut self) {
        if !self.node.is_up || self.pool.is_none() || self.node.is_told() {
            return;
        }
        if let Some(template) = self.node.tip_seen(self.unix()) {
            self.tell(node::work(template));
        }
        let longest = if self.is_calm { Duration::from_millis(50) } else { self.options.template_delay };
        let after = Duration::from_nanos(self.random.between(0, nanos(longest)));
        self.at(after, Event::Template { tip: self.node.tip() });
    }

    fn template(&mut self, tip: [u8; 32]) {
        if self.node.is_up && self.pool.is_some() && self.node.tip() == tip && self.node.is_told() {
            let template = self.node.template(self.unix());
            self.tell(node::work(template));
        }
    }

    fn refresh(&mut self) {
        self.at(Duration::from_secs(30), Event::Refresh);
        self.template(self.node.tip());
    }

    fn outage(&mut self) {
        self.soon(self.options.node_outage.filter(|_| !self.is_calm), Event::Outage);
        if !std::mem::replace(&mut self.node.is_up, false) {
            return;
        }
        self.ready_since = None;
        self.tell(node::health(NodeHealth::Lost, self.unix()));
        let after = self.random.between(1, 300);
        self.at(Duration::from_secs(after), Event::NodeUp);
    }

    fn node_up(&mut self) {
        if std::mem::replace(&mut self.node.is_up, true) {
            return;
        }
        if self.pool.is_some() {
            self.ready_since = Some(self.now_ns);
        }
        self.tell(node::health(NodeHealth::Ready, self.unix()));
        self.node.forget();
        self.at(Duration::from_millis(1), Event::TipSeen);
        self.at(Duration::from_millis(1), Event::Resubmit);
    }

    fn submit_all(&mut self) {
        let now = self.unix();
        let Some(pool) = &mut self.pool else { return };
        let mut news = Vec::new();
        let (node, random) = (&mut self.node, &mut self.random);
        let losses = if self.is_calm { 0.0 } else { 0.3 };
        pool.submissions.retain(|submission| {
            // It may not reach the node, or the answer may not come back.
            if !node.is_up || random.chance(losses) {
                return true;
            }
            let answer = node.submit(&submission.bytes, submission.hash, now);
            if random.chance(losses) {
                return true;
            }
            let state = match answer {
                Answer::Accepted => BlockState::Accepted,
                Answer::Beside => BlockState::Orphaned,
                Answer::Refused(reason) if self.ledger.is_refusal_due(submission.hash, &reason) => {
                    BlockState::Rejected(reason)
                }
                Answer::Refused(reason) => panic!("the node refuses a found block: {reason}"),
            };
            let hash = warppool_components::units::Hash256::from_internal(submission.hash);
            news.push(NodeEvent::Block { hash, state });
            false
        });
        let is_open = !pool.submissions.is_empty();
        for event in news {
            self.tell(event);
        }
        if !self.node.is_told() {
            self.chain_changed();
        }
        if is_open {
            self.at(RESUBMIT, Event::Resubmit);
        }
    }

    fn resubmit(&mut self) {
        if self.pool.as_ref().is_some_and(|pool| !pool.submissions.is_empty()) {
            self.submit_all();
        }
    }

    // The end.

    fn calm(&mut self) {
        self.is_calm = true;
        self.crash_at_block = false;
        self.disk.set_failing(0.0);
        self.node_up();
    }

    fn finish(mut self) -> Outcome {
        self.now_ns = self.end_at;
        self.check_progress();
        for hash in self.ledger.candidates.keys() {
            assert!(self.node.chain.knows(*hash), "a found block never reached the chain");
        }
        self.close_down();
        Outcome {
            hash: self.output.finalize().into(),
            accepted: self.ledger.accepted,
            refused: self.ledger.refused,
            blocks: self.ledger.candidates.len(),
            crashes: self.crashes,
            ticks: self.ticks,
        }
    }

    /// Every miner that should have found twenty shares and more in the calm has been credited some.
    fn check_progress(&self) {
        assert!(self.pool.is_some(), "the pool does not run in the calm");
        for (number, device) in self.devices.iter().enumerate() {
            assert!(self.device_links[number].is_some(), "miner {number} is not connected in the calm");
            let Some(job) = device.knows.jobs.last() else { panic!("miner {number} has no work in the calm") };
            let expected = PROGRESS.as_secs_f64() * device.hashes_per_second / (job.difficulty * 4_294_967_296.0);
            let got = self.accepted_lately[number];
            assert!(expected < 20.0 || got > 0, "miner {number} should have some {expected:.0} shares and has none");
            let interval = PROGRESS.as_secs_f64() / got.max(1) as f64;
            assert!(
                (1.0..=300.0).contains(&interval),
                "miner {number} of {} hashes/s is credited a share each {interval:.1} s at {}",
                device.hashes_per_second,
                job.difficulty
            );
        }
    }

    /// Stops the pool in order and compares what the store holds.
    fn close_down(&mut self) {
        let Some(pool) = &mut self.pool else { return };
        pool.inbox.commands.push(Command::Shutdown);
        self.tick();
        self.flush();
        let Some(pool) = self.pool.take() else { return };
        assert!(!pool.is_dirty, "rows are left when the pool stops");
        drop(pool);
        let disk = self.disk.after_power_cut();
        let started = PoolSide::start(self.settings(), 1, &disk, &self.wall, self.now());
        let (_, restored) = started.unwrap_or_else(|error| panic!("the store does not open at the end: {error}"));
        self.ledger.check_store(&restored);
    }
}

/// A submit in its tick.
struct Expected {
    link: usize,
    submit: Submit,
    allowed: Vec<Result<(), i64>>,
}

/// Id of the submit that a line carries.
fn submit_id(line: &[u8]) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    value["id"].as_u64().filter(|_| value["method"] == "mining.submit")
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Shared with the program: what a seed's run is called when it is hashed together with others.
#[must_use]
pub fn digest(outcomes: impl Iterator<Item = [u8; 32]>) -> Arc<str> {
    let mut all = Sha256::new();
    outcomes.for_each(|hash| all.update(hash));
    let hash: [u8; 32] = all.finalize().into();
    hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}
