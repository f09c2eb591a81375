//! Whole sessions of Stratum V2: the engine gets frames of several connections, each with many channels, between tips, pauses
//! and losses of the node. The reference project's miner sits at the other ends and panics at every broken rule: a job or
//! tip before its time, work or numbers used twice, a prevhash that names what it may not, credit that does not add up.
//! Besides, every opening and every share is answered by the tick that it came with.
//!
//! Input: steps, each a byte of what is done (`step`) and bytes of how; zeros where the input ends.
//!
//! The engine serves many inputs, because a new one takes longer than an input. What it was told since it was new is
//! written to the file that `WARPPOOL_FUZZ_HISTORY` names when an input fails; the failing input alone may not do.

use crate::bytes::Bytes;
use crate::history::serve;
use bitcoin::Target;
use std::time::Duration;
use warppool_components::node::NodeHealth;
use warppool_net::wire::v2::message::{
    CloseChannel, OpenExtendedMiningChannel, OpenStandardMiningChannel, RequestExtensions, SetupConnection,
    SubmitSharesExtended, SubmitSharesStandard, UpdateChannel,
};
use warppool_net::wire::v2::{EXTENSION_BASE, EXTENSION_NEGOTIATION, FrameHeader, Message};
use warppool_reference::{Client, Share};
use warppool_tests::pool::{Conn, Pool};
use warppool_tests::work;

/// Inputs after which time passes between them.
const INPUTS_PER_PAUSE: usize = 64;

/// Connections of an input.
const CONNECTIONS_MAX: usize = 3;

/// Steps of an input.
const STEPS_MAX: usize = 64;

/// Time that passes within an input at most. Each second costs ticks, so it is much in those alone whose length is a multiple of
/// `PATIENT_LENGTH`.
const PATIENCE: Duration = Duration::from_secs(2);
const PATIENCE_LONG: Duration = Duration::from_secs(60);
const PATIENT_LENGTH: usize = 16;

/// Runs one input.
pub fn check(data: &[u8]) {
    serve(INPUTS_PER_PAUSE, data, |pool, data| Session::new(pool, data.len()).run(data));
}

/// A miner's connection.
struct End {
    conn: Conn,
    is_setup_asked: bool,
    /// Requests for channels in the frames that no tick has taken yet.
    openings: Vec<u32>,
    has_submitted: bool,
}

/// An input at work.
struct Session<'a> {
    pool: &'a mut Pool,
    ends: Vec<End>,
    /// Whose turn it is.
    at: usize,
    /// Time that it may still wait.
    patience: Duration,
}

impl<'a> Session<'a> {
    fn new(pool: &'a mut Pool, bytes: usize) -> Self {
        let ends = vec![open(pool)];
        let patience = if bytes.is_multiple_of(PATIENT_LENGTH) { PATIENCE_LONG } else { PATIENCE };
        Self { pool, ends, at: 0, patience }
    }

    fn run(mut self, data: &[u8]) {
        let mut bytes = Bytes(data);
        for _ in 0..STEPS_MAX {
            if bytes.is_empty() {
                break;
            }
            self.step(&mut bytes);
        }
        self.tick();
        self.check_verdicts();
        self.pool.health(NodeHealth::Ready);
        for end in &self.ends {
            if self.pool.closed(end.conn).is_none() {
                self.pool.push_hang_up(end.conn);
            }
        }
        self.pool.tick();
        self.pool.forget_ended();
        self.pool.forget_results();
    }

    /// The first byte's lower five bits are what is done.
    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() & 31 {
            0..=4 => self.submit(bytes),
            5..=7 => self.open_channel(bytes),
            8 => self.update(bytes),
            9 => self.close_channel(bytes),
            10..=12 => self.raw(bytes),
            13 => self.set_up(bytes),
            14 => self.extensions(bytes),
            15 => self.turn(bytes),
            16 => self.hang_up(),
            17 | 18 => self.tick(),
            19 => self.tip(bytes),
            20 => {
                self.tick();
                let template = self.pool.next_template();
                self.pool.template(template);
                self.listen();
            }
            21 => {
                self.tick();
                let wanted = Duration::from_millis(100 * u64::from(bytes.byte()));
                let wait = wanted.min(self.patience);
                self.patience -= wait;
                self.pool.advance(wait);
                self.listen();
            }
            22 => self.node(NodeHealth::Lost),
            23 => self.node(NodeHealth::Ready),
            _ => self.submit(bytes),
        }
    }

    fn conn(&self) -> Conn {
        self.ends[self.at].conn
    }

    fn client(&mut self) -> &mut Client {
        let conn = self.conn();
        self.pool.client_mut(conn)
    }

    /// Whether the present connection is open and set up; it is set up if it was not yet.
    fn be_ready(&mut self) -> bool {
        if self.client().is_set_up().is_err() {
            self.hang_up();
        }
        if self.pool.closed(self.conn()).is_some() {
            self.ends[self.at] = open(self.pool);
        }
        if !self.ends[self.at].is_setup_asked {
            self.ask_setup(0);
        }
        self.pool.closed(self.conn()).is_none()
    }

    fn ask_setup(&mut self, flags: u32) {
        self.ends[self.at].is_setup_asked = true;
        let frame = self.client().setup(flags);
        self.push(&frame);
        self.tick();
    }

    fn set_up(&mut self, bytes: &mut Bytes<'_>) {
        let flags = u32::from(bytes.byte());
        if self.pool.closed(self.conn()).is_none() && !self.ends[self.at].is_setup_asked {
            self.ask_setup(flags & 7);
        }
    }

    fn open_channel(&mut self, bytes: &mut Bytes<'_>) {
        if !self.be_ready() {
            return;
        }
        // What is owed for earlier frames may stand before the answer, and the miner would take it for what follows it.
        self.tick();
        if self.pool.closed(self.conn()).is_some() {
            return;
        }
        let (kind, rate, target) = (bytes.byte(), rate(bytes.byte()), target(bytes.byte()));
        let identity = identity(bytes);
        let (request, frame) = if kind & 1 == 0 {
            self.client().open_standard(&identity, rate, target)
        } else {
            self.client().open_extended(&identity, rate, target, u16::from(kind >> 4))
        };
        self.push(&frame);
        self.ends[self.at].openings.push(request);
    }

    fn submit(&mut self, bytes: &mut Bytes<'_>) {
        if !self.be_ready() {
            return;
        }
        let (channel, job, nonce, how) = (bytes.byte(), bytes.byte(), bytes.byte(), bytes.byte());
        let channels: Vec<_> = self.client().channels().collect();
        let share = match channels.get(usize::from(channel) % (channels.len() + 1)) {
            None => share_of_nothing(channel, job, how),
            Some(channel) => {
                let jobs = &channel.jobs;
                let job = jobs.len().checked_sub(1 + usize::from(job % 8)).map(|place| &jobs[place]);
                let own = channel.own_extranonce_bytes();
                let extended = (own > 0) != (how & 0x40 != 0);
                Share {
                    channel: channel.id,
                    job: job.map_or(u32::from(how), |job| job.id),
                    nonce: u32::from(nonce),
                    ntime: job.and_then(|job| job.min_ntime).unwrap_or(0).wrapping_add_signed(times(how & 3)),
                    version: job.map_or(0, |job| job.version) ^ versions(how >> 2 & 3),
                    extranonce: extended.then(|| vec![how; if how & 0x30 == 0x30 { 3 } else { own }]),
                    hash: String::new(),
                    reached: 0.0,
                }
            }
        };
        let (_, frame) = self.client().submit(&share);
        self.push(&frame);
        self.ends[self.at].has_submitted = true;
    }

    fn update(&mut self, bytes: &mut Bytes<'_>) {
        if self.be_ready() {
            let (channel, rate, target) = (self.some_channel(bytes.byte()), rate(bytes.byte()), target(bytes.byte()));
            let frame = self.client().update(channel, rate, target);
            self.push(&frame);
        }
    }

    fn close_channel(&mut self, bytes: &mut Bytes<'_>) {
        if self.be_ready() {
            let which = bytes.byte();
            // What was sent before it is judged before it, and answered.
            self.tick();
            if self.pool.closed(self.conn()).is_none() {
                let channel = self.some_channel(which);
                let frame = self.client().close(channel);
                self.push(&frame);
            }
        }
    }

    /// A channel, its group, or a number that will not be given to anybody soon.
    fn some_channel(&mut self, which: u8) -> u32 {
        let channels: Vec<_> = self.client().channels().map(|channel| [channel.id, channel.group]).collect();
        let place = usize::from(which >> 1);
        channels.get(place % (channels.len() + 1)).map_or(1000 + u32::from(which), |ids| ids[usize::from(which & 1)])
    }

    /// A frame of any bytes, which the miner knows nothing of: so none that asks for an answer.
    fn raw(&mut self, bytes: &mut Bytes<'_>) {
        let (extension, message_type) = (bytes.byte(), bytes.byte());
        let payload_bytes = usize::from(bytes.byte()).min(bytes.rest().len());
        let (payload, rest) = bytes.rest().split_at(payload_bytes);
        *bytes = Bytes(rest);
        let header = FrameHeader {
            extension: u16::from(extension >> 1 & 3),
            is_channel_message: extension & 1 != 0,
            message_type,
            payload_bytes: payload_bytes as u32,
        };
        let is_asked = self.ends[self.at].is_setup_asked;
        if self.pool.closed(self.conn()).is_none() && !is_understood(&header, payload, is_asked) {
            let mut frame = [&header.encode()[..], payload].concat();
            if extension & 0x80 != 0 {
                // Another length than the header's.
                frame.pop();
            }
            let conn = self.conn();
            self.pool.push_frame(conn, &frame);
        }
    }

    fn extensions(&mut self, bytes: &mut Bytes<'_>) {
        // The reference project's miner asks for none, so it would take the answer for a violation; but before the setup
        // there must be none.
        if self.pool.closed(self.conn()).is_none() && !self.ends[self.at].is_setup_asked {
            let wanted = [u16::from(bytes.byte()), 2];
            let request = RequestExtensions {
                request_id: 1,
                requested_extensions: warppool_net::wire::v2::ExtensionIds::Held(&wanted),
            };
            let conn = self.conn();
            self.pool.push_frame(conn, &request.to_frame());
        }
    }

    fn turn(&mut self, bytes: &mut Bytes<'_>) {
        self.at = usize::from(bytes.byte()) % CONNECTIONS_MAX;
        while self.ends.len() <= self.at {
            let end = open(self.pool);
            self.ends.push(end);
        }
    }

    fn hang_up(&mut self) {
        self.tick();
        let conn = self.conn();
        if self.pool.closed(conn).is_none() {
            self.pool.push_hang_up(conn);
            self.tick();
        }
        self.ends[self.at] = open(self.pool);
    }

    /// A new tip; its first work is the job that was sent ahead, or another.
    fn tip(&mut self, bytes: &mut Bytes<'_>) {
        let is_bare = bytes.byte() & 1 != 0;
        self.tick();
        let template = if is_bare { self.pool.next_bare_tip() } else { self.pool.next_tip() };
        self.pool.template(template);
        self.listen();
    }

    fn node(&mut self, health: NodeHealth) {
        self.tick();
        self.pool.health(health);
        self.listen();
    }

    fn push(&mut self, frame: &[u8]) {
        let conn = self.conn();
        self.pool.push_frames(conn, frame);
    }

    fn tick(&mut self) {
        self.pool.tick();
        self.listen();
    }

    /// What was asked for is answered; the miner has heard it already.
    fn listen(&mut self) {
        for end in &mut self.ends {
            let openings = std::mem::take(&mut end.openings);
            self.pool.client_mut(end.conn).heard.clear();
            if self.pool.closed(end.conn).is_some() {
                continue;
            }
            let client = self.pool.client(end.conn);
            match client.is_set_up() {
                Ok(is_set_up) => assert_eq!(is_set_up, end.is_setup_asked, "SetupConnection is answered at once"),
                Err(_) => assert!(end.is_setup_asked),
            }
            for request in openings {
                assert!(client.opened(request).is_some(), "the request {request} for a channel is not answered");
            }
        }
    }

    fn check_verdicts(&mut self) {
        for end in &mut self.ends {
            if !std::mem::take(&mut end.has_submitted) || self.pool.closed(end.conn).is_some() {
                continue;
            }
            for channel in self.pool.client(end.conn).channels() {
                assert_eq!(channel.unanswered(), 0, "shares of channel {} are not answered", channel.id);
            }
        }
    }
}

fn open(pool: &mut Pool) -> End {
    End { conn: pool.push_open_judged(), is_setup_asked: false, openings: Vec::new(), has_submitted: false }
}

/// Whether a frame is a request that the pool would have to answer or to follow. Before the setup nothing is but the setup.
fn is_understood(header: &FrameHeader, payload: &[u8], is_setup_asked: bool) -> bool {
    fn is<'a, M: Message<'a>>(payload: &'a [u8]) -> bool {
        M::decode_payload(payload).is_ok()
    }
    match (header.extension, header.message_type) {
        (EXTENSION_BASE, SetupConnection::TYPE) => is::<SetupConnection<'_>>(payload),
        _ if !is_setup_asked => false,
        (EXTENSION_BASE, OpenStandardMiningChannel::TYPE) => is::<OpenStandardMiningChannel<'_>>(payload),
        (EXTENSION_BASE, OpenExtendedMiningChannel::TYPE) => is::<OpenExtendedMiningChannel<'_>>(payload),
        (EXTENSION_BASE, UpdateChannel::TYPE) => is::<UpdateChannel>(payload),
        (EXTENSION_BASE, CloseChannel::TYPE) => is::<CloseChannel<'_>>(payload),
        (EXTENSION_BASE, SubmitSharesStandard::TYPE) => is::<SubmitSharesStandard>(payload),
        (EXTENSION_BASE, SubmitSharesExtended::TYPE) => is::<SubmitSharesExtended<'_>>(payload),
        (EXTENSION_NEGOTIATION, _) => is::<RequestExtensions<'_>>(payload),
        _ => false,
    }
}

/// Of a channel that is not there.
fn share_of_nothing(channel: u8, job: u8, how: u8) -> Share {
    let channel = if how & 1 == 0 { u32::MAX - u32::from(channel) } else { 1000 + u32::from(channel) };
    let extranonce = (how & 2 != 0).then(|| vec![0; usize::from(how >> 2 & 31)]);
    Share { channel, job: job.into(), nonce: 0, ntime: 0, version: 0, extranonce, hash: String::new(), reached: 0.0 }
}

fn times(how: u8) -> i32 {
    [0, 1, -1, 7001][usize::from(how)]
}

fn versions(how: u8) -> u32 {
    [0, 0x2000, 0x20, 1 << 31][usize::from(how)]
}

/// Hashes a second that a channel is opened with, sense and nonsense.
fn rate(how: u8) -> f32 {
    const RATES: [f32; 8] = [1.0, 0.0, 1e12, -1.0, f32::NAN, f32::INFINITY, 1e-30, 1e6];
    RATES[usize::from(how % 8)]
}

/// One hash in 2^`zero_bits` meets it, or none does.
fn target(zero_bits: u8) -> Target {
    let zero_bits = usize::from(zero_bits);
    let mut bytes = [0; 32];
    if zero_bits < 250 {
        bytes[zero_bits / 8..].fill(0xff);
        bytes[zero_bits / 8] = 0xff >> (zero_bits % 8);
    }
    Target::from_be_bytes(bytes)
}

/// Whom a channel is for: somebody that there is, or some letters.
fn identity(bytes: &mut Bytes<'_>) -> String {
    let how = bytes.byte();
    let address = work::address(1 + how % 3);
    match how >> 4 {
        0..=3 => address,
        4..=6 => format!("{address}.rig{}", how & 15),
        7 => format!("{address}/rig"),
        8 => format!("sri/solo/{address}/rig"),
        9 => format!("sri/donate/{}/{address}", bytes.byte()),
        10 => "x".repeat(usize::from(bytes.byte())),
        11 => String::new(),
        _ => {
            let length = usize::from(bytes.byte() % 32).min(bytes.rest().len());
            let (text, rest) = bytes.rest().split_at(length);
            *bytes = Bytes(rest);
            String::from_utf8_lossy(text).into_owned()
        }
    }
}
