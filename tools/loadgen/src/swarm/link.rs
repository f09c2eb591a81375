//! One connection of the swarm: its socket, its login, its partial line and its unsent bytes.

use std::io::{self, BufRead, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use warppool_net::transport::noise::NoiseError;

use super::frames::{self, Heard};
use super::notify::JobText;
use super::v2::{ChannelLink, V2};
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
    #[error("Noise {when}: {error}")]
    Noise { when: &'static str, error: NoiseError },
    #[error("refused by the pool {when}: {code}")]
    Unwanted { when: &'static str, code: String },
    #[error("a frame that ends within a field")]
    Frame,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Handshaking,
    SettingUp,
    Subscribing,
    Authorizing,
    AwaitingJob,
    Ready,
}

/// A connection.
pub(crate) struct Link {
    pub(super) stream: TcpStream,
    tls: Option<TlsLink>,
    /// Of a V2 connection.
    v2: Option<Box<V2>>,
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
    /// The pool's parts of the extranonces, in hexadecimal: one, or one a channel.
    extranonces: Vec<String>,
    difficulty_seen: bool,
}

impl Link {
    pub(super) fn open(target: &Target, index: usize, opened_at_ns: u64) -> io::Result<Self> {
        let tls = |config| TlsLink::new(Arc::clone(config), target.server.ip());
        Ok(Self {
            tls: target.tls.as_ref().map(tls).transpose()?,
            v2: target.v2.map(|options| Box::new(V2::new(options))),
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
            extranonces: Vec::new(),
            difficulty_seen: false,
        })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    pub(super) fn extranonces(&self) -> &[String] {
        &self.extranonces
    }

    /// The channels of a V2 connection.
    pub(crate) fn channels(&self) -> &[ChannelLink] {
        self.v2.as_deref().map_or(&[], |v2| &v2.channels)
    }

    /// The places of the channels that a number names: one, or a group's members.
    pub(crate) fn places(&self, number: u32) -> Vec<usize> {
        self.v2.as_deref().map_or_else(Vec::new, |v2| v2.places(number))
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
            if self.v2.is_some() {
                self.take_sealed(&mut buffer[..bytes], elapsed_ns(origin), observer)?;
            } else {
                self.take_lines(&buffer[..bytes], elapsed_ns(origin), observer)?;
            }
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
            Protocol::StratumV2 => {
                self.phase = Phase::Handshaking;
                let began = self.v2.as_mut().map_or(Ok(()), |v2| v2.begin());
                began.map_err(|error| LinkError::Noise { when: self.when(), error })?;
            }
        }
        Ok(true)
    }

    /// Bytes of a V2 connection: the handshake's answer, then frames.
    fn take_sealed(&mut self, chunk: &mut [u8], at_ns: u64, observer: &mut impl Observer) -> Result<(), LinkError> {
        let when = self.when();
        let broken = |error| LinkError::Noise { when, error };
        let Some(v2) = &mut self.v2 else { return Ok(()) };
        let mut rest = chunk;
        if v2.session.is_none() {
            rest = v2.answer(rest).map_err(broken)?;
            if v2.session.is_none() {
                return Ok(());
            }
            if v2.options.only_handshake {
                self.phase = Phase::Ready;
                observer.ready(self, at_ns);
                return Ok(());
            }
            self.phase = Phase::SettingUp;
            self.outbound.extend_from_slice(&frames::setup());
        }
        let Some(mut session) = self.v2.as_mut().and_then(|v2| v2.session.take()) else { return Ok(()) };
        let mut taken = Ok(());
        let received = session.receive(rest, usize::MAX, |frame| {
            if taken.is_ok() {
                taken = self.take_frame(frame, at_ns, observer);
            }
        });
        if let Some(v2) = &mut self.v2 {
            v2.session = Some(session);
        }
        received.map_err(broken)?;
        taken?;
        if self.phase == Phase::Ready {
            observer.drained(self, at_ns);
        }
        Ok(())
    }

    fn take_frame(&mut self, frame: &[u8], at_ns: u64, observer: &mut impl Observer) -> Result<(), LinkError> {
        let heard = frames::read(frame).ok_or(LinkError::Frame)?;
        if let Heard::Unwanted(code) = heard {
            let code = String::from_utf8_lossy(code).into_owned();
            return Err(LinkError::Unwanted { when: self.when(), code });
        }
        if let Some(v2) = &mut self.v2 {
            v2.follow(&heard);
        }
        if self.phase == Phase::Ready {
            observer.line(self, frame, at_ns);
            return Ok(());
        }
        match heard {
            Heard::SetUp => {
                self.phase = Phase::AwaitingJob;
                self.open_next();
            }
            Heard::Opened { prefix, .. } => {
                self.extranonces.push(prefix.iter().map(|byte| format!("{byte:02x}")).collect());
            }
            Heard::Tip { .. } => self.open_next(),
            _ => {}
        }
        if self.phase == Phase::Ready {
            observer.ready(self, at_ns);
        }
        Ok(())
    }

    /// Opens the next channel once the one before has its first job; the last one makes the connection ready.
    fn open_next(&mut self) {
        let Some(v2) = &self.v2 else { return };
        if v2.channels.last().is_some_and(|channel| channel.job.is_none()) {
            return;
        }
        let opened = v2.channels.len();
        if opened == v2.options.channels {
            self.phase = Phase::Ready;
            return;
        }
        let username = if opened == 0 { self.username.clone() } else { format!("{}-{opened}", self.username) };
        let open = frames::open(opened as u32 + 1, &username, v2.options.is_standard);
        self.outbound.extend_from_slice(&open);
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
                self.extranonces = vec![extranonce1.to_owned()];
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
        let wire = match &mut self.v2 {
            None => &mut self.outbound,
            Some(v2) => {
                if let Some(session) = &mut v2.session {
                    session.seal(&self.outbound, &mut v2.wire).map_err(io::Error::other)?;
                    self.outbound.clear();
                }
                &mut v2.wire
            }
        };
        while self.sent < wire.len() {
            match self.stream.write(&wire[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        wire.clear();
        self.sent = 0;
        Ok(())
    }

    fn when(&self) -> &'static str {
        match self.phase {
            Phase::Connecting => "while connecting",
            Phase::Handshaking => "during the handshake",
            Phase::SettingUp => "after SetupConnection",
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
