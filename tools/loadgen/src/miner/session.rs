//! One connection's protocol state without a socket: lines and the time come in, lines go out.
//!
//! Call [`Session::advance`] first and whenever time passed or lines came; write what [`Session::take_outgoing`]
//! gives; hand every received line to [`Session::receive`]. After [`Session::failure`] says something, close.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::hex::FromHex;
use serde_json::Value;

use super::checker::Checker;
use super::device::{Device, Request, Step};
use super::job::Job;
use super::target::Target;
use super::work::{Share, Space, Work};
use super::{MinerOptions, MinerStats};
use crate::limits::REQUESTS_PENDING_MAX;

/// How long bmminer waits for `mining.set_version_mask` before it is noted as missing.
const VERSION_MASK_DEADLINE: Duration = Duration::from_secs(10);

/// How often a NerdMiner suggests its difficulty again.
const SUGGESTION_INTERVAL: Duration = Duration::from_secs(30);

/// What is counted of one connection.
#[derive(Debug, Default)]
pub(crate) struct SessionCounts {
    pub(crate) shares_sent: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected_by_code: BTreeMap<i64, u64>,
    pub(crate) block_candidates: u64,
    pub(crate) jobs: u64,
}

/// The protocol of one connection.
pub(crate) struct Session {
    options: MinerOptions,
    session_id: Option<String>,
    step: usize,
    step_deadline: Option<Instant>,
    next_suggestion: Option<Instant>,
    next_id: u64,
    pending: VecDeque<(u64, Request)>,
    outgoing: String,
    checker: Checker,
    subscribe_sent: bool,
    subscribed: bool,
    authorized: bool,
    configured_after_authorize: bool,
    version_mask_seen: bool,
    space: Space,
    /// The last difficulty sent; it governs the next job.
    difficulty: Option<f64>,
    /// The difficulty of the current job.
    job_difficulty: f64,
    /// The latest job with the target that governs it.
    job: Option<(Arc<Job>, Target)>,
    work: Option<Work>,
    counts: SessionCounts,
    failure: Option<String>,
}

impl Session {
    /// A new connection; `session_id` is that of the one before.
    pub(crate) fn new(options: MinerOptions, session_id: Option<String>) -> Self {
        Self {
            checker: Checker::new(&options.username),
            next_id: options.device.first_id(),
            options,
            session_id,
            step: 0,
            step_deadline: None,
            next_suggestion: None,
            pending: VecDeque::new(),
            outgoing: String::new(),
            subscribe_sent: false,
            subscribed: false,
            authorized: false,
            configured_after_authorize: false,
            version_mask_seen: false,
            space: Space::default(),
            difficulty: None,
            job_difficulty: 0.0,
            job: None,
            work: None,
            counts: SessionCounts::default(),
            failure: None,
        }
    }

    /// Goes through the handshake as far as it can, and does what is due.
    pub(crate) fn advance(&mut self, now: Instant) {
        while let Some(step) = self.options.device.handshake().get(self.step) {
            if !self.try_step(*step, now) {
                return;
            }
            self.step += 1;
            self.step_deadline = None;
        }
        if self.next_suggestion.is_some_and(|due| now >= due) {
            self.send(Request::SuggestDifficulty, now);
        }
    }

    /// Whether the step is done.
    fn try_step(&mut self, step: Step, now: Instant) -> bool {
        match step {
            Step::Send(request) => {
                self.send(request, now);
                true
            }
            Step::AwaitReply(request) => !self.pending.iter().any(|(_, kind)| *kind == request),
            Step::Pause => now >= *self.step_deadline.get_or_insert(now + self.options.subscribe_read_delay),
            Step::AwaitVersionMask => {
                let deadline = *self.step_deadline.get_or_insert(now + VERSION_MASK_DEADLINE);
                if now >= deadline {
                    self.checker.note("no mining.set_version_mask followed a configure after authorize");
                }
                self.version_mask_seen || now >= deadline
            }
        }
    }

    fn send(&mut self, request: Request, now: Instant) {
        let (device, id) = (self.options.device, self.next_id);
        let line = match request {
            Request::Configure => {
                self.configured_after_authorize = self.authorized;
                device.configure_line(id)
            }
            Request::Subscribe => {
                self.subscribe_sent = true;
                device.subscribe_line(id, self.session_id.as_deref().filter(|_| device.resumes_session()))
            }
            Request::Authorize => device.authorize_line(id, &self.options.username, &self.options.password),
            Request::SubscribeExtranonce => Device::extranonce_line(id),
            Request::SuggestDifficulty => {
                let Some(difficulty) = device.suggestion(self.options.suggest_difficulty) else { return };
                self.next_suggestion = device.repeats_suggestion().then(|| now + SUGGESTION_INTERVAL);
                Device::suggest_line(id, &difficulty)
            }
            Request::Submit => return,
        };
        self.next_id += 1;
        self.push(id, request, &line);
    }

    fn push(&mut self, id: u64, request: Request, line: &str) {
        self.outgoing.push_str(line);
        self.pending.push_back((id, request));
        if self.pending.len() > REQUESTS_PENDING_MAX {
            self.failure = Some(format!("the pool left {REQUESTS_PENDING_MAX} requests unanswered"));
        }
    }

    /// Sends a share.
    pub(crate) fn submit(&mut self, share: &Share) {
        let device = self.options.device;
        let id = device.fixed_submit_id().unwrap_or(self.next_id);
        let line = device.submit_line(id, &self.options.username, share, self.space.version_mask != 0);
        self.next_id += u64::from(device.fixed_submit_id().is_none());
        self.counts.shares_sent += 1;
        self.counts.block_candidates += u64::from(share.is_block_candidate);
        self.push(id, Request::Submit, &line);
    }

    /// Takes one line of the pool, without its newline.
    pub(crate) fn receive(&mut self, line: &str) {
        let Ok(Value::Object(message)) = serde_json::from_str(line) else {
            self.checker.note(format!("a line is no JSON object: {}", shortened(line)));
            return;
        };
        match message.get("method").and_then(Value::as_str) {
            Some("mining.ping") => self.answer_ping(&message["id"]),
            Some(method) => self.notification(method, &message, line),
            None => self.reply(&message, line),
        }
    }

    fn answer_ping(&mut self, id: &Value) {
        if let Some(pong) = self.options.device.pong_line(id) {
            self.outgoing.push_str(&pong);
        }
    }

    fn notification(&mut self, method: &str, message: &serde_json::Map<String, Value>, line: &str) {
        if message.get("id") != Some(&Value::Null) {
            self.checker.note(format!("{method} does not carry \"id\":null"));
        }
        if self.subscribe_sent && !self.subscribed {
            self.checker.note(format!("{method} came before the reply to mining.subscribe"));
        }
        if !self.authorized && self.pending.iter().any(|(_, kind)| *kind == Request::Authorize) {
            self.checker.note(format!("{method} came between mining.authorize and its reply"));
        }
        let params = message.get("params").unwrap_or(&Value::Null);
        match method {
            "mining.set_difficulty" => self.set_difficulty(params, line),
            "mining.notify" => self.notify(params, line.len()),
            "mining.set_version_mask" => self.set_version_mask(params),
            "mining.set_extranonce" => self.set_extranonce(params),
            "client.reconnect" => self.failure = Some("the pool asked to reconnect".to_owned()),
            _ => {}
        }
    }

    fn set_difficulty(&mut self, params: &Value, line: &str) {
        let Some(difficulty) = params[0].as_f64().filter(|value| Target::from_difficulty(*value).is_some()) else {
            self.checker.note(format!("mining.set_difficulty is no positive number: {}", shortened(line)));
            return;
        };
        let text = line.split('[').nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
        if text.contains(['e', 'E']) {
            self.checker.note(format!("difficulty {} is written with an exponent", text.trim()));
        }
        if difficulty >= 1.0 && text.contains('.') {
            self.checker.note(format!("difficulty {} at 1 and above is not an integer", text.trim()));
        }
        self.difficulty = Some(difficulty);
    }

    fn notify(&mut self, params: &Value, line_bytes: usize) {
        let job = match Job::decode(params) {
            Ok(job) => job,
            Err(error) => return self.checker.note(error.to_string()),
        };
        self.counts.jobs += 1;
        let extranonce2 = vec![0; self.space.extranonce2_bytes];
        self.checker.job(&job, line_bytes, &self.space.extranonce1, &extranonce2, self.space.version_mask);
        let Some(target) = self.difficulty.and_then(Target::from_difficulty) else {
            return self.checker.note(format!("job {} came before any difficulty", job.id));
        };
        self.job_difficulty = self.difficulty.unwrap_or_default();
        self.job = Some((Arc::new(job), target));
        self.start_work();
    }

    /// Begins anew on the latest job, with the extranonces and version bits that are now agreed.
    fn start_work(&mut self) {
        let Some((job, target)) = self.job.clone().filter(|_| self.subscribed) else { return };
        let MinerOptions { device, seed, .. } = self.options;
        self.work = Some(Work::new(job, target, self.space.clone(), device, seed));
    }

    /// A mask that comes after the first job, as bmminer's does, governs that job already.
    fn set_mask(&mut self, mask: u32) {
        if self.space.version_mask == mask {
            return;
        }
        self.space.version_mask = mask;
        if let Some((job, _)) = &self.job {
            self.checker.version(job, mask);
        }
        self.start_work();
    }

    fn set_version_mask(&mut self, params: &Value) {
        if !self.configured_after_authorize {
            self.checker.note("mining.set_version_mask came without a configure after authorize");
        }
        match params[0].as_str().and_then(mask_of) {
            Some(mask) => {
                self.set_mask(mask & self.options.device.requested_mask());
                self.version_mask_seen = true;
            }
            None => self.checker.note(format!("mining.set_version_mask is not 8 lowercase hex digits: {params}")),
        }
    }

    fn set_extranonce(&mut self, params: &Value) {
        self.set_space(&params[0], &params[1]);
    }

    fn reply(&mut self, message: &serde_json::Map<String, Value>, line: &str) {
        if ["id", "result", "error"].iter().any(|key| !message.contains_key(*key)) {
            self.checker.note(format!("a reply lacks id, result or error: {}", shortened(line)));
        }
        let id = message.get("id").and_then(Value::as_u64);
        let Some(position) = self.pending.iter().position(|(pending, _)| Some(*pending) == id) else {
            return self.checker.note(format!("a reply has an id that was not asked: {}", shortened(line)));
        };
        let Some((_, request)) = self.pending.remove(position) else { return };
        let null = Value::Null;
        let (result, error) = (message.get("result").unwrap_or(&null), message.get("error").unwrap_or(&null));
        self.check_error_shape(error);
        match request {
            Request::Configure => self.configured(result),
            Request::Subscribe => self.subscribe_reply(result, error),
            Request::Authorize => self.authorize_reply(result, error),
            Request::Submit => self.verdict(result, error),
            Request::SuggestDifficulty | Request::SubscribeExtranonce => {}
        }
    }

    fn check_error_shape(&mut self, error: &Value) {
        let is_shaped = |error: &[Value]| error.len() == 3 && error[0].is_i64() && error[1].is_string();
        if !(error.is_null() || error.as_array().is_some_and(|array| is_shaped(array))) {
            self.checker.note(format!("an error is not [code, text, null]: {error}"));
        }
    }

    fn configured(&mut self, result: &Value) {
        let requested = self.options.device.requested_mask();
        if result["version-rolling"] != Value::Bool(true) {
            return;
        }
        match result["version-rolling.mask"].as_str().and_then(mask_of) {
            Some(mask) if mask & !requested == 0 => self.set_mask(mask),
            _ => self.checker.note(format!("configure for mask {requested:08x} was answered with {result}")),
        }
    }

    fn subscribe_reply(&mut self, result: &Value, error: &Value) {
        if !error.is_null() || !result.is_array() {
            self.failure = Some(format!("the pool refused mining.subscribe: {error}"));
            return;
        }
        if !result[0].to_string().contains("mining.notify") {
            self.checker.note(format!("the subscribe reply does not contain mining.notify: {result}"));
        }
        self.session_id = result[0][0][1].as_str().map(str::to_owned);
        self.set_space(&result[1], &result[2]);
        self.subscribed = true;
    }

    fn set_space(&mut self, extranonce1: &Value, extranonce2_bytes: &Value) {
        let first = extranonce1.as_str().and_then(|text| Vec::from_hex(text).ok()).unwrap_or_default();
        let second = extranonce2_bytes.as_u64().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default();
        if !(4..=6).contains(&first.len()) || first.iter().all(|byte| *byte == 0) {
            self.checker.note(format!("extranonce1 {extranonce1} is not 4 to 6 bytes with one of them set"));
        }
        if !(2..=8).contains(&second) {
            self.checker.note(format!("extranonce2 of {extranonce2_bytes} bytes: 2 to 8 are known to miners"));
            self.failure = Some(format!("extranonce2 size {extranonce2_bytes} cannot be mined with"));
        }
        self.space.extranonce1 = first;
        self.space.extranonce2_bytes = second;
    }

    fn authorize_reply(&mut self, result: &Value, error: &Value) {
        if *result == Value::Bool(true) {
            self.authorized = true;
        } else {
            self.failure = Some(format!("the pool did not authorize {}: {error}", self.options.username));
        }
    }

    fn verdict(&mut self, result: &Value, error: &Value) {
        if *result == Value::Bool(true) && error.is_null() {
            self.counts.accepted += 1;
        } else {
            *self.counts.rejected_by_code.entry(error[0].as_i64().unwrap_or(0)).or_default() += 1;
        }
    }

    /// Work to hash, once the handshake is through and a job is there.
    pub(crate) fn work(&mut self) -> Option<&mut Work> {
        let is_through = self.authorized && self.step >= self.options.device.handshake().len();
        self.work.as_mut().filter(|_| is_through)
    }

    /// Whether a submit is unanswered.
    pub(crate) fn awaits_verdicts(&self) -> bool {
        self.pending.iter().any(|(_, request)| *request == Request::Submit)
    }

    pub(crate) fn take_outgoing(&mut self) -> String {
        std::mem::take(&mut self.outgoing)
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    pub(crate) fn session_id(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    pub(crate) fn is_authorized(&self) -> bool {
        self.authorized
    }

    /// `before` (the connections before this one) with what this connection adds.
    pub(crate) fn stats_after(&self, before: &MinerStats) -> MinerStats {
        let connected = self.authorized && self.failure.is_none();
        MinerStats { connected, difficulty: self.job_difficulty, ..self.counts.added_to(before, &self.checker) }
    }
}

impl SessionCounts {
    /// Figures of the connections before this one with these.
    pub(crate) fn added_to(&self, before: &MinerStats, checker: &Checker) -> MinerStats {
        let mut stats = before.clone();
        let (violations, violations_total) = checker.violations();
        stats.shares_sent += self.shares_sent;
        stats.accepted += self.accepted;
        stats.rejected += self.rejected_by_code.values().sum::<u64>();
        for (code, count) in &self.rejected_by_code {
            *stats.rejected_by_code.entry(*code).or_default() += count;
        }
        stats.block_candidates += self.block_candidates;
        stats.jobs += self.jobs;
        let room = crate::limits::VIOLATIONS_KEPT_MAX.saturating_sub(stats.violations.len());
        stats.violations.extend(violations.iter().take(room).cloned());
        stats.violations_total += violations_total;
        stats
    }
}

/// Eight lowercase hex digits.
fn mask_of(text: &str) -> Option<u32> {
    let is_lowercase = text.len() == 8 && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    is_lowercase.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

/// The start of a line, for a message.
fn shortened(line: &str) -> String {
    line.chars().take(160).collect()
}
