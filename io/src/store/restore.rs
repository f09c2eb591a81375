//! What the engine gets back at start.

use super::codec;
use super::error::StoreError;
use super::journal;
use super::migrate::meta_number;
use super::tables::{BLOCKS, JOURNAL, META, POOL_TOTALS, WORKER_ID_MAX, WORKERS};
use redb::{Database, ReadableDatabase, ReadableTable};
use std::sync::Arc;
use warppool_components::limits::BLOCKS_IN_SNAPSHOT_MAX;
use warppool_components::record::{BlockRow, PoolTotalsRow, Restored, WorkerRow};
use warppool_components::units::UnixTime;

/// Reads all that is known. A row that cannot be read is left where it is and logged: the pool has to start.
pub(super) fn read(database: &Database, now: UnixTime) -> Result<Restored, StoreError> {
    let (blocks, blocks_found) = read_blocks(database, now)?;
    let workers = read_workers(database)?;
    let totals = read_pool_totals(database)?;
    let worker_id_max = read_worker_id_max(database)?;
    Ok(Restored { workers, totals, blocks, blocks_found, worker_id_max })
}

/// All saved workers, by number.
pub(super) fn read_workers(database: &Database) -> Result<Vec<WorkerRow>, StoreError> {
    let table = database.begin_read()?.open_table(WORKERS)?;
    let mut workers = Vec::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        let id = u32::from_be_bytes(*key.value());
        match codec::decode_worker(id, value.value()) {
            Ok(row) => workers.push(row),
            Err(error) => tracing::error!(worker = id, %error, "a saved worker cannot be read and is left out"),
        }
    }
    Ok(workers)
}

/// The sums of the pool; `None` in a store of a version that did not write them.
fn read_pool_totals(database: &Database) -> Result<Option<PoolTotalsRow>, StoreError> {
    let meta = database.begin_read()?.open_table(META)?;
    let Some(value) = meta.get(POOL_TOTALS)? else { return Ok(None) };
    match codec::decode_pool_totals(value.value()) {
        Ok(totals) => Ok(Some(totals)),
        Err(error) => {
            tracing::error!(%error, "the pool's sums cannot be read; those of the saved workers stand in for them");
            Ok(None)
        }
    }
}

/// The largest worker number ever written, also of workers that are forgotten.
pub(super) fn read_worker_id_max(database: &Database) -> Result<u32, StoreError> {
    let meta = database.begin_read()?.open_table(META)?;
    Ok(u32::try_from(meta_number(&meta, WORKER_ID_MAX)?).unwrap_or(u32::MAX))
}

/// The newest blocks and all that are not final, newest first, and how many were ever accepted.
fn read_blocks(database: &Database, now: UnixTime) -> Result<(Vec<BlockRow>, u64), StoreError> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(BLOCKS)?;
    let bytes = transaction.open_table(JOURNAL)?;
    let (mut blocks, mut found) = (Vec::new(), 0);
    for (place, entry) in table.iter()?.rev().enumerate() {
        let (key, value) = entry?;
        let mut stored = match journal::read(key.value(), value.value()) {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(%error, "a block is left out");
                continue;
            }
        };
        found += u64::from(stored.accepted_once);
        let followed = !journal::is_final(&stored.row, now);
        if followed {
            stored.row.raw = bytes.get(key.value())?.map(|raw| Arc::from(raw.value()));
        }
        if followed || place < BLOCKS_IN_SNAPSHOT_MAX {
            blocks.push(stored.row);
        }
    }
    Ok((blocks, found))
}
