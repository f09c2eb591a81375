//! The simulated nodes: each with a chain, a mempool and moods of its own. They answer what the pool's node side asks; when
//! they do, and whether the answer arrives, is decided in `simulation::nodes`.
//!
//! Templates go through the pool's own reader as the JSON that a node sends. Of the pool's way to its nodes only the wire
//! and its threads are left out.

mod options;

pub use options::NodesOptions;

use std::collections::HashMap;
use std::time::Duration;
use warppool_components::settings::Network;
use warppool_components::template::{Template, TemplateKind};
use warppool_components::units::{Hash256, UnixTime};
use warppool_io::node::rpc::{ChainInfo, Header, MiningInfo, NetworkInfo, RpcError, ZmqNotification};
use warppool_io::node::{LevelHasher, Outcome, Question, Reply, template};
use warppool_simnode::{OfflineChain, OfflineTip};
use warppool_tests::hashing;

/// `nBits` that one hash in 4096 meets.
pub const BITS: u32 = 0x1f0f_ffff;

/// The difficulty that they mean: that of 2^32 hashes is 1.
pub const DIFFICULTY: f64 = 65_535.0 / 1_048_575.0 / 65_536.0;

/// Blocks before the run: beyond the heights whose numbers are one byte in the coinbase.
const INITIAL_HEIGHT: u32 = 300;

/// Bitcoin Core's `RPC_IN_WARMUP`.
const CODE_WARMING_UP: i64 = -28;

/// One node.
pub struct Node {
    /// Its chain.
    pub chain: OfflineChain,
    /// Whether it answers calls.
    pub is_up: bool,
    /// Whether its process runs, so that it hears of blocks.
    pub runs: bool,
    /// It has just started and only says so.
    pub is_warming_up: bool,
    /// Share of calls that go wrong.
    pub failing: f64,
    /// How often it went away.
    pub losses: u32,
    /// Whether it publishes its tips.
    pub has_zmq: bool,
    /// The latest tip was not published.
    pub zmq_lost: bool,
    /// Since when it does all that is asked of it; `None` while it does not.
    pub well_since_ns: Option<u64>,
    /// Since when its tip is what it is.
    pub tip_since_ns: u64,
    /// Its heights, and since when.
    pub heights: Vec<(u64, u32)>,
}

impl Node {
    /// The tip in its chain.
    pub fn tip(&self) -> [u8; 32] {
        self.chain.tip().hash
    }

    /// Whether it does all that is asked of it, and has for at least this long.
    pub fn is_well_for(&self, time: Duration, now_ns: u64) -> bool {
        self.well_since_ns.is_some_and(|since| Duration::from_nanos(now_ns - since) >= time)
    }

    /// The height that it had at a moment.
    pub fn height_at(&self, at_ns: u64) -> Option<u32> {
        self.heights.iter().rev().find(|(since, _)| *since <= at_ns).map(|(_, height)| *height)
    }

    /// Notes whether it is well now.
    pub fn judge(&mut self, now_ns: u64) {
        let is_well = self.is_up && !self.is_warming_up && self.failing == 0.0;
        self.well_since_ns = if is_well { self.well_since_ns.or(Some(now_ns)) } else { None };
    }
}

/// All nodes.
pub struct Nodes {
    /// By number.
    pub all: Vec<Node>,
    /// The network between them is cut.
    pub is_parted: bool,
    /// Heights of all tips that a node ever had.
    heights: HashMap<[u8; 32], u32>,
    templates: HashMap<Content, Given>,
}

/// Tip and merkle path of a template, in internal byte order.
type Content = ([u8; 32], Vec<[u8; 32]>);

/// A template that was given to the pool.
#[derive(Clone, Debug)]
struct Given {
    /// What its coinbase is worth.
    value_sats: u64,
    /// Nodes that gave it.
    by: Vec<usize>,
}

/// Heights of a node that are remembered: more than change while a checker looks back.
const HEIGHTS_KEPT: usize = 512;

impl Nodes {
    /// Nodes with a common history that `seed` decides.
    pub fn new(options: &NodesOptions, seed: u64, now: UnixTime) -> Self {
        let seconds = now.header_seconds();
        let node = |number: usize| {
            let mempool_seed = seed.wrapping_add(number as u64);
            let chain = OfflineChain::with_mempool(BITS, seed, mempool_seed, INITIAL_HEIGHT, 0..=40, seconds);
            Node {
                chain,
                is_up: true,
                runs: true,
                is_warming_up: false,
                failing: 0.0,
                losses: 0,
                has_zmq: options.zmq[number],
                zmq_lost: false,
                well_since_ns: Some(0),
                tip_since_ns: 0,
                heights: vec![(0, INITIAL_HEIGHT)],
            }
        };
        let all: Vec<Node> = (0..options.count).map(node).collect();
        let heights = all.iter().map(|node| (node.tip(), INITIAL_HEIGHT)).collect();
        Self { all, is_parted: false, heights, templates: HashMap::new() }
    }

    /// Whether any node has the block, in its best chain or beside it.
    pub fn know(&self, hash: [u8; 32]) -> bool {
        self.all.iter().any(|node| node.chain.knows(hash))
    }

    /// The height of a block that some node had as its tip.
    pub fn height_of(&self, tip: [u8; 32]) -> Option<u32> {
        self.heights.get(&tip).copied()
    }

    /// A node's tip is another one now.
    pub fn note_tip(&mut self, number: usize, now_ns: u64) {
        let node = &mut self.all[number];
        let tip = node.chain.tip();
        node.tip_since_ns = now_ns;
        node.heights.push((now_ns, tip.height));
        if node.heights.len() > 2 * HEIGHTS_KEPT {
            node.heights.drain(..HEIGHTS_KEPT);
        }
        self.heights.insert(tip.hash, tip.height);
    }

    /// Another node hears of a node's best chain. Whether it goes over to it.
    pub fn relay(&mut self, from: usize, to: usize, now: UnixTime) -> bool {
        let Ok([from, to]) = self.all.get_disjoint_mut([from, to]) else { return false };
        to.runs && from.runs && to.chain.follow(&from.chain, now.header_seconds())
    }

    /// A node judges a block.
    pub fn submit(&mut self, number: usize, block: &[u8], now: UnixTime) -> Option<String> {
        for other in (0..self.all.len()).filter(|other| *other != number) {
            // Their mempools differ, but both know the same coins.
            if let Ok([peer, node]) = self.all.get_disjoint_mut([other, number]) {
                node.chain.learn(block, &peer.chain);
            }
        }
        self.all[number].chain.submit(block, now.header_seconds())
    }

    /// What a node that is well answers to anything but a block.
    pub fn answer(&mut self, number: usize, question: &Question, now: UnixTime) -> Outcome {
        let node = &self.all[number];
        if node.is_warming_up {
            let message = "Loading block index...".to_owned();
            return Err(RpcError::Node { method: "any", code: CODE_WARMING_UP, message });
        }
        let tip = node.chain.tip();
        let hash = |hash| Ok(Reply::Hash(Hash256::from_internal(hash)));
        match question {
            Question::ChainInfo => Ok(Reply::ChainInfo(ChainInfo {
                chain: "regtest".to_owned(),
                blocks: tip.height,
                headers: tip.height,
                initialblockdownload: false,
            })),
            Question::NetworkInfo => {
                Ok(Reply::NetworkInfo(NetworkInfo { version: 300_000, subversion: "/simulated/".to_owned() }))
            }
            Question::ZmqNotifications => {
                let one = ZmqNotification { kind: "pubhashblock".to_owned(), address: String::new() };
                Ok(Reply::ZmqNotifications(if node.has_zmq { vec![one] } else { Vec::new() }))
            }
            Question::MiningInfo => Ok(Reply::MiningInfo(MiningInfo { networkhashps: 1.0 })),
            Question::BestBlockHash => hash(tip.hash),
            Question::BlockHash(height) => hash(node.chain.at(*height).expect("the pool asks for what is there")),
            Question::BlockHeader(hash) => Ok(Reply::Header(node.chain.header(*hash.as_internal()).map(header))),
            Question::Template { .. } => Ok(self.template(number, now)),
            Question::Submit(_) => panic!("a block is judged elsewhere"),
        }
    }

    /// Whether a long poll names the state that the node is in.
    pub fn is_answered_later(&self, number: usize, question: &Question) -> bool {
        let Question::Template { longpoll_id: Some(id) } = question else { return false };
        id.starts_with(&Hash256::from_internal(self.all[number].tip()).to_string())
    }

    /// The full template of a node's tip, read from its JSON.
    fn template(&mut self, number: usize, now: UnixTime) -> Reply {
        let chain = &self.all[number].chain;
        let json = chain.template(now.header_seconds());
        let hasher = hashing::of_the_environment().hasher;
        let level_hasher = LevelHasher::new(move |nodes| hasher.hash_level(nodes));
        let checked = template::parse(&json, Network::Regtest, now, &level_hasher)
            .unwrap_or_else(|error| panic!("the node's template is not understood: {error}"));
        let value_sats = coinbase_value(&json).expect("BIP22");
        self.note_template(&checked.template, value_sats, Some(number));
        Reply::Template(Ok(Box::new(checked)))
    }

    /// The pool hands out work without transactions that no node gave: what it may be worth is known all the same.
    pub fn note_work(&mut self, template: &Template) {
        if template.kind == TemplateKind::SubsidyOnly {
            let tip = *template.previous_block.as_internal();
            let height = self.height_of(tip).expect("work is on a tip that some node has");
            self.note_template(template, subsidy_sats(height + 1), None);
        }
    }

    fn note_template(&mut self, template: &Template, value_sats: u64, by: Option<usize>) {
        let given = Given { value_sats, by: Vec::new() };
        let given = self.templates.entry(content(template)).or_insert(given);
        if let Some(node) = by.filter(|node| !given.by.contains(node)) {
            given.by.push(node);
        }
    }

    /// What the coinbase of a job may pay in all; `None` when no template was of this tip and these transactions.
    pub fn value_of(&self, previous_block: [u8; 32], branches: Vec<[u8; 32]>) -> Option<u64> {
        self.templates.get(&(previous_block, branches)).map(|given| given.value_sats)
    }

    /// Which node a full template is from, when only one gave it.
    pub fn giver(&self, template: &Template) -> Option<usize> {
        match self.templates.get(&content(template))?.by.as_slice() {
            [node] => Some(*node),
            _ => None,
        }
    }
}

/// The value of a template's coinbase, read from its JSON by other means than the pool's.
fn coinbase_value(json: &[u8]) -> Option<u64> {
    // It stands behind the transactions, which are most of it.
    let end = &json[json.len().saturating_sub(2048)..];
    let (_, value) = std::str::from_utf8(end).ok()?.split_once(r#""coinbasevalue":"#)?;
    value.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

fn content(template: &Template) -> Content {
    let branches = template.merkle_branches.iter().map(|branch| *branch.as_internal()).collect();
    (*template.previous_block.as_internal(), branches)
}

fn header((tip, confirmations): (OfflineTip, i64)) -> Header {
    let seconds = |time: u32| UnixTime::from_seconds(u64::from(time));
    let tip = template::Tip {
        hash: Hash256::from_internal(tip.hash),
        height: tip.height,
        bits: tip.bits,
        time: seconds(tip.time),
        median_time: seconds(tip.median_time),
    };
    Header { tip, confirmations }
}

/// New coins of a block of the regression test network (Core's chainparams: they halve every 150 blocks).
fn subsidy_sats(height: u32) -> u64 {
    5_000_000_000_u64.checked_shr(height / 150).unwrap_or(0)
}
