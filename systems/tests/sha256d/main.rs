//! Every backend against the scalar way on some thousand batches that differ in everything they can differ in. The same
//! from as many seeds as one likes: `cargo run --release -p warppool-systems --example fuzz_sha256d`.

mod batches;

use batches::{Batch, Random, compare_level, compare_shares};

/// Batches with short coinbases and paths, and with those of full blocks.
const SHALLOW: usize = 1500;
const DEEP: usize = 60;

#[test]
fn random_batches_have_the_same_hashes_with_every_backend() {
    let mut random = Random(1);
    for (count, deep) in [(SHALLOW, false), (DEEP, true)] {
        for number in 0..count {
            // Every size up to two full batches of the widest backend and one over, small ones more often.
            let bound = if number % 8 == 0 { 34 } else { 9 };
            let size = random.below(bound);
            let batch = Batch::random(&mut random, size, deep);
            if let Err(problem) = compare_shares(&batch.shares()) {
                panic!("batch {number}, deep: {deep}: {problem}");
            }
        }
    }
}

#[test]
fn levels_of_every_size_have_the_same_parents_with_every_backend() {
    let mut random = Random(2);
    for pairs in (0..70).chain([200, 511]) {
        let nodes: Vec<_> = (0..2 * pairs).map(|_| random.hash()).collect();
        if let Err(problem) = compare_level(&nodes) {
            panic!("{problem}");
        }
    }
}
