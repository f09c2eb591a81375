//! Metrics in the text exposition format 0.0.4 of Prometheus, written by hand.
//!
//! The names are those of the handbook, one of which (`warppool_workers_total`, a gauge) the OpenMetrics format of the usual
//! library does not allow. All figures come from the snapshot; labels are bounded.

use crate::api::network_difficulty;
use crate::options::AdminOptions;
use std::fmt::Write;
use warppool_components::limits::WORKER_METRICS_MAX;
use warppool_components::node::{NodeState, NodeStatus, RPC_LATENCY_BOUNDS_SECONDS};
use warppool_components::reject::Reject;
use warppool_components::snapshot::{HistogramSnapshot, RuntimeSnapshot, Snapshot, SocketsSnapshot, WorkerSnapshot};
use warppool_components::units::UnixTime;
use warppool_components::upstream::UpstreamSnapshot;
use warppool_components::worker::{HASHRATE_WINDOW_NAMES, PresenceState};

/// Type of the text.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics of the pool.
pub(crate) fn pool_metrics(snapshot: &Snapshot, options: &AdminOptions) -> String {
    let mut text = Exposition::default();
    write_build(&mut text, snapshot, options);
    write_shares(&mut text, snapshot);
    write_workers(&mut text, snapshot);
    write_node(&mut text, &snapshot.node);
    write_job(&mut text, snapshot);
    write_sockets(&mut text, &snapshot.runtime.sockets);
    write_runtime(&mut text, snapshot, &snapshot.runtime);
    if let Some(upstream) = &snapshot.runtime.upstream {
        write_upstream(&mut text, upstream);
    }
    text.0
}

/// Metrics of single workers, of the first [`WORKER_METRICS_MAX`] in the snapshot.
pub(crate) fn worker_metrics(snapshot: &Snapshot) -> String {
    let shown = &snapshot.workers[..snapshot.workers.len().min(WORKER_METRICS_MAX)];
    let mut text = Exposition::default();
    let omitted = snapshot.workers.len() - shown.len();
    text.gauge("warppool_worker_metrics_omitted", "Known workers beyond the cap on worker metrics", omitted as f64);
    write_worker_hashrates(&mut text, shown);
    let mut each = |name: &str, kind: &str, help: &str, value: fn(&WorkerSnapshot) -> f64| {
        text.family(name, kind, help);
        for worker in shown {
            text.sample(name, &[("worker", &worker.label)], value(worker));
        }
    };
    each("warppool_worker_online", "gauge", "1 when the worker is connected and its silence can be chance", |worker| {
        f64::from(u8::from(worker.presence.is_online()))
    });
    each("warppool_worker_connections", "gauge", "Live connections of the worker", |worker| {
        f64::from(worker.connections)
    });
    each(
        "warppool_worker_expected_share_seconds",
        "gauge",
        "Seconds between two shares that are to be expected, 0 when unknown",
        |worker| f64::from(worker.expected_share_seconds.unwrap_or(0.0)),
    );
    each(
        "warppool_worker_tip_to_first_share_seconds",
        "gauge",
        "Mean time from a new tip to the first share on it, 0 before",
        |worker| worker.tip_latency.map_or(0.0, |latency| f64::from(latency.mean_seconds)),
    );
    each("warppool_worker_shares_accepted_total", "counter", "Accepted shares of the worker", |worker| {
        worker.accepted as f64
    });
    each("warppool_worker_shares_rejected_total", "counter", "Refused shares of the worker", |worker| {
        worker.rejected.iter().sum::<u64>() as f64
    });
    each("warppool_worker_best_share_difficulty", "gauge", "Best share of the worker ever", |worker| worker.best_ever);
    each("warppool_worker_best_share_difficulty_now", "gauge", "Best share of the worker since the start", |worker| {
        worker.best_now
    });
    each("warppool_worker_difficulty", "gauge", "Share difficulty in force, 0 when unknown", |worker| {
        worker.difficulty
    });
    each(
        "warppool_worker_last_share_at_seconds",
        "gauge",
        "Last accepted share as a unix timestamp, 0 before",
        |worker| seconds(worker.last_share_at.unwrap_or_default()),
    );
    text.0
}

fn write_build(text: &mut Exposition, snapshot: &Snapshot, options: &AdminOptions) {
    text.family("warppool_build_info", "gauge", "Constant 1; what runs is in the labels");
    let labels = [
        ("brand", options.brand_name.as_str()),
        ("profile", snapshot.runtime.profile.as_str()),
        ("chain", options.network.chain()),
        ("version", options.version),
    ];
    text.sample("warppool_build_info", &labels, 1.0);
    text.gauge("warppool_started_at_seconds", "Start of the pool as a unix timestamp", seconds(snapshot.started_at));
}

fn write_shares(text: &mut Exposition, snapshot: &Snapshot) {
    let pool = &snapshot.pool;
    text.counter("warppool_blocks_found_total", "Blocks of ours that a node accepted", pool.blocks_found as f64);
    text.counter("warppool_shares_accepted_total", "Accepted shares of all workers", pool.accepted as f64);
    text.family("warppool_shares_rejected_total", "counter", "Refused shares by reason");
    for reject in Reject::ALL {
        let count = pool.rejected[reject.index()] as f64;
        text.sample("warppool_shares_rejected_total", &[("reason", reject.label())], count);
    }
    text.family("warppool_hashes_per_second", "gauge", "Hash rate of the pool over a window");
    for (window, hashes) in HASHRATE_WINDOW_NAMES.iter().zip(pool.hashrates) {
        text.sample("warppool_hashes_per_second", &[("window", window)], hashes);
    }
    text.gauge("warppool_best_share_difficulty", "Difficulty of the best share ever", pool.best_ever);
}

fn write_workers(text: &mut Exposition, snapshot: &Snapshot) {
    let pool = &snapshot.pool;
    text.gauge("warppool_workers_total", "Workers ever seen", snapshot.workers.len() as f64);
    text.gauge(
        "warppool_workers_online",
        "Workers that are connected and whose silence can be chance",
        f64::from(pool.workers_online),
    );
    let name = "warppool_workers_by_presence";
    text.family(name, "gauge", "Known workers by whether they are there");
    for state in PresenceState::ALL {
        let count = snapshot.workers.iter().filter(|worker| worker.presence == state).count();
        text.sample(name, &[("presence", state.label())], count as f64);
    }
    text.counter("warppool_workers_authorized_total", "Successful authorizes since the start", pool.authorized as f64);
    text.counter("warppool_workers_disconnected_total", "Connections ended since the start", pool.disconnected as f64);
    text.family("warppool_active_connections", "gauge", "Open connections of miners by protocol");
    let tls = snapshot.runtime.sockets.tls_connections.min(pool.connections_v1);
    text.sample("warppool_active_connections", &[("protocol", "v1")], f64::from(pool.connections_v1 - tls));
    text.sample("warppool_active_connections", &[("protocol", "v1_tls")], f64::from(tls));
    text.sample("warppool_active_connections", &[("protocol", "v2")], f64::from(pool.connections_v2));
    text.counter("warppool_notify_bytes_total", "Bytes of jobs handed over to miners", pool.notify_bytes as f64);
    let help = "From a new tip to the first credited share of each worker on it";
    text.histogram("warppool_tip_to_first_share_seconds", help, &pool.tip_to_first_share_seconds);
}

fn write_node(text: &mut Exposition, node: &NodeStatus) {
    let any = |what: fn(&NodeState) -> bool| f64::from(u8::from(node.nodes.iter().any(what)));
    text.gauge("warppool_rpc_ready", "1 when a node answers", any(|node| node.up));
    text.gauge(
        "warppool_rpc_ibd",
        "1 when a node that answers is in initial block download",
        any(|node| node.up && node.syncing),
    );
    text.gauge("warppool_network_height", "Height of the tip", f64::from(node.height));
    text.family("warppool_node_up", "gauge", "1 when the node's last RPC succeeded");
    for state in &node.nodes {
        text.sample("warppool_node_up", &[("node", &state.name)], f64::from(u8::from(state.up)));
    }
    let name = "warppool_bitcoin_rpc_latency_seconds";
    text.histogram(name, "Duration of RPC calls to all nodes", &rpc_latencies(node));
}

fn rpc_latencies(node: &NodeStatus) -> HistogramSnapshot {
    let mut counts = vec![0; RPC_LATENCY_BOUNDS_SECONDS.len() + 1];
    for state in &node.nodes {
        for (sum, count) in counts.iter_mut().zip(state.rpc_latency_counts) {
            *sum += count;
        }
    }
    let sum = node.nodes.iter().map(|state| state.rpc_latency_sum_seconds).sum();
    HistogramSnapshot { bounds: RPC_LATENCY_BOUNDS_SECONDS.to_vec(), counts, sum }
}

fn write_job(text: &mut Exposition, snapshot: &Snapshot) {
    let difficulty = network_difficulty(snapshot).unwrap_or(0.0);
    text.gauge("warppool_network_difficulty", "Difficulty of the network, 0 when unknown", difficulty);
    let Some(job) = &snapshot.job else { return };
    text.gauge("warppool_current_job_height", "Height of the block that is worked on", f64::from(job.height));
    let value = job.coinbase_value.0 as f64;
    text.gauge("warppool_current_job_coinbase_value_sats", "Subsidy and fees of that block", value);
    text.gauge(
        "warppool_last_template_at_seconds",
        "When the template of the latest job came, as a unix timestamp",
        seconds(job.template_received_at),
    );
    let age = snapshot.at.millis().saturating_sub(job.template_received_at.millis()) as f64 / 1000.0;
    text.gauge("warppool_template_age_seconds", "Age of the latest job", age);
}

fn write_sockets(text: &mut Exposition, sockets: &SocketsSnapshot) {
    let name = "warppool_tls_handshakes_total";
    text.family(name, "counter", "TLS handshakes of miners by result");
    let results = [
        ("full", sockets.handshakes_full),
        ("resumed", sockets.handshakes_resumed),
        ("failed", sockets.handshakes_failed),
    ];
    results.iter().for_each(|(result, count)| text.sample(name, &[("result", result)], *count as f64));
    let name = "warppool_noise_handshakes_total";
    text.family(name, "counter", "Stratum V2 handshakes by result; abandoned and failed ones were answered before");
    let results = [
        ("answered", sockets.noise_handshakes),
        ("abandoned", sockets.noise_abandoned),
        ("failed", sockets.noise_failed),
    ];
    results.iter().for_each(|(result, count)| text.sample(name, &[("result", result)], *count as f64));
    text.gauge(
        "warppool_tls_certificate_expires_at_seconds",
        "When the miners' TLS certificate expires as a unix timestamp, 0 without one",
        seconds(sockets.certificate_expires_at.unwrap_or_default()),
    );
}

fn write_runtime(text: &mut Exposition, snapshot: &Snapshot, runtime: &RuntimeSnapshot) {
    text.gauge(
        "warppool_snapshot_at_seconds",
        "When these figures were taken, as a unix timestamp",
        seconds(snapshot.at),
    );
    text.histogram("warppool_tick_seconds", "Duration of a tick of the engine", &runtime.tick_seconds);
    text.histogram("warppool_tick_shares", "Shares in a tick that had any", &runtime.tick_shares);
    let help = "From the read that brought a share to the write of its answer";
    text.histogram("warppool_share_ack_seconds", help, &runtime.share_ack_seconds);
    let help = "From the first word of a new tip to its first job on a socket";
    text.histogram("warppool_tip_to_first_notify_seconds", help, &runtime.tip_to_first_notify_seconds);
    let help = "From the first word of a new tip to its last job on a socket";
    text.histogram("warppool_tip_to_last_notify_seconds", help, &runtime.tip_to_last_notify_seconds);
    text.histogram("warppool_store_commit_seconds", "Duration of a commit of the store", &runtime.store_commit_seconds);
    text.gauge(
        "warppool_store_lag_seconds",
        "Age of the oldest rows that are not yet stored",
        runtime.store_lag_seconds,
    );
    write_refusals(text, runtime);
    let dropped = runtime.store_rows_dropped as f64;
    text.counter("warppool_store_rows_dropped_total", "Share rows given up because the store lagged", dropped);
}

fn write_refusals(text: &mut Exposition, runtime: &RuntimeSnapshot) {
    let accepted = runtime.connections_accepted as f64;
    text.counter("warppool_connections_accepted_total", "Connections of miners that were served", accepted);
    let name = "warppool_connections_refused_total";
    text.family(name, "counter", "Connections of miners that were not served, by reason");
    text.sample(name, &[("reason", "over_cap")], runtime.connections_over_cap as f64);
    text.sample(name, &[("reason", "accept_failed")], runtime.accept_failures as f64);
    let strangers = &runtime.sockets.refused;
    strangers.iter().for_each(|(reason, count)| text.sample(name, &[("reason", reason)], *count as f64));
    let dropped = runtime.admin_messages_dropped as f64;
    let help = "Snapshots and events that the HTTP side did not take in time";
    text.counter("warppool_admin_messages_dropped_total", help, dropped);
}

/// Only of a translator.
fn write_upstream(text: &mut Exposition, upstream: &UpstreamSnapshot) {
    let up = f64::from(u8::from(!upstream.name.is_empty()));
    text.gauge("warppool_upstream_up", "1 while the pool above gives work", up);
    let sessions = upstream.sessions as f64;
    text.counter("warppool_upstream_sessions_total", "Sessions with a pool above since the start", sessions);
    let name = "warppool_upstream_shares_total";
    text.family(name, "counter", "Shares that are worth something to the pool above, by what became of them");
    for (state, count) in [
        ("sent", upstream.sent),
        ("accepted", upstream.accepted),
        ("unanswered", upstream.unanswered),
        ("not_sent", upstream.dropped),
    ] {
        text.sample(name, &[("state", state)], count as f64);
    }
    let name = "warppool_upstream_shares_rejected_total";
    text.family(name, "counter", "Shares that the pool above refused, by the code of Stratum V1");
    for (code, count) in &upstream.rejected {
        text.sample(name, &[("code", &code.to_string())], *count as f64);
    }
}

fn write_worker_hashrates(text: &mut Exposition, workers: &[WorkerSnapshot]) {
    let name = "warppool_worker_hashes_per_second";
    text.family(name, "gauge", "Hash rate of the worker over a window");
    for worker in workers {
        for (window, hashes) in HASHRATE_WINDOW_NAMES.iter().zip(worker.hashrates) {
            text.sample(name, &[("worker", &worker.label), ("window", window)], hashes);
        }
    }
}

fn seconds(time: UnixTime) -> f64 {
    time.millis() as f64 / 1000.0
}

/// The text as it grows. Writing to a `String` cannot fail.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}.\n# TYPE {name} {kind}");
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &HistogramSnapshot) {
        self.family(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        for (index, bound) in histogram.bounds.iter().enumerate() {
            below += histogram.counts.get(index).copied().unwrap_or(0);
            self.sample(&bucket, &[("le", &bound.to_string())], below as f64);
        }
        let all: u64 = histogram.counts.iter().sum();
        self.sample(&bucket, &[("le", "+Inf")], all as f64);
        self.sample(&format!("{name}_sum"), &[], histogram.sum);
        self.sample(&format!("{name}_count"), &[], all as f64);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if index == 0 { '{' } else { ',' }, escaped(text));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {}", if value.is_finite() { value } else { 0.0 });
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
