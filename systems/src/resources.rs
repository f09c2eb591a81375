//! What there is once in a world: the tick's input and output, indexes over the entities, sums, deadlines.

use bevy_ecs::entity::Entity;
use bevy_ecs::resource::Resource;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use warppool_components::block::BlockState;
use warppool_components::connection::ConnectionKey;
use warppool_components::inbox::{Inbox, MinerMessage, Now};
use warppool_components::job::{JobId, TipNumber};
use warppool_components::limits::{BLOCKS_KNOWN_MAX, EXTRANONCE2_BYTES, UPSTREAM_EXTRANONCE2_BYTES};
use warppool_components::node::NodeStatus;
use warppool_components::outbox::{Notice, NoticeLevel, Outbox};
use warppool_components::record::ShareRow;
use warppool_components::reject::RejectCounts;
use warppool_components::settings::{Settings, VardiffSettings};
use warppool_components::snapshot::{JobSnapshot, TIP_LATENCY_BOUNDS_SECONDS};
use warppool_components::template::Template;
use warppool_components::units::{Hash256, Instant, UnixTime};
use warppool_components::upstream::GivenCoinbase;
use warppool_components::worker::Hashrate;
use warppool_net::admission::Buckets;
use warppool_net::wire::v1::Request;

/// The moment of the tick.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct Moment(pub Now);

/// The tick's input.
#[derive(Resource, Debug, Default)]
pub struct Incoming(pub Inbox);

/// The tick's output.
#[derive(Resource, Debug, Default)]
pub struct Outgoing(pub Outbox);

impl Outgoing {
    /// Tells the log something.
    pub fn notice(&mut self, level: NoticeLevel, text: String) {
        self.0.notices.push(Notice { level, text });
    }
}

/// What the operator decided.
#[derive(Resource, Clone, Debug)]
pub struct Policy(pub Settings);

/// Who makes the coinbases, which decides how much of them is a miner's own.
#[derive(Resource, Clone, PartialEq, Debug, Default)]
pub enum WorkSource {
    /// We do, of a node's templates.
    #[default]
    Node,
    /// Another pool does.
    Upstream {
        /// Difficulty as the operator wants it; what holds is never harder than what the other pool wants.
        wanted: VardiffSettings,
    },
}

impl WorkSource {
    /// Bytes of the miner's own part of the coinbase.
    pub const fn extranonce2_bytes(&self) -> usize {
        match self {
            Self::Node => EXTRANONCE2_BYTES,
            Self::Upstream { .. } => UPSTREAM_EXTRANONCE2_BYTES,
        }
    }
}

/// The share rows' entities, by row.
#[derive(Resource, Clone, Debug, Default)]
pub struct ShareRows(pub Vec<Entity>);

/// How many of the share rows are this tick's.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct LiveShares(pub usize);

/// Live connections by the sockets' name for them.
#[derive(Resource, Debug, Default)]
pub struct ConnectionIndex {
    slots: Vec<Option<(u32, Entity)>>,
    live: usize,
}

impl ConnectionIndex {
    /// The entity of a connection that is still that one.
    pub fn get(&self, key: ConnectionKey) -> Option<Entity> {
        let (generation, entity) = (*self.slots.get(key.slot as usize)?)?;
        (generation == key.generation).then_some(entity)
    }

    /// Enters a connection.
    pub fn insert(&mut self, key: ConnectionKey, entity: Entity) {
        let slot = key.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, None);
        }
        self.live += usize::from(self.slots[slot].is_none());
        self.slots[slot] = Some((key.generation, entity));
    }

    /// Takes a connection out, if it is still in.
    pub fn remove(&mut self, key: ConnectionKey) -> Option<Entity> {
        let entity = self.get(key)?;
        self.slots[key.slot as usize] = None;
        self.live -= 1;
        Some(entity)
    }

    /// How many are live.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }
}

/// What a line is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LineReply {
    /// Nothing.
    #[default]
    None,
    /// The verdict of a share row.
    Share(u32),
    /// The verdict of a share row, as a frame of Stratum V2.
    ShareV2(u32),
    /// A part of [`Replies::text`]: whole lines or frames.
    Text(u32, u32),
}

/// Answers of the tick, by line.
#[derive(Resource, Debug, Default)]
pub struct Replies {
    /// One for each line of the inbox.
    pub lines: Vec<LineReply>,
    /// How its miner names a share, by share row: where the raw JSON of its id lies in `text`, or the numbers of its channel
    /// and of itself on the wire of Stratum V2.
    pub share_ids: Vec<(u32, u32)>,
    /// Text of answers, and of ids that did not stand in the inbox as they are to be echoed.
    pub text: Vec<u8>,
    /// A refusal's own words where the cause has details: share row, rising, and where they stand in `text`.
    pub share_texts: Vec<(u32, u32, u32)>,
}

impl Replies {
    /// Empties it for a tick with `lines` lines, keeping its memory.
    pub fn begin(&mut self, lines: usize) {
        self.lines.clear();
        self.lines.resize(lines, LineReply::None);
        self.share_ids.clear();
        self.text.clear();
        self.share_texts.clear();
    }

    /// Sets the answer to `line` to what `write` appends.
    pub fn answer(&mut self, line: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.text.len() as u32;
        write(&mut self.text);
        self.lines[line as usize] = LineReply::Text(start, self.text.len() as u32);
    }
}

/// A request that is no share, waiting for `session`.
#[derive(Debug)]
pub struct PendingRequest {
    /// Who asks.
    pub connection: Entity,
    /// Index of its line.
    pub line: u32,
    /// Raw JSON of the id; `None` for a notification, which is not answered.
    pub id: Option<Vec<u8>>,
    /// What is asked.
    pub request: Asked,
}

/// What is asked for.
#[derive(Debug)]
pub enum Asked {
    /// By the miner.
    Request(Request<'static>),
    /// By a miner of Stratum V2: a frame that is no share.
    Frame,
    /// By `parse`: a share came under a username that the channel does not know.
    Recognise {
        /// The share's row.
        row: u32,
        /// The username.
        username: String,
    },
}

/// The tick's requests, in order.
#[derive(Resource, Debug, Default)]
pub struct Requests(pub Vec<PendingRequest>);

/// Channels that are owed something beside answers: a difficulty, a version mask, a first job.
#[derive(Resource, Debug, Default)]
pub struct Owed(pub Vec<Entity>);

/// Channels that end with this tick: shares that came before their end are judged as ever, because one may be a block.
#[derive(Resource, Debug, Default)]
pub struct Closing(pub Vec<Entity>);

/// What the operator has to say to miners in this tick.
#[derive(Resource, Debug, Default)]
pub struct Messages(pub Vec<MinerMessage>);

/// How often each address may authorize beside the first time of a connection. Only for look-ups, as the world must not
/// depend on the order of a table.
#[derive(Resource, Debug, Default)]
pub struct Authorizes(pub Buckets);

/// The jobs.
#[derive(Resource, Debug, Default)]
pub struct JobBoard {
    /// Known jobs, oldest first.
    pub jobs: VecDeque<(JobId, Entity)>,
    /// Jobs that were sent ahead of their tip: the number in the coinbase, and the place in the order that they got.
    pub sent_ahead: VecDeque<(u32, JobId)>,
    /// Number of the latest job.
    pub newest: JobId,
    /// The tip of the latest job.
    pub tip: TipNumber,
    /// What that tip is.
    pub tip_hash: Option<Hash256>,
    /// When its first job was made.
    pub tip_at: Instant,
    /// The latest template; a job of it may not have been made yet.
    pub template: Option<Arc<Template>>,
    /// The coinbase that came with it, when another pool gives the work.
    pub given: Option<Arc<GivenCoinbase>>,
    /// The template came after the latest job.
    pub template_unused: bool,
    /// When the next job on the same tip is due.
    pub refresh_at: Instant,
    /// A job made in this tick that goes to everybody.
    pub broadcast: Option<Entity>,
    /// The latest job for people.
    pub snapshot: Option<Arc<JobSnapshot>>,
}

impl JobBoard {
    /// The entity of a job that is still known.
    pub fn get(&self, id: JobId) -> Option<Entity> {
        let place = self.jobs.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.jobs[place].1)
    }

    /// The job with `number` in its coinbase; number 0, which no job has, when there is none.
    #[inline]
    pub fn by_number(&self, number: u32) -> JobId {
        let ahead = self.sent_ahead.iter().find(|(ahead, id)| *ahead == number || id.0 == number);
        ahead.map_or(JobId(number), |(ahead, id)| if *ahead == number { *id } else { JobId(0) })
    }

    /// The latest job.
    pub fn latest(&self) -> Option<Entity> {
        self.jobs.back().map(|(_, entity)| *entity)
    }
}

/// Workers by `address.name`.
#[derive(Resource, Debug, Default)]
pub struct WorkerIndex {
    /// By label. Only for look-ups: its order is not ours.
    pub by_label: HashMap<Arc<str>, Entity>,
    /// Largest number given.
    pub id_max: u32,
    /// Workers came or went since somebody looked whether too many are remembered.
    pub grown: bool,
    /// When to look again at those that were spared, because they had left just then.
    pub look_again_at: Option<Instant>,
}

/// Sums over all workers, kept beside theirs so that nobody has to add them up.
#[derive(Resource, Clone, Debug, Default)]
pub struct PoolTotals {
    /// Shares credited since the store began.
    pub accepted: u64,
    /// Sum of their difficulties.
    pub accepted_difficulty: f64,
    /// Shares refused since the store began.
    pub rejected: RejectCounts,
    /// Best share since the start.
    pub best_now: f64,
    /// Best share ever.
    pub best_ever: f64,
    /// Blocks that a node accepted.
    pub blocks_found: u64,
    /// Hash rate of all.
    pub hashrate: Hashrate,
    /// Authorize requests that succeeded since the start.
    pub authorized: u64,
    /// Connections that ended since the start.
    pub disconnected: u64,
    /// Bytes of notifications since the start.
    pub notify_bytes: u64,
    /// From a new tip to each worker's first credited share on it.
    pub tip_latencies: TipLatencies,
    /// When the pool started.
    pub started_at: UnixTime,
    /// Shares since the last `SharesAccepted` event: credited, their difficulty, refused.
    pub since_event: (u64, f64, u64),
}

/// Counts of latencies below [`TIP_LATENCY_BOUNDS_SECONDS`], and one more for what exceeds all.
#[derive(Clone, Debug, Default)]
pub struct TipLatencies {
    /// Latencies in each bucket.
    pub counts: [u64; TIP_LATENCY_BOUNDS_SECONDS.len() + 1],
    /// Their sum in seconds.
    pub sum_seconds: f64,
}

impl TipLatencies {
    /// Counts one.
    pub fn count(&mut self, seconds: f64) {
        let place = TIP_LATENCY_BOUNDS_SECONDS.iter().position(|bound| seconds <= *bound);
        self.counts[place.unwrap_or(TIP_LATENCY_BOUNDS_SECONDS.len())] += 1;
        self.sum_seconds += seconds;
    }
}

/// What is known of the nodes.
#[derive(Resource, Clone, Debug, Default)]
pub struct NodeView {
    /// The latest status.
    pub status: Arc<NodeStatus>,
    /// Since when no node gives work, by the monotonic clock.
    pub lost_since: Option<Instant>,
    /// The tip, by whatever told of it last, a template or a status.
    pub tip: Hash256,
    /// The tip is another one than that of the latest template: what miners have is known to be stale.
    pub is_stale: bool,
    /// Miners were released because of it.
    pub released: bool,
}

/// Found blocks that are known, by their hash. Bounded: the one that was found first is let go, and what becomes of it
/// then is looked up at the next start.
#[derive(Resource, Debug, Default)]
pub struct BlockIndex {
    /// Only for look-ups: its order is not ours.
    by_hash: HashMap<Hash256, Entity>,
    /// In the order in which they were found.
    order: VecDeque<Hash256>,
}

impl BlockIndex {
    /// The entity of a block.
    pub fn get(&self, hash: &Hash256) -> Option<Entity> {
        self.by_hash.get(hash).copied()
    }

    /// Enters a block that was found after all others; the entity of the one that has to go for it.
    pub fn insert(&mut self, hash: Hash256, entity: Entity) -> Option<Entity> {
        if self.by_hash.insert(hash, entity).is_none() {
            self.order.push_back(hash);
        }
        let surplus = self.order.len() > BLOCKS_KNOWN_MAX;
        surplus.then(|| self.order.pop_front()).flatten().and_then(|oldest| self.by_hash.remove(&oldest))
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

/// News of blocks that waits for `block`.
#[derive(Resource, Debug, Default)]
pub struct BlockNews(pub Vec<(Hash256, BlockState)>);

/// What the store was not told yet.
#[derive(Resource, Debug, Default)]
pub struct Unsaved {
    /// Judged shares.
    pub shares: Vec<ShareRow>,
    /// Workers whose rows changed.
    pub workers: Vec<Entity>,
}

/// When something is due although nothing arrived.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct Deadlines {
    /// Look through all connections.
    pub sweep_at: Instant,
    /// Take a snapshot.
    pub snapshot_at: Instant,
    /// Say something to every miner, so that none takes the pool for dead.
    pub keep_alive_at: Instant,
    /// Tell the store; `None` while there is nothing to tell.
    pub persist_at: Option<Instant>,
}

/// Time between two looks through all connections.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Longest time that a judged share waits before it goes to the store's thread.
pub const PERSIST_INTERVAL: Duration = Duration::from_millis(50);

/// The pool was asked to stop.
#[derive(Resource, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stopping(pub bool);
