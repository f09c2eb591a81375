//! Reading a `mining.submit`: the scanner beside the general parser on the same line.
#![allow(missing_docs, reason = "criterion's macros make functions without docs")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use warppool_net::wire::v1::{parse, scan_submit};

const LINE: &[u8] = br#"{"id":42,"method":"mining.submit","params":["bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080.rig7","1a2f","00000000deadbeef","6920f3c4","1b2c3d4e","00c00000"]}"#;

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    group.bench_function("scanner", |bencher| bencher.iter(|| scan_submit(black_box(LINE)).is_some()));
    group.bench_function("general (serde_json)", |bencher| bencher.iter(|| parse(black_box(LINE)).is_ok()));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
