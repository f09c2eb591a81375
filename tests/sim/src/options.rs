//! What a seed decides before a run begins: how many miners, how bad the network, the node and the disk are.

use crate::nodes::NodesOptions;
use crate::random::Random;
use std::fmt;
use std::time::Duration;
use warppool_components::settings::Network;
use warppool_io::node::SideOptions;

/// How long the pool waits for a template.
pub const TEMPLATE_TIMEOUT: Duration = Duration::from_secs(120);

/// The conditions of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seed itself.
    pub seed: u64,
    /// Miners.
    pub miners: usize,
    /// Time with faults.
    pub troubled: Duration,
    /// Time without, in which progress is required.
    pub calm: Duration,
    /// Longest delay of a segment.
    pub latency: Duration,
    /// Share of segments that arrive in pieces.
    pub cuts: f64,
    /// Mean time between resets of a connection, for each miner.
    pub reset: Option<Duration>,
    /// Mean time between stalls (a miner that does not read for a while), for each miner.
    pub stall: Option<Duration>,
    /// Mean time between losses of a miner of which the pool hears only much later (half-open connections), for each miner.
    pub vanish: Option<Duration>,
    /// Mean time between moments at which every miner loses its connection at once.
    pub storm: Option<Duration>,
    /// Workers behind a proxy.
    pub proxy_workers: usize,
    /// Seconds between two shares that the pool aims at.
    pub seconds_per_share: f64,
    /// Time between two snapshots of the pool.
    pub snapshot_interval: Duration,
    /// Mean time between blocks of others.
    pub external_block: Duration,
    /// Mean time between reorganisations.
    pub reorganisation: Option<Duration>,
    /// Mean time between outages of a node.
    pub node_outage: Option<Duration>,
    /// Share of tips that ZMQ does not tell of.
    pub silent_tips: f64,
    /// Longest time a template takes.
    pub template_delay: Duration,
    /// Mean time between crashes of the pool.
    pub crash: Option<Duration>,
    /// A crash cuts the power too: what was not synced is lost or torn.
    pub power_cuts: bool,
    /// Share of writes to the disk that fail while there is trouble.
    pub disk_errors: f64,
    /// Share of shares that are wrong on purpose.
    pub wrong_shares: f64,
    /// Mean time between reloads of the configuration.
    pub reload: Option<Duration>,
    /// The pool's fee in basis points.
    pub fee_basis_points: u32,
    /// How long the pool lets rows wait for their commit.
    pub flush_interval: Duration,
    /// Commits of more workers than this leave the sums to a later one.
    pub workers_summed_at_once: usize,
    /// Share of miners that come at some time, not at the start.
    pub latecomers: f64,
    /// Share of miners that speak Stratum V2.
    pub stratum_v2: f64,
    /// Share of those whose connections are encrypted, as all are outside the simulation.
    pub noise: f64,
    /// Mean time between the moments at which a miner of Stratum V2 changes its channels, for each.
    pub whims: Option<Duration>,
    /// Between two templates on the same tip.
    pub refresh: Duration,
    /// Hash rates of all miners are so many times those of a short run.
    pub hash_rate: f64,
    /// How the nodes are.
    pub nodes: NodesOptions,
}

impl Options {
    /// The conditions of `seed`.
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let random = &mut random;
        // What was added later has a stream of its own, so that earlier draws stay what they were.
        let mut own = Random::new(seed ^ LATER_DRAWS);
        let own = &mut own;
        let seconds = Duration::from_secs;
        let drawn = Self {
            seed,
            miners: random.between(1, 24) as usize,
            troubled: seconds(random.between(600, 3600)),
            calm: seconds(1500),
            latency: Duration::from_millis(*random.pick(&[0, 1, 40, 300, 2000])),
            cuts: *random.pick(&[0.0, 0.1, 1.0]),
            reset: maybe(random, 0.6, 60, 3600),
            stall: maybe(random, 0.4, 120, 3600),
            vanish: maybe(random, 0.3, 300, 3600),
            storm: maybe(random, 0.25, 300, 3600),
            proxy_workers: *random.pick(&[2, 2, 4, 24]),
            seconds_per_share: 10.0,
            snapshot_interval: seconds(*random.pick(&[1, 5, 5])),
            external_block: seconds(*random.pick(&[20, 120, 600])),
            reorganisation: maybe(random, 0.4, 300, 3600),
            node_outage: maybe(random, 0.5, 200, 3600),
            silent_tips: *random.pick(&[0.0, 0.2, 1.0]),
            template_delay: Duration::from_millis(*random.pick(&[1, 200, 5000, 30_000])),
            crash: maybe(random, 0.5, 200, 3600),
            power_cuts: random.chance(0.5),
            disk_errors: if random.chance(0.4) { *random.pick(&[0.001, 0.01, 0.2]) } else { 0.0 },
            wrong_shares: *random.pick(&[0.0, 0.05, 0.3]),
            reload: maybe(random, 0.3, 200, 2000),
            fee_basis_points: *random.pick(&[0, 0, 100, 9900]),
            flush_interval: seconds(*own.pick(&[1, 1, 4, 15])),
            workers_summed_at_once: *own.pick(&[0, 2, 8]),
            latecomers: *own.pick(&[0.0, 0.3]),
            stratum_v2: *own.pick(&[0.0, 0.3, 0.3, 1.0]),
            noise: *own.pick(&[0.0, 0.3, 1.0]),
            whims: maybe(own, 0.7, 30, 1000),
            refresh: seconds(30),
            hash_rate: 1.0,
            nodes: NodesOptions::draw(seed, Duration::ZERO, false),
        };
        let is_long = random.chance(LONG_RUNS);
        let drawn = if is_long { drawn.made_long(random, own) } else { drawn };
        Self { nodes: NodesOptions::draw(seed, drawn.external_block, is_long), ..drawn }
    }

    /// The same for the pool's node side.
    pub fn side(&self) -> SideOptions {
        SideOptions {
            network: Network::Regtest,
            template_refresh: self.refresh,
            poll_interval: self.nodes.poll_interval,
            template_patience: TEMPLATE_TIMEOUT,
            empty_job_on_new_tip: true,
            nodes: (0..self.nodes.count).map(|node| (format!("node {node}"), self.nodes.zmq[node])).collect(),
        }
    }

    /// The same for days: few and slow miners, rare faults and commits, so that what grows by a little each day is seen.
    fn made_long(self, random: &mut Random, own: &mut Random) -> Self {
        let rarely = |mean: Option<Duration>| mean.map(|mean| mean * 24);
        let days = random.between(5, 30) / 3 + 1;
        let days = if own.chance(MONTHS) { 30 } else { days };
        Self {
            miners: self.miners.div_ceil(8),
            troubled: Duration::from_secs(86_400 * days),
            latency: self.latency.min(Duration::from_millis(300)),
            reset: rarely(self.reset),
            stall: rarely(self.stall),
            vanish: rarely(self.vanish),
            storm: rarely(self.storm),
            seconds_per_share: 300.0,
            snapshot_interval: Duration::from_secs(60),
            external_block: Duration::from_secs(600),
            reorganisation: rarely(self.reorganisation),
            node_outage: rarely(self.node_outage),
            crash: rarely(self.crash).map(|mean| mean * 4),
            reload: rarely(self.reload),
            disk_errors: self.disk_errors.min(0.001),
            flush_interval: Duration::from_secs(*own.pick(&[60, 600, 1800])),
            whims: rarely(self.whims),
            refresh: Duration::from_secs(300),
            hash_rate: 0.1,
            ..self
        }
    }
}

/// Sets the stream of later draws apart from the first.
const LATER_DRAWS: u64 = 0x6c61_7465_7220_6f6e;

/// Share of all runs that last for days of simulated time.
const LONG_RUNS: f64 = 0.02;

/// Share of those that last for a month.
const MONTHS: f64 = 0.1;

/// A mean time between `low` and `high` seconds, in this share of all runs.
fn maybe(random: &mut Random, share: f64, low: u64, high: u64) -> Option<Duration> {
    let (is_there, time) = (random.chance(share), Duration::from_secs(random.between(low, high)));
    is_there.then_some(time)
}

impl fmt::Display for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let every = |mean: &Option<Duration>| mean.map_or("never".to_owned(), |mean| format!("{} s", mean.as_secs()));
        write!(
            formatter,
            "seed {}: {} miners, {} s of trouble and {} s of calm; latency up to {} ms, {} of segments cut, resets {}, \
             stalls {}, losses unseen {}, storms {}; proxies of {}, shares each {} s; blocks of others {} s, reorganisations {}, outages of the node {}, silent tips {}, templates up to \
             {} ms; crashes {}{}, failing writes {}, commits each {} s with sums of up to {} workers; {} come late; {} by Stratum V2, {} of these encrypted, their whims {}; wrong shares {}, reloads {}, fee {} basis points; {}",
            self.seed,
            self.miners,
            self.troubled.as_secs(),
            self.calm.as_secs(),
            self.latency.as_millis(),
            self.cuts,
            every(&self.reset),
            every(&self.stall),
            every(&self.vanish),
            every(&self.storm),
            self.proxy_workers,
            self.seconds_per_share,
            self.external_block.as_secs(),
            every(&self.reorganisation),
            every(&self.node_outage),
            self.silent_tips,
            self.template_delay.as_millis(),
            every(&self.crash),
            if self.power_cuts { " with power cuts" } else { "" },
            self.disk_errors,
            self.flush_interval.as_secs(),
            self.workers_summed_at_once,
            self.latecomers,
            self.stratum_v2,
            self.noise,
            every(&self.whims),
            self.wrong_shares,
            every(&self.reload),
            self.fee_basis_points,
            self.nodes,
        )
    }
}
