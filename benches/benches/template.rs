//! A template of 4000 transactions: from the node's JSON to a checked template, and on to the first bytes of a job. And
//! the trees by themselves, with every backend.

use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};
use warppool_benches::scene::{Scene, log_in};
use warppool_benches::turns::{Way, in_turns};
use warppool_benches::{plain, table};
use warppool_components::inbox::Inbox;
use warppool_components::node::NodeEvent;
use warppool_components::settings::Network;
use warppool_components::template::Template;
use warppool_components::units::{Hash256, UnixTime};
use warppool_io::node::{LevelHasher, merkle, template};
use warppool_simnode::{SimNode, SimNodeOptions};
use warppool_systems::sha256d::{Backend, Calibration, Hasher};

const TRANSACTIONS: usize = 4000;

fn main() {
    let json = template_json();
    bench_template(&json);
    bench_trees();
}

fn bench_template(json: &[u8]) {
    table::heading(
        "A template",
        &format!(
            "{TRANSACTIONS} transactions, {:.2} MB of JSON; the trees of its txids and wtxids are hashed. The plain way reads \
             a tree of values, decodes hex digit by digit and hashes pair by pair with `sha2`; it checks nothing.",
            json.len() as f64 / 1e6
        ),
    );
    let (in_lanes, one_by_one) = (level_hasher(Calibration::of_this_machine().hasher), LevelHasher::default());
    let costs = in_turns(
        Duration::from_secs(6),
        vec![
            Way::new("plain", 1, || drop(black_box(plain::template(black_box(json))))),
            Way::new("a tree of values alone (serde_json)", 1, || {
                black_box(serde_json::from_slice::<Value>(black_box(json)).is_ok());
            }),
            Way::new("parsed and checked, trees pair by pair", 1, || drop(black_box(parse(json, &one_by_one)))),
            Way::new("parsed and checked, trees in lanes", 1, || drop(black_box(parse(json, &in_lanes)))),
            Way::timed("JSON to the first job's bytes", 1, || job_of(json, &in_lanes)),
        ],
    );
    table::ratios("template", &costs);
}

/// Until there is something to write to a miner who waits for work.
fn job_of(json: &[u8], hasher: &LevelHasher) -> Duration {
    let mut scene = Scene::empty();
    let mut inbox = Inbox::default();
    log_in(0, &mut inbox);
    scene.tick(&mut inbox);
    let start = Instant::now();
    inbox.node.push(NodeEvent::Template(parse(json, hasher).into()));
    scene.tick(&mut inbox);
    let duration = start.elapsed();
    assert!(!scene.outbox.writes.is_empty(), "the miner is sent a job");
    duration
}

fn bench_trees() {
    table::heading(
        "The path of a coinbase",
        &format!("From {TRANSACTIONS} ids: some 4000 pairs, 3 compressions each."),
    );
    let ids: Vec<Hash256> =
        (0..TRANSACTIONS as u32).map(|number| merkle::double_sha256(&number.to_le_bytes())).collect();
    let plain_ids: Vec<[u8; 32]> = ids.iter().map(|id| *id.as_internal()).collect();
    let mut ways = vec![Way::new("plain", 1, || drop(black_box(plain::branches(plain_ids.clone()))))];
    let mut add = |name: &str, hasher: LevelHasher| {
        let ids = &ids;
        ways.push(Way::new(name, 1, move || drop(black_box(merkle::coinbase_branches(ids, &hasher)))));
    };
    for backend in Backend::available() {
        add(backend.name(), level_hasher(Hasher::forced(*backend).expect("an available backend")));
    }
    add("calibrated", level_hasher(Calibration::of_this_machine().hasher));
    table::ratios("path", &in_turns(Duration::from_secs(3), ways));
}

fn level_hasher(hasher: Hasher) -> LevelHasher {
    LevelHasher::new(move |nodes| hasher.hash_level(nodes))
}

fn parse(json: &[u8], hasher: &LevelHasher) -> Template {
    let now = UnixTime::from_seconds(1_800_000_000);
    template::parse(black_box(json), Network::Regtest, now, hasher).expect("a good template").template
}

/// What the simulated node answers to `getblocktemplate`.
fn template_json() -> Vec<u8> {
    let directory = std::env::temp_dir().join(format!("warppool-bench-{}", std::process::id()));
    let options = SimNodeOptions {
        transactions: TRANSACTIONS..=TRANSACTIONS,
        zmq: false,
        ..SimNodeOptions::regtest(directory.clone())
    };
    let node = SimNode::start(options).expect("a node");
    let json = ask(&node.rpc_url(), &node.cookie_path());
    node.stop();
    std::fs::remove_dir_all(&directory).expect("the node's own directory");
    json
}

fn ask(url: &str, cookie: &Path) -> Vec<u8> {
    let cookie = std::fs::read_to_string(cookie).expect("the node wrote it");
    let authority = url.trim_start_matches("http://");
    let body = r#"{"id":0,"method":"getblocktemplate","params":[{"rules":["segwit"]}]}"#;
    let mut answer = ureq::post(format!("http://{cookie}@{authority}")).send(body).expect("an answer");
    let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().expect("JSON");
    let answer: BTreeMap<&str, &RawValue> = serde_json::from_str(&text).expect("an object");
    answer["result"].get().as_bytes().to_vec()
}
