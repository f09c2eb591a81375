//! `HOST:PORT`, as people type it.

use std::fmt;
use std::str::FromStr;

/// Schemes that miners' settings show, and whether they mean TLS.
const SCHEMES: [(&str, bool); 6] = [
    ("stratum+tcp://", false),
    ("stratum+ssl://", true),
    ("stratum+tls://", true),
    ("stratum://", false),
    ("tcp://", false),
    ("ssl://", true),
];

/// Where a pool listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The scheme says TLS.
    pub tls: bool,
}

/// Text that names no endpoint.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("\"{0}\" is not HOST:PORT, such as pool.example.com:3333 or [2001:db8::1]:3333")]
pub struct EndpointError(String);

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let error = || EndpointError(text.to_owned());
        let scheme = SCHEMES.iter().find_map(|(scheme, tls)| Some((text.strip_prefix(scheme)?, *tls)));
        let (rest, tls) = scheme.unwrap_or((text, false));
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(error)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(error)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // An IPv6 address without brackets could end anywhere.
        let host = bare.or((!host.contains(':')).then_some(host)).filter(|host| !host.is_empty());
        let is_word = |host: &&str| !host.contains(|letter: char| letter.is_whitespace() || "/@[]".contains(letter));
        Ok(Self { host: host.filter(is_word).ok_or_else(error)?.to_owned(), port, tls })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(formatter, "[{}]:{}", self.host, self.port),
            false => write!(formatter, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_miners_settings_show_is_understood() {
        for (text, host, port, tls) in [
            ("pool.example.com:3333", "pool.example.com", 3333, false),
            ("stratum+tcp://10.0.0.1:3333", "10.0.0.1", 3333, false),
            ("stratum+ssl://pool.example.com:443/", "pool.example.com", 443, true),
            ("[2001:db8::1]:3333", "2001:db8::1", 3333, false),
        ] {
            let endpoint: Endpoint = text.parse().expect(text);
            assert_eq!((&*endpoint.host, endpoint.port, endpoint.tls), (host, port, tls), "{text}");
            assert_eq!(endpoint.to_string().parse::<Endpoint>().map(|it| it.host), Ok(host.to_owned()), "{text}");
        }
        for text in ["", "pool", ":3333", "pool:0", "pool:70000", "2001:db8::1:3333", "user@pool:1", "http://a/b:80"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
