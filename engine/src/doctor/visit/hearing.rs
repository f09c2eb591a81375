//! What comes from the pool: which request it answers, and whether it is as it should be.

use super::{Expected, Request, Visit};
use crate::client::message::{self, Message, Reply};
use crate::doctor::check::Check;
use crate::doctor::judge;
use serde_json::Value;

impl Visit<'_> {
    /// Takes a line of the pool in.
    pub(super) fn hear(&mut self, line: &str) {
        self.ledger.made(Check::JsonLines);
        if line.trim().is_empty() {
            return self.found(Check::JsonLines, "the pool sends an empty line".to_owned());
        }
        match message::read(line) {
            Ok(Message::Reply(reply)) => self.hear_reply(&reply),
            Ok(Message::Notification { id, method, params, params_text }) => {
                self.hear_notification(id, &method, &params, &params_text, line.len());
            }
            // What comes in place of an answer is that answer, broken.
            Err(why) => match self.requests.pop_front() {
                Some(request) => {
                    self.found(request.check, format!("the answer to {} cannot be read: {why}", request.method))
                }
                None => self.found(Check::JsonLines, why),
            },
        }
    }

    fn hear_reply(&mut self, reply: &Reply) {
        self.ledger.made(Check::ReplyShape);
        let shape = match (&reply.id, &reply.result, &reply.error) {
            (Some(_), Some(_), Some(error)) => judge::error_shape(error),
            _ => Err((Check::ReplyShape, "an answer lacks one of id, result and error".to_owned())),
        };
        // An error that cannot be read has no code to be judged.
        let has_code = reply.error.is_none() || shape.is_ok();
        self.found_all(shape.err());
        let Some(request) = self.take_request(reply.id.as_deref()) else { return };
        if is_stale(&request, reply) {
            self.last_accepted = false;
            let text = format!("a share is refused although no block was found: {}", describe(reply));
            return self.stale.push((request.check, text));
        }
        self.ledger.made(request.check);
        if has_code || !matches!(request.expected, Expected::Code(_) | Expected::Same) {
            self.judge_answer(&request, reply);
        }
        self.remember_code(&request.method, reply);
    }

    /// The request that `id` belongs to. An id that belongs to none is wrong, and taken for the answer to the oldest.
    fn take_request(&mut self, id: Option<&str>) -> Option<Request> {
        let place = self.requests.iter().position(|request| Some(&*request.id) == id);
        if place.is_none() && self.given_up.iter().any(|late| Some(&**late) == id) {
            return None;
        }
        self.ledger.made(Check::ReplyId);
        self.ledger.made(Check::ReplyOrder);
        let Some(place) = place else {
            let written = id.unwrap_or("no id");
            let owed =
                self.requests.front().map_or("nothing was asked".to_owned(), |it| format!("the request had {}", it.id));
            self.found(Check::ReplyId, format!("an answer has {written}; {owed}"));
            return self.requests.pop_front();
        };
        self.requests.iter_mut().take(place).for_each(|earlier| earlier.overtaken = true);
        let request = self.requests.remove(place)?;
        if request.overtaken {
            self.found(Check::ReplyOrder, format!("{} is answered after a later request", request.method));
        }
        Some(request)
    }

    fn judge_answer(&mut self, request: &Request, reply: &Reply) {
        let Request { method, check, .. } = request;
        let result = reply.result.clone().unwrap_or_default();
        match (request.expected, &**method) {
            (Expected::Any, _) => {}
            (Expected::Usual, "mining.subscribe") => self.subscribed(&result),
            (Expected::Usual, "mining.configure") => match judge::configuration(&request.params, &result) {
                Ok(mask) => self.miner.version_mask = mask.or(self.miner.version_mask),
                Err((_, text)) => self.found(*check, text),
            },
            (Expected::Usual, "mining.authorize") if reply.is_true() => self.authorized = true,
            (Expected::True, _) if reply.is_true() => {}
            (Expected::Usual, "mining.authorize") | (Expected::True, _) => {
                self.found(*check, format!("{method} is refused: {}", reply.error_text()));
            }
            (Expected::Code(codes), _) => {
                if !reply.error_code().is_some_and(|code| codes.contains(&code)) {
                    let said = if reply.is_true() { "accepted".to_owned() } else { describe(reply) };
                    self.found(*check, format!("code {} was expected, but it is {said}", codes[0]));
                }
            }
            (Expected::Same, _) => {
                if reply.error_code() != self.last_code {
                    let before = self.last_code.map_or("no error".to_owned(), |code| format!("code {code}"));
                    self.found(*check, format!("the share before got {before}, this one {}", describe(reply)));
                }
            }
            (Expected::Usual, _) => {
                let unknown = *check == Check::UnknownMethod && reply.error.as_ref().is_none_or(Value::is_null);
                if unknown && method.starts_with("mining.no_such_") {
                    self.found(*check, format!("{method} is answered as if it were known"));
                }
            }
        }
    }

    /// What is said of a share, for the next one to be compared with.
    fn remember_code(&mut self, method: &str, reply: &Reply) {
        if method == "mining.submit" {
            (self.last_code, self.last_accepted) = (reply.error_code(), reply.is_true());
        }
    }

    fn subscribed(&mut self, result: &Value) {
        self.subscribed = true;
        self.ledger.made(Check::Extranonce);
        self.ledger.made(Check::SubscribeFirst);
        match judge::subscription(result) {
            Ok((session, own, size)) => {
                if let Some(before) = self.miner.extranonce1.as_ref() {
                    self.ledger.made(Check::RepeatedSubscribe);
                    if (before, self.miner.extranonce2_bytes) != (&own, size) {
                        self.found(
                            Check::RepeatedSubscribe,
                            "a repeated mining.subscribe gives other values".to_owned(),
                        );
                    }
                }
                (self.miner.session, self.miner.extranonce1, self.miner.extranonce2_bytes) = (session, Some(own), size);
            }
            Err(wrong) => self.found_all([wrong]),
        }
    }

    fn hear_notification(&mut self, id: Option<String>, method: &str, params: &Value, written: &str, bytes: usize) {
        if self.answer_request(id.as_deref(), method) {
            return;
        }
        self.ledger.made(Check::NotificationShape);
        if id.as_deref().is_some_and(|id| id != "null") {
            self.found(Check::NotificationShape, format!("{method} has an id although nobody can answer it"));
        }
        let early = !self.subscribed;
        let waiting = self.requests.iter().any(|it| it.method == "mining.authorize") && !self.authorized;
        if early {
            self.found(Check::SubscribeFirst, format!("{method} comes before the answer to mining.subscribe"));
        } else if waiting {
            self.found(Check::AuthorizeQuiet, format!("{method} comes before the answer to mining.authorize"));
        }
        self.ledger.made(Check::AuthorizeQuiet);
        match method {
            "mining.set_difficulty" => self.hear_difficulty(params, written),
            "mining.set_version_mask" => {
                let mask = params[0].as_str().and_then(|mask| u32::from_str_radix(mask, 16).ok());
                self.miner.version_mask = mask.or(self.miner.version_mask);
            }
            "mining.notify" => self.hear_job(params, bytes),
            _ => {}
        }
    }

    fn hear_difficulty(&mut self, params: &Value, written: &str) {
        self.ledger.made(Check::DifficultyNumber);
        match judge::difficulty(params, written) {
            Ok(value) => self.miner.difficulty = Some(value),
            Err(wrong) => {
                self.miner.difficulty = params[0].as_f64().or(self.miner.difficulty);
                self.found_all([wrong]);
            }
        }
    }

    fn hear_job(&mut self, params: &Value, bytes: usize) {
        let about = [Check::JobShape, Check::JobSize, Check::JobId, Check::JobWork, Check::RollableBits];
        about.into_iter().chain([Check::DifficultyFirst]).for_each(|check| self.ledger.made(check));
        let (job, wrong) = judge::job(params, bytes, &self.miner);
        self.found_all(wrong);
        if self.miner.difficulty.is_none() {
            self.found(Check::DifficultyFirst, "a job comes before any difficulty".to_owned());
        }
        if let Some(job) = job {
            self.miner.jobs.push((job, self.miner.difficulty.unwrap_or(1.0)));
        }
    }

    /// Answers what a pool may ask a miner.
    fn answer_request(&mut self, id: Option<&str>, method: &str) -> bool {
        let Some(id) = id.filter(|id| *id != "null") else { return false };
        let result = match method {
            "mining.ping" => "pong",
            "client.get_version" => concat!("warppool-doctor/", env!("CARGO_PKG_VERSION")),
            _ => return false,
        };
        self.connection.send_lines(&[format!("{{\"id\":{id},\"result\":\"{result}\",\"error\":null}}")]);
        true
    }
}

/// A share that was to be judged by itself, refused because of its job.
fn is_stale(request: &Request, reply: &Reply) -> bool {
    let by_itself = matches!(request.expected, Expected::True | Expected::Same | Expected::Code([22] | [23]));
    request.method == "mining.submit" && by_itself && reply.error_code() == Some(21)
}

fn describe(reply: &Reply) -> String {
    let code = reply.error_code().map_or("an error without a code".to_owned(), |code| format!("code {code}"));
    format!("{code}, \"{}\"", reply.error_text())
}
