//! The log: one JSON object a line, or text for people. `RUST_LOG` wins over the configuration.
//!
//! Lines are written by a thread of their own from a bounded queue. When nobody takes them, what does not fit is
//! dropped: the pool goes on.

use std::io::{IsTerminal, stderr};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use warppool_components::limits::LOG_LINES_QUEUED_MAX;

/// What is logged, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// Least important level, as `RUST_LOG` writes it.
    pub filter: &'static str,
    /// One JSON object a line.
    pub json: bool,
}

/// Keeps the log going; the last lines are written when it is dropped.
#[derive(Debug)]
#[must_use = "without it nothing is logged"]
pub struct Log {
    _guard: WorkerGuard,
}

/// Starts the log on standard error. A second start in one process keeps the first log.
pub fn start(options: LogOptions) -> Log {
    let (writer, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(LOG_LINES_QUEUED_MAX).lossy(true).finish(stderr());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(options.filter));
    // Colours are for eyes: a file or the journal would keep them as noise.
    let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours).with_target(false);
    let _ = if options.json { builder.json().try_init() } else { builder.try_init() };
    Log { _guard: guard }
}
