//! A browser on the miners' port: a small answer that sends it to the dashboard.
//!
//! No HTTP server: one answer, then the connection ends. Only `Host` is read, so that the address in the answer is the one
//! the browser knows this machine by.

use std::net::SocketAddr;
use warppool_components::limits::HTTP_HINT_HEAD_BYTES_MAX;

/// Where people find the dashboard.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Dashboard {
    /// How it is reached from outside, when the operator says so; without a slash at the end.
    pub public_url: Option<String>,
    /// The port it listens on; `None` when there is none.
    pub port: Option<u16>,
}

/// The answer to the request that `head` begins with; `None` while its head is not there as a whole. `local` is the
/// address that the client reached, for clients that name no host.
pub fn answer(head: &[u8], local: SocketAddr, dashboard: &Dashboard) -> Option<Vec<u8>> {
    let is_whole = head.windows(4).any(|end| end == b"\r\n\r\n") || head.windows(2).any(|end| end == b"\n\n");
    if !is_whole && head.len() < HTTP_HINT_HEAD_BYTES_MAX {
        return None;
    }
    let is_head = head.starts_with(b"HEAD ");
    if !is_head && !head.starts_with(b"GET ") {
        let text = "This port serves miners. It speaks Stratum (stratum+tcp://), not HTTP.\n";
        return Some(response("405 Method Not Allowed", "Allow: GET, HEAD\r\n", "text/plain", text, false));
    }
    Some(match location(head, local, dashboard) {
        Some(url) => {
            let page = format!(
                "<!doctype html><title>Miners' port</title><p>This port serves miners (Stratum). The dashboard is at <a href=\"{url}\">{url}</a>.</p>\n"
            );
            response("302 Found", &format!("Location: {url}\r\n"), "text/html", &page, is_head)
        }
        None => {
            response("404 Not Found", "", "text/plain", "This port serves miners (Stratum), not browsers.\n", is_head)
        }
    })
}

fn response(status: &str, header: &str, kind: &str, body: &str, is_head: bool) -> Vec<u8> {
    let length = body.len();
    let body = if is_head { "" } else { body };
    format!(
        "HTTP/1.1 {status}\r\n{header}Content-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn location(head: &[u8], local: SocketAddr, dashboard: &Dashboard) -> Option<String> {
    if let Some(url) = &dashboard.public_url {
        return Some(format!("{url}/"));
    }
    let port = dashboard.port?;
    let host = host(head).unwrap_or_else(|| SocketAddr::new(local.ip().to_canonical(), port).to_string());
    let host = without_port(&host);
    Some(format!("http://{host}:{port}/"))
}

/// What the client calls this machine, when it is nothing but a name or an address.
fn host(head: &[u8]) -> Option<String> {
    let lines = head.split(|byte| *byte == b'\n');
    let value = lines.take(64).find_map(|line| {
        let (name, value) = line.split_at_checked(5)?;
        name.eq_ignore_ascii_case(b"host:").then(|| value.trim_ascii())
    })?;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte);
    let is_host = (1..=255).contains(&value.len()) && value.iter().all(is_plain);
    is_host.then(|| String::from_utf8_lossy(value).into_owned())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "[::ffff:192.0.2.1]:3333";

    fn answered(head: &str, dashboard: &Dashboard) -> Option<String> {
        let local = LOCAL.parse().expect("an address");
        answer(head.as_bytes(), local, dashboard).map(|answer| String::from_utf8(answer).expect("text"))
    }

    #[test]
    fn a_browser_is_sent_to_the_dashboard_by_the_name_it_knows() {
        let port = Dashboard { public_url: None, port: Some(18334) };
        let public = Dashboard { public_url: Some("https://pool.example.com".into()), port: Some(18334) };
        for (head, dashboard, expected) in [
            ("GET / HTTP/1.1\r\nHost: pool.lan:3333\r\n\r\n", &port, "http://pool.lan:18334/"),
            ("GET /x HTTP/1.1\r\nA: b\r\nhOST:pool.lan\r\n\r\n", &port, "http://pool.lan:18334/"),
            ("GET / HTTP/1.1\r\nHost: [2001:db8::1]:3333\r\n\r\n", &port, "http://[2001:db8::1]:18334/"),
            ("GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n", &port, "http://[2001:db8::1]:18334/"),
            ("GET / HTTP/1.0\r\n\r\n", &port, "http://192.0.2.1:18334/"),
            ("HEAD / HTTP/1.0\n\n", &port, "http://192.0.2.1:18334/"),
            ("GET / HTTP/1.1\r\nHost: <script>\r\n\r\n", &port, "http://192.0.2.1:18334/"),
            ("GET / HTTP/1.1\r\nHost: pool.lan\r\n\r\n", &public, "https://pool.example.com/"),
        ] {
            let answer = answered(head, dashboard).expect("a whole head");
            assert!(answer.starts_with("HTTP/1.1 302 "), "{answer}");
            assert!(answer.contains(&format!("\r\nLocation: {expected}\r\n")), "{head:?}: {answer}");
            let (top, body) = answer.split_once("\r\n\r\n").expect("head and body");
            let length: usize = top
                .split("Content-Length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next())
                .map_or(0, |text| text.parse().expect("a number"));
            assert_eq!(body.len(), if head.starts_with("HEAD") { 0 } else { length });
        }
    }

    #[test]
    fn others_are_told_what_the_port_is_for() {
        let dashboard = Dashboard::default();
        let post = answered("POST / HTTP/1.1\r\nHost: a\r\n\r\n", &dashboard).expect("an answer");
        assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("stratum+tcp://"), "{post}");
        let nowhere = answered("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &dashboard).expect("an answer");
        assert!(nowhere.starts_with("HTTP/1.1 404 "), "{nowhere}");
    }

    #[test]
    fn a_head_is_waited_for_up_to_its_bound() {
        let dashboard = Dashboard { public_url: None, port: Some(1) };
        assert_eq!(answered("GET / HTTP/1.1\r\nHost: pool", &dashboard), None);
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(HTTP_HINT_HEAD_BYTES_MAX));
        assert!(answered(&long, &dashboard).is_some());
    }
}
