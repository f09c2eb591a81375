//! The engine, its runtime, and the binary warppool.

#![forbid(unsafe_code)]
