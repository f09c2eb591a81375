//! Nodes that are down, slow, wrong or changed their password.

use crate::fake_node::FakeNode;
use crate::harness::{Pool, RawMiner, Site, address, node, node_with, until};
use serde_json::Value;
use std::time::Duration;
use warppool_simnode::Faults;

fn readiness(pool: &Pool) -> (u16, Value) {
    let (status, text) = pool.get("/readyz");
    (status, serde_json::from_str(&text).unwrap())
}

#[test]
fn a_node_that_is_down_at_start_is_waited_for() {
    let (node, _directory) = node();
    node.stop_rpc();
    let pool = Pool::start(&Site::new(&node));
    let (_, answer) = until("not ready with a sentence about the node", || {
        Some(readiness(&pool)).filter(|(status, answer)| *status == 503 && answer.to_string().contains("node"))
    });
    assert!(answer["reasons"].as_array().unwrap().iter().all(|reason| reason.as_str().unwrap().ends_with('.')));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    node.start_rpc().unwrap();
    let job = miner.job();
    miner.submit_good(&job);
    until("ready", || (readiness(&pool).0 == 200).then_some(()));
}

#[test]
fn defect_13_miners_are_released_when_the_node_is_lost() {
    let (node, _directory) = node();
    let mut pool = Pool::start(&Site::new(&node).with("node.node_loss_disconnect_secs", "1"));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    miner.submit_good(&job);
    node.stop_rpc();
    pool.wait_for_log(&["no new work"]);
    miner.wait_for_end();
    until("not ready", || (readiness(&pool).0 == 503).then_some(()));
    // The node is back with another cookie, and so is its work.
    node.start_rpc().unwrap();
    until("ready", || (readiness(&pool).0 == 200).then_some(()));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    miner.submit_good(&job);
    assert!(pool.is_running());
}

#[test]
fn a_new_cookie_is_read() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    node.stop_rpc();
    node.start_rpc().unwrap();
    node.mine_external_block();
    let next = miner.wait_for("mining.notify", |next| next[1] != job[1]);
    miner.submit_good(&next);
}

#[test]
fn defect_14_a_slow_template_holds_up_no_share() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    let delay = [("getblocktemplate".to_owned(), Duration::from_secs(30))].into();
    node.set_faults(Faults { delay, ..Faults::default() });
    let before = node.calls("getblocktemplate");
    node.mine_external_block();
    let empty = miner.wait_for("mining.notify", |next| next[1] != job[1]);
    until("a template is being waited for", || (node.calls("getblocktemplate") > before).then_some(()));
    (0..100).for_each(|_| miner.submit_good(&empty));
    assert_eq!(node.in_flight_max("getblocktemplate"), 1, "one request in flight");
    let (status, _) = pool.terminate();
    assert_eq!(status, Some(0), "the end does not wait for the node");
}

#[test]
fn a_template_with_a_wrong_witness_commitment_gives_no_job() {
    let node = FakeNode::start();
    node.with(|script| script.breaks_commitment = true);
    let site = Site::at(&node.url(), "");
    site.write_secrets("rpc_user = \"pool\"\nrpc_pass = \"secret\"\n", 0o600);
    let mut pool = Pool::start(&site);
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let line = pool.wait_for_log(&["No new template", "default_witness_commitment"]);
    assert!(line.contains("WARN") || line.contains("ERROR"), "{line}");
    until("not ready", || {
        let (status, answer) = readiness(&pool);
        (status == 503 && answer.to_string().contains("no job")).then_some(())
    });
    assert_eq!(pool.json("/api/jobs/current")["job"], Value::Null);
    // Once the node is right, what the miner gets first is good work.
    node.with(|script| script.breaks_commitment = false);
    node.add_block(2);
    let job = miner.job();
    assert!(crate::harness::has_transactions(&job));
}

#[test]
fn defect_24_a_node_that_is_not_synchronised_or_of_another_chain_gives_no_work() {
    let (syncing, _first) = node();
    syncing.set_faults(Faults { initial_block_download: true, ..Faults::default() });
    let (foreign, _second) = node_with(|options| options.chain = "signet".to_owned());
    for (node, sentence) in [(&syncing, "initial block download"), (&foreign, "the configured network is regtest")] {
        let pool = Pool::start(&Site::new(node));
        until("not ready with the reason", || {
            let (status, answer) = readiness(&pool);
            (status == 503 && answer.to_string().contains(sentence)).then_some(())
        });
        let mut miner = RawMiner::join(pool.miners, &address(1));
        assert_eq!(pool.json("/api/jobs/current")["job"], Value::Null);
        if std::ptr::eq(node, &syncing) {
            node.set_faults(Faults::default());
            let job = miner.job();
            miner.submit_good(&job);
        }
    }
}
