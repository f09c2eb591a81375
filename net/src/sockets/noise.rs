//! Handshakes of Stratum V2: who may have one, and what is answered.

use super::Sockets;
use super::connection::{Door, Stage};
use super::refusal::Refusal;
use crate::transport::noise::first_generation::{FIRST_MESSAGE_BYTES_MAX, FirstGeneration, Reply, first_message_bytes};
use crate::transport::noise::{ACT_1_BYTES, AuthorityKey, NoiseError, NoiseSession, Responder};
use std::time::{Duration, SystemTime};
use warppool_components::connection::{CloseReason, ConnectionKey, Protocol};
use warppool_components::inbox::Inbox;
use warppool_components::limits::NOISE_HANDSHAKE_SECONDS_MAX;
use warppool_components::units::UnixTime;

/// How long clients wait for the answer to their key.
const HANDSHAKE_TIME: Duration = Duration::from_secs(NOISE_HANDSHAKE_SECONDS_MAX);

/// What connections of Stratum V2 are served by.
#[derive(Debug)]
pub(super) struct Noise {
    /// Of both generations.
    responders: Option<(Responder, FirstGeneration)>,
    connections_max: usize,
    /// Live connections whose handshake is over.
    pub(super) connections: usize,
}

impl Noise {
    pub(super) const fn new(connections_max: usize) -> Self {
        Self { responders: None, connections_max, connections: 0 }
    }
}

impl Sockets {
    /// In whose name handshakes of Stratum V2 are answered from now on; `None` refuses them. Connections that are there stay.
    pub fn set_authority(&mut self, authority: Option<AuthorityKey>) {
        let is_same = |responder: &Responder, key: &AuthorityKey| responder.authority() == key.public();
        match (&self.noise.responders, authority) {
            // It keeps its certificate.
            (Some((responder, _)), Some(authority)) if is_same(responder, &authority) => {}
            (_, authority) => {
                self.noise.responders = authority.map(|key| {
                    let first = FirstGeneration::new(&key);
                    (Responder::new(key), first)
                });
            }
        }
    }

    /// Changes the cap on connections of Stratum V2. Connections that are there stay.
    pub fn set_noise_connections_max(&mut self, connections_max: usize) {
        self.noise.connections_max = connections_max;
    }

    /// Live connections of Stratum V2.
    pub fn noise_connections(&self) -> usize {
        self.noise.connections
    }

    /// Takes a client's key and answers it; then the engine is told of the connection.
    pub(super) fn answer_key(&mut self, key: ConnectionKey, inbox: &mut Inbox) {
        let (Some(connection), Some(newcomer)) = (self.table.get_mut(key), self.newcomers.get(key)) else { return };
        connection.unmark_ready();
        if newcomer.since.elapsed() > HANDSHAKE_TIME {
            return self.refuse(key, Refusal::NoiseUnanswered, inbox);
        }
        if self.noise.connections >= self.noise.connections_max {
            return self.refuse(key, Refusal::NoiseOverCap, inbox);
        }
        let mut message = [0; FIRST_MESSAGE_BYTES_MAX];
        let heard = match connection.door {
            Door::FirstGeneration => connection.peek(&mut message).ok().and_then(|count| {
                let whole = first_message_bytes(&message[..count]).ok().flatten()?;
                Some((whole, newcomer.prologue.clone()))
            }),
            _ => Some((ACT_1_BYTES, None)),
        };
        // It was there as a whole when it was put into the queue.
        let Some((bytes, prologue)) = heard else { return self.leave(key, CloseReason::SocketError, inbox) };
        let door = connection.door;
        if connection.consume(&mut message[..bytes]).is_err() {
            return self.leave(key, CloseReason::SocketError, inbox);
        }
        match (door, &mut self.noise.responders) {
            (_, None) => self.refuse(key, Refusal::NoAuthority, inbox),
            (Door::FirstGeneration, Some((_, first))) => {
                let reply = first.answer(&message[..bytes], prologue.as_deref(), unix_now());
                self.go_on(key, reply, inbox);
            }
            (_, Some((responder, _))) => {
                let act_1 = message.first_chunk().expect("the buffer is longer than a key");
                match responder.answer(act_1, unix_now()) {
                    Ok((act_2, session)) => self.begin_session(key, &act_2, session, inbox),
                    Err(_) => self.leave(key, CloseReason::NoiseFailed, inbox),
                }
            }
        }
    }

    /// What follows a message of the first generation: its key, or the end of the handshake.
    fn go_on(&mut self, key: ConnectionKey, reply: Result<Reply, NoiseError>, inbox: &mut Inbox) {
        match reply {
            Ok(Reply::Done { answer, session }) => self.begin_session(key, &answer, *session, inbox),
            Ok(Reply::Chosen { answer, prologue }) => {
                let (Some(connection), Some(newcomer)) = (self.table.get_mut(key), self.newcomers.get_mut(key)) else {
                    return;
                };
                newcomer.prologue = Some(prologue);
                connection.say(&answer);
                connection.stage = Stage::NoiseKey;
                connection.mark_ready(key, &mut self.ready);
            }
            Err(_) => self.refuse(key, Refusal::NotNoise, inbox),
        }
    }

    /// Its frames are taken from now on.
    fn begin_session(&mut self, key: ConnectionKey, answer: &[u8], session: NoiseSession, inbox: &mut Inbox) {
        let Some(connection) = self.table.get_mut(key) else { return };
        connection.say(answer);
        connection.encrypt(session);
        connection.stage = Stage::Served;
        // The first frames may have come with the key, and no event will tell of them.
        connection.mark_ready(key, &mut self.ready);
        self.noise.connections += 1;
        self.counters.noise_handshakes += 1;
        self.announce(key, Protocol::StratumV2, inbox);
    }

    /// Counts how an encrypted connection failed, if it did.
    pub(super) fn count_noise_end(&mut self, session: &NoiseSession, reason: CloseReason) {
        match reason {
            CloseReason::NoiseFailed | CloseReason::FrameTooLong => self.counters.noise_failed += 1,
            CloseReason::Peer | CloseReason::SocketError if !session.has_heard() => self.counters.noise_abandoned += 1,
            _ => {}
        }
    }
}

fn unix_now() -> UnixTime {
    SystemTime::now().into()
}
