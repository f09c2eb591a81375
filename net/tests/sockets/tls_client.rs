//! Clients that speak TLS, each on a thread of its own, and the certificates that they trust.

use crate::harness::{Server, connect_to};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::Resumption as ClientMemory;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig, StreamOwned,
    SupportedProtocolVersion,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use warppool_net::transport::tls::{Resumption, server_config};

/// Bytes that small devices have for a certificate chain.
const CHAIN_BYTES_MAX: usize = 4096;

/// A certificate authority with P-256 keys and the server that it has certified, as a chain of two.
pub(crate) struct Authority {
    root: CertificateDer<'static>,
    /// What the server shows first.
    pub(crate) leaf: CertificateDer<'static>,
    /// What the server is served by.
    pub(crate) config: Arc<ServerConfig>,
}

impl Authority {
    pub(crate) fn new(resumption: &Resumption) -> Self {
        let root_key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&root_key).expect("a certificate").der().clone();
        let issuer = Issuer::new(params, root_key);
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["pool.test".to_owned()]).expect("a name");
        let leaf = params.signed_by(&key, &issuer).expect("a certificate").der().clone();
        let chain = vec![leaf.clone(), root.clone()];
        assert!(chain.iter().map(|certificate| certificate.len()).sum::<usize>() < CHAIN_BYTES_MAX);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = server_config(chain, key, resumption).expect("they belong together");
        Self { root, leaf, config }
    }

    /// A client that trusts this authority and speaks these versions alone.
    pub(crate) fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = ClientMemory::in_memory_sessions(8);
        Arc::new(config)
    }
}

/// What a client saw.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) version: ProtocolVersion,
    pub(crate) kind: HandshakeKind,
    pub(crate) leaf: CertificateDer<'static>,
}

/// A connection over TLS, its handshake done.
pub(crate) struct TlsClient {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl TlsClient {
    /// A client that has not begun its handshake.
    pub(crate) fn connection(config: Arc<ClientConfig>) -> ClientConnection {
        ClientConnection::new(config, ServerName::try_from("pool.test").expect("a name")).expect("a client")
    }

    /// Connects, says `first` in plain text and then speaks TLS: one line there and one back.
    pub(crate) fn join(address: SocketAddr, config: Arc<ClientConfig>, first: &[u8]) -> std::io::Result<(Self, Seen)> {
        let mut socket = connect_to(address);
        socket.write_all(first)?;
        let mut client = Self { stream: BufReader::new(StreamOwned::new(Self::connection(config), socket)) };
        assert_eq!(client.ask("{\"id\":1,\"method\":\"hello\"}")?, "{\"id\":1,\"method\":\"hello\"}\n");
        let state = &client.stream.get_ref().conn;
        let seen = Seen {
            version: state.protocol_version().expect("established"),
            kind: state.handshake_kind().expect("established"),
            leaf: state.peer_certificates().expect("shown")[0].clone(),
        };
        Ok((client, seen))
    }

    /// One line there, one back.
    pub(crate) fn ask(&mut self, line: &str) -> std::io::Result<String> {
        let stream = self.stream.get_mut();
        stream.write_all(format!("{line}\n").as_bytes())?;
        stream.flush()?;
        let mut answer = String::new();
        self.stream.read_line(&mut answer)?;
        Ok(answer)
    }

    /// Says it and waits for nothing.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).and_then(|()| stream.flush())
    }

    /// Everything until the server's orderly end.
    pub(crate) fn read_to_end(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).map(|_| bytes)
    }

    /// The socket below.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        &mut self.stream.get_mut().sock
    }

    /// Says that nothing more will come.
    pub(crate) fn close(mut self) -> std::io::Result<()> {
        let stream = self.stream.get_mut();
        stream.conn.send_close_notify();
        stream.flush()
    }
}

/// Echoes every line until `thread` has ended.
pub(crate) fn echo_until<T>(server: &mut Server, thread: JoinHandle<T>) -> T {
    let seen = |server: &Server| server.history.iter().flat_map(|arrived| arrived.lines.clone()).collect::<Vec<_>>();
    let mut answered = seen(server).len();
    let deadline = std::time::Instant::now() + crate::harness::DEADLINE;
    while !thread.is_finished() {
        assert!(std::time::Instant::now() < deadline, "the client does not end");
        server.receive_once();
        for (key, text) in seen(server).split_off(answered) {
            server.write(key, format!("{text}\n").as_bytes());
            answered += 1;
        }
        server.send();
    }
    thread.join().expect("the client")
}
