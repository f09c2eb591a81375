//! What must be true, kept beside the pool: who is owed what, which blocks were found, what each submit deserves.
//!
//! A finding is a panic with a sentence; the runner turns it into a report with the seed.

use crate::miner::{Intention, Submit};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;
use warppool_components::block::BlockState;
use warppool_components::record::{Restored, StoreBatch};
use warppool_components::snapshot::Snapshot;
use warppool_components::worker::WorkerId;

/// Age of a job up to which it is good for sure while its tip stands (rule 28).
const JOB_GOOD: Duration = Duration::from_secs(300);

/// Age of a job up to which a block of it must be recognised, whatever its tip.
const JOB_KNOWN: Duration = Duration::from_secs(60);

/// How far the time of a job may be ahead of the clock.
const JOB_TIME_AHEAD_SECONDS: u32 = 60;
/// Stands for the refusal of a share for a channel that is not there; other refusals have the codes of Stratum V1.
pub const NO_CHANNEL: i64 = -1;

/// How long a credited share may wait for its way to the store.
const ROW_DELAY_MAX: Duration = Duration::from_millis(60);

/// What a worker was told that it did.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Credit {
    /// Accepted shares.
    pub accepted: u64,
    /// Sum of their jobs' difficulties.
    pub difficulty: f64,
}

/// The books.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By username: what miners were told, and the pool must know.
    pub told: BTreeMap<String, Credit>,
    /// The same as of the last commit.
    durable: BTreeMap<String, Credit>,
    /// The same as of the last batch that was offered to the store.
    offered: BTreeMap<String, Credit>,
    /// Shares whose rows have not come yet.
    awaited: VecDeque<Awaited>,
    /// Found blocks whose first rows were offered to the store.
    to_journal: Vec<[u8; 32]>,
    /// Found blocks whose rows are durable.
    journaled: HashSet<[u8; 32]>,
    /// Found blocks that a crash kept out of the journal: a node may have them all the same.
    pub unlisted: HashSet<[u8; 32]>,
    names: BTreeMap<u32, String>,
    seen: HashSet<String>,
    /// Found blocks that must become known to the chain, by hash in internal byte order.
    pub candidates: BTreeMap<[u8; 32], u64>,
    /// Blocks that were handed over or must be, as they are shown.
    handed_over: HashSet<String>,
    /// Blocks of which the engine knows what became of them.
    concluded: HashSet<[u8; 32]>,
    /// Refused shares that the pool's sums must hold: those before the last start, and what miners were told since.
    refused_sum: u64,
    /// Submits since the last start of which nobody was told whether they are refused.
    refused_doubtful: u64,
    /// Blocks that this tick must hand over.
    expected: Vec<String>,
    /// Hashes whose header time is too new or too old for the node, should they be blocks.
    mistimed: HashSet<String>,
    /// All accepted shares of the run.
    pub accepted: u64,
    /// All refused ones.
    pub refused: u64,
}

/// A share whose row has not come yet.
#[derive(Debug)]
struct Awaited {
    at_ns: u64,
    user: String,
    difficulty: f64,
    /// Whether it was credited is not known: its miner hung up before the answer.
    is_doubtful: bool,
}

/// The tips that work of a tick may build on: before it and after it.
#[derive(Clone, Copy, Debug)]
pub struct Tips {
    /// The tip that the pool knew before the tick.
    pub before: Option<[u8; 32]>,
    /// The tip that it knows after it.
    pub after: Option<[u8; 32]>,
    /// When it came back to that tip, in seconds, if it had left it: jobs from before then are stale.
    pub returned_at: Option<u32>,
}

impl Ledger {
    /// Outcomes that `submit` may have, by code, when it reaches the pool now.
    pub fn allowed(&mut self, submit: &Submit, tips: Tips, unix_seconds: u32) -> Vec<Result<(), i64>> {
        match submit.intention {
            Intention::UnknownChannel => return vec![Err(NO_CHANNEL)],
            // It may have been named meanwhile; then it has another fault.
            Intention::FutureJob => return vec![Err(21), Err(20)],
            _ => {}
        }
        let Some(previous_block) = submit.previous_block else { return vec![Err(21)] };
        let (was, is) = (tips.before == Some(previous_block), tips.after == Some(previous_block));
        let mut outcomes = Vec::new();
        // The time of a job may be some seconds ahead of the clock, on a tip whose own time is.
        let is_from_before = tips.returned_at.is_some_and(|at| submit.job_ntime <= at + JOB_TIME_AHEAD_SECONDS);
        if !(was && is) || is_from_before {
            outcomes.push(Err(21));
        }
        let age = unix_seconds.saturating_sub(submit.job_ntime);
        if u64::from(age) > JOB_GOOD.as_secs() {
            outcomes.push(Err(21));
        }
        // What is refused for another reason is not remembered.
        let is_wrong = matches!(
            submit.intention,
            Intention::TooNew | Intention::TooOld | Intention::ForbiddenBits | Intention::WrongSize
        );
        let is_weak = submit.intention == Intention::Weak;
        let is_repeated = !is_wrong && !is_weak && !self.seen.insert(submit.key.clone());
        if is_wrong {
            outcomes.push(Err(20));
        } else if is_weak {
            outcomes.push(Err(23));
        } else if is_repeated {
            outcomes.push(Err(22));
        } else if was || is {
            outcomes.push(Ok(()));
        }
        outcomes
    }

    /// A submit of known work met the network's target: a block must come of it in this tick, also when it is no good
    /// share. The same block is handed over once.
    pub fn expect_block(&mut self, submit: &Submit, unix_seconds: u32) {
        let age = unix_seconds.saturating_sub(submit.job_ntime);
        let hash = &submit.hash;
        let has_header = submit.previous_block.is_some() && submit.intention != Intention::WrongSize;
        let is_known = has_header && u64::from(age) <= JOB_KNOWN.as_secs();
        if is_known && submit.intention != Intention::Repeated && self.handed_over.insert(hash.clone()) {
            self.expected.push(hash.clone());
        }
    }

    /// Should this hash be a block, the node refuses it for its time. It is handed over all the same: the pool does not
    /// judge in the chain's place.
    pub fn expect_refusal(&mut self, hash: &str) {
        self.mistimed.insert(hash.to_owned());
    }

    /// Whether a node is right to refuse a block for its header's time.
    pub fn is_mistimed(&self, hash: [u8; 32]) -> bool {
        self.mistimed.contains(&shown(hash))
    }

    /// Whether the node is right to refuse a block. It need not become known to the chain then.
    pub fn is_refusal_due(&mut self, hash: [u8; 32], reason: &str) -> bool {
        let is_due = matches!(reason, "time-too-new" | "time-too-old") && self.is_mistimed(hash);
        if is_due {
            self.candidates.remove(&hash);
        }
        is_due
    }

    /// The pool hands a block over.
    pub fn found(&mut self, shown: &str, hash: [u8; 32], at_ns: u64) {
        self.candidates.entry(hash).or_insert(at_ns);
        self.handed_over.insert(shown.to_owned());
        self.expected.retain(|expected| expected != shown);
    }

    /// All blocks that a tick had to hand over were.
    pub fn check_blocks(&mut self) {
        assert!(self.expected.is_empty(), "found and not handed over: {:?}", self.expected);
    }

    /// The pool answered a submit.
    pub fn verdict(&mut self, submit: &Submit, allowed: &[Result<(), i64>], verdict: Result<(), i64>, at_ns: u64) {
        let intention = submit.intention;
        assert!(
            allowed.contains(&verdict),
            "a share meant as {intention:?} was answered {verdict:?}, allowed {allowed:?}: {submit:?}"
        );
        if verdict == Err(NO_CHANNEL) {
            // Nobody's share: it is in no sum.
            return;
        }
        if verdict.is_err() {
            self.refused += 1;
            self.refused_sum += 1;
            return;
        }
        self.accepted += 1;
        self.credit(&submit.user, submit.difficulty);
        self.await_row(submit, at_ns, false);
    }

    /// The miner hung up: its share counts all the same, but nobody is told.
    pub fn unanswered(&mut self, submit: &Submit, allowed: &[Result<(), i64>], at_ns: u64) {
        if allowed == [Ok(())] {
            self.credit(&submit.user, submit.difficulty);
            self.await_row(submit, at_ns, false);
            return;
        }
        if allowed == [Err(NO_CHANNEL)] {
            return;
        }
        self.refused_doubtful += 1;
        if allowed.contains(&Ok(())) {
            self.await_row(submit, at_ns, true);
        }
    }

    /// A line that is no request, because its miner hung up in the middle of it.
    pub fn unfinished_line(&mut self) {
        self.refused_doubtful += 1;
    }

    /// The engine is told what became of a block.
    pub fn concluded(&mut self, hash: [u8; 32]) {
        self.concluded.insert(hash);
    }

    fn credit(&mut self, user: &str, difficulty: f64) {
        let credit = self.told.entry(user.to_owned()).or_default();
        credit.accepted += 1;
        credit.difficulty += difficulty;
    }

    fn await_row(&mut self, submit: &Submit, at_ns: u64, is_doubtful: bool) {
        let (user, difficulty) = (submit.user.clone(), submit.difficulty);
        self.awaited.push_back(Awaited { at_ns, user, difficulty, is_doubtful });
    }

    /// A tick's rows on their way to the store.
    pub fn rows(&mut self, records: &StoreBatch, now_ns: u64) {
        let StoreBatch { workers, shares, blocks, .. } = records;
        let first = blocks.iter().filter(|row| row.state == BlockState::Pending);
        self.to_journal.extend(first.map(|row| *row.hash.as_internal()));
        for row in workers.iter() {
            self.names.insert(row.id.0, format!("{}.{}", row.address, row.name));
        }
        for row in shares.iter().filter(|row| row.reject.is_none()) {
            let name = self.name(row.worker).to_owned();
            let Awaited { user, difficulty, is_doubtful, .. } = self.next_awaited(&name, row.difficulty);
            assert_eq!(name, user, "a share credited to somebody else");
            assert!(is_near(row.difficulty, difficulty), "credited {} instead of {difficulty}", row.difficulty);
            if is_doubtful {
                self.credit(&user, difficulty);
            }
            let credit = self.offered.entry(user).or_default();
            credit.accepted += 1;
            credit.difficulty += difficulty;
        }
        let is_over = |awaited: &Awaited| Duration::from_nanos(now_ns - awaited.at_ns) > ROW_DELAY_MAX;
        while self.awaited.front().is_some_and(|awaited| awaited.is_doubtful && is_over(awaited)) {
            self.awaited.pop_front();
        }
        let late = self.awaited.front().filter(|awaited| is_over(awaited));
        assert!(late.is_none(), "a share has waited too long for its row: {late:?}");
    }

    /// The share that a row is for: doubtful ones that do not fit were refused.
    fn next_awaited(&mut self, name: &str, difficulty: f64) -> Awaited {
        loop {
            let awaited = self.awaited.pop_front().expect("a row for a share that nobody was credited");
            let fits = awaited.user == name && is_near(awaited.difficulty, difficulty);
            if fits || !awaited.is_doubtful {
                return awaited;
            }
        }
    }

    fn name(&self, worker: WorkerId) -> &str {
        self.names.get(&worker.0).map_or("(a worker without a row)", String::as_str)
    }

    /// What was offered to the store is durable.
    pub fn committed(&mut self) {
        self.durable.clone_from(&self.offered);
        self.journaled.extend(self.to_journal.drain(..));
    }

    /// The pool dies. A block that neither the chain nor the disk has is lost with it; that is excused only while the
    /// disk fails, or in the very tick that found it.
    pub fn crash(&mut self, is_excused: bool, is_known: impl Fn([u8; 32]) -> bool) {
        let journaled = &self.journaled;
        self.unlisted.extend(self.candidates.keys().filter(|hash| !journaled.contains(*hash)));
        let before = self.candidates.len();
        self.candidates.retain(|hash, _| journaled.contains(hash) || is_known(*hash));
        assert!(is_excused || self.candidates.len() == before, "a crash lost a block");
    }

    /// The pool starts again: what the store remembers lies between what was durable and what was told.
    pub fn restart(&mut self, restored: &Restored) {
        self.check_journal(restored);
        self.refused_sum = restored.totals.map_or(0, |totals| totals.rejected.iter().sum());
        self.refused_doubtful = 0;
        let mut remembered = BTreeMap::new();
        self.names.clear();
        for row in &restored.workers {
            let user = format!("{}.{}", row.address, row.name);
            remembered.insert(user.clone(), Credit { accepted: row.accepted, difficulty: row.accepted_difficulty });
            self.names.insert(row.id.0, user);
        }
        for (user, durable) in &self.durable {
            let has = remembered.get(user).copied().unwrap_or_default();
            let told = self.told.get(user).copied().unwrap_or_default();
            assert!(
                (durable.accepted..=told.accepted).contains(&has.accepted),
                "after a crash {user} has {} shares, {} were durable and {} told",
                has.accepted,
                durable.accepted,
                told.accepted
            );
        }
        for (user, has) in &remembered {
            let told = self.told.get(user).copied().unwrap_or_default();
            assert!(
                has.accepted <= told.accepted,
                "{user} has {} shares of {} after a crash",
                has.accepted,
                told.accepted
            );
        }
        self.told.clone_from(&remembered);
        self.durable.clone_from(&remembered);
        self.offered = remembered;
        self.awaited.clear();
        self.to_journal.clear();
        self.seen.clear();
        self.expected.clear();
    }

    /// Sums in memory, as HTTP shows them, are the sums that miners were told.
    pub fn check_snapshot(&self, snapshot: &Snapshot) {
        let is_settled = |user: &str| !self.awaited.iter().any(|awaited| awaited.is_doubtful && awaited.user == user);
        for worker in snapshot.workers.iter().filter(|worker| is_settled(&worker.label)) {
            let told = self.told.get(&*worker.label).copied().unwrap_or_default();
            assert_eq!(worker.accepted, told.accepted, "{} in the snapshot", worker.label);
            assert!(is_near(worker.accepted_difficulty, told.difficulty), "sum of {} in the snapshot", worker.label);
        }
        if !self.awaited.iter().any(|awaited| awaited.is_doubtful) {
            let told: u64 = self.told.values().map(|credit| credit.accepted).sum();
            assert_eq!(snapshot.pool.accepted, told, "the pool's shares in the snapshot");
        }
        let refused: u64 = snapshot.pool.rejected.iter().sum();
        let allowed = self.refused_sum..=self.refused_sum + self.refused_doubtful;
        assert!(allowed.contains(&refused), "{refused} refused shares in the snapshot, {allowed:?} were told");
        let shown: HashSet<&str> = snapshot.workers.iter().map(|worker| &*worker.label).collect();
        let missing = self.told.iter().find(|(user, credit)| credit.accepted > 0 && !shown.contains(user.as_str()));
        assert!(missing.is_none(), "{missing:?} is missing in the snapshot");
    }

    /// What was journaled and has no fate yet is in the store, whole.
    fn check_journal(&self, restored: &Restored) {
        let open = self.journaled.iter().filter(|hash| !self.concluded.contains(*hash));
        for hash in open.filter(|hash| self.candidates.contains_key(*hash)) {
            let row = restored.blocks.iter().find(|row| row.hash.as_internal() == hash);
            assert!(row.is_some_and(|row| row.raw.is_some()), "a journaled block is not in the store");
        }
    }

    /// At the end the store has what was told, to the share.
    pub fn check_store(&self, restored: &Restored) {
        self.check_journal(restored);
        for (user, told) in self.told.iter().filter(|(_, told)| told.accepted > 0) {
            let row = restored.workers.iter().find(|row| format!("{}.{}", row.address, row.name) == *user);
            let row = row.unwrap_or_else(|| panic!("{user} is not in the store"));
            assert_eq!(row.accepted, told.accepted, "{user} in the store");
            assert!(is_near(row.accepted_difficulty, told.difficulty), "sum of {user} in the store");
        }
    }
}

/// A hash as people see it, from its internal byte order.
fn shown(hash: [u8; 32]) -> String {
    hash.iter().rev().map(|byte| format!("{byte:02x}")).collect()
}

/// Equal but for rounding of sums.
fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
}
