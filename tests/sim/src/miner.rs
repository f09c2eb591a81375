//! A simulated miner: when it connects, what it says, when it finds a share, and what it does wrong on purpose.
//!
//! It finds shares as real hardware does: after times that are exponentially distributed around its hash rate and the
//! job's difficulty, and then it really hashes until one is found. Difficulties are scaled down, proof of work is not
//! skipped.

use crate::options::Options;
use crate::random::Random;
use std::collections::VecDeque;
use std::time::Duration;
use warppool_tests::miner::{Miner, MinerJob, Share};
use warppool_tests::work::{address, script};

/// Hashes that a difficulty of 1 takes on average.
pub const HASHES_PER_DIFFICULTY: f64 = 4_294_967_296.0;

/// A bit of the version that no pool lets a miner roll (it is BIP8's and BIP9's to signal with).
const FORBIDDEN_BIT: u32 = 0x1000;

/// Jobs a miner keeps: enough to submit old work on purpose.
const JOBS_KEPT: usize = 24;

/// How a device talks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Habit {
    /// configure, subscribe, authorize in one segment.
    Pipelined,
    /// subscribe, authorize, and then configure.
    ConfiguresLate,
    /// subscribe and authorize, no version rolling, nonces without padding.
    Plain,
    /// Authorizes before it subscribes.
    AuthorizesFirst,
    /// A proxy with several workers behind one connection.
    Proxy,
}

const HABITS: [Habit; 5] =
    [Habit::Pipelined, Habit::ConfiguresLate, Habit::Plain, Habit::AuthorizesFirst, Habit::Proxy];

/// What a submit is meant to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Intention {
    /// A good share.
    Honest,
    /// The same share again.
    Repeated,
    /// A hash that misses the job's difficulty.
    Weak,
    /// A job that nobody was sent.
    UnknownJob,
    /// A time that is too new.
    TooNew,
    /// A version with bits rolled that the pool has not allowed.
    ForbiddenBits,
    /// Work on an old job.
    OldJob,
    /// A time before the job's. This and what follows only miners of Stratum V2 do.
    TooOld,
    /// A job that waits for its tip.
    FutureJob,
    /// A channel that nobody was given.
    UnknownChannel,
    /// An extranonce of another size than the pool has said.
    WrongSize,
}

/// A submit that is on its way or being judged.
#[derive(Clone, Debug)]
pub struct Submit {
    /// Id of the request.
    pub id: u64,
    /// Worker that it is to be credited to.
    pub user: String,
    /// The same for all submits of the same work.
    pub key: String,
    /// Its hash as explorers show it.
    pub hash: String,
    /// Difficulty of the hash.
    pub reached: f64,
    /// Difficulty of its job, as the miner was told.
    pub difficulty: f64,
    /// The header time that its job came with.
    pub job_ntime: u32,
    /// The tip that its job builds on; absent when there is no such job.
    pub previous_block: Option<[u8; 32]>,
    /// What it is meant to be.
    pub intention: Intention,
}

/// The device.
#[derive(Debug)]
pub struct Device {
    /// Its usernames; one unless it is a proxy.
    pub users: Vec<String>,
    /// Those of them that the pool has confirmed on the present connection.
    confirmed: Vec<String>,
    /// Script of the address that its usernames name.
    pub script: Vec<u8>,
    /// A new difficulty holds for the job at hand too, as some firmware takes it.
    obeys_at_once: bool,
    /// It asks for its former session when it comes back.
    resumes: bool,
    /// Hashes a second.
    pub hashes_per_second: f64,
    /// How it talks.
    pub habit: Habit,
    agent: &'static str,
    wrong_shares: f64,
    random: Random,
    /// What it knows on its present connection.
    pub knows: Miner,
    /// Whether its first authorize was answered with true on this connection.
    pub authorized: bool,
    unread: Vec<u8>,
    requests: u64,
    extranonce2: u64,
    /// Submits without an answer, oldest first.
    pub unanswered: VecDeque<Submit>,
    last: Option<(Submit, Share)>,
    /// Counts what would make an appointed find void.
    pub work_version: u64,
    /// Lines heard on this connection.
    pub lines_heard: u64,
}

/// What came of lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// New work, or a new difficulty with it.
    Work,
    /// An answer to a submit: its request's id and whether it was accepted, else the code.
    Verdict(u64, Result<(), i64>),
    /// Anything else.
    Other,
}

impl Device {
    /// Number `number` of a run.
    pub fn new(number: usize, options: &Options, mut random: Random) -> Self {
        let habit = *random.pick(&HABITS);
        let owner = address((number % 200) as u8 + 1);
        let users = match habit {
            Habit::Proxy => (0..options.proxy_workers).map(|worker| format!("{owner}.p{number}w{worker}")).collect(),
            _ => vec![format!("{owner}.m{number}")],
        };
        let agents = ["bitaxe/BM1366/v2", "NerdMinerV2", "cgminer/4.11.1", "cpuminer/2.5", "bosminer 1"];
        Self {
            users,
            confirmed: Vec::new(),
            script: script(&owner).to_bytes(),
            obeys_at_once: random.chance(0.5),
            resumes: random.chance(0.5),
            // Three decades apart, and never so fast that the simulation hashes more than it simulates.
            hashes_per_second: options.hash_rate * 0.03 * 10_f64.powf(random.unit() * 3.0),
            habit,
            agent: agents[random.bits() as usize % agents.len()],
            wrong_shares: options.wrong_shares,
            knows: Miner::default(),
            authorized: false,
            unread: Vec::new(),
            requests: 100,
            extranonce2: random.bits() >> 1,
            unanswered: VecDeque::new(),
            last: None,
            work_version: 0,
            lines_heard: 0,
            random,
        }
    }

    /// Forgets a connection; gives the lines with which the next one begins, as segments.
    pub fn connect(&mut self) -> Vec<String> {
        let session = std::mem::take(&mut self.knows).session;
        self.authorized = false;
        self.confirmed.clear();
        self.unread.clear();
        self.unanswered.clear();
        self.last = None;
        self.work_version += 1;
        self.lines_heard = 0;
        let configure = r#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"1fffe000"}]}"#;
        let session = if self.resumes && !session.is_empty() { format!(r#","{session}""#) } else { String::new() };
        let subscribe = format!(r#"{{"id":2,"method":"mining.subscribe","params":["{}"{session}]}}"#, self.agent);
        let authorize = |(number, user): (usize, &String)| {
            format!(r#"{{"id":{},"method":"mining.authorize","params":["{user}","x"]}}"#, 3 + number)
        };
        let authorizes: Vec<String> = self.users.iter().enumerate().map(authorize).collect();
        let all = authorizes.join("\n");
        match self.habit {
            Habit::Pipelined => vec![format!("{configure}\n{subscribe}\n{all}\n")],
            Habit::ConfiguresLate => vec![format!("{subscribe}\n"), format!("{all}\n"), format!("{configure}\n")],
            Habit::Plain | Habit::Proxy => vec![format!("\n{subscribe}\r\n"), format!("{all}\r\n")],
            Habit::AuthorizesFirst => vec![format!("{all}\n{subscribe}\n")],
        }
    }

    /// Reads bytes of the pool.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Heard> {
        self.unread.extend_from_slice(bytes);
        let mut heard = Vec::new();
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let line = String::from_utf8(line).expect("the pool writes text");
            heard.push(self.hear(line.trim_end()));
        }
        heard
    }

    fn hear(&mut self, line: &str) -> Heard {
        self.lines_heard += 1;
        self.knows.hear(line);
        let jobs = self.knows.jobs.len();
        if jobs > 2 * JOBS_KEPT {
            self.knows.jobs.drain(..jobs - JOBS_KEPT);
        }
        if line.contains(r#""method":"mining.notify""#) {
            self.work_version += 1;
            return Heard::Work;
        }
        match read_answer(line) {
            Some((id, verdict)) if id > 100 => Heard::Verdict(id, verdict),
            Some((id, Ok(()))) if id >= 3 => {
                self.authorized |= id == 3;
                self.confirmed.extend(self.users.get(id as usize - 3).cloned());
                Heard::Other
            }
            _ => Heard::Other,
        }
    }

    /// When the next share will be found on the present job, from now on.
    pub fn time_to_find(&mut self) -> Option<Duration> {
        let mean = self.wanted(self.knows.jobs.last()?) * HASHES_PER_DIFFICULTY / self.hashes_per_second;
        // An hour and a day bound nothing but the size of numbers.
        Some(Duration::from_secs_f64(self.random.exponential(mean.max(1e-3)).clamp(1e-6, 90_000.0)))
    }

    /// Finds a share, or does something wrong. `more_comes`: the miner has not received all that the pool has written.
    pub fn find(&mut self, more_comes: bool) -> (Submit, Share) {
        self.requests += 1;
        self.extranonce2 += 1;
        let intention = match self.random.chance(self.wrong_shares) {
            false => Intention::Honest,
            true => *self.random.pick(&[
                Intention::Repeated,
                Intention::Weak,
                Intention::UnknownJob,
                Intention::TooNew,
                Intention::ForbiddenBits,
                Intention::OldJob,
            ]),
        };
        let user = self.random.pick(&self.confirmed).clone();
        let latest = self.knows.job().clone();
        // Where every second hash and more is a share, a miss is not to be had.
        let can_miss = latest.difficulty * HASHES_PER_DIFFICULTY > 2.0;
        let intention = if intention == Intention::Weak && !can_miss { Intention::Honest } else { intention };
        let (share, job, user) = match intention {
            Intention::Repeated if self.last.is_some() => {
                let (last, share) = self.last.clone().expect("just looked");
                return (Submit { id: self.requests, intention, ..last }, share);
            }
            Intention::Weak => (self.search(&latest).miss(), latest, user),
            Intention::TooNew => {
                let search = self.search(&latest);
                (search.ntime(latest.ntime + 60_000).hit(), latest, user)
            }
            Intention::ForbiddenBits => (self.search(&latest).version_bits(FORBIDDEN_BIT).hit(), latest, user),
            Intention::UnknownJob => {
                let share = Share { job: "ffffffff".to_owned(), ..self.search(&latest).hit() };
                (share, latest, user)
            }
            Intention::OldJob => {
                let old = self.random.pick(&self.knows.jobs).clone();
                (self.search(&old).hit(), old, user)
            }
            _ => (self.search(&latest).worth(self.wanted(&latest)), latest, user),
        };
        let intention = if intention == Intention::Repeated { Intention::Honest } else { intention };
        // An easier difficulty and its job are one write; where the network cuts between them, firmware that obeys the first
        // before it has the second finds shares that are too weak.
        let is_between = intention == Intention::Honest && more_comes && share.reached < job.difficulty;
        let intention = if is_between { Intention::Weak } else { intention };
        let previous_block = (intention != Intention::UnknownJob).then(|| job.previous_block());
        let (id, difficulty, job_ntime) = (self.requests, job.difficulty, job.ntime);
        let (key, hash, reached) = (self.key(&share), share.hash.clone(), share.reached);
        let submit = Submit { id, user, key, hash, reached, difficulty, job_ntime, previous_block, intention };
        if matches!(intention, Intention::Honest | Intention::OldJob) {
            self.last = Some((submit.clone(), share.clone()));
        }
        (submit, share)
    }

    fn key(&self, share: &Share) -> String {
        let Share { job, extranonce2, ntime, nonce, version_bits, .. } = share;
        format!("{}|{job}|{extranonce2}|{ntime}|{nonce}|{}", self.knows.extranonce1, version_bits.unwrap_or(0))
    }

    /// The difficulty that it looks for on `job`.
    fn wanted(&self, job: &MinerJob) -> f64 {
        self.knows.difficulty.filter(|_| self.obeys_at_once).unwrap_or(job.difficulty)
    }

    fn search(&self, job: &MinerJob) -> warppool_tests::miner::Search<'_> {
        let search = self.knows.search_job(&job.id).extranonce2(self.extranonce2);
        let mask = self.knows.version_mask;
        // Every third share rolls bits that the mask allows.
        if mask == 0 || !self.extranonce2.is_multiple_of(3) { search } else { search.version_bits(mask & (mask >> 3)) }
    }
}

/// Id and outcome of a reply.
pub fn read_answer(line: &str) -> Option<(u64, Result<(), i64>)> {
    // Most bytes are those of jobs, which need not be read to see that they answer nothing.
    if line.starts_with(r#"{"id":null,"method":"#) {
        return None;
    }
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    let id = value["id"].as_u64()?;
    match value["error"].as_array() {
        Some(error) => Some((id, Err(error[0].as_i64()?))),
        None => Some((id, Ok(()))),
    }
}
