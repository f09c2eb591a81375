//! What can go wrong before a single miner is served.

use std::io;

/// Why the pool cannot listen, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No address was given.
    #[error("no address to listen on for miners: give one as ADDRESS:PORT, or :PORT for every address")]
    NoAddress,
    /// The text is not an address.
    #[error(
        "cannot listen for miners on \"{0}\": an address is written 192.0.2.1:3333, [2001:db8::1]:3333, or :3333 for every address"
    )]
    InvalidAddress(String),
    /// Another program listens there.
    #[error(
        "cannot listen for miners on {0}: the port is in use; stop the program that holds it (`ss -ltnp` names it) or choose another port"
    )]
    PortInUse(String),
    /// The system does not let us.
    #[error(
        "cannot listen for miners on {0}: not permitted; ports below 1024 need the capability CAP_NET_BIND_SERVICE, choose one above or grant it"
    )]
    NotPermitted(String),
    /// The machine does not have the address.
    #[error("cannot listen for miners on {0}: this machine has no such address; `ip address` lists those it has")]
    NotOurAddress(String),
    /// Anything else.
    #[error("cannot listen for miners on {address}: {source}")]
    Listen {
        /// The address as it was given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system's event queue failed.
    #[error("the system's event queue failed: {0}")]
    Poll(#[source] io::Error),
}

impl NetError {
    pub(super) fn listen(address: &str, source: io::Error) -> Self {
        let address = address.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortInUse(address),
            io::ErrorKind::PermissionDenied => Self::NotPermitted(address),
            io::ErrorKind::AddrNotAvailable => Self::NotOurAddress(address),
            _ => Self::Listen { address, source },
        }
    }
}
