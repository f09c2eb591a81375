//! From the tree to the typed configuration, a function a section, and the rules that span several keys.

use super::address::payee;
use super::device_classes::{self, DIFFICULTIES};
use super::document::{Value, to_toml};
use super::profile::profile_kind;
use super::reader::{Reader, text_of};
use super::secrets::Secret;
use super::syntax::{Listen, address_range, listen, network, public_url, rpc_url, zmq_address};
use super::types::{
    Branding, Config, FreeTable, Logging, Mining, Node, NodeEndpoint, Profile, RateLimit, Retention, Server, Store,
    Stratum, Tuning, Vardiff,
};
use crate::certificate::{self, Certificate, Culprit};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use warppool_components::limits::{POOL_TAG_BYTES_MAX, WORKER_NAME_BYTES_MAX, WORKERS_MAX};
use warppool_components::settings::{Network, Payee};
use warppool_components::units::Difficulty;
use warppool_systems::sha256d::Backend;

/// Longest time in seconds that a range offers: a hundred years.
const SECONDS_MAX: i64 = 100 * 31_536_000;

/// Basis points of 99 percent: fee and donation leave at least a hundredth to the miner.
const CUTS_BASIS_POINTS_MAX: u32 = 9900;

/// Reads every section. Relative paths start at `directory`.
pub(super) fn read(reader: &mut Reader, directory: &Path) -> Config {
    let node = node(reader, directory);
    let config = Config {
        file: None,
        branding: branding(reader),
        logging: logging(reader),
        mining: mining(reader, node.network),
        node,
        server: server(reader),
        stratum: stratum(reader, directory),
        tuning: tuning(reader),
        profile: profile(reader),
        vardiff: vardiff(reader, directory),
        ratelimit: ratelimit(reader),
        retention: retention(reader),
        store: store(reader, directory),
        notifier: free_table(reader, "notifier"),
        upnp: free_table(reader, "upnp"),
        telemetry: free_table(reader, "telemetry"),
        update: free_table(reader, "update"),
    };
    check_payouts(reader, &config.mining);
    check_listeners(reader, &config);
    check_order(reader, &config);
    config
}

fn branding(reader: &mut Reader) -> Branding {
    let default = Branding::default();
    Branding {
        status_brand_name: reader.parsed("branding.status_brand_name", shown_name).unwrap_or(default.status_brand_name),
        server_location: reader.parsed("branding.server_location", shown_name).unwrap_or(default.server_location),
        fiat_currency: reader.parsed("branding.fiat_currency", currency).unwrap_or(default.fiat_currency),
    }
}

fn logging(reader: &mut Reader) -> Logging {
    let default = Logging::default();
    Logging {
        debug: reader.boolean("logging.debug").unwrap_or(default.debug),
        net_debug: reader.boolean("logging.net_debug").unwrap_or(default.net_debug),
        json: reader.boolean("logging.json").unwrap_or(default.json),
    }
}

fn mining(reader: &mut Reader, network: Network) -> Mining {
    let default = Mining::default();
    Mining {
        payout_address: address(reader, "mining.payout_address", network),
        pool_fee_basis_points: percent(reader, "mining.pool_fee_percent"),
        pool_fee_address: address(reader, "mining.pool_fee_address", network),
        operator_donation_basis_points: percent(reader, "mining.operator_donation_percent"),
        operator_donation_address: address(reader, "mining.operator_donation_address", network),
        pooltag_prefix: reader.parsed("mining.pooltag_prefix", pool_tag).unwrap_or(default.pooltag_prefix),
        pay_username_address: reader.boolean("mining.pay_username_address").unwrap_or(default.pay_username_address),
        aliases: aliases(reader, network),
        electricity: free_table(reader, "mining.electricity"),
    }
}

fn address(reader: &mut Reader, key: &str, network: Network) -> Option<Payee> {
    reader.parsed_or_empty(key, |text| payee(text, network)).flatten()
}

/// A percentage in hundredths of a percent, so that amounts are computed without rounding surprises.
fn percent(reader: &mut Reader, key: &str) -> u32 {
    let Some(percent) = reader.number(key, 0.0..=99.0) else { return 0 };
    let basis_points = (percent * 100.0).round();
    if (percent * 100.0 - basis_points).abs() > 1e-6 {
        reader.complain(key, "must have at most two decimals");
    }
    // The range above ends at 9900.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let basis_points = basis_points as u32;
    basis_points
}

fn aliases(reader: &mut Reader, network: Network) -> BTreeMap<String, String> {
    reader.entries("mining.aliases", |name, value| {
        if !is_alias(name) {
            return Err(format!("an alias is 1 to {WORKER_NAME_BYTES_MAX} letters, digits or hyphens"));
        }
        let text = text_of(value)?;
        payee(text, network).map(|payee| payee.address.to_string())
    })
}

/// The username is cut at the first `.` or `_`, so an alias has none.
fn is_alias(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=WORKER_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_letter)
}

/// Empty is allowed: a coinbase without a tag.
fn pool_tag(text: &str) -> Result<String, String> {
    if text.len() > POOL_TAG_BYTES_MAX {
        return Err(format!("must be at most {POOL_TAG_BYTES_MAX} bytes, not {}", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn shown_name(text: &str) -> Result<String, String> {
    let is_shown = (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if is_shown { Ok(text.to_owned()) } else { Err("must be 1 to 64 characters".to_owned()) }
}

fn currency(text: &str) -> Result<String, String> {
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code { Ok(text.to_owned()) } else { Err("must be three capital letters, such as EUR or USD".to_owned()) }
}

fn node(reader: &mut Reader, directory: &Path) -> Node {
    let default = Node::default();
    let network = reader.parsed("node.network", network).unwrap_or(default.network);
    let main = endpoint(reader, "node.", directory).unwrap_or_default();
    let mut extra = Vec::new();
    for mut part in reader.tables("node.extra") {
        match endpoint(&mut part, "", directory) {
            Some(endpoint) => extra.push(endpoint),
            None if part.is_given("rpc_url") => {}
            None => part.complain("rpc_url", "is missing: a further node needs its own"),
        }
        reader.finish_part("node.extra", part);
    }
    Node {
        network,
        main,
        extra,
        template_refresh: reader.seconds("node.template_refresh_secs", 1..=3600).unwrap_or(default.template_refresh),
        poll_interval: reader.milliseconds("node.poll_interval_ms", 10..=60_000).unwrap_or(default.poll_interval),
        empty_job_on_new_tip: reader.boolean("node.empty_job_on_new_tip").unwrap_or(default.empty_job_on_new_tip),
        node_loss_disconnect: reader
            .seconds("node.node_loss_disconnect_secs", 1..=86_400)
            .unwrap_or(default.node_loss_disconnect),
    }
}

/// A node's keys under `prefix`; `None` without a usable address, which only the main node may lack.
fn endpoint(reader: &mut Reader, prefix: &str, directory: &Path) -> Option<NodeEndpoint> {
    let rpc_url = reader.parsed(&format!("{prefix}rpc_url"), rpc_url);
    let default = if prefix.is_empty() { None } else { Some(NodeEndpoint::default().rpc_url) };
    let rpc_cookie_path = reader.path(&format!("{prefix}rpc_cookie_path"), directory);
    let zmq_hashblock_addr = reader.parsed_or_empty(&format!("{prefix}zmq_hashblock_addr"), zmq_address).flatten();
    let zmq_rawblock_addr = reader.parsed_or_empty(&format!("{prefix}zmq_rawblock_addr"), zmq_address).flatten();
    Some(NodeEndpoint { rpc_url: rpc_url.or(default)?, rpc_cookie_path, zmq_hashblock_addr, zmq_rawblock_addr })
}

fn server(reader: &mut Reader) -> Server {
    let default = Server::default();
    Server {
        pool_listen: reader.parsed("server.pool_listen", listen).unwrap_or(default.pool_listen),
        status_listen: reader.parsed("server.status_listen", listen).unwrap_or(default.status_listen),
        status_tls_listen: reader.parsed_or_empty("server.status_tls_listen", listen).flatten(),
        status_public_url: reader.parsed_or_empty("server.status_public_url", public_url).flatten(),
        trust_proxy_headers: reader.boolean("server.trust_proxy_headers").unwrap_or(default.trust_proxy_headers),
        cookie_secure: reader.boolean("server.cookie_secure").unwrap_or(default.cookie_secure),
        public_reads: reader.boolean("server.public_reads").unwrap_or(default.public_reads),
        worker_metrics: reader.boolean("server.worker_metrics").unwrap_or(default.worker_metrics),
    }
}

fn stratum(reader: &mut Reader, directory: &Path) -> Stratum {
    let default = Stratum::default();
    Stratum {
        stratum_tls_listen: reader.parsed_or_empty("stratum.stratum_tls_listen", listen).flatten(),
        tls_cert_path: reader.path("stratum.tls_cert_path", directory),
        tls_key_path: reader.path("stratum.tls_key_path", directory),
        stratum_password: reader.text("stratum.stratum_password").map(Secret::from).unwrap_or_default(),
        safe_mode: reader.boolean("stratum.safe_mode").unwrap_or(default.safe_mode),
        sv2_listen: reader.parsed_or_empty("stratum.sv2_listen", listen).flatten(),
        sv2_first_generation_listen: reader.parsed_or_empty("stratum.sv2_first_generation_listen", listen).flatten(),
        sv2_max_connections: reader
            .integer("stratum.sv2_max_connections", 1..=1_000_000)
            .unwrap_or(default.sv2_max_connections),
        proxy_protocol_from: reader
            .list("stratum.proxy_protocol_from", |value| address_range(text_of(value)?))
            .unwrap_or_default(),
    }
}

fn tuning(reader: &mut Reader) -> Tuning {
    let default = Tuning::default();
    let workers = 1..=i64::try_from(WORKERS_MAX).unwrap_or(i64::MAX);
    Tuning {
        max_saved_workers_per_user: reader
            .integer("tuning.max_saved_workers_per_user", workers.clone())
            .unwrap_or(default.max_saved_workers_per_user),
        max_saved_workers_pool_total: reader
            .integer("tuning.max_saved_workers_pool_total", workers)
            .unwrap_or(default.max_saved_workers_pool_total),
        max_connections: reader.integer("tuning.max_connections", 1..=1_000_000),
        engine_core: reader.integer("tuning.engine_core", 0..=1023),
        rayon_threads: reader.integer("tuning.rayon_threads", 1..=1024),
        rayon_cores: reader.list("tuning.rayon_cores", core).unwrap_or_default(),
        sha256d_backend: reader.parsed("tuning.sha256d_backend", sha256d_backend).flatten(),
    }
}

/// A way to hash that this machine has; `None` leaves the choice to measuring.
fn sha256d_backend(text: &str) -> Result<Option<Backend>, String> {
    if text == "auto" {
        return Ok(None);
    }
    match Backend::by_name(text).filter(|backend| backend.is_available()) {
        Some(backend) => Ok(Some(backend)),
        None => {
            let names: Vec<&str> = Backend::available().iter().map(|backend| backend.name()).collect();
            Err(format!("must be auto or what this processor can: {}", names.join(", ")))
        }
    }
}

fn core(value: &Value) -> Result<usize, String> {
    match value {
        Value::Integer(number @ 0..=1023) => usize::try_from(*number).map_err(|error| error.to_string()),
        other => Err(format!("must hold core numbers, 0 to 1023, not {other}")),
    }
}

fn profile(reader: &mut Reader) -> Profile {
    Profile {
        kind: reader.parsed("profile.kind", profile_kind),
        expected_miner_count: reader
            .integer("profile.expected_miner_count", 0..=1_000_000)
            .unwrap_or(Profile::default().expected_miner_count),
    }
}

fn vardiff(reader: &mut Reader, directory: &Path) -> Vardiff {
    let default = Vardiff::default();
    let device_classes_path = reader.path("vardiff.device_classes_path", directory);
    let device_classes = match &device_classes_path {
        Some(path) => device_classes::load(path, &mut reader.problems),
        None => default.device_classes,
    };
    Vardiff {
        enabled: reader.boolean("vardiff.enabled").unwrap_or(default.enabled),
        target_seconds_per_share: reader
            .number("vardiff.target_seconds_per_share", 0.1..=600.0)
            .unwrap_or(default.target_seconds_per_share),
        min_diff: difficulty(reader, "vardiff.min_diff").unwrap_or(default.min_diff),
        max_diff: difficulty(reader, "vardiff.max_diff").unwrap_or(default.max_diff),
        hysteresis: reader.number("vardiff.hysteresis", 0.0..=0.95).unwrap_or(default.hysteresis),
        max_step: reader.number("vardiff.max_step", 1.1..=1024.0).unwrap_or(default.max_step),
        initial_diff: difficulty(reader, "vardiff.initial_diff").unwrap_or(default.initial_diff),
        device_classes_path,
        device_classes,
    }
}

fn difficulty(reader: &mut Reader, key: &str) -> Option<Difficulty> {
    reader.number(key, DIFFICULTIES).and_then(|number| Difficulty::new(number).ok())
}

fn ratelimit(reader: &mut Reader) -> RateLimit {
    let default = RateLimit::default();
    let rate = 0.001..=1_000_000.0;
    let burst = 1..=1_000_000;
    RateLimit {
        enabled: reader.boolean("ratelimit.enabled").unwrap_or(default.enabled),
        connects_per_sec: reader.number("ratelimit.connects_per_sec", rate.clone()).unwrap_or(default.connects_per_sec),
        connect_burst: reader.integer("ratelimit.connect_burst", burst.clone()).unwrap_or(default.connect_burst),
        auths_per_sec: reader.number("ratelimit.auths_per_sec", rate).unwrap_or(default.auths_per_sec),
        auth_burst: reader.integer("ratelimit.auth_burst", burst).unwrap_or(default.auth_burst),
        max_connections_per_ip: reader
            .integer("ratelimit.max_connections_per_ip", 0..=1_000_000)
            .unwrap_or(default.max_connections_per_ip),
        idle_evict: reader.seconds("ratelimit.idle_evict_secs", 1..=86_400).unwrap_or(default.idle_evict),
    }
}

fn retention(reader: &mut Reader) -> Retention {
    let default = Retention::default();
    let raw = 60..=31_536_000;
    Retention {
        shares_raw: reader.seconds("retention.shares_raw_secs", raw.clone()),
        shares_5min: kept(reader, "retention.shares_5min_secs", 3600).unwrap_or(default.shares_5min),
        shares_daily: kept(reader, "retention.shares_daily_secs", 86_400).unwrap_or(default.shares_daily),
        miner_telemetry_raw: reader
            .seconds("retention.miner_telemetry_raw_secs", raw)
            .unwrap_or(default.miner_telemetry_raw),
        miner_telemetry_5min: kept(reader, "retention.miner_telemetry_5min_secs", 3600)
            .unwrap_or(default.miner_telemetry_5min),
        audit_log: kept(reader, "retention.audit_log_secs", 86_400).unwrap_or(default.audit_log),
    }
}

/// A time to keep records: 0 for ever, or at least `least` seconds, since less would delete what was just summed up.
fn kept(reader: &mut Reader, key: &str, least: u64) -> Option<Duration> {
    let kept = reader.seconds(key, 0..=SECONDS_MAX)?;
    if !kept.is_zero() && kept < Duration::from_secs(least) {
        reader.complain(key, format!("must be 0 (for ever) or {least} or more"));
    }
    Some(kept)
}

fn store(reader: &mut Reader, directory: &Path) -> Store {
    Store {
        path: reader.path("store.path", directory),
        flush_interval: reader
            .milliseconds("store.flush_interval_ms", 1..=10_000)
            .unwrap_or(Store::default().flush_interval),
    }
}

fn free_table(reader: &mut Reader, key: &str) -> FreeTable {
    reader.table(key).map(|table| FreeTable(to_toml(&table))).unwrap_or_default()
}

/// Money must have somewhere to go.
fn check_payouts(reader: &mut Reader, mining: &Mining) {
    if mining.pool_fee_basis_points + mining.operator_donation_basis_points > CUTS_BASIS_POINTS_MAX {
        let key = "mining.operator_donation_percent";
        reader.complain(key, "together with mining.pool_fee_percent it must be at most 99");
    }
    let cuts = [
        ("mining.pool_fee_percent", "mining.pool_fee_address", mining.pool_fee_basis_points),
        ("mining.operator_donation_percent", "mining.operator_donation_address", mining.operator_donation_basis_points),
    ];
    for (percent_key, address_key, basis_points) in cuts {
        let has_address = match address_key {
            "mining.pool_fee_address" => mining.pool_fee_address.is_some(),
            _ => mining.operator_donation_address.is_some(),
        };
        if basis_points > 0 && !has_address && !reader.has_problem(address_key) {
            reader.complain(address_key, format!("is required, because {percent_key} is above 0"));
        }
    }
    let payout = "mining.payout_address";
    if !mining.pay_username_address && mining.payout_address.is_none() && !reader.has_problem(payout) {
        reader.complain(payout, "is required, because mining.pay_username_address is false");
    }
}

/// Listeners must not take each other's port, and TLS needs its files.
fn check_listeners(reader: &mut Reader, config: &Config) {
    let listeners: [(&str, Option<Listen>); 6] = [
        ("server.pool_listen", Some(config.server.pool_listen)),
        ("server.status_listen", Some(config.server.status_listen)),
        ("server.status_tls_listen", config.server.status_tls_listen),
        ("stratum.stratum_tls_listen", config.stratum.stratum_tls_listen),
        ("stratum.sv2_listen", config.stratum.sv2_listen),
        ("stratum.sv2_first_generation_listen", config.stratum.sv2_first_generation_listen),
    ];
    for (index, (key, listen)) in listeners.iter().enumerate() {
        let Some(listen) = listen else { continue };
        let taken =
            listeners[..index].iter().find(|(_, other)| other.is_some_and(|other| other.conflicts_with(*listen)));
        if let Some((other, _)) = taken {
            reader.complain(key, format!("has the same address as {other}: each listener needs its own port"));
        }
    }
    let files = [
        ("stratum.tls_cert_path", config.stratum.tls_cert_path.is_some()),
        ("stratum.tls_key_path", config.stratum.tls_key_path.is_some()),
    ];
    let uses_tls = config.stratum.stratum_tls_listen.is_some() || config.server.status_tls_listen.is_some();
    let is_any_given = files.iter().any(|(_, is_given)| *is_given);
    for (key, is_given) in files {
        if uses_tls && !is_given && !reader.has_problem(key) {
            reader.complain(key, "is required, because a TLS listener is set");
        } else if is_any_given && !is_given && !reader.has_problem(key) {
            reader.complain(key, "is required: certificate and key belong together");
        }
    }
}

/// The certificate, when there is one; what is wrong with its files is noted of their keys.
pub(super) fn certificate(reader: &mut Reader, config: &Config) -> Option<Certificate> {
    let loaded = certificate::load(&config.stratum.certificate_files()?);
    for fault in loaded.as_ref().err().into_iter().flatten() {
        let key = match fault.culprit {
            Culprit::Certificate => "stratum.tls_cert_path",
            Culprit::Key => "stratum.tls_key_path",
        };
        reader.complain(key, fault.message.clone());
    }
    loaded.ok()
}

/// Numbers that only make sense in order.
fn check_order(reader: &mut Reader, config: &Config) {
    let vardiff = &config.vardiff;
    if vardiff.min_diff > vardiff.max_diff {
        reader.complain("vardiff.min_diff", format!("must not be above vardiff.max_diff, {}", vardiff.max_diff));
    } else if vardiff.initial_diff < vardiff.min_diff || vardiff.initial_diff > vardiff.max_diff {
        let (min, max) = (vardiff.min_diff, vardiff.max_diff);
        reader
            .complain("vardiff.initial_diff", format!("must be vardiff.min_diff to vardiff.max_diff, {min} to {max}"));
    }
    if config.tuning.max_saved_workers_per_user > config.tuning.max_saved_workers_pool_total {
        let total = config.tuning.max_saved_workers_pool_total;
        let message = format!("must not be above tuning.max_saved_workers_pool_total, {total}");
        reader.complain("tuning.max_saved_workers_per_user", message);
    }
}
