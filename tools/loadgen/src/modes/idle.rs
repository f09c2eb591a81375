//! What an authorized, silent connection costs the server: resident memory, and CPU time while nothing happens.

use std::time::{Duration, Instant};

use crate::process;
use crate::report::Report;
use crate::swarm::{Nobody, Swarm, SwarmError, Target};

/// What to do.
#[derive(Clone)]
pub struct Options {
    /// The server and its miners; the server's pid is needed.
    pub target: Target,
    /// Silence after the last login, before memory is read and during which CPU time is measured.
    pub hold: Duration,
}

/// What was measured.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Idle connections at the end.
    pub connections: usize,
    /// Resident bytes of the server before the first connection.
    pub resident_bytes_before: u64,
    /// Resident bytes with all of them.
    pub resident_bytes_after: u64,
    /// CPU milliseconds that the server used per second of silence.
    pub cpu_ms_per_second: f64,
}

/// Logs in, holds still, reads.
///
/// # Errors
/// When connections are missing or the server's process is not named or cannot be read.
pub fn run(options: &Options) -> Result<Figures, SwarmError> {
    let Some(pid) = options.target.server_pid else {
        return Err(SwarmError::Waited("idle reads the server's memory: name its process by --server-pid".to_owned()));
    };
    let mut swarm = Swarm::new(options.target.clone())?;
    let resident_bytes_before = process::resident_bytes(Some(pid))?;
    swarm.log_in_all(&mut Nobody)?;
    let cpu_before = process::cpu_time(Some(pid))?;
    let start = Instant::now();
    while start.elapsed() < options.hold {
        swarm.turn(options.hold, &mut Nobody)?;
    }
    let cpu = process::cpu_time(Some(pid))?.since(cpu_before).total();
    if swarm.ready_count() < options.target.connections {
        return Err(SwarmError::Waited(format!("connections were lost while idle: {}", swarm.reasons())));
    }
    Ok(Figures {
        connections: swarm.ready_count(),
        resident_bytes_before,
        resident_bytes_after: process::resident_bytes(Some(pid))?,
        cpu_ms_per_second: cpu.as_secs_f64() * 1e3 / start.elapsed().as_secs_f64(),
    })
}

impl Figures {
    /// Growth of the server's memory per connection; the kernel's socket memory is not in it.
    #[must_use]
    pub fn bytes_per_connection(&self) -> f64 {
        self.resident_bytes_after.saturating_sub(self.resident_bytes_before) as f64 / self.connections.max(1) as f64
    }

    /// The figures in order.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = Report::new("idle");
        report
            .add("connections", self.connections)
            .add("resident_bytes_before", self.resident_bytes_before)
            .add("resident_bytes_after", self.resident_bytes_after)
            .add_decimal("bytes_per_connection", self.bytes_per_connection())
            .add_decimal("server_cpu_ms_per_second", self.cpu_ms_per_second);
        report
    }
}
