//! Ends of a pool, clean and not, and what the next start knows.

use crate::harness::{Events, Pool, RawMiner, Site, address, node, until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use warppool_loadgen::miner::{Device, MinerOptions, MinerStats, SimMiner};

/// What a crash may cost: the store's interval (50 ms), the engine's (50 ms) and slow disks under load.
const CRASH_COSTS: Duration = Duration::from_secs(3);

#[test]
fn a_kill_under_load_costs_no_more_than_the_last_moment() {
    let (node, _directory) = node();
    let mut site = Site::new(&node);
    let mut pool = Pool::start(&site);
    let names = [1, 2, 3].map(|number| format!("{}.rig{number}", address(number)));
    let miners: Vec<SimMiner> = names.iter().map(|name| sim_miner(&pool, name)).collect();
    let told = hear_until(&miners, |told| told.iter().all(|told| told.accepted >= 40));
    let best = names.clone().map(|name| best_share(&pool, &name));
    pool.kill();
    let sent: Vec<u64> = miners.iter().map(|miner| miner.stats().shares_sent).collect();
    let again = Pool::start_again(&mut site, pool.miners);
    for (index, name) in names.iter().enumerate() {
        let known = until("the worker after the crash", || again.worker(name));
        let accepted = known["shares"]["accepted"].as_u64().unwrap();
        assert!(accepted >= told[index], "{name}: {} were told in time, {accepted} are known", told[index]);
        assert!(known["best_share"]["ever"].as_f64().unwrap() >= best[index], "{known} lost {}", best[index]);
        let miner = &miners[index];
        until("the miner is back", || {
            let stats = miner.stats();
            (stats.connections >= 2 && stats.accepted > told[index] && stats.shares_sent > sent[index]).then_some(())
        });
    }
    let stats: Vec<MinerStats> = miners.into_iter().map(SimMiner::stop).collect();
    for (name, stats) in names.iter().zip(&stats) {
        assert_eq!(stats.violations, Vec::<String>::new(), "{name}");
        let known = again.worker(name).unwrap();
        assert!(known["shares"]["accepted"].as_u64().unwrap() <= stats.shares_sent, "{known}, but {stats:?}");
        let (stored, _, _) = again.stored_shares(name);
        assert!(stored <= stats.shares_sent);
    }
}

fn sim_miner(pool: &Pool, name: &str) -> SimMiner {
    let options = MinerOptions::new(pool.miners, Device::Cgminer, name);
    SimMiner::start(MinerOptions { hashes_per_second_max: Some(100_000.0), ..options })
}

/// Watches until enough is accepted, then for as long as a crash may cost; gives what was accepted before that.
fn hear_until(miners: &[SimMiner], is_enough: impl Fn(&[MinerStats]) -> bool) -> Vec<u64> {
    let told = || miners.iter().map(SimMiner::stats).collect::<Vec<_>>();
    let before = until("shares under load", || Some(told()).filter(|told| is_enough(told)));
    let end = Instant::now() + CRASH_COSTS;
    until("the time that a crash may cost", || (Instant::now() >= end).then_some(()));
    before.into_iter().map(|stats| stats.accepted).collect()
}

fn best_share(pool: &Pool, name: &str) -> f64 {
    // The best of the first shares is kept; a better one of the last moment may be lost with it.
    let (accepted, _, _) = pool.stored_shares(name);
    assert!(accepted > 0);
    let points = pool.json(&format!("/api/hashrate?worker={name}&hours=2&step=300"))["points"].clone();
    points.as_array().unwrap().iter().map(|point| point["best_share"].as_f64().unwrap()).fold(0.0, f64::max)
}

#[test]
fn a_clean_stop_saves_every_share_that_was_told() {
    let (node, _directory) = node();
    let mut site = Site::new(&node);
    let pool = Pool::start(&site);
    let names = [1, 2, 3, 4].map(|number| format!("{}.raw{number}", address(number)));
    let busy: Vec<Busy> = names.iter().map(|name| Busy::start(&pool, name)).collect();
    until("shares under load", || busy.iter().all(|busy| busy.accepted() >= 100).then_some(()));
    let address = pool.miners;
    let (status, log) = pool.terminate();
    assert_eq!(status, Some(0), "{}", log.join("\n"));
    assert!(log.last().unwrap().contains("everything is saved"), "{}", log.join("\n"));
    let told: BTreeMap<&String, u64> = names.iter().zip(busy.into_iter().map(Busy::finish)).collect();
    let again = Pool::start_again(&mut site, address);
    for (name, told) in told {
        let known = until("the worker after the stop", || again.worker(name));
        assert_eq!(known["shares"]["accepted"], told, "{name}: {known}");
        assert_eq!(again.stored_shares(name).0, told);
    }
}

/// A miner that submits one share after the other until the pool hangs up.
struct Busy {
    accepted: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Busy {
    fn start(pool: &Pool, name: &str) -> Self {
        let mut miner = RawMiner::join(pool.miners, name);
        let accepted: Arc<AtomicU64> = Arc::default();
        let counter = Arc::clone(&accepted);
        let thread = std::thread::spawn(move || {
            let job = miner.job();
            while let Some(answer) = miner.submit(&job) {
                assert_eq!(answer["result"], true, "{answer}");
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { accepted, thread }
    }

    fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    fn finish(self) -> u64 {
        self.thread.join().unwrap();
        self.accepted.load(Ordering::Relaxed)
    }
}

#[test]
fn a_settled_miner_starts_again_at_its_difficulty() {
    let (node, _directory) = node();
    let mut site = Site::new(&node).with("vardiff.enabled", "true").with("vardiff.target_seconds_per_share", "0.3");
    let mut pool = Pool::start(&site);
    let name = format!("{}.settled", address(5));
    let first = first_difficulty(&pool, &name);
    let miner = sim_miner(&pool, &name);
    until("vardiff has seen something", || (miner.stats().accepted > 20).then_some(()));
    // Jobs on one tip are half a minute apart, and a new difficulty governs from the next one on. How many shares vardiff wants to
    // see depends on how fast they come.
    let mut enough = 20;
    until("another difficulty governs", || {
        let stats = miner.stats();
        if stats.accepted > enough {
            enough = stats.accepted + 20;
            node.mine_external_block();
        }
        (stats.difficulty != first).then_some(())
    });
    let told = miner.stop();
    let last = until("the store has it all", || {
        let is_stored = pool.stored_shares(&name).0 == told.accepted;
        pool.worker(&name).filter(|worker| is_stored && worker["online"] == false)
    });
    let before_crash = first_difficulty(&pool, &name);
    assert_ne!(before_crash, first, "{last}");
    pool.kill();
    let again = Pool::start_again(&mut site, pool.miners);
    assert_eq!(first_difficulty(&again, &name), before_crash);
}

/// The first difficulty that a connection of this worker is sent.
fn first_difficulty(pool: &Pool, name: &str) -> f64 {
    let mut miner = RawMiner::join_with(pool.miners, name, "x");
    // Subscribing alone is answered with a difficulty; the one that governs the first job is the last before it.
    let mut difficulty = Value::Null;
    loop {
        let message = miner.read().expect("the pool sends a job");
        match message["method"].as_str() {
            Some("mining.set_difficulty") => difficulty = message["params"][0].clone(),
            Some("mining.notify") => return difficulty.as_f64().unwrap(),
            _ => {}
        }
    }
}

#[test]
fn neither_peers_nor_browsers_nor_a_second_signal_hold_up_the_end() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    let silent = RawMiner::connect(pool.miners);
    let browser = Events::listen(&pool);
    let idle = RawMiner::join(pool.miners, &address(1));
    browser.wait_for("worker_up", |_| true);
    pool.signal("INT");
    let (status, _) = pool.terminate();
    assert_eq!(status, Some(0));
    drop((silent, idle));
}
