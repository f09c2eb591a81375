//! What becomes of a found block when node, pool or chain go wrong: it is never lost, and what is said of it is true.

use crate::harness::{Events, Pool, RawMiner, Site, address, builds_on, node_with, until};
use serde_json::Value;
use std::time::Duration;
use warppool_simnode::{Failure, Faults, SimNode, SimNodeOptions};

/// Two of three hashes are blocks.
fn easy(options: &mut SimNodeOptions) {
    options.bits = 0x207f_ffff;
}

fn state_of(pool: &Pool, hash: &str, expected: &str) -> Value {
    let is_there = |page: &Value| {
        let rows = page["blocks"].as_array().unwrap();
        rows.iter().any(|row| row["hash"] == hash && row["state"] == expected)
    };
    let page = pool.json_when("/api/blocks", is_there);
    page["blocks"].as_array().unwrap().iter().find(|row| row["hash"] == hash).unwrap().clone()
}

fn failing(failure: Failure) -> Faults {
    Faults { fail: [("submitblock".to_owned(), failure)].into(), ..Faults::default() }
}

fn has(node: &SimNode, hash: &str) -> bool {
    node.blocks().iter().any(|block| block.hash == hash)
}

#[test]
fn a_block_found_while_the_node_fails_survives_a_kill_of_the_pool() {
    let (node, _directory) = node_with(easy);
    let mut site = Site::new(&node);
    let mut pool = Pool::start(&site);
    let mut miner = RawMiner::join(pool.miners, &format!("{}.lucky", address(1)));
    let job = miner.job();
    node.set_faults(failing(Failure::HttpStatus(503)));
    let hash = miner.submit_block(&job);
    let pending = state_of(&pool, &hash, "pending");
    assert_eq!(pool.metric("warppool_blocks_found_total"), 0.0, "{pending}");
    // The store wrote it down before the node was asked a second time.
    until("a second attempt", || (node.calls("submitblock") >= 2).then_some(()));
    pool.kill();
    assert!(!has(&node, &hash));
    node.set_faults(Faults::default());
    let again = Pool::start_again(&mut site, pool.miners);
    until("the block is in the chain", || has(&node, &hash).then_some(()));
    let row = state_of(&again, &hash, "accepted");
    assert_eq!(row["payout_sats"], pending["payout_sats"]);
    again.json_when("/api/overview", |_| again.metric("warppool_blocks_found_total") == 1.0);
    let worker = again.worker(&format!("{}.lucky", address(1))).unwrap();
    assert_eq!(worker["blocks_found"], 1, "{worker}");
}

#[test]
fn an_end_while_the_node_hangs_is_clean_and_the_block_is_submitted_at_the_next_start() {
    let (node, _directory) = node_with(easy);
    let mut site = Site::new(&node);
    let pool = Pool::start(&site);
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    // Longer than the whole test may take.
    let delay = [("submitblock".to_owned(), Duration::from_secs(600))].into();
    node.set_faults(Faults { delay, ..Faults::default() });
    let hash = miner.submit_block(&job);
    until("the node is asked", || (node.calls("submitblock") == 1).then_some(()));
    let address = pool.miners;
    let (status, log) = pool.terminate();
    assert_eq!(status, Some(0), "{}", log.join("\n"));
    node.set_faults(Faults::default());
    let again = Pool::start_again(&mut site, address);
    state_of(&again, &hash, "accepted");
    assert!(has(&node, &hash));
}

/// Each answer that the node may give to a block that it takes.
#[test]
fn defect_17_and_34_a_block_that_the_node_took_is_accepted_whatever_it_says() {
    let (node, _directory) = node_with(easy);
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let says = |text: &str| Faults { submit_answer: Some(text.to_owned()), ..Faults::default() };
    let table = [
        ("null", Faults::default()),
        ("inconclusive", says("inconclusive")),
        ("duplicate-inconclusive", says("duplicate-inconclusive")),
        ("duplicate", says("duplicate")),
        ("no answer, but a broken connection", failing(Failure::DropAnswer)),
    ];
    for (place, (name, faults)) in table.into_iter().enumerate() {
        let tip = node.tip();
        let job = miner.wait_for("mining.notify", |job| builds_on(job, &tip));
        node.set_faults(faults);
        let hash = miner.submit_block(&job);
        state_of(&pool, &hash, "accepted");
        assert!(has(&node, &hash), "{name}");
        node.set_faults(Faults::default());
        pool.json_when("/api/overview", |_| pool.metric("warppool_blocks_found_total") == (place + 1) as f64);
    }
}

/// Each way in which a node may fail to take a block at first.
#[test]
fn defect_17_a_block_that_the_node_did_not_take_is_pending_until_it_does() {
    let (node, _directory) = node_with(easy);
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let loading = Failure::RpcError { code: -28, message: "Loading block index...".to_owned() };
    let ignoring =
        |text: &str| Faults { submit_ignored: true, submit_answer: Some(text.to_owned()), ..Faults::default() };
    let table = [
        ("inconclusive", ignoring("inconclusive")),
        ("prev-blk-not-found", ignoring("prev-blk-not-found")),
        ("time-too-new", ignoring("time-too-new")),
        ("401", failing(Failure::HttpStatus(401))),
        ("503", failing(Failure::HttpStatus(503))),
        ("a reset", failing(Failure::DropConnection)),
        ("loading", failing(loading)),
    ];
    for (place, (name, faults)) in table.into_iter().enumerate() {
        let tip = node.tip();
        let job = miner.wait_for("mining.notify", |job| builds_on(job, &tip));
        node.set_faults(faults);
        let asked = node.calls("submitblock");
        let hash = miner.submit_block(&job);
        until(name, || (node.calls("submitblock") >= asked + 2).then_some(()));
        state_of(&pool, &hash, "pending");
        assert_eq!(pool.metric("warppool_blocks_found_total"), place as f64, "{name}");
        node.set_faults(Faults::default());
        state_of(&pool, &hash, "accepted");
        assert!(has(&node, &hash), "{name}");
        pool.json_when("/api/overview", |_| pool.metric("warppool_blocks_found_total") == (place + 1) as f64);
    }
}

#[test]
fn a_block_that_is_found_while_the_cookie_changes_is_submitted_with_the_new_one() {
    let (node, _directory) = node_with(easy);
    // So that nobody but the block asks anything meanwhile.
    let pool = Pool::start(&Site::new(&node).with("node.poll_interval_ms", "60000"));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    node.stop_rpc();
    node.start_rpc().unwrap();
    let hash = miner.submit_block(&job);
    state_of(&pool, &hash, "accepted");
    assert!(has(&node, &hash));
}

/// A real `inconclusive`: the block is valid, but somebody else's of the same height came first.
#[test]
fn defect_17_a_block_beside_the_chain_is_orphaned_and_not_rejected() {
    let (node, _directory) = node_with(easy);
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let old = miner.job();
    node.mine_external_block();
    let tip = node.tip();
    miner.wait_for("mining.notify", |job| builds_on(job, &tip));
    let hash = miner.submit_block(&old);
    state_of(&pool, &hash, "orphaned");
    assert_eq!(pool.metric("warppool_blocks_found_total"), 0.0);
    assert!(!has(&node, &hash));
}

#[test]
fn an_answer_that_is_lost_is_asked_for_again() {
    let (node, _directory) = node_with(easy);
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    node.set_faults(failing(Failure::DropAnswer));
    let hash = miner.submit_block(&job);
    // The node took the block all the same, which the pool finds out by itself.
    state_of(&pool, &hash, "accepted");
    assert_eq!(pool.json("/api/blocks")["blocks"].as_array().unwrap().len(), 1);
}

#[test]
fn a_refused_block_is_told_with_the_nodes_reason() {
    let (node, _directory) = node_with(easy);
    let mut pool = Pool::start(&Site::new(&node));
    let events = Events::listen(&pool);
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    node.set_faults(Faults { submit_ignored: true, submit_answer: Some("high-hash".into()), ..Faults::default() });
    let hash = miner.submit_block(&job);
    let row = state_of(&pool, &hash, "rejected");
    assert_eq!(row["reject_reason"], "high-hash");
    assert_eq!(pool.metric("warppool_blocks_found_total"), 0.0);
    // Shown as refused, but not announced as found: there is nothing to celebrate.
    events.wait_for("shares_accepted", |_| true);
    assert!(!events.heard("block_found"));
    pool.wait_for_log(&["ERROR", &hash, "high-hash"]);
}

#[test]
fn a_block_is_followed_through_confirmations_and_a_reorganisation() {
    let (node, _directory) = node_with(easy);
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    let hash = miner.submit_block(&job);
    state_of(&pool, &hash, "accepted");
    node.mine_external_block();
    node.mine_external_block();
    pool.json_when("/api/blocks", |page| page["blocks"][0]["confirmations"] == 3);
    node.reorganise(3);
    state_of(&pool, &hash, "orphaned");
    // What the miner works on follows the chain too.
    let tip = node.tip();
    let job = miner.wait_for("mining.notify", |job| builds_on(job, &tip));
    miner.submit_good(&job);
    assert_eq!(pool.metric("warppool_blocks_found_total"), 1.0, "it was found all the same");
}

#[test]
fn defect_16_a_block_in_the_same_segment_as_the_end_is_submitted() {
    let (node, _directory) = node_with(easy);
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    let (hash, line) = miner.block_line(&job);
    miner.send(&line);
    miner.hang_up();
    drop(miner);
    until("the block is in the chain", || has(&node, &hash).then_some(()));
    state_of(&pool, &hash, "accepted");
}
