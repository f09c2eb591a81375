//! The channel at an upstream: its jobs as they become ours, and shares that await an answer. Without a socket or a clock.

use super::opening::Opened;
use crate::upstream::channel::{Channel, Dropped, Heard, Verdict};
use crate::upstream::error::{UpstreamError, printable};
use crate::upstream::pending::Pending;
use crate::upstream::work::{GivenJob, Terms, Tip, own_extranonce, work};
use std::collections::VecDeque;
use std::time::Instant;
use warppool_components::limits::UPSTREAM_FUTURE_JOBS_MAX;
use warppool_components::node::NodeEvent;
use warppool_components::units::{Target, UnixTime};
use warppool_components::upstream::{UpstreamShare, VERSION_MASK_V2};
use warppool_net::wire::v1::emit;
use warppool_net::wire::v2::message::{
    CloseChannel, NewExtendedMiningJob, Reconnect, SetExtranoncePrefix, SetGroupChannel, SetNewPrevHash, SetTarget,
    SubmitSharesError, SubmitSharesExtended, SubmitSharesSuccess, UpdateChannel,
};
use warppool_net::wire::v2::{EXTENSION_BASE, Message, split};

/// A hash rate that differs from the told one by less than this factor is not told.
const RATE_TOLD: f32 = 1.5;

/// The channel.
#[derive(Debug)]
pub(in crate::upstream) struct UpstreamChannel {
    session: u32,
    opened: Opened,
    tip: Option<Tip>,
    future: VecDeque<GivenJob>,
    pending: Pending,
    told_hash_rate: f32,
    templates: u64,
}

impl UpstreamChannel {
    pub(super) const fn new(session: u32, opened: Opened, told_hash_rate: f32) -> Self {
        Self {
            session,
            opened,
            tip: None,
            future: VecDeque::new(),
            pending: Pending::after(0),
            told_hash_rate,
            templates: 0,
        }
    }

    fn is_ours(&self, channel_id: u32) -> bool {
        channel_id == self.opened.channel_id || channel_id == self.opened.group_id
    }

    /// What concerns the channel itself.
    fn hear_terms(&mut self, kind: u8, payload: &[u8]) -> Result<Option<NodeEvent>, UpstreamError> {
        match kind {
            SetTarget::TYPE => {
                let message = SetTarget::decode_payload(payload)?;
                if self.is_ours(message.channel_id) {
                    self.opened.target = message.maximum_target;
                    return Ok(Some(NodeEvent::UpstreamTarget(message.maximum_target)));
                }
            }
            SetExtranoncePrefix::TYPE => {
                let message = SetExtranoncePrefix::decode_payload(payload)?;
                if self.is_ours(message.channel_id) {
                    self.opened.prefix = message.extranonce_prefix.to_vec();
                }
            }
            SetGroupChannel::TYPE => {
                let message = SetGroupChannel::decode_payload(payload)?;
                if message.channel_ids.iter().any(|channel| channel == self.opened.channel_id) {
                    self.opened.group_id = message.group_channel_id;
                }
            }
            CloseChannel::TYPE => {
                let message = CloseChannel::decode_payload(payload)?;
                if self.is_ours(message.channel_id) {
                    return Err(UpstreamError::Closed(printable(&message.reason_code.to_text())));
                }
            }
            Reconnect::TYPE => return Err(UpstreamError::Reconnect),
            // What is not known is passed over, as the specification asks for.
            _ => {}
        }
        Ok(None)
    }

    fn hear_job(
        &mut self,
        message: &NewExtendedMiningJob<'_>,
        now: UnixTime,
    ) -> Result<Option<NodeEvent>, UpstreamError> {
        if !self.is_ours(message.channel_id) {
            return Ok(None);
        }
        if !message.version_rolling_allowed {
            return Err(UpstreamError::FixedVersion);
        }
        let job = GivenJob::new(
            message.job_id,
            message.version,
            message.merkle_path.iter().collect(),
            (message.coinbase_tx_prefix.0, message.coinbase_tx_suffix.0),
            &self.opened.prefix,
            self.opened.own_bytes,
        )?;
        match (message.min_ntime, self.tip) {
            (Some(min_ntime), Some(tip)) => self.work(&job, tip, min_ntime, now).map(Some),
            // To take effect at once on a tip that was never told.
            (Some(_), None) => Ok(None),
            (None, _) => {
                if self.future.len() == UPSTREAM_FUTURE_JOBS_MAX {
                    self.future.pop_front();
                }
                self.future.push_back(job);
                Ok(None)
            }
        }
    }

    fn hear_tip(&mut self, message: &SetNewPrevHash, now: UnixTime) -> Result<Option<NodeEvent>, UpstreamError> {
        if !self.is_ours(message.channel_id) {
            return Ok(None);
        }
        let tip = Tip::new(message.prev_hash, message.nbits)?;
        self.tip = Some(tip);
        let named = self.future.drain(..).rfind(|job| job.id == message.job_id);
        named.map(|job| self.work(&job, tip, message.min_ntime, now)).transpose()
    }

    fn work(&mut self, job: &GivenJob, tip: Tip, min_ntime: u32, now: UnixTime) -> Result<NodeEvent, UpstreamError> {
        self.templates += 1;
        let terms = Terms {
            session: self.session,
            template: self.templates,
            target: self.opened.target,
            version_mask: VERSION_MASK_V2,
            min_ntime,
            clean: false,
        };
        work(job, tip, terms, now)
    }

    fn hear_success(&mut self, message: &SubmitSharesSuccess) -> Option<Verdict> {
        if message.channel_id != self.opened.channel_id {
            return None;
        }
        self.pending.settle_through(message.last_sequence_number);
        Some(Verdict::Accepted(message.new_submits_accepted_count))
    }

    fn hear_refusal(&mut self, message: &SubmitSharesError<'_>) -> Option<Verdict> {
        if message.channel_id != self.opened.channel_id {
            return None;
        }
        self.pending.settle(message.sequence_number);
        let reason = printable(&message.error_code.to_text());
        Some(Verdict::Rejected { code: code_of_v1(&reason), reason })
    }
}

impl Channel for UpstreamChannel {
    fn target(&self) -> Option<Target> {
        Some(self.opened.target)
    }

    fn hear(&mut self, frame: &[u8], now: UnixTime) -> Result<Heard, UpstreamError> {
        let Some((header, payload)) = split(frame).filter(|(header, _)| header.extension == EXTENSION_BASE) else {
            return Ok(Heard::default());
        };
        Ok(match header.message_type {
            NewExtendedMiningJob::TYPE => {
                let work = self.hear_job(&NewExtendedMiningJob::decode_payload(payload)?, now)?;
                work.map(Heard::event).unwrap_or_default()
            }
            SetNewPrevHash::TYPE => {
                let work = self.hear_tip(&SetNewPrevHash::decode_payload(payload)?, now)?;
                work.map(Heard::event).unwrap_or_default()
            }
            SubmitSharesSuccess::TYPE => {
                Heard::verdict(self.hear_success(&SubmitSharesSuccess::decode_payload(payload)?))
            }
            SubmitSharesError::TYPE => Heard::verdict(self.hear_refusal(&SubmitSharesError::decode_payload(payload)?)),
            kind => self.hear_terms(kind, payload)?.map(Heard::event).unwrap_or_default(),
        })
    }

    fn submit(&mut self, share: &UpstreamShare, now: Instant) -> Result<Vec<u8>, Dropped> {
        if share.session != self.session {
            return Err(Dropped::OtherSession);
        }
        let sequence_number = self.pending.add(now).ok_or(Dropped::TooManyPending)?;
        let message = SubmitSharesExtended {
            channel_id: self.opened.channel_id,
            sequence_number,
            job_id: share.job_id,
            nonce: share.nonce,
            ntime: share.ntime,
            version: share.version,
            extranonce: &own_extranonce(&share.extranonce, self.opened.own_bytes),
        };
        Ok(message.to_frame())
    }

    fn tell_rate(&mut self, hashes_per_second: f64) -> Option<Vec<u8>> {
        let nominal_hash_rate = hashes_per_second as f32;
        let ratio = nominal_hash_rate / self.told_hash_rate;
        if !(nominal_hash_rate > 0.0 && nominal_hash_rate.is_finite()) || (1.0 / RATE_TOLD..=RATE_TOLD).contains(&ratio)
        {
            return None;
        }
        self.told_hash_rate = nominal_hash_rate;
        let maximum_target = Target::MAX;
        Some(UpdateChannel { channel_id: self.opened.channel_id, nominal_hash_rate, maximum_target }.to_frame())
    }

    fn pending(&mut self) -> &mut Pending {
        &mut self.pending
    }
}

/// The code of Stratum V1 that a reason stands for.
fn code_of_v1(reason: &str) -> u32 {
    match reason {
        "stale-share" | "invalid-job-id" => emit::CODE_JOB,
        "duplicate-share" => emit::CODE_DUPLICATE,
        "difficulty-too-low" => emit::CODE_LOW_DIFFICULTY,
        _ => emit::CODE_OTHER,
    }
}

#[cfg(test)]
mod tests;
