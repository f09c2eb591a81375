//! What is measured: each figure over many seeded runs.

use crate::rules::Kind;
use crate::simulation::Simulation;

/// Shares in the time of one that are as good as right: between 6.25 and 16 seconds where 10 are aimed at. Powers of two
/// alone make up for 6.7 to 13.3.
const RIGHT: std::ops::RangeInclusive<f64> = 0.625..=1.6;
/// The time within which a change is to be followed.
const IN_TIME_SECONDS: u64 = 300;

/// Which miners.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Fleet {
    /// 1 GH/s to 5 EH/s, evenly on the logarithmic scale, so that every place between two powers of two occurs.
    Large,
    /// 250 kH/s to 400 MH/s: difficulties below 1, which may be any decimal.
    Small,
    /// Hash rates whose ideal difficulty is a power of two.
    Aligned,
}

impl Fleet {
    /// The hash rate of run `seed` of `runs`.
    pub(crate) fn hashes_per_second(self, seed: u64, runs: u64) -> f64 {
        let place = (seed as f64 + 0.5) / runs as f64;
        let between = |low: f64, high: f64| low * (high / low).powf(place);
        match self {
            Self::Large => between(1e9, 5e18),
            Self::Small => between(250e3, 400e6),
            Self::Aligned => between(16.0, 65536.0).log2().round().exp2() * 4_294_967_296.0 / 10.0,
        }
    }
}

/// All that is measured of one rule.
pub(crate) struct Results {
    pub(crate) kind: Kind,
    pub(crate) steady: Steady,
    pub(crate) settling: Settling,
    /// In the order of [`Results::CHANGES`].
    pub(crate) reactions: Vec<Reaction>,
}

impl Results {
    /// Changes of the hash rate, as factors, and what they are called.
    pub(crate) const CHANGES: [(f64, &'static str); 3] = [(0.9, "-10 %"), (0.5, "-50 %"), (2.0, "+100 %")];
    /// Where the start is, as part of the ideal difficulty.
    const START: f64 = 1.0 / 64.0;

    pub(crate) fn of(kind: Kind, fleet: Fleet, runs: u64) -> Self {
        let steady = steady(kind, fleet, runs);
        let settling = settling(kind, fleet, runs, Self::START);
        let reactions = Self::CHANGES.iter().map(|(factor, _)| reaction(kind, fleet, runs, *factor)).collect();
        Self { kind, steady, settling, reactions }
    }

    pub(crate) fn shares(&self) -> u64 {
        self.steady.shares + self.settling.shares
    }

    pub(crate) fn rejects(&self) -> u64 {
        self.steady.rejects + self.settling.rejects
    }
}

/// Of a sorted list the value below which `part` of it lies.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = (part * sorted.len() as f64) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

pub(crate) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Of steady miners, over four hours that follow three.
pub(crate) struct Steady {
    pub(crate) hash_rate: Vec<f64>,
    pub(crate) seconds: Vec<f64>,
    pub(crate) avoidable: Vec<f64>,
    pub(crate) retargets_per_hour: f64,
    pub(crate) shares: u64,
    pub(crate) rejects: u64,
}

fn steady(kind: Kind, fleet: Fleet, runs: u64) -> Steady {
    const HOURS: u64 = 4;
    let (mut hash_rate, mut seconds, mut avoidable) = (Vec::new(), Vec::new(), Vec::new());
    let (mut retargets, mut shares, mut rejects) = (0, 0, 0);
    for seed in 0..runs {
        let mut simulation = Simulation::settled(kind, seed, fleet.hashes_per_second(seed, runs));
        let before = simulation.retargets;
        for _ in 0..HOURS * 12 {
            simulation.run(300);
            hash_rate.push(simulation.error_of_hash_rate());
            seconds.push(simulation.error_of_seconds());
            avoidable.push(simulation.avoidable_error());
        }
        retargets += simulation.retargets - before;
        shares += simulation.shares;
        rejects += simulation.rejects;
    }
    let retargets_per_hour = retargets as f64 / (runs * HOURS) as f64;
    let (hash_rate, seconds, avoidable) = (sorted(hash_rate), sorted(seconds), sorted(avoidable));
    Steady { hash_rate, seconds, avoidable, retargets_per_hour, shares, rejects }
}

/// Of miners that start at a difficulty far off.
pub(crate) struct Settling {
    /// How far the hardest difficulty in the first hour was beyond both the ideal and the best one.
    pub(crate) overshoot: Vec<f64>,
    /// Seconds until the difficulty is right for the first time.
    pub(crate) seconds: Vec<f64>,
    pub(crate) shares: u64,
    pub(crate) rejects: u64,
}

fn settling(kind: Kind, fleet: Fleet, runs: u64, factor: f64) -> Settling {
    let (mut overshoot, mut seconds, mut shares, mut rejects) = (Vec::new(), Vec::new(), 0, 0);
    for seed in 0..runs {
        let hashes_per_second = fleet.hashes_per_second(seed, runs);
        let ideal = hashes_per_second * kind.seconds_per_share() / 4_294_967_296.0;
        let mut simulation = Simulation::new(kind, seed, hashes_per_second, ideal * factor);
        let mut right_at = None;
        while simulation.seconds < 3600 {
            simulation.second();
            if right_at.is_none() && RIGHT.contains(&simulation.rate()) {
                right_at = Some(simulation.seconds);
            }
        }
        overshoot.push(simulation.hardest / ideal.max(simulation.rule.best(ideal)) - 1.0);
        seconds.push(right_at.map_or(f64::INFINITY, |at| at as f64));
        shares += simulation.shares;
        rejects += simulation.rejects;
    }
    let overshoot = overshoot.into_iter().map(|value| value.max(0.0)).collect();
    Settling { overshoot: sorted(overshoot), seconds: sorted(seconds), shares, rejects }
}

/// Of miners whose hash rate changes by a factor after three hours.
pub(crate) struct Reaction {
    /// Part of the runs in which the difficulty is right within five minutes.
    pub(crate) in_time: f64,
    /// Part of the runs in which it was no longer right and another one had to be decided.
    pub(crate) needed: f64,
    /// Part of those in which that was done within five minutes.
    pub(crate) in_time_where_needed: f64,
    /// Seconds that it took in those.
    pub(crate) seconds: Vec<f64>,
}

fn reaction(kind: Kind, fleet: Fleet, runs: u64, factor: f64) -> Reaction {
    let mut seconds = Vec::new();
    let mut right_at_once = 0;
    for seed in 0..runs {
        let mut simulation = Simulation::settled(kind, seed, fleet.hashes_per_second(seed, runs));
        simulation.run(seed * 7 % 60);
        simulation.hashes_per_second *= factor;
        let start = simulation.seconds;
        let is_right = |simulation: &Simulation| {
            if factor < 1.0 { simulation.rate() >= *RIGHT.start() } else { simulation.rate() <= *RIGHT.end() }
        };
        if is_right(&simulation) {
            right_at_once += 1;
            continue;
        }
        while !is_right(&simulation) && simulation.seconds - start < 3 * 3600 {
            simulation.second();
        }
        seconds.push((simulation.seconds - start) as f64);
    }
    let in_time = seconds.iter().filter(|seconds| **seconds <= IN_TIME_SECONDS as f64).count();
    Reaction {
        in_time: (in_time + right_at_once) as f64 / runs as f64,
        needed: seconds.len() as f64 / runs as f64,
        in_time_where_needed: in_time as f64 / seconds.len() as f64,
        seconds: sorted(seconds),
    }
}

/// Of miners whose hash rate moves all the time.
pub(crate) struct Moving {
    /// Distance of the seconds a share from those aimed at, while the miner mines.
    pub(crate) seconds: Vec<f64>,
    pub(crate) hash_rate: Vec<f64>,
    pub(crate) retargets_per_hour: f64,
    /// Most shares in one second.
    pub(crate) most_shares: f64,
    pub(crate) shares: u64,
    pub(crate) rejects: u64,
}

/// How the hash rate moves: the factor at a time in seconds.
pub(crate) type Movement = fn(u64) -> f64;

pub(crate) const MOVEMENTS: [(&str, Movement); 3] = [
    ("on and off, half an hour each", |at| f64::from(u8::from(at / 1800 % 2 == 0))),
    ("thermal drift, 10 percent in a period of 6 hours", |at| {
        1.0 + 0.1 * (at as f64 / 21_600.0 * std::f64::consts::TAU).sin()
    }),
    ("hopping between pools, 10 minutes here, 50 elsewhere", |at| f64::from(u8::from(at % 3600 < 600))),
];

pub(crate) fn moving(kind: Kind, fleet: Fleet, runs: u64, movement: Movement) -> Moving {
    const HOURS: u64 = 8;
    let (mut seconds, mut hash_rate, mut most_shares) = (Vec::new(), Vec::new(), 0.0f64);
    let (mut retargets, mut shares, mut rejects) = (0, 0, 0);
    for seed in 0..runs {
        let full = fleet.hashes_per_second(seed, runs);
        let mut simulation = Simulation::settled(kind, seed, full);
        let before = simulation.retargets;
        for at in 0..HOURS * 3600 {
            simulation.hashes_per_second = full * movement(at);
            let shares = simulation.shares;
            simulation.second();
            most_shares = most_shares.max((simulation.shares - shares) as f64);
            if simulation.hashes_per_second > 0.0 && at % 60 == 0 {
                seconds.push(simulation.error_of_seconds());
                hash_rate.push(simulation.error_of_hash_rate());
            }
        }
        retargets += simulation.retargets - before;
        shares += simulation.shares;
        rejects += simulation.rejects;
    }
    let retargets_per_hour = retargets as f64 / (runs * HOURS) as f64;
    Moving { seconds: sorted(seconds), hash_rate: sorted(hash_rate), retargets_per_hour, most_shares, shares, rejects }
}
