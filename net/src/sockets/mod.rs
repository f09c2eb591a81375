//! The mio event loop: the only place of the pool with a miner's socket.
//!
//! One thread calls [`Sockets::receive`] and [`Sockets::send`] in turn. `receive` waits, accepts, reads and
//! cuts lines straight into the inbox; `send` writes an outbox. Sockets are registered once, edge-triggered,
//! for both directions; what a limit left unread is remembered in a list and taken by the next `receive`
//! without waiting. So a flood is slowed down by TCP, and a silent connection costs nothing but its entry.
//!
//! What holds for each connection:
//! - Its lines in an inbox are contiguous and in order; its last ones come no later than its `Closed`.
//! - It ends for the engine exactly once: by a `Closed` in an inbox, or by the engine's own `Close`, after
//!   which no inbox names it again.
//! - A slot that `receive` frees is used again by a later `receive` at the earliest, with a new generation.
//!
//! - What it speaks is told from its first bytes ([`transport::sniff`](crate::transport::sniff)); whoever speaks what is not
//!   served is closed and counted, and no line of it is taken. The engine learns of a connection when that is known: of one
//!   that speaks Stratum V2 when its handshake is over, of one that says too little when a few seconds have passed.
//!
//! What does not happen here: no line or frame is understood, no miner is answered, no time-out is kept but keepalive and those
//! of a proxy's header and of what decides the protocol.

mod address;
mod connection;
mod entrance;
mod error;
mod newcomers;
mod noise;
mod refusal;
mod send;
mod table;

pub use crate::transport::http_hint::Dashboard;
pub use error::NetError;
pub use refusal::Refusal;
pub use send::SendReport;

use crate::admission::{self, Admission, PeerNetwork};
use crate::transport::tls::Scratch;
use connection::{Connection, Door, Progress, Quota, Stage};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use newcomers::Newcomers;
use noise::Noise;
use rustls::ServerConfig;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::Table;
use warppool_components::address_range::AddressRange;
use warppool_components::connection::{CloseReason, ConnectionKey};
use warppool_components::inbox::Inbox;
use warppool_components::limits::{
    ACCEPTS_PER_TICK_MAX, LINES_PER_CONNECTION_PER_TICK_MAX, LINES_PER_TICK_MAX, READ_BYTES_MAX,
    READ_BYTES_PER_CONNECTION_PER_TICK_MAX, READ_BYTES_PER_TICK_MAX,
};
use warppool_components::settings::RateLimits;
use warppool_components::units;

const WAKER: Token = Token(usize::MAX);

/// Listeners count down from here; connections, whose generations are small, stay below.
const LAST_LISTENER: usize = usize::MAX - 1;

/// Events fetched at once; more stay in the kernel until the next call.
const EVENTS_PER_POLL: usize = 1024;

/// Pause after the system could not accept: mostly no descriptors are left, and trying again at once would
/// spin. A connection that ends cuts it short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Where and how to listen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListenOptions {
    /// `ADDRESS:PORT`, or `:PORT` for every address of the machine, IPv6 too. Port 0 lets the system choose. Everything that
    /// miners speak is served here.
    pub addresses: Vec<String>,
    /// The same for TLS alone.
    pub tls_addresses: Vec<String>,
    /// The same for Stratum V2 alone.
    pub noise_addresses: Vec<String>,
    /// The same for the first generation of Stratum V2 alone.
    pub first_generation_addresses: Vec<String>,
    /// Who may say by a PROXY header for whom it speaks.
    pub proxies: Vec<AddressRange>,
    /// Connections beyond are closed as soon as they are accepted.
    pub connections_max: usize,
    /// Connections of Stratum V2 beyond are not answered.
    pub noise_connections_max: usize,
    /// Connections that may wait in the kernel to be accepted; the system may cut it.
    pub backlog: u32,
}

/// What happened to connections since the start, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SocketCounters {
    /// Accepted and served.
    pub accepted: u64,
    /// Closed at once, because there were too many.
    pub over_cap: u64,
    /// Closed at once, because their address connects too often.
    pub over_rate: u64,
    /// Closed at once, because their address has too many connections.
    pub over_address_cap: u64,
    /// Attempts at which the system could not accept, for instance for lack of file descriptors.
    pub accept_failures: u64,
    /// Closed for what they said or did not say first, in the order of [`Refusal::ALL`].
    pub refused: [u64; Refusal::ALL.len()],
    /// TLS handshakes with a signature of ours.
    pub handshakes_full: u64,
    /// TLS handshakes of clients that were known from an earlier connection.
    pub handshakes_resumed: u64,
    /// TLS handshakes that failed, by what was said: a client that distrusts the certificate, for instance.
    pub handshakes_failed: u64,
    /// Stratum V2 handshakes that were answered.
    pub noise_handshakes: u64,
    /// Clients that left after the answer to their key without a frame: mostly they were given another authority's key.
    pub noise_abandoned: u64,
    /// Connections of Stratum V2 that were closed, because what came was not encrypted by their keys, or too long.
    pub noise_failed: u64,
}

/// The listeners and all connections.
#[derive(Debug)]
pub struct Sockets {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    listeners: Vec<Listener>,
    table: Table,
    /// Connections that may have something to read, each once.
    ready: VecDeque<ConnectionKey>,
    /// Connections whose handshake has something to read, each once, and none of them in `ready`.
    handshakes: VecDeque<ConnectionKey>,
    /// Connections that may be a proxy's and have not said so, with the end of their time, in order.
    held: VecDeque<(ConnectionKey, Instant)>,
    /// Connections that the engine does not know of, but those in `held`.
    newcomers: Newcomers,
    noise: Noise,
    proxies: Vec<AddressRange>,
    tls_config: Option<Arc<ServerConfig>>,
    dashboard: Dashboard,
    /// Live connections over TLS whose handshake is over.
    secured: usize,
    connections_max: usize,
    admission: Admission,
    started_at: Instant,
    accept_again_at: Option<Instant>,
    counters: SocketCounters,
    read_buffer: Box<[u8]>,
    scratch: Scratch,
    links: send::Links,
}

#[derive(Debug)]
struct Listener {
    socket: mio::net::TcpListener,
    address: SocketAddr,
    door: Door,
    /// More connections may wait.
    ready: bool,
}

impl Sockets {
    /// Listens on all addresses.
    ///
    /// # Errors
    /// [`NetError`] names the address that could not be listened on, and what to do about it.
    pub fn bind(options: &ListenOptions) -> Result<Self, NetError> {
        let poll = Poll::new().map_err(NetError::Poll)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(NetError::Poll)?;
        let mut listeners = Vec::new();
        if options.addresses.is_empty() {
            return Err(NetError::NoAddress);
        }
        let doors = [
            (&options.addresses, Door::Any),
            (&options.tls_addresses, Door::Tls),
            (&options.noise_addresses, Door::Noise),
            (&options.first_generation_addresses, Door::FirstGeneration),
        ];
        for (addresses, door) in doors {
            for listener in address::listen_all(addresses, options.backlog)? {
                let address = listener.local_addr().map_err(NetError::Poll)?;
                let mut socket = mio::net::TcpListener::from_std(listener);
                let token = Token(LAST_LISTENER - listeners.len());
                poll.registry().register(&mut socket, token, Interest::READABLE).map_err(NetError::Poll)?;
                listeners.push(Listener { socket, address, door, ready: true });
            }
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_PER_POLL),
            waker: Arc::new(waker),
            listeners,
            table: Table::default(),
            ready: VecDeque::new(),
            handshakes: VecDeque::new(),
            held: VecDeque::new(),
            newcomers: Newcomers::default(),
            noise: Noise::new(options.noise_connections_max),
            proxies: options.proxies.clone(),
            tls_config: None,
            dashboard: Dashboard::default(),
            secured: 0,
            connections_max: options.connections_max,
            admission: Admission::default(),
            started_at: Instant::now(),
            accept_again_at: None,
            counters: SocketCounters::default(),
            read_buffer: vec![0; READ_BYTES_MAX].into(),
            scratch: Scratch::default(),
            links: send::Links::default(),
        })
    }

    /// The addresses that are listened on for everything, with the ports that the system chose.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.addresses_of(Door::Any)
    }

    /// The addresses that are listened on for TLS alone.
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        self.addresses_of(Door::Tls)
    }

    /// The addresses that are listened on for Stratum V2 alone.
    pub fn noise_addresses(&self) -> Vec<SocketAddr> {
        self.addresses_of(Door::Noise)
    }

    /// The addresses that are listened on for the first generation of Stratum V2 alone.
    pub fn first_generation_addresses(&self) -> Vec<SocketAddr> {
        self.addresses_of(Door::FirstGeneration)
    }

    fn addresses_of(&self, door: Door) -> Vec<SocketAddr> {
        self.listeners.iter().filter(|listener| listener.door == door).map(|listener| listener.address).collect()
    }

    /// What handshakes from now on are served by; `None` refuses them. Connections that are there stay.
    pub fn set_tls(&mut self, config: Option<Arc<ServerConfig>>) {
        self.tls_config = config;
    }

    /// Where browsers that come to a miners' port are sent.
    pub fn set_dashboard(&mut self, dashboard: Dashboard) {
        self.dashboard = dashboard;
    }

    /// Live connections over TLS.
    pub fn tls_connections(&self) -> usize {
        self.secured
    }

    /// By which other threads end the wait in [`Self::receive`].
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Changes the cap. Connections that are there stay.
    pub fn set_connections_max(&mut self, connections_max: usize) {
        self.connections_max = connections_max;
    }

    /// Changes what one network address may do; `None`, as at the start, limits nothing. Connections that are there stay.
    pub fn set_rate_limits(&mut self, limits: Option<RateLimits>) {
        self.admission.set_limits(limits);
    }

    /// The cap.
    pub fn connections_max(&self) -> usize {
        self.connections_max
    }

    /// Live connections.
    pub fn connections(&self) -> usize {
        self.table.live()
    }

    /// Counts since the start.
    pub fn counters(&self) -> SocketCounters {
        self.counters
    }

    /// Waits until something happens, but at most `timeout` (`None`: for ever) and not at all when something is
    /// left over, then adds what arrived to `inbox`. May return early with nothing.
    ///
    /// # Errors
    /// [`NetError::Poll`] when the system's event queue fails. Failures of single connections are `Closed` in
    /// the inbox.
    pub fn receive(&mut self, timeout: Option<Duration>, inbox: &mut Inbox) -> Result<(), NetError> {
        let timeout = self.wait_at_most(timeout);
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => self.events.clear(),
            result => result.map_err(NetError::Poll)?,
        }
        self.note_events();
        self.accept();
        self.read(inbox);
        self.shake_hands(inbox);
        self.expire_held(inbox);
        self.expire_newcomers(inbox);
        Ok(())
    }

    fn wait_at_most(&self, timeout: Option<Duration>) -> Option<Duration> {
        let accepting = self.listeners.iter().any(|listener| listener.ready);
        if !self.ready.is_empty() || !self.handshakes.is_empty() || (accepting && self.accept_again_at.is_none()) {
            return Some(Duration::ZERO);
        }
        let accept_again_at = self.accept_again_at.filter(|_| accepting);
        let until = accept_again_at.into_iter().chain(self.next_held_until()).chain(self.newcomers.next_until()).min();
        let pause = until.map(|until| until.saturating_duration_since(Instant::now()));
        timeout.into_iter().chain(pause).min()
    }

    fn note_events(&mut self) {
        for event in &self.events {
            let token = event.token();
            if token == WAKER {
                continue;
            }
            match self.listeners.get_mut(LAST_LISTENER - token.0) {
                Some(listener) => listener.ready = true,
                None => note_connection_event(&mut self.table, &mut self.ready, event),
            }
        }
    }

    fn accept(&mut self) {
        if self.accept_again_at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.accept_again_at = None;
        let mut left = ACCEPTS_PER_TICK_MAX;
        for index in 0..self.listeners.len() {
            while self.listeners[index].ready && left > 0 {
                left -= 1;
                let accepted = self.listeners[index].socket.accept();
                match accepted {
                    Ok((stream, peer)) => self.open(stream, peer, self.listeners[index].door),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => self.listeners[index].ready = false,
                    Err(error) if concerns_one_connection(&error) => {}
                    Err(_) => {
                        self.counters.accept_failures += 1;
                        self.accept_again_at = Some(Instant::now() + ACCEPT_PAUSE);
                        return;
                    }
                }
            }
        }
    }

    fn open(&mut self, mut stream: TcpStream, peer: SocketAddr, door: Door) {
        if self.table.live() >= self.connections_max {
            self.counters.over_cap += 1;
            return;
        }
        // A miner on an IPv4 network that reached the dual-stack socket is known by its IPv4 address.
        let peer = peer.ip().to_canonical();
        let (network, is_proxy) = (PeerNetwork::of(peer), self.may_be_proxy(peer));
        // For whom a proxy speaks is known behind its header; until then its own address is not the one that counts.
        if !is_proxy && !self.admit(network) {
            return;
        }
        let key = self.table.next_key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut stream, token_of(key), interest);
        if registered.and_then(|()| address::set_options(&stream)).is_err() {
            self.counters.accept_failures += 1;
            if !is_proxy {
                self.admission.leave(network);
            }
            return;
        }
        self.counters.accepted += 1;
        let mut connection = Connection::new(stream, door);
        if is_proxy {
            connection.stage = Stage::Held;
            self.table.insert(connection);
            self.hold(key);
        } else {
            connection.admit(network);
            self.table.insert(connection);
            self.welcome(key, peer);
        }
    }

    /// Whether one more connection of this network is let in; counts those that are not.
    pub(super) fn admit(&mut self, network: PeerNetwork) -> bool {
        let now = units::Instant(u64::try_from(self.started_at.elapsed().as_nanos()).unwrap_or(u64::MAX));
        match self.admission.admit(network, now) {
            Ok(()) => return true,
            Err(admission::Refusal::Rate) => self.counters.over_rate += 1,
            Err(admission::Refusal::AddressCap) => self.counters.over_address_cap += 1,
        }
        false
    }

    fn read(&mut self, inbox: &mut Inbox) {
        let mut bytes_left = READ_BYTES_PER_TICK_MAX;
        for _ in 0..self.ready.len() {
            let lines_left = LINES_PER_TICK_MAX.saturating_sub(inbox.lines.len());
            if lines_left == 0 || bytes_left == 0 || inbox.bytes.len() >= READ_BYTES_PER_TICK_MAX {
                return;
            }
            let Some(key) = self.ready.pop_front() else { return };
            let Some(connection) = self.table.get_mut(key) else { continue };
            if connection.stage != Stage::Served && !self.enter(key, inbox) {
                continue;
            }
            let mut quota = Quota {
                lines: lines_left.min(LINES_PER_CONNECTION_PER_TICK_MAX),
                bytes: bytes_left.min(READ_BYTES_PER_CONNECTION_PER_TICK_MAX),
            };
            bytes_left -= quota.bytes;
            self.read_one(key, &mut quota, inbox);
            bytes_left += quota.bytes;
        }
    }

    fn read_one(&mut self, key: ConnectionKey, quota: &mut Quota, inbox: &mut Inbox) {
        let Some(connection) = self.table.get_mut(key) else { return };
        let deliver = |text: &[u8]| inbox.push_line(key, text);
        match connection.read(&mut self.read_buffer, &mut self.scratch, quota, deliver) {
            Progress::Drained => {}
            Progress::Unfinished => connection.mark_ready(key, &mut self.ready),
            Progress::Ended(reason) => self.leave(key, reason, inbox),
        }
    }

    /// Ends the entry of `key`. Its descriptor may be what a waiting connection needs.
    fn free(&mut self, key: ConnectionKey) -> Option<Connection> {
        let mut connection = self.table.remove(key)?;
        self.accept_again_at = None;
        if let Some(network) = connection.admitted() {
            self.admission.leave(network);
        }
        self.newcomers.remove(key);
        self.secured -= usize::from(connection.stage == Stage::Served && connection.tls().is_some());
        self.noise.connections -= usize::from(connection.noise().is_some());
        // An error here leaves nothing to be done: the descriptor is closed and leaves the queue by that.
        let _ = self.poll.registry().deregister(connection.stream_mut());
        Some(connection)
    }
}

fn note_connection_event(table: &mut Table, ready: &mut VecDeque<ConnectionKey>, event: &Event) {
    let key = key_of(event.token());
    let Some(connection) = table.get_mut(key) else { return };
    if event.is_writable() {
        let flushed = connection.flush();
        if flushed.is_err() {
            connection.give_up(CloseReason::SocketError);
        }
        if flushed.is_err() || connection.is_heard_again() {
            connection.mark_ready(key, ready);
        }
    }
    if event.is_read_closed() || event.is_error() {
        connection.note_end();
    }
    if event.is_readable() || event.is_read_closed() || event.is_error() {
        connection.mark_ready(key, ready);
    }
}

/// Whether a failed accept says something about the connection that was to be accepted, not about us.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted | ErrorKind::TimedOut
    )
}

const _: () = assert!(usize::BITS == 64, "a token holds slot and generation");

fn token_of(key: ConnectionKey) -> Token {
    Token((key.generation as usize) << 32 | key.slot as usize)
}

fn key_of(token: Token) -> ConnectionKey {
    ConnectionKey { slot: token.0 as u32, generation: (token.0 >> 32) as u32 }
}
