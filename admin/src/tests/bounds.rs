//! What a server holds against too much, too slow and too late.

use super::client::{connect, get, read_answer, request, send_head};
use super::fixture::{FakeHistory, Files, Server, options, snapshot, wait_until};
use crate::history::HistoryError;
use crate::options::{AdminError, AdminOptions};
use crate::server::start;
use crate::state::Bounds;
use std::io::{BufReader, Read, Write};
use std::sync::Arc;
use std::time::Duration;
use warppool_components::limits::{ADMIN_MESSAGES_QUEUED_MAX, HISTORY_CALLS_MAX};

#[test]
fn questions_to_the_store_have_a_cap() {
    let history = Arc::<FakeHistory>::default();
    let server = Server::with(options(), Bounds::default(), Arc::clone(&history), Files::default());
    history.set_shut(true);
    let address = server.address;
    let callers: Vec<_> =
        (0..HISTORY_CALLS_MAX).map(|_| std::thread::spawn(move || get(address, "/api/hashrate").status)).collect();
    history.wait_for_callers(HISTORY_CALLS_MAX);
    let refused = get(address, "/api/hashrate");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(get(address, "/api/overview").status, 200, "the rest is answered meanwhile");
    history.set_shut(false);
    for caller in callers {
        assert_eq!(caller.join().ok(), Some(200));
    }
    wait_until(|| get(address, "/api/hashrate").status == 200);
}

#[test]
fn a_store_that_fails_is_told_without_its_words() {
    for (error, status) in
        [(HistoryError::Unavailable("secret path".into()), 503), (HistoryError::Failed("secret path".into()), 500)]
    {
        let history = FakeHistory { error: Some(error), ..FakeHistory::default() };
        let server = Server::with(options(), Bounds::default(), Arc::new(history), Files::default());
        let answer = get(server.address, "/api/hashrate");
        assert_eq!((answer.status, answer.header("content-type")), (status, Some("application/problem+json")));
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
}

#[test]
fn half_a_head_is_not_waited_for() {
    let bounds = Bounds { header_deadline: Duration::from_millis(50), ..Bounds::default() };
    let server = Server::with(options(), bounds, Arc::default(), Files::default());
    let mut stream = connect(server.address);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: po").expect("the server takes bytes");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the server closes");
    assert!(!rest.contains("200 OK"), "{rest}");
}

#[test]
fn connections_have_a_cap_and_give_their_place_back() {
    let bounds = Bounds { connections_max: 2, ..Bounds::default() };
    let server = Server::with(options(), bounds, Arc::default(), Files::default());
    let held: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = connect(server.address);
            send_head(&mut stream, "GET", "/healthz", &[]);
            assert_eq!(read_answer(&mut BufReader::new(&stream), false).status, 200);
            stream
        })
        .collect();
    let refused = read_answer(&mut BufReader::new(connect(server.address)), false);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    drop(held);
    wait_until(|| {
        let mut stream = connect(server.address);
        send_head(&mut stream, "GET", "/healthz", &[]);
        read_answer(&mut BufReader::new(stream), false).status == 200
    });
}

#[test]
fn a_large_body_is_refused_before_it_is_sent() {
    let server = Server::new();
    let length = |bytes: &str| {
        request(server.address, "GET", "/healthz", &[("content-length", bytes), ("connection", "close")]).status
    };
    assert_eq!(length("1048577"), 413);
    assert_eq!(length("1048576"), 200);
}

#[test]
fn the_publisher_never_waits() {
    let server = Server::new();
    let publisher = server.publisher.clone();
    drop(server);
    let snapshot = Arc::new(snapshot());
    for _ in 0..=ADMIN_MESSAGES_QUEUED_MAX {
        publisher.publish(Arc::clone(&snapshot));
    }
    assert!(publisher.dropped() > 0, "nobody takes them any more");
}

fn start_on(listen: &[&str]) -> Result<Vec<std::net::SocketAddr>, AdminError> {
    let options = AdminOptions { listen: listen.iter().map(|&text| text.to_owned()).collect(), ..options() };
    let (handle, _publisher) = start(options, Arc::<FakeHistory>::default())?;
    let addresses = handle.addresses();
    assert!(
        addresses
            .iter()
            .all(|address| get((std::net::Ipv4Addr::LOCALHOST, address.port()).into(), "/healthz").status == 200)
    );
    handle.stop();
    Ok(addresses)
}

#[test]
fn a_port_alone_means_every_address() {
    assert!(start_on(&[":0"]).expect("a free port").iter().all(|address| address.ip().is_unspecified()));
    assert_eq!(start_on(&["127.0.0.1:0", "127.0.0.1:0"]).expect("free ports").len(), 2);
}

#[test]
fn an_address_that_cannot_be_had_is_named_with_the_way_out() {
    let server = Server::new();
    let taken = server.address.to_string();
    for (listen, expected) in [
        (taken.as_str(), format!("{taken} is already in use")),
        ("18334", "\"18334\" is not an address: use \":PORT\"".into()),
        (":70000", "\":70000\" is not an address".into()),
        ("192.0.2.1:80", "cannot listen on 192.0.2.1:80".into()),
    ] {
        let error = start_on(&[listen]).expect_err("it cannot be had").to_string();
        assert!(error.contains(&expected), "{error}");
    }
    assert!(matches!(start_on(&[]), Err(AdminError::NoAddress)));
}
