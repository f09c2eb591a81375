//! Found blocks: their rows, and their bytes for as long as their state is not final.

use super::codec::{self, StoredBlock};
use super::error::StoreError;
use super::tables::{BLOCKS, BlockKey, JOURNAL, block_key, block_of, damaged};
use redb::{ReadableTable, WriteTransaction};
use warppool_components::block::BlockState;
use warppool_components::limits::{CONFIRMATIONS_FOLLOWED, ORPHANED_BLOCK_FOLLOWED_SECONDS, STORE_PRUNED_PER_STEP_MAX};
use warppool_components::record::BlockRow;
use warppool_components::units::UnixTime;

/// Whether nothing more is expected to happen to a block, so that its bytes are not needed again.
pub(super) fn is_final(row: &BlockRow, now: UnixTime) -> bool {
    match &row.state {
        BlockState::Pending | BlockState::Accepted => false,
        BlockState::Confirmed(count) => *count >= CONFIRMATIONS_FOLLOWED,
        BlockState::Orphaned => row.found_at.seconds() + ORPHANED_BLOCK_FOLLOWED_SECONDS <= now.seconds(),
        BlockState::Rejected(_) => true,
    }
}

/// Writes rows in their order, the bytes of each before its row.
pub(super) fn write(transaction: &WriteTransaction, rows: &[BlockRow], now: UnixTime) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut journal = transaction.open_table(JOURNAL)?;
    let mut blocks = transaction.open_table(BLOCKS)?;
    for row in rows {
        let key = block_key(row.height, row.hash);
        if is_final(row, now) {
            journal.remove(&key)?;
        } else if let Some(raw) = &row.raw {
            journal.insert(&key, &**raw)?;
        }
        let accepted_before = match blocks.get(&key)? {
            // A row that cannot be read is replaced; whether it was accepted once is then unknown.
            Some(value) => read(&key, value.value()).is_ok_and(|stored| stored.accepted_once),
            None => false,
        };
        let accepted_once = accepted_before || matches!(row.state, BlockState::Accepted | BlockState::Confirmed(_));
        let value = codec::encode_block(row, accepted_once).map_err(|error| damaged("blocks", &key, error))?;
        blocks.insert(&key, value.as_slice())?;
    }
    Ok(())
}

/// A stored block.
pub(super) fn read(key: &BlockKey, value: &[u8]) -> Result<StoredBlock, StoreError> {
    let (height, hash) = block_of(key);
    codec::decode_block(height, hash, value).map_err(|error| damaged("blocks", key, error))
}

/// Removes the bytes of orphaned blocks that are no longer followed. Returns how many.
pub(super) fn prune(transaction: &WriteTransaction, now: UnixTime) -> Result<usize, StoreError> {
    let mut journal = transaction.open_table(JOURNAL)?;
    let blocks = transaction.open_table(BLOCKS)?;
    let mut done = Vec::new();
    for entry in journal.iter()? {
        let (key, _) = entry?;
        let row = blocks.get(key.value())?.and_then(|value| read(key.value(), value.value()).ok());
        if row.is_some_and(|stored| is_final(&stored.row, now)) {
            done.push(*key.value());
        }
        if done.len() == STORE_PRUNED_PER_STEP_MAX {
            break;
        }
    }
    for key in &done {
        journal.remove(key)?;
    }
    Ok(done.len())
}
