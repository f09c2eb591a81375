//! The calls between the pool and its nodes: when each arrives, what goes wrong on the way, and what the nodes' moods do to
//! it. What is asked, and what follows from an answer, the pool's own node side decides.

use super::*;
use crate::options::TEMPLATE_TIMEOUT;
use warppool_io::node::rpc::RpcError;
use warppool_io::node::{Errand, Notification, Outcome, Question, Reply, Ticket};

/// How long the pool waits for an answer: that of small calls, of a long poll and of a block.
const SMALL_TIMEOUT: Duration = Duration::from_secs(10);
const LONGPOLL_TIMEOUT: Duration = Duration::from_secs(15 * 60);
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Share of submitted blocks with which something goes wrong while there is trouble.
const SUBMITS_LOST: f64 = 0.5;

/// A node says so of a block on a tip that it does not have; the pool knows that this passes.
const UNKNOWN_PARENT: &str = "prev-blk-not-found";

/// What happens to nodes and calls.
#[derive(Debug)]
pub(super) enum Happening {
    /// The node side wants to ask something.
    Wake,
    /// A call reaches its node.
    Reach(Box<Call>),
    /// Its outcome reaches the pool.
    Answer(Box<Call>, Outcome),
    /// A node has not changed for long enough to answer a long poll all the same.
    LongpollDue {
        node: usize,
        number: u64,
    },
    /// A publisher is heard by the pool of this start.
    Notify {
        epoch: u64,
        node: usize,
        notification: Notification,
    },
    Outage {
        node: usize,
    },
    Up {
        node: usize,
    },
    WarmedUp {
        node: usize,
    },
    Spell {
        node: usize,
    },
    SpellEnds {
        node: usize,
    },
    Partition,
    Heal,
    Relay {
        from: usize,
        to: usize,
    },
}

/// A call on its way.
#[derive(Debug)]
pub(super) struct Call {
    /// Start of the pool that it belongs to.
    epoch: u64,
    ticket: Ticket,
    node: usize,
    question: Question,
    /// The node's losses when it was sent.
    losses: u32,
    /// What the pool hears in place of the answer.
    answer_lost: Option<Loss>,
}

/// How something gets lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// Nothing is heard until the time is over.
    Silence,
    /// The connection breaks.
    Break,
}

/// A long poll that waits in its node.
pub(super) struct Waiting {
    number: u64,
    call: Box<Call>,
}

/// The nodes' share of the run.
pub(super) struct Wire {
    /// A stream of its own: what happens here shifts nothing elsewhere.
    pub(super) random: Random,
    wake_at: Option<u64>,
    waiting: Vec<Waiting>,
    longpolls: u64,
}

impl Wire {
    pub(super) const fn new(random: Random) -> Self {
        Self { random, wake_at: None, waiting: Vec::new(), longpolls: 0 }
    }

    fn up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_nanos(self.random.between(0, nanos(longest)))
    }
}

impl Simulation {
    /// The pool was started: publishers are heard from now on.
    pub(super) fn connect_nodes(&mut self) {
        self.wire.wake_at = None;
        self.wire.waiting.clear();
        for node in 0..self.nodes.all.len() {
            if self.nodes.all[node].is_up {
                self.publish(node, Duration::from_millis(1), Notification::Connected);
            }
        }
        self.drive_nodes();
    }

    fn happen_after(&mut self, after: Duration, happening: Happening) {
        self.at(after, Event::Nodes(Box::new(happening)));
    }

    fn happen_some_time(&mut self, mean: Option<Duration>, happening: Happening) {
        let Some(mean) = mean.filter(|_| !self.is_calm) else { return };
        let after = Duration::from_secs_f64(self.wire.random.exponential(mean.as_secs_f64()));
        self.happen_after(after, happening);
    }

    pub(super) fn prepare_nodes(&mut self) {
        for node in 0..self.nodes.all.len() {
            self.happen_some_time(self.options.node_outage, Happening::Outage { node });
            self.happen_some_time(self.options.nodes.spell, Happening::Spell { node });
        }
        if self.nodes.all.len() > 1 {
            self.happen_some_time(self.options.nodes.partition, Happening::Partition);
        }
    }

    pub(super) fn happen_at_nodes(&mut self, happening: Happening) {
        match happening {
            Happening::Wake => {
                if self.wire.wake_at.is_some_and(|at| at <= self.now_ns) {
                    self.wire.wake_at = None;
                    self.drive_nodes();
                }
            }
            Happening::Reach(call) => self.reach(call),
            Happening::Answer(call, outcome) => self.answer(&call, outcome),
            Happening::LongpollDue { node, number } => self.end_longpolls(node, Some(number)),
            Happening::Notify { epoch, node, notification } => self.notify(epoch, node, notification),
            Happening::Outage { node } => self.outage(node),
            Happening::Up { node } => self.node_up(node),
            Happening::WarmedUp { node } => self.warmed_up(node),
            Happening::Spell { node } => self.spell(node),
            Happening::SpellEnds { node } => self.spell_ends(node),
            Happening::Partition => self.partition(),
            Happening::Heal => self.heal(),
            Happening::Relay { from, to } => self.relay(from, to),
        }
    }

    // Calls.

    /// Does what the node side wants done: the engine is told, questions are sent.
    pub(super) fn drive_nodes(&mut self) {
        let now = self.now();
        let Some(pool) = &mut self.pool else { return };
        let errands = pool.nodes.errands(now);
        let events = pool.nodes.events();
        let wake_at = pool.nodes.wake_at();
        for errand in errands {
            self.send(errand);
        }
        for event in events {
            self.hear(event);
        }
        let Some(at) = wake_at else { return };
        let at = (at.0 - 1_000_000_000).max(self.now_ns);
        if self.wire.wake_at.is_none_or(|due| at < due) {
            self.wire.wake_at = Some(at);
            self.at_ns(at, Event::Nodes(Box::new(Happening::Wake)));
        }
    }

    fn send(&mut self, errand: Errand) {
        let Errand { ticket, node, question } = errand;
        if let Question::Submit(submission) = &question {
            self.fates.sent(*submission.hash().as_internal(), node);
        }
        let losses = self.nodes.all[node].losses;
        let call = Box::new(Call { epoch: self.starts, ticket, node, question, losses, answer_lost: None });
        if !self.nodes.all[node].is_up {
            let why = "connection refused".to_owned();
            let outcome = Err(RpcError::Connect { address: "node".to_owned(), why });
            return self.happen_after(Duration::from_millis(1), Happening::Answer(call, outcome));
        }
        let is_submit = matches!(call.question, Question::Submit(_));
        let trouble = if is_submit && !self.is_calm { SUBMITS_LOST } else { 0.0 };
        let trouble = self.nodes.all[node].failing.max(trouble);
        if self.wire.random.chance(trouble) { self.go_wrong(call) } else { self.go(call) }
    }

    /// A call that is lost, refused at the door, or whose answer is lost.
    fn go_wrong(&mut self, mut call: Box<Call>) {
        let address = || "node".to_owned();
        let soon = Duration::from_millis(2);
        let (after, outcome) = match self.wire.random.between(0, 6) {
            0 => (timeout(&call.question), timed_out(&call.question)),
            1 => (soon, broken()),
            2 => (soon, RpcError::Unauthorized { address: address(), credentials: "the cookie".to_owned() }),
            3 => (soon, RpcError::Status { method: "any", address: address(), status: 503, text: String::new() }),
            4 => (soon, RpcError::Node { method: "any", code: -28, message: "Loading wallet...".to_owned() }),
            5 => {
                call.answer_lost = Some(Loss::Silence);
                return self.go(call);
            }
            _ => {
                call.answer_lost = Some(Loss::Break);
                return self.go(call);
            }
        };
        self.happen_after(after, Happening::Answer(call, Err(outcome)));
    }

    /// A call goes to its node. The small ones are answered as things stand now, the others as they will.
    fn go(&mut self, call: Box<Call>) {
        match call.question {
            Question::Template { .. } => {
                let longest = if self.is_calm { Duration::from_millis(50) } else { self.options.template_delay };
                let after = self.wire.up_to(longest);
                self.happen_after(after, Happening::Reach(call));
            }
            Question::Submit(_) => {
                let after = self.call_time();
                self.happen_after(after, Happening::Reach(call));
            }
            _ => self.reach(call),
        }
    }

    fn call_time(&mut self) -> Duration {
        let longest = if self.is_calm { Duration::from_millis(2) } else { self.options.nodes.call };
        self.wire.up_to(longest)
    }

    fn reach(&mut self, call: Box<Call>) {
        let (node, unix) = (call.node, self.unix());
        if self.nodes.all[node].losses != call.losses {
            return self.happen_after(Duration::ZERO, Happening::Answer(call, Err(broken())));
        }
        if self.nodes.is_answered_later(node, &call.question) {
            return self.wait(call);
        }
        let outcome = match &call.question {
            Question::Submit(submission) if !self.nodes.all[node].is_warming_up => {
                let (hash, bytes) = (*submission.hash().as_internal(), submission.bytes().into_owned());
                Ok(Reply::Submitted(self.judge_block(node, hash, &bytes)))
            }
            Question::Submit(_) => self.nodes.answer(node, &Question::ChainInfo, unix),
            question => self.nodes.answer(node, question, unix),
        };
        let after = self.call_time();
        match call.answer_lost {
            None => self.happen_after(after, Happening::Answer(call, outcome)),
            Some(Loss::Break) => self.happen_after(after, Happening::Answer(call, Err(broken()))),
            Some(Loss::Silence) => {
                let (after, error) = (timeout(&call.question), timed_out(&call.question));
                self.happen_after(after, Happening::Answer(call, Err(error)));
            }
        }
    }

    /// A node judges a found block. The pool hands out nothing that a node may refuse, but for times in the future and, where a
    /// miner went behind the time of its job, in the past.
    fn judge_block(&mut self, node: usize, hash: [u8; 32], bytes: &[u8]) -> Option<String> {
        let tip = self.nodes.all[node].tip();
        let word = self.nodes.submit(node, bytes, self.unix());
        if let Some(reason) = &word {
            let is_known = matches!(reason.as_str(), "duplicate" | "inconclusive");
            let is_of_time = matches!(reason.as_str(), "time-too-new" | "time-too-old");
            let is_good = is_known || reason == UNKNOWN_PARENT || is_of_time && self.ledger.is_mistimed(hash);
            assert!(is_good, "the node refuses a found block: {reason}");
        }
        if self.nodes.all[node].tip() != tip {
            self.tip_changed(node);
        }
        word
    }

    fn answer(&mut self, call: &Call, outcome: Outcome) {
        let now = self.now();
        let Some(pool) = self.pool.as_mut().filter(|_| call.epoch == self.starts) else { return };
        // What was on its way when the node went away is lost, whatever it was.
        let is_lost = outcome.is_ok() && self.nodes.all[call.node].losses != call.losses;
        let outcome = if is_lost { Err(broken()) } else { outcome };
        if let Some(errand) = pool.nodes.answered(call.ticket, outcome, now) {
            self.send(errand);
        }
        self.drive_nodes();
    }

    // Long polls.

    fn wait(&mut self, call: Box<Call>) {
        let node = call.node;
        self.wire.longpolls += 1;
        let number = self.wire.longpolls;
        self.wire.waiting.push(Waiting { number, call });
        let after = Duration::from_secs(self.wire.random.between(60, 75));
        self.happen_after(after, Happening::LongpollDue { node, number });
    }

    /// Long polls of a node are answered: this one, or all.
    fn end_longpolls(&mut self, node: usize, number: Option<u64>) {
        let is_over = |one: &Waiting| one.call.node == node && number.is_none_or(|number| number == one.number);
        let (over, waiting) = std::mem::take(&mut self.wire.waiting).into_iter().partition(is_over);
        self.wire.waiting = waiting;
        for Waiting { mut call, .. } in over {
            call.question = Question::Template { longpoll_id: None };
            self.go(call);
        }
    }

    /// The node goes away with the long polls that wait in it: the pool hears of it at once, or not at all.
    fn lose_longpolls(&mut self, node: usize) {
        let is_lost = |one: &Waiting| one.call.node == node;
        let (lost, waiting) = std::mem::take(&mut self.wire.waiting).into_iter().partition(is_lost);
        self.wire.waiting = waiting;
        for Waiting { call, .. } in lost {
            if self.wire.random.chance(0.5) {
                self.happen_after(Duration::from_millis(1), Happening::Answer(call, Err(broken())));
            } else {
                let error = timed_out(&call.question);
                self.happen_after(LONGPOLL_TIMEOUT, Happening::Answer(call, Err(error)));
            }
        }
    }

    // Notifications.

    fn publish(&mut self, node: usize, after: Duration, notification: Notification) {
        if self.nodes.all[node].has_zmq {
            self.happen_after(after, Happening::Notify { epoch: self.starts, node, notification });
        }
    }

    fn notify(&mut self, epoch: u64, node: usize, notification: Notification) {
        let now = self.now();
        if let Some(pool) = self.pool.as_mut().filter(|_| epoch == self.starts) {
            pool.nodes.notified(node, notification, now);
            self.drive_nodes();
        }
    }

    /// A node has another tip: it publishes that, answers long polls, and its peers hear of it.
    pub(super) fn tip_changed(&mut self, node: usize) {
        self.nodes.note_tip(node, self.now_ns);
        let share = if self.is_calm { 0.0 } else { self.options.silent_tips };
        let is_lost = self.wire.random.chance(share);
        let was_lost = std::mem::replace(&mut self.nodes.all[node].zmq_lost, is_lost);
        if self.nodes.all[node].is_up && !is_lost {
            let soon = Duration::from_millis(1);
            if was_lost && self.wire.random.chance(0.5) {
                self.publish(node, soon, Notification::Gap);
            }
            let hash = warppool_components::units::Hash256::from_internal(self.nodes.all[node].tip());
            self.publish(node, soon, Notification::Block(hash));
        }
        self.end_longpolls(node, None);
        for to in (0..self.nodes.all.len()).filter(|to| *to != node) {
            self.tell_peer(node, to);
        }
    }

    fn tell_peer(&mut self, from: usize, to: usize) {
        let longest = if self.is_calm { Duration::from_millis(10) } else { self.options.nodes.relay };
        let after = self.wire.up_to(longest);
        self.happen_after(after, Happening::Relay { from, to });
    }

    fn relay(&mut self, from: usize, to: usize) {
        if !self.nodes.is_parted && self.nodes.relay(from, to, self.unix()) {
            self.tip_changed(to);
        }
    }

    fn tell_all_peers(&mut self) {
        for from in 0..self.nodes.all.len() {
            for to in (0..self.nodes.all.len()).filter(|to| *to != from) {
                self.tell_peer(from, to);
            }
        }
    }

    // Moods.

    fn outage(&mut self, node: usize) {
        self.happen_some_time(self.options.node_outage, Happening::Outage { node });
        if self.is_calm || !std::mem::replace(&mut self.nodes.all[node].is_up, false) {
            return;
        }
        let runs = self.wire.random.chance(0.5);
        let one = &mut self.nodes.all[node];
        one.losses += 1;
        // One node alone stands for the network, which goes on.
        one.runs = runs;
        one.judge(self.now_ns);
        self.lose_longpolls(node);
        let after = self.wire.up_to(Duration::from_secs(1));
        self.publish(node, after, Notification::Disconnected);
        let after = Duration::from_secs(self.wire.random.between(2, 300));
        self.happen_after(after, Happening::Up { node });
    }

    fn node_up(&mut self, node: usize) {
        if std::mem::replace(&mut self.nodes.all[node].is_up, true) {
            return;
        }
        let was_started = !std::mem::replace(&mut self.nodes.all[node].runs, true);
        let longest = if self.is_calm { Duration::ZERO } else { self.options.nodes.warm_up };
        self.nodes.all[node].is_warming_up = was_started;
        self.nodes.all[node].judge(self.now_ns);
        let after = self.wire.up_to(longest);
        self.happen_after(after, Happening::WarmedUp { node });
        let after = self.wire.up_to(Duration::from_secs(1));
        self.publish(node, after, Notification::Connected);
        self.tell_all_peers();
    }

    fn warmed_up(&mut self, node: usize) {
        self.nodes.all[node].is_warming_up = false;
        self.nodes.all[node].judge(self.now_ns);
    }

    fn spell(&mut self, node: usize) {
        self.happen_some_time(self.options.nodes.spell, Happening::Spell { node });
        if self.is_calm {
            return;
        }
        self.nodes.all[node].failing = *self.wire.random.pick(&[0.2, 0.5, 1.0]);
        self.nodes.all[node].judge(self.now_ns);
        let after = Duration::from_secs(self.wire.random.between(5, 120));
        self.happen_after(after, Happening::SpellEnds { node });
    }

    fn spell_ends(&mut self, node: usize) {
        self.nodes.all[node].failing = 0.0;
        self.nodes.all[node].judge(self.now_ns);
    }

    fn partition(&mut self) {
        self.happen_some_time(self.options.nodes.partition, Happening::Partition);
        if self.is_calm || std::mem::replace(&mut self.nodes.is_parted, true) {
            return;
        }
        let longest = self.options.nodes.partition_max.as_secs().max(2);
        let after = Duration::from_secs(self.wire.random.between(1, longest));
        self.happen_after(after, Happening::Heal);
    }

    fn heal(&mut self) {
        self.nodes.is_parted = false;
        self.tell_all_peers();
    }

    /// From now on nothing is wrong with the nodes.
    pub(super) fn calm_nodes(&mut self) {
        for node in 0..self.nodes.all.len() {
            self.node_up(node);
            self.warmed_up(node);
            self.spell_ends(node);
        }
        self.heal();
    }
}

const fn timeout(question: &Question) -> Duration {
    match question {
        Question::Template { longpoll_id: None } => TEMPLATE_TIMEOUT,
        Question::Template { longpoll_id: Some(_) } => LONGPOLL_TIMEOUT,
        Question::Submit(_) => SUBMIT_TIMEOUT,
        _ => SMALL_TIMEOUT,
    }
}

fn timed_out(question: &Question) -> RpcError {
    RpcError::TimedOut { method: "any", address: "node".to_owned(), after: timeout(question) }
}

fn broken() -> RpcError {
    RpcError::Transport { method: "any", address: "node".to_owned(), why: "connection reset".to_owned() }
}
