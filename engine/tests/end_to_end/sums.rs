//! Sums of shares are the same wherever they are told: to the miners, in the API, in the metrics, in the store, and after
//! a restart.

use crate::harness::{Pool, RawMiner, Site, address, node};
use serde_json::Value;

/// What a miner was told of its shares.
#[derive(Default)]
struct Told {
    accepted: u64,
    rejected: u64,
}

impl Told {
    fn hear(&mut self, answer: &Value) {
        if answer["result"] == true {
            self.accepted += 1;
        } else {
            self.rejected += 1;
        }
    }
}

/// Good shares, and every third one a second time.
fn mine(miner: &mut RawMiner, shares: usize) -> Told {
    let (job, mut told) = (miner.job(), Told::default());
    for share in 0..shares {
        told.hear(&miner.submit(&job).expect("answered"));
        if share % 3 == 0 {
            told.hear(&miner.submit_again(&job).expect("answered"));
        }
    }
    told
}

/// Defect 36.
#[test]
fn defect_36_sums_of_shares_are_equal_in_store_api_metrics_and_at_the_miners() {
    let (node, _directory) = node();
    let mut site = Site::new(&node).with("server.worker_metrics", "true");
    let pool = Pool::start(&site);
    let names = [1, 2, 3].map(|number| format!("{}.rig{number}", address(number)));
    let mut miners = names.clone().map(|name| RawMiner::join(pool.miners, &name));
    let told: Vec<Told> = miners.iter_mut().enumerate().map(|(place, miner)| mine(miner, 20 + 5 * place)).collect();
    let (accepted, rejected) =
        told.iter().fold((0, 0), |(accepted, rejected), told| (accepted + told.accepted, rejected + told.rejected));
    assert!(accepted > 60 && rejected > 20, "{accepted} accepted, {rejected} refused");

    assert_sums(&pool, accepted, rejected);
    for (name, told) in names.iter().zip(&told) {
        assert_worker(&pool, name, told);
    }
    drop(miners);
    let address = pool.miners;
    let (status, log) = pool.terminate();
    assert_eq!(status, Some(0), "{}", log.join("\n"));

    let again = Pool::start_again(&mut site, address);
    assert_sums(&again, accepted, rejected);
    for (name, told) in names.iter().zip(&told) {
        assert_worker(&again, name, told);
    }
}

fn assert_sums(pool: &Pool, accepted: u64, rejected: u64) {
    let is_all = |shares: &Value| shares["accepted"] == accepted && shares["rejected"] == rejected;
    let overview = pool.json_when("/api/overview", |page| is_all(&page["shares"]));
    let reasons = overview["shares"]["rejected_by_reason"].clone();
    assert_eq!((&reasons["duplicate"], sum(&reasons)), (&Value::from(rejected), rejected));
    assert_eq!(pool.metric("warppool_shares_accepted_total"), accepted as f64);
    assert_eq!(pool.metric("warppool_shares_rejected_total{reason=\"duplicate\"}"), rejected as f64);
    let difficulty = overview["shares"]["accepted_difficulty"].as_f64().unwrap();
    for path in ["/api/hashrate?hours=2&step=300", "/api/hashrate?hours=1&step=60"] {
        let history =
            pool.json_when(path, |page| (total(page, "accepted"), total(page, "rejected")) == (accepted, rejected));
        let stored: f64 = points(&history).map(|point| point["accepted_difficulty"].as_f64().unwrap()).sum();
        assert!((stored / difficulty - 1.0).abs() < 1e-9, "{path}: {stored} and {difficulty}");
    }
    let workers = pool.json("/api/workers")["workers"].clone();
    let of_all =
        |key: &str| workers.as_array().unwrap().iter().map(|it| it["shares"][key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((of_all("accepted"), of_all("rejected")), (accepted, rejected));
}

fn assert_worker(pool: &Pool, name: &str, told: &Told) {
    let shares = pool.worker(name).unwrap()["shares"].clone();
    assert_eq!((&shares["accepted"], &shares["rejected"]), (&told.accepted.into(), &told.rejected.into()), "{name}");
    assert_eq!(sum(&shares["rejected_by_reason"]), told.rejected);
    let (accepted, rejected, difficulty) = pool.stored_shares(name);
    assert_eq!((accepted, rejected), (told.accepted, told.rejected), "{name}");
    assert!((difficulty / shares["accepted_difficulty"].as_f64().unwrap() - 1.0).abs() < 1e-9);
    let (_, metrics) = pool.get("/metrics/workers");
    for (metric, expected) in [("accepted", told.accepted), ("rejected", told.rejected)] {
        let line = format!("warppool_worker_shares_{metric}_total{{worker=\"{name}\"}} {expected}\n");
        assert!(metrics.contains(&line), "no {line} in\n{metrics}");
    }
}

fn points(history: &Value) -> impl Iterator<Item = &Value> {
    history["points"].as_array().unwrap().iter()
}

fn total(history: &Value, key: &str) -> u64 {
    points(history).map(|point| point[key].as_u64().unwrap()).sum()
}

fn sum(counts: &Value) -> u64 {
    counts.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}
