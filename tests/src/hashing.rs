//! In which way the tests hash: what is the fastest on this machine, or what the environment says, by the variable that the
//! program itself heeds. So `WARPPOOL__TUNING__SHA256D_BACKEND=scalar cargo test` makes everything hash in one way.
//!
//! Nothing but speed may depend on it: `cargo xtask ci` runs the tests with each backend that the machine has.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use warppool_systems::hash::Hashing;
use warppool_systems::sha256d::{Backend, Calibration};

/// The variable.
const VARIABLE: &str = "WARPPOOL__TUNING__SHA256D_BACKEND";

/// How the tests of this process hash.
///
/// # Panics
/// When the variable names no backend, or one that this processor cannot.
pub fn of_the_environment() -> Hashing {
    match std::env::var(VARIABLE).ok().filter(|name| name != "auto") {
        Some(name) => with(Backend::by_name(&name).unwrap_or_else(|| panic!("{VARIABLE}: {name} is no way to hash"))),
        None => Hashing::of_this_machine(),
    }
}

/// Always this backend. Measured once each, since tests make many pools.
///
/// # Panics
/// When this processor cannot it.
pub fn with(backend: Backend) -> Hashing {
    static MEASURED: Mutex<BTreeMap<Backend, Hashing>> = Mutex::new(BTreeMap::new());
    let mut measured = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    let measure = || Calibration::forced(backend).unwrap_or_else(|| panic!("no {} here", backend.name()));
    *measured.entry(backend).or_insert_with(|| Hashing::from(&measure()))
}
