//! The judge: blocks of the pool before Bitcoin Core's own consensus code.
//!
//! Everything that the pool would submit is made the way it is in earnest (the node's JSON through `io::node`, jobs and
//! shares through the engine, the whole block as `submitblock` gets it) and given to Core's validation, with a regtest
//! chain of its own in memory. What Core says is the truth; nothing here repeats its rules.
//!
//! - `court`: a chain in Core's hands, and its verdicts with Core's own reasons.
//! - `chain`: what a node knows of its tip, and the templates that it would offer.
//! - `coins`: outputs that anybody may spend, and transactions that do.
//! - `people`: addresses of every type, settings, and what a coinbase must pay.
//! - `arena`: a pool, its miners and a court; rounds of one template in all its kinds.
//! - `breaks`: ways to spoil a block, each with the reason for which Core must refuse it.
//! - `tally`: what was judged, as a table.
//!
//! Without the feature `judge` this package is empty: Core's C++ takes minutes to compile.

#![forbid(unsafe_code)]

#[cfg(feature = "judge")]
pub mod arena;
#[cfg(feature = "judge")]
pub mod breaks;
#[cfg(feature = "judge")]
pub mod chain;
#[cfg(feature = "judge")]
pub mod coins;
#[cfg(feature = "judge")]
pub mod court;
#[cfg(feature = "judge")]
pub mod people;
#[cfg(feature = "judge")]
pub mod random;
#[cfg(feature = "judge")]
pub mod tally;
