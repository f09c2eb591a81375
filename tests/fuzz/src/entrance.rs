//! The first bytes of a connection: what it speaks, for whom a proxy speaks, what a browser is answered.
//!
//! A decision never changes as more bytes come, wherever the stream is split; a header is as long as it says and means
//! what a second, naive reading of it means; the answer to a browser is one well-formed HTTP response.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use warppool_components::limits::{HTTP_HINT_HEAD_BYTES_MAX, PROXY_HEADER_BYTES_MAX};
use warppool_net::transport::http_hint::{Dashboard, answer};
use warppool_net::transport::proxy::{MalformedHeader, ProxyHeader, parse};
use warppool_net::transport::sniff::{SNIFF_BYTES_MAX, SNIFF_BYTES_MIN, Sniff, sniff};

type Header = Result<Option<ProxyHeader>, MalformedHeader>;

/// Of the lengths behind a decision only every so many-th is tried.
const STRIDE: usize = 16;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Runs one input: a stream from its first byte on.
pub fn check(data: &[u8]) {
    check_sniff(data);
    check_header(data);
    check_hint(data);
}

fn check_sniff(data: &[u8]) {
    let mut before = Sniff::NeedMore;
    for length in 0..=data.len().min(SNIFF_BYTES_MAX + 1) {
        if before != Sniff::NeedMore && length % STRIDE != 0 && length != SNIFF_BYTES_MAX {
            continue;
        }
        let now = sniff(&data[..length]);
        assert!(before == Sniff::NeedMore || before == now, "{before:?} became {now:?} at {length} bytes");
        assert!(length >= SNIFF_BYTES_MIN || now == Sniff::NeedMore, "decided on {length} bytes");
        assert!(length < SNIFF_BYTES_MAX || now != Sniff::NeedMore, "undecided at {length} bytes");
        before = now;
    }
    assert_eq!(sniff(data), before, "bytes beyond the first {SNIFF_BYTES_MAX} count");
}

fn check_header(data: &[u8]) {
    let mut before: Header = Ok(None);
    // Behind the longest header nothing is looked at, but a few bytes more are shown all the same.
    for length in 0..=data.len().min(PROXY_HEADER_BYTES_MAX + 8) {
        if before != Ok(None) && length % STRIDE != 0 {
            continue;
        }
        let now = parse(&data[..length]);
        if before == Ok(None) {
            if let Ok(Some(header)) = now {
                assert_eq!(header.bytes, length, "known exactly when its last byte is there");
                assert_eq!(sniff(&data[..length]), Sniff::Proxy, "a header that is not recognised as one");
            }
        } else {
            assert_eq!(now, before, "another answer at {length} bytes");
        }
        before = now;
    }
    match before {
        Ok(Some(header)) => assert_eq!(Ok(header.source), naive_source(&data[..header.bytes])),
        Ok(None) => assert!(data.len() <= PROXY_HEADER_BYTES_MAX, "waits for more than the longest header"),
        Err(MalformedHeader) => {}
    }
}

/// The source that a whole header names, read another way.
fn naive_source(header: &[u8]) -> Result<Option<IpAddr>, String> {
    if let Some(binary) = header.strip_prefix(SIGNATURE) {
        let (command, family, addresses) = (binary[0], binary[1], &binary[4..]);
        if usize::from(binary[2]) * 256 + usize::from(binary[3]) != addresses.len() {
            return Err("another length".into());
        }
        let octets = |from: usize, to: usize| addresses[from..to].to_vec();
        return Ok(match (command, family) {
            (0x20, _) => None,
            (0x21, 0x11) => Some(Ipv4Addr::new(addresses[0], addresses[1], addresses[2], addresses[3]).into()),
            (0x21, 0x21) => {
                let octets: [u8; 16] = octets(0, 16).try_into().map_err(|_| "too short")?;
                Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical())
            }
            (0x21, _) => None,
            _ => return Err("not version 2".into()),
        });
    }
    let text = std::str::from_utf8(header).map_err(|error| error.to_string())?;
    let words: Vec<&str> = text.strip_suffix("\r\n").ok_or("no end")?.split(' ').collect();
    match (words[1], words.len()) {
        ("UNKNOWN", _) => Ok(None),
        ("TCP4" | "TCP6", 6) => {
            let source = IpAddr::from_str(words[2]).map_err(|error| error.to_string())?;
            if source.is_ipv4() != (words[1] == "TCP4") {
                return Err("the other family".into());
            }
            Ok(Some(source.to_canonical()))
        }
        _ => Err("no header".into()),
    }
}

fn check_hint(data: &[u8]) {
    let Some((choice, head)) = data.split_first() else { return };
    let dashboard = Dashboard {
        public_url: (choice & 1 != 0).then(|| "https://pool.example.com".to_owned()),
        port: (choice & 2 != 0).then_some(18334),
    };
    let local = SocketAddr::from((Ipv6Addr::LOCALHOST, 3333));
    let Some(bytes) = answer(head, local, &dashboard) else {
        assert!(head.len() < HTTP_HINT_HEAD_BYTES_MAX, "waits for more than it takes");
        return;
    };
    let text = String::from_utf8(bytes).expect("the answer is text");
    let (top, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let mut lines = top.split("\r\n");
    let status = lines.next().expect("a first line");
    assert!(["HTTP/1.1 302 Found", "HTTP/1.1 404 Not Found", "HTTP/1.1 405 Method Not Allowed"].contains(&status));
    let mut length = None;
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header");
        assert!(!value.contains(['\r', '\n']), "a header of two lines: {line:?}");
        match name {
            "Content-Length" => length = value.parse::<usize>().ok(),
            "Location" => {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]/".contains(&byte);
                assert!(value.starts_with("http") && value.bytes().all(is_plain), "{value:?}");
            }
            "Allow" | "Content-Type" | "Cache-Control" | "Connection" => {}
            other => panic!("a header that the client brought: {other}"),
        }
    }
    let expected = if head.starts_with(b"HEAD ") { 0 } else { length.expect("a length") };
    assert_eq!(body.len(), expected, "the length is another: {text}");
}
