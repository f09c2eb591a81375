//! One connection of the swarm: its socket, its login, its partial line and its unsent bytes.

use std::io::{self, BufRead, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::notify::JobText;
use super::{Observer, Protocol, Target, elapsed_ns};
use crate::limits::LINE_BYTES_MAX;
use crate::tls::TlsLink;

/// Why a connection was lost.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("connect: {0}")]
    Connect(io::Error),
    #[error("closed by the server {0}")]
    Closed(&'static str),
    #[error("socket {when}: {error}")]
    Socket { when: &'static str, error: io::Error },
    #[error("a line over {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    #[error("subscribe refused: {0}")]
    Subscribe(String),
    #[error("authorize refused: {0}")]
    Authorize(String),
    #[error("a notify without job id, time or difficulty before it")]
    Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Subscribing,
    Authorizing,
    AwaitingJob,
    Ready,
}

/// A connection.
pub(crate) struct Link {
    pub(super) stream: TcpStream,
    tls: Option<TlsLink>,
    /// Number of the connection, from 0.
    pub(crate) index: usize,
    /// When it was opened, in nanoseconds of the swarm.
    pub(crate) opened_at_ns: u64,
    /// Username that it authorizes.
    pub(crate) username: String,
    /// Bytes to write; a mode appends lines.
    pub(crate) outbound: Vec<u8>,
    /// Size of the miner's part of the coinbase.
    pub(crate) extranonce2_bytes: usize,
    /// The latest job that was seen during login.
    pub(crate) job: Option<JobText>,
    password: String,
    protocol: Protocol,
    phase: Phase,
    inbound: Vec<u8>,
    sent: usize,
    extranonce1: String,
    difficulty_seen: bool,
}

impl Link {
    pub(super) fn open(target: &Target, index: usize, opened_at_ns: u64) -> io::Result<Self> {
        let tls = |config| TlsLink::new(Arc::clone(config), target.server.ip());
        Ok(Self {
            tls: target.tls.as_ref().map(tls).transpose()?,
            stream: connect(target.server, target.source_of(index))?,
            index,
            opened_at_ns,
            username: target.username_of(index),
            outbound: Vec::new(),
            extranonce2_bytes: 8,
            job: None,
            password: target.password.clone(),
            protocol: target.protocol,
            phase: Phase::Connecting,
            inbound: Vec::new(),
            sent: 0,
            extranonce1: String::new(),
            difficulty_seen: false,
        })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    pub(super) fn extranonce1(&self) -> &str {
        &self.extranonce1
    }

    /// Does what an event allows: finishes connecting, reads until the socket is empty, writes.
    pub(super) fn serve(
        &mut self,
        buffer: &mut [u8],
        origin: Instant,
        observer: &mut impl Observer,
    ) -> Result<(), LinkError> {
        if self.phase == Phase::Connecting && !self.finish_connecting()? {
            return Ok(());
        }
        loop {
            let read = match &mut self.tls {
                None => self.stream.read(buffer),
                Some(tls) => tls.read(&mut self.stream, buffer),
            };
            let bytes = match read {
                Ok(0) => return Err(LinkError::Closed(self.when())),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(LinkError::Socket { when: self.when(), error }),
            };
            self.take_lines(&buffer[..bytes], elapsed_ns(origin), observer)?;
            // A short read has emptied a stream socket: what comes later raises a new edge.
            if bytes < buffer.len() && self.tls.is_none() {
                break;
            }
        }
        self.flush().map_err(|error| LinkError::Socket { when: self.when(), error })
    }

    /// Whether the connection is established; then the first request is due.
    fn finish_connecting(&mut self) -> Result<bool, LinkError> {
        if let Some(error) = self.stream.take_error().map_err(LinkError::Connect)? {
            return Err(LinkError::Connect(error));
        }
        match self.stream.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(false),
            Err(error) => return Err(LinkError::Connect(error)),
            Ok(_) => self.stream.set_nodelay(true).map_err(LinkError::Connect)?,
        }
        match self.protocol {
            Protocol::Echo => {
                // The kernel opens connections before the server takes them: only an answer shows that it has.
                self.phase = Phase::AwaitingJob;
                self.outbound.extend_from_slice(b"hello\n");
            }
            Protocol::Stratum => {
                self.phase = Phase::Subscribing;
                self.outbound.extend_from_slice(SUBSCRIBE);
            }
        }
        Ok(true)
    }

    fn take_lines(&mut self, chunk: &[u8], at_ns: u64, observer: &mut impl Observer) -> Result<(), LinkError> {
        let mut rest = chunk;
        if !self.inbound.is_empty() {
            let end = find_newline(rest);
            self.inbound.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            rest = end.map_or(&[], |end| &rest[end + 1..]);
            if end.is_some() {
                let line = std::mem::take(&mut self.inbound);
                self.take_line(&line, at_ns, observer)?;
            }
        }
        while let Some(end) = find_newline(rest) {
            self.take_line(&rest[..end], at_ns, observer)?;
            rest = &rest[end + 1..];
        }
        self.inbound.extend_from_slice(rest);
        if self.inbound.len() > LINE_BYTES_MAX {
            return Err(LinkError::LineTooLong);
        }
        if self.phase == Phase::Ready {
            observer.drained(self, at_ns);
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], at_ns: u64, observer: &mut impl Observer) -> Result<(), LinkError> {
        if self.phase == Phase::Ready {
            observer.line(self, line, at_ns);
            return Ok(());
        }
        self.log_in(line)?;
        if self.phase == Phase::Ready {
            observer.ready(self, at_ns);
        }
        Ok(())
    }

    /// One line of the handshake.
    fn log_in(&mut self, line: &[u8]) -> Result<(), LinkError> {
        if self.protocol == Protocol::Echo {
            self.phase = Phase::Ready;
            return Ok(());
        }
        let message: Value = serde_json::from_slice(line).unwrap_or_default();
        match message["method"].as_str() {
            Some("mining.set_difficulty") => self.difficulty_seen = true,
            Some("mining.notify") => self.job = JobText::of(&message),
            _ => self.reply(&message)?,
        }
        if self.phase == Phase::AwaitingJob && message["method"] == "mining.notify" {
            if self.job.is_none() || !self.difficulty_seen {
                return Err(LinkError::Notify);
            }
            self.phase = Phase::Ready;
        }
        Ok(())
    }

    fn reply(&mut self, message: &Value) -> Result<(), LinkError> {
        let result = &message["result"];
        match (self.phase, message["id"].as_u64()) {
            (Phase::Subscribing, Some(SUBSCRIBE_ID)) => {
                let (Some(extranonce1), Some(size)) = (result[1].as_str(), result[2].as_u64()) else {
                    return Err(LinkError::Subscribe(message["error"].to_string()));
                };
                self.extranonce1 = extranonce1.to_owned();
                self.extranonce2_bytes = usize::try_from(size).unwrap_or(usize::MAX).clamp(1, 16);
                self.phase = Phase::Authorizing;
                let (user, password) = (Value::from(self.username.as_str()), Value::from(self.password.as_str()));
                let line = format!(
                    "{{\"id\":{AUTHORIZE_ID},\"method\":\"mining.authorize\",\"params\":[{user},{password}]}}\n"
                );
                self.outbound.extend_from_slice(line.as_bytes());
            }
            (Phase::Authorizing, Some(AUTHORIZE_ID)) if *result == Value::Bool(true) => {
                self.phase = Phase::AwaitingJob;
            }
            (Phase::Authorizing, Some(AUTHORIZE_ID)) => {
                return Err(LinkError::Authorize(message["error"].to_string()));
            }
            _ => {}
        }
        Ok(())
    }

    /// Writes as much as the socket takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.write(&mut self.stream, &self.outbound)?;
            self.outbound.clear();
            return Ok(());
        }
        while self.sent < self.outbound.len() {
            match self.stream.write(&self.outbound[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outbound.clear();
        self.sent = 0;
        Ok(())
    }

    fn when(&self) -> &'static str {
        match self.phase {
            Phase::Connecting => "while connecting",
            Phase::Subscribing => "after subscribe",
            Phase::Authorizing => "after authorize",
            Phase::AwaitingJob => "before the first job",
            Phase::Ready => "after login",
        }
    }
}

/// Begins to connect, from a given address if there is one.
fn connect(server: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let Some(source) = source.filter(|_| server.is_ipv4()) else { return TcpStream::connect(server) };
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    match socket.connect(&server.into()) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock && error.raw_os_error() != Some(EINPROGRESS) => {
            Err(error)
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// "Operation now in progress": a connect that goes on in the background. Linux has one number for it everywhere but on
/// MIPS and SPARC.
const EINPROGRESS: i32 = 115;

const SUBSCRIBE_ID: u64 = 1;
const AUTHORIZE_ID: u64 = 2;
const SUBSCRIBE: &[u8] = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"warppool-loadgen/0.1\"]}\n";

/// Position of the first newline. `skip_until` on a slice is the C library's vectorised `memchr`.
fn find_newline(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let length = rest.skip_until(b'\n').unwrap_or(0);
    (length > 0 && bytes[length - 1] == b'\n').then(|| length - 1)
}

#[cfg(test)]
mod tests {
    use super::find_newline;

    #[test]
    fn newlines_are_found_and_their_absence_too() {
        let cases: [(&[u8], Option<usize>); 5] =
            [(b"", None), (b"ab", None), (b"\n", Some(0)), (b"ab\ncd\n", Some(2)), (b"abc\n", Some(3))];
        for (bytes, expected) in cases {
            assert_eq!(find_newline(bytes), expected);
        }
    }
}
