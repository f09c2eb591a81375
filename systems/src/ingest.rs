//! First: connections that came and went, news from the node, orders.

use crate::ahead::{self, Ahead};
use crate::extranonces::{Extranonces, Former};
use crate::identity;
use crate::jobs;
use crate::payees::Payees;
use crate::resources::{
    BlockNews, ConnectionIndex, Incoming, JobBoard, Messages, Moment, NodeView, Outgoing, Policy, PoolTotals, Replies,
    Stopping, Unsaved, WorkerIndex,
};
use crate::upstream;
use bevy_ecs::entity::Entity;
use bevy_ecs::world::World;
use std::sync::Arc;
use warppool_components::channel::{Channel, DifficultyEpochs, Vardiff};
use warppool_components::channel_v2::ConnectionV2;
use warppool_components::conduct::{Conduct, CreditCount};
use warppool_components::connection::{CloseReason, Connection, ConnectionKey, Protocol, Session};
use warppool_components::event::{PoolEvent, PoolEventKind};
use warppool_components::inbox::{Closed, Command, Now, Opened};
use warppool_components::node::{NodeEvent, NodeHealth, NodeStatus};
use warppool_components::outbox::{Close, NoticeLevel};
use warppool_components::submitters::Submitters;
use warppool_components::units::{Hash256, Instant};
use warppool_components::worker::{WorkerIdentity, WorkerPresence};
use warppool_net::admission::PeerNetwork;

/// Takes everything but lines out of the inbox. Connections that are gone stay in the world until `reap`: their
/// last lines are in this inbox and still count.
pub fn ingest(world: &mut World) {
    let lines = world.resource::<Incoming>().0.lines.len();
    world.resource_mut::<Replies>().begin(lines);
    world.resource_mut::<JobBoard>().broadcast = None;
    for opened in std::mem::take(&mut world.resource_mut::<Incoming>().0.opened) {
        open(world, opened);
    }
    let events = std::mem::take(&mut world.resource_mut::<Incoming>().0.node);
    if !events.is_empty() {
        events.into_iter().for_each(|event| hear_from_node(world, event));
        judge_nodes(world);
    }
    for command in std::mem::take(&mut world.resource_mut::<Incoming>().0.commands) {
        obey(world, command);
    }
}

fn open(world: &mut World, opened: Opened) {
    if world.resource::<ConnectionIndex>().len() >= world.resource::<Policy>().0.connections_max {
        let close = Close { connection: opened.connection, reason: CloseReason::ConnectionCap };
        world.resource_mut::<Outgoing>().0.closes.push(close);
        return;
    }
    let instant = world.resource::<Moment>().0.instant;
    let channel = world.spawn_empty().id();
    let connection = world
        .spawn((
            Connection {
                key: opened.connection,
                peer: opened.peer,
                protocol: opened.protocol,
                opened_at: instant,
                heard_at: instant,
                channel,
                closing: false,
            },
            Session::default(),
        ))
        .id();
    let session_id = begin_channel(world, channel, connection, opened.connection);
    if let Some(mut session) = world.get_mut::<Session>(connection) {
        session.session_id = session_id;
    }
    if opened.protocol == Protocol::StratumV2 {
        world.entity_mut(connection).insert(ConnectionV2::default());
    }
    world.resource_mut::<ConnectionIndex>().insert(opened.connection, connection);
}

/// Makes the empty entity `channel` a channel of `connection`. Gives the session id that belongs to its extranonce.
pub fn begin_channel(world: &mut World, channel: Entity, connection: Entity, key: ConnectionKey) -> u64 {
    let (session_id, extranonce1) = world.resource_mut::<Extranonces>().take();
    let settings = &world.resource::<Policy>().0.vardiff;
    let vardiff = Vardiff::starting_at(settings.initial, settings.target_seconds_per_share);
    let state = Channel {
        connection,
        key,
        extranonce1,
        version_mask: 0,
        payout: None,
        former_payouts: Vec::new(),
        worker: None,
        submitters: Submitters::default(),
        recognise_again_at: Instant::default(),
        conduct: Conduct::default(),
        credits: CreditCount::default(),
        pads_extranonce2: false,
        ready: false,
        owes_job: false,
        owes_version_mask: false,
        first_job: None,
        last_job: None,
    };
    world.entity_mut(channel).insert((state, vardiff, DifficultyEpochs::default()));
    session_id
}

fn hear_from_node(world: &mut World, event: NodeEvent) {
    match event {
        NodeEvent::Template(template) => {
            world.resource_mut::<NodeView>().tip = template.previous_block;
            let mut board = world.resource_mut::<JobBoard>();
            board.template = Some(template);
            board.given = None;
            board.template_unused = true;
        }
        NodeEvent::Given(work) => upstream::take(world, work),
        NodeEvent::UpstreamTarget(target) => upstream::bound(world, target),
        NodeEvent::Status(status) => hear_status(world, status),
        NodeEvent::Block { hash, state } => world.resource_mut::<BlockNews>().0.push((hash, state)),
    }
}

fn hear_status(world: &mut World, status: NodeStatus) {
    let now = world.resource::<Moment>().0;
    let mut view = world.resource_mut::<NodeView>();
    let changed = view.status.health != status.health;
    if status.tip != Hash256::ZERO {
        view.tip = status.tip;
    }
    let kind = PoolEventKind::Health { health: status.health, message: status.message.clone() };
    view.status = Arc::new(status);
    if changed {
        world.resource_mut::<Outgoing>().0.events.push(PoolEvent { at: now.unix, kind });
    }
}

/// Whether the nodes give work, after all that they said in this tick.
fn judge_nodes(world: &mut World) {
    let now = world.resource::<Moment>().0.instant;
    let worked_on = world.resource::<JobBoard>().template.as_ref().map(|template| template.previous_block);
    let mut view = world.resource_mut::<NodeView>();
    let (health, tip) = (view.status.health, view.tip);
    // A tip without a template, empty or full: the node is well, and yet there is nothing to mine.
    view.is_stale = health == NodeHealth::Ready && tip != Hash256::ZERO && worked_on != Some(tip);
    // A node that synchronises again, or is another network's, gives no more work than one that is silent.
    let is_lost = matches!(health, NodeHealth::Lost | NodeHealth::Syncing | NodeHealth::WrongChain);
    if is_lost || view.is_stale {
        view.lost_since.get_or_insert(now);
    } else {
        view.lost_since = None;
        view.released = false;
    }
}

fn obey(world: &mut World, command: Command) {
    match command {
        Command::Reload(settings) => {
            world.resource_mut::<Policy>().0 = *settings;
            ahead::discard(world);
            pay_anew(world);
        }
        Command::TellMiners(message) => world.resource_mut::<Messages>().0.push(message),
        // Connections end in `reap::stop`: lines that came with the order still count, one may be a block.
        Command::Shutdown => world.insert_resource(Stopping(true)),
    }
}

/// Who is paid may be decided otherwise now: it holds from the next job on, for those who are connected too. Jobs that a
/// channel has already keep their payee, because their coinbases name it.
fn pay_anew(world: &mut World) {
    let mut channels = world.query::<(Entity, &Channel)>();
    let channels: Vec<Entity> = channels.iter(world).map(|(entity, _)| entity).collect();
    for entity in channels {
        let Some(channel) = world.get::<Channel>(entity) else { continue };
        let (Some(before), Some((username, worker))) = (channel.payout, channel.submitters.iter().next()) else {
            continue;
        };
        let connection = channel.connection;
        let settings = &world.resource::<Policy>().0;
        // A username that names nobody any more is refused when it comes again; until then it is paid as it was.
        let Ok(identity) = identity::identify(username, settings.network, &settings.payout) else { continue };
        if let Some(mut known) = world.get_mut::<WorkerIdentity>(worker) {
            known.payee = identity.payee.clone();
        }
        let mut payees = world.resource_mut::<Payees>();
        if payees.payee(before).script == identity.payee.script {
            continue;
        }
        let Some(payout) = payees.retain(&identity.payee) else { continue };
        let newest = world.resource::<JobBoard>().newest;
        release(world, before, connection);
        if let Some(mut channel) = world.get_mut::<Channel>(entity) {
            channel.change_payout(payout, newest);
        }
    }
}

/// Asks the sockets to end a connection and takes it out of the world.
pub fn disconnect(world: &mut World, key: ConnectionKey, reason: CloseReason) {
    world.resource_mut::<Outgoing>().0.closes.push(Close { connection: key, reason });
    forget(world, Closed { connection: key, reason });
}

/// Takes a connection that is gone out of the world: its worker goes offline when it was the last one, its
/// extranonce is kept for ten minutes, what was learnt of its hash rate is remembered.
pub fn forget(world: &mut World, closed: Closed) {
    let Some(entity) = world.resource_mut::<ConnectionIndex>().remove(closed.connection) else { return };
    let now = world.resource::<Moment>().0;
    world.resource_mut::<PoolTotals>().disconnected += 1;
    let channel_entity = world.get::<Connection>(entity).map(|connection| connection.channel);
    let session_id = world.get::<Session>(entity).map(|session| session.session_id);
    let others = world.get::<ConnectionV2>(entity).map(|v2| v2.channels.clone()).unwrap_or_default();
    for channel in others {
        close_channel(world, channel.entity, closed.reason);
    }
    if let (Some(channel_entity), Some(session_id)) = (channel_entity, session_id) {
        keep_extranonce(world, channel_entity, session_id, now.instant);
        leave_channel(world, channel_entity, now, closed.reason);
        world.despawn(channel_entity);
    }
    world.despawn(entity);
}

/// Takes a channel of Stratum V2 out of the world whose connection may go on. There is no way to have it again.
pub fn close_channel(world: &mut World, entity: Entity, reason: CloseReason) {
    let now = world.resource::<Moment>().0;
    if let Some(extranonce1) = world.get::<Channel>(entity).map(|channel| channel.extranonce1) {
        world.resource_mut::<Extranonces>().free(extranonce1);
    }
    leave_channel(world, entity, now, reason);
    world.despawn(entity);
    let mut ahead = world.resource_mut::<Ahead>();
    ahead.channels = ahead.channels.saturating_sub(1);
}

fn keep_extranonce(world: &mut World, entity: Entity, session_id: u64, now: Instant) {
    let Some(channel) = world.get::<Channel>(entity) else { return };
    let (extranonce1, first_job, last_job) = (channel.extranonce1, channel.first_job, channel.last_job);
    let epochs = world.get::<DifficultyEpochs>(entity).cloned().unwrap_or_default();
    let former = Former { extranonce1, first_job, last_job, epochs };
    world.resource_mut::<Extranonces>().keep(session_id, former, now);
}

fn leave_channel(world: &mut World, entity: Entity, now: Now, reason: CloseReason) {
    let Some(mut channel) = world.get_mut::<Channel>(entity) else { return };
    let submitters = std::mem::take(&mut channel.submitters);
    let (payout, connection) = (channel.payout, channel.connection);
    if let Some(payout) = payout {
        release(world, payout, connection);
    }
    let mut workers: Vec<Entity> = submitters.iter().map(|(_, worker)| worker).collect();
    workers.sort_unstable();
    workers.dedup();
    for worker in workers {
        leave(world, worker, now, reason);
    }
}

/// One channel less is paid to a payee. Where the address of the connection has left too many, the one that it left longest
/// ago goes at once, and what jobs hold of it.
fn release(world: &mut World, payout: u32, connection: Entity) {
    let newest = world.resource::<JobBoard>().newest;
    let peer =
        world.get::<Connection>(connection).map(|connection| PeerNetwork::of(connection.peer)).unwrap_or_default();
    let Some(evicted) = world.resource_mut::<Payees>().release(payout, newest, peer) else { return };
    let jobs: Vec<Entity> = world.resource::<JobBoard>().jobs.iter().map(|(_, job)| *job).collect();
    jobs.into_iter().for_each(|job| jobs::forget_payee(world, job, evicted));
    ahead::forget_payees(world, &[evicted]);
}

/// One connection of `worker` less.
fn leave(world: &mut World, worker: Entity, now: Now, reason: CloseReason) {
    let Some(mut presence) = world.get_mut::<WorkerPresence>(worker) else { return };
    presence.connections = presence.connections.saturating_sub(1);
    presence.last_seen = now.unix;
    let offline = presence.connections == 0;
    let already_unsaved = std::mem::replace(&mut presence.unsaved, true);
    if !already_unsaved {
        world.resource_mut::<Unsaved>().workers.push(worker);
    }
    let Some(label) = world.get::<WorkerIdentity>(worker).map(|identity| identity.label.clone()) else { return };
    if offline {
        world.resource_mut::<WorkerIndex>().grown = true;
        let text = format!("worker {label} left: {}", reason.label());
        world.resource_mut::<Outgoing>().notice(NoticeLevel::Info, text);
    }
}
