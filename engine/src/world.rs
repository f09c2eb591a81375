//! The world at the start: the share rows, what the store remembers, empty indexes.

use bevy_ecs::entity::Entity;
use bevy_ecs::world::World;
use warppool_components::block::BlockState;
use warppool_components::inbox::Now;
use warppool_components::limits::SHARES_PER_TICK_MAX;
use warppool_components::record::{BlockRow, PoolTotalsRow, Restored, WorkerRow};
use warppool_components::settings::{Payee, Settings};
use warppool_components::share::{ShareClaim, ShareHash, ShareOrigin, ShareVerdict, ShareWork};
use warppool_components::units::{Difficulty, Hash256, Target};
use warppool_components::worker::{WorkerIdentity, WorkerPresence, WorkerTotals};
use warppool_systems::ahead::Ahead;
use warppool_systems::block::{self, Counted};
use warppool_systems::extranonces::Extranonces;
use warppool_systems::fanout::Fanout;
use warppool_systems::identity;
use warppool_systems::payees::Payees;
use warppool_systems::resources::{
    Authorizes, BlockIndex, BlockNews, Closing, ConnectionIndex, Deadlines, Incoming, JobBoard, LiveShares, Messages,
    Moment, NodeView, Outgoing, Owed, Policy, PoolTotals, Replies, Requests, ShareRows, Stopping, Unsaved, WorkSource,
    WorkerIndex,
};
use warppool_systems::windows;

/// Builds it.
pub fn build(settings: Settings, seed: u64, restored: Restored, now: Now) -> World {
    let mut world = World::new();
    world.insert_resource(Moment(now));
    world.insert_resource(Policy(settings));
    world.insert_resource(Extranonces::new(seed));
    world.init_resource::<Authorizes>();
    world.init_resource::<Incoming>();
    world.init_resource::<Outgoing>();
    world.init_resource::<LiveShares>();
    world.init_resource::<ConnectionIndex>();
    world.init_resource::<Replies>();
    world.init_resource::<Requests>();
    world.init_resource::<Owed>();
    world.init_resource::<Fanout>();
    world.init_resource::<Ahead>();
    world.init_resource::<Closing>();
    world.init_resource::<Messages>();
    world.init_resource::<JobBoard>();
    world.init_resource::<WorkSource>();
    world.init_resource::<NodeView>();
    world.init_resource::<BlockIndex>();
    world.init_resource::<BlockNews>();
    world.init_resource::<Unsaved>();
    world.init_resource::<Payees>();
    world.init_resource::<Deadlines>();
    world.init_resource::<Stopping>();
    spawn_share_rows(&mut world);
    restore(&mut world, restored, now);
    // Blocks that were too many to be known again are nobody's news; removals are remembered until the second call.
    world.clear_trackers();
    world.clear_trackers();
    world
}

/// All share entities there will ever be, in one archetype, so that each component is one slice.
fn spawn_share_rows(world: &mut World) {
    let blank = (
        ShareOrigin { channel: Entity::PLACEHOLDER, sender: Entity::PLACEHOLDER, line: 0, submitter: 0 },
        ShareClaim::default(),
        ShareWork {
            job: Entity::PLACEHOLDER,
            payout: 0,
            extranonce: Default::default(),
            version: 0,
            difficulty: Difficulty::ONE,
            target: Target::default(),
            worker: None,
            hashable: false,
        },
        ShareHash { header: [0; 80], hash: Hash256::ZERO },
        ShareVerdict::default(),
    );
    let rows = world.spawn_batch(std::iter::repeat_n(blank, SHARES_PER_TICK_MAX)).collect();
    world.insert_resource(ShareRows(rows));
}

fn restore(world: &mut World, restored: Restored, now: Now) {
    let sums = pool_sums(&restored);
    let totals = PoolTotals {
        accepted: sums.accepted,
        accepted_difficulty: sums.accepted_difficulty,
        rejected: sums.rejected,
        best_ever: sums.best_ever,
        blocks_found: restored.blocks_found,
        hashrate: windows::start(now.instant),
        started_at: now.unix,
        ..PoolTotals::default()
    };
    let mut index = WorkerIndex { id_max: restored.worker_id_max, ..WorkerIndex::default() };
    for row in restored.workers {
        index.id_max = index.id_max.max(row.id.0);
        let identity = worker_identity(world, &row);
        let label = identity.label.clone();
        let entity = world.spawn((identity, worker_totals(&row), windows::start(now.instant), presence(row))).id();
        index.by_label.insert(label, entity);
    }
    // Newest first in the store, in the order in which they were found here.
    for row in restored.blocks.into_iter().rev() {
        let counted = matches!(row.state, BlockState::Accepted | BlockState::Confirmed(_) | BlockState::Orphaned);
        block::know(world, BlockRow { raw: None, ..row }, Counted(counted));
    }
    world.insert_resource(totals);
    world.insert_resource(index);
}

/// Sums of the pool: as they were saved, but no less than what the workers add up to, because an earlier version of
/// the program, which does not save sums, may have run since.
fn pool_sums(restored: &Restored) -> PoolTotalsRow {
    let mut sums = restored.workers.iter().fold(PoolTotalsRow::default(), |mut sums, row| {
        sums.accepted += row.accepted;
        sums.accepted_difficulty += row.accepted_difficulty;
        sums.best_ever = sums.best_ever.max(row.best_ever);
        sums.rejected.iter_mut().zip(row.rejected).for_each(|(sum, count)| *sum += count);
        sums
    });
    if let Some(saved) = &restored.totals {
        sums.accepted = sums.accepted.max(saved.accepted);
        sums.accepted_difficulty = sums.accepted_difficulty.max(saved.accepted_difficulty);
        sums.best_ever = sums.best_ever.max(saved.best_ever);
        sums.rejected.iter_mut().zip(saved.rejected).for_each(|(sum, count)| *sum = count.max(*sum));
    }
    sums
}

fn worker_identity(world: &World, row: &WorkerRow) -> WorkerIdentity {
    let settings = &world.resource::<Policy>().0;
    let label = if row.name.is_empty() { row.address.clone() } else { format!("{}.{}", row.address, row.name).into() };
    // Who is paid follows from the settings of today; a worker that no longer names anybody is remembered all the
    // same, and gets its payee when it authorizes again.
    let payee = identity::identify(&label, settings.network, &settings.payout).map(|identity| identity.payee);
    WorkerIdentity {
        id: row.id,
        address: row.address.clone(),
        name: row.name.clone(),
        label,
        payee: payee.unwrap_or_else(|_| Payee { address: row.address.clone(), script: [].into() }),
        first_seen: row.first_seen,
    }
}

fn worker_totals(row: &WorkerRow) -> WorkerTotals {
    WorkerTotals {
        accepted: row.accepted,
        accepted_difficulty: row.accepted_difficulty,
        rejected: row.rejected,
        best_ever: row.best_ever,
        best_now: 0.0,
        last_share_at: row.last_share_at,
        blocks_found: row.blocks_found,
    }
}

fn presence(row: WorkerRow) -> WorkerPresence {
    WorkerPresence {
        connections: 0,
        last_seen: row.last_seen,
        user_agent: row.user_agent,
        device_class: "".into(),
        difficulty: row.difficulty.and_then(|difficulty| Difficulty::new(difficulty).ok()),
        hashes_per_second: row.hashes_per_second,
        rejected_saved: row.rejected,
        unsaved: false,
        ..WorkerPresence::default()
    }
}
