//! The rule itself: pure functions over (state, settings, now).
//!
//! A drop to one half must be seen within some 15 shares, and 15 shares scatter by a quarter. So two questions are
//! kept apart. How fast is the miner in the long run? That is an average over hours, good to a few percent. Has it
//! changed just now? That is a sequential test of the latest shares against the average (Page's CUSUM of the Poisson
//! likelihood ratio): the fastest that there is for a given rate of false alarms. An alarm changes the difficulty; it
//! replaces the average only once it is beyond doubt, and is taken back when the shares that follow do not bear it
//! out.

use warppool_components::channel::{Suspicion, Vardiff};
use warppool_components::settings::VardiffSettings;
use warppool_components::units::{Difficulty, Instant};

/// Shares after which the first, unbounded jump is made.
const SHARES_FOR_FIRST_JUMP: f64 = 8.0;

/// Expected intervals of silence after which a miner without a share is eased.
const SILENT_INTERVALS_BEFORE_FIRST_SHARE: f64 = 2.5;

/// Largest factor by which silence eases at once.
const EASING_MAX: f64 = 16.0;

/// Largest factor by which silence eases in all once the hash rate is known. Without a bound a miner that was only
/// paused would flood the pool when it comes back.
const SILENT_EASING_MAX: f64 = 64.0;

/// Standard deviations by which the first shares must miss the target rate to be taken for a slow miner's.
const DEVIATIONS: f64 = 3.0;

/// Expected intervals after which evidence fades: two hours at six shares a minute, an average good to 3 percent.
const INTERVALS_OBSERVED_MAX: f64 = 720.0;

/// Shares in the time of one, beyond which a drop is of no interest: the difficulty is too easy anyway.
const EXPECTED_RATE_MAX: f64 = 4.0;

/// Relative hash rate that the test for a drop is sharpest against.
const SLOWER: f64 = 0.7;
/// Relative hash rate that the test for a rise is sharpest against.
const FASTER: f64 = 1.5;

/// Score of a drop that is acted on. A halved rate reaches it within 30 expected shares in some nine of ten cases,
/// chance alone every 40 minutes or so at six shares a minute. No test does much better.
const SCORE_SLOWER: f64 = 2.6;
/// Score of a rise that is acted on. A doubling is easier to see, so chance is given less.
const SCORE_FASTER: f64 = 6.5;
/// Score beyond doubt: the old average is given up.
const SCORE_CERTAIN: f64 = 7.0;
/// Shares that the average counts for against a fresh suspicion. An alarm is raised by an extreme, so the few shares
/// behind it exaggerate.
const SHARES_OF_AVERAGE: f64 = 6.0;

/// Factor below which an easing is worth it where difficulties are powers of two: the midway point.
const WORTH_EASING: f64 = std::f64::consts::SQRT_2;
/// The same for a raise: the midway point and a margin, or else a miner near it would be sent from one power to the
/// next and back.
const WORTH_RAISING: f64 = 1.08 * std::f64::consts::SQRT_2;

/// Seconds after an easing during which a raise to the next power of two waits, unless a rise was seen. Most easings
/// of a steady miner are false alarms, and taking each back at once would double the number of changes.
const HOLD_SECONDS: f64 = 3600.0;
/// Factor that is worth a raise in that time.
const WORTH_RAISING_HELD: f64 = 2.4;

/// A share at the difficulty in force was credited. Gives the difficulty that would be right, when it is time to
/// change.
pub fn on_share(state: &mut Vardiff, settings: &VardiffSettings, now: Instant) -> Option<Difficulty> {
    state.window_started_at.get_or_insert(now);
    observe(state, now, 1.0);
    state.shares += 1.0;
    state.last_share_at = now;
    if state.settled {
        return proposal(state, settings, now);
    }
    (state.shares >= SHARES_FOR_FIRST_JUMP).then(|| first_jump(state, state.shares - 1.0, now)).flatten()
}

/// Time passed without a share. Gives another difficulty when it is time to change: an easier one, but when a raise
/// had been held back until now.
pub fn on_silence(state: &mut Vardiff, settings: &VardiffSettings, now: Instant) -> Option<Difficulty> {
    let started_at = state.window_started_at?;
    observe(state, now, 0.0);
    if state.settled {
        return proposal(state, settings, now);
    }
    // A decision that no job has carried out yet must not be made again and again.
    if state.announced < state.in_force {
        return None;
    }
    let silent = now.since(state.last_share_at.max(started_at)).as_secs_f64() / state.seconds_per_share;
    if state.shares == 0.0 {
        let eased = state.in_force.value() / EASING_MAX;
        return (silent >= SILENT_INTERVALS_BEFORE_FIRST_SHARE).then(|| Difficulty::new(eased).ok()).flatten();
    }
    is_too_slow(state.shares, expected_shares(state, now)).then(|| first_jump(state, state.shares, now)).flatten()
}

/// Counting of the first shares begins anew.
pub(super) fn restart(state: &mut Vardiff, now: Instant) {
    state.shares = 0.0;
    state.window_started_at = Some(now);
    state.last_share_at = now;
}

/// Counts the time up to `now`, and `shares` that ended it.
fn observe(state: &mut Vardiff, now: Instant, shares: f64) {
    let seconds = now.since(state.observed_at.unwrap_or(now)).as_secs_f64();
    state.observed_at = Some(now);
    if !state.settled {
        return;
    }
    let share = state.in_force.hashes();
    let expected = state.hashes_per_second * seconds / share;
    // Faster than this the transport delivers in bursts, and their gaps are no silence.
    let expected_slower = expected.min(EXPECTED_RATE_MAX * seconds / state.seconds_per_share);
    suspect(&mut state.slower, SLOWER, expected_slower, shares, share, seconds);
    suspect(&mut state.faster, FASTER, expected, shares, share, seconds);
    let hashes = state.hashes_per_second * state.observed_seconds + shares * share;
    state.observed_seconds += seconds;
    state.hashes_per_second = hashes / state.observed_seconds.max(1e-3);
    state.observed_seconds = state.observed_seconds.min(INTERVALS_OBSERVED_MAX * state.seconds_per_share);
}

/// Adds to the score of a change by `factor`, in view of `shares` where `expected` were.
fn suspect(suspicion: &mut Suspicion, factor: f64, expected: f64, shares: f64, share: f64, seconds: f64) {
    let evidence = (1.0 - factor) * expected + factor.ln() * shares;
    suspicion.score = (suspicion.score + evidence).min(SCORE_CERTAIN);
    suspicion.hashes += shares * share;
    suspicion.seconds += seconds;
    if suspicion.score <= 0.0 {
        *suspicion = Suspicion::default();
    }
}

/// The first jump, to where `shares` in the time of the window put it.
fn first_jump(state: &mut Vardiff, shares: f64, now: Instant) -> Option<Difficulty> {
    let started_at = state.window_started_at.unwrap_or(now);
    let ratio = shares / expected_shares(state, now).max(1e-6);
    state.settled = true;
    state.hashes_per_second = state.in_force.hashes() / state.seconds_per_share * ratio;
    state.observed_seconds = now.since(started_at).as_secs_f64();
    Difficulty::new(state.in_force.value() * ratio).ok()
}

/// The difficulty for what the miner is now believed to do, when it is far enough from the announced one.
fn proposal(state: &mut Vardiff, settings: &VardiffSettings, now: Instant) -> Option<Difficulty> {
    let hashes_per_second = belief(state);
    let ideal = hashes_per_second * state.seconds_per_share / Difficulty::HASHES_AT_ONE;
    let ratio = ideal / state.announced.value();
    let hysteresis = 1.0 + settings.hysteresis;
    if ratio <= worth_raising(state, now).max(hysteresis) && ratio >= 1.0 / WORTH_EASING.max(hysteresis) {
        return None;
    }
    let in_force = state.in_force.value();
    let is_silent = state.slower.acted_on && state.slower.hashes == 0.0;
    let easing_max = if is_silent { EASING_MAX } else { settings.max_step };
    // The first jump may have gone further than a step, and waits for its job: a rise takes nothing of it back.
    let hardest = (in_force * settings.max_step).max(state.announced.value());
    Difficulty::new(ideal.clamp(in_force / easing_max, hardest)).ok()
}

/// The factor by which the miner must be too fast for its difficulty. A young average must be further off.
fn worth_raising(state: &Vardiff, now: Instant) -> f64 {
    if state.faster.acted_on {
        return WORTH_RAISING;
    }
    let shares = (state.observed_seconds / state.seconds_per_share).max(1.0);
    let worth = WORTH_RAISING * (0.5 / shares.sqrt()).exp();
    let is_held = state.eased_at.is_some_and(|eased_at| now.since(eased_at).as_secs_f64() < HOLD_SECONDS);
    if is_held { worth.max(WORTH_RAISING_HELD) } else { worth }
}

/// The hash rate to act on: the average, unless something speaks for a change.
fn belief(state: &mut Vardiff) -> f64 {
    let share = state.in_force.hashes();
    state.slower.acted_on |= state.slower.score > SCORE_SLOWER;
    state.faster.acted_on |= state.faster.score > SCORE_FASTER;
    let suspicion = match (state.slower.acted_on, state.faster.acted_on) {
        (true, _) => state.slower,
        (false, true) => state.faster,
        (false, false) => return state.hashes_per_second,
    };
    if suspicion.score >= SCORE_CERTAIN && suspicion.hashes > 0.0 {
        state.hashes_per_second = (suspicion.hashes + 0.5 * share) / suspicion.seconds.max(1e-3);
        state.observed_seconds = suspicion.seconds;
        (state.slower, state.faster) = (Suspicion::default(), Suspicion::default());
        return state.hashes_per_second;
    }
    let weight = SHARES_OF_AVERAGE * share * (1.0 - suspicion.score / SCORE_CERTAIN);
    let hashes_per_second = (suspicion.hashes + weight) / (suspicion.seconds + weight / state.hashes_per_second);
    hashes_per_second.max(state.hashes_per_second / SILENT_EASING_MAX)
}

fn expected_shares(state: &Vardiff, now: Instant) -> f64 {
    let started_at = state.window_started_at.unwrap_or(now);
    now.since(started_at).as_secs_f64() / state.seconds_per_share
}

/// Whether `shares` are so far below `expected` that chance does not explain it. The root of a Poisson count has a
/// standard deviation of one half, whatever the count (Anscombe).
fn is_too_slow(shares: f64, expected: f64) -> bool {
    2.0 * ((expected + 0.375).sqrt() - (shares + 0.375).sqrt()) > DEVIATIONS
}

#[cfg(test)]
mod tests;
