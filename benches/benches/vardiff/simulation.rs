//! A miner and a pool in virtual time. Shares come as a Poisson process, a job every 30 seconds; everything follows from
//! the seed.

use crate::rules::{Kind, Rule};
use warppool_components::units::Difficulty;

/// Seconds between two jobs, as the pool sends them by default.
pub(crate) const JOB_SECONDS: u64 = 30;
/// Shares do not come faster than the network carries them.
const SECONDS_BETWEEN_SHARES_MIN: f64 = 1e-3;

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    /// Uniform in (0, 1].
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64 + f64::EPSILON / 2.0
    }
}

/// When firmware obeys a difficulty.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Firmware {
    /// With the next job, as the protocol has it.
    WithTheJob,
    /// As soon as it is told (cgminer lineage).
    AtOnce,
}

pub(crate) struct Simulation {
    pub(crate) rule: Box<dyn Rule>,
    pub(crate) kind: Kind,
    pub(crate) seconds: u64,
    pub(crate) hashes_per_second: f64,
    /// Changes of the decided difficulty.
    pub(crate) retargets: u64,
    pub(crate) shares: u64,
    pub(crate) rejects: u64,
    /// Hardest difficulty that was decided.
    pub(crate) hardest: f64,
    firmware: Firmware,
    random: Random,
    of_job: f64,
    job_phase: u64,
}

impl Simulation {
    pub(crate) fn new(kind: Kind, seed: u64, hashes_per_second: f64, difficulty: f64) -> Self {
        let rule = kind.start(difficulty);
        let firmware = if seed.is_multiple_of(2) { Firmware::WithTheJob } else { Firmware::AtOnce };
        let mut simulation = Self {
            of_job: rule.told(),
            hardest: rule.decided(),
            rule,
            kind,
            seconds: 0,
            hashes_per_second,
            retargets: 0,
            shares: 0,
            rejects: 0,
            firmware,
            random: Random::new(seed),
            job_phase: seed % JOB_SECONDS,
        };
        simulation.job();
        simulation
    }

    /// Starts at the right difficulty and runs for three hours.
    pub(crate) fn settled(kind: Kind, seed: u64, hashes_per_second: f64) -> Self {
        let ideal = hashes_per_second * kind.seconds_per_share() / Difficulty::HASHES_AT_ONE;
        let mut simulation = Self::new(kind, seed, hashes_per_second, ideal);
        simulation.run(3 * 3600);
        simulation
    }

    pub(crate) fn run(&mut self, seconds: u64) {
        (0..seconds).for_each(|_| self.second());
    }

    /// One second: its shares, the pool's look at the clock, and perhaps a job.
    pub(crate) fn second(&mut self) {
        let start = self.seconds as f64;
        let mut offset = 0.0;
        while self.hashes_per_second > 0.0 {
            let mined = self.mined();
            let seconds = mined * Difficulty::HASHES_AT_ONE / self.hashes_per_second;
            offset -= self.random.uniform().ln() * seconds.max(SECONDS_BETWEEN_SHARES_MIN);
            if offset >= 1.0 {
                break;
            }
            self.share(start + offset, mined);
        }
        self.seconds += 1;
        let before = self.rule.decided();
        self.rule.second(self.seconds as f64);
        self.count(before);
        if self.seconds % JOB_SECONDS == self.job_phase {
            self.job();
        }
    }

    /// A share that meets the difficulty that the miner goes by, which may be easier than the pool's.
    fn share(&mut self, now: f64, mined: f64) {
        let judged_by = self.rule.judged_by();
        self.shares += 1;
        if mined < judged_by && self.random.uniform() > mined / judged_by {
            self.rejects += 1;
            return;
        }
        let before = self.rule.decided();
        self.rule.share(now, judged_by);
        self.count(before);
    }

    fn mined(&self) -> f64 {
        match self.firmware {
            Firmware::WithTheJob => self.of_job,
            Firmware::AtOnce => self.rule.told(),
        }
    }

    fn job(&mut self) {
        self.rule.job(self.seconds as f64);
        self.of_job = self.rule.told();
    }

    fn count(&mut self, before: f64) {
        let decided = self.rule.decided();
        self.retargets += u64::from(decided != before);
        self.hardest = self.hardest.max(decided);
    }

    /// Difficulty that would give exactly the rate aimed at.
    pub(crate) fn ideal(&self) -> f64 {
        self.hashes_per_second * self.kind.seconds_per_share() / Difficulty::HASHES_AT_ONE
    }

    /// Shares in the time of one at the decided difficulty: 1 is what is aimed at.
    pub(crate) fn rate(&self) -> f64 {
        self.ideal() / self.rule.decided()
    }

    /// Relative error of the hash rate that the rule goes by.
    pub(crate) fn error_of_hash_rate(&self) -> f64 {
        (self.rule.believed() / self.hashes_per_second - 1.0).abs()
    }

    /// Relative distance of the seconds a share from those aimed at.
    pub(crate) fn error_of_seconds(&self) -> f64 {
        (1.0 / self.rate() - 1.0).abs()
    }

    /// The part of it that another difficulty would have saved.
    pub(crate) fn avoidable_error(&self) -> f64 {
        let best = self.rule.best(self.ideal());
        (self.error_of_seconds() - (best / self.ideal() - 1.0).abs()).max(0.0)
    }
}
