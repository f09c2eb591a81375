//! What the benches have in common: measuring several ways of doing the same thing in turns, the plain way to do it, and
//! tables for the records. The benches themselves are in `benches/`, what they said in `record/`.
//!
//! `cargo xtask bench` runs all of them, `cargo xtask bench --record` writes a record.

#![forbid(unsafe_code)]

pub mod plain;
pub mod scene;
pub mod table;
pub mod turns;
