//! Two ends in one process, no socket between them.

use super::*;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use std::io::{Read, Write};

const TEXT: &[u8] = b"{\"id\":1,\"method\":\"mining.subscribe\"}\n";

fn identity() -> (CertificateDer<'static>, Arc<ServerConfig>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["pool.test".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate").der().clone();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = server_config(vec![certificate.clone()], key, &Resumption::new().expect("randomness"));
    (certificate, config.expect("they belong together"))
}

fn client(trusted: CertificateDer<'static>, version: &'static SupportedProtocolVersion) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(trusted).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), ServerName::try_from("pool.test").expect("a name")).expect("a client")
}

/// What the client wants to send now.
fn from_client(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).expect("memory");
    }
    bytes
}

fn to_client(client: &mut ClientConnection, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).expect("memory");
        client.process_new_packets().expect("a sound server");
    }
}

/// Talks until both have nothing to say; pieces of `size` bytes go to the server. Returns what it heard.
fn talk(client: &mut ClientConnection, server: &mut TlsServer, size: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    loop {
        let mut bytes = from_client(client);
        if bytes.is_empty() {
            return heard;
        }
        for piece in bytes.chunks_mut(size) {
            let mut scratch = Scratch::default();
            server.receive(piece, &mut scratch).expect("a sound client");
            heard.extend_from_slice(&scratch.plain);
            to_client(client, &scratch.cipher);
        }
    }
}

#[test]
fn pieces_of_any_size_give_the_same_text_and_nothing_is_kept() {
    let (certificate, config) = identity();
    for version in [&TLS12, &TLS13] {
        for size in [1, 2, 7, 100, 100_000] {
            let mut client = client(certificate.clone(), version);
            let mut server = TlsServer::new(Arc::clone(&config)).expect("a server");
            client.writer().write_all(TEXT).expect("room");
            assert_eq!(talk(&mut client, &mut server, size), TEXT, "pieces of {size}");
            assert!(server.is_established() && !server.is_resumed());
            assert_eq!(server.pending.capacity(), 0, "an idle connection keeps no buffer");

            let answer = b"answer;".repeat(2000);
            let mut cipher = b"before".to_vec();
            server.seal(&answer, &mut cipher).expect("established");
            assert!(cipher.starts_with(b"before"), "appended");
            to_client(&mut client, &cipher[6..]);
            let mut heard = vec![0; answer.len()];
            client.reader().read_exact(&mut heard).expect("the answer");
            assert_eq!(heard, answer);

            // A record that is not whole stays; then something is sent in between.
            client.writer().write_all(TEXT).expect("room");
            let mut record = from_client(&mut client);
            let (first, rest) = record.split_at_mut(9);
            let mut scratch = Scratch::default();
            server.receive(first, &mut scratch).expect("sound");
            server.seal(b"meanwhile", &mut scratch.cipher).expect("established");
            server.receive(rest, &mut scratch).expect("sound");
            assert_eq!((scratch.plain.as_slice(), server.pending.len()), (TEXT, 0));
            to_client(&mut client, &scratch.cipher);

            client.send_close_notify();
            assert!(talk(&mut client, &mut server, size).is_empty());
            assert!(server.is_closed_by_peer());
            let mut farewell = Vec::new();
            server.close(&mut farewell);
            to_client(&mut client, &farewell);
            assert_eq!(client.reader().read(&mut [0; 100]).expect("after all that was sent, the end"), 9);
            assert_eq!(client.reader().read(&mut [0; 100]).expect("an orderly end"), 0);
        }
    }
}

#[test]
fn records_fit_into_the_buffers_of_small_devices() {
    let (certificate, config) = identity();
    let mut client = client(certificate, &TLS12);
    let mut server = TlsServer::new(config).expect("a server");
    talk(&mut client, &mut server, 1000);
    let mut cipher = Vec::new();
    server.seal(&[7; 20_000], &mut cipher).expect("established");
    let mut rest = cipher.as_slice();
    let mut records = 0;
    while let [_, _, _, high, low, ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        assert!(length <= TLS_RECORD_BYTES_MAX + RECORD_OVERHEAD_BYTES, "{length}");
        rest = &rest[5 + length..];
        records += 1;
    }
    assert!(records >= 5 && rest.is_empty());
}

#[test]
fn nothing_is_sent_before_the_handshake_is_over() {
    let (_, config) = identity();
    let mut server = TlsServer::new(config).expect("a server");
    let mut cipher = Vec::new();
    assert_eq!(server.seal(b"early", &mut cipher), Err(TlsError::NotReady));
    server.close(&mut cipher);
    assert!(cipher.is_empty());
}

#[test]
fn what_is_no_tls_ends_the_connection_with_an_alert() {
    let (_, config) = identity();
    for garbage in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x16; 600],
        [&[0x16, 3, 1, 0, 4, 1, 0, 0, 0], [9; 90].as_slice()].concat(),
    ] {
        let mut server = TlsServer::new(Arc::clone(&config)).expect("a server");
        let mut scratch = Scratch::default();
        let result = server.receive(&mut garbage.clone(), &mut scratch);
        assert!(matches!(result, Err(TlsError::Protocol(_))), "{result:?}");
        assert_eq!(scratch.cipher.first(), Some(&0x15), "an alert record");
    }
}

#[test]
fn a_message_without_an_end_is_bounded() {
    let (_, config) = identity();
    let mut server = TlsServer::new(config).expect("a server");
    // A ClientHello that claims 60,000 bytes and comes in records of 16,000.
    let mut scratch = Scratch::default();
    let mut record = vec![0x16, 3, 1, 0x3e, 0x80, 1, 0, 0xea, 0x60];
    record.resize(5 + 16_000, 0);
    let result = (0..8).find_map(|number| {
        let mut next = record.clone();
        if number > 0 {
            next[5..9].fill(0);
        }
        server.receive(&mut next, &mut scratch).err()
    });
    assert!(result.is_some(), "it must end");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (certificate, _) = identity();
    let other = KeyPair::generate().expect("a key");
    let key = PrivatePkcs8KeyDer::from(other.serialize_der()).into();
    let resumption = Resumption::new().expect("randomness");
    assert_eq!(server_config(vec![certificate], key, &resumption).err(), Some(IdentityError::KeyMismatch));
}
