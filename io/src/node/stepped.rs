//! The node's side without threads and sockets: questions are carried by the caller, in whatever time it likes.
//!
//! For simulators, which bring nodes of their own and decide what those do. Choosing among nodes, watching tips, fetching,
//! submitting, trying again and following are the node's side's own; what is missing is the wire.

use super::question::{Next, Outcome, Question};
use super::side::{Lane, Side, SideOptions};
use super::submit::{Delivery, GIVEN_UP, MESSENGERS_PER_NODE, Messenger, Submission, hand_to_all};
use super::zmq::Notification;
use std::collections::VecDeque;
use std::sync::Arc;
use warppool_components::block::BlockCandidate;
use warppool_components::inbox::Now;
use warppool_components::limits::BLOCKS_SUBMITTING_MAX;
use warppool_components::node::NodeEvent;
use warppool_components::units::{Hash256, Instant};

/// A question to a node, and what its outcome is to be handed back with.
#[derive(Debug)]
pub struct Errand {
    /// Whose question it is.
    pub ticket: Ticket,
    /// Number of the node, from zero.
    pub node: usize,
    /// What is asked.
    pub question: Question,
}

/// Whose question it is. There is no other one with the same ticket before its outcome is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket(Carrier);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Carrier {
    Lane(Lane),
    Messenger(usize, usize),
}

/// The node's side that does nothing by itself. After every call [`SteppedNodes::errands`] and [`SteppedNodes::events`] may
/// have something new.
pub struct SteppedNodes {
    side: Side,
    lanes: Vec<(Lane, bool)>,
    posts: Vec<Post>,
    wake_at: Option<Instant>,
}

/// The way of found blocks to one node.
struct Post {
    queue: VecDeque<Arc<Submission>>,
    /// Each with whether it is on its way.
    messengers: Vec<(Messenger, bool)>,
}

impl SteppedNodes {
    /// For the nodes that `options` name.
    pub fn new(options: SideOptions, now: Instant) -> Self {
        let nodes = options.nodes.len();
        let lanes = (0..nodes).flat_map(|node| [Lane::Tip(node), Lane::Work(node, 0)]).chain([Lane::Follow]);
        let post = |node| Post {
            queue: VecDeque::new(),
            messengers: (0..MESSENGERS_PER_NODE).map(|_| (Messenger::new(node), false)).collect(),
        };
        Self {
            side: Side::new(options, now),
            lanes: lanes.map(|lane| (lane, false)).collect(),
            posts: (0..nodes).map(post).collect(),
            wake_at: None,
        }
    }

    /// Sends a found block to all nodes.
    pub fn submit(&mut self, candidate: Arc<BlockCandidate>, now: Instant) {
        self.enqueue(Submission::found(candidate, self.posts.len(), now));
    }

    /// Sends a block of an earlier run, whose final answer is not known, from its serialised bytes.
    pub fn resubmit(&mut self, hash: Hash256, block: Arc<[u8]>, now: Instant) {
        self.enqueue(Submission::found_earlier(hash, block, self.posts.len(), now));
    }

    fn enqueue(&mut self, submission: Submission) {
        let submission = Arc::new(submission);
        let posts = &mut self.posts;
        let full = hand_to_all(posts.len(), |node| {
            let has_room = posts[node].queue.len() < BLOCKS_SUBMITTING_MAX;
            if has_room {
                posts[node].queue.push_back(Arc::clone(&submission));
            }
            has_room
        });
        full.into_iter().for_each(|node| self.side.concluded(&submission, node, GIVEN_UP));
    }

    /// Follows a block that was accepted in an earlier run.
    pub fn follow(&mut self, hash: Hash256) {
        self.side.follow(hash);
    }

    /// A node has published something, or its publisher came or went.
    pub fn notified(&mut self, node: usize, notification: Notification, now: Now) {
        self.side.notified(node, notification, now);
    }

    /// How the question of a ticket ended.
    pub fn answered(&mut self, ticket: Ticket, outcome: Outcome, now: Now) -> Option<Errand> {
        match ticket.0 {
            Carrier::Lane(lane) => {
                if let Some((_, is_open)) = self.lanes.iter_mut().find(|(other, _)| *other == lane) {
                    *is_open = false;
                }
                self.side.answered(lane, outcome, now);
                None
            }
            Carrier::Messenger(node, number) => {
                let (messenger, is_open) = &mut self.posts[node].messengers[number];
                match messenger.answered(outcome, now.instant)? {
                    Delivery::Ask(question) => Some(Errand { ticket, node, question }),
                    Delivery::Over(submission, answer) => {
                        *is_open = false;
                        self.side.concluded(&submission, node, answer);
                        None
                    }
                }
            }
        }
    }

    /// Questions that are to be put now: found blocks first.
    pub fn errands(&mut self, now: Now) -> Vec<Errand> {
        let mut errands = Vec::new();
        self.wake_at = None;
        for node in 0..self.posts.len() {
            self.send_blocks(node, now.instant, &mut errands);
        }
        for lane in self.side.take_successors() {
            self.lanes.push((lane, false));
        }
        self.side.take_called();
        let Self { side, lanes, wake_at, .. } = self;
        lanes.retain_mut(|(lane, is_open)| {
            if *is_open {
                return true;
            }
            match side.next(*lane, now) {
                Next::Ask(node, question) => {
                    *is_open = true;
                    errands.push(Errand { ticket: Ticket(Carrier::Lane(*lane)), node, question });
                }
                Next::Wait(until) => *wake_at = earliest(*wake_at, until),
                Next::End => return false,
            }
            true
        });
        errands
    }

    fn send_blocks(&mut self, node: usize, now: Instant, errands: &mut Vec<Errand>) {
        let Post { queue, messengers } = &mut self.posts[node];
        for (number, (messenger, is_open)) in messengers.iter_mut().enumerate() {
            while !*is_open {
                let next = queue.pop_front().map(|submission| (submission, 0)).or_else(|| messenger.take_due(now));
                let Some((submission, attempts)) = next else { break };
                let Some(question) = messenger.begin(submission, attempts) else { continue };
                *is_open = true;
                errands.push(Errand { ticket: Ticket(Carrier::Messenger(node, number)), node, question });
            }
            if !*is_open {
                self.wake_at = earliest(self.wake_at, messenger.due());
            }
        }
    }

    /// When [`SteppedNodes::errands`] has something new by itself, as of its last call.
    pub const fn wake_at(&self) -> Option<Instant> {
        self.wake_at
    }

    /// What the engine is to be told, oldest first.
    pub fn events(&mut self) -> Vec<NodeEvent> {
        self.side.tell_status();
        self.side.take_events().collect()
    }
}

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
