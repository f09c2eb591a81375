//! A connection in the clear: what the miner says, what it hears, and the rules of a connection.

use crate::channel::{Channel, ChannelKind, Tip, Work};
use crate::message::{Message, frame, split};
use crate::work::Share;
use crate::{REQUIRES_EXTENDED_CHANNELS, REQUIRES_FIXED_VERSION, REQUIRES_STANDARD_JOBS, REQUIRES_VERSION_ROLLING};
use binary_sv2::{B032Owned, Str0255Owned, U256Owned};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Target};
use common_messages_sv2 as common;
use mining_sv2 as mining;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// What a share was answered with: nothing wrong, or a code.
pub type Verdict = Result<(), String>;

/// The version of the protocol.
const VERSION: u16 = 2;

/// How far the setup is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Setup {
    #[default]
    NotAsked,
    Asked(u32),
    /// Flags of the miner and of the pool.
    Done(u32, u32),
    Refused(String),
}

/// A channel that is asked for.
#[derive(Clone, Debug)]
struct Opening {
    /// Least bytes of the miner's part; `None` for a standard channel.
    min_extranonce: Option<u16>,
    max_target: Target,
    answer: Option<Result<u32, String>>,
}

/// A connection's miner.
#[derive(Clone, Debug, Default)]
pub struct Client {
    setup: Setup,
    openings: BTreeMap<u32, Opening>,
    channels: BTreeMap<u32, Channel>,
    /// Bytes of the extranonce of each group's members.
    groups: HashMap<u32, usize>,
    closed: HashSet<u32>,
    verdicts: HashMap<(u32, u32), Option<Verdict>>,
    /// Sequence numbers of shares for channels that are not there.
    strays: u32,
    /// An opening was asked for when no channel was open: nothing but its answer may come.
    only_answer: bool,
    /// What came, oldest first, until taken.
    pub heard: VecDeque<Message>,
    /// Where the pool wants the miner to go: host and port, empty and 0 for where it is.
    pub reconnects: Vec<(String, u16)>,
    /// Refused updates: channel and code.
    pub update_errors: Vec<(u32, String)>,
    /// Channels that the pool has closed, and why.
    pub closed_by_pool: Vec<(u32, String)>,
}

/// The easiest target: every hash meets it.
pub fn any_target() -> Target {
    Target::from_le_bytes([0xff; 32])
}

fn text(text: &str) -> Str0255Owned {
    Str0255Owned::new(text.as_bytes().to_vec()).expect("at most 255 bytes")
}

fn u256(target: Target) -> U256Owned {
    target.to_le_bytes().into()
}

fn target_of(number: &U256Owned) -> Target {
    Target::from_le_bytes(number.to_array())
}

impl Client {
    // What the miner says: each gives the frame to send.

    /// `SetupConnection` of a miner with these flags.
    pub fn setup(&mut self, flags: u32) -> Vec<u8> {
        self.setup_as(common::Protocol::MiningProtocol, VERSION..=VERSION, flags, "reference")
    }

    /// The same in other words.
    pub fn setup_as(
        &mut self,
        protocol: common::Protocol,
        versions: std::ops::RangeInclusive<u16>,
        flags: u32,
        vendor: &str,
    ) -> Vec<u8> {
        assert_eq!(self.setup, Setup::NotAsked, "a connection is set up once");
        self.setup = Setup::Asked(flags);
        let message = common::SetupConnectionOwned {
            protocol,
            min_version: *versions.start(),
            max_version: *versions.end(),
            flags,
            endpoint_host: text("127.0.0.1"),
            endpoint_port: 3333,
            vendor: text(vendor),
            hardware_version: text("1"),
            firmware: text("judge"),
            device_id: text(""),
        };
        frame(message, common::MESSAGE_TYPE_SETUP_CONNECTION, common::CHANNEL_BIT_SETUP_CONNECTION)
    }

    /// `OpenStandardMiningChannel`; gives the request's number too.
    pub fn open_standard(&mut self, identity: &str, hash_rate: f32, max_target: Target) -> (u32, Vec<u8>) {
        let request_id = self.ask(None, max_target);
        let message = mining::OpenStandardMiningChannelOwned {
            request_id,
            user_identity: text(identity),
            nominal_hash_rate: hash_rate,
            max_target: u256(max_target),
        };
        let kind = mining::MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL;
        (request_id, frame(message, kind, mining::CHANNEL_BIT_OPEN_STANDARD_MINING_CHANNEL))
    }

    /// `OpenExtendedMiningChannel`; gives the request's number too.
    pub fn open_extended(
        &mut self,
        identity: &str,
        hash_rate: f32,
        max_target: Target,
        min_extranonce_size: u16,
    ) -> (u32, Vec<u8>) {
        let request_id = self.ask(Some(min_extranonce_size), max_target);
        let message = mining::OpenExtendedMiningChannelOwned {
            request_id,
            user_identity: text(identity),
            nominal_hash_rate: hash_rate,
            max_target: u256(max_target),
            min_extranonce_size,
        };
        let kind = mining::MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL;
        (request_id, frame(message, kind, mining::CHANNEL_BIT_OPEN_EXTENDED_MINING_CHANNEL))
    }

    fn ask(&mut self, min_extranonce: Option<u16>, max_target: Target) -> u32 {
        let request = self.openings.len() as u32 + 1;
        self.openings.insert(request, Opening { min_extranonce, max_target, answer: None });
        // Where a channel was closed, verdicts of its shares may be under way.
        self.only_answer = self.channels.is_empty() && self.closed.is_empty();
        request
    }

    /// `UpdateChannel`.
    pub fn update(&mut self, channel_id: u32, hash_rate: f32, maximum_target: Target) -> Vec<u8> {
        if let Some(channel) = self.channels.get_mut(&channel_id) {
            channel.ask_max_target(maximum_target);
        }
        let message = mining::UpdateChannelOwned {
            channel_id,
            nominal_hash_rate: hash_rate,
            maximum_target: u256(maximum_target),
        };
        frame(message, mining::MESSAGE_TYPE_UPDATE_CHANNEL, mining::CHANNEL_BIT_UPDATE_CHANNEL)
    }

    /// `CloseChannel` for a channel, or a group and all its members.
    pub fn close(&mut self, channel_id: u32) -> Vec<u8> {
        self.forget(channel_id);
        let message = mining::CloseChannelOwned { channel_id, reason_code: text("bye") };
        frame(message, mining::MESSAGE_TYPE_CLOSE_CHANNEL, mining::CHANNEL_BIT_CLOSE_CHANNEL)
    }

    /// `SubmitSharesStandard` or `SubmitSharesExtended`, as the share is; gives its sequence number too.
    pub fn submit(&mut self, share: &Share) -> (u32, Vec<u8>) {
        let sequence = match self.channels.get_mut(&share.channel) {
            Some(channel) => channel.submit(share.job),
            None => {
                self.strays += 1;
                self.strays
            }
        };
        self.verdicts.insert((share.channel, sequence), None);
        (sequence, submit_frame(share, sequence))
    }

    // What the miner hears.

    /// Takes what a pool wrote, whole frames.
    ///
    /// # Panics
    /// At the first violation of the specification.
    pub fn hear(&mut self, bytes: &[u8]) {
        split(bytes).into_iter().for_each(|frame| self.hear_frame(frame));
    }

    /// Takes one frame.
    ///
    /// # Panics
    /// At the first violation of the specification.
    pub fn hear_frame(&mut self, frame: &[u8]) {
        let message = Message::read(frame);
        self.heard.push_back(message.clone());
        self.check_order(&message);
        match message {
            Message::SetupConnectionSuccess(success) => self.hear_setup(success),
            Message::SetupConnectionError(error) => self.setup = Setup::Refused(error.error_code.as_utf8_or_hex()),
            Message::Reconnect(to) => self.reconnects.push((to.new_host.as_utf8_or_hex(), to.new_port)),
            Message::OpenStandardMiningChannelSuccess(success) => self.hear_standard(&success),
            Message::OpenExtendedMiningChannelSuccess(success) => self.hear_extended(&success),
            Message::OpenMiningChannelError(error) => {
                let code = error.error_code.as_utf8_or_hex();
                self.opening(error.request_id).answer = Some(Err(code));
            }
            Message::NewMiningJob(job) => self.hear_standard_job(&job),
            Message::NewExtendedMiningJob(job) => self.hear_extended_job(&job),
            Message::SetNewPrevHash(tip) => self.hear_tip(&tip),
            Message::SetTarget(target) => {
                let maximum = target_of(&target.maximum_target);
                self.for_members(target.channel_id, "SetTarget", |channel| channel.hear_target(maximum));
            }
            Message::UpdateChannelError(error) => {
                if let Some(channel) = self.channels.get_mut(&error.channel_id) {
                    channel.hear_update_error();
                }
                self.update_errors.push((error.channel_id, error.error_code.as_utf8_or_hex()));
            }
            Message::CloseChannel(close) => {
                self.forget(close.channel_id);
                self.closed_by_pool.push((close.channel_id, close.reason_code.as_utf8_or_hex()));
            }
            Message::SetExtranoncePrefix(prefix) => self.hear_prefix(&prefix),
            Message::SubmitSharesSuccess(success) => self.hear_success(&success),
            Message::SubmitSharesError(error) => self.hear_error(&error),
            Message::SetGroupChannel(group) => self.hear_group(&group),
        }
    }

    /// A write has ended: nothing may be half told.
    ///
    /// # Panics
    /// When a channel has its first job and not its first tip.
    pub fn check_whole(&self) {
        self.channels.values().for_each(Channel::check_whole);
    }

    fn check_order(&mut self, message: &Message) {
        let is_of_setup = matches!(message, Message::SetupConnectionSuccess(_) | Message::SetupConnectionError(_));
        match &self.setup {
            Setup::NotAsked => panic!("{} before SetupConnection", message.name()),
            Setup::Asked(_) => assert!(is_of_setup, "{} before SetupConnection was answered", message.name()),
            Setup::Done(..) => assert!(!is_of_setup, "SetupConnection was answered twice"),
            Setup::Refused(code) => panic!("{} after SetupConnection was refused with {code}", message.name()),
        }
        let answers_opening = matches!(
            message,
            Message::OpenStandardMiningChannelSuccess(_)
                | Message::OpenExtendedMiningChannelSuccess(_)
                | Message::OpenMiningChannelError(_)
        );
        let is_in_turn = answers_opening || is_of_setup;
        assert!(is_in_turn || !self.only_answer, "{} between an Open request and its answer", message.name());
        self.only_answer &= !answers_opening;
    }

    fn hear_setup(&mut self, success: common::SetupConnectionSuccess) {
        let Setup::Asked(asked) = self.setup else { unreachable!("the order is checked") };
        assert_eq!(success.used_version, VERSION, "the version that was asked for");
        let known = REQUIRES_FIXED_VERSION | REQUIRES_EXTENDED_CHANNELS;
        assert_eq!(success.flags & !known, 0, "flags of SetupConnection.Success that nobody knows: {}", success.flags);
        let rolls = asked & REQUIRES_VERSION_ROLLING != 0;
        assert!(!(rolls && success.flags & REQUIRES_FIXED_VERSION != 0), "a fixed version for a miner that must roll");
        self.setup = Setup::Done(asked, success.flags);
    }

    fn opening(&mut self, request: u32) -> &mut Opening {
        let opening = self.openings.get_mut(&request);
        let opening = opening.unwrap_or_else(|| panic!("an answer to the request {request}, which was never made"));
        assert!(opening.answer.is_none(), "the request {request} is answered twice");
        opening
    }

    fn hear_standard(&mut self, success: &mining::OpenStandardMiningChannelSuccessOwned) {
        let opening = self.opening(success.request_id);
        assert!(opening.min_extranonce.is_none(), "a standard channel where an extended one was asked for");
        let prefix = success.extranonce_prefix.as_bytes().to_vec();
        let target = target_of(&success.target);
        let asked = opening.max_target;
        let channel =
            Channel::new(success.channel_id, ChannelKind::Standard, success.group_channel_id, prefix, target, asked);
        self.add(success.request_id, channel);
    }

    fn hear_extended(&mut self, success: &mining::OpenExtendedMiningChannelSuccessOwned) {
        let opening = self.opening(success.request_id);
        let least = opening.min_extranonce.expect("an extended channel where a standard one was asked for");
        let size = success.extranonce_size;
        assert!(size >= least, "an extranonce of {size} bytes where at least {least} were asked for");
        let (prefix, target) = (success.extranonce_prefix.as_bytes().to_vec(), target_of(&success.target));
        let (kind, asked) = (ChannelKind::Extended(usize::from(size)), opening.max_target);
        let channel = Channel::new(success.channel_id, kind, success.group_channel_id, prefix, target, asked);
        self.add(success.request_id, channel);
    }

    fn add(&mut self, request: u32, channel: Channel) {
        let (id, group) = (channel.id, channel.group);
        let is_taken = self.channels.contains_key(&id) || self.groups.contains_key(&id) || id == group;
        assert!(!is_taken, "the channel number {id} is taken");
        assert!(!self.channels.contains_key(&group), "the group number {group} is a channel's");
        for other in self.channels.values() {
            let (one, two) = (&other.extranonce_prefix, &channel.extranonce_prefix);
            let is_apart = !one.starts_with(two) && !two.starts_with(one);
            assert!(is_apart, "channels {} and {id} share extranonces: {one:02x?} and {two:02x?}", other.id);
        }
        self.join_group(group, &channel);
        self.opening(request).answer = Some(Ok(id));
        self.closed.remove(&id);
        self.channels.insert(id, channel);
    }

    fn join_group(&mut self, group: u32, channel: &Channel) {
        let bytes = channel.extranonce_bytes();
        let of_group = *self.groups.entry(group).or_insert(bytes);
        assert_eq!(of_group, bytes, "channel {} has another extranonce length than its group {group}", channel.id);
    }

    fn hear_standard_job(&mut self, job: &mining::NewMiningJobOwned) {
        let id = job.channel_id;
        assert!(!self.groups.contains_key(&id), "NewMiningJob is addressed to the group {id}");
        let work = Work::Root(job.merkle_root.to_array());
        let (job_id, min_ntime, version) = (job.job_id, job.min_ntime.as_ref().copied(), job.version);
        let may_roll = !self.has_fixed_version();
        self.for_members(id, "NewMiningJob", |channel| {
            assert_eq!(channel.kind, ChannelKind::Standard, "NewMiningJob for the extended channel {id}");
            channel.hear_job(job_id, min_ntime, version, may_roll, work.clone());
        });
    }

    fn hear_extended_job(&mut self, job: &mining::NewExtendedMiningJobOwned) {
        let work = Work::Coinbase {
            prefix: job.coinbase_tx_prefix.as_bytes().to_vec(),
            suffix: job.coinbase_tx_suffix.as_bytes().to_vec(),
            path: job.merkle_path.as_slice().iter().map(U256Owned::to_array).collect(),
        };
        let flags = self.flags();
        let must_roll = flags & REQUIRES_VERSION_ROLLING != 0;
        assert!(job.version_rolling_allowed || !must_roll, "a job of a fixed version for a miner that must roll");
        let is_group = self.groups.contains_key(&job.channel_id);
        self.for_members(job.channel_id, "NewExtendedMiningJob", |channel| {
            if channel.kind == ChannelKind::Standard {
                assert!(is_group, "NewExtendedMiningJob for the standard channel {}", channel.id);
                assert_eq!(
                    flags & REQUIRES_STANDARD_JOBS,
                    0,
                    "an extended job for a miner that requires standard ones"
                );
            }
            let min_ntime = job.min_ntime.as_ref().copied();
            channel.hear_job(job.job_id, min_ntime, job.version, job.version_rolling_allowed, work.clone());
        });
    }

    fn hear_tip(&mut self, message: &mining::SetNewPrevHashOwned) {
        let tip = Tip {
            previous_block: BlockHash::from_byte_array(message.prev_hash.to_array()),
            min_ntime: message.min_ntime,
            bits: message.nbits,
        };
        self.for_members(message.channel_id, "SetNewPrevHash", |channel| channel.hear_tip(message.job_id, tip));
    }

    fn hear_prefix(&mut self, message: &mining::SetExtranoncePrefixOwned) {
        let id = message.channel_id;
        assert!(!self.groups.contains_key(&id), "SetExtranoncePrefix is addressed to the group {id}");
        let prefix: &B032Owned = &message.extranonce_prefix;
        self.for_members(id, "SetExtranoncePrefix", |channel| channel.hear_prefix(prefix.as_bytes().to_vec()));
    }

    fn hear_success(&mut self, success: &mining::SubmitSharesSuccess) {
        let id = success.channel_id;
        let Some(channel) = self.channels.get_mut(&id) else {
            assert!(self.closed.contains(&id), "SubmitShares.Success for the unknown channel {id}");
            return;
        };
        let (last, count, sum) =
            (success.last_sequence_number, success.new_submits_accepted_count, success.new_shares_sum);
        for sequence in channel.hear_success(last, count, sum) {
            self.verdicts.insert((id, sequence), Some(Ok(())));
        }
    }

    fn hear_error(&mut self, error: &mining::SubmitSharesErrorOwned) {
        let (id, sequence, code) = (error.channel_id, error.sequence_number, error.error_code.as_utf8_or_hex());
        let is_code =
            code.bytes().all(|symbol| symbol.is_ascii_lowercase() || symbol.is_ascii_digit() || symbol == b'-');
        assert!(is_code && !code.is_empty(), "a share is refused with {code:?}, which is no code");
        let verdict = match self.channels.get_mut(&id) {
            Some(channel) => channel.hear_error(sequence, &code),
            None => Err(code),
        };
        let known = self.verdicts.get_mut(&(id, sequence));
        let known = known
            .unwrap_or_else(|| panic!("{verdict:?} for share {sequence} of channel {id}, which waits for no answer"));
        assert_eq!(*known, None, "share {sequence} of channel {id} is answered twice");
        *known = Some(verdict);
    }

    fn hear_group(&mut self, message: &mining::SetGroupChannelOwned) {
        let group = message.group_channel_id;
        assert!(!self.channels.contains_key(&group), "the group number {group} is a channel's");
        for id in message.channel_ids.as_slice() {
            let channel =
                self.channels.get_mut(id).unwrap_or_else(|| panic!("SetGroupChannel for the unknown channel {id}"));
            channel.group = group;
            let channel = channel.clone();
            self.join_group(group, &channel);
        }
    }

    /// Does something with the channel of this number, or the members of the group of this number.
    fn for_members(&mut self, id: u32, name: &str, mut act: impl FnMut(&mut Channel)) {
        if self.groups.contains_key(&id) {
            self.channels.values_mut().filter(|channel| channel.group == id).for_each(act);
        } else if let Some(channel) = self.channels.get_mut(&id) {
            act(channel);
        } else {
            // What was under way when the miner closed the channel is no violation.
            assert!(self.closed.contains(&id), "{name} for the unknown channel {id}");
        }
    }

    fn forget(&mut self, id: u32) {
        let is_group = self.groups.remove(&id).is_some();
        let is_of_it = |channel: &Channel| channel.id == id || (is_group && channel.group == id);
        let gone: Vec<u32> =
            self.channels.values().filter(|channel| is_of_it(channel)).map(|channel| channel.id).collect();
        self.channels.retain(|_, channel| !is_of_it(channel));
        self.closed.extend(gone);
        self.closed.insert(id);
    }

    // What the miner knows.

    /// Whether the setup has succeeded.
    ///
    /// # Errors
    /// The code that it was refused with.
    pub fn is_set_up(&self) -> Result<bool, String> {
        match &self.setup {
            Setup::Refused(code) => Err(code.clone()),
            other => Ok(matches!(other, Setup::Done(..))),
        }
    }

    fn flags(&self) -> u32 {
        if let Setup::Done(asked, _) = self.setup { asked } else { 0 }
    }

    fn has_fixed_version(&self) -> bool {
        matches!(self.setup, Setup::Done(_, flags) if flags & REQUIRES_FIXED_VERSION != 0)
    }

    /// The answer to an opening: the channel's number or the code of its refusal.
    pub fn opened(&self, request: u32) -> Option<Result<u32, String>> {
        self.openings.get(&request)?.answer.clone()
    }

    /// A channel.
    ///
    /// # Panics
    /// When it is not open.
    pub fn channel(&self, id: u32) -> &Channel {
        self.channels.get(&id).unwrap_or_else(|| panic!("channel {id} is not open"))
    }

    /// All channels.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.channels.values()
    }

    /// Forgets answers, and jobs that have had their tip but the latest `jobs_kept` of each channel: for connections that
    /// last for days. What is judged of later messages stays the same, but that a share is answered once.
    pub fn forget_old(&mut self, jobs_kept: usize) {
        self.verdicts.retain(|_, verdict| verdict.is_none());
        self.channels.values_mut().for_each(|channel| channel.forget_jobs(jobs_kept));
    }

    /// The answer to a share.
    pub fn verdict(&self, channel: u32, sequence: u32) -> Option<Verdict> {
        self.verdicts.get(&(channel, sequence))?.clone()
    }
}

/// A share as a frame, whatever channel it is for.
pub fn submit_frame(share: &Share, sequence_number: u32) -> Vec<u8> {
    let Share { channel: channel_id, job: job_id, nonce, ntime, version, .. } = *share;
    match &share.extranonce {
        None => {
            let message = mining::SubmitSharesStandard { channel_id, sequence_number, job_id, nonce, ntime, version };
            frame(message, mining::MESSAGE_TYPE_SUBMIT_SHARES_STANDARD, mining::CHANNEL_BIT_SUBMIT_SHARES_STANDARD)
        }
        Some(extranonce) => {
            let extranonce = B032Owned::new(extranonce.clone()).expect("at most 32 bytes");
            let message = mining::SubmitSharesExtendedOwned {
                channel_id,
                sequence_number,
                job_id,
                nonce,
                ntime,
                version,
                extranonce,
            };
            frame(message, mining::MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED, mining::CHANNEL_BIT_SUBMIT_SHARES_EXTENDED)
        }
    }
}
