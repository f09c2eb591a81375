//! The node behind the wire: the chain under its lock, faults, counters, and who is told of a new tip.

use crate::chain::{Chain, ChainRules, Submission};
use crate::faults::Faults;
use crate::limits::{EVENTS_QUEUED_MAX, LONGPOLL_FIRST_CHECK, LONGPOLL_NEXT_CHECK};
use crate::mempool::Mempool;
use crate::publisher::Publisher;
use crate::sync::lock;
use crate::template::longpoll_id;
use crate::{BlockEvent, SimNodeOptions};
use bitcoin::{Block, BlockHash};
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Everything that outlives a restart of the RPC server.
pub(crate) struct Node {
    chain: Mutex<Chain>,
    /// Signalled, with the chain's lock, on a new tip and when the RPC server stops.
    changed: Condvar,
    /// Counts stops of the RPC server: a call that waits gives up when its server is gone.
    generation: AtomicU64,
    pub(crate) faults: Mutex<Faults>,
    calls: Mutex<HashMap<&'static str, CallCount>>,
    pub(crate) publisher: Option<Publisher>,
    subscribers: Mutex<Vec<Sender<BlockEvent>>>,
    /// Transactions and weight of the last template.
    pub(crate) last_template: Mutex<Option<(usize, u64)>>,
    pub(crate) started: Instant,
}

/// How often a method was called.
#[derive(Clone, Copy, Default)]
pub(crate) struct CallCount {
    pub(crate) total: u64,
    in_flight: u64,
    pub(crate) in_flight_max: u64,
}

impl Node {
    pub(crate) fn new(options: &SimNodeOptions, rules: ChainRules, publisher: Option<Publisher>) -> Self {
        let mempool = Mempool::new(options.seed, options.transactions.clone());
        Self {
            chain: Mutex::new(Chain::new(rules, options.seed, options.initial_height, mempool, unix_time())),
            changed: Condvar::new(),
            generation: AtomicU64::new(0),
            faults: Mutex::default(),
            calls: Mutex::default(),
            publisher,
            subscribers: Mutex::default(),
            last_template: Mutex::default(),
            started: Instant::now(),
        }
    }

    pub(crate) fn chain(&self) -> MutexGuard<'_, Chain> {
        lock(&self.chain)
    }

    pub(crate) fn faults(&self) -> Faults {
        lock(&self.faults).clone()
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        // Under the chain's lock, or a call that is about to wait misses the signal.
        let _chain = self.chain();
        *lock(&self.faults) = faults;
        self.changed.notify_all();
    }

    pub(crate) fn subscribe(&self) -> Receiver<BlockEvent> {
        let (sender, receiver) = bounded(EVENTS_QUEUED_MAX);
        lock(&self.subscribers).push(sender);
        receiver
    }

    /// Judges and adds a block; tells the world.
    pub(crate) fn submit(&self, block: Block) -> Submission {
        let hash = block.block_hash();
        let mut chain = self.chain();
        let submission = chain.submit(block, unix_time());
        let event = match &submission {
            Submission::Connected => {
                self.tell_new_tip(&chain);
                let transactions = chain.tip_block().transaction_count;
                BlockEvent::Accepted { height: chain.height(), hash: hash.to_string(), transactions }
            }
            Submission::SideChain => BlockEvent::SideChain { hash: hash.to_string() },
            Submission::Duplicate => self.refused(hash, "duplicate"),
            Submission::Refused(reason) => self.refused(hash, reason),
        };
        drop(chain);
        self.emit(&event);
        submission
    }

    fn refused(&self, hash: BlockHash, reason: &str) -> BlockEvent {
        BlockEvent::Refused { hash: hash.to_string(), reason: reason.to_owned() }
    }

    /// Changes the chain as somebody else would, and tells the world.
    pub(crate) fn change_from_outside(&self, change: impl FnOnce(&mut Chain, u32)) {
        let mut chain = self.chain();
        change(&mut chain, unix_time());
        self.tell_new_tip(&chain);
        let event = BlockEvent::External { height: chain.height(), hash: chain.tip().to_string() };
        drop(chain);
        self.emit(&event);
    }

    fn tell_new_tip(&self, chain: &Chain) {
        self.changed.notify_all();
        let faults = self.faults();
        if let (Some(publisher), Some(block)) = (&self.publisher, &chain.tip_block().body) {
            publisher.publish(block, faults.zmq_silent || faults.initial_block_download);
        }
    }

    fn emit(&self, event: &BlockEvent) {
        let is_there =
            |sender: &Sender<BlockEvent>| !matches!(sender.try_send(event.clone()), Err(TrySendError::Disconnected(_)));
        lock(&self.subscribers).retain(is_there);
    }

    /// Waits until the tip is not the one of `id`, or until the mempool's counter is not, looked at now and then.
    pub(crate) fn wait_for_longpoll(&self, id: &str, generation: u64) {
        let first_check = self.faults().longpoll_wait.unwrap_or(LONGPOLL_FIRST_CHECK);
        let mut check_at = Instant::now() + first_check;
        let mut chain = self.chain();
        while id.starts_with(&chain.tip().to_string()) && self.is_current(generation) {
            let now = Instant::now();
            if now >= check_at {
                chain.mempool.arrive(now);
                if longpoll_id(&chain) != id {
                    return;
                }
                check_at = now + first_check.min(LONGPOLL_NEXT_CHECK);
            }
            chain = self.wait(chain, check_at);
        }
    }

    /// Waits until the chain is at least `height` high; `false` when `deadline` came first.
    pub(crate) fn wait_for_height(&self, height: u32, deadline: Instant) -> bool {
        let mut chain = self.chain();
        while chain.height() < height && Instant::now() < deadline {
            chain = self.wait(chain, deadline);
        }
        chain.height() >= height
    }

    /// Waits for `duration`, or until the RPC server stops.
    pub(crate) fn delay(&self, duration: Duration, generation: u64) {
        let until = Instant::now() + duration;
        let mut chain = self.chain();
        while Instant::now() < until && self.is_current(generation) {
            chain = self.wait(chain, until);
        }
    }

    /// Waits as long as `holds` of the faults in force, or until the RPC server stops.
    pub(crate) fn wait_while(&self, holds: impl Fn(&Faults) -> bool, generation: u64) {
        let mut chain = self.chain();
        while holds(&lock(&self.faults)) && self.is_current(generation) {
            chain = self.changed.wait(chain).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn wait<'a>(&self, chain: MutexGuard<'a, Chain>, until: Instant) -> MutexGuard<'a, Chain> {
        let timeout = until.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(chain, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    fn is_current(&self, generation: u64) -> bool {
        self.generation() == generation
    }

    /// Wakes all calls that wait: their server stops.
    pub(crate) fn interrupt_calls(&self) {
        // Under the chain's lock, or a call that is about to wait misses the signal.
        let _chain = self.chain();
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_all();
    }

    pub(crate) fn count(&self, method: &str) -> CallCount {
        lock(&self.calls).get(method).copied().unwrap_or_default()
    }

    /// Counts a call until the guard is dropped.
    pub(crate) fn begin_call(&self, method: &'static str) -> CallGuard<'_> {
        let mut calls = lock(&self.calls);
        let count = calls.entry(method).or_default();
        count.total += 1;
        count.in_flight += 1;
        count.in_flight_max = count.in_flight_max.max(count.in_flight);
        CallGuard { node: self, method }
    }
}

/// A call that is being served.
pub(crate) struct CallGuard<'a> {
    node: &'a Node,
    method: &'static str,
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        lock(&self.node.calls).entry(self.method).or_default().in_flight -= 1;
    }
}

/// Seconds since 1970.
pub(crate) fn unix_time() -> u32 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX)
}
