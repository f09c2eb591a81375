//! Texts with a grammar: listen addresses, node URLs, address ranges, names of networks and profiles.
//!
//! Each parser returns a sentence saying what is allowed; where the value stands is the reader's business.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use warppool_components::settings::Network;

pub use warppool_components::address_range::AddressRange;

/// Where a listener is bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listen {
    /// Every address of the machine, IPv6 and IPv4.
    Every {
        /// The port; 0 lets the system choose.
        port: u16,
    },
    /// One address.
    One(SocketAddr),
}

impl Listen {
    /// The port; 0 lets the system choose.
    pub const fn port(self) -> u16 {
        match self {
            Self::Every { port } => port,
            Self::One(address) => address.port(),
        }
    }

    /// What to try to bind, in this order: the first that works serves. An unspecified IPv6 socket that is not
    /// `IPV6_V6ONLY` also serves IPv4; the second is for machines without IPv6.
    pub fn candidates(self) -> Vec<SocketAddr> {
        match self {
            Self::Every { port } => {
                vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
            }
            Self::One(address) => vec![address],
        }
    }

    /// Whether both cannot be bound at once.
    pub fn conflicts_with(self, other: Self) -> bool {
        let same_port = self.port() == other.port() && self.port() != 0;
        match (self, other) {
            (Self::One(left), Self::One(right)) => {
                let overlap = left.ip() == right.ip() || left.ip().is_unspecified() || right.ip().is_unspecified();
                same_port && overlap
            }
            _ => same_port,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every { port } => write!(formatter, ":{port}"),
            Self::One(address) => write!(formatter, "{address}"),
        }
    }
}

/// As `listen` reads it, for command lines.
impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        listen(text)
    }
}

/// `:PORT`, `IPV4:PORT` or `[IPV6]:PORT`.
pub(super) fn listen(text: &str) -> Result<Listen, String> {
    let port_only = text.strip_prefix(':').and_then(|port| port.parse().ok()).map(|port| Listen::Every { port });
    port_only.or_else(|| text.parse().ok().map(Listen::One)).ok_or_else(|| {
        "must be \":PORT\" for every address, \"127.0.0.1:PORT\" or \"[::1]:PORT\", with a port of 0 to 65535"
            .to_owned()
    })
}

/// `http://HOST:PORT` of a node. Core speaks no TLS.
pub(super) fn rpc_url(text: &str) -> Result<String, String> {
    const ALLOWED: &str = "must be http://HOST:PORT, such as http://127.0.0.1:8332";
    let authority = text.strip_prefix("http://").ok_or(ALLOWED)?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    check_authority(authority, "put them into secrets.toml as rpc_user and rpc_pass")
        .map_err(|found| if found.is_empty() { ALLOWED.to_owned() } else { format!("{ALLOWED}; {found}") })?;
    Ok(format!("http://{authority}"))
}

/// `tcp://HOST:PORT` or `ipc://PATH`, as `zmqpubhashblock` of Core takes it.
pub(super) fn zmq_address(text: &str) -> Result<String, String> {
    const ALLOWED: &str = "must be tcp://HOST:PORT or ipc://PATH, such as tcp://127.0.0.1:28332";
    let is_path = text.strip_prefix("ipc://").is_some_and(|path| path.starts_with('/'));
    let tcp = text.strip_prefix("tcp://").is_some_and(|authority| check_authority(authority, "").is_ok());
    if is_path || tcp { Ok(text.to_owned()) } else { Err(ALLOWED.to_owned()) }
}

/// The address under which people reach the dashboard: `https://HOST[:PORT][/PATH]`.
pub(super) fn public_url(text: &str) -> Result<String, String> {
    const ALLOWED: &str = "must be http://HOST or https://HOST, with a port and a path if needed";
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(ALLOWED)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    // It ends up in a header and in a page.
    if path.contains(|letter: char| !letter.is_ascii_graphic() || "?#\"'<>\\".contains(letter)) {
        return Err(ALLOWED.to_owned());
    }
    let (host, port) = split_port(authority);
    check_host(host, "a public address has none").map_err(|_| ALLOWED.to_owned())?;
    check_port(port.unwrap_or("443")).map_err(|_| ALLOWED.to_owned())?;
    Ok(text.trim_end_matches('/').to_owned())
}

/// `HOST:PORT` without a user. The error is empty when there is nothing special to say.
fn check_authority(authority: &str, user_advice: &str) -> Result<(), String> {
    let (host, port) = split_port(authority);
    check_host(host, user_advice)?;
    check_port(port.ok_or("the port is missing")?)
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn check_host(host: &str, user_advice: &str) -> Result<(), String> {
    if host.contains('@') {
        return Err(format!("a user and password in the address are refused: {user_advice}"));
    }
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or_else(String::new)?;
        return inner.parse::<Ipv6Addr>().map(drop).map_err(|_| "the part in brackets is no IPv6 address".to_owned());
    }
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.' | '_');
    if !host.is_empty() && host.chars().all(is_name) { Ok(()) } else { Err(String::new()) }
}

fn check_port(port: &str) -> Result<(), String> {
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err("the port must be 1 to 65535".to_owned()),
    }
}

/// `ADDRESS` or `ADDRESS/BITS`.
pub(super) fn address_range(text: &str) -> Result<AddressRange, String> {
    let wrong = || format!("must hold IP addresses or ranges such as \"10.0.0.0/8\", not {text:?}");
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix_bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
    if prefix_bits <= most { Ok(AddressRange { address, prefix_bits }) } else { Err(wrong()) }
}

/// The name of a network.
pub(super) fn network(text: &str) -> Result<Network, String> {
    Network::ALL
        .into_iter()
        .find(|network| network.name() == text)
        .ok_or_else(|| "must be mainnet, testnet4, signet or regtest".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses() {
        assert_eq!(listen(":3333"), Ok(Listen::Every { port: 3333 }));
        assert_eq!(listen("[::1]:80").map(Listen::port), Ok(80));
        assert_eq!(listen("127.0.0.1:0").map(|listen| listen.candidates().len()), Ok(1));
        for wrong in ["3333", ":", ":70000", "localhost:1", "::1:80", "1.2.3.4"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
        for shown in [":3333", "127.0.0.1:80", "[::1]:80"] {
            assert_eq!(listen(shown).map(|listen| listen.to_string()).as_deref(), Ok(shown));
        }
    }

    #[test]
    fn listeners_conflict_only_where_they_overlap() {
        let conflict = |left, right| {
            let (left, right) = (listen(left).expect("valid"), listen(right).expect("valid"));
            left.conflicts_with(right)
        };
        assert!(conflict(":80", "127.0.0.1:80"));
        assert!(conflict("0.0.0.0:80", "127.0.0.1:80"));
        assert!(!conflict("127.0.0.2:80", "127.0.0.1:80"));
        assert!(!conflict(":80", ":81"));
        assert!(!conflict(":0", ":0"));
    }

    #[test]
    fn node_addresses() {
        for right in ["http://127.0.0.1:8332", "http://node.lan:1", "http://[::1]:8332", "http://bitcoin_core:8332/"] {
            assert!(rpc_url(right).is_ok(), "{right}");
        }
        for wrong in ["https://node:8332", "http://node", "http://node:0", "http://:1", "http://a b:1", "node:8332"] {
            assert!(rpc_url(wrong).is_err(), "{wrong}");
        }
        let error = rpc_url("http://me:hush@node:8332").expect_err("user in URL");
        assert!(error.contains("secrets.toml") && !error.contains("hush"), "{error}");
        assert!(zmq_address("tcp://127.0.0.1:28332").is_ok());
        assert!(zmq_address("ipc:///run/core.sock").is_ok());
        assert!(zmq_address("http://127.0.0.1:28332").is_err());
        assert!(zmq_address("tcp://127.0.0.1").is_err());
    }

    #[test]
    fn public_addresses() {
        assert_eq!(public_url("https://pool.example.com/").as_deref(), Ok("https://pool.example.com"));
        assert_eq!(public_url("http://pool.lan:8080/base").as_deref(), Ok("http://pool.lan:8080/base"));
        let refused = ["pool.example.com", "https://", "https://me@pool.example.com", "https://pool/?a"];
        for wrong in refused.into_iter().chain(["https://pool/a\r\nb: c", "https://pool/\"><script>"]) {
            assert!(public_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_hold_their_addresses() {
        let range = address_range("10.1.0.0/16").expect("valid");
        assert!(range.contains("10.1.255.1".parse().expect("address")));
        assert!(range.contains("::ffff:10.1.2.3".parse().expect("address")));
        assert!(!range.contains("10.2.0.0".parse().expect("address")));
        assert!(!range.contains("::1".parse().expect("address")));
        assert!(address_range("::1").expect("valid").contains("::1".parse().expect("address")));
        assert!(address_range("0.0.0.0/0").expect("valid").contains("8.8.8.8".parse().expect("address")));
        for wrong in ["10.0.0.0/33", "ten", "10.0.0.0/", "::/129"] {
            assert!(address_range(wrong).is_err(), "{wrong}");
        }
    }
}
