//! Found blocks on their way to the nodes.
//!
//! A block goes to every node at once, on threads that wait for nothing else, and goes again until there is a final
//! answer. `null` and `duplicate` mean that the node has it. `inconclusive`, `duplicate-inconclusive`, time-outs
//! and broken connections are no answer: then the chain is asked. A block is rejected only when every node that
//! answers at all has refused it.

use super::rpc::{RpcError, SubmitRequest};
use super::{Shared, Wake};
use crate::failpoint;
use crossbeam::channel::{Receiver, select};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use warppool_components::block::{BlockCandidate, BlockState};
use warppool_components::limits::BLOCKS_SUBMITTING_MAX;
use warppool_components::units::Hash256;

/// Threads of a node that submit: a second block must not wait for a slow answer about the first.
pub(super) const THREADS_PER_NODE: usize = 2;

/// Between two attempts.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A node that was asked so often in vain, some five minutes, no longer holds up the verdict of the others: time enough for
/// one that restarts. A block that is called rejected is forgotten by the store.
const ATTEMPTS_BEFORE_VERDICT: u32 = 60;

/// Refusals of Bitcoin Core that pass by themselves: it has not got the block before (again), as after a crash that cost
/// it its latest blocks, or its clock is behind ours.
const PASSING_REFUSALS: [&str; 2] = ["prev-blk-not-found", "time-too-new"];

/// Attempts after which such a refusal is final all the same: about an hour.
const ATTEMPTS_AT_PASSING_REFUSAL: u32 = 720;

/// Bitcoin Core's `RPC_DESERIALIZATION_ERROR`: what was sent is no block to this node.
const CODE_NO_BLOCK: i64 = -22;

/// What one node says about a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// Nothing final after so many attempts.
    Waiting(u32),
    /// It is, or was, in the best chain.
    Accepted,
    /// It is known, but another block of its height is in the best chain.
    Beside,
    /// Refused, for this reason.
    Refused(String),
}

/// What the answers of all nodes make of a block.
pub(super) fn verdict(answers: &[Answer]) -> BlockState {
    let is_open = |answer: &Answer| matches!(answer, Answer::Waiting(attempts) if *attempts < ATTEMPTS_BEFORE_VERDICT);
    if answers.contains(&Answer::Accepted) {
        BlockState::Accepted
    } else if answers.iter().any(is_open) {
        BlockState::Pending
    } else if answers.contains(&Answer::Beside) {
        BlockState::Orphaned
    } else {
        let reason = answers.iter().find_map(|answer| match answer {
            Answer::Refused(reason) => Some(reason.clone()),
            _ => None,
        });
        reason.map_or(BlockState::Pending, BlockState::Rejected)
    }
}

/// Where the bytes of a block come from.
enum Block {
    Candidate(Arc<BlockCandidate>),
    Bytes(Arc<[u8]>),
}

/// A block on its way.
pub(super) struct Submission {
    hash: Hash256,
    block: Block,
    request: OnceLock<SubmitRequest>,
    /// When the engine handed it over.
    handed_at: Instant,
    /// Answers by node, and the state that was told last.
    outcome: Mutex<(Vec<Answer>, BlockState)>,
}

impl Submission {
    fn new(hash: Hash256, block: Block, nodes: usize) -> Self {
        let outcome = Mutex::new((vec![Answer::Waiting(0); nodes], BlockState::Pending));
        Self { hash, block, request: OnceLock::new(), handed_at: Instant::now(), outcome }
    }

    /// Made by the first thread that needs it, so that the engine's thread does not.
    fn request(&self) -> &SubmitRequest {
        self.request.get_or_init(|| match &self.block {
            Block::Candidate(candidate) => SubmitRequest::new(&candidate.serialise()),
            Block::Bytes(bytes) => SubmitRequest::new(bytes),
        })
    }

    /// Notes an answer; the state when it is another one now.
    fn note(&self, node: usize, answer: Answer) -> Option<BlockState> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let (answers, told) = &mut *outcome;
        answers[node] = answer;
        let state = verdict(answers);
        if state == *told || *told == BlockState::Accepted {
            return None;
        }
        *told = state.clone();
        Some(state)
    }

    fn is_accepted(&self) -> bool {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).1 == BlockState::Accepted
    }
}

/// Sends a block that was just found to all nodes.
pub(super) fn submit(shared: &Shared, candidate: Arc<BlockCandidate>) {
    tracing::debug!(block = %candidate.hash, height = candidate.template.height, worker = %candidate.worker_label, "block found");
    enqueue(shared, candidate.hash, Block::Candidate(candidate));
}

/// Sends a block that was found earlier, from its bytes.
pub(super) fn resubmit(shared: &Shared, hash: Hash256, bytes: Arc<[u8]>) {
    tracing::debug!(block = %hash, "submitting a block of an earlier run again");
    enqueue(shared, hash, Block::Bytes(bytes));
}

fn enqueue(shared: &Shared, hash: Hash256, block: Block) {
    let submission = Arc::new(Submission::new(hash, block, shared.nodes.len()));
    for (index, node) in shared.nodes.iter().enumerate() {
        shared.unsent.fetch_add(1, Ordering::AcqRel);
        if node.submissions.try_send(Arc::clone(&submission)).is_err() {
            tracing::error!(
                block = %hash, node = node.rpc.address(),
                "{BLOCKS_SUBMITTING_MAX} blocks wait for this node already; this one is not sent to it until the next start"
            );
            shared.unsent.fetch_sub(1, Ordering::AcqRel);
            conclude(shared, &submission, index, Answer::Waiting(ATTEMPTS_BEFORE_VERDICT));
        }
        if index + 1 < shared.nodes.len() {
            failpoint::reached("block.handed-to-one");
        }
    }
}

/// A submission that had no final answer.
struct Retry {
    submission: Arc<Submission>,
    due: Instant,
    attempts: u32,
}

/// Submits blocks to `node` until the pool stops; those that were found at the last moment are sent once even then.
pub(super) fn run(shared: &Shared, node: usize, submissions: &Receiver<Arc<Submission>>) {
    let mut retries: Vec<Retry> = Vec::new();
    while !shared.is_stopping() {
        let due = retries.iter().map(|retry| retry.due).min();
        let wait = due.map_or(Duration::from_secs(3600), |due| due.saturating_duration_since(Instant::now()));
        let next = select! {
            recv(submissions) -> submission => submission.ok().map(|submission| (submission, 0)),
            recv(shared.stop) -> _ => None,
            default(wait) => take_due(&mut retries),
        };
        let Some((submission, attempts)) = next else { continue };
        if let Some(attempts) = try_once(shared, node, &submission, attempts) {
            if retries.len() == BLOCKS_SUBMITTING_MAX {
                tracing::error!(block = %submission.hash, node, "too many blocks wait; this one is not tried again until the next start");
                continue;
            }
            let pause = PAUSE_MIN.saturating_mul(1 << attempts.min(8)).min(PAUSE_MAX);
            retries.push(Retry { submission, due: Instant::now() + pause, attempts });
        }
    }
    for submission in submissions.try_iter() {
        let _ = try_once(shared, node, &submission, 0);
    }
}

/// One attempt, and a note of it when it was the block's first at this node.
fn try_once(shared: &Shared, node: usize, submission: &Submission, attempts: u32) -> Option<u32> {
    let again = attempt(shared, node, submission, attempts);
    if attempts == 0 {
        shared.unsent.fetch_sub(1, Ordering::AcqRel);
    }
    again
}

fn take_due(retries: &mut Vec<Retry>) -> Option<(Arc<Submission>, u32)> {
    let now = Instant::now();
    let index = retries.iter().position(|retry| retry.due <= now)?;
    let retry = retries.swap_remove(index);
    Some((retry.submission, retry.attempts))
}

/// Submits once. Gives the number of attempts so far when it has to be done again.
fn attempt(shared: &Shared, node: usize, submission: &Submission, attempts: u32) -> Option<u32> {
    if attempts > 0 && submission.is_accepted() {
        // Another node has it: the network brings it to this one.
        return None;
    }
    let rpc = &shared.nodes[node].rpc;
    let request = submission.request();
    failpoint::reached("submit.send");
    if attempts == 0 {
        let microseconds = submission.handed_at.elapsed().as_micros();
        tracing::debug!(block = %submission.hash, node = rpc.address(), microseconds, "sending the block");
    }
    let outcome = rpc.submit_block(request);
    failpoint::reached("submit.answered");
    let answer = match outcome {
        Ok(None) => Some(Answer::Accepted),
        Ok(Some(text)) => match text.as_str() {
            "duplicate" => Some(Answer::Accepted),
            "inconclusive" | "duplicate-inconclusive" => ask_chain(shared, node, submission),
            reason if PASSING_REFUSALS.contains(&reason) && attempts < ATTEMPTS_AT_PASSING_REFUSAL => {
                tracing::warn!(block = %submission.hash, node = rpc.address(), reason, "block refused for now; trying again");
                None
            }
            _ => Some(Answer::Refused(text)),
        },
        Err(RpcError::Node { code: CODE_NO_BLOCK, message, .. }) => Some(Answer::Refused(message)),
        Err(error) => {
            tracing::warn!(block = %submission.hash, node = rpc.address(), %error, "submitblock gave no answer; trying again");
            let reached = matches!(error, RpcError::TimedOut { .. } | RpcError::Transport { .. });
            let answer = if reached { ask_chain(shared, node, submission) } else { None };
            // The node may know the header alone: only its place in the best chain is proof.
            answer.filter(|answer| *answer == Answer::Accepted)
        }
    };
    let again = answer.is_none();
    conclude(shared, submission, node, answer.unwrap_or(Answer::Waiting(attempts + 1)));
    again.then_some(attempts + 1)
}

/// What the chain says about a block; `None` when that is nothing.
fn ask_chain(shared: &Shared, node: usize, submission: &Submission) -> Option<Answer> {
    match shared.nodes[node].rpc.block_header(&submission.hash) {
        Ok(Some(header)) if header.confirmations >= 1 => Some(Answer::Accepted),
        Ok(Some(_)) => Some(Answer::Beside),
        Ok(None) | Err(_) => None,
    }
}

/// Notes a node's answer and says what follows from it.
fn conclude(shared: &Shared, submission: &Submission, node: usize, answer: Answer) {
    let hash = submission.hash;
    if answer == Answer::Accepted {
        // The block is most probably the new tip: nobody needs to wait for the poll.
        let _ = shared.nodes[node].wakes.try_send(Wake::Block(hash));
    }
    let Some(state) = submission.note(node, answer) else { return };
    match &state {
        BlockState::Rejected(reason) => tracing::error!(block = %hash, reason, "block rejected"),
        // The engine tells of it as news, with height and finder.
        state => tracing::debug!(block = %hash, %state, "block"),
    }
    shared.source.block(hash, state.clone());
    if matches!(state, BlockState::Accepted | BlockState::Orphaned) {
        shared.follow.add(hash, Some(state));
        if matches!(submission.block, Block::Bytes(_)) {
            // It may be buried or pushed aside since long ago.
            shared.follow.look();
        }
        shared.refresh();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_acceptance_is_enough_and_a_rejection_needs_all() {
        use Answer::{Accepted, Beside, Refused, Waiting};
        let refused = || Refused("high-hash".to_owned());
        let rejected = || BlockState::Rejected("high-hash".to_owned());
        let table = [
            (vec![Waiting(0), Waiting(0)], BlockState::Pending),
            (vec![refused(), Waiting(0)], BlockState::Pending),
            (vec![refused(), Accepted], BlockState::Accepted),
            (vec![Waiting(99), Accepted], BlockState::Accepted),
            (vec![refused(), refused()], rejected()),
            (vec![refused(), Waiting(ATTEMPTS_BEFORE_VERDICT - 1)], BlockState::Pending),
            (vec![refused(), Waiting(ATTEMPTS_BEFORE_VERDICT)], rejected()),
            (vec![Beside, refused()], BlockState::Orphaned),
            (vec![Beside, Waiting(1)], BlockState::Pending),
            (vec![Waiting(99)], BlockState::Pending),
        ];
        for (answers, expected) in table {
            assert_eq!(verdict(&answers), expected, "{answers:?}");
        }
    }

    #[test]
    fn the_same_state_is_told_once_and_an_acceptance_stays() {
        let submission = Submission::new(Hash256::ZERO, Block::Bytes(Arc::new([])), 2);
        assert_eq!(submission.note(0, Answer::Waiting(1)), None);
        assert_eq!(submission.note(1, Answer::Accepted), Some(BlockState::Accepted));
        assert_eq!(submission.note(0, Answer::Accepted), None);
        assert_eq!(submission.note(1, Answer::Refused("late".to_owned())), None);
    }
}
