//! Workers, blocks and the pool's sums as bytes: the only place that knows bincode.
//!
//! A value is a version byte and then the fields of the structure of that version in order: integers of fixed
//! width, little-endian; text and lists with a length of eight bytes; an option with one byte 0 or 1 before it.
//! A change of a structure is a new structure with a new version byte; the old one stays readable.
//! docs/decisions/0001-bincode-in-one-module.md says why bincode, and what replaces it.

use super::error::Malformed;
use bincode::config;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use warppool_components::block::BlockState;
use warppool_components::limits::STORE_TEXT_BYTES_MAX;
use warppool_components::record::{BlockRow, PoolTotalsRow, WorkerRow};
use warppool_components::reject::{Reject, RejectCounts};
use warppool_components::units::{Hash256, Sats, UnixTime};
use warppool_components::worker::WorkerId;

const WORKER_VERSION: u8 = 1;
const BLOCK_VERSION: u8 = 1;
const POOL_TOTALS_VERSION: u8 = 1;

/// No row is longer; a length beyond it in a damaged value must not become an allocation.
const ROW_BYTES_MAX: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct WorkerV1<'a> {
    address: Cow<'a, str>,
    name: Cow<'a, str>,
    first_seen_ms: u64,
    last_seen_ms: u64,
    user_agent: Cow<'a, str>,
    accepted: u64,
    accepted_difficulty: f64,
    rejected: Cow<'a, [u64]>,
    best_ever: f64,
    last_share_at_ms: Option<u64>,
    blocks_found: u32,
    difficulty: Option<f64>,
    hashes_per_second: f64,
}

#[derive(Serialize, Deserialize)]
struct BlockV1<'a> {
    state: u8,
    confirmations: u32,
    reason: Cow<'a, str>,
    accepted_once: bool,
    found_at_ms: u64,
    worker: u32,
    worker_label: Cow<'a, str>,
    address: Cow<'a, str>,
    payout_sats: u64,
    coinbase_value_sats: u64,
    share_difficulty: f64,
    network_difficulty: f64,
}

#[derive(Serialize, Deserialize)]
struct PoolTotalsV1<'a> {
    accepted: u64,
    accepted_difficulty: f64,
    rejected: Cow<'a, [u64]>,
    best_ever: f64,
}

/// The sums of the pool.
pub(super) fn encode_pool_totals(row: &PoolTotalsRow) -> Result<Vec<u8>, Malformed> {
    let fields = PoolTotalsV1 {
        accepted: row.accepted,
        accepted_difficulty: row.accepted_difficulty,
        rejected: Cow::Borrowed(&row.rejected),
        best_ever: row.best_ever,
    };
    encode(POOL_TOTALS_VERSION, &fields)
}

/// The opposite of [`encode_pool_totals`].
pub(super) fn decode_pool_totals(value: &[u8]) -> Result<PoolTotalsRow, Malformed> {
    let fields: PoolTotalsV1<'static> = decode(POOL_TOTALS_VERSION, value)?;
    Ok(PoolTotalsRow {
        accepted: fields.accepted,
        accepted_difficulty: fields.accepted_difficulty,
        rejected: reject_counts(&fields.rejected)?,
        best_ever: fields.best_ever,
    })
}

/// A worker's row without its number, which is the key.
pub(super) fn encode_worker(row: &WorkerRow) -> Result<Vec<u8>, Malformed> {
    let fields = WorkerV1 {
        address: cut(&row.address),
        name: cut(&row.name),
        first_seen_ms: row.first_seen.millis(),
        last_seen_ms: row.last_seen.millis(),
        user_agent: cut(&row.user_agent),
        accepted: row.accepted,
        accepted_difficulty: row.accepted_difficulty,
        rejected: Cow::Borrowed(&row.rejected),
        best_ever: row.best_ever,
        last_share_at_ms: row.last_share_at.map(UnixTime::millis),
        blocks_found: row.blocks_found,
        difficulty: row.difficulty,
        hashes_per_second: row.hashes_per_second,
    };
    encode(WORKER_VERSION, &fields)
}

/// The worker `id` from its value.
pub(super) fn decode_worker(id: u32, value: &[u8]) -> Result<WorkerRow, Malformed> {
    let fields: WorkerV1<'static> = decode(WORKER_VERSION, value)?;
    Ok(WorkerRow {
        id: WorkerId(id),
        address: fields.address.into(),
        name: fields.name.into(),
        first_seen: UnixTime::from_millis(fields.first_seen_ms),
        last_seen: UnixTime::from_millis(fields.last_seen_ms),
        user_agent: fields.user_agent.into(),
        accepted: fields.accepted,
        accepted_difficulty: fields.accepted_difficulty,
        rejected: reject_counts(&fields.rejected)?,
        best_ever: fields.best_ever,
        last_share_at: fields.last_share_at_ms.map(UnixTime::from_millis),
        blocks_found: fields.blocks_found,
        difficulty: fields.difficulty,
        hashes_per_second: fields.hashes_per_second,
    })
}

/// A block as stored: its row, and whether a node ever accepted it.
pub(super) struct StoredBlock {
    /// The row; `raw` is always `None`, it lives in the journal.
    pub(super) row: BlockRow,
    /// It was accepted or confirmed at some time, even if it was orphaned later.
    pub(super) accepted_once: bool,
}

/// A block's row without height and hash, which are the key, and without `raw`.
pub(super) fn encode_block(row: &BlockRow, accepted_once: bool) -> Result<Vec<u8>, Malformed> {
    let (state, confirmations, reason) = match &row.state {
        BlockState::Pending => (0, 0, ""),
        BlockState::Accepted => (1, 0, ""),
        BlockState::Confirmed(count) => (2, *count, ""),
        BlockState::Orphaned => (3, 0, ""),
        BlockState::Rejected(reason) => (4, 0, reason.as_str()),
    };
    let fields = BlockV1 {
        state,
        confirmations,
        reason: cut(reason),
        accepted_once,
        found_at_ms: row.found_at.millis(),
        worker: row.worker.0,
        worker_label: cut(&row.worker_label),
        address: cut(&row.address),
        payout_sats: row.payout.0,
        coinbase_value_sats: row.coinbase_value.0,
        share_difficulty: row.share_difficulty,
        network_difficulty: row.network_difficulty,
    };
    encode(BLOCK_VERSION, &fields)
}

/// The block of `height` and `hash` from its value.
pub(super) fn decode_block(height: u32, hash: Hash256, value: &[u8]) -> Result<StoredBlock, Malformed> {
    let fields: BlockV1<'static> = decode(BLOCK_VERSION, value)?;
    let state = match fields.state {
        0 => BlockState::Pending,
        1 => BlockState::Accepted,
        2 => BlockState::Confirmed(fields.confirmations),
        3 => BlockState::Orphaned,
        4 => BlockState::Rejected(fields.reason.into_owned()),
        other => return Err(Malformed::Field(format!("state {other} of the block is unknown"))),
    };
    let row = BlockRow {
        hash,
        height,
        state,
        found_at: UnixTime::from_millis(fields.found_at_ms),
        worker: WorkerId(fields.worker),
        worker_label: fields.worker_label.into(),
        address: fields.address.into(),
        payout: Sats(fields.payout_sats),
        coinbase_value: Sats(fields.coinbase_value_sats),
        share_difficulty: fields.share_difficulty,
        network_difficulty: fields.network_difficulty,
        raw: None,
    };
    Ok(StoredBlock { row, accepted_once: fields.accepted_once })
}

fn encode(version: u8, fields: &impl Serialize) -> Result<Vec<u8>, Malformed> {
    let mut value = vec![version];
    bincode::serde::encode_into_std_write(fields, &mut value, config::legacy())
        .map_err(|error| Malformed::Field(error.to_string()))?;
    Ok(value)
}

fn decode<T: DeserializeOwned>(known: u8, value: &[u8]) -> Result<T, Malformed> {
    let (&version, fields) = value.split_first().ok_or(Malformed::Length(0))?;
    if version != known {
        return Err(Malformed::Version(version));
    }
    let (row, read) = bincode::serde::decode_from_slice(fields, config::legacy().with_limit::<ROW_BYTES_MAX>())
        .map_err(|error| Malformed::Field(error.to_string()))?;
    if read == fields.len() { Ok(row) } else { Err(Malformed::Length(value.len())) }
}

/// Causes added later count from 0 in older rows; more causes than known are refused.
fn reject_counts(stored: &[u64]) -> Result<RejectCounts, Malformed> {
    let mut counts = RejectCounts::default();
    let known = counts
        .get_mut(..stored.len())
        .ok_or_else(|| Malformed::Field(format!("{} causes of rejection, {} known", stored.len(), Reject::COUNT)))?;
    known.copy_from_slice(stored);
    Ok(counts)
}

/// The text as far as it may be stored, cut between characters.
fn cut(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(&text[..text.floor_char_boundary(STORE_TEXT_BYTES_MAX)])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block_row, worker_row};
    use super::*;

    #[test]
    fn rows_come_back_as_they_went_in() {
        let worker = WorkerRow { difficulty: Some(512.5), ..worker_row(7, "bc1q", "rig1") };
        let value = encode_worker(&worker).expect("encodes");
        assert_eq!(decode_worker(7, &value), Ok(worker));

        let states = [
            BlockState::Pending,
            BlockState::Accepted,
            BlockState::Confirmed(17),
            BlockState::Orphaned,
            BlockState::Rejected("bad-cb-amount".to_owned()),
        ];
        for state in states {
            let row = BlockRow { state, raw: None, ..block_row(840_000, 3) };
            let value = encode_block(&row, true).expect("encodes");
            let stored = decode_block(row.height, row.hash, &value).expect("decodes");
            assert!(stored.accepted_once);
            assert_eq!(stored.row, row);
        }
    }

    #[test]
    fn the_bytes_of_a_worker_are_those_of_the_description() {
        let value = encode_worker(&worker_row(7, "bc1q", "rig1")).expect("encodes");
        let mut expected = vec![1];
        for text in ["bc1q", "rig1"] {
            expected.extend_from_slice(&4u64.to_le_bytes());
            expected.extend_from_slice(text.as_bytes());
        }
        expected.extend_from_slice(&1_000_000u64.to_le_bytes());
        expected.extend_from_slice(&2_000_000u64.to_le_bytes());
        expected.extend_from_slice(&6u64.to_le_bytes());
        expected.extend_from_slice(b"bitaxe");
        expected.extend_from_slice(&5u64.to_le_bytes());
        expected.extend_from_slice(&1280f64.to_le_bytes());
        expected.extend_from_slice(&12u64.to_le_bytes());
        (1..=12u64).for_each(|count| expected.extend_from_slice(&count.to_le_bytes()));
        expected.extend_from_slice(&4096f64.to_le_bytes());
        expected.push(1);
        expected.extend_from_slice(&1_500_000u64.to_le_bytes());
        expected.extend_from_slice(&2u32.to_le_bytes());
        expected.push(0);
        expected.extend_from_slice(&1e12f64.to_le_bytes());
        assert_eq!(value, expected);
    }

    #[test]
    fn damaged_values_are_refused_and_never_panic() {
        let value = encode_worker(&worker_row(7, "bc1q", "rig1")).expect("encodes");
        for length in 0..value.len() {
            assert!(decode_worker(7, &value[..length]).is_err(), "{length} bytes were taken for a worker");
        }
        let mut longer = value.clone();
        longer.push(0);
        assert_eq!(decode_worker(7, &longer), Err(Malformed::Length(longer.len())));
        let mut newer = value.clone();
        newer[0] = 9;
        assert_eq!(decode_worker(7, &newer), Err(Malformed::Version(9)));
        let mut endless = value;
        endless[1..9].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(decode_worker(7, &endless), Err(Malformed::Field(_))));
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let reason = "ü".repeat(STORE_TEXT_BYTES_MAX);
        let row = BlockRow { state: BlockState::Rejected(reason), ..block_row(1, 1) };
        let value = encode_block(&row, false).expect("encodes");
        let stored = decode_block(row.height, row.hash, &value).expect("decodes");
        assert_eq!(stored.row.state, BlockState::Rejected("ü".repeat(STORE_TEXT_BYTES_MAX / 2)));
    }
}
