//! Addresses, and what the operator reads when one cannot be had.

use crate::harness::{DEADLINE, Server, write_all};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use warppool_components::inbox::Inbox;
use warppool_net::sockets::{ListenOptions, NetError, Sockets};

fn bind(addresses: &[&str]) -> Result<Sockets, NetError> {
    let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
    Sockets::bind(&ListenOptions { addresses, connections_max: 10, backlog: 16, ..ListenOptions::default() })
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let holder = bind(&["127.0.0.1:0"]).expect("a free port");
    let address = holder.local_addresses()[0].to_string();
    let error = bind(&[&address]).expect_err("the port is held");
    assert!(matches!(error, NetError::PortInUse(_)));
    let text = error.to_string();
    assert!(text.contains(&address) && text.contains("in use") && text.contains("choose another port"), "{text}");
}

#[test]
fn text_that_is_no_address_is_refused_with_examples() {
    for address in ["", "3333", ":", ":99999", "localhost", "127.0.0.1", "[::1]", "stratum+tcp://127.0.0.1:3333"] {
        let error = bind(&[address]).expect_err(address);
        assert!(matches!(&error, NetError::InvalidAddress(text) if text == address), "{address}: {error}");
        assert!(error.to_string().contains(":3333"), "{error}");
    }
    assert!(matches!(bind(&[]), Err(NetError::NoAddress)));
    assert!(matches!(bind(&["192.0.2.1:0"]), Err(NetError::NotOurAddress(_))));
}

#[test]
fn a_port_alone_means_every_address_and_an_ipv4_peer_is_known_by_its_ipv4_address() {
    let mut sockets = bind(&[":0", "127.0.0.1:0"]).expect("free ports");
    let addresses = sockets.local_addresses();
    assert_eq!(addresses.len(), 2);
    assert!(addresses[0].ip().is_unspecified());
    let mut peers = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, addresses[0].port())), addresses[1]];
    let ipv6 = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, addresses[0].port()));
    let streams: Vec<TcpStream> = peers.iter().map(|peer| TcpStream::connect(peer).expect("a listener")).collect();
    let over_ipv6 = TcpStream::connect(ipv6);
    peers.extend(over_ipv6.is_ok().then_some(ipv6));
    streams
        .iter()
        .chain(&over_ipv6)
        .for_each(|stream| write_all(stream, b"{\"id\":1,\"method\":\"mining.subscribe\"}\n"));
    let mut inbox = Inbox::default();
    let deadline = Instant::now() + DEADLINE;
    while inbox.opened.len() < peers.len() && Instant::now() < deadline {
        sockets.receive(Some(Duration::from_millis(20)), &mut inbox).expect("the event queue works");
    }
    let mut seen: Vec<_> = inbox.opened.iter().map(|opened| opened.peer).collect();
    let mut expected: Vec<_> = peers.iter().map(SocketAddr::ip).collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    drop((streams, over_ipv6));
}

#[test]
fn connections_beyond_the_cap_are_closed_at_once_and_counted() {
    let mut server = Server::with_cap(2);
    let (first, first_key) = server.connect_known();
    let (_second, _) = server.connect_known();
    let third = server.connect();
    server.until("refusal", |server| server.sockets.counters().over_cap == 1);
    assert!(crate::harness::read_to_end(&third).is_empty());
    write_all(&first, b"still served\n");
    server.until("line", |server| server.lines(first_key) == ["still served"]);
    server.sockets.set_connections_max(3);
    server.connect_known();
    assert_eq!((server.sockets.connections(), server.opened().len()), (3, 3));
    assert_eq!(server.sockets.counters().accepted, 3);
}

#[test]
fn another_thread_ends_the_wait() {
    let mut sockets = bind(&["127.0.0.1:0"]).expect("a free port");
    let mut inbox = Inbox::default();
    // The first calls find out that nobody waits to be accepted.
    sockets.receive(Some(Duration::ZERO), &mut inbox).expect("the event queue works");
    let waker = sockets.waker();
    let thread = std::thread::spawn(move || waker.wake());
    sockets.receive(Some(DEADLINE * 10), &mut inbox).expect("the event queue works");
    thread.join().expect("the thread").expect("a wake-up");
    assert!(inbox.is_empty());
}
