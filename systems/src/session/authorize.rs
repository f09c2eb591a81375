//! Workers: found or made, authorized on a channel, recognised in shares.

use super::{Place, device_class, start};
use crate::conduct;
use crate::identity::{self, Identity};
use crate::parse::UNKNOWN_SUBMITTER;
use crate::payees::Payees;
use crate::resources::{Authorizes, Deadlines, Moment, Outgoing, Policy, PoolTotals, ShareRows, Unsaved, WorkerIndex};
use crate::windows;
use bevy_ecs::entity::Entity;
use bevy_ecs::world::World;
use std::sync::Arc;
use std::time::Duration;
use warppool_components::channel::{Channel, Vardiff};
use warppool_components::connection::{Connection, Session};
use warppool_components::limits::{WORKERS_MAX, WORKERS_PER_CONNECTION_MAX};
use warppool_components::outbox::NoticeLevel;
use warppool_components::share::ShareOrigin;
use warppool_components::worker::{WorkerId, WorkerIdentity, WorkerPresence, WorkerTotals};
use warppool_net::admission::{PeerNetwork, Rate};

/// Usernames of a connection that cost its address nothing: the one it authorizes, and one more in its shares.
const NAMES_FREE: usize = 2;

/// Time after which new usernames in shares are looked at again, once an address has named too many.
const RECOGNISE_AGAIN: Duration = Duration::from_secs(1);

/// Authorizes `username`; the text of a refusal is for the miner's owner.
pub(super) fn authorize(world: &mut World, at: Place, username: &str, password: &str) -> Result<(), String> {
    let known = world.get::<Channel>(at.channel).is_some_and(|channel| channel.submitters.find(username).is_some());
    if !known {
        pay_for_authorize(world, at)?;
    }
    admit(world, at, username, password)
}

fn check_password(world: &World, password: &str) -> Result<(), String> {
    let is_right = identity::password_matches(password, &world.resource::<Policy>().0.stratum_password);
    is_right.then_some(()).ok_or_else(|| "the pool's password is wrong or missing".into())
}

/// Whether `username` names somebody who can be paid.
pub(super) fn check(world: &World, username: &str) -> Result<Identity, String> {
    let settings = &world.resource::<Policy>().0;
    identity::identify(username, settings.network, &settings.payout).map_err(|error| error.to_string())
}

/// Authorizes `username`, who has paid for it.
pub(super) fn admit(world: &mut World, at: Place, username: &str, password: &str) -> Result<(), String> {
    let known = world.get::<Channel>(at.channel).is_some_and(|channel| channel.submitters.find(username).is_some());
    check_password(world, password)?;
    if !known {
        let identity = check(world, username)?;
        let worker = worker(world, &identity).ok_or("the pool has too many workers")?;
        enter(world, at, &identity, worker, username)?;
    }
    world.resource_mut::<PoolTotals>().authorized += 1;
    let options = identity::password_options(password);
    if let (Some(floor), Some(mut vardiff)) = (options.floor, world.get_mut::<Vardiff>(at.channel)) {
        start::set_floor(&mut vardiff, floor);
    }
    match options.pin {
        Some(pin) => start::pin(world, at, pin),
        None => start::choose(world, at),
    }
    start::become_ready(world, at);
    Ok(())
}

/// The first authorize of a connection is paid for by its connect, or else a farm behind one address would take a quarter
/// of an hour to come back. Further ones are taken from what the address has.
fn pay_for_authorize(world: &mut World, at: Place) -> Result<(), &'static str> {
    if may_name(world, at.connection) {
        return Ok(());
    }
    let now = world.resource::<Moment>().0.instant;
    let mut deadlines = *world.resource::<Deadlines>();
    if let Some(mut channel) = world.get_mut::<Channel>(at.channel) {
        conduct::count(&mut channel.conduct, 0, 1, now, &mut deadlines);
    }
    world.insert_resource(deadlines);
    Err("your address authorizes too often: wait some seconds and try again")
}

/// Whether a connection may name one more worker now; if so it has used that up.
pub(super) fn may_name(world: &mut World, connection: Entity) -> bool {
    let is_first = world
        .get_mut::<Session>(connection)
        .is_some_and(|mut session| !std::mem::replace(&mut session.has_asked_to_authorize, true));
    is_first || may_name_another(world, connection)
}

/// Whether the address may name one more worker now; if so it has used that up.
fn may_name_another(world: &mut World, connection: Entity) -> bool {
    let now = world.resource::<Moment>().0.instant;
    let Some(limits) = world.resource::<Policy>().0.rate_limits else { return true };
    let Some(peer) = world.get::<Connection>(connection).map(|connection| connection.peer) else { return false };
    let rate = Rate { per_second: limits.authorizes_per_second, burst: limits.authorize_burst };
    world.resource_mut::<Authorizes>().0.take(PeerNetwork::of(peer), rate, limits.forget_after, now)
}

/// Puts a worker on the channel. The first one decides who is paid.
fn enter(world: &mut World, at: Place, identity: &Identity, worker: Entity, username: &str) -> Result<(), String> {
    let first = world.get::<Channel>(at.channel).is_some_and(|channel| channel.worker.is_none());
    let full = world.get::<Channel>(at.channel).is_none_or(|it| it.submitters.len() >= WORKERS_PER_CONNECTION_MAX);
    if full {
        return Err(format!("a connection carries at most {WORKERS_PER_CONNECTION_MAX} workers"));
    }
    let payout = if first {
        let index = world.resource_mut::<Payees>().retain(&identity.payee);
        Some(index.ok_or("the pool pays too many different addresses at this moment")?)
    } else {
        None
    };
    arrive(world, at, worker);
    let Some(mut channel) = world.get_mut::<Channel>(at.channel) else { return Ok(()) };
    channel.submitters.push(username.into(), worker);
    if let Some(payout) = payout {
        channel.payout = Some(payout);
        channel.worker = Some(worker);
    }
    Ok(())
}

/// The worker of `identity`, made when it is new; `None` when there are too many.
fn worker(world: &mut World, identity: &Identity) -> Option<Entity> {
    let index = world.resource::<WorkerIndex>();
    if let Some(worker) = index.by_label.get(&identity.label).copied() {
        if let Some(mut known) = world.get_mut::<WorkerIdentity>(worker) {
            // A worker of the store has no payee yet; the operator may have changed an alias or the fallback.
            known.payee = identity.payee.clone();
        }
        return Some(worker);
    }
    if index.by_label.len() >= WORKERS_MAX {
        // After a start most of them may be absent ones that the next sweep lets go.
        world.resource_mut::<WorkerIndex>().grown = true;
        return None;
    }
    let id = WorkerId(index.id_max + 1);
    let now = world.resource::<Moment>().0;
    let identity = WorkerIdentity {
        id,
        address: identity.address.clone(),
        name: identity.name.clone(),
        label: identity.label.clone(),
        payee: identity.payee.clone(),
        first_seen: now.unix,
    };
    let label = identity.label.clone();
    let presence = WorkerPresence { last_seen: now.unix, ..WorkerPresence::default() };
    let worker = world.spawn((identity, WorkerTotals::default(), windows::start(now.instant), presence)).id();
    let mut index = world.resource_mut::<WorkerIndex>();
    index.id_max = id.0;
    index.grown = true;
    index.by_label.insert(label, worker);
    Some(worker)
}

/// One connection of `worker` more, unless it is on this channel already under another spelling.
fn arrive(world: &mut World, at: Place, worker: Entity) {
    let here = world.get::<Channel>(at.channel).is_some_and(|it| it.submitters.iter().any(|(_, on)| on == worker));
    if here {
        return;
    }
    let now = world.resource::<Moment>().0.unix;
    let class = device_class(world, at);
    let agent = world.get::<Session>(at.connection).map(|session| session.user_agent.clone()).unwrap_or_default();
    let Some(mut presence) = world.get_mut::<WorkerPresence>(worker) else { return };
    presence.connections += 1;
    presence.last_seen = now;
    presence.user_agent = agent;
    presence.device_class = class;
    let came_online = presence.connections == 1;
    if !std::mem::replace(&mut presence.unsaved, true) {
        world.resource_mut::<Unsaved>().workers.push(worker);
    }
    if came_online {
        announce(world, at, worker);
    }
}

fn announce(world: &mut World, at: Place, worker: Entity) {
    let peer = world.get::<Connection>(at.connection).map(|connection| connection.peer);
    let (Some(identity), Some(presence)) = (world.get::<WorkerIdentity>(worker), world.get::<WorkerPresence>(worker))
    else {
        return;
    };
    let label = &identity.label;
    let from = peer.map(|peer| peer.to_string()).unwrap_or_default();
    let text = format!("worker {label} came ({}, \"{}\") from {from}", presence.device_class, presence.user_agent);
    world.resource_mut::<Outgoing>().notice(NoticeLevel::Info, text);
}

/// A share came under a username that was not authorized here: it credits that worker when the address is the
/// channel's own, else the worker that was authorized first. Either way the name is known from now on.
pub(super) fn recognise(world: &mut World, at: Place, row: u32, username: &str) {
    let Some(channel) = world.get::<Channel>(at.channel) else { return };
    let Some(main) = channel.worker else { return };
    let place = channel.submitters.find(username);
    let place = place.or_else(|| introduce(world, at, main, username));
    let share = world.resource::<ShareRows>().0[row as usize];
    if let Some(mut origin) = world.get_mut::<ShareOrigin>(share) {
        origin.submitter = place.unwrap_or(UNKNOWN_SUBMITTER);
    }
}

fn introduce(world: &mut World, at: Place, main: Entity, username: &str) -> Option<u32> {
    // Many miners authorize an address and submit as its worker, so the first such name is nothing special.
    let names = world.get::<Channel>(at.channel)?.submitters.len();
    if names >= WORKERS_PER_CONNECTION_MAX || names >= NAMES_FREE && !may_name_another(world, at.connection) {
        let again_at = world.resource::<Moment>().0.instant + RECOGNISE_AGAIN;
        world.get_mut::<Channel>(at.channel)?.recognise_again_at = again_at;
        return None;
    }
    let settings = &world.resource::<Policy>().0;
    let identity = identity::identify(username, settings.network, &settings.payout).ok();
    let paid = world.get::<WorkerIdentity>(main).map(|main| Arc::clone(&main.address));
    let credited = match identity.filter(|identity| Some(&identity.address) == paid.as_ref()) {
        Some(identity) => worker(world, &identity).unwrap_or(main),
        None => main,
    };
    arrive(world, at, credited);
    let mut channel = world.get_mut::<Channel>(at.channel)?;
    Some(channel.submitters.push(username.into(), credited))
}
