//! A tick with shares: everything from the line to the answer but the socket. Shares are counted, not ticks.
#![allow(missing_docs, reason = "criterion's macros make functions without docs")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use warppool_components::connection::{ConnectionKey, Protocol};
use warppool_components::inbox::{Inbox, Now, Opened};
use warppool_components::node::NodeEvent;
use warppool_components::outbox::Outbox;
use warppool_components::record::Restored;
use warppool_components::settings::VardiffSettings;
use warppool_components::units::{Instant, UnixTime};
use warppool_engine::Engine;
use warppool_tests::pool::{START_SECONDS, difficulty, settings};
use warppool_tests::work::{address, template};

/// Ticks measured together, so that one clock reading is nothing beside them.
const TICKS: usize = 32;

/// Connections that the shares come from.
const CONNECTIONS: u32 = 64;

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tick");
    for shares in [1, 8, 64, 1024, 8192] {
        group.throughput(Throughput::Elements((TICKS * shares) as u64));
        group.bench_function(BenchmarkId::from_parameter(shares), |bencher| {
            bencher.iter_batched(|| prepare(shares), run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

/// An engine with miners, and inboxes full of shares that are all good: every hash meets the difficulty.
fn prepare(shares: usize) -> (Engine, Now, Vec<Inbox>) {
    let mut now = Now { instant: Instant(1_000_000_000), unix: UnixTime::from_seconds(START_SECONDS) };
    let mut settings = settings();
    let easiest = difficulty(1e-12);
    settings.vardiff = VardiffSettings { enabled: false, initial: easiest, min: easiest, ..settings.vardiff };
    let mut engine = Engine::new(settings, 1, Restored::default(), now);
    let mut outbox = Outbox::default();
    let mut inbox = Inbox::default();
    inbox.node.push(NodeEvent::Template(template(1, 1, now.unix).into()));
    for slot in 0..CONNECTIONS {
        let connection = key(slot);
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        inbox.opened.push(Opened { connection, peer, protocol: Protocol::StratumV1 });
        inbox.push_line(connection, br#"{"id":1,"method":"mining.subscribe","params":["bench"]}"#);
        let user = format!("{}.w{slot}", address(1));
        let line = format!(r#"{{"id":2,"method":"mining.authorize","params":["{user}","x"]}}"#);
        inbox.push_line(connection, line.as_bytes());
    }
    engine.tick(now, &mut inbox, &mut outbox);
    now.instant = now.instant + Duration::from_millis(1);
    let inboxes = (0..TICKS).map(|tick| full_inbox(tick, shares)).collect();
    (engine, now, inboxes)
}

fn key(slot: u32) -> ConnectionKey {
    ConnectionKey { slot, generation: 1 }
}

/// Lines of one connection follow each other, as the sockets give them.
fn full_inbox(tick: usize, shares: usize) -> Inbox {
    let mut inbox = Inbox::default();
    let each = shares.div_ceil(CONNECTIONS as usize);
    for number in 0..shares {
        let slot = (number / each) as u32;
        let line = format!(
            r#"{{"id":{number},"method":"mining.submit","params":["{}.w{slot}","1","{:016x}","{:x}","{:08x}"]}}"#,
            address(1),
            tick * shares + number,
            START_SECONDS,
            number
        );
        inbox.push_line(key(slot), line.as_bytes());
    }
    inbox
}

fn run((mut engine, mut now, inboxes): (Engine, Now, Vec<Inbox>)) -> Engine {
    let mut outbox = Outbox::default();
    for mut inbox in inboxes {
        now.instant = now.instant + Duration::from_micros(10);
        engine.tick(now, &mut inbox, &mut outbox);
    }
    engine
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = bench
}
criterion_main!(benches);
