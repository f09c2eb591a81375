//! Stratum V2 from outside: the miner is the reference project's ([`warppool_reference`]).

use super::Pool;
use std::net::SocketAddr;
use warppool_reference::Miner;
use warppool_reference::secured::authority_key;

/// What stands before a V2 address in the log and on the dashboard.
const SCHEME: &str = "stratum2+tcp://";

impl Pool {
    /// Where miners of Stratum V2 connect, and the authority that vouches for the pool there.
    pub(crate) fn v2_address(&mut self) -> (SocketAddr, [u8; 32]) {
        let line = self.wait_for_log(&["miners connect over Stratum V2", SCHEME]);
        let rest = &line[line.find(SCHEME).unwrap() + SCHEME.len()..];
        let (address, rest) = rest.split_once('/').unwrap_or_else(|| panic!("{line} names no key"));
        let key = rest.split(|symbol: char| !symbol.is_ascii_alphanumeric()).next().unwrap();
        (address.parse().unwrap(), authority_key(key))
    }

    /// A miner whose connection is set up with these flags.
    pub(crate) fn v2_miner(&mut self, flags: u32) -> Miner {
        let (address, authority) = self.v2_address();
        Miner::connect(address, authority, flags)
    }
}
