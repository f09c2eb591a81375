//! At open: shares that a crash left out of the sums are added to them.

use super::aggregate::OpenBuckets;
use super::chunk;
use super::codec;
use super::error::StoreError;
use super::migrate::meta_number;
use super::tables::{self, COMMIT_SEQUENCE, META, SHARES, SUMMED_SEQUENCE, UNSUMMED_BUCKET, WORKERS, chunk_key};
use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};
use std::collections::BTreeMap;
use warppool_components::record::{ShareRow, WorkerRow};

/// Brings rows of workers and buckets up to the last commit, in one durable commit of its own. Nothing to do after a clean stop.
pub(super) fn run(database: &Database) -> Result<(), StoreError> {
    let Some((summed, bucket)) = behind(database)? else { return Ok(()) };
    let shares = read_shares(database, summed, bucket)?;
    tracing::info!(shares = shares.len(), "shares of the last seconds before a crash are added to the sums");
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    OpenBuckets::default().write(&transaction, &shares)?;
    add_to_workers(&transaction, &shares)?;
    {
        let mut meta = transaction.open_table(META)?;
        let sequence = meta_number(&meta, COMMIT_SEQUENCE)?;
        meta.insert(SUMMED_SEQUENCE, sequence.to_le_bytes().as_slice())?;
    }
    transaction.commit()?;
    Ok(())
}

/// The last commit that is in the sums and the first bucket with shares that are not, if there are any. A store that knows no
/// such number has all of them in.
fn behind(database: &Database) -> Result<Option<(u64, u64)>, StoreError> {
    let meta = database.begin_read()?.open_table(META)?;
    if meta.get(SUMMED_SEQUENCE)?.is_none() {
        return Ok(None);
    }
    let summed = meta_number(&meta, SUMMED_SEQUENCE)?;
    let bucket = meta_number(&meta, UNSUMMED_BUCKET)?;
    Ok((summed < meta_number(&meta, COMMIT_SEQUENCE)?).then_some((summed, bucket)))
}

/// Shares of the commits after `summed`, in the order in which they came.
fn read_shares(database: &Database, summed: u64, bucket: u64) -> Result<Vec<ShareRow>, StoreError> {
    let table = database.begin_read()?.open_table(SHARES)?;
    let mut chunks = BTreeMap::<[u8; 12], Vec<ShareRow>>::new();
    for entry in table.range::<&tables::ChunkKey>(&chunk_key(bucket, 0, 0)..)? {
        let (key, value) = entry?;
        let (bucket, place) = (tables::bucket_of(key.value()), tables::place_of(key.value()));
        if tables::bucket_of(&place) <= summed {
            continue;
        }
        match chunk::rows(bucket, value.value()) {
            Ok(rows) => drop(chunks.insert(place, rows.collect())),
            Err(error) => tracing::error!(bucket, %error, "shares cannot be read and are left out of the sums"),
        }
    }
    Ok(chunks.into_values().flatten().collect())
}

fn add_to_workers(transaction: &WriteTransaction, shares: &[ShareRow]) -> Result<(), StoreError> {
    let mut table = transaction.open_table(WORKERS)?;
    let mut by_worker = BTreeMap::<u32, Vec<&ShareRow>>::new();
    shares.iter().for_each(|share| by_worker.entry(share.worker.0).or_default().push(share));
    for (id, shares) in by_worker {
        let key = id.to_be_bytes();
        let Some(found) = table.get(&key)?.map(|value| codec::decode_worker(id, value.value())) else { continue };
        let mut row = match found {
            Ok(row) => row,
            Err(error) => {
                tracing::error!(worker = id, %error, "a saved worker cannot be read and is left as it is");
                continue;
            }
        };
        shares.into_iter().for_each(|share| count(&mut row, share));
        let value = codec::encode_worker(&row).map_err(|error| tables::damaged("workers", &key, error))?;
        table.insert(&key, value.as_slice())?;
    }
    Ok(())
}

/// One share more of a worker, as the engine counted it.
fn count(row: &mut WorkerRow, share: &ShareRow) {
    row.last_seen = row.last_seen.max(share.at);
    match share.reject {
        None => {
            row.accepted += 1;
            row.accepted_difficulty += share.difficulty;
            row.best_ever = row.best_ever.max(share.reached);
            row.last_share_at = Some(share.at);
        }
        Some(cause) => {
            // A cause that this program does not know has no place among the sums.
            if let Some(sum) = row.rejected.get_mut(usize::from(cause)) {
                *sum = sum.saturating_add(u64::from(share.count));
            }
        }
    }
}
