//! Hashes random shares and levels of trees in every way that this machine has, until so many shares are compared or one
//! differs: `cargo run --release -p warppool-systems --example fuzz_sha256d -- 10000000 [seed]`.
//!
//! A seed that found something is to be kept as a test.

#[path = "../tests/sha256d/batches.rs"]
mod batches;

use batches::{Batch, Random, compare_level, compare_shares};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use warppool_systems::sha256d::Backend;

/// Shares compared unless the command line says otherwise.
const SHARES: u64 = 1_000_000;

/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Largest batch: more than the hasher looks up together, so that every class of batches comes.
const BATCH_SHARES_MAX: usize = 100;

#[expect(clippy::print_stdout, reason = "what it found is what it is for")]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let (Ok(wanted), Ok(seed)) = (arguments.next().unwrap_or(Ok(SHARES)), arguments.next().unwrap_or(Ok(1))) else {
        println!("usage: fuzz_sha256d [shares] [seed]");
        return ExitCode::FAILURE;
    };
    let names: Vec<&str> = Backend::available().iter().map(|backend| backend.name()).collect();
    println!("{} against scalar, seed {seed}", names[1..].join(", "));
    match fuzz(wanted, seed, |text| println!("{text}")) {
        Ok(text) => {
            println!("{text}: no difference");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            println!("seed {seed}: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn fuzz(wanted: u64, seed: u64, progress: impl Fn(&str)) -> Result<String, String> {
    let mut random = Random(seed);
    let (mut shares, mut batches, mut nodes) = (0, 0u64, 0);
    let started = Instant::now();
    let mut told = Instant::now();
    let summary = |batches, shares, nodes| {
        format!("{shares} shares in {batches} batches and {nodes} nodes of trees in {:.0?}", started.elapsed())
    };
    while shares < wanted {
        let size = random.below(BATCH_SHARES_MAX);
        let deep = random.below(2) == 0;
        let batch = Batch::random(&mut random, size, deep);
        compare_shares(&batch.shares())?;
        let level: Vec<_> = (0..2 * random.below(40)).map(|_| random.hash()).collect();
        compare_level(&level)?;
        shares += size as u64;
        nodes += level.len() as u64;
        batches += 1;
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            progress(&summary(batches, shares, nodes));
        }
    }
    Ok(summary(batches, shares, nodes))
}
