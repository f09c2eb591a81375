//! Addresses with a common prefix.

use std::net::IpAddr;

/// A range such as `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressRange {
    /// An address of the range.
    pub address: IpAddr,
    /// Leading bits that all have in common.
    pub prefix_bits: u8,
}

impl AddressRange {
    /// Whether `address` is in the range. IPv4 addresses mapped into IPv6 count as IPv4.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            _ => false,
        }
    }
}
