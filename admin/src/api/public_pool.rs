//! The shapes of public-pool (github.com/benjamin-wilson/public-pool), spelled as there: screens of miners and NerdMiner's
//! firmware read them. There a session is a connection; here a worker stands in its place.

use super::hashrate::{hashes_per_second, points, span};
use super::{finite, network_difficulty, percent, rfc3339};
use crate::problem::Problem;
use crate::state::State;
use serde::Serialize;
use std::collections::BTreeMap;
use warppool_components::record::BlockRow;
use warppool_components::settings::Network;
use warppool_components::snapshot::{Snapshot, WorkerSnapshot};
use warppool_components::worker::WorkerId;

/// Place of the window nearest to the ten minutes that public-pool averages over: 15 minutes.
const WINDOW: usize = 2;

/// Name of a worker that gave none.
const NAMELESS: &str = "worker";

/// Steps of its charts.
const CHART_STEP_SECONDS: u64 = 600;

/// Scores on its list.
const HIGH_SCORES: usize = 10;

/// Answer of `/api/client/{address}`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Client<'a> {
    best_difficulty: f64,
    workers_count: usize,
    workers: Vec<ClientWorker<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientWorker<'a> {
    session_id: String,
    name: &'a str,
    best_difficulty: String,
    hash_rate: f64,
    start_time: String,
    last_seen: String,
}

/// The live workers of an address.
pub(crate) fn client<'a>(snapshot: &'a Snapshot, address: &str) -> Client<'a> {
    let of_address = || snapshot.workers.iter().filter(|worker| &*worker.address == address);
    let workers: Vec<_> = of_address().filter(|worker| worker.connections > 0).map(ClientWorker::new).collect();
    Client {
        best_difficulty: of_address().map(|worker| finite(worker.best_ever)).fold(0.0, f64::max),
        workers_count: workers.len(),
        workers,
    }
}

impl<'a> ClientWorker<'a> {
    fn new(worker: &'a WorkerSnapshot) -> Self {
        Self {
            session_id: session_id(worker.id),
            name: own_name(&worker.name),
            best_difficulty: format!("{:.2}", finite(worker.best_ever)),
            hash_rate: finite(worker.hashrates[WINDOW]),
            start_time: rfc3339(worker.first_seen),
            last_seen: rfc3339(worker.last_seen),
        }
    }
}

/// Answer of `/api/client/{address}/{worker}`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Group {
    name: String,
    best_difficulty: u64,
    chart_data: Vec<ChartPoint>,
}

#[derive(Serialize)]
struct ChartPoint {
    label: String,
    data: f64,
}

/// One worker of an address with its last day. An unknown one has nothing, as there.
///
/// # Errors
/// The store cannot answer.
pub(crate) async fn worker(state: &State, address: &str, name: &str) -> Result<Group, Problem> {
    let published = state.published()?;
    let snapshot = &published.snapshot;
    let mut workers = snapshot.workers.iter();
    let known = workers.find(|worker| &*worker.address == address && own_name(&worker.name) == name);
    let mut chart_data = Vec::new();
    if let Some(worker) = known {
        let (from, to) = span(snapshot.at, 24, CHART_STEP_SECONDS);
        for point in points(state, Some(worker.id), from, to, CHART_STEP_SECONDS).await? {
            let data = hashes_per_second(&point, to, CHART_STEP_SECONDS);
            chart_data.push(ChartPoint { label: rfc3339(point.at), data });
        }
    }
    let best_difficulty = known.map_or(0.0, |worker| finite(worker.best_ever)) as u64;
    Ok(Group { name: name.to_owned(), best_difficulty, chart_data })
}

/// Answer of `/api/info`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Info<'a> {
    block_data: Vec<FoundBlock<'a>>,
    user_agents: Vec<UserAgent<'a>>,
    high_scores: Vec<HighScore<'a>>,
    uptime: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundBlock<'a> {
    height: u32,
    miner_address: &'a str,
    worker: &'a str,
    session_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserAgent<'a> {
    user_agent: &'a str,
    count: u64,
    best_difficulty: f64,
    total_hash_rate: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HighScore<'a> {
    updated_at: String,
    best_difficulty: f64,
    best_difficulty_user_agent: &'a str,
}

/// The pool for its front page. `uptime` is when the pool started, as there.
pub(crate) fn info(snapshot: &Snapshot) -> Info<'_> {
    Info {
        block_data: found_blocks(snapshot),
        user_agents: user_agents(snapshot),
        high_scores: high_scores(snapshot),
        uptime: rfc3339(snapshot.started_at),
    }
}

fn found_blocks(snapshot: &Snapshot) -> Vec<FoundBlock<'_>> {
    snapshot.blocks.iter().map(FoundBlock::new).collect()
}

impl<'a> FoundBlock<'a> {
    fn new(row: &'a BlockRow) -> Self {
        let name = row.worker_label.strip_prefix(&*row.address).unwrap_or(&row.worker_label);
        Self {
            height: row.height,
            miner_address: &row.address,
            worker: own_name(name.strip_prefix('.').unwrap_or(name)),
            session_id: session_id(row.worker),
        }
    }
}

fn user_agents(snapshot: &Snapshot) -> Vec<UserAgent<'_>> {
    let mut agents: BTreeMap<&str, UserAgent<'_>> = BTreeMap::new();
    for worker in snapshot.workers.iter().filter(|worker| worker.connections > 0) {
        let user_agent = &*worker.user_agent;
        let empty = UserAgent { user_agent, count: 0, best_difficulty: 0.0, total_hash_rate: 0.0 };
        let agent = agents.entry(user_agent).or_insert(empty);
        agent.count += 1;
        agent.best_difficulty = agent.best_difficulty.max(finite(worker.best_ever));
        agent.total_hash_rate += finite(worker.hashrates[WINDOW]);
    }
    let mut agents: Vec<_> = agents.into_values().collect();
    agents.sort_by_key(|agent| std::cmp::Reverse(agent.count));
    agents
}

fn high_scores(snapshot: &Snapshot) -> Vec<HighScore<'_>> {
    let mut best: BTreeMap<&str, &WorkerSnapshot> = BTreeMap::new();
    for worker in snapshot.workers.iter().filter(|worker| worker.best_ever > 0.0) {
        let leader = best.entry(&worker.address).or_insert(worker);
        if worker.best_ever > leader.best_ever {
            *leader = worker;
        }
    }
    let mut best: Vec<_> = best.into_values().collect();
    best.sort_by(|left, right| right.best_ever.total_cmp(&left.best_ever));
    best.into_iter().take(HIGH_SCORES).map(HighScore::new).collect()
}

impl<'a> HighScore<'a> {
    fn new(worker: &'a WorkerSnapshot) -> Self {
        Self {
            updated_at: rfc3339(worker.last_share_at.unwrap_or(worker.last_seen)),
            best_difficulty: finite(worker.best_ever),
            best_difficulty_user_agent: &worker.user_agent,
        }
    }
}

/// Answer of `/api/pool`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pool<'a> {
    total_hash_rate: f64,
    block_height: u32,
    total_miners: u32,
    blocks_found: Vec<FoundBlock<'a>>,
    fee: f64,
}

/// The pool for lists of pools.
pub(crate) fn pool(snapshot: &Snapshot) -> Pool<'_> {
    let outputs = snapshot.job.as_ref().map_or(&[][..], |job| &job.outputs);
    let total = outputs.iter().map(|output| output.value.0).sum();
    let fees = outputs.iter().filter(|output| output.role == "fee");
    Pool {
        total_hash_rate: finite(snapshot.pool.hashrates[WINDOW]),
        block_height: snapshot.node.height,
        total_miners: snapshot.pool.workers_online,
        blocks_found: found_blocks(snapshot),
        fee: fees.map(|output| percent(output.value, total)).sum(),
    }
}

/// Answer of `/api/network`, spelled as the node's `getmininginfo`.
#[derive(Serialize)]
pub(crate) struct MiningInfo<'a> {
    blocks: u32,
    currentblockweight: u64,
    currentblocktx: u32,
    bits: String,
    difficulty: f64,
    networkhashps: f64,
    chain: &'static str,
    warnings: Vec<&'a str>,
}

/// The network.
pub(crate) fn network(snapshot: &Snapshot, network: Network) -> MiningInfo<'_> {
    let job = snapshot.job.as_deref();
    let message = snapshot.node.message.as_str();
    MiningInfo {
        blocks: snapshot.node.height,
        currentblockweight: job.map_or(0, |job| job.weight),
        currentblocktx: job.map_or(0, |job| job.transactions),
        bits: job.map_or_else(String::new, |job| format!("{:08x}", job.bits)),
        difficulty: network_difficulty(snapshot).unwrap_or(0.0),
        networkhashps: finite(snapshot.node.network_hashes_per_second),
        chain: network.chain(),
        warnings: Some(message).filter(|message| !message.is_empty()).into_iter().collect(),
    }
}

fn session_id(worker: WorkerId) -> String {
    format!("{:08x}", worker.0)
}

fn own_name(name: &str) -> &str {
    if name.is_empty() { NAMELESS } else { name }
}
