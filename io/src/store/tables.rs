//! The tables and their keys. Keys are big-endian, so that the order of bytes is the order of time; STORE.md
//! describes every table byte by byte.

use super::error::{Malformed, StoreError};
use redb::TableDefinition;
use warppool_components::units::Hash256;

/// Numbers of the store about itself.
pub(super) const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
/// Text kept for other parts of the program.
pub(super) const SETTINGS: TableDefinition<'static, &str, &str> = TableDefinition::new("settings");
/// Workers by number.
pub(super) const WORKERS: TableDefinition<'static, &[u8; 4], &[u8]> = TableDefinition::new("workers");
/// Raw shares, packed, by five-minute bucket, commit and place in it.
pub(super) const SHARES: TableDefinition<'static, &ChunkKey, &[u8]> = TableDefinition::new("shares");
/// Found blocks by height and hash.
pub(super) const BLOCKS: TableDefinition<'static, &BlockKey, &[u8]> = TableDefinition::new("blocks");
/// Bytes of found blocks that are not final, by the same key.
pub(super) const JOURNAL: TableDefinition<'static, &BlockKey, &[u8]> = TableDefinition::new("block_journal");

/// A table of aggregates per worker.
pub(super) type WorkerBuckets = TableDefinition<'static, &'static WorkerBucketKey, &'static [u8]>;
/// A table of aggregates of the pool.
pub(super) type PoolBuckets = TableDefinition<'static, &'static [u8; 8], &'static [u8]>;

/// Bucket start in seconds (8 bytes), commit sequence (8), place in the commit (4).
pub(super) type ChunkKey = [u8; 20];
/// Bucket start in seconds (8 bytes), worker (4).
pub(super) type WorkerBucketKey = [u8; 12];
/// Height (4 bytes), hash in display order (32).
pub(super) type BlockKey = [u8; 36];

/// Format version of the whole store, u32.
pub(super) const FORMAT_VERSION: &str = "format_version";
/// Number of the last commit of the writer, u64.
pub(super) const COMMIT_SEQUENCE: &str = "commit_sequence";
/// Number of the last commit whose shares are in the sums, u64.
pub(super) const SUMMED_SEQUENCE: &str = "summed_sequence";
/// First bucket with shares that are not, u64; of no meaning when there are none.
pub(super) const UNSUMMED_BUCKET: &str = "unsummed_bucket";
/// Largest worker number ever written, u32.
pub(super) const WORKER_ID_MAX: &str = "worker_id_max";
/// Share rows that were dropped because the store lagged, u64.
pub(super) const SHARES_DROPPED: &str = "shares_dropped";

/// Sums of the whole pool, a value of `codec.rs`.
pub(super) const POOL_TOTALS: &str = "pool_totals";

/// The two lengths of time over which shares are summed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    /// Buckets of 300 s.
    FiveMinutes,
    /// Buckets of a day in UTC.
    Day,
}

impl Level {
    /// Both, short one first.
    pub(super) const ALL: [Self; 2] = [Self::FiveMinutes, Self::Day];

    /// Seconds of a bucket.
    pub(super) const fn seconds(self) -> u64 {
        match self {
            Self::FiveMinutes => 300,
            Self::Day => 86_400,
        }
    }

    /// Start of the bucket that `seconds` lies in.
    pub(super) const fn start(self, seconds: u64) -> u64 {
        seconds - seconds % self.seconds()
    }

    /// Where its aggregates per worker are.
    pub(super) const fn worker_table(self) -> WorkerBuckets {
        match self {
            Self::FiveMinutes => TableDefinition::new("worker_5min"),
            Self::Day => TableDefinition::new("worker_daily"),
        }
    }

    /// Where its aggregates of the pool are.
    pub(super) const fn pool_table(self) -> PoolBuckets {
        match self {
            Self::FiveMinutes => TableDefinition::new("pool_5min"),
            Self::Day => TableDefinition::new("pool_daily"),
        }
    }

    /// Name of the table per worker, for errors.
    pub(super) const fn worker_table_name(self) -> &'static str {
        match self {
            Self::FiveMinutes => "worker_5min",
            Self::Day => "worker_daily",
        }
    }

    /// Name of the pool's table, for errors.
    pub(super) const fn pool_table_name(self) -> &'static str {
        match self {
            Self::FiveMinutes => "pool_5min",
            Self::Day => "pool_daily",
        }
    }
}

/// Key of a chunk of shares.
pub(super) fn chunk_key(bucket: u64, sequence: u64, place: u32) -> ChunkKey {
    let mut key = [0; 20];
    key[..8].copy_from_slice(&bucket.to_be_bytes());
    key[8..16].copy_from_slice(&sequence.to_be_bytes());
    key[16..].copy_from_slice(&place.to_be_bytes());
    key
}

/// Commit and place of a chunk's key, in its bytes.
pub(super) fn place_of(key: &ChunkKey) -> [u8; 12] {
    let mut place = [0; 12];
    place.copy_from_slice(&key[8..]);
    place
}

/// Key of a worker's aggregate.
pub(super) fn worker_bucket_key(bucket: u64, worker: u32) -> WorkerBucketKey {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&bucket.to_be_bytes());
    key[8..].copy_from_slice(&worker.to_be_bytes());
    key
}

/// Key of a block.
pub(super) fn block_key(height: u32, hash: Hash256) -> BlockKey {
    let mut key = [0; 36];
    key[..4].copy_from_slice(&height.to_be_bytes());
    key[4..].copy_from_slice(&hash.to_display());
    key
}

/// Height and hash of a block's key.
pub(super) fn block_of(key: &BlockKey) -> (u32, Hash256) {
    let (mut height, mut hash) = ([0; 4], [0; 32]);
    height.copy_from_slice(&key[..4]);
    hash.copy_from_slice(&key[4..]);
    (u32::from_be_bytes(height), Hash256::from_display(hash))
}

/// Start of the bucket that the first eight bytes of a key name.
pub(super) fn bucket_of(key: &[u8]) -> u64 {
    let mut bucket = [0; 8];
    bucket.copy_from_slice(&key[..8]);
    u64::from_be_bytes(bucket)
}

/// Names the place of a value that cannot be read.
pub(super) fn damaged(table: &'static str, key: &[u8], source: Malformed) -> StoreError {
    StoreError::Damaged { table, key: const_hex::encode(key), source }
}
