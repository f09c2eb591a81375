//! Tenth: difficulty follows the hash rate.
//!
//! Evidence are the shares at the difficulty in force, set against the time they took. The first eight may jump as
//! far as they say. Then a long-run estimate of the hash rate is kept, and a sequential test tells at once when the
//! latest shares contradict it; a steady miner is left alone. Silence eases in steps.
//!
//! A harder difficulty is told at once, an easier one together with the next job: it governs that job either way,
//! and firmware that applies it too early would have shares of the job at hand refused.

mod pin;
mod rule;

use crate::resources::{Deadlines, LiveShares, Moment, Owed, Policy};
use bevy_ecs::entity::Entity;
use bevy_ecs::system::{Query, Res, ResMut};
use warppool_components::channel::{Channel, Vardiff};
use warppool_components::settings::VardiffSettings;
use warppool_components::share::{ShareOrigin, ShareVerdict, ShareWork};
use warppool_components::units::{Difficulty, Instant};
use warppool_components::worker::WorkerPresence;

pub use rule::{on_share, on_silence};

/// Counts this tick's credited shares as evidence and decides.
pub fn vardiff(
    moment: Res<Moment>,
    policy: Res<Policy>,
    live: Res<LiveShares>,
    rows: Query<(&ShareOrigin, &ShareWork, &ShareVerdict)>,
    mut channels: Query<(&Channel, &mut Vardiff)>,
    mut workers: Query<&mut WorkerPresence>,
    mut owed: ResMut<Owed>,
) {
    let settings = &policy.0.vardiff;
    if live.0 == 0 || !settings.enabled {
        return;
    }
    let mut columns = rows.contiguous_iter().expect("share components are stored in tables");
    let (origins, works, verdicts) = columns.next().expect("the share rows are spawned at start");
    let now = moment.0.instant;
    for ((origin, work), verdict) in origins[..live.0].iter().zip(works).zip(verdicts) {
        if verdict.reject.is_some() {
            continue;
        }
        let Ok((channel, mut state)) = channels.get_mut(origin.channel) else { continue };
        if work.difficulty != state.in_force {
            continue;
        }
        if state.pinned {
            if let Some(raised) = pin::on_pinned_share(&mut state, now) {
                decide(origin.channel, &mut state, raised, settings, now, &mut owed);
            }
            continue;
        }
        if let Some(ideal) = on_share(&mut state, settings, now) {
            decide(origin.channel, &mut state, ideal, settings, now, &mut owed);
        }
        remember(channel, &state, &mut workers);
    }
}

/// Once a second: miners that have been silent for longer than their difficulty explains are eased.
pub fn ease(
    moment: Res<Moment>,
    policy: Res<Policy>,
    deadlines: Res<Deadlines>,
    mut channels: Query<(Entity, &Channel, &mut Vardiff)>,
    mut owed: ResMut<Owed>,
) {
    let (settings, now) = (&policy.0.vardiff, moment.0.instant);
    if !settings.enabled || now < deadlines.sweep_at {
        return;
    }
    for (entity, channel, mut state) in &mut channels {
        if !channel.ready || state.pinned {
            continue;
        }
        if let Some(ideal) = on_silence(&mut state, settings, now) {
            decide(entity, &mut state, ideal, settings, now, &mut owed);
        }
    }
}

/// Announces `ideal` when it is another difficulty after rounding and bounds.
fn decide(
    channel: Entity,
    state: &mut Vardiff,
    ideal: Difficulty,
    settings: &VardiffSettings,
    now: Instant,
    owed: &mut Owed,
) {
    let before = state.announced;
    if settle_on(state, ideal, settings, now) && state.announced > before {
        owed.0.push(channel);
    }
}

/// Announces what is left of `ideal` after rounding and bounds; tells whether that is a change.
fn settle_on(state: &mut Vardiff, ideal: Difficulty, settings: &VardiffSettings, now: Instant) -> bool {
    let floor = state.floor.unwrap_or(settings.min).clamp(settings.min, settings.max);
    let chosen = ideal.rounded_between(floor, settings.max);
    rule::restart(state, now);
    if chosen == state.announced {
        return false;
    }
    if chosen < state.announced {
        state.eased_at = Some(now);
    }
    state.announced = chosen;
    state.unsent = true;
    true
}

/// What a later connection of this worker starts from.
fn remember(channel: &Channel, state: &Vardiff, workers: &mut Query<&mut WorkerPresence>) {
    let presence = channel.worker.and_then(|worker| workers.get_mut(worker).ok());
    if let Some(mut presence) = presence.filter(|_| state.settled) {
        presence.difficulty = Some(state.announced);
        presence.hashes_per_second = state.hashes_per_second;
    }
}
