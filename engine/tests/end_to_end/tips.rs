//! A new tip reaches every miner at once, and old work is told from bad work.

use crate::harness::{Pool, RawMiner, Site, address, has_transactions, node};
use warppool_simnode::Faults;

const MINERS: u8 = 50;

#[test]
fn a_new_tip_reaches_all_first_without_then_with_transactions() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    let names: Vec<String> = (0..MINERS).map(|number| format!("{}.raw", address(number))).collect();
    let mut miners: Vec<RawMiner> = names.iter().map(|name| RawMiner::join(pool.miners, name)).collect();
    let old: Vec<_> = miners.iter_mut().map(|miner| miner.wait_for("mining.notify", has_transactions)).collect();
    // Without a template, also one of a long poll that waits already, miners do not wait.
    let held = || ["getblocktemplate".to_owned()].into();
    node.set_faults(Faults { hold: held(), hold_answer: held(), ..Faults::default() });
    node.mine_external_block();
    for (miner, old) in miners.iter_mut().zip(&old) {
        let first = miner.job();
        assert_eq!((&first[8], has_transactions(&first)), (&true.into(), false), "{first}");
        assert_ne!(first[1], old[1], "the previous block is the new tip");
        miner.submit_good(&first);
        let answer = miner.submit(old).unwrap();
        assert_eq!((&answer["result"], &answer["error"][0]), (&serde_json::Value::Null, &21.into()), "{answer}");
        assert!(answer["error"][1].as_str().unwrap().to_lowercase().contains("stale"), "{answer}");
    }
    node.set_faults(Faults::default());
    for miner in &mut miners {
        let full = miner.job();
        assert_eq!((&full[8], has_transactions(&full)), (&false.into(), true), "{full}");
        miner.submit_good(&full);
    }
}

#[test]
fn each_new_tip_is_measured_once() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let mut old = miner.job();
    // Whether the first tip came before the miner, and so was told to nobody, is left to chance. Figures are as old as the picture
    // that they are in: one with this share is younger than that tip's.
    miner.submit_good(&old);
    pool.json_when("/api/overview", |page| page["shares"]["accepted"] == 1);
    let metrics = ["warppool_tip_to_first_notify_seconds", "warppool_tip_to_last_notify_seconds"];
    let of = |part: &str| metrics.map(|name| pool.metric(&format!("{name}_{part}")));
    let before = of("count");
    for _ in 0..5 {
        node.mine_external_block();
        old = miner.wait_for("mining.notify", |job| job[1] != old[1]);
    }
    // The full templates that follow on the same tip are no new tips.
    if !has_transactions(&old) {
        miner.wait_for("mining.notify", has_transactions);
    }
    pool.json_when("/api/overview", |_| of("count") == before.map(|count| count + 5.0));
    let [first, last] = of("sum");
    assert!(first > 0.0 && last >= first, "{first} {last}");
}

#[test]
fn without_zmq_a_new_tip_still_arrives() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let old = miner.job();
    // defect_12: ZMQ dies silently. The longpoll and the poll remain.
    node.set_faults(Faults { zmq_silent: true, ..Faults::default() });
    node.mine_external_block();
    let new = miner.wait_for("mining.notify", |job| job[1] != old[1]);
    assert_eq!(new[8], true);
    miner.submit_good(&new);
}
