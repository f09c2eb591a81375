//! Workers that are remembered too many.
//!
//! Anybody can authorize under any name, so what is kept of absent workers has a bound for each address and one in all.
//! The store keeps the same bounds for itself.

use crate::resources::{Policy, WorkerIndex};
use bevy_ecs::entity::Entity;
use bevy_ecs::world::World;
use std::cmp::Reverse;
use std::sync::Arc;
use warppool_components::units::UnixTime;
use warppool_components::worker::{WorkerIdentity, WorkerPresence};

/// Forgets absent workers beyond the operator's caps, the ones not seen for longest first. Those that are here, and
/// those that the store was not told of yet, stay.
pub(super) fn forget_surplus(world: &mut World) {
    if !std::mem::take(&mut world.resource_mut::<WorkerIndex>().grown) {
        return;
    }
    let settings = &world.resource::<Policy>().0;
    let (per_user, total) = (settings.saved_workers_per_user_max, settings.saved_workers_total_max);
    let mut known = known(world);
    // Within an address the workers that are here come first, then the latest seen: those beyond the cap stand last.
    known.sort_by(|one, other| (&one.address, one.rank()).cmp(&(&other.address, other.rank())));
    let of_one_address = known.chunk_by(|one, other| one.address == other.address);
    let (mut kept, mut surplus): (Vec<&Known>, Vec<&Known>) = (Vec::new(), Vec::new());
    for workers in of_one_address {
        let (first, rest) = workers.split_at(per_user.min(workers.len()));
        kept.extend(first);
        surplus.extend(rest);
    }
    kept.sort_by_key(|worker| worker.rank());
    surplus.extend(kept.split_off(total.min(kept.len())));
    let waiting = surplus.iter().any(|worker| worker.is_unsaved);
    for worker in surplus.into_iter().filter(|worker| !worker.is_here && !worker.is_unsaved) {
        world.resource_mut::<WorkerIndex>().by_label.remove(&worker.label);
        world.despawn(worker.entity);
    }
    // Rows that wait for the store are looked at again.
    world.resource_mut::<WorkerIndex>().grown = waiting;
}

/// What decides who stays.
struct Known {
    entity: Entity,
    label: Arc<str>,
    address: Arc<str>,
    is_here: bool,
    is_unsaved: bool,
    last_seen: UnixTime,
}

impl Known {
    /// The smaller, the more worth keeping. The entity makes it unique, so that the choice is always the same.
    fn rank(&self) -> (bool, Reverse<UnixTime>, Entity) {
        (!self.is_here, Reverse(self.last_seen), self.entity)
    }
}

fn known(world: &mut World) -> Vec<Known> {
    let mut workers = world.query::<(Entity, &WorkerIdentity, &WorkerPresence)>();
    let known = workers.iter(world).map(|(entity, identity, presence)| Known {
        entity,
        label: identity.label.clone(),
        address: identity.address.clone(),
        is_here: presence.connections > 0,
        is_unsaved: presence.unsaved,
        last_seen: presence.last_seen,
    });
    known.collect()
}
