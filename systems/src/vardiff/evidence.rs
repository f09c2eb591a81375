//! What the shares of a miner say about its hash rate.
//!
//! Two questions are kept apart. How fast is the miner in the long run? That is shares over exposure, the shares that
//! were to be expected of one hash a second: the estimate of maximum likelihood, whatever difficulties the shares had.
//! Has it changed just now? That is a sequential test of the latest shares against the long run (Page's CUSUM of the
//! Poisson likelihood ratio), once for a fall and once for a rise. Nothing is decided here.

use warppool_components::channel::{Suspicion, Vardiff};
use warppool_components::units::Instant;

/// Shares after which older ones fade. As many again stand behind the fading ones: the estimate is good to 3.2 percent
/// (one standard deviation), 2.2 percent in the median.
pub(super) const SHARES_REMEMBERED: f64 = 480.0;

/// Longest time that counts as seen at once. The sweep looks every second, so a longer gap is a stalled process or a
/// clock that leapt, and tells nothing of the miner.
const SECONDS_AT_ONCE_MAX: f64 = 5.0;

/// Shares in the time of one, beyond which a fall is of no interest: the difficulty is too easy anyway. Faster than
/// this the transport delivers in bursts, and their gaps are no silence.
const EXPECTED_RATE_MAX: f64 = 4.0;

/// Relative hash rate that the test for a fall is sharpest against.
const SLOWER: f64 = 0.7;
/// Relative hash rate that the test for a rise is sharpest against.
const FASTER: f64 = 1.5;

/// Score beyond doubt: the old average is given up.
pub(super) const SCORE_CERTAIN: f64 = 9.0;

/// Shares that a miner would have found in a silence that chance brings once in ten thousand times.
const EXPECTED_OF_ONE_THAT_IS_OFF: f64 = 9.2;

/// Score of a fall that a miner starts with that was off and comes back: some nine shares as of old make up for it.
const SCORE_BACK: f64 = 3.0;

/// Shares that a hash rate counts for that an earlier connection left: enough not to be upset by the first few gaps,
/// little enough to give way to another machine under the same name.
const SHARES_RESUMED: f64 = 24.0;

/// Counts the time up to `now`, and `shares` that ended it.
pub(super) fn observe(state: &mut Vardiff, now: Instant, shares: f64) {
    let seconds = now.since(state.observed_at.unwrap_or(now)).as_secs_f64().min(SECONDS_AT_ONCE_MAX);
    state.observed_at = Some(now);
    if state.announced > state.in_force {
        // Some firmware obeys a harder difficulty at once, some with the next job: until then nothing is known.
        return;
    }
    let exposure = seconds / state.in_force.hashes();
    state.silent_exposure += exposure;
    if shares > 0.0 && is_off(state) {
        // Whether it is as it was, or slower, is for the shares to say that follow.
        state.is_back = true;
        state.silent_exposure = 0.0;
        state.slower = Suspicion { score: SCORE_BACK, acted_on: true, ..Suspicion::default() };
    }
    if state.settled {
        compare(state, seconds, exposure, shares);
    }
    if shares > 0.0 {
        state.shares += shares;
        average(state, shares);
    }
}

/// Sets the latest against the long run.
fn compare(state: &mut Vardiff, seconds: f64, exposure: f64, shares: f64) {
    let expected = state.hashes_per_second * exposure;
    let telling = expected.min(EXPECTED_RATE_MAX * seconds / state.seconds_per_share);
    suspect(&mut state.slower, SLOWER, expected, telling, shares);
    suspect(&mut state.faster, FASTER, expected, expected, shares);
    state.is_back &= state.slower.score > 0.0;
}

/// Whether a known miner is silent for so long that it does not mine, rather than mines slowly. One that was off before
/// and did not come back as it was is slow.
pub(super) fn is_off(state: &Vardiff) -> bool {
    state.settled && !state.is_back && state.hashes_per_second * state.silent_exposure > EXPECTED_OF_ONE_THAT_IS_OFF
}

/// Starts from what is known of an earlier connection.
pub(super) fn resume(state: &mut Vardiff, hashes_per_second: f64) {
    state.hashes_per_second = hashes_per_second;
    state.observed_shares = SHARES_RESUMED;
    state.observed_exposure = SHARES_RESUMED / hashes_per_second;
}

/// Gives the average up for what the suspicion saw, if that is more than chance can tell.
pub(super) fn replace_average(state: &mut Vardiff, suspicion: Suspicion) {
    let shares = suspicion.shares + 0.5;
    state.hashes_per_second *= shares / suspicion.expected.max(1e-3);
    state.observed_shares = shares;
    state.observed_exposure = shares / state.hashes_per_second;
    state.silent_exposure = 0.0;
    state.is_back = false;
    (state.slower, state.faster) = (Suspicion::default(), Suspicion::default());
}

/// Adds `shares` and what led to them to the long run. Old shares fade with each new one, not with time: a pause is no
/// evidence of a low hash rate.
fn average(state: &mut Vardiff, shares: f64) {
    state.observed_shares += shares;
    state.observed_exposure += std::mem::take(&mut state.silent_exposure);
    if state.observed_shares > SHARES_REMEMBERED {
        state.observed_exposure *= SHARES_REMEMBERED / state.observed_shares;
        state.observed_shares = SHARES_REMEMBERED;
    }
    if state.observed_exposure > 0.0 {
        state.hashes_per_second = state.observed_shares / state.observed_exposure;
    }
}

/// Adds to the score of a change by `factor`, in view of `shares` where `expected` were, of which `telling` ones count.
fn suspect(suspicion: &mut Suspicion, factor: f64, expected: f64, telling: f64, shares: f64) {
    let evidence = (1.0 - factor) * telling + factor.ln() * shares;
    suspicion.score = (suspicion.score + evidence).min(SCORE_CERTAIN);
    suspicion.shares += shares;
    suspicion.expected += expected;
    if suspicion.score <= 0.0 {
        *suspicion = Suspicion::default();
    }
}
