//! One connection: lines out, lines in, each with a deadline.

use super::transport::Transport;
use super::{ConnectError, Speaker, TlsReport, Transcript, Way};
use std::io::{ErrorKind, Read, Write};
use std::time::Instant;
use warppool_components::limits::{CLIENT_LINE_BYTES_MAX, READ_BYTES_MAX};

/// What came of waiting for a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Received {
    /// A line without its newline.
    Line(String),
    /// Nothing until the deadline.
    Nothing,
    /// The pool has ended the connection, or it broke; the reason for people.
    End(String),
}

/// A connection to a pool. Dropping it hangs up.
pub struct Connection {
    transport: Transport,
    tls: Option<TlsReport>,
    unread: Vec<u8>,
    ended: Option<String>,
    transcript: Transcript,
}

impl Connection {
    /// Connects until `deadline`.
    ///
    /// # Errors
    /// [`ConnectError`] says what kept it from happening.
    pub fn open(way: &Way, deadline: Instant) -> Result<Self, ConnectError> {
        let mut transcript = Transcript::begin();
        let (transport, tls) = Transport::open(way, deadline)?;
        let how = tls.as_ref().map_or_else(|| "in plain text".to_owned(), |tls| format!("with {}", tls.version));
        transcript.push(Speaker::Remark, &format!("connected to {} {how}", way.endpoint));
        Ok(Self { transport, tls, unread: Vec::new(), ended: None, transcript })
    }

    /// What the handshake has shown, if there was one.
    pub fn tls(&self) -> Option<&TlsReport> {
        self.tls.as_ref()
    }

    /// What was said so far.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Keeps a secret out of the transcript from now on.
    pub fn conceal(&mut self, secret: &str) {
        self.transcript.conceal(secret);
    }

    /// Writes a remark into the transcript.
    pub fn remark(&mut self, text: &str) {
        self.transcript.push(Speaker::Remark, text);
    }

    /// Sends lines in one segment. That the pool has hung up is seen when reading.
    pub fn send_lines(&mut self, lines: &[String]) {
        lines.iter().for_each(|line| self.transcript.push(Speaker::Miner, line));
        let bytes: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.write(bytes.as_bytes());
    }

    /// Sends bytes as they are; `remark` stands for them in the transcript.
    pub fn send_bytes(&mut self, bytes: &[u8], remark: &str) {
        self.transcript.push(Speaker::Miner, remark);
        self.write(bytes);
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Err(error) = self.transport.write_all(bytes).and_then(|()| self.transport.flush()) {
            self.transcript.push(Speaker::Remark, &format!("the pool does not take it: {error}"));
        }
    }

    /// Waits for the next line.
    pub fn receive(&mut self, deadline: Instant) -> Received {
        let received = self.next_line(deadline);
        match &received {
            Received::Line(line) => self.transcript.push(Speaker::Pool, line),
            Received::End(why) => self.transcript.push(Speaker::Remark, why),
            Received::Nothing => {}
        }
        received
    }

    fn next_line(&mut self, deadline: Instant) -> Received {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                return Received::Line(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            if let Some(why) = &self.ended {
                return Received::End(why.clone());
            }
            if self.unread.len() > CLIENT_LINE_BYTES_MAX {
                self.ended = Some(format!("the pool sends a line of more than {CLIENT_LINE_BYTES_MAX} bytes"));
            } else if !self.read_more(deadline) {
                return Received::Nothing;
            }
        }
    }

    /// Reads once; `false` when the time is up.
    fn read_more(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let mut buffer = [0; READ_BYTES_MAX];
        let outcome = self.transport.wait_at_most(left).and_then(|()| self.transport.read(&mut buffer));
        match outcome {
            Ok(0) => self.ended = Some("the pool has closed the connection".to_owned()),
            Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                // A pool that ends TLS without a farewell has closed all the same.
                ErrorKind::UnexpectedEof => self.ended = Some("the pool has closed the connection".to_owned()),
                _ => self.ended = Some(format!("the pool has broken the connection: {error}")),
            },
        }
        true
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.transport.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Endpoint;
    use std::net::TcpListener;
    use std::time::Duration;

    /// A pool that says `text` to whoever comes and hangs up when `ends`.
    fn against(text: &'static [u8], ends: bool, test: impl FnOnce(Connection)) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let (mut stream, _) = listener.accept().expect("a connection");
                // The miner may have heard enough.
                let _ = stream.write_all(text);
                if !ends {
                    let _ = stream.read(&mut [0; 16]);
                }
            });
            let way = Way { endpoint: Endpoint { host: "127.0.0.1".into(), port, tls: false }, tls: None };
            test(Connection::open(&way, Instant::now() + Duration::from_secs(10)).expect("connected"));
        });
    }

    #[test]
    fn lines_come_one_by_one_and_then_the_end() {
        against(b"one\r\ntwo\n\nrest", true, |mut connection| {
            let until = Instant::now() + Duration::from_secs(10);
            let lines: Vec<_> = (0..4).map(|_| connection.receive(until)).collect();
            let line = |text: &str| Received::Line(text.to_owned());
            assert_eq!(lines[..3], [line("one"), line("two"), line("")]);
            assert!(matches!(lines[3], Received::End(_)), "{lines:?}");
            assert!(connection.transcript().to_string().contains("< two"));
        });
    }

    #[test]
    fn waiting_ends_at_the_deadline_and_a_line_without_end_is_given_up() {
        static ENDLESS: [u8; CLIENT_LINE_BYTES_MAX + 2] = [b'x'; CLIENT_LINE_BYTES_MAX + 2];
        against(b"half", false, |mut connection| {
            assert_eq!(connection.receive(Instant::now() + Duration::from_millis(20)), Received::Nothing);
        });
        against(&ENDLESS, false, |mut connection| {
            let Received::End(why) = connection.receive(Instant::now() + Duration::from_secs(10)) else {
                panic!("no end")
            };
            assert!(why.contains("line of more than"), "{why}");
        });
    }
}
