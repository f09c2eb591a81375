//! A regtest chain in Bitcoin Core's hands, and what Core says about a block.
//!
//! `process_block` alone is no verdict: it calls a block new whose coinbase overpays. What counts is the validation state
//! of every block that Core checked on the way, and the tip afterwards. Core gives the reason of a refusal to its log
//! only, so that is where it is read; a thread's own blocks are validated on that thread, so lines do not mix.

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use bitcoinkernel::prelude::*;
use bitcoinkernel::{
    Block, BlockValidationStateRef, ChainType, ChainstateManager, Context, ContextBuilder, Log, Logger,
    ProcessBlockResult, ValidationMode,
};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, Once, PoisonError};
use tempfile::TempDir;

/// What Core says about a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Valid, and the tip now. With it these blocks were validated to the last script, oldest first: itself, and in a
    /// reorganisation the blocks below it.
    Connected(Vec<BlockHash>),
    /// Valid as far as it was looked at, which is not its inputs: another block of its height is in the best chain.
    Aside,
    /// Known already.
    Duplicate,
    /// Invalid, for the reason in Core's words, such as `bad-cb-amount`.
    Refused(String),
}

/// A chain that Core validates.
pub struct Court {
    // The manager goes before its context, and both before the folder.
    manager: ChainstateManager,
    checked: Checked,
    _context: Context,
    _folder: TempDir,
}

/// Blocks that Core has checked in one call, and whether they are valid.
type Checked = Arc<Mutex<Vec<(BlockHash, bool)>>>;

thread_local! {
    /// The reason of the latest refusal on this thread.
    static REASON: RefCell<Option<String>> = const { RefCell::new(None) };
}

struct ReasonLog;

impl Log for ReasonLog {
    fn log(&self, message: &str) {
        if let Some(reason) = reason(message) {
            REASON.with(|slot| slot.replace(Some(reason.to_owned())));
        }
    }
}

/// Core's reason for a refusal, when the line holds one: `AcceptBlock FAILED (REASON, explanation)` for what is seen in
/// the block itself, `ConnectBlock HASH failed, REASON, explanation` for what is seen in its place in the chain.
fn reason(line: &str) -> Option<&str> {
    let accept = line.split_once("AcceptBlock FAILED (").map(|(_, rest)| rest.trim_end().trim_end_matches(')'));
    let connect = || line.split_once("ConnectBlock ").and_then(|(_, rest)| rest.split_once(" failed, "));
    let state = accept.or_else(|| connect().map(|(_, state)| state.trim_end()))?;
    Some(state.split(", ").next().unwrap_or(state))
}

fn listen_to_the_log() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let logger = Logger::new(ReasonLog).expect("Core's log can be listened to");
        // For as long as the process lives: chains of several tests share the one log.
        std::mem::forget(logger);
    });
}

impl Default for Court {
    fn default() -> Self {
        Self::new()
    }
}

impl Court {
    /// A chain of the genesis block alone.
    pub fn new() -> Self {
        listen_to_the_log();
        let checked = Checked::default();
        let note = Arc::clone(&checked);
        let context = ContextBuilder::new()
            .chain_type(ChainType::Regtest)
            .with_block_checked_validation(move |block: Block, state: BlockValidationStateRef<'_>| {
                let hash = BlockHash::from_byte_array(block.hash().to_bytes());
                let valid = state.mode() == ValidationMode::Valid;
                note.lock().unwrap_or_else(PoisonError::into_inner).push((hash, valid));
            })
            .build()
            .expect("Core's context");
        let folder = TempDir::with_prefix("warppool-judge-").expect("a folder for block files");
        let text = |name: &str| folder.path().join(name).to_str().expect("a path in UTF-8").to_owned();
        let manager = ChainstateManager::builder(&context, &text("data"), &text("data/blocks"))
            .expect("folders that Core can use")
            .worker_threads(0)
            .block_tree_db_in_memory(true)
            .chainstate_db_in_memory(true)
            .build()
            .expect("Core's chain state");
        manager.import_blocks().expect("the genesis block");
        checked.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Self { manager, checked, _context: context, _folder: folder }
    }

    /// Gives Core a block as `submitblock` would.
    pub fn judge(&self, block: &[u8]) -> Verdict {
        REASON.with(|slot| slot.replace(None));
        let Ok(block) = Block::new(block) else { return Verdict::Refused("cannot be decoded".to_owned()) };
        let hash = BlockHash::from_byte_array(block.hash().to_bytes());
        let result = self.manager.process_block(&block);
        let checked = std::mem::take(&mut *self.checked.lock().unwrap_or_else(PoisonError::into_inner));
        if result == ProcessBlockResult::Rejected || checked.iter().any(|(_, valid)| !valid) {
            let reason = REASON.with(|slot| slot.replace(None));
            return Verdict::Refused(reason.unwrap_or_else(|| "for a reason that Core did not log".to_owned()));
        }
        if result == ProcessBlockResult::Duplicate {
            return Verdict::Duplicate;
        }
        if self.tip() == hash {
            return Verdict::Connected(checked.into_iter().map(|(hash, _)| hash).collect());
        }
        Verdict::Aside
    }

    /// The tip of the best chain.
    pub fn tip(&self) -> BlockHash {
        BlockHash::from_byte_array(self.manager.active_chain().tip().block_hash().to_bytes())
    }

    /// Its height.
    pub fn height(&self) -> u32 {
        self.manager.active_chain().height() as u32
    }
}
