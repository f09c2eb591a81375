//! Engines that serve many inputs, because a new one takes longer than an input: how they are set up, and what they were told,
//! for when an input fails.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;
use std::time::Duration;
use warppool_components::settings::Settings;
use warppool_tests::pool::{Pool, settings};

/// Inputs that one engine serves.
const INPUTS_PER_ENGINE: usize = 4096;

/// How long a pause between inputs is: shares are saved, and what goes by the second has its turn.
const PAUSE: Duration = Duration::from_secs(2);

/// Remembered workers of an engine: pictures of them all would take most of the time.
const WORKERS_MAX: usize = 64;

/// Stands between inputs in the history.
const NEXT_INPUT: &[u8] = b"\n!next input\n";

thread_local! {
    static ENGINE: RefCell<Option<Pool>> = const { RefCell::new(None) };
    /// What it was told since it was new.
    static SERVED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Runs an input with the engine of this thread, or with a new one when that has served for long enough or an input has failed.
/// After every `inputs_per_pause` inputs time passes, so that what is forgotten in time is.
pub(crate) fn serve(inputs_per_pause: usize, data: &[u8], run: impl FnOnce(&mut Pool, &[u8])) {
    write_history_at_panics();
    ENGINE.with_borrow_mut(|engine| {
        let is_worn = SERVED.with_borrow(|served| served.len() == INPUTS_PER_ENGINE);
        // Taken out meanwhile: after a panic nobody goes on with it.
        let mut pool = engine.take().filter(|_| !is_worn).unwrap_or_else(|| {
            SERVED.with_borrow_mut(Vec::clear);
            Pool::new(lean_settings(), 7).with_work()
        });
        let number = SERVED.with_borrow_mut(|served| {
            served.push(data.to_vec());
            served.len()
        });
        run(&mut pool, data);
        if number.is_multiple_of(inputs_per_pause) {
            pool.advance(PAUSE);
        }
        *engine = Some(pool);
    });
}

/// The settings of the tests, but what is made for people is made rarely.
fn lean_settings() -> Settings {
    Settings { snapshot_interval: Duration::from_secs(60), saved_workers_total_max: WORKERS_MAX, ..settings() }
}

/// All that this thread's engine was told, the input that is served last.
fn history() -> Vec<u8> {
    SERVED.with_borrow(|served| served.join(NEXT_INPUT))
}

/// From now on a panic writes the history to the file that `WARPPOOL_FUZZ_HISTORY` names. The fuzzer ends the program from within
/// its own hook, before anything is unwound, so this one goes first.
fn write_history_at_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if let Some(path) = std::env::var_os("WARPPOOL_FUZZ_HISTORY")
                && let Err(error) = std::fs::write(&path, history())
            {
                eprintln!("the history cannot be written to {}: {error}", path.display());
            }
            next(panic);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_failure_leaves_what_the_engine_was_told_and_the_next_input_has_another() {
        serve(16, b"first", |_, _| {});
        let failed = catch_unwind(AssertUnwindSafe(|| serve(16, b"second", |_, _| panic!("as it should"))));
        assert!(failed.is_err());
        assert_eq!(history(), b"first\n!next input\nsecond");
        serve(16, b"third", |_, _| {});
        assert_eq!(history(), b"third");
    }
}
