//! Fifth: what each share claims is looked up and checked, up to the header that is to be hashed.
//!
//! A share that will be refused is still hashed when its header is known: it may be a block all the same.

use crate::parse::may_not_submit;
use crate::resources::{JobBoard, LiveShares, Moment, WorkSource};
use bevy_ecs::system::{Query, Res};
use warppool_components::channel::{Channel, DifficultyEpochs};
use warppool_components::job::{Job, JobPayouts};
use warppool_components::limits::NTIME_AHEAD_SECONDS_MAX;
use warppool_components::reject::Reject;
use warppool_components::share::{EXTRANONCE2_FIXED, ShareClaim, ShareOrigin, ShareVerdict, ShareWork};
use warppool_components::units::Difficulty;

type Columns = (&'static ShareOrigin, &'static ShareClaim, &'static mut ShareWork, &'static mut ShareVerdict);

/// Fills the `ShareWork` of this tick's rows.
pub fn assemble(
    moment: Res<Moment>,
    live: Res<LiveShares>,
    board: Res<JobBoard>,
    source: Res<WorkSource>,
    channels: Query<(&'static Channel, &'static DifficultyEpochs)>,
    jobs: Query<(&'static Job, &'static JobPayouts)>,
    mut rows: Query<Columns>,
) {
    if live.0 == 0 {
        return;
    }
    let (now_seconds, extranonce2_digits) = (moment.0.unix.header_seconds(), 2 * source.extranonce2_bytes() as u8);
    let bench = Bench { now_seconds, extranonce2_digits, board: &board, channels, jobs };
    let mut columns = rows.contiguous_iter_mut().expect("share components are stored in tables");
    let (origins, claims, mut works, mut verdicts) = columns.next().expect("the share rows are spawned at start");
    let (works, verdicts) = (works.bypass_change_detection(), verdicts.bypass_change_detection());
    for row in 0..live.0 {
        works[row].hashable = false;
        works[row].worker = None;
        let refusal = bench.look_up(&origins[row], &claims[row], &mut works[row], verdicts[row].reject).err();
        verdicts[row].reject = verdicts[row].reject.or(refusal);
    }
}

/// What shares are looked up in.
struct Bench<'a, 'w, 's> {
    now_seconds: u32,
    /// Of a miner's own part.
    extranonce2_digits: u8,
    board: &'a JobBoard,
    channels: Query<'w, 's, (&'static Channel, &'static DifficultyEpochs)>,
    jobs: Query<'w, 's, (&'static Job, &'static JobPayouts)>,
}

impl Bench<'_, '_, '_> {
    fn look_up(
        &self,
        origin: &ShareOrigin,
        claim: &ShareClaim,
        work: &mut ShareWork,
        refused: Option<Reject>,
    ) -> Result<(), Reject> {
        let (channel, epochs) = self.channels.get(origin.channel).map_err(|_| Reject::Unauthorized)?;
        // An unknown username's place is beyond them all.
        work.worker = channel.submitters.worker(origin.submitter).or(channel.worker);
        if refused.is_some() {
            return Ok(());
        }
        if let Some(reject) = may_not_submit(channel) {
            return Err(reject);
        }
        let entity = self.board.get(claim.job).ok_or(Reject::UnknownJob)?;
        let was_sent = channel.first_job <= Some(claim.job) && Some(claim.job) <= channel.last_job;
        let (job, payouts) = self.jobs.get(entity).ok().filter(|_| was_sent).ok_or(Reject::UnknownJob)?;
        let payout = channel.payout_of(claim.job).ok_or(Reject::Unauthorized)?;
        payouts.by_payee.get(payout as usize).and_then(Option::as_ref).ok_or(Reject::UnknownJob)?;
        let epoch = epochs.at(claim.job);
        let mask = channel.version_mask & job.version_mask();
        let (version, version_fits) = rolled_version(job.template.version, claim, mask);
        work.job = entity;
        work.payout = payout;
        check_extranonce2(channel, claim, self.extranonce2_digits)?;
        work.extranonce = job.extranonce(channel.extranonce1, &claim.extranonce2);
        work.version = version;
        work.hashable = true;
        let Some(epoch) = epoch else {
            // What it is worth as a share is forgotten, what it is worth as a block is not.
            (work.difficulty, work.target) = (Difficulty::ONE, job.template.network_target);
            return Err(Reject::UnknownJob);
        };
        (work.difficulty, work.target) = (epoch.difficulty, epoch.target);
        self.check_claim(claim, job, version_fits)
    }

    /// What is wrong with a share although its header is known.
    fn check_claim(&self, claim: &ShareClaim, job: &Job, version_fits: bool) -> Result<(), Reject> {
        if job.tip != self.board.tip {
            Err(Reject::StaleTip)
        } else if claim.ntime < job.ntime {
            Err(Reject::TimeTooOld)
        } else if claim.ntime > self.now_seconds.max(job.ntime).saturating_add(NTIME_AHEAD_SECONDS_MAX) {
            Err(Reject::TimeTooNew)
        } else if !version_fits {
            Err(Reject::VersionOutsideMask)
        } else {
            Ok(())
        }
    }
}

/// Whether the miner's part has its size; some devices do not pad it.
fn check_extranonce2(channel: &Channel, claim: &ShareClaim, digits: u8) -> Result<(), Reject> {
    let sent = claim.extranonce2_digits;
    let fits = sent == digits || sent == EXTRANONCE2_FIXED || sent < digits && channel.pads_extranonce2;
    if fits { Ok(()) } else { Err(Reject::Extranonce2Size) }
}

/// The version of the header, and whether only allowed bits differ from the job's. Miners send the rolled bits
/// alone (BIP310) or the whole version; the advertised version has all rollable bits zero, so both are told apart.
fn rolled_version(job_version: u32, claim: &ShareClaim, mask: u32) -> (u32, bool) {
    let Some(claimed) = claim.version else { return (job_version, true) };
    if claim.is_whole_version {
        return (claimed, claimed & !mask == job_version & !mask);
    }
    if claimed & !mask == 0 {
        return (job_version | claimed, true);
    }
    if claimed & !mask == job_version & !mask {
        return (claimed, true);
    }
    // Refused as a share, but if it is a block it must be submitted as it was hashed: top bits set mean a whole version.
    let whole = claimed >> 29 != 0;
    (if whole { claimed } else { job_version | claimed }, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(version: Option<u32>, is_whole_version: bool) -> ShareClaim {
        ShareClaim { version, is_whole_version, ..ShareClaim::default() }
    }

    #[test]
    fn a_version_is_taken_as_bits_or_whole() {
        let (version, mask) = (0x2000_0004, 0x1fff_e000);
        for (claimed, expected) in [
            (None, (version, true)),
            (Some(0), (version, true)),
            (Some(0x00c0_0000), (0x20c0_0004, true)),
            (Some(0x20c0_0004), (0x20c0_0004, true)),
            (Some(0x2000_0004), (version, true)),
            (Some(0x0000_1000), (0x2000_1004, false)),
            (Some(0x20c0_1004), (0x20c0_1004, false)),
            (Some(0x60c0_0004), (0x60c0_0004, false)),
        ] {
            assert_eq!(rolled_version(version, &claim(claimed, false), mask), expected, "{claimed:x?}");
        }
        let nothing_negotiated = rolled_version(version, &claim(Some(0x2000), false), 0);
        assert_eq!(nothing_negotiated, (0x2000_2004, false));
        assert_eq!(rolled_version(version, &claim(Some(version), false), 0), (version, true));
    }

    #[test]
    fn a_whole_version_is_never_taken_for_bits() {
        let (version, mask) = (0x2000_0004, 0x1fff_ffe0);
        for (claimed, fits) in
            [(version, true), (0x2000_0024, true), (0x20c0_0004, true), (0x0000_0020, false), (0, false)]
        {
            assert_eq!(rolled_version(version, &claim(Some(claimed), true), mask), (claimed, fits), "{claimed:x}");
        }
    }
}
