//! Found blocks after they were accepted: buried by further blocks, or pushed aside, or brought back.
//!
//! The chain is asked when the tip changes and at no other time, for each block that is not yet deep enough.

use super::Shared;
use super::rpc::{Header, RpcError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use warppool_components::block::BlockState;
use warppool_components::limits::{BLOCKS_FOLLOWED_MAX, CONFIRMATIONS_FOLLOWED};
use warppool_components::units::Hash256;

/// When no node could be asked.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Followed {
    hash: Hash256,
    /// What was told last.
    told: Option<BlockState>,
    /// Height of the tip when the block was first seen pushed aside.
    aside_since: Option<u32>,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    /// The tip changed, or a block was added that nothing is known of.
    look: bool,
    blocks: Vec<Followed>,
}

/// The blocks that are followed.
#[derive(Debug, Default)]
pub(super) struct FollowList {
    state: Mutex<State>,
    changed: Condvar,
}

impl FollowList {
    /// Follows a block from now on. `told` is the state that everybody knows already; without one, it is looked up
    /// at once.
    pub(super) fn add(&self, hash: Hash256, told: Option<BlockState>) {
        let mut state = self.lock();
        if state.blocks.iter().any(|block| block.hash == hash) {
            return;
        }
        if state.blocks.len() == BLOCKS_FOLLOWED_MAX {
            let oldest = state.blocks.remove(0);
            tracing::warn!(block = %oldest.hash, "{BLOCKS_FOLLOWED_MAX} blocks are followed; no longer this one");
        }
        state.look |= told.is_none();
        state.blocks.push(Followed { hash, told, aside_since: None });
        self.changed.notify_all();
    }

    /// The tip changed.
    pub(super) fn look(&self) {
        self.lock().look = true;
        self.changed.notify_all();
    }

    /// Ends the follower.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the blocks are to be looked up, at most so long; `None` ends the follower.
    fn next_round(&self, wait: Option<Duration>) -> Option<Vec<Hash256>> {
        let mut state = self.lock();
        while !state.stopped && !state.look {
            let (woken, timeout) = self
                .changed
                .wait_timeout(state, wait.unwrap_or(Duration::from_secs(3600)))
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if wait.is_some() && timeout.timed_out() {
                break;
            }
        }
        state.look = false;
        if state.stopped { None } else { Some(state.blocks.iter().map(|block| block.hash).collect()) }
    }

    /// Notes what the chain says of a block; its state when it is another one now.
    fn note(&self, hash: &Hash256, confirmations: i64, height: u32) -> Option<BlockState> {
        let mut state = self.lock();
        let index = state.blocks.iter().position(|block| block.hash == *hash)?;
        let block = &mut state.blocks[index];
        let (found, is_over) = judge(block, confirmations, height);
        let news = block.told.as_ref() != Some(&found);
        block.told = Some(found.clone());
        if is_over {
            state.blocks.remove(index);
        }
        news.then_some(found)
    }
}

/// The state of a block, and whether it need not be followed any more: deep enough, or aside for as long.
fn judge(block: &mut Followed, confirmations: i64, height: u32) -> (BlockState, bool) {
    match u32::try_from(confirmations) {
        Err(_) | Ok(0) => {
            let since = *block.aside_since.get_or_insert(height);
            (BlockState::Orphaned, height.saturating_sub(since) >= CONFIRMATIONS_FOLLOWED)
        }
        Ok(confirmations) => {
            block.aside_since = None;
            let state = if confirmations == 1 { BlockState::Accepted } else { BlockState::Confirmed(confirmations) };
            (state, confirmations >= CONFIRMATIONS_FOLLOWED)
        }
    }
}

/// Follows blocks until the pool stops.
pub(super) fn run(shared: &Shared) {
    let mut wait = None;
    while let Some(hashes) = shared.follow.next_round(wait) {
        let height = shared.source.height();
        let mut failed = false;
        for hash in hashes {
            match ask(shared, &hash) {
                Ok(Some(header)) => {
                    if let Some(state) = shared.follow.note(&hash, header.confirmations, height) {
                        shared.source.block(hash, state);
                    }
                }
                // A node that does not know the block says nothing about it.
                Ok(None) => {}
                Err(_) => failed = true,
            }
        }
        wait = failed.then_some(RETRY_INTERVAL);
    }
}

/// Asks the nodes one after the other, those that the pool follows first.
fn ask(shared: &Shared, hash: &Hash256) -> Result<Option<Header>, RpcError> {
    let mut outcome = Err(RpcError::Empty { method: "getblockheader" });
    for node in shared.source.nodes_to_ask() {
        match shared.nodes[node].rpc.block_header(hash) {
            Ok(Some(header)) => return Ok(Some(header)),
            Ok(None) => outcome = Ok(None),
            Err(error) => outcome = outcome.or(Err(error)),
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use BlockState::{Accepted, Confirmed, Orphaned};

    const HASH: Hash256 = Hash256::from_internal([9; 32]);

    #[test]
    fn a_block_is_buried_pushed_aside_and_brought_back() {
        let list = FollowList::default();
        list.add(HASH, Some(Accepted));
        let steps = [
            (1, None),
            (2, Some(Confirmed(2))),
            (2, None),
            (-1, Some(Orphaned)),
            (-1, None),
            (1, Some(Accepted)),
            (99, Some(Confirmed(99))),
            (100, Some(Confirmed(100))),
            (101, None),
        ];
        for (confirmations, expected) in steps {
            assert_eq!(list.note(&HASH, confirmations, 500), expected, "{confirmations}");
        }
        assert!(list.lock().blocks.is_empty());
    }

    #[test]
    fn a_block_that_stays_aside_is_let_go() {
        let list = FollowList::default();
        list.add(HASH, None);
        assert_eq!(list.note(&HASH, -1, 500), Some(Orphaned));
        assert_eq!(list.note(&HASH, -1, 599), None);
        assert_eq!(list.lock().blocks.len(), 1);
        assert_eq!(list.note(&HASH, -1, 600), None);
        assert!(list.lock().blocks.is_empty());
    }

    #[test]
    fn the_list_is_bounded_and_knows_a_block_once() {
        let list = FollowList::default();
        for number in 0..BLOCKS_FOLLOWED_MAX as u64 + 5 {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            list.add(Hash256::from_internal(bytes), None);
            list.add(Hash256::from_internal(bytes), None);
        }
        assert_eq!(list.lock().blocks.len(), BLOCKS_FOLLOWED_MAX);
    }
}
