//! Orders of the operator to the pool that runs on this machine, over a socket that only its owner can reach.
//!
//! A Unix socket in the directory of the data, mode 0600: whoever may read the store may give orders. One line of JSON
//! goes in, one comes back, on a thread of its own. Nothing secret travels here, and nothing about work or money can be
//! changed.

mod message;
mod server;
mod wire;

pub use message::{message, reconnect};
pub use server::Control;
pub use wire::{Answer, Order};

use std::path::{Path, PathBuf};

/// Where the socket of the pool with this store is.
pub fn socket_path(store: &Path) -> PathBuf {
    store.with_file_name("control.sock")
}
