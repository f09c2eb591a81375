//! What the operator decided about HTTP, and why it may fail to start.

use std::io;
use warppool_components::settings::Network;

/// What the operator decided about HTTP.
#[derive(Clone, PartialEq, Debug)]
pub struct AdminOptions {
    /// Addresses to listen on: `:18334` is every address, IPv6 too; `127.0.0.1:0` lets the system choose a port.
    pub listen: Vec<String>,
    /// The network, for links to explorers.
    pub network: Network,
    /// Name of the pool on its pages.
    pub brand_name: String,
    /// Where the pool stands, for people.
    pub server_location: String,
    /// Currency that the dashboard converts into, as ISO 4217 has it.
    pub fiat_currency: String,
    /// Address under which people reach the dashboard, empty when not told.
    pub public_url: String,
    /// Whether figures can be read without login.
    pub public_reads: bool,
    /// Version of the pool.
    pub version: &'static str,
    /// Whether `/metrics/workers` exists.
    pub worker_metrics: bool,
    /// Whether `X-Forwarded-For` is believed, because a proxy of the operator's sets it.
    pub trust_proxy_headers: bool,
}

/// Why HTTP did not start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No address was given.
    #[error("[server] status_listen: no address to listen on; an example is \":18334\"")]
    NoAddress,
    /// Text that is not an address.
    #[error("[server] status_listen: \"{address}\" is not an address: use \":PORT\", \"IPv4:PORT\" or \"[IPv6]:PORT\"")]
    Address {
        /// The text.
        address: String,
    },
    /// Somebody else listens there.
    #[error(
        "[server] status_listen: {address} is already in use: stop the program that listens there (is another WarpPool running?) or choose another port"
    )]
    InUse {
        /// The address.
        address: String,
    },
    /// The system refused to listen.
    #[error("[server] status_listen: cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// No thread or no event loop could be had.
    #[error("the HTTP thread could not be started: {0}")]
    Thread(io::Error),
}
