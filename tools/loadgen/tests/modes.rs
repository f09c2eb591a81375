//! Every mode for a short time against an in-test pool or the echo server.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use support::{ADDRESS, Script, TestPool};
use warppool_loadgen::modes::abuse::{self, Attack};
use warppool_loadgen::modes::echo::{EchoServer, Options as EchoOptions};
use warppool_loadgen::modes::{echo, fanout, idle, storm, throughput};
use warppool_loadgen::{Protocol, SwarmError, Target};

const SHORT: Duration = Duration::from_millis(400);

fn target(server: SocketAddr, protocol: Protocol, connections: usize) -> Target {
    Target {
        server,
        protocol,
        username: ADDRESS.to_owned(),
        password: "x".to_owned(),
        connections,
        server_pid: Some(std::process::id()),
        login_timeout: Duration::from_secs(20),
        tls: None,
        v2: None,
        sources_from: None,
        is_remote_allowed: false,
    }
}

/// An echo server on its own thread.
struct Echo {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<std::io::Result<echo::Figures>>>,
}

impl Echo {
    fn start(broadcast_interval: Option<Duration>) -> Self {
        let server = EchoServer::bind(EchoOptions {
            listen: "127.0.0.1:0".parse().unwrap(),
            reply_bytes: 45,
            broadcast_interval,
            broadcast_bytes: 2048,
            duration: Duration::from_secs(60),
        })
        .unwrap();
        let (address, stop) = (server.address().unwrap(), Arc::new(AtomicBool::new(false)));
        let for_thread = Arc::clone(&stop);
        Self { address, stop, thread: Some(std::thread::spawn(move || server.run(&for_thread))) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn throughput_of(target: Target, window: usize) -> throughput::Figures {
    throughput::run(&throughput_options(target, window, None)).unwrap()
}

fn throughput_options(target: Target, window: usize, rate_per_second: Option<u32>) -> throughput::Options {
    throughput::Options { target, window, rate_per_second, warm_up: Duration::from_millis(50), duration: SHORT }
}

#[test]
fn throughput_counts_verdicts_of_a_pool() {
    let pool = TestPool::start(Script::AcceptAll);
    let figures = throughput_of(target(pool.address, Protocol::Stratum, 5), 8);
    assert!(figures.accepted > 100, "{figures:?}");
    assert_eq!(figures.latency.count(), figures.accepted);
    assert_eq!((figures.connections, figures.connections_lost, figures.lines_unknown), (5, 0, 0));
    assert!(figures.rejected_by_code.is_empty());
    let names: Vec<String> = pool.lines().into_iter().filter(|line| line.contains("mining.authorize")).collect();
    assert!(names.iter().any(|line| line.contains(&format!("{ADDRESS}.w4"))), "{names:?}");
    assert!(figures.report().get("server_cpu_us_per_verdict").is_some());
}

#[test]
fn throughput_keeps_to_a_rate_and_charges_a_stall_to_the_server() {
    let pool = TestPool::start(Script::AcceptAll);
    let options = throughput_options(target(pool.address, Protocol::Stratum, 5), 64, Some(1000));
    let figures = throughput::run(&options).unwrap();
    let expected = (1000.0 * figures.seconds) as u64;
    // What is on its way at either end of the interval belongs to the other side: a window a connection at most.
    assert!(figures.accepted.abs_diff(expected) <= 5 * 64, "{} of {expected}", figures.accepted);
    assert_eq!(figures.latency.count(), figures.accepted);
}

#[test]
fn throughput_counts_refusals_by_code() {
    let pool = TestPool::start(Script::RejectHalf);
    let figures = throughput_of(target(pool.address, Protocol::Stratum, 2), 4);
    let rejected = figures.rejected_by_code[&23];
    assert_eq!(figures.rejected_by_code.len(), 1);
    assert!(rejected.abs_diff(figures.accepted) <= 2 * 4, "{rejected} and {}", figures.accepted);
    assert_eq!(figures.latency.count(), figures.verdicts());
}

#[test]
fn throughput_follows_new_jobs() {
    let pool = TestPool::start(Script::AcceptAll);
    let address = pool.address;
    let run = std::thread::spawn(move || throughput_of(target(address, Protocol::Stratum, 3), 2));
    let figures = loop {
        pool.new_tip();
        if run.is_finished() {
            break run.join().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(figures.jobs_followed >= 3, "{figures:?}");
    assert_eq!(figures.lines_unknown, 0);
}

#[test]
fn throughput_against_the_echo_server_uses_the_same_lines() {
    let echo = Echo::start(None);
    let figures = throughput_of(target(echo.address, Protocol::Echo, 5), 8);
    assert!(figures.accepted > 1000, "{figures:?}");
    assert_eq!(figures.latency.count(), figures.accepted);
}

#[test]
fn fanout_sees_a_new_tip_at_every_connection() {
    let echo = Echo::start(Some(Duration::from_millis(50)));
    let options = fanout::Options {
        target: target(echo.address, Protocol::Echo, 20),
        rounds: 2,
        trigger: vec![],
        round_timeout: Duration::from_secs(20),
        metrics: None,
    };
    let figures = fanout::run(&options).unwrap();
    assert_eq!((figures.rounds, figures.after_first.count(), figures.last.count()), (2, 40, 2));
    assert_eq!(figures.bytes, 40 * 2048);
}

#[test]
fn fanout_of_a_pool_counts_clean_jobs_and_its_trigger_must_exist() {
    let pool = TestPool::start(Script::AcceptAll);
    let mut options = fanout::Options {
        target: target(pool.address, Protocol::Stratum, 4),
        rounds: 1,
        trigger: vec!["/no/such/program".to_owned()],
        round_timeout: Duration::from_secs(20),
        metrics: None,
    };
    let error = fanout::run(&options).unwrap_err().to_string();
    assert!(error.contains("/no/such/program"), "{error}");
    options.trigger = vec!["true".to_owned()];
    let run = std::thread::spawn(move || fanout::run(&options));
    while !run.is_finished() {
        pool.new_tip();
        std::thread::sleep(Duration::from_millis(20));
    }
    let figures = run.join().unwrap().unwrap();
    assert_eq!((figures.after_first.count(), figures.trigger_to_first.count()), (4, 1));
}

#[test]
fn storm_reports_jobs_and_failures() {
    let pool = TestPool::start(Script::AcceptAll);
    let within = Duration::from_millis(100);
    let good = storm::run(&storm::Options { target: target(pool.address, Protocol::Stratum, 30), within }).unwrap();
    assert_eq!((good.ready, good.failures.len(), good.extranonces_repeated), (30, 0, 0));
    assert_eq!(good.login.count(), 30);

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = storm::run(&storm::Options { target: target(closed, Protocol::Stratum, 3), within }).unwrap();
    assert_eq!((refused.ready, refused.failures.values().sum::<u64>()), (0, 3), "{refused:?}");
}

#[test]
fn idle_reads_the_servers_memory() {
    let pool = TestPool::start(Script::AcceptAll);
    let mut options = idle::Options { target: target(pool.address, Protocol::Stratum, 20), hold: SHORT };
    let figures = idle::run(&options).unwrap();
    assert_eq!(figures.connections, 20);
    assert!(figures.resident_bytes_after > 0 && figures.resident_bytes_before > 0);
    options.target.server_pid = None;
    assert!(idle::run(&options).unwrap_err().to_string().contains("--server-pid"));
}

#[test]
fn what_must_not_or_cannot_be_loaded_is_refused_with_the_way_out() {
    let mut elsewhere = target("192.0.2.1:3333".parse().unwrap(), Protocol::Stratum, 1);
    assert!(matches!(elsewhere.check(), Err(SwarmError::NotLoopback(_))));
    elsewhere.is_remote_allowed = true;
    assert!(elsewhere.check().is_ok());
    elsewhere.connections = 0;
    assert!(matches!(elsewhere.check(), Err(SwarmError::ConnectionCount(0))));
    let few = warppool_loadgen::process::open_files_max().unwrap();
    if few < 28_000 {
        elsewhere.connections = few as usize;
        assert!(elsewhere.check().unwrap_err().to_string().contains("ulimit -n"));
    }
}

#[test]
fn abuse_measures_the_others_before_and_during() {
    let pool = TestPool::start(Script::AcceptAll);
    let rows = abuse::run(&abuse::Options {
        target: target(pool.address, Protocol::Stratum, 5),
        shares_per_second: 200,
        duration: SHORT,
        storm_connections: 10,
        storm_within: SHORT,
        attacks: vec![Attack::HalfOpen, Attack::InvalidShares, Attack::Storm],
    })
    .unwrap();
    for row in &rows {
        assert!(row.before.count() > 20 && row.during.count() > 20, "{row:?}");
        assert_eq!((row.refused, row.lost), (0, 0), "{row:?}");
        assert!(row.server_cores.is_some() && row.server_bytes.is_some());
    }
    assert!(rows[0].outcome.starts_with("200 of 200 still open"), "{rows:?}");
    assert!(rows[1].outcome.starts_with("0 of 4 closed; "), "{rows:?}");
    assert!(rows[2].outcome.starts_with("10 of 10 with their first job"), "{rows:?}");
    assert_eq!(abuse::table(&rows).lines().count(), 5);
}
