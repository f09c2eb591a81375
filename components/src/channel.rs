//! A channel: one stream of jobs and shares. A V1 connection has one, a V2 connection may have many.

use crate::conduct::{Conduct, CreditCount};
use crate::connection::ConnectionKey;
use crate::job::JobId;
use crate::limits::{DIFFICULTY_EPOCHS_MAX, EXTRANONCE1_BYTES, PAYOUT_CHANGES_MAX};
use crate::submitters::Submitters;
use crate::units::{Difficulty, Instant, Target};
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;

/// From which job on a difficulty governs a channel.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DifficultyEpoch {
    /// First job that was sent after the difficulty.
    pub first_job: JobId,
    /// What a share of these jobs is credited with.
    pub difficulty: Difficulty,
    /// What such a share must meet.
    pub target: Target,
}

/// A live channel.
#[derive(Component, Clone, Debug)]
pub struct Channel {
    /// The connection it belongs to.
    pub connection: Entity,
    /// How the sockets call that connection.
    pub key: ConnectionKey,
    /// The pool's unique part of its coinbases, never all zero.
    pub extranonce1: [u8; EXTRANONCE1_BYTES],
    /// Bits of the version that its miner may roll; 0 before version rolling is negotiated.
    pub version_mask: u32,
    /// Index of its payee in the jobs' tables, once a worker is authorized.
    pub payout: Option<u32>,
    /// Payees of jobs before the operator changed who is paid: the last job of each, rising, and its index.
    pub former_payouts: Vec<(JobId, u32)>,
    /// The worker that was authorized first; it decides who is paid.
    pub worker: Option<Entity>,
    /// Usernames that may submit and whom they credit.
    pub submitters: Submitters,
    /// Until then no new username in a share is looked at: its address has named too many.
    pub recognise_again_at: Instant,
    /// Whether what it sends is of use.
    pub conduct: Conduct,
    /// Credited shares of its latest jobs.
    pub credits: CreditCount,
    /// Whether a missing left padding of extranonce2 is filled.
    pub pads_extranonce2: bool,
    /// The miner can be sent jobs: it has subscribed and authorized.
    pub ready: bool,
    /// A job is owed although no new one was made: the first after authorize.
    pub owes_job: bool,
    /// `mining.set_version_mask` is owed.
    pub owes_version_mask: bool,
    /// First job that was sent.
    pub first_job: Option<JobId>,
    /// Latest job that was sent.
    pub last_job: Option<JobId>,
}

impl Channel {
    /// The payee of `job`, as an index.
    pub fn payout_of(&self, job: JobId) -> Option<u32> {
        let former = self.former_payouts.iter().find(|(last_job, _)| job <= *last_job);
        former.map(|(_, payout)| *payout).or(self.payout)
    }

    /// Pays `payout` with every job after `last_job`.
    pub fn change_payout(&mut self, payout: u32, last_job: JobId) {
        let Some(before) = self.payout.replace(payout) else { return };
        let is_known = self.former_payouts.last().is_some_and(|(job, _)| *job == last_job);
        if is_known || self.last_job.is_none() {
            // No job went out since the last change, or ever.
            return;
        }
        if self.former_payouts.len() == PAYOUT_CHANGES_MAX {
            self.former_payouts.remove(0);
        }
        self.former_payouts.push((last_job, before));
    }
}

/// The difficulties that were in force, newest last. A share is judged by the one of its job.
#[derive(Component, Clone, Debug, Default)]
pub struct DifficultyEpochs {
    /// At most [`DIFFICULTY_EPOCHS_MAX`], by rising `first_job`.
    pub epochs: Vec<DifficultyEpoch>,
}

impl DifficultyEpochs {
    /// The epoch that governs `job`, if the job is not older than all that is remembered.
    pub fn at(&self, job: JobId) -> Option<&DifficultyEpoch> {
        self.epochs.iter().rev().find(|epoch| epoch.first_job <= job)
    }

    /// Lets `difficulty` govern from `first_job` on. The oldest epoch is forgotten when there are too many.
    pub fn begin(&mut self, first_job: JobId, difficulty: Difficulty) {
        if self.epochs.last().is_some_and(|epoch| epoch.difficulty == difficulty) {
            return;
        }
        self.epochs.retain(|epoch| epoch.first_job < first_job);
        if self.epochs.len() == DIFFICULTY_EPOCHS_MAX {
            self.epochs.remove(0);
        }
        self.epochs.push(DifficultyEpoch { first_job, difficulty, target: Target::from_difficulty(difficulty) });
    }
}

/// What speaks for a change of a miner's hash rate, since it last seemed unchanged.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Suspicion {
    /// Logarithm of how much better a change explains the shares than no change; never below zero.
    pub score: f64,
    /// Shares credited in that time.
    pub shares: f64,
    /// Shares that were to be expected in that time if nothing had changed.
    pub expected: f64,
    /// The score was high enough to act on it, and has not been zero since.
    pub acted_on: bool,
}

/// What vardiff knows of a channel.
#[derive(Component, Clone, PartialEq, Debug)]
pub struct Vardiff {
    /// Difficulty that was decided last; it governs the next job.
    pub announced: Difficulty,
    /// Difficulty that governs the latest job that was sent: evidence counts at this one only.
    pub in_force: Difficulty,
    /// The miner's password pinned it.
    pub pinned: bool,
    /// Easiest difficulty for this miner (`md=` of its password), if above the pool's.
    pub floor: Option<Difficulty>,
    /// Seconds between two shares to aim at.
    pub seconds_per_share: f64,
    /// Shares credited at `in_force` since it came into force.
    pub shares: f64,
    /// Up to when time has been counted as evidence; `None` while no job is out.
    pub observed_at: Option<Instant>,
    /// Shares that the estimate of the hash rate rests on; older ones fade.
    pub observed_shares: f64,
    /// Shares that a miner of one hash a second would have been expected to find up to the last one of them.
    pub observed_exposure: f64,
    /// The same since the last share.
    pub silent_exposure: f64,
    /// Estimate of the hash rate in hashes a second, 0 before there is evidence. Survives reconnects.
    pub hashes_per_second: f64,
    /// What speaks for a hash rate that fell.
    pub slower: Suspicion,
    /// What speaks for a hash rate that rose.
    pub faster: Suspicion,
    /// It was silent for so long that it did not mine, and has yet to show that it is back as it was.
    pub is_back: bool,
    /// When the difficulty was last lowered.
    pub eased_at: Option<Instant>,
    /// The fast first jump was made, or the hash rate is known of an earlier connection.
    pub settled: bool,
    /// `announced` was not yet told to the miner.
    pub unsent: bool,
}

impl Vardiff {
    /// Of a miner about which nothing is known.
    pub fn starting_at(difficulty: Difficulty, seconds_per_share: f64) -> Self {
        Self {
            announced: difficulty,
            in_force: difficulty,
            pinned: false,
            floor: None,
            seconds_per_share,
            shares: 0.0,
            observed_at: None,
            observed_shares: 0.0,
            observed_exposure: 0.0,
            silent_exposure: 0.0,
            hashes_per_second: 0.0,
            slower: Suspicion::default(),
            faster: Suspicion::default(),
            is_back: false,
            eased_at: None,
            settled: false,
            unsent: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difficulty(value: f64) -> Difficulty {
        Difficulty::new(value).expect("positive")
    }

    #[test]
    fn a_job_keeps_the_difficulty_under_which_it_was_sent() {
        let mut epochs = DifficultyEpochs::default();
        epochs.begin(JobId(10), difficulty(1.0));
        epochs.begin(JobId(20), difficulty(8.0));
        assert!(epochs.at(JobId(9)).is_none());
        assert_eq!(epochs.at(JobId(19)).map(|epoch| epoch.difficulty), Some(difficulty(1.0)));
        assert_eq!(epochs.at(JobId(20)).map(|epoch| epoch.difficulty), Some(difficulty(8.0)));
    }

    #[test]
    fn an_unchanged_difficulty_uses_no_room() {
        let mut epochs = DifficultyEpochs::default();
        for job in 1..100 {
            epochs.begin(JobId(job), difficulty(2.0));
        }
        assert_eq!(epochs.epochs.len(), 1);
        for job in 100..200 {
            epochs.begin(JobId(job), difficulty(f64::from(job)));
        }
        assert_eq!(epochs.epochs.len(), DIFFICULTY_EPOCHS_MAX);
        assert_eq!(epochs.at(JobId(199)).map(|epoch| epoch.difficulty), Some(difficulty(199.0)));
    }
}
