//! The rule against simulated miners, in virtual time: shares come as a Poisson process, a job every 30 s carries a
//! change, difficulties are rounded as miners are told them. Everything follows from the seed.

use super::*;
use std::time::Duration;

const SECONDS_PER_SHARE: f64 = 10.0;
const JOB_SECONDS: u64 = 30;
const RUNS: u64 = 800;
/// Shares in the time of one that need no change: 6.25 to 16 seconds. Powers of two alone make up for 6.7 to 13.3.
const FITTING: std::ops::RangeInclusive<f64> = 0.625..=1.6;

fn settings() -> VardiffSettings {
    VardiffSettings {
        enabled: true,
        target_seconds_per_share: SECONDS_PER_SHARE,
        min: Difficulty::new(0.0001).expect("positive"),
        max: Difficulty::new(1e12).expect("positive"),
        hysteresis: 0.30,
        max_step: 4.0,
        initial: Difficulty::new(1024.0).expect("positive"),
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    /// Uniform in (0, 1].
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64 + f64::EPSILON / 2.0
    }
}

/// A miner and the pool's view of it.
struct Simulation {
    state: Vardiff,
    settings: VardiffSettings,
    random: Random,
    now: Instant,
    seconds: u64,
    hashes_per_second: f64,
    /// When the difficulty in force changed, in seconds.
    changes: Vec<u64>,
    hardest: f64,
}

impl Simulation {
    fn new(seed: u64, hashes_per_second: f64, difficulty: f64) -> Self {
        let difficulty = Difficulty::new(difficulty).expect("positive").rounded_for_miners();
        let mut state = Vardiff::starting_at(difficulty, SECONDS_PER_SHARE);
        on_job(&mut state, Instant(0));
        let (random, hardest) = (Random(seed.wrapping_mul(7919)), 0.0);
        let (now, seconds, changes) = (Instant(0), 0, Vec::new());
        Self { state, settings: settings(), random, now, seconds, hashes_per_second, changes, hardest }
    }

    /// Lets a miner run that starts at the right difficulty.
    fn settled(seed: u64, hashes_per_second: f64) -> Self {
        let ideal = hashes_per_second * SECONDS_PER_SHARE / Difficulty::HASHES_AT_ONE;
        let mut simulation = Self::new(seed, hashes_per_second, ideal);
        // The phase of the jobs differs from run to run.
        simulation.run(3 * 3600 + seed % JOB_SECONDS);
        simulation
    }

    fn run(&mut self, seconds: u64) {
        (0..seconds).for_each(|_| self.second());
    }

    /// One second: its shares (no faster than one a millisecond, as on a slow link), a sweep, and perhaps a job.
    fn second(&mut self) {
        let start = Instant(self.seconds * 1_000_000_000);
        let mut offset = 0.0;
        loop {
            let seconds_per_share = (self.state.in_force.hashes() / self.hashes_per_second).max(1e-3);
            offset -= self.random.uniform().ln() * seconds_per_share;
            if offset >= 1.0 {
                break;
            }
            self.now = start + Duration::from_secs_f64(offset);
            on_share(&mut self.state, &self.settings, self.now);
        }
        self.seconds += 1;
        self.now = Instant(self.seconds * 1_000_000_000);
        on_silence(&mut self.state, &self.settings, self.now);
        if self.seconds.is_multiple_of(JOB_SECONDS) {
            self.changes.extend((self.state.in_force != self.state.announced).then_some(self.seconds));
            on_job(&mut self.state, self.now);
        }
        self.hardest = self.hardest.max(self.state.in_force.value());
    }

    /// Shares expected in the time of one, at the difficulty in force: 1 is ideal.
    fn rate(&self) -> f64 {
        self.hashes_per_second * SECONDS_PER_SHARE / self.state.in_force.hashes()
    }

    /// The same at the difficulty that was decided, which may wait for its job.
    fn rate_decided(&self) -> f64 {
        self.rate() * self.state.in_force.value() / self.state.announced.value()
    }

    fn ideal(&self) -> f64 {
        self.hashes_per_second * SECONDS_PER_SHARE / Difficulty::HASHES_AT_ONE
    }

    /// The difficulty that may be told whose seconds a share are nearest to those aimed at.
    fn best(&self) -> f64 {
        if self.ideal() < 1.0 { self.ideal() } else { (self.ideal() / 0.75).log2().floor().exp2() }
    }

    /// The part of the error in seconds a share that another difficulty would have saved.
    fn avoidable_error(&self) -> f64 {
        let error = |rate: f64| (1.0 / rate - 1.0).abs();
        error(self.rate()) - error(self.ideal() / self.best())
    }
}

/// A way to give each run its hash rate.
type Rates = fn(u64) -> f64;

/// Hash rates whose ideal difficulty is a power of two: the farthest from both neighbours.
fn aligned(_: u64) -> f64 {
    262_144.0 * Difficulty::HASHES_AT_ONE / SECONDS_PER_SHARE
}

/// Hash rates from 1 GH/s to 5 EH/s, so that every place between two powers of two occurs.
fn spread(seed: u64) -> f64 {
    1e9 * 5e9f64.powf(seed as f64 / RUNS as f64)
}

/// Hash rates of small devices, whose difficulties are decimals: 250 kH/s to 400 MH/s.
fn small(seed: u64) -> f64 {
    250e3 * 1600f64.powf(seed as f64 / RUNS as f64)
}

const ALL_RATES: [(&str, Rates); 3] = [("aligned", aligned), ("spread", spread), ("small", small)];

/// The value below which `part` of `values` lies.
fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() as f64 * part) as usize).min(values.len() - 1)]
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The part of the runs that are at a fitting difficulty, or were sent to one, five minutes after the hash rate changed
/// by `factor`, and the same of those runs only that had to follow: where rounding had left room there is nothing to do.
fn reacting(factor: f64, rates: Rates) -> (f64, f64) {
    let (mut needing, mut following) = (0.0, 0.0);
    for seed in 0..RUNS {
        let mut simulation = Simulation::settled(seed, rates(seed));
        simulation.hashes_per_second *= factor;
        let fits = |simulation: &Simulation| match factor < 1.0 {
            true => simulation.rate_decided() >= *FITTING.start(),
            false => simulation.rate_decided() <= *FITTING.end(),
        };
        if fits(&simulation) {
            continue;
        }
        needing += 1.0;
        let follows = (0..300).any(|_| {
            simulation.second();
            fits(&simulation)
        });
        following += f64::from(u8::from(follows));
    }
    (1.0 - (needing - following) / RUNS as f64, following / needing)
}

#[test]
fn a_halved_hash_rate_is_followed_within_five_minutes_in_95_of_100_runs() {
    for (name, rates) in ALL_RATES {
        let (of_all, where_needed) = reacting(0.5, rates);
        println!("{name}: {of_all:.3} of all, {where_needed:.3} where needed");
        assert!(of_all >= 0.95 && where_needed >= 0.88, "{name}: {of_all}, {where_needed} where needed");
    }
}

#[test]
fn a_doubled_hash_rate_is_followed_within_five_minutes() {
    for (name, rates) in ALL_RATES {
        let (of_all, _) = reacting(2.0, rates);
        assert!(of_all >= 0.87, "{name}: {of_all}");
    }
}

#[test]
fn a_steady_miner_is_measured_well_and_left_alone_at_the_best_power_of_two() {
    for (name, rates) in ALL_RATES {
        let (mut errors, mut avoidable, mut changes) = (Vec::new(), Vec::new(), 0);
        for seed in 0..RUNS {
            let mut simulation = Simulation::settled(seed, rates(seed));
            let before = simulation.changes.len();
            for _ in 0..8 {
                simulation.run(1800);
                errors.push((simulation.state.hashes_per_second / simulation.hashes_per_second - 1.0).abs());
                avoidable.push(simulation.avoidable_error());
            }
            changes += simulation.changes.len() - before;
        }
        let (median, p99) = (quantile(&mut errors, 0.5), quantile(&mut errors, 0.99));
        let avoidable = quantile(&mut avoidable, 0.5);
        let changes = changes as f64 / RUNS as f64 / 8.0;
        println!(
            "{name}: error {median:.3}, p99 {p99:.3}; avoidable {avoidable:.3}; {changes:.2} changes in 30 minutes"
        );
        assert!(median < 0.03 && p99 < 0.12, "{name}: {median}, {p99}");
        assert!(avoidable < if name == "small" { 0.15 } else { 0.03 }, "{name}: {avoidable}");
        assert!(changes < 1.0, "{name}: {changes}");
    }
}

#[test]
fn miners_settle_from_an_easy_start_without_overshooting() {
    for (name, rates) in ALL_RATES {
        let mut overshoots = Vec::new();
        for seed in 0..RUNS {
            let ideal = rates(seed) * SECONDS_PER_SHARE / Difficulty::HASHES_AT_ONE;
            let mut simulation = Simulation::new(seed, rates(seed), (ideal / 64.0).max(0.0001));
            simulation.run(1800);
            overshoots.push((simulation.hardest / ideal.max(simulation.best()) - 1.0).max(0.0));
        }
        let (p95, mean) = (quantile(&mut overshoots, 0.95), mean(&overshoots));
        println!("{name}: overshoot p95 {p95:.3}, mean {mean:.3}");
        assert!(p95 < 0.10 && mean < 0.05, "{name}: {p95}, {mean}");
    }
}

/// The promise of 30 seconds and of half the time of the V2 reference pool's slowest, from a start that is far too easy.
#[test]
fn a_difficulty_that_starts_too_easy_is_right_at_once_or_soon() {
    for (name, rates) in ALL_RATES {
        for too_easy in [8.0, 64.0, 1e4] {
            let mut seconds = Vec::new();
            for seed in 0..RUNS / 4 {
                let rate = rates(seed * 4);
                let ideal = rate * SECONDS_PER_SHARE / Difficulty::HASHES_AT_ONE;
                let mut simulation = Simulation::new(seed, rate, (ideal / too_easy).max(0.0001));
                while !FITTING.contains(&simulation.rate_decided()) && simulation.seconds < 3600 {
                    simulation.second();
                }
                seconds.push(simulation.seconds as f64);
            }
            let (median, p95) = (quantile(&mut seconds, 0.5), quantile(&mut seconds, 0.95));
            println!("{name}, {too_easy} times too easy: {median} s, p95 {p95} s");
            assert!(median <= 90.0 && p95 < 540.0, "{name}, {too_easy}: {median}, {p95}");
            assert!(too_easy != 64.0 || median <= 45.0, "{name}: {median}");
        }
    }
}

/// Shares that come `too_fast`, one after the other: with which of them another difficulty is announced, and by what
/// factor.
fn first_jump_of_a_regular_miner(too_fast: f64) -> (u32, f64) {
    let start = 1024.0;
    let mut state = Vardiff::starting_at(Difficulty::new(start).expect("positive"), SECONDS_PER_SHARE);
    on_job(&mut state, Instant(0));
    for share in 1..1000u32 {
        let at = Duration::from_secs_f64(f64::from(share) * SECONDS_PER_SHARE / too_fast);
        if on_share(&mut state, &settings(), Instant(0) + at) {
            return (share, state.announced.value() / start);
        }
    }
    (u32::MAX, 1.0)
}

#[test]
fn the_first_jump_is_made_after_eight_shares_and_goes_as_far_as_it_must() {
    // As soon as eight shares tell it, when the start is far off or they took their time.
    assert_eq!(first_jump_of_a_regular_miner(1e6).0, 8);
    assert!(first_jump_of_a_regular_miner(4.0).0 <= 17, "after the fourth expected interval at the latest");
    for too_fast in [2.5, 4.0, 30.0, 64.0, 100.0] {
        let (share, factor) = first_jump_of_a_regular_miner(too_fast);
        assert!(share >= 8 && f64::from(share) <= (4.0 * too_fast + 1.0).max(8.0), "{too_fast}: {share}");
        assert!((0.375..1.5).contains(&(factor / too_fast)) || factor == too_fast.log2().floor().exp2(), "{too_fast}");
    }
    let (_, factor) = first_jump_of_a_regular_miner(1e6);
    assert!((1e6 / 128.0..=1e6 / 16.0).contains(&factor), "short of what is right, to be measured there: {factor}");
}

/// Some firmware mines at a harder difficulty as soon as it is told, some with the next job: what comes in between tells
/// nothing.
#[test]
fn evidence_is_of_the_difficulty_in_force_only() {
    let mut simulation = Simulation::settled(3, aligned(0));
    simulation.state.announced = Difficulty::new(simulation.state.in_force.value() * 4.0).expect("positive");
    let (before, at) = (simulation.state.clone(), simulation.now);
    for millisecond in 1..5000 {
        let now = at + Duration::from_millis(millisecond);
        assert!(!on_share(&mut simulation.state, &simulation.settings, now));
    }
    let after = &simulation.state;
    assert_eq!((after.observed_shares, after.observed_exposure), (before.observed_shares, before.observed_exposure));
    assert_eq!(
        (after.hashes_per_second, after.slower, after.faster),
        (before.hashes_per_second, before.slower, before.faster)
    );
    on_job(&mut simulation.state, at + Duration::from_secs(5));
    assert_eq!(simulation.state.shares, 0.0, "a new difficulty has no shares yet");
}

#[test]
fn a_correction_is_bounded_by_the_step_and_waits_for_the_hysteresis() {
    for max_step in [2.0, 4.0] {
        let mut simulation = Simulation::settled(9, aligned(0));
        simulation.settings.max_step = max_step;
        // One that was eased gets back at once what it had.
        simulation.state.eased_at = None;
        simulation.hashes_per_second *= 1000.0;
        let mut hardest = 0.0f64;
        while simulation.rate() > 2.5 && simulation.seconds < 5 * 3600 {
            let before = simulation.state.in_force.value();
            simulation.second();
            hardest = hardest.max(simulation.state.announced.value() / before);
        }
        assert_eq!(hardest, max_step);
        assert!(simulation.rate() <= 2.5, "it arrives all the same: {}", simulation.rate());
    }
    let mut simulation = Simulation::settled(9, aligned(0));
    (simulation.settings.hysteresis, simulation.hashes_per_second) = (9.0, simulation.hashes_per_second * 3.0);
    let before = simulation.state.announced;
    simulation.run(7200);
    assert_eq!(simulation.state.announced, before, "three times as much is not worth it to who asks for ten");
}

#[test]
fn miners_of_every_size_settle_from_any_start() {
    for hashes_per_second in [250e3, 1e6, 70e6, 1e9, 500e9, 1.2e12, 110e12, 1e15, 5e18] {
        let mut seconds = Vec::new();
        for seed in 0..21 {
            let mut simulation = Simulation::new(seed, hashes_per_second, [1024.0, 0.01, 1e7][seed as usize % 3]);
            while !(0.4..=2.5).contains(&simulation.rate()) && simulation.seconds < 4 * 3600 {
                simulation.second();
            }
            seconds.push(simulation.seconds as f64);
        }
        let (median, slowest) = (quantile(&mut seconds, 0.5), quantile(&mut seconds, 1.0));
        println!("{hashes_per_second:e} H/s: {median} s, at most {slowest} s");
        assert!(median <= 600.0 && slowest <= 1800.0, "{hashes_per_second:e}: {median} s, at most {slowest} s");
    }
}

/// A power of two at 1 and above, between the bounds, whatever the miner does.
#[test]
fn the_bounds_hold_at_both_ends() {
    for (hashes_per_second, difficulty, expected) in
        [(1e23, 1024.0, 549_755_813_888.0), (1.0, 0.0002, 0.0001), (1e-9, 1.0, 0.0001)]
    {
        let mut simulation = Simulation::new(1, hashes_per_second, difficulty);
        for _ in 0..1800 {
            simulation.second();
            let told = simulation.state.announced.value();
            assert!((0.0001..=1e12).contains(&told) && (told < 1.0 || told.log2().fract() == 0.0), "{told}");
        }
        assert_eq!(simulation.state.in_force.value(), expected, "{hashes_per_second:e}");
    }
    let mut simulation = Simulation::new(1, 1.0, 4096.0);
    simulation.state.floor = Difficulty::new(1000.0).ok();
    simulation.run(3600);
    assert_eq!(simulation.state.in_force.value(), 1024.0, "a floor is rounded up to a power of two");
}

#[test]
fn a_miner_that_pauses_is_eased_by_some_sixteen_and_gets_back_what_it_had() {
    let mut far = 0;
    for seed in 0..50 {
        let mut simulation = Simulation::settled(seed, spread(seed * RUNS / 50));
        let (rate, before) = (simulation.hashes_per_second, simulation.state.in_force.value());
        simulation.hashes_per_second = 1e-9;
        simulation.run(6 * 3600);
        let eased = simulation.state.in_force.value();
        // A fall that was under suspicion already may have been believed first.
        assert!(eased < before / 2.0 && eased >= before / 256.0, "run {seed}: {eased} after {before}");
        far += u32::from(eased < 0.99 * before / 32.0);
        simulation.hashes_per_second = rate;
        simulation.run(300);
        assert!((0.3..=5.0).contains(&simulation.rate()), "run {seed}: {}", simulation.rate());
    }
    assert!(far <= 5, "{far} of 50");
}

/// Not off but slow: a farm of which one machine in a thousand is left.
#[test]
fn a_miner_that_became_a_thousand_times_slower_is_found() {
    let mut simulation = Simulation::settled(1, spread(200));
    simulation.hashes_per_second /= 1000.0;
    simulation.run(4 * 3600);
    assert!((0.4..=2.5).contains(&simulation.rate()), "{}", simulation.rate());
}

#[test]
fn defect_06_a_silent_miner_is_eased_within_three_expected_intervals_by_at_most_sixteen() {
    let mut simulation = Simulation::new(1, 1e-9, 1e9);
    let mut decisions = Vec::new();
    while simulation.seconds < 600 {
        let before = simulation.state.announced.value();
        simulation.second();
        let after = simulation.state.announced.value();
        if after != before {
            decisions.push((simulation.seconds, before / after));
        }
    }
    let first = decisions.first().expect("a silent miner is eased");
    assert!(first.0 as f64 <= 3.0 * SECONDS_PER_SHARE, "{decisions:?}");
    assert!(decisions.len() >= 5 && decisions.iter().all(|(_, factor)| *factor <= 16.0), "{decisions:?}");
}

#[test]
fn a_known_miner_that_comes_back_is_neither_moved_nor_measured_anew() {
    let mut moved = 0;
    for seed in 0..RUNS {
        let mut simulation = Simulation::new(seed, aligned(0), 262_144.0);
        resume(&mut simulation.state, aligned(0));
        assert!(simulation.state.settled);
        simulation.run(300);
        moved += u64::from(simulation.state.announced.value() != 262_144.0);
    }
    assert!(moved * 10 < RUNS, "{moved} of {RUNS}");
    let mut unknown = Vardiff::starting_at(Difficulty::ONE, SECONDS_PER_SHARE);
    for nonsense in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        resume(&mut unknown, nonsense);
        assert!(!unknown.settled, "{nonsense}");
    }
}

/// A clock that goes back, or leaps by hours, says nothing about the miner.
#[test]
fn a_wrong_clock_moves_nobody() {
    for leap in [-7200i64, -1, 3600, 86_400 * 365] {
        let mut simulation = Simulation::settled(5, aligned(0));
        // A hold that ends because the clock leapt would move it rightly.
        while simulation.state.announced.value() != 262_144.0 || simulation.state.slower.acted_on {
            simulation.run(60);
        }
        let (known, difficulty) = (simulation.state.hashes_per_second, simulation.state.announced);
        let mut at = simulation.seconds.saturating_add_signed(leap);
        for _ in 0..5 {
            at += 1;
            on_silence(&mut simulation.state, &simulation.settings, Instant(at * 1_000_000_000));
        }
        on_share(&mut simulation.state, &simulation.settings, Instant(at * 1_000_000_000));
        assert_eq!(simulation.state.announced, difficulty, "{leap}");
        assert!((simulation.state.hashes_per_second / known - 1.0).abs() < 0.01, "{leap}");
    }
}

#[test]
fn the_same_events_give_the_same_state() {
    let run = || {
        let mut simulation = Simulation::new(77, 3.3e12, 1024.0);
        simulation.run(7200);
        simulation.state
    };
    assert_eq!(run(), run());
}
