//! A channel as the miner knows it, and the rules that a pool keeps towards it.

use crate::client::Verdict;
use bitcoin::consensus::encode::deserialize;
use bitcoin::{BlockHash, Target, Transaction};
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// Longest extranonce that the specification knows, prefix and miner's part together.
pub const EXTRANONCE_BYTES_MAX: usize = 32;

/// Deepest merkle path that a Bitaxe takes.
const MERKLE_PATH_MAX: usize = 20;

/// Future jobs that a Bitaxe keeps, by their id modulo this.
const FUTURE_RING: u32 = 8;

/// Version, number of inputs, outpoint and length of the script: what stands before a coinbase's script.
const BEFORE_SCRIPT_BYTES: usize = 4 + 1 + 36 + 1;

/// Longest script of a coinbase (consensus).
const COINBASE_SCRIPT_MAX: usize = 100;

/// What a channel was opened as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelKind {
    /// The pool's prefix is the whole extranonce.
    Standard,
    /// The miner has so many bytes of its own.
    Extended(usize),
}

/// The tip that a channel builds on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tip {
    /// The block before.
    pub previous_block: BlockHash,
    /// Earliest header time.
    pub min_ntime: u32,
    /// The network's target.
    pub bits: u32,
}

/// What becomes the merkle root.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Work {
    /// The root itself.
    Root([u8; 32]),
    /// The coinbase around the extranonce, and the siblings on its way to the root, deepest first.
    Coinbase {
        /// Before the extranonce.
        prefix: Vec<u8>,
        /// Behind it.
        suffix: Vec<u8>,
        /// In the order of folding.
        path: Vec<[u8; 32]>,
    },
}

/// Whether a job can be worked on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobState {
    /// It waits for its tip.
    Future,
    /// It is on the tip.
    Active,
    /// Its tip is not the tip any more, or a tip came that did not name it.
    Stale,
}

/// A job as it was sent.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its number in this channel.
    pub id: u32,
    /// The header's version.
    pub version: u32,
    /// Whether bits of it may be rolled.
    pub may_roll_version: bool,
    /// What is worked on.
    pub work: Work,
    /// The pool's part of the extranonce when it was sent.
    pub extranonce_prefix: Vec<u8>,
    /// Whether it was sent before its tip.
    pub was_future: bool,
    /// Whether it can be worked on.
    pub state: JobState,
    /// Earliest header time, once it has a tip.
    pub min_ntime: Option<u32>,
    /// What governs its shares, once it has a tip.
    pub target: Option<Target>,
    /// Its tip, once it has one.
    pub tip: Option<Tip>,
}

/// A submit that is not answered.
#[derive(Clone, Copy, Debug)]
struct Pending {
    sequence: u32,
    difficulty: f64,
}

/// A channel.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Its number in the connection.
    pub id: u32,
    /// What it was opened as.
    pub kind: ChannelKind,
    /// The group that it belongs to.
    pub group: u32,
    /// The pool's part of the extranonce of jobs to come.
    pub extranonce_prefix: Vec<u8>,
    /// What governs jobs to come.
    pub target: Target,
    /// What it was opened with.
    pub first_target: Target,
    /// The tip.
    pub tip: Option<Tip>,
    /// All jobs, oldest first.
    pub jobs: Vec<Job>,
    /// Tips that it was told of.
    pub tips_heard: u32,
    /// Targets that it was told of after its opening.
    pub targets_heard: u32,
    /// Shares that were credited, as the pool has told.
    pub accepted: u64,
    /// Sum of their difficulties, as the pool has told.
    pub accepted_sum: u64,
    /// `SubmitShares.Success` heard.
    pub successes: u64,
    /// The miner's easiest target, as far as the pool has answered.
    max_target: Target,
    /// What it has asked for since, oldest first; the pool may still stand at any of them.
    asked_max_targets: VecDeque<Target>,
    ids: HashSet<u32>,
    /// Hashes of versions and works, because a channel of weeks has had very many.
    works: HashSet<u64>,
    ring: [Option<u32>; FUTURE_RING as usize],
    next_sequence: u32,
    pending: VecDeque<Pending>,
    expected_sum: f64,
}

impl Channel {
    /// A channel as its opening's success tells.
    pub(crate) fn new(id: u32, kind: ChannelKind, group: u32, prefix: Vec<u8>, target: Target, asked: Target) -> Self {
        let channel = Self {
            id,
            kind,
            group,
            extranonce_prefix: prefix,
            target,
            first_target: target,
            tip: None,
            jobs: Vec::new(),
            tips_heard: 0,
            targets_heard: 0,
            accepted: 0,
            accepted_sum: 0,
            successes: 0,
            max_target: asked,
            asked_max_targets: VecDeque::new(),
            ids: HashSet::new(),
            works: HashSet::new(),
            ring: [None; FUTURE_RING as usize],
            next_sequence: 0,
            pending: VecDeque::new(),
            expected_sum: 0.0,
        };
        let total = channel.extranonce_bytes();
        assert!(
            total <= EXTRANONCE_BYTES_MAX,
            "channel {id}: an extranonce of {total} bytes, {EXTRANONCE_BYTES_MAX} at most"
        );
        channel.check_target(target);
        channel
    }

    /// Prefix and miner's part together.
    pub fn extranonce_bytes(&self) -> usize {
        self.extranonce_prefix.len() + self.own_extranonce_bytes()
    }

    /// The miner's part.
    pub fn own_extranonce_bytes(&self) -> usize {
        match self.kind {
            ChannelKind::Standard => 0,
            ChannelKind::Extended(bytes) => bytes,
        }
    }

    /// The latest job that can be worked on.
    ///
    /// # Panics
    /// When there is none.
    pub fn job(&self) -> &Job {
        self.active_job().unwrap_or_else(|| panic!("channel {} has nothing to work on", self.id))
    }

    /// The latest job that can be worked on.
    pub fn active_job(&self) -> Option<&Job> {
        self.jobs.iter().rev().find(|job| job.state == JobState::Active)
    }

    /// The latest job that waits for its tip.
    pub fn future_job(&self) -> Option<&Job> {
        self.jobs.iter().rev().find(|job| job.state == JobState::Future)
    }

    /// The job of this number.
    pub fn job_of(&self, id: u32) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }

    /// Submits that are not answered.
    pub fn unanswered(&self) -> usize {
        self.pending.len()
    }

    /// Nothing is half told: a channel that has its first job has its first tip too.
    pub(crate) fn check_whole(&self) {
        let is_half = !self.jobs.is_empty() && self.tip.is_none();
        assert!(!is_half, "channel {} was sent its first job without its first tip in the same write", self.id);
    }

    /// Forgets all jobs with a tip but the latest ones.
    pub(crate) fn forget_jobs(&mut self, kept: usize) {
        if self.jobs.len() > 2 * kept {
            let old = self.jobs.len() - kept;
            let mut place = 0;
            self.jobs.retain(|job| {
                place += 1;
                place > old || job.state == JobState::Future
            });
        }
    }

    /// A job for this channel.
    pub(crate) fn hear_job(&mut self, id: u32, min_ntime: Option<u32>, version: u32, may_roll: bool, work: Work) {
        let channel = self.id;
        assert!(self.ids.insert(id), "channel {channel}: the job id {id} was used before");
        assert!(
            self.works.insert(BuildHasherDefault::<DefaultHasher>::new().hash_one((version, &work))),
            "channel {channel}: job {id} is the same work as an earlier job"
        );
        self.check_work(id, &work);
        let mut job = Job {
            id,
            version,
            may_roll_version: may_roll,
            work,
            extranonce_prefix: self.extranonce_prefix.clone(),
            was_future: min_ntime.is_none(),
            state: JobState::Future,
            min_ntime,
            target: None,
            tip: None,
        };
        match min_ntime {
            None => self.ring[(id % FUTURE_RING) as usize] = Some(id),
            Some(min_ntime) => {
                let tip = self
                    .tip
                    .unwrap_or_else(|| panic!("channel {channel}: job {id} is active before any SetNewPrevHash"));
                assert!(min_ntime >= tip.min_ntime, "channel {channel}: job {id} allows earlier times than its tip");
                (job.state, job.target, job.tip) = (JobState::Active, Some(self.target), Some(tip));
            }
        }
        self.jobs.push(job);
    }

    fn check_work(&self, id: u32, work: &Work) {
        let Work::Coinbase { prefix, suffix, path } = work else { return };
        let channel = self.id;
        assert!(path.len() <= MERKLE_PATH_MAX, "channel {channel}: job {id} has a merkle path of {}", path.len());
        let extranonce = vec![0; self.extranonce_bytes()];
        let coinbase = [prefix.as_slice(), &extranonce, suffix].concat();
        let transaction: Transaction = deserialize(&coinbase)
            .unwrap_or_else(|error| panic!("channel {channel}: the coinbase of job {id} is no transaction: {error}"));
        let has_no_witness = transaction.base_size() == coinbase.len();
        assert!(has_no_witness, "channel {channel}: the coinbase of job {id} has a segwit marker or witness");
        assert!(transaction.is_coinbase(), "channel {channel}: the coinbase of job {id} spends something");
        let script_bytes = transaction.input[0].script_sig.len();
        assert!(
            script_bytes <= COINBASE_SCRIPT_MAX,
            "channel {channel}: job {id} has a coinbase script of {script_bytes} bytes"
        );
        let script = BEFORE_SCRIPT_BYTES..=BEFORE_SCRIPT_BYTES + script_bytes;
        let is_within = script.contains(&prefix.len()) && script.contains(&(prefix.len() + extranonce.len()));
        assert!(is_within, "channel {channel}: the extranonce of job {id} is outside the coinbase's script");
    }

    /// A tip for this channel.
    pub(crate) fn hear_tip(&mut self, id: u32, tip: Tip) {
        let (channel, target) = (self.id, self.target);
        let named = self.jobs.iter().position(|job| job.id == id);
        let named =
            named.unwrap_or_else(|| panic!("channel {channel}: SetNewPrevHash names job {id}, which was never sent"));
        let job = &self.jobs[named];
        assert!(job.was_future, "channel {channel}: SetNewPrevHash names job {id}, which was sent with min_ntime");
        assert_eq!(
            job.state,
            JobState::Future,
            "channel {channel}: SetNewPrevHash names job {id}, which waits for no tip"
        );
        let slot = self.ring[(id % FUTURE_RING) as usize];
        assert_eq!(slot, Some(id), "channel {channel}: a Bitaxe has overwritten the future job {id} by a later one");
        for job in &mut self.jobs {
            job.state = JobState::Stale;
        }
        self.ring = [None; FUTURE_RING as usize];
        let job = &mut self.jobs[named];
        (job.state, job.target, job.tip, job.min_ntime) =
            (JobState::Active, Some(target), Some(tip), Some(tip.min_ntime));
        self.tip = Some(tip);
        self.tips_heard += 1;
    }

    /// A target for jobs to come.
    pub(crate) fn hear_target(&mut self, target: Target) {
        if let Some(asked) = self.asked_max_targets.pop_front_if(|asked| target <= *asked) {
            self.max_target = asked;
        }
        self.check_target(target);
        self.target = target;
        self.targets_heard += 1;
    }

    fn check_target(&self, target: Target) {
        assert_ne!(target, Target::ZERO, "channel {}: no hash meets the target 0", self.id);
        let max_target = self.asked_max_targets.iter().fold(self.max_target, |max, asked| max.max(*asked));
        assert!(target <= max_target, "channel {}: the target is easier than the miner's maximum", self.id);
    }

    /// The miner asks for another maximum.
    pub(crate) fn ask_max_target(&mut self, target: Target) {
        self.asked_max_targets.push_back(target);
    }

    /// The oldest maximum that it asked for is refused.
    pub(crate) fn hear_update_error(&mut self) {
        self.asked_max_targets.pop_front();
    }

    /// Another prefix for jobs to come.
    pub(crate) fn hear_prefix(&mut self, prefix: Vec<u8>) {
        let (before, now) = (self.extranonce_prefix.len(), prefix.len());
        assert_eq!(before, now, "channel {}: the new extranonce prefix has another length", self.id);
        self.extranonce_prefix = prefix;
    }

    /// A share of a job, if it is one of this channel, is about to be sent; gives its sequence number.
    pub(crate) fn submit(&mut self, job: u32) -> u32 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let target = self.job_of(job).and_then(|job| job.target);
        self.pending
            .push_back(Pending { sequence, difficulty: target.map_or(0.0, |target| target.difficulty_float()) });
        sequence
    }

    /// Gives the sequence numbers that are credited now.
    pub(crate) fn hear_success(&mut self, last: u32, count: u32, sum: u64) -> Vec<u32> {
        let channel = self.id;
        let is_known = self.pending.iter().any(|pending| pending.sequence == last);
        assert!(is_known, "channel {channel}: SubmitShares.Success up to {last}, which waits for no answer");
        let credited: Vec<Pending> = self.pending.iter().copied().filter(|pending| pending.sequence <= last).collect();
        let unanswered = credited.len();
        assert_eq!(
            count as usize, unanswered,
            "channel {channel}: Success up to {last} credits {count} of {unanswered} shares"
        );
        self.pending.retain(|pending| pending.sequence > last);
        self.accepted += u64::from(count);
        self.accepted_sum += sum;
        self.successes += 1;
        self.expected_sum += credited.iter().map(|pending| pending.difficulty).sum::<f64>();
        // The wire's sum is whole: each message may be off by less than one.
        let error = (self.accepted_sum as f64 - self.expected_sum).abs();
        let allowed = self.successes as f64 + self.expected_sum * 1e-9;
        assert!(
            error <= allowed,
            "channel {channel}: a sum of {} where {} was earned",
            self.accepted_sum,
            self.expected_sum
        );
        credited.iter().map(|pending| pending.sequence).collect()
    }

    /// A share was refused.
    pub(crate) fn hear_error(&mut self, sequence: u32, code: &str) -> Verdict {
        let place = self.pending.iter().position(|pending| pending.sequence == sequence);
        let place =
            place.unwrap_or_else(|| panic!("channel {}: {code} for {sequence}, which waits for no answer", self.id));
        self.pending.remove(place);
        Err(code.to_owned())
    }
}
