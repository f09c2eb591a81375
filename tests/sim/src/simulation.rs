//! The run: one queue of things to come, ordered by time, and what each of them does.
//!
//! - `network`: miners and what is between them and the pool
//! - `network_v2`: what miners of Stratum V2 do
//! - `ticks`: the pool
//! - `chain`: blocks of others
//! - `nodes`: the calls between pool and nodes, and the nodes' moods
//! - `fates`: what must be true of the choice among nodes and of found blocks
//! - `said`: what connections are told, looked at as it leaves the pool
//! - `said_v2`: the same by channel of Stratum V2
//! - `bounds`: what the pool holds in memory
//! - `ending`: the calm, and what must be true then
//!
//! First a phase with faults, then one without, in which progress is required. No thread, no clock, no randomness but the
//! seed's: the same seed gives the same bytes.

mod bounds;
mod chain;
mod ending;
mod fates;
mod network;
mod network_v2;
mod nodes;
mod said;
mod said_v2;
mod ticks;

use self::said_v2::SaidV2;
use crate::disk::Disk;
use crate::ledger::{Ledger, Tips};
use crate::miner::{Device, Heard, Intention, Submit, read_answer};
use crate::miner_v2::MinerV2;
use crate::nodes::Nodes;
use crate::options::Options;
use crate::pool::{PoolSide, WallClock};
use crate::random::Random;
pub use fates::BlockFates;
use fates::Fates;
use nodes::{Happening, Wire};
use sha2::{Digest, Sha256};
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic;
use std::time::Duration;
use warppool_components::block::BlockState;
use warppool_components::connection::{CloseReason, ConnectionKey, Protocol};
use warppool_components::inbox::{Closed, Command, Now, Opened};
use warppool_components::node::{NodeEvent, NodeHealth};
use warppool_components::outbox::Close;
use warppool_components::settings::Settings;
use warppool_components::units::{Instant, UnixTime};
use warppool_net::transport::noise::{AuthorityKey, Responder};
use warppool_tests::pool::{START_SECONDS, settings};
use warppool_tests::work::{address, cut};

/// Most lines that a connection delivers to one tick.
const LINES_PER_TICK: usize = 256;

/// Silence that no miner must see while the node is well (rule 20).
const SILENCE_MAX: Duration = Duration::from_secs(61);

/// Time at the end in which every miner must be served.
const PROGRESS: Duration = Duration::from_secs(900);

/// Between two times that the store is asked to forget what is old.
const RETENTION_EVERY: Duration = Duration::from_secs(50);

/// Snapshots for each look into the pool's memory.
const SNAPSHOTS_PER_LOOK_INSIDE: u64 = 8;

/// Between a commit that the disk refused and the next attempt, in intervals between commits.
const RECOVER_AFTER_INTERVALS: u32 = 2;

/// Sets the stream apart by which miners come late.
const LATECOMERS: u64 = 0x6c61_7465_636f_6d65;

/// Keeps what is drawn between pool and nodes apart from all else that a seed decides.
const WIRE_STREAM: u64 = 0x7769_7265_5f6f_6600;

/// Sets the stream apart by which miners speak Stratum V2.
const MINERS_V2: u64 = 0x7374_7261_7475_6d32;

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
    /// What became of them.
    pub fates: BlockFates,
    /// Crashes of the pool.
    pub crashes: u64,
    /// Ticks.
    pub ticks: u64,
}

/// Things to come.
#[derive(Debug)]
enum Event {
    Connect { device: usize },
    ToPool { link: usize, bytes: Vec<u8> },
    EndToPool { link: usize, reason: CloseReason },
    ToMiner { link: usize, bytes: Vec<u8> },
    EndToMiner { link: usize },
    Find { device: usize, work_version: u64 },
    FindV2 { device: usize, slot: usize, work_version: u64 },
    Whim { device: usize },
    Reopen { device: usize },
    Reset { device: usize },
    Vanish { device: usize },
    Storm,
    Stall { device: usize },
    Tick,
    Flush,
    Crash,
    Start,
    External,
    Reorganise,
    Nodes(Box<Happening>),
    Reload,
    Calm,
}

impl Event {
    const fn is_fault(&self) -> bool {
        matches!(
            self,
            Self::Reset { .. }
                | Self::Vanish { .. }
                | Self::Storm
                | Self::Stall { .. }
                | Self::Whim { .. }
                | Self::Crash
                | Self::Reorganise
        )
    }
}

/// Something to come and when. Of two at one moment the one that was appointed first comes first.
struct Appointment {
    at_ns: u64,
    sequence: u64,
    event: Event,
}

impl Ord for Appointment {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at_ns, self.sequence).cmp(&(other.at_ns, other.sequence))
    }
}

impl PartialOrd for Appointment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Appointment {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Appointment {}

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
    /// What the pool has written and the miner's side has not taken.
    unread_bytes: usize,
    /// `extranonce1` that it was given, and the tip of its latest job, both as they stand in the lines.
    extranonce1: String,
    tip: String,
    /// The submit that ends with its stream instead of a newline.
    unfinished: Option<u64>,
    /// Submits on their way.
    sent: HashMap<u64, Submit>,
    /// On a connection of Stratum V2: its channels.
    v2: Option<SaidV2>,
}

/// The run.
pub struct Simulation {
    options: Options,
    random: Random,
    now_ns: u64,
    sequence: u64,
    queue: BinaryHeap<Reverse<Appointment>>,
    nodes: Nodes,
    wire: Wire,
    fates: Fates,
    disk: Disk,
    wall: WallClock,
    pool: Option<PoolSide>,
    starts: u64,
    tick_due: Option<u64>,
    flush_due: Option<u64>,
    /// The disk refused a commit, and until then none is tried, as the store's thread does.
    flush_not_before: u64,
    pool_tip: Option<[u8; 32]>,
    tip_since: u64,
    /// Entities of the world beside those that are counted, as of the pool's first snapshot.
    baseline: Option<usize>,
    /// A second of simulated time and the ticks in it.
    ticks_lately: (u64, u64),
    ready_since: Option<u64>,
    devices: Vec<Device>,
    /// In place of the device with the same number: a miner of Stratum V2.
    miners_v2: Vec<Option<MinerV2>>,
    /// Answers handshakes.
    responder: Responder,
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
    pruned_at: u64,
    snapshots: u64,
}

/// Runs the conditions to their end.
///
/// # Panics
/// With a sentence, when something is not as it must be: that is the finding.
pub fn run(options: Options) -> Outcome {
    let mut simulation = Simulation::new(options);
    simulation.prepare();
    while let Some(event) = simulation.next_event(simulation.end_at) {
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
            (0..options.miners).map(|number| Device::new(number, &options, random.fork())).collect();
        let mut own = Random::new(options.seed ^ MINERS_V2);
        let miners_v2 = (0..options.miners)
            .map(|number| {
                let random = own.fork();
                own.chance(options.stratum_v2).then(|| MinerV2::new(number, &options, random))
            })
            .collect();
        Self {
            miners_v2,
            responder: Responder::new(AuthorityKey::from_secret_bytes(&[7; 32]).expect("a scalar")),
            nodes: Nodes::new(&options.nodes, random.bits(), unix),
            wire: Wire::new(Random::new(options.seed ^ WIRE_STREAM)),
            fates: Fates::default(),
            disk: Disk::new(random.fork()),
            device_links: vec![None; devices.len()],
            accepted_lately: vec![0; devices.len()],
            devices,
            now_ns: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            wall,
            pool: None,
            starts: 0,
            tick_due: None,
            flush_due: None,
            flush_not_before: 0,
            pool_tip: None,
            tip_since: 0,
            baseline: None,
            ticks_lately: (0, 0),
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
            pruned_at: 0,
            snapshots: 0,
            random,
            options,
        }
    }

    fn prepare(&mut self) {
        self.at(Duration::ZERO, Event::Start);
        let mut late = Random::new(self.options.seed ^ LATECOMERS);
        for device in 0..self.devices.len() {
            let mut after = Duration::from_millis(self.random.between(0, 20_000));
            if late.chance(self.options.latecomers) {
                after = self.options.troubled.mul_f64(late.unit());
            }
            self.at(after, Event::Connect { device });
            self.soon(self.options.reset, Event::Reset { device });
            self.soon(self.options.stall, Event::Stall { device });
            self.soon(self.options.vanish, Event::Vanish { device });
            if self.miners_v2[device].is_some() {
                self.soon(self.options.whims, Event::Whim { device });
            }
        }
        self.soon(self.options.storm, Event::Storm);
        self.soon(Some(self.options.external_block), Event::External);
        self.soon(self.options.reorganisation, Event::Reorganise);
        self.prepare_nodes();
        self.soon(self.options.crash, Event::Crash);
        self.soon(self.options.reload, Event::Reload);
        self.at(self.options.troubled, Event::Calm);
    }

    // Time.

    fn at(&mut self, after: Duration, event: Event) {
        self.at_ns(self.now_ns + nanos(after), event);
    }

    fn at_ns(&mut self, at_ns: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse(Appointment { at_ns, sequence: self.sequence, event }));
    }

    /// After a time of a Poisson process, when there is a mean.
    fn soon(&mut self, mean: Option<Duration>, event: Event) {
        let Some(mean) = mean else { return };
        let after = Duration::from_secs_f64(self.random.exponential(mean.as_secs_f64()));
        self.at(after, event);
    }

    /// Goes on to what comes next, should that be up to `end_at`.
    fn next_event(&mut self, end_at: u64) -> Option<Event> {
        self.queue.peek().filter(|Reverse(next)| next.at_ns <= end_at)?;
        let Reverse(next) = self.queue.pop()?;
        self.now_ns = next.at_ns;
        Some(next.event)
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
        if self.is_calm && event.is_fault() {
            // It was appointed before the calm began.
            return;
        }
        match event {
            Event::Connect { device } => self.connect(device),
            Event::ToPool { link, bytes } => self.reach_pool(link, &bytes),
            Event::EndToPool { link, reason } => self.end_at_pool(link, reason),
            Event::ToMiner { link, bytes } => self.reach_miner(link, &bytes),
            Event::EndToMiner { link } => self.end_at_miner(link),
            Event::Find { device, work_version } => self.find(device, work_version),
            Event::FindV2 { device, slot, work_version } => self.find_v2(device, slot, work_version),
            Event::Whim { device } => self.whim(device),
            Event::Reopen { device } => self.reopen(device),
            Event::Reset { device } => self.reset(device),
            Event::Vanish { device } => self.vanish(device),
            Event::Storm => self.storm(),
            Event::Stall { device } => self.stall(device),
            Event::Tick => self.tick_if_due(),
            Event::Flush => self.flush_if_due(),
            Event::Crash => self.crash_some_time(),
            Event::Start => self.start(),
            Event::External => self.external_block(),
            Event::Reorganise => self.reorganise(),
            Event::Nodes(happening) => self.happen_at_nodes(*happening),
            Event::Reload => self.reload(),
            Event::Calm => self.calm(),
        }
    }
}

/// A submit in its tick.
struct Expected {
    link: usize,
    submit: Submit,
    allowed: Vec<Result<(), i64>>,
}

/// Id of the submit that a line carries, when it is a whole one as the simulated miners write it.
fn submit_id(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?.trim_end().strip_suffix("]}")?;
    let (id, _) = line.strip_prefix(r#"{"id":"#)?.split_once(r#","method":"mining.submit""#)?;
    id.parse().ok()
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
