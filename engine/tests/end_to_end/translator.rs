//! `warppool translate` between miners and a pool of ours: pool, translator and miner are three of a kind, over real sockets.

use crate::harness::{Pool, Program, RawMiner, Site, address, builds_on, node, node_with, until};
use serde_json::Value;
use std::net::TcpListener;
use tempfile::TempDir;
use warppool_loadgen::miner::{Device, MinerOptions, SimMiner};
use warppool_net::transport::noise::{AuthorityKey, AuthorityPublicKey};
use warppool_simnode::SimNode;

/// Every hash is a share to this pool, so that each share of the raw miners is handed on.
pub(crate) fn upstream_site(node: &SimNode) -> Site {
    Site::new(node).with("vardiff.initial_diff", "1e-12")
}

/// Where a pool serves Stratum V2, with its key.
pub(crate) fn address_of(pool: &mut Pool) -> String {
    let (address, authority) = pool.v2_address();
    let authority = AuthorityPublicKey::from_bytes(&authority).unwrap();
    format!("stratum2+tcp://{address}/{authority}")
}

pub(crate) fn user() -> String {
    format!("{}.translator", address(1))
}

/// A translator, and the directory that it lives in.
pub(crate) fn translator(upstreams: &[&str]) -> (Pool, TempDir) {
    translator_with(upstreams, &[])
}

/// The same with more arguments.
pub(crate) fn translator_with(upstreams: &[&str], more: &[&str]) -> (Pool, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut arguments: Vec<String> = ["translate", "--listen", "127.0.0.1:0", "--dashboard", "127.0.0.1:0"]
        .map(str::to_owned)
        .into_iter()
        .chain(["--user".to_owned(), user(), "--data".to_owned(), directory.path().to_str().unwrap().to_owned()])
        .collect();
    arguments.extend(upstreams.iter().flat_map(|upstream| ["--upstream".to_owned(), (*upstream).to_owned()]));
    for key in ["ratelimit.enabled=false", "tuning.rayon_threads=1", "store.flush_interval_ms=50"] {
        arguments.extend(["--set".to_owned(), key.to_owned()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
    (Pool::of(Program::start(&arguments, &[])), directory)
}

pub(crate) fn wait_for_shares(pool: &Pool, translator: &Pool, count: u64) {
    until("the pool above credits the shares", || {
        pool.worker(&user()).filter(|worker| worker["shares"]["accepted"].as_u64() >= Some(count))
    });
    until("the translator hears of it", || {
        let accepted = translator.metric("warppool_upstream_shares_total{state=\"accepted\"}");
        (accepted >= count as f64).then_some(())
    });
}

#[test]
fn shares_of_a_miner_below_are_credited_above_and_its_jobs_follow_the_tip() {
    let (node, _directory) = node();
    let mut pool = Pool::start(&upstream_site(&node));
    let above = address_of(&mut pool);
    let (translator, _data) = translator(&[&above]);
    let mut miner = RawMiner::join(translator.miners, "anybody.rig");
    let old = miner.job();
    (0..3).for_each(|_| miner.submit_good(&old));
    wait_for_shares(&pool, &translator, 3);
    node.mine_external_block();
    let job = miner.wait_for("mining.notify", |job| job[1] != old[1]);
    assert_eq!(job[8], true, "a new tip is a clean job");
    miner.submit_good(&job);
    assert_eq!(miner.submit_again(&job).unwrap()["error"][0], 22, "duplicate");
    assert_eq!(miner.submit(&old).unwrap()["error"][0], 21, "stale");
    wait_for_shares(&pool, &translator, 4);
    assert_eq!(translator.worker("anybody.rig").unwrap()["shares"]["accepted"], 4, "credited here by its own name");
    until("the upstream is told to be up", || (translator.metric("warppool_upstream_up") == 1.0).then_some(()));
    let overview = translator.json_when("/api/overview", |page: &Value| page["node"]["health"] != "starting");
    assert!(overview.to_string().contains("stratum2+tcp://127.0.0.1"), "{overview}");
    assert_eq!(pool.metric("warppool_shares_rejected_total{reason=\"low_difficulty\"}"), 0.0);
}

#[test]
fn a_block_that_a_miner_below_finds_is_the_pool_s_and_pays_the_translator_s_user() {
    let (node, _directory) = node_with(|_| {});
    let mut pool = Pool::start(&upstream_site(&node));
    let above = address_of(&mut pool);
    let (mut translator, _data) = translator(&[&above]);
    let mut miner = RawMiner::join(translator.miners, "anybody.rig");
    let job = miner.job();
    let hash = miner.submit_block(&job);
    let block = until("the node takes the block", || node.blocks().into_iter().find(|block| block.hash == hash));
    assert!(block.submitted);
    assert_eq!(block.coinbase_outputs[0].address.as_deref(), Some(address(1).as_str()));
    translator.wait_for_log(&["found by anybody.rig: sent to the upstream pool"]);
    pool.json_when("/api/blocks", |page| {
        page["blocks"].as_array().is_some_and(|rows| rows.iter().any(|row| row["hash"] == hash.as_str()))
    });
    miner.wait_for("mining.notify", |job| builds_on(job, &hash));
}

#[test]
fn miners_stay_while_the_pool_above_restarts_and_their_next_job_is_clean() {
    let (node, _directory) = node();
    let mut site = upstream_site(&node);
    let mut pool = Pool::start(&site);
    let above = address_of(&mut pool);
    let (mut translator, _data) = translator(&[&above]);
    let mut miner = RawMiner::join(translator.miners, "anybody.rig");
    let old = miner.job();
    miner.submit_good(&old);
    wait_for_shares(&pool, &translator, 1);
    let miners = pool.miners;
    pool.kill();
    translator.wait_for_log(&["the upstream stratum2+tcp://127.0.0.1:", "ended"]);
    until("the loss is seen", || (translator.metric("warppool_upstream_up") == 0.0).then_some(()));
    let pool = Pool::start_again(&mut site, miners);
    let job = miner.wait_for("mining.notify", |job| job[8] == true);
    miner.submit_good(&job);
    assert_eq!(miner.submit(&old).unwrap()["error"][0], 21, "work of the session before is worth nothing");
    wait_for_shares(&pool, &translator, 2);
    until("two sessions are told", || (translator.metric("warppool_upstream_sessions_total") == 2.0).then_some(()));
}

#[test]
fn a_pool_with_another_key_or_none_at_all_is_passed_over_and_the_reason_said() {
    let (node, _directory) = node();
    let mut pool = Pool::start(&upstream_site(&node));
    let above = address_of(&mut pool);
    let stranger = AuthorityKey::generate().public();
    let impostor = format!("stratum2+tcp://{}/{stranger}", pool.miners);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("stratum2+tcp://{nobody}/{stranger}");
    let (mut translator, _data) = translator(&[&impostor, &nobody, &above]);
    translator.wait_for_log(&["not signed by the authority in its address"]);
    translator.wait_for_log(&["cannot be reached"]);
    translator.wait_for_log(&["work comes from the upstream", &user()]);
    let mut miner = RawMiner::join(translator.miners, "anybody");
    let job = miner.job();
    miner.submit_good(&job);
    wait_for_shares(&pool, &translator, 1);
    let (status, _) = translator.terminate();
    assert_eq!(status, Some(0));
}

#[test]
fn what_cannot_be_an_upstream_is_refused_before_anything_starts() {
    let arguments = ["translate", "--user", "me", "--upstream", "http://127.0.0.1:3333"];
    let (status, _, errors) = Program::start(&arguments, &[]).finish();
    assert_eq!(status, Some(2));
    let [v1, v2] = ["stratum+tcp://HOST:PORT", "stratum2+tcp://HOST:PORT/KEY"];
    assert!(errors.contains(v1) && errors.contains(v2), "{errors}");
}

/// Some 65,536 hashes a block.
const FEW_HASHES: u32 = 0x1f00_ffff;

/// Miners of both protocols mine while the difficulty above moves, and nothing is refused as too easy.
pub(crate) fn mine_while_the_difficulty_moves(address_of: impl Fn(&mut Pool) -> String) {
    let (node, _directory) = node_with(|options| options.bits = FEW_HASHES);
    let site = Site::new(&node).with("vardiff.enabled", "true").with("vardiff.target_seconds_per_share", "0.2");
    let mut pool = Pool::start(&site);
    let above = address_of(&mut pool);
    let (mut translator, _data) = translator(&[&above]);
    translator.wait_for_log(&["work comes from the upstream"]);
    let bitaxe = SimMiner::start(MinerOptions {
        hashes_per_second_max: Some(150_000.0),
        ..MinerOptions::new(translator.miners, Device::Bitaxe, "bitaxe")
    });
    let mut modern = translator.v2_miner(0);
    let extended = modern.open_extended("modern.extended").unwrap();
    let standard = modern.open_standard("modern.standard").unwrap();
    for channel in [extended, standard] {
        // The Bitaxe finds blocks meanwhile.
        until("a share that is not stale", || {
            let share = modern.channel(channel).search().hit();
            modern.submit(&share).inspect_err(|code| assert_eq!(code, "stale-share")).ok()
        });
    }
    let rolled = until("a block of the Bitaxe", || {
        let blocks = node.blocks().into_iter();
        blocks.filter(|block| block.submitted).find(|block| block.version & 0x1fff_e000 != 0)
    });
    assert_eq!(rolled.coinbase_outputs[0].address.as_deref(), Some(address(1).as_str()));
    until("the difficulty above has moved", || {
        let worker = pool.worker(&user())?;
        (worker["difficulty"].as_f64() > Some(2e-6) && worker["shares"]["accepted"].as_u64() > Some(50)).then_some(())
    });
    let stats = bitaxe.stop();
    assert_eq!(stats.violations, Vec::<String>::new());
    let worker = pool.worker(&user()).unwrap();
    let refused = pool.metric("warppool_shares_rejected_total{reason=\"low_difficulty\"}");
    assert_eq!(refused, 0.0, "{worker}");
    assert_eq!(pool.metric("warppool_shares_rejected_total{reason=\"duplicate\"}"), 0.0, "{worker}");
}

#[test]
fn miners_of_both_protocols_mine_while_the_difficulty_above_moves_and_nothing_is_refused_as_too_easy() {
    mine_while_the_difficulty_moves(address_of);
}
