//! What can be measured, one file a mode. Each has options, a `run` that blocks for a bounded time, and a result that
//! turns into a [`Report`](crate::report::Report).

pub mod abuse;
pub mod echo;
pub mod fanout;
pub mod handshakes;
pub mod idle;
mod latency;
mod schedule;
pub mod storm;
mod submit;
pub mod throughput;

pub use latency::Latency;
