//! Everything outside but miners: the node and the store.

#![forbid(unsafe_code)]

pub mod failpoint;
pub mod node;
pub mod store;
