//! The two pools of the demonstration: one over the simulated node, and a translator that takes its work from that one.

use super::Failure;
use crate::cli::arguments::Demo;
use crate::config::Secret;
use crate::run::LISTEN_BACKLOG;
use crate::runtime::{PoolError, PoolOptions, SourceOptions};
use crate::upstream::{UpstreamAddress, UpstreamOptions, UpstreamProtocol, trust};
use crate::{client, runtime};
use bitcoin::hashes::Hash;
use bitcoin::{Address, ScriptBuf, WPubkeyHash};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use warppool_admin::AdminOptions;
use warppool_components::device_class::DeviceClass;
use warppool_components::limits::WORKERS_SUMMED_AT_ONCE;
use warppool_components::settings::{Cut, Network, Payee, PayoutSettings, Settings, VardiffSettings};
use warppool_components::units::Difficulty;
use warppool_io::node::{Endpoint, LevelHasher, NodeOptions};
use warppool_io::store::StoreOptions;
use warppool_net::sockets::ListenOptions;
use warppool_net::transport::noise::{AuthorityKey, AuthorityPublicKey};
use warppool_simnode::SimNode;
use warppool_systems::hash::Hashing;

/// Seconds between two shares of a miner: more than outside, so that there is something to see.
const SECONDS_PER_SHARE: f64 = 2.0;

/// Any port of this machine that others cannot reach.
const ANY_PORT: &str = "127.0.0.1:0";

/// A pool on a thread of its own.
pub(super) struct Running {
    stop: runtime::Stop,
    engine: JoinHandle<Result<(), PoolError>>,
}

impl Running {
    /// Lets it serve.
    pub(super) fn start(pool: runtime::Pool) -> Result<Self, Failure> {
        let stop = pool.stop_handle();
        let engine = std::thread::Builder::new().name("engine".into()).spawn(move || pool.run())?;
        Ok(Self { stop, engine })
    }

    /// Ends it.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.stop.ask();
        match self.engine.join() {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err("the engine's thread panicked".into()),
        }
    }
}

/// The pool over the node.
pub(super) fn pool(arguments: &Demo, node: &SimNode, authority: AuthorityKey, directory: &Path) -> PoolOptions {
    let hashing = Hashing::of_this_machine();
    let source = SourceOptions::Node(NodeOptions {
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
    });
    let (listen, dashboard) = (arguments.listen.to_string(), arguments.dashboard.to_string());
    let store = directory.join("pool").join("warppool.redb");
    options(listen, dashboard, store, settings(payout()), source, authority)
}

/// The translator, which mines for `user` at the pool that listens there.
pub(super) fn translator(
    pool: SocketAddr,
    authority: AuthorityPublicKey,
    user: &str,
    directory: &Path,
) -> Result<PoolOptions, Failure> {
    let endpoint = client::Endpoint { host: pool.ip().to_string(), port: pool.port(), tls: false };
    let source = SourceOptions::Upstream(UpstreamOptions {
        upstreams: vec![UpstreamAddress { endpoint, protocol: UpstreamProtocol::V2(authority) }],
        user: user.to_owned(),
        password: Secret::default(),
        trusted: trust(None)?,
        nominal_hash_rate: super::miners::HASHES_PER_SECOND_OF_A_KIND as f32,
        return_after: Duration::ZERO,
    });
    let payout = PayoutSettings { fallback: Some(Payee::upstream(user)), ..PayoutSettings::default() };
    let store = directory.join("translator").join("translator.redb");
    Ok(options(ANY_PORT.into(), ANY_PORT.into(), store, settings(payout), source, AuthorityKey::generate()))
}

fn options(
    listen: String,
    dashboard: String,
    store: PathBuf,
    settings: Settings,
    source: SourceOptions,
    authority: AuthorityKey,
) -> PoolOptions {
    PoolOptions {
        settings,
        listen: ListenOptions {
            addresses: vec![listen],
            connections_max: 1024,
            noise_connections_max: 1024,
            backlog: LISTEN_BACKLOG,
            ..ListenOptions::default()
        },
        certificate: None,
        authority: Some(authority),
        source,
        store: StoreOptions {
            path: store,
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
            listen: vec![dashboard],
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
        hashing: Hashing::of_this_machine(),
    }
}

/// The finder gets a block, less a small fee, so that it is seen.
fn payout() -> PayoutSettings {
    PayoutSettings {
        fallback: None,
        pay_username_address: true,
        fee: Some(Cut { payee: payee(0xfe), basis_points: 100 }),
        donation: None,
        aliases: BTreeMap::new(),
    }
}

fn settings(payout: PayoutSettings) -> Settings {
    let difficulty = |value| Difficulty::new(value).expect("a positive constant");
    Settings {
        network: Network::Regtest,
        payout,
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

/// An address of regtest for which nobody has a key.
pub(super) fn payee(number: u8) -> Payee {
    let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([number; 20]));
    let address = Address::from_script(&script, bitcoin::Network::Regtest).expect("P2WPKH has an address");
    Payee { address: address.to_string().into(), script: script.as_bytes().into() }
}
