//! A server under test, and the bounded waiting that every test does.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use warppool_components::connection::{CloseReason, ConnectionKey, Protocol};
use warppool_components::inbox::{Inbox, SharedBytes};
use warppool_components::outbox::{self, Body, Close, Outbox};
use warppool_net::sockets::{ListenOptions, SendReport, Sockets};

/// No test waits longer for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What every client says first, so that the sockets know it for a miner; it is left out of what arrived.
const GREETING: &str = "{\"id\":0,\"method\":\"greeting\"}";

/// What arrived in one call of `receive`.
#[derive(Default, Debug)]
pub(crate) struct Arrived {
    pub(crate) lines: Vec<(ConnectionKey, String)>,
    pub(crate) closed: Vec<(ConnectionKey, CloseReason)>,
    pub(crate) opened: Vec<ConnectionKey>,
    /// The address of each that was opened.
    pub(crate) peers: Vec<IpAddr>,
    /// What each of them speaks.
    pub(crate) protocols: Vec<Protocol>,
}

pub(crate) struct Server {
    pub(crate) sockets: Sockets,
    /// Each call of `receive` that brought something, in order.
    pub(crate) history: Vec<Arrived>,
    outbox: Outbox,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with_cap(10_000)
    }

    pub(crate) fn with_cap(connections_max: usize) -> Self {
        Self::with(ListenOptions { connections_max, ..Self::options() })
    }

    /// What most tests listen by.
    pub(crate) fn options() -> ListenOptions {
        let addresses = vec!["127.0.0.1:0".to_owned()];
        let (connections_max, noise_connections_max) = (10_000, 10_000);
        ListenOptions { addresses, connections_max, noise_connections_max, backlog: 1024, ..ListenOptions::default() }
    }

    pub(crate) fn with(options: ListenOptions) -> Self {
        let sockets = Sockets::bind(&options).expect("a free port");
        Self { sockets, history: Vec::new(), outbox: Outbox::default() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.sockets.local_addresses()[0]
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = connect_to(self.address());
        write_all(&stream, format!("{GREETING}\n").as_bytes());
        stream
    }

    /// Connects and waits for the key.
    pub(crate) fn connect_known(&mut self) -> (TcpStream, ConnectionKey) {
        let before = self.opened().len();
        let stream = self.connect();
        self.until("connection", |server| server.opened().len() > before);
        (stream, self.opened()[before])
    }

    /// One `receive` that does not wait long.
    pub(crate) fn receive_once(&mut self) {
        let mut inbox = Inbox::default();
        self.sockets.receive(Some(Duration::from_millis(20)), &mut inbox).expect("the event queue works");
        let text = |line| String::from_utf8_lossy(inbox.text(line)).into_owned();
        let lines = inbox.lines.iter().filter(|line| inbox.text(line) != GREETING.as_bytes());
        let arrived = Arrived {
            lines: lines.map(|line| (line.connection, text(line))).collect(),
            closed: inbox.closed.iter().map(|closed| (closed.connection, closed.reason)).collect(),
            opened: inbox.opened.iter().map(|opened| opened.connection).collect(),
            peers: inbox.opened.iter().map(|opened| opened.peer).collect(),
            protocols: inbox.opened.iter().map(|opened| opened.protocol).collect(),
        };
        if !inbox.is_empty() {
            self.history.push(arrived);
        }
    }

    /// Receives until `condition` holds.
    pub(crate) fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
            self.receive_once();
        }
    }

    pub(crate) fn opened(&self) -> Vec<ConnectionKey> {
        self.history.iter().flat_map(|arrived| arrived.opened.iter().copied()).collect()
    }

    pub(crate) fn peers(&self) -> Vec<IpAddr> {
        self.history.iter().flat_map(|arrived| arrived.peers.iter().copied()).collect()
    }

    pub(crate) fn protocols(&self) -> Vec<Protocol> {
        self.history.iter().flat_map(|arrived| arrived.protocols.iter().copied()).collect()
    }

    pub(crate) fn closed(&self) -> Vec<(ConnectionKey, CloseReason)> {
        self.history.iter().flat_map(|arrived| arrived.closed.iter().copied()).collect()
    }

    /// All lines of `connection`.
    pub(crate) fn lines(&self, connection: ConnectionKey) -> Vec<&str> {
        let lines = self.history.iter().flat_map(|arrived| &arrived.lines);
        lines.filter(|(key, _)| *key == connection).map(|(_, text)| text.as_str()).collect()
    }

    pub(crate) fn write(&mut self, connection: ConnectionKey, text: &[u8]) {
        let start = self.outbox.bytes.len() as u32;
        self.outbox.bytes.extend_from_slice(text);
        let body = Body::Own(start..self.outbox.bytes.len() as u32);
        self.outbox.writes.push(outbox::Write { connection, body });
    }

    pub(crate) fn write_shared(&mut self, connection: ConnectionKey, body: &SharedBytes) {
        self.outbox.writes.push(outbox::Write { connection, body: Body::Shared(body.clone()) });
    }

    pub(crate) fn close(&mut self, connection: ConnectionKey) {
        self.outbox.closes.push(Close { connection, reason: CloseReason::NodeLost });
    }

    pub(crate) fn send(&mut self) -> SendReport {
        let report = self.sockets.send(&self.outbox);
        self.outbox.clear();
        report
    }
}

/// A connection on which nothing has been said.
pub(crate) fn connect_to(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
    stream.set_nodelay(true).expect("an option");
    stream
}

pub(crate) fn write_all(mut stream: &TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).expect("the server reads");
}

/// The next `count` bytes.
pub(crate) fn read_exactly(mut stream: &TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).expect("the server writes");
    bytes
}

/// Everything up to the end of the stream, a reset counting as one.
pub(crate) fn read_to_end(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("the connection stays open: {error}"),
        _ => bytes,
    }
}
