//! Transcripts: files of exact lines between a miner and the pool.
//!
//! ```text
//! # a remark                 what the miner is doing, and why it matters
//! connect                    opens a connection; a further one replaces the miner's former one
//! > LINE                     the miner sends; lines that follow each other arrive in one segment
//! < LINE                     the pool has sent exactly this
//! <~ LINE                    the same, but a {name} that is not known yet takes what stands in its place
//! advance 30s                time passes (s, m, h)
//! template new-tip           the node has a new tip and a full template for it
//! template same-tip          the node has a newer template for the same tip
//! mine [extranonce2=N] [bits=N]    finds a share of the latest job: {job} {extranonce2} {ntime} {nonce} {version}
//!                            and {nonce_unpadded}; N is hexadecimal
//! miss [extranonce2=N] [bits=N]    the same, but the share misses the difficulty
//! hang up                    the miner goes
//! ```
//! `{name}` in a line stands for what is known under that name; `{alice}`, `{bob}` and `{carol}` are addresses, and
//! `{_}` takes anything. Nothing may be left unread when the miner goes on.

use crate::miner::{Search, Share};
use crate::pool::{Conn, Pool};
use crate::work;
use std::collections::HashMap;
use std::time::Duration;

/// Plays the transcript against a fresh pool that has work.
///
/// # Panics
/// At the first line that differs, naming its number.
pub fn play(text: &str) {
    let mut play = Play::new();
    for (number, line) in text.lines().enumerate() {
        play.place = format!("line {}: {line}", number + 1);
        play.line(line.trim());
    }
    play.place = "end of the transcript".into();
    play.send_pending();
    play.assert_nothing_unread();
}

struct Play {
    pool: Pool,
    conn: Option<Conn>,
    pending: Vec<String>,
    unread: std::collections::VecDeque<String>,
    names: HashMap<String, String>,
    place: String,
}

impl Play {
    fn new() -> Self {
        let addresses = [("alice", work::address(1)), ("bob", work::taproot_address(2)), ("carol", work::address(3))];
        let names = addresses.map(|(name, address)| (name.to_owned(), address)).into();
        Self {
            pool: Pool::default().with_work(),
            conn: None,
            pending: Vec::new(),
            unread: Default::default(),
            names,
            place: String::new(),
        }
    }

    fn line(&mut self, line: &str) {
        if let Some(sent) = line.strip_prefix("> ") {
            if self.pending.is_empty() {
                self.assert_nothing_unread();
            }
            let filled = self.fill(sent);
            self.pending.push(filled);
            return;
        }
        self.send_pending();
        match line.split_once(' ').unwrap_or((line, "")) {
            ("<", expected) => self.expect(expected, false),
            ("<~", expected) => self.expect(expected, true),
            ("" | "#", _) => {}
            (directive, rest) => {
                self.assert_nothing_unread();
                self.obey(directive, rest);
                self.read();
            }
        }
    }

    fn obey(&mut self, directive: &str, rest: &str) {
        match (directive, rest) {
            ("connect", "") => self.conn = Some(self.pool.connect()),
            ("hang", "up") => self.pool.hang_up(self.conn()),
            ("advance", time) => self.pool.advance(duration(time)),
            ("template", "new-tip") => self.pool.new_tip(),
            ("template", "same-tip") => {
                let template = self.pool.next_template();
                self.pool.template(template);
            }
            ("mine", options) => self.mine(options, |search| search.hit()),
            ("miss", options) => self.mine(options, |search| search.miss()),
            _ => panic!("{}: no such directive", self.place),
        }
    }

    fn mine(&mut self, options: &str, pick: impl Fn(Search<'_>) -> Share) {
        let mut search = self.pool.miner(self.conn()).search();
        for option in options.split_whitespace() {
            let (name, value) = option.split_once('=').expect("name=value");
            let value = u64::from_str_radix(value, 16).expect("a hexadecimal number");
            search = match name {
                "extranonce2" => search.extranonce2(value),
                "bits" => search.version_bits(value as u32),
                other => panic!("{}: {other} cannot be chosen", self.place),
            };
        }
        let share = pick(search);
        let found = [
            ("job", share.job),
            ("extranonce2", share.extranonce2),
            ("ntime", format!("{:08x}", share.ntime)),
            ("nonce", format!("{:08x}", share.nonce)),
            ("nonce_unpadded", format!("{:x}", share.nonce)),
            ("version", format!("{:08x}", share.version)),
        ];
        self.names.extend(found.map(|(name, value)| (name.to_owned(), value)));
    }

    fn conn(&self) -> Conn {
        self.conn.unwrap_or_else(|| panic!("{}: connect first", self.place))
    }

    fn send_pending(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let lines = std::mem::take(&mut self.pending);
        self.pool.send(self.conn(), &lines.iter().map(String::as_str).collect::<Vec<_>>());
        self.read();
    }

    fn read(&mut self) {
        if let Some(conn) = self.conn {
            self.unread.extend(self.pool.take(conn));
        }
    }

    fn assert_nothing_unread(&self) {
        assert!(self.unread.is_empty(), "{}: the pool has sent more:\n{:#?}", self.place, self.unread);
    }

    fn expect(&mut self, expected: &str, captures: bool) {
        let Some(line) = self.unread.pop_front() else { panic!("{}: the pool has sent nothing more", self.place) };
        let fits = if captures { self.capture(expected, &line) } else { self.fill(expected) == line };
        assert!(fits, "{}\nthe pool has sent: {line}", self.place);
    }

    /// `text` with every known `{name}` filled in.
    fn fill(&self, text: &str) -> String {
        let filled = pieces(text).into_iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Name(name) => {
                self.names.get(name).unwrap_or_else(|| panic!("{}: {{{name}}} is not known", self.place))
            }
        });
        filled.collect()
    }

    /// Whether `line` is `expected`; unknown names learn what stands in their place, up to the next quote.
    fn capture(&mut self, expected: &str, line: &str) -> bool {
        let mut rest = line;
        for piece in pieces(expected) {
            let known = match piece {
                Piece::Text(text) => Some(text.to_owned()),
                Piece::Name(name) => self.names.get(name).cloned(),
            };
            if let Some(known) = known {
                let Some(behind) = rest.strip_prefix(&known) else { return false };
                rest = behind;
            } else if let Piece::Name(name) = piece {
                let (value, behind) = rest.split_at(rest.find('"').unwrap_or(rest.len()));
                rest = behind;
                if name != "_" {
                    self.names.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        rest.is_empty()
    }
}

#[derive(Clone, Copy)]
enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// Splits at `{name}`; a brace that no name follows is text.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut from) = (0, 0);
    while let Some(open) = text[from..].find('{').map(|place| place + from) {
        from = open + 1;
        let length = text[from..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        if length > 0 && text[from + length..].starts_with('}') {
            pieces.push(Piece::Text(&text[start..open]));
            pieces.push(Piece::Name(&text[from..from + length]));
            from += length + 1;
            start = from;
        }
    }
    pieces.push(Piece::Text(&text[start..]));
    pieces
}

fn duration(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        other => panic!("{other} is no unit of time"),
    };
    Duration::from_secs(seconds * number.parse::<u64>().expect("a number"))
}
