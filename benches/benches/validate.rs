//! Validation of shares with 12 branches: every backend and the calibrated choice with batches of each size, beside the
//! plain way of hashing everything anew with crate `sha2`. Shares are counted, not batches.
#![allow(missing_docs, reason = "criterion's macros make functions without docs")]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sha2::{Digest, Sha256};
use std::hint::black_box;
use std::time::Duration;
use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;
use warppool_systems::sha256d::{Backend, Calibration, Hasher, Midstate, Share};

const PREFIX: [u8; 82] = [7; 82];
const SUFFIX: [u8; 117] = [5; 117];
const BATCHES: [usize; 7] = [1, 2, 4, 8, 16, 64, 256];
const LARGEST: usize = BATCHES[BATCHES.len() - 1];

fn bench(criterion: &mut Criterion) {
    let calibration = Calibration::of_this_machine();
    // The text that goes into the log of a pool; criterion prints beside it.
    eprintln!("{}", calibration.describe());
    let jobs = [job(0), job(1)];
    let extranonces: Vec<[u8; 12]> = (0..LARGEST).map(|number| [number as u8; 12]).collect();
    let mut group = criterion.benchmark_group("validate");
    bench_plain(&mut group, &jobs[0].1);
    for backend in Backend::available() {
        let hasher = Hasher::forced(*backend).expect("an available backend");
        bench_hasher(&mut group, backend.name(), hasher, &shares(&jobs[..1], &extranonces));
    }
    bench_hasher(&mut group, "calibrated", calibration.hasher, &shares(&jobs[..1], &extranonces));
    bench_hasher(&mut group, "calibrated, two jobs", calibration.hasher, &shares(&jobs, &extranonces));
    group.finish();
}

fn bench_plain(group: &mut BenchmarkGroup<'_, WallTime>, branches: &[Hash256]) {
    group.throughput(Throughput::Elements(1));
    group.bench_function("plain", |bencher| {
        bencher.iter(|| {
            let coinbase = [&PREFIX[..], black_box(&[9; 12]), &SUFFIX].concat();
            let root = branches
                .iter()
                .fold(double(&coinbase), |left, right| double(&[&left[..], right.as_internal()].concat()));
            double(&header(&root))
        });
    });
}

fn bench_hasher(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, hasher: Hasher, shares: &[Share<'_>]) {
    let mut hashes = vec![ShareHash { header: [0; 80], hash: Hash256::ZERO }; LARGEST];
    for batch in BATCHES {
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(BenchmarkId::new(name, batch), |bencher| {
            bencher.iter(|| {
                hasher.hash(black_box(&shares[..batch]), &mut hashes[..batch]);
                black_box(&mut hashes);
            });
        });
    }
}

fn job(number: u8) -> (Midstate, Vec<Hash256>) {
    let branches = (0..12).map(|branch| Hash256::from_internal([12 * number + branch; 32])).collect();
    (Midstate::new(&PREFIX).0, branches)
}

/// Shares of the jobs in turn.
fn shares<'a>(jobs: &'a [(Midstate, Vec<Hash256>)], extranonces: &'a [[u8; 12]]) -> Vec<Share<'a>> {
    let share = |(nonce, extranonce): (u32, &'a [u8; 12])| {
        let (midstate, branches) = &jobs[nonce as usize % jobs.len()];
        let tail = &PREFIX[64..];
        Share { midstate, tail, extranonce, suffix: &SUFFIX, branches, nonce, ..Share::EMPTY }
    };
    (0..).zip(extranonces).map(share).collect()
}

fn header(root: &[u8; 32]) -> [u8; 80] {
    let mut header = [3; 80];
    header[36..68].copy_from_slice(root);
    header
}

fn double(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500));
    targets = bench
}
criterion_main!(benches);
