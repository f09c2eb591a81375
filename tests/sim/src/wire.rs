//! What stands between the frames of Stratum V2 and the bytes of a socket: Noise as the pool speaks it, or nothing.
//!
//! Bytes may be cut anywhere in either. The engine sees frames only. A handshake draws its keys from the system; nothing that
//! the simulation looks at depends on them, for the number of bytes is always the same.

use std::mem;
use warppool_components::limits::FRAME_PAYLOAD_BYTES_MAX;
use warppool_components::units::UnixTime;
use warppool_net::transport::noise::{
    ACT_1_BYTES, ACT_2_BYTES, AuthorityPublicKey, Initiator, NoiseSession, Responder,
};
use warppool_net::wire::v2::{FRAME_HEADER_BYTES, FrameHeader};

/// Frames from a stream of bytes in the clear.
#[derive(Debug, Default)]
pub struct Frames(Vec<u8>);

impl Frames {
    /// The frames that are whole with `bytes`.
    fn receive(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.0.extend_from_slice(bytes);
        let mut frames = Vec::new();
        while let Some(header) = self.0.first_chunk::<FRAME_HEADER_BYTES>() {
            let end = FRAME_HEADER_BYTES + FrameHeader::decode(*header).payload_bytes as usize;
            if self.0.len() < end {
                break;
            }
            frames.push(self.0.drain(..end).collect());
        }
        frames
    }
}

/// The pool's end.
#[derive(Debug)]
pub enum PoolWire {
    /// In the clear.
    Clear(Frames),
    /// A key is awaited: what there is of it.
    Key(Vec<u8>),
    /// Encrypted.
    Noise(Box<NoiseSession>),
}

impl PoolWire {
    /// Of a new connection.
    pub fn new(is_noise: bool) -> Self {
        if is_noise { Self::Key(Vec::new()) } else { Self::Clear(Frames::default()) }
    }

    /// Takes bytes; gives whole frames, and bytes to send back.
    ///
    /// # Panics
    /// When the miner's bytes cannot be deciphered.
    pub fn receive(&mut self, bytes: &[u8], responder: &mut Responder, now: UnixTime) -> (Vec<Vec<u8>>, Vec<u8>) {
        match self {
            Self::Clear(frames) => (frames.receive(bytes), Vec::new()),
            Self::Noise(session) => (opened(session, bytes), Vec::new()),
            Self::Key(key) => {
                key.extend_from_slice(bytes);
                let Some((act_1, rest)) = key.split_first_chunk::<ACT_1_BYTES>() else { return Default::default() };
                let (act_2, mut session) = responder.answer(act_1, now).expect("any 64 bytes are a key");
                let frames = opened(&mut session, rest);
                *self = Self::Noise(Box::new(session));
                (frames, act_2.to_vec())
            }
        }
    }

    /// Whole frames as they go to the socket.
    pub fn seal(&mut self, frames: &[u8]) -> Vec<u8> {
        match self {
            Self::Clear(_) => frames.to_vec(),
            Self::Key(_) => panic!("nothing is said before the handshake"),
            Self::Noise(session) => sealed(session, frames),
        }
    }
}

/// The miner's end.
pub struct MinerWire {
    /// Whether its connections are encrypted.
    pub is_noise: bool,
    state: State,
}

enum State {
    Clear(Frames),
    /// What came of the answer, and the frames that wait for it.
    Handshake(Box<Initiator>, Vec<u8>, Vec<u8>),
    Noise(Box<NoiseSession>),
}

impl std::fmt::Debug for MinerWire {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("MinerWire").field("is_noise", &self.is_noise).finish_non_exhaustive()
    }
}

impl MinerWire {
    /// Of a miner whose connections are encrypted or not.
    pub fn new(is_noise: bool) -> Self {
        Self { is_noise, state: State::Clear(Frames::default()) }
    }

    /// Begins a connection; gives the bytes that go first.
    pub fn begin(&mut self) -> Vec<u8> {
        if !self.is_noise {
            self.state = State::Clear(Frames::default());
            return Vec::new();
        }
        let (initiator, act_1) = Initiator::new().expect("the system gives randomness");
        self.state = State::Handshake(Box::new(initiator), Vec::new(), Vec::new());
        act_1.to_vec()
    }

    /// Frames as they go to the socket; nothing while the handshake is under way, behind which they go.
    pub fn seal(&mut self, frames: &[u8]) -> Vec<u8> {
        match &mut self.state {
            State::Clear(_) => frames.to_vec(),
            State::Noise(session) => sealed(session, frames),
            State::Handshake(_, _, waiting) => {
                waiting.extend_from_slice(frames);
                Vec::new()
            }
        }
    }

    /// Takes bytes; gives whole frames, and bytes to send.
    ///
    /// # Panics
    /// When the pool's bytes cannot be deciphered or its certificate is not good.
    pub fn receive(&mut self, bytes: &[u8], authority: AuthorityPublicKey, now: UnixTime) -> (Vec<Vec<u8>>, Vec<u8>) {
        match mem::replace(&mut self.state, State::Clear(Frames::default())) {
            State::Clear(mut frames) => {
                let whole = frames.receive(bytes);
                self.state = State::Clear(frames);
                (whole, Vec::new())
            }
            State::Noise(mut session) => {
                let whole = opened(&mut session, bytes);
                self.state = State::Noise(session);
                (whole, Vec::new())
            }
            State::Handshake(initiator, mut answer, waiting) => {
                answer.extend_from_slice(bytes);
                let Some((act_2, rest)) = answer.split_first_chunk::<ACT_2_BYTES>() else {
                    self.state = State::Handshake(initiator, answer, waiting);
                    return Default::default();
                };
                let session = initiator.finish(act_2, authority, now, FRAME_PAYLOAD_BYTES_MAX as u32);
                let mut session = session.unwrap_or_else(|error| panic!("the pool's handshake is refused: {error}"));
                let (whole, sealed) = (opened(&mut session, rest), sealed(&mut session, &waiting));
                self.state = State::Noise(Box::new(session));
                (whole, sealed)
            }
        }
    }
}

fn opened(session: &mut NoiseSession, bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut received, mut frames) = (bytes.to_vec(), Vec::new());
    let result = session.receive(&mut received, usize::MAX, |frame| frames.push(frame.to_vec()));
    result.unwrap_or_else(|error| panic!("what was sealed cannot be opened: {error}"));
    frames
}

fn sealed(session: &mut NoiseSession, frames: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    session.seal(frames, &mut out).unwrap_or_else(|error| panic!("frames cannot be sealed: {error}"));
    out
}
