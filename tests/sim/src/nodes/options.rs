//! What a seed decides about the nodes. Drawn from a stream of its own.

use crate::random::Random;
use std::fmt;
use std::time::Duration;

/// Share of runs with a second node.
const SECOND_NODES: f64 = 0.4;

/// Blocks that others find during a partition, at most: far fewer than bury a block for good.
const PARTITION_BLOCKS_MAX: u32 = 40;

/// How the nodes are.
#[derive(Clone, Debug)]
pub struct NodesOptions {
    /// How many.
    pub count: usize,
    /// By node: whether it publishes its tips.
    pub zmq: Vec<bool>,
    /// Longest time of a small call.
    pub call: Duration,
    /// Mean time between spells in which calls to a node go wrong, for each node.
    pub spell: Option<Duration>,
    /// Longest time that a node that was started only says so.
    pub warm_up: Duration,
    /// How often the pool asks for the tip.
    pub poll_interval: Duration,
    /// Mean time between partitions of the network.
    pub partition: Option<Duration>,
    /// The longest.
    pub partition_max: Duration,
    /// Share of others' blocks that are found on the second node's side of a partition.
    pub branch_share: f64,
    /// Longest time that a block takes from node to node.
    pub relay: Duration,
}

impl NodesOptions {
    /// Those of `seed`. In a run of weeks faults are rare, and the pool asks more rarely.
    pub fn draw(seed: u64, external_block: Duration, is_long: bool) -> Self {
        let mut random = Random::new(seed ^ 0x6e6f_6465_735f_6f66);
        let random = &mut random;
        let rarely = |mean: Option<Duration>| mean.map(|mean| if is_long { mean * 24 } else { mean });
        let millis = Duration::from_millis;
        Self {
            count: if random.chance(SECOND_NODES) { 2 } else { 1 },
            zmq: (0..2).map(|_| random.chance(0.8)).collect(),
            call: millis(*random.pick(&[1, 1, 20, 500])),
            spell: rarely(maybe(random, 0.5, 200, 2000)),
            warm_up: millis(*random.pick(&[0, 2000, 30_000])),
            poll_interval: millis(if is_long { 60_000 } else { 1000 }),
            partition: rarely(maybe(random, 0.7, 200, 1500)),
            partition_max: Duration::from_secs(random.between(60, 1200)).min(external_block * PARTITION_BLOCKS_MAX),
            branch_share: *random.pick(&[0.0, 0.3, 0.6]),
            relay: millis(*random.pick(&[10, 500, 20_000])),
        }
    }
}

/// A mean time between `low` and `high` seconds, in this share of all runs.
fn maybe(random: &mut Random, share: f64, low: u64, high: u64) -> Option<Duration> {
    let (is_there, time) = (random.chance(share), Duration::from_secs(random.between(low, high)));
    is_there.then_some(time)
}

impl fmt::Display for NodesOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let every = |mean: &Option<Duration>| mean.map_or("never".to_owned(), |mean| format!("{} s", mean.as_secs()));
        let zmq = self.zmq.iter().take(self.count).map(|has| if *has { "with ZMQ" } else { "without" });
        write!(
            formatter,
            "{} nodes ({}), calls up to {} ms, spells of failing calls {}, warming up {} s, asked for the tip each {} s",
            self.count,
            zmq.collect::<Vec<_>>().join(", "),
            self.call.as_millis(),
            every(&self.spell),
            self.warm_up.as_secs(),
            self.poll_interval.as_secs(),
        )?;
        if self.count == 1 {
            return Ok(());
        }
        write!(
            formatter,
            "; partitions {} of up to {} s, {} of others' blocks on the second side, {} ms from node to node",
            every(&self.partition),
            self.partition_max.as_secs(),
            self.branch_share,
            self.relay.as_millis(),
        )
    }
}
