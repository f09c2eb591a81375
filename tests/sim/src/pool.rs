//! The pool in the simulation: the engine, the cutter of lines, the node side and the store are the real ones; what stands around them
//! in the runtime (sockets, threads) is done by the simulation.

use crate::disk::Disk;
use crate::options::Options;
use crate::wire::PoolWire;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use warppool_components::connection::ConnectionKey;
use warppool_components::inbox::{Inbox, Now};
use warppool_components::outbox::Outbox;
use warppool_components::record::{Restored, StoreBatch};
use warppool_components::settings::Settings;
use warppool_components::units::{Instant, UnixTime};
use warppool_engine::Engine;
use warppool_io::node::{SteppedNodes, Upkeep};
use warppool_io::store::{SteppedStore, StoreError, StoreOptions};
use warppool_net::transport::lines::Lines;
use warppool_tests::hashing;

/// How bytes of a connection become lines or frames.
pub enum Intake {
    /// Beginnings of lines.
    Lines(Lines),
    /// Beginnings of frames.
    Frames(PoolWire),
}

/// A running pool.
pub struct PoolSide {
    /// The engine.
    pub engine: Engine,
    /// What waits for the next tick.
    pub inbox: Inbox,
    /// What the last tick wants.
    pub outbox: Outbox,
    /// What stands before the inbox, by slot.
    pub wires: HashMap<u32, Intake>,
    /// The store.
    pub store: SteppedStore,
    /// Rows that the store has not taken.
    pub waiting: StoreBatch,
    /// Something was offered and not committed.
    pub is_dirty: bool,
    /// The node side: what to ask which node, and what follows.
    pub nodes: SteppedNodes,
    /// Sessions that ended, and when: they are remembered for a while.
    pub ended: VecDeque<u64>,
    /// Connections that ended in this tick: its snapshot may still show them.
    pub ended_now: usize,
    generations: HashMap<u32, u32>,
    free: Vec<u32>,
    slots: u32,
}

/// The wall clock that the store looks at, in milliseconds.
pub type WallClock = Arc<AtomicU64>;

impl PoolSide {
    /// Starts a pool on what the disk holds.
    pub fn start(
        settings: Settings,
        seed: u64,
        options: &Options,
        disk: &Disk,
        clock: &WallClock,
        now: Now,
    ) -> Result<(Self, Restored), StoreError> {
        let clock = Arc::clone(clock);
        let wall = move || UnixTime::from_millis(clock.load(Ordering::Relaxed));
        let (store, restored) = SteppedStore::open(store_options(options), disk.clone(), wall)?;
        let mut engine = Engine::new(settings, seed, restored.clone(), now);
        engine.set_hashing(hashing::of_the_environment());
        let pool = Self {
            engine,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            wires: HashMap::new(),
            store,
            waiting: StoreBatch::default(),
            is_dirty: false,
            nodes: SteppedNodes::new(options.side(), now.instant),
            ended: VecDeque::new(),
            ended_now: 0,
            generations: HashMap::new(),
            free: Vec::new(),
            slots: 0,
        };
        Ok((pool, restored))
    }

    /// Blocks of the store whose fate is open are submitted again or followed, as the runtime does at start.
    pub fn take_up_blocks(&mut self, mut restored: Restored, now: Instant) {
        for row in &mut restored.blocks {
            match Upkeep::of(row) {
                Upkeep::Submit(raw) => self.nodes.resubmit(row.hash, raw, now),
                Upkeep::Follow => self.nodes.follow(row.hash),
                Upkeep::Nothing => {}
            }
        }
    }

    /// A key for a new connection, as sockets would give it. `v2`: it sends frames, encrypted or not.
    pub fn key(&mut self, v2: Option<bool>) -> ConnectionKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        let generation = self.generations.entry(slot).or_insert(0);
        *generation += 1;
        let wire = v2.map_or(Intake::Lines(Lines::default()), |is_noise| Intake::Frames(PoolWire::new(is_noise)));
        self.wires.insert(slot, wire);
        ConnectionKey { slot, generation: *generation }
    }

    /// The connection is over and its slot is free again.
    pub fn free(&mut self, key: ConnectionKey, now_ns: u64) {
        self.ended.push_back(now_ns);
        self.ended_now += 1;
        self.wires.remove(&key.slot);
        self.free.push(key.slot);
    }

    /// Hands the tick's rows to the store, or keeps them when it has no room.
    pub fn offer_records(&mut self) {
        let mut records = std::mem::take(&mut self.outbox.records);
        self.is_dirty |= !records.is_empty();
        let waiting = &mut self.waiting;
        waiting.shares.append(&mut records.shares);
        waiting.workers.append(&mut records.workers);
        waiting.blocks.append(&mut records.blocks);
        waiting.totals = records.totals.take().or(waiting.totals.take());
        if let Err(refused) = self.store.offer(std::mem::take(waiting)) {
            self.waiting = refused;
        }
    }

    /// Commits. Whether everything that was offered is durable now.
    pub fn commit(&mut self) -> bool {
        if self.store.commit().is_err() {
            return false;
        }
        // What did not fit before does now; it is for the next commit.
        let is_all = self.waiting.is_empty();
        if !is_all {
            self.offer_records();
        }
        self.is_dirty = !is_all;
        is_all
    }
}

/// The store's options: so that nothing is forgotten during a run.
pub fn store_options(options: &Options) -> StoreOptions {
    StoreOptions {
        path: "simulated".into(),
        flush_interval: options.flush_interval,
        cache_bytes: 4 << 20,
        shares_raw_kept: Duration::from_secs(3600),
        shares_5min_kept: Duration::from_secs(7 * 86_400),
        shares_daily_kept: None,
        saved_workers_per_user_max: 64,
        saved_workers_total_max: 1024,
        workers_summed_at_once: options.workers_summed_at_once,
    }
}
