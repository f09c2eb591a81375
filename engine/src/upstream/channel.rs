//! The channel at an upstream: its jobs as they become ours, and shares that await an answer. Without a socket or a clock.

use super::error::{EXTRANONCE_BYTES_MAX, UpstreamError, said};
use super::opening::Opened;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use warppool_components::limits::{
    MERKLE_BRANCHES_MAX, UPSTREAM_ANSWER_SECONDS_MAX, UPSTREAM_ANSWERS_PENDING_MAX, UPSTREAM_FUTURE_JOBS_MAX,
};
use warppool_components::node::NodeEvent;
use warppool_components::template::{Template, TemplateId, TemplateKind};
use warppool_components::units::{Hash256, Sats, Target, UnixTime};
use warppool_components::upstream::{GivenCoinbase, GivenWork, UPSTREAM_OWN_BYTES, UpstreamShare};
use warppool_net::wire::v2::message::{
    CloseChannel, NewExtendedMiningJob, Reconnect, SetExtranoncePrefix, SetGroupChannel, SetNewPrevHash, SetTarget,
    SubmitSharesError, SubmitSharesExtended, SubmitSharesSuccess, UpdateChannel,
};
use warppool_net::wire::v2::{EXTENSION_BASE, Message, split};

/// Version bits that miners roll (BIP320). They are zero in what miners are given, so that bits and whole versions can be told
/// apart.
const ROLLED_VERSION_BITS: u32 = 0x1fff_e000;

/// A hash rate that differs from the told one by less than this factor is not told.
const RATE_TOLD: f32 = 1.5;

/// A job as it was sent, with the prefix and target that hold for it.
#[derive(Clone, Debug)]
struct Job {
    id: u32,
    version: u32,
    merkle_path: Arc<[Hash256]>,
    coinbase_prefix: Vec<u8>,
    coinbase_suffix: Vec<u8>,
}

/// What all jobs of a tip have in common.
#[derive(Clone, Copy, Debug)]
struct Tip {
    previous_block: Hash256,
    bits: u32,
    network_target: Target,
}

/// What the upstream said of shares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// So many were credited.
    Accepted(u32),
    /// One was not, for this reason.
    Rejected(String),
}

/// What a frame leads to.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// For the engine.
    pub(super) event: Option<NodeEvent>,
    /// For the counts.
    pub(super) verdict: Option<Verdict>,
}

/// Why a share was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dropped {
    /// Its job is of an earlier session.
    OtherSession,
    /// Too many await an answer.
    TooManyPending,
}

/// The channel.
#[derive(Debug)]
pub(super) struct UpstreamChannel {
    session: u32,
    opened: Opened,
    tip: Option<Tip>,
    future: VecDeque<Job>,
    pending: VecDeque<(u32, Instant)>,
    last_sequence_number: u32,
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
            pending: VecDeque::new(),
            last_sequence_number: 0,
            told_hash_rate,
            templates: 0,
        }
    }

    /// Takes a frame in.
    pub(super) fn hear(&mut self, frame: &[u8], now: UnixTime) -> Result<Heard, UpstreamError> {
        let Some((header, payload)) = split(frame).filter(|(header, _)| header.extension == EXTENSION_BASE) else {
            return Ok(Heard::default());
        };
        let mut heard = Heard::default();
        match header.message_type {
            NewExtendedMiningJob::TYPE => {
                heard.event = self.hear_job(&NewExtendedMiningJob::decode_payload(payload)?, now)?;
            }
            SetNewPrevHash::TYPE => heard.event = self.hear_tip(&SetNewPrevHash::decode_payload(payload)?, now)?,
            SetTarget::TYPE => {
                let message = SetTarget::decode_payload(payload)?;
                if self.is_ours(message.channel_id) {
                    self.opened.target = message.maximum_target;
                    heard.event = Some(NodeEvent::UpstreamTarget(message.maximum_target));
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
            SubmitSharesSuccess::TYPE => {
                heard.verdict = self.hear_success(&SubmitSharesSuccess::decode_payload(payload)?);
            }
            SubmitSharesError::TYPE => heard.verdict = self.hear_refusal(&SubmitSharesError::decode_payload(payload)?),
            CloseChannel::TYPE => {
                let message = CloseChannel::decode_payload(payload)?;
                if self.is_ours(message.channel_id) {
                    return Err(UpstreamError::Closed(said(message.reason_code)));
                }
            }
            Reconnect::TYPE => return Err(UpstreamError::Reconnect),
            // What is not known is passed over, as the specification asks for.
            _ => {}
        }
        Ok(heard)
    }

    /// The frame that submits a share.
    pub(super) fn submit(&mut self, share: &UpstreamShare, now: Instant) -> Result<Vec<u8>, Dropped> {
        if share.session != self.session {
            return Err(Dropped::OtherSession);
        }
        if self.pending.len() >= UPSTREAM_ANSWERS_PENDING_MAX {
            return Err(Dropped::TooManyPending);
        }
        self.last_sequence_number = self.last_sequence_number.wrapping_add(1);
        self.pending.push_back((self.last_sequence_number, now));
        // What we do not use of our part stands before what we do.
        let mut extranonce = [0; EXTRANONCE_BYTES_MAX];
        let own = &mut extranonce[..self.opened.own_bytes];
        let unused = own.len() - UPSTREAM_OWN_BYTES;
        own[unused..].copy_from_slice(&share.extranonce);
        let message = SubmitSharesExtended {
            channel_id: self.opened.channel_id,
            sequence_number: self.last_sequence_number,
            job_id: share.job_id,
            nonce: share.nonce,
            ntime: share.ntime,
            version: share.version,
            extranonce: own,
        };
        Ok(message.to_frame())
    }

    /// The frame that tells another hash rate, if it is another one by far.
    pub(super) fn update(&mut self, hashes_per_second: f64) -> Option<Vec<u8>> {
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

    /// How many shares have waited too long for an answer, which are then not waited for any more.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let patience = Duration::from_secs(UPSTREAM_ANSWER_SECONDS_MAX);
        let expired = self.pending.iter().take_while(|(_, sent_at)| now.duration_since(*sent_at) >= patience).count();
        self.pending.drain(..expired);
        expired as u64
    }

    /// How many shares await an answer.
    pub(super) fn pending(&self) -> u64 {
        self.pending.len() as u64
    }

    fn is_ours(&self, channel_id: u32) -> bool {
        channel_id == self.opened.channel_id || channel_id == self.opened.group_id
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
        if message.merkle_path.len() > MERKLE_BRANCHES_MAX {
            return Err(UpstreamError::Job("its merkle path is longer than any block's"));
        }
        // The upstream's part of the extranonce, and zeros in the place of what we do not use of ours.
        let unused = self.opened.own_bytes - UPSTREAM_OWN_BYTES;
        let job = Job {
            id: message.job_id,
            version: message.version & !ROLLED_VERSION_BITS,
            merkle_path: message.merkle_path.iter().collect(),
            coinbase_prefix: [message.coinbase_tx_prefix.0, &self.opened.prefix, &vec![0; unused]].concat(),
            coinbase_suffix: message.coinbase_tx_suffix.0.to_vec(),
        };
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
        let network_target = Target::from_compact(message.nbits)?;
        let tip = Tip { previous_block: message.prev_hash, bits: message.nbits, network_target };
        self.tip = Some(tip);
        let named = self.future.drain(..).rfind(|job| job.id == message.job_id);
        named.map(|job| self.work(&job, tip, message.min_ntime, now)).transpose()
    }

    fn work(&mut self, job: &Job, tip: Tip, min_ntime: u32, now: UnixTime) -> Result<NodeEvent, UpstreamError> {
        let (prefix, suffix) = (&job.coinbase_prefix, &job.coinbase_suffix);
        let coinbase = GivenCoinbase::new(self.session, job.id, prefix, suffix, self.opened.target)
            .ok_or(UpstreamError::Job("its coinbase is too short"))?;
        self.templates += 1;
        let time = UnixTime::from_seconds(u64::from(min_ntime));
        let template = Template {
            id: TemplateId(self.templates),
            kind: TemplateKind::Full,
            height: height(prefix),
            version: job.version,
            previous_block: tip.previous_block,
            bits: tip.bits,
            network_target: tip.network_target,
            current_time: time,
            min_time: time,
            coinbase_value: value(prefix, suffix),
            fees: Sats::ZERO,
            witness_commitment: None,
            merkle_branches: Arc::clone(&job.merkle_path),
            transaction_count: 0,
            transactions: [].into(),
            weight: 0,
            received_at: now,
        };
        Ok(NodeEvent::Given(GivenWork { template: Arc::new(template), coinbase: Arc::new(coinbase) }))
    }

    fn hear_success(&mut self, message: &SubmitSharesSuccess) -> Option<Verdict> {
        if message.channel_id != self.opened.channel_id {
            return None;
        }
        self.pending.retain(|(number, _)| *number > message.last_sequence_number);
        Some(Verdict::Accepted(message.new_submits_accepted_count))
    }

    fn hear_refusal(&mut self, message: &SubmitSharesError<'_>) -> Option<Verdict> {
        if message.channel_id != self.opened.channel_id {
            return None;
        }
        self.pending.retain(|(number, _)| *number != message.sequence_number);
        Some(Verdict::Rejected(said(message.error_code)))
    }
}

/// The height that a coinbase begins its script with (BIP34); 0 when it cannot be read. For people.
fn height(prefix: &[u8]) -> u32 {
    // Version, count of inputs, outpoint, length of the script.
    let script = prefix.get(4 + 1 + 36 + 1..).unwrap_or_default();
    match script {
        [small @ 0x51..=0x60, ..] => u32::from(small - 0x50),
        [length @ 1..=4, rest @ ..] if rest.len() >= usize::from(*length) => {
            rest[..usize::from(*length)].iter().rev().fold(0, |height, byte| height << 8 | u32::from(*byte))
        }
        _ => 0,
    }
}

/// What the outputs of a coinbase sum to; 0 when it cannot be read. For people.
fn value(prefix: &[u8], suffix: &[u8]) -> Sats {
    let coinbase = [prefix, &[0; UPSTREAM_OWN_BYTES], suffix].concat();
    let transaction = bitcoin::consensus::deserialize::<bitcoin::Transaction>(&coinbase);
    let outputs = transaction.map(|transaction| transaction.output).unwrap_or_default();
    Sats(outputs.iter().fold(0, |sum, output| sum.saturating_add(output.value.to_sat())))
}

#[cfg(test)]
mod tests;
