//! The version of the format: a new store gets the newest, an older one is brought up step by step, a newer one
//! is refused.
//!
//! Each step is one durable transaction that also writes the version it leads to, so that a crash between two
//! steps leaves a store of the version in between, and the next start goes on from there.

use super::error::StoreError;
use super::tables::{self, BLOCKS, JOURNAL, Level, META, SETTINGS, SHARES, WORKERS};
use redb::{Database, ReadableDatabase, ReadableTable, TableError, WriteTransaction};
use std::path::Path;

/// The format version that this program writes.
pub const FORMAT_VERSION: u32 = 1;

/// A way from version `from` to `from + 1`.
pub(super) struct Step {
    from: u32,
    run: fn(&WriteTransaction) -> Result<(), StoreError>,
}

/// All steps there are. Version 1 is the first that was released.
const STEPS: &[Step] = &[];

/// Creates the tables of a new store, or migrates an older one.
pub(super) fn bring_up_to_date(database: &Database, path: &Path) -> Result<(), StoreError> {
    migrate(database, path, FORMAT_VERSION, STEPS)
}

fn migrate(database: &Database, path: &Path, known: u32, steps: &[Step]) -> Result<(), StoreError> {
    let Some(mut version) = read_version(database, path)? else {
        return run_step(database, known, create_tables);
    };
    if version > known {
        return Err(StoreError::Newer { path: path.to_owned(), found: version, known });
    }
    while version < known {
        let step = steps
            .iter()
            .find(|step| step.from == version)
            .ok_or_else(|| StoreError::Older { path: path.to_owned(), found: version })?;
        tracing::info!(from = version, to = version + 1, "the store is migrated");
        run_step(database, version + 1, step.run)?;
        version += 1;
    }
    Ok(())
}

/// The store's version; `None` when there is no table at all, so that the store is new.
fn read_version(database: &Database, path: &Path) -> Result<Option<u32>, StoreError> {
    let transaction = database.begin_read()?;
    let foreign = || StoreError::Foreign { path: path.to_owned() };
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) if transaction.list_tables()?.next().is_none() => return Ok(None),
        Err(TableError::Storage(error)) => return Err(error.into()),
        Err(_) => return Err(foreign()),
    };
    let value = meta.get(tables::FORMAT_VERSION)?.ok_or_else(foreign)?;
    let bytes = value.value().try_into().map_err(|_| foreign())?;
    Ok(Some(u32::from_le_bytes(bytes)))
}

fn run_step(
    database: &Database,
    version: u32,
    run: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    run(&transaction)?;
    transaction.open_table(META)?.insert(tables::FORMAT_VERSION, version.to_le_bytes().as_slice())?;
    transaction.commit()?;
    Ok(())
}

fn create_tables(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(SETTINGS)?;
    transaction.open_table(WORKERS)?;
    transaction.open_table(SHARES)?;
    transaction.open_table(BLOCKS)?;
    transaction.open_table(JOURNAL)?;
    for level in Level::ALL {
        transaction.open_table(level.worker_table())?;
        transaction.open_table(level.pool_table())?;
    }
    Ok(())
}

/// A number of the table `meta`, zero when it was never written.
pub(super) fn meta_number(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
) -> Result<u64, StoreError> {
    let Some(value) = meta.get(name)? else { return Ok(0) };
    let mut bytes = [0; 8];
    let stored = value.value();
    bytes
        .get_mut(..stored.len())
        .ok_or_else(|| tables::damaged("meta", name.as_bytes(), super::Malformed::Length(stored.len())))?
        .copy_from_slice(stored);
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::TableDefinition;
    use redb::backends::InMemoryBackend;

    const NAMES: TableDefinition<'_, u32, &str> = TableDefinition::new("names");

    fn memory() -> Database {
        Database::builder().create_with_backend(InMemoryBackend::new()).expect("a database in memory")
    }

    /// A store as a program of version 1 would have left it: a table that version 2 renames its values in.
    fn store_of_version_1() -> Database {
        let database = memory();
        run_step(&database, 1, |transaction| {
            transaction.open_table(NAMES)?.insert(7, "old")?;
            Ok(())
        })
        .expect("a store of version 1");
        database
    }

    fn append(transaction: &WriteTransaction, text: &str) -> Result<(), StoreError> {
        let mut names = transaction.open_table(NAMES)?;
        let longer = names.get(7)?.map_or_else(String::new, |name| name.value().to_owned() + text);
        names.insert(7, longer.as_str())?;
        Ok(())
    }

    const TWO_STEPS: &[Step] = &[
        Step { from: 2, run: |transaction| append(transaction, "+3") },
        Step { from: 1, run: |transaction| append(transaction, "+2") },
    ];

    fn name_and_version(database: &Database) -> (String, Option<u32>) {
        let transaction = database.begin_read().expect("reads");
        let names = transaction.open_table(NAMES).expect("its table");
        let name = names.get(7).expect("reads").expect("its row").value().to_owned();
        (name, read_version(database, Path::new("store")).expect("a version"))
    }

    #[test]
    fn an_older_store_takes_every_step_once() {
        let database = store_of_version_1();
        for _start in 0..2 {
            migrate(&database, Path::new("store"), 3, TWO_STEPS).expect("migrates");
            assert_eq!(name_and_version(&database), ("old+2+3".to_owned(), Some(3)));
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it() {
        let failing = [
            Step { from: 1, run: |transaction| append(transaction, "+2") },
            Step {
                from: 2,
                run: |transaction| {
                    append(transaction, "+half")?;
                    Err(StoreError::Unavailable)
                },
            },
        ];
        let database = store_of_version_1();
        migrate(&database, Path::new("store"), 3, &failing).expect_err("the second step fails");
        assert_eq!(name_and_version(&database), ("old+2".to_owned(), Some(2)));
        migrate(&database, Path::new("store"), 3, TWO_STEPS).expect("goes on from version 2");
        assert_eq!(name_and_version(&database), ("old+2+3".to_owned(), Some(3)));
    }

    #[test]
    fn versions_without_a_way_are_refused_with_both_numbers() {
        let database = store_of_version_1();
        let newer = migrate(&database, Path::new("store"), 0, &[]).expect_err("newer");
        assert!(matches!(newer, StoreError::Newer { found: 1, known: 0, .. }));
        let older = migrate(&database, Path::new("store"), 2, &[]).expect_err("no step");
        assert!(matches!(older, StoreError::Older { found: 1, .. }));
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        let database = memory();
        let transaction = database.begin_write().expect("writes");
        transaction.open_table(NAMES).expect("its table");
        transaction.commit().expect("commits");
        let error = bring_up_to_date(&database, Path::new("store")).expect_err("foreign");
        assert!(matches!(error, StoreError::Foreign { .. }));
    }
}
