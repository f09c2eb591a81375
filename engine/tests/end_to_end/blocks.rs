//! From a miner's hash to a block in the node's chain, and every place that tells of it.

use crate::harness::{Events, Pool, Site, address, node_with, until};
use serde_json::Value;
use warppool_loadgen::miner::{Device, MinerOptions, MinerStats, SimMiner};
use warppool_simnode::{SimBlock, SimNode};

/// Some 65,536 hashes a block.
const FEW_HASHES: u32 = 0x1f00_ffff;

/// What the node's templates carry in the header's version; the miner rolls bits of it.
const BASE_VERSION: i32 = 0x2000_0000;

fn site(node: &SimNode) -> Site {
    let fee = address(9);
    Site::new(node).with("mining.pool_fee_percent", "1.5").with("mining.pool_fee_address", &fee)
}

/// A Bitaxe asks for difficulty 1000 and means it; only the password keeps it at what a processor can find.
fn bitaxe(pool: &Pool, username: &str) -> SimMiner {
    let rate = Some(150_000.0);
    SimMiner::start(MinerOptions {
        hashes_per_second_max: rate,
        password: "d=1e-6".to_owned(),
        ..MinerOptions::new(pool.miners, Device::Bitaxe, username)
    })
}

/// Blocks that the node took from the pool.
fn taken(node: &SimNode) -> Vec<SimBlock> {
    node.blocks().into_iter().filter(|block| block.submitted).collect()
}

#[test]
fn a_version_rolling_miner_finds_a_block_that_pays_it_to_the_satoshi() {
    let (node, _directory) = node_with(|options| options.bits = FEW_HASHES);
    let pool = Pool::start(&site(&node));
    let events = Events::listen(&pool);
    let (payee, worker) = (address(1), format!("{}.bitaxe", address(1)));
    let miner = bitaxe(&pool, &worker);
    until("three blocks", || (taken(&node).len() >= 3).then_some(()));
    check_while_mining(&pool, &payee, &worker);
    let stats = miner.stop();
    assert_eq!(stats.violations, Vec::<String>::new());
    let blocks = taken(&node);
    let page = pool.json_when("/api/blocks", |page| {
        page["blocks_found"] == blocks.len() && page["blocks"][0]["state"] != "pending"
    });
    for block in &blocks {
        check_block(block, &page, &payee, &worker);
        assert_ne!(block.version, BASE_VERSION, "the rolled version reached the node");
        events.wait_for("block_found", |event| event["hash"] == block.hash && event["worker"] == worker);
    }
    pool.json_when("/api/overview", |_| pool.metric("warppool_blocks_found_total") == blocks.len() as f64);
    assert_eq!(pool.worker(&worker).unwrap()["blocks_found"], blocks.len());
    check_sums(&pool, &worker, &stats);
}

fn check_block(block: &SimBlock, page: &Value, payee: &str, worker: &str) {
    let listed = page["blocks"].as_array().unwrap();
    let row = listed.iter().find(|row| row["hash"] == block.hash.as_str());
    let row = row.unwrap_or_else(|| panic!("{} is not in {listed:?}", block.hash));
    assert!(["accepted", "confirmed"].contains(&row["state"].as_str().unwrap()), "{row}");
    assert_eq!(
        (&row["worker"], &row["address"], &row["height"]),
        (&worker.into(), &payee.into(), &block.height.into())
    );
    let paid_to = |address: &str| {
        let outputs = block.coinbase_outputs.iter().filter(|output| output.address.as_deref() == Some(address));
        outputs.map(|output| output.sats).sum::<u64>()
    };
    let whole: u64 = block.coinbase_outputs.iter().map(|output| output.sats).sum();
    let fee = whole * 150 / 10_000;
    assert_eq!((paid_to(payee), paid_to(&address(9))), (whole - fee, fee));
    assert_eq!((row["payout_sats"].as_u64(), row["coinbase_value_sats"].as_u64()), (Some(whole - fee), Some(whole)));
}

/// What screens of miners read.
fn check_while_mining(pool: &Pool, payee: &str, worker: &str) {
    let client = pool.json_when(&format!("/api/client/{payee}"), |client| client["workersCount"] == 1);
    assert_eq!(client["workers"][0]["name"], "bitaxe");
    let network = pool.metric("warppool_network_difficulty");
    assert!(client["bestDifficulty"].as_f64().unwrap() >= network, "{client} lacks the block of difficulty {network}");
    let user = pool.json(&format!("/users/{payee}"));
    assert_eq!((&user["workers"], &user["worker"][0]["workername"]), (&1.into(), &worker.into()));
    assert!(user["lastshare"].as_u64().unwrap() > 0, "{user}");
}

/// The miner, the API, the metrics and the store count the same shares (`defect_36`).
fn check_sums(pool: &Pool, worker: &str, stats: &MinerStats) {
    assert_eq!(stats.shares_sent, stats.accepted + stats.rejected, "{stats:?}");
    let known = until("the worker's totals", || {
        pool.worker(worker).filter(|known| known["shares"]["accepted"] == stats.accepted)
    });
    let difficulty = known["shares"]["accepted_difficulty"].as_f64().unwrap();
    assert_eq!(known["shares"]["rejected"], stats.rejected);
    assert_eq!(pool.metric("warppool_shares_accepted_total"), stats.accepted as f64);
    let (_, _, stored) = until("the store's sums", || {
        let sums = pool.stored_shares(worker);
        (sums.0 == stats.accepted && sums.1 == stats.rejected).then_some(sums)
    });
    assert!((stored / difficulty - 1.0).abs() < 1e-9, "{stored} against {difficulty}");
}

#[test]
fn defect_36_sums_of_shares_are_the_same_everywhere() {
    let (node, _directory) = crate::harness::node();
    let pool = Pool::start(&Site::new(&node));
    let devices = [Device::Bitaxe, Device::Cgminer, Device::CpuMiner];
    let names = devices.map(|device| format!("{}.{}", address(2), device.name()));
    let miners: Vec<SimMiner> = devices
        .iter()
        .zip(&names)
        .map(|(device, name)| {
            let options = MinerOptions::new(pool.miners, *device, name.clone());
            SimMiner::start(MinerOptions {
                hashes_per_second_max: Some(100_000.0),
                password: "d=1e-6".to_owned(),
                ..options
            })
        })
        .collect();
    until("shares of all", || miners.iter().all(|miner| miner.stats().accepted >= 30).then_some(()));
    node.mine_external_block();
    until("shares on the new tip", || miners.iter().all(|miner| miner.stats().jobs >= 2).then_some(()));
    let stats: Vec<MinerStats> = miners.into_iter().map(SimMiner::stop).collect();
    let accepted: u64 = stats.iter().map(|stats| stats.accepted).sum();
    for (name, stats) in names.iter().zip(&stats) {
        let known = until("totals", || {
            pool.worker(name).filter(|known| {
                known["shares"]["accepted"] == stats.accepted && known["shares"]["rejected"] == stats.rejected
            })
        });
        until("the store's sums", || {
            let (accepted, rejected, difficulty) = pool.stored_shares(name);
            let known = known["shares"]["accepted_difficulty"].as_f64().unwrap();
            let agrees = (difficulty - known).abs() < 1e-9 * known;
            (accepted == stats.accepted && rejected == stats.rejected && agrees).then_some(())
        });
    }
    assert_eq!(pool.metric("warppool_shares_accepted_total"), accepted as f64);
}
