//! Runs the simulation over many seeds and says what it found.
//!
//! The last line holds the hash of all outputs and the verdict. The exit code is 0 when nothing was found.
#![forbid(unsafe_code)]

mod hunt;
mod mutant;

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use warppool_simulation::options::Options;
use warppool_simulation::simulation::{Outcome, digest, run};

/// Plays the whole pool in simulated time, each seed with conditions of its own, and checks that nothing goes wrong.
#[derive(Parser)]
#[command(version, about, max_term_width = 110, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Task>,
    /// How many seeds to play.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Plays this seed alone, twice, and prints its conditions.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Ends with the first finding.
    #[arg(long)]
    until_found: bool,
}

#[derive(Subcommand)]
enum Task {
    /// Breaks the pool on purpose, one defect at a time, and plays seeds until one finds it.
    Mutants {
        /// Parts of the names of those to hunt; all without any.
        names: Vec<String>,
        /// Most seeds for one of them.
        #[arg(long, default_value_t = 200)]
        seeds: u64,
    },
}

/// A seed's run, or the sentence with which it ended.
type Played = (u64, Result<Outcome, String>);

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Task::Mutants { names, seeds }) = cli.command {
        return hunt(&names, seeds);
    }
    // A finding is a panic; it is told once, below, with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    let played = match cli.seed {
        Some(seed) => play_twice(seed),
        None => play_all(cli.from, cli.seeds, cli.until_found),
    };
    let findings = played.iter().filter(|(_, result)| result.is_err()).count();
    let told = tell(&played, findings);
    if findings == 0 && told.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn hunt(names: &[String], seeds: u64) -> ExitCode {
    match hunt::hunt(names, seeds) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(2)
        }
    }
}

fn play(seed: u64) -> Played {
    let result = catch_unwind(AssertUnwindSafe(|| run(Options::draw(seed))));
    (seed, result.map_err(|panic| sentence(&*panic)))
}

fn sentence(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_else(|| "a panic".to_owned())
}

fn play_twice(seed: u64) -> Vec<Played> {
    let _ = writeln!(io::stdout(), "{}", Options::draw(seed));
    let (one, other) = (play(seed), play(seed));
    let same = match (&one.1, &other.1) {
        (Ok(one), Ok(other)) => one.hash == other.hash,
        (Err(one), Err(other)) => one == other,
        _ => false,
    };
    if same { vec![one] } else { vec![(seed, Err("two runs of this seed differ".to_owned()))] }
}

fn play_all(from: u64, seeds: u64, until_found: bool) -> Vec<Played> {
    let bar = ProgressBar::new(seeds);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} seeds, {eta} to go") {
        bar.set_style(style);
    }
    let is_over = AtomicBool::new(false);
    // One by one in their order, so that the first finding is one of the first seeds.
    let played = (from..from + seeds).par_bridge().filter_map(|seed| {
        if is_over.load(Ordering::Relaxed) {
            return None;
        }
        let played = play(seed);
        bar.inc(1);
        is_over.fetch_or(until_found && played.1.is_err(), Ordering::Relaxed);
        Some(played)
    });
    let mut played: Vec<Played> = played.collect();
    played.sort_by_key(|(seed, _)| *seed);
    bar.finish_and_clear();
    played
}

fn tell(played: &[Played], findings: usize) -> io::Result<()> {
    let mut out = io::stdout();
    for (seed, result) in played {
        if let Err(sentence) = result {
            writeln!(out, "seed {seed}: {sentence}\n  {}", Options::draw(*seed))?;
        }
    }
    let good = || played.iter().filter_map(|(_, result)| result.as_ref().ok());
    writeln!(
        out,
        "{} seeds: {} shares accepted, {} refused, {} blocks found ({} in the chain, {} lost a race, {} too new, {} unlisted), {} crashes, \
         {} ticks",
        played.len(),
        good().map(|outcome| outcome.accepted).sum::<u64>(),
        good().map(|outcome| outcome.refused).sum::<u64>(),
        good().map(|outcome| outcome.blocks).sum::<usize>(),
        good().map(|outcome| outcome.fates.in_chain).sum::<usize>(),
        good().map(|outcome| outcome.fates.lost_races).sum::<usize>(),
        good().map(|outcome| outcome.fates.open).sum::<usize>(),
        good().map(|outcome| outcome.fates.unlisted).sum::<usize>(),
        good().map(|outcome| outcome.crashes).sum::<u64>(),
        good().map(|outcome| outcome.ticks).sum::<u64>(),
    )?;
    let verdict = if findings == 0 { "nothing found".to_owned() } else { format!("{findings} seeds with findings") };
    writeln!(out, "{} {verdict}", digest(good().map(|outcome| outcome.hash)))
}
