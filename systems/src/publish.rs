//! Thirteenth: a picture of the pool, when one is due, and the shares of the last second as one event.
//!
//! Looking at ten thousand workers takes milliseconds, which every submit of that time would wait. So a tick looks at
//! [`WORKERS_PICTURED_PER_TICK`] of them; the next one follows at once, with what arrived meanwhile. The pool's own sums are
//! taken when all have been looked at.

use crate::coinbase;
use crate::payees::Payees;
use crate::presence::{self, Work};
use crate::resources::{
    ConnectionIndex, Deadlines, JobBoard, Moment, NodeView, Outgoing, Policy, PoolTotals, Stopping,
};
use crate::windows;
use bevy_ecs::entity::{Entity, EntityHashMap};
use bevy_ecs::system::SystemParam;
use bevy_ecs::system::{Local, Query, Res, ResMut};
use std::sync::Arc;
use std::time::Duration;
use warppool_components::channel::{Channel, Vardiff};
use warppool_components::channel_v2::ConnectionV2;
use warppool_components::event::{PoolEvent, PoolEventKind};
use warppool_components::inbox::Now;
use warppool_components::job::{CoinbaseOutput, Job, JobId};
use warppool_components::limits::{BLOCKS_IN_SNAPSHOT_MAX, WORKERS_PICTURED_PER_TICK};
use warppool_components::record::BlockRow;
use warppool_components::settings::{Payee, Settings};
use warppool_components::snapshot::{
    Hashrates, HistogramSnapshot, PoolSnapshot, RuntimeSnapshot, Snapshot, TIP_LATENCY_BOUNDS_SECONDS, WorkerSnapshot,
};
use warppool_components::units::{Difficulty, Instant, UnixTime};
use warppool_components::worker::{Hashrate, WorkerIdentity, WorkerPresence, WorkerTotals};

type Worker =
    (Entity, &'static WorkerIdentity, &'static WorkerTotals, &'static mut Hashrate, &'static mut WorkerPresence);

/// What a picture is made of.
#[derive(SystemParam)]
pub struct Subject<'w, 's> {
    moment: Res<'w, Moment>,
    policy: Res<'w, Policy>,
    board: Res<'w, JobBoard>,
    node: Res<'w, NodeView>,
    payees: Res<'w, Payees>,
    connections: Res<'w, ConnectionIndex>,
    stopping: Res<'w, Stopping>,
    totals: ResMut<'w, PoolTotals>,
    workers: Query<'w, 's, Worker>,
    channels: Query<'w, 's, (&'static Channel, &'static Vardiff)>,
    jobs: Query<'w, 's, &'static Job>,
    blocks: Query<'w, 's, &'static BlockRow>,
    links: Query<'w, 's, &'static ConnectionV2>,
}

/// A picture that is being taken.
pub struct Round {
    /// When it was begun, the moment for all who are on it.
    begun_at: Now,
    /// Those who were not looked at yet, the last one first.
    waiting: Vec<Entity>,
    assigned: EntityHashMap<Assignment>,
    /// Those who were.
    workers: Vec<WorkerSnapshot>,
}

/// Takes the picture.
pub fn publish(
    mut subject: Subject,
    mut deadlines: ResMut<Deadlines>,
    mut outgoing: ResMut<Outgoing>,
    mut looked_at: Local<Instant>,
    mut round: Local<Option<Round>>,
) {
    let now = subject.moment.0;
    let is_due = round.is_some() || now.instant >= deadlines.snapshot_at || subject.stopping.0;
    if !is_due {
        return;
    }
    // The last picture shows the moment of the end, not what was begun before.
    let mut begun = round.take().filter(|_| !subject.stopping.0).unwrap_or_else(|| begin(&subject));
    let count = if subject.stopping.0 { usize::MAX } else { WORKERS_PICTURED_PER_TICK };
    look_at(&mut subject, &mut begun, count, *looked_at, &mut outgoing.0.events);
    if !begun.waiting.is_empty() {
        // As soon as possible.
        deadlines.snapshot_at = now.instant + Duration::from_nanos(1);
        *round = Some(begun);
        return;
    }
    *looked_at = begun.begun_at.instant;
    deadlines.snapshot_at = now.instant.max(begun.begun_at.instant + subject.policy.0.snapshot_interval);
    let workers = in_order(begun.workers);
    let snapshot = Snapshot {
        at: now.unix,
        started_at: subject.totals.started_at,
        pool: pool(&mut subject, &workers),
        workers,
        job: subject.board.snapshot.clone(),
        node: Arc::clone(&subject.node.status),
        blocks: blocks(&subject.blocks),
        runtime: RuntimeSnapshot::default(),
    };
    outgoing.0.snapshot = Some(Box::new(snapshot));
    let (accepted, difficulty, rejected) = std::mem::take(&mut subject.totals.since_event);
    if accepted + rejected > 0 {
        let kind = PoolEventKind::SharesAccepted { accepted, difficulty, rejected };
        outgoing.0.events.push(PoolEvent { at: now.unix, kind });
    }
}

fn begin(subject: &Subject) -> Round {
    let mut waiting: Vec<Entity> = subject.workers.iter().map(|(entity, ..)| entity).collect();
    waiting.reverse();
    let workers = Vec::with_capacity(waiting.len());
    let assigned = assigned(&subject.channels, subject.board.newest);
    Round { begun_at: subject.moment.0, waiting, assigned, workers }
}

fn pool(subject: &mut Subject, workers: &[WorkerSnapshot]) -> PoolSnapshot {
    let now = subject.moment.0.instant;
    let connections_v2 = subject.links.iter().len() as u32;
    let totals = &mut *subject.totals;
    PoolSnapshot {
        hashrates: windows::rates(&mut totals.hashrate, now),
        accepted: totals.accepted,
        accepted_difficulty: totals.accepted_difficulty,
        rejected: totals.rejected,
        best_now: totals.best_now,
        best_ever: totals.best_ever,
        blocks_found: totals.blocks_found,
        connections_v1: (subject.connections.len() as u32).saturating_sub(connections_v2),
        connections_v2,
        workers_online: workers.iter().filter(|worker| worker.presence.is_online()).count() as u32,
        authorized: totals.authorized,
        disconnected: totals.disconnected,
        notify_bytes: totals.notify_bytes,
        tip_to_first_share_seconds: HistogramSnapshot {
            bounds: TIP_LATENCY_BOUNDS_SECONDS.to_vec(),
            counts: totals.tip_latencies.counts.to_vec(),
            sum: totals.tip_latencies.sum_seconds,
        },
    }
}

/// Looks at the next `count` workers: pictures of them, and events of those who came or went. Nothing is missed of one who is
/// gone by then.
fn look_at(subject: &mut Subject, round: &mut Round, count: usize, looked_at: Instant, events: &mut Vec<PoolEvent>) {
    let (begun_at, now) = (round.begun_at.instant, subject.moment.0.instant);
    let job = subject.board.latest().and_then(|entity| subject.jobs.get(entity).ok());
    let mut outputs = Outputs { job, settings: &subject.policy.0, last: None };
    let rest = round.waiting.len().saturating_sub(count);
    for entity in round.waiting.drain(rest..).rev() {
        let Ok((_, identity, totals, mut rate, mut presence)) = subject.workers.get_mut(entity) else { continue };
        let assignment = round.assigned.get(&entity);
        presence::watch(&mut presence, assignment.map(|assignment| &assignment.work), looked_at, begun_at);
        if let Some(is_up) = presence::news(&mut presence, now) {
            events.push(came_or_went(is_up, identity.label.clone(), round.begun_at.unix));
        }
        let payee = assignment.and_then(|assignment| assignment.payee).map(|index| subject.payees.payee(index));
        let picture = WorkerSnapshot {
            hashrates: windows::rates(&mut rate, now),
            expected_share_seconds: assignment.and_then(|it| presence::expected_seconds(&presence, &it.work, now)),
            quiet_seconds: presence::quiet_seconds(&presence, now),
            outputs: outputs.of(payee.unwrap_or(&identity.payee)),
            ..picture(identity, totals, &presence, assignment.map(|assignment| assignment.work.difficulty))
        };
        round.workers.push(picture);
    }
}

/// Those who are online first, largest hash rate first. Their numbers differ, so the order is always the same.
fn in_order(mut workers: Vec<WorkerSnapshot>) -> Vec<WorkerSnapshot> {
    let key = |worker: &WorkerSnapshot| (!worker.presence.is_online(), worker.hashrates[1], worker.id);
    let mut order: Vec<_> = workers.iter().map(key).zip(0usize..).collect();
    order.sort_unstable_by(|((off, rate, id), _), ((other_off, other_rate, other_id), _)| {
        off.cmp(other_off).then(other_rate.total_cmp(rate)).then(id.cmp(other_id))
    });
    // A picture is large: each is moved once, and within the one list. What stood before `place` was exchanged with what is
    // now where it went, so the way of exchanges leads to it.
    for place in 0..order.len() {
        let mut from = order[place].1;
        while from < place {
            from = order[from].1;
        }
        workers.swap(place, from);
    }
    workers
}

fn came_or_went(is_up: bool, worker: Arc<str>, at: UnixTime) -> PoolEvent {
    let kind = if is_up { PoolEventKind::WorkerUp { worker } } else { PoolEventKind::WorkerDown { worker } };
    PoolEvent { at, kind }
}

/// What a worker has been given on its hardest channel.
struct Assignment {
    work: Work,
    payee: Option<u32>,
}

/// The work of every worker that has some.
fn assigned(channels: &Query<(&Channel, &Vardiff)>, newest: JobId) -> EntityHashMap<Assignment> {
    let mut assigned: EntityHashMap<Assignment> = EntityHashMap::with_capacity(channels.iter().len());
    for (channel, vardiff) in channels.iter().filter(|(channel, _)| channel.first_job.is_some()) {
        for (_, worker) in channel.submitters.iter() {
            let is_hardest = |known: &Assignment| known.work.difficulty >= vardiff.in_force;
            if assigned.get(&worker).is_some_and(is_hardest) {
                continue;
            }
            // A pinned difficulty was chosen by somebody else for reasons of their own.
            let aimed_seconds = (!vardiff.pinned).then_some(vardiff.seconds_per_share as f32);
            let work = Work { difficulty: vardiff.in_force, aimed_seconds };
            assigned.insert(worker, Assignment { work, payee: channel.payout_of(newest) });
        }
    }
    assigned
}

/// What does not depend on the moment.
fn picture(
    identity: &WorkerIdentity,
    totals: &WorkerTotals,
    presence: &WorkerPresence,
    in_force: Option<Difficulty>,
) -> WorkerSnapshot {
    WorkerSnapshot {
        id: identity.id,
        label: identity.label.clone(),
        address: identity.address.clone(),
        name: identity.name.clone(),
        user_agent: presence.user_agent.clone(),
        device_class: presence.device_class.clone(),
        connections: presence.connections,
        presence: presence::state(presence),
        expected_share_seconds: None,
        quiet_seconds: None,
        tip_latency: presence.tip_latency,
        hashrates: Hashrates::default(),
        accepted: totals.accepted,
        accepted_difficulty: totals.accepted_difficulty,
        rejected: totals.rejected,
        best_now: totals.best_now,
        best_ever: totals.best_ever,
        difficulty: in_force.or(presence.difficulty).map_or(0.0, Difficulty::value),
        first_seen: identity.first_seen,
        last_seen: presence.last_seen,
        last_share_at: totals.last_share_at,
        blocks_found: totals.blocks_found,
        outputs: Arc::default(),
    }
}

/// Outputs of the latest job by payee; most pools have one or a few, so the last answer is kept.
struct Outputs<'a> {
    job: Option<&'a Job>,
    settings: &'a Settings,
    last: Option<(Payee, Arc<[CoinbaseOutput]>)>,
}

impl Outputs<'_> {
    fn of(&mut self, payee: &Payee) -> Arc<[CoinbaseOutput]> {
        let Some(job) = self.job.filter(|_| !payee.script.is_empty()) else { return Arc::default() };
        if let Some((_, outputs)) = self.last.as_ref().filter(|(last, _)| last == payee) {
            return Arc::clone(outputs);
        }
        let outputs: Arc<[CoinbaseOutput]> = coinbase::outputs(&job.template, payee, &self.settings.payout).into();
        self.last = Some((payee.clone(), Arc::clone(&outputs)));
        outputs
    }
}

/// Highest first, as the store lists them.
fn blocks(rows: &Query<&BlockRow>) -> Arc<[BlockRow]> {
    let mut blocks: Vec<&BlockRow> = rows.iter().collect();
    blocks.sort_by_key(|row| std::cmp::Reverse((row.height, row.hash.to_display())));
    blocks.into_iter().take(BLOCKS_IN_SNAPSHOT_MAX).cloned().collect()
}
