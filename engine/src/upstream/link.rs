//! The connection to an upstream: TCP, the handshake, frames in the clear on this side of it.
//!
//! Until the channel is open everything is waited for, step by step; from then on nothing is, and the caller polls.

use super::address::UpstreamAddress;
use super::error::UpstreamError;
use mio::{Interest, Registry, Token};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use warppool_components::limits::{
    UPSTREAM_FRAME_PAYLOAD_BYTES_MAX, UPSTREAM_SEND_BYTES_MAX, UPSTREAM_STEP_SECONDS_MAX,
};
use warppool_components::units::UnixTime;
use warppool_net::transport::noise::{ACT_2_BYTES, Initiator, NoiseSession};

const STEP: Duration = Duration::from_secs(UPSTREAM_STEP_SECONDS_MAX);

/// Bytes asked of the socket at once.
const READ_BYTES: usize = 64 * 1024;

/// An encrypted connection whose messages are waited for.
pub(super) struct Link {
    stream: TcpStream,
    session: NoiseSession,
    frames: VecDeque<Vec<u8>>,
}

/// The time on this machine's clock.
pub(super) fn unix_now() -> UnixTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

impl Link {
    /// Connects and checks who answers.
    pub(super) fn connect(address: &UpstreamAddress) -> Result<Self, UpstreamError> {
        let mut stream = reach(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(STEP))?;
        stream.set_write_timeout(Some(STEP))?;
        let (initiator, act_1) = Initiator::new()?;
        let mut act_2 = [0; ACT_2_BYTES];
        let shaken = stream.write_all(&act_1).and_then(|()| stream.read_exact(&mut act_2));
        shaken.map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => UpstreamError::NoAnswer,
            _ => UpstreamError::Handshake(error),
        })?;
        let session = initiator.finish(&act_2, address.authority, unix_now(), UPSTREAM_FRAME_PAYLOAD_BYTES_MAX)?;
        Ok(Self { stream, session, frames: VecDeque::new() })
    }

    /// Sends a frame.
    pub(super) fn send(&mut self, frame: &[u8]) -> Result<(), UpstreamError> {
        let mut sealed = Vec::new();
        self.session.seal(frame, &mut sealed)?;
        Ok(self.stream.write_all(&sealed)?)
    }

    /// The first frame that `understand` takes, within the time of a step; others are passed over.
    pub(super) fn wait_for<T>(
        &mut self,
        understand: impl Fn(&[u8]) -> Option<Result<T, UpstreamError>>,
    ) -> Result<T, UpstreamError> {
        let end = Instant::now() + STEP;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            while let Some(frame) = self.frames.pop_front() {
                if let Some(answer) = understand(&frame) {
                    return answer;
                }
            }
            let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
            self.stream.set_read_timeout(Some(left.ok_or(UpstreamError::NoAnswer)?))?;
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(UpstreamError::HungUp),
                Ok(count) => {
                    let frames = &mut self.frames;
                    self.session.receive(&mut buffer[..count], usize::MAX, |frame| frames.push_back(frame.to_vec()))?;
                }
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
        Ok(PolledLink { stream, session: self.session, frames: self.frames, unsent: Vec::new(), buffer })
    }
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

/// An encrypted connection that is polled.
pub(super) struct PolledLink {
    stream: mio::net::TcpStream,
    session: NoiseSession,
    frames: VecDeque<Vec<u8>>,
    unsent: Vec<u8>,
    buffer: Vec<u8>,
}

impl PolledLink {
    /// Takes what one read brings. Whether there may be more.
    pub(super) fn read(&mut self) -> Result<bool, UpstreamError> {
        match self.stream.read(&mut self.buffer) {
            Ok(0) => Err(UpstreamError::HungUp),
            Ok(count) => {
                let frames = &mut self.frames;
                self.session
                    .receive(&mut self.buffer[..count], usize::MAX, |frame| frames.push_back(frame.to_vec()))?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The next frame that was read.
    pub(super) fn next_frame(&mut self) -> Option<Vec<u8>> {
        self.frames.pop_front()
    }

    /// Puts a frame behind what waits.
    pub(super) fn push(&mut self, frame: &[u8]) -> Result<(), UpstreamError> {
        self.session.seal(frame, &mut self.unsent)?;
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
