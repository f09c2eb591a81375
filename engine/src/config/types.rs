//! The configuration after reading: one field for each key, typed and checked.
//!
//! `None` means that nobody gave a value and that the default depends on the machine or that there is none.
//! The defaults here are the product's; the commented file and the book are tested against them.

use super::secrets::Secret;
use super::syntax::{AddressRange, Listen};
use crate::certificate::Files;
use crate::config::profile::ProfileKind;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use warppool_components::device_class::DeviceClass;
use warppool_components::settings::{Network, Payee};
use warppool_components::units::Difficulty;
use warppool_systems::sha256d::Backend;

/// Everything in `config.toml`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Config {
    /// The file it was read from, which decides where data goes by default.
    pub file: Option<PathBuf>,
    /// Names shown to people.
    pub branding: Branding,
    /// What is logged.
    pub logging: Logging,
    /// Who is paid.
    pub mining: Mining,
    /// Bitcoin nodes.
    pub node: Node,
    /// Listeners.
    pub server: Server,
    /// Ways for miners to connect, beyond the plain port.
    pub stratum: Stratum,
    /// Bounds and placement.
    pub tuning: Tuning,
    /// The class of machine.
    pub profile: Profile,
    /// Difficulty.
    pub vardiff: Vardiff,
    /// Limits of each address.
    pub ratelimit: RateLimit,
    /// How long records are kept.
    pub retention: Retention,
    /// The database.
    pub store: Store,
    /// Kept for the notifiers.
    pub notifier: FreeTable,
    /// Kept for port forwarding.
    pub upnp: FreeTable,
    /// Kept for miner telemetry.
    pub telemetry: FreeTable,
    /// Kept for updates.
    pub update: FreeTable,
}

/// `[branding]`
#[derive(Clone, PartialEq, Debug)]
pub struct Branding {
    /// Name of the pool.
    pub status_brand_name: String,
    /// Where it is.
    pub server_location: String,
    /// ISO 4217 code for prices.
    pub fiat_currency: String,
}

impl Default for Branding {
    fn default() -> Self {
        Self {
            status_brand_name: "WarpPool".into(),
            server_location: "self-hosted".into(),
            fiat_currency: "EUR".into(),
        }
    }
}

/// `[logging]`
#[derive(Clone, PartialEq, Debug)]
pub struct Logging {
    /// More detail.
    pub debug: bool,
    /// Each line from and to miners.
    pub net_debug: bool,
    /// One JSON object a line instead of text.
    pub json: bool,
}

impl Default for Logging {
    fn default() -> Self {
        Self { debug: false, net_debug: false, json: true }
    }
}

/// `[mining]`
#[derive(Clone, PartialEq, Debug)]
pub struct Mining {
    /// Paid when a username holds no valid address.
    pub payout_address: Option<Payee>,
    /// The pool's part of a block, in hundredths of a percent.
    pub pool_fee_basis_points: u32,
    /// Who gets it.
    pub pool_fee_address: Option<Payee>,
    /// The operator's part, in hundredths of a percent.
    pub operator_donation_basis_points: u32,
    /// Who gets it.
    pub operator_donation_address: Option<Payee>,
    /// Text in the coinbase.
    pub pooltag_prefix: String,
    /// Whether the address of the username is paid.
    pub pay_username_address: bool,
    /// Short names for addresses.
    pub aliases: BTreeMap<String, String>,
    /// Kept for tariffs.
    pub electricity: FreeTable,
}

impl Default for Mining {
    fn default() -> Self {
        Self {
            payout_address: None,
            pool_fee_basis_points: 0,
            pool_fee_address: None,
            operator_donation_basis_points: 0,
            operator_donation_address: None,
            pooltag_prefix: "warppool".into(),
            pay_username_address: true,
            aliases: BTreeMap::new(),
            electricity: FreeTable::default(),
        }
    }
}

/// `[node]`
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// The network all nodes must be on.
    pub network: Network,
    /// The first node.
    pub main: NodeEndpoint,
    /// `[[node.extra]]`: further ones.
    pub extra: Vec<NodeEndpoint>,
    /// Longest life of a template.
    pub template_refresh: Duration,
    /// Time between two looks at the tip.
    pub poll_interval: Duration,
    /// Whether a job without transactions goes out before the template is there.
    pub empty_job_on_new_tip: bool,
    /// Silence of all nodes after which miners are released.
    pub node_loss_disconnect: Duration,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            network: Network::Mainnet,
            main: NodeEndpoint::default(),
            extra: Vec::new(),
            template_refresh: Duration::from_secs(30),
            poll_interval: Duration::from_millis(1000),
            empty_job_on_new_tip: true,
            node_loss_disconnect: Duration::from_secs(120),
        }
    }
}

impl Node {
    /// All nodes, the main one first.
    pub fn endpoints(&self) -> impl Iterator<Item = &NodeEndpoint> {
        std::iter::once(&self.main).chain(&self.extra)
    }
}

/// How to reach one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeEndpoint {
    /// `http://HOST:PORT`, no user in it, no slash at the end.
    pub rpc_url: String,
    /// Core's `.cookie`, which goes before user and password.
    pub rpc_cookie_path: Option<PathBuf>,
    /// Where it publishes block hashes.
    pub zmq_hashblock_addr: Option<String>,
    /// Where it publishes blocks.
    pub zmq_rawblock_addr: Option<String>,
}

impl Default for NodeEndpoint {
    fn default() -> Self {
        Self {
            rpc_url: "http://127.0.0.1:8332".into(),
            rpc_cookie_path: None,
            zmq_hashblock_addr: None,
            zmq_rawblock_addr: None,
        }
    }
}

/// `[server]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// Stratum V1, in plain text and over TLS.
    pub pool_listen: Listen,
    /// Dashboard and API.
    pub status_listen: Listen,
    /// The same over TLS.
    pub status_tls_listen: Option<Listen>,
    /// How people reach the dashboard, without a slash at the end.
    pub status_public_url: Option<String>,
    /// Whether `X-Forwarded-For` is believed.
    pub trust_proxy_headers: bool,
    /// Whether cookies are for HTTPS only.
    pub cookie_secure: bool,
    /// Whether figures can be read without login.
    pub public_reads: bool,
    /// Whether there are metrics of single workers.
    pub worker_metrics: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            pool_listen: Listen::Every { port: 3333 },
            status_listen: Listen::Every { port: 18334 },
            status_tls_listen: None,
            status_public_url: None,
            trust_proxy_headers: false,
            cookie_secure: false,
            public_reads: true,
            worker_metrics: false,
        }
    }
}

/// `[stratum]`
#[derive(Clone, PartialEq, Debug)]
pub struct Stratum {
    /// Stratum V1 over TLS.
    pub stratum_tls_listen: Option<Listen>,
    /// PEM chain.
    pub tls_cert_path: Option<PathBuf>,
    /// PEM key.
    pub tls_key_path: Option<PathBuf>,
    /// What every miner must give, empty for nothing.
    pub stratum_password: Secret,
    /// Whether unusual version bits and ntime drift are refused.
    pub safe_mode: bool,
    /// Stratum V2.
    pub sv2_listen: Option<Listen>,
    /// Its first generation.
    pub sv2_first_generation_listen: Option<Listen>,
    /// Most connections of Stratum V2.
    pub sv2_max_connections: usize,
    /// Who may say in a PROXY header for whom it speaks.
    pub proxy_protocol_from: Vec<AddressRange>,
}

impl Stratum {
    /// Certificate and key, when there are both.
    pub fn certificate_files(&self) -> Option<Files> {
        Some(Files { certificate: self.tls_cert_path.clone()?, key: self.tls_key_path.clone()? })
    }
}

impl Default for Stratum {
    fn default() -> Self {
        Self {
            stratum_tls_listen: None,
            tls_cert_path: None,
            tls_key_path: None,
            stratum_password: Secret::default(),
            safe_mode: true,
            sv2_listen: None,
            sv2_first_generation_listen: None,
            sv2_max_connections: 1024,
            proxy_protocol_from: Vec::new(),
        }
    }
}

/// `[tuning]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tuning {
    /// Workers remembered for one address.
    pub max_saved_workers_per_user: usize,
    /// Workers remembered in all.
    pub max_saved_workers_pool_total: usize,
    /// Most live connections, instead of the profile's.
    pub max_connections: Option<usize>,
    /// The core that the engine's thread stays on.
    pub engine_core: Option<usize>,
    /// Threads of the parallel pool, instead of the profile's.
    pub rayon_threads: Option<usize>,
    /// Cores that those threads stay on, empty for any.
    pub rayon_cores: Vec<usize>,
    /// How shares are hashed; absent: what is the fastest on this machine.
    pub sha256d_backend: Option<Backend>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            max_saved_workers_per_user: 64,
            max_saved_workers_pool_total: 1024,
            max_connections: None,
            engine_core: None,
            rayon_threads: None,
            rayon_cores: Vec::new(),
            sha256d_backend: None,
        }
    }
}

/// `[profile]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// The profile; absent: recommended from the hardware.
    pub kind: Option<ProfileKind>,
    /// How many miners the operator expects.
    pub expected_miner_count: usize,
}

impl Default for Profile {
    fn default() -> Self {
        Self { kind: None, expected_miner_count: 5 }
    }
}

/// `[vardiff]`
#[derive(Clone, PartialEq, Debug)]
pub struct Vardiff {
    /// Whether difficulty is adapted.
    pub enabled: bool,
    /// Seconds between two shares of a miner.
    pub target_seconds_per_share: f64,
    /// Easiest difficulty.
    pub min_diff: Difficulty,
    /// Hardest difficulty.
    pub max_diff: Difficulty,
    /// Relative distance from the ideal that is left alone.
    pub hysteresis: f64,
    /// Largest factor of one change.
    pub max_step: f64,
    /// Where a miner of unknown class starts.
    pub initial_diff: Difficulty,
    /// The operator's own table of device classes.
    pub device_classes_path: Option<PathBuf>,
    /// The device classes in the order in which they are tried: those of that file, else the built-in ones.
    pub device_classes: Arc<[DeviceClass]>,
}

impl Default for Vardiff {
    fn default() -> Self {
        let difficulty = |value| Difficulty::new(value).expect("the defaults are positive numbers");
        Self {
            enabled: true,
            target_seconds_per_share: 10.0,
            min_diff: difficulty(0.0001),
            max_diff: difficulty(1e12),
            hysteresis: 0.30,
            max_step: 4.0,
            initial_diff: difficulty(1024.0),
            device_classes_path: None,
            device_classes: super::device_classes::built_in(),
        }
    }
}

/// `[ratelimit]`, each for one address of the network.
#[derive(Clone, PartialEq, Debug)]
pub struct RateLimit {
    /// Whether rates are limited.
    pub enabled: bool,
    /// Connections a second in the long run.
    pub connects_per_sec: f64,
    /// Connections at once.
    pub connect_burst: u32,
    /// Authorizations a second in the long run.
    pub auths_per_sec: f64,
    /// Authorizations at once.
    pub auth_burst: u32,
    /// Open connections, 0 for no limit.
    pub max_connections_per_ip: u32,
    /// Silence after which an unauthorized connection and a bucket are forgotten.
    pub idle_evict: Duration,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            enabled: true,
            connects_per_sec: 5.0,
            connect_burst: 120,
            auths_per_sec: 1.0,
            auth_burst: 30,
            max_connections_per_ip: 0,
            idle_evict: Duration::from_secs(300),
        }
    }
}

/// `[retention]`; zero keeps for ever where it is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Single shares, instead of the profile's.
    pub shares_raw: Option<Duration>,
    /// Sums of 5 minutes.
    pub shares_5min: Duration,
    /// Sums of a day.
    pub shares_daily: Duration,
    /// Single readings of miners.
    pub miner_telemetry_raw: Duration,
    /// Means of 5 minutes of those.
    pub miner_telemetry_5min: Duration,
    /// What operators did.
    pub audit_log: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            shares_raw: None,
            shares_5min: Duration::from_secs(604_800),
            shares_daily: Duration::ZERO,
            miner_telemetry_raw: Duration::from_secs(3600),
            miner_telemetry_5min: Duration::from_secs(604_800),
            audit_log: Duration::from_secs(7_776_000),
        }
    }
}

/// `[store]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Store {
    /// The database file.
    pub path: Option<PathBuf>,
    /// The most share statistics that a crash may lose, in time.
    pub flush_interval: Duration,
}

impl Default for Store {
    fn default() -> Self {
        Self { path: None, flush_interval: Duration::from_millis(250) }
    }
}

/// A table that is kept as it was written. Its values are not shown, because webhooks and tokens may be among them.
#[derive(Clone, PartialEq, Default)]
pub struct FreeTable(pub toml::Table);

impl fmt::Debug for FreeTable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}
