//! How messages lie in the bytes of a connection: frames that are encrypted by Noise, lines, or lines within TLS.
//!
//! No socket: bytes come in and messages go out, and the other way round.

use super::error::UpstreamError;
use rustls::ClientConnection;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use warppool_components::limits::UPSTREAM_LINE_BYTES_MAX;
use warppool_net::transport::noise::NoiseSession;

/// Plain bytes taken out of TLS at once.
const PLAIN_BYTES: usize = 16 * 1024;

/// One connection's.
pub(super) enum Coding {
    /// Stratum V2.
    Noise(NoiseSession),
    /// Stratum V1 in the clear.
    Lines(Lines),
    /// Stratum V1 within TLS.
    Tls(Box<ClientConnection>, Lines),
}

impl Coding {
    /// Takes what was read and appends the messages that are whole.
    pub(super) fn unpack(&mut self, bytes: &mut [u8], messages: &mut VecDeque<Vec<u8>>) -> Result<(), UpstreamError> {
        match self {
            Self::Noise(session) => {
                session.receive(bytes, usize::MAX, |frame| messages.push_back(frame.to_vec()))?;
                Ok(())
            }
            Self::Lines(lines) => lines.cut(bytes, messages),
            Self::Tls(connection, lines) => {
                let mut rest: &[u8] = bytes;
                while !rest.is_empty() {
                    connection.read_tls(&mut rest)?;
                    connection.process_new_packets().map_err(UpstreamError::Tls)?;
                    take_plain(connection, lines, messages)?;
                }
                Ok(())
            }
        }
    }

    /// Appends a message as it is to be written. A line comes without its newline.
    pub(super) fn pack(&mut self, message: &[u8], out: &mut Vec<u8>) -> Result<(), UpstreamError> {
        match self {
            Self::Noise(session) => session.seal(message, out)?,
            Self::Lines(_) => out.extend(message.iter().chain(b"\n")),
            Self::Tls(connection, _) => {
                connection.writer().write_all(&[message, b"\n"].concat())?;
                while connection.wants_write() {
                    connection.write_tls(out)?;
                }
            }
        }
        Ok(())
    }
}

fn take_plain(
    connection: &mut ClientConnection,
    lines: &mut Lines,
    messages: &mut VecDeque<Vec<u8>>,
) -> Result<(), UpstreamError> {
    let mut plain = [0; PLAIN_BYTES];
    loop {
        match connection.reader().read(&mut plain) {
            // Its farewell: what follows is the end of the connection.
            Ok(0) => return Ok(()),
            Ok(count) => lines.cut(&plain[..count], messages)?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    unfinished: Vec<u8>,
}

impl Lines {
    /// Appends the lines that are whole, without the white space around them; empty ones are passed over.
    fn cut(&mut self, bytes: &[u8], messages: &mut VecDeque<Vec<u8>>) -> Result<(), UpstreamError> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.unfinished.len() + piece.len() > UPSTREAM_LINE_BYTES_MAX {
                return Err(UpstreamError::LineTooLong);
            }
            self.unfinished.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.unfinished);
                let line = line.trim_ascii();
                if !line.is_empty() {
                    messages.push_back(line.to_vec());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_wherever_the_bytes_are_and_no_line_is_without_end() {
        let mut messages = VecDeque::new();
        let mut lines = Lines::default();
        for piece in [&b"{\"a\""[..], b":1}\r\n\n  {}", b"\n{\"b\":2}\n{"] {
            lines.cut(piece, &mut messages).expect("short");
        }
        let expected = [&b"{\"a\":1}"[..], b"{}", b"{\"b\":2}"];
        assert_eq!(messages.iter().map(Vec::as_slice).collect::<Vec<_>>(), expected);
        let most = vec![b'x'; UPSTREAM_LINE_BYTES_MAX - 1];
        assert!(lines.cut(&most, &mut messages).is_ok(), "with the one that waits exactly what is allowed");
        assert!(matches!(lines.cut(b"x", &mut messages), Err(UpstreamError::LineTooLong)));
    }
}
