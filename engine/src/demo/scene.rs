//! Node, pool and miners of the demonstration.

use super::directory::Directory;
use crate::cli::arguments::Demo;
use crate::run::LISTEN_BACKLOG;
use crate::runtime::{Pool, PoolError, PoolOptions, SourceOptions, Stop};
use bitcoin::hashes::Hash;
use bitcoin::{Address, ScriptBuf, WPubkeyHash};
use crossbeam::channel::Receiver;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use warppool_admin::AdminOptions;
use warppool_components::device_class::DeviceClass;
use warppool_components::limits::WORKERS_SUMMED_AT_ONCE;
use warppool_components::settings::{Cut, Network, Payee, PayoutSettings, Settings, VardiffSettings};
use warppool_components::snapshot::Snapshot;
use warppool_components::units::Difficulty;
use warppool_io::node::{Endpoint, LevelHasher, NodeOptions};
use warppool_io::store::StoreOptions;
use warppool_loadgen::miner::{Device, MinerOptions, MinerStats, SimMiner};
use warppool_net::sockets::ListenOptions;
use warppool_net::transport::noise::AuthorityKey;
use warppool_simnode::{SimNode, SimNodeOptions};
use warppool_systems::hash::Hashing;

/// nBits of every block: some four million hashes, a few seconds for the miners together.
const BITS: u32 = 0x1e03_ffff;

/// Hashes a second of all miners together at most, so that the machine stays usable.
const HASHES_PER_SECOND_MAX: f64 = 2_000_000.0;

/// Seconds between two shares of a miner: more than outside, so that there is something to see.
const SECONDS_PER_SHARE: f64 = 2.0;

/// How quickly a NerdMiner reads after it has subscribed; the device takes 1.2 s.
const NERDMINER_DELAY: Duration = Duration::from_millis(200);

/// The devices of the miners, in turn.
const DEVICES: [Device; 5] = [Device::NerdMiner, Device::Bitaxe, Device::Cgminer, Device::CpuMiner, Device::BmMiner];

/// Whatever keeps the demonstration from running, for people.
pub(super) type Failure = Box<dyn std::error::Error>;

/// One simulated miner.
pub(super) struct Miner {
    /// What it is.
    pub(super) device: Device,
    /// Its username.
    pub(super) username: String,
    miner: Option<SimMiner>,
    last: MinerStats,
}

impl Miner {
    /// What it has done.
    pub(super) fn stats(&self) -> MinerStats {
        self.miner.as_ref().map_or_else(|| self.last.clone(), SimMiner::stats)
    }
}

/// Everything that runs.
pub(super) struct Scene {
    /// The judge.
    pub(super) node: SimNode,
    /// The miners.
    pub(super) miners: Vec<Miner>,
    /// Where miners connect.
    pub(super) pool_address: SocketAddr,
    /// Where the dashboard is.
    pub(super) dashboard: SocketAddr,
    stop: Stop,
    engine: Option<JoinHandle<Result<(), PoolError>>>,
    directory: Directory,
}

impl Scene {
    /// Starts all of it.
    pub(super) fn open(arguments: &Demo) -> Result<(Self, Receiver<Arc<Snapshot>>), Failure> {
        let directory = Directory::make()?;
        let of_node = SimNodeOptions::regtest(directory.path().join("node"));
        let node = SimNode::start(SimNodeOptions { bits: BITS, ..of_node })?;
        let mut pool = Pool::start(options(arguments, &node, directory.path()))?;
        let snapshots = pool.watch();
        let pool_address = pool.miner_addresses()[0];
        let dashboard = pool.dashboard_addresses()[0];
        let stop = pool.stop_handle();
        let engine = std::thread::Builder::new().name("engine".into()).spawn(move || pool.run())?;
        let miners = miners(usize::from(arguments.miners), pool_address);
        let engine = Some(engine);
        Ok((Self { node, miners, pool_address, dashboard, stop, engine, directory }, snapshots))
    }

    /// Lets the miners finish, so that what they count and what the pool counts agree.
    pub(super) fn close_miners(&mut self) {
        for miner in &mut self.miners {
            if let Some(running) = miner.miner.take() {
                miner.last = running.stop();
            }
        }
    }

    /// Ends pool and node and removes their files.
    pub(super) fn close(mut self) -> Result<(), Failure> {
        self.stop.ask();
        let ended = self.engine.take().map(JoinHandle::join);
        self.node.stop();
        drop(self.directory);
        match ended {
            Some(Ok(outcome)) => Ok(outcome?),
            Some(Err(_)) => Err("the engine's thread panicked".into()),
            None => Ok(()),
        }
    }
}

fn options(arguments: &Demo, node: &SimNode, directory: &std::path::Path) -> PoolOptions {
    let hashing = Hashing::of_this_machine();
    PoolOptions {
        settings: settings(),
        listen: ListenOptions {
            addresses: vec![arguments.listen.to_string()],
            connections_max: 1024,
            noise_connections_max: 1024,
            backlog: LISTEN_BACKLOG,
            ..ListenOptions::default()
        },
        certificate: None,
        authority: Some(AuthorityKey::generate()),
        source: SourceOptions::Node(NodeOptions {
            network: Network::Regtest,
            nodes: vec![Endpoint {
                rpc_url: node.rpc_url(),
                cookie_path: Some(node.cookie_path()),
                user: None,
                password: None,
                zmq_hashblock: node.zmq_hashblock(),
                zmq_rawblock: node.zmq_rawblock(),
            }],
            template_refresh: Duration::from_secs(30),
            poll_interval: Duration::from_secs(1),
            empty_job_on_new_tip: true,
            level_hasher: LevelHasher::new(move |nodes| hashing.hasher.hash_level(nodes)),
        }),
        store: StoreOptions {
            path: directory.join("pool").join("warppool.redb"),
            flush_interval: Duration::from_millis(250),
            cache_bytes: 16 * 1024 * 1024,
            shares_raw_kept: Duration::from_secs(3600),
            shares_5min_kept: Duration::from_secs(604_800),
            shares_daily_kept: None,
            saved_workers_per_user_max: 64,
            saved_workers_total_max: 1024,
            workers_summed_at_once: WORKERS_SUMMED_AT_ONCE,
        },
        admin: AdminOptions {
            listen: vec![arguments.dashboard.to_string()],
            network: Network::Regtest,
            brand_name: "WarpPool".into(),
            server_location: "demonstration".into(),
            fiat_currency: "EUR".into(),
            public_url: String::new(),
            public_reads: true,
            version: env!("CARGO_PKG_VERSION"),
            worker_metrics: true,
            trust_proxy_headers: false,
        },
        profile: "demo".into(),
        engine_core: None,
        hashing,
    }
}

fn settings() -> Settings {
    let difficulty = |value| Difficulty::new(value).expect("a positive constant");
    let fee = Cut { payee: payee(0xfe), basis_points: 100 };
    Settings {
        network: Network::Regtest,
        payout: PayoutSettings {
            fallback: None,
            pay_username_address: true,
            fee: Some(fee),
            donation: None,
            aliases: BTreeMap::new(),
        },
        pool_tag: "warppool demo".into(),
        vardiff: VardiffSettings {
            enabled: true,
            target_seconds_per_share: SECONDS_PER_SHARE,
            min: difficulty(1e-6),
            max: difficulty(1e12),
            hysteresis: 0.30,
            max_step: 4.0,
            initial: difficulty(0.0002),
        },
        device_classes: device_classes(),
        stratum_password: "".into(),
        connections_max: 1024,
        snapshot_interval: Duration::from_millis(500),
        node_loss_disconnect: Duration::from_secs(120),
        saved_workers_per_user_max: 64,
        saved_workers_total_max: 1024,
        // Everybody is on this machine.
        rate_limits: None,
        idle_evict: Duration::from_secs(300),
    }
}

/// The classes of the real table, at difficulties that a processor can find.
fn device_classes() -> Arc<[DeviceClass]> {
    let class = |name: &str, pattern: &str, start: f64, pads_extranonce2| DeviceClass {
        name: name.into(),
        patterns: vec![pattern.into()],
        start: Difficulty::new(start).expect("a positive constant"),
        seconds_per_share: SECONDS_PER_SHARE,
        pads_extranonce2,
    };
    [
        class("ESP32", "nerdminer", 0.0001, true),
        class("Bitaxe", "bitaxe", 0.0002, false),
        class("Antminer", "bmminer", 0.0002, false),
        class("cgminer", "cgminer", 0.0002, false),
        class("CPU", "cpuminer", 0.0001, false),
    ]
    .into()
}

fn miners(count: usize, pool: SocketAddr) -> Vec<Miner> {
    let rate = HASHES_PER_SECOND_MAX / count.max(1) as f64;
    (0..count).map(|number| miner(number, rate, pool)).collect()
}

fn miner(number: usize, rate: f64, pool: SocketAddr) -> Miner {
    let device = DEVICES[number % DEVICES.len()];
    // Two devices of one owner, so that both kinds of payout are seen.
    let owner = payee(1 + number as u8 / 2);
    let username = format!("{}.{}-{number}", owner.address, device.name().to_ascii_lowercase().replace(' ', "-"));
    let options = MinerOptions {
        hashes_per_second_max: Some(rate),
        seed: number as u64,
        suggest_difficulty: Some(0.0002),
        subscribe_read_delay: NERDMINER_DELAY,
        ..MinerOptions::new(pool, device, username.clone())
    };
    Miner { device, username, miner: Some(SimMiner::start(options)), last: MinerStats::default() }
}

/// An address of regtest for which nobody has a key.
fn payee(number: u8) -> Payee {
    let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([number; 20]));
    let address = Address::from_script(&script, bitcoin::Network::Regtest).expect("P2WPKH has an address");
    Payee { address: address.to_string().into(), script: script.as_bytes().into() }
}
