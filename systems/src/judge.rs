//! Seventh: block, stale, target, duplicate, in this order.

use crate::resources::{LiveShares, Policy};
use crate::share_set::{Remembered, ShareSet};
use bevy_ecs::system::{Query, Res};
use warppool_components::channel::Channel;
use warppool_components::job::Job;
use warppool_components::limits::{
    SHARE_HASHES_FOR_NEXT_JOB, SHARE_HASHES_PER_CONNECTION_IF_CROWDED_MAX, SHARE_HASHES_PER_CONNECTION_MAX,
};
use warppool_components::reject::Reject;
use warppool_components::share::{ShareHash, ShareOrigin, ShareVerdict, ShareWork};
use warppool_components::units::Target;

type Columns = (&'static ShareOrigin, &'static ShareWork, &'static ShareHash, &'static mut ShareVerdict);

/// Finishes the verdict of this tick's rows, in the order in which they came: of two equal shares the first is
/// the good one.
pub fn judge(
    policy: Res<Policy>,
    live: Res<LiveShares>,
    mut jobs: Query<(&Job, &mut ShareSet)>,
    mut channels: Query<&mut Channel>,
    mut rows: Query<Columns>,
) {
    if live.0 == 0 {
        return;
    }
    let mut columns = rows.contiguous_iter_mut().expect("share components are stored in tables");
    let is_limited = policy.0.rate_limits.is_some();
    let (origins, works, hashes, mut verdicts) = columns.next().expect("the share rows are spawned at start");
    let verdicts = &mut verdicts.bypass_change_detection()[..live.0];
    let shares = origins.iter().zip(works).zip(hashes).zip(verdicts);
    for (((origin, work), hash), verdict) in shares.filter(|(((_, work), _), _)| work.hashable) {
        let (job, mut known) = jobs.get_mut(work.job).expect("assemble found this job in this tick");
        verdict.is_block = job.template.network_target.is_met_by(&hash.hash);
        if verdict.reject.is_none() {
            verdict.reject = match work.target.is_met_by(&hash.hash) {
                true => {
                    let mut channel = channels.get_mut(origin.sender).expect("a connection has it as long as it lives");
                    remember(hash, &mut known, is_limited.then(|| channel.credits.of(job.id)))
                }
                false => Some(Reject::LowDifficulty),
            };
        }
        if verdict.reject.is_none() || verdict.is_block {
            verdict.reached = Target::difficulty_of(&hash.hash).value();
        }
    }
}

/// Refuses a hash that is known, or for which there is no room: in the job, or in what one connection may fill of it.
fn remember(hash: &ShareHash, known: &mut ShareSet, credited: Option<&mut u32>) -> Option<Reject> {
    if credited.as_ref().is_some_and(|credited| **credited >= room(known)) {
        return Some(Reject::JobExhausted);
    }
    match known.remember(&hash.hash) {
        Remembered::New => {
            if let Some(credited) = credited {
                *credited += 1;
            }
            None
        }
        Remembered::Known => Some(Reject::Duplicate),
        Remembered::Full => Some(Reject::JobExhausted),
    }
}

/// Credited shares that one connection may have in a job.
fn room(known: &ShareSet) -> u32 {
    let is_crowded = known.len() >= SHARE_HASHES_FOR_NEXT_JOB;
    if is_crowded { SHARE_HASHES_PER_CONNECTION_IF_CROWDED_MAX } else { SHARE_HASHES_PER_CONNECTION_MAX }
}
