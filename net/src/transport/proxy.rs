//! The PROXY protocol, versions 1 and 2: for whom a proxy of the operator's speaks.
//!
//! Source: "The PROXY protocol", HAProxy, 2020-03-05. The header stands before everything else on a connection. Who may send
//! one is not decided here; whoever believes a header from anybody lets everybody choose their address.

use super::sniff::{PROXY_V1_SIGNATURE, PROXY_V2_SIGNATURE};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str;
use warppool_components::limits::PROXY_HEADER_BYTES_MAX;

/// Longest header in text form, its line end included (section 2.1).
const TEXT_BYTES_MAX: usize = 107;

/// Bytes before the addresses of a binary header.
const FIXED_BYTES: usize = 16;

/// A header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProxyHeader {
    /// Whom the proxy speaks for; `None` when it speaks for itself (health checks), or does not know.
    pub source: Option<IpAddr>,
    /// How long the header is, in bytes.
    pub bytes: usize,
}

/// The bytes begin as a header and are none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a malformed PROXY header")]
pub struct MalformedHeader;

/// The header that `bytes` begin with; `None` while it is not there as a whole.
///
/// # Errors
/// [`MalformedHeader`] when no further bytes can make it one.
pub fn parse(bytes: &[u8]) -> Result<Option<ProxyHeader>, MalformedHeader> {
    let is_text = bytes.starts_with(&PROXY_V1_SIGNATURE[..PROXY_V1_SIGNATURE.len().min(bytes.len())]);
    if is_text { parse_text(bytes) } else { parse_binary(bytes) }
}

/// `PROXY TCP4 source destination source-port destination-port\r\n`
fn parse_text(bytes: &[u8]) -> Result<Option<ProxyHeader>, MalformedHeader> {
    let within = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
    let Some(end) = within.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < TEXT_BYTES_MAX { Ok(None) } else { Err(MalformedHeader) };
    };
    let line = str::from_utf8(&bytes[..end]).map_err(|_| MalformedHeader)?;
    let header = |source| Ok(Some(ProxyHeader { source, bytes: end + 2 }));
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        // Whatever stands behind it is to be ignored.
        ["PROXY", "UNKNOWN", ..] => header(None),
        ["PROXY", "TCP4", source, destination, from, to] => {
            let source = address::<Ipv4Addr>(source, destination, from, to)?;
            header(Some(source.into()))
        }
        ["PROXY", "TCP6", source, destination, from, to] => {
            let source = address::<Ipv6Addr>(source, destination, from, to)?;
            header(Some(IpAddr::from(source).to_canonical()))
        }
        _ => Err(MalformedHeader),
    }
}

fn address<Address: str::FromStr>(
    source: &str,
    destination: &str,
    from: &str,
    to: &str,
) -> Result<Address, MalformedHeader> {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let is_address = destination.parse::<Address>().is_ok();
    if !is_address || !is_port(from) || !is_port(to) {
        return Err(MalformedHeader);
    }
    source.parse().map_err(|_| MalformedHeader)
}

/// Signature, version and command, family, length, addresses, and extensions that nobody here needs.
fn parse_binary(bytes: &[u8]) -> Result<Option<ProxyHeader>, MalformedHeader> {
    let Some((fixed, _)) = bytes.split_first_chunk::<FIXED_BYTES>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let whole = FIXED_BYTES + length;
    if !fixed.starts_with(PROXY_V2_SIGNATURE) || whole > PROXY_HEADER_BYTES_MAX {
        return Err(MalformedHeader);
    }
    let (command, family) = (fixed[12], fixed[13]);
    let Some(addresses) = bytes.get(FIXED_BYTES..whole) else { return Ok(None) };
    let source = match (command, family) {
        (0x20, _) => None,
        (0x21, 0x11) if length >= 12 => Some(v4(addresses)),
        (0x21, 0x21) if length >= 36 => Some(v6(addresses)),
        (0x21, 0x11 | 0x21) => return Err(MalformedHeader),
        // A Unix socket, UDP or something new: a connection all the same, of an address that is not told.
        (0x21, _) => None,
        _ => return Err(MalformedHeader),
    };
    Ok(Some(ProxyHeader { source, bytes: whole }))
}

fn v4(addresses: &[u8]) -> IpAddr {
    let mut octets = [0; 4];
    octets.copy_from_slice(&addresses[..4]);
    Ipv4Addr::from(octets).into()
}

/// An IPv4 address in the clothes of IPv6 is known as what it is, as everywhere.
fn v6(addresses: &[u8]) -> IpAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&addresses[..16]);
    IpAddr::from(Ipv6Addr::from(octets)).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = (addresses.len() as u16).to_be_bytes();
        [PROXY_V2_SIGNATURE.as_slice(), &[command, family], &length, addresses].concat()
    }

    /// The header's source, the same however little comes at a time; what follows is not touched.
    fn source(header: &[u8]) -> Result<Option<IpAddr>, MalformedHeader> {
        let stream = [header, b"{\"id\":1}\n"].concat();
        for length in 0..header.len() {
            let early = parse(&stream[..length]);
            assert!(matches!(early, Ok(None) | Err(MalformedHeader)), "{length} bytes: {early:?}");
        }
        let parsed = parse(&stream)?.expect("a whole header");
        assert_eq!(parsed.bytes, header.len());
        assert!((0..header.len()).all(|length| parse(&stream[..length]) == Ok(None)), "good ones are waited for");
        Ok(parsed.source)
    }

    fn ip(text: &str) -> Result<Option<IpAddr>, MalformedHeader> {
        Ok(Some(text.parse().expect("an address")))
    }

    #[test]
    fn good_headers_tell_the_source() {
        let none = Ok(None);
        let v4 = [[192, 0, 2, 7], [10, 0, 0, 1], [0, 80, 13, 5]].concat();
        let mut v6 = vec![0; 36];
        (v6[0], v6[1], v6[15]) = (0x20, 0x01, 9);
        let mut mapped = vec![0; 36];
        mapped[10..16].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 9]);
        let with_extension = [v4.clone(), vec![0x04, 0, 3, 0, 0, 0]].concat();
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 3333\r\n".to_vec(), ip("192.0.2.7")),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n".to_vec(), ip("2001:db8::7")),
            (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n".to_vec(), ip("192.0.2.7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), none),
            (b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n".to_vec(), none),
            (binary(0x21, 0x11, &v4), ip("192.0.2.7")),
            (binary(0x21, 0x11, &with_extension), ip("192.0.2.7")),
            (binary(0x21, 0x21, &v6), ip("2001::9")),
            (binary(0x21, 0x21, &mapped), ip("192.0.2.9")),
            (binary(0x20, 0x00, &[]), none),
            (binary(0x20, 0x11, &v4), none),
            (binary(0x21, 0x31, &[0; 216]), none),
        ] {
            assert_eq!(source(&header), expected, "{:?}", String::from_utf8_lossy(&header));
        }
    }

    #[test]
    fn bad_headers_are_refused() {
        let mut long = b"PROXY UNKNOWN ".to_vec();
        long.resize(TEXT_BYTES_MAX, b'x');
        for header in [
            b"PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 99999\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::7 10.0.0.1 1 2\r\n".to_vec(),
            b"PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(),
            b"PROXY  TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(),
            b"PROXY \xff\r\n".to_vec(),
            long,
            binary(0x31, 0x11, &[0; 12]),
            binary(0x22, 0x11, &[0; 12]),
            binary(0x21, 0x11, &[0; 11]),
            binary(0x21, 0x21, &[0; 35]),
            binary(0x21, 0x11, &vec![0; PROXY_HEADER_BYTES_MAX]),
        ] {
            assert_eq!(source(&header), Err(MalformedHeader), "{:?}", String::from_utf8_lossy(&header));
        }
    }
}
