//! What miners of Stratum V2 are told: verdicts in sums, jobs and tips by channel.
//!
//! On the tip that a channel has, a job takes effect at once. Another tip is told by naming a job that waited for it: the one
//! that was sent ahead, when the tip's first job is that one, or else one that goes before it in the same write. A channel is
//! never sent the same job twice, and no tip names a job that was sent to take effect at once.

use crate::ahead::Ahead;
use crate::fanout::Fanout;
use crate::jobs::{self, CoinbaseStart};
use crate::payees::Payees;
use crate::reply::push_own;
use crate::resources::{Outgoing, Policy, PoolTotals, Replies};
use crate::sha256d;
use bevy_ecs::entity::Entity;
use bevy_ecs::system::{Query, Res, ResMut};
use warppool_components::channel::Channel;
use warppool_components::channel_v2::ChannelV2;
use warppool_components::job::{Job, JobPayouts, Payout};
use warppool_components::limits::{EXTRANONCE_BYTES, EXTRANONCE1_BYTES, FANOUT_CONNECTIONS_PER_TICK};
use warppool_components::reject::Reject;
use warppool_components::units::{Difficulty, Hash256};
use warppool_net::wire::v2::message::{
    NewExtendedMiningJob, NewMiningJob, SetNewPrevHash, SetTarget, SubmitSharesError, SubmitSharesSuccess,
};
use warppool_net::wire::v2::{MerklePath, Message, Wide, error_code};

/// Credited shares of one connection in a tick that were not told yet, by channel. A connection has at most
/// [`LINES_PER_CONNECTION_PER_TICK_MAX`](warppool_components::limits::LINES_PER_CONNECTION_PER_TICK_MAX) of them, nearly
/// always of one channel.
#[derive(Debug, Default)]
pub struct Tallies(Vec<Tally>);

#[derive(Debug)]
struct Tally {
    channel: Entity,
    channel_id: u32,
    last_sequence_number: u32,
    count: u32,
    difficulty: f64,
}

impl Tallies {
    /// Takes the verdict of the share in `row` in; a refusal is told at once.
    pub(super) fn take(
        &mut self,
        out: &mut Vec<u8>,
        replies: &Replies,
        row: u32,
        channel: Entity,
        verdict: Result<Difficulty, Reject>,
    ) {
        let (channel_id, sequence_number) = replies.share_ids[row as usize];
        let difficulty = match verdict {
            Ok(difficulty) => difficulty.value(),
            Err(reject) => {
                return SubmitSharesError { channel_id, sequence_number, error_code: error_code(reject).into() }
                    .encode(out);
            }
        };
        match self.0.iter_mut().rev().find(|tally| tally.channel == channel) {
            Some(tally) => {
                tally.last_sequence_number = sequence_number;
                tally.count += 1;
                tally.difficulty += difficulty;
            }
            None => {
                let last_sequence_number = sequence_number;
                self.0.push(Tally { channel, channel_id, last_sequence_number, count: 1, difficulty });
            }
        }
    }

    /// Tells what was credited. Before any other answer, so that the order of the client's messages shows.
    pub(super) fn tell(&mut self, out: &mut Vec<u8>, channels: &mut Query<&mut ChannelV2>) {
        for tally in self.0.drain(..) {
            let Ok(mut channel) = channels.get_mut(tally.channel) else { continue };
            let success = SubmitSharesSuccess {
                channel_id: tally.channel_id,
                last_sequence_number: tally.last_sequence_number,
                new_submits_accepted_count: tally.count,
                new_shares_sum: channel.tell(tally.difficulty),
            };
            success.encode(out);
        }
    }
}

/// Tells a channel the target of the jobs to come.
pub(super) fn set_target(out: &mut Vec<u8>, channel: &ChannelV2, difficulty: Difficulty) {
    SetTarget { channel_id: channel.number, maximum_target: channel.target(difficulty) }.encode(out);
}

/// What a message about a job is made of.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) job: &'a Job,
    pub(super) payout: &'a Payout,
    pub(super) start: &'a CoinbaseStart,
    pub(super) extranonce1: [u8; EXTRANONCE1_BYTES],
}

/// Gives a channel the latest job, and its tip where that is another than the channel has.
pub(super) fn give(out: &mut Vec<u8>, channel: &mut ChannelV2, subject: &Subject<'_>) {
    let job = subject.job;
    if channel.tip == Some(job.tip) {
        return send_job(out, channel, subject, Some(job.ntime));
    }
    if channel.held != Some(job.number) {
        send_job(out, channel, subject, None);
    }
    let tip = SetNewPrevHash {
        channel_id: channel.number,
        job_id: job.number,
        prev_hash: job.template.previous_block,
        min_ntime: job.ntime,
        nbits: job.template.bits,
    };
    tip.encode(out);
    channel.tip = Some(job.tip);
    channel.held = None;
}

/// A job that takes effect at once, or without `min_ntime` one that waits for its tip.
fn send_job(out: &mut Vec<u8>, channel: &ChannelV2, subject: &Subject<'_>, min_ntime: Option<u32>) {
    let (channel_id, job) = (channel.number, subject.job);
    let (job_id, version) = (job.number, job.template.version);
    if channel.is_extended {
        let message = NewExtendedMiningJob {
            channel_id,
            job_id,
            min_ntime,
            version,
            version_rolling_allowed: true,
            merkle_path: MerklePath::Held(&job.template.merkle_branches),
            coinbase_tx_prefix: Wide(&job.coinbase_prefix),
            coinbase_tx_suffix: Wide(&subject.payout.coinbase_suffix),
        };
        return message.encode(out);
    }
    let merkle_root = root(subject);
    NewMiningJob { channel_id, job_id, min_ntime, version, merkle_root }.encode(out);
}

/// The merkle root of a standard channel's job: the pool has fixed its whole extranonce.
fn root(subject: &Subject<'_>) -> Hash256 {
    let mut extranonce = [0; EXTRANONCE_BYTES];
    extranonce[..EXTRANONCE1_BYTES].copy_from_slice(&subject.extranonce1);
    let start = subject.start;
    let coinbase = start.midstate.finish_double([&start.tail, &extranonce, &subject.payout.coinbase_suffix]);
    sha256d::fold(coinbase, &subject.job.template.merkle_branches)
}

/// Sends the job of the next height ahead, to so many channels a tick, when nobody waits for work of this one.
#[expect(clippy::too_many_arguments, reason = "a system's parameters are what it touches")]
pub fn send_ahead(
    policy: Res<Policy>,
    payees: Res<Payees>,
    fanout: Res<Fanout>,
    mut ahead: ResMut<Ahead>,
    mut totals: ResMut<PoolTotals>,
    mut channels: Query<(&Channel, &mut ChannelV2)>,
    mut jobs: Query<(&Job, &mut JobPayouts, &CoinbaseStart)>,
    mut outgoing: ResMut<Outgoing>,
) {
    if ahead.waiting.is_empty() || !fanout.is_done() {
        return;
    }
    let Some((job, mut payouts, start)) = ahead.job.and_then(|entity| jobs.get_mut(entity).ok()) else {
        ahead.waiting.clear();
        return;
    };
    let rest = ahead.waiting.len().saturating_sub(FANOUT_CONNECTIONS_PER_TICK);
    for entity in ahead.waiting.drain(rest..) {
        let Ok((channel, mut v2)) = channels.get_mut(entity) else { continue };
        // The first job comes first.
        let Some(payee) = channel.payout.filter(|_| v2.tip.is_some() && v2.held != Some(job.number)) else { continue };
        let payout = jobs::payout(job, &mut payouts, payee, payees.payee(payee), &policy.0.payout);
        let outbox = &mut outgoing.0;
        let from = outbox.bytes.len() as u32;
        let subject = Subject { job, payout, start, extranonce1: channel.extranonce1 };
        send_job(&mut outbox.bytes, &v2, &subject, None);
        v2.held = Some(job.number);
        totals.notify_bytes += u64::from(outbox.bytes.len() as u32 - from);
        push_own(outbox, from, channel.key);
    }
}
