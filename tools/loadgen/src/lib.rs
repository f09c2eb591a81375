//! A swarm of Stratum miners against any pool.

#![forbid(unsafe_code)]
