//! Last: what is over leaves the world, and the next moment at which something is due is named.

mod workers;

use crate::ahead::{self, Ahead};
use crate::conduct;
use crate::extranonces::Extranonces;
use crate::fanout::Fanout;
use crate::ingest::{close_channel, disconnect, forget};
use crate::payees::Payees;
use crate::resources::{
    Closing, Deadlines, Incoming, JobBoard, Moment, NodeView, Outgoing, Policy, SWEEP_INTERVAL, Stopping,
};
use bevy_ecs::query::QueryState;
use bevy_ecs::world::World;
use std::time::Duration;
use warppool_components::channel::Channel;
use warppool_components::channel_v2::ConnectionV2;
use warppool_components::connection::{CloseReason, Connection, ConnectionKey};
use warppool_components::inbox::Now;
use warppool_components::job::Job;
use warppool_components::limits::{AUTHORIZE_DEADLINE_SECONDS, JOBS_KEPT_MAX};
use warppool_components::outbox::NoticeLevel;
use warppool_components::units::Instant;

/// Age at which a job is forgotten: late shares of its tip are long refused, and it is too old for a block.
const JOB_KEPT: Duration = Duration::from_secs(600);

/// All connections. It is kept between ticks, as a query takes longer to make than to ask.
type Connections = QueryState<(&'static Connection, Option<&'static ConnectionV2>)>;

/// Cleans up after the tick.
pub fn reap(world: &mut World, connections: &mut Connections, workers: &mut workers::Workers) {
    let now = world.resource::<Moment>().0;
    for channel in std::mem::take(&mut world.resource_mut::<Closing>().0) {
        close_channel(world, channel, CloseReason::Peer);
    }
    for closed in std::mem::take(&mut world.resource_mut::<Incoming>().0.closed) {
        forget(world, closed);
    }
    if now.instant >= world.resource::<Deadlines>().sweep_at {
        sweep(world, now, connections, workers);
        world.resource_mut::<Deadlines>().sweep_at = now.instant + SWEEP_INTERVAL;
    }
    let wake_at = next_deadline(world);
    world.resource_mut::<Outgoing>().0.wake_at = wake_at;
}

/// When the pool stops every connection ends, after its last lines were judged and answered and before the store is told.
pub fn stop(world: &mut World) {
    if !world.resource::<Stopping>().0 {
        return;
    }
    let keys: Vec<ConnectionKey> = world.query::<&Connection>().iter(world).map(|connection| connection.key).collect();
    for key in keys {
        disconnect(world, key, CloseReason::Shutdown);
    }
}

fn sweep(world: &mut World, now: Now, connections: &mut Connections, workers: &mut workers::Workers) {
    world.resource_mut::<Extranonces>().forget_old(now.instant);
    forget_old_jobs(world, now.instant);
    release_without_node(world, now.instant);
    workers::forget_surplus(world, now, workers);
    for (key, reason) in overdue(world, now.instant, connections) {
        disconnect(world, key, reason);
    }
}

fn forget_old_jobs(world: &mut World, now: Instant) {
    while let Some((_, oldest)) = world.resource::<JobBoard>().jobs.front().copied() {
        let jobs = world.resource::<JobBoard>().jobs.len();
        let age = world.get::<Job>(oldest).map_or(Duration::MAX, |job| now.since(job.created_at));
        if jobs == 1 || (jobs <= JOBS_KEPT_MAX && age < JOB_KEPT) {
            break;
        }
        world.resource_mut::<JobBoard>().jobs.pop_front();
        world.despawn(oldest);
    }
    if let Some((oldest, _)) = world.resource::<JobBoard>().jobs.front().copied() {
        world.resource_mut::<JobBoard>().sent_ahead.retain(|(_, id)| *id >= oldest);
        let freed = world.resource_mut::<Payees>().reuse(oldest);
        ahead::forget_payees(world, &freed);
    }
}

/// Without a node for too long, miners are let go, so that their own fail-over works. Those that come back meanwhile
/// are let go as well.
fn release_without_node(world: &mut World, now: Instant) {
    let patience = world.resource::<Policy>().0.node_loss_disconnect;
    let view = world.resource::<NodeView>();
    let is_over = view.lost_since.is_some_and(|since| now.since(since) >= patience);
    if !is_over {
        return;
    }
    if !std::mem::replace(&mut world.resource_mut::<NodeView>().released, true) {
        let text =
            format!("no node has given work for {} s: miners are released to their fail-over", patience.as_secs());
        world.resource_mut::<Outgoing>().notice(NoticeLevel::Warn, text);
    }
    let keys: Vec<ConnectionKey> = world.query::<&Connection>().iter(world).map(|connection| connection.key).collect();
    for key in keys {
        disconnect(world, key, CloseReason::NodeLost);
    }
}

/// Connections whose time without a worker is over, and those that send nothing of use.
fn overdue(world: &World, now: Instant, connections: &mut Connections) -> Vec<(ConnectionKey, CloseReason)> {
    let reason = |connection: &Connection, v2: Option<&ConnectionV2>| {
        let overdue = is_overdue(world, connection, v2, now).then_some(CloseReason::AuthorizeDeadline);
        overdue.or_else(|| is_hostile(world, connection).then_some(CloseReason::InvalidLines))
    };
    let overdue =
        connections.iter(world).filter_map(|(connection, v2)| Some((connection.key, reason(connection, v2)?)));
    overdue.collect()
}

/// A miner that has authorized may be silent for as long as it likes: slow devices are.
fn is_overdue(world: &World, connection: &Connection, v2: Option<&ConnectionV2>, now: Instant) -> bool {
    let authorized = match v2 {
        Some(v2) => v2.has_opened,
        None => world.get::<Channel>(connection.channel).is_some_and(|channel| channel.worker.is_some()),
    };
    let is_late = now.since(connection.opened_at) >= Duration::from_secs(AUTHORIZE_DEADLINE_SECONDS);
    let is_silent = now.since(connection.heard_at) >= world.resource::<Policy>().0.idle_evict;
    !authorized && (is_late || is_silent)
}

fn is_hostile(world: &World, connection: &Connection) -> bool {
    let is_limited = world.resource::<Policy>().0.rate_limits.is_some();
    is_limited && world.get::<Channel>(connection.channel).is_some_and(|channel| conduct::is_over(&channel.conduct))
}

fn next_deadline(world: &World) -> Option<Instant> {
    if world.resource::<Stopping>().0 {
        return None;
    }
    let deadlines = world.resource::<Deadlines>();
    let board = world.resource::<JobBoard>();
    let refresh = board.template.is_some().then_some(board.refresh_at);
    // A refresh that is overdue waits for the node, not for the clock.
    let refresh = refresh.filter(|at| *at > world.resource::<Moment>().0.instant);
    // Those who still wait for the job are served at once.
    let fanout =
        (!world.resource::<Fanout>().is_done()).then(|| world.resource::<Moment>().0.instant + Duration::from_nanos(1));
    let is_ahead_due = !world.resource::<Ahead>().waiting.is_empty() || ahead::is_due(world);
    let ahead = is_ahead_due.then(|| world.resource::<Moment>().0.instant + Duration::from_nanos(1));
    let always = [deadlines.sweep_at, deadlines.snapshot_at, deadlines.keep_alive_at];
    always.into_iter().map(Some).chain([deadlines.persist_at, refresh, fanout, ahead]).flatten().min()
}
