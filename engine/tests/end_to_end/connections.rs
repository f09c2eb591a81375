//! Connections that come, go, break, and are too many.

use crate::harness::{Pool, RawMiner, Site, address, node, until};
use std::net::TcpStream;

fn active(pool: &Pool) -> f64 {
    pool.metric("warppool_active_connections{protocol=\"v1\"}")
}

#[test]
fn defect_18_probes_of_health_cost_nothing_and_are_not_banned() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    for _ in 0..120 {
        drop(TcpStream::connect(pool.miners).unwrap());
    }
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    miner.submit_good(&job);
    until("only the miner is left", || (active(&pool) == 1.0).then_some(()));
}

#[test]
fn defect_31_gauges_return_to_zero() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    let names: Vec<String> = (0..20).map(|number| format!("{}.raw", address(number))).collect();
    let mut miners: Vec<RawMiner> = names.iter().map(|name| RawMiner::join(pool.miners, name)).collect();
    for (miner, name) in miners.iter_mut().zip(&names) {
        // A second and a third authorization on one connection, one of them under another name.
        let other = format!("{name}2");
        for username in [name, &other] {
            let answer = miner.call("mining.authorize", &serde_json::json!([username, "x"])).unwrap();
            assert_eq!(answer["result"], true, "{answer}");
        }
    }
    until("all are online", || (pool.metric("warppool_workers_online") == 40.0).then_some(()));
    assert_eq!(active(&pool), 20.0);
    // Jobs that nobody has read lie in the sockets, so closing them breaks the connections off.
    node.mine_external_block();
    drop(miners);
    until("nobody is online", || (pool.metric("warppool_workers_online") == 0.0 && active(&pool) == 0.0).then_some(()));
    assert_eq!(pool.metric("warppool_workers_total"), 40.0);
}

#[test]
fn connections_beyond_the_cap_are_closed_and_a_place_that_is_free_again_is_given() {
    let (node, _directory) = node();
    let mut pool = Pool::start(&Site::new(&node).with("tuning.max_connections", "3"));
    let mut miners: Vec<RawMiner> = (1..=3).map(|number| RawMiner::join(pool.miners, &address(number))).collect();
    let mut refused = RawMiner::connect(pool.miners);
    refused.wait_for_end();
    pool.wait_for_log(&["connections turned away: 1", "at most 3"]);
    for miner in &mut miners {
        let job = miner.job();
        miner.submit_good(&job);
    }
    drop(miners.pop());
    until("a place is free", || {
        let mut next = RawMiner::connect(pool.miners);
        next.call("mining.subscribe", &serde_json::json!([])).map(|_| ())
    });
}
