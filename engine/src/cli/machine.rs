//! Names and addresses of the machine.

use std::net::IpAddr;
use sysinfo::{Networks, System};

/// The name of the host.
pub(super) fn host_name() -> Option<String> {
    System::host_name().ok()
}

/// Every address of the machine but those that change with the link.
pub(super) fn lasting_addresses() -> Vec<IpAddr> {
    let networks = Networks::new_with_refreshed_list().ok();
    let networks = networks.iter().flat_map(|networks| networks.values());
    let addresses = networks.flat_map(|network| network.ip_networks()).map(|network| network.addr);
    let is_lasting = |address: &IpAddr| match address {
        IpAddr::V4(address) => !address.is_link_local(),
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    };
    addresses.filter(is_lasting).collect()
}
