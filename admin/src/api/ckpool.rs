//! The shapes of ckpool's status files, spelled as there: `users/ADDRESS` and `pool/pool.status`.

use super::{finite, network_difficulty};
use crate::problem::{Problem, shortened};
use crate::reply::to_json;
use serde::Serialize;
use std::collections::HashSet;
use warppool_components::snapshot::{Hashrates, Snapshot, WorkerSnapshot};
use warppool_components::units::Difficulty;
use warppool_components::worker::PresenceState;

/// Answer of `/users/{address}`.
#[derive(Serialize)]
pub(crate) struct User<'a> {
    #[serde(flatten)]
    rates: Rates,
    lastshare: u64,
    workers: usize,
    shares: u64,
    bestshare: f64,
    bestever: u64,
    authorised: u64,
    worker: Vec<Worker<'a>>,
}

#[derive(Serialize)]
struct Worker<'a> {
    workername: &'a str,
    #[serde(flatten)]
    rates: Rates,
    lastshare: u64,
    shares: u64,
    bestshare: f64,
    bestever: u64,
}

/// The windows of users and workers: 15 minutes and 6 hours are the pool's alone.
#[derive(Serialize)]
struct Rates {
    hashrate1m: String,
    hashrate5m: String,
    hashrate1hr: String,
    hashrate1d: String,
    hashrate7d: String,
}

impl Rates {
    fn new([m1, m5, _, h1, _, d1, d7]: Hashrates) -> Self {
        Self {
            hashrate1m: suffixed(m1),
            hashrate5m: suffixed(m5),
            hashrate1hr: suffixed(h1),
            hashrate1d: suffixed(d1),
            hashrate7d: suffixed(d7),
        }
    }
}

/// All workers of an address.
///
/// # Errors
/// It has none.
pub(crate) fn user<'a>(snapshot: &'a Snapshot, address: &str) -> Result<User<'a>, Problem> {
    let workers: Vec<&WorkerSnapshot> = snapshot.workers.iter().filter(|worker| &*worker.address == address).collect();
    if workers.is_empty() {
        let address = shortened(address);
        return Err(Problem::not_found(format!("Nobody has mined to \"{address}\" here.")));
    }
    let mut hashrates = Hashrates::default();
    for worker in &workers {
        hashrates.iter_mut().zip(worker.hashrates).for_each(|(sum, hashes)| *sum += finite(hashes));
    }
    let best =
        |value: fn(&WorkerSnapshot) -> f64| workers.iter().map(|worker| finite(value(worker))).fold(0.0, f64::max);
    Ok(User {
        rates: Rates::new(hashrates),
        lastshare: workers.iter().map(|worker| last_share(worker)).max().unwrap_or(0),
        workers: workers.iter().filter(|worker| worker.presence.is_online()).count(),
        shares: workers.iter().map(|worker| finite(worker.accepted_difficulty)).sum::<f64>() as u64,
        bestshare: best(|worker| worker.best_now),
        bestever: best(|worker| worker.best_ever) as u64,
        authorised: workers.iter().map(|worker| worker.first_seen.seconds()).min().unwrap_or(0),
        worker: workers.into_iter().map(Worker::new).collect(),
    })
}

impl<'a> Worker<'a> {
    fn new(worker: &'a WorkerSnapshot) -> Self {
        Self {
            workername: &worker.label,
            rates: Rates::new(worker.hashrates),
            lastshare: last_share(worker),
            shares: finite(worker.accepted_difficulty) as u64,
            bestshare: finite(worker.best_now),
            bestever: finite(worker.best_ever) as u64,
        }
    }
}

fn last_share(worker: &WorkerSnapshot) -> u64 {
    worker.last_share_at.map_or(0, |at| at.seconds())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Counts {
    #[serde(rename = "runtime")]
    runtime: u64,
    #[serde(rename = "lastupdate")]
    lastupdate: u64,
    users: usize,
    workers: u32,
    idle: usize,
    disconnected: usize,
}

#[derive(Serialize)]
struct PoolRates {
    hashrate1m: String,
    hashrate5m: String,
    hashrate15m: String,
    hashrate1hr: String,
    hashrate6hr: String,
    hashrate1d: String,
    hashrate7d: String,
}

#[derive(Serialize)]
struct Shares {
    diff: f64,
    accepted: u64,
    rejected: u64,
    bestshare: u64,
    #[serde(rename = "SPS1m")]
    sps1m: f64,
    #[serde(rename = "SPS5m")]
    sps5m: f64,
    #[serde(rename = "SPS15m")]
    sps15m: f64,
    #[serde(rename = "SPS1h")]
    sps1h: f64,
}

/// Text of `/pool/pool.status`: three lines.
pub(crate) fn status(snapshot: &Snapshot) -> Vec<u8> {
    let lines = [to_json(&counts(snapshot)), to_json(&rates(snapshot)), to_json(&shares(snapshot))];
    lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
}

fn counts(snapshot: &Snapshot) -> Counts {
    let online = || snapshot.workers.iter().filter(|worker| worker.presence.is_online());
    let count = |state| snapshot.workers.iter().filter(|worker| worker.presence == state).count();
    Counts {
        runtime: super::age_seconds(snapshot.at, snapshot.started_at),
        lastupdate: snapshot.at.seconds(),
        users: online().map(|worker| &*worker.address).collect::<HashSet<_>>().len(),
        workers: snapshot.pool.workers_online,
        idle: count(PresenceState::Silent),
        disconnected: count(PresenceState::Disconnected),
    }
}

fn rates(snapshot: &Snapshot) -> PoolRates {
    let [hashrate1m, hashrate5m, hashrate15m, hashrate1hr, hashrate6hr, hashrate1d, hashrate7d] =
        snapshot.pool.hashrates.map(suffixed);
    PoolRates { hashrate1m, hashrate5m, hashrate15m, hashrate1hr, hashrate6hr, hashrate1d, hashrate7d }
}

fn shares(snapshot: &Snapshot) -> Shares {
    let pool = &snapshot.pool;
    let mean = if pool.accepted == 0 { 0.0 } else { finite(pool.accepted_difficulty / pool.accepted as f64) };
    let refused: u64 = pool.rejected.iter().sum();
    let each_second = |window: usize| finite(pool.hashrates[window] / (mean * Difficulty::HASHES_AT_ONE));
    let percent = network_difficulty(snapshot).map_or(0.0, |difficulty| pool.accepted_difficulty * 100.0 / difficulty);
    Shares {
        diff: finite(percent),
        accepted: finite(pool.accepted_difficulty) as u64,
        rejected: (refused as f64 * mean) as u64,
        bestshare: finite(pool.best_ever) as u64,
        sps1m: each_second(0),
        sps5m: each_second(1),
        sps15m: each_second(2),
        sps1h: each_second(3),
    }
}

/// A number with three significant digits and the letter of its thousands, as ckpool writes hash rates; below a thousand
/// whole.
fn suffixed(value: f64) -> String {
    const SUFFIXES: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    let mut value = finite(value).max(0.0);
    let mut power = 0;
    // What would be rounded up to 1000 has the next letter already.
    while value >= 999.5 && power + 1 < SUFFIXES.len() {
        value /= 1000.0;
        power += 1;
    }
    if power == 0 {
        return format!("{}", value as u64);
    }
    let decimals = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    let digits = format!("{value:.decimals$}");
    let digits = if decimals > 0 { digits.trim_end_matches('0').trim_end_matches('.') } else { &digits };
    format!("{digits}{}", SUFFIXES[power])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_rates_are_written_as_ckpool_does() {
        for (value, expected) in [
            (0.0, "0"),
            (999.0, "999"),
            (1000.0, "1K"),
            (1_480_000.0, "1.48M"),
            (14_250_000_000.0, "14.2G"),
            (100e9, "100G"),
            (999.96e9, "1T"),
            (3.2e12, "3.2T"),
            (142e12, "142T"),
            (1.5e18, "1.5E"),
            (2.5e21, "2500E"),
            (f64::NAN, "0"),
        ] {
            assert_eq!(suffixed(value), expected);
        }
    }
}
