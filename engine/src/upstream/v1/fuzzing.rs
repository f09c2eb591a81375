//! An open session for the fuzzer, without a connection.

use super::channel::V1Channel;
use super::opening::Extranonce;
use crate::client::Endpoint;
use crate::upstream::work::ROLLED_VERSION_BITS;
use warppool_components::upstream::UPSTREAM_OWN_BYTES;

/// As most pools open one.
pub(in crate::upstream) fn open() -> V1Channel {
    let endpoint = Endpoint { host: "pool.example".to_owned(), port: 3333, tls: false };
    let extranonce = Extranonce { prefix: vec![0xaa; 4], own_bytes: UPSTREAM_OWN_BYTES };
    V1Channel::new(1, "user", &endpoint, extranonce, ROLLED_VERSION_BITS)
}
