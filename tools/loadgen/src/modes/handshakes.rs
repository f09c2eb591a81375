//! Handshakes of Stratum V2 as fast as the server answers them: connections that stop where the encryption begins. Logins, when
//! they go on to a first job, and those of V1 too.

use std::time::{Duration, Instant};

use crate::limits::LOGINS_AT_ONCE;
use crate::process::{self, CpuTime};
use crate::report::Report;
use crate::swarm::{Nobody, Pace, Swarm, SwarmError, Target};

/// What to do.
#[derive(Clone)]
pub struct Options {
    /// The server and its miners.
    pub target: Target,
}

/// What was measured.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Connections that got as far as asked.
    pub connections: usize,
    /// From opening the first to the last one's end of the handshake, or first job.
    pub seconds: f64,
    /// CPU time of the server, when its process was named.
    pub server_cpu: Option<CpuTime>,
    /// CPU time of this process.
    pub own_cpu: CpuTime,
}

/// Opens the connections, some hundreds at a time.
///
/// # Errors
/// When not all get there.
pub fn run(options: &Options) -> Result<Figures, SwarmError> {
    let mut swarm = Swarm::new(options.target.clone())?;
    let cpu = || options.target.server_pid.map(|pid| process::cpu_time(Some(pid))).transpose();
    let (before, own_before) = (cpu()?, process::cpu_time(None)?);
    let start = Instant::now();
    swarm.log_in(Pace::AtOnce(LOGINS_AT_ONCE), &mut Nobody)?;
    let seconds = start.elapsed().as_secs_f64();
    let (wanted, ready) = (options.target.connections, swarm.ready_count());
    if ready < wanted {
        return Err(SwarmError::Login { ready, wanted, seconds, reasons: swarm.reasons() });
    }
    Ok(Figures {
        connections: ready,
        seconds,
        server_cpu: cpu()?.zip(before).map(|(after, before)| after.since(before)),
        own_cpu: process::cpu_time(None)?.since(own_before),
    })
}

impl Figures {
    fn each_us(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.connections.max(1) as f64
    }

    /// The figures in order.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = Report::new("handshakes");
        report
            .add("connections", self.connections)
            .add_decimal("seconds", self.seconds)
            .add_decimal("per_second", self.connections as f64 / self.seconds)
            .add_if("server_cpu_us_each", self.server_cpu.map(|cpu| self.each_us(cpu.total())))
            .add_if("server_cpu_user_us_each", self.server_cpu.map(|cpu| self.each_us(cpu.user)))
            .add_decimal("own_cpu_us_each", self.each_us(self.own_cpu.total()));
        report
    }
}
