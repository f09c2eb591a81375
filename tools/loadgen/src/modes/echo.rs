//! The bare server to compare a pool with: one mio loop that answers each line with a constant line, and can write a
//! constant notify to everybody. No parsing, no state: what it costs is the kernel and the loop.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use super::Latency;
use crate::report::Report;

/// Pending replies over which a peer that does not read is closed.
const OUTBOUND_BYTES_MAX: usize = 1024 * 1024;

/// Connections that wait to be taken.
const BACKLOG: i32 = 4096;

const EVENTS_AT_ONCE: usize = 1024;
const READ_BYTES: usize = 64 * 1024;
const LONGEST_SLEEP: Duration = Duration::from_millis(50);
const LISTENER: Token = Token(usize::MAX);

/// What to serve.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bytes of each reply, newline included. An accepted submit's reply has some 45.
    pub reply_bytes: usize,
    /// Every so often a line goes to all connections; `None` never.
    pub broadcast_interval: Option<Duration>,
    /// Bytes of that line, newline included. A notify has some 2000.
    pub broadcast_bytes: usize,
    /// When to stop.
    pub duration: Duration,
}

/// The listening server.
pub struct EchoServer {
    options: Options,
    poll: Poll,
    listener: TcpListener,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    reply: Vec<u8>,
    broadcast: Vec<u8>,
    figures: Figures,
}

/// What its broadcasts cost: nothing but one write a connection.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Connections at the last broadcast.
    pub connections: usize,
    /// Time from before the first write of a broadcast to behind the last.
    pub broadcast: Latency,
}

impl Figures {
    /// The figures in order.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = Report::new("echo");
        report.add("connections", self.connections).add("broadcasts", self.broadcast.count());
        self.broadcast.add_to(&mut report, "broadcast");
        report
    }
}

struct Peer {
    stream: TcpStream,
    outbound: Vec<u8>,
    sent: usize,
}

impl EchoServer {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(options: Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = listen(options.listen)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            reply: line_of(options.reply_bytes),
            broadcast: line_of(options.broadcast_bytes),
            options,
            poll,
            listener,
            peers: Vec::new(),
            free: Vec::new(),
            figures: Figures::default(),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the time is over or `stop` is set, and tells what its broadcasts cost.
    ///
    /// # Errors
    /// When the event loop itself fails; a failing connection is only closed.
    pub fn run(mut self, stop: &AtomicBool) -> io::Result<Figures> {
        let mut events = Events::with_capacity(EVENTS_AT_ONCE);
        let mut buffer = vec![0; READ_BYTES];
        let end = Instant::now() + self.options.duration;
        let mut next_broadcast = self.options.broadcast_interval.map(|interval| Instant::now() + interval);
        while !stop.load(Ordering::Relaxed) && Instant::now() < end {
            match self.poll.poll(&mut events, Some(LONGEST_SLEEP)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    Token(index) => self.serve(index, &mut buffer),
                }
            }
            if next_broadcast.is_some_and(|due| Instant::now() >= due) {
                self.broadcast();
                next_broadcast = self.options.broadcast_interval.map(|interval| Instant::now() + interval);
            }
        }
        Ok(self.figures)
    }

    /// Takes all waiting connections; one that fails at once, or for which there is no file left, is dropped.
    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let index = self.free.pop().unwrap_or(self.peers.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            let is_taken = stream.set_nodelay(true).is_ok()
                && self.poll.registry().register(&mut stream, Token(index), interest).is_ok();
            let peer = is_taken.then(|| Peer { stream, outbound: Vec::new(), sent: 0 });
            if peer.is_none() {
                self.free.push(index);
            }
            match self.peers.get_mut(index) {
                Some(place) => *place = peer,
                None => self.peers.push(peer),
            }
        }
    }

    fn serve(&mut self, index: usize, buffer: &mut [u8]) {
        let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else { return };
        if peer.answer(buffer, &self.reply).is_err() {
            self.close(index);
        }
    }

    fn broadcast(&mut self) {
        let start = Instant::now();
        for index in 0..self.peers.len() {
            let Some(peer) = self.peers[index].as_mut() else { continue };
            if peer.send(&self.broadcast).is_err() {
                self.close(index);
            }
        }
        let connections = self.peers.iter().flatten().count();
        if connections != self.figures.connections {
            // Only broadcasts to the same number of connections can be compared.
            self.figures = Figures { connections, ..Figures::default() };
        }
        self.figures.broadcast.record(start.elapsed().as_nanos() as u64);
    }

    fn close(&mut self, index: usize) {
        self.peers[index] = None;
        self.free.push(index);
    }
}

impl Peer {
    /// Reads all, appends a reply a newline, writes once.
    fn answer(&mut self, buffer: &mut [u8], reply: &[u8]) -> io::Result<()> {
        loop {
            let bytes = match self.stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for _ in buffer[..bytes].iter().filter(|byte| **byte == b'\n') {
                self.outbound.extend_from_slice(reply);
            }
            if bytes < buffer.len() {
                break;
            }
        }
        self.flush()
    }

    /// One write of bytes that are not copied, unless the socket refuses some or others wait.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = match self.outbound.is_empty() {
            true => self.stream.write(bytes).or_else(|error| match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            })?,
            false => 0,
        };
        self.outbound.extend_from_slice(&bytes[written..]);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.outbound.len() {
            match self.stream.write(&self.outbound[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let is_over = self.outbound.len() - self.sent > OUTBOUND_BYTES_MAX;
                    return if is_over { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(()) };
                }
                Err(error) => return Err(error),
            }
        }
        self.outbound.clear();
        self.sent = 0;
        Ok(())
    }
}

/// A listener that a storm of connections does not overflow, so far as the kernel's own limit allows.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// A constant line of that many bytes, newline included.
fn line_of(bytes: usize) -> Vec<u8> {
    let mut line = vec![b'x'; bytes.max(1)];
    line[bytes.max(1) - 1] = b'\n';
    line
}
