//! Sixth: coinbase, merkle root and header of every share that has one. The heaviest column of a tick.

use crate::jobs::CoinbaseStart;
use crate::resources::LiveShares;
use crate::sha256d;
use bevy_ecs::system::{Query, Res};
use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};
use warppool_components::job::{Job, JobPayouts};
use warppool_components::share::{ShareClaim, ShareHash, ShareWork};
use warppool_components::units::Hash256;

/// From so many shares on a second core pays for waking it: a share takes some 10 us, a wake-up 20 to 50.
const SHARES_FOR_PARALLEL_MIN: usize = 32;

/// Shares that one core takes at a time.
const SHARES_PER_CHUNK: usize = 16;

type Columns = (&'static ShareClaim, &'static ShareWork, &'static mut ShareHash);
type Jobs<'w, 's> = Query<'w, 's, (&'static Job, &'static JobPayouts, &'static CoinbaseStart)>;

/// Fills the `ShareHash` of this tick's hashable rows.
pub fn hash(live: Res<LiveShares>, jobs: Jobs, mut rows: Query<Columns>) {
    if live.0 == 0 {
        return;
    }
    let mut columns = rows.contiguous_iter_mut().expect("share components are stored in tables");
    let (claims, works, mut hashes) = columns.next().expect("the share rows are spawned at start");
    let (claims, works) = (&claims[..live.0], &works[..live.0]);
    let hashes = &mut hashes.bypass_change_detection()[..live.0];
    if live.0 < SHARES_FOR_PARALLEL_MIN {
        hash_rows(&jobs, claims, works, hashes);
        return;
    }
    let chunks = claims.par_chunks(SHARES_PER_CHUNK).zip(works.par_chunks(SHARES_PER_CHUNK));
    chunks
        .zip(hashes.par_chunks_mut(SHARES_PER_CHUNK))
        .for_each(|((claims, works), hashes)| hash_rows(&jobs, claims, works, hashes));
}

fn hash_rows(jobs: &Jobs, claims: &[ShareClaim], works: &[ShareWork], hashes: &mut [ShareHash]) {
    for ((claim, work), hash) in claims.iter().zip(works).zip(hashes) {
        if work.hashable {
            *hash = hash_share(jobs, claim, work);
        }
    }
}

fn hash_share(jobs: &Jobs, claim: &ShareClaim, work: &ShareWork) -> ShareHash {
    let (job, payouts, start) = jobs.get(work.job).expect("assemble found this job in this tick");
    let payout = payouts.by_payee[work.payout as usize].as_ref().expect("assemble found this payout in this tick");
    let coinbase = start.midstate.finish_double([&start.tail, &work.extranonce, &payout.coinbase_suffix]);
    let root = sha256d::fold(coinbase, &job.template.merkle_branches);
    let header = header(job, claim, work.version, &root);
    ShareHash { header, hash: sha256d::header(&header) }
}

/// The 80 bytes of a block header.
fn header(job: &Job, claim: &ShareClaim, version: u32, root: &Hash256) -> [u8; 80] {
    let mut header = [0; 80];
    header[..4].copy_from_slice(&version.to_le_bytes());
    header[4..36].copy_from_slice(job.template.previous_block.as_internal());
    header[36..68].copy_from_slice(root.as_internal());
    header[68..72].copy_from_slice(&claim.ntime.to_le_bytes());
    header[72..76].copy_from_slice(&job.template.bits.to_le_bytes());
    header[76..].copy_from_slice(&claim.nonce.to_le_bytes());
    header
}
