//! A worker: who is credited for shares.

use crate::job::TipNumber;
use crate::reject::RejectCounts;
use crate::settings::Payee;
use crate::units::{Difficulty, Instant, UnixTime};
use bevy_ecs::component::Component;
use std::sync::Arc;

/// Number of a worker in this pool's store; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WorkerId(pub u32);

/// Windows over which hash rates are given, in seconds: 1 m, 5 m, 15 m, 1 h, 6 h, 1 d, 7 d.
pub const HASHRATE_WINDOWS_SECONDS: [u64; 7] = [60, 300, 900, 3600, 21_600, 86_400, 604_800];

/// Names of those windows in the API.
pub const HASHRATE_WINDOW_NAMES: [&str; 7] = ["1m", "5m", "15m", "1h", "6h", "1d", "7d"];

/// Who a worker is. The same for all its connections and over restarts.
#[derive(Component, Clone, PartialEq, Debug)]
pub struct WorkerIdentity {
    /// Its number.
    pub id: WorkerId,
    /// The address that is paid, or what stood in its place.
    pub address: Arc<str>,
    /// Its own name, empty when the username was an address alone.
    pub name: Arc<str>,
    /// `address.name`, or the address alone.
    pub label: Arc<str>,
    /// Where its reward goes.
    pub payee: Payee,
    /// First time it was ever authorized.
    pub first_seen: UnixTime,
}

/// What a worker has done. Totals are since it was first seen, over restarts.
#[derive(Component, Clone, PartialEq, Debug, Default)]
pub struct WorkerTotals {
    /// Shares credited.
    pub accepted: u64,
    /// Sum of their difficulties.
    pub accepted_difficulty: f64,
    /// Shares refused, by cause.
    pub rejected: RejectCounts,
    /// Best share ever, as a difficulty; 0 before the first.
    pub best_ever: f64,
    /// Best share since the pool started.
    pub best_now: f64,
    /// Last share that was credited.
    pub last_share_at: Option<UnixTime>,
    /// Blocks found that a node accepted.
    pub blocks_found: u32,
}

/// Hash rate over several windows at once: sums of credited difficulty that fade with time.
#[derive(Component, Clone, Copy, PartialEq, Debug, Default)]
pub struct Hashrate {
    /// Faded sum of difficulty for each of [`HASHRATE_WINDOWS_SECONDS`], as of `updated_at`.
    pub sums: [f64; HASHRATE_WINDOWS_SECONDS.len()],
    /// Credited difficulty that is not in the sums yet: a share costs one addition.
    pub pending: f64,
    /// When the sums were last faded.
    pub updated_at: Instant,
    /// When counting began, so that a young window is not taken for a slow miner.
    pub started_at: Instant,
}

/// Where a worker is now.
#[derive(Component, Clone, PartialEq, Debug, Default)]
pub struct WorkerPresence {
    /// Live connections it is authorized on.
    pub connections: u32,
    /// Last sign of life.
    pub last_seen: UnixTime,
    /// User agent of its latest connection.
    pub user_agent: Arc<str>,
    /// Class of its device.
    pub device_class: Arc<str>,
    /// Difficulty to start from at the next connection; `None` before one was settled.
    pub difficulty: Option<Difficulty>,
    /// Hash rate estimate that belongs to it, in hashes a second.
    pub hashes_per_second: f64,
    /// Refused shares that the store was told of.
    pub rejected_saved: RejectCounts,
    /// Something changed that the store does not know yet.
    pub unsaved: bool,
    /// How often its shares come, and how long none has come.
    pub rhythm: ShareRhythm,
    /// How soon its first share on a new tip comes; `None` before the first one that was timed.
    pub tip_latency: Option<TipLatency>,
    /// The tip of its latest credited share.
    pub tip_seen: TipNumber,
    /// Those who listen to events were told that it is here.
    pub told_up: bool,
}

/// How often a worker's shares come, and how long none has come: what its presence is judged by. There is one for every
/// worker that is remembered, so it is kept small.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct ShareRhythm {
    /// Counted intervals that ended with a credited share; older ones fade.
    pub intervals: f32,
    /// Hashes that those shares stand for, faded alike.
    pub hashes: f32,
    /// Length of those intervals in seconds, faded alike.
    pub seconds: f32,
    /// Connections when somebody last looked: with them the rate changes.
    pub connections: u32,
    /// Since when it has work, or no connection; `None` when it is connected and has no work.
    pub since: Option<Instant>,
    /// Its last share, credited or not, or when it was first given work.
    pub heard_at: Instant,
    /// Shares that its own rate would have brought since then.
    pub missed: f64,
    /// A share was credited since it was given work.
    pub has_share: bool,
}

impl ShareRhythm {
    /// Since when it has work.
    pub fn working_since(&self) -> Option<Instant> {
        self.since.filter(|_| self.connections > 0)
    }
}

/// Time from a new tip to a worker's first credited share on it.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct TipLatency {
    /// At the latest tip that was timed, in seconds.
    pub last_seconds: f32,
    /// Mean over some eight tips, in seconds.
    pub mean_seconds: f32,
}

/// Whether a worker is there. Who is slow is not away: what counts is whether its silence can be chance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PresenceState {
    /// Connected, and no share was credited since: as long as that can be chance.
    Waiting,
    /// Connected, with shares as often as is expected of it.
    Mining,
    /// Connected, but by its own rate a silence this long has a probability below 1 in 10,000.
    Silent,
    /// No connection.
    #[default]
    Disconnected,
}

impl PresenceState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Mining, Self::Silent, Self::Disconnected];

    /// Whether it counts as online.
    pub const fn is_online(self) -> bool {
        matches!(self, Self::Waiting | Self::Mining)
    }

    /// Its name in the API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Mining => "mining",
            Self::Silent => "silent",
            Self::Disconnected => "disconnected",
        }
    }
}
