//! What the writer's thread, its handles and the readers share.

use super::error::StoreError;
use super::histogram::Histogram;
use redb::Database;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

#[derive(Debug)]
pub(super) struct Shared {
    /// `None` while it is opened again after a failure, and after the end.
    database: RwLock<Option<Arc<Database>>>,
    intake: Mutex<Intake>,
    health: Mutex<Option<String>>,
    /// Batches committed since the start.
    pub(super) committed_batches: AtomicU64,
    pub(super) histogram: Histogram,
}

/// Guards the queue's way in, so that closing and measuring the lag lose no batch.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Nothing more is taken.
    pub(super) closed: bool,
    /// When the oldest batch came that is not committed.
    pub(super) oldest: Option<Instant>,
}

impl Shared {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self {
            database: RwLock::new(Some(database)),
            intake: Mutex::default(),
            health: Mutex::default(),
            committed_batches: AtomicU64::new(0),
            histogram: Histogram::default(),
        }
    }

    /// The open database; to be held for the length of one transaction.
    pub(super) fn database(&self) -> Result<Arc<Database>, StoreError> {
        self.database.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StoreError::Unavailable)
    }

    pub(super) fn set_database(&self, database: Option<Arc<Database>>) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = database;
    }

    pub(super) fn intake(&self) -> MutexGuard<'_, Intake> {
        self.intake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn refuse_more(&self) {
        self.intake().closed = true;
    }

    pub(super) fn health(&self) -> Option<String> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_health(&self, text: Option<String>) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    pub(super) fn add_committed_batches(&self, count: u64) {
        self.committed_batches.fetch_add(count, Ordering::Release);
    }
}
