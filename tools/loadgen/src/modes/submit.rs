//! Submit lines that cost almost nothing to make, and verdicts that cost almost nothing to read.
//!
//! A line is prepared once per job; each share then increments digits in place and copies the line. A verdict is
//! recognised by the bytes around its id, learned from the first accepted one; whatever looks different is parsed.

use serde_json::Value;

use crate::swarm::JobText;

/// Id of a connection's first submit. Ten digits from the start, so that every line of a connection is as long.
pub(super) const FIRST_ID: u64 = 1_000_000_000;

const ID_DIGITS: usize = 10;

/// The next submit of one connection as bytes.
pub(super) struct SubmitLine {
    line: Vec<u8>,
    id: std::ops::Range<usize>,
    extranonce2: std::ops::Range<usize>,
    nonce: std::ops::Range<usize>,
}

impl SubmitLine {
    /// The first line of a connection for a job.
    pub(super) fn new(username: &str, job: &JobText, extranonce2_bytes: usize) -> Self {
        let extranonce2 = "0".repeat(extranonce2_bytes * 2);
        Self::build(username, job, &FIRST_ID.to_string(), &extranonce2, "00000000")
    }

    fn build(username: &str, job: &JobText, id: &str, extranonce2: &str, nonce: &str) -> Self {
        let quoted = |text: &str| Value::from(text).to_string();
        let mut line = String::from("{\"id\":");
        let id_range = append(&mut line, id);
        line.push_str(&format!(
            ",\"method\":\"mining.submit\",\"params\":[{},{},\"",
            quoted(username),
            quoted(&job.id)
        ));
        let extranonce2_range = append(&mut line, extranonce2);
        line.push_str(&format!("\",{},\"", quoted(&job.time)));
        let nonce_range = append(&mut line, nonce);
        line.push_str("\"]}\n");
        Self { line: line.into_bytes(), id: id_range, extranonce2: extranonce2_range, nonce: nonce_range }
    }

    /// The same counters under a new job: nothing is ever submitted twice on a connection.
    pub(super) fn follow(&mut self, username: &str, job: &JobText) {
        let text = |range: &std::ops::Range<usize>| String::from_utf8_lossy(&self.line[range.clone()]).into_owned();
        *self = Self::build(username, job, &text(&self.id), &text(&self.extranonce2), &text(&self.nonce));
    }

    /// Appends the line and moves the counters on.
    pub(super) fn append_to(&mut self, outbound: &mut Vec<u8>) {
        outbound.extend_from_slice(&self.line);
        increment(&mut self.line[self.id.clone()], b'9');
        if increment(&mut self.line[self.extranonce2.clone()], b'f') {
            increment(&mut self.line[self.nonce.clone()], b'f');
        }
    }
}

fn append(line: &mut String, text: &str) -> std::ops::Range<usize> {
    let start = line.len();
    line.push_str(text);
    start..line.len()
}

/// Adds one to a number of ASCII digits whose highest digit is `last` (`9` or `f`). True when it wrapped to zero.
fn increment(digits: &mut [u8], last: u8) -> bool {
    for digit in digits.iter_mut().rev() {
        match *digit {
            b'9' if last == b'f' => *digit = b'a',
            value if value == last => {
                *digit = b'0';
                continue;
            }
            value => *digit = value + 1,
        }
        return false;
    }
    true
}

/// What a pool said about one submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Accepted, by id.
    Accepted(u64),
    /// Refused, by id, with the error's code (0 without one).
    Rejected(u64, i64),
}

impl Verdict {
    /// Which submit of the connection it answers, from 0.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Accepted(id) | Self::Rejected(id, _) => id.saturating_sub(FIRST_ID),
        }
    }
}

/// Reads verdicts; learns how this pool writes an accepted one.
#[derive(Default)]
pub(super) struct VerdictReader {
    before_id: Vec<u8>,
    after_id: Vec<u8>,
}

impl VerdictReader {
    /// The verdict in a line, or `None` when the line is something else.
    pub(super) fn read(&mut self, line: &[u8]) -> Option<Verdict> {
        self.read_known(line).or_else(|| self.read_any(line))
    }

    fn read_known(&self, line: &[u8]) -> Option<Verdict> {
        if self.after_id.is_empty() {
            return None;
        }
        let id = line.strip_prefix(self.before_id.as_slice())?.strip_suffix(self.after_id.as_slice())?;
        (id.len() == ID_DIGITS).then(|| decimal(id).map(Verdict::Accepted))?
    }

    fn read_any(&mut self, line: &[u8]) -> Option<Verdict> {
        let message: Value = serde_json::from_slice(line).ok()?;
        let id = message["id"].as_u64().filter(|id| *id >= FIRST_ID)?;
        if message["result"] == Value::Bool(true) && message["error"].is_null() {
            self.learn(line, id);
            return Some(Verdict::Accepted(id));
        }
        Some(Verdict::Rejected(id, message["error"][0].as_i64().unwrap_or(0)))
    }

    fn learn(&mut self, line: &[u8], id: u64) {
        let id = id.to_string();
        let at = line.windows(id.len()).position(|window| window == id.as_bytes());
        if let Some(at) = at.filter(|_| id.len() == ID_DIGITS) {
            self.before_id = line[..at].to_vec();
            self.after_id = line[at + ID_DIGITS..].to_vec();
        }
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::{FIRST_ID, SubmitLine, Verdict, VerdictReader, increment};
    use crate::swarm::JobText;

    fn job(id: &str) -> JobText {
        JobText { id: id.to_owned(), time: "65612f00".to_owned() }
    }

    fn next(line: &mut SubmitLine) -> serde_json::Value {
        let mut outbound = Vec::new();
        line.append_to(&mut outbound);
        assert_eq!(outbound.pop(), Some(b'\n'));
        serde_json::from_slice(&outbound).expect("a submit is JSON")
    }

    #[test]
    fn every_submit_is_new_and_counts_on_over_a_new_job() {
        let mut line = SubmitLine::new("bc1q.w0", &job("a"), 8);
        let first = next(&mut line);
        assert_eq!(first["id"], FIRST_ID);
        assert_eq!(first["params"], serde_json::json!(["bc1q.w0", "a", "0000000000000000", "65612f00", "00000000"]));
        for _ in 0..16 {
            next(&mut line);
        }
        line.follow("bc1q.w0", &job("longer"));
        let later = next(&mut line);
        assert_eq!(later["id"], FIRST_ID + 17);
        assert_eq!(later["params"][1], "longer");
        assert_eq!(later["params"][2], "0000000000000011");
    }

    #[test]
    fn a_short_extranonce2_carries_into_the_nonce() {
        let mut line = SubmitLine::new("bc1q", &job("a"), 1);
        let shares: std::collections::HashSet<String> =
            (0..600).map(|_| next(&mut line)["params"].to_string()).collect();
        assert_eq!(shares.len(), 600);
    }

    #[test]
    fn digits_carry() {
        let cases = [("0009", b'9', "0010", false), ("00ff", b'f', "0100", false), ("09", b'f', "0a", false)];
        for (before, last, after, wrapped) in cases.into_iter().chain([("ff", b'f', "00", true)]) {
            let mut digits = before.as_bytes().to_vec();
            assert_eq!(increment(&mut digits, last), wrapped);
            assert_eq!(digits, after.as_bytes(), "{before}");
        }
    }

    #[test]
    fn verdicts_are_read_whatever_the_key_order_before_and_after_learning() {
        for shape in [r#"{"id":ID,"result":true,"error":null}"#, r#"{"error": null, "result": true, "id": ID}"#] {
            let mut reader = VerdictReader::default();
            for id in FIRST_ID..FIRST_ID + 3 {
                let line = shape.replace("ID", &id.to_string());
                assert_eq!(reader.read(line.as_bytes()), Some(Verdict::Accepted(id)));
            }
            assert!(!reader.after_id.is_empty() || shape.ends_with("ID}"), "learned");
            let refused = br#"{"id":1000000007,"result":null,"error":[21,"Stale",null]}"#;
            assert_eq!(reader.read(refused), Some(Verdict::Rejected(FIRST_ID + 7, 21)));
            assert_eq!(reader.read(br#"{"id":null,"method":"mining.set_difficulty","params":[1]}"#), None);
            assert_eq!(reader.read(b"garbage"), None);
        }
    }
}
