//! The node's side: work from Bitcoin Core, found blocks to it.

pub mod merkle;
pub mod template;
