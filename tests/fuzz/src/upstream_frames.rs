//! What a hostile pool may send to the translator: the client's side takes it or ends the session with a sentence, and the
//! engine below takes whatever work comes of it, hands it to miners and sends their shares back, as frames that the reference
//! project's crate reads or as lines of JSON.
//!
//! Input: a byte of how (bit 0: the channel is open from the start, with eight bytes of extranonce; bit 1: the pool speaks
//! Stratum V1), then frames or lines as they come from the upstream. The last one may be cut short.

use binary_sv2::GetSize;
use std::cell::RefCell;
use std::time::{Duration, Instant};
use warppool_components::connection::Protocol;
use warppool_components::limits::{EXTRANONCE_BYTES, MERKLE_BRANCHES_MAX, UPSTREAM_ANSWERS_PENDING_MAX};
use warppool_components::node::NodeEvent;
use warppool_components::units::{Target, UnixTime};
use warppool_components::upstream::{GivenWork, UPSTREAM_OWN_BYTES};
use warppool_engine::upstream::fuzzing::{FuzzedChannel, set_up};
use warppool_net::wire::v2::message::{
    NewExtendedMiningJob, OpenExtendedMiningChannel, OpenExtendedMiningChannelSuccess, SetupConnection,
    SubmitSharesExtended,
};
use warppool_net::wire::v2::{FRAME_HEADER_BYTES, FrameHeader, Message};
use warppool_tests::pool::{Conn, Pool, START_SECONDS, settings};

/// Inputs that one engine serves.
const INPUTS_PER_ENGINE: usize = 2048;

/// Frames of an input.
const FRAMES_MAX: usize = 24;

/// Most bytes of a coinbase's part on the wire, and of the extranonce in it.
const COINBASE_PART_BYTES_MAX: usize = 65_535 + 64;

/// Most letters of a sentence that tells why a session ended: ours and a text of the other side.
const SENTENCE_LETTERS_MAX: usize = 600;

thread_local! {
    static ENGINE: RefCell<Option<Site>> = const { RefCell::new(None) };
}

/// A translator with one miner.
struct Site {
    pool: Pool,
    miner: Conn,
    served: usize,
}

/// The reference crate reads our frame as this message, and nothing is left over.
macro_rules! read_by_them {
    ($message:ty, $frame:expr) => {{
        let mut payload = $frame[FRAME_HEADER_BYTES..].to_vec();
        let length = payload.len();
        let message = binary_sv2::from_bytes::<$message>(&mut payload).expect("a frame of ours");
        assert_eq!(message.get_size(), length, "a payload of another length than its fields");
    }};
}

/// Runs one input.
pub fn check(data: &[u8]) {
    let Some((how, stream)) = data.split_first() else { return };
    if how & 2 != 0 {
        let lines = stream.split(|byte| *byte == b'\n').take(FRAMES_MAX);
        return exchange(FuzzedChannel::open_v1(), Protocol::StratumV1, lines);
    }
    let frames = frames(stream);
    let mut frames = frames.iter().copied();
    let channel = if how & 1 != 0 { FuzzedChannel::open_v2(&success(), "user") } else { open(&mut frames) };
    match channel {
        Some(Ok(channel)) => exchange(channel, Protocol::StratumV2, frames),
        Some(Err(error)) => check_sentence(&error),
        None => {}
    }
}

fn exchange<'a>(mut channel: FuzzedChannel, protocol: Protocol, messages: impl Iterator<Item = &'a [u8]>) {
    ENGINE.with_borrow_mut(|engine| {
        // Taken out meanwhile: after a panic nobody goes on with it.
        let mut site = engine.take().filter(|site| site.served < INPUTS_PER_ENGINE).unwrap_or_else(Site::new);
        site.served += 1;
        for message in messages {
            match channel.hear(message, UnixTime::from_seconds(START_SECONDS)) {
                Ok((events, answer)) => {
                    answer.iter().for_each(|answer| check_said(protocol, answer));
                    events.into_iter().for_each(|event| site.work(&mut channel, protocol, event));
                }
                Err(error) => {
                    check_sentence(&error);
                    break;
                }
            }
        }
        if let Some(update) = channel.tell_rate(1e15) {
            read_by_them!(mining_sv2::UpdateChannel<'_>, update);
        }
        *engine = Some(site);
    });
}

/// What the pool is told can be read.
fn check_said(protocol: Protocol, message: &[u8]) {
    if protocol == Protocol::StratumV2 {
        read_by_them!(mining_sv2::SubmitSharesExtended<'_>, message);
    } else {
        let line: Result<serde_json::Value, _> = serde_json::from_slice(message);
        assert!(line.is_ok_and(|line| line.is_object()), "{}", message.escape_ascii());
        assert!(!message.contains(&b'\n'), "one line");
    }
}

/// Whole frames, as the link cuts them.
fn frames(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some(header) = stream.first_chunk::<FRAME_HEADER_BYTES>()
        && frames.len() < FRAMES_MAX
    {
        let length = FRAME_HEADER_BYTES + FrameHeader::decode(*header).payload_bytes as usize;
        let (frame, rest) = stream.split_at(length.min(stream.len()));
        frames.push(frame);
        stream = rest;
    }
    frames
}

/// The setup and the channel, from the upstream's own words.
fn open<'a>(frames: &mut impl Iterator<Item = &'a [u8]>) -> Option<Result<FuzzedChannel, String>> {
    if let Err(error) = frames.find_map(set_up)? {
        return Some(Err(error));
    }
    frames.find_map(|frame| FuzzedChannel::open_v2(frame, "user"))
}

/// An open channel as a pool of today gives it.
fn success() -> Vec<u8> {
    let message = OpenExtendedMiningChannelSuccess {
        request_id: 1,
        channel_id: 1,
        target: Target::MAX,
        extranonce_size: UPSTREAM_OWN_BYTES as u16,
        extranonce_prefix: &[0xaa; 4],
        group_channel_id: 2,
    };
    message.to_frame()
}

/// It goes into the log: one line, without orders to a terminal.
fn check_sentence(error: &str) {
    assert!(!error.is_empty() && error.chars().count() <= SENTENCE_LETTERS_MAX, "{error:?}");
    assert!(!error.chars().any(char::is_control), "{error:?} in a log");
}

impl Site {
    fn new() -> Self {
        let mut pool = Pool::translating(settings(), "user");
        let miner = pool.connect_v2();
        let setup = SetupConnection {
            protocol: 0,
            min_version: 2,
            max_version: 2,
            flags: 0,
            endpoint_host: "".into(),
            endpoint_port: 3333,
            vendor: "fuzzer".into(),
            hardware_version: "".into(),
            firmware: "".into(),
            device_id: "".into(),
        };
        let open = OpenExtendedMiningChannel {
            request_id: 1,
            user_identity: "anybody".into(),
            nominal_hash_rate: 1.0,
            max_target: Target::MAX,
            min_extranonce_size: 2,
        };
        pool.push_frame(miner, &setup.to_frame());
        pool.push_frame(miner, &open.to_frame());
        pool.tick();
        Self { pool, miner, served: 0 }
    }

    /// The engine takes what the upstream said, and the miner works on it.
    fn work(&mut self, channel: &mut FuzzedChannel, protocol: Protocol, event: NodeEvent) {
        if let NodeEvent::Given(work) = &event {
            check_work(work);
        }
        self.pool.push_node(event);
        self.pool.tick();
        if self.pool.closed(self.miner).is_some() {
            *self = Self::new();
            return;
        }
        let writes = self.pool.take_frames(self.miner);
        let jobs =
            writes.iter().flat_map(|write| frames(write)).filter_map(|frame| NewExtendedMiningJob::decode(frame).ok());
        for (nonce, job) in jobs.enumerate() {
            let share = SubmitSharesExtended {
                channel_id: job.channel_id,
                sequence_number: nonce as u32,
                job_id: job.job_id,
                nonce: nonce as u32,
                ntime: job.min_ntime.unwrap_or_default(),
                version: job.version,
                extranonce: &[nonce as u8; 4],
            };
            self.pool.push_frame(self.miner, &share.to_frame());
        }
        self.pool.tick();
        self.pool.take_frames(self.miner);
        for share in std::mem::take(&mut self.pool.upstream) {
            if let Some(message) = channel.submit(&share, Instant::now()) {
                check_said(protocol, &message);
            }
        }
        assert!(channel.pending() <= UPSTREAM_ANSWERS_PENDING_MAX as u64);
        self.pool.forget_results();
        if self.served.is_multiple_of(64) {
            self.pool.advance(Duration::from_secs(3));
        }
    }
}

fn check_work(work: &GivenWork) {
    let (template, coinbase) = (&work.template, &work.coinbase);
    assert!(template.merkle_branches.len() <= MERKLE_BRANCHES_MAX);
    assert!(template.transactions.is_empty());
    let shortest = EXTRANONCE_BYTES - UPSTREAM_OWN_BYTES;
    assert!((shortest..=COINBASE_PART_BYTES_MAX).contains(&coinbase.prefix.len()));
    assert!(coinbase.suffix.len() <= COINBASE_PART_BYTES_MAX);
}
