//! Places where a test kills the process, to see what a crash there costs.
//!
//! A failpoint has a name and does nothing, until the environment variable [`VARIABLE`] gives it an action. It can end
//! the process on the spot, as `kill -9` would, or hold the thread that comes by for ever, as the slowest of disks
//! would. It never changes what the code does, and switches no check off. Release builds hold none.
//!
//! The variable is a list such as `submit.send=hold,journal.synced=abort`:
//!
//! | action | meaning |
//! |---|---|
//! | `abort` | the process ends here |
//! | `abort@NAME` | it ends here as soon as another thread has come by `NAME` |
//! | `wait@NAME` | the thread goes on as soon as another thread has come by `NAME` |
//! | `hold` | the thread stays here until the process ends |

/// The environment variable that names failpoints and their actions.
pub const VARIABLE: &str = "WARPPOOL_FAILPOINTS";

/// All failpoints, in the order in which a found block comes by.
pub const NAMES: [&str; 12] = [
    "block.found",
    "block.handed-to-one",
    "block.handed-to-all",
    "submit.send",
    "submit.answered",
    "journal.write",
    "journal.sync",
    "journal.synced",
    "outcome.write",
    "outcome.sync",
    "outcome.synced",
    "restart.journal-read",
];

/// Whether this build has failpoints at all.
pub const ARE_COMPILED: bool = cfg!(debug_assertions);

/// The calling thread comes by `name`, one of [`NAMES`].
#[cfg(debug_assertions)]
pub fn reached(name: &'static str) {
    debug::reached(name);
}

/// The calling thread comes by `name`. In a release build that is all.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reached(_name: &'static str) {}

#[cfg(debug_assertions)]
mod debug {
    use super::{NAMES, VARIABLE};
    use std::collections::{HashMap, HashSet};
    use std::sync::{Condvar, LazyLock, Mutex, PoisonError};

    #[derive(Clone, PartialEq, Eq, Debug)]
    enum Action {
        Abort,
        AbortAfter(String),
        WaitFor(String),
        Hold,
    }

    static ACTIONS: LazyLock<HashMap<String, Action>> =
        LazyLock::new(|| parse(&std::env::var(VARIABLE).unwrap_or_default()));
    static PASSED: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    static CHANGED: Condvar = Condvar::new();

    fn parse(text: &str) -> HashMap<String, Action> {
        let known = |name: &str| assert!(NAMES.contains(&name), "{VARIABLE}: there is no failpoint {name:?}");
        let parse_one = |item: &str| {
            let (name, action) = item.split_once('=').unwrap_or((item, ""));
            known(name);
            let action = match action.split_once('@') {
                Some(("abort", other)) => {
                    known(other);
                    Action::AbortAfter(other.to_owned())
                }
                Some(("wait", other)) => {
                    known(other);
                    Action::WaitFor(other.to_owned())
                }
                None if action == "abort" => Action::Abort,
                None if action == "hold" => Action::Hold,
                _ => panic!("{VARIABLE}: {item:?} is not NAME=abort, NAME=abort@NAME, NAME=wait@NAME or NAME=hold"),
            };
            (name.to_owned(), action)
        };
        text.split(',').filter(|item| !item.is_empty()).map(parse_one).collect()
    }

    pub(super) fn reached(name: &'static str) {
        debug_assert!(NAMES.contains(&name), "failpoint {name} is not in the list");
        if ACTIONS.is_empty() {
            return;
        }
        note(name);
        match ACTIONS.get(name) {
            None => {}
            Some(Action::Abort) => std::process::abort(),
            Some(Action::AbortAfter(other)) => {
                wait_for(other);
                std::process::abort();
            }
            Some(Action::WaitFor(other)) => wait_for(other),
            Some(Action::Hold) => loop {
                std::thread::park();
            },
        }
    }

    fn note(name: &'static str) {
        PASSED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(name);
        CHANGED.notify_all();
    }

    fn wait_for(name: &str) {
        let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        while !passed.as_ref().is_some_and(|passed| passed.contains(name)) {
            passed = CHANGED.wait(passed).unwrap_or_else(PoisonError::into_inner);
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_list_of_actions_is_read_and_nothing_else_is() {
            let actions = parse("submit.send=hold,journal.synced=abort,block.found=abort@submit.answered");
            assert_eq!(actions["submit.send"], Action::Hold);
            assert_eq!(actions["journal.synced"], Action::Abort);
            assert_eq!(actions["block.found"], Action::AbortAfter("submit.answered".to_owned()));
            let waiting = parse("submit.answered=wait@journal.synced");
            assert_eq!(waiting["submit.answered"], Action::WaitFor("journal.synced".to_owned()));
            assert!(parse("").is_empty());
            for wrong in ["nowhere=abort", "submit.send", "submit.send=sleep", "submit.send=abort@nowhere"] {
                assert!(std::panic::catch_unwind(|| parse(wrong)).is_err(), "{wrong}");
            }
        }
    }
}
