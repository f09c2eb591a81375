//! The program behind `cargo xtask`.

#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use warppool_xtask::{bench, ci, tidy};

/// Chores of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check what compilers do not: direction of dependencies, unsafe, heads of files, links, lengths.
    Tidy,
    /// Everything that must be green: format, tidy, dashboard, clippy, tests, documentation.
    Ci {
        /// Leave the dashboard out although Node is there.
        #[arg(long)]
        skip_ui: bool,
    },
    /// Run the benches; some four minutes after they are compiled.
    Bench {
        /// Write a record with this name into benches/record.
        #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "benches")]
        record: Option<String>,
        /// Measure ten times as long.
        #[arg(long)]
        long: bool,
    },
}

fn main() -> ExitCode {
    let root = repository_root();
    let outcome = match Cli::parse().chore {
        Chore::Tidy => tidy::check(&root).map(|count| format!("tidy: {count} files are in order")),
        Chore::Ci { skip_ui } => ci::run(&root, skip_ui),
        Chore::Bench { record, long } => bench::run(&root, record.as_deref(), long),
    };
    let (text, code) = match outcome {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(text) => (text, ExitCode::FAILURE),
    };
    // Standard output, so that the verdict is the last line of a log. A closed pipe is nobody's loss.
    let _ = writeln!(std::io::stdout(), "{text}");
    code
}

/// Cargo says where this package is; the repository is two levels up.
fn repository_root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    package.and_then(|path| Some(path.parent()?.parent()?.to_path_buf())).unwrap_or_else(|| PathBuf::from("."))
}
