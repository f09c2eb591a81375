//! The part of an address that limits apply to.

use std::net::IpAddr;

/// An IPv4 address, or the first half of an IPv6 one. An IPv4 address in its IPv6 form (`::ffff:192.0.2.1`) is the same as
/// the IPv4 address.
///
/// Prefixes of IPv6 whose first 32 bits are zero would be taken for IPv4 addresses; no such addresses are routed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct PeerNetwork(u64);

impl PeerNetwork {
    /// The network of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u64::from(address.to_bits())),
            IpAddr::V6(address) => Self((address.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_counts_whole_and_ipv6_by_its_first_half() {
        let same = [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ];
        let other = [("192.0.2.1", "192.0.2.2"), ("2001:db8:1:2::1", "2001:db8:1:3::1"), ("127.0.0.1", "::1")];
        let network = |text: &str| PeerNetwork::of(text.parse().expect("an address"));
        for (one, two) in same {
            assert_eq!(network(one), network(two), "{one} and {two}");
        }
        for (one, two) in other {
            assert_ne!(network(one), network(two), "{one} and {two}");
        }
    }
}
