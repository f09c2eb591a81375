//! A pinned difficulty is the miner's own wish, but not at any rate of shares.
//!
//! Somebody who pins a large machine to a tiny difficulty makes thousands of shares a second, each of which the pool hashes
//! and stores. So the pin gives way where it makes more than [`PINNED_SHARES_PER_SECOND_MAX`], to the nearest difficulty
//! that makes one a second. It stays there for the connection's life.

use super::rule::restart;
use warppool_components::channel::Vardiff;
use warppool_components::limits::PINNED_SHARES_PER_SECOND_MAX;
use warppool_components::units::{Difficulty, Instant};

/// Shares after which their rate is looked at: chance does not double it.
const SHARES_OBSERVED: f64 = 128.0;

/// Shares a second that the raised difficulty aims at.
const SHARES_PER_SECOND: f64 = 1.0;

/// A share at a pinned difficulty was credited. Gives the difficulty that replaces the pin, when it must.
pub(super) fn on_pinned_share(state: &mut Vardiff, now: Instant) -> Option<Difficulty> {
    let started_at = *state.window_started_at.get_or_insert(now);
    state.shares += 1.0;
    if state.shares < SHARES_OBSERVED {
        return None;
    }
    let per_second = state.shares / now.since(started_at).as_secs_f64().max(1e-3);
    restart(state, now);
    if per_second <= PINNED_SHARES_PER_SECOND_MAX {
        return None;
    }
    let raised = Difficulty::new(state.in_force.value() * per_second / SHARES_PER_SECOND).ok()?;
    state.floor = Some(state.floor.filter(|floor| *floor > raised).unwrap_or(raised));
    Some(raised)
}
