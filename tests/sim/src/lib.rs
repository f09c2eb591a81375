//! The whole pool in one process and in simulated time, from one seed.
//!
//! What is real: the engine, the cutter of lines, the reader of templates, the choice among nodes with all that is asked of
//! them, the store on a simulated disk, the nodes' rules for blocks. What is simulated: clock, network, disk, the nodes' moods,
//! and miners, who really hash. Proof of work is
//! cheap because targets are easy; no check is left out.
//!
//! [`simulation::run`] plays the conditions that [`options::Options::draw`] makes of a seed, and panics with a sentence
//! when something is not as it must be. What must be is in [`ledger`].

#![forbid(unsafe_code)]

pub mod disk;
pub mod ledger;
pub mod miner;
pub mod miner_v2;
pub mod nodes;
pub mod options;
pub mod pool;
pub mod random;
pub mod simulation;
pub mod wire;
