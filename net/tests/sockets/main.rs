//! The event loop over real loopback sockets.
#![cfg(feature = "sockets")]

mod entrance;
mod harness;
mod limits;
mod listening;
mod noise;
mod receiving;
mod sending;
mod tls;
mod tls_client;
