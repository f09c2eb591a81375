//! A pinned difficulty is the miner's own wish, but not at any rate of shares.
//!
//! Somebody who pins a large machine to a tiny difficulty makes thousands of shares a second, each of which the pool hashes
//! and stores. So the pin gives way where it makes more than [`PINNED_SHARES_PER_SECOND_MAX`], to the nearest difficulty
//! that makes one a second. It stays there for the connection's life.

use warppool_components::channel::Vardiff;
use warppool_components::limits::PINNED_SHARES_PER_SECOND_MAX;
use warppool_components::settings::VardiffSettings;
use warppool_components::units::{Difficulty, Instant};

/// Shares after which their rate is looked at: chance does not double it.
const SHARES_OBSERVED: f64 = 128.0;

/// Shares a second that the raised difficulty aims at.
const SHARES_PER_SECOND: f64 = 1.0;

/// A share at a pinned difficulty was credited. Tells whether a harder one was announced in place of the pin.
///
/// The state's evidence is that of the pin alone: shares since the job or the last look.
pub(super) fn on_pinned_share(state: &mut Vardiff, settings: &VardiffSettings, now: Instant) -> bool {
    let since = *state.observed_at.get_or_insert(now);
    state.shares += 1.0;
    if state.shares < SHARES_OBSERVED || state.announced != state.in_force {
        return false;
    }
    let per_second = state.shares / now.since(since).as_secs_f64().max(1e-3);
    (state.shares, state.observed_at) = (0.0, Some(now));
    if per_second <= PINNED_SHARES_PER_SECOND_MAX {
        return false;
    }
    let wanted = Difficulty::new(state.in_force.value() * per_second / SHARES_PER_SECOND);
    let Ok(raised) = wanted.map(|wanted| wanted.rounded_between(settings.min, settings.max)) else { return false };
    if raised <= state.announced {
        return false;
    }
    state.floor = Some(state.floor.filter(|floor| *floor > raised).unwrap_or(raised));
    state.announced = raised;
    state.unsent = true;
    true
}
