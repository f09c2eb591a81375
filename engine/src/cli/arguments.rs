//! The command line of `warppool`.

pub use super::pay_address::{NetworkName, PayAddress};
use crate::client::Endpoint;
use crate::config::{Listen, Secret, Sources};
use crate::upstream::UpstreamAddress;
use clap::{Args, Parser, Subcommand};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Bitcoin solo-mining pool.
#[derive(Parser, Clone, Debug)]
#[command(name = "warppool", version, about, propagate_version = true, subcommand_required = true)]
#[command(after_help = "Exit status: 0 done, 1 failed, 2 wrong usage, 78 bad configuration.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A command of `warppool`.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Run the pool against your Bitcoin node.
    Run(Run),
    /// Serve miners of Stratum V1 and V2 with the work of another pool of either.
    Translate(Translate),
    /// Show it without a node: simulated regtest node, simulated miners, real Stratum.
    Demo(Demo),
    /// Play every known miner against any pool, and tell what it gets wrong.
    #[command(after_help = "Exit status: 0 no check failed, 1 one did or the pool is not there, 2 wrong usage.")]
    Doctor(Doctor),
    /// Ask any pool for a job, and tell whom its block would pay.
    #[command(after_help = "Exit status: 0 the address is paid, 1 it is not or nothing can be said, 2 wrong usage.")]
    Verify(Verify),
    /// Show a sentence on the screens and in the logs of the miners of the pool that runs here.
    Message(Message),
    /// Tell the miners of the pool that runs here to connect anew, here or elsewhere; not all firmware obeys.
    Reconnect(Reconnect),
    /// Print every problem of a configuration; exit status 1 when there is one.
    CheckConfig(CheckConfig),
    /// Commands about TLS for miners.
    Tls {
        /// Which one.
        #[command(subcommand)]
        command: TlsCommand,
    },
    /// Commands about the pool's keys.
    Keys {
        /// Which one.
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Commands about the configuration.
    Config {
        /// Which one.
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

/// A command of `warppool config`.
#[derive(Subcommand, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigCommand {
    /// Print a commented config.toml with every key and its default.
    Default,
}

/// A command of `warppool tls`.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum TlsCommand {
    /// Make a certificate for a network of your own, which nobody else has certified, and its key.
    SelfSigned(SelfSigned),
}

/// A command of `warppool keys`.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum KeysCommand {
    /// Show the public key and the addresses that miners of Stratum V2 are to be given; make the key if there is none.
    Sv2(Sv2Key),
}

/// Arguments of `warppool keys sv2`.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct Sv2Key {
    /// The configuration of the pool; without it, the one in $XDG_CONFIG_HOME/warppool or /etc/warppool.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The file of secrets; without it, secrets.toml beside the configuration file, if there is one.
    #[arg(long, value_name = "FILE")]
    pub secrets: Option<PathBuf>,
    /// Override a key of the configuration, as the pool was started with; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// A name or an address by which miners reach the pool. Without it, the addresses of this machine.
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
}

impl Sv2Key {
    /// The sources of the configuration.
    pub fn sources(&self) -> Sources {
        Sources::of_process(Some(config_or_default(self.config.as_ref())), self.secrets.clone(), self.set.clone())
    }
}

/// Arguments of `warppool tls self-signed`.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub struct SelfSigned {
    /// Where tls-cert.pem and tls-key.pem are written; files that are there are never overwritten.
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub directory: PathBuf,
    /// A name or an IP address by which miners reach the pool; may be repeated. Without it, the names and addresses of
    /// this machine.
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// How many days it is valid.
    #[arg(long, value_name = "N", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,
}

/// Arguments of `warppool run`.
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The file of secrets, mode 0600; without it, secrets.toml beside the configuration file, if there is one.
    #[arg(long, value_name = "FILE")]
    pub secrets: Option<PathBuf>,
    /// Override a key of the configuration; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

impl Run {
    /// The sources of the configuration.
    pub fn sources(&self) -> Sources {
        Sources::of_process(Some(self.config.clone()), self.secrets.clone(), self.set.clone())
    }
}

/// Arguments of `warppool translate`.
#[derive(Args, Clone, Debug)]
pub struct Translate {
    /// The pool above: stratum2+tcp://HOST:PORT/KEY of Stratum V2, stratum+tcp://HOST:PORT or stratum+ssl://HOST:PORT of Stratum V1;
    /// may be repeated: the others stand in when the first is not there.
    #[arg(long, value_name = "URL", required = true)]
    pub upstream: Vec<UpstreamAddress>,
    /// Who is paid and credited there, such as ADDRESS.WORKER; names of miners are for the statistics here.
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// The password of that worker at pools of Stratum V1. Others see it on the command line: pools rarely ask for a secret one.
    #[arg(long, value_name = "TEXT", default_value = "x", value_parser = password)]
    pub password: Secret,
    /// Certificates in PEM that are believed beside the public authorities, for stratum+ssl://.
    #[arg(long, value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,
    /// Hashes a second that a pool of Stratum V2 is told to expect at first; it follows what really comes.
    #[arg(long, value_name = "N", default_value_t = 1e12)]
    pub hash_rate: f32,
    /// While another pool stands in: go back once the first one has been there again for so long; 0 is never.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub return_after: u64,
    /// Where miners connect; port 0 lets the system choose.
    #[arg(long, value_name = "ADDR", default_value = ":3335")]
    pub listen: Listen,
    /// Where the dashboard is; port 0 lets the system choose.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:18335")]
    pub dashboard: Listen,
    /// Where statistics and the key of Stratum V2 are kept. Without it, where a pool keeps its own.
    #[arg(long, value_name = "DIRECTORY")]
    pub data: Option<PathBuf>,
    /// A configuration, of which difficulty, limits, TLS, logging and tuning are used.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The file of secrets; without it, secrets.toml beside the configuration file, if there is one.
    #[arg(long, value_name = "FILE")]
    pub secrets: Option<PathBuf>,
    /// Override a key of the configuration; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

impl Translate {
    /// The sources of the configuration.
    pub fn sources(&self) -> Sources {
        Sources::of_process(self.config.clone(), self.secrets.clone(), self.set.clone())
    }
}

/// Arguments of `warppool demo`.
#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// Stop counting after so many accepted blocks.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub blocks: Option<u32>,
    /// End after the blocks of --blocks (3 when not given), once a miner of Stratum V1, one of Stratum V2 and one behind the
    /// translator have each found one, and print a table of what happened.
    #[arg(long)]
    pub exit: bool,
    /// With --exit: fail when it is not so after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Simulated miners: a third speaks Stratum V1, a third V2, and a third V1 to a translator.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(3..=64))]
    pub miners: u16,
    /// Where miners connect; port 0 lets the system choose.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Where the dashboard is; port 0 lets the system choose.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub dashboard: SocketAddr,
}

impl Demo {
    /// After how many accepted blocks to end, if at all.
    pub fn blocks_until_exit(&self) -> Option<u32> {
        self.exit.then(|| self.blocks.unwrap_or(3))
    }

    /// How long to wait for them.
    pub fn time_limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

/// Arguments of `warppool doctor`.
#[derive(Args, Clone, Debug)]
pub struct Doctor {
    /// The pool; stratum+tcp:// and stratum+ssl:// may stand before it.
    #[arg(long, value_name = "HOST:PORT")]
    pub pool: Endpoint,
    /// Speak TLS.
    #[arg(long)]
    pub tls: bool,
    /// With TLS: a certificate that strangers do not believe is a failure.
    #[arg(long)]
    pub strict: bool,
    /// The worker to mine as. The default is the address of the first block; a pool of another network refuses it.
    #[arg(long, value_name = "ADDRESS.WORKER", default_value = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa.doctor")]
    pub user: String,
    /// Its password. Many pools take an easy difficulty from it, such as d=0.0001, so that real shares can be found.
    #[arg(long, value_name = "TEXT", default_value = "x", value_parser = password)]
    pub password: Secret,
    /// One client, probe or check alone.
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,
    /// Also what takes a minute: whether an idle miner is kept awake.
    #[arg(long)]
    pub long: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `warppool verify`.
#[derive(Args, Clone, Debug)]
pub struct Verify {
    /// The pool; stratum+tcp:// and stratum+ssl:// may stand before it.
    #[arg(long, value_name = "HOST:PORT")]
    pub pool: Endpoint,
    /// Who should be paid.
    #[arg(long, value_name = "ADDRESS")]
    pub address: PayAddress,
    /// The username to mine as, such as an alias; without it, the address.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Its password.
    #[arg(long, value_name = "TEXT", default_value = "x", value_parser = password)]
    pub password: Secret,
    /// Speak TLS.
    #[arg(long)]
    pub tls: bool,
    /// mainnet, testnet4, signet or regtest; without it, the first of these that the address belongs to.
    #[arg(long, value_name = "NAME")]
    pub network: Option<NetworkName>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `warppool message`.
#[derive(Args, Clone, Debug)]
pub struct Message {
    /// Whom.
    #[command(flatten)]
    pub whom: Whom,
    /// The sentence.
    #[arg(value_name = "TEXT")]
    pub text: String,
}

/// Arguments of `warppool reconnect`.
#[derive(Args, Clone, Debug)]
pub struct Reconnect {
    /// Whom.
    #[command(flatten)]
    pub whom: Whom,
    /// Where miners are to connect; without it, to where they are connected now.
    #[arg(value_name = "HOST:PORT")]
    pub place: Option<String>,
}

/// Which miners of which pool.
#[derive(Args, Clone, Debug)]
pub struct Whom {
    /// One worker (address.name) or all workers of an address; without it, every miner.
    #[arg(long, value_name = "NAME")]
    pub worker: Option<String>,
    /// The configuration of the pool; without it, the one in $XDG_CONFIG_HOME/warppool or /etc/warppool.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Override a key of the configuration, as the pool was started with; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

impl Whom {
    /// The sources of the configuration.
    pub fn sources(&self) -> Sources {
        Sources::of_process(Some(config_or_default(self.config.as_ref())), None, self.set.clone())
    }
}

/// Arguments of `warppool check-config`.
#[derive(Args, Clone, Debug)]
pub struct CheckConfig {
    /// The configuration file; without it, the one in $XDG_CONFIG_HOME/warppool or /etc/warppool.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The file of secrets; without it, secrets.toml beside the configuration file, if there is one.
    #[arg(long, value_name = "FILE")]
    pub secrets: Option<PathBuf>,
    /// Override a key of the configuration; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
}

impl CheckConfig {
    /// The sources of the configuration.
    pub fn sources(&self) -> Sources {
        Sources::of_process(Some(config_or_default(self.file.as_ref())), self.secrets.clone(), self.set.clone())
    }
}

fn password(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::from(text.to_owned()))
}

/// The file that was named, or the one that is looked for.
fn config_or_default(file: Option<&PathBuf>) -> PathBuf {
    file.cloned().unwrap_or_else(|| crate::config::paths::Directories::from_environment().config_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
    }

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_of_the_book_are_understood() {
        let line =
            "warppool run --config pool.toml --secrets s.toml --set node.network=regtest --set logging.json=false";
        let Ok(Command::Run(run)) = parse(line) else { panic!("run") };
        assert_eq!(run.sources().overrides, ["node.network=regtest", "logging.json=false"]);
        let Ok(Command::Demo(demo)) = parse("warppool demo --blocks 3 --exit --timeout 30") else { panic!("demo") };
        assert_eq!((demo.blocks_until_exit(), demo.time_limit()), (Some(3), Duration::from_secs(30)));
        let Ok(Command::Demo(demo)) = parse("warppool demo") else { panic!("demo") };
        assert_eq!((demo.blocks_until_exit(), demo.timeout, demo.miners), (None, 60, 4));
        assert!(matches!(parse("warppool check-config"), Ok(Command::CheckConfig(CheckConfig { file: None, .. }))));
        let Ok(Command::Keys { command: KeysCommand::Sv2(key) }) = parse("warppool keys sv2 --host pool.lan") else {
            panic!("keys")
        };
        assert_eq!(key.host.as_deref(), Some("pool.lan"));
        assert!(matches!(parse("warppool config default"), Ok(Command::Config { command: ConfigCommand::Default })));
    }

    #[test]
    fn passwords_are_not_shown() {
        let user = "--address 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
        for line in [
            "warppool doctor --pool a:1 --password hush",
            &format!("warppool verify --pool a:1 {user} --password hush"),
            "warppool translate --upstream stratum+tcp://a:1 --user me --password hush",
        ] {
            let command = parse(line).expect(line);
            assert!(!format!("{command:?}").contains("hush"), "{line}");
        }
    }

    #[test]
    fn wrong_usage_exits_with_two() {
        for line in [
            "warppool",
            "warppool run",
            "warppool demo --miners 2",
            "warppool fly",
            "warppool demo --listen 3333",
            "warppool doctor",
            "warppool doctor --pool nowhere",
            "warppool verify --pool a:1",
            "warppool verify --pool a:1 --address nobody",
            "warppool verify --pool a:1 --address 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa --network moon",
            "warppool message",
            "warppool translate --user me",
            "warppool translate --user me --upstream http://pool:3333",
            "warppool translate --user me --upstream stratum2+tcp://pool:3333",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), i32::from(crate::cli::exit_code::WRONG_USAGE), "{line}");
        }
    }
}
