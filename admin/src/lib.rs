//! HTTP: dashboard, REST, events and metrics.
//!
//! One hyper server on its own thread answers from the latest published [`Snapshot`](warppool_components::snapshot::Snapshot)
//! and, for the past, from a [`History`]. The engine hands snapshots and events over with a [`Publisher`], which never
//! waits. What happens here cannot slow a share: there is no way from here into the engine, every queue has a bound, and a
//! slow reader loses its connection. The interface is described in `docs/book/api.md`, whose examples are checked by tests.
//!
//! There is no login yet: everything under `/api/auth` and `/api/admin` is refused.

#![forbid(unsafe_code)]

mod api;
mod assets;
mod events;
mod handler;
mod history;
mod metrics;
mod options;
mod problem;
mod query;
mod reply;
mod route;
mod server;
mod stall;
mod state;
#[cfg(test)]
mod tests;

pub use history::{History, HistoryError};
pub use options::{AdminError, AdminOptions};
pub use server::{AdminHandle, Publisher, start};
