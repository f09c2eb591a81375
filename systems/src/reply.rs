//! Eleventh: what miners are told.
//!
//! The answers of a connection go out in the order of its lines and in one piece; behind them what else it is owed:
//! version mask, difficulty, job. A new job goes to everybody, largest hash rate first, so many a tick, and its text
//! is written once for each payee and shared by all who get it.

use crate::fanout::{Fanout, Waiting};
use crate::jobs::{self, CoinbaseStart};
use crate::payees::Payees;
use crate::resources::{
    Deadlines, Incoming, JobBoard, LineReply, LiveShares, Moment, NodeView, Outgoing, Owed, Policy, PoolTotals, Replies,
};
use crate::vardiff::on_job;
use bevy_ecs::entity::Entity;
use bevy_ecs::system::{Local, Query, Res, ResMut};
use bevy_ecs::world::Mut;
use std::collections::HashSet;
use std::time::Duration;
use warppool_components::channel::{Channel, DifficultyEpochs, Vardiff};
use warppool_components::channel_v2::{ChannelV2, ConnectionV2};
use warppool_components::inbox::SharedBytes;
use warppool_components::job::{Job, JobPayouts};
use warppool_components::limits::{EXTRANONCE1_BYTES, KEEP_ALIVE_SECONDS};
use warppool_components::outbox::{Body, Outbox, Write};
use warppool_components::settings::PayoutSettings;
use warppool_components::share::{ShareOrigin, ShareVerdict, ShareWork};
use warppool_components::units::{Difficulty, Instant};
use warppool_net::wire::v1::emit::{self, Notify};

mod v2;

pub use v2::send_ahead;
use v2::{Means, Roots, Subject, Tallies};

/// Writes the answers to this tick's lines.
pub fn answer(
    incoming: Res<Incoming>,
    replies: Res<Replies>,
    live: Res<LiveShares>,
    rows: Query<(&ShareOrigin, &ShareWork, &ShareVerdict)>,
    mut channels: Query<&mut ChannelV2>,
    mut tallies: Local<Tallies>,
    mut outgoing: ResMut<Outgoing>,
) {
    let outbox = &mut outgoing.0;
    outbox.shares = live.0 as u32;
    let lines = &incoming.0.lines;
    if lines.is_empty() {
        return;
    }
    let mut columns = rows.contiguous_iter().expect("share components are stored in tables");
    let (origins, works, verdicts) = columns.next().expect("the share rows are spawned at start");
    let mut answers = replies.lines.iter();
    for group in lines.chunk_by(|one, other| one.connection == other.connection) {
        let start = outbox.bytes.len() as u32;
        for answer in answers.by_ref().take(group.len()) {
            match *answer {
                LineReply::None => {}
                LineReply::Text(from, to) => {
                    tallies.tell(&mut outbox.bytes, &mut channels);
                    outbox.bytes.extend_from_slice(&replies.text[from as usize..to as usize]);
                }
                LineReply::Share(row) => answer_share(&mut outbox.bytes, &replies, row, &verdicts[row as usize]),
                LineReply::ShareV2(row) => {
                    let place = row as usize;
                    let verdict = verdicts[place].reject.map_or(Ok(works[place].difficulty), Err);
                    tallies.take(&mut outbox.bytes, &replies, row, origins[place].channel, verdict);
                }
            }
        }
        tallies.tell(&mut outbox.bytes, &mut channels);
        push_own(outbox, start, group[0].connection);
    }
}

fn answer_share(out: &mut Vec<u8>, replies: &Replies, row: u32, verdict: &ShareVerdict) {
    let (from, to) = replies.share_ids[row as usize];
    let id = &replies.text[from as usize..to as usize];
    let Some(reject) = verdict.reject else { return emit::true_reply(out, id) };
    match replies.share_texts.binary_search_by_key(&row, |(of, ..)| *of) {
        Ok(place) => {
            let (_, from, to) = replies.share_texts[place];
            let text = String::from_utf8_lossy(&replies.text[from as usize..to as usize]);
            emit::error_reply(out, id, emit::reject_code(reject), &text);
        }
        Err(_) => emit::reject_reply(out, id, reject),
    }
}

fn push_own(outbox: &mut Outbox, start: u32, connection: warppool_components::connection::ConnectionKey) {
    let end = outbox.bytes.len() as u32;
    if end > start {
        outbox.writes.push(Write { connection, body: Body::Own(start..end) });
    }
}

/// What the sending of jobs reads and writes.
type Receivers<'w, 's> = Query<
    'w,
    's,
    (Entity, &'static mut Channel, &'static mut Vardiff, &'static mut DifficultyEpochs, Option<&'static mut ChannelV2>),
>;

/// Sends what is owed, and this tick's new job to everybody.
#[expect(clippy::too_many_arguments, reason = "a system's parameters are what it touches")]
pub fn send(
    moment: Res<Moment>,
    policy: Res<Policy>,
    payees: Res<Payees>,
    board: Res<JobBoard>,
    node: Res<NodeView>,
    mut deadlines: ResMut<Deadlines>,
    mut owed: ResMut<Owed>,
    mut fanout: ResMut<Fanout>,
    mut means: Means,
    mut totals: ResMut<PoolTotals>,
    mut outgoing: ResMut<Outgoing>,
    mut receivers: Receivers,
    mut jobs: Jobs,
) {
    let broadcast = board.broadcast.is_some();
    let keep_alive = !broadcast && moment.0.instant >= deadlines.keep_alive_at;
    if broadcast || keep_alive {
        deadlines.keep_alive_at = moment.0.instant + Duration::from_secs(KEEP_ALIVE_SECONDS);
    }
    // Once miners were released, or a newer tip is known, the work that is left is of no use.
    let is_of_use = !node.released && !node.is_stale;
    let (latest, ahead) = the_two(&mut jobs, board.latest().filter(|_| is_of_use), means.ahead.job);
    if broadcast {
        let is_clean = latest.as_ref().is_some_and(|latest| latest.job.clean);
        fanout.begin(receivers.iter().map(|(channel, _, vardiff, ..)| waiting(channel, vardiff, is_clean)));
    }
    let owed = std::mem::take(&mut owed.0);
    let order = if keep_alive { receivers.iter().map(|(channel, ..)| channel).collect() } else { owed };
    let mut sending = Sending {
        now: moment.0.instant,
        settings: &policy.0.payout,
        payees: &payees,
        latest,
        ahead,
        keep_alive,
        notify_bytes: 0,
        unlike: HashSet::new(),
    };
    let has_v2 = !means.links.is_empty();
    let turns = if fanout.is_done() { Vec::new() } else { fanout.take_largest() };
    outgoing.0.fanout_done = !turns.is_empty() && fanout.is_done();
    let turns = turns.into_iter().map(|turn| (turn.channel, Some(turn.is_clean)));
    for (entity, turn) in order.into_iter().map(|channel| (channel, None)).chain(turns) {
        let may_be_grouped = turn.is_some() && has_v2;
        if may_be_grouped && sending.serve_group(turn, entity, &means.links, &mut receivers, &mut outgoing.0) {
            continue;
        }
        let Ok((_, mut channel, mut vardiff, mut epochs, v2)) = receivers.get_mut(entity) else { continue };
        let due = sending.due(turn, &channel, &mut vardiff);
        match v2 {
            None => sending.serve(&due, &mut channel, &mut outgoing.0),
            Some(mut v2) => {
                if due.is_first && due.gets_job {
                    means.ahead.waiting.push(entity);
                }
                sending.serve_v2(&due, &channel, &mut v2, &mut outgoing.0);
            }
        }
        if due.gets_job {
            sending.hand_over(&mut channel, &mut vardiff, &mut epochs);
        }
    }
    totals.notify_bytes += sending.notify_bytes;
    for sent in [&sending.latest, &sending.ahead].into_iter().flatten() {
        means.fill_roots(sent, &mut outgoing.0.bytes);
    }
    if let Some(latest) = sending.latest.filter(|_| broadcast) {
        outgoing.0.new_tip = latest.job.clean;
    }
    if let Some(stale) = stale_notifies(&board) {
        forget_notifies(stale, &mut jobs);
    }
}

/// A channel's place among those who wait.
fn waiting(channel: Entity, vardiff: &Vardiff, is_clean: bool) -> Waiting {
    let hashes_per_second = vardiff.hashes_per_second.max(vardiff.in_force.hashes() / vardiff.seconds_per_share);
    Waiting { hashes_per_second, channel, is_clean }
}

/// The job before the latest one: nobody will be sent it again, so its texts can go.
fn stale_notifies(board: &JobBoard) -> Option<Entity> {
    board.broadcast?;
    board.jobs.iter().rev().nth(1).map(|(_, entity)| *entity)
}

fn forget_notifies(entity: Entity, jobs: &mut Jobs) {
    let Ok((_, mut payouts, _)) = jobs.get_mut(entity) else { return };
    for payout in payouts.by_payee.iter_mut().flatten() {
        payout.notify = None;
        payout.notify_clean = None;
    }
}

/// The jobs that are sent.
type Jobs<'w, 's> = Query<'w, 's, (&'static Job, &'static mut JobPayouts, &'static CoinbaseStart)>;

/// A job that is sent.
struct Sendable<'a> {
    job: &'a Job,
    payouts: &'a mut JobPayouts,
    start: &'a CoinbaseStart,
    /// Its merkle roots that are yet to be hashed.
    roots: Roots,
}

impl Sendable<'_> {
    /// What is told of it to a channel with this payee and extranonce, and where roots are noted.
    fn subject(
        &mut self,
        payee: u32,
        extranonce1: [u8; EXTRANONCE1_BYTES],
        payees: &Payees,
        settings: &PayoutSettings,
    ) -> (Subject<'_>, &mut Roots) {
        let payout = jobs::payout(self.job, self.payouts, payee, payees.payee(payee), settings);
        (Subject { job: self.job, payout, payee, extranonce1 }, &mut self.roots)
    }
}

/// The latest job, and the one that is sent ahead with it.
fn the_two<'a>(
    jobs: &'a mut Jobs,
    latest: Option<Entity>,
    ahead: Option<Entity>,
) -> (Option<Sendable<'a>>, Option<Sendable<'a>>) {
    let sendable = |(job, payouts, start): (&'a Job, Mut<'a, JobPayouts>, &'a CoinbaseStart)| Sendable {
        job,
        payouts: payouts.into_inner(),
        start,
        roots: Roots::default(),
    };
    let Some(latest) = latest else { return (None, None) };
    let Some(ahead) = ahead.filter(|ahead| jobs.contains(*ahead)) else {
        return (jobs.get_mut(latest).ok().map(sendable), None);
    };
    jobs.get_many_mut([latest, ahead])
        .map_or((None, None), |[latest, ahead]| (Some(sendable(latest)), Some(sendable(ahead))))
}

/// The sending of one tick.
struct Sending<'a> {
    now: Instant,
    settings: &'a PayoutSettings,
    payees: &'a Payees,
    latest: Option<Sendable<'a>>,
    /// The job of the next height.
    ahead: Option<Sendable<'a>>,
    keep_alive: bool,
    notify_bytes: u64,
    /// Groups whose members were looked at and are not alike: each member would look at all of them once more.
    unlike: HashSet<(Entity, u32)>,
}

/// What a channel is owed, whatever it speaks.
struct Due {
    /// Its first job.
    is_first: bool,
    /// The first job of a tip, for it.
    is_clean: bool,
    /// The latest job is to be sent.
    gets_job: bool,
    /// A difficulty is to be told, before the job.
    difficulty: Option<Difficulty>,
}

impl Sending<'_> {
    /// What a channel is owed. `turn`: it is its turn to get the latest job, as the first of a tip or not.
    fn due(&self, turn: Option<bool>, channel: &Channel, vardiff: &mut Vardiff) -> Due {
        let is_first = channel.owes_job;
        // One that joined while others waited has the job already when its turn comes.
        let is_turn = turn.is_some() && channel.last_job < self.latest.as_ref().map(|latest| latest.job.id);
        let latest = self.latest.as_ref().filter(|_| channel.ready && (is_first || is_turn));
        let gets_job = latest.is_some_and(|latest| channel.payout_of(latest.job.id).is_some());
        // An easier difficulty goes with its job; before the first job everything does.
        let harder = channel.ready && vardiff.announced > vardiff.in_force && channel.first_job.is_some();
        let difficulty = if vardiff.unsent && (gets_job || harder) {
            vardiff.unsent = false;
            Some(vardiff.announced)
        } else {
            // What it was told last, which every firmware knows how to hear twice.
            let told = if vardiff.unsent { vardiff.in_force } else { vardiff.announced };
            (self.keep_alive && channel.ready && !gets_job).then_some(told)
        };
        Due { is_first, is_clean: is_first || turn == Some(true), gets_job, difficulty }
    }

    fn serve(&mut self, due: &Due, channel: &mut Channel, outbox: &mut Outbox) {
        let start = outbox.bytes.len() as u32;
        // Nothing unsolicited stands before the answer to subscribe.
        if channel.ready && std::mem::take(&mut channel.owes_version_mask) {
            emit::set_version_mask(&mut outbox.bytes, channel.version_mask);
        }
        if let Some(difficulty) = due.difficulty {
            emit::set_difficulty(&mut outbox.bytes, difficulty);
        }
        push_own(outbox, start, channel.key);
        let job = self.latest.as_ref().map(|latest| latest.job.id).filter(|_| due.gets_job);
        if let Some(payee) = job.and_then(|job| channel.payout_of(job)) {
            let body = self.notify(payee, due.is_clean);
            self.notify_bytes += body.len() as u64;
            outbox.writes.push(Write { connection: channel.key, body: Body::Shared(body) });
        }
    }

    /// All in one write.
    fn serve_v2(&mut self, due: &Due, channel: &Channel, v2: &mut ChannelV2, outbox: &mut Outbox) {
        if v2.is_closing {
            return;
        }
        let start = outbox.bytes.len() as u32;
        if let Some(difficulty) = due.difficulty {
            v2::set_target(&mut outbox.bytes, v2, difficulty);
        }
        let job = self.latest.as_ref().map(|latest| latest.job.id).filter(|_| due.gets_job);
        if let Some(payee) = job.and_then(|job| channel.payout_of(job)) {
            self.give(payee, channel.payout, channel.extranonce1, v2, outbox);
        }
        push_own(outbox, start, channel.key);
    }

    /// The latest job to all extended channels of a group at once, when they are alike. Whether they are; if not, nothing
    /// was done.
    fn serve_group(
        &mut self,
        turn: Option<bool>,
        first: Entity,
        links: &Query<&ConnectionV2>,
        receivers: &mut Receivers,
        outbox: &mut Outbox,
    ) -> bool {
        let Some(id) = self.latest.as_ref().map(|latest| latest.job.id) else { return false };
        // Tip, the job that waits for the next one, payees.
        let state = |channel: &Channel, v2: &ChannelV2| {
            let lacks = channel.ready && !channel.owes_job && channel.last_job < Some(id) && !v2.is_closing;
            lacks.then(|| (v2.tip, v2.held, (channel.payout_of(id), channel.payout)))
        };
        let Ok((_, channel, _, _, Some(v2))) = receivers.get(first) else { return false };
        let Some(wanted) = state(channel, v2) else { return false };
        let is_alike = |member| {
            let member = receivers.get(member).ok();
            member.is_some_and(|(_, channel, _, _, v2)| v2.and_then(|v2| state(channel, v2)) == Some(wanted))
        };
        let members = v2::members_alike(links, &mut self.unlike, channel, v2, is_alike);
        if members.is_empty() {
            return false;
        }
        let (key, extranonce1) = (channel.key, channel.extranonce1);
        let mut group = ChannelV2 { number: v2.group, ..v2.clone() };
        let start = outbox.bytes.len() as u32;
        for member in &members {
            let Ok((_, channel, mut vardiff, _, Some(v2))) = receivers.get_mut(*member) else { continue };
            if let Some(difficulty) = self.due(turn, &channel, &mut vardiff).difficulty {
                v2::set_target(&mut outbox.bytes, &v2, difficulty);
            }
        }
        if let (_, _, (Some(payee), next_payee)) = wanted {
            self.give(payee, next_payee, extranonce1, &mut group, outbox);
        }
        push_own(outbox, start, key);
        for member in members {
            let Ok((_, mut channel, mut vardiff, mut epochs, Some(mut v2))) = receivers.get_mut(member) else {
                continue;
            };
            (v2.tip, v2.held) = (group.tip, group.held);
            self.hand_over(&mut channel, &mut vardiff, &mut epochs);
        }
        true
    }

    /// The messages that give a channel or group the latest job, and the one of the next height in the same write when its
    /// payee is the same. For that one nobody waits: it does not make the first job of a tip longer.
    fn give(
        &mut self,
        payee: u32,
        next_payee: Option<u32>,
        extranonce1: [u8; EXTRANONCE1_BYTES],
        v2: &mut ChannelV2,
        outbox: &mut Outbox,
    ) {
        let from = outbox.bytes.len();
        let is_first_of_tip = self.latest.as_ref().is_none_or(|latest| latest.job.clean);
        if let Some(latest) = &mut self.latest {
            let (subject, roots) = latest.subject(payee, extranonce1, self.payees, self.settings);
            v2::give(&mut outbox.bytes, v2, &subject, roots);
        }
        let is_wanted =
            |ahead: &&mut Sendable| !is_first_of_tip && next_payee == Some(payee) && v2::lacks(v2, ahead.job);
        if let Some(ahead) = self.ahead.as_mut().filter(is_wanted) {
            let (subject, roots) = ahead.subject(payee, extranonce1, self.payees, self.settings);
            v2::give_ahead(&mut outbox.bytes, v2, &subject, roots);
        }
        self.notify_bytes += (outbox.bytes.len() - from) as u64;
    }

    /// The text of the latest job for a payee. The first job of a channel is always a clean one, as is that of a tip.
    fn notify(&mut self, payee: u32, clean: bool) -> SharedBytes {
        let Sendable { job, payouts, .. } = self.latest.as_mut().expect("asked only when there is a job");
        let payout = jobs::payout(job, payouts, payee, self.payees.payee(payee), self.settings);
        let kept = if clean { &mut payout.notify_clean } else { &mut payout.notify };
        kept.get_or_insert_with(|| notify_text(job, &payout.coinbase_suffix, clean)).clone()
    }

    /// The channel now has the latest job, under the difficulty that was announced before it.
    fn hand_over(&mut self, channel: &mut Channel, vardiff: &mut Vardiff, epochs: &mut DifficultyEpochs) {
        let id = self.latest.as_ref().expect("asked only when there is a job").job.id;
        channel.owes_job = false;
        channel.first_job.get_or_insert(id);
        channel.last_job = Some(id);
        epochs.begin(id, vardiff.announced);
        on_job(vardiff, self.now);
    }
}

fn notify_text(job: &Job, coinbase_suffix: &[u8], clean: bool) -> SharedBytes {
    let mut text = Vec::new();
    emit::notify(
        &mut text,
        &Notify {
            job: job.id,
            previous_block: &job.template.previous_block,
            coinbase_prefix: &job.coinbase_prefix,
            coinbase_suffix,
            branches: &job.template.merkle_branches,
            version: job.template.version,
            bits: job.template.bits,
            ntime: job.ntime,
            clean,
        },
    );
    text.into()
}
