//! `warppool run`: the pool of a configuration, until it is told to stop.

use crate::authority::{self, Origin};
use crate::certificate::{Certificate, Files, Watch};
use crate::cli::arguments::Run;
use crate::cli::exit_code;
use crate::config::profile::Caps;
use crate::config::{Config, Listen, Loaded, NodeEndpoint, Secrets, Sources, changes, load};
use crate::control::Control;
use crate::logging::{self, LogOptions};
use crate::runtime::{Pool, PoolOptions, Reload, Signals, SourceOptions, Stop};
use warppool_admin::AdminOptions;
use warppool_io::node::{Endpoint, LevelHasher, NodeOptions, Secret};
use warppool_io::store::StoreOptions;
use warppool_net::sockets::ListenOptions;
use warppool_net::transport::noise::{AuthorityKey, AuthorityPublicKey};
use warppool_systems::hash::Hashing;
use warppool_systems::sha256d::{Backend, Calibration};

/// Memory for pages of the store's file.
const STORE_CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Connections that may wait to be accepted.
pub(crate) const LISTEN_BACKLOG: u32 = 4096;

/// Runs the pool; the result is the exit status.
pub fn run(arguments: &Run) -> u8 {
    let sources = arguments.sources();
    let loaded = match load(&sources) {
        Ok(loaded) => loaded,
        Err(problems) => {
            problems.0.iter().for_each(|problem| report(&problem.to_string()));
            return exit_code::BAD_CONFIGURATION;
        }
    };
    let logging = &loaded.config.logging;
    let _log = logging::start(LogOptions { filter: if logging.debug { "debug" } else { "info" }, json: logging.json });
    loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    match serve(&loaded, sources) {
        Ok(()) => exit_code::DONE,
        Err(error) => {
            tracing::error!("{error}");
            exit_code::FAILED
        }
    }
}

/// Pins the threads for large batches to `cores` in turn.
fn pin_to(cores: Vec<usize>) -> impl Fn(usize) {
    move |thread| {
        let Some(id) = thread.checked_rem(cores.len()).map(|place| cores[place]) else { return };
        if !core_affinity::set_for_current(core_affinity::CoreId { id }) {
            tracing::warn!("hash-{thread} cannot be pinned to core {id}: this machine does not allow it");
        }
    }
}

/// Before there is a log.
#[expect(clippy::print_stderr, reason = "the operator reads it")]
pub(crate) fn report(text: &str) {
    eprintln!("{text}");
}

fn serve(loaded: &Loaded, sources: Sources) -> Result<(), Box<dyn std::error::Error>> {
    let config = &loaded.config;
    let caps = config.caps();
    let hashing = start_hashing(config, &caps)?;
    let (authority, origin) = authority::load_or_make(config, &loaded.secrets)?;
    if let Origin::Made(path) = &origin {
        tracing::info!("a key for Stratum V2 was made, {}: keep a copy of it in a safe place", path.display());
    }
    let public_key = authority.public();
    let pool = Pool::start(PoolOptions { authority: Some(authority), ..options(loaded, &caps, hashing) })?;
    // Before anybody is told that the pool is there, so that a signal from then on is heeded.
    let (stop, reloading, replacing) = (pool.stop_handle(), pool.stop_handle(), pool.stop_handle());
    let watch = Watch::start(followed(loaded), move |certificate| replacing.replace_certificate(certificate))?;
    let mut current = config.clone();
    let signals = Signals::listen(move || stop.ask(), move || reload(&mut current, &sources, &reloading, &watch))?;
    let control = Control::listen(&crate::control::socket_path(&config.store_path()), pool.stop_handle());
    tell_where(&pool, public_key, loaded);
    let outcome = pool.run();
    drop(signals);
    drop(control);
    Ok(outcome?)
}

/// Starts the threads for large batches and decides how shares are hashed.
pub(crate) fn start_hashing(config: &Config, caps: &Caps) -> Result<Hashing, rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(caps.rayon_threads)
        .thread_name(|n| format!("hash-{n}"))
        .start_handler(pin_to(config.tuning.rayon_cores.clone()))
        .build_global()?;
    Ok(hashing(config.tuning.sha256d_backend))
}

/// Says where miners connect and where the dashboard is.
pub(crate) fn tell_where(pool: &Pool, public_key: AuthorityPublicKey, loaded: &Loaded) {
    for address in pool.miner_addresses() {
        tracing::info!("miners connect to stratum+tcp://{address}");
    }
    for address in pool.miner_tls_addresses() {
        tracing::info!("miners connect over TLS to stratum+ssl://{address}");
    }
    for address in pool.miner_sv2_addresses().into_iter().chain(pool.miner_addresses()) {
        tracing::info!("miners connect over Stratum V2 to stratum2+tcp://{address}/{public_key}");
    }
    for address in pool.miner_first_generation_addresses() {
        tracing::info!(
            "miners of the first generation of Stratum V2 connect to {address}; `warppool keys sv2` shows its keys"
        );
    }
    if let Some(certificate) = &loaded.certificate {
        tracing::info!(
            "TLS is served on every port for miners; the certificate is valid until {}",
            certificate.last_day()
        );
    }
    for address in pool.dashboard_addresses() {
        tracing::info!("the dashboard is at http://{address}/");
    }
}

/// The operator's choice, or what is the fastest. Measured now rather than when the first share waits for it.
fn hashing(backend: Option<Backend>) -> Hashing {
    // A configuration names no backend that this machine lacks.
    if let Some(calibration) = backend.and_then(Calibration::forced) {
        tracing::info!("hashing, as configured: {}", calibration.describe());
        return Hashing::from(&calibration);
    }
    tracing::info!("hashing: {}", Calibration::of_this_machine().describe());
    Hashing::of_this_machine()
}

/// Reads the configuration again. One with a mistake changes nothing.
fn reload(current: &mut Config, sources: &Sources, stop: &Stop, watch: &Watch) {
    match load(sources) {
        Ok(loaded) => {
            if loaded.config.node.network != current.node.network {
                // Addresses of one network must not meet work of another.
                tracing::error!("the configuration was not changed, because node.network needs a restart");
                return;
            }
            let changed = changes(current, &loaded.config);
            tracing::info!("configuration read again; changed now: {}", list(&changed.live));
            if !changed.needs_restart.is_empty() {
                tracing::warn!("these keys need a restart: {}", list(&changed.needs_restart));
            }
            watch.follow(followed(&loaded));
            stop.reload(Reload {
                settings: loaded.config.settings(),
                authority: reloaded_authority(&loaded),
                noise_connections_max: loaded.config.stratum.sv2_max_connections,
                certificate: loaded.certificate,
            });
            *current = loaded.config;
        }
        Err(problems) => {
            tracing::error!("the configuration was not changed, because the file has mistakes");
            problems.0.iter().for_each(|problem| tracing::error!("{problem}"));
        }
    }
}

/// The key of Stratum V2, read again. One that cannot be used changes nothing.
fn reloaded_authority(loaded: &Loaded) -> Option<AuthorityKey> {
    let outcome = authority::load_or_make(&loaded.config, &loaded.secrets);
    outcome.map(|(key, _)| key).inspect_err(|error| tracing::error!("{error}; the present key stays")).ok()
}

/// The certificate and where it came from.
fn followed(loaded: &Loaded) -> Option<(Files, Certificate)> {
    loaded.config.stratum.certificate_files().zip(loaded.certificate.clone())
}

fn list(keys: &[&str]) -> String {
    if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
}

/// The parts of a configured pool.
pub(crate) fn options(loaded: &Loaded, caps: &Caps, hashing: Hashing) -> PoolOptions {
    let Loaded { config, secrets, certificate, .. } = loaded;
    PoolOptions {
        settings: config.settings_with(caps),
        listen: ListenOptions {
            addresses: vec![config.server.pool_listen.to_string()],
            tls_addresses: config.stratum.stratum_tls_listen.iter().map(Listen::to_string).collect(),
            noise_addresses: config.stratum.sv2_listen.iter().map(Listen::to_string).collect(),
            first_generation_addresses: config
                .stratum
                .sv2_first_generation_listen
                .iter()
                .map(Listen::to_string)
                .collect(),
            noise_connections_max: config.stratum.sv2_max_connections,
            proxies: config.stratum.proxy_protocol_from.clone(),
            connections_max: caps.connections_max,
            backlog: LISTEN_BACKLOG,
        },
        certificate: certificate.clone(),
        authority: None,
        source: SourceOptions::Node(NodeOptions {
            network: config.node.network,
            nodes: config.node.endpoints().map(|node| endpoint(node, secrets)).collect(),
            template_refresh: config.node.template_refresh,
            poll_interval: config.node.poll_interval,
            empty_job_on_new_tip: config.node.empty_job_on_new_tip,
            level_hasher: LevelHasher::new(move |nodes| hashing.hasher.hash_level(nodes)),
        }),
        store: StoreOptions {
            path: config.store_path(),
            flush_interval: config.store.flush_interval,
            cache_bytes: STORE_CACHE_BYTES,
            shares_raw_kept: caps.raw_shares_kept,
            // "For ever" is longer than anybody counts.
            shares_5min_kept: config.five_minute_sums_kept().unwrap_or(std::time::Duration::from_secs(u64::MAX / 4000)),
            shares_daily_kept: config.daily_sums_kept(),
            saved_workers_per_user_max: config.tuning.max_saved_workers_per_user,
            saved_workers_total_max: config.tuning.max_saved_workers_pool_total,
            workers_summed_at_once: warppool_components::limits::WORKERS_SUMMED_AT_ONCE,
        },
        admin: admin(config),
        profile: config.profile_kind().name().to_owned(),
        engine_core: config.tuning.engine_core,
        hashing,
    }
}

fn endpoint(node: &NodeEndpoint, secrets: &Secrets) -> Endpoint {
    Endpoint {
        rpc_url: node.rpc_url.clone(),
        cookie_path: node.rpc_cookie_path.clone(),
        user: secrets.rpc_user.as_ref().map(|user| user.reveal().to_owned()),
        password: secrets.rpc_pass.as_ref().map(|password| Secret::new(password.reveal().to_owned())),
        zmq_hashblock: node.zmq_hashblock_addr.clone(),
        zmq_rawblock: node.zmq_rawblock_addr.clone(),
    }
}

fn admin(config: &Config) -> AdminOptions {
    AdminOptions {
        listen: vec![config.server.status_listen.to_string()],
        network: config.node.network,
        brand_name: config.branding.status_brand_name.clone(),
        server_location: config.branding.server_location.clone(),
        fiat_currency: config.branding.fiat_currency.clone(),
        public_url: config.server.status_public_url.clone().unwrap_or_default(),
        public_reads: config.server.public_reads,
        version: env!("CARGO_PKG_VERSION"),
        worker_metrics: config.server.worker_metrics,
        trust_proxy_headers: config.server.trust_proxy_headers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_shown_the_cookie_and_the_operators_user_and_password_which_nobody_else_sees() {
        let node = NodeEndpoint { rpc_cookie_path: Some("cookie".into()), ..Config::default().node.main };
        let secrets = Secrets {
            rpc_user: Some("me".to_owned().into()),
            rpc_pass: Some("hush".to_owned().into()),
            ..Secrets::default()
        };
        let endpoint = endpoint(&node, &secrets);
        assert_eq!(endpoint.cookie_path.as_deref(), Some("cookie".as_ref()));
        assert_eq!(endpoint.user.as_deref(), Some("me"));
        assert_eq!(endpoint.password.as_ref().map(Secret::expose), Some("hush"));
        assert!(!format!("{endpoint:?}").contains("hush"));
    }
}
