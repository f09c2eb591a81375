//! What a Stratum V2 connection of the swarm has beside a V1 one: its handshake, its keys and its channels.

use std::time::SystemTime;

use warppool_components::units::UnixTime;
use warppool_net::transport::noise::{ACT_2_BYTES, AuthorityPublicKey, Initiator, NoiseError, NoiseSession};

use super::frames::{Heard, JobNumbers};

/// Payload of a frame that the swarm takes: a pool without job declaration stays far below.
const PAYLOAD_BYTES_MAX: u32 = 64 * 1024;

/// How a target is spoken to in Stratum V2.
#[derive(Debug, Clone, Copy)]
pub struct V2Options {
    /// The key that vouches for the pool.
    pub authority: AuthorityPublicKey,
    /// Channels of each connection.
    pub channels: usize,
    /// Standard channels instead of extended ones.
    pub is_standard: bool,
    /// A connection is ready once its handshake is over: nothing is said after it.
    pub only_handshake: bool,
}

/// A channel as far as submits need it.
#[derive(Debug, Clone)]
pub(crate) struct ChannelLink {
    pub(crate) id: u32,
    pub(crate) group: u32,
    /// The miner's part of the extranonce; a standard channel has none.
    pub(crate) extranonce_bytes: Option<usize>,
    /// The job to work on.
    pub(crate) job: Option<JobNumbers>,
    waiting: Vec<JobNumbers>,
}

/// The V2 side of a link.
pub(super) struct V2 {
    pub(super) options: V2Options,
    initiator: Option<Initiator>,
    act_2: Vec<u8>,
    pub(super) session: Option<NoiseSession>,
    /// Bytes for the socket.
    pub(super) wire: Vec<u8>,
    /// Channels in the order of their opening, which is that of their numbers.
    pub(super) channels: Vec<ChannelLink>,
}

impl V2 {
    pub(super) fn new(options: V2Options) -> Self {
        let (session, initiator) = (None, None);
        Self { options, initiator, act_2: Vec::new(), session, wire: Vec::new(), channels: Vec::new() }
    }

    /// Begins the handshake.
    pub(super) fn begin(&mut self) -> Result<(), NoiseError> {
        let (initiator, act_1) = Initiator::new()?;
        self.initiator = Some(initiator);
        self.wire.extend_from_slice(&act_1);
        Ok(())
    }

    /// Takes bytes of the handshake's answer; gives those behind it once it is whole.
    pub(super) fn answer<'a>(&mut self, received: &'a mut [u8]) -> Result<&'a mut [u8], NoiseError> {
        let missing = ACT_2_BYTES - self.act_2.len();
        let (now, behind) = received.split_at_mut(missing.min(received.len()));
        self.act_2.extend_from_slice(now);
        if let Ok(act_2) = self.act_2.as_slice().try_into()
            && let Some(initiator) = self.initiator.take()
        {
            let now = UnixTime::from(SystemTime::now());
            self.session = Some(initiator.finish(act_2, self.options.authority, now, PAYLOAD_BYTES_MAX)?);
            self.act_2 = Vec::new();
        }
        Ok(behind)
    }

    /// The places of the channels that a number names: one, or a group's members.
    pub(super) fn places(&self, number: u32) -> Vec<usize> {
        match self.channels.binary_search_by_key(&number, |channel| channel.id) {
            Ok(place) => vec![place],
            Err(_) => (0..self.channels.len()).filter(|place| self.channels[*place].group == number).collect(),
        }
    }

    /// Keeps what jobs and tips make of the channels.
    pub(super) fn follow(&mut self, heard: &Heard<'_>) {
        match *heard {
            Heard::Opened { channel, group, extranonce_bytes, .. } => {
                let waiting = Vec::new();
                self.channels.push(ChannelLink { id: channel, group, extranonce_bytes, job: None, waiting });
            }
            Heard::Job { channel, job, is_future } => {
                for place in self.places(channel) {
                    let channel = &mut self.channels[place];
                    if is_future { channel.waiting.push(job) } else { channel.job = Some(job) }
                }
            }
            Heard::Tip { channel, job, time } => {
                for place in self.places(channel) {
                    let channel = &mut self.channels[place];
                    let named = channel.waiting.iter().find(|waiting| waiting.id == job);
                    channel.job = named.map(|named| JobNumbers { time, ..*named });
                    channel.waiting.clear();
                }
            }
            _ => {}
        }
    }
}
