//! Validation of one share with 12 branches: from the job's midstate, beside the plain way of hashing everything anew
//! with the same library.
#![allow(missing_docs, reason = "criterion's macros make functions without docs")]

use criterion::{Criterion, criterion_group, criterion_main};
use sha2::{Digest, Sha256};
use std::hint::black_box;
use warppool_components::units::Hash256;
use warppool_systems::sha256d::{self, Midstate};

const PREFIX: [u8; 82] = [7; 82];
const EXTRANONCE: [u8; 12] = [9; 12];
const SUFFIX: [u8; 117] = [5; 117];

fn bench(criterion: &mut Criterion) {
    let branches: Vec<Hash256> = (0..12).map(|number| Hash256::from_internal([number; 32])).collect();
    let (midstate, tail) = Midstate::new(&PREFIX);
    let mut group = criterion.benchmark_group("validate");
    group.bench_function("midstate", |bencher| {
        bencher.iter(|| {
            let coinbase = midstate.finish_double([tail, black_box(&EXTRANONCE), &SUFFIX]);
            let root = sha256d::fold(coinbase, &branches);
            sha256d::header(&header(root.as_internal()))
        });
    });
    group.bench_function("plain", |bencher| {
        bencher.iter(|| {
            let coinbase = [&PREFIX[..], black_box(&EXTRANONCE), &SUFFIX].concat();
            let root = branches
                .iter()
                .fold(double(&coinbase), |left, right| double(&[&left[..], right.as_internal()].concat()));
            double(&header(&root))
        });
    });
    group.finish();
}

fn header(root: &[u8; 32]) -> [u8; 80] {
    let mut header = [3; 80];
    header[36..68].copy_from_slice(root);
    header
}

fn double(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

criterion_group!(benches, bench);
criterion_main!(benches);
