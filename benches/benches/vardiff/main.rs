//! Rules that set a miner's difficulty, side by side over simulated miners: `cargo bench -p warppool-benches --bench
//! vardiff [-- RUNS] [--pictures]` prints the tables of `docs/vardiff.md` and, if asked to, draws its pictures. Virtual
//! time, seeded: the same figures on every machine.

#![expect(clippy::print_stdout, reason = "it prints its tables")]

mod bound;
mod figures;
mod pictures;
mod rules;
mod simulation;
mod svg;
mod tables;

use figures::{Fleet, Results};
use rules::Kind;

fn main() -> std::io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let runs = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(1000);
    let large = results(Fleet::Large, runs);
    println!("## The table of docs/vardiff.md: 1 GH/s to 5 EH/s, {runs} runs each\n");
    tables::print_summary(&large);
    print_all("1 GH/s to 5 EH/s", Fleet::Large, &large, runs);
    for (fleet, title) in [
        (Fleet::Aligned, "Ideal difficulty a power of two"),
        (Fleet::Small, "250 kH/s to 400 MH/s: difficulties below 1"),
    ] {
        print_all(title, fleet, &results(fleet, runs), runs);
    }
    tables::print_bounds();
    if arguments.iter().any(|argument| argument == "--pictures") {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");
        pictures::write(&folder, &large)?;
    }
    Ok(())
}

/// ckpool knows no difficulty below 1, so there is nothing to compare where all of them are.
fn kinds(fleet: Fleet) -> impl Iterator<Item = Kind> {
    let is_able = move |kind: &Kind| fleet != Fleet::Small || matches!(kind, Kind::Ours | Kind::Ladder);
    Kind::ALL.into_iter().filter(is_able)
}

fn results(fleet: Fleet, runs: u64) -> Vec<Results> {
    kinds(fleet).map(|kind| Results::of(kind, fleet, runs)).collect()
}

fn print_all(title: &str, fleet: Fleet, results: &[Results], runs: u64) {
    println!("## {title} ({runs} runs)\n");
    tables::print_steady(results);
    tables::print_reactions(results);
    tables::print_moving(&kinds(fleet).collect::<Vec<_>>(), fleet, (runs / 4).max(1));
}
