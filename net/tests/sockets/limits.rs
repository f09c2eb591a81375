//! When an address connects too often or too much, and when the system runs out of file descriptors.

use crate::harness::{Server, read_to_end, write_all};
use std::num::NonZeroU32;
use std::process::Command;
use std::time::Duration;
use warppool_components::inbox::Inbox;
use warppool_components::settings::RateLimits;

const INNER: &str = "WARPPOOL_NET_TEST_FEW_DESCRIPTORS";

/// Runs the inner test in a process that may open 64 files.
#[test]
fn without_descriptors_accepting_pauses_and_goes_on_when_one_is_free() {
    let this = std::env::current_exe().expect("the test's own program");
    let status = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --exact limits::few_descriptors --test-threads 1"])
        .arg(this)
        .env(INNER, "1")
        .status()
        .expect("a shell");
    assert!(status.success());
}

#[test]
fn few_descriptors() {
    if std::env::var_os(INNER).is_none() {
        return;
    }
    let mut server = Server::start();
    let mut streams = Vec::new();
    // Clients and server share the process, so the clients end first, then the server has too few.
    while let Ok(stream) = std::net::TcpStream::connect(server.address()) {
        streams.push(stream);
    }
    drop(streams.split_off(streams.len() / 2 + 10));
    let wanted = streams.len();
    server.until("failure", |server| server.sockets.counters().accept_failures > 0);
    let tries = server.sockets.counters().accept_failures;
    let calls = 100;
    for _ in 0..calls {
        server.sockets.receive(Some(Duration::ZERO), &mut Inbox::default()).expect("the event queue works");
    }
    assert!(server.sockets.counters().accept_failures - tries < calls / 2, "it does not try at each call");
    write_all(&streams[0], b"served meanwhile\n");
    server.until("line", |server| server.opened().len() == 1 && !server.lines(server.opened()[0]).is_empty());
    assert_eq!(server.lines(server.opened()[0]), ["served meanwhile"]);
    drop(streams.drain(..wanted / 2).collect::<Vec<_>>());
    server.until("rest", |server| server.sockets.counters().accepted >= wanted as u64);
}

/// A rate at which nothing is added while the test runs.
fn limits(connect_burst: u32, connections_per_address_max: u32) -> RateLimits {
    RateLimits {
        connects_per_second: 0.001,
        connect_burst,
        connections_per_address_max: NonZeroU32::new(connections_per_address_max),
        ..RateLimits::default()
    }
}

#[test]
fn an_address_over_its_rate_is_turned_away_and_those_inside_stay() {
    let mut server = Server::start();
    server.sockets.set_rate_limits(Some(limits(2, 0)));
    let (first, key) = server.connect_known();
    let (second, _) = server.connect_known();
    let third = server.connect();
    server.until("refusal", |server| server.sockets.counters().over_rate == 1);
    assert_eq!(read_to_end(&third), b"");
    assert_eq!((server.sockets.connections(), server.opened().len()), (2, 2));
    write_all(&first, b"still served\n");
    server.until("line", |server| server.lines(key) == ["still served"]);
    // A reload that limits nothing lets everybody in.
    server.sockets.set_rate_limits(None);
    let (_fourth, _) = server.connect_known();
    drop(second);
    server.until("end", |server| server.closed().len() == 1);
}

#[test]
fn an_address_has_a_number_of_connections_that_grows_again_when_one_ends() {
    let mut server = Server::start();
    server.sockets.set_rate_limits(Some(limits(1000, 2)));
    let (first, _) = server.connect_known();
    let (_second, key) = server.connect_known();
    for refused in 1..=5 {
        let stream = server.connect();
        server.until("refusal", |server| server.sockets.counters().over_address_cap == refused);
        assert_eq!(read_to_end(&stream), b"");
    }
    drop(first);
    server.until("end", |server| server.closed().len() == 1);
    let (_third, _) = server.connect_known();
    // One that the engine ends leaves its place too.
    server.close(key);
    server.send();
    let (_fourth, _) = server.connect_known();
    assert_eq!(server.sockets.connections(), 2);
}
