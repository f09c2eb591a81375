//! Lines from a stream of bytes.
//!
//! Complete lines are handed on straight from the caller's buffer; only the unfinished last one is copied and
//! kept. The memory of a kept line is given back as soon as it is complete, so that an idle connection holds
//! none.
//!
//! The order of calls: [`Lines::receive`] for each piece of the stream; when a limit stopped it
//! ([`Lines::has_more`]), [`Lines::resume`] before the next piece; [`Lines::finish`] at the end of the stream.

use std::fmt;
use std::io::BufRead;
use warppool_components::limits::LINE_BYTES_MAX;

/// The stream's sender wrote more than [`LINE_BYTES_MAX`] bytes without a newline. Lines before it were handed
/// on; nothing behind it can be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a line is longer than {LINE_BYTES_MAX} bytes")]
pub struct LineTooLong;

/// A splitter: what one connection sent and nobody took yet.
#[derive(Default)]
pub struct Lines {
    /// The start of a line, or whole lines too when `has_more`.
    pending: Vec<u8>,
    has_more: bool,
}

impl Lines {
    /// Takes up to `lines_max` lines from what was kept and `received`, keeps the rest. Each is handed to
    /// `deliver` without newline, carriage return and spaces around; blank ones are taken and not delivered.
    /// Returns how many were taken.
    ///
    /// # Errors
    /// [`LineTooLong`]: the stream is of no use any more.
    pub fn receive(
        &mut self,
        received: &[u8],
        lines_max: usize,
        mut deliver: impl FnMut(&[u8]),
    ) -> Result<usize, LineTooLong> {
        debug_assert!(!self.has_more, "what an earlier limit left comes first");
        if self.pending.is_empty() {
            return self.split(received, lines_max, deliver);
        }
        let length = line_length(received);
        let (end_of_line, rest) = received.split_at(length.unwrap_or(received.len()));
        self.pending.extend_from_slice(end_of_line);
        if length.is_none() || lines_max == 0 {
            self.pending.extend_from_slice(rest);
            self.has_more = length.is_some();
            return if self.has_more { Ok(0) } else { self.check_unfinished() };
        }
        deliver_line(&std::mem::take(&mut self.pending), &mut deliver)?;
        self.split(rest, lines_max - 1, deliver).map(|lines| lines + 1)
    }

    /// Goes on with what a limit left of an earlier piece.
    ///
    /// # Errors
    /// [`LineTooLong`], as [`Self::receive`].
    pub fn resume(&mut self, lines_max: usize, deliver: impl FnMut(&[u8])) -> Result<usize, LineTooLong> {
        let pending = std::mem::take(&mut self.pending);
        self.split(&pending, lines_max, deliver)
    }

    /// Whether a whole line is still kept, because a limit stopped [`Self::receive`] or [`Self::resume`].
    pub const fn has_more(&self) -> bool {
        self.has_more
    }

    /// Bytes that are kept.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Hands on what stands behind the last newline: the stream has ended, so the line has too.
    pub fn finish(&mut self, mut deliver: impl FnMut(&[u8])) {
        debug_assert!(!self.has_more, "what an earlier limit left comes first");
        let line = std::mem::take(&mut self.pending);
        deliver_line(&line, &mut deliver).expect("an unfinished line is kept only while it is short enough");
    }

    /// `pending` is empty when this is called.
    fn split(
        &mut self,
        received: &[u8],
        lines_max: usize,
        mut deliver: impl FnMut(&[u8]),
    ) -> Result<usize, LineTooLong> {
        let (mut rest, mut lines) = (received, 0);
        let mut length = line_length(rest);
        while let Some(end) = length.filter(|_| lines < lines_max) {
            deliver_line(&rest[..end], &mut deliver)?;
            rest = &rest[end..];
            lines += 1;
            length = line_length(rest);
        }
        self.has_more = length.is_some();
        self.pending.extend_from_slice(rest);
        self.check_unfinished().map(|_| lines)
    }

    fn check_unfinished(&self) -> Result<usize, LineTooLong> {
        if self.has_more || self.pending.len() <= LINE_BYTES_MAX { Ok(0) } else { Err(LineTooLong) }
    }
}

/// By hand, because an unfinished line may hold a password.
impl fmt::Debug for Lines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Lines {{ pending_bytes: {}, has_more: {} }}", self.pending.len(), self.has_more)
    }
}

/// Bytes up to the first newline, it included.
fn line_length(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    // A slice's own search: the only one in std that looks at many bytes at once.
    let length = rest.skip_until(b'\n').unwrap_or(0);
    (length > 0 && bytes[length - 1] == b'\n').then_some(length)
}

fn deliver_line(line: &[u8], deliver: &mut impl FnMut(&[u8])) -> Result<(), LineTooLong> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if line.len() > LINE_BYTES_MAX {
        return Err(LineTooLong);
    }
    match line.trim_ascii() {
        b"" => {}
        text => deliver(text),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"one\r\n\n  two \t\r\n\r\n{\"a\": 1}\nthree\nlast";

    /// What comes out when `stream` arrives in pieces of `size` bytes and `lines_max` are taken at a time.
    fn lines_of(stream: &[u8], size: usize, lines_max: usize) -> Vec<String> {
        let mut lines = Lines::default();
        let mut texts = Vec::new();
        let mut deliver = |text: &[u8]| texts.push(String::from_utf8(text.to_vec()).expect("UTF-8"));
        for piece in stream.chunks(size) {
            let mut taken = lines.receive(piece, lines_max, &mut deliver).expect("short lines");
            while lines.has_more() {
                assert_eq!(taken, lines_max, "stopped only by the limit");
                taken = lines.resume(lines_max, &mut deliver).expect("short lines");
            }
        }
        lines.finish(&mut deliver);
        assert_eq!((lines.pending_bytes(), lines.pending.capacity()), (0, 0), "all memory is given back");
        texts
    }

    #[test]
    fn rule_01_pieces_and_limits_of_any_size_give_the_same_lines() {
        for size in 1..=STREAM.len() {
            for lines_max in 1..8 {
                let texts = lines_of(STREAM, size, lines_max);
                assert_eq!(
                    texts,
                    ["one", "two", "{\"a\": 1}", "three", "last"],
                    "pieces of {size}, {lines_max} at a time"
                );
            }
        }
    }

    #[test]
    fn an_idle_splitter_holds_no_memory() {
        let mut lines = Lines::default();
        assert_eq!(lines.receive(b"complete\n", 9, |_| ()), Ok(1));
        assert_eq!(lines.pending.capacity(), 0);
        assert_eq!(lines.receive(b"part", 9, |_| ()), Ok(0));
        assert_eq!(lines.pending_bytes(), 4);
        assert_eq!(lines.receive(b"ial\n", 9, |text| assert_eq!(text, b"partial")), Ok(1));
        assert_eq!(lines.pending.capacity(), 0);
    }

    #[test]
    fn rule_01_a_line_may_have_exactly_its_limit() {
        for pieces in [1, 1000, 2 * LINE_BYTES_MAX] {
            for (length, expected) in [(LINE_BYTES_MAX, Ok(true)), (LINE_BYTES_MAX + 1, Err(LineTooLong))] {
                let mut line = vec![b'x'; length];
                line.push(b'\n');
                let mut lines = Lines::default();
                let mut whole = false;
                let result = line
                    .chunks(pieces)
                    .try_for_each(|piece| lines.receive(piece, 9, |text| whole = text.len() == length).map(drop));
                assert_eq!(result.map(|()| whole), expected, "{length} bytes in pieces of {pieces}");
            }
        }
    }

    #[test]
    fn lines_before_one_that_is_too_long_are_delivered() {
        let mut stream = b"first\n".to_vec();
        stream.extend(vec![b'x'; LINE_BYTES_MAX + 1]);
        let mut count = 0;
        assert_eq!(Lines::default().receive(&stream, 9, |_| count += 1), Err(LineTooLong));
        assert_eq!(count, 1);
    }
}
