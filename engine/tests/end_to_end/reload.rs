//! SIGHUP: the configuration is read again.

use crate::harness::{Pool, RawMiner, Site, address, node, until};
use bitcoin::Address;
use serde_json::Value;

/// Whether a job's coinbase pays `address`.
fn pays(job: &Value, address: &str) -> bool {
    let script = address.parse::<Address<_>>().unwrap().assume_checked().script_pubkey();
    job[3].as_str().unwrap().contains(&script.to_hex_string())
}

#[test]
fn a_new_fee_is_in_the_next_job_and_a_broken_file_changes_nothing() {
    let (node, _directory) = node();
    let site = Site::new(&node);
    let mut pool = Pool::start(&site);
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let (payee, fee) = (address(1), address(7));
    let job = miner.job();
    assert!(pays(&job, &payee) && !pays(&job, &fee));

    let before = site.configuration();
    site.configure(&format!("{before}[mining]\npool_fee_percent = 2\npool_fee_address = \"{fee}\"\n"));
    pool.signal("HUP");
    pool.wait_for_log(&["configuration read again", "mining.pool_fee_percent"]);
    let mut next = next_job(&node, &mut miner);
    until("a job with the fee", || {
        // The engine takes the new settings with its next tick, the tip may have been a tick earlier.
        let is_there = pays(&next, &fee);
        if !is_there {
            next = next_job(&node, &mut miner);
        }
        is_there.then_some(())
    });
    assert!(pays(&next, &payee));
    miner.submit_good(&next);
    let current = pool.json_when("/api/jobs/current", |job| job.to_string().contains(&fee));
    assert!(current.to_string().contains(&payee), "{current}");

    site.configure("[mining]\npool_fee_percent = \"much\"\n[node\n");
    pool.signal("HUP");
    pool.wait_for_log(&["the configuration was not changed"]);
    let next = next_job(&node, &mut miner);
    assert!(pays(&next, &fee) && pays(&next, &payee));
    miner.submit_good(&next);
}

/// Work of one network must never pay an address of another.
#[test]
fn another_network_is_not_taken_over_by_a_running_pool() {
    let (node, _directory) = node();
    let site = Site::new(&node);
    let mut pool = Pool::start(&site);
    let before = site.configuration();
    let after = before.replace("\"regtest\"", "\"mainnet\"");
    assert_ne!(before, after);
    site.configure(&after);
    pool.signal("HUP");
    pool.wait_for_log(&["the configuration was not changed", "node.network"]);
    let mut miner = RawMiner::join(pool.miners, &address(1));
    assert!(pays(&miner.job(), &address(1)));
}

/// A job on a new tip.
fn next_job(node: &warppool_simnode::SimNode, miner: &mut RawMiner) -> Value {
    node.mine_external_block();
    miner.wait_for("mining.notify", |job| job[8] == true)
}
