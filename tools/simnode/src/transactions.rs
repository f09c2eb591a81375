//! Makes transactions that look like real ones: sizes, weights, fees, chains of unconfirmed parents.
//!
//! Signatures are random bytes and the coins they spend partly never existed: the simulated node does not
//! execute scripts and keeps no set of unspent outputs. It knows the transactions that it made itself.

use crate::limits::SPENDABLE_COINS_MAX;
use crate::random::Random;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, transaction};

/// A transaction with what a mempool knows of it.
pub(crate) struct MadeTransaction {
    pub(crate) transaction: Transaction,
    pub(crate) txid: Txid,
    pub(crate) fee_sats: u64,
    pub(crate) sigops: usize,
    /// Transactions of ours whose outputs it spends.
    pub(crate) parents: Vec<Txid>,
}

/// The source of transactions. The same seed and the same calls give the same transactions.
pub(crate) struct TransactionFactory {
    random: Random,
    spendable: Vec<Coin>,
}

#[derive(Clone)]
struct Coin {
    outpoint: OutPoint,
    output: TxOut,
    kind: ScriptKind,
    ours: bool,
}

/// Who may spend: the hash of a key before segwit, the same in segwit, a taproot key.
#[derive(Clone, Copy)]
enum ScriptKind {
    Legacy,
    SegwitV0,
    Taproot,
}

/// Smallest coin that is spent: pays the fee of the largest transaction made here at the highest rate.
const COIN_SATS_MIN: u64 = 100_000;
const FEE_RATE_SATS_PER_VBYTE_MAX: u64 = 30;

impl TransactionFactory {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), spendable: Vec::new() }
    }

    /// The next transaction.
    pub(crate) fn make(&mut self) -> MadeTransaction {
        let coins = self.choose_coins();
        let kinds = self.choose_outputs();
        let mut transaction = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: coins.iter().map(|coin| self.spend(coin)).collect(),
            output: kinds.iter().map(|kind| self.output(*kind)).collect(),
        };
        let fee_sats = self.share_out(&coins, &mut transaction);
        let txid = transaction.compute_txid();
        self.remember(&transaction, txid, &kinds);
        let sigops = transaction.total_sigop_cost(|outpoint| {
            coins.iter().find(|coin| coin.outpoint == *outpoint).map(|coin| coin.output.clone())
        });
        let parents = coins.iter().filter(|coin| coin.ours).map(|coin| coin.outpoint.txid).collect();
        MadeTransaction { transaction, txid, fee_sats, sigops, parents }
    }

    fn choose_coins(&mut self) -> Vec<Coin> {
        let count = if self.random.below(4) == 0 { 2 } else { 1 };
        (0..count).map(|_| self.choose_coin()).collect()
    }

    /// In three of ten cases an output of an earlier transaction, so that templates have dependencies.
    fn choose_coin(&mut self) -> Coin {
        if !self.spendable.is_empty() && self.random.below(10) < 3 {
            let index = self.random.below(self.spendable.len() as u64) as usize;
            return self.spendable.swap_remove(index);
        }
        let kind = self.choose_kind();
        let outpoint = OutPoint::new(Txid::from_byte_array(self.random.bytes()), self.random.below(4) as u32);
        let mut output = self.output(kind);
        output.value = Amount::from_sat(self.random.between(COIN_SATS_MIN, 100_000_000));
        Coin { outpoint, output, kind, ours: false }
    }

    fn choose_outputs(&mut self) -> Vec<ScriptKind> {
        let count = match self.random.below(20) {
            0 => self.random.between(5, 20),
            1..=4 => 1,
            _ => 2,
        };
        (0..count).map(|_| self.choose_kind()).collect()
    }

    fn choose_kind(&mut self) -> ScriptKind {
        match self.random.below(20) {
            0..=2 => ScriptKind::Legacy,
            3..=7 => ScriptKind::Taproot,
            _ => ScriptKind::SegwitV0,
        }
    }

    /// An input with a signature of real size: 71 or 72 bytes ECDSA, 64 bytes Schnorr.
    fn spend(&mut self, coin: &Coin) -> TxIn {
        let mut input = TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        };
        match coin.kind {
            ScriptKind::Taproot => input.witness.push(self.random.bytes::<64>()),
            ScriptKind::SegwitV0 => {
                input.witness.push(self.ecdsa_signature());
                input.witness.push(self.public_key());
            }
            ScriptKind::Legacy => {
                let signature = self.ecdsa_signature();
                let mut script = vec![signature.len() as u8];
                script.extend(signature);
                script.push(33);
                script.extend(self.public_key());
                input.script_sig = ScriptBuf::from_bytes(script);
            }
        }
        input
    }

    fn ecdsa_signature(&mut self) -> Vec<u8> {
        let mut signature = self.random.bytes::<72>().to_vec();
        signature.truncate(71 + self.random.below(2) as usize);
        signature[0] = 0x30;
        signature
    }

    fn public_key(&mut self) -> [u8; 33] {
        let mut key = self.random.bytes::<33>();
        key[0] = 2 + (key[0] & 1);
        key
    }

    fn output(&mut self, kind: ScriptKind) -> TxOut {
        let mut script = Vec::with_capacity(34);
        match kind {
            ScriptKind::Legacy => {
                script.extend([0x76, 0xa9, 20]);
                script.extend(self.random.bytes::<20>());
                script.extend([0x88, 0xac]);
            }
            ScriptKind::SegwitV0 => {
                script.extend([0x00, 20]);
                script.extend(self.random.bytes::<20>());
            }
            ScriptKind::Taproot => {
                script.extend([0x51, 32]);
                script.extend(self.random.bytes::<32>());
            }
        }
        TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script) }
    }

    /// Sets the outputs' values: equal parts of what the fee leaves.
    fn share_out(&mut self, coins: &[Coin], transaction: &mut Transaction) -> u64 {
        let total: u64 = coins.iter().map(|coin| coin.output.value.to_sat()).sum();
        let wanted = transaction.vsize() as u64 * self.random.between(1, FEE_RATE_SATS_PER_VBYTE_MAX);
        let count = transaction.output.len() as u64;
        let part = total.saturating_sub(wanted) / count;
        for output in &mut transaction.output {
            output.value = Amount::from_sat(part);
        }
        total - part * count
    }

    fn remember(&mut self, transaction: &Transaction, txid: Txid, kinds: &[ScriptKind]) {
        for (index, (output, kind)) in transaction.output.iter().zip(kinds).enumerate() {
            if self.spendable.len() < SPENDABLE_COINS_MAX && output.value.to_sat() >= COIN_SATS_MIN {
                let outpoint = OutPoint::new(txid, index as u32);
                self.spendable.push(Coin { outpoint, output: output.clone(), kind: *kind, ours: true });
            }
        }
    }
}
