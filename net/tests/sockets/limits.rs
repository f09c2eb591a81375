//! When the system runs out of file descriptors.

use crate::harness::{Server, write_all};
use std::process::Command;
use std::time::Duration;
use warppool_components::inbox::Inbox;

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
    let served = server.opened()[0];
    let tries = server.sockets.counters().accept_failures;
    let calls = 100;
    for _ in 0..calls {
        server.sockets.receive(Some(Duration::ZERO), &mut Inbox::default()).expect("the event queue works");
    }
    assert!(server.sockets.counters().accept_failures - tries < calls / 2, "it does not try at each call");
    write_all(&streams[0], b"served meanwhile\n");
    server.until("line", |server| server.lines(served) == ["served meanwhile"]);
    drop(streams.drain(..wanted / 2).collect::<Vec<_>>());
    server.until("rest", |server| server.opened().len() >= wanted);
}
