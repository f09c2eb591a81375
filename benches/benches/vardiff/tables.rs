//! The tables, as Markdown.

use crate::bound;
use crate::figures::{Fleet, MOVEMENTS, Reaction, Results, moving, quantile};
use crate::rules::Kind;

fn percent(sorted: &[f64], part: f64) -> String {
    format!("{:.1} %", 100.0 * quantile(sorted, part))
}

fn part(part: f64) -> String {
    if part.is_finite() { format!("{:.1} %", 100.0 * part) } else { "-".into() }
}

fn time(sorted: &[f64], part: f64) -> String {
    match quantile(sorted, part) {
        seconds if seconds.is_finite() => format!("{seconds:.0} s"),
        _ => "-".into(),
    }
}

fn mean(values: &[f64]) -> String {
    format!("{:.1} %", 100.0 * values.iter().sum::<f64>() / values.len() as f64)
}

/// What a row of the summary says of one rule.
type Figure = fn(&Results) -> String;
/// What a row says of how one rule follows a change.
type FigureOfAReaction = fn(&Reaction) -> String;

/// A row a figure, a column a rule.
const SUMMARY: [(&str, Figure); 13] = [
    ("hash rate: median", |results| percent(&results.steady.hash_rate, 0.5)),
    ("hash rate: p99", |results| percent(&results.steady.hash_rate, 0.99)),
    ("seconds a share: median", |results| percent(&results.steady.seconds, 0.5)),
    ("seconds a share: p99", |results| percent(&results.steady.seconds, 0.99)),
    ("avoidable: median", |results| percent(&results.steady.avoidable, 0.5)),
    ("avoidable: p90", |results| percent(&results.steady.avoidable, 0.9)),
    ("avoidable: p99", |results| percent(&results.steady.avoidable, 0.99)),
    ("retargets an hour, steady", |results| format!("{:.2}", results.steady.retargets_per_hour)),
    ("overshoot: mean", |results| mean(&results.settling.overshoot)),
    ("overshoot: p95", |results| percent(&results.settling.overshoot, 0.95)),
    ("right for the first time: median", |results| time(&results.settling.seconds, 0.5)),
    ("right for the first time: p95", |results| time(&results.settling.seconds, 0.95)),
    ("rejects", |results| format!("{} of {}", results.rejects(), results.shares())),
];

/// The same of a change of the hash rate.
const SUMMARY_OF_A_REACTION: [(&str, FigureOfAReaction); 4] = [
    ("right in 5 minutes", |reaction| part(reaction.in_time)),
    ("of those that had to follow", |reaction| part(reaction.in_time_where_needed)),
    ("median", |reaction| time(&reaction.seconds, 0.5)),
    ("p95", |reaction| time(&reaction.seconds, 0.95)),
];

/// The table of the documentation.
pub(crate) fn print_summary(results: &[Results]) {
    let cells = |figures: Vec<String>| figures.join(" | ");
    println!("| | {} |", cells(results.iter().map(|results| results.kind.name().to_owned()).collect()));
    println!("|{}", "---|".repeat(results.len() + 1));
    for (name, figure) in SUMMARY {
        println!("| {name} | {} |", cells(results.iter().map(figure).collect()));
    }
    for (change, (_, name)) in Results::CHANGES.iter().enumerate() {
        for (figure_name, figure) in SUMMARY_OF_A_REACTION {
            let figures = results.iter().map(|results| figure(&results.reactions[change])).collect();
            println!("| {name}: {figure_name} | {} |", cells(figures));
        }
    }
    println!();
}

pub(crate) fn print_steady(all: &[Results]) {
    let heads: Vec<_> = SUMMARY.iter().map(|(name, _)| *name).collect();
    println!("| rule | {} |\n|{}", heads.join(" | "), "---|".repeat(heads.len() + 1));
    for results in all {
        let cells: Vec<_> = SUMMARY.iter().map(|(_, figure)| figure(results)).collect();
        println!("| {} | {} |", results.kind.name(), cells.join(" | "));
    }
    println!();
}

pub(crate) fn print_reactions(all: &[Results]) {
    println!(
        "| rule | change | right in 5 minutes | of the runs, had to follow | of these in 5 minutes | median | p95 |\n|{}",
        "---|".repeat(7)
    );
    for results in all {
        for ((_, name), reaction) in Results::CHANGES.iter().zip(&results.reactions) {
            println!(
                "| {} | {name} | {} | {} | {} | {} | {} |",
                results.kind.name(),
                part(reaction.in_time),
                part(reaction.needed),
                part(reaction.in_time_where_needed),
                time(&reaction.seconds, 0.5),
                time(&reaction.seconds, 0.95),
            );
        }
    }
    println!();
}

pub(crate) fn print_moving(kinds: &[Kind], fleet: Fleet, runs: u64) {
    println!(
        "| miner | rule | seconds a share: median | p95 | hash rate: median | p99 | retargets an hour | most shares in \
         a second | rejects |\n|{}",
        "---|".repeat(9)
    );
    for (name, movement) in MOVEMENTS {
        for kind in kinds {
            let moving = moving(*kind, fleet, runs, movement);
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

/// What no rule can do better, and what the best known test does.
pub(crate) fn print_bounds() {
    println!("## A halving seen within 5 minutes, at one share in 10 seconds: what it costs a steady miner\n");
    println!("| seen | needless easings an hour, at least | retargets an hour, at least |\n|---|---|---|");
    for seen in [0.70, 0.80, 0.90, 0.95, 0.98] {
        let retargets = bound::retargets_of_a_halving(seen);
        println!("| {:.0} % | {:.2} | {retargets:.2} |", 100.0 * seen, retargets / 2.0);
    }
    println!("\nPage's sequential test alone:\n\n| seen | retargets an hour |\n|---|---|");
    for (retargets, seen) in bound::sequential() {
        println!("| {:.1} % | {retargets:.2} |", 100.0 * seen);
    }
    println!("\nA doubling seen within a time by half of the miners, or 95 of 100: false alarms an hour, at least\n");
    println!("| within | half | 95 % |\n|---|---|---|");
    for seconds in [46.0, 68.0, 90.0, 120.0, 150.0, 180.0, 240.0, 300.0] {
        let [half, most] = [0.5, 0.95].map(|seen| bound::false_rises_per_hour(seconds, seen));
        println!("| {seconds:.0} s | {half:.3} | {most:.3} |");
    }
    println!();
}
