//! The rules side by side, behind one trait: ours as it is in the pool, and two that are in wide use, written anew from
//! the facts of their programs.

use warppool_components::channel::Vardiff;
use warppool_components::settings::VardiffSettings;
use warppool_components::units::{Difficulty, Instant};
use warppool_systems::vardiff::{on_job, on_share, on_silence};

/// What a pool does about a miner's difficulty. Times are seconds since the miner came.
pub(crate) trait Rule {
    /// A share was credited at `difficulty`.
    fn share(&mut self, now: f64, difficulty: f64);
    /// A second passed.
    fn second(&mut self, now: f64);
    /// A job is sent.
    fn job(&mut self, now: f64);
    /// Difficulty that was decided last.
    fn decided(&self) -> f64;
    /// Difficulty that the miner was told last; firmware of the cgminer lineage mines at it from then on.
    fn told(&self) -> f64;
    /// Difficulty by which a share of the present job is judged.
    fn judged_by(&self) -> f64;
    /// Hash rate that the rule goes by.
    fn believed(&self) -> f64;
    /// Difficulty whose shares come nearest to the rate that the rule aims at, of those that it may tell.
    fn best(&self, ideal: f64) -> f64;
}

/// Which rule, and the seconds a share that it aims at.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Kind {
    /// WarpPool.
    Ours,
    /// ckpool as it is: 0.3 shares a second.
    Ckpool,
    /// ckpool with its figures scaled to the rate of the others.
    CkpoolScaled,
    /// The reference pool of Stratum V2.
    Ladder,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Ours, Self::Ckpool, Self::CkpoolScaled, Self::Ladder];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "WarpPool",
            Self::Ckpool => "ckpool (0.3 shares a second)",
            Self::CkpoolScaled => "ckpool scaled to 10 s",
            Self::Ladder => "V2 reference pool",
        }
    }

    pub(crate) const fn seconds_per_share(self) -> f64 {
        match self {
            Self::Ckpool => 10.0 / 3.0,
            _ => 10.0,
        }
    }

    /// The rule of a miner that starts at `difficulty`.
    pub(crate) fn start(self, difficulty: f64) -> Box<dyn Rule> {
        match self {
            Self::Ours => Box::new(Ours::new(difficulty)),
            Self::Ckpool => Box::new(Ckpool::new(difficulty, 1.0)),
            Self::CkpoolScaled => Box::new(Ckpool::new(difficulty, 3.0)),
            Self::Ladder => Box::new(Ladder::new(difficulty, self.seconds_per_share())),
        }
    }
}

/// WarpPool's rule, the very code of the pool. A harder difficulty is told at once, an easier one with its job.
struct Ours {
    state: Vardiff,
    settings: VardiffSettings,
    told: f64,
}

impl Ours {
    fn new(difficulty: f64) -> Self {
        let number = |value| Difficulty::new(value).expect("above zero");
        let settings = VardiffSettings {
            enabled: true,
            target_seconds_per_share: Kind::Ours.seconds_per_share(),
            min: number(0.0001),
            max: number(1e12),
            hysteresis: 0.30,
            max_step: 4.0,
            initial: number(1024.0),
        };
        let start = number(difficulty).rounded_between(settings.min, settings.max);
        let state = Vardiff::starting_at(start, settings.target_seconds_per_share);
        Self { state, settings, told: start.value() }
    }

    fn tell(&mut self) {
        self.told = self.told.max(self.state.announced.value());
    }
}

fn instant(seconds: f64) -> Instant {
    Instant((seconds * 1e9) as u64)
}

impl Rule for Ours {
    fn share(&mut self, now: f64, difficulty: f64) {
        if difficulty == self.state.in_force.value() && on_share(&mut self.state, &self.settings, instant(now)) {
            self.tell();
        }
    }

    fn second(&mut self, now: f64) {
        if on_silence(&mut self.state, &self.settings, instant(now)) {
            self.tell();
        }
    }

    fn job(&mut self, now: f64) {
        on_job(&mut self.state, instant(now));
        self.told = self.state.in_force.value();
    }

    fn decided(&self) -> f64 {
        self.state.announced.value()
    }

    fn told(&self) -> f64 {
        self.told
    }

    fn judged_by(&self) -> f64 {
        self.state.in_force.value()
    }

    fn believed(&self) -> f64 {
        self.state.hashes_per_second
    }

    fn best(&self, ideal: f64) -> f64 {
        if ideal < 1.0 { ideal } else { (ideal / 0.75).log2().floor().exp2() }
    }
}

/// ckpool. Averages of one and of five minutes of the difficulty credited a second, brought up to date with every
/// share and corrected for their youth. Looked at with a share once 72 came since the last change, or 240 seconds
/// passed; left alone while the shares a second are between 0.15 and 0.4; otherwise set to 3.33 times the difficulty
/// a second, which makes 0.3 shares a second. Whole numbers from 1 on. Told at once; until the next job a share need
/// meet only the lower one of the new and the last difficulty. A silent miner is not eased: nothing happens without a
/// share but that the averages fade after a minute.
struct Ckpool {
    /// How many times slower than the original all of it goes.
    scale: f64,
    difficulty: f64,
    former: f64,
    /// Jobs sent, and the first one under `difficulty`.
    jobs: u64,
    changed_at_job: u64,
    shares: u32,
    changed_at: f64,
    first_share_at: Option<f64>,
    faded_at: f64,
    last_share_at: f64,
    per_second_1m: f64,
    per_second_5m: f64,
}

impl Ckpool {
    fn new(difficulty: f64, scale: f64) -> Self {
        let difficulty = difficulty.round().max(1.0);
        Self {
            scale,
            difficulty,
            former: difficulty,
            jobs: 0,
            changed_at_job: 0,
            shares: 0,
            changed_at: 0.0,
            first_share_at: None,
            faded_at: 0.0,
            last_share_at: 0.0,
            per_second_1m: 0.0,
            per_second_5m: 0.0,
        }
    }

    fn fade(&mut self, now: f64, difficulty: f64) {
        let seconds = (now - self.faded_at).max(0.001);
        self.faded_at = now;
        for (average, period) in [(&mut self.per_second_1m, 60.0), (&mut self.per_second_5m, 300.0)] {
            let part = 1.0 - (-(seconds / period).min(36.0)).exp();
            *average = (*average + difficulty / seconds * part) / (1.0 + part);
        }
    }

    /// The average to go by, of one minute when shares come fast.
    fn per_second(&self, now: f64) -> f64 {
        let age = (now - self.first_share_at.unwrap_or(now)).max(0.001);
        let grown = |period: f64| 1.0 - (-(age / period).min(36.0)).exp();
        if f64::from(self.shares) >= 72.0 / self.scale {
            self.per_second_1m / grown(60.0)
        } else {
            self.per_second_5m / grown(300.0)
        }
    }
}

impl Rule for Ckpool {
    fn share(&mut self, now: f64, difficulty: f64) {
        self.first_share_at.get_or_insert(now);
        self.fade(now, difficulty);
        self.last_share_at = now;
        self.shares += 1;
        if f64::from(self.shares) < 72.0 / self.scale && now - self.changed_at < 240.0 {
            return;
        }
        if difficulty != self.difficulty {
            self.shares = 0;
            return;
        }
        let per_second = self.per_second(now);
        let shares_per_second = per_second / self.difficulty * self.scale;
        if shares_per_second > 0.15 && shares_per_second < 0.4 {
            return;
        }
        let wanted = (per_second * 3.33 * self.scale).round().max(1.0);
        if wanted == self.difficulty {
            return;
        }
        if wanted < self.difficulty && self.shares == 1 {
            self.changed_at = now;
            return;
        }
        self.shares = 0;
        self.changed_at = now;
        self.changed_at_job = self.jobs + 1;
        (self.former, self.difficulty) = (self.difficulty, wanted);
    }

    fn second(&mut self, now: f64) {
        if now - self.last_share_at > 60.0 {
            self.fade(now, 0.0);
        }
    }

    fn job(&mut self, _: f64) {
        self.jobs += 1;
    }

    fn decided(&self) -> f64 {
        self.difficulty
    }

    fn told(&self) -> f64 {
        self.difficulty
    }

    fn judged_by(&self) -> f64 {
        if self.jobs < self.changed_at_job { self.difficulty.min(self.former) } else { self.difficulty }
    }

    fn believed(&self) -> f64 {
        let grown =
            |period: f64| 1.0 - (-((self.faded_at - self.first_share_at.unwrap_or(0.0)) / period).min(36.0)).exp();
        self.per_second_5m / grown(300.0).max(1e-3) * Difficulty::HASHES_AT_ONE
    }

    fn best(&self, ideal: f64) -> f64 {
        ideal.round().max(1.0)
    }
}

/// The reference pool of Stratum V2. Once a minute the shares since the last change give a hash rate; it replaces the
/// old one when it differs by 100 percent, or by 60 after 1 minute, 50 after 2, 45 after 3, 30 after 4, 15 after 5.
/// Without any share the hash rate is divided by 1.5 up to 30 seconds, by 2 up to a minute, else by 3, twice in a row
/// at most; a rise of more than tenfold counts as 10, 5 or 3. The new target governs the next job, and a share is
/// judged by the target of its job.
struct Ladder {
    seconds_per_share: f64,
    difficulty: f64,
    of_job: f64,
    shares: u32,
    changed_at: f64,
    looked_at: f64,
    silent_eases: u32,
}

impl Ladder {
    fn new(difficulty: f64, seconds_per_share: f64) -> Self {
        let of_job = difficulty;
        Self { seconds_per_share, difficulty, of_job, shares: 0, changed_at: 0.0, looked_at: 0.0, silent_eases: 0 }
    }

    fn look(&mut self, now: f64) {
        let seconds = (now - self.changed_at).floor();
        if seconds <= 15.0 {
            return;
        }
        let is_silent = self.shares == 0;
        if !is_silent {
            self.silent_eases = 0;
        } else if self.silent_eases >= 2 {
            (self.shares, self.changed_at) = (0, now);
            return;
        }
        // Hash rates as multiples of the one that the difficulty stands for.
        let mut ratio = f64::from(self.shares) * self.seconds_per_share / seconds;
        let percent = (ratio - 1.0).abs() * 100.0;
        let steps = [(100.0, 0.0), (60.0, 60.0), (50.0, 120.0), (45.0, 180.0), (30.0, 240.0), (15.0, 300.0)];
        if !steps.iter().any(|(least, after)| percent >= *least && seconds >= *after) {
            return;
        }
        let by_time =
            |short, middle, long| if seconds <= 30.0 { short } else { [long, middle][usize::from(seconds < 60.0)] };
        if is_silent {
            self.silent_eases += 1;
            ratio = 1.0 / by_time(1.5, 2.0, 3.0);
        } else if percent > 1000.0 {
            ratio = by_time(10.0, 5.0, 3.0);
        }
        self.difficulty *= ratio;
        (self.shares, self.changed_at) = (0, now);
    }
}

impl Rule for Ladder {
    fn share(&mut self, _: f64, _: f64) {
        self.shares += 1;
    }

    fn second(&mut self, now: f64) {
        if now - self.looked_at >= 60.0 {
            self.looked_at = now;
            self.look(now);
        }
    }

    fn job(&mut self, _: f64) {
        self.of_job = self.difficulty;
    }

    fn decided(&self) -> f64 {
        self.difficulty
    }

    fn told(&self) -> f64 {
        // A target is for the jobs to come.
        self.of_job
    }

    fn judged_by(&self) -> f64 {
        self.of_job
    }

    fn believed(&self) -> f64 {
        self.difficulty * Difficulty::HASHES_AT_ONE / self.seconds_per_share
    }

    fn best(&self, ideal: f64) -> f64 {
        ideal
    }
}
