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
/// comes, unless somebody asked for [`Calibration::of_this_machine`] before.
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
        let calibration = Calibration::of_this_machine();
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
