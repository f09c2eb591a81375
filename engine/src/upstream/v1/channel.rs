//! The session with a pool of Stratum V1: its lines as they become work, and shares as they become lines.

use super::job::{Notify, number};
use super::opening::{Extranonce, enough, extranonce, id_of, read, request};
use crate::client::Endpoint;
use crate::client::message::{Message, Reply};
use crate::upstream::channel::{Channel, Dropped, Heard, Verdict};
use crate::upstream::error::{UpstreamError, printable};
use crate::upstream::pending::Pending;
use crate::upstream::work::{GivenJob, Terms, Tip, own_extranonce, work};
use bitcoin::hex::DisplayHex;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use warppool_components::limits::{
    JOBS_KEPT_MAX, REQUEST_ID_BYTES_MAX, UPSTREAM_MESSAGE_SECONDS, UPSTREAM_RETRY_SECONDS_MAX,
};
use warppool_components::node::NodeEvent;
use warppool_components::units::{Difficulty, Target, UnixTime};
use warppool_components::upstream::UpstreamShare;
use warppool_net::wire::v1::emit;

/// Number of the first share; the requests of the opening have lower ones.
pub(super) const FIRST_SUBMIT: u32 = 5;

/// What the pool is told that we are.
const VERSION_TEXT: &str = concat!("WarpPool/", env!("CARGO_PKG_VERSION"));

/// The session.
#[derive(Debug)]
pub(in crate::upstream) struct V1Channel {
    session: u32,
    user: String,
    endpoint: Endpoint,
    extranonce: Extranonce,
    version_mask: u32,
    /// As it was told last; it governs the next job.
    target: Option<Target>,
    /// Names of the pool's jobs by our numbers, the oldest first.
    jobs: VecDeque<(u32, String)>,
    newest: u32,
    /// What miners have is of no use any more.
    next_is_clean: bool,
    pending: Pending,
    message_at: Option<UnixTime>,
}

impl V1Channel {
    pub(super) fn new(
        session: u32,
        user: &str,
        endpoint: &Endpoint,
        extranonce: Extranonce,
        version_mask: u32,
    ) -> Self {
        Self {
            session,
            user: user.to_owned(),
            endpoint: endpoint.clone(),
            extranonce,
            version_mask,
            target: None,
            jobs: VecDeque::new(),
            newest: 0,
            next_is_clean: false,
            pending: Pending::after(FIRST_SUBMIT - 1),
            message_at: None,
        }
    }

    fn hear_reply(&mut self, reply: &Reply) -> Option<Verdict> {
        if !self.pending.settle(id_of(reply)?) {
            return None;
        }
        if reply.is_true() {
            return Some(Verdict::Accepted(1));
        }
        Some(Verdict::Rejected { code: code(reply), reason: printable(&reply.error_text()) })
    }

    fn hear_request(
        &mut self,
        id: Option<&str>,
        method: &str,
        params: &Value,
        now: UnixTime,
    ) -> Result<Heard, UpstreamError> {
        match method {
            "mining.notify" => return self.hear_job(params, now),
            "mining.set_difficulty" => return self.hear_difficulty(params),
            "mining.set_extranonce" => self.hear_extranonce(params)?,
            "mining.set_version_mask" => {
                let mask = params[0].as_str().and_then(number);
                self.version_mask = enough(mask.ok_or_else(|| garbled(method))?)?;
            }
            "client.reconnect" => self.hear_reconnect(params)?,
            "client.show_message" => self.show(params, now),
            "mining.ping" => return Ok(answer(id, "pong")),
            "client.get_version" => return Ok(answer(id, VERSION_TEXT)),
            _ => {}
        }
        Ok(Heard::default())
    }

    fn hear_job(&mut self, params: &Value, now: UnixTime) -> Result<Heard, UpstreamError> {
        let notify = Notify::read(params).map_err(UpstreamError::Job)?;
        let mut events = Vec::new();
        let target = *self.target.get_or_insert_with(|| {
            // What every miner takes for granted until it is told another.
            let usual = Target::from_difficulty(Difficulty::ONE);
            events.push(NodeEvent::UpstreamTarget(usual));
            usual
        });
        self.newest = self.newest.wrapping_add(1);
        let job = GivenJob::new(
            self.newest,
            notify.version,
            notify.merkle_path,
            (&notify.coinbase_start, &notify.coinbase_end),
            &self.extranonce.prefix,
            self.extranonce.own_bytes,
        )?;
        let terms = Terms {
            session: self.session,
            template: u64::from(self.newest),
            target,
            version_mask: self.version_mask,
            min_ntime: notify.ntime,
            clean: notify.clean || self.next_is_clean,
        };
        events.push(work(&job, Tip::new(notify.previous_block, notify.bits)?, terms, now)?);
        self.next_is_clean = false;
        if self.jobs.len() == JOBS_KEPT_MAX {
            self.jobs.pop_front();
        }
        self.jobs.push_back((self.newest, notify.name));
        Ok(Heard { events, ..Heard::default() })
    }

    fn hear_difficulty(&mut self, params: &Value) -> Result<Heard, UpstreamError> {
        let difficulty = params[0].as_f64().and_then(|value| Difficulty::new(value).ok());
        let target = Target::from_difficulty(difficulty.ok_or_else(|| garbled("mining.set_difficulty"))?);
        self.target = Some(target);
        Ok(Heard::event(NodeEvent::UpstreamTarget(target)))
    }

    /// Shares of earlier jobs were found with another extranonce: nobody could make their coinbases.
    fn hear_extranonce(&mut self, params: &Value) -> Result<(), UpstreamError> {
        let extranonce = extranonce(&params[0], &params[1])?;
        if extranonce != self.extranonce {
            self.extranonce = extranonce;
            self.jobs.clear();
            self.next_is_clean = true;
        }
        Ok(())
    }

    /// Nobody but the operator says which pool is trusted, so another host is not followed.
    fn hear_reconnect(&self, params: &Value) -> Result<(), UpstreamError> {
        let host = params[0].as_str().unwrap_or_default();
        if !host.is_empty() && !host.eq_ignore_ascii_case(&self.endpoint.host) {
            tracing::warn!(
                "the upstream {} asks to connect to {}, which is another host: not followed; name it by --upstream if it \
                 is to be trusted",
                self.endpoint,
                printable(host)
            );
            return Ok(());
        }
        let port = params[1].as_u64().or_else(|| params[1].as_str()?.parse().ok());
        let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        let wait = params[2].as_u64().unwrap_or_default().min(UPSTREAM_RETRY_SECONDS_MAX);
        let port = port.unwrap_or(self.endpoint.port);
        Err(UpstreamError::Redirect { port, wait: Duration::from_secs(wait) })
    }

    fn show(&mut self, params: &Value, now: UnixTime) {
        let is_due = self.message_at.is_none_or(|at| now.seconds() >= at.seconds() + UPSTREAM_MESSAGE_SECONDS);
        if let Some(text) = params[0].as_str().filter(|_| is_due) {
            self.message_at = Some(now);
            tracing::info!("the upstream {} says: {}", self.endpoint, printable(text));
        }
    }
}

impl Channel for V1Channel {
    fn target(&self) -> Option<Target> {
        self.target
    }

    fn hear(&mut self, line: &[u8], now: UnixTime) -> Result<Heard, UpstreamError> {
        match read(line)? {
            Message::Reply(reply) => Ok(Heard::verdict(self.hear_reply(&reply))),
            Message::Notification { id, method, params, .. } => self.hear_request(id.as_deref(), &method, &params, now),
        }
    }

    fn submit(&mut self, share: &UpstreamShare, now: Instant) -> Result<Vec<u8>, Dropped> {
        if share.session != self.session {
            return Err(Dropped::OtherSession);
        }
        let job = self.jobs.iter().find(|(number, _)| *number == share.job_id);
        let (_, job) = job.ok_or(Dropped::JobGone)?;
        let id = self.pending.add(now).ok_or(Dropped::TooManyPending)?;
        let extranonce2 = own_extranonce(&share.extranonce, self.extranonce.own_bytes).to_lower_hex_string();
        let hex = |number: u32| format!("{number:08x}");
        // BIP310: these bits take the place of the job's.
        let version_bits = hex(share.version & self.version_mask);
        let params = json!([self.user, job, extranonce2, hex(share.ntime), hex(share.nonce), version_bits]);
        Ok(request(id, "mining.submit", &params))
    }

    fn tell_rate(&mut self, _hashes_per_second: f64) -> Option<Vec<u8>> {
        None
    }

    fn pending(&mut self) -> &mut Pending {
        &mut self.pending
    }
}

/// The reason of a refusal; what is none of the known ones is anything else.
fn code(reply: &Reply) -> u32 {
    let code = reply.error_code().and_then(|code| u32::try_from(code).ok());
    code.filter(|code| (emit::CODE_OTHER..=emit::CODE_NOT_SUBSCRIBED).contains(code)).unwrap_or(emit::CODE_OTHER)
}

fn garbled(method: &str) -> UpstreamError {
    UpstreamError::Line(format!("{method} without what it is about"))
}

/// The answer to a request of the pool; a notification gets none.
fn answer(id: Option<&str>, result: &str) -> Heard {
    let id = id.filter(|id| *id != "null" && id.len() <= REQUEST_ID_BYTES_MAX);
    let answer = id.map(|id| format!("{{\"id\":{id},\"result\":\"{result}\",\"error\":null}}").into_bytes());
    Heard { answer, ..Heard::default() }
}

#[cfg(test)]
mod tests;
