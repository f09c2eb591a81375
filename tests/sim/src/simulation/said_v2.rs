//! What connections of Stratum V2 are told, looked at as it leaves the pool: by channel.

use super::network_v2::miner_of;
use super::*;
use warppool_components::limits::EXTRANONCE1_BYTES;
use warppool_net::wire::v2::message::{CloseChannel, SubmitSharesExtended, SubmitSharesStandard, UpdateChannel};
use warppool_net::wire::v2::{Message as _, split};
use warppool_reference::message::{Message, split as split_frames};

/// A connection's channels, as the pool's own words and the frames that reached it make them.
#[derive(Debug, Default)]
pub(super) struct SaidV2 {
    /// Open channels by number.
    pub(super) channels: BTreeMap<u32, ChannelSaid>,
    /// Workers that channels were asked for, by request.
    pub(super) asked: BTreeMap<u32, String>,
    /// Channels whose update reached the pool and is not answered.
    updates: Vec<u32>,
}

/// A channel.
#[derive(Debug)]
pub(super) struct ChannelSaid {
    /// Who is credited.
    pub(super) user: String,
    group: u32,
    /// The unique part of its extranonce, in hexadecimal.
    extranonce1: String,
    /// The tip of its latest job, in internal byte order; none before the first.
    tip: Option<[u8; 32]>,
    heard_at: u64,
    /// Difficulty of its credited shares.
    credited: f64,
    /// What of it was told.
    told: u64,
}

impl SaidV2 {
    /// A frame reaches the engine; gives the number of the submit that it carries.
    pub(super) fn hear(&mut self, frame: &[u8]) -> Option<u64> {
        let (header, payload) = split(frame).expect("frames are cut by their length");
        let number = |at: usize| u32::from_le_bytes(payload[at..at + 4].try_into().expect("four bytes"));
        match header.message_type {
            SubmitSharesStandard::TYPE | SubmitSharesExtended::TYPE => {
                return Some(crate::miner_v2::submit_id(number(0), number(4)));
            }
            UpdateChannel::TYPE => self.updates.push(number(0)),
            CloseChannel::TYPE => {
                let id = number(0);
                self.channels.retain(|number, channel| *number != id && channel.group != id);
            }
            _ => {}
        }
        None
    }

    /// Channels that a message with this number is for.
    fn addressed(&mut self, id: u32) -> impl Iterator<Item = &mut ChannelSaid> {
        if !self.channels.contains_key(&id) {
            let members = self.channels.values().filter(|channel| channel.group == id).count();
            assert_ne!(members, 1, "a message for the group {id} of one channel, whose device need not know groups");
        }
        self.channels.iter_mut().filter(move |(number, channel)| **number == id || channel.group == id).map(|it| it.1)
    }
}

/// Shares of a tick that are not answered, by connection and channel: sequence number and difficulty, in their order.
pub(super) type Open = BTreeMap<(usize, u32), VecDeque<(u32, f64)>>;

impl Simulation {
    /// The shares of the tick on connections of Stratum V2.
    pub(super) fn open_v2(&self, expected: &[Expected]) -> Open {
        let mut open = Open::new();
        for one in expected.iter().filter(|one| self.links[one.link].v2.is_some()) {
            let (channel, sequence) = ((one.submit.id >> 32) as u32, one.submit.id as u32);
            open.entry((one.link, channel)).or_default().push_back((sequence, one.submit.difficulty));
        }
        open
    }

    /// Reads what the pool writes to a connection.
    pub(super) fn read_frames(
        &mut self,
        link: usize,
        bytes: &[u8],
        open: &mut Open,
        answers: &mut HashMap<(usize, u64), Result<(), i64>>,
    ) {
        for frame in split_frames(bytes) {
            match Message::read(frame) {
                Message::SubmitSharesSuccess(success) => {
                    let (channel, last) = (success.channel_id, success.last_sequence_number);
                    let waiting = open.entry((link, channel)).or_default();
                    let (mut count, mut sum) = (0, 0.0);
                    while let Some((sequence, difficulty)) = waiting.pop_front_if(|(sequence, _)| *sequence <= last) {
                        count += 1;
                        sum += difficulty;
                        answers.insert((link, crate::miner_v2::submit_id(channel, sequence)), Ok(()));
                    }
                    assert_eq!(success.new_submits_accepted_count, count, "shares credited on channel {channel}");
                    self.note_sum(link, channel, sum, success.new_shares_sum);
                }
                Message::SubmitSharesError(error) => {
                    let (channel, sequence) = (error.channel_id, error.sequence_number);
                    let waiting = open.entry((link, channel)).or_default();
                    let place = waiting.iter().position(|(of, _)| *of == sequence);
                    let place = place.unwrap_or_else(|| panic!("share {sequence} of channel {channel} is not open"));
                    waiting.remove(place);
                    let code = code_of(&error.error_code.as_utf8_or_hex());
                    answers.insert((link, crate::miner_v2::submit_id(channel, sequence)), Err(code));
                }
                other => self.note_v2(link, &other),
            }
        }
    }

    /// The sum on the wire is a whole number, and what is below one is carried to the next.
    fn note_sum(&mut self, link: usize, channel: u32, credited: f64, told: u64) {
        let Some(channel) = self.links[link].v2.as_mut().and_then(|v2| v2.channels.get_mut(&channel)) else { return };
        channel.credited += credited;
        channel.told += told;
        let untold = channel.credited - channel.told as f64;
        assert!((-1e-6..1.0 + 1e-6).contains(&untold), "{} were told of {}", channel.told, channel.credited);
    }

    fn note_v2(&mut self, link: usize, message: &Message) {
        let now_ns = self.now_ns;
        if let Message::OpenStandardMiningChannelSuccess(success) = message {
            let prefix = success.extranonce_prefix.as_bytes();
            return self.note_opened(link, success.request_id, success.channel_id, success.group_channel_id, prefix);
        }
        if let Message::OpenExtendedMiningChannelSuccess(success) = message {
            let prefix = success.extranonce_prefix.as_bytes();
            return self.note_opened(link, success.request_id, success.channel_id, success.group_channel_id, prefix);
        }
        let v2 = self.links[link].v2.as_mut().expect("frames go to connections of Stratum V2");
        match message {
            Message::SetupConnectionSuccess(_) => {}
            Message::NewMiningJob(job) => v2.addressed(job.channel_id).for_each(|channel| channel.heard_at = now_ns),
            Message::NewExtendedMiningJob(job) => {
                v2.addressed(job.channel_id).for_each(|channel| channel.heard_at = now_ns);
            }
            Message::SetNewPrevHash(tip) => v2.addressed(tip.channel_id).for_each(|channel| {
                (channel.heard_at, channel.tip) = (now_ns, Some(tip.prev_hash.to_array()));
            }),
            Message::SetTarget(target) => {
                v2.addressed(target.channel_id).for_each(|channel| channel.heard_at = now_ns);
                v2.updates.retain(|channel| *channel != target.channel_id);
            }
            Message::UpdateChannelError(error) => {
                assert!(!v2.channels.contains_key(&error.channel_id), "a good update was refused: {error:?}");
                v2.updates.retain(|channel| *channel != error.channel_id);
            }
            other => panic!("{} to a miner that did nothing wrong", other.name()),
        }
    }

    /// A channel is open: no other has its extranonce, on whatever connection.
    fn note_opened(&mut self, link: usize, request: u32, number: u32, group: u32, prefix: &[u8]) {
        let extranonce1: String = prefix[..EXTRANONCE1_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        self.check_extranonce1(&extranonce1, None);
        let heard_at = self.now_ns;
        let v2 = self.links[link].v2.as_mut().expect("frames go to connections of Stratum V2");
        let user = v2.asked.get(&request).expect("asked for before").clone();
        let channel = ChannelSaid { user, group, extranonce1, tip: None, heard_at, credited: 0.0, told: 0 };
        v2.channels.insert(number, channel);
    }

    /// Nobody but `own` has this part of the extranonce, whatever it speaks.
    pub(super) fn check_extranonce1(&self, extranonce1: &str, own: Option<usize>) {
        for link in self.by_slot.values().filter(|link| Some(**link) != own).map(|link| &self.links[*link]) {
            let channels = link.v2.iter().flat_map(|v2| v2.channels.values());
            let mut taken = channels.map(|channel| &channel.extranonce1).chain([&link.extranonce1]);
            let is_taken = taken.any(|taken| taken == extranonce1);
            assert!(!is_taken, "two live connections have the extranonce1 {extranonce1}");
        }
    }

    /// Every update that came in the tick was answered in it.
    pub(super) fn check_updates(&mut self) {
        for link in self.by_slot.values() {
            let Some(v2) = &mut self.links[*link].v2 else { continue };
            assert!(v2.updates.is_empty(), "an update of the channels {:?} was not answered by a target", v2.updates);
        }
    }

    /// The channels that the pool has, with who is credited.
    pub(super) fn channels_v2(&self) -> impl Iterator<Item = &ChannelSaid> {
        self.by_slot.values().flat_map(|link| self.links[*link].v2.iter()).flat_map(|v2| v2.channels.values())
    }

    /// What of a channel's credit was not told; none when it is not there.
    pub(super) fn untold(&self, slot: u32, number: u32) -> Option<f64> {
        let link = &self.links[*self.by_slot.get(&slot)?];
        let channel = link.v2.as_ref()?.channels.get(&number)?;
        Some(channel.credited - channel.told as f64)
    }

    /// Every channel with work is on `tip`.
    pub(super) fn check_currency_v2(&self, tip: [u8; 32]) {
        for channel in self.channels_v2() {
            let is_there = channel.tip.is_none_or(|known| known == tip);
            assert!(is_there, "the channel of {} was left without work on the pool's tip", channel.user);
        }
    }

    /// Every channel with work has heard something within `silence_max`, counted from `since` on.
    pub(super) fn check_silence_v2(&self, since: u64, silence_max: Duration) {
        for channel in self.channels_v2().filter(|channel| channel.tip.is_some()) {
            let silence = self.now_ns - channel.heard_at.max(since);
            assert!(
                silence <= nanos(silence_max),
                "the channel of {} has heard nothing for {} s",
                channel.user,
                silence / 1_000_000_000
            );
        }
    }

    /// The latest job of an extended channel pays whom it must, all that the node allows.
    pub(super) fn check_coinbase_v2(&mut self, device: usize, slot: usize) {
        let miner = miner_of(&mut self.miners_v2, device);
        let Some(coinbase) = miner.coinbase(slot) else { return };
        let script = miner.slots[slot].script.clone();
        let value = self.nodes.value_of(coinbase.tip, coinbase.path.clone());
        let value = value.unwrap_or_else(|| panic!("job {} is of no template", coinbase.job));
        let mut paid = coinbase.outputs;
        paid.retain(|(_, value)| *value > 0);
        assert_eq!(paid, self.due(script, value), "the coinbase of job {} in the channel {slot}", coinbase.job);
    }
}

/// A refusal in Stratum V1's codes, which the ledger has; the miner looks at the words.
fn code_of(code: &str) -> i64 {
    match code {
        "stale-share" | "invalid-job-id" => 21,
        "duplicate-share" => 22,
        "difficulty-too-low" => 23,
        "invalid-channel-id" => crate::ledger::NO_CHANNEL,
        _ => 20,
    }
}
