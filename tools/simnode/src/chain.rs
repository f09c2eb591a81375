//! The chain of blocks: an index of all blocks, the active chain, its mempool; connecting, disconnecting, mining.
//!
//! All blocks have the same nBits, so that the branch with more blocks has more work. No clock, socket or thread
//! here: times come in as arguments.

use crate::limits::{BLOCK_BODIES_KEPT, INVALID_BLOCKS_KEPT_MAX};
use crate::mempool::Mempool;
use crate::random::Random;
use crate::validation::{
    BlockContext, ProofOfWork, Refusal, WITNESS_COMMITMENT_PREFIX, block_sizes, check_block, check_contents,
    check_header, check_inputs, merkle_root, witness_commitment,
};
use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::pow::Work;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Target, Transaction, TxIn, TxOut,
    Txid, Witness, transaction,
};
use std::collections::{HashMap, HashSet};

/// Version of templates and of blocks mined here: no soft fork signalled.
pub(crate) const BLOCK_VERSION: i32 = 0x2000_0000;

/// What all blocks of a chain have in common.
#[derive(Clone)]
pub(crate) struct ChainRules {
    /// Name of the chain as `getblockchaininfo` gives it.
    pub(crate) name: String,
    /// Network of the addresses.
    pub(crate) network: Network,
    /// nBits of every block after the genesis block.
    pub(crate) bits: u32,
}

impl ChainRules {
    /// The rules of the chain called `name`; `None` when Core knows no such chain.
    pub(crate) fn new(name: &str, bits: u32) -> Option<Self> {
        let network = match name {
            "main" => Network::Bitcoin,
            "test" => Network::Testnet,
            "testnet4" => Network::Testnet4,
            "signet" => Network::Signet,
            "regtest" => Network::Regtest,
            _ => return None,
        };
        Some(Self { name: name.to_owned(), network, bits })
    }

    /// New coins at `height`: halved each 150 blocks on regtest, each 210,000 elsewhere.
    pub(crate) fn subsidy_sats(&self, height: u32) -> u64 {
        let interval = if self.network == Network::Regtest { 150 } else { 210_000 };
        5_000_000_000_u64.checked_shr(height / interval).unwrap_or(0)
    }

    pub(crate) fn target(&self) -> Target {
        Target::from_compact(CompactTarget::from_consensus(self.bits))
    }
}

/// A valid block, on the active chain or beside it.
pub(crate) struct StoredBlock {
    pub(crate) header: Header,
    pub(crate) height: u32,
    /// Work of the chain up to this block.
    pub(crate) work: Work,
    /// Median of the times of this block and the ten before it.
    pub(crate) median_time: u32,
    pub(crate) coinbase_outputs: Vec<TxOut>,
    pub(crate) transaction_count: usize,
    /// Whether it came by `submitblock`.
    pub(crate) submitted: bool,
    /// The block itself, until it is buried deep.
    pub(crate) body: Option<Block>,
    /// Its transactions without the coinbase, until it is buried deep.
    txids: Vec<Txid>,
}

/// What became of a submitted block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Submission {
    /// It is the new tip.
    Connected,
    /// Valid as far as it was checked, but its branch has no more work than the active chain.
    SideChain,
    /// Known already, and valid.
    Duplicate,
    /// Invalid, with Core's reason.
    Refused(String),
}

/// Blocks and mempool.
pub(crate) struct Chain {
    rules: ChainRules,
    blocks: HashMap<BlockHash, StoredBlock>,
    active: Vec<BlockHash>,
    invalid: HashSet<BlockHash>,
    random: Random,
    pub(crate) mempool: Mempool,
    size_bytes: usize,
}

impl Chain {
    /// A chain of `initial_height` blocks without transactions, the last of them from one second before `now`.
    pub(crate) fn new(rules: ChainRules, seed: u64, initial_height: u32, mempool: Mempool, now: u32) -> Self {
        let genesis = genesis_block(rules.network);
        let mut chain = Self {
            blocks: HashMap::new(),
            active: Vec::new(),
            invalid: HashSet::new(),
            random: Random::new(seed.rotate_left(32)),
            mempool,
            size_bytes: 0,
            rules,
        };
        let hash = chain.store(genesis, 0, false);
        chain.active.push(hash);
        for height in 1..=initial_height {
            let block = chain.assemble(Vec::new(), 0, now.saturating_sub(initial_height - height + 1));
            chain.connect_new(block);
        }
        chain.mempool.fill();
        chain
    }

    /// From now on others' blocks here are not those of another chain with the same history.
    pub(crate) fn part_ways(&mut self, seed: u64) {
        self.random = Random::new(seed.rotate_left(16));
    }

    pub(crate) fn rules(&self) -> &ChainRules {
        &self.rules
    }

    pub(crate) fn height(&self) -> u32 {
        self.active.len() as u32 - 1
    }

    pub(crate) fn tip(&self) -> BlockHash {
        self.active[self.active.len() - 1]
    }

    pub(crate) fn tip_block(&self) -> &StoredBlock {
        &self.blocks[&self.tip()]
    }

    pub(crate) fn get(&self, hash: &BlockHash) -> Option<&StoredBlock> {
        self.blocks.get(hash)
    }

    /// The block of the active chain at `height`.
    pub(crate) fn at(&self, height: u32) -> Option<BlockHash> {
        self.active.get(height as usize).copied()
    }

    /// Whether the active chain holds the block.
    pub(crate) fn is_active(&self, hash: &BlockHash) -> bool {
        self.blocks.get(hash).is_some_and(|stored| self.at(stored.height) == Some(*hash))
    }

    pub(crate) fn is_known_invalid(&self, hash: &BlockHash) -> bool {
        self.invalid.contains(hash)
    }

    /// Bytes of all blocks.
    pub(crate) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// What the next block on the tip must satisfy.
    pub(crate) fn next_context(&self, now: u32) -> BlockContext {
        self.context_on(self.tip_block(), now)
    }

    fn context_on(&self, parent: &StoredBlock, now: u32) -> BlockContext {
        let height = parent.height + 1;
        BlockContext {
            height,
            bits: self.rules.bits,
            median_time_past: parent.median_time,
            now,
            subsidy_sats: self.rules.subsidy_sats(height),
        }
    }

    /// Judges a block on the tip without adding it and without asking for proof of work (BIP23 proposal).
    pub(crate) fn judge_proposal(&self, block: &Block, now: u32) -> Result<(), Refusal> {
        let context = self.next_context(now);
        check_header(&block.header, &context)?;
        check_block(block, ProofOfWork::Ignored)?;
        check_contents(block, &context)?;
        check_inputs(block, &context, &self.mempool)
    }

    /// Judges a block and adds it.
    pub(crate) fn submit(&mut self, block: Block, now: u32) -> Submission {
        match self.accept(block, now, ProofOfWork::Required, true) {
            Ok(submission) => submission,
            Err(refusal) => Submission::Refused(refusal.reason),
        }
    }

    /// Takes over the best chain of a peer when it has more work. Whether it did.
    ///
    /// Its blocks are judged as submitted ones are, but for their proof of work, which those of others do not have.
    pub(crate) fn follow(&mut self, peer: &Self, now: u32) -> bool {
        if peer.height() <= self.height() {
            return false;
        }
        let mut common = self.height();
        while peer.at(common) != self.at(common) {
            common -= 1;
        }
        let tip_before = self.tip();
        for hash in (common + 1..=peer.height()).filter_map(|height| peer.at(height)) {
            let Some(stored) = peer.blocks.get(&hash).filter(|_| !self.blocks.contains_key(&hash)) else { continue };
            // What is buried deep has no body any more: further apart chains do not meet again.
            let Some(body) = stored.body.clone() else { break };
            self.learn(&body, peer);
            if self.accept(body, now, ProofOfWork::Ignored, stored.submitted).is_err() {
                break;
            }
        }
        self.tip() != tip_before
    }

    /// Learns the transactions of a block that a peer has and this one has not.
    pub(crate) fn learn(&mut self, block: &Block, peer: &Self) {
        for transaction in &block.txdata[1..] {
            self.mempool.learn(&transaction.compute_txid(), &peer.mempool);
        }
    }

    fn accept(&mut self, block: Block, now: u32, proof: ProofOfWork, submitted: bool) -> Result<Submission, Refusal> {
        check_block(&block, proof)?;
        let hash = block.block_hash();
        if self.blocks.contains_key(&hash) {
            return Ok(Submission::Duplicate);
        }
        let context = self.judge_place(&block, now)?;
        if let Err(refusal) = check_contents(&block, &context) {
            return Err(self.remember_refusal(hash, refusal));
        }
        let parent = block.header.prev_blockhash;
        if parent == self.tip() {
            if let Err(refusal) = check_inputs(&block, &context, &self.mempool) {
                return Err(self.remember_refusal(hash, refusal));
            }
            self.store(block, context.height, submitted);
            self.connect(hash);
            self.mempool.fill();
            return Ok(Submission::Connected);
        }
        self.store(block, context.height, submitted);
        if context.height <= self.height() {
            return Ok(Submission::SideChain);
        }
        self.activate_branch(hash, now)?;
        self.mempool.fill();
        Ok(Submission::Connected)
    }

    fn judge_place(&self, block: &Block, now: u32) -> Result<BlockContext, Refusal> {
        let refuse = |reason: &str| Refusal { reason: reason.to_owned(), permanent: false };
        if self.invalid.contains(&block.block_hash()) {
            return Err(refuse("duplicate-invalid"));
        }
        if self.invalid.contains(&block.header.prev_blockhash) {
            return Err(refuse("bad-prevblk"));
        }
        let parent = self.blocks.get(&block.header.prev_blockhash).ok_or_else(|| refuse("prev-blk-not-found"))?;
        let context = self.context_on(parent, now);
        check_header(&block.header, &context)?;
        Ok(context)
    }

    fn remember_refusal(&mut self, hash: BlockHash, refusal: Refusal) -> Refusal {
        if refusal.permanent {
            if self.invalid.len() >= INVALID_BLOCKS_KEPT_MAX {
                self.invalid.clear();
            }
            self.invalid.insert(hash);
        }
        refusal
    }

    /// Makes the branch that ends in `hash` the active chain, or leaves all as it was when one of its blocks fails.
    fn activate_branch(&mut self, hash: BlockHash, now: u32) -> Result<(), Refusal> {
        let branch = self.branch_to(hash);
        let fork_height = self.height_of_parent(branch[0]);
        let removed = self.disconnect_to(fork_height);
        for (index, member) in branch.iter().enumerate() {
            if let Err(refusal) = self.judge_inputs_of(*member, now) {
                self.disconnect_to(fork_height);
                removed.into_iter().for_each(|old| self.connect(old));
                return Err(self.condemn(&branch[index..], refusal));
            }
            self.connect(*member);
        }
        Ok(())
    }

    /// Forgets an invalid block and what was built on it. As with Core the submitted block, which is the last of
    /// them, is told the reason only when it is at fault itself.
    fn condemn(&mut self, branch: &[BlockHash], refusal: Refusal) -> Refusal {
        for hash in branch {
            self.blocks.remove(hash);
            self.remember_refusal(*hash, refusal.clone());
        }
        if branch.len() == 1 { refusal } else { Refusal { reason: "inconclusive".to_owned(), permanent: false } }
    }

    /// Blocks from the first that is not active up to `hash`, oldest first.
    fn branch_to(&self, hash: BlockHash) -> Vec<BlockHash> {
        let mut branch = vec![hash];
        let mut parent = self.blocks[&hash].header.prev_blockhash;
        while !self.is_active(&parent) {
            branch.push(parent);
            parent = self.blocks[&parent].header.prev_blockhash;
        }
        branch.reverse();
        branch
    }

    fn height_of_parent(&self, hash: BlockHash) -> u32 {
        self.blocks[&hash].height - 1
    }

    fn judge_inputs_of(&self, hash: BlockHash, now: u32) -> Result<(), Refusal> {
        let stored = &self.blocks[&hash];
        let parent = &self.blocks[&stored.header.prev_blockhash];
        let Some(body) = &stored.body else {
            return Err(Refusal { reason: "inconclusive".to_owned(), permanent: false });
        };
        check_inputs(body, &self.context_on(parent, now), &self.mempool)
    }

    /// Appends a stored block to the active chain.
    fn connect(&mut self, hash: BlockHash) {
        self.mempool.confirm(&self.blocks[&hash].txids);
        self.active.push(hash);
        self.forget_buried();
    }

    /// Takes blocks off the active chain down to `height`; gives them back oldest first.
    fn disconnect_to(&mut self, height: u32) -> Vec<BlockHash> {
        let removed = self.active.split_off(height as usize + 1);
        for hash in removed.iter().rev() {
            self.mempool.unconfirm(&self.blocks[hash].txids);
        }
        removed
    }

    fn forget_buried(&mut self) {
        let Some(buried) = self.height().checked_sub(BLOCK_BODIES_KEPT) else { return };
        if let Some(stored) = self.blocks.get_mut(&self.active[buried as usize]) {
            self.mempool.forget(&stored.txids);
            stored.body = None;
            stored.txids = Vec::new();
        }
        // Stale blocks are rare: looked for now and then.
        if buried.is_multiple_of(BLOCK_BODIES_KEPT) {
            self.blocks.values_mut().filter(|stored| stored.height < buried).for_each(|stored| stored.body = None);
        }
    }

    /// Adds a valid block to the index.
    fn store(&mut self, block: Block, height: u32, submitted: bool) -> BlockHash {
        let hash = block.block_hash();
        let own_work = block.header.work();
        let parent = self.blocks.get(&block.header.prev_blockhash);
        let stored = StoredBlock {
            header: block.header,
            height,
            work: parent.map_or(own_work, |parent| parent.work + own_work),
            median_time: self.median_time(&block.header),
            coinbase_outputs: block.txdata[0].output.clone(),
            transaction_count: block.txdata.len(),
            submitted,
            txids: block.txdata[1..].iter().map(Transaction::compute_txid).collect(),
            body: None,
        };
        self.size_bytes += block_sizes(&block).0;
        self.blocks.insert(hash, StoredBlock { body: Some(block), ..stored });
        hash
    }

    fn median_time(&self, header: &Header) -> u32 {
        let mut times = vec![header.time];
        let mut parent = self.blocks.get(&header.prev_blockhash);
        while let Some(stored) = parent.filter(|_| times.len() < 11) {
            times.push(stored.header.time);
            parent = self.blocks.get(&stored.header.prev_blockhash);
        }
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// A block of someone else on the tip, with two thirds of what a template holds now.
    pub(crate) fn mine_external(&mut self, now: u32) {
        let selected = self.mempool.selection();
        let taken = &selected[..selected.len() * 2 / 3];
        let transactions = taken.iter().map(|entry| entry.transaction.clone()).collect();
        let fees_sats = taken.iter().map(|entry| entry.fee_sats).sum();
        let block = self.assemble(transactions, fees_sats, now);
        self.connect_new(block);
        self.mempool.fill();
    }

    /// Replaces the last `depth` blocks by one more than that, all of someone else and without transactions.
    pub(crate) fn reorganise(&mut self, depth: u32, now: u32) {
        let depth = depth.min(self.height()).min(BLOCK_BODIES_KEPT);
        self.disconnect_to(self.height() - depth);
        for _ in 0..=depth {
            let block = self.assemble(Vec::new(), 0, now);
            self.connect_new(block);
        }
        self.mempool.fill();
    }

    fn connect_new(&mut self, block: Block) {
        let hash = self.store(block, self.height() + 1, false);
        self.connect(hash);
    }

    /// A block on the tip that pays a random script.
    fn assemble(&mut self, transactions: Vec<Transaction>, fees_sats: u64, now: u32) -> Block {
        let context = self.next_context(now);
        let wtxids = transactions.iter().map(|transaction| transaction.compute_wtxid().to_raw_hash());
        let commitment = witness_commitment(wtxids, &[0; 32]).to_byte_array();
        let coinbase = self.coinbase(&context, context.subsidy_sats + fees_sats, &commitment);
        let txdata: Vec<Transaction> = std::iter::once(coinbase).chain(transactions).collect();
        let leaves = txdata.iter().map(|transaction| transaction.compute_txid().to_raw_hash()).collect();
        let mut header = Header {
            version: Version::from_consensus(BLOCK_VERSION),
            prev_blockhash: self.tip(),
            merkle_root: merkle_root(leaves).0.into(),
            time: now.max(context.median_time_past + 1),
            bits: CompactTarget::from_consensus(context.bits),
            nonce: 0,
        };
        mine_if_easy(&mut header);
        Block { header, txdata }
    }

    fn coinbase(&mut self, context: &BlockContext, value_sats: u64, commitment: &[u8; 32]) -> Transaction {
        let script_sig = Builder::new()
            .push_int(i64::from(context.height))
            .push_slice(self.random.bytes::<8>())
            .push_slice(b"/simnode/")
            .into_script();
        let payout = [&[0x00, 20][..], &self.random.bytes::<20>()].concat();
        let commitment = [&WITNESS_COMMITMENT_PREFIX[..], commitment].concat();
        let output = |value_sats, script| TxOut {
            value: Amount::from_sat(value_sats),
            script_pubkey: ScriptBuf::from_bytes(script),
        };
        Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::from_consensus(context.height - 1),
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig,
                sequence: Sequence::ENABLE_LOCKTIME_NO_RBF,
                witness: Witness::from_slice(&[[0_u8; 32]]),
            }],
            output: vec![output(value_sats, payout), output(0, commitment)],
        }
    }
}

/// Gives a header real proof of work when that takes a few hundred hashes at most. Else the block has none: history
/// and blocks of others must cost nothing, whatever the difficulty of what is submitted.
fn mine_if_easy(header: &mut Header) {
    let target = header.target();
    if target.to_be_bytes()[0] == 0 {
        return;
    }
    while !target.is_met_by(header.block_hash()) {
        header.nonce = header.nonce.wrapping_add(1);
    }
}
