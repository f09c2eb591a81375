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
const FADING: f64 = 63.0 / 64.0;

/// Intervals that a rate remembered from an earlier run stands for. It may be the rate of a whole connection.
const REMEMBERED_INTERVALS: f64 = 2.0;

/// Intervals that a rate still stands for after connections came or went.
const INTERVALS_AFTER_CHANGE: f64 = 4.0;

/// Shortest expected interval that silence is judged by: networks pause for seconds, and proxies deliver in bursts.
const EXPECTED_SECONDS_MIN: f64 = 3.0;

/// Seconds without a connection after which people are told: miners that restart or reconnect are back by then.
const RECONNECT_SECONDS: f64 = 30.0;

/// The work that a worker has been given.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Work {
    /// Difficulty in force on its hardest channel.
    pub difficulty: Difficulty,
    /// Seconds between two shares that this difficulty was chosen for; `None` when nobody knows what the miner does.
    pub aimed_seconds: Option<f64>,
}

/// A share came: credited with a difficulty, or refused.
pub fn hear(presence: &mut WorkerPresence, credited: Option<Difficulty>, now: Instant) {
    let was_silent = is_silent(presence);
    let rhythm = &mut presence.rhythm;
    let before = rhythm.heard_at.replace(now);
    rhythm.missed = 0.0;
    rhythm.watched_at = now;
    rhythm.has_share |= credited.is_some();
    // The first share starts the clock when the moment of the first work is not known; a silence was no mining.
    let Some(before) = before.filter(|_| !was_silent) else { return };
    let seconds = now.since(before).as_secs_f64();
    match credited {
        Some(difficulty) => {
            rhythm.intervals = rhythm.intervals * FADING + 1.0;
            rhythm.hashes = rhythm.hashes * FADING + difficulty.hashes();
            rhythm.seconds = rhythm.seconds * FADING + seconds;
        }
        // The interval goes on: only credited shares tell a rate.
        None => rhythm.seconds += seconds,
    }
}

/// Counts what did not come up to `now`. `work` is `None` when the worker has none.
pub fn watch(presence: &mut WorkerPresence, work: Option<&Work>, now: Instant) {
    let remembered = presence.hashes_per_second;
    let rhythm = &mut presence.rhythm;
    if rhythm.connections != presence.connections {
        adapt(rhythm, presence.connections);
    }
    let Some(work) = work else {
        (rhythm.working_since, rhythm.heard_at) = (None, None);
        (rhythm.missed, rhythm.has_share) = (0.0, false);
        return;
    };
    rhythm.working_since.get_or_insert(now);
    if rhythm.heard_at.is_none() {
        rhythm.heard_at = Some(now);
        rhythm.watched_at = now;
    }
    let seconds = now.since(rhythm.watched_at).as_secs_f64();
    rhythm.watched_at = now;
    if let Some(rate) = OwnRate::of(rhythm, remembered) {
        rhythm.missed += seconds / rate.expected_seconds(work.difficulty).max(EXPECTED_SECONDS_MIN);
    }
}

/// Connections came or went, and the hash rate most likely in proportion.
fn adapt(rhythm: &mut ShareRhythm, connections: u32) {
    let before = std::mem::replace(&mut rhythm.connections, connections);
    if before == 0 || connections == 0 {
        return;
    }
    rhythm.hashes *= f64::from(connections) / f64::from(before);
    let kept = (INTERVALS_AFTER_CHANGE / rhythm.intervals.max(INTERVALS_AFTER_CHANGE)).min(1.0);
    rhythm.intervals *= kept;
    rhythm.hashes *= kept;
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
pub fn expected_seconds(presence: &WorkerPresence, work: &Work, now: Instant) -> Option<f64> {
    let rhythm = &presence.rhythm;
    if let Some(rate) = OwnRate::of(rhythm, presence.hashes_per_second) {
        return Some(rate.expected_seconds(work.difficulty));
    }
    let waited = rhythm.heard_at.map_or(0.0, |since| now.since(since).as_secs_f64());
    work.aimed_seconds.map(|aimed| aimed.max(waited))
}

/// What people are to be told: that the worker came (`Some(true)`), or that it is gone (`Some(false)`). A worker that
/// reconnects, or whose silence ends when it has only just become improbable, is not worth two messages: gone is who
/// has no connection for a while, or is silent with the square of the probability.
pub fn news(presence: &mut WorkerPresence, now: Instant) -> Option<bool> {
    let state = state(presence);
    if state != PresenceState::Disconnected {
        presence.gone_at = None;
    }
    let is_gone = match state {
        PresenceState::Waiting | PresenceState::Mining => {
            return (!std::mem::replace(&mut presence.told_up, true)).then_some(true);
        }
        PresenceState::Silent => silence_chance(presence) < CHANCE_MIN * CHANCE_MIN,
        PresenceState::Disconnected => {
            let gone_at = *presence.gone_at.get_or_insert(now);
            now.since(gone_at).as_secs_f64() >= RECONNECT_SECONDS
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
            return Some(Self { hashes_per_second: rhythm.hashes / rhythm.seconds.max(1e-3) });
        }
        (remembered > 0.0).then_some(Self { hashes_per_second: remembered })
    }

    fn expected_seconds(&self, difficulty: Difficulty) -> f64 {
        difficulty.hashes() / self.hashes_per_second
    }
}

/// Whether the shares of this run say more than what is remembered.
fn tells_rate(rhythm: &ShareRhythm, remembered: f64) -> bool {
    rhythm.intervals >= if remembered > 0.0 { REMEMBERED_INTERVALS } else { 1.0 }
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
    let intervals = if is_remembered { REMEMBERED_INTERVALS } else { rhythm.intervals };
    if intervals <= 0.0 { 1.0 } else { (-intervals * (rhythm.missed / intervals).ln_1p()).exp() }
}

#[cfg(test)]
mod tests;
