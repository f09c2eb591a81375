//! `/api/overview`: the pool at a glance.

use super::{HashratesJson, OddsJson, SharesJson, age_seconds, explorer, finite, network_difficulty};
use crate::options::AdminOptions;
use serde::Serialize;
use warppool_components::node::{NodeState, NodeStatus};
use warppool_components::settings::Network;
use warppool_components::snapshot::{Snapshot, WorkerSnapshot};
use warppool_components::template::TemplateKind;

/// The answer.
#[derive(Serialize)]
pub(crate) struct Overview<'a> {
    at: u64,
    pool: Pool<'a>,
    network: NetworkJson,
    hashrates: HashratesJson,
    shares: SharesJson,
    workers: Workers,
    connections: Connections,
    best_share: BestShare<'a>,
    blocks_found: u64,
    odds: OddsJson,
    template: Option<Template>,
    node: Node<'a>,
    store: Store,
    listeners: Vec<Listener<'a>>,
}

/// Makes the answer.
pub(crate) fn overview<'a>(snapshot: &'a Snapshot, options: &'a AdminOptions) -> Overview<'a> {
    let pool = &snapshot.pool;
    Overview {
        at: snapshot.at.seconds(),
        pool: Pool::new(snapshot, options),
        network: NetworkJson::new(snapshot, options.network),
        hashrates: HashratesJson(pool.hashrates),
        shares: SharesJson::new(pool.accepted, pool.accepted_difficulty, pool.rejected),
        workers: Workers { online: pool.workers_online, known: snapshot.workers.len() },
        connections: Connections { v1: pool.connections_v1, v2: pool.connections_v2 },
        best_share: BestShare::new(snapshot),
        blocks_found: pool.blocks_found,
        odds: OddsJson::new(&pool.hashrates, network_difficulty(snapshot)),
        template: Template::new(snapshot),
        node: Node::new(&snapshot.node),
        store: Store {
            lag_seconds: finite(snapshot.runtime.store_lag_seconds),
            rows_dropped: snapshot.runtime.store_rows_dropped,
        },
        listeners: snapshot.runtime.listeners.iter().map(|listener| Listener::new(listener)).collect(),
    }
}

#[derive(Serialize)]
struct Pool<'a> {
    name: &'a str,
    version: &'a str,
    location: &'a str,
    network: &'static str,
    profile: &'a str,
    fiat_currency: &'a str,
    public_url: &'a str,
    started_at: u64,
    uptime_seconds: u64,
}

impl<'a> Pool<'a> {
    fn new(snapshot: &'a Snapshot, options: &'a AdminOptions) -> Self {
        Self {
            name: &options.brand_name,
            version: options.version,
            location: &options.server_location,
            network: options.network.name(),
            profile: &snapshot.runtime.profile,
            fiat_currency: &options.fiat_currency,
            public_url: &options.public_url,
            started_at: snapshot.started_at.seconds(),
            uptime_seconds: age_seconds(snapshot.at, snapshot.started_at),
        }
    }
}

#[derive(Serialize)]
struct NetworkJson {
    name: &'static str,
    height: u32,
    tip: String,
    difficulty: Option<f64>,
    hashes_per_second: Option<f64>,
    explorer: Option<Explorer>,
}

#[derive(Serialize)]
struct Explorer {
    block: String,
    address: String,
}

impl NetworkJson {
    fn new(snapshot: &Snapshot, network: Network) -> Self {
        let hashes = snapshot.node.network_hashes_per_second;
        let links = |base: &str| Explorer { block: format!("{base}/block/"), address: format!("{base}/address/") };
        Self {
            name: network.name(),
            height: snapshot.node.height,
            tip: snapshot.node.tip.to_string(),
            difficulty: network_difficulty(snapshot),
            hashes_per_second: (hashes.is_finite() && hashes > 0.0).then_some(hashes),
            explorer: explorer(network).map(links),
        }
    }
}

#[derive(Serialize)]
struct Workers {
    online: u32,
    known: usize,
}

#[derive(Serialize)]
struct Connections {
    v1: u32,
    v2: u32,
}

#[derive(Serialize)]
struct BestShare<'a> {
    now: f64,
    ever: f64,
    now_worker: Option<&'a str>,
    ever_worker: Option<&'a str>,
    progress: Option<f64>,
}

impl<'a> BestShare<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        let best = |value: fn(&WorkerSnapshot) -> f64| {
            let worker = snapshot.workers.iter().max_by(|left, right| value(left).total_cmp(&value(right)));
            worker.filter(|worker| value(worker) > 0.0).map(|worker| &*worker.label)
        };
        let ever = finite(snapshot.pool.best_ever);
        Self {
            now: finite(snapshot.pool.best_now),
            ever,
            now_worker: best(|worker| worker.best_now),
            ever_worker: best(|worker| worker.best_ever),
            progress: network_difficulty(snapshot).map(|difficulty| finite(ever / difficulty)),
        }
    }
}

#[derive(Serialize)]
struct Template {
    height: u32,
    kind: &'static str,
    created_at: u64,
    age_seconds: u64,
}

impl Template {
    fn new(snapshot: &Snapshot) -> Option<Self> {
        snapshot.job.as_ref().map(|job| Self {
            height: job.height,
            kind: kind_name(job.kind),
            created_at: job.created_at.seconds(),
            age_seconds: age_seconds(snapshot.at, job.created_at),
        })
    }
}

/// Name of a kind of template.
pub(super) fn kind_name(kind: TemplateKind) -> &'static str {
    match kind {
        TemplateKind::Full => "full",
        TemplateKind::SubsidyOnly => "subsidy_only",
    }
}

#[derive(Serialize)]
struct Node<'a> {
    health: &'static str,
    message: &'a str,
    since: u64,
    nodes: Vec<NodeJson<'a>>,
}

#[derive(Serialize)]
struct NodeJson<'a> {
    name: &'a str,
    up: bool,
    version: &'a str,
    syncing: bool,
    height: u32,
    rpc_latency_seconds: f64,
    zmq: bool,
    error: &'a str,
}

impl<'a> Node<'a> {
    fn new(node: &'a NodeStatus) -> Self {
        Self {
            health: node.health.label(),
            message: &node.message,
            since: node.since.seconds(),
            nodes: node.nodes.iter().map(NodeJson::new).collect(),
        }
    }
}

impl<'a> NodeJson<'a> {
    fn new(node: &'a NodeState) -> Self {
        Self {
            name: &node.name,
            up: node.up,
            version: &node.version,
            syncing: node.syncing,
            height: node.height,
            rpc_latency_seconds: node.rpc_latency.as_secs_f64(),
            zmq: node.zmq,
            error: &node.error,
        }
    }
}

#[derive(Serialize)]
struct Store {
    lag_seconds: f64,
    rows_dropped: u64,
}

/// Where miners are served. The runtime gives `HOST:PORT`, with a scheme in front where it is not plain Stratum V1.
#[derive(Serialize)]
struct Listener<'a> {
    protocol: &'static str,
    address: &'a str,
    port: Option<u16>,
    authority_key: Option<&'a str>,
}

impl<'a> Listener<'a> {
    fn new(text: &'a str) -> Self {
        let (scheme, rest) = text.split_once("://").unwrap_or(("stratum+tcp", text));
        let (address, key) = rest.split_once('/').map_or((rest, None), |(address, key)| (address, Some(key)));
        let protocol = match scheme {
            "stratum2+tcp" => "v2",
            "stratum+ssl" | "stratum+tls" => "v1_tls",
            _ => "v1",
        };
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        Self { protocol, address, port, authority_key: key.filter(|key| protocol == "v2" && !key.is_empty()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_told_apart_by_their_scheme() {
        for (text, protocol, address, port, key) in [
            ("[::]:3333", "v1", "[::]:3333", Some(3333), None),
            ("stratum+tcp://0.0.0.0:3333", "v1", "0.0.0.0:3333", Some(3333), None),
            ("stratum+ssl://[::]:4333", "v1_tls", "[::]:4333", Some(4333), None),
            ("stratum2+tcp://[::]:34254/9auq", "v2", "[::]:34254", Some(34254), Some("9auq")),
            ("somewhere", "v1", "somewhere", None, None),
        ] {
            let listener = Listener::new(text);
            let found = (listener.protocol, listener.address, listener.port, listener.authority_key);
            assert_eq!(found, (protocol, address, port, key), "{text}");
        }
    }
}
