//! Stratum V2 as AxeOS speaks it: one extended channel, all that comes on it is checked, without a socket.
//!
//! A job becomes what a `mining.notify` would have made of it, so that hashing and judging are the same in both protocols.

mod frames;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bitcoin::BlockHash;
use warppool_components::units::UnixTime;
use warppool_net::transport::noise::{ACT_2_BYTES, AuthorityPublicKey, Initiator, NoiseError, NoiseSession};

use self::frames::{ExtendedJob, Heard, Opened, Submit, Tip};
use super::checker::Checker;
use super::job::Job;
use super::session::SessionCounts;
use super::talk::Talk;
use super::target::Target;
use super::work::{Share, Space, Work};
use super::{MinerOptions, MinerStats};
use crate::limits::{FUTURE_JOBS_MAX, LINE_BYTES_MAX, REQUESTS_PENDING_MAX};

/// Version bits that AxeOS rolls.
const VERSION_MASK: u32 = 0x1fff_e000;

/// One connection.
pub(super) struct V2Session {
    options: MinerOptions,
    authority: AuthorityPublicKey,
    stage: Stage,
    outgoing: Vec<u8>,
    channel: Option<Opened>,
    tip: Option<Tip>,
    future: VecDeque<ExtendedJob>,
    target: Target,
    job_target: Target,
    space: Space,
    work: Option<Work>,
    sequence: u32,
    answered: u32,
    checker: Checker,
    counts: SessionCounts,
    failure: Option<String>,
}

/// How far the connection is.
enum Stage {
    /// The handshake's answer is awaited; what has come of it.
    Shaking(Option<Initiator>, Vec<u8>),
    /// Encrypted.
    Secured(Box<NoiseSession>),
}

impl V2Session {
    /// Begins the handshake.
    pub(super) fn begin(options: &MinerOptions, authority: AuthorityPublicKey) -> Result<Self, NoiseError> {
        let (initiator, act_1) = Initiator::new()?;
        Ok(Self {
            checker: Checker::new(&options.username),
            options: options.clone(),
            authority,
            stage: Stage::Shaking(Some(initiator), Vec::new()),
            outgoing: act_1.to_vec(),
            channel: None,
            tip: None,
            future: VecDeque::new(),
            target: Target([0; 8]),
            job_target: Target([0; 8]),
            space: Space::default(),
            work: None,
            sequence: 0,
            answered: 0,
            counts: SessionCounts::default(),
            failure: None,
        })
    }

    /// Takes bytes of the handshake's answer; gives those behind it once it is whole.
    fn shake<'a>(&mut self, bytes: &'a mut [u8]) -> io::Result<&'a mut [u8]> {
        let Stage::Shaking(initiator, act_2) = &mut self.stage else { return Ok(bytes) };
        let missing = (ACT_2_BYTES - act_2.len()).min(bytes.len());
        let (answer, behind) = bytes.split_at_mut(missing);
        act_2.extend_from_slice(answer);
        if let Ok(act_2) = act_2.as_slice().try_into()
            && let Some(initiator) = initiator.take()
        {
            let now = UnixTime::from(SystemTime::now());
            let session = initiator.finish(act_2, self.authority, now, LINE_BYTES_MAX as u32);
            self.stage = Stage::Secured(Box::new(session.map_err(io::Error::other)?));
            self.say(&frames::setup())?;
        }
        Ok(behind)
    }

    fn say(&mut self, frame: &[u8]) -> io::Result<()> {
        let Stage::Secured(session) = &mut self.stage else { return Ok(()) };
        session.seal(frame, &mut self.outgoing).map_err(io::Error::other)
    }

    fn hear_frame(&mut self, frame: &[u8]) -> io::Result<()> {
        let Some(heard) = frames::read(frame) else {
            self.checker.note(format!("a frame of type {:#04x} ends within a field", frame.get(2).unwrap_or(&0)));
            return Ok(());
        };
        match heard {
            Heard::SetUp => self.say(&frames::open(&self.options.username))?,
            Heard::Opened(opened) => self.opened(opened),
            Heard::Target { channel, target } if self.is_ours(channel) => self.target = Target(target),
            Heard::Job { channel, job } if self.is_ours(channel) => self.hear_job(job),
            Heard::Tip { channel, tip } if self.is_ours(channel) => self.hear_tip(tip),
            Heard::Accepted { last, count } => {
                self.counts.accepted += u64::from(count);
                self.answered = self.answered.max(last);
            }
            Heard::Refused { sequence, code } => {
                *self.counts.rejected_by_code.entry(code_of_v1(&code)).or_default() += 1;
                self.answered = self.answered.max(sequence);
            }
            Heard::Unwanted(reason) => self.failure = Some(format!("the pool does not want us: {reason}")),
            Heard::Target { .. } | Heard::Job { .. } | Heard::Tip { .. } => {
                self.checker.note("a message is about a channel that was not opened");
            }
            Heard::Other => {}
        }
        Ok(())
    }

    fn opened(&mut self, opened: Opened) {
        if !(2..=8).contains(&opened.own_bytes) {
            self.failure = Some(format!("{} bytes of extranonce cannot be mined with", opened.own_bytes));
        }
        self.target = Target(opened.target);
        self.space = Space {
            extranonce1: opened.prefix.clone(),
            extranonce2_bytes: opened.own_bytes,
            version_mask: VERSION_MASK,
        };
        self.channel = Some(opened);
    }

    fn is_ours(&self, number: u32) -> bool {
        self.channel.as_ref().is_some_and(|channel| number == channel.id || number == channel.group)
    }

    fn hear_job(&mut self, job: ExtendedJob) {
        self.counts.jobs += 1;
        match (job.min_ntime, self.tip) {
            (Some(time), Some(tip)) => self.start_work(job, Tip { time, ..tip }, false),
            (Some(_), None) => self.checker.note("a job takes effect at once, but on no tip"),
            (None, _) => {
                if self.future.len() == FUTURE_JOBS_MAX {
                    self.future.pop_front();
                }
                self.future.push_back(job);
            }
        }
    }

    fn hear_tip(&mut self, tip: Tip) {
        let is_new = self.tip.replace(tip).is_none_or(|before| before.previous_hash != tip.previous_hash);
        let named = self.future.drain(..).rfind(|job| job.id == tip.job);
        match named {
            Some(job) => self.start_work(job, tip, is_new),
            None => self.checker.note(format!("a tip names job {:x}, which does not wait", tip.job)),
        }
    }

    /// A job takes effect, under the target that was told last.
    fn start_work(&mut self, job: ExtendedJob, tip: Tip, clean: bool) {
        let job = Job {
            id: format!("{:x}", job.id),
            previous_hash: BlockHash::from_raw_hash(bitcoin::hashes::Hash::from_byte_array(tip.previous_hash)),
            coinbase_prefix: job.coinbase_prefix,
            coinbase_suffix: job.coinbase_suffix,
            branches: job.branches,
            version: job.version,
            bits: tip.bits,
            time: tip.time,
            clean,
        };
        let extranonce2 = vec![0; self.space.extranonce2_bytes];
        // In Stratum V2 versions are whole ones, so the advertised bits may be anything.
        self.checker.job(&job, 0, &self.space.extranonce1, &extranonce2, 0);
        self.job_target = self.target;
        let (device, seed) = (self.options.device, self.options.seed);
        self.work = Some(Work::new(Arc::new(job), self.target, self.space.clone(), device, seed));
    }
}

impl Talk for V2Session {
    fn advance(&mut self, _now: Instant) {}

    fn hear(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let bytes = self.shake(bytes)?;
        let Stage::Secured(session) = &mut self.stage else { return Ok(()) };
        let mut heard = Vec::new();
        session.receive(bytes, usize::MAX, |frame| heard.push(frame.to_vec())).map_err(io::Error::other)?;
        heard.iter().try_for_each(|frame| self.hear_frame(frame))
    }

    fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    fn work(&mut self) -> Option<&mut Work> {
        self.work.as_mut()
    }

    fn submit(&mut self, share: &Share) {
        let Some(channel) = &self.channel else { return };
        self.sequence += 1;
        let submit = Submit {
            channel: channel.id,
            sequence: self.sequence,
            job: u32::from_str_radix(&share.job_id, 16).unwrap_or_default(),
            nonce: share.nonce,
            time: share.time,
            version: share.version,
            extranonce: &share.extranonce2,
        };
        let frame = submit.frame();
        self.counts.shares_sent += 1;
        self.counts.block_candidates += u64::from(share.is_block_candidate);
        let said = self.say(&frame);
        let is_silent = self.sequence - self.answered > REQUESTS_PENDING_MAX as u32;
        if let Err(error) = said {
            self.failure = Some(error.to_string());
        } else if is_silent {
            self.failure = Some(format!("the pool left {REQUESTS_PENDING_MAX} shares unanswered"));
        }
    }

    fn awaits_verdicts(&self) -> bool {
        self.answered < self.sequence
    }

    fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    fn session_id(&self) -> Option<&str> {
        None
    }

    fn is_authorized(&self) -> bool {
        self.channel.is_some()
    }

    fn stats_after(&self, before: &MinerStats) -> MinerStats {
        let connected = self.is_authorized() && self.failure.is_none();
        let difficulty = if self.work.is_some() { self.job_target.to_difficulty() } else { 0.0 };
        MinerStats { connected, difficulty, ..self.counts.added_to(before, &self.checker) }
    }
}

/// The code that Stratum V1 has for a reason.
fn code_of_v1(reason: &str) -> i64 {
    match reason {
        "stale-share" | "invalid-job-id" => 21,
        "duplicate-share" => 22,
        "difficulty-too-low" => 23,
        _ => 20,
    }
}
