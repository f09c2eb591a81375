//! Eighth: found blocks, and what became of earlier ones.

use crate::coinbase;
use crate::resources::{BlockIndex, BlockNews, LiveShares, Moment, Outgoing, PoolTotals, ShareRows, Unsaved};
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use bevy_ecs::world::World;
use std::sync::Arc;
use warppool_components::block::{BlockCandidate, BlockState};
use warppool_components::event::{PoolEvent, PoolEventKind};
use warppool_components::job::{Job, JobPayouts};
use warppool_components::outbox::NoticeLevel;
use warppool_components::record::BlockRow;
use warppool_components::share::{ShareHash, ShareVerdict, ShareWork};
use warppool_components::units::{Difficulty, Hash256, Sats};
use warppool_components::worker::{WorkerId, WorkerIdentity, WorkerPresence, WorkerTotals};

/// Whether a block was counted as found: once, when a node has taken it.
#[derive(Component, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counted(pub bool);

/// Puts candidates into the outbox and follows the states of found blocks.
pub fn block(world: &mut World) {
    let live = world.resource::<LiveShares>().0;
    for row in 0..live {
        let entity = world.resource::<ShareRows>().0[row];
        if world.get::<ShareVerdict>(entity).is_some_and(|verdict| verdict.is_block) {
            found(world, entity);
        }
    }
    for (hash, state) in std::mem::take(&mut world.resource_mut::<BlockNews>().0) {
        hear(world, hash, state);
    }
}

fn found(world: &mut World, share: Entity) {
    let Some(candidate) = candidate(world, share) else { return };
    if world.resource::<BlockIndex>().get(&candidate.hash).is_some() {
        // The same block again: a duplicate share.
        return;
    }
    let row = remember(&candidate);
    let notice = format!(
        "block {} at height {} found by {}: submitting",
        candidate.hash, candidate.template.height, candidate.worker_label
    );
    know(world, BlockRow { raw: None, ..row.clone() }, Counted(false));
    let mut outgoing = world.resource_mut::<Outgoing>();
    outgoing.notice(NoticeLevel::Info, notice);
    outgoing.0.records.blocks.push(row);
    outgoing.0.blocks.push(Arc::new(candidate));
}

fn candidate(world: &World, share: Entity) -> Option<BlockCandidate> {
    let (work, hash) = (world.get::<ShareWork>(share)?, world.get::<ShareHash>(share)?);
    let verdict = world.get::<ShareVerdict>(share)?;
    // Who gave the coinbase has the block, too.
    let job = world.get::<Job>(work.job).filter(|job| job.given.is_none())?;
    let payout = world.get::<JobPayouts>(work.job)?.by_payee.get(work.payout as usize)?.as_ref()?;
    let paid = payout.outputs.first()?;
    let identity = work.worker.and_then(|worker| world.get::<WorkerIdentity>(worker));
    let coinbase =
        coinbase::with_witness(&job.template, &job.coinbase_prefix, &work.extranonce, &payout.coinbase_suffix);
    Some(BlockCandidate {
        hash: hash.hash,
        header: hash.header,
        coinbase: coinbase.into(),
        template: Arc::clone(&job.template),
        worker: identity.map_or(WorkerId::default(), |identity| identity.id),
        worker_label: identity.map_or_else(|| paid.address.clone(), |identity| identity.label.clone()),
        address: paid.address.clone(),
        payout: paid.value,
        share_difficulty: Difficulty::new(verdict.reached).unwrap_or(Difficulty::ONE),
        found_at: world.resource::<crate::resources::Moment>().0.unix,
        share_rejected: verdict.reject.is_some(),
    })
}

fn remember(candidate: &BlockCandidate) -> BlockRow {
    BlockRow {
        hash: candidate.hash,
        height: candidate.template.height,
        state: BlockState::Pending,
        found_at: candidate.found_at,
        worker: candidate.worker,
        worker_label: candidate.worker_label.clone(),
        address: candidate.address.clone(),
        payout: candidate.payout,
        coinbase_value: candidate.template.coinbase_value,
        share_difficulty: candidate.share_difficulty.value(),
        network_difficulty: candidate.template.network_target.to_difficulty().value(),
        raw: Some(candidate.serialise().into()),
    }
}

/// Remembers a block that was found after all others that are known.
pub fn know(world: &mut World, row: BlockRow, counted: Counted) {
    let hash = row.hash;
    let entity = world.spawn((row, counted)).id();
    if let Some(surplus) = world.resource_mut::<BlockIndex>().insert(hash, entity) {
        world.despawn(surplus);
    }
}

fn hear(world: &mut World, hash: Hash256, state: BlockState) {
    let Some(entity) = world.resource::<BlockIndex>().get(&hash) else { return };
    let Some(mut row) = world.get_mut::<BlockRow>(entity) else { return };
    if row.state == state {
        return;
    }
    row.state = state;
    let row = row.clone();
    let label = row.state.to_string();
    let counted = world.get_mut::<Counted>(entity);
    if counts(&row.state) && counted.is_some_and(|mut counted| !std::mem::replace(&mut counted.0, true)) {
        count(world, row.worker);
        announce(world, &row);
    }
    let mut outgoing = world.resource_mut::<Outgoing>();
    let level = if matches!(row.state, BlockState::Rejected(_)) { NoticeLevel::Warn } else { NoticeLevel::Info };
    outgoing.notice(level, format!("block {hash} at height {} is {label}", row.height));
    outgoing.0.records.blocks.push(row);
}

/// Whether a block of this state was taken by a node. One that is orphaned later was found all the same.
const fn counts(state: &BlockState) -> bool {
    matches!(state, BlockState::Accepted | BlockState::Confirmed(_))
}

fn count(world: &mut World, worker: WorkerId) {
    world.resource_mut::<PoolTotals>().blocks_found += 1;
    let mut workers = world.query::<(Entity, &WorkerIdentity, &mut WorkerTotals, &mut WorkerPresence)>();
    let found = workers.iter_mut(world).find(|(_, identity, ..)| identity.id == worker);
    let Some((entity, _, mut totals, mut presence)) = found else { return };
    totals.blocks_found += 1;
    if !std::mem::replace(&mut presence.unsaved, true) {
        world.resource_mut::<Unsaved>().workers.push(entity);
    }
}

fn announce(world: &mut World, row: &BlockRow) {
    let at = world.resource::<Moment>().0.unix;
    let kind = PoolEventKind::BlockFound {
        hash: row.hash,
        height: row.height,
        worker: row.worker_label.clone(),
        payout: Sats(row.payout.0),
        state: row.state.clone(),
    };
    world.resource_mut::<Outgoing>().0.events.push(PoolEvent { at, kind });
}
