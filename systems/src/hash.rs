//! Sixth: coinbase, merkle root and header of every share that has one. The heaviest column of a tick.
//!
//! Rows are hashed side by side, in their order, whatever job they belong to; rows without a hash are left out, so that
//! they take no lane. Neither the backend nor the number of cores changes what comes out.

use crate::jobs::CoinbaseStart;
use crate::resources::LiveShares;
use crate::sha256d::{Calibration, Hasher, Share};
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Query, Res};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};
use warppool_components::job::{Job, JobPayouts};
use warppool_components::share::{ShareClaim, ShareHash, ShareWork};
use warppool_components::units::Hash256;

/// How shares are hashed. A world without it takes what is the fastest on this machine, measured when the first share
/// comes, unless somebody asked for [`Calibration::of_this_machine`] before. Tests and operators may decide otherwise.
#[derive(Resource, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hashing {
    /// Backends by the number of shares.
    pub hasher: Hasher,
    /// From so many shares in a tick on all cores hash.
    pub parallel_from: usize,
}

impl Hashing {
    /// What is the fastest on this machine.
    pub fn of_this_machine() -> Self {
        Calibration::of_this_machine().into()
    }
}

impl From<&Calibration> for Hashing {
    fn from(calibration: &Calibration) -> Self {
        Self { hasher: calibration.hasher, parallel_from: calibration.parallel_from }
    }
}

/// Shares that are looked up together in a tick with few: what the widest backend has lanes for.
const SHARES_PER_BATCH: usize = 16;

/// Shares that are looked up together in a tick with many, and that one core takes at a time: the largest class of
/// batches that was measured.
const SHARES_PER_CHUNK: usize = 64;

type Columns = (&'static ShareClaim, &'static ShareWork, &'static mut ShareHash);
type Jobs<'w, 's> = Query<'w, 's, (&'static Job, &'static JobPayouts, &'static CoinbaseStart)>;

/// Fills the `ShareHash` of this tick's hashable rows.
pub fn hash(live: Res<LiveShares>, hashing: Option<Res<Hashing>>, jobs: Jobs, mut rows: Query<Columns>) {
    if live.0 == 0 {
        return;
    }
    let hashing = hashing.map_or_else(Hashing::of_this_machine, |hashing| *hashing);
    let mut columns = rows.contiguous_iter_mut().expect("share components are stored in tables");
    let (claims, works, mut hashes) = columns.next().expect("the share rows are spawned at start");
    let (claims, works) = (&claims[..live.0], &works[..live.0]);
    let hashes = &mut hashes.bypass_change_detection()[..live.0];
    if live.0 < hashing.parallel_from {
        hash_in_turn(&hashing.hasher, &jobs, claims, works, hashes);
        return;
    }
    let chunks = claims.par_chunks(SHARES_PER_CHUNK).zip(works.par_chunks(SHARES_PER_CHUNK));
    chunks
        .zip(hashes.par_chunks_mut(SHARES_PER_CHUNK))
        .for_each(|((claims, works), hashes)| hash_in_turn(&hashing.hasher, &jobs, claims, works, hashes));
}

/// One core's rows. Small ticks do not pay for room that they do not need.
fn hash_in_turn(hasher: &Hasher, jobs: &Jobs, claims: &[ShareClaim], works: &[ShareWork], hashes: &mut [ShareHash]) {
    if works.len() < SHARES_PER_CHUNK {
        hash_rows::<SHARES_PER_BATCH>(hasher, jobs, claims, works, hashes);
    } else {
        hash_rows::<SHARES_PER_CHUNK>(hasher, jobs, claims, works, hashes);
    }
}

fn hash_rows<const ROOM: usize>(
    hasher: &Hasher,
    jobs: &Jobs,
    claims: &[ShareClaim],
    works: &[ShareWork],
    hashes: &mut [ShareHash],
) {
    let mut hashable = (0..works.len()).filter(|row| works[*row].hashable);
    let mut batch = [ShareHash { header: [0; 80], hash: Hash256::ZERO }; ROOM];
    loop {
        let (mut rows, mut shares, mut count) = ([0; ROOM], [Share::EMPTY; ROOM], 0);
        for row in hashable.by_ref().take(ROOM) {
            rows[count] = row;
            shares[count] = share(jobs, &claims[row], &works[row]);
            count += 1;
        }
        if count == 0 {
            return;
        }
        hasher.hash(&shares[..count], &mut batch[..count]);
        for (row, hash) in rows[..count].iter().zip(&batch) {
            hashes[*row] = *hash;
        }
    }
}

fn share<'a>(jobs: &'a Jobs, claim: &ShareClaim, work: &'a ShareWork) -> Share<'a> {
    let (job, payouts, start) = jobs.get(work.job).expect("assemble found this job in this tick");
    let payout = payouts.by_payee[work.payout as usize].as_ref().expect("assemble found this payout in this tick");
    Share {
        midstate: &start.midstate,
        tail: &start.tail,
        extranonce: &work.extranonce,
        suffix: &payout.coinbase_suffix,
        branches: &job.template.merkle_branches,
        version: work.version,
        previous_block: &job.template.previous_block,
        ntime: claim.ntime,
        bits: job.template.bits,
        nonce: claim.nonce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sha256d::{self, Backend, Midstate};
    use bevy_ecs::entity::Entity;
    use bevy_ecs::system::RunSystemOnce;
    use bevy_ecs::world::World;
    use std::sync::Arc;
    use warppool_components::job::{JobId, Payout, TipNumber};
    use warppool_components::template::{Template, TemplateId, TemplateKind};
    use warppool_components::units::{Difficulty, Instant, Sats, Target, UnixTime};

    const UNTOUCHED: ShareHash = ShareHash { header: [0xee; 80], hash: Hash256::ZERO };

    fn template(number: u8) -> Template {
        Template {
            id: TemplateId(u64::from(number)),
            kind: TemplateKind::Full,
            height: 1,
            version: 0x2000_0000,
            previous_block: Hash256::from_internal([number; 32]),
            bits: 0x1700_0000 + u32::from(number),
            network_target: Target::default(),
            current_time: UnixTime::from_seconds(0),
            min_time: UnixTime::from_seconds(0),
            coinbase_value: Sats::ZERO,
            fees: Sats::ZERO,
            witness_commitment: None,
            merkle_branches: (0..number).map(|branch| Hash256::from_internal([branch; 32])).collect(),
            transaction_count: 0,
            transactions: [].into(),
            weight: 0,
            received_at: UnixTime::from_seconds(0),
        }
    }

    fn spawn_job(world: &mut World, number: u8) -> Entity {
        let prefix = vec![number; 70 + usize::from(number)];
        let (midstate, tail) = Midstate::new(&prefix);
        let start = CoinbaseStart { midstate, tail: tail.to_vec() };
        let suffix = vec![number; 20 * usize::from(number)];
        let payout = Payout { coinbase_suffix: suffix.into(), outputs: [].into(), notify: None, notify_clean: None };
        let job = Job {
            id: JobId(u32::from(number)),
            number: u32::from(number),
            tip: TipNumber(1),
            template: Arc::new(template(number)),
            ntime: 0,
            coinbase_prefix: prefix.into(),
            created_at: Instant(0),
            clean: false,
            given: None,
        };
        world.spawn((job, JobPayouts { by_payee: vec![Some(payout)] }, start)).id()
    }

    fn work(job: Entity, row: u32) -> ShareWork {
        let mut extranonce = [0; 12];
        extranonce[..4].copy_from_slice(&row.to_be_bytes());
        let (difficulty, target) = (Difficulty::ONE, Target::default());
        let hashable = !row.is_multiple_of(5);
        ShareWork { job, payout: 0, extranonce, version: row, difficulty, target, worker: None, hashable }
    }

    /// The row's hash from the definition.
    fn expected(row: u32, job: u8) -> ShareHash {
        let mut coinbase = vec![job; 70 + usize::from(job)];
        coinbase.extend_from_slice(&row.to_be_bytes());
        coinbase.extend_from_slice(&[0; 8]);
        coinbase.extend(vec![job; 20 * usize::from(job)]);
        let template = template(job);
        let root = sha256d::fold(sha256d::double(&coinbase), &template.merkle_branches);
        let numbers = [template.bits, !row].map(u32::to_le_bytes).concat();
        let previous = template.previous_block;
        let parts = [&row.to_le_bytes()[..], previous.as_internal(), root.as_internal(), &row.to_le_bytes(), &numbers];
        let header = parts.concat().try_into().expect("80 bytes");
        ShareHash { header, hash: sha256d::header(&header) }
    }

    /// Rows of three jobs, some of them without a hash, by every backend, on one core and on all.
    #[test]
    fn every_backend_and_any_number_of_cores_give_the_same_hashes() {
        let mut world = World::new();
        let jobs: Vec<Entity> = [1, 5, 12].map(|number| spawn_job(&mut world, number)).into();
        let rows: Vec<Entity> = (0..200u32)
            .map(|row| {
                let claim = ShareClaim { ntime: row, nonce: !row, ..ShareClaim::default() };
                world.spawn((claim, work(jobs[row as usize / 3 % 3], row), UNTOUCHED)).id()
            })
            .collect();
        for (backend, parallel_from, live) in Backend::available().iter().flat_map(|backend| {
            [(*backend, 1, 200), (*backend, 1000, 199), (*backend, 1000, 1), (*backend, 1000, 2), (*backend, 1000, 40)]
        }) {
            let hasher = Hasher::forced(backend).expect("an available backend");
            world.insert_resource(Hashing { hasher, parallel_from });
            world.insert_resource(LiveShares(live));
            rows.iter().for_each(|row| *world.get_mut::<ShareHash>(*row).expect("a row") = UNTOUCHED);
            world.run_system_once(hash).expect("a system without needs");
            for (row, entity) in (0..).zip(&rows) {
                let found = world.get::<ShareHash>(*entity).expect("a row");
                let is_hashed = (row as usize) < live && row % 5 != 0;
                let wanted = if is_hashed { expected(row, [1, 5, 12][row as usize / 3 % 3]) } else { UNTOUCHED };
                assert_eq!(found.header, wanted.header, "{} {live} {row}", backend.name());
                assert_eq!(found.hash, wanted.hash, "{} {live} {row}", backend.name());
            }
        }
    }
}
