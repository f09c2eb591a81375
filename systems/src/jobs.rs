//! Fourth: templates become jobs.
//!
//! A new tip makes a job at once, marked clean. On the same tip a better template waits for the next refresh, every
//! [`JOB_REFRESH_SECONDS`], because small devices drop their work at every notify; only the full template after a
//! subsidy-only one goes out at once, and the next job when thousands of connections at once have crowded
//! the latest with shares.

use crate::ahead;
use crate::coinbase;
use crate::fanout::Fanout;
use crate::payees::Payees;
use crate::resources::{JobBoard, Moment, NodeView, Outgoing, Policy};
use crate::sha256d::Midstate;
use crate::share_set::ShareSet;
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use bevy_ecs::world::World;
use std::sync::Arc;
use std::time::Duration;
use warppool_components::event::{PoolEvent, PoolEventKind};
use warppool_components::inbox::Now;
use warppool_components::job::{CoinbaseOutput, Job, JobId, JobPayouts, Payout, TipNumber};
use warppool_components::limits::{JOB_REFRESH_SECONDS, SHARE_HASHES_FOR_NEXT_JOB, SHARE_HASHES_PER_JOB_MAX};
use warppool_components::node::NodeHealth;
use warppool_components::settings::{Payee, PayoutSettings};
use warppool_components::snapshot::JobSnapshot;
use warppool_components::template::{Template, TemplateKind};

/// The start of a job's coinbase, hashed as far as it is the same for every share.
#[derive(Component, Clone, Debug)]
pub struct CoinbaseStart {
    /// Its whole blocks.
    pub midstate: Midstate,
    /// What is left of it, less than a block.
    pub tail: Vec<u8>,
}

impl CoinbaseStart {
    /// Of a coinbase that starts so.
    pub fn new(prefix: &[u8]) -> Self {
        let (midstate, tail) = Midstate::new(prefix);
        Self { midstate, tail: tail.to_vec() }
    }
}

/// Makes the job that is due, if one is, and the one to be sent ahead of the next tip. The first job of a tip goes alone.
pub fn jobs(world: &mut World) {
    let now = world.resource::<Moment>().0;
    match due(world, now) {
        Some((template, clean)) => {
            make_job(world, now, &template, clean);
            // What is made now goes to everybody, also to those who still wait for the first job of the tip.
            if !clean {
                ahead::reserve(world, now);
            }
        }
        None if world.resource::<Fanout>().is_done() => ahead::reserve(world, now),
        None => {}
    }
}

/// The template for a new job, and whether the job starts a new tip.
fn due(world: &World, now: Now) -> Option<(Arc<Template>, bool)> {
    let board = world.resource::<JobBoard>();
    let template = board.template.as_ref()?;
    let new_tip = board.tip_hash != Some(template.previous_block);
    if board.given.is_some() {
        // Another job of the same coinbase would be the same work.
        return board.template_unused.then(|| (Arc::clone(template), new_tip));
    }
    let completes = board.template_unused
        && template.kind == TemplateKind::Full
        && board.snapshot.as_ref().is_some_and(|job| job.kind == TemplateKind::SubsidyOnly);
    let refresh = (now.instant >= board.refresh_at || is_crowded(world)) && may_refresh(world.resource::<NodeView>());
    (new_tip || completes || refresh).then(|| (Arc::clone(template), new_tip))
}

/// So many shares of the latest job were credited that the next one should not wait.
fn is_crowded(world: &World) -> bool {
    let latest = world.resource::<JobBoard>().latest();
    let known = latest.and_then(|entity| world.get::<ShareSet>(entity));
    // Where connections are limited it takes a thousand of them to get this far, and most miners drop their work at a job.
    let is_limited = world.resource::<Policy>().0.rate_limits.is_some();
    let crowd = if is_limited { SHARE_HASHES_PER_JOB_MAX / 2 } else { SHARE_HASHES_FOR_NEXT_JOB };
    known.is_some_and(|known| known.len() >= crowd)
}

/// With no node to say whether the tip still holds, or when it is known that it does not, no fresh work is made of it.
fn may_refresh(view: &NodeView) -> bool {
    !view.is_stale && !matches!(view.status.health, NodeHealth::Lost | NodeHealth::WrongChain | NodeHealth::Syncing)
}

fn make_job(world: &mut World, now: Now, template: &Arc<Template>, clean: bool) {
    let tag = coinbase::tag_text(&world.resource::<Policy>().0.pool_tag);
    let ntime = header_time(world, now, template, clean);
    let (id, tip) = number_job(world, now, template, clean);
    let prepared = if clean { ahead::take(world, template) } else { None };
    let known = prepared.and_then(|entity| world.get::<Job>(entity));
    let number = known.map_or(id.0, |job| job.number);
    let given = world.resource::<JobBoard>().given.clone();
    let coinbase_prefix = known.map(|job| &job.coinbase_prefix).or(given.as_ref().map(|given| &given.prefix)).cloned();
    let job = Job {
        id,
        tip,
        number,
        ntime,
        template: Arc::clone(template),
        coinbase_prefix: coinbase_prefix.unwrap_or_else(|| coinbase::prefix(template, number, &tag).into()),
        created_at: now.instant,
        clean,
        given,
    };
    let snapshot = Arc::new(picture(world, &job, now, tag));
    let entity = match prepared {
        // Its coinbases stay as they were sent.
        Some(entity) => world.entity_mut(entity).insert(job).id(),
        None => {
            let start = CoinbaseStart::new(job.hashed_once());
            world.spawn((job, JobPayouts::default(), ShareSet::default(), start)).id()
        }
    };
    let mut board = world.resource_mut::<JobBoard>();
    board.jobs.push_back((id, entity));
    if number != id.0 {
        board.sent_ahead.push_back((number, id));
    }
    board.broadcast = Some(entity);
    board.template_unused = false;
    board.refresh_at = now.instant + Duration::from_secs(JOB_REFRESH_SECONDS);
    board.snapshot = Some(snapshot);
    let kind = PoolEventKind::NewJob {
        height: template.height,
        job: format!("{:x}", id.0),
        clean,
        transactions: template.transaction_count,
        value: template.coinbase_value,
    };
    world.resource_mut::<Outgoing>().0.events.push(PoolEvent { at: now.unix, kind });
}

/// A node that shows so much less than before has had a wrong clock, or another node has taken its place: blocks of the time that
/// was told before might be refused as too new.
const CLOCK_STEP_SECONDS_MAX: u32 = 60;

/// The time in a new job's header. On one tip no job begins earlier than the one before: a miner was told that time as the
/// earliest, and what a node shows now may be a second before what its last template let one expect.
fn header_time(world: &World, now: Now, template: &Template, clean: bool) -> u32 {
    let ntime = template.time_at(now.unix).header_seconds();
    let before = world.resource::<JobBoard>().latest().filter(|_| !clean).and_then(|entity| world.get::<Job>(entity));
    let earliest = before.map_or(0, |job| job.ntime);
    let is_step_of_a_clock = earliest.saturating_sub(ntime) <= CLOCK_STEP_SECONDS_MAX;
    if is_step_of_a_clock { ntime.max(earliest) } else { ntime }
}

fn number_job(world: &mut World, now: Now, template: &Template, clean: bool) -> (JobId, TipNumber) {
    let mut board = world.resource_mut::<JobBoard>();
    board.newest = JobId(board.newest.0 + 1);
    if clean {
        board.tip = TipNumber(board.tip.0 + 1);
        board.tip_hash = Some(template.previous_block);
        board.tip_at = now.instant;
    }
    (board.newest, board.tip)
}

/// The job for people.
fn picture(world: &World, job: &Job, now: Now, tag: String) -> JobSnapshot {
    let (template, settings) = (&job.template, &world.resource::<Policy>().0);
    let payees = world.resource::<Payees>();
    let payee = payees.in_use().next().map(|index| payees.payee(index)).or(settings.payout.fallback.as_ref());
    let payee = payee.filter(|payee| !payee.is_upstream());
    let script = match &job.given {
        None => coinbase::script_for_people(template.height, job.number, &tag),
        Some(given) => coinbase::script_of_prefix(&given.prefix).to_vec(),
    };
    JobSnapshot {
        id: format!("{:x}", job.id.0),
        height: template.height,
        previous_block: template.previous_block,
        version: template.version,
        bits: template.bits,
        difficulty: template.network_target.to_difficulty().value(),
        ntime: job.ntime,
        created_at: now.unix,
        template_received_at: template.received_at,
        kind: template.kind,
        transactions: template.transaction_count,
        weight: template.weight,
        coinbase_value: template.coinbase_value,
        fees: template.fees,
        tag,
        coinbase_script: script.iter().map(|byte| format!("{byte:02x}")).collect(),
        outputs: payee.map(|payee| outputs(template, payee, &settings.payout)).unwrap_or_default(),
        merkle_branches: template.merkle_branches.len() as u32,
        payouts: payees.in_use().count() as u32,
    }
}

fn outputs(template: &Template, payee: &Payee, settings: &PayoutSettings) -> Arc<[CoinbaseOutput]> {
    coinbase::outputs(template, payee, settings).into()
}

/// Takes a payee out of a job: its index will be another's.
pub fn forget_payee(world: &mut World, job: Entity, index: u32) {
    let mut payouts = world.get_mut::<JobPayouts>(job);
    if let Some(payout) = payouts.as_mut().and_then(|payouts| payouts.by_payee.get_mut(index as usize)) {
        *payout = None;
    }
}

/// The payout of `payee` in a job, made when it is first asked for.
pub fn payout<'a>(
    job: &Job,
    payouts: &'a mut JobPayouts,
    index: u32,
    payee: &Payee,
    settings: &PayoutSettings,
) -> &'a mut Payout {
    let place = index as usize;
    if payouts.by_payee.len() <= place {
        payouts.by_payee.resize_with(place + 1, || None);
    }
    payouts.by_payee[place].get_or_insert_with(|| {
        if let Some(given) = &job.given {
            let coinbase_suffix = Arc::clone(&given.suffix);
            return Payout { coinbase_suffix, outputs: [].into(), notify: None, notify_clean: None };
        }
        let outputs = outputs(&job.template, payee, settings);
        let coinbase_suffix = coinbase::suffix(&job.template, &outputs).into();
        Payout { coinbase_suffix, outputs, notify: None, notify_clean: None }
    })
}
