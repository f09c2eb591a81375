//! Twelfth: what the store is to keep.
//!
//! Shares, the rows of their workers and the sums of the pool go together, some fifty milliseconds after the first of them, so that
//! the store's sums agree with its workers whenever the machine stops. Refused shares leave as numbers: at most a row for
//! each worker and cause in that time, however many there are.

use crate::resources::{Deadlines, Moment, Outgoing, PERSIST_INTERVAL, PoolTotals, Stopping, Unsaved};
use bevy_ecs::system::{Query, Res, ResMut};
use warppool_components::record::{PoolTotalsRow, ShareRow, WorkerRow};
use warppool_components::units::UnixTime;
use warppool_components::worker::{WorkerId, WorkerIdentity, WorkerPresence, WorkerTotals};

type Worker = (&'static WorkerIdentity, &'static WorkerTotals, &'static mut WorkerPresence);

/// Moves what is unsaved into the outbox when it is due.
pub fn persist(
    moment: Res<Moment>,
    stopping: Res<Stopping>,
    totals: Res<PoolTotals>,
    mut deadlines: ResMut<Deadlines>,
    mut unsaved: ResMut<Unsaved>,
    mut workers: Query<Worker>,
    mut outgoing: ResMut<Outgoing>,
) {
    if unsaved.shares.is_empty() && unsaved.workers.is_empty() && !stopping.0 {
        return;
    }
    let now = moment.0.instant;
    let due_at = *deadlines.persist_at.get_or_insert(now + PERSIST_INTERVAL);
    if now < due_at && !stopping.0 {
        return;
    }
    deadlines.persist_at = None;
    let records = &mut outgoing.0.records;
    records.shares.append(&mut unsaved.shares);
    records.totals = Some(Box::new(pool_row(&totals)));
    for entity in unsaved.workers.drain(..) {
        let Ok((identity, totals, mut presence)) = workers.get_mut(entity) else { continue };
        presence.unsaved = false;
        refused(identity.id, totals, &mut presence, moment.0.unix, &mut records.shares);
        records.workers.push(row(identity, totals, &presence));
    }
}

fn pool_row(totals: &PoolTotals) -> PoolTotalsRow {
    PoolTotalsRow {
        accepted: totals.accepted,
        accepted_difficulty: totals.accepted_difficulty,
        rejected: totals.rejected,
        best_ever: totals.best_ever,
    }
}

/// Rows of the refused shares since the last ones: one for each cause, whatever their number.
fn refused(
    worker: WorkerId,
    totals: &WorkerTotals,
    presence: &mut WorkerPresence,
    at: UnixTime,
    rows: &mut Vec<ShareRow>,
) {
    let counts = totals.rejected.iter().zip(&mut presence.rejected_saved).enumerate();
    for (cause, (total, saved)) in counts.filter(|(_, (total, saved))| **total > **saved) {
        let count = u32::try_from(*total - *saved).unwrap_or(u32::MAX);
        *saved += u64::from(count);
        rows.push(ShareRow { worker, at, count, difficulty: 0.0, reached: 0.0, reject: Some(cause as u8) });
    }
}

fn row(identity: &WorkerIdentity, totals: &WorkerTotals, presence: &WorkerPresence) -> WorkerRow {
    WorkerRow {
        id: identity.id,
        address: identity.address.clone(),
        name: identity.name.clone(),
        first_seen: identity.first_seen,
        last_seen: presence.last_seen,
        user_agent: presence.user_agent.clone(),
        accepted: totals.accepted,
        accepted_difficulty: totals.accepted_difficulty,
        rejected: totals.rejected,
        best_ever: totals.best_ever,
        last_share_at: totals.last_share_at,
        blocks_found: totals.blocks_found,
        difficulty: presence.difficulty.map(|difficulty| difficulty.value()),
        hashes_per_second: presence.hashes_per_second,
    }
}
