//! Ways to spoil a block, each with the reason for which Core must refuse it: the judge must be able to say no.
//!
//! Half of them are mistakes that a pool could make: the engine is given a template that is wrong in one respect, and
//! builds its jobs and its block of it. The other half are done to the finished block.

use crate::chain::{BITS, Offer, commitment, grind, subsidy};
use crate::coins::{self, Coin, Lock};
use crate::random::Random;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, Block, CompactTarget, OutPoint, ScriptBuf, Transaction, TxMerkleNode, TxOut, Witness, absolute, block,
};
use std::time::{SystemTime, UNIX_EPOCH};
use warppool_components::template::{Template, TemplateKind};
use warppool_components::units::{Hash256, Sats, Target, UnixTime};
use warppool_io::node::{LevelHasher, merkle};

/// Seconds ahead of the clock that Core takes no block from, with an hour to spare.
const TOO_FAR_AHEAD_SECONDS: u64 = 3 * 3600;

/// What a break may look at.
pub struct Scene<'a> {
    /// What the node has offered.
    pub offer: &'a Offer,
    /// A coin of a coinbase that is too young.
    pub unripe: Coin,
    /// A coin that nobody in the block spends.
    pub ripe: Coin,
    /// Chance.
    pub random: Random,
}

/// Where a block is spoilt.
#[derive(Clone, Copy)]
pub enum Place {
    /// In the template, before the engine gets it.
    Template(fn(&mut Template, &mut Scene<'_>)),
    /// In the finished block.
    Block(fn(&mut Block, &mut Scene<'_>)),
}

/// A way to spoil a block.
#[derive(Clone, Copy)]
pub struct Break {
    /// What is wrong.
    pub name: &'static str,
    /// Core's reason.
    pub reason: &'static str,
    /// How it is done.
    pub place: Place,
    /// Whether the miner must roll version bits, or must not; `None` when it does not matter.
    pub rolls: Option<bool>,
}

const fn template(name: &'static str, reason: &'static str, spoil: fn(&mut Template, &mut Scene<'_>)) -> Break {
    Break { name, reason, place: Place::Template(spoil), rolls: None }
}

const fn block(name: &'static str, reason: &'static str, spoil: fn(&mut Block, &mut Scene<'_>)) -> Break {
    Break { name, reason, place: Place::Block(spoil), rolls: None }
}

/// All of them. Each is for a block with an even number of transactions beside the coinbase, at least two, one of them with
/// a witness, at a height from 151 to 4800.
pub const ALL: &[Break] = &[
    template("branches of wtxids", "bad-txnmrklroot", |template, scene| {
        template.merkle_branches = branches(scene.offer, |transaction| *transaction.compute_wtxid().as_byte_array());
    }),
    template("branches in display order", "bad-txnmrklroot", |template, _| {
        template.merkle_branches = template.merkle_branches.iter().map(|branch| reversed(*branch)).collect();
    }),
    template("branches over txids in display order", "bad-txnmrklroot", |template, scene| {
        template.merkle_branches = branches(scene.offer, |transaction| {
            let mut id = *transaction.compute_txid().as_byte_array();
            id.reverse();
            id
        });
    }),
    template("branches from the root down", "bad-txnmrklroot", |template, _| {
        template.merkle_branches = template.merkle_branches.iter().rev().copied().collect();
    }),
    template("a transaction left out but not of the branches", "bad-txnmrklroot", |template, scene| {
        leave_out_the_last(template, scene);
    }),
    template("a transaction left out but not of the commitment", "bad-witness-merkle-match", |template, scene| {
        let kept = leave_out_the_last(template, scene);
        template.merkle_branches = branches(&kept, |transaction| *transaction.compute_txid().as_byte_array());
    }),
    template("a transaction twice", "bad-txns-inputs-missingorspent", |template, scene| {
        let mut offer = scene.offer.clone();
        offer.transactions.insert(1, offer.transactions[0].clone());
        replace_transactions(template, &offer);
        template.merkle_branches = branches(&offer, |transaction| *transaction.compute_txid().as_byte_array());
        let script = commitment(offer.transactions.iter().map(|paying| &paying.transaction));
        template.witness_commitment = Some(script.as_bytes().into());
    }),
    template("one satoshi too much", "bad-cb-amount", |template, _| template.coinbase_value.0 += 1),
    template("subsidy of before the halving", "bad-cb-amount", |template, _| {
        template.coinbase_value.0 += subsidy(template.height - 150) - subsidy(template.height);
    }),
    template("an empty job that claims fees", "bad-cb-amount", |template, scene| {
        let fees = scene.offer.fees() + 1;
        *template = empty(template);
        template.coinbase_value.0 += fees;
    }),
    template("an empty job under the wrong nBits", "bad-diffbits", |template, _| {
        *template = empty(template);
        set_bits(template, 0x207f_fffe);
    }),
    template("an empty job with the commitment of a full one", "bad-witness-merkle-match", |template, _| {
        let full = template.witness_commitment.clone();
        *template = Template { witness_commitment: full, ..empty(template) };
    }),
    template("a commitment to something else", "bad-witness-merkle-match", |template, scene| {
        let mut script = template.witness_commitment.clone().expect("segwit is active").to_vec();
        script[scene.random.between(6, 37) as usize] ^= 1;
        template.witness_commitment = Some(script.into());
    }),
    template("a commitment to txids", "bad-witness-merkle-match", |template, scene| {
        let txids: Vec<Hash256> = ids(scene.offer, |transaction| *transaction.compute_txid().as_byte_array());
        template.witness_commitment =
            Some(merkle::witness_commitment_script(&txids, &LevelHasher::default()).to_vec().into());
    }),
    template("no commitment", "unexpected-witness", |template, _| template.witness_commitment = None),
    template("the height before", "bad-cb-height", |template, _| template.height -= 1),
    template("the height after", "bad-txns-nonfinal", |template, _| template.height += 1),
    template("time of the median", "time-too-old", |template, scene| {
        template.current_time = UnixTime::from_seconds(u64::from(scene.offer.tip.median_time()));
    }),
    template("time of the future", "time-too-new", |template, _| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set").as_secs();
        template.current_time = UnixTime::from_seconds(now + TOO_FAR_AHEAD_SECONDS);
    }),
    template("nBits that are not due", "bad-diffbits", |template, _| set_bits(template, 0x207f_fffe)),
    template("the tip in display order", "prev-blk-not-found", |template, _| {
        template.previous_block = reversed(template.previous_block);
    }),
    Break {
        rolls: Some(false),
        ..template("version 3", "bad-version(0x00000003)", |template, _| template.version = 3)
    },
    Break {
        rolls: Some(false),
        ..template("version 1", "bad-version(0x00000001)", |template, _| template.version = 1)
    },
    block("merkle root in display order", "bad-txnmrklroot", |block, _| {
        let mut root = block.header.merkle_root.to_byte_array();
        root.reverse();
        block.header.merkle_root = TxMerkleNode::from_byte_array(root);
        grind(&mut block.header, true);
    }),
    block("a hash above the target", "high-hash", |block, _| grind(&mut block.header, false)),
    block("nBits above the limit", "high-hash", |block, _| {
        block.header.bits = CompactTarget::from_consensus(0x2100_ffff);
        grind(&mut block.header, true);
    }),
    Break {
        rolls: Some(true),
        ..block("rolled bits forgotten", "high-hash", |block, _| {
            block.header.version = block::Version::from_consensus(0x2000_0000);
            // Whether the other hash is low enough is chance; a real network's never is.
            grind(&mut block.header, false);
        })
    },
    block("no witness of the coinbase", "bad-witness-nonce-size", |block, _| {
        block.txdata[0].input[0].witness = Witness::new();
    }),
    block("a reserved value of 31 bytes", "bad-witness-nonce-size", |block, _| {
        block.txdata[0].input[0].witness = Witness::from_slice(&[[0; 31]]);
    }),
    block("two reserved values", "bad-witness-nonce-size", |block, _| {
        block.txdata[0].input[0].witness = Witness::from_slice(&[[0; 32], [0; 32]]);
    }),
    block("another reserved value", "bad-witness-merkle-match", |block, _| {
        block.txdata[0].input[0].witness = Witness::from_slice(&[[1; 32]]);
    }),
    block("a transaction without its witness", "bad-witness-merkle-match", |block, _| {
        let transaction =
            block.txdata[1..].iter_mut().find(|one| one.input.iter().any(|input| !input.witness.is_empty()));
        transaction.expect("one has a witness").input.iter_mut().for_each(|input| input.witness = Witness::new());
    }),
    block("BIP34 of the next height", "bad-cb-height", |block, scene| {
        let next = u64::from(scene.offer.tip.height) + 2;
        replace_height(block, &[&[2], &next.to_le_bytes()[..2]].concat());
    }),
    block("BIP34 with a zero too many", "bad-cb-height", |block, scene| {
        let height = u64::from(scene.offer.tip.height) + 1;
        replace_height(block, &[&[3], &height.to_le_bytes()[..3]].concat());
    }),
    block("BIP34 in big-endian", "bad-cb-height", |block, scene| {
        // Of a height whose bytes are equal there is but one order.
        let [high, low] = (scene.offer.tip.height as u16 + 1).to_be_bytes();
        replace_height(block, &[2, high, if high == low { low ^ 1 } else { low }]);
    }),
    block("no height", "bad-cb-height", |block, _| replace_height(block, &[])),
    block("a scriptSig of 101 bytes", "bad-cb-length", |block, scene| {
        resize_script(block, 101, &mut scene.random);
    }),
    block("a scriptSig of one byte", "bad-cb-length", |block, scene| resize_script(block, 1, &mut scene.random)),
    block("a locktime of its own height", "bad-txns-nonfinal", |block, scene| {
        block.txdata[0].lock_time = absolute::LockTime::from_consensus(scene.offer.tip.height + 1);
        mend(block);
    }),
    block("a second coinbase", "bad-cb-multiple", |block, _| {
        let coinbase = block.txdata[0].clone();
        block.txdata.push(coinbase);
        mend(block);
    }),
    block("no coinbase", "bad-cb-missing", |block, _| {
        block.txdata.remove(0);
        mend(block);
    }),
    block("the last transaction twice under the same root", "bad-txns-duplicate", |block, _| {
        let last = block.txdata.last().expect("a coinbase").clone();
        block.txdata.push(last);
    }),
    block("a coinbase without outputs", "bad-txns-vout-empty", |block, _| {
        block.txdata[0].output.clear();
        mend(block);
    }),
    block("more money than there is", "bad-txns-vout-toolarge", |block, _| {
        block.txdata[0].output[0].value = Amount::MAX_MONEY + Amount::ONE_SAT;
        mend(block);
    }),
    block("one satoshi too much in the last output", "bad-cb-amount", |block, _| {
        let output = block.txdata[0].output.iter_mut().rfind(|output| output.value > Amount::ZERO);
        output.expect("somebody is paid").value += Amount::ONE_SAT;
        mend(block);
    }),
    block("a coinbase that is too young is spent", "bad-txns-premature-spend-of-coinbase", |block, scene| {
        let spends = coins::pay(&scene.unripe, scene.unripe.sats, &mut scene.random);
        append(block, spends);
    }),
    block("a transaction that pays more than it has", "bad-txns-in-belowout", |block, scene| {
        let spends = coins::pay(&scene.ripe, scene.ripe.sats + 1, &mut scene.random);
        append(block, spends);
    }),
    block("a transaction that spends what is not there", "bad-txns-inputs-missingorspent", |block, scene| {
        let nowhere = Coin { place: OutPoint { vout: 77, ..scene.ripe.place }, ..scene.ripe };
        let spends = coins::pay(&nowhere, 1, &mut scene.random);
        append(block, spends);
    }),
    block("a script that fails", "block-script-verify-flag-failed (OP_RETURN was encountered)", |block, scene| {
        let mut locks = coins::pay(&scene.ripe, scene.ripe.sats, &mut scene.random);
        locks.output[0].script_pubkey = Lock::Bare.script();
        let place = OutPoint { txid: locks.compute_txid(), vout: 0 };
        let mut spends =
            coins::pay(&Coin { place, lock: Lock::Bare, ..scene.ripe }, scene.ripe.sats, &mut scene.random);
        spends.input[0].script_sig = ScriptBuf::from_bytes(vec![0x6a]);
        append(block, locks);
        append(block, spends);
    }),
    block("more than a block may hold", "bad-blk-length", |block, _| {
        pay_nothing_to(block, vec![0x6a; 1_000_000]);
    }),
    block("more signature operations than a block may hold", "bad-blk-sigops", |block, _| {
        pay_nothing_to(block, vec![0xac; 20_001]);
    }),
];

fn ids(offer: &Offer, id: impl Fn(&Transaction) -> [u8; 32]) -> Vec<Hash256> {
    offer.transactions.iter().map(|paying| Hash256::from_internal(id(&paying.transaction))).collect()
}

fn branches(offer: &Offer, id: impl Fn(&Transaction) -> [u8; 32]) -> std::sync::Arc<[Hash256]> {
    merkle::coinbase_branches(&ids(offer, id), &LevelHasher::default()).into()
}

fn reversed(hash: Hash256) -> Hash256 {
    Hash256::from_internal(hash.to_display())
}

fn replace_transactions(template: &mut Template, offer: &Offer) {
    template.transactions = offer.transactions.iter().flat_map(|paying| serialize(&paying.transaction)).collect();
    template.transaction_count = offer.transactions.len() as u32;
}

fn leave_out_the_last(template: &mut Template, scene: &Scene<'_>) -> Offer {
    let mut offer = scene.offer.clone();
    let left_out = offer.transactions.pop().expect("at least two");
    template.coinbase_value = Sats(template.coinbase_value.0 - left_out.fee);
    replace_transactions(template, &offer);
    offer
}

fn empty(template: &Template) -> Template {
    Template {
        kind: TemplateKind::SubsidyOnly,
        coinbase_value: Sats(subsidy(template.height)),
        fees: Sats::ZERO,
        witness_commitment: Some(merkle::witness_commitment_script(&[], &LevelHasher::default()).to_vec().into()),
        merkle_branches: [].into(),
        transaction_count: 0,
        transactions: [].into(),
        weight: 0,
        ..template.clone()
    }
}

fn set_bits(template: &mut Template, bits: u32) {
    assert_ne!(bits, BITS);
    template.bits = bits;
    template.network_target = Target::from_compact(bits).expect("nBits that mean something");
}

/// Merkle root and proof of work as they belong to the transactions.
fn mend(block: &mut Block) {
    if let Some(root) = block.compute_merkle_root() {
        block.header.merkle_root = root;
    }
    grind(&mut block.header, true);
}

/// One more transaction, with everything as it belongs to it.
fn append(block: &mut Block, transaction: Transaction) {
    block.txdata.push(transaction);
    let script = commitment(block.txdata[1..].iter());
    let output = block.txdata[0].output.last_mut().expect("the commitment is last");
    output.script_pubkey = script;
    mend(block);
}

fn pay_nothing_to(block: &mut Block, script: Vec<u8>) {
    block.txdata[0].output.insert(0, TxOut { value: Amount::ZERO, script_pubkey: script.into() });
    mend(block);
}

/// Another push in the place of the height, which two bytes hold.
fn replace_height(block: &mut Block, push: &[u8]) {
    let script = block.txdata[0].input[0].script_sig.to_bytes();
    let behind = 1 + usize::from(script[0]);
    assert!((2..=3).contains(&behind), "a height of one or two bytes");
    set_script(block, [push, &script[behind..]].concat());
}

fn resize_script(block: &mut Block, size: usize, random: &mut Random) {
    let mut script = block.txdata[0].input[0].script_sig.to_bytes();
    let missing = size.saturating_sub(script.len());
    script.extend(random.bytes(missing));
    script.truncate(size);
    set_script(block, script);
}

fn set_script(block: &mut Block, script: Vec<u8>) {
    block.txdata[0].input[0].script_sig = script.into();
    mend(block);
}

/// A copy of a block, decoded anew.
pub fn copy(bytes: &[u8]) -> Block {
    deserialize(bytes).expect("a block")
}
