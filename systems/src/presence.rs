//! Who is there: a worker's own rhythm of shares, and whether its silence can be chance.
//!
//! Shares of a miner come at random moments, so how long it may be silent depends on how often it finds one: a minute
//! means that an Antminer stands still and nothing at all for a device that finds a share an hour. Here silence is
//! counted in shares that the worker's own rate would have brought. A share costs a few multiplications; once a
//! second somebody looks at each worker.
//!
//! With a rate known from `n` intervals, the probability that `missed` expected shares fail to come is
//! `(1 + missed / n)^-n` (the rate is itself uncertain; with many intervals this is `exp(-missed)`). Below 1 in 10,000
//! the worker is silent: beyond `ln(10^4)` = 9.21 expected intervals when the rate is well known, later when it is
//! known from few shares, never while it is only guessed.

use warppool_components::units::{Difficulty, Instant};
use warppool_components::worker::{PresenceState, ShareRhythm, WorkerPresence};

/// Probability below which silence is no chance.
const CHANCE_MIN: f64 = 1e-4;

/// `ln(10^4)`: expected shares that must have failed to come.
const MISSED_MIN: f64 = 4.0 * std::f64::consts::LN_10;

/// What is left of the older intervals at each new one: some 64 count. A rate known so well lets silence begin at
/// 9.9 expected intervals.
const FADING: f32 = 63.0 / 64.0;

/// Intervals that a rate remembered from an earlier run stands for. It may be the rate of a whole connection.
const REMEMBERED_INTERVALS: f64 = 2.0;

/// Intervals that a rate still stands for after connections came or went.
const INTERVALS_AFTER_CHANGE: f32 = 4.0;

/// Shortest expected interval that silence is judged by: networks pause for seconds, and proxies deliver in bursts.
const EXPECTED_SECONDS_MIN: f64 = 3.0;

/// Seconds without a connection after which people are told: miners that restart or reconnect are back by then.
const RECONNECT_SECONDS: u64 = 30;

/// The work that a worker has been given.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Work {
    /// Difficulty in force on its hardest channel.
    pub difficulty: Difficulty,
    /// Seconds between two shares that this difficulty was chosen for; `None` when nobody knows what the miner does.
    pub aimed_seconds: Option<f32>,
}

/// A share came: credited with a difficulty, or refused.
pub fn hear(presence: &mut WorkerPresence, credited: Option<Difficulty>, now: Instant) {
    // The first share starts the clock when the moment of the first work is not known; a silence was no mining.
    let is_timed = presence.rhythm.working_since().is_some() && !is_silent(presence);
    let rhythm = &mut presence.rhythm;
    let seconds = now.since(std::mem::replace(&mut rhythm.heard_at, now)).as_secs_f32();
    rhythm.missed = 0.0;
    rhythm.has_share |= credited.is_some();
    match credited {
        _ if !is_timed => {}
        Some(difficulty) => {
            rhythm.intervals = rhythm.intervals * FADING + 1.0;
            rhythm.hashes = rhythm.hashes * FADING + difficulty.hashes() as f32;
            rhythm.seconds = rhythm.seconds * FADING + seconds;
        }
        // The interval goes on: only credited shares tell a rate.
        None => rhythm.seconds += seconds,
    }
}

/// Counts what did not come from the last look at `looked_at` up to `now`. `work` is `None` when the worker has none.
pub fn watch(presence: &mut WorkerPresence, work: Option<&Work>, looked_at: Instant, now: Instant) {
    let remembered = presence.hashes_per_second;
    let rhythm = &mut presence.rhythm;
    if rhythm.connections != presence.connections {
        adapt(rhythm, presence.connections);
    }
    let Some(work) = work.filter(|_| rhythm.connections > 0) else {
        rhythm.since = if rhythm.connections == 0 { rhythm.since.or(Some(now)) } else { None };
        (rhythm.missed, rhythm.has_share) = (0.0, false);
        return;
    };
    if rhythm.since.is_none() {
        rhythm.since = Some(now);
        rhythm.heard_at = now;
    }
    let seconds = now.since(looked_at.max(rhythm.heard_at)).as_secs_f64();
    if let Some(rate) = OwnRate::of(rhythm, remembered) {
        rhythm.missed += seconds / rate.expected_seconds(work.difficulty).max(EXPECTED_SECONDS_MIN);
    }
}

/// Connections came or went, and the hash rate most likely in proportion.
fn adapt(rhythm: &mut ShareRhythm, connections: u32) {
    let before = std::mem::replace(&mut rhythm.connections, connections);
    if before == 0 || connections == 0 {
        // What is known of its rate stays, what it was doing does not.
        rhythm.since = None;
        return;
    }
    let kept = (INTERVALS_AFTER_CHANGE / rhythm.intervals.max(INTERVALS_AFTER_CHANGE)).min(1.0);
    rhythm.intervals *= kept;
    rhythm.hashes *= kept * connections as f32 / before as f32;
    rhythm.seconds *= kept;
}

/// Where the worker stands, as of the last [`watch`].
pub fn state(presence: &WorkerPresence) -> PresenceState {
    let rhythm = &presence.rhythm;
    if presence.connections == 0 {
        PresenceState::Disconnected
    } else if is_silent(presence) {
        PresenceState::Silent
    } else if rhythm.has_share {
        PresenceState::Mining
    } else {
        PresenceState::Waiting
    }
}

/// Seconds between two shares that are to be expected.
pub fn expected_seconds(presence: &WorkerPresence, work: &Work, now: Instant) -> Option<f32> {
    let rhythm = &presence.rhythm;
    if let Some(rate) = OwnRate::of(rhythm, presence.hashes_per_second) {
        return Some(rate.expected_seconds(work.difficulty) as f32);
    }
    work.aimed_seconds.map(|aimed| aimed.max(quiet_seconds(presence, now).unwrap_or(0.0)))
}

/// Seconds since its last share, or since it was given work.
pub fn quiet_seconds(presence: &WorkerPresence, now: Instant) -> Option<f32> {
    let rhythm = &presence.rhythm;
    rhythm.working_since().map(|_| now.since(rhythm.heard_at).as_secs_f32())
}

/// What people are to be told, after [`watch`]: that the worker came (`Some(true)`), or that it is gone (`Some(false)`). A worker that
/// reconnects, or whose silence ends when it has only just become improbable, is not worth two messages: gone is who
/// has no connection for a while, or is silent with the square of the probability.
pub fn news(presence: &mut WorkerPresence, now: Instant) -> Option<bool> {
    let is_gone = match state(presence) {
        PresenceState::Waiting | PresenceState::Mining => {
            return (!std::mem::replace(&mut presence.told_up, true)).then_some(true);
        }
        PresenceState::Silent => silence_chance(presence) < CHANCE_MIN * CHANCE_MIN,
        PresenceState::Disconnected => {
            presence.rhythm.since.is_some_and(|since| now.since(since).as_secs() >= RECONNECT_SECONDS)
        }
    };
    (is_gone && std::mem::take(&mut presence.told_up)).then_some(false)
}

/// A worker's hash rate as its own shares tell it.
struct OwnRate {
    hashes_per_second: f64,
}

impl OwnRate {
    fn of(rhythm: &ShareRhythm, remembered: f64) -> Option<Self> {
        if tells_rate(rhythm, remembered) {
            return Some(Self { hashes_per_second: f64::from(rhythm.hashes / rhythm.seconds.max(1e-3)) });
        }
        (remembered > 0.0).then_some(Self { hashes_per_second: remembered })
    }

    fn expected_seconds(&self, difficulty: Difficulty) -> f64 {
        difficulty.hashes() / self.hashes_per_second
    }
}

/// Whether the shares of this run say more than what is remembered.
fn tells_rate(rhythm: &ShareRhythm, remembered: f64) -> bool {
    f64::from(rhythm.intervals) >= if remembered > 0.0 { REMEMBERED_INTERVALS } else { 1.0 }
}

/// Whether the silence is too long to be chance.
fn is_silent(presence: &WorkerPresence) -> bool {
    // However well the rate is known, the chance is no less than exp(-missed).
    presence.rhythm.missed > MISSED_MIN && silence_chance(presence) < CHANCE_MIN
}

/// Probability that as many expected shares fail to come.
fn silence_chance(presence: &WorkerPresence) -> f64 {
    let (rhythm, remembered) = (&presence.rhythm, presence.hashes_per_second);
    let is_remembered = remembered > 0.0 && !tells_rate(rhythm, remembered);
    let intervals = if is_remembered { REMEMBERED_INTERVALS } else { f64::from(rhythm.intervals) };
    if intervals <= 0.0 { 1.0 } else { (-intervals * (rhythm.missed / intervals).ln_1p()).exp() }
}

#[cfg(test)]
mod tests;
