//! One connection to the pool: what is sent, what is owed, and what is judged on the way.

mod hearing;

use super::check::Check;
use super::judge::Wrong;
use super::ledger::Ledger;
use super::miner::Miner;
use crate::client::message::{self, Message};
use crate::client::{Connection, Received};
use serde_json::Value;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long after a stale share the job of the new tip may come.
const TIP_ON_ITS_WAY: Duration = Duration::from_secs(3);

/// What an answer must say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expected {
    /// What the method asks for by itself.
    Usual,
    /// Yes.
    True,
    /// An error of one of these codes.
    Code(&'static [i64]),
    /// What the last share was refused with.
    Same,
    /// Anything.
    Any,
}

/// A request that is not answered yet.
struct Request {
    id: String,
    method: String,
    params: Value,
    check: Check,
    expected: Expected,
    /// A later one was answered before it.
    overtaken: bool,
}

/// A connection under judgement.
pub(super) struct Visit<'a> {
    ledger: &'a mut Ledger,
    connection: Connection,
    /// What the miner knows.
    pub(super) miner: Miner,
    /// Checks that fail in place of the usual ones, because something special is tried.
    pub(super) blame: Option<Check>,
    requests: VecDeque<Request>,
    given_up: Vec<String>,
    /// The code of the last share's answer.
    last_code: Option<i64>,
    /// Shares that were refused as stale: failures unless a new tip comes.
    stale: Vec<Wrong>,
    /// The last share was accepted.
    pub(super) last_accepted: bool,
    patience: Duration,
    /// `mining.subscribe` was answered, however.
    subscribed: bool,
    authorized: bool,
    ended: bool,
}

impl<'a> Visit<'a> {
    /// Begins on a fresh connection.
    pub(super) fn over(connection: Connection, patience: Duration, ledger: &'a mut Ledger) -> Self {
        ledger.made(Check::Connects);
        ledger.made(Check::StaysConnected);
        Self {
            ledger,
            connection,
            miner: Miner::default(),
            blame: None,
            requests: VecDeque::new(),
            given_up: Vec::new(),
            last_code: None,
            stale: Vec::new(),
            last_accepted: false,
            patience,
            subscribed: false,
            authorized: false,
            ended: false,
        }
    }

    /// The pool has hung up, so nothing more can be tried here.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Nothing more is learnt from asking the same again: the pool has hung up, or the check has failed here already.
    pub(super) fn is_settled(&self, check: Check) -> bool {
        self.ended || self.ledger.has_found(check)
    }

    /// The other findings and notes.
    pub(super) fn ledger(&mut self) -> &mut Ledger {
        self.ledger
    }

    /// The connection itself.
    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Sends requests in one segment and waits for all answers.
    pub(super) fn ask(&mut self, lines: &[(String, Expected)]) {
        self.send(lines);
        self.settle();
    }

    /// Sends requests in one segment.
    pub(super) fn send(&mut self, lines: &[(String, Expected)]) {
        lines.iter().for_each(|(line, expected)| self.expect_answer(line, *expected, None));
        let texts: Vec<String> = lines.iter().map(|(line, _)| line.clone()).collect();
        self.connection.send_lines(&texts);
    }

    /// Notes that `line` will be answered; `check` fails when it is not.
    pub(super) fn expect_answer(&mut self, line: &str, expected: Expected, check: Option<Check>) {
        let Ok(Message::Notification { id: Some(id), method, params, .. }) = message::read(line) else { return };
        let usual = Check::of_method(&method);
        let by_code = match expected {
            Expected::Code([21]) => Check::UnknownJob,
            Expected::Code([22]) => Check::Duplicate,
            Expected::Code([23]) => Check::LowDifficulty,
            Expected::Code([24, ..]) => Check::Unauthorized,
            _ => usual,
        };
        let check = check.or(self.blame).unwrap_or(by_code);
        self.requests.push_back(Request { id, method, params, check, expected, overtaken: false });
    }

    /// Waits until every request is answered.
    pub(super) fn settle(&mut self) {
        let deadline = Instant::now() + self.patience;
        while !self.requests.is_empty() && self.hear_next(deadline) {}
        for request in std::mem::take(&mut self.requests) {
            if !self.ended {
                let seconds = self.patience.as_secs();
                self.found(request.check, format!("{} is not answered within {seconds} s", request.method));
            }
            self.given_up.push(request.id);
        }
        self.judge_stale();
    }

    /// A share is stale when a block was found meanwhile; its job may be on its way still.
    fn judge_stale(&mut self) {
        let deadline = Instant::now() + TIP_ON_ITS_WAY;
        while !self.stale.is_empty() && !self.miner.has_new_tip() && self.hear_next(deadline) {}
        let stale = std::mem::take(&mut self.stale);
        if self.miner.has_new_tip() {
            stale.iter().for_each(|(check, _)| self.ledger.not_made(*check, "a block was found meanwhile"));
        } else {
            self.found_all(stale);
        }
    }

    /// Waits until there is a job. Who is not authorized gets none.
    pub(super) fn wait_for_job(&mut self) {
        if !self.authorized {
            return;
        }
        let deadline = Instant::now() + 2 * self.patience;
        while self.miner.jobs.is_empty() && self.hear_next(deadline) {}
        self.ledger.made(Check::FirstJob);
        if self.miner.jobs.is_empty() && !self.ended {
            let seconds = 2 * self.patience.as_secs();
            self.found(Check::FirstJob, format!("no job within {seconds} s after authorize"));
        }
    }

    /// Listens for a while to what comes by itself.
    pub(super) fn linger(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while self.hear_next(deadline) {}
    }

    /// Waits for a line of any kind; `false` when there is none in time.
    pub(super) fn hear_next(&mut self, deadline: Instant) -> bool {
        if self.ended {
            return false;
        }
        match self.connection.receive(deadline) {
            Received::Line(line) => self.hear(&line),
            Received::Nothing => return false,
            Received::End(why) => self.end(&why),
        }
        !self.ended
    }

    fn end(&mut self, why: &str) {
        self.ended = true;
        match self.requests.front() {
            Some(request) => {
                let (check, text) = (request.check, format!("{why} instead of answering {}", request.method));
                self.found(check, text);
            }
            None => self.found(self.blame.unwrap_or(Check::StaysConnected), why.to_owned()),
        }
    }

    /// Writes a failure down, with the conversation up to here.
    pub(super) fn found(&mut self, check: Check, text: String) {
        self.connection.remark(&format!("{}: {text}", check.name()));
        let transcript = self.connection.transcript().to_string();
        self.ledger.found(check, text, transcript);
    }

    fn found_all(&mut self, wrong: impl IntoIterator<Item = Wrong>) {
        wrong.into_iter().for_each(|(check, text)| self.found(check, text));
    }
}
