//! The exposition is what Prometheus reads: checked by a parser of its format.

use super::client::get;
use super::fixture::{Server, snapshot, worker};
use crate::metrics::{pool_metrics, worker_metrics};
use std::collections::{BTreeMap, BTreeSet};
use warppool_components::limits::WORKER_METRICS_MAX;
use warppool_components::snapshot::Snapshot;
use warppool_components::upstream::UpstreamSnapshot;

/// Names of the handbook and ours, with their types.
const EXPECTED: [(&str, &str); 37] = [
    ("warppool_blocks_found_total", "counter"),
    ("warppool_shares_accepted_total", "counter"),
    ("warppool_shares_rejected_total", "counter"),
    ("warppool_workers_total", "gauge"),
    ("warppool_rpc_ready", "gauge"),
    ("warppool_rpc_ibd", "gauge"),
    ("warppool_network_height", "gauge"),
    ("warppool_network_difficulty", "gauge"),
    ("warppool_current_job_height", "gauge"),
    ("warppool_current_job_coinbase_value_sats", "gauge"),
    ("warppool_started_at_seconds", "gauge"),
    ("warppool_last_template_at_seconds", "gauge"),
    ("warppool_build_info", "gauge"),
    ("warppool_workers_authorized_total", "counter"),
    ("warppool_workers_disconnected_total", "counter"),
    ("warppool_active_connections", "gauge"),
    ("warppool_bitcoin_rpc_latency_seconds", "histogram"),
    ("warppool_tick_seconds", "histogram"),
    ("warppool_tick_shares", "histogram"),
    ("warppool_share_ack_seconds", "histogram"),
    ("warppool_tip_to_first_notify_seconds", "histogram"),
    ("warppool_tip_to_last_notify_seconds", "histogram"),
    ("warppool_notify_bytes_total", "counter"),
    ("warppool_store_commit_seconds", "histogram"),
    ("warppool_store_lag_seconds", "gauge"),
    ("warppool_hashes_per_second", "gauge"),
    ("warppool_best_share_difficulty", "gauge"),
    ("warppool_node_up", "gauge"),
    ("warppool_template_age_seconds", "gauge"),
    ("warppool_tip_to_first_share_seconds", "histogram"),
    ("warppool_connections_accepted_total", "counter"),
    ("warppool_connections_refused_total", "counter"),
    ("warppool_admin_messages_dropped_total", "counter"),
    ("warppool_workers_by_presence", "gauge"),
    ("warppool_tls_handshakes_total", "counter"),
    ("warppool_noise_handshakes_total", "counter"),
    ("warppool_tls_certificate_expires_at_seconds", "gauge"),
];

#[derive(Default)]
struct Exposition {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

/// Reads the text format 0.0.4 and checks its rules: HELP and TYPE once and before the samples, samples of one family
/// together, no series twice.
fn parse(text: &str) -> Exposition {
    let mut found = Exposition::default();
    let mut helped = BTreeSet::new();
    let mut family = String::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(helped.insert(help.split(' ').next().unwrap_or_default().to_owned()), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a type");
            assert!(helped.contains(name) && found.kinds.insert(name.into(), kind.into()).is_none(), "{line}");
            family = name.to_owned();
        } else {
            let (series, value) = parse_sample(line);
            let name = series.split('{').next().unwrap_or_default();
            let ending = name.strip_prefix(&family).unwrap_or_else(|| panic!("{line} is not of {family}"));
            let endings: &[&str] =
                if found.kinds[&family] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(endings.contains(&ending), "{line}");
            assert!(found.samples.insert(series, value).is_none(), "{line} is there twice");
        }
    }
    found
}

fn parse_sample(line: &str) -> (String, f64) {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let name = series.split('{').next().unwrap_or_default();
    assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
    if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
        let mut rest = labels.strip_prefix('{').and_then(|labels| labels.strip_suffix('}')).expect("braces");
        while !rest.is_empty() {
            let (label, text) = rest.split_once("=\"").expect("a label");
            assert!(label.trim_start_matches(',').bytes().all(|byte| byte.is_ascii_lowercase()), "{line}");
            rest = after_label_text(text);
        }
    }
    (series.to_owned(), value.parse().expect("a number"))
}

fn after_label_text(text: &str) -> &str {
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        match character {
            _ if escaped => {
                assert!(matches!(character, '\\' | '"' | 'n'));
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return &text[index + 1..],
            _ => {}
        }
    }
    panic!("a label's text has no end: {text}");
}

#[test]
fn the_exposition_has_every_name_with_its_type() {
    let server = Server::new();
    let answer = get(server.address, "/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let found = parse(answer.text());
    for (name, kind) in EXPECTED {
        assert_eq!(found.kinds.get(name).map(String::as_str), Some(kind), "{name}");
    }
    for (series, value) in [
        ("warppool_shares_accepted_total", 812_345.0),
        ("warppool_shares_rejected_total{reason=\"stale\"}", 9.0),
        ("warppool_workers_total", 3.0),
        ("warppool_active_connections{protocol=\"v1\"}", 3.0),
        ("warppool_active_connections{protocol=\"v1_tls\"}", 1.0),
        ("warppool_tls_handshakes_total{result=\"resumed\"}", 5.0),
        ("warppool_noise_handshakes_total{result=\"abandoned\"}", 6.0),
        ("warppool_connections_refused_total{reason=\"http\"}", 2.0),
        ("warppool_active_connections{protocol=\"v2\"}", 0.0),
        ("warppool_hashes_per_second{window=\"1h\"}", 3.2e12),
        ("warppool_node_up{node=\"http://127.0.0.1:8332\"}", 1.0),
        ("warppool_build_info{brand=\"WarpPool\",profile=\"small\",chain=\"main\",version=\"0.1.0\"}", 1.0),
        ("warppool_template_age_seconds", 10.0),
        ("warppool_current_job_coinbase_value_sats", 314_250_000.0),
        ("warppool_tip_to_first_share_seconds_bucket{le=\"10\"}", 3.0),
        ("warppool_connections_accepted_total", 31.0),
        ("warppool_connections_refused_total{reason=\"over_cap\"}", 7.0),
        ("warppool_connections_refused_total{reason=\"accept_failed\"}", 2.0),
        ("warppool_admin_messages_dropped_total", 3.0),
        ("warppool_workers_by_presence{presence=\"mining\"}", 2.0),
        ("warppool_workers_by_presence{presence=\"silent\"}", 0.0),
        ("warppool_workers_by_presence{presence=\"disconnected\"}", 1.0),
    ] {
        assert_eq!(found.samples.get(series), Some(&value), "{series}");
    }
}

#[test]
fn buckets_are_cumulative_and_end_with_the_count() {
    let found = parse(&pool_metrics(&snapshot(), &super::fixture::options()));
    for (series, value) in [
        ("warppool_tick_seconds_bucket{le=\"0.001\"}", 5.0),
        ("warppool_tick_seconds_bucket{le=\"0.01\"}", 8.0),
        ("warppool_tick_seconds_bucket{le=\"1\"}", 8.0),
        ("warppool_tick_seconds_bucket{le=\"+Inf\"}", 9.0),
        ("warppool_tick_seconds_sum", 2.5),
        ("warppool_tick_seconds_count", 9.0),
        ("warppool_bitcoin_rpc_latency_seconds_bucket{le=\"0.001\"}", 0.0),
        ("warppool_bitcoin_rpc_latency_seconds_bucket{le=\"5\"}", 9.0),
        ("warppool_bitcoin_rpc_latency_seconds_bucket{le=\"+Inf\"}", 10.0),
        ("warppool_share_ack_seconds_count", 0.0),
    ] {
        assert_eq!(found.samples.get(series), Some(&value), "{series}");
    }
}

#[test]
fn an_empty_pool_has_metrics_too() {
    let mut empty = Snapshot::default();
    empty.pool.hashrates[0] = f64::NAN;
    assert_eq!(parse(&pool_metrics(&empty, &super::fixture::options())).samples["warppool_rpc_ready"], 0.0);
}

#[test]
fn a_translator_tells_what_became_of_shares_above_and_a_pool_does_not() {
    let mut snapshot = snapshot();
    let is_of_upstream = |series: &String| series.starts_with("warppool_upstream");
    assert!(!parse(&pool_metrics(&snapshot, &super::fixture::options())).samples.keys().any(is_of_upstream));
    snapshot.runtime.upstream = Some(UpstreamSnapshot {
        name: "stratum2+tcp://pool:3333".into(),
        sent: 20,
        accepted: 15,
        rejected: vec![(21, 3), (23, 1)],
        unanswered: 1,
        dropped: 4,
        sessions: 2,
    });
    let found = parse(&pool_metrics(&snapshot, &super::fixture::options()));
    for (series, value) in [
        ("warppool_upstream_up", 1.0),
        ("warppool_upstream_sessions_total", 2.0),
        ("warppool_upstream_shares_total{state=\"sent\"}", 20.0),
        ("warppool_upstream_shares_total{state=\"accepted\"}", 15.0),
        ("warppool_upstream_shares_total{state=\"unanswered\"}", 1.0),
        ("warppool_upstream_shares_total{state=\"not_sent\"}", 4.0),
        ("warppool_upstream_shares_rejected_total{code=\"21\"}", 3.0),
        ("warppool_upstream_shares_rejected_total{code=\"23\"}", 1.0),
    ] {
        assert_eq!(found.samples.get(series), Some(&value), "{series}");
    }
}

#[test]
fn metrics_of_workers_are_escaped_and_capped() {
    let mut snapshot = snapshot();
    snapshot.workers = vec![worker(1, "a", "\"quoted\\\n}", 5.0, 1)];
    let found = parse(&worker_metrics(&snapshot));
    assert_eq!(found.samples["warppool_worker_online{worker=\"a.\\\"quoted\\\\\\n}\"}"], 1.0);
    snapshot.workers =
        (0..WORKER_METRICS_MAX as u32 + 7).map(|id| worker(id + 1, "a", &id.to_string(), 5.0, 1)).collect();
    let found = parse(&worker_metrics(&snapshot));
    assert_eq!(found.samples["warppool_worker_metrics_omitted"], 7.0);
    let online = found.samples.keys().filter(|series| series.starts_with("warppool_worker_online{"));
    assert_eq!(online.count(), WORKER_METRICS_MAX);
}
