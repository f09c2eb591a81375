//! Connections of which the engine does not know yet, because it is not known what they speak.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use warppool_components::connection::ConnectionKey;
use warppool_components::limits::FIRST_BYTES_SECONDS_MAX;

/// How long a connection may take to say what it speaks.
const FIRST_BYTES_TIME: Duration = Duration::from_secs(FIRST_BYTES_SECONDS_MAX);

/// A connection that nobody was told of.
#[derive(Clone, Debug)]
pub(super) struct Newcomer {
    /// Its final address.
    pub(super) peer: IpAddr,
    /// When it came.
    pub(super) since: Instant,
    /// To what it and the pool have committed themselves before its key, in the first generation of Stratum V2.
    pub(super) prologue: Option<Box<[u8]>>,
}

/// All of them, and in which order their time ends.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    waiting: HashMap<ConnectionKey, Newcomer>,
    /// Some of these have been told of since.
    order: VecDeque<(ConnectionKey, Instant)>,
}

impl Newcomers {
    /// Somebody came.
    pub(super) fn insert(&mut self, key: ConnectionKey, peer: IpAddr) {
        let since = Instant::now();
        self.waiting.insert(key, Newcomer { peer, since, prologue: None });
        if self.order.len() >= 2 * self.waiting.len().max(16) {
            self.order.retain(|(key, _)| self.waiting.contains_key(key));
        }
        self.order.push_back((key, since + FIRST_BYTES_TIME));
    }

    pub(super) fn get(&self, key: ConnectionKey) -> Option<&Newcomer> {
        self.waiting.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut Newcomer> {
        self.waiting.get_mut(&key)
    }

    /// It is told of, or has gone.
    pub(super) fn remove(&mut self, key: ConnectionKey) -> Option<Newcomer> {
        self.waiting.remove(&key)
    }

    /// When the next one has had its time. May be a moment at which nobody has.
    pub(super) fn next_until(&self) -> Option<Instant> {
        self.order.front().map(|(_, until)| *until)
    }

    /// The next one that has had its time, once. It is kept.
    pub(super) fn next_overdue(&mut self) -> Option<ConnectionKey> {
        while let Some((key, until)) = self.order.front().copied() {
            let is_waiting = self.waiting.contains_key(&key);
            if is_waiting && until > Instant::now() {
                return None;
            }
            self.order.pop_front();
            if is_waiting {
                return Some(key);
            }
        }
        None
    }
}
