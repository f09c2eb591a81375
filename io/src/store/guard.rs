//! A database that panics must not take the pool along: a damaged file is the operator's to mend, and miners go on meanwhile.
//!
//! redb finds out about most damage by its checksums and says so; but some structures of a damaged file it trusts, and panics
//! when they turn out to be none. Every use of the database goes through here, so that this is an error as any other.

use super::error::StoreError;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does `work` with the database; a panic in it is [`StoreError::Corrupt`].
///
/// What `work` changed is of no use after one: whoever calls opens the database again, or gives up.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(StoreError::Corrupt { why: text_of(&*panic) }))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("for an unknown reason").to_owned()
}
