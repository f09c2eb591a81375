//! Tips, side chains, reorganisations, and a mempool that follows them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use support::{Fixture, build, mine};
use warppool_simnode::BlockEvent;

fn txids(template: &Value) -> HashSet<String> {
    let transactions = template["transactions"].as_array().unwrap();
    transactions.iter().map(|transaction| transaction["txid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_block_beside_the_tip_is_inconclusive_until_its_branch_is_longer() {
    let fixture = Fixture::start();
    let first = fixture.template();
    let mut sibling = build(&first);
    sibling.header.time += 1;
    mine(&mut sibling);
    let tip = build(&first);
    assert_eq!(fixture.submit(&tip), None);
    assert_eq!(fixture.submit(&sibling).as_deref(), Some("inconclusive"));
    assert_eq!(fixture.node.tip(), tip.block_hash().to_string());

    // Both blocks hold the same transactions, so the next template fits on either.
    let mut child = fixture.good_block();
    child.header.prev_blockhash = sibling.block_hash();
    child.header.time += 2;
    mine(&mut child);
    assert_eq!(fixture.submit(&child), None);
    assert_eq!(fixture.node.tip(), child.block_hash().to_string());
    let stale = fixture.call("getblockheader", json!([tip.block_hash().to_string()]));
    assert_eq!(stale["confirmations"], json!(-1));
}

#[test]
fn a_longer_branch_that_is_invalid_leaves_the_tip_where_it_was() {
    let fixture = Fixture::start();
    let first = fixture.template();
    let mut overpaid = build(&first);
    overpaid.txdata[0].output[0].value *= 2;
    support::seal(&mut overpaid);
    let tip = build(&first);
    assert_eq!(fixture.submit(&tip), None);
    // Beside the active chain inputs are not looked at yet.
    assert_eq!(fixture.submit(&overpaid).as_deref(), Some("inconclusive"));
    let before = txids(&fixture.template());
    let mut child = fixture.good_block();
    child.header.prev_blockhash = overpaid.block_hash();
    mine(&mut child);
    // The child is not at fault itself.
    assert_eq!(fixture.submit(&child).as_deref(), Some("inconclusive"));
    assert_eq!(fixture.submit(&overpaid).as_deref(), Some("duplicate-invalid"));
    assert_eq!(fixture.node.tip(), tip.block_hash().to_string());
    assert_eq!(txids(&fixture.template()), before);
    assert_eq!(fixture.submit(&fixture.good_block()), None);
}

#[test]
fn a_reorganisation_makes_blocks_stale_and_gives_their_transactions_back() {
    let fixture = Fixture::start();
    let before = txids(&fixture.template());
    let ours = fixture.good_block();
    assert_eq!(fixture.submit(&ours), None);
    let hash = ours.block_hash().to_string();
    assert_eq!(fixture.call("getblockheader", json!([hash]))["confirmations"], json!(1));

    fixture.node.reorganise(1);
    assert_eq!(fixture.node.height(), 132);
    let header = fixture.call("getblockheader", json!([hash]));
    assert_eq!((&header["confirmations"], header.get("nextblockhash")), (&json!(-1), None));
    assert_ne!(fixture.call("getblockhash", json!([131])), json!(hash));
    assert!(fixture.node.blocks().iter().all(|block| !block.submitted));
    assert!(before.is_subset(&txids(&fixture.template())), "the stale block's transactions wait again");
    assert_eq!(fixture.submit(&fixture.good_block()), None);
}

#[test]
fn mined_transactions_leave_and_new_ones_arrive() {
    let fixture = Fixture::start();
    let before = txids(&fixture.template());
    assert_eq!(before.len(), 24);
    assert_eq!(fixture.submit(&fixture.good_block()), None);
    let after = txids(&fixture.template());
    assert_eq!(after.len(), 24);
    assert!(before.is_disjoint(&after));

    fixture.node.mine_external_block();
    let block = fixture.node.blocks().pop().unwrap();
    assert_eq!((block.submitted, block.transactions), (false, 17));
    assert_eq!(txids(&fixture.template()).intersection(&after).count(), 8);
}

#[test]
fn a_seed_gives_the_same_templates_and_another_seed_others() {
    let templates = [5, 5, 6].map(|seed| {
        let fixture = Fixture::start_with(|options| options.seed = seed);
        fixture.template()["transactions"].clone()
    });
    assert_eq!(templates[0], templates[1]);
    assert_ne!(templates[0], templates[2]);
}

#[test]
fn a_template_of_4000_transactions_makes_a_valid_block() {
    let fixture = Fixture::start_with(|options| options.transactions = 4000..=4000);
    let template = fixture.template();
    assert_eq!(template["transactions"].as_array().unwrap().len(), 4000);
    assert!(template["transactions"].as_array().unwrap().iter().any(|entry| entry["depends"] != json!([])));
    assert_eq!(fixture.submit(&build(&template)), None);
}

#[test]
fn templates_stay_under_the_weight_limit_however_full_the_mempool_is() {
    let fixture = Fixture::start_with(|options| options.transactions = 9000..=9000);
    let template = fixture.template();
    let transactions = template["transactions"].as_array().unwrap();
    let weight: u64 = transactions.iter().map(|entry| entry["weight"].as_u64().unwrap()).sum();
    assert!((3_900_000..=3_992_000).contains(&weight), "{weight}");
    assert_eq!(fixture.submit(&build(&template)), None);
}

#[test]
fn hard_bits_cost_nothing_at_the_start_and_are_demanded_of_what_is_submitted() {
    let fixture = Fixture::start_with(|options| options.bits = 0x1e00_ffff);
    let template = fixture.template();
    assert_eq!(template["bits"], json!("1e00ffff"));
    let mut easy = template.clone();
    easy["bits"] = json!("207fffff");
    assert_eq!(fixture.submit(&build(&easy)).as_deref(), Some("bad-diffbits"));
    let mut unmined = build(&easy);
    unmined.header.bits = bitcoin::CompactTarget::from_consensus(0x1e00_ffff);
    assert_eq!(fixture.submit(&unmined).as_deref(), Some("high-hash"));
    fixture.node.mine_external_block();
    assert_eq!(fixture.node.height(), 131);
}

#[test]
fn events_and_waiting_tell_of_blocks() {
    let fixture = Fixture::start();
    let events = fixture.node.subscribe();
    let good = fixture.good_block();
    let mut bad = good.clone();
    bad.header.time -= 3600;
    mine(&mut bad);
    fixture.submit(&bad);
    fixture.submit(&good);
    let hash = good.block_hash().to_string();
    let refused = BlockEvent::Refused { hash: bad.block_hash().to_string(), reason: "time-too-old".to_owned() };
    assert_eq!(events.try_recv(), Ok(refused));
    assert_eq!(events.try_recv(), Ok(BlockEvent::Accepted { height: 131, hash, transactions: 25 }));
    assert!(fixture.node.wait_for_height(131, Instant::now()));
    assert!(!fixture.node.wait_for_height(132, Instant::now()));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| fixture.node.wait_for_height(132, Instant::now() + Duration::from_secs(10)));
        fixture.node.mine_external_block();
        assert!(waiting.join().unwrap());
    });
}
