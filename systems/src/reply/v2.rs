//! What miners of Stratum V2 are told: verdicts in sums, jobs and tips by channel.
//!
//! On the tip that a channel has, a job takes effect at once. Another tip is told by naming a job that waited for it: the one
//! that was sent ahead, when the tip's first job is that one, or else one that goes before it in the same write. A channel is
//! never sent the same job twice, and no tip names a job that was sent to take effect at once.
//!
//! What several extended channels of a group are to get is sent once, addressed to the group, when all of them have had the
//! same so far. A channel that is alone in its group is addressed itself: small devices do not know groups.
//!
//! The merkle roots of standard channels are hashed together at the end, side by side in vector lanes.

use crate::ahead::Ahead;
use crate::fanout::Fanout;
use crate::hash::Hashing;
use crate::jobs::CoinbaseStart;
use crate::payees::Payees;
use crate::reply::{Sendable, push_own};
use crate::resources::{Outgoing, Policy, PoolTotals, Replies};
use crate::sha256d::{Hasher, Share};
use bevy_ecs::entity::Entity;
use bevy_ecs::system::{Query, Res, ResMut, SystemParam};
use std::collections::HashSet;
use warppool_components::channel::Channel;
use warppool_components::channel_v2::{ChannelV2, ConnectionV2};
use warppool_components::job::{Job, JobPayouts, Payout};
use warppool_components::limits::{
    EXTRANONCE_BYTES, EXTRANONCE1_BYTES, EXTRANONCE2_BYTES, FANOUT_CONNECTIONS_PER_TICK,
};
use warppool_components::reject::Reject;
use warppool_components::share::ShareHash;
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
    /// The payee's index.
    pub(super) payee: u32,
    pub(super) extranonce1: [u8; EXTRANONCE1_BYTES],
}

/// Where merkle roots of standard channels are to stand among the bytes that are written, all of one job.
#[derive(Debug, Default)]
pub(super) struct Roots(Vec<Missing>);

#[derive(Debug)]
struct Missing {
    /// Its first byte.
    at: usize,
    payee: u32,
    extranonce: [u8; EXTRANONCE_BYTES],
}

/// Roots that are looked up together.
const ROOTS_PER_BATCH: usize = 64;

/// Bytes of a root, and where it stands in a header.
const ROOT_BYTES: usize = 32;
const ROOT_IN_HEADER: usize = 36;

impl Roots {
    /// The pool has fixed the channel's whole extranonce.
    fn miss(&mut self, at: usize, subject: &Subject<'_>) {
        let extranonce = subject.job.extranonce(subject.extranonce1, &[0; EXTRANONCE2_BYTES]);
        self.0.push(Missing { at, payee: subject.payee, extranonce });
    }
}

/// Hashes the roots of a job and puts them in their places.
fn fill(hasher: &Hasher, sent: &Sendable<'_>, out: &mut [u8]) {
    let Sendable { job, payouts, start, roots } = sent;
    let mut hashes = [ShareHash { header: [0; 80], hash: Hash256::ZERO }; ROOTS_PER_BATCH];
    for missing in roots.0.chunks(ROOTS_PER_BATCH) {
        let mut shares = [Share::EMPTY; ROOTS_PER_BATCH];
        for (share, missing) in shares.iter_mut().zip(missing) {
            let payout = payouts.by_payee[missing.payee as usize].as_ref().expect("its job was written just now");
            *share = Share {
                midstate: &start.midstate,
                tail: &start.tail,
                extranonce: &missing.extranonce,
                suffix: &payout.coinbase_suffix,
                branches: &job.template.merkle_branches,
                ..Share::EMPTY
            };
        }
        hasher.hash(&shares[..missing.len()], &mut hashes[..missing.len()]);
        for (missing, hash) in missing.iter().zip(&hashes) {
            let root = &hash.header[ROOT_IN_HEADER..ROOT_IN_HEADER + ROOT_BYTES];
            out[missing.at..missing.at + ROOT_BYTES].copy_from_slice(root);
        }
    }
}

/// Gives a channel the latest job, and its tip where that is another than the channel has.
pub(super) fn give(out: &mut Vec<u8>, channel: &mut ChannelV2, subject: &Subject<'_>, roots: &mut Roots) {
    let job = subject.job;
    if channel.tip == Some(job.tip) {
        return send_job(out, channel, subject, Some(job.ntime), roots);
    }
    if channel.held != Some(job.number) {
        send_job(out, channel, subject, None, roots);
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

/// Sends a channel or group the job of the next height.
pub(super) fn give_ahead(out: &mut Vec<u8>, channel: &mut ChannelV2, subject: &Subject<'_>, roots: &mut Roots) {
    send_job(out, channel, subject, None, roots);
    channel.held = Some(subject.job.number);
}

/// A job that takes effect at once, or without `min_ntime` one that waits for its tip.
fn send_job(out: &mut Vec<u8>, channel: &ChannelV2, subject: &Subject<'_>, min_ntime: Option<u32>, roots: &mut Roots) {
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
    NewMiningJob { channel_id, job_id, min_ntime, version, merkle_root: Hash256::ZERO }.encode(out);
    // The root is the last field.
    roots.miss(out.len() - ROOT_BYTES, subject);
}

/// What is there for Stratum V2 alone.
#[derive(SystemParam)]
pub struct Means<'w, 's> {
    /// The job of the next height.
    pub(super) ahead: ResMut<'w, Ahead>,
    /// The channels of each connection.
    pub(super) links: Query<'w, 's, &'static ConnectionV2>,
    hashing: Option<Res<'w, Hashing>>,
}

impl Means<'_, '_> {
    /// Puts the roots of a job into what was written of it.
    pub(super) fn fill_roots(&self, sent: &Sendable<'_>, out: &mut [u8]) {
        if sent.roots.0.is_empty() {
            return;
        }
        let hashing = self.hashing.as_deref().copied().unwrap_or_else(Hashing::of_this_machine);
        fill(&hashing.hasher, sent, out);
    }
}

/// Sends the job of the next height ahead to those who did not get it with the full job, so many channels a tick, when nobody
/// waits for work of this height.
#[expect(clippy::too_many_arguments, reason = "a system's parameters are what it touches")]
pub fn send_ahead(
    policy: Res<Policy>,
    payees: Res<Payees>,
    fanout: Res<Fanout>,
    mut means: Means,
    mut totals: ResMut<PoolTotals>,
    mut channels: Query<(&Channel, &mut ChannelV2)>,
    mut jobs: Query<(&Job, &mut JobPayouts, &CoinbaseStart)>,
    mut outgoing: ResMut<Outgoing>,
) {
    if means.ahead.waiting.is_empty() || !fanout.is_done() {
        return;
    }
    let Some((job, payouts, start)) = means.ahead.job.and_then(|entity| jobs.get_mut(entity).ok()) else {
        means.ahead.waiting.clear();
        return;
    };
    let mut sent = Sendable { job, payouts: payouts.into_inner(), start, roots: Roots::default() };
    let outbox = &mut outgoing.0;
    let (first_byte, mut unlike) = (outbox.bytes.len(), HashSet::new());
    let rest = means.ahead.waiting.len().saturating_sub(FANOUT_CONNECTIONS_PER_TICK);
    for entity in means.ahead.waiting.split_off(rest) {
        let Ok((channel, v2)) = channels.get(entity) else { continue };
        // The first job comes first.
        let Some(payee) = channel.payout.filter(|_| lacks(v2, job)) else { continue };
        let (extranonce1, key) = (channel.extranonce1, channel.key);
        let together = members_alike(&means.links, &mut unlike, channel, v2, |member| {
            channels.get(member).is_ok_and(|(channel, v2)| channel.payout == Some(payee) && lacks(v2, job))
        });
        let address = if together.is_empty() { v2.number } else { v2.group };
        let to = ChannelV2 { number: address, ..v2.clone() };
        let from = outbox.bytes.len() as u32;
        let (subject, roots) = sent.subject(payee, extranonce1, &payees, &policy.0.payout);
        send_job(&mut outbox.bytes, &to, &subject, None, roots);
        push_own(outbox, from, key);
        for member in together.into_iter().chain([entity]) {
            if let Ok((_, mut v2)) = channels.get_mut(member) {
                v2.held = Some(job.number);
            }
        }
    }
    totals.notify_bytes += (outbox.bytes.len() - first_byte) as u64;
    means.fill_roots(&sent, &mut outbox.bytes);
}

/// Whether a channel that has work was not sent the job ahead.
pub(super) fn lacks(channel: &ChannelV2, job: &Job) -> bool {
    !channel.is_closing && channel.tip.is_some() && channel.held != Some(job.number)
}

/// The extended channels of a channel's group, itself among them, when there are several and all are alike; else none. `unlike`
/// remembers groups that are not, so that not each of their members looks at all others in one tick.
pub(super) fn members_alike(
    links: &Query<&ConnectionV2>,
    unlike: &mut HashSet<(Entity, u32)>,
    channel: &Channel,
    v2: &ChannelV2,
    is_alike: impl Fn(Entity) -> bool,
) -> Vec<Entity> {
    let Some(link) = links.get(channel.connection).ok().filter(|_| v2.is_extended) else { return Vec::new() };
    let group = (channel.connection, v2.group);
    let are_several = link.members(v2.group).nth(1).is_some();
    if !are_several || unlike.contains(&group) {
        return Vec::new();
    }
    if !link.members(v2.group).all(is_alike) {
        unlike.insert(group);
        return Vec::new();
    }
    link.members(v2.group).collect()
}
