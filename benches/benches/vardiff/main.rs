//! Rules that set a miner's difficulty, side by side over simulated miners: `cargo bench -p warppool-benches --bench
//! vardiff [-- RUNS]` prints the tables of `docs/vardiff.md`. Virtual time, seeded.

#![expect(clippy::print_stdout, reason = "it prints its tables")]

mod bound;
mod figures;
mod rules;
mod simulation;

use figures::{Fleet, MOVEMENTS, moving, quantile, reaction, settling, steady};
use rules::Kind;

fn main() {
    let runs = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1000);
    for (fleet, title) in [
        (Fleet::Large, "1 GH/s to 5 EH/s"),
        (Fleet::Aligned, "Ideal difficulty a power of two"),
        (Fleet::Small, "250 kH/s to 400 MH/s: difficulties below 1"),
    ] {
        println!("## {title} ({runs} runs)\n");
        print_steady(fleet, runs);
        print_reactions(fleet, runs);
        print_moving(fleet, (runs / 4).max(1));
    }
    print_bound();
}

/// ckpool knows no difficulty below 1, so there is nothing to compare where all of them are.
fn kinds(fleet: Fleet) -> impl Iterator<Item = Kind> {
    let is_able = move |kind: &Kind| fleet != Fleet::Small || matches!(kind, Kind::Ours | Kind::Ladder);
    Kind::ALL.into_iter().filter(is_able)
}

fn percent(sorted: &[f64], part: f64) -> String {
    format!("{:.1} %", 100.0 * quantile(sorted, part))
}

fn time(sorted: &[f64], part: f64) -> String {
    match quantile(sorted, part) {
        seconds if seconds.is_finite() => format!("{seconds:.0} s"),
        _ => "-".into(),
    }
}

fn mean(values: &[f64]) -> f64 {
    100.0 * values.iter().sum::<f64>() / values.len() as f64
}

fn print_steady(fleet: Fleet, runs: u64) {
    println!(
        "| rule | hash rate: median | p99 | seconds a share: median | p99 | avoidable: median | p99 | retargets an hour \
         | overshoot: mean | p95 | right after: median | p95 | rejects |\n|{}",
        "---|".repeat(13)
    );
    for kind in kinds(fleet) {
        let steady = steady(kind, fleet, runs);
        let settling = settling(kind, fleet, runs, 1.0 / 64.0);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {:.2} | {:.1} % | {} | {} | {} | {} of {} |",
            kind.name(),
            percent(&steady.hash_rate, 0.5),
            percent(&steady.hash_rate, 0.99),
            percent(&steady.seconds, 0.5),
            percent(&steady.seconds, 0.99),
            percent(&steady.avoidable, 0.5),
            percent(&steady.avoidable, 0.99),
            steady.retargets_per_hour,
            mean(&settling.overshoot),
            percent(&settling.overshoot, 0.95),
            time(&settling.seconds, 0.5),
            time(&settling.seconds, 0.95),
            steady.rejects + settling.rejects,
            steady.shares + settling.shares,
        );
    }
    println!();
}

fn print_reactions(fleet: Fleet, runs: u64) {
    println!(
        "| rule | change | right in 5 minutes | of the runs, had to follow | of these in 5 minutes | median | p95 |\n|{}",
        "---|".repeat(7)
    );
    for kind in kinds(fleet) {
        for (factor, name) in [(0.9, "-10 %"), (0.5, "-50 %"), (2.0, "+100 %")] {
            let reaction = reaction(kind, fleet, runs, factor);
            let of_these = match reaction.in_time_where_needed {
                part if part.is_finite() => format!("{:.1} %", 100.0 * part),
                _ => "-".into(),
            };
            println!(
                "| {} | {name} | {:.1} % | {:.1} % | {of_these} | {} | {} |",
                kind.name(),
                100.0 * reaction.in_time,
                100.0 * reaction.needed,
                time(&reaction.seconds, 0.5),
                time(&reaction.seconds, 0.95),
            );
        }
    }
    println!();
}

fn print_moving(fleet: Fleet, runs: u64) {
    println!(
        "| miner | rule | seconds a share: median | p95 | hash rate: median | p99 | retargets an hour | most shares in \
         a second | rejects |\n|{}",
        "---|".repeat(9)
    );
    for (name, movement) in MOVEMENTS {
        for kind in kinds(fleet) {
            let moving = moving(kind, fleet, runs, movement);
            println!(
                "| {name} | {} | {} | {} | {} | {} | {:.1} | {} | {} of {} |",
                kind.name(),
                percent(&moving.seconds, 0.5),
                percent(&moving.seconds, 0.95),
                percent(&moving.hash_rate, 0.5),
                percent(&moving.hash_rate, 0.99),
                moving.retargets_per_hour,
                moving.most_shares,
                moving.rejects,
                moving.shares,
            );
        }
    }
    println!();
}

fn print_bound() {
    println!("## What no rule can do better: a halving seen within 5 minutes, at one share in 10 seconds\n");
    println!("| seen | needless easings an hour, at least | retargets an hour, at least |\n|---|---|---|");
    for seen in [0.80, 0.90, 0.95, 0.98] {
        let easings = 12.0 * bound::false_alarms(30.0, 0.5, seen);
        println!("| {:.0} % | {easings:.2} | {:.2} |", 100.0 * seen, 2.0 * easings);
    }
}
