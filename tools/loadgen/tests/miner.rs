//! Simulated miners against a pool that checks every share with the `bitcoin` crate alone.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::HashSet;
use std::time::Duration;

use support::{ADDRESS, Script, TestPool, wait_until};
use warppool_loadgen::miner::{Device, MinerOptions, SimMiner};

fn options(pool: &TestPool, device: Device) -> MinerOptions {
    MinerOptions {
        subscribe_read_delay: Duration::from_millis(5),
        seed: 7,
        ..MinerOptions::new(pool.address, device, format!("{ADDRESS}.rig"))
    }
}

#[test]
fn shares_of_every_device_are_good_and_nothing_is_found_wrong() {
    for device in Device::ALL {
        let pool = TestPool::start(Script::Verify);
        let miner = SimMiner::start(options(&pool, device));
        wait_until("three shares are accepted", || miner.stats().accepted >= 3);
        let stats = miner.stop();
        assert_eq!(stats.accepted + stats.rejected, stats.shares_sent, "{device:?}: the last shares are heard of");
        let shares = pool.shares();
        assert!(shares.iter().all(|share| share.is_good), "{device:?}: {shares:?}");
        assert_eq!((stats.rejected, &stats.violations), (0, &vec![]), "{device:?}");
        let rolls = shares.iter().any(|share| share.version_bits != 0);
        assert_eq!(rolls, !matches!(device, Device::NerdMiner | Device::CpuMiner), "{device:?}");
        let unique: HashSet<_> = shares.iter().map(|s| (&s.extranonce2, &s.nonce, s.version_bits)).collect();
        assert_eq!(unique.len(), shares.len(), "{device:?} sent a share twice");
        let blocks = pool.shares().iter().filter(|share| share.is_block).count() as u64;
        assert_eq!(stats.block_candidates, blocks, "{device:?}");
        assert!(stats.hashes > 0 && stats.jobs == 1 && stats.difficulty == support::DIFFICULTY, "{device:?}");
    }
}

#[test]
fn every_device_talks_as_its_firmware() {
    let configure = r#"{"id": 1, "method": "mining.configure", "params": [["version-rolling"], {"version-rolling.mask": "ffffffff"}]}"#;
    let authorize = |id| format!(r#"{{"id": {id}, "method": "mining.authorize", "params": ["{ADDRESS}.rig", "x"]}}"#);
    let subscribe = |id, agent| format!(r#"{{"id": {id}, "method": "mining.subscribe", "params": ["{agent}"]}}"#);
    let cases = [
        (
            Device::NerdMiner,
            vec![
                subscribe(1, "NerdMinerV2/V1.8.3"),
                format!(r#"{{"params": ["{ADDRESS}.rig", "x"], "id": 2, "method": "mining.authorize"}}"#),
                r#"{"id": 3, "method": "mining.suggest_difficulty", "params": [0.00015]}"#.to_owned(),
            ],
        ),
        (
            Device::Bitaxe,
            vec![
                configure.to_owned(),
                subscribe(2, "bitaxe/BM1370/v2.9.0"),
                authorize(3),
                r#"{"id": 4, "method": "mining.suggest_difficulty", "params": [1000]}"#.to_owned(),
                r#"{"id": 5, "method": "mining.extranonce.subscribe", "params": []}"#.to_owned(),
            ],
        ),
        (
            Device::Cgminer,
            vec![configure.replace("\"id\": 1", "\"id\": 0"), subscribe(1, "cgminer/4.11.1"), authorize(2)],
        ),
        (Device::CpuMiner, vec![subscribe(1, "cpuminer/2.5.1"), authorize(2)]),
        (
            Device::BmMiner,
            vec![
                subscribe(0, "bmminer/2.0.0"),
                authorize(1),
                configure.replace("\"id\": 1", "\"id\": 2").replace("ffffffff", "00c00000"),
            ],
        ),
    ];
    for (device, expected) in cases {
        let pool = TestPool::start(Script::Verify);
        let _miner = SimMiner::start(options(&pool, device));
        wait_until("the first submit came", || pool.lines().iter().any(|line| line.contains("mining.submit")));
        assert_eq!(pool.lines()[..expected.len()], expected, "{device:?}");
        assert!(pool.lines()[expected.len()].contains("mining.submit"), "{device:?}");
    }
}

#[test]
fn what_a_pool_does_wrong_is_noted() {
    let cases = [
        (Script::JobBeforeDifficulty, "before any difficulty"),
        (Script::ReusedJobId, "is used twice"),
        (Script::WrongPayout, "does not pay the address"),
        (Script::BrokenCoinbase, "does not decode"),
        (Script::NotifyBeforeAuthorizeReply, "between mining.authorize and its reply"),
        (Script::RollableVersionBits, "rollable bits"),
        (Script::CleanWithoutTip, "clean without a new tip"),
        (Script::ExponentDifficulty, "exponent"),
    ];
    for (script, expected) in cases {
        let pool = TestPool::start(script);
        let miner = SimMiner::start(options(&pool, Device::Bitaxe));
        wait_until(expected, || miner.stats().violations.iter().any(|text| text.contains(expected)));
    }
}

#[test]
fn a_miner_comes_back_and_cgminer_brings_its_session_id() {
    let pool = TestPool::start(Script::Verify);
    let miner = SimMiner::start(options(&pool, Device::Cgminer));
    wait_until("it is connected", || miner.stats().connected);
    pool.close_connections();
    wait_until("it is connected again", || miner.stats().connections == 2 && miner.stats().connected);
    let resumed = r#"{"id": 1, "method": "mining.subscribe", "params": ["cgminer/4.11.1", "s1"]}"#;
    assert!(pool.lines().iter().any(|line| line == resumed), "{:?}", pool.lines());
    assert!(miner.stats().last_error.is_some());
}

#[test]
fn a_new_tip_is_followed_and_a_throttle_is_kept() {
    let pool = TestPool::start(Script::Verify);
    let throttled = MinerOptions { hashes_per_second_max: Some(1000.0), ..options(&pool, Device::Bitaxe) };
    let miner = SimMiner::start(throttled);
    let start = std::time::Instant::now();
    wait_until("it hashes", || miner.stats().hashes > 100);
    pool.new_tip();
    wait_until("it has the second job", || miner.stats().jobs == 2);
    let stats = miner.stop();
    let allowed = 1000.0 * start.elapsed().as_secs_f64() + 200.0;
    assert!(stats.hashes as f64 <= allowed, "{} hashes, {allowed} allowed", stats.hashes);
    assert_eq!(stats.violations, Vec::<String>::new());
}
