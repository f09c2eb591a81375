//! The simulated node: a chain that grows, reorganises and fails, and what the pool learns of it.
//!
//! Templates go through the pool's own reader as the JSON that a node sends. Of the pool's way to a node only the wire
//! and its threads are left out.

use std::collections::HashMap;
use std::sync::Arc;
use warppool_components::node::{NodeEvent, NodeHealth, NodeStatus};
use warppool_components::settings::Network;
use warppool_components::template::{Template, TemplateId};
use warppool_components::units::{Hash256, UnixTime};
use warppool_io::node::{LevelHasher, template};
use warppool_simnode::OfflineChain;
use warppool_tests::hashing;

/// `nBits` that one hash in 4096 meets.
pub const BITS: u32 = 0x1f0f_ffff;

/// The difficulty that they mean: that of 2^32 hashes is 1.
pub const DIFFICULTY: f64 = 65_535.0 / 1_048_575.0 / 65_536.0;

/// Blocks before the run: beyond the heights whose numbers are one byte in the coinbase.
const INITIAL_HEIGHT: u32 = 300;

/// The node and what the pool knows of it.
pub struct Node {
    /// The chain.
    pub chain: OfflineChain,
    /// Whether it answers.
    pub is_up: bool,
    told_tip: Option<[u8; 32]>,
    last_full: Option<Template>,
    templates: u64,
    /// What the coinbase of each template is worth, by tip and merkle path.
    values: HashMap<Content, u64>,
}

/// Tip and merkle path of a template, in internal byte order.
type Content = ([u8; 32], Vec<[u8; 32]>);

/// A node's answer to `submitblock`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It has the block in its best chain.
    Accepted,
    /// It has the block beside its best chain.
    Beside,
    /// It refuses, for this reason.
    Refused(String),
}

impl Node {
    /// A node with a chain that `seed` decides.
    pub fn new(seed: u64, now: UnixTime) -> Self {
        let chain = OfflineChain::new(BITS, seed, INITIAL_HEIGHT, 0..=40, now.header_seconds());
        Self { chain, is_up: true, told_tip: None, last_full: None, templates: 0, values: HashMap::new() }
    }

    /// The tip in the chain.
    pub fn tip(&self) -> [u8; 32] {
        self.chain.tip().hash
    }

    /// Whether the pool has been told of the tip.
    pub fn is_told(&self) -> bool {
        self.told_tip == Some(self.tip())
    }

    /// The pool was started anew: it knows nothing.
    pub fn forget(&mut self) {
        (self.told_tip, self.last_full) = (None, None);
    }

    /// The work that can be had at once on a tip that the pool does not know yet.
    pub fn tip_seen(&mut self, now: UnixTime) -> Option<Template> {
        let tip = self.chain.tip();
        self.told_tip = Some(tip.hash);
        let seconds = |time: u32| UnixTime::from_seconds(u64::from(time));
        let known = template::Tip {
            hash: Hash256::from_internal(tip.hash),
            height: tip.height,
            bits: tip.bits,
            time: seconds(tip.time),
            median_time: seconds(tip.median_time),
        };
        let last = self.last_full.as_ref()?;
        let template = template::subsidy_only(&known, last, Network::Regtest, now)?;
        self.values.insert((tip.hash, Vec::new()), subsidy_sats(tip.height + 1));
        Some(self.numbered(template))
    }

    /// The full template of the present tip, read from the node's JSON.
    pub fn template(&mut self, now: UnixTime) -> Template {
        let json = self.chain.template(now.header_seconds());
        let hasher = hashing::of_the_environment().hasher;
        let level_hasher = LevelHasher::new(move |nodes| hasher.hash_level(nodes));
        let checked = template::parse(&json, Network::Regtest, now, &level_hasher)
            .unwrap_or_else(|error| panic!("the node's template is not understood: {error}"));
        let template = self.numbered(checked.template);
        let branches = template.merkle_branches.iter().map(|branch| *branch.as_internal()).collect();
        let said: serde_json::Value = serde_json::from_slice(&json).expect("the node writes JSON");
        let value = said["coinbasevalue"].as_u64().expect("BIP22");
        self.values.insert((self.tip(), branches), value);
        self.last_full = Some(template.clone());
        template
    }

    fn numbered(&mut self, template: Template) -> Template {
        self.templates += 1;
        Template { id: TemplateId(self.templates), ..template }
    }

    /// What the coinbase of a job may pay in all; `None` when no template was of this tip and these transactions.
    pub fn value_of(&self, previous_block: [u8; 32], branches: Vec<[u8; 32]>) -> Option<u64> {
        self.values.get(&(previous_block, branches)).copied()
    }

    /// Judges a block.
    pub fn submit(&mut self, block: &[u8], hash: [u8; 32], now: UnixTime) -> Answer {
        match self.chain.submit(block, now.header_seconds()).as_deref() {
            None | Some("duplicate" | "inconclusive") if self.chain.is_active(hash) => Answer::Accepted,
            None | Some("duplicate" | "inconclusive") => Answer::Beside,
            Some(reason) => Answer::Refused(reason.to_owned()),
        }
    }
}

/// New coins of a block of the regression test network (Core's chainparams: they halve every 150 blocks).
fn subsidy_sats(height: u32) -> u64 {
    5_000_000_000_u64.checked_shr(height / 150).unwrap_or(0)
}

/// News of the nodes' health.
pub fn health(health: NodeHealth, now: UnixTime) -> NodeEvent {
    NodeEvent::Status(NodeStatus { health, since: now, ..NodeStatus::default() })
}

/// News of work.
pub fn work(template: Template) -> NodeEvent {
    NodeEvent::Template(Arc::new(template))
}
