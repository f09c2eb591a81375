//! The store's file: its directory, its modes, and opening it as a database.

use super::StoreOptions;
use super::error::StoreError;
use redb::{Database, DatabaseError, StorageError};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;
use warppool_components::limits::STORE_CHECKED_AT_OPEN_BYTES_MAX;
use warppool_components::units::UnixTime;

/// Bytes of redb's magic number, at the start of its files.
const MAGIC_BYTES: usize = 9;

/// What the store takes from outside: its database and the time. Tests put a simulated disk and clock here.
pub(super) struct Environment {
    pub(super) open: Box<dyn Fn() -> Result<Database, StoreError> + Send>,
    pub(super) clock: Box<dyn Fn() -> UnixTime + Send>,
}

impl Environment {
    /// The file that `options` name and the system's clock.
    pub(super) fn real(options: &StoreOptions) -> Self {
        let (path, cache_bytes) = (options.path.clone(), options.cache_bytes);
        Self { open: Box::new(move || open_file(&path, cache_bytes)), clock: Box::new(system_time) }
    }

    pub(super) fn open_database(&self) -> Result<Database, StoreError> {
        (self.open)()
    }

    pub(super) fn now(&self) -> UnixTime {
        (self.clock)()
    }
}

/// Makes the directory (0700) and the file (0600), and takes rights of others from a file that has them.
pub(super) fn prepare(path: &Path) -> Result<(), StoreError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| StoreError::Directory { path: directory.to_owned(), source })?;

    let failed = |source| StoreError::File { path: path.to_owned(), source };
    let file = open_with_modes(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
    }
    // A new file is lost in a power cut unless its directory's entry is on the disk too.
    File::open(directory).and_then(|entry| entry.sync_all()).map_err(failed)
}

fn open_file(path: &Path, cache_bytes: usize) -> Result<Database, StoreError> {
    let create = || {
        Database::builder()
            .set_cache_size(cache_bytes)
            .set_repair_callback(|session| {
                tracing::warn!(progress = session.progress(), "the store was not closed cleanly and is checked");
            })
            .create_file(open_with_modes(path)?)
    };
    let read = |start: &mut [u8]| File::open(path)?.read_exact(start);
    let empty = || open_with_modes(path)?.set_len(0);
    let database = create_or_restart(create, read, empty).and_then(|database| {
        let bytes = File::open(path)?.metadata()?.len();
        checked(database, bytes)
    });
    database.map_err(|error| open_error(path, error))
}

/// The database, once what its file says of itself is true: every page is as it was written, and no page that is in use counts
/// as free.
///
/// redb trusts the latter. When it hands out a page twice it panics, and then once more while it tidies up, which ends the
/// program in the middle of a commit, with no word of what to do. So the file is read once as a whole before anything is
/// written, unless it is longer than [`STORE_CHECKED_AT_OPEN_BYTES_MAX`].
pub(super) fn checked(mut database: Database, bytes: u64) -> Result<Database, DatabaseError> {
    if bytes > STORE_CHECKED_AT_OPEN_BYTES_MAX {
        tracing::info!(bytes, "the store is too long to be read as a whole at every start, and is taken for intact");
        return Ok(database);
    }
    if !database.check_integrity()? {
        tracing::warn!("the store did not know which of its pages are free, and has counted them anew");
    }
    Ok(database)
}

/// Opens or creates a database. redb writes its magic number last when it makes a new file: a file that begins
/// with zeros was being made when the power went, holds nothing yet, and is made anew.
pub(super) fn create_or_restart(
    create: impl Fn() -> Result<Database, DatabaseError>,
    read: impl FnOnce(&mut [u8]) -> std::io::Result<()>,
    empty: impl FnOnce() -> std::io::Result<()>,
) -> Result<Database, DatabaseError> {
    let result = create();
    let Err(DatabaseError::Storage(StorageError::Io(error))) = &result else { return result };
    let mut start = [0xff; MAGIC_BYTES];
    if error.kind() != ErrorKind::InvalidData || read(&mut start).is_err() || start != [0; MAGIC_BYTES] {
        return result;
    }
    tracing::warn!("the store was not made to its end before, and is made anew");
    empty()?;
    create()
}

fn open_with_modes(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Says what the database's refusal means.
pub(super) fn open_error(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked { path: path.to_owned() },
        other => StoreError::Unreadable { path: path.to_owned(), source: Box::new(other.into()) },
    }
}

fn system_time() -> UnixTime {
    SystemTime::now().into()
}
