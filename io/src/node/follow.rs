//! Found blocks after they were accepted: buried by further blocks, or pushed aside, or brought back. Pure.
//!
//! The chain is asked when the tip changes and at no other time, for each block that is not yet deep enough.

use super::question::{Next, Outcome, Question, Reply};
use super::source::Source;
use std::collections::VecDeque;
use std::time::Duration;
use warppool_components::block::BlockState;
use warppool_components::limits::{BLOCKS_FOLLOWED_MAX, CONFIRMATIONS_FOLLOWED};
use warppool_components::units::{Hash256, Instant};

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

/// The blocks that are followed.
#[derive(Debug, Default)]
pub(super) struct Follow {
    /// The tip changed, or a block was added that nothing is known of.
    look: bool,
    retry_at: Option<Instant>,
    blocks: Vec<Followed>,
    round: Option<Round>,
}

/// One look at all blocks, one after the other.
#[derive(Debug)]
struct Round {
    /// Of the tip when it began.
    height: u32,
    /// Some block could be asked of nobody.
    failed: bool,
    open: VecDeque<Hash256>,
    asked: Option<Asked>,
}

/// A block that nodes are being asked about, those first that the pool follows.
#[derive(Debug)]
struct Asked {
    hash: Hash256,
    nodes: VecDeque<usize>,
    was_answered: bool,
}

impl Follow {
    /// Follows a block from now on. `told` is the state that everybody knows already; without one, it is looked up
    /// at once.
    pub(super) fn add(&mut self, hash: Hash256, told: Option<BlockState>) {
        if let Some(block) = self.blocks.iter_mut().find(|block| block.hash == hash) {
            // Else a chain that takes it back would be no news.
            block.told = told.or(block.told.take());
            return;
        }
        if self.blocks.len() == BLOCKS_FOLLOWED_MAX {
            let oldest = self.blocks.remove(0);
            tracing::warn!(block = %oldest.hash, "{BLOCKS_FOLLOWED_MAX} blocks are followed; no longer this one");
        }
        self.look |= told.is_none();
        self.blocks.push(Followed { hash, told, aside_since: None });
    }

    /// The tip changed.
    pub(super) const fn look(&mut self) {
        self.look = true;
    }

    /// Whom to ask about which block, while no question is open.
    pub(super) fn next(&mut self, source: &Source, now: Instant) -> Next {
        loop {
            let Some(round) = &mut self.round else {
                if !self.look && self.retry_at.is_none_or(|at| at > now) {
                    return Next::Wait(self.retry_at);
                }
                self.begin(source);
                continue;
            };
            let Some(asked) = &round.asked else {
                let Some(hash) = round.open.pop_front() else {
                    self.retry_at = round.failed.then(|| now + RETRY_INTERVAL);
                    self.round = None;
                    continue;
                };
                round.asked = Some(Asked { hash, nodes: source.nodes_to_ask().into(), was_answered: false });
                continue;
            };
            match asked.nodes.front() {
                Some(node) => return Next::Ask(*node, Question::BlockHeader(asked.hash)),
                None => {
                    // A node that does not know the block says nothing about it.
                    round.failed |= !asked.was_answered;
                    round.asked = None;
                }
            }
        }
    }

    fn begin(&mut self, source: &Source) {
        (self.look, self.retry_at) = (false, None);
        let open = self.blocks.iter().map(|block| block.hash).collect();
        self.round = Some(Round { height: source.height(), failed: false, open, asked: None });
    }

    /// How the question ended; the block's state when it is another one now.
    pub(super) fn answered(&mut self, outcome: Outcome) -> Option<(Hash256, BlockState)> {
        let round = self.round.as_mut()?;
        let (asked, height) = (round.asked.as_mut()?, round.height);
        asked.nodes.pop_front();
        match outcome {
            Ok(Reply::Header(Some(header))) => {
                let hash = asked.hash;
                round.asked = None;
                let state = self.note(&hash, header.confirmations, height)?;
                Some((hash, state))
            }
            Ok(_) => {
                asked.was_answered = true;
                None
            }
            Err(_) => None,
        }
    }

    /// Notes what the chain says of a block; its state when it is another one now.
    fn note(&mut self, hash: &Hash256, confirmations: i64, height: u32) -> Option<BlockState> {
        let index = self.blocks.iter().position(|block| block.hash == *hash)?;
        let block = &mut self.blocks[index];
        let (found, is_over) = judge(block, confirmations, height);
        let news = block.told.as_ref() != Some(&found);
        block.told = Some(found.clone());
        if is_over {
            self.blocks.remove(index);
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

#[cfg(test)]
mod tests {
    use super::*;
    use BlockState::{Accepted, Confirmed, Orphaned};

    const HASH: Hash256 = Hash256::from_internal([9; 32]);

    #[test]
    fn a_block_is_buried_pushed_aside_and_brought_back() {
        let mut list = Follow::default();
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
        assert!(list.blocks.is_empty());
    }

    #[test]
    fn a_block_that_stays_aside_is_let_go() {
        let mut list = Follow::default();
        list.add(HASH, None);
        assert_eq!(list.note(&HASH, -1, 500), Some(Orphaned));
        assert_eq!(list.note(&HASH, -1, 599), None);
        assert_eq!(list.blocks.len(), 1);
        assert_eq!(list.note(&HASH, -1, 600), None);
        assert!(list.blocks.is_empty());
    }

    #[test]
    fn a_block_that_a_node_took_after_all_may_be_pushed_aside_again() {
        let mut list = Follow::default();
        list.add(HASH, Some(Orphaned));
        list.add(HASH, Some(Accepted));
        assert_eq!(list.note(&HASH, -1, 500), Some(Orphaned), "everybody thinks that it is accepted");
    }

    #[test]
    fn the_list_is_bounded_and_knows_a_block_once() {
        let mut list = Follow::default();
        for number in 0..BLOCKS_FOLLOWED_MAX as u64 + 5 {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            list.add(Hash256::from_internal(bytes), None);
            list.add(Hash256::from_internal(bytes), None);
        }
        assert_eq!(list.blocks.len(), BLOCKS_FOLLOWED_MAX);
    }
}
