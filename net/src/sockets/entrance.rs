//! The way in: from an accepted socket to a connection whose address and protocol are known.
//!
//! Until then nothing is taken from the socket but PROXY headers: first bytes are looked at where they are, so that a
//! connection that has said little, or a handshake that must wait, costs no memory here. A connection from an address
//! that may speak for another is held back until it has said for whom; the engine does not know of it before. Nor does it know
//! of one that has not said what it speaks, for [`FIRST_BYTES_SECONDS_MAX`](warppool_components::limits::FIRST_BYTES_SECONDS_MAX):
//! then it is a slow miner of Stratum V1, whom the engine waits for as long as it waits for all.
//!
//! Handshakes are the one expensive thing that a stranger can ask for. At most
//! [`HANDSHAKE_STEPS_PER_TICK_MAX`] are carried a step further in one tick, first come, first served, while every line of
//! every plain connection is taken as before.

use super::connection::{Connection, Door, Quota, Stage};
use super::refusal::Refusal;
use super::{SocketCounters, Sockets};
use crate::admission::PeerNetwork;
use crate::transport::noise::ACT_1_BYTES;
use crate::transport::noise::first_generation::{FIRST_MESSAGE_BYTES_MAX, first_message_bytes};
use crate::transport::sniff::{SNIFF_BYTES_MAX, Sniff, sniff};
use crate::transport::tls::TlsServer;
use crate::transport::{http_hint, proxy};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use warppool_components::connection::{CloseReason, ConnectionKey, Protocol};
use warppool_components::inbox::{Closed, Inbox, Opened};
use warppool_components::limits::{
    HANDSHAKE_STEPS_PER_TICK_MAX, HTTP_HINT_HEAD_BYTES_MAX, LINES_PER_CONNECTION_PER_TICK_MAX, LINES_PER_TICK_MAX,
    PROXY_HEADER_BYTES_MAX, PROXY_HEADER_SECONDS_MAX,
};

const _: () = assert!(ACT_1_BYTES <= SNIFF_BYTES_MAX, "a whole key is seen before it is taken");

/// How long a proxy may take for its header.
const PROXY_HEADER_TIME: Duration = Duration::from_secs(PROXY_HEADER_SECONDS_MAX);

/// What a look at the first bytes has shown.
enum Step {
    /// The next stage; look again.
    Next(Stage),
    /// For whom a proxy speaks (`None`: for itself), and the length of what it said that with.
    From(Option<IpAddr>, usize),
    /// Not enough to tell.
    Wait,
    /// Nothing more will come, and it was not enough.
    Leave(CloseReason),
    /// An answer to a stranger, and its end.
    Answer(Vec<u8>),
    /// Its end.
    Refuse(Refusal),
}

impl Sockets {
    /// The one place where a connection with its final address comes to exist: at once for most, behind the PROXY header
    /// for those that a proxy speaks for. Both were admitted by that address before.
    pub(super) fn welcome(&mut self, key: ConnectionKey, peer: IpAddr) {
        // A miner on an IPv4 network that reached the dual-stack socket is known by its IPv4 address.
        self.newcomers.insert(key, peer.to_canonical());
    }

    /// The one place where the engine learns of a connection.
    pub(super) fn announce(&mut self, key: ConnectionKey, protocol: Protocol, inbox: &mut Inbox) {
        if let Some(newcomer) = self.newcomers.remove(key) {
            inbox.opened.push(Opened { connection: key, peer: newcomer.peer, protocol });
        }
    }

    /// Those that have not said what they speak are told of; those that have begun a key and not finished it are closed.
    pub(super) fn expire_newcomers(&mut self, inbox: &mut Inbox) {
        while let Some(key) = self.newcomers.next_overdue() {
            match self.table.get_mut(key).map(|connection| (connection.stage, connection.door)) {
                Some((Stage::NoiseKey, _) | (Stage::Undecided, Door::Noise | Door::FirstGeneration)) => {
                    self.refuse(key, Refusal::NoiseLate, inbox);
                }
                // Its answer is on the way.
                Some((Stage::NoiseHandshake, _)) => {}
                _ => self.announce(key, Protocol::StratumV1, inbox),
            }
        }
    }

    /// Whether a connection from `peer` may say for whom it speaks.
    pub(super) fn may_be_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|range| range.contains(peer))
    }

    /// Keeps a new connection from the engine until it has said for whom it speaks.
    pub(super) fn hold(&mut self, key: ConnectionKey) {
        if self.held.len() >= 2 * self.connections_max.max(1) {
            // What is held is live, so more than half of the list is over.
            let table = &mut self.table;
            self.held.retain(|(key, _)| table.get_mut(*key).is_some_and(|held| held.stage == Stage::Held));
        }
        self.held.push_back((key, Instant::now() + PROXY_HEADER_TIME));
    }

    /// When the next of those that are held back has had its time.
    pub(super) fn next_held_until(&self) -> Option<Instant> {
        self.held.front().map(|(_, until)| *until)
    }

    /// Closes those that were held back for too long.
    pub(super) fn expire_held(&mut self, inbox: &mut Inbox) {
        while self.held.front().is_some_and(|(_, until)| *until <= Instant::now()) {
            let Some((key, _)) = self.held.pop_front() else { return };
            if self.table.get_mut(key).is_some_and(|connection| connection.stage == Stage::Held) {
                self.refuse(key, Refusal::ProxyMissing, inbox);
            }
        }
    }

    /// Goes on with a connection that is not served yet. Returns whether it is now, so that its lines can be read.
    pub(super) fn enter(&mut self, key: ConnectionKey, inbox: &mut Inbox) -> bool {
        loop {
            let Some(connection) = self.table.get_mut(key) else { return false };
            connection.unmark_ready();
            if connection.is_given_up() {
                // It is read once more for its end, whatever it was about to say.
                connection.stage = Stage::Served;
                self.announce(key, Protocol::StratumV1, inbox);
                return true;
            }
            if matches!(connection.stage, Stage::Handshake | Stage::NoiseHandshake) {
                connection.mark_ready(key, &mut self.handshakes);
                return false;
            }
            match look(connection, &mut self.read_buffer, &self.dashboard) {
                Step::Next(Stage::NoiseKey) if self.newcomers.get(key).is_none() => {
                    self.refuse(key, Refusal::NoiseLate, inbox);
                }
                Step::Next(stage @ (Stage::NoiseKey | Stage::NoiseHandshake)) => connection.stage = stage,
                Step::Next(stage) => {
                    connection.stage = stage;
                    self.announce(key, Protocol::StratumV1, inbox);
                }
                Step::From(source, length) => self.hear_proxy(key, source, length, inbox),
                Step::Wait => return false,
                Step::Leave(reason) => self.leave(key, reason, inbox),
                Step::Answer(answer) => {
                    connection.say(&answer);
                    self.refuse(key, Refusal::Http, inbox);
                }
                Step::Refuse(refusal) => self.refuse(key, refusal, inbox),
            }
            if self.table.get_mut(key).is_some_and(|connection| connection.stage == Stage::Served) {
                return true;
            }
        }
    }

    /// The connection of `source`, or of the proxy itself, begins behind `length` bytes.
    fn hear_proxy(&mut self, key: ConnectionKey, source: Option<IpAddr>, length: usize, inbox: &mut Inbox) {
        let Some(connection) = self.table.get_mut(key) else { return };
        let own = connection.stream_mut().peer_addr().map(|address| address.ip());
        let consumed = connection.consume(&mut self.read_buffer[..length]);
        match (consumed, source.map_or(own, Ok)) {
            (Ok(()), Ok(peer)) => self.admit_proxied(key, peer, inbox),
            _ => self.leave(key, CloseReason::SocketError, inbox),
        }
    }

    /// The client behind a proxy is let in by the same rules as everybody.
    fn admit_proxied(&mut self, key: ConnectionKey, peer: IpAddr, inbox: &mut Inbox) {
        let network = PeerNetwork::of(peer);
        if !self.admit(network) {
            return self.leave(key, CloseReason::ConnectionCap, inbox);
        }
        if let Some(connection) = self.table.get_mut(key) {
            connection.admit(network);
            connection.stage = Stage::Undecided;
        }
        self.welcome(key, peer);
    }

    /// Carries some handshakes a step further.
    pub(super) fn shake_hands(&mut self, inbox: &mut Inbox) {
        let mut steps_left = HANDSHAKE_STEPS_PER_TICK_MAX;
        while steps_left > 0 && inbox.lines.len() < LINES_PER_TICK_MAX {
            let Some(key) = self.handshakes.pop_front() else { return };
            let Some(connection) = self.table.get_mut(key) else { continue };
            steps_left -= 1;
            if connection.stage == Stage::NoiseHandshake {
                self.answer_key(key, inbox);
                continue;
            }
            if connection.tls().is_none() {
                let tls = self.tls_config.clone().map(TlsServer::new);
                let Some(Ok(tls)) = tls else {
                    self.refuse(key, Refusal::NoCertificate, inbox);
                    continue;
                };
                connection.secure(tls);
            }
            let lines = LINES_PER_CONNECTION_PER_TICK_MAX.min(LINES_PER_TICK_MAX - inbox.lines.len());
            // A single read is a step.
            self.read_one(key, &mut Quota { lines, bytes: 1 }, inbox);
            self.note_handshake(key);
        }
    }

    /// A connection whose handshake is over is served.
    fn note_handshake(&mut self, key: ConnectionKey) {
        let Some(connection) = self.table.get_mut(key) else { return };
        let Some(tls) = connection.tls().filter(|tls| tls.is_established()) else { return };
        let counters = &mut self.counters;
        *if tls.is_resumed() { &mut counters.handshakes_resumed } else { &mut counters.handshakes_full } += 1;
        connection.stage = Stage::Served;
        self.secured += 1;
    }

    /// Closes a connection that is not served, and counts it.
    pub(super) fn refuse(&mut self, key: ConnectionKey, refusal: Refusal, inbox: &mut Inbox) {
        self.counters.refused[refusal as usize] += 1;
        self.leave(key, refusal.close_reason(), inbox);
    }

    /// Ends a connection from our side or because it ended; the engine learns of it, if it knew it.
    pub(super) fn leave(&mut self, key: ConnectionKey, reason: CloseReason, inbox: &mut Inbox) {
        let is_newcomer = self.newcomers.get(key).is_some();
        let Some(connection) = self.free(key) else { return };
        if connection.stage != Stage::Held && !is_newcomer {
            inbox.closed.push(Closed { connection: key, reason });
        }
        count_failed_handshake(&mut self.counters, &connection, reason);
        if let Some(session) = connection.noise() {
            self.count_noise_end(session, reason);
        }
        let is_gone = matches!(reason, CloseReason::Peer | CloseReason::SocketError | CloseReason::SlowReader);
        if !is_gone {
            connection.hang_up(&mut self.read_buffer);
        }
    }
}

fn count_failed_handshake(counters: &mut SocketCounters, connection: &Connection, reason: CloseReason) {
    if reason == CloseReason::TlsFailed && connection.stage == Stage::Handshake {
        counters.handshakes_failed += 1;
    }
}

/// Looks at the first bytes of a connection that is [`Stage::Held`], [`Stage::Undecided`], [`Stage::Http`] or
/// [`Stage::NoiseKey`].
fn look(connection: &mut Connection, buffer: &mut [u8], dashboard: &http_hint::Dashboard) -> Step {
    let most = match connection.stage {
        Stage::Held => PROXY_HEADER_BYTES_MAX,
        Stage::Http => HTTP_HINT_HEAD_BYTES_MAX,
        Stage::NoiseKey => FIRST_MESSAGE_BYTES_MAX,
        _ => SNIFF_BYTES_MAX,
    };
    let seen = match connection.peek(&mut buffer[..most]) {
        Ok(0) => return Step::Wait,
        Ok(count) => &buffer[..count],
        Err(reason) => return Step::Leave(reason),
    };
    match connection.stage {
        Stage::Held => look_for_header(seen, connection.ends()),
        Stage::Http => {
            match connection.stream_mut().local_addr().map(|local| http_hint::answer(seen, local, dashboard)) {
                Ok(Some(answer)) => Step::Answer(answer),
                Ok(None) if !connection.ends() => Step::Wait,
                _ => Step::Leave(CloseReason::Peer),
            }
        }
        Stage::NoiseKey => look_for_key(seen, connection.door, connection.ends()),
        _ => look_for_protocol(seen, connection.door, connection.ends()),
    }
}

/// A listed address may also speak for itself, without a header.
fn look_for_header(seen: &[u8], ends: bool) -> Step {
    match sniff(seen) {
        Sniff::Proxy => match proxy::parse(seen) {
            Ok(Some(header)) => Step::From(header.source, header.bytes),
            Ok(None) if ends => Step::Leave(CloseReason::Peer),
            Ok(None) => Step::Wait,
            Err(_) => Step::Refuse(Refusal::ProxyMalformed),
        },
        Sniff::NeedMore if !ends => Step::Wait,
        _ => Step::From(None, 0),
    }
}

/// A whole key, or what the first generation says before it.
fn look_for_key(seen: &[u8], door: Door, ends: bool) -> Step {
    let is_whole = match door {
        Door::FirstGeneration => first_message_bytes(seen).map(|bytes| bytes.is_some()),
        _ => Ok(seen.len() >= ACT_1_BYTES),
    };
    match is_whole {
        Ok(true) => Step::Next(Stage::NoiseHandshake),
        Ok(false) if ends => Step::Leave(CloseReason::Peer),
        Ok(false) => Step::Wait,
        Err(_) => Step::Refuse(Refusal::NotNoise),
    }
}

fn look_for_protocol(seen: &[u8], door: Door, ends: bool) -> Step {
    if door == Door::FirstGeneration {
        return Step::Next(Stage::NoiseKey);
    }
    match (sniff(seen), door) {
        (Sniff::NeedMore, _) if !ends => Step::Wait,
        (Sniff::Proxy, _) => Step::Refuse(Refusal::ProxyForeign),
        (Sniff::Http, _) => Step::Next(Stage::Http),
        (Sniff::Tls, Door::Any | Door::Tls) => Step::Next(Stage::Handshake),
        (_, Door::Tls) => Step::Refuse(Refusal::NotTls),
        (Sniff::Noise, _) => Step::Next(Stage::NoiseKey),
        (_, Door::Noise | Door::FirstGeneration) => Step::Refuse(Refusal::NotNoise),
        // Less than a protocol needs, and an end: a last line, if it is anything.
        (Sniff::StratumV1 | Sniff::NeedMore, _) => Step::Next(Stage::Served),
    }
}
