//! A simulated miner of Stratum V2: one connection, and on it the channels that a device, a farm or a proxy opens.
//!
//! What it hears is judged by the reference project's miner ([`warppool_reference::Client`]), which panics at the first
//! violation of the specification; what is judged beside that is that each refused share has a code that fits what is
//! wrong with it. It finds shares as the miners of Stratum V1 do.

use crate::miner::{HASHES_PER_DIFFICULTY, Intention, Submit};
use crate::options::Options;
use crate::random::Random;
use crate::wire::MinerWire;
use bitcoin::consensus::encode::deserialize;
use bitcoin::{Target, Transaction};
use std::collections::BTreeMap;
use std::time::Duration;
use warppool_reference::channel::Work;
use warppool_reference::message::Message;
use warppool_reference::work::VERSION_MASK;
use warppool_reference::{Channel, Client, Job, REQUIRES_STANDARD_JOBS, REQUIRES_VERSION_ROLLING, Search, Share};
use warppool_tests::work::{address, script};

/// A bit of the version that nobody may roll (BIP323 leaves the last five alone).
const FORBIDDEN_BIT: u32 = 8;

/// Jobs with a tip that a channel keeps: enough to submit old work on purpose.
const JOBS_KEPT: usize = 24;

/// A channel number that no pool gives.
const NO_CHANNEL: u32 = 0xffff_fff0;

/// A job number that no pool gives.
const NO_JOB: u32 = 0x7fff_fff0;

/// Fewest hashes to a share that a channel takes: below one and a bit the wire's target can say no difficulty.
const HASHES_PER_SHARE_MIN: f64 = 2.0;

/// What AxeOS says of every device, whatever it is.
const HASH_RATE_OF_ALL_AXEOS: f32 = 1e12;

/// How a connection is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// One standard channel, jobs made by the pool: Braiins OS.
    Standard,
    /// One extended channel and a hash rate that says nothing: AxeOS.
    Extended,
    /// Several standard channels under names of their own.
    Farm,
    /// Several extended channels, of two addresses: a proxy with groups.
    Proxy,
}

const STYLES: [Style; 4] = [Style::Standard, Style::Extended, Style::Farm, Style::Proxy];

/// A channel that the miner wants to have.
#[derive(Debug)]
pub struct Slot {
    /// Worker that its shares are to be credited to, as the pool names it.
    pub user: String,
    /// Script of the address that is to be paid.
    pub script: Vec<u8>,
    /// Hashes a second.
    pub hashes_per_second: f64,
    /// Shares accepted near the end of the run.
    pub accepted_lately: u64,
    /// Counts what would make an appointed find void.
    pub work_version: u64,
    identity: String,
    /// Hashes to a share that it takes at least.
    hashes_min: f64,
    is_extended: bool,
    /// The request by which it was asked for on this connection.
    request: Option<u32>,
    /// The job at hand, with its channel.
    at_hand: Option<(u32, u32)>,
    next_nonce: u32,
    last: Option<(Submit, Share)>,
}

/// The miner.
#[derive(Debug)]
pub struct MinerV2 {
    /// How it uses its connection.
    pub style: Style,
    /// Its channels.
    pub slots: Vec<Slot>,
    /// What it knows on its present connection.
    pub client: Client,
    /// Its end of the wire.
    pub wire: MinerWire,
    /// It asks for its channels in the segment of its setup.
    is_pipelined: bool,
    is_asked: bool,
    wrong_shares: f64,
    extranonce: u64,
    random: Random,
    /// What is wrong with the shares that wait for an answer, by channel and sequence number.
    unanswered: BTreeMap<(u32, u32), Intention>,
}

/// What came of frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Heard {
    /// So many shares were credited, by slot.
    pub accepted: [u64; SLOTS_MAX],
    /// Slots that have other work than before.
    pub new_work: [bool; SLOTS_MAX],
}

/// Most channels of a connection.
pub const SLOTS_MAX: usize = 6;

impl MinerV2 {
    /// Number `number` of a run.
    pub fn new(number: usize, options: &Options, mut random: Random) -> Self {
        let style = *random.pick(&STYLES);
        let count = match style {
            Style::Standard | Style::Extended => 1,
            Style::Farm | Style::Proxy => random.between(2, SLOTS_MAX as u64) as usize,
        };
        Self {
            style,
            slots: (0..count).map(|place| Slot::new(number, place, style, options, &mut random)).collect(),
            client: Client::default(),
            wire: MinerWire::new(random.chance(options.noise)),
            is_pipelined: random.chance(0.3),
            is_asked: false,
            wrong_shares: options.wrong_shares,
            extranonce: random.bits() >> 1,
            random,
            unanswered: BTreeMap::new(),
        }
    }

    /// Forgets a connection; gives the frames with which the next one begins, as segments.
    pub fn connect(&mut self) -> Vec<Vec<u8>> {
        self.client = Client::default();
        self.unanswered.clear();
        for slot in &mut self.slots {
            (slot.request, slot.at_hand, slot.last) = (None, None, None);
            slot.work_version += 1;
        }
        let flags = match self.style {
            Style::Standard => REQUIRES_STANDARD_JOBS | REQUIRES_VERSION_ROLLING,
            Style::Farm => REQUIRES_STANDARD_JOBS,
            Style::Extended => 0,
            Style::Proxy => REQUIRES_VERSION_ROLLING,
        };
        let setup = self.client.setup(flags);
        self.is_asked = self.is_pipelined;
        if self.is_pipelined { vec![[setup, self.ask_for_all()].concat()] } else { vec![setup] }
    }

    /// Requests for all channels that are not open nor asked for.
    pub fn ask_for_all(&mut self) -> Vec<u8> {
        let mut frames = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| slot.request.is_none()) {
            let rate =
                if self.style == Style::Extended { HASH_RATE_OF_ALL_AXEOS } else { slot.hashes_per_second as f32 };
            let max_target = target_of_hashes(slot.hashes_min);
            let (request, frame) = if slot.is_extended {
                self.client.open_extended(&slot.identity, rate, max_target, 2)
            } else {
                self.client.open_standard(&slot.identity, rate, max_target)
            };
            slot.request = Some(request);
            frames.extend(frame);
        }
        frames
    }

    /// Whether the pool has answered the setup.
    pub fn is_set_up(&self) -> bool {
        self.client.is_set_up() == Ok(true)
    }

    /// The request that a slot's channel was asked for by, and who is to be credited.
    pub fn request_of(&self, slot: usize) -> Option<(u32, String)> {
        let slot = &self.slots[slot];
        Some((slot.request?, slot.user.clone()))
    }

    /// The number of a slot's channel, while it is open.
    pub fn channel_of(&self, slot: usize) -> Option<u32> {
        let request = self.slots[slot].request?;
        self.client.opened(request)?.ok()
    }

    /// The channel of a slot, while it is open.
    pub fn channel(&self, slot: usize) -> Option<&Channel> {
        self.channel_of(slot).map(|id| self.client.channel(id))
    }

    /// Hears frames. Gives what came of them and, once, frames to send.
    pub fn hear(&mut self, frames: &[Vec<u8>]) -> (Heard, Vec<u8>) {
        let mut heard = Heard::default();
        for frame in frames {
            self.client.hear_frame(frame);
            while let Some(message) = self.client.heard.pop_front() {
                self.note(&message, &mut heard);
            }
        }
        self.client.forget_old(JOBS_KEPT);
        for number in 0..self.slots.len() {
            let at_hand = self.channel(number).and_then(|channel| Some((channel.id, channel.active_job()?.id)));
            let slot = &mut self.slots[number];
            if slot.at_hand != at_hand {
                slot.at_hand = at_hand;
                slot.work_version += 1;
                heard.new_work[number] = at_hand.is_some();
            }
        }
        let must_ask = self.is_set_up() && !std::mem::replace(&mut self.is_asked, true);
        (heard, if must_ask { self.ask_for_all() } else { Vec::new() })
    }

    fn note(&mut self, message: &Message, heard: &mut Heard) {
        match message {
            Message::SubmitSharesSuccess(success) => {
                let (channel, last) = (success.channel_id, success.last_sequence_number);
                self.unanswered.retain(|(of, sequence), _| *of != channel || *sequence > last);
                if let Some(slot) = (0..self.slots.len()).find(|slot| self.channel_of(*slot) == Some(channel)) {
                    heard.accepted[slot] += u64::from(success.new_submits_accepted_count);
                }
            }
            Message::SubmitSharesError(error) => {
                let code = error.error_code.as_utf8_or_hex();
                let intention = self.unanswered.remove(&(error.channel_id, error.sequence_number));
                let Some(intention) = intention else { return };
                assert!(is_fitting(&code, intention), "a share meant as {intention:?} is refused with {code}");
            }
            Message::OpenMiningChannelError(error) => {
                panic!("a channel is refused: {}", error.error_code.as_utf8_or_hex());
            }
            _ => {}
        }
    }

    /// When the next share will be found in a slot, from now on.
    pub fn time_to_find(&mut self, slot: usize) -> Option<Duration> {
        let difficulty = difficulty_of(self.channel(slot)?.active_job()?);
        let mean = difficulty * HASHES_PER_DIFFICULTY / self.slots[slot].hashes_per_second;
        Some(Duration::from_secs_f64(self.random.exponential(mean.max(1e-3)).clamp(1e-6, 90_000.0)))
    }

    /// Finds a share in a slot with work, or does something wrong; gives its frame too.
    pub fn find(&mut self, slot: usize) -> Option<(Submit, Vec<u8>)> {
        let intention = if self.random.chance(self.wrong_shares) { self.draw_intention() } else { Intention::Honest };
        let (mut submit, share) = self.make(slot, intention)?;
        let (sequence, frame) = self.client.submit(&share);
        submit.id = submit_id(share.channel, sequence);
        self.unanswered.insert((share.channel, sequence), submit.intention);
        if matches!(submit.intention, Intention::Honest | Intention::OldJob) {
            self.slots[slot].last = Some((submit.clone(), share));
        }
        Some((submit, frame))
    }

    fn draw_intention(&mut self) -> Intention {
        *self.random.pick(&[
            Intention::Repeated,
            Intention::Weak,
            Intention::UnknownJob,
            Intention::TooNew,
            Intention::TooOld,
            Intention::ForbiddenBits,
            Intention::OldJob,
            Intention::FutureJob,
            Intention::UnknownChannel,
            Intention::WrongSize,
        ])
    }

    fn make(&mut self, slot: usize, intention: Intention) -> Option<(Submit, Share)> {
        self.extranonce += 1;
        let (extranonce, nonce) = (self.extranonce, self.slots[slot].next_nonce);
        if let Some((last, share)) = self.slots[slot].last.clone().filter(|_| intention == Intention::Repeated) {
            return Some((Submit { intention, ..last }, share));
        }
        let old = self.random.bits() as usize;
        let channel = self.channel(slot)?;
        let latest = channel.active_job()?;
        let search = |job| {
            let search: Search<'_> = channel.search_on(job).extranonce(extranonce).from_nonce(nonce);
            // Every third share rolls bits that the mask allows.
            if extranonce.is_multiple_of(3) { search.version_bits(VERSION_MASK & (VERSION_MASK >> 3)) } else { search }
        };
        let can_miss = difficulty_of(latest) * HASHES_PER_DIFFICULTY > 2.0;
        let (intention, job, share) = match intention {
            Intention::Weak if can_miss => (intention, latest, search(latest).miss()),
            Intention::TooNew => (intention, latest, search(latest).ntime(latest.min_ntime? + 60_000).hit()),
            Intention::TooOld => (intention, latest, search(latest).ntime(latest.min_ntime? - 60).hit()),
            Intention::ForbiddenBits => (intention, latest, search(latest).version_bits(FORBIDDEN_BIT).hit()),
            Intention::UnknownJob => (intention, latest, Share { job: NO_JOB, ..search(latest).hit() }),
            Intention::UnknownChannel => (intention, latest, Share { channel: NO_CHANNEL, ..search(latest).hit() }),
            Intention::WrongSize if channel.own_extranonce_bytes() > 0 => {
                (intention, latest, Share { extranonce: Some(vec![7; 7]), ..search(latest).hit() })
            }
            Intention::OldJob => {
                let with_tip: Vec<&Job> = channel.jobs.iter().filter(|job| job.tip.is_some()).collect();
                let job = with_tip[old % with_tip.len()];
                (intention, job, search(job).hit())
            }
            // Should it be named before the share arrives, the bit is still not allowed.
            Intention::FutureJob if channel.future_job().is_some() => {
                let job = channel.future_job()?;
                (intention, job, channel.search_on(job).version_bits(FORBIDDEN_BIT).from_nonce(nonce).hit())
            }
            _ => (Intention::Honest, latest, search(latest).hit()),
        };
        let is_known = !matches!(intention, Intention::UnknownJob | Intention::FutureJob | Intention::UnknownChannel);
        let submit = Submit {
            id: 0,
            user: self.slots[slot].user.clone(),
            key: key(channel, &share),
            hash: share.hash.clone(),
            reached: share.reached,
            difficulty: difficulty_of(job),
            job_ntime: job.min_ntime.unwrap_or_default(),
            previous_block: job.tip.filter(|_| is_known).map(|tip| *AsRef::<[u8; 32]>::as_ref(&tip.previous_block)),
            intention,
        };
        self.slots[slot].next_nonce = share.nonce.wrapping_add(1);
        Some((submit, share))
    }

    // What a proxy says of its own accord.

    /// `UpdateChannel` for an open channel of the miner's choice.
    pub fn update(&mut self) -> Option<Vec<u8>> {
        let slot = self.open_slot()?;
        let id = self.channel_of(slot)?;
        let Slot { hashes_per_second, hashes_min, .. } = self.slots[slot];
        Some(self.client.update(id, hashes_per_second as f32, target_of_hashes(hashes_min)))
    }

    /// `CloseChannel` for one, or for its group. Not for a group that a channel may be about to join: nobody would tell the
    /// miner that it was closed with the others.
    pub fn close(&mut self, is_group: bool) -> Option<Vec<u8>> {
        let is_awaited = |slot: &Slot| slot.request.is_some_and(|request| self.client.opened(request).is_none());
        if is_group && self.slots.iter().any(is_awaited) {
            return None;
        }
        let slot = self.open_slot()?;
        let channel = self.channel(slot)?;
        let number = if is_group { channel.group } else { channel.id };
        let closed: Vec<usize> = (0..self.slots.len())
            .filter(|slot| self.channel(*slot).is_some_and(|one| one.id == number || one.group == number))
            .collect();
        for slot in closed {
            let slot = &mut self.slots[slot];
            (slot.request, slot.at_hand, slot.last) = (None, None, None);
            slot.work_version += 1;
        }
        Some(self.client.close(number))
    }

    fn open_slot(&mut self) -> Option<usize> {
        let open: Vec<usize> = (0..self.slots.len()).filter(|slot| self.channel_of(*slot).is_some()).collect();
        (!open.is_empty()).then(|| *self.random.pick(&open))
    }

    /// The latest job of a slot, if it is one whose coinbase the miner sees: what it pays and the tip and path that it is of.
    pub fn coinbase(&self, slot: usize) -> Option<Coinbase> {
        let channel = self.channel(slot)?;
        let job = channel.active_job()?;
        Some(Coinbase { job: job.id, tip: *AsRef::<[u8; 32]>::as_ref(&job.tip?.previous_block), ..paid(channel, job)? })
    }
}

impl Slot {
    fn new(number: usize, place: usize, style: Style, options: &Options, random: &mut Random) -> Self {
        // The channels of a proxy are of two addresses, so that it has groups of several and of one.
        let is_second = style == Style::Proxy && place % 3 == 1;
        let owner = address((number % 100) as u8 + 1 + if is_second { 100 } else { 0 });
        let name = format!("v{number}c{place}");
        let identity = match random.between(0, 3) {
            0 => format!("{owner}/{name}"),
            1 => format!("sri/solo/{owner}/{name}"),
            2 => format!("sri/donate/5/{owner}/{name}"),
            _ => format!("{owner}.{name}"),
        };
        // One decade and a bit apart, and never so slow that no target of the wire says the difficulty.
        let hashes_per_second = options.hash_rate * 0.6 * 10_f64.powf(random.unit() * 1.3);
        let hashes_wanted = hashes_per_second * options.seconds_per_share;
        let hashes_min = if random.chance(0.5) { HASHES_PER_SHARE_MIN } else { hashes_wanted / 3.0 };
        Self {
            user: format!("{owner}.{name}"),
            script: script(&owner).to_bytes(),
            hashes_per_second,
            accepted_lately: 0,
            work_version: 0,
            identity,
            hashes_min: hashes_min.max(HASHES_PER_SHARE_MIN),
            is_extended: matches!(style, Style::Extended | Style::Proxy),
            request: None,
            at_hand: None,
            next_nonce: 0,
            last: None,
        }
    }

    /// The difficulty of the job at hand bounds vardiff from below only where the miner itself asked for it.
    pub fn hashes_min(&self) -> f64 {
        self.hashes_min
    }
}

/// What a coinbase pays, and where it belongs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coinbase {
    /// The job's number.
    pub job: u32,
    /// The block before, in internal byte order.
    pub tip: [u8; 32],
    /// Siblings on the way to the root, in internal byte order.
    pub path: Vec<[u8; 32]>,
    /// Scripts and values in order.
    pub outputs: Vec<(Vec<u8>, u64)>,
}

fn paid(channel: &Channel, job: &Job) -> Option<Coinbase> {
    let Work::Coinbase { prefix, suffix, path } = &job.work else { return None };
    let extranonce = vec![0; channel.extranonce_bytes()];
    let whole = [prefix.as_slice(), &extranonce, suffix].concat();
    let coinbase: Transaction = deserialize(&whole).expect("judged when it came");
    let outputs = coinbase.output.iter().map(|output| (output.script_pubkey.to_bytes(), output.value.to_sat()));
    Some(Coinbase { job: job.id, tip: [0; 32], path: path.clone(), outputs: outputs.collect() })
}

/// The number by which a share is found again: its channel and its place among the channel's shares.
pub const fn submit_id(channel: u32, sequence: u32) -> u64 {
    ((channel as u64) << 32) | sequence as u64
}

/// Two shares with one key are the same work.
fn key(channel: &Channel, share: &Share) -> String {
    let Share { job, nonce, ntime, version, extranonce, .. } = share;
    format!("{:02x?}|{job}|{extranonce:02x?}|{ntime}|{nonce}|{version}", channel.extranonce_prefix)
}

/// Difficulty of a job's shares; of one that waits for its tip nobody asks.
fn difficulty_of(job: &Job) -> f64 {
    job.target.map_or(0.0, |target| target.difficulty_float())
}

/// The target that one in so many hashes meets.
fn target_of_hashes(hashes: f64) -> Target {
    let all = 2_f64.powi(128);
    let high = (all / hashes) as u128;
    let mut bytes = [0xff; 32];
    bytes[16..].copy_from_slice(&high.to_le_bytes());
    Target::from_le_bytes(bytes)
}

/// Whether a code says what is wrong with a share. A tip may have come on its way.
fn is_fitting(code: &str, intention: Intention) -> bool {
    let is_late = matches!(code, "stale-share" | "invalid-job-id");
    match intention {
        Intention::Honest | Intention::OldJob => is_late,
        Intention::Repeated => is_late || code == "duplicate-share",
        Intention::Weak => is_late || code == "difficulty-too-low",
        Intention::UnknownJob => code == "invalid-job-id",
        Intention::TooNew => is_late || code == "ntime-too-new",
        Intention::TooOld => is_late || code == "ntime-too-old",
        Intention::ForbiddenBits => is_late || code == "version-bits-not-allowed",
        // Once it is named it begins later, too.
        Intention::FutureJob => is_late || matches!(code, "version-bits-not-allowed" | "ntime-too-old"),
        Intention::UnknownChannel => code == "invalid-channel-id",
        Intention::WrongSize => is_late || code == "bad-extranonce-size",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_by_one_in_so_many_hashes() {
        for hashes in [2.0, 3.7, 4096.0, 1e9] {
            let difficulty = target_of_hashes(hashes).difficulty_float();
            let expected = hashes / HASHES_PER_DIFFICULTY;
            assert!((difficulty / expected - 1.0).abs() < 1e-4, "{hashes}: {difficulty} instead of {expected}");
        }
    }
}
