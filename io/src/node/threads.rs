//! The threads of the node's side: each carries the questions of one lane, one after the other, and waits when there are
//! none. What is asked and what follows is decided in `side` and `submit`; here is the clock, the wire and the waiting.
//!
//! All lanes share one lock, which nobody holds during a call to a node. Found blocks go round it: from the engine's thread
//! through a queue to the threads that send them, which take it only when a node has answered.

use super::LevelHasher;
use super::question::{Next, Outcome, Question, Reply};
use super::rpc::RpcClient;
use super::side::{Lane, Side, SideOptions};
use super::submit::{Delivery, GIVEN_UP, MESSENGERS_PER_NODE, Messenger, Submission, hand_to_all};
use super::zmq::Subscription;
use crate::failpoint;
use crossbeam::channel::{Receiver, Sender, TryRecvError, select};
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as SystemInstant, SystemTime};
use warppool_components::inbox::Now;
use warppool_components::limits::BLOCKS_SUBMITTING_MAX;
use warppool_components::node::NodeEvent;
use warppool_components::settings::Network;
use warppool_components::units::{Instant, UnixTime};

/// The longest wait of a lane with nothing to do.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Where events go.
pub(super) type Sink = Box<dyn Fn(NodeEvent) + Send + Sync>;

/// One node, as its threads share it.
pub(super) struct Node {
    pub(super) rpc: RpcClient,
    pub(super) submissions: Sender<Arc<Submission>>,
}

/// What all threads share.
pub(super) struct Shared {
    this: Weak<Self>,
    network: Network,
    level_hasher: LevelHasher,
    pub(super) nodes: Vec<Node>,
    side: Mutex<Side>,
    /// By place of the lane.
    called: Vec<Condvar>,
    sink: Sink,
    started: SystemInstant,
    /// When the name of the latest tip was heard, on our clock; 0 before the first. The engine's thread asks for it and is
    /// not to wait for a lock.
    tip_heard: AtomicU64,
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
    pub(super) fn new(
        options: SideOptions,
        level_hasher: LevelHasher,
        nodes: Vec<Node>,
        sink: Sink,
        stop: Receiver<Infallible>,
        alive: Sender<Infallible>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            network: options.network,
            level_hasher,
            called: (0..=2 * nodes.len()).map(|_| Condvar::new()).collect(),
            nodes,
            side: Mutex::new(Side::new(options, Instant(1))),
            sink,
            started: SystemInstant::now(),
            tip_heard: AtomicU64::new(0),
            unsent: AtomicUsize::new(0),
            stop,
            threads: Mutex::new(Threads { handles: Vec::new(), alive: Some(alive) }),
        })
    }

    pub(super) fn start_node(
        &self,
        node: usize,
        submissions: &Receiver<Arc<Submission>>,
        subscription: Option<Subscription>,
    ) -> io::Result<()> {
        self.spawn(format!("node{node}-tip"), move |shared| carry(shared, Lane::Tip(node)))?;
        self.spawn(format!("node{node}-work"), move |shared| carry(shared, Lane::Work(node, 0)))?;
        for thread in 0..MESSENGERS_PER_NODE {
            let submissions = submissions.clone();
            self.spawn(format!("node{node}-submit{thread}"), move |shared| deliver(shared, node, &submissions))?;
        }
        if let Some(subscription) = subscription {
            self.spawn(format!("node{node}-zmq"), move |shared| listen(shared, node, subscription))?;
        }
        Ok(())
    }

    pub(super) fn start_follower(&self) -> io::Result<()> {
        self.spawn("node-follow".to_owned(), |shared| carry(shared, Lane::Follow))
    }

    fn spawn(&self, name: String, work: impl FnOnce(&Self) + Send + 'static) -> io::Result<()> {
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

    /// Our two clocks.
    pub(super) fn now(&self) -> Now {
        let since = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Now { instant: Instant(since.saturating_add(1)), unix: wall_clock() }
    }

    pub(super) fn tip_heard_at(&self) -> Option<SystemInstant> {
        let heard = self.tip_heard.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.started + Duration::from_nanos(heard))
    }

    /// Whether a found block was not sent to every node yet.
    pub(super) fn is_sending(&self) -> bool {
        self.unsent.load(Ordering::Acquire) > 0
    }

    fn is_stopping(&self) -> bool {
        self.stop.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// No event leaves after this returns. Gives the threads, which end one after the other.
    pub(super) fn stop(&self) -> Vec<JoinHandle<()>> {
        self.change(|side, _| side.stop());
        self.called.iter().for_each(Condvar::notify_all);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.alive = None;
        std::mem::take(&mut threads.handles)
    }

    /// Changes what is known, and does what follows.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Side, Now) -> T) -> T {
        let mut side = self.lock();
        let result = change(&mut side, self.now());
        self.settle(&mut side);
        result
    }

    /// Tells the engine, and calls lanes that are wanted.
    fn settle(&self, side: &mut Side) {
        if let Some(at) = side.tip_heard_at() {
            self.tip_heard.store(at.0, Ordering::Release);
        }
        side.take_events().for_each(&self.sink);
        side.tell_status();
        side.take_events().for_each(&self.sink);
        for lane in side.take_called() {
            self.called[self.place(lane)].notify_all();
        }
        for lane in side.take_successors() {
            if let Err(error) = self.spawn("node-work".to_owned(), move |shared| carry(shared, lane)) {
                tracing::error!(%error, "cannot start a thread for templates");
            }
        }
    }

    /// Where a lane's thread waits.
    const fn place(&self, lane: Lane) -> usize {
        match lane {
            Lane::Tip(node) => 2 * node,
            Lane::Work(node, _) => 2 * node + 1,
            Lane::Follow => 2 * self.nodes.len(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Side> {
        self.side.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a found block to the threads of every node.
    pub(super) fn enqueue(&self, submission: Submission) {
        let submission = Arc::new(submission);
        let full = hand_to_all(self.nodes.len(), |node| {
            self.unsent.fetch_add(1, Ordering::AcqRel);
            let has_room = self.nodes[node].submissions.try_send(Arc::clone(&submission)).is_ok();
            if node + 1 < self.nodes.len() {
                failpoint::reached("block.handed-to-one");
            }
            has_room
        });
        for node in full {
            tracing::error!(
                block = %submission.hash(), node = self.nodes[node].rpc.address(),
                "{BLOCKS_SUBMITTING_MAX} blocks wait for this node already; this one is not sent to it until the next start"
            );
            self.unsent.fetch_sub(1, Ordering::AcqRel);
            self.change(|side, _| side.concluded(&submission, node, GIVEN_UP));
        }
    }

    /// Puts a question to a node and waits for the answer.
    fn ask(&self, node: usize, question: &Question) -> Outcome {
        let rpc = &self.nodes[node].rpc;
        match question {
            Question::ChainInfo => rpc.chain_info().map(Reply::ChainInfo),
            Question::NetworkInfo => rpc.network_info().map(Reply::NetworkInfo),
            Question::ZmqNotifications => rpc.zmq_notifications().map(Reply::ZmqNotifications),
            Question::MiningInfo => rpc.mining_info().map(Reply::MiningInfo),
            Question::BestBlockHash => rpc.best_block_hash().map(Reply::Hash),
            Question::BlockHash(height) => rpc.block_hash(*height).map(Reply::Hash),
            Question::BlockHeader(hash) => rpc.block_header(hash).map(Reply::Header),
            Question::Template { longpoll_id } => {
                let answer = rpc.block_template(self.network, longpoll_id.as_deref())?;
                let checked = answer.parse()?.check(self.network, wall_clock(), &self.level_hasher);
                Ok(Reply::Template(checked.map(Box::new)))
            }
            Question::Submit(submission) => rpc.submit_block(submission.request()).map(Reply::Submitted),
        }
    }
}

/// The wall clock.
fn wall_clock() -> UnixTime {
    SystemTime::now().into()
}

/// Carries the questions of a lane until it ends.
fn carry(shared: &Shared, lane: Lane) {
    let mut side = shared.lock();
    loop {
        let now = shared.now();
        match side.next(lane, now) {
            Next::End => return,
            Next::Wait(until) => {
                let wait = until.map_or(WAIT_MAX, |until| until.since(now.instant));
                let called = &shared.called[shared.place(lane)];
                side = called.wait_timeout(side, wait).unwrap_or_else(PoisonError::into_inner).0;
            }
            Next::Ask(node, question) => {
                drop(side);
                let outcome = shared.ask(node, &question);
                side = shared.lock();
                side.note_latencies(node, shared.nodes[node].rpc.latencies());
                side.answered(lane, outcome, shared.now());
                shared.settle(&mut side);
            }
        }
    }
}

/// Submits blocks to `node` until the pool stops; those that were found at the last moment are sent once even then.
fn deliver(shared: &Shared, node: usize, submissions: &Receiver<Arc<Submission>>) {
    let mut messenger = Messenger::new(node);
    while !shared.is_stopping() {
        let now = shared.now().instant;
        let wait = messenger.due().map_or(WAIT_MAX, |due| due.since(now));
        let next = select! {
            recv(submissions) -> submission => submission.ok().map(|submission| (submission, 0)),
            recv(shared.stop) -> _ => None,
            default(wait) => messenger.take_due(shared.now().instant),
        };
        let Some((submission, attempts)) = next else { continue };
        attempt(shared, node, &mut messenger, submission, attempts);
    }
    for submission in submissions.try_iter() {
        attempt(shared, node, &mut messenger, submission, 0);
    }
}

/// One attempt, and a note of it when it was the block's first at this node.
fn attempt(shared: &Shared, node: usize, messenger: &mut Messenger, submission: Arc<Submission>, attempts: u32) {
    let mut question = messenger.begin(submission, attempts);
    while let Some(asked) = question.take() {
        let outcome = match &asked {
            Question::Submit(submission) => submit(shared, node, submission, attempts),
            other => shared.ask(node, other),
        };
        match messenger.answered(outcome, shared.now().instant) {
            Some(Delivery::Ask(next)) => question = Some(next),
            Some(Delivery::Over(submission, answer)) => {
                shared.change(|side, _| side.concluded(&submission, node, answer));
            }
            None => {}
        }
    }
    if attempts == 0 {
        shared.unsent.fetch_sub(1, Ordering::AcqRel);
    }
}

fn submit(shared: &Shared, node: usize, submission: &Arc<Submission>, attempts: u32) -> Outcome {
    let rpc = &shared.nodes[node].rpc;
    let request = submission.request();
    failpoint::reached("submit.send");
    if attempts == 0 {
        let microseconds = shared.now().instant.since(submission.handed_at).as_micros();
        tracing::debug!(block = %submission.hash(), node = rpc.address(), microseconds, "sending the block");
    }
    let outcome = rpc.submit_block(request);
    failpoint::reached("submit.answered");
    outcome.map(Reply::Submitted)
}

/// Hears the node's notifications until the pool stops.
fn listen(shared: &Shared, node: usize, subscription: Subscription) {
    subscription.run(
        || !shared.is_stopping(),
        |notification| shared.change(|side, now| side.notified(node, notification, now)),
    );
}
