//! A simulated Bitcoin Core on regtest: the same RPC and ZMQ wire.

#![forbid(unsafe_code)]
