//! What happens in a tick: one file a system, in the order of the tick.
//!
//! ingest, parse, session, jobs, assemble, hash, judge, conduct, block, account, vardiff, reply, announce, persist, publish, reap.
//!
//! A system is a function over the world. None reads a clock, opens a socket, touches a disk or draws a random
//! number: all of that came in with the inbox, all effects go out with the outbox. `engine::schedule` says which
//! runs when. Beside them stand the pure parts they are made of: `coinbase`, `identity`, `sha256d`, `windows`,
//! `presence`.

#![deny(unsafe_code)]

pub mod account;
pub mod announce;
pub mod assemble;
pub mod block;
pub mod conduct;
pub mod hash;
pub mod ingest;
pub mod jobs;
pub mod judge;
pub mod parse;
pub mod persist;
pub mod publish;
pub mod reap;
pub mod reply;
pub mod session;
pub mod upstream;
pub mod vardiff;

pub mod ahead;
pub mod coinbase;
pub mod device_class;
pub mod extranonces;
pub mod fanout;
pub mod identity;
pub mod payees;
pub mod presence;
pub mod resources;
pub mod sha256d;
pub mod share_set;
pub mod windows;
