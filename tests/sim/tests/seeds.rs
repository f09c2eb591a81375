//! A few seeds in the ordinary tests, so that the simulation itself cannot break unnoticed.

use warppool_simulation::options::Options;
use warppool_simulation::simulation::run;

/// Short conditions of a seed.
fn short(seed: u64) -> Options {
    let drawn = Options::draw(seed);
    Options { miners: drawn.miners.min(6), troubled: drawn.troubled / 8, ..drawn }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let (one, other) = (run(short(3)), run(short(3)));
    assert_eq!(one.hash, other.hash);
    assert!(one.accepted > 100, "{one:?}");
    assert_ne!(one.hash, run(short(4)).hash);
}
