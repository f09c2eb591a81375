//! Seventh: block, stale, target, duplicate, in this order.

use crate::resources::LiveShares;
use crate::share_set::{Remembered, ShareSet};
use bevy_ecs::system::{Query, Res};
use warppool_components::job::Job;
use warppool_components::reject::Reject;
use warppool_components::share::{ShareHash, ShareVerdict, ShareWork};
use warppool_components::units::Target;

type Columns = (&'static ShareWork, &'static ShareHash, &'static mut ShareVerdict);

/// Finishes the verdict of this tick's rows, in the order in which they came: of two equal shares the first is
/// the good one.
pub fn judge(live: Res<LiveShares>, mut jobs: Query<(&Job, &mut ShareSet)>, mut rows: Query<Columns>) {
    if live.0 == 0 {
        return;
    }
    let mut columns = rows.contiguous_iter_mut().expect("share components are stored in tables");
    let (works, hashes, mut verdicts) = columns.next().expect("the share rows are spawned at start");
    let verdicts = &mut verdicts.bypass_change_detection()[..live.0];
    for ((work, hash), verdict) in works.iter().zip(hashes).zip(verdicts).filter(|((work, _), _)| work.hashable) {
        let (job, mut known) = jobs.get_mut(work.job).expect("assemble found this job in this tick");
        verdict.is_block = job.template.network_target.is_met_by(&hash.hash);
        verdict.reject = verdict.reject.or_else(|| refuse(work, hash, &mut known));
        if verdict.reject.is_none() || verdict.is_block {
            verdict.reached = Target::difficulty_of(&hash.hash).value();
        }
    }
}

fn refuse(work: &ShareWork, hash: &ShareHash, known: &mut ShareSet) -> Option<Reject> {
    if !work.target.is_met_by(&hash.hash) {
        return Some(Reject::LowDifficulty);
    }
    match known.remember(&hash.hash) {
        Remembered::New => None,
        Remembered::Known => Some(Reject::Duplicate),
        Remembered::Full => Some(Reject::JobExhausted),
    }
}
