//! Engines that serve many inputs: how they are set up, and what they were told, for when an input fails.

use std::time::Duration;
use warppool_components::settings::Settings;
use warppool_tests::pool::settings;

/// Remembered workers of an engine: pictures of them all would take most of the time.
const WORKERS_MAX: usize = 64;

/// The settings of the tests, but what is made for people is made rarely.
pub(crate) fn lean_settings() -> Settings {
    Settings { snapshot_interval: Duration::from_secs(60), saved_workers_total_max: WORKERS_MAX, ..settings() }
}

/// Writes the inputs to the file that `WARPPOOL_FUZZ_HISTORY` names when it is dropped by a panic.
pub(crate) struct Keeper<'a>(pub(crate) &'a [Vec<u8>]);

impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        if let Ok(path) = std::env::var("WARPPOOL_FUZZ_HISTORY") {
            let _ = std::fs::write(path, self.0.join(&b"\n!next input\n"[..]));
        }
    }
}
