//! The catalogue of keys: default, meaning, and whether a change applies while the pool runs.
//!
//! The commented default file, the reload and the check of the book are made from it. Reading does not use it; a
//! test holds the two together.

use super::types::Config;

/// Whether a new value is taken over by a running pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reloading {
    /// At the next reload.
    Live,
    /// At the next start only.
    Restart,
}

/// What happens when nobody gives a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fallback {
    /// This value, in TOML.
    Value(&'static str),
    /// It depends on the machine, or there is none: an example, in TOML.
    Example(&'static str),
}

/// A key of `config.toml`.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Section and name.
    pub name: &'static str,
    /// Without a value.
    pub fallback: Fallback,
    /// Whether a change applies while the pool runs.
    pub reloading: Reloading,
    /// What it means, in one or more sentences.
    pub meaning: &'static str,
    /// Whether two configurations agree in it.
    pub(super) same: fn(&Config, &Config) -> bool,
}

impl Key {
    /// Whether its value is a text, so that the quotes may be left out in the environment and in flags.
    pub(super) fn is_text(&self) -> bool {
        let (Fallback::Value(literal) | Fallback::Example(literal)) = self.fallback;
        literal.starts_with('"')
    }
}

/// The key called `name`.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Keys that are read and checked, and change nothing yet. Whoever sets one is told so.
pub const NOT_IN_EFFECT: [&str; 3] = ["server.status_tls_listen", "server.cookie_secure", "stratum.safe_mode"];

/// Sections in the order of the file, with what they are about.
pub const SECTIONS: [(&str, &str); 18] = [
    ("branding", "Names shown to people."),
    ("logging", "What is logged. The environment variable RUST_LOG wins."),
    ("mining", "Who is paid by a block. Changes apply from the next job on."),
    ("mining.aliases", "Short names that miners may give instead of an address: name = \"address\"."),
    ("mining.electricity", "Tariffs, for the cost of a share; not used yet."),
    ("node", "Bitcoin Core, 27 or newer. User and password belong in secrets.toml."),
    ("server", "Listeners. \":PORT\" means every address of the machine, IPv6 too."),
    ("stratum", "Further ways for miners to connect; safe_mode is not in effect yet."),
    ("tuning", "Bounds and placement on the machine."),
    ("profile", "The class of machine, which sets connection cap, threads, retention and snapshot rate."),
    ("vardiff", "How difficulty follows the hash rate of a miner."),
    ("ratelimit", "Limits of each network address (IPv6: each /64), private ones too."),
    ("retention", "How long records are kept, in seconds."),
    ("store", "The database."),
    ("notifier", "Notifiers; kept, not used yet."),
    ("upnp", "Port forwarding; kept, not used yet."),
    ("telemetry", "Readings of miners; kept, not used yet."),
    ("update", "Updates; kept, not used yet."),
];

macro_rules! keys {
    ($($name:literal, $kind:ident($text:literal), $reloading:ident, $($field:ident).+, $meaning:literal;)*) => {
        &[$(Key {
            name: $name,
            fallback: Fallback::$kind($text),
            reloading: Reloading::$reloading,
            meaning: $meaning,
            same: |left, right| left.$($field).+ == right.$($field).+,
        }),*]
    };
}

/// All keys that stand alone, in the order of the file. Free tables have no entry.
#[rustfmt::skip]
pub static KEYS: &[Key] = keys! {
    "branding.status_brand_name", Value("\"WarpPool\""), Restart, branding.status_brand_name, "Name of the pool.";
    "branding.server_location", Value("\"self-hosted\""), Restart, branding.server_location, "Where the pool is.";
    "branding.fiat_currency", Value("\"EUR\""), Restart, branding.fiat_currency,
        "Currency of prices, three capital letters (ISO 4217).";

    "logging.debug", Value("false"), Restart, logging.debug, "Log more detail.";
    "logging.net_debug", Value("false"), Restart, logging.net_debug, "Log each line from and to miners.";
    "logging.json", Value("true"), Restart, logging.json, "One JSON object a line instead of plain text.";

    "mining.payout_address", Example("\"bc1q...\""), Live, mining.payout_address,
        "Paid when a username holds no valid address. Without it such miners are refused. Required when pay_username_address is false.";
    "mining.pool_fee_percent", Value("0.0"), Live, mining.pool_fee_basis_points,
        "The pool's part of a block, with at most two decimals. Together with the donation at most 99.";
    "mining.pool_fee_address", Value("\"\""), Live, mining.pool_fee_address, "Who gets the fee; required when it is above 0.";
    "mining.operator_donation_address", Value("\"\""), Live, mining.operator_donation_address,
        "Who gets the donation; required when it is above 0.";
    "mining.operator_donation_percent", Value("0.0"), Live, mining.operator_donation_basis_points,
        "The operator's part of a block, with at most two decimals.";
    "mining.pooltag_prefix", Value("\"warppool\""), Live, mining.pooltag_prefix,
        "Text in the coinbase, at most 64 bytes; it stands there between slashes.";
    "mining.pay_username_address", Value("true"), Live, mining.pay_username_address,
        "Pay a block to the address in the username of the miner that found it. When false, payout_address gets it.";

    "node.network", Value("\"mainnet\""), Restart, node.network,
        "mainnet, testnet4, signet or regtest. Every node and address must be of this network.";
    "node.rpc_url", Value("\"http://127.0.0.1:8332\""), Restart, node.main.rpc_url, "Where the node answers RPC: http://HOST:PORT.";
    "node.rpc_cookie_path", Example("\"/home/bitcoin/.bitcoin/.cookie\""), Restart, node.main.rpc_cookie_path,
        "The node's cookie file; it goes before rpc_user and rpc_pass of secrets.toml.";
    "node.zmq_hashblock_addr", Value("\"\""), Restart, node.main.zmq_hashblock_addr,
        "Where the node publishes new tips (zmqpubhashblock), such as tcp://127.0.0.1:28332. Empty: polling only.";
    "node.zmq_rawblock_addr", Value("\"\""), Restart, node.main.zmq_rawblock_addr,
        "Where the node publishes whole blocks (zmqpubrawblock). Empty: not used.";
    "node.template_refresh_secs", Value("30"), Restart, node.template_refresh,
        "Longest time between two templates of one tip, 1 to 3600.";
    "node.poll_interval_ms", Value("1000"), Restart, node.poll_interval,
        "Time between two looks at the tip, which also finds a ZMQ that died, 10 to 60000.";
    "node.empty_job_on_new_tip", Value("true"), Restart, node.empty_job_on_new_tip,
        "Send a job without transactions at once when a new tip is seen, before the template is there.";
    "node.node_loss_disconnect_secs", Value("120"), Restart, node.node_loss_disconnect,
        "When no node answers for so long, close miners so that their own fail-over works, 1 to 86400.";

    "server.pool_listen", Value("\":3333\""), Restart, server.pool_listen,
        "The one port for miners: Stratum V1 in plain text and, with a certificate, over TLS; Stratum V2; a browser is sent to the dashboard.";
    "server.status_listen", Value("\":18334\""), Restart, server.status_listen, "Dashboard, API and metrics.";
    "server.status_tls_listen", Value("\"\""), Restart, server.status_tls_listen, "The same over TLS. Empty: off.";
    "server.status_public_url", Value("\"\""), Restart, server.status_public_url,
        "How people reach the dashboard from outside, such as https://pool.example.com.";
    "server.trust_proxy_headers", Value("false"), Restart, server.trust_proxy_headers,
        "Believe X-Forwarded-For. Only behind a proxy of your own.";
    "server.cookie_secure", Value("false"), Restart, server.cookie_secure, "Cookies for HTTPS only.";
    "server.public_reads", Value("true"), Restart, server.public_reads,
        "Show figures to everybody. When false only health, /metrics and the dashboard's own files are answered, because there is no login yet.";
    "server.worker_metrics", Value("false"), Restart, server.worker_metrics,
        "Metrics of single workers at /metrics/workers, of the first 1000 by hash rate.";

    "stratum.stratum_tls_listen", Value("\"\""), Restart, stratum.stratum_tls_listen,
        "A port for TLS alone, beside server.pool_listen, which serves TLS too. Empty: off. Needs tls_cert_path and tls_key_path.";
    "stratum.tls_cert_path", Value("\"\""), Live, stratum.tls_cert_path, 
        "Certificate chain, PEM, leaf first. Followed while the pool runs: a new file is taken over within seconds.";
    "stratum.tls_key_path", Value("\"\""), Live, stratum.tls_key_path, 
        "Its private key, PEM, not encrypted, readable by its owner and at most its group.";
    "stratum.stratum_password", Value("\"\""), Restart, stratum.stratum_password,
        "Password that every miner must give. Empty: none.";
    "stratum.safe_mode", Value("true"), Restart, stratum.safe_mode, "Refuse unusual version bits and ntime drift.";
    "stratum.sv2_listen", Value("\"\""), Restart, stratum.sv2_listen,
        "A port for Stratum V2 alone, beside server.pool_listen, which serves it too. Empty: off.";
    "stratum.sv2_first_generation_listen", Value("\"\""), Restart, stratum.sv2_first_generation_listen,
        "A port for the first generation of Stratum V2's encryption (Noise_NX_25519_ChaChaPoly_BLAKE2s). Empty: off. Only for peers that know no other.";
    "stratum.sv2_max_connections", Value("1024"), Live, stratum.sv2_max_connections,
        "Most connections of Stratum V2, 1 to 1000000; they also count as connections of miners.";
    "stratum.proxy_protocol_from", Value("[]"), Restart, stratum.proxy_protocol_from,
        "Addresses or ranges whose connections may begin with a PROXY v1 or v2 header, which is then believed, such as [\"10.0.0.0/8\"].";

    "tuning.max_saved_workers_per_user", Value("64"), Live, tuning.max_saved_workers_per_user,
        "Workers remembered for one address, 1 to 131072; the one not seen for longest goes first.";
    "tuning.max_saved_workers_pool_total", Value("1024"), Live, tuning.max_saved_workers_pool_total,
        "Workers remembered in all, 1 to 131072.";
    "tuning.max_connections", Example("4096"), Live, tuning.max_connections,
        "Most live connections of miners, 1 to 1000000, instead of the profile's. Mind the limit of open files.";
    "tuning.engine_core", Example("0"), Restart, tuning.engine_core, "Core that the engine's thread is pinned to, 0 to 1023.";
    "tuning.rayon_threads", Example("2"), Restart, tuning.rayon_threads,
        "Threads for large batches, 1 to 1024, instead of the profile's.";
    "tuning.rayon_cores", Value("[]"), Restart, tuning.rayon_cores, "Cores that those threads are pinned to, in turn. Empty: any.";
    "tuning.sha256d_backend", Value("\"auto\""), Restart, tuning.sha256d_backend,
        "How shares are hashed: auto (what is the fastest, measured at start), scalar, bmi2, sha_ni, avx2, avx512vl, avx512 or \
         neon, where the processor can it. Results are the same with all.";

    "profile.kind", Example("\"medium\""), Live, profile.kind,
        "small, medium, large or enterprise. Without it the profile follows from cores and memory.";
    "profile.expected_miner_count", Value("5"), Live, profile.expected_miner_count,
        "How many miners you expect; the start says when the profile does not hold them.";

    "vardiff.enabled", Value("true"), Live, vardiff.enabled, "Adapt the difficulty to the miner.";
    "vardiff.target_seconds_per_share", Value("10.0"), Live, vardiff.target_seconds_per_share,
        "Time between two shares of a miner, 0.1 to 600. Device classes have their own.";
    "vardiff.min_diff", Value("0.0001"), Live, vardiff.min_diff, "Easiest difficulty, 1e-12 to 1e15.";
    "vardiff.max_diff", Value("1e12"), Live, vardiff.max_diff, "Hardest difficulty, 1e-12 to 1e15.";
    "vardiff.hysteresis", Value("0.3"), Live, vardiff.hysteresis,
        "Relative distance from the ideal difficulty that is left alone, 0 to 0.95.";
    "vardiff.max_step", Value("4.0"), Live, vardiff.max_step, "Largest factor of one change, 1.1 to 1024.";
    "vardiff.initial_diff", Value("1024"), Live, vardiff.initial_diff, "Where a miner of unknown class starts.";
    "vardiff.device_classes_path", Example("\"device-classes.toml\""), Live, vardiff.device_classes_path,
        "Your own table of device classes instead of the built-in one, relative to this file.";

    "ratelimit.enabled", Value("true"), Live, ratelimit.enabled, "Limit rates at all. When false only fixed bounds hold.";
    "ratelimit.connects_per_sec", Value("5.0"), Live, ratelimit.connects_per_sec,
        "Connections a second in the long run, 0.001 to 1000000. A large farm behind one address needs one for every 20 miners.";
    "ratelimit.connect_burst", Value("120"), Live, ratelimit.connect_burst,
        "Connections at once, 1 to 1000000. Health probes of miners connect and close often.";
    "ratelimit.auths_per_sec", Value("1.0"), Live, ratelimit.auths_per_sec, "Authorizations a second in the long run, 0.001 to 1000000, beside the first of each connection. One over it is answered false.";
    "ratelimit.auth_burst", Value("30"), Live, ratelimit.auth_burst, "Authorizations at once, 1 to 1000000, beside the first of each connection.";
    "ratelimit.max_connections_per_ip", Value("0"), Live, ratelimit.max_connections_per_ip, "Open connections, 0 for no limit.";
    "ratelimit.idle_evict_secs", Value("300"), Live, ratelimit.idle_evict,
        "Time without an attempt after which an address starts anew, and silence after which a connection is closed that has not authorized (60 s in any case), 1 to 86400. A miner that has authorized may be silent for ever.";

    "retention.shares_raw_secs", Example("3600"), Live, retention.shares_raw,
        "Single shares, 60 to 31536000, instead of the profile's: 3600 in small and medium, 21600 in large, 86400 in enterprise.";
    "retention.shares_5min_secs", Value("604800"), Live, retention.shares_5min, "Sums of 5 minutes, 0 for ever, else 3600 or more.";
    "retention.shares_daily_secs", Value("0"), Live, retention.shares_daily, "Sums of a day, 0 for ever, else 86400 or more.";
    "retention.miner_telemetry_raw_secs", Value("3600"), Live, retention.miner_telemetry_raw, "Single readings of miners, 60 to 31536000.";
    "retention.miner_telemetry_5min_secs", Value("604800"), Live, retention.miner_telemetry_5min,
        "Means of 5 minutes of those, 0 for ever, else 3600 or more.";
    "retention.audit_log_secs", Value("7776000"), Live, retention.audit_log, "What operators did, 0 for ever, else 86400 or more.";

    "store.path", Example("\"/var/lib/warppool/warppool.redb\""), Restart, store.path,
        "The database file. Without it, warppool.redb in $XDG_DATA_HOME/warppool or /var/lib/warppool.";
    "store.flush_interval_ms", Value("250"), Restart, store.flush_interval,
        "The most share statistics that a crash may lose, in milliseconds, 1 to 10000. Blocks are never lost.";
};
