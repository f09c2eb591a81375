//! Shares a second: every connection keeps a window of submits unanswered, each share with a new extranonce2.
//!
//! Nothing is hashed, so the pool must accept any difficulty; what it refuses is counted by code and is a verdict too.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Latency;
use super::schedule::Schedule;
use super::submit::{FIRST_ID, SubmitLine, Verdict, VerdictReader};
use crate::process::{self, CpuTime};
use crate::report::Report;
use crate::swarm::{
    Heard, JobText, Link, Observer, Protocol, SubmitFrame, Swarm, SwarmError, Target, is_notify, read_frame,
};

/// What to do.
#[derive(Clone)]
pub struct Options {
    /// The server and its miners.
    pub target: Target,
    /// Submits in flight per connection.
    pub window: usize,
    /// Submits a second over all connections, at even times; `None` sends whenever the window has room.
    pub rate_per_second: Option<u32>,
    /// Load before the measured interval.
    pub warm_up: Duration,
    /// Measured interval.
    pub duration: Duration,
}

/// What was measured, all within the interval.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Connections alive at the end.
    pub connections: usize,
    /// Submits in flight per connection.
    pub window: usize,
    /// Length of the interval in seconds.
    pub seconds: f64,
    /// Accepted submits.
    pub accepted: u64,
    /// Refused submits by the error's code.
    pub rejected_by_code: BTreeMap<i64, u64>,
    /// Time from handing a submit to the kernel to reading its verdict.
    pub latency: Latency,
    /// CPU time of the server, when its process was named.
    pub server_cpu: Option<CpuTime>,
    /// CPU time of this process.
    pub own_cpu: CpuTime,
    /// Jobs that came during the run, over all connections.
    pub jobs_followed: u64,
    /// Lines that were neither verdict nor notification, and verdicts on nothing.
    pub lines_unknown: u64,
    /// Connections lost during the run.
    pub connections_lost: usize,
    /// Submits of a schedule that were not sent, because their connection had four windows unanswered.
    pub skipped: u64,
}

/// Logs in, loads, measures.
///
/// # Errors
/// When not all connections get a job, or all are lost.
pub fn run(options: &Options) -> Result<Figures, SwarmError> {
    let mut swarm = Swarm::new(options.target.clone())?;
    let mut load = Load::new(options);
    swarm.log_in_all(&mut load)?;
    match options.rate_per_second {
        Some(rate) => load.schedule = Some(Schedule::new(swarm.now_ns(), rate, options.target.connections)),
        None => {
            load.is_refilling = true;
            swarm.for_each(|link, at_ns| load.drained(link, at_ns));
        }
    }
    turn_for(&mut swarm, options.warm_up, &mut load)?;

    load.figures = Figures::default();
    let start = Instant::now();
    let (server_before, own_before) = cpu_times(options.target.server_pid)?;
    turn_for(&mut swarm, options.duration, &mut load)?;
    let (server_after, own_after) = cpu_times(options.target.server_pid)?;
    let seconds = start.elapsed().as_secs_f64();

    let connections = swarm.ready_count();
    Ok(Figures {
        connections,
        window: options.window,
        seconds,
        server_cpu: server_after.zip(server_before).map(|(after, before)| after.since(before)),
        own_cpu: own_after.since(own_before),
        connections_lost: options.target.connections - connections,
        ..load.figures
    })
}

/// Of the server and of this process.
fn cpu_times(server_pid: Option<u32>) -> Result<(Option<CpuTime>, CpuTime), SwarmError> {
    let server = server_pid.map(|pid| process::cpu_time(Some(pid))).transpose()?;
    Ok((server, process::cpu_time(None)?))
}

fn turn_for(swarm: &mut Swarm, time: Duration, load: &mut Load) -> Result<(), SwarmError> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        if swarm.ready_count() == 0 {
            return Err(SwarmError::AllClosed(swarm.reasons()));
        }
        let sleep = load.send_due(swarm);
        swarm.turn(left.min(sleep), load)?;
    }
}

/// The state of all connections under load.
struct Load {
    window: u64,
    protocol: Protocol,
    /// A window is filled again whenever verdicts came.
    is_refilling: bool,
    /// Without it, windows set the pace.
    schedule: Option<Schedule>,
    lanes: Vec<Option<Lane>>,
    reader: VerdictReader,
    figures: Figures,
}

/// The next submit of a connection.
enum Submit {
    Line(SubmitLine),
    Frame(SubmitFrame),
}

/// One connection's counters. Of a V2 connection with several channels the first one submits.
struct Lane {
    submit: Submit,
    sent: u64,
    answered: u64,
    /// When each submit was sent, by its number modulo the length (a power of two over the window).
    sent_at_ns: Vec<u64>,
}

impl Load {
    fn new(options: &Options) -> Self {
        Self {
            window: options.window as u64,
            protocol: options.target.protocol,
            is_refilling: false,
            schedule: None,
            lanes: (0..options.target.connections).map(|_| None).collect(),
            reader: VerdictReader::default(),
            figures: Figures::default(),
        }
    }

    /// Sends what the schedule has due, and says how long the kernel may be waited for.
    fn send_due(&mut self, swarm: &mut Swarm) -> Duration {
        let Some(schedule) = self.schedule.as_mut() else { return Duration::MAX };
        let now_ns = swarm.now_ns();
        while let Some((index, due_ns)) = schedule.next_due(now_ns) {
            let lane = self.lanes[index].as_mut();
            match lane.filter(|lane| lane.sent - lane.answered < lane.sent_at_ns.len() as u64) {
                Some(lane) => swarm.with(index, |link| lane.send(link, due_ns)),
                None => self.figures.skipped += 1,
            }
        }
        schedule.sleep(swarm.now_ns())
    }

    fn verdict(&mut self, index: usize, line: &[u8], at_ns: u64) -> bool {
        let Some(lane) = self.lanes[index].as_mut() else { return false };
        let verdict = match self.protocol {
            // The echo server answers in order with one constant line.
            Protocol::Echo => Some(Verdict::Accepted(FIRST_ID + lane.answered)),
            Protocol::Stratum | Protocol::StratumV2 => self.reader.read(line),
        };
        let Some(number) = verdict.map(Verdict::number) else { return false };
        let code = if let Some(Verdict::Rejected(_, code)) = verdict { Some(code) } else { None };
        self.count(index, number, code, at_ns)
    }

    /// Counts the verdict on a submit, with the code that it was refused with. False when it was not sent.
    fn count(&mut self, index: usize, number: u64, code: Option<i64>, at_ns: u64) -> bool {
        let Some(lane) = self.lanes[index].as_mut() else { return false };
        if number >= lane.sent || lane.answered >= lane.sent {
            return false;
        }
        match code {
            Some(code) => *self.figures.rejected_by_code.entry(code).or_default() += 1,
            None => self.figures.accepted += 1,
        }
        lane.answered += 1;
        if lane.sent - number <= lane.sent_at_ns.len() as u64 {
            self.figures.latency.record(at_ns.saturating_sub(lane.sent_at_ns[lane.slot(number)]));
        }
        true
    }

    fn follow(&mut self, link: &mut Link, line: &[u8]) {
        let message = serde_json::from_slice(line).unwrap_or_default();
        let lane = self.lanes[link.index].as_mut();
        if let (Some(Submit::Line(submit)), Some(job)) = (lane.map(|lane| &mut lane.submit), JobText::of(&message)) {
            submit.follow(&link.username, &job);
            self.figures.jobs_followed += 1;
        }
    }

    /// A frame of a V2 connection: one answer may tell of many submits.
    fn frame(&mut self, link: &mut Link, frame: &[u8], at_ns: u64) {
        let index = link.index;
        let is_known = match read_frame(frame) {
            Some(Heard::Accepted { last, count }) => {
                let first = (u64::from(last) + 1).saturating_sub(u64::from(count));
                (first..=u64::from(last)).all(|number| self.count(index, number, None, at_ns))
            }
            Some(Heard::Refused { sequence, code }) => {
                self.count(index, u64::from(sequence), Some(code_of(code)), at_ns)
            }
            Some(Heard::Job { .. } | Heard::Tip { .. }) => {
                let job = link.channels().first().and_then(|channel| channel.job);
                let lane = self.lanes[index].as_mut();
                if let (Some(Submit::Frame(submit)), Some(job)) = (lane.map(|lane| &mut lane.submit), job) {
                    submit.follow(job);
                    self.figures.jobs_followed += 1;
                }
                true
            }
            other => other.is_some(),
        };
        self.figures.lines_unknown += u64::from(!is_known);
    }
}

/// The number that Stratum V1 has for a code of V2.
fn code_of(code: &[u8]) -> i64 {
    match code {
        b"stale-share" | b"invalid-job-id" => 21,
        b"duplicate-share" => 22,
        b"difficulty-too-low" => 23,
        _ => 20,
    }
}

impl Lane {
    fn send(&mut self, link: &mut Link, at_ns: u64) {
        match &mut self.submit {
            Submit::Line(submit) => submit.append_to(&mut link.outbound),
            Submit::Frame(submit) => submit.append_to(&mut link.outbound),
        }
        let slot = self.slot(self.sent);
        self.sent_at_ns[slot] = at_ns;
        self.sent += 1;
    }

    fn slot(&self, number: u64) -> usize {
        number as usize & (self.sent_at_ns.len() - 1)
    }
}

fn first_submit(link: &mut Link) -> Submit {
    if let Some(channel) = link.channels().first() {
        let job = channel.job.unwrap_or_default();
        return Submit::Frame(SubmitFrame::new(channel.id, channel.extranonce_bytes, job));
    }
    let echo_job = JobText { id: "1".to_owned(), time: "65612f00".to_owned() };
    let job = link.job.take().unwrap_or(echo_job);
    Submit::Line(SubmitLine::new(&link.username, &job, link.extranonce2_bytes))
}

impl Observer for Load {
    fn ready(&mut self, link: &mut Link, _at_ns: u64) {
        self.lanes[link.index] = Some(Lane {
            submit: first_submit(link),
            sent: 0,
            answered: 0,
            // Verdicts may come out of order: room for four windows.
            sent_at_ns: vec![0; (self.window as usize * 4).next_power_of_two()],
        });
    }

    fn line(&mut self, link: &mut Link, line: &[u8], at_ns: u64) {
        if self.protocol == Protocol::StratumV2 {
            self.frame(link, line, at_ns);
            return;
        }
        if self.verdict(link.index, line, at_ns) {
            return;
        }
        if is_notify(line) {
            self.follow(link, line);
        } else if !line.windows(8).any(|window| window == b"\"method\"") {
            self.figures.lines_unknown += 1;
        }
    }

    fn drained(&mut self, link: &mut Link, at_ns: u64) {
        let Some(lane) = self.lanes[link.index].as_mut().filter(|_| self.is_refilling) else { return };
        while lane.sent - lane.answered < self.window {
            lane.send(link, at_ns);
        }
    }
}

impl Figures {
    /// Accepted and refused together.
    #[must_use]
    pub fn verdicts(&self) -> u64 {
        self.accepted + self.rejected_by_code.values().sum::<u64>()
    }

    /// CPU microseconds per verdict.
    fn per_verdict_us(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.verdicts().max(1) as f64
    }

    /// The figures in order.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = Report::new("throughput");
        report
            .add("connections", self.connections)
            .add("window", self.window)
            .add_decimal("seconds", self.seconds)
            .add("accepted", self.accepted);
        for (code, count) in &self.rejected_by_code {
            report.add(&format!("rejected_code_{code}"), *count);
        }
        report.add_decimal("verdicts_per_second", self.verdicts() as f64 / self.seconds);
        self.latency.add_to(&mut report, "latency");
        report
            .add_if("server_cpu_us_per_verdict", self.server_cpu.map(|cpu| self.per_verdict_us(cpu.total())))
            .add_if("server_cpu_user_us_per_verdict", self.server_cpu.map(|cpu| self.per_verdict_us(cpu.user)))
            .add_if("server_cpu_system_us_per_verdict", self.server_cpu.map(|cpu| self.per_verdict_us(cpu.system)))
            .add_decimal("own_cpu_us_per_verdict", self.per_verdict_us(self.own_cpu.total()))
            .add_decimal("own_cpu_user_us_per_verdict", self.per_verdict_us(self.own_cpu.user))
            .add("jobs_followed", self.jobs_followed)
            .add("lines_unknown", self.lines_unknown)
            .add("connections_lost", self.connections_lost)
            .add("skipped", self.skipped);
        report
    }
}
