//! A small HTTP client on a plain socket.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer takes so long unless something is broken.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body in JSON")
    }
}

pub(super) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream
}

pub(super) fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, &[])
}

pub(super) fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = connect(address);
    send_head(&mut stream, method, path, headers);
    read_answer(&mut BufReader::new(stream), method == "HEAD")
}

pub(super) fn send_head(stream: &mut TcpStream, method: &str, path: &str, headers: &[(&str, &str)]) {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: pool\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).expect("the server takes a request");
}

pub(super) fn read_answer(reader: &mut impl BufRead, without_body: bool) -> Answer {
    let (status, headers) = read_head(reader);
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().expect("a length"));
    let mut body = vec![0; if without_body { 0 } else { length }];
    reader.read_exact(&mut body).expect("a whole body");
    Answer { status, headers, body }
}

fn read_head(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line of the head");
        assert!(!line.is_empty(), "the connection ended within the head, after {lines:?}");
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let status = lines[0].split(' ').nth(1).expect("a status").parse().expect("a number");
    let header =
        |line: &String| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    (status, lines[1..].iter().filter_map(header).collect())
}

/// A listener of events.
pub(super) struct EventClient {
    reader: BufReader<TcpStream>,
    pending: String,
}

/// An event as a browser would see it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) data: Value,
}

impl EventClient {
    /// Connects and waits for the first text, after which it misses nothing. Returns what came with it.
    pub(super) fn connect(address: SocketAddr, last_event_id: Option<&str>) -> (Self, Event) {
        let mut stream = connect(address);
        let headers: Vec<_> = last_event_id.map(|id| ("last-event-id", id)).into_iter().collect();
        send_head(&mut stream, "GET", "/api/events", &headers);
        let mut reader = BufReader::new(stream);
        let (status, headers) = read_head(&mut reader);
        assert_eq!(status, 200);
        assert!(headers.contains(&("content-type".into(), "text/event-stream".into())), "{headers:?}");
        let mut client = Self { reader, pending: String::new() };
        let opening = client.block().expect("an opening");
        assert!(opening.starts_with("retry: "), "{opening}");
        (client, parse_event(&opening))
    }

    /// The next event, comments left out; `None` at the end of the stream.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block()?;
            if !block.starts_with(':') {
                return Some(parse_event(&block));
            }
        }
    }

    /// The next text up to an empty line, comments too.
    pub(super) fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.pending.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.pending = rest;
                return Some(block);
            }
            let chunk = self.chunk()?;
            self.pending.push_str(&chunk);
        }
    }

    fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        if self.reader.read_line(&mut size).ok()? == 0 {
            return None;
        }
        let size = usize::from_str_radix(size.trim_end(), 16).expect("a chunk's size");
        let mut bytes = vec![0; size + 2];
        self.reader.read_exact(&mut bytes).ok()?;
        bytes.truncate(size);
        (size > 0).then(|| String::from_utf8(bytes).expect("events in UTF-8"))
    }
}

fn parse_event(block: &str) -> Event {
    let mut event = Event::default();
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("id", value)) => event.id = value.to_owned(),
            Some(("event", value)) => event.name = value.to_owned(),
            Some(("data", value)) => event.data = serde_json::from_str(value).expect("data in JSON"),
            _ => {}
        }
    }
    event
}
