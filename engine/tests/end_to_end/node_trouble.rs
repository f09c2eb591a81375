//! Nodes that are down, slow, wrong or changed their password.

use crate::fake_node::FakeNode;
use crate::harness::{Pool, RawMiner, Site, address, builds_on, node, node_with, until};
use serde_json::Value;
use std::time::Duration;
use warppool_simnode::{Failure, Faults};

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

#[test]
fn a_node_with_another_genesis_block_gives_no_work() {
    let (node, _directory) = node();
    let block_hashes = [(0, "00".repeat(31) + "07")].into();
    node.set_faults(Faults { block_hashes, ..Faults::default() });
    let mut pool = Pool::start(&Site::new(&node));
    pool.wait_for_log(&["says that it is on regtest, but its block 0 is"]);
    until("not ready", || (readiness(&pool).0 == 503).then_some(()));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    assert_eq!(pool.json("/api/jobs/current")["job"], Value::Null);
    node.set_faults(Faults::default());
    let job = miner.job();
    miner.submit_good(&job);
}

/// The node is well and has a new tip, but no template, and empty jobs are switched off.
#[test]
fn defect_13_miners_are_released_when_there_is_no_work_on_a_known_tip() {
    let (node, _directory) = node();
    let site = Site::new(&node).with("node.node_loss_disconnect_secs", "1").with("node.empty_job_on_new_tip", "false");
    let mut pool = Pool::start(&site);
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    miner.submit_good(&job);
    let fail = [("getblocktemplate".to_owned(), Failure::RpcError { code: -1, message: "out of order".to_owned() })];
    node.set_faults(Faults { fail: fail.into(), ..Faults::default() });
    node.mine_external_block();
    miner.wait_for_end();
    pool.wait_for_log(&["no node has given work", "released"]);
    node.set_faults(Faults::default());
    let tip = node.tip();
    let mut miner = until("work on the tip", || {
        let mut miner = RawMiner::join(pool.miners, &address(1));
        until("a job or the end", || Some(miner.read())).map(|_| miner)
    });
    let job = miner.wait_for("mining.notify", |job| builds_on(job, &tip));
    miner.submit_good(&job);
}

/// Templates go bad while the pool runs: the tip is still worked on, without transactions.
#[test]
fn a_node_that_begins_to_lie_about_its_transactions_is_mined_on_without_them() {
    let (node, _directory) = node();
    let mut pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    miner.wait_for("mining.notify", crate::harness::has_transactions);
    node.set_faults(Faults { wrong_commitment: true, ..Faults::default() });
    node.mine_external_block();
    let tip = node.tip();
    let empty = miner.wait_for("mining.notify", |job| builds_on(job, &tip));
    assert!(!crate::harness::has_transactions(&empty));
    miner.submit_good(&empty);
    pool.wait_for_log(&["No new template", "default_witness_commitment"]);
    node.set_faults(Faults::default());
    miner.wait_for("mining.notify", |job| builds_on(job, &tip) && crate::harness::has_transactions(job));
}

/// Two nodes of two chains: the higher one is followed, the other one named.
#[test]
fn of_two_nodes_the_higher_is_followed_and_one_that_is_stuck_is_named() {
    let (stuck, _first) = node();
    let (moving, _second) =
        node_with(|options| (options.bits, options.seed, options.initial_height) = (0x1e00_ffff, 2, 129));
    let mut pool = Pool::start(&Site::new(&stuck).with_second(&moving));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let tip = stuck.tip();
    miner.wait_for("mining.notify", |job| builds_on(job, &tip));
    pool.wait_for_log(&["The nodes disagree about the tip", moving.rpc_url().trim_end_matches('/')]);
    for _ in 0..2 {
        moving.mine_external_block();
    }
    let tip = moving.tip();
    let job = miner.wait_for("mining.notify", |job| builds_on(job, &tip));
    assert_eq!(job[8], true);
    miner.submit_good(&job);
    pool.wait_for_log(&[
        "The nodes disagree about the tip",
        &format!("{} is at", stuck.rpc_url().trim_end_matches('/')),
    ]);
    // And when the one that was followed dies, the other one's work is better than none.
    moving.stop_rpc();
    let tip = stuck.tip();
    let job = miner.wait_for("mining.notify", |job| builds_on(job, &tip));
    miner.submit_good(&job);
}

#[test]
fn reorganisations_of_one_to_six_blocks_are_followed_at_once() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let mut old = miner.job();
    for depth in 1..=6 {
        node.reorganise(depth);
        let tip = node.tip();
        let job = miner.wait_for("mining.notify", |job| builds_on(job, &tip));
        assert_eq!(job[8], true, "{depth} blocks");
        miner.submit_good(&job);
        assert_eq!(miner.submit(&old).unwrap()["error"][0], 21, "{depth} blocks");
        old = job;
    }
}

#[test]
fn a_node_without_zmq_is_enough() {
    let (node, _directory) = node_with(|options| (options.bits, options.zmq) = (0x1e00_ffff, false));
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    miner.job();
    for _ in 0..3 {
        node.mine_external_block();
        let tip = node.tip();
        let job = miner.wait_for("mining.notify", |job| builds_on(job, &tip));
        miner.submit_good(&job);
    }
}

/// The subsidy halves with the block after the new tip, and an empty job is the first that claims it.
#[test]
fn an_empty_job_at_a_halving_is_a_block() {
    let (node, _directory) = node_with(|options| (options.bits, options.initial_height) = (0x207f_ffff, 148));
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    miner.job();
    // Neither new requests nor a long poll that waits already bring a template.
    let held = || ["getblocktemplate".to_owned()].into();
    node.set_faults(Faults { hold: held(), hold_answer: held(), ..Faults::default() });
    node.mine_external_block();
    let tip = node.tip();
    let empty = miner.wait_for("mining.notify", |job| builds_on(job, &tip));
    assert!(!crate::harness::has_transactions(&empty));
    let hash = miner.submit_block(&empty);
    until("the block is in the chain", || node.blocks().iter().any(|block| block.hash == hash).then_some(()));
    let block = node.blocks().pop().unwrap();
    assert_eq!((block.height, block.coinbase_outputs[0].sats), (150, 2_500_000_000));
}
