//! Ninth: who is credited with what.

use crate::presence;
use crate::resources::{JobBoard, LiveShares, Moment, PoolTotals, Unsaved};
use crate::windows;
use bevy_ecs::entity::Entity;
use bevy_ecs::system::{Query, Res, ResMut};
use warppool_components::inbox::Now;
use warppool_components::record::ShareRow;
use warppool_components::share::{ShareVerdict, ShareWork};
use warppool_components::units::UnixTime;
use warppool_components::worker::{Hashrate, TipLatency, WorkerId, WorkerIdentity, WorkerPresence, WorkerTotals};

type Worker = (&'static WorkerIdentity, &'static mut WorkerTotals, &'static mut Hashrate, &'static mut WorkerPresence);

/// Tips that the mean latency of a worker stands for.
const TIPS_OF_MEAN: f32 = 8.0;

/// Adds this tick's verdicts to their workers and to the pool, and notes them for the store.
pub fn account(
    moment: Res<Moment>,
    live: Res<LiveShares>,
    board: Res<JobBoard>,
    rows: Query<(&ShareWork, &ShareVerdict)>,
    mut workers: Query<Worker>,
    mut totals: ResMut<PoolTotals>,
    mut unsaved: ResMut<Unsaved>,
) {
    if live.0 == 0 {
        return;
    }
    let now = moment.0;
    let mut columns = rows.contiguous_iter().expect("share components are stored in tables");
    let (works, verdicts) = columns.next().expect("the share rows are spawned at start");
    for (work, verdict) in works[..live.0].iter().zip(verdicts) {
        count(&mut totals, work, verdict);
        if let Some(worker) = work.worker {
            let tip = credit(&mut workers, worker, work, verdict, now, &board, &mut unsaved);
            tip.into_iter().for_each(|seconds| totals.tip_latencies.count(seconds));
        }
    }
}

fn count(totals: &mut PoolTotals, work: &ShareWork, verdict: &ShareVerdict) {
    if let Some(reject) = verdict.reject {
        totals.rejected[reject.index()] += 1;
        totals.since_event.2 += 1;
        return;
    }
    totals.accepted += 1;
    totals.accepted_difficulty += work.difficulty.value();
    totals.best_now = totals.best_now.max(verdict.reached);
    totals.best_ever = totals.best_ever.max(verdict.reached);
    totals.since_event.0 += 1;
    totals.since_event.1 += work.difficulty.value();
    windows::add(&mut totals.hashrate, work.difficulty);
}

/// Gives the seconds from the tip to this share when it is the worker's first on it.
fn credit(
    workers: &mut Query<Worker>,
    entity: Entity,
    work: &ShareWork,
    verdict: &ShareVerdict,
    now: Now,
    board: &JobBoard,
    unsaved: &mut Unsaved,
) -> Option<f64> {
    let (identity, mut totals, mut rate, mut presence) = workers.get_mut(entity).ok()?;
    presence.last_seen = now.unix;
    let mut tip_latency = None;
    match verdict.reject {
        // `persist` makes a row of the number; a flood of refused shares must not fill the disk.
        Some(reject) => totals.rejected[reject.index()] += 1,
        None => {
            totals.accepted += 1;
            totals.accepted_difficulty += work.difficulty.value();
            totals.best_now = totals.best_now.max(verdict.reached);
            totals.best_ever = totals.best_ever.max(verdict.reached);
            totals.last_share_at = Some(now.unix);
            windows::add(&mut rate, work.difficulty);
            tip_latency = first_on_tip(&mut presence, board, now);
            unsaved.shares.push(row(identity.id, work, verdict, now.unix));
        }
    }
    presence::hear(&mut presence, verdict.reject.is_none().then_some(work.difficulty), now.instant);
    if !presence.unsaved {
        presence.unsaved = true;
        unsaved.workers.push(entity);
    }
    tip_latency
}

/// A credited share is one on the present tip. It is timed when the worker was there before the tip was.
fn first_on_tip(presence: &mut WorkerPresence, board: &JobBoard, now: Now) -> Option<f64> {
    if std::mem::replace(&mut presence.tip_seen, board.tip) == board.tip {
        return None;
    }
    presence.rhythm.working_since().filter(|since| *since < board.tip_at)?;
    let seconds = now.instant.since(board.tip_at).as_secs_f64();
    let last_seconds = seconds as f32;
    let before = presence.tip_latency.map_or(last_seconds, |latency| latency.mean_seconds);
    let mean_seconds = before + (last_seconds - before) / TIPS_OF_MEAN;
    presence.tip_latency = Some(TipLatency { last_seconds, mean_seconds });
    Some(seconds)
}

/// The row of a credited share.
fn row(worker: WorkerId, work: &ShareWork, verdict: &ShareVerdict, at: UnixTime) -> ShareRow {
    ShareRow { worker, at, count: 1, difficulty: work.difficulty.value(), reached: verdict.reached, reject: None }
}
