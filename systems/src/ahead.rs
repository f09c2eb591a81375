//! The job that is sent ahead of its tip.
//!
//! A subsidy-only job of the next height waits on every channel of Stratum V2. When the tip comes and the node's first work on
//! it is that very job, a channel that has it is told the tip in one message of 54 bytes. Everything but the tip, the time
//! and `nBits` must be known ahead: the coinbase of the next height with its subsidy and no fees, the version, the witness
//! commitment of a block without transactions.
//!
//! Its coinbase is made before it has a place among the jobs, so it has a number of a row of its own, with the top bit set.
//! A tip uses it up, whether it came into use or not. Miners of Stratum V1 get the same job as any other.

use crate::coinbase;
use crate::fanout::Fanout;
use crate::jobs::{self, CoinbaseStart};
use crate::resources::{JobBoard, NodeView, Policy};
use crate::sha256d;
use crate::share_set::ShareSet;
use bevy_ecs::entity::Entity;
use bevy_ecs::query::With;
use bevy_ecs::resource::Resource;
use bevy_ecs::world::World;
use std::sync::Arc;
use warppool_components::channel_v2::ChannelV2;
use warppool_components::inbox::Now;
use warppool_components::job::{Job, JobId, JobPayouts, TipNumber};
use warppool_components::template::{Template, TemplateId, TemplateKind};
use warppool_components::units::{Hash256, Sats};

/// Set in the numbers of jobs that were sent ahead; other jobs never come this far.
const AHEAD: u32 = 1 << 31;

/// Blocks between two changes of `nBits` (consensus). The first block of a period has no work ahead, because nobody knows its
/// `nBits` before the node tells.
const RETARGET_INTERVAL: u32 = 2016;

/// What the pool has sent ahead, or will.
#[derive(Resource, Debug, Default)]
pub struct Ahead {
    /// Open channels of Stratum V2.
    pub channels: usize,
    /// The job that waits for its tip.
    pub job: Option<Entity>,
    /// Channels that have yet to be sent it. One may stand there twice.
    pub waiting: Vec<Entity>,
    /// How many there were before.
    made: u32,
}

/// Makes the job for the next height, if there is none and it can be known.
pub fn reserve(world: &mut World, now: Now) {
    if !is_wanted(world) {
        return;
    }
    let board = world.resource::<JobBoard>();
    let Some(latest) = board.latest().and_then(|entity| world.get::<Job>(entity)) else { return };
    let settings = &world.resource::<Policy>().0;
    let subsidy = Sats::subsidy(latest.template.height + 1, settings.network.halving_interval());
    let template = Arc::new(empty_template(&latest.template, subsidy));
    let tag = coinbase::tag_text(&settings.pool_tag);
    let mut ahead = world.resource_mut::<Ahead>();
    ahead.made += 1;
    let number = AHEAD | ahead.made;
    let prefix = coinbase::prefix(&template, number, &tag);
    let start = CoinbaseStart::new(&prefix);
    let job = Job {
        // Without a place in the order: nobody can submit to it.
        id: JobId(0),
        tip: TipNumber(0),
        number,
        ntime: 0,
        template,
        coinbase_prefix: prefix.into(),
        created_at: now.instant,
        clean: false,
        given: None,
    };
    let entity = world.spawn((job, JobPayouts::default(), ShareSet::default(), start)).id();
    let waiting: Vec<Entity> = world.query_filtered::<Entity, With<ChannelV2>>().iter(world).collect();
    let mut ahead = world.resource_mut::<Ahead>();
    ahead.job = Some(entity);
    ahead.waiting = waiting;
}

/// Whether a job should be made for the next height by itself: nobody waits for better work.
pub fn is_due(world: &World) -> bool {
    is_wanted(world) && world.resource::<Fanout>().is_done()
}

/// Whether there is somebody to have a job for the next height, and it can be known.
fn is_wanted(world: &World) -> bool {
    let ahead = world.resource::<Ahead>();
    if ahead.channels == 0 || ahead.job.is_some() {
        return false;
    }
    let view = world.resource::<NodeView>();
    let latest = world.resource::<JobBoard>().latest().and_then(|entity| world.get::<Job>(entity));
    // Full work on this tip comes first. What another pool will give for the next height nobody knows.
    let latest = latest.filter(|job| {
        job.given.is_none() && job.template.kind == TemplateKind::Full && !view.is_stale && !view.released
    });
    let network = world.resource::<Policy>().0.network;
    latest.is_some_and(|job| {
        !network.has_minimum_difficulty_rule() && !(job.template.height + 1).is_multiple_of(RETARGET_INTERVAL)
    })
}

/// Work of the height above `last`, as far as it can be known.
fn empty_template(last: &Template, subsidy: Sats) -> Template {
    Template {
        id: TemplateId(0),
        kind: TemplateKind::SubsidyOnly,
        height: last.height + 1,
        previous_block: Hash256::ZERO,
        coinbase_value: subsidy,
        fees: Sats::ZERO,
        witness_commitment: last.witness_commitment.as_ref().map(|_| empty_commitment()),
        merkle_branches: [].into(),
        transaction_count: 0,
        transactions: [].into(),
        weight: 0,
        ..last.clone()
    }
}

/// scriptPubKey of the commitment to no transactions but the coinbase: the witness root and the reserved value are zero
/// (BIP141).
fn empty_commitment() -> Arc<[u8]> {
    let mut script = vec![0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    script.extend_from_slice(sha256d::double(&[0; 64]).as_internal());
    script.into()
}

/// The job that was sent ahead, when it is what `template` asks for. It is used up either way.
pub fn take(world: &mut World, template: &Template) -> Option<Entity> {
    let entity = withdraw(world)?;
    let fits = world.get::<Job>(entity).is_some_and(|job| is_the_same(&job.template, template));
    if !fits {
        world.despawn(entity);
    }
    fits.then_some(entity)
}

/// Forgets the job that was sent ahead: what it was made of holds no more. Channels that have it never hear of it again.
pub fn discard(world: &mut World) {
    if let Some(entity) = withdraw(world) {
        world.despawn(entity);
    }
}

fn withdraw(world: &mut World) -> Option<Entity> {
    let mut ahead = world.resource_mut::<Ahead>();
    ahead.waiting.clear();
    ahead.job.take()
}

/// Whether both give the same coinbase and the same header but for tip, time and `nBits`.
fn is_the_same(ahead: &Template, template: &Template) -> bool {
    template.kind == TemplateKind::SubsidyOnly
        && template.merkle_branches.is_empty()
        && template.height == ahead.height
        && template.version == ahead.version
        && template.coinbase_value == ahead.coinbase_value
        && template.witness_commitment == ahead.witness_commitment
}

/// Takes payees out of the job whose index others may get.
pub fn forget_payees(world: &mut World, freed: &[u32]) {
    let Some(entity) = world.resource::<Ahead>().job.filter(|_| !freed.is_empty()) else { return };
    freed.iter().for_each(|index| jobs::forget_payee(world, entity, *index));
}
