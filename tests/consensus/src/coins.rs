//! Outputs that anybody may spend, and transactions that do: what fills the templates.
//!
//! No signature is needed anywhere, so thousands of transactions cost nothing, and yet most of them have a witness: their
//! wtxid is another than their txid, which is what merkle roots and commitments are to be told apart by.

use crate::people;
use crate::random::Random;
use bitcoin::blockdata::opcodes::all::{OP_PUSHNUM_1, OP_RETURN};
use bitcoin::key::UntweakedPublicKey;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::taproot::{LeafVersion, TaprootBuilder};
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, WPubkeyHash, Witness, WitnessProgram,
    WitnessVersion, absolute, transaction,
};
use std::collections::VecDeque;
use std::sync::OnceLock;

/// Blocks until a coinbase may be spent, its own included.
const MATURITY_BLOCKS: u32 = 100;

/// So many coins are enough; transactions then make no more of them.
const COINS_WANTED: usize = 3000;

/// How an output is locked, which is not at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lock {
    /// `OP_TRUE` alone: legacy, nothing to sign.
    Bare,
    /// Its hash in P2SH: legacy, the script is in the scriptSig.
    ScriptHash,
    /// In P2WSH.
    WitnessScriptHash,
    /// P2WSH within P2SH: both scriptSig and witness.
    NestedWitnessScriptHash,
    /// P2TR, spent by a leaf that is `OP_TRUE`.
    Taproot,
    /// P2A.
    Anchor,
    /// A witness version that has no rules yet.
    Future,
}

impl Lock {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Bare,
        Self::ScriptHash,
        Self::WitnessScriptHash,
        Self::NestedWitnessScriptHash,
        Self::Taproot,
        Self::Anchor,
        Self::Future,
    ];

    /// The scriptPubKey.
    pub fn script(self) -> ScriptBuf {
        scripts()[self as usize].clone()
    }

    /// The lock of a scriptPubKey, when anybody may spend it.
    pub fn of(script: &ScriptBuf) -> Option<Self> {
        Self::ALL.into_iter().find(|lock| scripts()[*lock as usize] == *script)
    }

    fn make_script(self) -> ScriptBuf {
        match self {
            Self::Bare => anybody(),
            Self::ScriptHash => anybody().to_p2sh(),
            Self::WitnessScriptHash => anybody().to_p2wsh(),
            Self::NestedWitnessScriptHash => anybody().to_p2wsh().to_p2sh(),
            Self::Taproot => taproot().0.clone(),
            Self::Anchor => witness_program(WitnessVersion::V1, &[0x4e, 0x73]),
            Self::Future => witness_program(WitnessVersion::V9, &[9; 20]),
        }
    }

    /// scriptSig and witness that spend it.
    fn unlock(self, random: &mut Random) -> (ScriptBuf, Witness) {
        let script = anybody().into_bytes();
        let none = ScriptBuf::new();
        match self {
            Self::Bare | Self::Anchor => (none, Witness::new()),
            Self::ScriptHash => (push(script), Witness::new()),
            Self::WitnessScriptHash => (none, Witness::from_slice(&[script])),
            Self::NestedWitnessScriptHash => (push(anybody().to_p2wsh().into_bytes()), Witness::from_slice(&[script])),
            Self::Taproot => (none, Witness::from_slice(&[script, taproot().1.clone()])),
            Self::Future => {
                let size = random.between(1, 80) as usize;
                (none, Witness::from_slice(&[random.bytes(size)]))
            }
        }
    }
}

fn scripts() -> &'static [ScriptBuf; 7] {
    static SCRIPTS: OnceLock<[ScriptBuf; 7]> = OnceLock::new();
    SCRIPTS.get_or_init(|| Lock::ALL.map(Lock::make_script))
}

fn anybody() -> ScriptBuf {
    Builder::new().push_opcode(OP_PUSHNUM_1).into_script()
}

fn push(bytes: Vec<u8>) -> ScriptBuf {
    Builder::new().push_slice(PushBytesBuf::try_from(bytes).expect("a short script")).into_script()
}

fn witness_program(version: WitnessVersion, program: &[u8]) -> ScriptBuf {
    ScriptBuf::new_witness_program(&WitnessProgram::new(version, program).expect("2 to 40 bytes"))
}

/// scriptPubKey and control block of a tree of one leaf. The key is the point of which BIP341 says that nobody has its
/// secret.
fn taproot() -> &'static (ScriptBuf, Vec<u8>) {
    static TREE: OnceLock<(ScriptBuf, Vec<u8>)> = OnceLock::new();
    TREE.get_or_init(|| {
        let key = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0";
        let key: UntweakedPublicKey = key.parse().expect("the key of BIP341");
        let builder = TaprootBuilder::new().add_leaf(0, anybody()).expect("one leaf");
        let spend = builder.finalize(&Secp256k1::new(), key).expect("a whole tree");
        let control = spend.control_block(&(anybody(), LeafVersion::TapScript)).expect("its leaf").serialize();
        (ScriptBuf::new_p2tr_tweaked(spend.output_key()), control)
    })
}

/// An output that can be spent.
#[derive(Clone, Copy, Debug)]
pub struct Coin {
    /// Where it is.
    pub place: OutPoint,
    /// Its value.
    pub sats: u64,
    /// Its lock.
    pub lock: Lock,
}

/// A transaction for a template.
#[derive(Clone, Debug)]
pub struct Paying {
    /// The transaction.
    pub transaction: Transaction,
    /// What it leaves to the miner.
    pub fee: u64,
}

/// All coins of a chain.
#[derive(Clone, Debug, Default)]
pub struct Purse {
    ripe: Vec<Coin>,
    /// Of coinbases, with the height of the first block that may spend them.
    ripening: VecDeque<(u32, Coin)>,
}

impl Purse {
    /// Takes in what a coinbase at `height` pays to anybody.
    pub fn earn(&mut self, coinbase: &Transaction, height: u32) {
        let txid = coinbase.compute_txid();
        for (index, output) in coinbase.output.iter().enumerate() {
            if let Some(lock) = Lock::of(&output.script_pubkey).filter(|_| output.value > Amount::ZERO) {
                let place = OutPoint { txid, vout: index as u32 };
                self.ripening.push_back((height + MATURITY_BLOCKS, Coin { place, sats: output.value.to_sat(), lock }));
            }
        }
    }

    /// Coins of coinbases become spendable in a block at `height`.
    pub fn ripen(&mut self, height: u32) {
        while let Some((_, coin)) = self.ripening.pop_front_if(|(ripe_at, _)| *ripe_at <= height) {
            self.ripe.push(coin);
        }
    }

    /// A coin that is too young to be spent.
    pub fn unripe(&self) -> Option<Coin> {
        self.ripening.back().map(|(_, coin)| *coin)
    }

    /// A coin that can be spent and stays.
    pub fn any_ripe(&self) -> Option<Coin> {
        self.ripe.last().copied()
    }

    /// Transactions for a block at `height`, at most `count`: each may spend what an earlier one makes.
    pub fn transactions(&mut self, random: &mut Random, height: u32, count: usize) -> Vec<Paying> {
        self.ripen(height);
        (0..count).map_while(|_| self.transaction(random, height)).collect()
    }

    fn transaction(&mut self, random: &mut Random, height: u32) -> Option<Paying> {
        let inputs_wanted = if random.one_in(5) { random.between(2, 4) as usize } else { 1 };
        let coins: Vec<Coin> = (0..inputs_wanted.min(self.ripe.len()))
            .map(|_| {
                let place = random.between(0, self.ripe.len() as u64 - 1) as usize;
                self.ripe.swap_remove(place)
            })
            .collect();
        let total: u64 = coins.iter().map(|coin| coin.sats).sum();
        if coins.is_empty() {
            return None;
        }
        let fee = fee(random, total);
        let output = self.outputs(random, total - fee);
        // A lock on the block before is the latest that lets a transaction in.
        let lock_time =
            if random.one_in(8) { absolute::LockTime::from_consensus(height - 1) } else { absolute::LockTime::ZERO };
        let transaction = Transaction {
            version: if random.one_in(2) { transaction::Version::ONE } else { transaction::Version::TWO },
            lock_time,
            input: coins.iter().map(|coin| spend(coin, random)).collect(),
            output,
        };
        self.take_change(&transaction);
        Some(Paying { transaction, fee })
    }

    fn outputs(&self, random: &mut Random, mut left: u64) -> Vec<TxOut> {
        let mut output = Vec::with_capacity(4);
        let mut pay =
            |sats: u64, script_pubkey: ScriptBuf| output.push(TxOut { value: Amount::from_sat(sats), script_pubkey });
        if left > 100_000 && random.one_in(4) {
            let sats = random.between(330, 20_000);
            left -= sats;
            pay(sats, people::script(random));
        }
        if random.one_in(12) {
            let size = random.between(0, 75) as usize;
            let data = PushBytesBuf::try_from(random.bytes(size)).expect("at most 75 bytes");
            pay(0, Builder::new().push_opcode(OP_RETURN).push_slice(data).into_script());
        }
        let parts = if self.ripe.len() < COINS_WANTED && left > 1_000_000 { random.between(2, 6) } else { 1 };
        for part in 0..parts {
            let sats = if part + 1 == parts { left } else { left / (parts - part) };
            left -= sats;
            pay(sats, random.pick(&Lock::ALL).script());
        }
        output
    }

    fn take_change(&mut self, transaction: &Transaction) {
        let txid = transaction.compute_txid();
        for (index, output) in transaction.output.iter().enumerate() {
            if let Some(lock) = Lock::of(&output.script_pubkey) {
                let place = OutPoint { txid, vout: index as u32 };
                self.ripe.push(Coin { place, sats: output.value.to_sat(), lock });
            }
        }
    }
}

/// Mostly small, at times none, at times the dream of a miner.
fn fee(random: &mut Random, total: u64) -> u64 {
    let fee = match random.between(0, 99) {
        0..5 => 0,
        5..7 => total / 20,
        _ => random.between(100, 3000),
    };
    fee.min(total)
}

/// An input that spends `coin`.
pub fn spend(coin: &Coin, random: &mut Random) -> TxIn {
    let (script_sig, witness) = coin.lock.unlock(random);
    // Either lets the locktime count, and neither asks for an age (BIP68).
    let sequence = random.pick(&[Sequence::ENABLE_LOCKTIME_NO_RBF, Sequence::ENABLE_RBF_NO_LOCKTIME]);
    TxIn { previous_output: coin.place, script_sig, sequence, witness }
}

/// A transaction of one input and one output of this value to a stranger.
pub fn pay(coin: &Coin, sats: u64, random: &mut Random) -> Transaction {
    let script_pubkey = ScriptBuf::new_p2wpkh(&<WPubkeyHash as bitcoin::hashes::Hash>::all_zeros());
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![spend(coin, random)],
        output: vec![TxOut { value: Amount::from_sat(sats), script_pubkey }],
    }
}
