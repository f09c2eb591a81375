//! The simulated mempool: transactions that wait, those that were mined, and what a template takes of them.

use crate::limits::{ARRIVAL_INTERVAL, BLOCK_WEIGHT_MAX, BLOCK_WEIGHT_RESERVED};
use crate::random::Random;
use crate::transactions::TransactionFactory;
use bitcoin::consensus::encode::serialize;
use bitcoin::{Transaction, Txid, Wtxid};
use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::Instant;

/// A transaction of ours, waiting or mined.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) transaction: Transaction,
    pub(crate) txid: Txid,
    pub(crate) wtxid: Wtxid,
    pub(crate) fee_sats: u64,
    pub(crate) sigops: usize,
    pub(crate) weight: u64,
    /// Serialisation with witness, in hexadecimal digits.
    pub(crate) data_hex: String,
    /// Transactions of ours whose outputs it spends.
    pub(crate) parents: Vec<Txid>,
    /// Whether a block of the active chain holds it.
    pub(crate) confirmed: bool,
}

/// All transactions of ours that matter.
pub(crate) struct Mempool {
    factory: TransactionFactory,
    sizes: Random,
    entries: HashMap<Txid, Entry>,
    /// Waiting transactions, parents before children.
    waiting: VecDeque<Txid>,
    range: RangeInclusive<usize>,
    updates: u64,
    last_arrival: Instant,
}

impl Mempool {
    /// An empty one that [`Mempool::fill`] keeps at a size in `range`.
    pub(crate) fn new(seed: u64, range: RangeInclusive<usize>) -> Self {
        Self {
            factory: TransactionFactory::new(seed),
            sizes: Random::new(!seed),
            entries: HashMap::new(),
            waiting: VecDeque::new(),
            range,
            updates: 0,
            last_arrival: Instant::now(),
        }
    }

    /// Lets transactions arrive until a size of the range, drawn anew, is reached.
    pub(crate) fn fill(&mut self) {
        let wanted = self.sizes.between(*self.range.start() as u64, *self.range.end() as u64) as usize;
        while self.waiting.len() < wanted {
            self.add();
        }
        self.last_arrival = Instant::now();
    }

    /// Lets a few transactions arrive when some time has passed and the range allows it.
    pub(crate) fn arrive(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last_arrival) < ARRIVAL_INTERVAL {
            return;
        }
        self.last_arrival = now;
        for _ in 0..self.sizes.between(1, 3) {
            if self.waiting.len() < *self.range.end() {
                self.add();
            }
        }
    }

    fn add(&mut self) {
        let made = self.factory.make();
        let entry = Entry {
            txid: made.txid,
            wtxid: made.transaction.compute_wtxid(),
            fee_sats: made.fee_sats,
            sigops: made.sigops,
            weight: made.transaction.weight().to_wu(),
            data_hex: const_hex::encode(serialize(&made.transaction)),
            parents: made.parents,
            confirmed: false,
            transaction: made.transaction,
        };
        self.waiting.push_back(entry.txid);
        self.entries.insert(entry.txid, entry);
        self.updates += 1;
    }

    /// Knows a transaction of a peer from now on. It does not wait: only a block brings it.
    pub(crate) fn learn(&mut self, txid: &Txid, peer: &Self) {
        if let Some(entry) = peer.get(txid).filter(|_| !self.entries.contains_key(txid)) {
            self.entries.insert(*txid, Entry { confirmed: false, ..entry.clone() });
        }
    }

    /// A transaction of ours, waiting or mined.
    pub(crate) fn get(&self, txid: &Txid) -> Option<&Entry> {
        self.entries.get(txid)
    }

    /// The transactions of the next template, parents before children, as many as fit.
    pub(crate) fn selection(&self) -> Vec<&Entry> {
        let mut weight_left = BLOCK_WEIGHT_MAX - BLOCK_WEIGHT_RESERVED;
        let mut selected = Vec::with_capacity(self.waiting.len());
        for entry in self.waiting().take(*self.range.end()) {
            // Stops at the first that does not fit, so that no child comes without its parent.
            let Some(left) = weight_left.checked_sub(entry.weight) else { break };
            weight_left = left;
            selected.push(entry);
        }
        selected
    }

    /// Waiting transactions, parents before children.
    pub(crate) fn waiting(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.waiting.iter().map(|txid| &self.entries[txid])
    }

    /// A counter that changes whenever the mempool does.
    pub(crate) fn updates(&self) -> u64 {
        self.updates
    }

    /// Takes mined transactions out of the waiting ones.
    pub(crate) fn confirm(&mut self, txids: &[Txid]) {
        for txid in txids {
            if let Some(entry) = self.entries.get_mut(txid) {
                entry.confirmed = true;
            }
        }
        let entries = &self.entries;
        self.waiting.retain(|txid| !entries[txid].confirmed);
        self.updates += 1;
    }

    /// Takes the transactions of a disconnected block back, before all others: they may be parents.
    pub(crate) fn unconfirm(&mut self, txids: &[Txid]) {
        for txid in txids.iter().rev() {
            if let Some(entry) = self.entries.get_mut(txid) {
                entry.confirmed = false;
                self.waiting.push_front(*txid);
            }
        }
        self.updates += 1;
    }

    /// Forgets mined transactions whose block is buried too deep to come back.
    pub(crate) fn forget(&mut self, txids: &[Txid]) {
        for txid in txids {
            if self.entries.get(txid).is_some_and(|entry| entry.confirmed) {
                self.entries.remove(txid);
            }
        }
    }
}
