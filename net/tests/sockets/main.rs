//! The event loop over real loopback sockets.
#![cfg(feature = "sockets")]

mod harness;
mod limits;
mod listening;
mod receiving;
mod sending;
