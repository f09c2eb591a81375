//! Validation of shares with 12 branches: every backend and the calibrated choice with batches of each size, beside the
//! plain way of hashing everything anew with crate `sha2`. Shares are counted, not batches.

use std::hint::black_box;
use std::time::Duration;
use warppool_benches::plain::{COINBASE_END, COINBASE_START, share_hash};
use warppool_benches::scene::BRANCHES;
use warppool_benches::table;
use warppool_benches::turns::{Cost, Way, in_turns};
use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;
use warppool_systems::sha256d::{Backend, Calibration, Hasher, Midstate, Share};

const BATCHES: [usize; 7] = [1, 2, 4, 8, 16, 64, 256];
const LARGEST: usize = BATCHES[BATCHES.len() - 1];

/// How long one batch size is measured with all backends.
const BUDGET: Duration = Duration::from_millis(2500);

fn main() {
    table::heading(
        "Validation of a share",
        "With 12 branches, from the job's midstate to the header's hash, 43 compressions; beside it the plain way, which \
         hashes everything anew with `sha2` (44 compressions). Columns are batch sizes, units awake.",
    );
    table::paragraph(&Calibration::of_this_machine().describe());
    let jobs = [job(0), job(1)];
    let extranonces: Vec<[u8; 12]> = (0..LARGEST).map(|number| [number as u8; 12]).collect();
    let costs: Vec<Vec<Cost>> = BATCHES.iter().map(|batch| measure(*batch, &jobs, &extranonces)).collect();
    print("times as fast as the plain way", &costs, |plain, cost| format!("{:.2}", plain.shortest / cost.shortest));
    print("microseconds a batch", &costs, |_, cost| format!("{:.1}", cost.shortest * cost.items as f64 / 1e3));
}

fn measure(batch: usize, jobs: &[(Midstate, Vec<Hash256>)], extranonces: &[[u8; 12]]) -> Vec<Cost> {
    let (one, two) = (shares(&jobs[..1], &extranonces[..batch]), shares(jobs, &extranonces[..batch]));
    // A quarter of the largest batch is long enough to be timed, and the plain way does not profit from more.
    let plain = batch.min(LARGEST / 4);
    let mut ways = vec![Way::new("plain", plain, || {
        for (nonce, extranonce) in (0..).zip(&extranonces[..plain]) {
            black_box(share_hash(black_box(extranonce), &jobs[0].1, nonce));
        }
    })];
    for backend in Backend::available() {
        ways.push(way(backend.name(), Hasher::forced(*backend).expect("an available backend"), &one));
    }
    let calibrated = Calibration::of_this_machine().hasher;
    ways.push(way("calibrated", calibrated, &one));
    ways.push(way("calibrated, two jobs", calibrated, &two));
    in_turns(BUDGET, ways)
}

fn way<'a>(name: &str, hasher: Hasher, shares: &'a [Share<'a>]) -> Way<'a> {
    let mut hashes = vec![ShareHash { header: [0; 80], hash: Hash256::ZERO }; shares.len()];
    Way::new(name, shares.len(), move || {
        hasher.hash(black_box(shares), &mut hashes);
        black_box(&mut hashes);
    })
}

/// A row for each way, a column for each batch size.
fn print(corner: &str, costs: &[Vec<Cost>], cell: impl Fn(&Cost, &Cost) -> String) {
    let rows = (0..costs[0].len()).map(|way| {
        let cells = costs.iter().map(|column| cell(&column[0], &column[way])).collect();
        (costs[0][way].name.clone(), cells)
    });
    table::grid(corner, &BATCHES.map(|batch| batch.to_string()), &rows.collect::<Vec<_>>());
    table::paragraph("");
}

fn job(number: u8) -> (Midstate, Vec<Hash256>) {
    let branches = (0..BRANCHES as u8).map(|branch| Hash256::from_internal([12 * number + branch; 32])).collect();
    (Midstate::new(&COINBASE_START).0, branches)
}

/// Shares of the jobs in turn.
fn shares<'a>(jobs: &'a [(Midstate, Vec<Hash256>)], extranonces: &'a [[u8; 12]]) -> Vec<Share<'a>> {
    let share = |(nonce, extranonce): (u32, &'a [u8; 12])| {
        let (midstate, branches) = &jobs[nonce as usize % jobs.len()];
        let tail = &COINBASE_START[64..];
        Share { midstate, tail, extranonce, suffix: &COINBASE_END, branches, nonce, ..Share::EMPTY }
    };
    (0..).zip(extranonces).map(share).collect()
}
