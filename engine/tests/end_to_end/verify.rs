//! `warppool verify`: whom a pool's block would pay.

use crate::fake_pool::{Defect, FakePool, payout};
use crate::harness::{Pool, Program, Site, address, node};
use bitcoin::{Address, Network};
use serde_json::Value;
use std::net::SocketAddr;

fn verify(pool: SocketAddr, address: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let pool = pool.to_string();
    Program::start(&[&["verify", "--pool", &pool, "--address", address], more].concat(), &[]).finish()
}

#[test]
fn fee_and_donation_are_listed_and_the_rest_is_the_miners() {
    let (node, _directory) = node();
    let (own, fee, donation) = (address(1), address(2), address(3));
    let site = Site::new(&node)
        .with("mining.pool_fee_percent", "1.5")
        .with("mining.pool_fee_address", &fee)
        .with("mining.operator_donation_percent", "0.5")
        .with("mining.operator_donation_address", &donation);
    let pool = Pool::start(&site);
    let (status, text, errors) = verify(pool.miners, &own, &[]);
    assert_eq!(status, Some(0), "{text}\n{errors}");
    assert!(text.starts_with(&format!("{own} is paid: 98.")), "{text}");
    assert!(text.contains(&fee) && text.contains("<- yours") && text.contains("BIP34"), "{text}");
    let (status, text, _) = verify(pool.miners, &own, &["--json", "--network", "regtest"]);
    let result: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, Some(0));
    let sum: u64 = result["outputs"].as_array().unwrap().iter().map(|output| output["sats"].as_u64().unwrap()).sum();
    assert_eq!(result["total_sats"], sum);
    let part = |wanted: &str| {
        let outputs = result["outputs"].as_array().unwrap();
        outputs.iter().filter(|it| it["address"] == wanted).map(|it| it["sats"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((part(&fee), part(&donation)), (sum * 15 / 1000, sum * 5 / 1000));
    assert_eq!(result["sats"], part(&own));
    assert!(result["percent"].as_f64().unwrap() > 97.9, "{result}");
    assert_eq!(result["height"], node.height() + 1);
    assert!(result["notes"].as_array().unwrap().is_empty(), "{result}");
}

#[test]
fn an_alias_is_paid_like_its_address() {
    let (node, _directory) = node();
    let own = address(1);
    let site = Site::new(&node);
    site.configure(&format!("{}[mining.aliases]\nhome = \"{own}\"\n", site.configuration()));
    let pool = Pool::start(&site);
    let (status, text, errors) = verify(pool.miners, &own, &["--user", "home.rig"]);
    assert!(status == Some(0) && text.contains("is paid: 100.0000 percent"), "{text}\n{errors}");
    let (status, _, errors) = verify(pool.miners, &own, &["--user", "office.rig"]);
    assert!(status == Some(1) && errors.contains("refuses the worker office.rig"), "{errors}");
}

#[test]
fn a_pool_that_pays_another_is_found_out() {
    let pool = FakePool::start(Defect::None);
    let (status, text, _) = verify(pool.address, &address(1), &[]);
    assert_eq!(status, Some(1), "{text}");
    let other = Address::from_script(&payout(), Network::Regtest).unwrap().to_string();
    assert!(text.contains("NOT paid") && text.contains(&other), "{text}");
    let (status, text, _) = verify(pool.address, &other, &[]);
    assert!(status == Some(0) && text.contains("100.0000 percent"), "{text}");
}

#[test]
fn a_pool_behind_tls_is_asked_like_any_other() {
    let pool = FakePool::start_with_tls();
    let own = Address::from_script(&payout(), Network::Regtest).unwrap().to_string();
    let endpoint = format!("stratum+ssl://localhost:{}", pool.address.port());
    let (status, text, errors) = Program::start(&["verify", "--pool", &endpoint, "--address", &own], &[]).finish();
    assert!(status == Some(0) && text.contains("Note: a stranger would not believe"), "{text}\n{errors}");
}

#[test]
fn what_makes_no_block_is_said() {
    let pool = FakePool::start(Defect::CoinbaseWithoutExtranonce);
    let (status, text, errors) = verify(pool.address, &address(1), &["--json"]);
    assert!(status == Some(1) && errors.contains("the coinbase"), "{errors}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["paid"], false);
    let (status, _, errors) = verify(pool.address, &address(1), &["--network", "mainnet"]);
    assert!(status == Some(2) && errors.contains("no address of"), "{errors}");
}
