//! Miners that speak TLS, beside those that do not.

use crate::harness::{Server, connect_to, read_exactly, write_all};
use crate::tls_client::{Authority, Seen, TlsClient, echo_until};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use warppool_components::connection::CloseReason;
use warppool_components::inbox::Inbox;
use warppool_components::limits::{
    HANDSHAKE_STEPS_PER_TICK_MAX, LINES_PER_CONNECTION_PER_TICK_MAX, SEND_BUFFER_BYTES_MAX,
};
use warppool_net::sockets::{ListenOptions, Refusal};
use warppool_net::transport::tls::Resumption;

/// A server with a port for everything and one for TLS.
fn server() -> (Server, Authority) {
    let tls_addresses = vec!["[::1]:0".to_owned()];
    let mut server = Server::with(ListenOptions { tls_addresses, ..Server::options() });
    let authority = Authority::new(&Resumption::new().expect("randomness"));
    server.sockets.set_tls(Some(Arc::clone(&authority.config)));
    (server, authority)
}

fn join(server: &mut Server, address: SocketAddr, config: &Arc<ClientConfig>) -> (TlsClient, Seen) {
    let config = Arc::clone(config);
    echo_until(server, std::thread::spawn(move || TlsClient::join(address, config, b""))).expect("served")
}

fn refused(server: &Server, refusal: Refusal) -> u64 {
    server.sockets.counters().refused[refusal as usize]
}

#[test]
fn defect_28_both_versions_are_served_on_the_common_and_on_the_own_port() {
    let (mut server, authority) = server();
    let addresses = [server.address(), server.sockets.tls_addresses()[0]];
    for (versions, expected) in [
        (&[&TLS12][..], ProtocolVersion::TLSv1_2),
        (&[&TLS13], ProtocolVersion::TLSv1_3),
        (&[&TLS12, &TLS13], ProtocolVersion::TLSv1_3),
    ] {
        for address in addresses {
            let (client, seen) = join(&mut server, address, &authority.client(versions));
            assert_eq!((seen.version, seen.kind == HandshakeKind::Resumed), (expected, false));
            assert_eq!(server.sockets.tls_connections(), 1);
            client.close().expect("the server listens");
            server.until("end", |server| server.sockets.tls_connections() == 0);
            assert_eq!(server.closed().last().map(|(_, reason)| *reason), Some(CloseReason::Peer));
        }
    }
    assert_eq!(server.sockets.counters().handshakes_full, 6);
}

#[test]
fn a_client_that_comes_back_resumes_its_session_even_after_a_new_certificate() {
    for version in [&TLS12, &TLS13] {
        let resumption = Resumption::new().expect("randomness");
        let mut server = Server::start();
        let authority = Authority::new(&resumption);
        server.sockets.set_tls(Some(Arc::clone(&authority.config)));
        let (config, address) = (authority.client(&[version]), server.address());
        let (mut first, seen) = join(&mut server, address, &config);
        assert_ne!(seen.kind, HandshakeKind::Resumed);
        let (_second, seen) = join(&mut server, address, &config);
        assert_eq!(seen.kind, HandshakeKind::Resumed, "{version:?}");

        // The certificate changes: who is there stays, who comes back is known, who is new sees the new one.
        let next = Authority::new(&resumption);
        server.sockets.set_tls(Some(Arc::clone(&next.config)));
        let (_third, seen) = join(&mut server, address, &config);
        assert_eq!(seen.kind, HandshakeKind::Resumed, "{version:?}");
        let (_fourth, seen) = join(&mut server, address, &next.client(&[version]));
        assert_eq!(seen.leaf, next.leaf);
        let old = std::thread::spawn(move || first.ask("still there"));
        assert_eq!(echo_until(&mut server, old).expect("served"), "still there\n");
        let counters = server.sockets.counters();
        assert_eq!((counters.handshakes_full, counters.handshakes_resumed, counters.handshakes_failed), (2, 2, 0));
    }
}

#[test]
fn a_handshake_and_a_line_may_come_byte_by_byte() {
    let (mut server, authority) = server();
    for version in [&TLS12, &TLS13] {
        let mut socket = connect_to(server.address());
        let mut client = TlsClient::connection(authority.client(&[version]));
        client.writer().write_all(b"{\"id\":7}\n").expect("room");
        let opened = server.opened().len();
        while server.opened().get(opened).is_none_or(|key| server.lines(*key).is_empty()) {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).expect("memory");
            }
            for byte in bytes {
                write_all(&socket, &[byte]);
                server.receive_once();
            }
            if client.is_handshaking() {
                server.receive_once();
                socket.set_nonblocking(true).expect("an option");
                // Nothing to read yet is no failure.
                let _ = client.read_tls(&mut socket);
                socket.set_nonblocking(false).expect("an option");
                client.process_new_packets().expect("a sound server");
            }
        }
        assert_eq!(server.lines(server.opened()[opened]), ["{\"id\":7}"]);
    }
}

#[test]
fn what_is_sent_arrives_whole_and_the_end_is_an_orderly_one() {
    let (mut server, authority) = server();
    let address = server.address();
    let (mut client, _) = join(&mut server, address, &authority.client(&[&TLS13]));
    let key = server.opened()[0];
    let shared: Arc<[u8]> = b"shared;".repeat(10_000).into();
    server.write(key, b"own;");
    server.write_shared(key, &shared);
    server.write(key, b"end");
    server.close(key);
    let reader = std::thread::spawn(move || client.read_to_end());
    server.send();
    let received = echo_until(&mut server, reader).expect("an orderly end");
    assert_eq!(received, [b"own;", &*shared, b"end"].concat());
    assert_eq!(server.sockets.tls_connections(), 0);
}

#[test]
fn a_flood_over_tls_is_taken_in_portions_and_whole_before_its_end() {
    let (mut server, authority) = server();
    let address = server.address();
    let count = 3 * LINES_PER_CONNECTION_PER_TICK_MAX + 7;
    for version in [&TLS12, &TLS13] {
        let opened = server.opened().len();
        let (mut client, _) = join(&mut server, address, &authority.client(&[version]));
        let key = server.opened()[opened];
        let before = server.history.len();
        let text: String = (0..count).map(|number| format!("{number}\n")).collect();
        client.say(text.as_bytes()).expect("the server listens");
        // The last line has no newline: the orderly end is its end.
        client.say(b"last").expect("the server listens");
        client.close().expect("the server listens");
        server.until("end", |server| server.closed().iter().any(|(closed, _)| *closed == key));
        let expected: Vec<String> = (0..count).map(|number| number.to_string()).chain(["last".to_owned()]).collect();
        assert_eq!(server.lines(key)[1..], expected, "behind the greeting");
        let most = server.history[before..].iter().map(|arrived| arrived.lines.len()).max();
        assert!(most <= Some(LINES_PER_CONNECTION_PER_TICK_MAX), "{most:?}");
    }
}

#[test]
fn a_client_that_does_not_read_meets_the_same_cap() {
    let (mut server, authority) = server();
    let address = server.address();
    let (slow, _) = join(&mut server, address, &authority.client(&[&TLS13]));
    let key = server.opened()[0];
    let body: Arc<[u8]> = vec![7; SEND_BUFFER_BYTES_MAX / 2].into();
    let mut sent = 0;
    while server.closed().is_empty() {
        server.write_shared(key, &body);
        server.send();
        server.receive_once();
        sent += 1;
        assert!(sent < 1000, "it is never dropped");
    }
    assert_eq!(server.closed(), [(key, CloseReason::SlowReader)]);
    drop(slow);
}

#[test]
fn garbage_ends_its_connection_alone() {
    let (mut server, authority) = server();
    let address = server.address();
    let (neighbour, neighbour_key) = server.connect_known();
    let hello = [&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3], [0xaa; 194].as_slice()].concat();
    let stranger = connect_to(address);
    write_all(&stranger, &hello);
    server.until("failure", |server| server.sockets.counters().handshakes_failed == 1);
    assert_eq!(server.closed().last().map(|(_, reason)| *reason), Some(CloseReason::TlsFailed));
    assert_eq!(read_exactly(&stranger, 1), [0x15], "it is told by an alert");

    let (mut client, _) = join(&mut server, address, &authority.client(&[&TLS12]));
    client.socket().write_all(&[[0x17, 3, 3, 0, 40].as_slice(), &[1; 40]].concat()).expect("the server reads");
    server.until("end", |server| server.closed().len() == 2);
    assert_eq!(server.closed()[1].1, CloseReason::TlsFailed);
    // A client that trusts somebody else says so, and that is counted.
    let config = Authority::new(&Resumption::new().expect("randomness")).client(&[&TLS13]);
    let distrustful = std::thread::spawn(move || TlsClient::join(address, config, b"").is_err());
    assert!(echo_until(&mut server, distrustful));
    server.until("failure", |server| server.sockets.counters().handshakes_failed == 2);
    write_all(&neighbour, b"still here\n");
    server.until("neighbour", |server| server.lines(neighbour_key) == ["still here"]);
    assert_eq!((server.sockets.connections(), server.sockets.tls_connections()), (1, 0));
}

#[test]
fn tls_without_a_certificate_and_plain_text_on_the_port_for_tls_are_refused_and_counted() {
    let (mut server, authority) = server();
    let (mut client, _) = {
        let address = server.address();
        join(&mut server, address, &authority.client(&[&TLS13]))
    };
    server.sockets.set_tls(None);
    for (address, first, refusal) in [
        (server.address(), [&[0x16, 3, 1, 0, 200, 1, 0, 0, 196], [3; 196].as_slice()].concat(), Refusal::NoCertificate),
        (server.sockets.tls_addresses()[0], b"{\"id\":1,\"method\":\"mining.subscribe\"}\n".to_vec(), Refusal::NotTls),
        (server.sockets.tls_addresses()[0], vec![0; 64], Refusal::NotTls),
    ] {
        let (before, closed) = (refused(&server, refusal), server.closed().len());
        let stream = connect_to(address);
        write_all(&stream, &first);
        server.until("end", |server| refused(server, refusal) == before + 1);
        // The engine was told of the one that spoke what it knows.
        let told: Vec<_> = server.closed()[closed..].iter().map(|(_, reason)| *reason).collect();
        assert_eq!(told, vec![CloseReason::Misdirected; usize::from(refusal == Refusal::NoCertificate)]);
        assert!(crate::harness::read_to_end(&stream).is_empty());
    }
    // Who is there already stays.
    let old = std::thread::spawn(move || client.ask("still there"));
    assert_eq!(echo_until(&mut server, old).expect("served"), "still there\n");
}

#[test]
fn a_storm_of_handshakes_is_taken_in_portions_and_plain_lines_do_not_wait_for_it() {
    let (mut server, authority) = server();
    let (plain, plain_key) = server.connect_known();
    let config = authority.client(&[&TLS13]);
    let count = 10 * HANDSHAKE_STEPS_PER_TICK_MAX;
    let strangers: Vec<_> = (0..count)
        .map(|_| {
            let mut socket = connect_to(server.address());
            let mut client = TlsClient::connection(Arc::clone(&config));
            client.write_tls(&mut socket).expect("the server listens");
            (socket, client)
        })
        .collect();
    server.until("all are known", |server| server.opened().len() == count + 1);
    let mut lines = 0;
    let mut ticks = 0;
    for (mut socket, mut client) in strangers {
        // Each finds its answer only after its turn has come; a plain line is served in every tick in between.
        socket.set_nonblocking(true).expect("an option");
        while client.is_handshaking() {
            let before = server.sockets.counters().handshakes_full;
            write_all(&plain, b"share\n");
            server.receive_once();
            ticks += 1;
            lines += 1;
            server.until("the plain line", |server| server.lines(plain_key).len() >= lines);
            let steps = server.sockets.counters().handshakes_full - before;
            assert!(steps <= (HANDSHAKE_STEPS_PER_TICK_MAX * server.history.len()) as u64);
            let _ = client.read_tls(&mut socket);
            client.process_new_packets().expect("a sound server");
            let _ = client.write_tls(&mut socket);
        }
    }
    assert!(ticks >= count / HANDSHAKE_STEPS_PER_TICK_MAX, "not all in one tick");
    server.until("all", |server| server.sockets.counters().handshakes_full == count as u64);
}

/// The bound itself: one call carries no more handshakes than it may, and waits for nothing while some are left.
#[test]
fn one_call_takes_no_more_handshakes_than_its_bound() {
    let (mut server, authority) = server();
    let config = authority.client(&[&TLS12]);
    let count = 3 * HANDSHAKE_STEPS_PER_TICK_MAX;
    let strangers: Vec<_> = (0..count)
        .map(|_| {
            let mut socket = connect_to(server.address());
            TlsClient::connection(Arc::clone(&config)).write_tls(&mut socket).expect("the server listens");
            socket
        })
        .collect();
    let answered = || {
        let has_answer = |socket: &&std::net::TcpStream| {
            socket.set_nonblocking(true).expect("an option");
            socket.peek(&mut [0]).is_ok()
        };
        strangers.iter().filter(has_answer).count()
    };
    let (mut before, mut most) = (0, 0);
    let deadline = std::time::Instant::now() + crate::harness::DEADLINE;
    while before < count {
        assert!(std::time::Instant::now() < deadline, "handshakes are forgotten");
        server.sockets.receive(Some(std::time::Duration::from_millis(20)), &mut Inbox::default()).expect("it works");
        let now = answered();
        most = most.max(now - before);
        before = now;
    }
    assert!((1..=HANDSHAKE_STEPS_PER_TICK_MAX).contains(&most), "{most} in one call");
}
