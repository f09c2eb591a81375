//! `stratum2+tcp://HOST:PORT/KEY`, as pools of Stratum V2 are named.

use crate::client::Endpoint;
use std::fmt;
use std::str::FromStr;
use warppool_net::transport::noise::AuthorityPublicKey;

/// The scheme of Stratum V2.
const SCHEME: &str = "stratum2+tcp://";

/// A pool of Stratum V2 and the key by which it is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpstreamAddress {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Who signs its certificates.
    pub authority: AuthorityPublicKey,
}

/// Why a text names no pool of Stratum V2.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidUpstream {
    /// Not of the form.
    #[error("\"{0}\" is not stratum2+tcp://HOST:PORT/KEY")]
    Form(String),
    /// A pool of Stratum V1.
    #[error("\"{0}\" is a pool of Stratum V1; the translator needs one of Stratum V2: stratum2+tcp://HOST:PORT/KEY")]
    StratumV1(String),
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
        if ["stratum+tcp://", "stratum+ssl://", "stratum+tls://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(InvalidUpstream::StratumV1(text.to_owned()));
        }
        let rest = text.strip_prefix(SCHEME).ok_or_else(form)?;
        let (endpoint, key) = rest.split_once('/').ok_or_else(form)?;
        let key = key.trim_end_matches('/');
        let authority = key.parse().map_err(|why: warppool_net::transport::noise::InvalidAuthorityKey| {
            InvalidUpstream::Key { text: text.to_owned(), why: why.to_string() }
        })?;
        Ok(Self { endpoint: endpoint.parse().map_err(|_| form())?, authority })
    }
}

/// Without the key, which nobody wants to read again and again.
impl fmt::Display for UpstreamAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}", self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use warppool_net::transport::noise::AuthorityKey;

    #[test]
    fn what_a_pool_shows_is_understood_and_anything_else_refused_with_a_reason() {
        let key = AuthorityKey::generate().public();
        let address: UpstreamAddress = format!("stratum2+tcp://pool.lan:3333/{key}").parse().expect("as shown");
        assert_eq!((address.endpoint.host.as_str(), address.endpoint.port, address.authority), ("pool.lan", 3333, key));
        assert_eq!(address.to_string(), "stratum2+tcp://pool.lan:3333");
        for (text, reason) in [
            ("pool.lan:3333", "is not stratum2+tcp://HOST:PORT/KEY"),
            ("stratum2+tcp://pool.lan:3333", "is not stratum2+tcp://HOST:PORT/KEY"),
            ("stratum+tcp://pool.lan:3333", "a pool of Stratum V1"),
            ("stratum2+tcp://pool.lan:3333/hello", "a character is wrong or missing"),
        ] {
            let error = text.parse::<UpstreamAddress>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
