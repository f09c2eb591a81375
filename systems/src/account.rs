//! Ninth: who is credited with what.

use crate::resources::{LiveShares, Moment, PoolTotals, Unsaved};
use crate::windows;
use bevy_ecs::entity::Entity;
use bevy_ecs::system::{Query, Res, ResMut};
use warppool_components::record::ShareRow;
use warppool_components::reject::Reject;
use warppool_components::share::{ShareVerdict, ShareWork};
use warppool_components::units::UnixTime;
use warppool_components::worker::{Hashrate, WorkerId, WorkerIdentity, WorkerPresence, WorkerTotals};

type Worker = (&'static WorkerIdentity, &'static mut WorkerTotals, &'static mut Hashrate, &'static mut WorkerPresence);

/// Adds this tick's verdicts to their workers and to the pool, and notes them for the store.
pub fn account(
    moment: Res<Moment>,
    live: Res<LiveShares>,
    rows: Query<(&ShareWork, &ShareVerdict)>,
    mut workers: Query<Worker>,
    mut totals: ResMut<PoolTotals>,
    mut unsaved: ResMut<Unsaved>,
) {
    if live.0 == 0 {
        return;
    }
    let now = moment.0.unix;
    let mut columns = rows.contiguous_iter().expect("share components are stored in tables");
    let (works, verdicts) = columns.next().expect("the share rows are spawned at start");
    for (work, verdict) in works[..live.0].iter().zip(verdicts) {
        count(&mut totals, work, verdict);
        if let Some(worker) = work.worker {
            credit(&mut workers, worker, work, verdict, now, &mut unsaved);
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

fn credit(
    workers: &mut Query<Worker>,
    entity: Entity,
    work: &ShareWork,
    verdict: &ShareVerdict,
    now: UnixTime,
    unsaved: &mut Unsaved,
) {
    let Ok((identity, mut totals, mut rate, mut presence)) = workers.get_mut(entity) else { return };
    presence.last_seen = now;
    match verdict.reject {
        Some(reject) => totals.rejected[reject.index()] += 1,
        None => {
            totals.accepted += 1;
            totals.accepted_difficulty += work.difficulty.value();
            totals.best_now = totals.best_now.max(verdict.reached);
            totals.best_ever = totals.best_ever.max(verdict.reached);
            totals.last_share_at = Some(now);
            windows::add(&mut rate, work.difficulty);
        }
    }
    if !presence.unsaved {
        presence.unsaved = true;
        unsaved.workers.push(entity);
    }
    unsaved.shares.push(row(identity.id, work, verdict, now));
}

fn row(worker: WorkerId, work: &ShareWork, verdict: &ShareVerdict, at: UnixTime) -> ShareRow {
    let difficulty = if work.hashable { work.difficulty.value() } else { 0.0 };
    let reject = verdict.reject.map(|reject: Reject| reject.index() as u8);
    ShareRow { worker, at, difficulty, reached: verdict.reached, reject }
}
