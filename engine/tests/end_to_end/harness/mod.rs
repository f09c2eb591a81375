//! A pool as a process, its HTTP side, and raw miners.

mod http;
mod job;
mod process;
mod raw_miner;
mod site;
mod tls;
mod v2;

pub(crate) use http::Events;
pub(crate) use job::{builds_on, has_transactions};
pub(crate) use process::{Pool, Program, run};
pub(crate) use raw_miner::RawMiner;
pub(crate) use site::{Site, address, node, node_with};
pub(crate) use tls::TlsStream;

use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until there is something to see.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(LOOK);
    }
}
