//! The node's side without its threads: what each node is asked next, what follows from its answers for the others, and
//! what the engine is told. Pure: times and answers come in, questions and events go out.
//!
//! There is one lane for each kind of work, and on a lane one question at a time. Whoever carries the questions calls
//! [`Side::next`] for each lane that has none open, and [`Side::answered`] with the outcome; a lane that is to wait is
//! named by [`Side::take_called`] when it is wanted before its time. Found blocks have lanes of their own, which need
//! nothing of what is here until a node has answered (see `submit`).

use super::fetch::Fetch;
use super::follow::Follow;
use super::question::{Next, Outcome, Reply};
use super::rpc::Latencies;
use super::source::{Effect, Source};
use super::status::ZmqView;
use super::submit::{Answer, Submission};
use super::template::{CheckedTemplate, Tip};
use super::watch::Watch;
use super::zmq::Notification;
use std::time::Duration;
use warppool_components::block::BlockState;
use warppool_components::inbox::Now;
use warppool_components::node::NodeEvent;
use warppool_components::settings::Network;
use warppool_components::template::Template;
use warppool_components::units::{Hash256, Instant};

/// What decisions depend on beside what the nodes say.
#[derive(Clone, Debug)]
pub struct SideOptions {
    /// The network that every node must be on.
    pub network: Network,
    /// How often a template is fetched when nothing else asks for one.
    pub template_refresh: Duration,
    /// How often the tip is asked for.
    pub poll_interval: Duration,
    /// How long a node may leave a long poll unanswered when the tip has changed.
    pub template_patience: Duration,
    /// Whether miners get work without transactions the moment a tip is known.
    pub empty_job_on_new_tip: bool,
    /// By node: its name, and whether ZMQ is configured.
    pub nodes: Vec<(String, bool)>,
}

/// A kind of work. Nodes are numbered from zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Lane {
    /// A node's tip and chain.
    Tip(usize),
    /// Its templates, by the fetcher of this generation.
    Work(usize, u64),
    /// Found blocks in the chain.
    Follow,
}

/// Why a node is to be looked at before its time.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) is_due: bool,
    /// The latest block that somebody named, which is probably the tip.
    pub(super) block: Option<Hash256>,
}

/// What the lanes share.
pub(super) struct Known {
    pub(super) options: SideOptions,
    pub(super) source: Source,
    pub(super) fetches: Vec<Fetch>,
    pub(super) calls: Vec<Call>,
    /// Of each node's calls, as whoever carries them measured.
    pub(super) latencies: Vec<Latencies>,
    follow: Follow,
    /// The latest tip that any node spoke of, and when its name was first heard.
    tip_heard: Option<(Hash256, Instant)>,
    /// Lanes that are wanted.
    called: Vec<Lane>,
    /// Fetchers that take over from another one.
    successors: Vec<Lane>,
}

impl Known {
    /// A node's tip, asked for while it was `before`, and what follows from it.
    pub(super) fn tip(&mut self, node: usize, tip: Tip, before: Option<Hash256>, now: Now) {
        let effect = self.source.tip(node, tip, before, now.unix);
        self.after(node, &effect);
    }

    /// The name of a tip has reached the pool, whoever brought it.
    pub(super) fn hear_of_tip(&mut self, hash: Hash256, now: Instant) {
        if self.tip_heard.is_none_or(|(known, _)| known != hash) {
            self.tip_heard = Some((hash, now));
        }
    }

    /// A template on this tip is wanted.
    pub(super) fn want_tip(&mut self, node: usize, tip: Hash256, now: Instant) {
        self.fetches[node].want_tip(tip, now);
        self.call_fetcher(node);
    }

    /// Whether a node's templates may be used.
    pub(super) fn set_usable(&mut self, node: usize, usable: bool) {
        self.fetches[node].set_usable(usable);
        self.call_fetcher(node);
    }

    /// News of a node's notifications. Long polls are of use only where they do not work.
    pub(super) fn zmq(&mut self, node: usize, now: Now, change: impl FnOnce(&mut ZmqView)) {
        let works = self.source.zmq(node, now.unix, change);
        self.fetches[node].set_longpoll_useful(!works);
        self.call_fetcher(node);
    }

    /// Another fetcher takes over a node's templates.
    pub(super) fn replace_fetcher(&mut self, node: usize, now: Instant) {
        self.call_fetcher(node);
        let generation = self.fetches[node].supersede(now);
        self.successors.push(Lane::Work(node, generation));
    }

    fn call_fetcher(&mut self, node: usize) {
        self.called.push(Lane::Work(node, 0));
    }

    fn look(&mut self, node: usize, block: Option<Hash256>) {
        let call = &mut self.calls[node];
        call.is_due = true;
        call.block = block.or(call.block);
        self.called.push(Lane::Tip(node));
    }

    fn look_after_blocks(&mut self) {
        self.follow.look();
        self.called.push(Lane::Follow);
    }

    /// A node's template, and what follows from it.
    fn template(&mut self, node: usize, template: Template, now: Now) {
        self.hear_of_tip(template.previous_block, now.instant);
        let effect = self.source.template(node, template, now.unix);
        if effect.was_late {
            self.fetches[node].forget_latest();
        }
        self.after(node, &effect);
    }

    fn after(&mut self, node: usize, effect: &Effect) {
        if effect.tip_changed {
            self.look_after_blocks();
        }
        if effect.was_late {
            self.look(node, None);
        }
    }

    fn fetched(&mut self, node: usize, generation: u64, outcome: Outcome, now: Now) {
        let outcome = match outcome {
            Ok(Reply::Template(Ok(checked))) => Ok(*checked),
            Ok(Reply::Template(Err(error))) => Err(error.to_string()),
            Ok(_) => Err("the answer is no template".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let tip = outcome.as_ref().ok().map(|checked| checked.template.previous_block);
        let Some(ended) = self.fetches[node].done(generation, tip, now.instant) else { return };
        match outcome {
            Ok(CheckedTemplate { template, longpoll_id }) => {
                let tip = template.previous_block;
                self.template(node, template, now);
                // Under the minimum-difficulty rule `bits` change with time alone, and no long poll tells of it.
                let longpoll_id = longpoll_id.filter(|_| !self.options.network.has_minimum_difficulty_rule());
                let refresh = self.options.template_refresh;
                self.fetches[node].succeeded(ended, refresh, longpoll_id, tip, now.instant);
            }
            Err(error) => {
                tracing::debug!(node, error, "no template");
                if !ended.was_longpoll {
                    self.source.no_template(node, error, now.unix);
                }
                self.fetches[node].failed(now.instant);
            }
        }
    }
}

/// All nodes as one.
pub(super) struct Side {
    known: Known,
    watches: Vec<Watch>,
    stopped: bool,
}

impl Side {
    pub(super) fn new(options: SideOptions, now: Instant) -> Self {
        let nodes = options.nodes.len();
        let source = Source::new(options.network, options.empty_job_on_new_tip, options.nodes.clone());
        let known = Known {
            source,
            fetches: (0..nodes).map(|_| Fetch::new(now)).collect(),
            calls: (0..nodes).map(|_| Call::default()).collect(),
            latencies: vec![Latencies::default(); nodes],
            follow: Follow::default(),
            tip_heard: None,
            called: Vec::new(),
            successors: Vec::new(),
            options,
        };
        Self { known, watches: (0..nodes).map(|node| Watch::new(node, now)).collect(), stopped: false }
    }

    /// What a lane without an open question is to do.
    pub(super) fn next(&mut self, lane: Lane, now: Now) -> Next {
        if self.stopped {
            return Next::End;
        }
        match lane {
            Lane::Tip(node) => self.watches[node].next(&mut self.known, now),
            Lane::Work(node, generation) => self.known.fetches[node].next(node, generation, now.instant),
            Lane::Follow => self.known.follow.next(&self.known.source, now.instant),
        }
    }

    /// How a lane's question ended.
    pub(super) fn answered(&mut self, lane: Lane, outcome: Outcome, now: Now) {
        if self.stopped {
            return;
        }
        match lane {
            Lane::Tip(node) => self.watches[node].answered(outcome, &mut self.known, now),
            Lane::Work(node, generation) => self.known.fetched(node, generation, outcome, now),
            Lane::Follow => {
                if let Some((hash, state)) = self.known.follow.answered(outcome) {
                    self.known.source.block(hash, state);
                }
            }
        }
    }

    /// What calls to a node took so far.
    pub(super) fn note_latencies(&mut self, node: usize, latencies: Latencies) {
        self.known.latencies[node] = latencies;
    }

    /// A node has published something, or its publisher came or went.
    pub(super) fn notified(&mut self, node: usize, notification: Notification, now: Now) {
        let known = &mut self.known;
        match notification {
            Notification::Block(hash) => {
                known.hear_of_tip(hash, now.instant);
                known.look(node, Some(hash));
                known.zmq(node, now, |zmq| (zmq.connected, zmq.silent, zmq.heard) = (true, false, Some(hash)));
            }
            Notification::Gap => {
                tracing::info!(node, "ZMQ lost a message");
                known.look(node, None);
            }
            Notification::Connected => known.zmq(node, now, |zmq| (zmq.connected, zmq.silent) = (true, false)),
            Notification::Disconnected => {
                known.zmq(node, now, |zmq| zmq.connected = false);
                known.look(node, None);
            }
        }
    }

    /// A node's answer to a found block, and what follows from it.
    pub(super) fn concluded(&mut self, submission: &Submission, node: usize, answer: Answer) {
        let hash = submission.hash();
        if answer == Answer::Accepted {
            // The block is most probably the new tip: nobody needs to wait for the poll.
            self.known.look(node, Some(hash));
        }
        let Some(state) = submission.note(node, answer) else { return };
        match &state {
            BlockState::Rejected(reason) => tracing::error!(block = %hash, reason, "block rejected"),
            // The engine tells of it as news, with height and finder.
            state => tracing::debug!(block = %hash, %state, "block"),
        }
        self.known.source.block(hash, state.clone());
        if matches!(state, BlockState::Accepted | BlockState::Orphaned) {
            self.known.follow.add(hash, Some(state));
            if submission.is_of_earlier_run() {
                // It may be buried or pushed aside since long ago.
                self.known.look_after_blocks();
            }
            self.refresh();
        }
    }

    /// Follows a block that was accepted in an earlier run.
    pub(super) fn follow(&mut self, hash: Hash256) {
        self.known.follow.add(hash, None);
        self.known.called.push(Lane::Follow);
    }

    /// Asks every node for a template now, or as soon as the request in flight has ended.
    pub(super) fn refresh(&mut self) {
        for node in 0..self.known.fetches.len() {
            self.known.fetches[node].refresh();
            self.known.call_fetcher(node);
        }
    }

    /// Nothing is asked any more, and nothing is told.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }

    /// When the name of the latest tip was heard first.
    pub(super) fn tip_heard_at(&self) -> Option<Instant> {
        self.known.tip_heard.map(|(_, at)| at)
    }

    /// Makes news of what has changed. To be called when the events before it have gone.
    pub(super) fn tell_status(&mut self) {
        self.known.source.tell_status();
    }

    /// What the engine is to be told, oldest first. Nothing after [`Side::stop`].
    pub(super) fn take_events(&mut self) -> impl Iterator<Item = NodeEvent> + '_ {
        let is_told = !self.stopped;
        self.known.source.events.drain(..).filter(move |_| is_told)
    }

    /// Lanes that are wanted now, should they wait. Those of templates mean the present fetcher, whatever its generation.
    pub(super) fn take_called(&mut self) -> Vec<Lane> {
        let mut called = std::mem::take(&mut self.known.called);
        called.sort_unstable();
        called.dedup();
        called
    }

    /// Lanes of templates that begin, each in place of an earlier one of its node.
    pub(super) fn take_successors(&mut self) -> Vec<Lane> {
        std::mem::take(&mut self.known.successors)
    }
}
