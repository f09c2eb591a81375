//! What both sides have said, with the time, bounded.

use crate::config::Secret;
use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;
use warppool_components::limits::{CLIENT_TRANSCRIPT_LINE_BYTES_MAX, CLIENT_TRANSCRIPT_LINES_MAX};

/// Whose line it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaker {
    /// This side.
    Miner,
    /// The other.
    Pool,
    /// A remark of ours.
    Remark,
}

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Milliseconds since the connection began.
    pub at_ms: u64,
    /// Whose.
    pub speaker: Speaker,
    /// Its text, cut when it is very long.
    pub text: String,
}

/// The last lines of a connection.
#[derive(Clone, Debug)]
pub struct Transcript {
    started_at: Instant,
    entries: VecDeque<Entry>,
    left_out: usize,
    secret: Option<Secret>,
}

impl Transcript {
    /// An empty one; its clock starts now.
    pub fn begin() -> Self {
        Self { started_at: Instant::now(), entries: VecDeque::new(), left_out: 0, secret: None }
    }

    /// Shows a word in its place from now on. A short secret may hide more than itself.
    pub fn conceal(&mut self, secret: &str) {
        self.secret = Some(Secret::from(secret.to_owned())).filter(|secret| !secret.is_empty());
    }

    /// Appends a line; the oldest go when there are too many.
    pub fn push(&mut self, speaker: Speaker, text: &str) {
        if self.entries.len() == CLIENT_TRANSCRIPT_LINES_MAX {
            self.entries.pop_front();
            self.left_out += 1;
        }
        let at_ms = u64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let text = match &self.secret {
            Some(secret) => shortened(&text.replace(secret.reveal(), "(hidden)")),
            None => shortened(text),
        };
        self.entries.push_back(Entry { at_ms, speaker, text });
    }

    /// The lines that are kept, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}

fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(CLIENT_TRANSCRIPT_LINE_BYTES_MAX);
    if end == text.len() { text.to_owned() } else { format!("{}… ({} bytes)", &text[..end], text.len()) }
}

impl fmt::Display for Transcript {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.left_out > 0 {
            writeln!(formatter, "({} lines before are left out)", self.left_out)?;
        }
        self.entries.iter().try_for_each(|Entry { at_ms, speaker, text }| {
            let mark = match speaker {
                Speaker::Miner => '>',
                Speaker::Pool => '<',
                Speaker::Remark => '*',
            };
            writeln!(formatter, "{at_ms:>6} ms {mark} {text}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_is_bounded_in_lines_and_in_their_length() {
        let mut transcript = Transcript::begin();
        (0..CLIENT_TRANSCRIPT_LINES_MAX + 3).for_each(|_| transcript.push(Speaker::Pool, &"é".repeat(10_000)));
        assert_eq!(transcript.entries().count(), CLIENT_TRANSCRIPT_LINES_MAX);
        assert!(transcript.entries().all(|entry| entry.text.len() < CLIENT_TRANSCRIPT_LINE_BYTES_MAX + 40));
        assert!(transcript.to_string().starts_with("(3 lines before are left out)\n"));
    }
}
