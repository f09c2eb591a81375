//! From the first bytes of a connection to what becomes of it.

use crate::harness::{Server, connect_to, read_to_end, write_all};
use crate::tls_client::{Authority, TlsClient, echo_until};
use rustls::version::TLS13;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::sync::Arc;
use warppool_components::address_range::AddressRange;
use warppool_components::connection::CloseReason;
use warppool_net::sockets::{Dashboard, ListenOptions, Refusal};
use warppool_net::transport::tls::Resumption;

const REQUEST: &[u8] = b"{\"id\":1,\"method\":\"mining.subscribe\"}\n";
const TEXT: &str = "{\"id\":1,\"method\":\"mining.subscribe\"}";

fn refused(server: &Server, refusal: Refusal) -> u64 {
    server.sockets.counters().refused[refusal as usize]
}

/// A server on IPv6 and IPv4 that believes proxies on IPv6's loopback alone.
fn behind_a_proxy() -> (Server, SocketAddr, SocketAddr) {
    let address = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let proxies = vec![AddressRange { address, prefix_bits: 128 }];
    let addresses = vec![":0".to_owned()];
    let server = Server::with(ListenOptions { addresses, proxies, ..Server::options() });
    let port = server.address().port();
    (server, (Ipv6Addr::LOCALHOST, port).into(), (Ipv4Addr::LOCALHOST, port).into())
}

fn binary_header(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = (addresses.len() as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &length, addresses].concat()
}

#[test]
fn a_miner_may_begin_with_a_lone_newline_or_byte_by_byte() {
    let mut server = Server::start();
    for first in [b"\n".as_slice(), b"\r\n\r\n", b"{\"id\":"] {
        let stream = connect_to(server.address());
        let opened = server.opened().len();
        write_all(&stream, first);
        for _ in 0..5 {
            server.receive_once();
        }
        assert_eq!((server.opened().len(), server.sockets.connections()), (opened, 1), "it is waited for");
        let rest = REQUEST.strip_prefix(first).unwrap_or(REQUEST);
        for byte in rest {
            write_all(&stream, &[*byte]);
            server.receive_once();
        }
        server.until("connection", |server| server.opened().len() > opened);
        let key = server.opened()[opened];
        server.until("line", |server| server.lines(key) == [TEXT]);
        drop(stream);
        server.until("end", |server| server.sockets.connections() == 0);
    }
    assert_eq!(server.sockets.counters().refused, [0; Refusal::ALL.len()]);
}

#[test]
fn a_short_last_line_and_an_end_are_a_miner_s() {
    let mut server = Server::start();
    let stream = connect_to(server.address());
    write_all(&stream, b"{}");
    stream.shutdown(Shutdown::Write).expect("a connected socket");
    server.until("end", |server| server.closed().len() == 1);
    assert_eq!((server.lines(server.opened()[0]), server.closed()[0].1), (vec!["{}"], CloseReason::Peer));
}

#[test]
fn who_says_too_little_is_told_of_as_a_miner_after_a_while_and_its_end_too() {
    let mut server = Server::start();
    let (silent, short) = (connect_to(server.address()), connect_to(server.address()));
    write_all(&short, b"{");
    drop(connect_to(server.address()));
    server.until("connections", |server| server.opened().len() == 2);
    assert_eq!(server.sockets.connections(), 2, "a probe that said nothing is gone, and nobody was told");
    write_all(&short, &REQUEST[1..]);
    server.until("line", |server| server.opened().iter().any(|key| server.lines(*key) == [TEXT]));
    drop((silent, short));
    server.until("ends", |server| server.closed().len() == 2);
    assert!(server.closed().iter().all(|(_, reason)| *reason == CloseReason::Peer));
}

#[test]
fn a_browser_is_sent_to_the_dashboard_and_a_miner_beside_it_is_served() {
    let mut server = Server::start();
    server.sockets.set_dashboard(Dashboard { public_url: None, port: Some(18334) });
    let (miner, key) = server.connect_known();
    let browser = connect_to(server.address());
    write_all(&browser, b"GET /some/page HTTP/1.1\r\nHost: pool.lan:3333\r\n");
    for _ in 0..3 {
        server.receive_once();
    }
    assert!(server.closed().is_empty(), "the rest of the head is waited for");
    write_all(&browser, b"Accept: */*\r\n\r\n");
    server.until("answer", |server| server.closed().len() == 1);
    let answer = String::from_utf8(read_to_end(&browser)).expect("text");
    assert!(answer.starts_with("HTTP/1.1 302 "), "{answer}");
    assert!(answer.contains("Location: http://pool.lan:18334/\r\n"), "{answer}");
    assert_eq!((refused(&server, Refusal::Http), server.closed()[0].1), (1, CloseReason::Misdirected));
    write_all(&miner, REQUEST);
    server.until("line", |server| server.lines(key) == [TEXT]);
}

#[test]
fn a_listed_proxy_says_for_whom_it_speaks_before_the_engine_knows() {
    let (mut server, trusted, _) = behind_a_proxy();
    let v4 = [[192, 0, 2, 7], [10, 0, 0, 1], [0, 80, 13, 5]].concat();
    for (header, expected) in [
        (b"PROXY TCP4 198.51.100.7 192.0.2.1 56324 3333\r\n".to_vec(), "198.51.100.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 3333\r\n".to_vec(), "2001:db8::7"),
        (binary_header(0x21, 0x11, &v4), "192.0.2.7"),
        // A health check of the proxy itself, and somebody on its machine who is no proxy.
        (binary_header(0x20, 0, &[]), "::1"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "::1"),
        (Vec::new(), "::1"),
    ] {
        let stream = connect_to(trusted);
        let opened = server.opened().len();
        for _ in 0..3 {
            server.receive_once();
        }
        let (first, rest) = header.split_at(header.len() / 2);
        write_all(&stream, first);
        for _ in 0..3 {
            server.receive_once();
        }
        assert_eq!(server.opened().len(), opened, "not before it is known for whom");
        write_all(&stream, &[rest, REQUEST].concat());
        server.until("line", |server| {
            server.opened().len() > opened && !server.lines(server.opened()[opened]).is_empty()
        });
        assert_eq!(server.lines(server.opened()[opened]), [TEXT], "nothing of the header is a line");
        assert_eq!(server.peers()[opened], expected.parse::<IpAddr>().expect("an address"));
    }
    assert_eq!(server.sockets.counters().refused, [0; Refusal::ALL.len()]);
}

#[test]
fn foreign_second_and_malformed_headers_are_refused_and_counted() {
    let (mut server, trusted, foreign) = behind_a_proxy();
    let header = b"PROXY TCP4 198.51.100.7 192.0.2.1 56324 3333\r\n";
    for (address, bytes, refusal) in [
        (foreign, header.to_vec(), Refusal::ProxyForeign),
        (foreign, binary_header(0x20, 0, &[]), Refusal::ProxyForeign),
        (trusted, [header.as_slice(), header].concat(), Refusal::ProxyForeign),
        (trusted, b"PROXY TCP4 198.51.100.7\r\n".to_vec(), Refusal::ProxyMalformed),
        (trusted, binary_header(0x29, 0x11, &[0; 12]), Refusal::ProxyMalformed),
    ] {
        let before = refused(&server, refusal);
        let stream = connect_to(address);
        write_all(&stream, &[&bytes, REQUEST].concat());
        server.until("refusal", |server| refused(server, refusal) > before);
        assert!(read_to_end(&stream).is_empty());
        assert!(server.opened().is_empty() && server.closed().is_empty(), "the engine never knew it");
        assert_eq!(server.sockets.connections(), 0);
    }
    assert!(server.history.iter().all(|arrived| arrived.lines.is_empty()));
}

#[test]
fn a_proxy_that_says_nothing_is_not_waited_for_for_ever() {
    let (mut server, trusted, _) = behind_a_proxy();
    let stream = connect_to(trusted);
    server.until("refusal", |server| refused(server, Refusal::ProxyMissing) == 1);
    assert!(read_to_end(&stream).is_empty());
    assert!(server.opened().is_empty() && server.closed().is_empty());
    assert_eq!(server.sockets.connections(), 0);
}

#[test]
fn tls_may_follow_a_proxy_header_on_ipv6() {
    let (mut server, trusted, _) = behind_a_proxy();
    let authority = Authority::new(&Resumption::new().expect("randomness"));
    server.sockets.set_tls(Some(Arc::clone(&authority.config)));
    let config = authority.client(&[&TLS13]);
    let header = b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 3333\r\n";
    let client = std::thread::spawn(move || TlsClient::join(trusted, config, header));
    let (_client, _) = echo_until(&mut server, client).expect("served");
    assert_eq!(server.peers(), ["2001:db8::7".parse::<IpAddr>().expect("an address")]);
    assert_eq!(server.sockets.tls_connections(), 1);
}
