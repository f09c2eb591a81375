//! The program from outside: processes, sockets, files and HTTP, nothing of its insides.
//!
//! Each test has a pool of its own in a directory of its own, on ports that the system chooses, with a simulated node.
//! Miners either hash ([`warppool_loadgen`]) or are raw sockets at a difficulty that every hash meets.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

mod blocks;
mod connections;
mod demo;
mod doctor;
mod documents;
mod edge;
mod fake_pool;
mod fates;
mod found_block;
mod harness;
mod hostile;
mod messages;
mod node_trouble;
mod refusals;
mod reload;
mod restart;
mod stratum_v2;
mod sums;
mod surroundings;
mod tips;
mod translator;
mod translator_v1;
mod v2;
mod verify;

// The fake that the node's own tests use: it gives templates that the simulated node would be ashamed of.
#[path = "../../../io/tests/node/fake_node.rs"]
#[allow(dead_code)]
mod fake_node;
