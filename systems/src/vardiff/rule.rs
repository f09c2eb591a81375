//! The rule itself: pure functions over (state, event, now). An event is a credited share, a second of silence or a job.
//! They tell whether another difficulty was announced.
//!
//! A difficulty of 1 and above is a power of two, so a change is a factor of two at least, and there is one best power:
//! the one whose seconds a share are nearest to those aimed at. A miner is moved when evidence excludes the difficulty
//! that it has, at once when the latest shares contradict the long run, else only after a while.

use super::evidence::{self, SCORE_CERTAIN, SHARES_REMEMBERED};
use warppool_components::channel::{Suspicion, Vardiff};
use warppool_components::settings::VardiffSettings;
use warppool_components::units::{Difficulty, Instant};

/// Shares after which the first jump is made if it is clear where to. It has no limit.
const SHARES_FOR_FIRST_JUMP: f64 = 8.0;
/// Shares, or expected intervals, after which it is made with what is known. Shares that come too fast are quickly
/// counted, and a jump that rests on more of them is right at once.
const SHARES_BEFORE_FIRST_JUMP_MAX: f64 = 256.0;
const INTERVALS_BEFORE_FIRST_JUMP_MAX: f64 = 4.0;

/// Shares in the time of one from which on the start was so far off that they may have come as fast as the network could
/// carry them: the eighth is followed by a jump, and the next ones are a beginning again.
const FAR_OFF: f64 = 128.0;
/// How far below the estimate that jump aims: not at the difficulty that is right, but at one where the shares that tell
/// it come soon.
const SHORT_OF: f64 = 32.0;

/// Expected intervals of silence after which a miner of unknown hash rate is eased.
const SILENT_INTERVALS_BEFORE_FIRST_SHARE: f64 = 2.5;

/// Largest factor by which silence eases at once.
const EASING_MAX: f64 = 16.0;

/// Largest factor below the long run that is acted on while it stands: silence eases no further in all. Without a bound a miner that was only
/// paused would flood the pool when it comes back.
const SILENT_EASING_MAX: f64 = 16.0;

/// Standard deviations by which the first shares must miss the target rate to be taken for a slow miner's.
const DEVIATIONS: f64 = 3.0;

/// Shares in the time of one from which on twice the difficulty is nearer to the seconds aimed at: 6.7 and 13.3 seconds
/// are equally far from 10.
const NEAREST: f64 = 1.5;
/// Margin around that point, or else a miner near it would be sent from one power to the next and back.
const MARGIN: f64 = 1.06;

/// Standard deviations of the estimate that a raise must be clear of the point where it is worth it, and aims below
/// what is estimated. Too hard is worse than too easy: nothing is heard of a miner whose difficulty is too hard.
const CAUTION_RAISING: f64 = 0.9;
/// What an estimate of as many shares as are remembered must exceed that point by.
const MARGIN_RAISING: f64 = 1.13;
/// Standard deviations that the estimate of a beginning must be clear of the point below which its jump would be too
/// hard, so that no more shares are waited for.
const CLEARNESS_BELOW: f64 = 2.9;
/// The same of the point above which it would be too easy.
const CLEARNESS_ABOVE: f64 = 2.0;
/// The same for an easing.
const CAUTION_EASING: f64 = 0.7;

/// The time within which a drop to one half is to be seen.
const SECONDS_TO_REACT: f64 = 300.0;
/// Score of a fall that is acted on: so much, and more for each share that is expected in that time. The more evidence
/// there will be, the more can be waited for, at the same chance of being in time.
const SCORE_SLOWER: f64 = 0.15;
const SCORE_SLOWER_PER_SHARE: f64 = 0.084;
/// The least, where 5 minutes hold few shares.
const SCORE_SLOWER_MIN: f64 = 2.15;
/// Shares in the time of one beyond which half of them would do as well: nothing has to follow a halving.
const ROOM: f64 = 1.28;
/// What a fall must score more there.
const SCORE_WITH_ROOM: f64 = 1.6;
/// Score of a rise that is acted on. A doubling is easy to see, so chance is given less.
const SCORE_FASTER: f64 = 3.8;
const SCORE_FASTER_PER_SHARE: f64 = 0.06;
/// Shares that a suspicion must rest on to take the place of the average.
const SHARES_FOR_ANOTHER_AVERAGE: f64 = 4.0;
/// Shares that a miner of the suspected hash rate would have found in a silence that is a pause.
const PAUSE: f64 = 2.5;
/// Shares that the average counts for against a fresh suspicion. An alarm is raised by an extreme, so the few shares
/// behind it exaggerate.
const SHARES_AGAINST_SUSPICION: f64 = 10.5;
/// Shares in the time of one below which an alarm eases.
const WORTH_EASING_ON_ALARM: f64 = 0.77;
/// Shares in the time of one above which an alarm raises.
const WORTH_RAISING_ON_ALARM: f64 = 1.45;

/// Seconds after an easing during which a raise to the next power of two waits, unless a rise was seen. Most easings
/// of a steady miner are false alarms, and taking each back at once would double the number of changes.
const HOLD_SECONDS: f64 = 2100.0;
/// Shares in the time of one that are worth a raise in that time.
const WORTH_RAISING_HELD: f64 = 2.18;

/// Shares at a difficulty below 1, which may be any decimal, after which it is set to what they tell.
const SHARES_FOR_TRIMMING: f64 = 240.0;
/// Relative distance that is worth that.
const WORTH_TRIMMING: f64 = 0.05;

/// A share at the difficulty in force was credited.
pub fn on_share(state: &mut Vardiff, settings: &VardiffSettings, now: Instant) -> bool {
    evidence::observe(state, now, 1.0);
    decide(state, settings, now)
}

/// Time passed without a share.
pub fn on_silence(state: &mut Vardiff, settings: &VardiffSettings, now: Instant) -> bool {
    if state.observed_at.is_none() {
        return false;
    }
    evidence::observe(state, now, 0.0);
    decide(state, settings, now)
}

/// A job was sent under the difficulty that was announced before it.
pub fn on_job(state: &mut Vardiff, now: Instant) {
    if state.in_force != state.announced || state.observed_at.is_none() {
        state.in_force = state.announced;
        state.shares = 0.0;
        state.observed_at = Some(now);
    }
}

/// The miner is known: an earlier connection was found to make `hashes_per_second`.
pub fn resume(state: &mut Vardiff, hashes_per_second: f64) {
    if hashes_per_second.is_finite() && hashes_per_second > 0.0 {
        evidence::resume(state, hashes_per_second);
        state.settled = true;
    }
}

/// Announces another difficulty when it is time to; tells whether it did.
fn decide(state: &mut Vardiff, settings: &VardiffSettings, now: Instant) -> bool {
    if state.announced > state.in_force {
        return false;
    }
    let was_settled = state.settled;
    let ideal = if was_settled { correction(state, settings, now) } else { beginning(state) };
    let Some(ideal) = ideal else { return false };
    let floor = state.floor.unwrap_or(settings.min).clamp(settings.min, settings.max);
    let chosen = nearest(ideal).rounded_between(floor, settings.max);
    if chosen == state.announced {
        return false;
    }
    if chosen < state.announced && was_settled {
        state.eased_at = Some(now);
    }
    state.announced = chosen;
    state.unsent = true;
    true
}

/// The difficulty that miners can be told whose seconds a share are nearest to those of `ideal`.
fn nearest(ideal: Difficulty) -> Difficulty {
    let halved = ideal.value() * 2.0 / NEAREST;
    let power = Difficulty::new(halved.log2().floor().exp2()).unwrap_or(ideal);
    if ideal < Difficulty::ONE { ideal } else { power }
}

/// What a miner of unknown hash rate should get, when it is time to change.
fn beginning(state: &mut Vardiff) -> Option<Difficulty> {
    let at_target = state.in_force.hashes() / state.seconds_per_share;
    let expected = (state.observed_exposure + state.silent_exposure) * at_target;
    let shares = state.observed_shares;
    if shares == 0.0 {
        // A decision that no job has carried out yet must not be made again and again.
        let may_ease = expected >= SILENT_INTERVALS_BEFORE_FIRST_SHARE && state.announced == state.in_force;
        return may_ease.then(|| Difficulty::new(state.in_force.value() / EASING_MAX).ok()).flatten();
    }
    let rate = (shares - 1.0).max(0.5) / expected.max(1e-9);
    if shares < SHARES_FOR_FIRST_JUMP {
        return is_too_slow(shares, expected).then(|| first_jump(state, rate, shares)).flatten();
    }
    if rate > FAR_OFF {
        (state.observed_shares, state.observed_exposure) = (0.0, 0.0);
        state.silent_exposure = 0.0;
        return Difficulty::new(state.announced.value() * rate / SHORT_OF).ok();
    }
    let is_time = shares >= SHARES_BEFORE_FIRST_JUMP_MAX || expected >= INTERVALS_BEFORE_FIRST_JUMP_MAX;
    (is_time || is_clear(state, rate, shares)).then(|| first_jump(state, rate, shares)).flatten()
}

/// Whether chance would have to be great for the estimate to lead to too hard a difficulty.
fn is_clear(state: &Vardiff, rate: f64, shares: f64) -> bool {
    let at = |rate: f64| Difficulty::new(state.announced.value() * rate).map(nearest).ok();
    let at_least = at(rate / (CLEARNESS_BELOW / shares.sqrt()).exp());
    at_least.is_some_and(|best| best >= Difficulty::ONE)
        && at_least == at(rate * (CLEARNESS_ABOVE / shares.sqrt()).exp() / MARGIN)
}

/// From here on the miner is known.
fn first_jump(state: &mut Vardiff, rate: f64, shares: f64) -> Option<Difficulty> {
    state.settled = true;
    let factor = raised(rate, shares).or(eased(rate, shares))?;
    Difficulty::new(state.announced.value() * factor).ok()
}

/// What a miner should get of whom more is known, when it is far enough from what it has.
fn correction(state: &mut Vardiff, settings: &VardiffSettings, now: Instant) -> Option<Difficulty> {
    let suspected = suspected(state);
    let believed = state.hashes_per_second * suspected.unwrap_or(1.0);
    let rate = believed * state.seconds_per_share / state.announced.hashes();
    let leave_alone = 1.0 + settings.hysteresis;
    let factor = match suspected {
        Some(suspected) if suspected < 1.0 => {
            (rate < WORTH_EASING_ON_ALARM.min(1.0 / leave_alone)).then(|| rate.min(NEAREST / 2.0 / MARGIN))
        }
        Some(_) => (rate > WORTH_RAISING_ON_ALARM.max(leave_alone)).then(|| rate.max(NEAREST * MARGIN)),
        None => steady(state, rate, leave_alone, now),
    }?;
    let easing_max = if evidence::is_off(state) { EASING_MAX } else { settings.max_step };
    // A miner that was off and is back gets back at once what silence took.
    let raising_max = if is_held(state, now) { EASING_MAX } else { settings.max_step };
    let in_force = state.in_force.value();
    let ideal = state.announced.value() * factor;
    Difficulty::new(ideal.clamp(in_force / easing_max, in_force * raising_max)).ok()
}

/// The relative hash rate that the latest shares speak for, if they contradict the long run.
fn suspected(state: &mut Vardiff) -> Option<f64> {
    let per_second = state.hashes_per_second / state.in_force.hashes();
    let shares_in_time = per_second * SECONDS_TO_REACT;
    let with_room = if per_second * state.seconds_per_share > ROOM { SCORE_WITH_ROOM } else { 1.0 };
    let score_slower = with_room * (SCORE_SLOWER + SCORE_SLOWER_PER_SHARE * shares_in_time).max(SCORE_SLOWER_MIN);
    let score_faster = SCORE_FASTER + SCORE_FASTER_PER_SHARE * shares_in_time;
    state.slower.acted_on |= state.slower.score >= (score_slower * doubt(state, state.slower)).min(SCORE_CERTAIN);
    state.faster.acted_on |=
        state.faster.score >= (score_faster * doubt(state, state.faster).powi(2)).min(SCORE_CERTAIN);
    let suspicion = match (state.slower.acted_on, state.faster.acted_on) {
        (true, _) => state.slower,
        (false, true) => state.faster,
        (false, false) => return None,
    };
    let shares_min = if state.is_back { 1.0 } else { SHARES_FOR_ANOTHER_AVERAGE };
    // A pause that goes on at the moment is not to be taken for slowness.
    let silent = state.hashes_per_second * state.silent_exposure;
    let goes_on = silent * suspicion.shares < PAUSE * suspicion.expected;
    if suspicion.score >= SCORE_CERTAIN && suspicion.shares >= shares_min && goes_on {
        let falls = state.slower.acted_on;
        evidence::replace_average(state, suspicion);
        return Some(if falls { 0.99 } else { 1.0 });
    }
    let weight = SHARES_AGAINST_SUSPICION * (1.0 - suspicion.score / SCORE_CERTAIN);
    let factor = (suspicion.shares + weight) / (suspicion.expected + weight);
    let falls = state.slower.acted_on;
    Some(if falls { factor.clamp(1.0 / SILENT_EASING_MAX, 0.99) } else { factor })
}

/// How much more clearly the latest shares must contradict an average that rests on few shares itself: its variance
/// adds to theirs.
fn doubt(state: &Vardiff, suspicion: Suspicion) -> f64 {
    1.0 + suspicion.expected / (state.observed_shares - suspicion.shares).max(1.0)
}

/// The factor by which the difficulty should change of a miner that goes on as before, of which `rate` shares come in
/// the time of one.
fn steady(state: &Vardiff, rate: f64, leave_alone: f64, now: Instant) -> Option<f64> {
    let is_held = is_held(state, now);
    if state.announced < Difficulty::ONE && !is_held && state.shares >= SHARES_FOR_TRIMMING {
        return ((rate - 1.0).abs() > WORTH_TRIMMING).then_some(rate);
    }
    let worth_raising = if is_held { WORTH_RAISING_HELD } else { leave_alone };
    // A difficulty that was just found has no claim yet.
    let is_young = state.observed_shares < SHARES_REMEMBERED;
    let worth_raising = worth_raising.max(NEAREST * if is_young { MARGIN } else { MARGIN_RAISING });
    let raised = raised(rate, state.observed_shares).filter(|_| rate > worth_raising);
    raised.or(eased(rate, state.observed_shares).filter(|_| rate < 1.0 / leave_alone))
}

fn is_held(state: &Vardiff, now: Instant) -> bool {
    state.eased_at.is_some_and(|eased_at| now.since(eased_at).as_secs_f64() < HOLD_SECONDS)
}

/// The factor of the raise that an estimate from `shares` is worth.
fn raised(rate: f64, shares: f64) -> Option<f64> {
    let caution = (CAUTION_RAISING / shares.sqrt()).exp();
    (rate > NEAREST * caution.max(MARGIN)).then_some(rate / caution)
}

/// The factor of the easing that an estimate from `shares` is worth.
fn eased(rate: f64, shares: f64) -> Option<f64> {
    let caution = (CAUTION_EASING / shares.sqrt()).exp();
    (rate * caution.max(MARGIN) < NEAREST / 2.0).then_some(rate)
}

/// Whether `shares` are so far below `expected` that chance does not explain it. The root of a Poisson count has a
/// standard deviation of one half, whatever the count (Anscombe).
fn is_too_slow(shares: f64, expected: f64) -> bool {
    2.0 * ((expected + 0.375).sqrt() - (shares + 0.375).sqrt()) > DEVIATIONS
}

#[cfg(test)]
mod tests;
