//! Found blocks on their way to the nodes. Pure, but for the lock around what all nodes say of a block.
//!
//! A block goes to every node at once, by messengers that wait for nothing else, and goes again until there is a final
//! answer. `null` and `duplicate` mean that the node has it. `inconclusive`, `duplicate-inconclusive`, time-outs
//! and broken connections are no answer: then the chain is asked. A block is rejected only when every node that
//! answers at all has refused it.

use super::question::{Outcome, Question, Reply};
use super::rpc::{RpcError, SubmitRequest};
use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use warppool_components::block::{BlockCandidate, BlockState};
use warppool_components::limits::BLOCKS_SUBMITTING_MAX;
use warppool_components::record::BlockRow;
use warppool_components::units::{Hash256, Instant};

/// Messengers to a node: a second block must not wait for a slow answer about the first.
pub(super) const MESSENGERS_PER_NODE: usize = 2;

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

/// In place of the answer of a node that could not be given the block.
pub(super) const GIVEN_UP: Answer = Answer::Waiting(ATTEMPTS_BEFORE_VERDICT);

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

/// What is to be done about a block of the store when the pool starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Upkeep {
    /// No node gave a final answer: these bytes are submitted again.
    Submit(Arc<[u8]>),
    /// It was taken, and may be buried or pushed aside meanwhile.
    Follow,
    /// Its fate is known.
    Nothing,
}

impl Upkeep {
    /// What `row` asks for. Its bytes are taken out of it.
    pub fn of(row: &mut BlockRow) -> Self {
        match (row.raw.take(), &row.state) {
            (Some(raw), BlockState::Pending) => Self::Submit(raw),
            (_, BlockState::Rejected(_)) => Self::Nothing,
            _ => Self::Follow,
        }
    }
}

/// Where the bytes of a block come from.
enum Block {
    Candidate(Arc<BlockCandidate>),
    Bytes(Arc<[u8]>),
}

/// A block on its way.
pub struct Submission {
    hash: Hash256,
    block: Block,
    request: OnceLock<SubmitRequest>,
    /// When the engine handed it over.
    pub(super) handed_at: Instant,
    /// Answers by node, and the state that was told last.
    outcome: Mutex<(Vec<Answer>, BlockState)>,
}

impl fmt::Debug for Submission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Submission({})", self.hash)
    }
}

impl Submission {
    /// A block that was just found.
    pub(super) fn found(candidate: Arc<BlockCandidate>, nodes: usize, now: Instant) -> Self {
        tracing::debug!(block = %candidate.hash, height = candidate.template.height, worker = %candidate.worker_label, "block found");
        Self::new(candidate.hash, Block::Candidate(candidate), nodes, now)
    }

    /// A block that was found earlier, from its bytes.
    pub(super) fn found_earlier(hash: Hash256, bytes: Arc<[u8]>, nodes: usize, now: Instant) -> Self {
        tracing::debug!(block = %hash, "submitting a block of an earlier run again");
        Self::new(hash, Block::Bytes(bytes), nodes, now)
    }

    fn new(hash: Hash256, block: Block, nodes: usize, handed_at: Instant) -> Self {
        let outcome = Mutex::new((vec![Answer::Waiting(0); nodes], BlockState::Pending));
        Self { hash, block, request: OnceLock::new(), handed_at, outcome }
    }

    /// The block's hash.
    pub const fn hash(&self) -> Hash256 {
        self.hash
    }

    /// The whole block: header, count, coinbase with witness, transactions.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match &self.block {
            Block::Candidate(candidate) => candidate.serialise().into(),
            Block::Bytes(bytes) => Cow::Borrowed(bytes),
        }
    }

    /// Made by the first messenger that needs it, so that the engine's thread does not.
    pub(super) fn request(&self) -> &SubmitRequest {
        self.request.get_or_init(|| SubmitRequest::new(&self.bytes()))
    }

    /// Whether it was found in an earlier run.
    pub(super) const fn is_of_earlier_run(&self) -> bool {
        matches!(self.block, Block::Bytes(_))
    }

    /// Notes an answer; the state when it is another one now.
    pub(super) fn note(&self, node: usize, answer: Answer) -> Option<BlockState> {
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

/// Hands a block to all nodes, one right after the other: `offer` gives it to a node's messengers, and says whether they had
/// room. Gives the nodes without.
pub(super) fn hand_to_all(nodes: usize, mut offer: impl FnMut(usize) -> bool) -> Vec<usize> {
    (0..nodes).filter(|node| !offer(*node)).collect()
}

/// What follows from the end of a question.
pub(super) enum Delivery {
    /// One more question, about the same block.
    Ask(Question),
    /// The attempt is over, with this answer of the node.
    Over(Arc<Submission>, Answer),
}

/// Carries blocks to one node, one at a time, and again those that got no final answer.
#[derive(Debug)]
pub(super) struct Messenger {
    node: usize,
    retries: Vec<Retry>,
    attempt: Option<Attempt>,
}

/// A submission that had no final answer.
#[derive(Debug)]
struct Retry {
    submission: Arc<Submission>,
    due: Instant,
    attempts: u32,
}

/// A block that is with the node.
#[derive(Debug)]
struct Attempt {
    submission: Arc<Submission>,
    /// Attempts before this one.
    attempts: u32,
    asked: Asked,
}

/// What the node was asked about the block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    /// To take it.
    Block,
    /// Where it is in the chain, because the node only said that it knows it.
    Place,
    /// The same, because there was no answer. The node may know the header alone: only its place in the best chain is
    /// proof.
    Proof,
}

/// What an answer means.
enum Meaning {
    Final(Answer),
    Ask(Asked),
    Nothing,
}

impl Messenger {
    pub(super) const fn new(node: usize) -> Self {
        Self { node, retries: Vec::new(), attempt: None }
    }

    /// When the next attempt is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.retries.iter().map(|retry| retry.due).min()
    }

    /// A block whose next attempt is due, and the attempts so far.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Arc<Submission>, u32)> {
        let index = self.retries.iter().position(|retry| retry.due <= now)?;
        let retry = self.retries.swap_remove(index);
        Some((retry.submission, retry.attempts))
    }

    /// Begins an attempt; `None` when there is no need any more.
    pub(super) fn begin(&mut self, submission: Arc<Submission>, attempts: u32) -> Option<Question> {
        if attempts > 0 && submission.is_accepted() {
            // Another node has it: the network brings it to this one.
            return None;
        }
        let question = Question::Submit(Arc::clone(&submission));
        self.attempt = Some(Attempt { submission, attempts, asked: Asked::Block });
        Some(question)
    }

    /// How the question ended; `None` when none was open.
    pub(super) fn answered(&mut self, outcome: Outcome, now: Instant) -> Option<Delivery> {
        let Attempt { submission, attempts, asked } = self.attempt.take()?;
        let answer = match self.meaning(&submission, attempts, asked, outcome) {
            Meaning::Ask(asked) => {
                let question = Question::BlockHeader(submission.hash);
                self.attempt = Some(Attempt { submission, attempts, asked });
                return Some(Delivery::Ask(question));
            }
            Meaning::Final(answer) => answer,
            Meaning::Nothing => {
                self.try_again(&submission, attempts + 1, now);
                Answer::Waiting(attempts + 1)
            }
        };
        Some(Delivery::Over(submission, answer))
    }

    fn try_again(&mut self, submission: &Arc<Submission>, attempts: u32, now: Instant) {
        if self.retries.len() == BLOCKS_SUBMITTING_MAX {
            tracing::error!(block = %submission.hash, node = self.node, "too many blocks wait; this one is not tried again until the next start");
            return;
        }
        let pause = PAUSE_MIN.saturating_mul(1 << attempts.min(8)).min(PAUSE_MAX);
        self.retries.push(Retry { submission: Arc::clone(submission), due: now + pause, attempts });
    }

    fn meaning(&self, submission: &Submission, attempts: u32, asked: Asked, outcome: Outcome) -> Meaning {
        match (asked, outcome) {
            (Asked::Block, Ok(Reply::Submitted(None))) => Meaning::Final(Answer::Accepted),
            (Asked::Block, Ok(Reply::Submitted(Some(text)))) => self.meaning_of_words(submission, attempts, text),
            (Asked::Block, Err(RpcError::Node { code: CODE_NO_BLOCK, message, .. })) => {
                Meaning::Final(Answer::Refused(message))
            }
            (Asked::Block, Err(error)) => {
                tracing::warn!(block = %submission.hash, node = self.node, %error, "submitblock gave no answer; trying again");
                let is_reached = matches!(error, RpcError::TimedOut { .. } | RpcError::Transport { .. });
                if is_reached { Meaning::Ask(Asked::Proof) } else { Meaning::Nothing }
            }
            (Asked::Place | Asked::Proof, Ok(Reply::Header(Some(header)))) if header.confirmations >= 1 => {
                Meaning::Final(Answer::Accepted)
            }
            (Asked::Place, Ok(Reply::Header(Some(_)))) => Meaning::Final(Answer::Beside),
            _ => Meaning::Nothing,
        }
    }

    fn meaning_of_words(&self, submission: &Submission, attempts: u32, text: String) -> Meaning {
        match text.as_str() {
            "duplicate" => Meaning::Final(Answer::Accepted),
            "inconclusive" | "duplicate-inconclusive" => Meaning::Ask(Asked::Place),
            reason if PASSING_REFUSALS.contains(&reason) && attempts < ATTEMPTS_AT_PASSING_REFUSAL => {
                tracing::warn!(block = %submission.hash, node = self.node, reason, "block refused for now; trying again");
                Meaning::Nothing
            }
            _ => Meaning::Final(Answer::Refused(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::rpc::Header;
    use crate::node::template::Tip;
    use warppool_components::units::UnixTime;

    const NOW: Instant = Instant(1_000_000_000);

    fn submission(nodes: usize) -> Submission {
        Submission::found_earlier(Hash256::ZERO, Arc::new([]), nodes, NOW)
    }

    fn header(confirmations: i64) -> Outcome {
        let time = UnixTime::default();
        let tip = Tip { hash: Hash256::ZERO, height: 1, bits: 0x207f_ffff, time, median_time: time };
        Ok(Reply::Header(Some(Header { tip, confirmations })))
    }

    fn words(text: &str) -> Outcome {
        Ok(Reply::Submitted(Some(text.to_owned())))
    }

    fn silence() -> Outcome {
        Err(RpcError::TimedOut { method: "submitblock", address: "node".to_owned(), after: Duration::from_secs(30) })
    }

    fn nobody() -> Outcome {
        Err(RpcError::Connect { address: "node".to_owned(), why: "refused".to_owned() })
    }

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
        let submission = submission(2);
        assert_eq!(submission.note(0, Answer::Waiting(1)), None);
        assert_eq!(submission.note(1, Answer::Accepted), Some(BlockState::Accepted));
        assert_eq!(submission.note(0, Answer::Accepted), None);
        assert_eq!(submission.note(1, Answer::Refused("late".to_owned())), None);
    }

    #[test]
    fn each_answer_has_its_meaning_and_what_is_no_answer_makes_the_chain_be_asked() {
        let refused = |reason: &str| Answer::Refused(reason.to_owned());
        let table: [(Outcome, Option<Outcome>, Answer); 12] = [
            (Ok(Reply::Submitted(None)), None, Answer::Accepted),
            (words("duplicate"), None, Answer::Accepted),
            (words("inconclusive"), Some(header(1)), Answer::Accepted),
            (words("duplicate-inconclusive"), Some(header(-1)), Answer::Beside),
            (words("inconclusive"), Some(Ok(Reply::Header(None))), Answer::Waiting(1)),
            (words("inconclusive"), Some(nobody()), Answer::Waiting(1)),
            (words("high-hash"), None, refused("high-hash")),
            (words("prev-blk-not-found"), None, Answer::Waiting(1)),
            (words("time-too-new"), None, Answer::Waiting(1)),
            (silence(), Some(header(1)), Answer::Accepted),
            (silence(), Some(header(-1)), Answer::Waiting(1)),
            (nobody(), None, Answer::Waiting(1)),
        ];
        for (number, (said, chain, expected)) in table.into_iter().enumerate() {
            let mut messenger = Messenger::new(0);
            assert!(messenger.begin(Arc::new(submission(1)), 0).is_some());
            let mut delivery = messenger.answered(said, NOW);
            if let Some(chain) = chain {
                let question = matches!(delivery, Some(Delivery::Ask(Question::BlockHeader(Hash256::ZERO))));
                assert!(question, "{number}: the chain is asked");
                delivery = messenger.answered(chain, NOW);
            }
            let Some(Delivery::Over(_, answer)) = delivery else { panic!("{number}: no answer") };
            assert_eq!(messenger.due().is_some(), matches!(answer, Answer::Waiting(_)), "{number}");
            assert_eq!(answer, expected, "{number}");
        }
    }

    #[test]
    fn a_block_is_tried_again_until_another_node_has_it() {
        let mut messenger = Messenger::new(0);
        let submission = Arc::new(submission(2));
        let mut due = (Arc::clone(&submission), 0);
        let mut now = NOW;
        for pause_ms in [500, 1000, 2000, 4000, 5000, 5000] {
            assert!(messenger.begin(due.0, due.1).is_some());
            assert!(messenger.answered(nobody(), now).is_some());
            assert!(messenger.take_due(now).is_none());
            now = now + Duration::from_millis(pause_ms);
            due = messenger.take_due(now).expect("due");
        }
        submission.note(1, Answer::Accepted);
        assert!(messenger.begin(due.0, due.1).is_none());
        assert_eq!(messenger.due(), None);
    }
}
