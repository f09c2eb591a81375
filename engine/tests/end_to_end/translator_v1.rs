//! `warppool translate` with a pool of Stratum V1 above: our own, one that shares no code with it, and ones of no use.

use crate::edge::{certificate_file, with_certificate};
use crate::fake_pool::{Defect, FakePool};
use crate::harness::{Pool, RawMiner, Site, address, builds_on, node, node_with, until};
use crate::translator::{
    address_of, mine_while_the_difficulty_moves, translator, translator_with, upstream_site, user, wait_for_shares,
};
use serde_json::{Value, json};
use warppool_components::limits::UPSTREAM_LINE_BYTES_MAX;

fn v1_address_of(pool: &Pool) -> String {
    format!("stratum+tcp://{}", pool.miners)
}

/// A bit that every miner may roll.
const ROLLED: u32 = 0x0040_0000;

#[test]
fn miners_of_both_protocols_find_blocks_of_a_v1_pool_that_pay_the_translator_s_user() {
    let (node, _directory) = node_with(|options| options.bits = 0x1f00_ffff);
    let pool = Pool::start(&Site::new(&node).with("vardiff.initial_diff", "1e-9"));
    let (mut translator, _data) = translator(&[&v1_address_of(&pool)]);
    translator.wait_for_log(&["work comes from the upstream stratum+tcp://127.0.0.1", &user()]);
    let mut modern = translator.v2_miner(0);
    let extended = modern.open_extended("modern.extended").unwrap();
    let standard = modern.open_standard("modern.standard").unwrap();
    let mut raw = RawMiner::join(translator.miners, "anybody.rig");
    for channel in [extended, standard] {
        let share = modern.channel(channel).search().version_bits(ROLLED).block();
        assert_eq!(modern.submit(&share), Ok(()));
        let block = until("the node takes the block", || node.blocks().into_iter().find(|it| it.hash == share.hash));
        assert!(block.submitted);
        assert_eq!(block.version.cast_unsigned(), share.version, "the rolled version reached the node");
        assert_eq!(block.coinbase_outputs[0].address.as_deref(), Some(address(1).as_str()));
        raw.wait_for("mining.notify", |job| builds_on(job, &share.hash));
        [extended, standard].into_iter().for_each(|other| modern.until_stale(other, share.job));
    }
    let mut raw = RawMiner::join(translator.miners, "anybody.rig");
    let job = raw.job();
    let hash = raw.submit_block(&job);
    until("the node takes the block", || node.blocks().into_iter().find(|block| block.hash == hash));
    translator.wait_for_log(&["found by anybody.rig: sent to the upstream pool"]);
    // Figures are as old as the picture that they are in.
    until("the upstream is told to be up", || (translator.metric("warppool_upstream_up") == 1.0).then_some(()));
}

#[test]
fn a_v1_pool_s_difficulty_moves_and_nothing_is_refused_as_too_easy() {
    mine_while_the_difficulty_moves(|pool| v1_address_of(pool));
}

#[test]
fn miners_stay_while_a_v1_pool_restarts_and_their_next_job_is_clean() {
    let (node, _directory) = node();
    let mut site = upstream_site(&node);
    let mut pool = Pool::start(&site);
    let (mut translator, _data) = translator(&[&v1_address_of(&pool)]);
    let mut miner = RawMiner::join(translator.miners, "anybody.rig");
    let old = miner.job();
    miner.submit_good(&old);
    wait_for_shares(&pool, &translator, 1);
    let miners = pool.miners;
    pool.kill();
    translator.wait_for_log(&["the upstream stratum+tcp://127.0.0.1:", "ended"]);
    let pool = Pool::start_again(&mut site, miners);
    let job = miner.wait_for("mining.notify", |job| job[8] == true);
    miner.submit_good(&job);
    assert_eq!(miner.submit(&old).unwrap()["error"][0], 21, "work of the session before is worth nothing");
    wait_for_shares(&pool, &translator, 2);
}

#[test]
fn a_v1_pool_stands_in_for_a_v2_pool() {
    let (node, _directory) = node();
    let (mut first, second) = (Pool::start(&upstream_site(&node)), Pool::start(&upstream_site(&node)));
    let above = address_of(&mut first);
    let (translator, _data) = translator(&[&above, &v1_address_of(&second)]);
    let mut raw = RawMiner::join(translator.miners, "anybody.rig");
    let old = raw.job();
    raw.submit_good(&old);
    wait_for_shares(&first, &translator, 1);
    first.kill();
    let job = raw.wait_for("mining.notify", |job| job[8] == true);
    raw.submit_good(&job);
    wait_for_shares(&second, &translator, 1);
    let metric = |name: &str| translator.metric(name);
    until("both sessions and both shares are counted", || {
        let counted = ["warppool_upstream_sessions_total", "warppool_upstream_shares_total{state=\"accepted\"}"];
        (counted.map(metric) == [2.0, 2.0]).then_some(())
    });
}

#[test]
fn the_first_pool_is_gone_back_to_when_it_has_been_there_again_for_some_time() {
    let (node, _directory) = node();
    let mut site = upstream_site(&node);
    let (mut first, second) = (Pool::start(&site), Pool::start(&upstream_site(&node)));
    let (above, miners) = (address_of(&mut first), first.miners);
    let (translator, _data) = translator_with(&[&above, &v1_address_of(&second)], &["--return-after", "1"]);
    let mut raw = RawMiner::join(translator.miners, "anybody.rig");
    raw.job();
    first.kill();
    let job = raw.wait_for("mining.notify", |job| job[8] == true);
    raw.submit_good(&job);
    wait_for_shares(&second, &translator, 1);
    let first = Pool::start_again(&mut site, miners);
    let job = raw.wait_for("mining.notify", |job| job[8] == true);
    raw.submit_good(&job);
    wait_for_shares(&first, &translator, 1);
    until("the three sessions are counted", || {
        (translator.metric("warppool_upstream_sessions_total") == 3.0).then_some(())
    });
}

#[test]
fn a_pool_that_shares_no_code_with_ours_credits_what_miners_of_both_protocols_find() {
    let above = FakePool::start(Defect::None);
    let (mut translator, _data) = translator(&[&format!("stratum+tcp://{}", above.address)]);
    translator.wait_for_log(&["work comes from the upstream"]);
    let mut modern = translator.v2_miner(0);
    let extended = modern.open_extended("modern.extended").unwrap();
    let standard = modern.open_standard("modern.standard").unwrap();
    for channel in [extended, standard] {
        let share = modern.channel(channel).search().version_bits(ROLLED).hit();
        assert_eq!(modern.submit(&share), Ok(()));
    }
    until("the pool credits both", || {
        let count = |state: &str| translator.metric(&format!("warppool_upstream_shares_total{{state=\"{state}\"}}"));
        (count("sent") == 2.0 && count("accepted") == 2.0).then_some(())
    });
}

/// What a pool says to a request for which it has no words of its own.
fn usual(request: &Value) -> String {
    let result = match request["method"].as_str().unwrap() {
        "mining.configure" => json!({ "version-rolling": true, "version-rolling.mask": "1fffe000" }),
        "mining.subscribe" => json!([[["mining.notify", "1"]], "0a0b0c0d", 8]),
        _ => json!(true),
    };
    format!("{}\n", json!({ "id": request["id"], "result": result, "error": null }))
}

/// A pool that does as usual, but says something else to one method.
fn odd(method: &'static str, say: impl Fn(&Value) -> String + Send + Sync + 'static) -> FakePool {
    FakePool::saying(move |request| if request["method"] == method { say(request) } else { usual(request) })
}

fn result(request: &Value, result: &Value, error: &Value) -> String {
    format!("{}\n", json!({ "id": request["id"], "result": result, "error": error }))
}

#[test]
fn pools_of_no_use_are_passed_over_and_the_reason_said() {
    let endless = "x".repeat(UPSTREAM_LINE_BYTES_MAX + 1);
    let garbled = |line: &'static str| odd("mining.extranonce.subscribe", move |_| format!("{line}\n"));
    let cases = [
        (FakePool::saying(|_| "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned()), "no Stratum V1"),
        (FakePool::saying(move |_| endless.clone()), "sent a line of more than"),
        (odd("mining.configure", |it| result(it, &json!(null), &json!([20, "what?", null]))), "does not allow miners"),
        (
            odd("mining.configure", |it| {
                let rolling = json!({ "version-rolling": true, "version-rolling.mask": "00c00000" });
                result(it, &rolling, &json!(null))
            }),
            "the version bits 00c00000 only; 1fffe000 are needed",
        ),
        (
            odd("mining.subscribe", |it| result(it, &json!([[], "0a0b0c0d", 4]), &json!(null))),
            "leaves 4 bytes of the extranonce to us; 8 are needed",
        ),
        (odd("mining.subscribe", |it| result(it, &json!(null), &json!("full"))), "refuses the connection"),
        (
            odd("mining.authorize", |it| result(it, &json!(false), &json!([24, "no \u{7}such user", null]))),
            "does not authorize the user",
        ),
        (garbled(r#"{"method":"mining.notify","params":[{}]}"#), "sent a job that cannot be one"),
        (garbled(r#"{"method":"mining.set_difficulty","params":[-1]}"#), "mining.set_difficulty"),
        (garbled(r#"{"method":5}"#), "no Stratum V1"),
    ];
    let good = FakePool::start(Defect::None);
    let pools = cases.iter().map(|(pool, _)| pool).chain([&good]);
    let addresses: Vec<_> = pools.map(|pool| format!("stratum+tcp://{}", pool.address)).collect();
    let (mut translator, _data) = translator(&addresses.iter().map(String::as_str).collect::<Vec<_>>());
    for (pool, reason) in &cases {
        translator.wait_for_log(&[&format!("the upstream stratum+tcp://{}: ", pool.address), reason]);
    }
    RawMiner::join(translator.miners, "anybody").job();
    assert_eq!(translator.terminate().0, Some(0));
}

#[test]
fn a_v1_pool_may_send_the_translator_to_another_port_but_not_to_another_host() {
    let good = FakePool::start(Defect::None);
    let port = good.address.port();
    let sending = odd("mining.authorize", move |request| {
        let text = r#"{"id":null,"method":"client.show_message","params":["we move"]}"#;
        let away = r#"{"id":null,"method":"client.reconnect","params":["10.9.9.9",3333,0]}"#;
        let near = format!(r#"{{"id":null,"method":"client.reconnect","params":["",{port},0]}}"#);
        format!("{}{text}\n{away}\n{near}\n", usual(request))
    });
    let (mut translator, _data) = translator(&[&format!("stratum+tcp://{}", sending.address)]);
    translator.wait_for_log(&["says: we move"]);
    translator.wait_for_log(&["asks to connect to 10.9.9.9, which is another host: not followed"]);
    translator.wait_for_log(&[&format!("work comes from the upstream stratum+tcp://{}", good.address)]);
    RawMiner::join(translator.miners, "anybody").job();
}

#[test]
fn a_v1_pool_over_tls_is_believed_by_its_certificate_alone() {
    let (node, _directory) = node();
    let site = with_certificate(upstream_site(&node));
    let pool = Pool::start(&site);
    let above = format!("stratum+ssl://127.0.0.1:{}", pool.miners.port());
    let (mut stranger, _data) = translator(&[&above]);
    stranger.wait_for_log(&["the upstream stratum+ssl://127.0.0.1:", "TLS do not agree", "--upstream-ca FILE"]);
    let file = certificate_file(&site);
    let (friend, _data) = translator_with(&[&above], &["--upstream-ca", file.to_str().unwrap()]);
    let mut miner = RawMiner::join(friend.miners, "anybody.rig");
    let job = miner.job();
    (0..3).for_each(|_| miner.submit_good(&job));
    wait_for_shares(&pool, &friend, 3);
}
