//! What attacks cost the others: well-behaved miners submit at a steady pace, and while they do, one attack after the other
//! runs from other addresses. The times of the miners' verdicts before and during each stand side by side.
//!
//! Everything runs on one machine, so what the attacker's own threads take of its cores is part of what is measured.
//! Miners come from 127.1.0.0 on, each from an address of its own; attackers from 127.3.0.0 on; those who reconnect all at
//! once from 127.2.0.0 on. Linux takes all of 127.0.0.0/8 for this machine.

mod attack;
mod others;
mod peer;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Latency;
use crate::process;
use crate::report::Report;
use crate::swarm::{Swarm, SwarmError, Target};
use others::Others;

pub use attack::Attack;

/// The first address of the well-behaved miners.
const MINERS_FROM: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);

/// What to do.
#[derive(Clone)]
pub struct Options {
    /// The server and its well-behaved miners. Their addresses are set here.
    pub target: Target,
    /// Submits a second, over all of them.
    pub shares_per_second: u32,
    /// Length of an attack, and of the interval before it.
    pub duration: Duration,
    /// Connections that come back at once.
    pub storm_connections: usize,
    /// Time over which they come.
    pub storm_within: Duration,
    /// The attacks, in order.
    pub attacks: Vec<Attack>,
}

/// One attack and what it cost.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which.
    pub attack: Attack,
    /// The others' verdicts in the interval before.
    pub before: Latency,
    /// The others' verdicts while it ran.
    pub during: Latency,
    /// The others' shares that were refused meanwhile.
    pub refused: u64,
    /// The others' connections that were lost meanwhile.
    pub lost: usize,
    /// Processor cores that the server kept busy before and during, when its process was named.
    pub server_cores: Option<(f64, f64)>,
    /// Resident memory of the server before and after, in bytes.
    pub server_bytes: Option<(u64, u64)>,
    /// What became of the attacker.
    pub outcome: String,
}

/// Runs the attacks.
///
/// # Errors
/// When the miners do not all get a job, are all lost, or /proc cannot be read.
pub fn run(options: &Options) -> Result<Vec<Row>, SwarmError> {
    let mut target = options.target.clone();
    target.sources_from = Some(MINERS_FROM);
    let mut swarm = Swarm::new(target)?;
    let mut others = Others::new(options.target.connections, options.shares_per_second);
    swarm.log_in_all(&mut others)?;
    others.submit_for(&mut swarm, options.duration)?;
    options.attacks.iter().map(|attack| run_one(options, *attack, &mut swarm, &mut others)).collect()
}

fn run_one(options: &Options, attack: Attack, swarm: &mut Swarm, others: &mut Others) -> Result<Row, SwarmError> {
    let pid = options.target.server_pid;
    let bytes = || pid.map(|pid| process::resident_bytes(Some(pid))).transpose();
    others.begin();
    let bytes_before = bytes()?;
    let (before, cores_before) = measured(pid, || others.submit_for(swarm, options.duration))?;
    let before = before.map(|()| others.take_latency())?;
    let (ready, refused) = (swarm.ready_count(), others.refused());

    let is_over = AtomicBool::new(false);
    let (outcome, cores_during) = measured(pid, || {
        std::thread::scope(|scope| {
            let attacker = scope.spawn(|| {
                let outcome = attack.run(options);
                is_over.store(true, Ordering::Release);
                outcome
            });
            others.submit_until(swarm, || is_over.load(Ordering::Acquire))?;
            Ok::<_, SwarmError>(attacker.join().unwrap_or_else(|_| "the attacker failed".to_owned()))
        })
    })?;
    let during = others.take_latency();
    // What the attacker held is given back now.
    others.submit_for(swarm, options.duration)?;
    Ok(Row {
        attack,
        before,
        during,
        refused: others.refused() - refused,
        lost: ready - swarm.ready_count(),
        server_cores: cores_before.zip(cores_during),
        server_bytes: bytes_before.zip(bytes()?),
        outcome: outcome?,
    })
}

/// What `act` gives, and how many cores the process kept busy meanwhile.
fn measured<T>(pid: Option<u32>, act: impl FnOnce() -> T) -> Result<(T, Option<f64>), SwarmError> {
    let cpu = || pid.map(|pid| process::cpu_time(Some(pid))).transpose();
    let (start, before) = (Instant::now(), cpu()?);
    let value = act();
    let used = cpu()?.zip(before).map(|(after, before)| after.since(before).total());
    Ok((value, used.map(|used| used.as_secs_f64() / start.elapsed().as_secs_f64())))
}

/// The worst of all rows.
#[must_use]
pub fn report(rows: &[Row]) -> Report {
    let worst =
        |latency: fn(&Row) -> &Latency| rows.iter().map(|row| latency(row).quantile_us(0.99)).fold(0.0, f64::max);
    let mut report = Report::new("abuse");
    report
        .add("attacks", rows.len())
        .add_decimal("worst_p99_before_us", worst(|row| &row.before))
        .add_decimal("worst_p99_during_us", worst(|row| &row.during))
        .add("others_refused", rows.iter().map(|row| row.refused).sum::<u64>())
        .add("others_lost", rows.iter().map(|row| row.lost).sum::<usize>());
    report
}

/// The rows as a table in Markdown.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| attack | others' p50 ms, before / during | p99 ms, before / during | max ms | others refused, lost | server cores | server MiB | what became of the attacker |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let ms = |latency: &Latency, quantile| latency.quantile_us(quantile) / 1e3;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let cores = row.server_cores.map_or_else(String::new, |(before, during)| format!("{before:.2} / {during:.2}"));
        let memory = row
            .server_bytes
            .map_or_else(String::new, |(before, after)| format!("{:.0} / {:.0}", mebibytes(before), mebibytes(after)));
        text.push_str(&format!(
            "| {} | {:.2} / {:.2} | {:.2} / {:.2} | {:.1} | {}, {} | {cores} | {memory} | {} |\n",
            row.attack.label(),
            ms(&row.before, 0.5),
            ms(&row.during, 0.5),
            ms(&row.before, 0.99),
            ms(&row.during, 0.99),
            row.during.max_us() / 1e3,
            row.refused,
            row.lost,
            row.outcome,
        ));
    }
    text
}
