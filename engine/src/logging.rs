//! The log: one JSON object a line, or text for people. `RUST_LOG` wins over the configuration.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// Least important level, as `RUST_LOG` writes it.
    pub filter: &'static str,
    /// One JSON object a line.
    pub json: bool,
}

/// Starts the log on standard error. Does nothing when there is one already.
pub fn start(options: LogOptions) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(options.filter));
    // Colours are for eyes: a file or the journal would keep them as noise.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false);
    // A second start in one process keeps the first log.
    let _ = if options.json { builder.json().try_init() } else { builder.try_init() };
}
