//! How pools are named: `stratum2+tcp://HOST:PORT/KEY`, `stratum+tcp://HOST:PORT`, `stratum+ssl://HOST:PORT`.

use crate::client::Endpoint;
use std::fmt;
use std::str::FromStr;
use warppool_net::transport::noise::{AuthorityPublicKey, InvalidAuthorityKey};

/// The scheme of Stratum V2.
const SCHEME_V2: &str = "stratum2+tcp://";

/// The schemes of Stratum V1, and whether they mean TLS. The first of a kind is the one that is shown.
const SCHEMES_V1: [(&str, bool); 3] = [("stratum+tcp://", false), ("stratum+ssl://", true), ("stratum+tls://", true)];

/// What is spoken with a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpstreamProtocol {
    /// Stratum V1 in the clear, or over TLS.
    V1 {
        /// Over TLS.
        tls: bool,
    },
    /// Stratum V2 with whoever has certificates signed by this key.
    V2(AuthorityPublicKey),
}

/// A pool above: where it is and what it speaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpstreamAddress {
    /// Where it is.
    pub endpoint: Endpoint,
    /// What it speaks.
    pub protocol: UpstreamProtocol,
}

/// Why a text names no pool.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidUpstream {
    /// Not of any form.
    #[error(
        "\"{0}\" is neither stratum2+tcp://HOST:PORT/KEY, a pool of Stratum V2, nor stratum+tcp://HOST:PORT or \
         stratum+ssl://HOST:PORT, one of Stratum V1"
    )]
    Form(String),
    /// The key is none.
    #[error("the key in \"{text}\" {why}; the pool shows its address with the key, such as by `warppool keys sv2`")]
    Key {
        /// The whole text.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

impl FromStr for UpstreamAddress {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || InvalidUpstream::Form(text.to_owned());
        let v1 = SCHEMES_V1.iter().find_map(|(scheme, tls)| Some((text.strip_prefix(scheme)?, *tls)));
        if let Some((endpoint, tls)) = v1 {
            let endpoint = endpoint_of(endpoint).ok_or_else(form)?;
            return Ok(Self { endpoint, protocol: UpstreamProtocol::V1 { tls } });
        }
        let rest = text.strip_prefix(SCHEME_V2).ok_or_else(form)?;
        let (endpoint, key) = rest.split_once('/').ok_or_else(form)?;
        let authority = key
            .trim_end_matches('/')
            .parse()
            .map_err(|why: InvalidAuthorityKey| InvalidUpstream::Key { text: text.to_owned(), why: why.to_string() })?;
        Ok(Self { endpoint: endpoint_of(endpoint).ok_or_else(form)?, protocol: UpstreamProtocol::V2(authority) })
    }
}

/// Without another scheme, which [`Endpoint`] would take.
fn endpoint_of(text: &str) -> Option<Endpoint> {
    text.parse().ok().filter(|_| !text.contains("://"))
}

/// Without the key, which nobody wants to read again and again.
impl fmt::Display for UpstreamAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            UpstreamProtocol::V1 { tls: false } => "stratum+tcp://",
            UpstreamProtocol::V1 { tls: true } => "stratum+ssl://",
            UpstreamProtocol::V2(_) => SCHEME_V2,
        };
        write!(formatter, "{scheme}{}", self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use warppool_net::transport::noise::AuthorityKey;

    #[test]
    fn what_pools_show_is_understood_and_anything_else_refused_with_a_reason() {
        let key = AuthorityKey::generate().public();
        let v2 = format!("stratum2+tcp://pool.lan:3333/{key}");
        for (text, protocol, shown) in [
            (&*v2, UpstreamProtocol::V2(key), "stratum2+tcp://pool.lan:3333"),
            ("stratum+tcp://pool.lan:3333", UpstreamProtocol::V1 { tls: false }, "stratum+tcp://pool.lan:3333"),
            ("stratum+ssl://pool.lan:3333/", UpstreamProtocol::V1 { tls: true }, "stratum+ssl://pool.lan:3333"),
            ("stratum+tls://[::1]:3333", UpstreamProtocol::V1 { tls: true }, "stratum+ssl://[::1]:3333"),
        ] {
            let address: UpstreamAddress = text.parse().expect(text);
            assert_eq!((address.protocol, address.to_string().as_str()), (protocol, shown), "{text}");
        }
        for (text, reason) in [
            ("pool.lan:3333", "is neither stratum2+tcp://HOST:PORT/KEY"),
            ("stratum2+tcp://pool.lan:3333", "is neither stratum2+tcp://HOST:PORT/KEY"),
            ("stratum+tcp://pool.lan", "nor stratum+tcp://HOST:PORT"),
            ("stratum+tcp://ssl://pool.lan:3333", "nor stratum+tcp://HOST:PORT"),
            ("stratum2+tcp://pool.lan:3333/hello", "a character is wrong or missing"),
        ] {
            let error = text.parse::<UpstreamAddress>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
