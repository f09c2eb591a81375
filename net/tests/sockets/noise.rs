//! Clients of Stratum V2, made of the reference project's handshake and nothing of ours, beside miners of Stratum V1.

use crate::harness::{DEADLINE, Server, connect_to, read_exactly, read_to_end, write_all};
use noise_sv2::{Initiator, NoiseEngine};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Instant;
use warppool_components::address_range::AddressRange;
use warppool_components::connection::{CloseReason, ConnectionKey, Protocol};
use warppool_components::inbox::SharedBytes;
use warppool_components::limits::{
    FRAME_PAYLOAD_BYTES_MAX, HANDSHAKE_STEPS_PER_TICK_MAX, LINES_PER_CONNECTION_PER_TICK_MAX, SEND_BUFFER_BYTES_MAX,
};
use warppool_net::sockets::{ListenOptions, Refusal};
use warppool_net::transport::noise::{ACT_2_BYTES, AuthorityKey, AuthorityPublicKey};

/// Bytes of a header, and of a tag.
const HEADER: usize = 6;
const TAG: usize = 16;

/// A server with a port for everything on which proxies are believed, and one for Stratum V2.
fn server() -> (Server, AuthorityPublicKey) {
    let proxies = vec![AddressRange { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix_bits: 128 }];
    let (addresses, noise_addresses) = (vec![":0".to_owned()], vec!["127.0.0.1:0".to_owned()]);
    let mut server = Server::with(ListenOptions { addresses, noise_addresses, proxies, ..Server::options() });
    let authority = AuthorityKey::generate();
    let public = authority.public();
    server.sockets.set_authority(Some(authority));
    (server, public)
}

fn common_port(server: &Server) -> SocketAddr {
    (IpAddr::from([127, 0, 0, 1]), server.address().port()).into()
}

fn refused(server: &Server, refusal: Refusal) -> u64 {
    server.sockets.counters().refused[refusal as usize]
}

/// A frame in the clear. The text keeps it printable, as the harness wants it.
fn frame(message_type: u8, text: &str) -> Vec<u8> {
    let length = (text.len() as u32).to_le_bytes();
    [&[0, 0, message_type, length[0], length[1], length[2]], text.as_bytes()].concat()
}

fn shown(message_type: u8, text: &str) -> String {
    String::from_utf8_lossy(&frame(message_type, text)).into_owned()
}

/// A client after its handshake.
struct Client {
    stream: TcpStream,
    engine: NoiseEngine,
    key: ConnectionKey,
}

impl Client {
    /// Connects, says `before` and its key in one piece, and waits for the answer.
    fn join(server: &mut Server, address: SocketAddr, authority: AuthorityPublicKey, before: &[u8]) -> Self {
        let mut initiator = Initiator::from_raw_k(authority.to_bytes()).expect("a key");
        let stream = connect_to(address);
        let opened = server.opened().len();
        write_all(&stream, &[before, &initiator.step_0().expect("a key")].concat());
        server.until("handshake", |server| server.opened().len() > opened);
        let act_2: [u8; ACT_2_BYTES] = read_exactly(&stream, ACT_2_BYTES).try_into().expect("its length");
        let engine = initiator.step_2(act_2).expect("the answer and its certificate are good");
        Self { stream, engine, key: server.opened()[opened] }
    }

    fn seal(&mut self, frame: &[u8]) -> Vec<u8> {
        let (mut header, mut payload) = (frame[..HEADER].to_vec(), frame[HEADER..].to_vec());
        self.engine.encrypt(&mut header).expect("a fresh key");
        if !payload.is_empty() {
            self.engine.encrypt(&mut payload).expect("a fresh key");
        }
        [header, payload].concat()
    }

    fn say(&mut self, frame: &[u8]) {
        let sealed = self.seal(frame);
        write_all(&self.stream, &sealed);
    }

    /// The next frame, in the clear.
    fn hear(&mut self) -> Vec<u8> {
        let mut header = read_exactly(&self.stream, HEADER + TAG);
        self.engine.decrypt(&mut header).expect("the keys agree");
        let length = u32::from_le_bytes([header[3], header[4], header[5], 0]) as usize;
        let mut payload = read_exactly(&self.stream, length + TAG);
        self.engine.decrypt(&mut payload).expect("the keys agree");
        [header, payload].concat()
    }
}

#[test]
fn a_client_is_served_on_the_common_port_on_its_own_and_behind_a_proxy_beside_a_miner_of_v1() {
    let (mut server, authority) = server();
    let (common, own) = (common_port(&server), server.sockets.noise_addresses()[0]);
    let proxied = SocketAddr::from((Ipv6Addr::LOCALHOST, common.port()));
    let header = b"PROXY TCP4 198.51.100.7 192.0.2.1 56324 3333\r\n".as_slice();
    let shared: SharedBytes = frame(0x20, "new tip").into();
    for (address, before, peer) in
        [(common, &[][..], "127.0.0.1"), (own, &[], "127.0.0.1"), (proxied, header, "198.51.100.7")]
    {
        let miner = connect_to(common);
        let opened = server.opened().len();
        write_all(&miner, b"{\"id\":1,\"method\":\"mining.subscribe\"}\n");
        server.until("miner", |server| server.opened().len() > opened);
        let mut client = Client::join(&mut server, address, authority, before);
        let served = (server.protocols().last().copied(), server.peers().last().copied());
        assert_eq!(served, (Some(Protocol::StratumV2), peer.parse().ok()));
        assert_eq!(server.sockets.noise_connections(), 1);
        client.say(&frame(1, "request"));
        client.say(&frame(2, ""));
        server.until("frames", |server| server.lines(client.key) == [shown(1, "request"), shown(2, "")]);
        // What is written side by side leaves as one; what others get too is encrypted for each.
        server.write(client.key, &frame(3, "answer"));
        server.write(client.key, &[frame(4, "one"), frame(5, "two")].concat());
        server.write_shared(client.key, &shared);
        assert_eq!(server.send().calls, 1);
        let expected = [frame(3, "answer"), frame(4, "one"), frame(5, "two"), shared.to_vec()];
        assert_eq!(expected.each_ref().map(|_| client.hear()), expected);
        drop(client.stream);
        server.until("end", |server| server.closed().last() == Some(&(client.key, CloseReason::Peer)));
        assert_eq!(server.sockets.noise_connections(), 0);
    }
    let protocols = server.protocols();
    assert_eq!(protocols.iter().filter(|protocol| **protocol == Protocol::StratumV1).count(), 3);
    let counters = server.sockets.counters();
    assert_eq!((counters.noise_handshakes, counters.noise_abandoned, counters.noise_failed), (3, 0, 0));
}

#[test]
fn a_key_and_frames_may_come_byte_by_byte_or_all_at_once() {
    let (mut server, authority) = server();
    let mut initiator = Initiator::from_raw_k(authority.to_bytes()).expect("a key");
    let stream = connect_to(common_port(&server));
    for byte in initiator.step_0().expect("a key") {
        assert!(server.opened().is_empty(), "nobody is told before the key is whole");
        write_all(&stream, &[byte]);
        server.receive_once();
    }
    server.until("handshake", |server| server.opened().len() == 1);
    let act_2 = read_exactly(&stream, ACT_2_BYTES).try_into().expect("its length");
    let engine = initiator.step_2(act_2).expect("the answer is good");
    let mut client = Client { stream, engine, key: server.opened()[0] };
    for byte in client.seal(&frame(1, "slow")) {
        write_all(&client.stream, &[byte]);
        server.receive_once();
    }
    let several: Vec<u8> = (2..5).flat_map(|number| client.seal(&frame(number, "quick"))).collect();
    write_all(&client.stream, &several);
    let expected = [shown(1, "slow"), shown(2, "quick"), shown(3, "quick"), shown(4, "quick")];
    server.until("frames", |server| server.lines(client.key) == expected);
}

#[test]
fn a_flood_is_taken_in_portions_and_whole_before_its_end() {
    let (mut server, authority) = server();
    let address = common_port(&server);
    let mut client = Client::join(&mut server, address, authority, b"");
    let count = 3 * LINES_PER_CONNECTION_PER_TICK_MAX + 7;
    let sealed: Vec<u8> = (0..count).flat_map(|number| client.seal(&frame(1, &number.to_string()))).collect();
    let before = server.history.len();
    write_all(&client.stream, &sealed);
    drop(client.stream);
    server.until("end", |server| server.closed().len() == 1);
    let expected: Vec<String> = (0..count).map(|number| shown(1, &number.to_string())).collect();
    assert_eq!(server.lines(client.key), expected);
    let most = server.history[before..].iter().map(|arrived| arrived.lines.len()).max();
    assert!(most <= Some(LINES_PER_CONNECTION_PER_TICK_MAX), "{most:?}");
}

#[test]
fn a_client_that_does_not_read_meets_the_same_cap() {
    let (mut server, authority) = server();
    let address = common_port(&server);
    let slow = Client::join(&mut server, address, authority, b"");
    let body: SharedBytes = frame(1, &"x".repeat(SEND_BUFFER_BYTES_MAX / 2)).into();
    for sent in 0.. {
        assert!(sent < 1000, "it is never dropped");
        server.write_shared(slow.key, &body);
        server.send();
        server.receive_once();
        if !server.closed().is_empty() {
            break;
        }
    }
    assert_eq!(server.closed(), [(slow.key, CloseReason::SlowReader)]);
}

#[test]
fn what_does_not_fit_the_keys_or_is_too_long_ends_its_connection_alone() {
    let (mut server, authority) = server();
    let address = common_port(&server);
    let mut neighbour = Client::join(&mut server, address, authority, b"");
    let garbage = Client::join(&mut server, address, authority, b"");
    write_all(&garbage.stream, &[7; 40]);
    server.until("end", |server| server.closed() == [(garbage.key, CloseReason::NoiseFailed)]);
    assert!(read_to_end(&garbage.stream).is_empty());
    let mut long = Client::join(&mut server, address, authority, b"");
    long.say(&frame(1, "good"));
    let sealed = long.seal(&frame(2, &"x".repeat(FRAME_PAYLOAD_BYTES_MAX + 1)));
    write_all(&long.stream, &sealed[..HEADER + TAG]);
    server.until("end", |server| server.closed().last() == Some(&(long.key, CloseReason::FrameTooLong)));
    assert_eq!(server.lines(long.key), [shown(1, "good")]);
    assert_eq!(server.sockets.counters().noise_failed, 2);
    neighbour.say(&frame(3, "still here"));
    server.until("neighbour", |server| server.lines(neighbour.key) == [shown(3, "still here")]);
}

#[test]
fn who_distrusts_the_certificate_is_counted_and_the_new_key_of_a_reload_is_shown_to_the_next() {
    let (mut server, authority) = server();
    let address = common_port(&server);
    let mut first = Client::join(&mut server, address, authority, b"");
    let next = AuthorityKey::generate();
    let mut initiator = Initiator::from_raw_k(next.public().to_bytes()).expect("a key");
    let stream = connect_to(address);
    write_all(&stream, &initiator.step_0().expect("a key"));
    server.until("handshake", |server| server.opened().len() == 2);
    let act_2 = read_exactly(&stream, ACT_2_BYTES).try_into().expect("its length");
    assert!(initiator.step_2(act_2).is_err(), "another authority's");
    drop(stream);
    server.until("end", |server| server.sockets.counters().noise_abandoned == 1);
    let public = next.public();
    server.sockets.set_authority(Some(next));
    let _second = Client::join(&mut server, address, public, b"");
    first.say(&frame(1, "still there"));
    server.until("frame", |server| server.lines(first.key) == [shown(1, "still there")]);
}

#[test]
fn what_is_not_served_is_closed_and_counted_and_the_engine_never_hears_of_it() {
    let (mut server, _) = server();
    let (common, own) = (common_port(&server), server.sockets.noise_addresses()[0]);
    let key = [0x9e; 64];
    let request = b"{\"id\":1,\"method\":\"mining.subscribe\"}\n".as_slice();
    let hello = [&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3], [7; 190].as_slice()].concat();
    let refuse = |server: &mut Server, address, bytes: &[u8], refusal| {
        let before = refused(server, refusal);
        let stream = connect_to(address);
        write_all(&stream, bytes);
        server.until("refusal", |server| refused(server, refusal) > before);
        assert!(read_to_end(&stream).is_empty());
    };
    refuse(&mut server, own, request, Refusal::NotNoise);
    refuse(&mut server, own, &hello, Refusal::NotNoise);
    server.sockets.set_noise_connections_max(0);
    refuse(&mut server, common, &key, Refusal::NoiseOverCap);
    server.sockets.set_noise_connections_max(1);
    server.sockets.set_authority(None);
    // Its first bytes look like three other protocols, one after the other.
    refuse(&mut server, common, &[b"{\x16GPOST\n\n".as_slice(), &[0x9e; 55]].concat(), Refusal::NoAuthority);
    assert!(server.opened().is_empty() && server.closed().is_empty() && server.sockets.connections() == 0);
    assert_eq!(server.sockets.counters().noise_handshakes, 0);
}

#[test]
fn a_key_that_is_not_whole_or_comes_late_is_not_waited_for() {
    let (mut server, _) = server();
    let (common, own) = (common_port(&server), server.sockets.noise_addresses()[0]);
    let (half, silent, late) = (connect_to(common), connect_to(own), connect_to(common));
    write_all(&half, &[0x9e; 63]);
    server.until("refusals", |server| refused(server, Refusal::NoiseLate) == 2);
    assert!(read_to_end(&half).is_empty() && read_to_end(&silent).is_empty());
    // Who said nothing on the common port is taken for a miner of V1, and is none.
    server.until("connection", |server| server.opened().len() == 1);
    write_all(&late, &[0x9e; 64]);
    server.until("refusal", |server| refused(server, Refusal::NoiseLate) == 3);
    assert_eq!(server.protocols(), [Protocol::StratumV1]);
    assert_eq!(server.closed(), [(server.opened()[0], CloseReason::NoiseFailed)]);
}

#[test]
fn a_peer_of_the_first_generation_is_served_on_its_own_port_with_and_without_an_offer_of_ciphers() {
    let first_generation_addresses = vec!["127.0.0.1:0".to_owned()];
    let mut server = Server::with(ListenOptions { first_generation_addresses, ..Server::options() });
    server.sockets.set_authority(Some(AuthorityKey::generate()));
    let address = server.sockets.first_generation_addresses()[0];
    let framed = |message: &[u8]| [&(message.len() as u16).to_le_bytes(), message].concat();
    let next_message = |stream: &TcpStream| {
        let length = read_exactly(stream, 2);
        read_exactly(stream, usize::from(u16::from_le_bytes([length[0], length[1]])))
    };
    let mut buffer = [0; 1000];
    for prologue in [b"".as_slice(), b"\x02AESGCHCHCHCH"] {
        let stream = connect_to(address);
        if let Some(list) = prologue.strip_suffix(b"CHCH") {
            for byte in framed(&[b"STR3", list].concat()) {
                write_all(&stream, &[byte]);
                server.receive_once();
            }
            server.until("choice", |_| {
                stream.set_nonblocking(true).expect("an option");
                let is_there = stream.peek(&mut [0]).is_ok();
                stream.set_nonblocking(false).expect("an option");
                is_there
            });
            assert_eq!(next_message(&stream), b"CHCH");
        }
        let params = "Noise_NX_25519_ChaChaPoly_BLAKE2s".parse().expect("a name");
        let builder = snow::Builder::with_resolver(params, Box::new(snow::resolvers::DefaultResolver));
        let mut peer = builder.prologue(prologue).expect("once").build_initiator().expect("a peer");
        let length = peer.write_message(&[], &mut buffer).expect("a key");
        let opened = server.opened().len();
        write_all(&stream, &framed(&buffer[..length]));
        server.until("handshake", |server| server.opened().len() > opened);
        let key = server.opened()[opened];
        assert_eq!(peer.read_message(&next_message(&stream), &mut buffer), Ok(74), "its certificate");
        let mut peer = peer.into_transport_mode().expect("the end of the handshake");
        let length = peer.write_message(&frame(1, "request"), &mut buffer).expect("a message");
        write_all(&stream, &framed(&buffer[..length]));
        server.until("frame", |server| server.lines(key) == [shown(1, "request")]);
        server.write(key, &frame(2, "answer"));
        server.send();
        let length = peer.read_message(&next_message(&stream), &mut buffer).expect("ours");
        assert_eq!(buffer[..length], frame(2, "answer"));
    }
    assert!(server.protocols().iter().all(|protocol| *protocol == Protocol::StratumV2));
    let strangers = [framed(b"STR3\x01AESG"), b"{\"id\":1,\"method\":\"mining.subscribe\"}\n".to_vec()];
    for (count, bytes) in (1..).zip(strangers) {
        let stream = connect_to(address);
        write_all(&stream, &bytes);
        server.until("refusal", |server| refused(server, Refusal::NotNoise) == count);
        assert!(read_to_end(&stream).is_empty());
    }
}

#[test]
fn a_storm_of_handshakes_is_taken_in_portions_and_plain_lines_do_not_wait_for_it() {
    let (mut server, authority) = server();
    let miner = connect_to(common_port(&server));
    write_all(&miner, b"{\"id\":1,\"method\":\"mining.subscribe\"}\n");
    server.until("miner", |server| server.opened().len() == 1);
    let miner_key = server.opened()[0];
    let count = 10 * HANDSHAKE_STEPS_PER_TICK_MAX as u64;
    let strangers: Vec<_> = (0..count)
        .map(|_| {
            let mut initiator = Initiator::from_raw_k(authority.to_bytes()).expect("a key");
            let stream = connect_to(common_port(&server));
            write_all(&stream, &initiator.step_0().expect("a key"));
            stream
        })
        .collect();
    let deadline = Instant::now() + DEADLINE;
    let mut lines = 1;
    while server.sockets.counters().noise_handshakes < count {
        assert!(Instant::now() < deadline, "handshakes are forgotten");
        let before = server.sockets.counters().noise_handshakes;
        write_all(&miner, b"share\n");
        lines += 1;
        server.receive_once();
        let steps = server.sockets.counters().noise_handshakes - before;
        assert!(steps <= HANDSHAKE_STEPS_PER_TICK_MAX as u64, "{steps} in one call");
    }
    server.until("lines", |server| server.lines(miner_key).len() == lines);
    assert!(lines > count as usize / HANDSHAKE_STEPS_PER_TICK_MAX, "a line in each call");
    strangers.iter().for_each(|stream| assert_eq!(read_exactly(stream, ACT_2_BYTES).len(), ACT_2_BYTES));
}
