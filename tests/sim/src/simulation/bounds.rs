//! What the pool holds in memory: as much as there is reason for, after seconds and after weeks.

use super::*;
use bevy_ecs::entity::Entity;
use bevy_ecs::world::World;
use warppool_components::channel::{Channel, DifficultyEpochs};
use warppool_components::channel_v2::ChannelV2;
use warppool_components::connection::Connection;
use warppool_components::job::{Job, JobPayouts};
use warppool_components::limits::{
    BLOCKS_KNOWN_MAX, DIFFICULTY_EPOCHS_MAX, JOBS_KEPT_MAX, PAYOUT_CHANGES_MAX, SESSION_KEPT_SECONDS,
    SHARES_PER_TICK_MAX, WORKERS_PER_CONNECTION_MAX,
};
use warppool_components::record::{BlockRow, Restored};
use warppool_components::share::ShareOrigin;
use warppool_components::snapshot::Snapshot;
use warppool_components::worker::WorkerIdentity;
use warppool_systems::ahead::Ahead;
use warppool_systems::extranonces::Extranonces;
use warppool_systems::fanout::Fanout;
use warppool_systems::payees::Payees;
use warppool_systems::resources::{
    BlockIndex, BlockNews, ConnectionIndex, JobBoard, Messages, Owed, Requests, Unsaved, WorkerIndex,
};

/// Ticks in a second of simulated time beyond which the pool spins: more than there can be reasons for.
const TICKS_PER_SECOND_MAX: u64 = 100_000;

/// Jobs and sessions may be a little older than their bound before the next look at them.
const SWEEP_SECONDS: u64 = 2;

/// Age of jobs that are forgotten (rule 28: at least five minutes; nothing older than ten is of use).
const JOB_KEPT_SECONDS: u64 = 600;

/// Rows that wait for the store for fifty milliseconds: as many as a miner may send at once, and more.
const UNSAVED_MAX: usize = SHARES_PER_TICK_MAX;

/// Components of a kind of entity, at most, whose removals are remembered for two ticks.
const COMPONENTS_MAX: usize = 8;

impl Simulation {
    /// Time goes on from tick to tick.
    pub(super) fn check_spinning(&mut self) {
        let second = self.now_ns / 1_000_000_000;
        if self.ticks_lately.0 != second {
            self.ticks_lately = (second, 0);
        }
        self.ticks_lately.1 += 1;
        assert!(self.ticks_lately.1 <= TICKS_PER_SECOND_MAX, "the pool ticks without end");
    }

    /// Everything that the world holds is there for a reason, and nothing else is.
    pub(super) fn check_bounds(&mut self) {
        let now_ns = self.now_ns;
        let connections = self.by_slot.len();
        let channels_v2 = self.channels_v2().count();
        let is_v1 = |number: usize| self.miners_v2[number].is_none();
        let v1 = self.devices.iter().enumerate().filter(|(number, _)| is_v1(*number));
        let v2 = || self.miners_v2.iter().flatten().flat_map(|miner| &miner.slots);
        let names = v1.map(|(_, device)| device.users.len()).sum::<usize>() + v2().count();
        let owners = self.devices.len() + v2().count();
        let untold = self.untold_v2();
        let Some(pool) = &mut self.pool else { return };
        while pool.ended.front().is_some_and(|at| now_ns - at > (SESSION_KEPT_SECONDS + SWEEP_SECONDS) * 1_000_000_000)
        {
            pool.ended.pop_front();
        }
        let sessions = connections + channels_v2 + pool.ended.len();
        let now = Instant(1_000_000_000 + now_ns);
        let world = pool.engine.world();
        check_jobs(world, now);
        check_channels(world, connections, channels_v2);
        check_untold(world, &untold);
        let workers = count::<WorkerIdentity>(world);
        assert!(workers <= names, "{workers} workers of {names} names");
        assert_eq!(world.resource::<WorkerIndex>().by_label.len(), workers, "workers in the index");
        let blocks = count::<BlockRow>(world);
        assert!(blocks <= BLOCKS_KNOWN_MAX, "{blocks} blocks are known");
        assert_eq!(world.resource::<BlockIndex>().len(), blocks, "blocks in the index");
        let extranonces = world.resource::<Extranonces>().len();
        assert!(extranonces <= sessions, "{extranonces} extranonces are taken for {sessions} sessions");
        let payees = world.resource::<Payees>().len();
        assert!(payees <= owners, "{payees} payees of {owners} owners");
        check_queues(world);
        let jobs = count::<Job>(world);
        let known = SHARES_PER_TICK_MAX + 2 * connections + channels_v2 + jobs + workers + blocks;
        let others = count_all(world) - known;
        assert_eq!(*self.baseline.get_or_insert(others), others, "entities that are nothing known");
        let removed: usize = world.removed_components().iter().map(|(_, messages)| messages.len()).sum();
        let removed_max = COMPONENTS_MAX * (2 * self.devices.len() + JOBS_KEPT_MAX + 2 * names);
        assert!(removed <= removed_max, "{removed} removals are remembered");
    }

    /// What of each open channel's credit was not told, by slot and number.
    fn untold_v2(&self) -> BTreeMap<(u32, u32), f64> {
        let channels = self.by_slot.iter().flat_map(|(slot, link)| {
            let v2 = self.links[*link].v2.iter().flat_map(|v2| v2.channels.keys());
            v2.map(|number| (*slot, *number))
        });
        channels.filter_map(|(slot, number)| Some(((slot, number), self.untold(slot, number)?))).collect()
    }

    /// The picture shows the connections that there are.
    pub(super) fn check_presence(&self, snapshot: &Snapshot) {
        let shown = (snapshot.pool.connections_v1 + snapshot.pool.connections_v2) as usize;
        let ended_now = self.pool.as_ref().map_or(0, |pool| pool.ended_now);
        let live = self.by_slot.len();
        assert!((live..=live + ended_now).contains(&shown), "{shown} of {live} connections in the snapshot");
        for worker in snapshot.workers.iter().filter(|_| ended_now == 0) {
            let has_name = |link: &Link| self.devices[link.device].users.iter().any(|user| **user == *worker.label);
            let links = self.by_slot.values().map(|link| &self.links[*link]);
            let links = links.filter(|link| link.v2.is_none() && has_name(link)).count();
            let links = links + self.channels_v2().filter(|channel| *channel.user == *worker.label).count();
            assert!(
                worker.connections as usize <= links,
                "{} has too many connections: {}",
                worker.label,
                worker.connections
            );
        }
    }
}

fn check_jobs(world: &mut World, now: Instant) {
    let ahead = world.resource::<Ahead>().job;
    let jobs = count::<Job>(world) - usize::from(ahead.is_some());
    assert_eq!(world.resource::<JobBoard>().jobs.len(), jobs, "jobs on the board");
    // Between two sweeps more may come.
    assert!(jobs <= 2 * JOBS_KEPT_MAX, "{jobs} jobs are kept");
    // The one that waits for its tip is as old as the tip is young.
    let mut all = world.query::<(Entity, &Job)>();
    let on_board = all.iter(world).filter(|(entity, _)| Some(*entity) != ahead);
    let oldest = on_board.map(|(_, job)| now.since(job.created_at)).max();
    let age_max = Duration::from_secs(JOB_KEPT_SECONDS + SWEEP_SECONDS);
    assert!(jobs <= 1 || oldest <= Some(age_max), "a job is kept for {oldest:?}");
    let payees = world.resource::<Payees>().len();
    for payouts in world.query::<&JobPayouts>().iter(world) {
        assert!(payouts.by_payee.len() <= payees, "a job has payouts of nobody");
    }
}

fn check_channels(world: &mut World, connections: usize, channels_v2: usize) {
    assert_eq!(count::<Connection>(world), connections, "connections in the world");
    // Connections of Stratum V2 have one that mines nothing.
    assert_eq!(count::<Channel>(world), connections + channels_v2, "channels in the world");
    assert_eq!(world.resource::<Ahead>().channels, channels_v2, "channels that are sent a job ahead");
    assert_eq!(world.resource::<ConnectionIndex>().len(), connections, "connections in the index");
    for (channel, epochs) in world.query::<(&Channel, &DifficultyEpochs)>().iter(world) {
        assert!(epochs.epochs.len() <= DIFFICULTY_EPOCHS_MAX, "{} difficulties are remembered", epochs.epochs.len());
        assert!(channel.former_payouts.len() <= PAYOUT_CHANGES_MAX, "too many changes of payee are remembered");
        assert!(channel.submitters.len() <= WORKERS_PER_CONNECTION_MAX, "too many workers on a connection");
    }
}

/// Sums on the wire are whole; what is below one waits in the channel, and nothing else does.
fn check_untold(world: &mut World, untold: &BTreeMap<(u32, u32), f64>) {
    for (channel, v2) in world.query::<(&Channel, &ChannelV2)>().iter(world) {
        let expected = untold.get(&(channel.key.slot, v2.number)).expect("an open channel");
        let is_right = (v2.untold - expected).abs() <= 1e-9 * expected.abs().max(1e-9);
        assert!(is_right, "{} of channel {} was not told, {expected} should be", v2.untold, v2.number);
    }
}

/// What is handed from system to system within a tick is empty behind it.
fn check_queues(world: &World) {
    assert!(world.resource::<Owed>().0.is_empty(), "channels are still owed something");
    assert!(world.resource::<Requests>().0.is_empty(), "requests are left");
    assert!(world.resource::<Messages>().0.is_empty(), "messages are left");
    assert!(world.resource::<BlockNews>().0.is_empty(), "news of blocks are left");
    assert!(world.resource::<Fanout>().is_done(), "some still wait for the job");
    let unsaved = world.resource::<Unsaved>();
    assert!(unsaved.shares.len() <= UNSAVED_MAX, "{} shares are unsaved", unsaved.shares.len());
}

fn count<T: bevy_ecs::component::Component>(world: &mut World) -> usize {
    world.query::<&T>().iter(world).count()
}

fn count_all(world: &mut World) -> usize {
    let shares = count::<ShareOrigin>(world);
    assert_eq!(shares, SHARES_PER_TICK_MAX, "the share rows are there from start to end");
    world.archetypes().iter().map(|archetype| archetype.len() as usize).sum()
}

/// The store's sums of days, its workers and its sums of the pool agree, whenever it is opened.
pub(super) fn check_sums(pool: &PoolSide, restored: &Restored, now: UnixTime) {
    let day = Duration::from_secs(86_400);
    let (from, to) = (UnixTime::from_seconds(START_SECONDS), UnixTime::from_millis(now.millis() + 1));
    let reader = pool.store.reader();
    let days = reader.history(None, from, to, day).unwrap_or_else(|error| panic!("the history: {error}"));
    let in_days: u64 = days.iter().map(|point| point.accepted).sum();
    let of_workers: u64 = restored.workers.iter().map(|row| row.accepted).sum();
    let of_pool = restored.totals.map_or(0, |totals| totals.accepted);
    assert_eq!((in_days, of_pool), (of_workers, of_workers), "shares in days, of the pool and of its workers");
    for row in &restored.workers {
        let days = reader.history(Some(row.id), from, to, day);
        let days = days.unwrap_or_else(|error| panic!("the history of a worker: {error}"));
        let in_days: (u64, u64) =
            days.iter().fold((0, 0), |sum, point| (sum.0 + point.accepted, sum.1 + point.rejected));
        let of_worker = (row.accepted, row.rejected.iter().sum());
        assert_eq!(in_days, of_worker, "shares in days and of {}.{}", row.address, row.name);
    }
}
