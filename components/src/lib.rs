//! The vocabulary of WarpPool: plain data, typed units and limits.
//!
//! Nothing here does IO, keeps time or knows a protocol. Every other package speaks in these types, so
//! that a block, a share or a difficulty means the same thing from the socket to the dashboard.
//! The only functions are constructors, conversions between representations and comparisons.

#![forbid(unsafe_code)]

pub mod address_range;
pub mod block;
pub mod channel;
pub mod channel_v2;
pub mod conduct;
pub mod connection;
pub mod device_class;
pub mod event;
pub mod inbox;
pub mod job;
pub mod limits;
pub mod node;
pub mod outbox;
pub mod record;
pub mod reject;
pub mod settings;
pub mod share;
pub mod snapshot;
pub mod submitters;
pub mod template;
pub mod units;
pub mod upstream;
pub mod worker;
