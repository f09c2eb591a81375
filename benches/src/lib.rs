//! Benchmarks and their records.

#![forbid(unsafe_code)]
