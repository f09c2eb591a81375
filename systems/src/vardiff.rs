//! Tenth: difficulty follows the hash rate.
//!
//! Evidence are the shares at the difficulty in force, set against the time they took (`evidence`). What follows from
//! it is a pure function over (state, event, now), where the events are a share, a second of silence and a job
//! (`rule`). `docs/vardiff.md` tells it in plain words, with what it achieves.
//!
//! A harder difficulty is told at once, an easier one together with the next job: it governs that job either way,
//! and firmware that applies it too early would have shares of the job at hand refused.

mod evidence;
mod pin;
mod rule;

use crate::resources::{Deadlines, LiveShares, Moment, Owed, Policy};
use bevy_ecs::entity::Entity;
use bevy_ecs::system::{Query, Res, ResMut};
use warppool_components::channel::{Channel, Vardiff};
use warppool_components::share::{ShareOrigin, ShareVerdict, ShareWork};
use warppool_components::worker::WorkerPresence;

pub use rule::{on_job, on_share, on_silence, resume};

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
            if pin::on_pinned_share(&mut state, settings, now) {
                owed.0.push(origin.channel);
            }
            continue;
        }
        if on_share(&mut state, settings, now) && state.announced > state.in_force {
            owed.0.push(origin.channel);
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
        if on_silence(&mut state, settings, now) && state.announced > state.in_force {
            owed.0.push(entity);
        }
    }
}

/// What a later connection of this worker starts from.
fn remember(channel: &Channel, state: &Vardiff, workers: &mut Query<&mut WorkerPresence>) {
    let presence = channel.worker.and_then(|worker| workers.get_mut(worker).ok());
    if let Some(mut presence) = presence.filter(|_| state.settled) {
        presence.difficulty = Some(state.announced);
        presence.hashes_per_second = state.hashes_per_second;
    }
}
