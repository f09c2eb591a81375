//! The connection to an upstream: TCP, the handshake, whole messages on this side of it.
//!
//! Until the session is open everything is waited for, step by step; from then on nothing is, and the caller polls.

use super::address::{UpstreamAddress, UpstreamProtocol};
use super::coding::{Coding, Lines};
use super::error::UpstreamError;
use super::tls;
use mio::{Interest, Registry, Token};
use rustls::ClientConfig;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use warppool_components::limits::{
    UPSTREAM_FRAME_PAYLOAD_BYTES_MAX, UPSTREAM_KEPT_MESSAGES_MAX, UPSTREAM_SEND_BYTES_MAX, UPSTREAM_STEP_SECONDS_MAX,
};
use warppool_components::units::UnixTime;
use warppool_net::transport::noise::{ACT_2_BYTES, AuthorityPublicKey, Initiator, NoiseSession};

const STEP: Duration = Duration::from_secs(UPSTREAM_STEP_SECONDS_MAX);

/// Bytes asked of the socket at once.
const READ_BYTES: usize = 64 * 1024;

/// A connection whose messages are waited for.
pub(super) struct Link {
    stream: TcpStream,
    coding: Coding,
    messages: VecDeque<Vec<u8>>,
    /// What came while something else was waited for.
    kept: VecDeque<Vec<u8>>,
}

/// The time on this machine's clock.
pub(super) fn unix_now() -> UnixTime {
    SystemTime::now().into()
}

impl Link {
    /// Connects and checks who answers.
    pub(super) fn connect(address: &UpstreamAddress, trusted: &Arc<ClientConfig>) -> Result<Self, UpstreamError> {
        let mut stream = reach(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(STEP))?;
        stream.set_write_timeout(Some(STEP))?;
        let coding = match address.protocol {
            UpstreamProtocol::V1 { tls: false } => Coding::Lines(Lines::default()),
            UpstreamProtocol::V1 { tls: true } => {
                let connection = tls::shake(&mut stream, &address.endpoint, trusted, Instant::now() + STEP)?;
                Coding::Tls(Box::new(connection), Lines::default())
            }
            UpstreamProtocol::V2(authority) => Coding::Noise(shake(&mut stream, authority)?),
        };
        Ok(Self { stream, coding, messages: VecDeque::new(), kept: VecDeque::new() })
    }

    /// Sends a message.
    pub(super) fn send(&mut self, message: &[u8]) -> Result<(), UpstreamError> {
        let mut packed = Vec::new();
        self.coding.pack(message, &mut packed)?;
        Ok(self.stream.write_all(&packed)?)
    }

    /// The first message that `understand` takes, within the time of a step; others are kept for later.
    pub(super) fn wait_for<T>(
        &mut self,
        understand: impl Fn(&[u8]) -> Option<Result<T, UpstreamError>>,
    ) -> Result<T, UpstreamError> {
        let end = Instant::now() + STEP;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            while let Some(message) = self.messages.pop_front() {
                if let Some(answer) = understand(&message) {
                    return answer;
                }
                if self.kept.len() == UPSTREAM_KEPT_MESSAGES_MAX {
                    return Err(UpstreamError::NoAnswer);
                }
                self.kept.push_back(message);
            }
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
            self.stream.set_read_timeout(Some(left.ok_or(UpstreamError::NoAnswer)?))?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(UpstreamError::HungUp),
                Ok(count) => self.coding.unpack(&mut buffer[..count], &mut self.messages)?,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// From now on nothing is waited for: the socket is polled.
    pub(super) fn polled(self, registry: &Registry, token: Token) -> Result<PolledLink, UpstreamError> {
        self.stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(self.stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let buffer = vec![0; READ_BYTES];
        let mut messages = self.kept;
        messages.extend(self.messages);
        Ok(PolledLink { stream, coding: self.coding, messages, unsent: Vec::new(), buffer })
    }
}

/// The handshake of Stratum V2.
fn shake(stream: &mut TcpStream, authority: AuthorityPublicKey) -> Result<NoiseSession, UpstreamError> {
    let (initiator, act_1) = Initiator::new()?;
    let mut act_2 = [0; ACT_2_BYTES];
    let shaken = stream.write_all(&act_1).and_then(|()| stream.read_exact(&mut act_2));
    shaken.map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => UpstreamError::NoAnswer,
        _ => UpstreamError::Handshake(error),
    })?;
    Ok(initiator.finish(&act_2, authority, unix_now(), UPSTREAM_FRAME_PAYLOAD_BYTES_MAX)?)
}

fn reach(address: &UpstreamAddress) -> Result<TcpStream, UpstreamError> {
    let (host, port) = (address.endpoint.host.as_str(), address.endpoint.port);
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for candidate in (host, port).to_socket_addrs().map_err(UpstreamError::Name)? {
        match TcpStream::connect_timeout(&candidate, STEP) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(UpstreamError::Connect(last))
}

/// A connection that is polled.
pub(super) struct PolledLink {
    stream: mio::net::TcpStream,
    coding: Coding,
    messages: VecDeque<Vec<u8>>,
    unsent: Vec<u8>,
    buffer: Vec<u8>,
}

impl PolledLink {
    /// Takes what one read brings. Whether there may be more.
    pub(super) fn read(&mut self) -> Result<bool, UpstreamError> {
        match self.stream.read(&mut self.buffer) {
            Ok(0) => Err(UpstreamError::HungUp),
            Ok(count) => {
                self.coding.unpack(&mut self.buffer[..count], &mut self.messages)?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The next message that was read.
    pub(super) fn next_message(&mut self) -> Option<Vec<u8>> {
        self.messages.pop_front()
    }

    /// Puts a message behind what waits.
    pub(super) fn push(&mut self, message: &[u8]) -> Result<(), UpstreamError> {
        self.coding.pack(message, &mut self.unsent)?;
        if self.unsent.len() > UPSTREAM_SEND_BYTES_MAX { Err(UpstreamError::DoesNotRead) } else { Ok(()) }
    }

    /// Writes as much of what waits as the kernel takes.
    pub(super) fn flush(&mut self) -> Result<(), UpstreamError> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(0) => return Err(UpstreamError::HungUp),
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
