//! `getblocktemplate`: the block that this node would mine next.

use crate::chain::{BLOCK_VERSION, Chain};
use crate::limits::BLOCK_WEIGHT_MAX;
use crate::mempool::Entry;
use crate::validation::{WITNESS_COMMITMENT_PREFIX, witness_commitment};
use bitcoin::Network;
use bitcoin::Txid;
use bitcoin::hashes::Hash;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The answer, with Core's keys in Core's order.
#[derive(Serialize)]
pub(crate) struct BlockTemplate<'a> {
    capabilities: [&'static str; 1],
    version: i32,
    rules: Vec<&'static str>,
    vbavailable: Map<String, Value>,
    vbrequired: u32,
    previousblockhash: String,
    transactions: Vec<TemplateTransaction<'a>>,
    coinbaseaux: Map<String, Value>,
    coinbasevalue: u64,
    longpollid: String,
    target: String,
    mintime: u32,
    mutable: [&'static str; 3],
    noncerange: &'static str,
    sigoplimit: u32,
    sizelimit: u64,
    weightlimit: u64,
    curtime: u32,
    bits: String,
    height: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    signet_challenge: Option<&'static str>,
    default_witness_commitment: String,
}

#[derive(Serialize)]
struct TemplateTransaction<'a> {
    data: &'a str,
    txid: Txid,
    hash: String,
    /// Positions of parents in this template, from 1.
    depends: Vec<usize>,
    fee: u64,
    sigops: usize,
    weight: u64,
}

impl<'a> BlockTemplate<'a> {
    /// The next block on the chain's tip.
    pub(crate) fn new(chain: &'a Chain, now: u32) -> Self {
        let context = chain.next_context(now);
        let selected = chain.mempool.selection();
        let fees_sats: u64 = selected.iter().map(|entry| entry.fee_sats).sum();
        let commitment = witness_commitment(selected.iter().map(|entry| entry.wtxid.to_raw_hash()), &[0; 32]);
        let is_signet = chain.rules().network == Network::Signet;
        Self {
            capabilities: ["proposal"],
            version: BLOCK_VERSION,
            rules: ["csv", "!segwit", "taproot"].into_iter().chain(is_signet.then_some("!signet")).collect(),
            vbavailable: Map::new(),
            vbrequired: 0,
            previousblockhash: chain.tip().to_string(),
            transactions: describe(&selected),
            coinbaseaux: Map::new(),
            coinbasevalue: context.subsidy_sats + fees_sats,
            longpollid: longpoll_id(chain),
            target: format!("{:064x}", chain.rules().target()),
            mintime: context.median_time_past + 1,
            mutable: ["time", "transactions", "prevblock"],
            noncerange: "00000000ffffffff",
            sigoplimit: 80_000,
            sizelimit: BLOCK_WEIGHT_MAX,
            weightlimit: BLOCK_WEIGHT_MAX,
            curtime: now.max(context.median_time_past + 1),
            bits: format!("{:08x}", context.bits),
            height: context.height,
            signet_challenge: is_signet.then_some("51"),
            default_witness_commitment: const_hex::encode(WITNESS_COMMITMENT_PREFIX)
                + &const_hex::encode(commitment.as_byte_array()),
        }
    }

    /// Puts a commitment to nothing in place of the true one.
    pub(crate) fn break_commitment(&mut self) {
        self.default_witness_commitment = const_hex::encode(WITNESS_COMMITMENT_PREFIX) + &"00".repeat(32);
    }

    /// Number of transactions, the coinbase not counted, and their weight.
    pub(crate) fn size(&self) -> (usize, u64) {
        (self.transactions.len(), self.transactions.iter().map(|transaction| transaction.weight).sum())
    }
}

/// The state that a longpoll compares with: tip, then the mempool's counter.
pub(crate) fn longpoll_id(chain: &Chain) -> String {
    format!("{}{}", chain.tip(), chain.mempool.updates())
}

fn describe<'a>(selected: &[&'a Entry]) -> Vec<TemplateTransaction<'a>> {
    let positions: HashMap<Txid, usize> = selected.iter().map(|entry| entry.txid).zip(1..).collect();
    let depends_of = |entry: &Entry| {
        let mut depends: Vec<usize> =
            entry.parents.iter().filter_map(|parent| positions.get(parent)).copied().collect();
        depends.sort_unstable();
        depends.dedup();
        depends
    };
    let describe_one = |entry: &&'a Entry| TemplateTransaction {
        data: &entry.data_hex,
        txid: entry.txid,
        hash: entry.wtxid.to_string(),
        depends: depends_of(entry),
        fee: entry.fee_sats,
        sigops: entry.sigops,
        weight: entry.weight,
    };
    selected.iter().map(describe_one).collect()
}
