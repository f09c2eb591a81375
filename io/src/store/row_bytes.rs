//! The bytes of the store's rows, for the fuzzer, which makes them up. Only there with the feature `fuzzing`; nothing of the
//! pool goes this way.

use super::aggregate::Aggregate;
use super::error::Malformed;
use super::{chunk, codec};
use warppool_components::record::{BlockRow, PoolTotalsRow, ShareRow, WorkerRow};
use warppool_components::units::Hash256;

/// A worker's value.
///
/// # Errors
/// [`Malformed`], as for all functions here, for bytes that the store did not write.
pub fn decode_worker(id: u32, value: &[u8]) -> Result<WorkerRow, Malformed> {
    codec::decode_worker(id, value)
}

/// The opposite of [`decode_worker`].
///
/// # Errors
/// See [`decode_worker`].
pub fn encode_worker(row: &WorkerRow) -> Result<Vec<u8>, Malformed> {
    codec::encode_worker(row)
}

/// A block's value, and whether a node ever accepted it.
///
/// # Errors
/// See [`decode_worker`].
pub fn decode_block(height: u32, hash: Hash256, value: &[u8]) -> Result<(BlockRow, bool), Malformed> {
    codec::decode_block(height, hash, value).map(|stored| (stored.row, stored.accepted_once))
}

/// The opposite of [`decode_block`].
///
/// # Errors
/// See [`decode_worker`].
pub fn encode_block(row: &BlockRow, accepted_once: bool) -> Result<Vec<u8>, Malformed> {
    codec::encode_block(row, accepted_once)
}

/// The pool's sums.
///
/// # Errors
/// See [`decode_worker`].
pub fn decode_pool_totals(value: &[u8]) -> Result<PoolTotalsRow, Malformed> {
    codec::decode_pool_totals(value)
}

/// The opposite of [`decode_pool_totals`].
///
/// # Errors
/// See [`decode_worker`].
pub fn encode_pool_totals(row: &PoolTotalsRow) -> Result<Vec<u8>, Malformed> {
    codec::encode_pool_totals(row)
}

/// The shares of a chunk.
///
/// # Errors
/// See [`decode_worker`].
pub fn decode_shares(bucket: u64, value: &[u8]) -> Result<Vec<ShareRow>, Malformed> {
    chunk::rows(bucket, value).map(Iterator::collect)
}

/// The opposite of [`decode_shares`], for rows of this bucket alone.
pub fn encode_shares(bucket: u64, rows: &[ShareRow]) -> Vec<u8> {
    let mut value = Vec::new();
    chunk::pack(bucket, rows, &mut value);
    value
}

/// The bucket that a share belongs to.
pub fn bucket_of(row: &ShareRow) -> u64 {
    chunk::bucket(row)
}

/// A sum of shares, read and written again.
///
/// # Errors
/// See [`decode_worker`].
pub fn sum_written_again(value: &[u8]) -> Result<Vec<u8>, Malformed> {
    Aggregate::decode(value).map(|sum| sum.encode().to_vec())
}
