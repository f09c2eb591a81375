//! A new tip to everybody: the time from the first connection's clean job to the last one's. In Stratum V2 each channel is one
//! that waits, and what tells of the tip is `SetNewPrevHash`.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Latency;
use crate::process;
use crate::report::Report;
use crate::scrape::{self, Observations};
use crate::swarm::{Heard, Link, Observer, Protocol, Swarm, SwarmError, Target, is_clean, is_notify, read_frame};

/// Connections stay quiet this long before a round, so that late login traffic is not measured.
const QUIET: Duration = Duration::from_millis(300);

/// The same where the server's CPU is measured, because the full job, which follows the tip, counts with the tip.
const QUIET_FOR_CPU: Duration = Duration::from_millis(700);

/// How often the server's CPU is read while a tip is awaited.
const READING: Duration = Duration::from_millis(50);

/// What to do.
#[derive(Clone)]
pub struct Options {
    /// The server and its miners.
    pub target: Target,
    /// New tips to measure.
    pub rounds: usize,
    /// Program and arguments that make the new tip; none waits for the next one that comes.
    pub trigger: Vec<String>,
    /// How long to wait for each tip to reach everybody.
    pub round_timeout: Duration,
    /// Where the server shows its metrics; without it, what it says of itself is not read.
    pub metrics: Option<SocketAddr>,
}

/// The server's own histograms: from its first word of the tip to the first and to the last write handed to the kernel.
const TIP_TO_FIRST: &str = "warppool_tip_to_first_notify_seconds";
const TIP_TO_LAST: &str = "warppool_tip_to_last_notify_seconds";

/// What was measured, over all rounds.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Idle connections.
    pub connections: usize,
    /// Channels of each; V1 connections have one.
    pub channels: usize,
    /// New tips measured.
    pub rounds: usize,
    /// Time from the first receipt of a round to each receipt.
    pub after_first: Latency,
    /// Time from the first to the last receipt, one a round.
    pub last: Latency,
    /// Time from starting the trigger to the first receipt, one a round; empty without a trigger.
    pub trigger_to_first: Latency,
    /// Bytes of clean notifies received, newlines included, or of frames that told the tip.
    pub bytes: u64,
    /// Mean over the rounds of what the server says: tip taken to first write, in microseconds.
    pub server_tip_to_first_mean_us: Option<f64>,
    /// Mean over the rounds of what the server says: tip taken to last write handed to the kernel, in microseconds.
    pub server_tip_to_last_mean_us: Option<f64>,
    /// CPU time of the server a round beyond what it uses while nothing happens, in microseconds, when its process was named.
    pub server_cpu_us_per_round: Option<f64>,
    /// CPU time of the server in a second in which nothing happens, in microseconds, when its process was named and tips were
    /// waited for.
    pub server_idle_cpu_us_per_second: Option<f64>,
}

/// Logs in and measures the rounds.
///
/// # Errors
/// When connections are missing, the trigger cannot run, or a tip does not reach everybody in time.
pub fn run(options: &Options) -> Result<Figures, SwarmError> {
    let mut swarm = Swarm::new(options.target.clone())?;
    let mut arrivals = Arrivals::new(&options.target);
    swarm.log_in_all(&mut arrivals)?;
    let (connections, channels) = (options.target.connections, arrivals.channels);
    let mut figures = Figures { connections, channels, ..Figures::default() };
    let before = ServerFigures::read(options)?;
    let mut meter = options.target.server_pid.map(Meter::start).transpose()?;
    be_quiet(&mut swarm, &mut arrivals, options)?;
    for _ in 0..options.rounds {
        measure_round(&mut swarm, &mut arrivals, &mut meter, options, &mut figures)?;
    }
    ServerFigures::read(options)?.add_to(&mut figures, &before);
    if let Some(meter) = meter {
        meter.add_to(&mut figures);
    }
    Ok(figures)
}

fn be_quiet(swarm: &mut Swarm, arrivals: &mut Arrivals, options: &Options) -> Result<(), SwarmError> {
    let quiet = if options.target.server_pid.is_some() { QUIET_FOR_CPU } else { QUIET };
    let quiet_until = Instant::now() + quiet;
    while Instant::now() < quiet_until {
        swarm.turn(quiet, arrivals)?;
    }
    Ok(())
}

/// The server's CPU time, told apart: while nothing happens, and in rounds.
struct Meter {
    pid: u32,
    /// CPU and time at the last reading.
    last: (Duration, Instant),
    /// CPU and time.
    idle: (Duration, Duration),
    rounds: (Duration, Duration),
}

impl Meter {
    fn start(pid: u32) -> Result<Self, SwarmError> {
        let last = (process::run_time(pid)?, Instant::now());
        Ok(Self { pid, last, idle: Default::default(), rounds: Default::default() })
    }

    /// What was used since the last reading.
    fn step(&mut self) -> Result<(Duration, Duration), SwarmError> {
        let now = (process::run_time(self.pid)?, Instant::now());
        let before = std::mem::replace(&mut self.last, now);
        Ok((now.0.saturating_sub(before.0), now.1 - before.1))
    }

    fn skip(&mut self) -> Result<(), SwarmError> {
        self.step().map(drop)
    }

    fn count_idle(&mut self) -> Result<(), SwarmError> {
        let (cpu, time) = self.step()?;
        self.idle = (self.idle.0 + cpu, self.idle.1 + time);
        Ok(())
    }

    fn count_round(&mut self) -> Result<(), SwarmError> {
        let (cpu, time) = self.step()?;
        self.rounds = (self.rounds.0 + cpu, self.rounds.1 + time);
        Ok(())
    }

    fn add_to(&self, figures: &mut Figures) {
        let is_known = self.idle.1 > READING;
        let idle = if is_known { self.idle.0.as_secs_f64() / self.idle.1.as_secs_f64() } else { 0.0 };
        let beyond = self.rounds.0.as_secs_f64() - idle * self.rounds.1.as_secs_f64();
        figures.server_cpu_us_per_round = Some(beyond * 1e6 / figures.rounds.max(1) as f64);
        figures.server_idle_cpu_us_per_second = is_known.then_some(idle * 1e6);
    }
}

fn measure_round(
    swarm: &mut Swarm,
    arrivals: &mut Arrivals,
    meter: &mut Option<Meter>,
    options: &Options,
    figures: &mut Figures,
) -> Result<(), SwarmError> {
    arrivals.arm();
    meter.as_mut().map_or(Ok(()), Meter::skip)?;
    let started_ns = swarm.now_ns();
    let _trigger = Trigger::start(&options.trigger)?;
    let deadline = Instant::now() + options.round_timeout;
    while arrivals.count < arrivals.at_ns.len() {
        if Instant::now() >= deadline || swarm.ready_count() < options.target.connections {
            return Err(missing(swarm, arrivals, options));
        }
        let longest = if meter.is_some() { READING } else { options.round_timeout };
        swarm.turn(longest, arrivals)?;
        if arrivals.count == 0 {
            meter.as_mut().map_or(Ok(()), Meter::count_idle)?;
        }
    }
    arrivals.add_to(figures, started_ns, !options.trigger.is_empty());
    be_quiet(swarm, arrivals, options)?;
    meter.as_mut().map_or(Ok(()), Meter::count_round)
}

/// What the server and the system say of it.
struct ServerFigures {
    tip_to_first: Option<Observations>,
    tip_to_last: Option<Observations>,
}

impl ServerFigures {
    fn read(options: &Options) -> Result<Self, SwarmError> {
        let page = options.metrics.map(scrape::page).transpose()?;
        Ok(Self {
            tip_to_first: page.as_ref().and_then(|page| scrape::histogram(page, TIP_TO_FIRST)),
            tip_to_last: page.as_ref().and_then(|page| scrape::histogram(page, TIP_TO_LAST)),
        })
    }

    fn add_to(&self, figures: &mut Figures, before: &Self) {
        let mean_us = |after: Option<Observations>, before: Option<Observations>| {
            let seconds = after.zip(before).and_then(|(after, before)| after.mean_since(before));
            seconds.map(|seconds| seconds * 1e6)
        };
        figures.server_tip_to_first_mean_us = mean_us(self.tip_to_first, before.tip_to_first);
        figures.server_tip_to_last_mean_us = mean_us(self.tip_to_last, before.tip_to_last);
    }
}

fn missing(swarm: &Swarm, arrivals: &Arrivals, options: &Options) -> SwarmError {
    SwarmError::Waited(format!(
        "{} of {} miners got a clean job within {:.1} s; {} connections are alive; {}",
        arrivals.count,
        arrivals.at_ns.len(),
        options.round_timeout.as_secs_f64(),
        swarm.ready_count(),
        swarm.reasons(),
    ))
}

/// The receipts of one round.
struct Arrivals {
    protocol: Protocol,
    /// Of each connection.
    channels: usize,
    /// By connection and channel. Zero: not yet in this round.
    at_ns: Vec<u64>,
    count: usize,
    bytes: u64,
}

impl Arrivals {
    fn new(target: &Target) -> Self {
        let channels = target.v2.map_or(1, |v2| v2.channels);
        Self { protocol: target.protocol, channels, at_ns: vec![0; target.connections * channels], count: 0, bytes: 0 }
    }

    fn arm(&mut self) {
        self.at_ns.fill(0);
        self.count = 0;
        self.bytes = 0;
    }

    fn arrive(&mut self, connection: usize, channel: usize, at_ns: u64) {
        let known = &mut self.at_ns[connection * self.channels + channel];
        if *known == 0 {
            *known = at_ns.max(1);
            self.count += 1;
        }
    }

    fn add_to(&self, figures: &mut Figures, started_ns: u64, has_trigger: bool) {
        let (Some(first), Some(last)) = (self.at_ns.iter().min(), self.at_ns.iter().max()) else { return };
        for at_ns in &self.at_ns {
            figures.after_first.record(at_ns - first);
        }
        figures.last.record(last - first);
        if has_trigger {
            figures.trigger_to_first.record(first.saturating_sub(started_ns));
        }
        figures.bytes += self.bytes;
        figures.rounds += 1;
    }
}

impl Observer for Arrivals {
    fn line(&mut self, link: &mut Link, line: &[u8], at_ns: u64) {
        match self.protocol {
            Protocol::StratumV2 => {
                let Some(Heard::Tip { channel, .. }) = read_frame(line) else { return };
                self.bytes += line.len() as u64;
                link.places(channel).into_iter().for_each(|place| self.arrive(link.index, place, at_ns));
            }
            Protocol::Stratum if !(is_notify(line) && is_clean(line)) => {}
            Protocol::Stratum | Protocol::Echo => {
                if self.at_ns[link.index] == 0 {
                    self.bytes += line.len() as u64 + 1;
                }
                self.arrive(link.index, 0, at_ns);
            }
        }
    }
}

/// A running trigger command; ended and reaped when dropped.
struct Trigger(Option<Child>);

impl Trigger {
    fn start(command: &[String]) -> Result<Self, SwarmError> {
        let Some((program, arguments)) = command.split_first() else { return Ok(Self(None)) };
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| SwarmError::Trigger { command: program.clone(), error })?;
        Ok(Self(Some(child)))
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // It did its work when everybody has the tip; one that ended by itself is only reaped.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Figures {
    /// The figures in order.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = Report::new("fanout");
        report.add("connections", self.connections).add("channels", self.channels).add("rounds", self.rounds);
        self.after_first.add_to(&mut report, "receipt_after_first");
        self.last.add_to(&mut report, "first_to_last");
        if self.trigger_to_first.count() > 0 {
            self.trigger_to_first.add_to(&mut report, "trigger_to_first");
        }
        report
            .add_if("server_tip_to_first_mean_us", self.server_tip_to_first_mean_us)
            .add_if("server_tip_to_last_mean_us", self.server_tip_to_last_mean_us)
            .add_if("server_cpu_us_per_round", self.server_cpu_us_per_round)
            .add_if("server_idle_cpu_us_per_second", self.server_idle_cpu_us_per_second);
        let receipts = (self.connections * self.rounds).max(1);
        report.add("bytes", self.bytes).add_decimal("bytes_per_connection", self.bytes as f64 / receipts as f64);
        report
    }
}
