//! The rule itself: pure functions over (state, settings, now).

use warppool_components::channel::Vardiff;
use warppool_components::settings::VardiffSettings;
use warppool_components::units::{Difficulty, Instant};

/// Shares after which the first, unbounded jump is made.
const SHARES_FOR_FIRST_JUMP: f64 = 8.0;

/// Standard deviations by which the evidence must miss the target rate.
const DEVIATIONS: f64 = 3.0;

/// Evidence older than so many expected shares fades, so that a change of rate is not drowned by history.
const SHARES_IN_WINDOW_MAX: f64 = 60.0;

/// Expected intervals of silence after which a miner without a share is eased.
const SILENT_INTERVALS_BEFORE_FIRST_SHARE: f64 = 2.5;

/// The same for one whose rate is known: such silence has a probability of 1 in 8100.
const SILENT_INTERVALS: f64 = 9.0;

/// Largest factor by which silence eases at once.
const EASING_MAX: f64 = 16.0;

/// A share at the difficulty in force was credited. Gives the difficulty that would be right, when it is time to
/// change.
pub fn on_share(state: &mut Vardiff, settings: &VardiffSettings, now: Instant) -> Option<Difficulty> {
    let started_at = *state.window_started_at.get_or_insert(now);
    state.shares += 1.0;
    state.last_share_at = now;
    let expected = expected_shares(state, now);
    if !state.settled {
        return first_jump(state, expected);
    }
    // Pseudo-counts keep the estimate finite in the first moments.
    let ratio = (state.shares + 0.5) / (expected + 0.5);
    state.hashes_per_second = state.in_force.hashes() / state.seconds_per_share * ratio;
    if is_excluded(state.shares, expected) && (ratio - 1.0).abs() > settings.hysteresis {
        return scaled(state, ratio.clamp(1.0 / settings.max_step, settings.max_step));
    }
    if expected > SHARES_IN_WINDOW_MAX {
        // Half of the evidence is forgotten: half of the shares and half of the time.
        state.shares /= 2.0;
        state.window_started_at = Some(started_at + now.since(started_at) / 2);
    }
    None
}

/// Time passed without a share. Gives an easier difficulty, when it is time to ease.
pub fn on_silence(state: &mut Vardiff, settings: &VardiffSettings, now: Instant) -> Option<Difficulty> {
    let started_at = state.window_started_at?;
    // A decision that no job has carried out yet must not be made again and again.
    if state.announced < state.in_force {
        return None;
    }
    let silent = now.since(state.last_share_at.max(started_at)).as_secs_f64() / state.seconds_per_share;
    let expected = expected_shares(state, now);
    if state.shares == 0.0 && !state.settled && silent >= SILENT_INTERVALS_BEFORE_FIRST_SHARE {
        return scaled(state, 1.0 / EASING_MAX);
    }
    if silent >= SILENT_INTERVALS {
        return scaled(state, (1.0 / silent).max(1.0 / EASING_MAX));
    }
    let ratio = (state.shares + 0.5) / (expected + 0.5);
    let too_slow = state.settled && ratio < 1.0 - settings.hysteresis && is_excluded(state.shares, expected);
    too_slow.then(|| scaled(state, ratio.max(1.0 / settings.max_step))).flatten()
}

/// Evidence begins anew.
pub(super) fn restart(state: &mut Vardiff, now: Instant) {
    state.shares = 0.0;
    state.window_started_at = Some(now);
    state.last_share_at = now;
}

fn first_jump(state: &mut Vardiff, expected: f64) -> Option<Difficulty> {
    if state.shares < SHARES_FOR_FIRST_JUMP {
        return None;
    }
    state.settled = true;
    let ratio = state.shares / expected.max(1e-6);
    state.hashes_per_second = state.in_force.hashes() / state.seconds_per_share * ratio;
    // The first share started the clock for a miner that had none; seven intervals were seen by eight shares.
    scaled(state, ratio)
}

fn expected_shares(state: &Vardiff, now: Instant) -> f64 {
    let started_at = state.window_started_at.unwrap_or(now);
    now.since(started_at).as_secs_f64() / state.seconds_per_share
}

/// Whether `shares` are so far from `expected` that chance does not explain it. The root of a Poisson count has a
/// standard deviation of one half, whatever the count (Anscombe).
fn is_excluded(shares: f64, expected: f64) -> bool {
    let deviations = 2.0 * ((shares + 0.375).sqrt() - (expected + 0.375).sqrt());
    deviations.abs() > DEVIATIONS
}

fn scaled(state: &Vardiff, factor: f64) -> Option<Difficulty> {
    Difficulty::new(state.in_force.value() * factor).ok()
}

#[cfg(test)]
mod tests;
