//! Work from another pool: its jobs become ours, its target bounds every miner's difficulty, and shares that meet it go there.
//!
//! Miners are judged, answered and credited as ever, by their own difficulty, at once: nobody waits for the other pool's word.
//! What it says of a share is counted by whoever carries the shares.

use crate::resources::{JobBoard, LiveShares, NodeView, Outgoing, Owed, Policy, WorkSource};
use bevy_ecs::entity::Entity;
use bevy_ecs::system::{Query, Res, ResMut};
use bevy_ecs::world::World;
use warppool_components::channel::Vardiff;
use warppool_components::job::Job;
use warppool_components::limits::{EXTRANONCE_BYTES, EXTRANONCE1_BYTES, UPSTREAM_EXTRANONCE2_BYTES};
use warppool_components::outbox::NoticeLevel;
use warppool_components::reject::Reject;
use warppool_components::share::{ShareClaim, ShareHash, ShareVerdict, ShareWork};
use warppool_components::units::{Difficulty, Target};
use warppool_components::upstream::{GivenWork, LEAD_BYTES, UPSTREAM_OWN_BYTES, UpstreamShare};
use warppool_components::worker::WorkerIdentity;

const _: () = assert!(LEAD_BYTES + EXTRANONCE1_BYTES + UPSTREAM_EXTRANONCE2_BYTES == EXTRANONCE_BYTES);

/// The next job is made of this. The first one of a session, and one that says so, makes what came before worthless, whatever its
/// tip.
pub(crate) fn take(world: &mut World, work: GivenWork) {
    world.resource_mut::<NodeView>().tip = work.template.previous_block;
    let mut board = world.resource_mut::<JobBoard>();
    let session = board.given.as_ref().map(|given| given.session);
    if work.clean || session != Some(work.coinbase.session) {
        board.tip_hash = None;
    }
    board.template = Some(work.template);
    board.given = Some(work.coinbase);
    board.template_unused = true;
}

/// No miner has a harder difficulty than that of `target`: what it finds would be kept from the other pool. A miner that has
/// one is given an easier one with its next job.
pub(crate) fn bound(world: &mut World, target: Target) {
    let WorkSource::Upstream { wanted } = world.resource::<WorkSource>().clone() else { return };
    let hardest = target.to_difficulty();
    let max = if hardest < wanted.max { hardest } else { wanted.max };
    let min = if max < wanted.min { max } else { wanted.min };
    let mut policy = world.resource_mut::<Policy>();
    (policy.0.vardiff.min, policy.0.vardiff.max) = (min, max);
    let mut eased = Vec::new();
    let mut channels = world.query::<(Entity, &mut Vardiff)>();
    for (channel, mut vardiff) in channels.iter_mut(world).filter(|(_, vardiff)| vardiff.announced > max) {
        vardiff.announced = Difficulty::rounded_between(vardiff.announced, min, max);
        vardiff.unsent = true;
        eased.push(channel);
    }
    world.resource_mut::<Owed>().0.extend(eased);
}

type Columns = (&'static ShareClaim, &'static ShareWork, &'static ShareHash, &'static ShareVerdict);

/// Hands on what is worth something to the other pool.
pub fn forward(
    source: Res<WorkSource>,
    live: Res<LiveShares>,
    jobs: Query<&Job>,
    workers: Query<&WorkerIdentity>,
    rows: Query<Columns>,
    mut outgoing: ResMut<Outgoing>,
) {
    if live.0 == 0 || *source == WorkSource::Node {
        return;
    }
    let mut columns = rows.contiguous_iter().expect("share components are stored in tables");
    let (claims, works, hashes, verdicts) = columns.next().expect("the share rows are spawned at start");
    let shares = claims[..live.0].iter().zip(works).zip(hashes).zip(verdicts);
    for (((claim, work), hash), verdict) in shares.filter(|((_, _), verdict)| is_of_use(verdict)) {
        if !work.hashable {
            continue;
        }
        let Ok(job) = jobs.get(work.job) else { continue };
        let Some(given) = job.given.as_ref().filter(|given| given.target.is_met_by(&hash.hash)) else { continue };
        let mut extranonce = [0; UPSTREAM_OWN_BYTES];
        extranonce.copy_from_slice(&work.extranonce[LEAD_BYTES..]);
        let (nonce, ntime) = (claim.nonce, claim.ntime);
        let (session, job_id, version) = (given.session, given.job_id, work.version);
        outgoing.0.upstream.push(UpstreamShare { session, job_id, nonce, ntime, version, extranonce });
        if verdict.is_block {
            let finder = work.worker.and_then(|worker| workers.get(worker).ok());
            let finder = finder.map_or("somebody", |identity| &identity.label);
            let text = format!(
                "block {} at height {} found by {finder}: sent to the upstream pool",
                hash.hash, job.template.height
            );
            outgoing.notice(NoticeLevel::Info, text);
        }
    }
}

/// A share that was refused here may still be good enough there: one that missed a difficulty harder than the other pool's, and a
/// block in any case.
const fn is_of_use(verdict: &ShareVerdict) -> bool {
    match verdict.reject {
        None | Some(Reject::LowDifficulty | Reject::JobExhausted) => true,
        Some(Reject::Duplicate) => false,
        Some(_) => verdict.is_block,
    }
}
