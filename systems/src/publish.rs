//! Thirteenth: a picture of the pool, when one is due, and the shares of the last second as one event.

use crate::coinbase;
use crate::resources::{
    ConnectionIndex, Deadlines, JobBoard, Moment, NodeView, Outgoing, Policy, PoolTotals, Stopping,
};
use crate::windows;
use bevy_ecs::entity::Entity;
use bevy_ecs::system::SystemParam;
use bevy_ecs::system::{Query, Res, ResMut};
use std::collections::HashMap;
use std::sync::Arc;
use warppool_components::channel::{Channel, Vardiff};
use warppool_components::event::{PoolEvent, PoolEventKind};
use warppool_components::job::{CoinbaseOutput, Job};
use warppool_components::limits::BLOCKS_IN_SNAPSHOT_MAX;
use warppool_components::record::BlockRow;
use warppool_components::settings::{Payee, Settings};
use warppool_components::snapshot::{PoolSnapshot, RuntimeSnapshot, Snapshot, WorkerSnapshot};
use warppool_components::units::{Difficulty, Instant};
use warppool_components::worker::{Hashrate, WorkerIdentity, WorkerPresence, WorkerTotals};

type Worker = (Entity, WorkerColumns);
type WorkerColumns = (&'static WorkerIdentity, &'static WorkerTotals, &'static mut Hashrate, &'static WorkerPresence);

/// What a picture is made of.
#[derive(SystemParam)]
pub struct Subject<'w, 's> {
    moment: Res<'w, Moment>,
    policy: Res<'w, Policy>,
    board: Res<'w, JobBoard>,
    node: Res<'w, NodeView>,
    connections: Res<'w, ConnectionIndex>,
    stopping: Res<'w, Stopping>,
    totals: ResMut<'w, PoolTotals>,
    workers: Query<'w, 's, Worker>,
    channels: Query<'w, 's, (&'static Channel, &'static Vardiff)>,
    jobs: Query<'w, 's, &'static Job>,
    blocks: Query<'w, 's, &'static BlockRow>,
}

/// Takes the picture.
pub fn publish(mut subject: Subject, mut deadlines: ResMut<Deadlines>, mut outgoing: ResMut<Outgoing>) {
    let now = subject.moment.0;
    if now.instant < deadlines.snapshot_at && !subject.stopping.0 {
        return;
    }
    deadlines.snapshot_at = now.instant + subject.policy.0.snapshot_interval;
    let workers = workers(&mut subject);
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

fn pool(subject: &mut Subject, workers: &[WorkerSnapshot]) -> PoolSnapshot {
    let now = subject.moment.0.instant;
    let totals = &mut *subject.totals;
    PoolSnapshot {
        hashrates: windows::rates(&mut totals.hashrate, now),
        accepted: totals.accepted,
        accepted_difficulty: totals.accepted_difficulty,
        rejected: totals.rejected,
        best_now: totals.best_now,
        best_ever: totals.best_ever,
        blocks_found: totals.blocks_found,
        connections_v1: subject.connections.len() as u32,
        workers_online: workers.iter().filter(|worker| worker.connections > 0).count() as u32,
        authorized: totals.authorized,
        disconnected: totals.disconnected,
        notify_bytes: totals.notify_bytes,
    }
}

fn workers(subject: &mut Subject) -> Vec<WorkerSnapshot> {
    let now = subject.moment.0.instant;
    let job = subject.board.latest().and_then(|entity| subject.jobs.get(entity).ok());
    let settings = &subject.policy.0;
    let mut outputs = Outputs { job, settings, last: None };
    let in_force = in_force(&subject.channels);
    let mut workers: Vec<WorkerSnapshot> = subject
        .workers
        .iter_mut()
        .map(|(entity, worker)| {
            let difficulty = in_force.get(&entity).copied();
            picture(worker, difficulty, now, &mut outputs)
        })
        .collect();
    workers.sort_by(|one, other| {
        let online = (other.connections > 0).cmp(&(one.connections > 0));
        online.then(other.hashrates[1].total_cmp(&one.hashrates[1])).then(one.id.cmp(&other.id))
    });
    workers
}

/// The difficulty of each worker's hardest channel.
fn in_force(channels: &Query<(&Channel, &Vardiff)>) -> HashMap<Entity, Difficulty> {
    let mut in_force: HashMap<Entity, Difficulty> = HashMap::new();
    for (channel, vardiff) in channels {
        for (_, worker) in &channel.submitters {
            let hardest = in_force.entry(*worker).or_insert(vardiff.in_force);
            if vardiff.in_force > *hardest {
                *hardest = vardiff.in_force;
            }
        }
    }
    in_force
}

fn picture(
    (identity, totals, mut rate, presence): (
        &WorkerIdentity,
        &WorkerTotals,
        bevy_ecs::change_detection::Mut<Hashrate>,
        &WorkerPresence,
    ),
    in_force: Option<Difficulty>,
    now: Instant,
    outputs: &mut Outputs,
) -> WorkerSnapshot {
    WorkerSnapshot {
        id: identity.id,
        label: identity.label.clone(),
        address: identity.address.clone(),
        name: identity.name.clone(),
        user_agent: presence.user_agent.clone(),
        device_class: presence.device_class.clone(),
        connections: presence.connections,
        hashrates: windows::rates(&mut rate, now),
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
        outputs: outputs.of(&identity.payee),
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
