//! Workers that are remembered too many.
//!
//! Anybody can authorize under any name, so what is kept of absent workers has a bound for each address and one in all.
//! The store keeps the same bounds for itself.

use crate::resources::{Policy, WorkerIndex};
use bevy_ecs::entity::Entity;
use bevy_ecs::query::QueryState;
use bevy_ecs::world::World;
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;
use warppool_components::inbox::Now;
use warppool_components::limits::{SESSION_KEPT_SECONDS, WORKERS_MAX};
use warppool_components::units::UnixTime;
use warppool_components::worker::{WorkerIdentity, WorkerPresence, WorkerTotals};

/// Until workers that were spared are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// All workers that are remembered.
pub(super) type Workers = QueryState<(Entity, &'static WorkerIdentity, &'static WorkerTotals, &'static WorkerPresence)>;

/// Forgets absent workers beyond the operator's caps, the ones not seen for longest first. Those that are here, those
/// that left within the time in which a session can be resumed, and those that the store was not told of yet, stay.
pub(super) fn forget_surplus(world: &mut World, now: Now, workers: &mut Workers) {
    if !is_due(&mut world.resource_mut::<WorkerIndex>(), now) {
        return;
    }
    let number = world.resource::<WorkerIndex>().by_label.len();
    let settings = &world.resource::<Policy>().0;
    let (per_user, total) = (settings.saved_workers_per_user_max, settings.saved_workers_total_max);
    let mut known = known(world, workers);
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
    surplus.retain(|worker| !worker.is_here);
    let waiting = surplus.iter().any(|worker| worker.is_unsaved);
    let (left_just_now, surplus): (Vec<&Known>, Vec<&Known>) =
        surplus.into_iter().partition(|worker| worker.may_be_back(number, now));
    for worker in surplus.into_iter().filter(|worker| !worker.is_unsaved) {
        forget(world, worker);
    }
    let mut index = world.resource_mut::<WorkerIndex>();
    // Rows that wait for the store are looked at again.
    index.grown = waiting;
    index.look_again_at = (!left_just_now.is_empty()).then(|| now.instant + LOOK_AGAIN);
}

/// Workers came or went, or some were spared for a while.
fn is_due(index: &mut WorkerIndex, now: Now) -> bool {
    let has_grown = std::mem::take(&mut index.grown);
    has_grown || index.look_again_at.is_some_and(|at| now.instant >= at)
}

fn forget(world: &mut World, worker: &Known) {
    let mut index = world.resource_mut::<WorkerIndex>();
    // Two rows of the store may have one label; the later one has it here.
    if index.by_label.get(&worker.label) == Some(&worker.entity) {
        index.by_label.remove(&worker.label);
    }
    world.despawn(worker.entity);
}

/// What decides who stays.
struct Known {
    entity: Entity,
    label: Arc<str>,
    address: Arc<str>,
    is_here: bool,
    is_unsaved: bool,
    has_earned: bool,
    last_seen: UnixTime,
}

impl Known {
    /// A rig that restarts is the same worker afterwards, however many there are of its address. When there are too many
    /// workers in all, those go first that never had a share: so nobody who authorizes under ever new names drives out others.
    fn may_be_back(&self, number: usize, now: Now) -> bool {
        let crowd = if self.has_earned { WORKERS_MAX / 2 } else { WORKERS_MAX / 16 };
        number <= crowd && now.unix.seconds() < self.last_seen.seconds().saturating_add(SESSION_KEPT_SECONDS)
    }

    /// The smaller, the more worth keeping. The entity makes it unique, so that the choice is always the same.
    fn rank(&self) -> (bool, Reverse<UnixTime>, Entity) {
        (!self.is_here, Reverse(self.last_seen), self.entity)
    }
}

fn known(world: &World, workers: &mut Workers) -> Vec<Known> {
    let known = workers.iter(world).map(|(entity, identity, totals, presence)| Known {
        entity,
        label: identity.label.clone(),
        address: identity.address.clone(),
        is_here: presence.connections > 0,
        is_unsaved: presence.unsaved,
        has_earned: totals.accepted > 0,
        last_seen: presence.last_seen,
    });
    known.collect()
}
