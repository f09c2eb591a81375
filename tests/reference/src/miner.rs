//! A client over a secured connection: it sends, and reads until what it waits for has come.

use crate::channel::{Channel, JobState};
use crate::client::{Client, Verdict, any_target};
use crate::secured::Secured;
use crate::work::Share;
use std::net::SocketAddr;

/// Hashes a second that channels are opened with: little, so that a test finds shares by a few hundred hashes.
const HASH_RATE: f32 = 30.0;

/// Bytes of extranonce that extended channels ask for, as a Bitaxe does.
const MIN_EXTRANONCE: u16 = 2;

/// A miner.
pub struct Miner {
    /// What it knows.
    pub client: Client,
    wire: Secured,
}

impl Miner {
    /// Connects, does the handshake and sets the connection up.
    ///
    /// # Panics
    /// When the pool refuses any of it.
    pub fn connect(pool: SocketAddr, authority: [u8; 32], flags: u32) -> Self {
        let wire = Secured::connect(pool, authority).unwrap_or_else(|error| panic!("the handshake failed: {error}"));
        let mut miner = Self { client: Client::default(), wire };
        let setup = miner.client.setup(flags);
        miner.wire.send(&setup);
        miner.until("the answer to SetupConnection", |client| client.is_set_up().expect("a setup that succeeds"));
        miner
    }

    /// A connection on which nothing was said after the handshake.
    pub fn over(wire: Secured) -> Self {
        Self { client: Client::default(), wire }
    }

    /// Reads frames until it is so.
    ///
    /// # Panics
    /// When the pool hangs up or nothing comes in time.
    pub fn until(&mut self, what: &str, is_so: impl Fn(&Client) -> bool) {
        while !is_so(&self.client) {
            assert!(self.hear_one(), "the pool hung up before {what}");
        }
    }

    /// Reads one frame; false once the pool has hung up.
    pub fn hear_one(&mut self) -> bool {
        let frame = self.wire.receive();
        frame.as_deref().inspect(|frame| self.client.hear_frame(frame)).is_some()
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &[u8]) {
        self.wire.send(frame);
    }

    /// Opens a standard channel; gives its number once it can be worked on.
    ///
    /// # Errors
    /// The code of its refusal.
    pub fn open_standard(&mut self, identity: &str) -> Result<u32, String> {
        let (request, frame) = self.client.open_standard(identity, HASH_RATE, any_target());
        self.open(request, &frame)
    }

    /// The same for an extended channel.
    ///
    /// # Errors
    /// The code of its refusal.
    pub fn open_extended(&mut self, identity: &str) -> Result<u32, String> {
        let (request, frame) = self.client.open_extended(identity, HASH_RATE, any_target(), MIN_EXTRANONCE);
        self.open(request, &frame)
    }

    fn open(&mut self, request: u32, frame: &[u8]) -> Result<u32, String> {
        self.wire.send(frame);
        self.until("the answer to Open", |client| client.opened(request).is_some());
        let channel = self.client.opened(request).expect("waited for")?;
        self.until("a first job", |client| client.channel(channel).active_job().is_some());
        Ok(channel)
    }

    /// A channel.
    pub fn channel(&self, id: u32) -> &Channel {
        self.client.channel(id)
    }

    /// Submits a share and waits for its verdict.
    ///
    /// # Errors
    /// The code that it is refused with.
    pub fn submit(&mut self, share: &Share) -> Verdict {
        let sequence = self.submit_only(share);
        self.verdict(share.channel, sequence)
    }

    /// Submits a share; gives its sequence number.
    pub fn submit_only(&mut self, share: &Share) -> u32 {
        let (sequence, frame) = self.client.submit(share);
        self.wire.send(&frame);
        sequence
    }

    /// Waits for a share's verdict.
    ///
    /// # Errors
    /// The code that it is refused with.
    pub fn verdict(&mut self, channel: u32, sequence: u32) -> Verdict {
        self.until("a verdict", |client| client.verdict(channel, sequence).is_some());
        self.client.verdict(channel, sequence).expect("waited for")
    }

    /// Waits until a channel has a job other than `job` to work on.
    pub fn next_job(&mut self, channel: u32, job: u32) -> u32 {
        let is_new = |client: &Client| client.channel(channel).active_job().is_some_and(|active| active.id != job);
        self.until("another job", is_new);
        self.channel(channel).job().id
    }

    /// Waits until a job is of no use any more.
    pub fn until_stale(&mut self, channel: u32, job: u32) {
        self.until("a new tip", |client| {
            client.channel(channel).job_of(job).is_none_or(|job| job.state == JobState::Stale)
        });
    }

    /// Reads until the pool hangs up.
    pub fn wait_for_end(&mut self) {
        while self.hear_one() {}
    }

    /// Ends the connection.
    pub fn hang_up(&self) {
        self.wire.hang_up();
    }
}
