//! Where a miner's difficulty starts, and when it gets its first job.

use super::{Place, device_class};
use crate::device_class;
use crate::resources::{Owed, Policy};
use crate::vardiff;
use bevy_ecs::world::World;
use warppool_components::channel::{Channel, Vardiff};
use warppool_components::connection::Session;
use warppool_components::units::Difficulty;
use warppool_components::worker::WorkerPresence;

/// Learns from the user agent what kind of device it is.
pub(super) fn classify(world: &mut World, at: Place) {
    let agent = world.get::<Session>(at.connection).map(|session| session.user_agent.clone()).unwrap_or_default();
    let settings = &world.resource::<Policy>().0;
    let class = device_class::find(&settings.device_classes, &agent);
    let seconds = class.map_or(settings.vardiff.target_seconds_per_share, |class| class.seconds_per_share);
    let pads = class.is_some_and(|class| class.pads_extranonce2);
    if let Some(mut channel) = world.get_mut::<Channel>(at.channel) {
        channel.pads_extranonce2 = pads;
    }
    if let Some(mut vardiff) = world.get_mut::<Vardiff>(at.channel) {
        vardiff.seconds_per_share = seconds;
    }
    tell_workers(world, at);
    choose(world, at);
}

/// Workers that were authorized before the miner told its user agent.
fn tell_workers(world: &mut World, at: Place) {
    let class = device_class(world, at);
    let agent = world.get::<Session>(at.connection).map(|session| session.user_agent.clone()).unwrap_or_default();
    let Some(channel) = world.get::<Channel>(at.channel) else { return };
    let workers: Vec<_> = channel.submitters.iter().map(|(_, worker)| worker).collect();
    for worker in workers {
        if let Some(mut presence) = world.get_mut::<WorkerPresence>(worker) {
            presence.user_agent = agent.clone();
            presence.device_class = class.clone();
        }
    }
}

/// Sets the easiest difficulty. What a pin had to be raised to is not lowered again.
pub(super) fn set_floor(vardiff: &mut Vardiff, floor: Difficulty) {
    let raised = vardiff.floor.filter(|raised| vardiff.pinned && *raised > floor);
    vardiff.floor = Some(raised.unwrap_or(floor));
}

/// Pins the difficulty to what the password asks for, from the next job on.
pub(super) fn pin(world: &mut World, at: Place, wanted: Difficulty) {
    if let Some(mut vardiff) = world.get_mut::<Vardiff>(at.channel) {
        vardiff.pinned = true;
    }
    announce(world, at, wanted);
}

/// Chooses the starting difficulty: pinned by the password, stored of this worker, suggested, of the device's class,
/// the pool's. Once shares have told the miner's rate it is vardiff's.
pub(super) fn choose(world: &mut World, at: Place) {
    let Some(vardiff) = world.get::<Vardiff>(at.channel) else { return };
    if vardiff.pinned {
        // Its floor may have risen.
        let pinned = vardiff.announced;
        announce(world, at, pinned);
    } else if !vardiff.settled && vardiff.shares == 0.0 {
        resume(world, at);
        announce(world, at, unpinned(world, at));
    }
}

/// Remembers what an earlier connection of the worker told of its hash rate: a miner that comes back need not prove
/// itself anew.
fn resume(world: &mut World, at: Place) {
    let worker = world.get::<Channel>(at.channel).and_then(|channel| channel.worker);
    let Some(presence) = worker.and_then(|worker| world.get::<WorkerPresence>(worker)) else { return };
    let hashes_per_second = presence.hashes_per_second;
    if presence.difficulty.is_some()
        && let Some(mut state) = world.get_mut::<Vardiff>(at.channel)
    {
        vardiff::resume(&mut state, hashes_per_second);
    }
}

/// Lets the nearest difficulty that the bounds allow govern the next job.
fn announce(world: &mut World, at: Place, wanted: Difficulty) {
    let settings = &world.resource::<Policy>().0.vardiff;
    let (min, max) = (settings.min, settings.max);
    let Some(mut vardiff) = world.get_mut::<Vardiff>(at.channel) else { return };
    let floor = vardiff.floor.unwrap_or(min).clamp(min, max);
    let chosen = wanted.rounded_between(floor, max);
    if vardiff.announced != chosen || vardiff.unsent {
        vardiff.announced = chosen;
        vardiff.unsent = true;
        world.resource_mut::<Owed>().0.push(at.channel);
    }
}

/// A floor that was raised holds for a miner whose rate is known, too.
pub(super) fn respect_floor(world: &mut World, at: Place) {
    let Some(vardiff) = world.get::<Vardiff>(at.channel) else { return };
    let announced = vardiff.announced;
    if vardiff.floor.is_some_and(|floor| announced < floor) {
        announce(world, at, announced);
    }
}

fn unpinned(world: &World, at: Place) -> Difficulty {
    let settings = &world.resource::<Policy>().0;
    let session = world.get::<Session>(at.connection);
    let worker = world.get::<Channel>(at.channel).and_then(|channel| channel.worker);
    let stored = worker.and_then(|worker| world.get::<WorkerPresence>(worker)?.difficulty);
    let suggested = session.and_then(|session| Difficulty::new(session.suggested_difficulty?).ok());
    let agent = session.map(|session| session.user_agent.clone()).unwrap_or_default();
    let class = device_class::find(&settings.device_classes, &agent).map(|class| class.start);
    stored.or(suggested).or(class).unwrap_or(settings.vardiff.initial)
}

/// A miner that has subscribed and authorized is owed its difficulty and its first job.
pub(super) fn become_ready(world: &mut World, at: Place) {
    let subscribed = world.get::<Session>(at.connection).is_some_and(|session| session.subscribed);
    let Some(mut channel) = world.get_mut::<Channel>(at.channel) else { return };
    if !subscribed || channel.worker.is_none() || channel.ready {
        return;
    }
    channel.ready = true;
    channel.owes_job = true;
    world.resource_mut::<Owed>().0.push(at.channel);
}
