//! A template of 4000 transactions: from the node's JSON to a checked template, and on to the first bytes of a job. Beside
//! it the same JSON read into a tree of values by the library, which is where a plain way would only begin.
#![allow(missing_docs, reason = "criterion's macros make functions without docs")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;
use warppool_components::connection::{ConnectionKey, Protocol};
use warppool_components::inbox::{Inbox, Now, Opened};
use warppool_components::node::NodeEvent;
use warppool_components::outbox::Outbox;
use warppool_components::record::Restored;
use warppool_components::settings::Network;
use warppool_components::units::{Instant, UnixTime};
use warppool_engine::Engine;
use warppool_io::node::{LevelHasher, template};
use warppool_simnode::{SimNode, SimNodeOptions};
use warppool_tests::pool::settings;
use warppool_tests::work::address;

const TRANSACTIONS: usize = 4000;

fn bench(criterion: &mut Criterion) {
    let json = template_json();
    let now = UnixTime::from_seconds(1_800_000_000);
    let parsed = || {
        template::parse(black_box(&json), Network::Regtest, now, &LevelHasher::default())
            .expect("a good template")
            .template
    };
    let mut group = criterion.benchmark_group("template");
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("parse and check", |bencher| bencher.iter(parsed));
    group.bench_function("serde_json::Value alone", |bencher| {
        bencher.iter(|| serde_json::from_slice::<Value>(black_box(&json)).is_ok());
    });
    group.bench_function("JSON to the first job's bytes", |bencher| {
        bencher.iter_batched(
            || miner(now),
            |(mut engine, at)| {
                let mut inbox = Inbox::default();
                let mut outbox = Outbox::default();
                inbox.node.push(NodeEvent::Template(parsed().into()));
                engine.tick(at, &mut inbox, &mut outbox);
                assert!(!outbox.writes.is_empty(), "the miner is sent a job");
                (engine, outbox)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
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

/// An engine with one miner that waits for work.
fn miner(now: UnixTime) -> (Engine, Now) {
    let mut at = Now { instant: Instant(1_000_000_000), unix: now };
    let mut engine = Engine::new(settings(), 1, Restored::default(), at);
    let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
    let connection = ConnectionKey { slot: 0, generation: 1 };
    inbox.opened.push(Opened { connection, peer: IpAddr::V4(Ipv4Addr::LOCALHOST), protocol: Protocol::StratumV1 });
    inbox.push_line(connection, br#"{"id":1,"method":"mining.subscribe","params":["bench"]}"#);
    let line = format!(r#"{{"id":2,"method":"mining.authorize","params":["{}","x"]}}"#, address(1));
    inbox.push_line(connection, line.as_bytes());
    engine.tick(at, &mut inbox, &mut outbox);
    at.instant = at.instant + Duration::from_millis(1);
    (engine, at)
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(Duration::from_secs(5));
    targets = bench
}
criterion_main!(benches);
