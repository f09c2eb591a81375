//! What can go wrong with the store, said to the operator.

use std::path::PathBuf;
use warppool_components::limits::{HISTORY_ROWS_MAX, SETTING_BYTES_MAX, STORE_HISTORY_POINTS_MAX};

/// Why the store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its directory cannot be made.
    #[error("the store's directory {path} cannot be created: {source}; make it, or set another [store] path")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its file cannot be opened.
    #[error("the store {path} cannot be opened: {source}; its user needs to read and write it")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process, or another part of this one, has it open.
    #[error(
        "the store {path} is in use by another process: stop the WarpPool that runs on it, or give this one its own \
         [store] path"
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// A newer WarpPool wrote it.
    #[error(
        "the store {path} has format version {found}, this WarpPool knows versions up to {known}: run the newer \
         WarpPool, or set another [store] path"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Newest version this program knows.
        known: u32,
    },
    /// An older WarpPool wrote it, and no step leads from there to here.
    #[error(
        "the store {path} has format version {found}, and this WarpPool has no migration from it: open it with a \
         release between the two first, or set another [store] path"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
    },
    /// A database, but not one of WarpPool.
    #[error("{path} is a database, but not a WarpPool store: set another [store] path")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The database refuses the file.
    #[error(
        "the store {path} cannot be read: {source}; move the file away to start with an empty store, or put a backup \
         in its place"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: Box<redb::Error>,
    },
    /// The database did not expect what it found in its file.
    #[error(
        "the store's file is damaged ({why}): stop the pool and move the file away to start with an empty store, or put a \
         backup in its place"
    )]
    Corrupt {
        /// The words of its panic.
        why: String,
    },
    /// A read or write failed.
    #[error("the store failed: {0}")]
    Database(Box<redb::Error>),
    /// A value is not what its table should hold.
    #[error("the store's table {table} has a value at key {key} that cannot be read: {source}")]
    Damaged {
        /// The table.
        table: &'static str,
        /// The key in hexadecimal.
        key: String,
        /// What is wrong with the value.
        source: Malformed,
    },
    /// The writer is opening it again after a failure.
    #[error("the store is being opened again after a failure, try again in some seconds")]
    Unavailable,
    /// The thread could not be started.
    #[error("the store's thread cannot be started: {0}")]
    Thread(std::io::Error),
    /// The last rows could not be written before the end.
    #[error("{rows} share rows and {blocks} block rows could not be saved before the end: {why}")]
    Unsaved {
        /// Share rows lost.
        rows: usize,
        /// Block rows lost.
        blocks: usize,
        /// Why the last attempt failed.
        why: String,
    },
    /// The steps of a history are shorter than a second, or it ends before it begins.
    #[error("a history needs a step of at least 1 s and an end after its start")]
    HistoryEmpty,
    /// More points than one answer may have.
    #[error(
        "this history has {0} points, at most {STORE_HISTORY_POINTS_MAX} are allowed: ask for longer steps or less time"
    )]
    HistoryPoints(u64),
    /// More raw shares than one answer may cost.
    #[error(
        "this history would read more than {HISTORY_ROWS_MAX} shares: ask for steps of 300 s or more, or less time"
    )]
    HistoryRows,
    /// A setting is too long.
    #[error("the setting {0} is too long: name and value may have {SETTING_BYTES_MAX} bytes together")]
    SettingLength(String),
    /// The store is closed, or so many changes wait that it takes no more.
    #[error("the store takes no changes now: it is closed or cannot write")]
    Busy,
}

/// What is wrong with the bytes of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first byte names a version that this program does not know.
    #[error("version {0} of the value is unknown")]
    Version(u8),
    /// Too short, too long, or not a multiple of a row.
    #[error("{0} bytes are the wrong length")]
    Length(usize),
    /// A field has a value that means nothing.
    #[error("{0}")]
    Field(String),
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
    )*};
}

from_redb!(redb::StorageError, redb::TableError, redb::TransactionError, redb::CommitError);
