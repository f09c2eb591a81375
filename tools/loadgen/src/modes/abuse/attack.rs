//! The attacks. Each runs for a bounded time and says what became of its connections.

use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use super::Options;
use super::peer::{self, Drain};
use crate::modes::storm;

/// The first address of those who reconnect all at once.
const STORM_FROM: Ipv4Addr = Ipv4Addr::new(127, 2, 0, 0);

/// Pause between two looks where an attack is to be slow.
const SLOW: Duration = Duration::from_secs(1);

/// What an attacker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// 20 clients that ask without end and never read.
    NeverRead,
    /// 200 clients that send a line by one byte a second.
    Slowloris,
    /// 200 clients that begin a line and say no more.
    HalfOpen,
    /// A million empty lines.
    Newlines,
    /// A line of one mebibyte, again and again.
    LongLine,
    /// Lines of 16,000 brackets.
    DeepJson,
    /// Bytes that are no text.
    Noise,
    /// Shares of a job that does not exist, by 4 clients.
    InvalidShares,
    /// Authorizes under ever new names, by 4 clients.
    Authorizes,
    /// Connects and closes without end, from one address.
    Connects,
    /// Everybody comes back at once.
    Storm,
}

impl Attack {
    /// All, in order.
    pub const ALL: [Self; 11] = [
        Self::NeverRead,
        Self::Slowloris,
        Self::HalfOpen,
        Self::Newlines,
        Self::LongLine,
        Self::DeepJson,
        Self::Noise,
        Self::InvalidShares,
        Self::Authorizes,
        Self::Connects,
        Self::Storm,
    ];

    /// What it is, in a few words.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NeverRead => "20 clients never read",
            Self::Slowloris => "slowloris, 200 clients, a byte a second",
            Self::HalfOpen => "200 clients stop within a line",
            Self::Newlines => "a million newlines",
            Self::LongLine => "lines of 1 MiB",
            Self::DeepJson => "JSON of 8000 levels",
            Self::Noise => "binary noise",
            Self::InvalidShares => "invalid shares, 4 clients",
            Self::Authorizes => "authorizes, 4 clients",
            Self::Connects => "connects from one address",
            Self::Storm => "storm of reconnects",
        }
    }

    /// Runs it; gives what became of the attacker.
    pub(super) fn run(self, options: &Options) -> String {
        let attacker = Attacker { options, source: self.source(), end: Instant::now() + options.duration };
        let outcome = match self {
            Self::NeverRead => attacker.never_read(),
            Self::Slowloris => attacker.trickle(SLOW),
            Self::HalfOpen => attacker.trickle(Duration::MAX),
            Self::Newlines => attacker.newlines(),
            Self::LongLine => attacker.long_lines(),
            Self::DeepJson => attacker.flood(1, |_, _| ["[".repeat(8000), "]".repeat(8000)].concat()),
            Self::Noise => attacker.flood(1, |_, number| format!("\u{1}\u{fffd}\u{7f}noise{number}\u{2}")),
            Self::InvalidShares => attacker.flood(4, |user, number| share(user, "ffffffff", number)),
            Self::Authorizes => attacker.flood(4, |user, number| {
                format!("{{\"id\":{number},\"method\":\"mining.authorize\",\"params\":[\"{user}{number}\",\"x\"]}}")
            }),
            Self::Connects => attacker.connects(),
            Self::Storm => attacker.storm(),
        };
        outcome.unwrap_or_else(|error| format!("turned away: {error}"))
    }

    /// Each from an address of its own, so that none is judged by what another did.
    fn source(self) -> Ipv4Addr {
        let place = Self::ALL.iter().position(|attack| *attack == self).unwrap_or(0);
        Ipv4Addr::new(127, 3, 0, 1 + place as u8)
    }
}

fn share(user: &str, job: &str, number: u64) -> String {
    format!(
        "{{\"id\":{number},\"method\":\"mining.submit\",\"params\":[\"{user}\",\"{job}\",\"{number:016x}\",\"65612f00\",\"00000001\"]}}"
    )
}

struct Attacker<'a> {
    options: &'a Options,
    source: Ipv4Addr,
    end: Instant,
}

impl Attacker<'_> {
    fn connect(&self) -> io::Result<TcpStream> {
        peer::connect(self.options.target.server, self.source)
    }

    fn username(&self) -> String {
        format!("{}.abuse{}", self.options.target.username, self.source.octets()[3])
    }

    fn join(&self) -> io::Result<TcpStream> {
        let mut stream = self.connect()?;
        peer::log_in(&mut stream, &self.username(), &self.options.target.password)?;
        Ok(stream)
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    fn wait(&self, time: Duration) {
        let left = self.end.saturating_duration_since(Instant::now());
        std::thread::sleep(left.min(time));
    }

    fn never_read(&self) -> io::Result<String> {
        let mut streams = (0..20).map(|_| self.join()).collect::<io::Result<Vec<_>>>()?;
        let clients = streams.len();
        let request = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n".repeat(500);
        let (mut bytes, start, mut last) = (0, Instant::now(), Duration::ZERO);
        while !self.is_over() && !streams.is_empty() {
            let (mut kept, round) = (Vec::new(), Instant::now() + SLOW);
            for mut stream in streams {
                match peer::write_until(&mut stream, &request, round.min(self.end)) {
                    Ok(sent) => {
                        bytes += sent;
                        kept.push(stream);
                    }
                    Err(_) => last = start.elapsed(),
                }
            }
            streams = kept;
        }
        let closed = clients - streams.len();
        let mebibytes = bytes as f64 / f64::from(1 << 20);
        Ok(format!(
            "{closed} of {clients} closed, the last after {:.1} s; {mebibytes:.0} MiB of requests",
            last.as_secs_f64()
        ))
    }

    fn trickle(&self, pause: Duration) -> io::Result<String> {
        let line = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}";
        let mut streams = Vec::new();
        // An address gets 120 at once; these come from two.
        for number in 0..200_u8 {
            let source = Ipv4Addr::from_bits(self.source.to_bits() + 256 * u32::from(number / 100));
            streams.push(peer::connect(self.options.target.server, source)?);
        }
        for byte in line {
            streams.iter_mut().for_each(|stream| {
                // A connection that has ended is counted below.
                let _ = peer::write_until(stream, &[*byte], self.end);
            });
            self.wait(pause);
            if self.is_over() {
                break;
            }
        }
        let clients = streams.len();
        streams.iter().try_for_each(|stream| stream.set_read_timeout(Some(Duration::from_millis(1))))?;
        let ended = streams.iter_mut().filter_map(|stream| peer::has_ended(stream).then_some(())).count();
        Ok(format!("{} of {clients} still open; without an authorize they end after 60 s", clients - ended))
    }

    fn newlines(&self) -> io::Result<String> {
        let mut stream = self.join()?;
        let start = Instant::now();
        let taken = peer::write_until(&mut stream, &vec![b'\n'; 1_000_000], self.end)?;
        let seconds = start.elapsed().as_secs_f64();
        let ended = peer::has_ended(&mut stream);
        self.wait(self.options.duration);
        Ok(format!("{taken} taken in {seconds:.2} s, {}", if ended { "closed" } else { "stays" }))
    }

    fn long_lines(&self) -> io::Result<String> {
        let line = vec![b'x'; 1 << 20];
        let (mut closed, mut turned_away) = (0, 0);
        while !self.is_over() {
            match self.connect().map(|mut stream| {
                let sent = peer::write_until(&mut stream, &line, self.end);
                sent.is_err() || peer::has_ended(&mut stream)
            }) {
                Ok(true) => closed += 1,
                Ok(false) => {}
                Err(_) => turned_away += 1,
            }
        }
        Ok(format!("{closed} connections, each closed; {turned_away} could not connect"))
    }

    /// Lines without end by `clients` that read the answers.
    fn flood(&self, clients: usize, line: fn(&str, u64) -> String) -> io::Result<String> {
        let user = self.username();
        let lines: Vec<String> = (0..2000).map(|number| line(&user, 1 + number) + "\n").collect();
        let text = lines.concat();
        let start = Instant::now();
        let one = || -> io::Result<(u64, Option<Duration>)> {
            let mut stream = self.join()?;
            let drain = Drain::start(&stream)?;
            while !self.is_over() {
                if peer::write_until(&mut stream, text.as_bytes(), self.end).is_err() || drain.has_ended() {
                    return Ok((drain.lines(), Some(start.elapsed())));
                }
            }
            Ok((drain.lines(), None))
        };
        let ends = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..clients).map(|_| scope.spawn(one)).collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap_or(Ok((0, None))));
            joined.collect::<io::Result<Vec<_>>>()
        })?;
        let closed: Vec<Duration> = ends.iter().filter_map(|(_, closed)| *closed).collect();
        let answers: u64 = ends.iter().map(|(lines, _)| lines).sum();
        self.wait(self.options.duration);
        let after = closed.iter().max().map_or_else(String::new, |last| format!(" after {:.1} s", last.as_secs_f64()));
        Ok(format!("{} of {clients} closed{after}; {answers} answers", closed.len()))
    }

    fn connects(&self) -> io::Result<String> {
        let (mut served, mut turned_away) = (0_u64, 0_u64);
        while !self.is_over() {
            match self.connect().and_then(|mut stream| {
                let request = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n";
                peer::write_until(&mut stream, request, self.end)?;
                let mut buffer = [0; 512];
                io::Read::read(&mut stream, &mut buffer)
            }) {
                Ok(count) if count > 0 => served += 1,
                _ => turned_away += 1,
            }
        }
        Ok(format!("{served} served, {turned_away} turned away"))
    }

    fn storm(&self) -> io::Result<String> {
        let mut target = self.options.target.clone();
        target.sources_from = Some(STORM_FROM);
        target.connections = self.options.storm_connections;
        target.login_timeout = Duration::from_secs(60);
        let options = storm::Options { target, within: self.options.storm_within };
        let figures = storm::run(&options).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(format!(
            "{} of {} with their first job {:.1} s after the first came; login p99 {:.0} ms{}",
            figures.ready,
            figures.connections,
            figures.all_ready_seconds,
            figures.login.quantile_us(0.99) / 1e3,
            figures.failures.iter().map(|(reason, count)| format!("; {count} x {reason}")).collect::<String>(),
        ))
    }
}
