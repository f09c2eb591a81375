//! Everybody comes back at once: connections within some seconds, and when all have their first job.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Latency;
use crate::process::{self, CpuTime};
use crate::report::Report;
use crate::swarm::{Link, Observer, Pace, Swarm, SwarmError, Target};

/// What to do.
#[derive(Clone)]
pub struct Options {
    /// The server and its miners.
    pub target: Target,
    /// All connections are opened evenly over this time.
    pub within: Duration,
}

/// What was measured.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Connections asked for.
    pub connections: usize,
    /// Those that got a job.
    pub ready: usize,
    /// Seconds from opening the first to the last one's first job.
    pub all_ready_seconds: f64,
    /// Time from opening a connection to its first job.
    pub login: Latency,
    /// Reasons for which the others did not, counted.
    pub failures: BTreeMap<String, u64>,
    /// Connections that were given another live one's extranonce1: a defect of the pool.
    pub extranonces_repeated: u64,
    /// CPU time of the server, when its process was named.
    pub server_cpu: Option<CpuTime>,
}

/// Opens the connections and waits for their jobs. Failures are figures here, not errors.
///
/// # Errors
/// When the target may not be loaded or /proc cannot be read.
pub fn run(options: &Options) -> Result<Figures, SwarmError> {
    let mut swarm = Swarm::new(options.target.clone())?;
    let cpu = || options.target.server_pid.map(|pid| process::cpu_time(Some(pid))).transpose();
    let before = cpu()?;
    let start_ns = swarm.now_ns();
    let mut logins = Logins::default();
    swarm.log_in(Pace::Over(options.within), &mut logins)?;
    let mut failures = swarm.failures().clone();
    let lost: u64 = failures.values().sum();
    let silent = (options.target.connections as u64).saturating_sub(swarm.ready_count() as u64 + lost);
    if silent > 0 {
        failures.insert("no job within the login timeout".to_owned(), silent);
    }
    Ok(Figures {
        connections: options.target.connections,
        ready: swarm.ready_count(),
        all_ready_seconds: logins.last_at_ns.saturating_sub(start_ns) as f64 / 1e9,
        login: logins.latency,
        failures,
        extranonces_repeated: swarm.extranonces_repeated(),
        server_cpu: cpu()?.zip(before).map(|(after, before)| after.since(before)),
    })
}

#[derive(Default)]
struct Logins {
    latency: Latency,
    last_at_ns: u64,
}

impl Observer for Logins {
    fn ready(&mut self, link: &mut Link, at_ns: u64) {
        self.latency.record(at_ns.saturating_sub(link.opened_at_ns));
        self.last_at_ns = at_ns;
    }
}

impl Figures {
    /// The figures in order.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = Report::new("storm");
        report
            .add("connections", self.connections)
            .add("ready", self.ready)
            .add("failed", self.failures.values().sum::<u64>())
            .add_decimal("all_ready_seconds", self.all_ready_seconds);
        self.login.add_to(&mut report, "login");
        let per_login = |cpu: CpuTime| cpu.total().as_secs_f64() * 1e6 / self.ready.max(1) as f64;
        report.add_if("server_cpu_us_per_login", self.server_cpu.map(per_login));
        report.add("extranonces_repeated", self.extranonces_repeated);
        for (reason, count) in &self.failures {
            report.add(&format!("failed: {reason}"), *count);
        }
        report
    }
}
