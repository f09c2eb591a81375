//! Many connections in one event loop that hash nothing: opening, logging in, cutting lines, writing.
//!
//! A mode drives a [`Swarm`] and is told through [`Observer`] what arrives. Times are nanoseconds since the swarm was
//! made, read once per wake-up of a connection. No thread, no timer per connection, no parsing of a line that a mode
//! does not ask for.

pub(crate) mod frames;
mod link;
mod notify;
mod v2;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use rustls::ClientConfig;

use crate::limits::{CONNECTIONS_MAX, FILES_BESIDE_CONNECTIONS};
use crate::process;

pub(crate) use frames::{Heard, SubmitFrame, read as read_frame};
pub(crate) use link::Link;
pub(crate) use notify::{JobText, is_clean, is_notify};
pub use v2::V2Options;

/// Events taken from the kernel at once.
const EVENTS_AT_ONCE: usize = 1024;

/// Bytes read at once; a read that does not fill it has emptied the socket.
const READ_BYTES: usize = 64 * 1024;

/// Longest sleep, so that schedules and deadlines are looked at.
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// What the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Stratum V1: subscribe, authorize, wait for a job.
    Stratum,
    /// Stratum V2 behind its handshake: set up, open channels, wait for a job of each.
    StratumV2,
    /// Lines answered by lines: a connection is ready once its first line is answered.
    Echo,
}

/// The server under load and who its miners say they are.
#[derive(Clone)]
pub struct Target {
    /// Address of the server.
    pub server: SocketAddr,
    /// What it speaks.
    pub protocol: Protocol,
    /// Username; `{n}` becomes the connection's number, without it `.w<number>` is appended.
    pub username: String,
    /// Password of all.
    pub password: String,
    /// Connections to open.
    pub connections: usize,
    /// Process whose CPU time and memory are read from /proc.
    pub server_pid: Option<u32>,
    /// How long opening and logging in may take in all.
    pub login_timeout: Duration,
    /// What connections speak TLS by, if they do.
    pub tls: Option<Arc<ClientConfig>>,
    /// How it is spoken to in Stratum V2, if it is.
    pub v2: Option<V2Options>,
    /// Address of the first connection; the others come from those after it. `None` leaves it to the system.
    pub sources_from: Option<Ipv4Addr>,
    /// The operator's word that a server beyond this machine may be loaded.
    pub is_remote_allowed: bool,
}

/// Why a run cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// Somebody else's pool must not be load-tested by mistake.
    #[error("{0} is not on this machine. To load a server of your own elsewhere, add --i-own-this-server")]
    NotLoopback(SocketAddr),
    /// More connections than one source address can open.
    #[error("{0} connections: 1 to {CONNECTIONS_MAX} are possible from one source address")]
    ConnectionCount(usize),
    /// The process may not open that many files.
    #[error(
        "{needed} open files are needed and {allowed} are allowed: run `ulimit -n {needed}` in this shell first \
         (the hard limit, `ulimit -Hn`, must be at least that; the server needs it too)"
    )]
    OpenFiles {
        /// Files that the run needs.
        needed: u64,
        /// The soft limit of this process.
        allowed: u64,
    },
    /// The server took fewer connections than asked for.
    #[error("{ready} of {wanted} connections were ready after {seconds:.1} s; {reasons}")]
    Login {
        /// Connections with a job.
        ready: usize,
        /// Connections asked for.
        wanted: usize,
        /// Seconds waited.
        seconds: f64,
        /// What went wrong, counted.
        reasons: String,
    },
    /// Every connection was closed during the run.
    #[error("the server closed all connections: {0}")]
    AllClosed(String),
    /// Nothing happened within the time given.
    #[error("{0}")]
    Waited(String),
    /// The trigger command could not be run.
    #[error("the trigger command {command} failed: {error}")]
    Trigger {
        /// The program's name.
        command: String,
        /// What the system said.
        error: io::Error,
    },
    /// The figures of a process could not be read.
    #[error(transparent)]
    Process(#[from] process::ProcessError),
    /// The event loop or a socket failed.
    #[error("socket or event loop: {0}")]
    Io(#[from] io::Error),
}

impl Target {
    /// Refuses what must not or cannot be loaded, before the first connection.
    ///
    /// # Errors
    /// Says what is allowed and how to allow it.
    pub fn check(&self) -> Result<(), SwarmError> {
        if !self.server.ip().is_loopback() && !self.is_remote_allowed {
            return Err(SwarmError::NotLoopback(self.server));
        }
        if self.connections == 0 || self.connections > CONNECTIONS_MAX {
            return Err(SwarmError::ConnectionCount(self.connections));
        }
        let needed = (self.connections + FILES_BESIDE_CONNECTIONS) as u64;
        let allowed = process::open_files_max()?;
        if needed > allowed {
            return Err(SwarmError::OpenFiles { needed, allowed });
        }
        Ok(())
    }

    fn source_of(&self, index: usize) -> Option<Ipv4Addr> {
        let first = self.sources_from?.to_bits();
        Some(Ipv4Addr::from_bits(first + u32::try_from(index).unwrap_or(0)))
    }

    fn username_of(&self, index: usize) -> String {
        if self.username.contains("{n}") {
            return self.username.replace("{n}", &index.to_string());
        }
        format!("{}.w{index}", self.username)
    }
}

/// What a mode wants to know. `at_ns` is the time of the wake-up.
pub(crate) trait Observer {
    /// The connection has its first job (with an echo server, its first answer).
    fn ready(&mut self, _link: &mut Link, _at_ns: u64) {}
    /// A line after login, without its newline; a frame in the clear of a V2 connection.
    fn line(&mut self, _link: &mut Link, _line: &[u8], _at_ns: u64) {}
    /// All lines of this wake-up have been seen; what is appended to the link now leaves in one write.
    fn drained(&mut self, _link: &mut Link, _at_ns: u64) {}
}

/// An observer of nothing.
pub(crate) struct Nobody;

impl Observer for Nobody {}

/// How connections are opened.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// So many are opening or logging in at a time.
    AtOnce(usize),
    /// Evenly over this time, whatever the server does.
    Over(Duration),
}

/// The connections and their event loop.
pub(crate) struct Swarm {
    target: Target,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    links: Vec<Option<Link>>,
    origin: Instant,
    ready: usize,
    logging_in: usize,
    failures: BTreeMap<String, u64>,
    extranonces: HashSet<String>,
    extranonces_repeated: u64,
}

impl Swarm {
    /// Checks the target; opens nothing yet.
    pub(crate) fn new(target: Target) -> Result<Self, SwarmError> {
        target.check()?;
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_AT_ONCE),
            buffer: vec![0; READ_BYTES],
            links: Vec::with_capacity(target.connections),
            target,
            origin: Instant::now(),
            ready: 0,
            logging_in: 0,
            failures: BTreeMap::new(),
            extranonces: HashSet::new(),
            extranonces_repeated: 0,
        })
    }

    /// Nanoseconds since the swarm was made.
    pub(crate) fn now_ns(&self) -> u64 {
        elapsed_ns(self.origin)
    }

    /// Connections that are logged in and alive.
    pub(crate) fn ready_count(&self) -> usize {
        self.ready
    }

    /// Reasons for which connections were lost, counted.
    pub(crate) fn failures(&self) -> &BTreeMap<String, u64> {
        &self.failures
    }

    /// Connections, or channels of V2, whose extranonce1 another one had already.
    pub(crate) fn extranonces_repeated(&self) -> u64 {
        self.extranonces_repeated
    }

    /// Opens all connections and turns until each is ready or lost, or the time is over.
    pub(crate) fn log_in(&mut self, pace: Pace, observer: &mut impl Observer) -> Result<(), SwarmError> {
        let start = Instant::now();
        loop {
            self.open_due(pace, start)?;
            let is_over = self.links.len() == self.target.connections && self.logging_in == 0;
            if is_over || start.elapsed() > self.target.login_timeout {
                return Ok(());
            }
            self.turn(self.sleep_of(pace), observer)?;
        }
    }

    /// [`Swarm::log_in`] where a missing connection would spoil the figures.
    pub(crate) fn log_in_all(&mut self, observer: &mut impl Observer) -> Result<(), SwarmError> {
        let start = Instant::now();
        self.log_in(Pace::AtOnce(crate::limits::LOGINS_AT_ONCE), observer)?;
        if self.ready == self.target.connections {
            return Ok(());
        }
        Err(SwarmError::Login {
            ready: self.ready,
            wanted: self.target.connections,
            seconds: start.elapsed().as_secs_f64(),
            reasons: self.reasons(),
        })
    }

    /// The failures in one line.
    pub(crate) fn reasons(&self) -> String {
        let mut reasons: Vec<String> =
            self.failures.iter().map(|(reason, count)| format!("{count} x {reason}")).collect();
        if self.logging_in > 0 {
            reasons.push(format!("{} x no job within the login timeout", self.logging_in));
        }
        reasons.join("; ")
    }

    fn sleep_of(&self, pace: Pace) -> Duration {
        match pace {
            Pace::Over(_) if self.links.len() < self.target.connections => Duration::from_millis(1),
            _ => LONGEST_SLEEP,
        }
    }

    fn open_due(&mut self, pace: Pace, start: Instant) -> Result<(), SwarmError> {
        let wanted = self.target.connections;
        let due = match pace {
            Pace::AtOnce(count) => (self.links.len() + count.saturating_sub(self.logging_in)).min(wanted),
            Pace::Over(time) if start.elapsed() < time => {
                let share = start.elapsed().as_secs_f64() / time.as_secs_f64();
                ((wanted as f64 * share) as usize + 1).min(wanted)
            }
            Pace::Over(_) => wanted,
        };
        while self.links.len() < due {
            self.open()?;
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), SwarmError> {
        let index = self.links.len();
        let opened_at_ns = self.now_ns();
        let mut link = match Link::open(&self.target, index, opened_at_ns) {
            Ok(link) => link,
            Err(error) => {
                *self.failures.entry(format!("connect: {error}")).or_default() += 1;
                self.links.push(None);
                return Ok(());
            }
        };
        self.poll.registry().register(&mut link.stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        self.links.push(Some(link));
        self.logging_in += 1;
        Ok(())
    }

    /// Waits at most `timeout` for the kernel and serves every connection that it names.
    pub(crate) fn turn(&mut self, timeout: Duration, observer: &mut impl Observer) -> Result<(), SwarmError> {
        match self.poll.poll(&mut self.events, Some(timeout.min(LONGEST_SLEEP))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            let Some(link) = self.links.get_mut(event.token().0).and_then(Option::as_mut) else { continue };
            let was_ready = link.is_ready();
            let served = link.serve(&mut self.buffer, self.origin, observer);
            match (served, was_ready, link.is_ready()) {
                (Ok(()), false, true) => {
                    self.logging_in -= 1;
                    self.ready += 1;
                    for extranonce in link.extranonces() {
                        self.extranonces_repeated += u64::from(!self.extranonces.insert(extranonce.clone()));
                    }
                }
                (Ok(()), ..) => {}
                (Err(reason), was_ready, _) => {
                    *self.failures.entry(reason.to_string()).or_default() += 1;
                    *if was_ready { &mut self.ready } else { &mut self.logging_in } -= 1;
                    self.links[event.token().0] = None;
                }
            }
        }
        Ok(())
    }

    /// Lets a mode append to one connection, if it is alive, and writes.
    pub(crate) fn with(&mut self, index: usize, act: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.get_mut(index).and_then(Option::as_mut) {
            act(link);
            // A broken connection is noticed by its next event.
            let _ = link.flush();
        }
    }

    /// Lets a mode append to every live connection, and writes.
    pub(crate) fn for_each(&mut self, mut act: impl FnMut(&mut Link, u64)) {
        for link in self.links.iter_mut().flatten() {
            act(link, elapsed_ns(self.origin));
            // A broken connection is noticed by its next event.
            let _ = link.flush();
        }
    }
}

fn elapsed_ns(origin: Instant) -> u64 {
    u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
