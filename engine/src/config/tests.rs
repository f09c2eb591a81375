//! What operators rely on: all mistakes at once, exact defaults, the order of sources, secrets that stay secret.

use super::hardware::{Disk, Hardware};
use super::keys::{Fallback, KEYS};
use super::profile::ProfileKind;
use super::*;
use std::fs;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use warppool_components::settings::{Network, RateLimits};

const MAIN: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
const TEST: &str = "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7";

/// A directory that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("warppool-config-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("temporary directory");
        Self(path)
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.join(name);
        fs::write(&path, text).expect("temporary file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("temporary file");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn load_text(config: &str) -> Result<Loaded, Problems> {
    let directory = Directory::new();
    load(&Sources { config: Some(directory.file("config.toml", config, 0o644)), ..Sources::default() })
}

fn load_secrets(secrets: &str, mode: u32) -> Result<Loaded, Problems> {
    let directory = Directory::new();
    directory.file("secrets.toml", secrets, mode);
    load(&Sources { config: Some(directory.file("config.toml", "", 0o644)), ..Sources::default() })
}

/// The problems without the directory, one a line.
fn told(result: Result<Loaded, Problems>) -> Vec<String> {
    let problems = result.expect_err("a configuration with mistakes").0;
    let strip =
        |line: String| line.rsplit_once("/config.toml").map_or(line.clone(), |(_, rest)| format!("config.toml{rest}"));
    problems.iter().map(|problem| strip(problem.to_string())).collect()
}

#[test]
fn three_mistakes_are_all_named_with_their_lines() {
    let lines = told(load_text(&format!(
        "[mining]\npayout_address = \"{TEST}\"\n\n[vardiff]\nhysteresis = 3\n\n[server]\npool_lisen = \":3333\"\n"
    )));
    assert_eq!(
        lines,
        [
            format!(
                "config.toml:2: mining.payout_address = \"{TEST}\": is an address of testnet4 or signet, but \
                 node.network is mainnet"
            ),
            "config.toml:5: vardiff.hysteresis = 3: must be 0 to 0.95".to_owned(),
            "config.toml:8: server.pool_lisen = \":3333\": there is no such key; the nearest known one is \
             server.pool_listen"
                .to_owned(),
        ]
    );
}

#[test]
fn each_mistake_has_its_sentence() {
    for (text, expected) in [
        ("[node]\nnetwork = \"main\"", "config.toml:2: node.network = \"main\": must be mainnet, testnet4"),
        (
            "[node]\nrpc_url = \"http://u:p@h:1\"",
            "config.toml:2: node.rpc_url = \"http://***@h:1\": must be http://HOST:PORT",
        ),
        ("[node]\nrpc_pass = \"hush\"", "config.toml:2: node.rpc_pass: belongs in secrets.toml"),
        (
            "[node]\npoll_interval_ms = \"fast\"",
            "config.toml:2: node.poll_interval_ms = \"fast\": must be a whole number, 10 to 60000, not a text",
        ),
        ("[node]\npoll_interval_ms = 1.5", "config.toml:2: node.poll_interval_ms = 1.5: must be a whole number"),
        ("[[node.extra]]\nzmq_hashblock_addr = \"tcp://n:1\"", "config.toml:1: node.extra.rpc_url: is missing"),
        (
            "[[node.extra]]\nrpc_url = \"http://n:1\"\nrpc_ulr = 1",
            "config.toml:3: node.extra.rpc_ulr = 1: there is no such key; the nearest known one is rpc_url",
        ),
        (
            "[mining]\npool_fee_percent = 1.0",
            "config.toml: mining.pool_fee_address: is required, because mining.pool_fee_percent",
        ),
        ("[mining]\npool_fee_percent = 120", "config.toml:2: mining.pool_fee_percent = 120: must be 0 to 99"),
        ("[mining]\npool_fee_percent = 0.001", "config.toml:2: mining.pool_fee_percent = 0.001: must have at most two"),
        ("[mining]\npay_username_address = false", "config.toml: mining.payout_address: is required"),
        (
            "[mining]\npooltag_prefix = \"12345678901234567890123456789012345678901234567890123456789012345\"",
            "must be at most 64 bytes, not 65",
        ),
        (
            "[mining.aliases]\nshed = \"bc1qx\"",
            "config.toml:2: mining.aliases.shed = \"bc1qx\": is not a Bitcoin address",
        ),
        ("[mining.aliases]\n\"a.b\" = \"x\"", "config.toml:2: mining.aliases.a.b = \"x\": an alias is 1 to 64 letters"),
        ("[server]\npool_listen = \"3333\"", "config.toml:2: server.pool_listen = \"3333\": must be \":PORT\""),
        (
            "[server]\nstatus_listen = \"127.0.0.1:3333\"",
            "config.toml:2: server.status_listen = \"127.0.0.1:3333\": has the same address as server.pool_listen",
        ),
        (
            "[stratum]\nstratum_tls_listen = \":3334\"\ntls_key_path = \"key.pem\"",
            "config.toml: stratum.tls_cert_path: is required",
        ),
        (
            "[stratum]\ntls_cert_path = \"cert.pem\"",
            "config.toml: stratum.tls_key_path: is required: certificate and key",
        ),
        (
            "[stratum]\ntls_cert_path = \"none.pem\"\ntls_key_path = \"none.key\"",
            "config.toml:2: stratum.tls_cert_path = \"none.pem\": cannot be read: No such file",
        ),
        (
            "[stratum]\ntls_cert_path = \"none.pem\"\ntls_key_path = \"none.key\"",
            "config.toml:3: stratum.tls_key_path = \"none.key\": cannot be read: No such file",
        ),
        ("[stratum]\nstratum_password = 5", "config.toml:2: stratum.stratum_password: must be a text in quotes"),
        (
            "[stratum]\nproxy_protocol_from = [\"10.0.0.0/40\"]",
            "config.toml:2: stratum.proxy_protocol_from = [\"10.0.0.0/40\"]: must hold IP addresses",
        ),
        ("[tuning]\nrayon_cores = [0, -1]", "config.toml:2: tuning.rayon_cores = [0, -1]: must hold core numbers"),
        (
            "[tuning]\nsha256d_backend = \"mmx\"",
            "config.toml:2: tuning.sha256d_backend = \"mmx\": must be auto or what this processor can: scalar",
        ),
        ("[tuning]\nmax_saved_workers_per_user = 2000", "must not be above tuning.max_saved_workers_pool_total, 1024"),
        ("[profile]\nkind = \"huge\"", "config.toml:2: profile.kind = \"huge\": must be small, medium"),
        ("[vardiff]\nmin_diff = 1e-13", "config.toml:2: vardiff.min_diff = 1e-13: must be 0.000000000001 to"),
        ("[vardiff]\nmin_diff = nan", "config.toml:2: vardiff.min_diff = NaN: must be"),
        (
            "[vardiff]\nmin_diff = 5000.0",
            "config.toml: vardiff.initial_diff: must be vardiff.min_diff to vardiff.max_diff, 5000",
        ),
        ("[vardiff]\ndevice_classes_path = \"none.toml\"", "none.toml: the table of device classes cannot be read"),
        (
            "[retention]\nshares_5min_secs = 5",
            "config.toml:2: retention.shares_5min_secs = 5: must be 0 (for ever) or 3600",
        ),
        ("[logging]\njson = \"yes\"", "config.toml:2: logging.json = \"yes\": must be true or false, not a text"),
        ("logging = true", "config.toml:1: logging = true: must be a table [logging], not true or false"),
        (
            "[loging]\njson = true",
            "config.toml:1: loging = {...}: there is no such key; the nearest known one is logging",
        ),
        (
            "[store]\njson = true",
            "config.toml:2: store.json = true: there is no such key; the nearest known one is logging.json",
        ),
        ("[store]\npath = \"x", "config.toml:2: not valid TOML: "),
        ("[ratelimit]\nauth_burst = 1979-05-27", "config.toml:2: ratelimit.auth_burst = 1979-05-27: must be a whole"),
    ] {
        let lines = told(load_text(text));
        assert!(lines.iter().any(|line| line.contains(expected)), "{text}\nexpected {expected}\nfound {lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("hush")), "a secret in {lines:#?}");
    }
}

/// Behind a bracket that is never closed a value counts as a name: it may be a secret.
#[test]
fn of_a_file_that_is_no_toml_nothing_but_that_is_told() {
    let text = "[server\n\"hush hush\" = { poll = 1 }\nstratum_password = \"hush\"\n[a]\nb = \n";
    let lines = told(load_text(text));
    assert!(lines.len() > 1, "each mistake has a line: {lines:#?}");
    assert!(lines.iter().all(|line| line.contains(": not valid TOML: ") && !line.contains("hush")), "{lines:#?}");
    let directory = Directory::new();
    let sources = Sources {
        config: Some(directory.file("config.toml", text, 0o644)),
        overrides: vec!["server.nothing=1".into()],
        ..Sources::default()
    };
    let lines = told(load(&sources));
    assert!(lines.iter().any(|line| line.contains("server.nothing")), "other sources are told of: {lines:#?}");
}

#[test]
fn fee_and_donation_leave_a_part_to_the_miner() {
    let config = |donation: &str| {
        load_text(&format!(
            "[mining]\npool_fee_percent = 50\npool_fee_address = \"{MAIN}\"\noperator_donation_percent = {donation}\n\
             operator_donation_address = \"{MAIN}\"\n"
        ))
    };
    assert!(config("49").is_ok());
    assert!(told(config("49.01"))[0].starts_with("config.toml:4: mining.operator_donation_percent = 49.01: together"));
}

#[test]
fn an_override_has_a_key_of_names_and_a_value_of_bounded_depth() {
    let refused = |assignment: &str| {
        let sources = Sources { overrides: vec![assignment.to_owned()], ..Sources::default() };
        told(load(&sources)).concat()
    };
    for key in ["telemetry..x", ".x", "x.", ""] {
        assert!(refused(&format!("{key}=1")).contains("a key is a section and a name"), "{key}");
    }
    let nested = |depth: usize| format!("telemetry.x={}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(refused(&nested(15)).contains("go 16 deep at most"));
    let sources = Sources { overrides: vec![nested(14)], ..Sources::default() };
    assert!(load(&sources).is_ok());
    assert!(refused(&format!("telemetry{}=1", ".x".repeat(16))).contains("go 16 deep at most"));
}

#[test]
fn an_override_that_begins_like_a_number_is_kept_as_it_is() {
    let told_of = |value: &str| {
        let overrides = vec![format!("node.poll_interval_ms={value}")];
        told(load(&Sources { overrides, ..Sources::default() })).concat()
    };
    assert!(
        told_of("3_FFF").contains("node.poll_interval_ms = \"3_FFF\": must be a whole number"),
        "{}",
        told_of("3_FFF")
    );
    assert!(told_of("[3_FFF]").contains("node.poll_interval_ms = \"[3_FFF]\": must be"), "{}", told_of("[3_FFF]"));
    let oversized = told_of("99_999_999_999_999_999_999");
    assert!(oversized.contains("= 99999999999999999999: must be a whole number") && oversized.contains("oversized"));
}

#[test]
fn later_sources_win_and_are_named_in_problems() {
    let directory = Directory::new();
    let sources = Sources {
        config: Some(directory.file("config.toml", "[node]\nnetwork = \"signet\"\npoll_interval_ms = 500\n", 0o644)),
        environment: [
            ("WARPPOOL__NODE__NETWORK", "regtest"),
            ("WARPPOOL__SERVER__POOL_LISTEN", "127.0.0.1:0"),
            ("WARPPOOL__BRANDING__STATUS_BRAND_NAME", "21"),
            ("WARPPOOL__STRATUM__PROXY_PROTOCOL_FROM", "[\"10.0.0.0/8\"]"),
            ("HOME", "/nowhere"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        overrides: vec!["server.pool_listen=:4444".into(), "vardiff.min_diff=1e-12".into()],
        ..Sources::default()
    };
    let config = load(&sources).expect("valid").config;
    assert_eq!(config.node.network, Network::Regtest);
    assert_eq!(config.node.poll_interval, Duration::from_millis(500));
    assert_eq!(config.server.pool_listen, Listen::Every { port: 4444 });
    assert_eq!(config.branding.status_brand_name, "21");
    assert_eq!(config.stratum.proxy_protocol_from.len(), 1);
    assert_eq!(config.vardiff.min_diff.value(), 1e-12);

    let wrong = Sources {
        environment: vec![("WARPPOOL__NODE__POLL_INTERVAL_MS".into(), "soon".into())],
        overrides: vec!["node.network=moon".into(), "nonsense".into(), "node.network.deep=1".into()],
        ..Sources::default()
    };
    let lines = told(load(&wrong));
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(
        lines[0].starts_with("environment variable WARPPOOL__NODE__POLL_INTERVAL_MS: node.poll_interval_ms = \"soon\"")
    );
    assert!(lines.iter().any(|line| line.starts_with("command line, --set: node.network = \"moon\": must be mainnet")));
    assert!(lines.iter().any(|line| line.contains("--set takes section.key=value")));
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    for mode in [0o644, 0o640, 0o604, 0o660] {
        let lines = told(load_secrets("rpc_pass = \"hush\"", mode));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("secrets.toml: ") && lines[0].contains("chmod 600"), "{lines:?}");
    }
    for mode in [0o600, 0o400] {
        assert!(load_secrets("rpc_user = \"me\"\nrpc_pass = \"hush\"", mode).is_ok());
    }
    let missing = Sources { secrets: Some("/nowhere/secrets.toml".into()), ..Sources::default() };
    assert_eq!(told(load(&missing)), ["/nowhere/secrets.toml: there is no such file"]);
}

#[test]
fn secrets_are_checked_and_never_shown() {
    let text = "rpc_user = \"hush\"\nadmin_password_hash = \"hush\"\njwt_secret = \"hush\"\n\
                sv2_authority_secret_key = \"hush\"\nvapid_contact = \"hush\"\nadmin_password = \"hush\"\n";
    let lines = told(load_secrets(text, 0o600));
    assert_eq!(lines.len(), 6, "{lines:#?}");
    for expected in [
        "rpc_user: rpc_pass is missing",
        "admin_password_hash: must be an Argon2id",
        "32 bytes or more, not 4",
        "sv2_authority_secret_key: must be 32 bytes",
        "vapid_contact: must be mailto:",
        "admin_password: there is no such key",
    ] {
        assert!(lines.iter().any(|line| line.contains(expected)), "{expected} in {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.contains("hush")), "{lines:#?}");

    let text = "rpc_user = \"me\"\nrpc_pass = \"hush\"\njwt_secret = \"hush-hush-hush-hush-hush-hush-hush\"";
    let loaded = load_secrets(text, 0o600).expect("valid");
    assert_eq!(loaded.secrets.rpc_pass.as_ref().map(Secret::reveal), Some("hush"));
    assert!(!format!("{loaded:?}").contains("hush"));
    assert!(!loaded.secrets.admin_enabled());
}

#[test]
fn passwords_and_webhooks_of_the_open_file_are_not_shown_either() {
    let text = "[stratum]\nstratum_password = \"hush\"\n[notifier.discord]\nwebhook_url = \"https://hush\"\n";
    let loaded = load_text(text).expect("valid");
    assert!(!format!("{loaded:?}").contains("hush"));
    assert_eq!(&*loaded.config.settings_with(&ProfileKind::Small.caps(1)).stratum_password, "hush");
    assert!(loaded.config.notifier.0["discord"]["webhook_url"].is_str());
}

#[test]
fn the_defaults_are_the_catalogues() {
    let mut text = String::new();
    for key in KEYS {
        if let (Fallback::Value(literal), Some((section, name))) = (key.fallback, key.name.rsplit_once('.')) {
            text += &format!("[[x]]\n{section}.{name} = {literal}\n").replace("[[x]]\n", "");
        }
    }
    let written = Config { file: None, ..load_text(&text).expect("the catalogue's defaults").config };
    assert_eq!(written, Config::default());
    assert_eq!(load(&Sources::default()).expect("defaults").config, Config::default());
}

#[test]
fn the_catalogue_has_every_key_that_is_read() {
    let mut reader = Reader::new(Table::new(), Origin::Default, false);
    sections::read(&mut reader, Path::new(""));
    let tables = ["mining.aliases", "mining.electricity", "node.extra", "notifier", "upnp", "telemetry", "update"];
    let read: Vec<&str> = reader.asked().iter().map(String::as_str).filter(|key| !tables.contains(key)).collect();
    for key in &read {
        assert!(keys::find(key).is_some(), "{key} is read, but not in the catalogue");
    }
    for key in KEYS {
        assert!(read.contains(&key.name), "{} is in the catalogue, but never read", key.name);
        let section = key.name.rsplit_once('.').map(|(section, _)| section);
        assert!(keys::SECTIONS.iter().any(|(name, _)| Some(*name) == section), "no section for {}", key.name);
    }
    assert_eq!(read.len(), KEYS.len());
}

#[test]
fn settings_carry_what_the_operator_decided() {
    let loaded = load_text(&format!(
        "[node]\nnetwork = \"mainnet\"\nnode_loss_disconnect_secs = 7\n[mining]\npayout_address = \"{MAIN}\"\n\
         pool_fee_percent = 1.25\npool_fee_address = \"{MAIN}\"\noperator_donation_address = \"{MAIN}\"\n\
         [mining.aliases]\nshed = \"{MAIN}\"\n[profile]\nkind = \"gross\"\n[tuning]\nmax_connections = 9\n"
    ))
    .expect("valid");
    let machine = Hardware { cores: 8, memory_bytes: 1 << 30, disk: Disk::SolidState, is_raspberry_pi: false };
    let caps = loaded.config.caps_on(&machine);
    assert_eq!((caps.connections_max, caps.rayon_threads, caps.raw_shares_kept.as_secs()), (9, 4, 21_600));
    let settings = loaded.config.settings_with(&caps);
    let fee = settings.payout.fee.expect("a fee");
    assert_eq!((fee.basis_points, fee.payee.script.len()), (125, 22));
    assert_eq!(settings.payout.donation, None, "an address without a percentage gets nothing");
    assert_eq!(settings.payout.fallback.map(|payee| payee.address.to_string()).as_deref(), Some(MAIN));
    assert_eq!(settings.payout.aliases["shed"], MAIN);
    assert_eq!(settings.node_loss_disconnect, Duration::from_secs(7));
    assert_eq!(settings.connections_max, 9);
    assert_eq!(settings.device_classes.len(), device_classes::built_in().len());
}

#[test]
fn an_absent_profile_follows_the_hardware() {
    let machine = Hardware { cores: 16, memory_bytes: 64 << 30, disk: Disk::SolidState, is_raspberry_pi: false };
    let caps = Config::default().caps_on(&machine);
    assert_eq!(caps, ProfileKind::Enterprise.caps(16));
    assert_eq!((caps.connections_max, caps.rayon_threads), (4096, 15));
}

#[test]
fn further_nodes_and_relative_paths() {
    let directory = Directory::new();
    directory.file(
        "classes.toml",
        "[[class]]\nname = \"Mine\"\npatterns = [\"mine\"]\nstart_difficulty = 2\nseconds_per_share = 5\n",
        0o644,
    );
    let text = "[node]\nrpc_cookie_path = \"cookie\"\n[[node.extra]]\nrpc_url = \"http://b:2/\"\n\
                [vardiff]\ndevice_classes_path = \"classes.toml\"\n";
    let path = directory.file("config.toml", text, 0o644);
    let config = load(&Sources { config: Some(path), ..Sources::default() }).expect("valid").config;
    let urls: Vec<&str> = config.node.endpoints().map(|node| node.rpc_url.as_str()).collect();
    assert_eq!(urls, ["http://127.0.0.1:8332", "http://b:2"]);
    assert_eq!(config.node.main.rpc_cookie_path, Some(directory.0.join("cookie")));
    assert_eq!(config.vardiff.device_classes[0].name, "Mine");
}

#[test]
fn a_reload_tells_live_keys_from_those_that_need_a_restart() {
    let old = Config::default();
    let new = load_text(
        "[vardiff]\nhysteresis = 0.4\n[server]\npool_listen = \":1\"\n[notifier.ntfy]\ntopic = \"x\"\n\
         [[node.extra]]\nrpc_url = \"http://b:2\"\n[stratum]\nstratum_password = \"x\"\n",
    )
    .expect("valid")
    .config;
    assert_eq!(changes(&old, &old), Changes::default());
    let found = changes(&old, &new);
    assert_eq!(found.live, ["vardiff.hysteresis", "notifier"]);
    assert_eq!(found.needs_restart, ["server.pool_listen", "stratum.stratum_password", "node.extra"]);
}

#[test]
fn warnings_name_what_is_missing() {
    let loaded = load_text("").expect("valid");
    let lines: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert!(lines.iter().any(|line| line.contains("node.rpc_cookie_path")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("503")), "{lines:#?}");
}

#[test]
fn rate_limits_reach_the_engine_and_can_be_switched_off() {
    let limits = |text: &str| load_text(text).expect("a good configuration").config.settings().rate_limits;
    assert_eq!(limits(""), Some(RateLimits::default()), "the defaults of both agree");
    assert_eq!(limits("[ratelimit]\nenabled = false\nconnect_burst = 7\n"), None);
    let text = "[ratelimit]\nconnects_per_sec = 2\nconnect_burst = 7\nauths_per_sec = 0.5\nauth_burst = 9\n\
                max_connections_per_ip = 11\nidle_evict_secs = 60\n";
    let expected = RateLimits {
        connects_per_second: 2.0,
        connect_burst: 7,
        authorizes_per_second: 0.5,
        authorize_burst: 9,
        connections_per_address_max: NonZeroU32::new(11),
        forget_after: Duration::from_secs(60),
    };
    assert_eq!(limits(text), Some(expected));
}

#[test]
fn whoever_sets_what_is_not_in_effect_yet_is_told_so() {
    let told = |text: &str| -> Vec<String> {
        let loaded = load_text(text).expect("a good configuration");
        let warnings = loaded.warnings.into_iter().filter(|warning| warning.message.contains("not in effect yet"));
        warnings.map(|warning| warning.key).collect()
    };
    assert_eq!(told(""), Vec::<String>::new());
    assert_eq!(told("[server]\ncookie_secure = true\n"), ["server.cookie_secure"]);
    assert_eq!(told("[stratum]\nsv2_listen = \":3336\"\nsv2_max_connections = 7\n"), Vec::<String>::new());
    assert_eq!(told("[ratelimit]\nconnect_burst = 7\nidle_evict_secs = 30\n"), Vec::<String>::new());
    for name in keys::NOT_IN_EFFECT {
        assert!(keys::find(name).is_some(), "{name} is no key");
    }
}
