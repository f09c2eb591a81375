//! Handshakes of Stratum V2: who may have one, and what is answered.

use super::Sockets;
use super::connection::Stage;
use super::refusal::Refusal;
use crate::transport::noise::{ACT_1_BYTES, AuthorityKey, NoiseSession, Responder};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use warppool_components::connection::{CloseReason, ConnectionKey, Protocol};
use warppool_components::inbox::Inbox;
use warppool_components::limits::NOISE_HANDSHAKE_SECONDS_MAX;
use warppool_components::units::UnixTime;

/// How long clients wait for the answer to their key.
const HANDSHAKE_TIME: Duration = Duration::from_secs(NOISE_HANDSHAKE_SECONDS_MAX);

/// What connections of Stratum V2 are served by.
#[derive(Debug)]
pub(super) struct Noise {
    responder: Option<Responder>,
    connections_max: usize,
    /// Live connections whose handshake is over.
    pub(super) connections: usize,
}

impl Noise {
    pub(super) const fn new(connections_max: usize) -> Self {
        Self { responder: None, connections_max, connections: 0 }
    }
}

impl Sockets {
    /// In whose name handshakes of Stratum V2 are answered from now on; `None` refuses them. Connections that are there stay.
    pub fn set_authority(&mut self, authority: Option<AuthorityKey>) {
        let is_same = |responder: &Responder, key: &AuthorityKey| responder.authority() == key.public();
        match (&self.noise.responder, authority) {
            // It keeps its certificate.
            (Some(responder), Some(authority)) if is_same(responder, &authority) => {}
            (_, authority) => self.noise.responder = authority.map(Responder::new),
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

    /// Takes a client's key, answers it, and tells the engine of the connection: its frames are taken from now on.
    pub(super) fn answer_key(&mut self, key: ConnectionKey, inbox: &mut Inbox) {
        let (Some(connection), Some(newcomer)) = (self.table.get_mut(key), self.newcomers.get(key)) else { return };
        connection.unmark_ready();
        if newcomer.since.elapsed() > HANDSHAKE_TIME {
            return self.refuse(key, Refusal::NoiseUnanswered, inbox);
        }
        if self.noise.connections >= self.noise.connections_max {
            return self.refuse(key, Refusal::NoiseOverCap, inbox);
        }
        let Some(responder) = &mut self.noise.responder else {
            return self.refuse(key, Refusal::NoAuthority, inbox);
        };
        let mut act_1 = [0; ACT_1_BYTES];
        if connection.consume(&mut act_1).is_err() {
            return self.leave(key, CloseReason::SocketError, inbox);
        }
        let Ok((act_2, session)) = responder.answer(&act_1, unix_now()) else {
            return self.leave(key, CloseReason::NoiseFailed, inbox);
        };
        connection.say(&act_2);
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
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
