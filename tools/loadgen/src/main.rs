//! The command line of the load generator: options in, one report out.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use warppool_loadgen::limits::{CHANNELS_MAX, RUN_SECONDS_MAX, WINDOW_MAX};
use warppool_loadgen::modes::echo::EchoServer;
use warppool_loadgen::modes::{abuse, echo, fanout, handshakes, idle, storm, throughput};
use warppool_loadgen::report::Report;
use warppool_loadgen::tls::client_config;
use warppool_loadgen::{Protocol, SwarmError, Target, V2Options};
use warppool_net::transport::noise::AuthorityPublicKey;

/// Seconds that a run may be given.
const SECONDS: std::ops::RangeInclusive<f64> = 0.0..=RUN_SECONDS_MAX as f64;

/// Loads a Stratum pool of your own with many connections and measures it.
#[derive(Parser)]
#[command(version, about, max_term_width = 110)]
struct Cli {
    /// Print one line of JSON instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Verdicts a second and what each costs: every connection keeps a window of submits unanswered.
    Throughput {
        #[command(flatten)]
        target: TargetArgs,
        /// Submits in flight per connection.
        #[arg(long, default_value_t = 8, value_parser = value_parser!(u16).range(1..=WINDOW_MAX as i64))]
        window: u16,
        /// Load before the measured interval.
        #[arg(long, default_value = "1", value_parser = seconds)]
        warm_up_seconds: Duration,
        /// Submits a second over all connections, at even times whatever the server does; without it, as many as the
        /// windows allow.
        #[arg(long, value_parser = value_parser!(u32).range(1..=10_000_000))]
        rate: Option<u32>,
        /// Measured interval.
        #[arg(long, default_value = "10", value_parser = seconds)]
        seconds: Duration,
    },
    /// A new tip to all: time from the first connection's clean job to the last one's.
    Fanout {
        #[command(flatten)]
        target: TargetArgs,
        /// New tips to measure.
        #[arg(long, default_value_t = 1, value_parser = value_parser!(u16).range(1..=1000))]
        rounds: u16,
        /// How long to wait for each.
        #[arg(long, default_value = "60", value_parser = seconds)]
        round_timeout_seconds: Duration,
        /// Where the server shows its metrics, to read its own histogram.
        #[arg(long, value_parser = address)]
        metrics: Option<SocketAddr>,
        /// Program and arguments that make a new tip (no shell); must come last. Without it, waits for the next tip.
        #[arg(long, num_args = 1.., allow_hyphen_values = true)]
        trigger_cmd: Vec<String>,
    },
    /// All connections within some seconds: time until each has its first job, and failures.
    Storm {
        #[command(flatten)]
        target: TargetArgs,
        /// Time over which they are opened evenly.
        #[arg(long, default_value = "1", value_parser = seconds)]
        within_seconds: Duration,
    },
    /// Connections as fast as the server takes them: V2's handshakes alone, or whole logins.
    Handshakes {
        #[command(flatten)]
        target: TargetArgs,
        /// Goes on to the first job, as V1 always does.
        #[arg(long)]
        whole: bool,
    },
    /// Memory and CPU of the server per authorized, silent connection.
    Idle {
        #[command(flatten)]
        target: TargetArgs,
        /// Silence after the last login.
        #[arg(long, default_value = "5", value_parser = seconds)]
        hold_seconds: Duration,
    },
    /// What attacks cost well-behaved miners: a table in Markdown.
    Abuse {
        #[command(flatten)]
        target: TargetArgs,
        /// Submits a second, over all connections.
        #[arg(long, default_value_t = 20_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
        shares_per_second: u32,
        /// Length of each attack.
        #[arg(long, default_value = "5", value_parser = seconds)]
        seconds: Duration,
        /// Connections that come back all at once.
        #[arg(long, default_value_t = 10_000)]
        storm_connections: usize,
        /// Time over which they come.
        #[arg(long, default_value = "5", value_parser = seconds)]
        storm_within_seconds: Duration,
    },
    /// The bare server to compare with: answers each line with a constant line.
    Echo(EchoArgs),
}

#[derive(Args)]
struct TargetArgs {
    /// Host and port of the server.
    #[arg(long, default_value = "127.0.0.1:3333", value_parser = address)]
    pool: SocketAddr,
    /// What it speaks.
    #[arg(long, value_enum, default_value = "stratum")]
    protocol: ProtocolArg,
    /// With stratum-v2: the key that vouches for the pool, as its address stratum2+tcp://HOST:PORT/KEY ends with.
    #[arg(long, required_if_eq("protocol", "stratum-v2"))]
    authority: Option<AuthorityPublicKey>,
    /// With stratum-v2: channels of each connection.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u16).range(1..=CHANNELS_MAX as i64))]
    channels: u16,
    /// With stratum-v2: standard channels instead of extended ones.
    #[arg(long)]
    standard: bool,
    /// Username; {n} becomes the connection's number, without it .w<number> is appended.
    #[arg(long, default_value = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")]
    username: String,
    /// Password of all.
    #[arg(long, default_value = "x")]
    password: String,
    /// Connections.
    #[arg(long, short = 'n', default_value_t = 100)]
    connections: usize,
    /// Process id of the server, to read its CPU time and memory.
    #[arg(long)]
    server_pid: Option<u32>,
    /// Speaks TLS. Any certificate will do.
    #[arg(long)]
    tls: bool,
    /// Speaks TLS with a server that has one of these certificates (PEM) or one signed by them.
    #[arg(long, value_name = "FILE")]
    tls_trusted: Option<PathBuf>,
    /// How long opening and logging in may take in all.
    #[arg(long, default_value = "30", value_parser = seconds)]
    login_timeout_seconds: Duration,
    /// Allows a server that is not on this machine. Only for one that is yours.
    #[arg(long)]
    i_own_this_server: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProtocolArg {
    Stratum,
    StratumV2,
    Echo,
}

#[derive(Args)]
struct EchoArgs {
    /// Address to listen on; port 0 takes a free one and prints it.
    #[arg(long, default_value = "127.0.0.1:0", value_parser = address)]
    listen: SocketAddr,
    /// Bytes of a reply, newline included.
    #[arg(long, default_value_t = 45, value_parser = value_parser!(u32).range(1..=65_536))]
    reply_bytes: u32,
    /// Sends a line to everybody so often; never without it.
    #[arg(long, value_parser = value_parser!(u64).range(10..=3_600_000))]
    broadcast_interval_ms: Option<u64>,
    /// Bytes of that line, newline included.
    #[arg(long, default_value_t = 2048, value_parser = value_parser!(u32).range(1..=65_536))]
    broadcast_bytes: u32,
    /// When to stop by itself.
    #[arg(long, default_value = "600", value_parser = seconds)]
    seconds: Duration,
    /// Allows to listen beyond this machine.
    #[arg(long)]
    i_own_this_server: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.mode) {
        Ok(report) => print(&report, cli.json),
        Err(error) => {
            // Nothing can be done when even standard error is closed.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(report: &Report, json: bool) -> ExitCode {
    let text = if json { report.json_line() + "\n" } else { report.table() };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(mode: Mode) -> Result<Report, SwarmError> {
    Ok(match mode {
        Mode::Throughput { target, window, rate, warm_up_seconds, seconds } => throughput::run(&throughput::Options {
            target: target.try_into()?,
            window: usize::from(window),
            rate_per_second: rate,
            warm_up: warm_up_seconds,
            duration: seconds,
        })?
        .report(),
        Mode::Fanout { target, rounds, round_timeout_seconds, metrics, trigger_cmd } => {
            fanout::run(&fanout::Options {
                target: target.try_into()?,
                rounds: usize::from(rounds),
                trigger: trigger_cmd,
                round_timeout: round_timeout_seconds,
                metrics,
            })?
            .report()
        }
        Mode::Storm { target, within_seconds } => {
            storm::run(&storm::Options { target: target.try_into()?, within: within_seconds })?.report()
        }
        Mode::Handshakes { target, whole } => {
            let mut target = Target::try_from(target)?;
            if let Some(v2) = &mut target.v2 {
                v2.only_handshake = !whole;
            }
            handshakes::run(&handshakes::Options { target })?.report()
        }
        Mode::Idle { target, hold_seconds } => {
            idle::run(&idle::Options { target: target.try_into()?, hold: hold_seconds })?.report()
        }
        Mode::Abuse { target, shares_per_second, seconds, storm_connections, storm_within_seconds } => {
            let rows = abuse::run(&abuse::Options {
                target: target.try_into()?,
                shares_per_second,
                duration: seconds,
                storm_connections,
                storm_within: storm_within_seconds,
                attacks: abuse::Attack::ALL.to_vec(),
            })?;
            writeln!(io::stdout(), "{}", abuse::table(&rows))?;
            abuse::report(&rows)
        }
        Mode::Echo(arguments) => serve_echo(&arguments)?,
    })
}

fn serve_echo(arguments: &EchoArgs) -> Result<Report, SwarmError> {
    if !arguments.listen.ip().is_loopback() && !arguments.i_own_this_server {
        return Err(SwarmError::NotLoopback(arguments.listen));
    }
    let server = EchoServer::bind(echo::Options {
        listen: arguments.listen,
        reply_bytes: arguments.reply_bytes as usize,
        broadcast_interval: arguments.broadcast_interval_ms.map(Duration::from_millis),
        broadcast_bytes: arguments.broadcast_bytes as usize,
        duration: arguments.seconds,
    })?;
    writeln!(io::stdout(), "listening on {} as process {}", server.address()?, std::process::id())?;
    Ok(server.run(&AtomicBool::new(false))?.report())
}

impl TryFrom<TargetArgs> for Target {
    type Error = SwarmError;

    fn try_from(arguments: TargetArgs) -> Result<Self, SwarmError> {
        let trusted = arguments.tls_trusted.as_deref();
        let speaks_v2 = matches!(arguments.protocol, ProtocolArg::StratumV2);
        let v2 = arguments.authority.filter(|_| speaks_v2).map(|authority| V2Options {
            authority,
            channels: usize::from(arguments.channels),
            is_standard: arguments.standard,
            only_handshake: false,
        });
        let speaks_tls = arguments.tls || trusted.is_some();
        Ok(Self {
            tls: speaks_tls.then(|| client_config(trusted)).transpose()?,
            v2,
            server: arguments.pool,
            protocol: match arguments.protocol {
                ProtocolArg::Stratum => Protocol::Stratum,
                ProtocolArg::StratumV2 => Protocol::StratumV2,
                ProtocolArg::Echo => Protocol::Echo,
            },
            username: arguments.username,
            password: arguments.password,
            connections: arguments.connections,
            server_pid: arguments.server_pid,
            sources_from: None,
            login_timeout: arguments.login_timeout_seconds,
            is_remote_allowed: arguments.i_own_this_server,
        })
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|error| format!("{error}; host:port is needed"))?;
    addresses.next().ok_or_else(|| "the name has no address".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| "a number of seconds is needed".to_owned())?;
    if !SECONDS.contains(&value) {
        return Err(format!("0 to {RUN_SECONDS_MAX} seconds are allowed"));
    }
    Ok(Duration::from_secs_f64(value))
}
