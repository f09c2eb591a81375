//! Which backend is the fastest here: measured at start, once, in some milliseconds.
//!
//! Two things decide. A batch costs what it costs for all its lanes, full or not, so that one share is cheaper in a narrow
//! backend. And the units for wide registers sleep when they were not used for 0.7 ms: the next batch waits for them, 19
//! microseconds (256 bits) to 30 (512 bits) on a server processor of 2018. Batches of fewer than eight shares are those of
//! a quiet pool, so they are charged with the waking; larger ones come when hashing never stops for long.
//!
//! This is the one place below the tick that reads a clock. Only speed depends on what it says: all backends give the
//! same hashes.

use super::hasher::CLASSES;
use super::{Backend, Hasher, Midstate, Share};
use std::fmt::Write;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;

/// Measurements of which the fastest counts: what disturbs only ever makes slower.
const REPETITIONS: usize = 4;

/// A backend that was so many times slower than the best is not measured again.
const HOPELESS_FACTOR: u32 = 3;

/// Without wide instructions for so long their units sleep.
const SLEEP_AFTER: Duration = Duration::from_micros(800);

/// Times that the waking is measured.
const WAKINGS: usize = 2;

/// From so many shares on lanes are taken to be awake.
const AWAKE_FROM: usize = 8;

/// What waking another core costs until it has taken its part, and what keeps the first one from losing by it.
const SPLIT_WORTH_NANOSECONDS: u64 = 100_000;

/// Bounds of [`Calibration::parallel_from`], in shares.
const PARALLEL_FROM_MIN: usize = 32;
const PARALLEL_FROM_MAX: usize = 512;

/// Branches of the shares that are measured: those of a full block.
const BRANCHES: usize = 12;

/// What one backend took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measured {
    /// The backend.
    pub backend: Backend,
    /// Nanoseconds for batches of 1, 2, 4, 8, 16 and 64 shares with twelve branches, units awake.
    pub batch_nanoseconds: [u64; CLASSES.len()],
    /// Nanoseconds on top for the first batch after a pause.
    pub wake_nanoseconds: u64,
}

impl Measured {
    fn cost(&self, class: usize) -> u64 {
        let wake = if CLASSES[class] < AWAKE_FROM { self.wake_nanoseconds } else { 0 };
        self.batch_nanoseconds[class] + wake
    }
}

/// What was measured and chosen on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Calibration {
    /// Every backend that this processor has.
    pub measured: Vec<Measured>,
    /// The choice made of it.
    pub hasher: Hasher,
    /// From so many shares on hashing them on several cores pays for waking those.
    pub parallel_from: usize,
    /// What measuring took.
    pub duration: Duration,
}

impl Calibration {
    /// That of this machine, measured by the first who asks, in some milliseconds; ask before miners wait.
    pub fn of_this_machine() -> &'static Self {
        static CALIBRATION: OnceLock<Calibration> = OnceLock::new();
        CALIBRATION.get_or_init(Self::measure)
    }

    /// Measures anew.
    pub fn measure() -> Self {
        Self::measure_backends(Backend::available())
    }

    /// Always this backend, measured only for what it costs; `None` when this processor cannot it.
    pub fn forced(backend: Backend) -> Option<Self> {
        backend.is_available().then(|| Self::measure_backends(&[backend]))
    }

    fn measure_backends(backends: &[Backend]) -> Self {
        let start = Instant::now();
        let probe = Probe::new();
        let mut best = [u64::MAX; CLASSES.len()];
        let measured: Vec<Measured> =
            backends.iter().map(|backend| measure_backend(*backend, &probe, &mut best)).collect();
        let (hasher, parallel_from) = choose(&measured);
        Self { measured, hasher, parallel_from, duration: start.elapsed() }
    }

    /// The choice in one line, for the log.
    pub fn describe(&self) -> String {
        let mut text = String::from("hashing of shares: ");
        for (class, fewest) in CLASSES.iter().enumerate() {
            let backend = self.hasher.backend_for(*fewest);
            let taken = self.measured.iter().find(|measured| measured.backend == backend);
            let microseconds = taken.map_or(0, |taken| taken.cost(class)) as f64 / 1000.0;
            let separator = if class == 0 { "" } else { ", " };
            // Writing to a String does not fail.
            let _ = write!(text, "{separator}from {fewest} {} ({microseconds:.1} us)", backend.name());
        }
        let _ = write!(text, "; on all cores from {}; measured in {:.1?}", self.parallel_from, self.duration);
        text
    }
}

fn choose(measured: &[Measured]) -> (Hasher, usize) {
    let fastest = |class: usize| measured.iter().min_by_key(|measured| measured.cost(class));
    let by_class = std::array::from_fn(|class| fastest(class).map_or(Backend::Scalar, |measured| measured.backend));
    let largest = CLASSES.len() - 1;
    let each = fastest(largest).map_or(1, |measured| measured.cost(largest)) / CLASSES[largest] as u64;
    let parallel_from = (SPLIT_WORTH_NANOSECONDS / each.max(1)) as usize;
    (Hasher::chosen(by_class), parallel_from.clamp(PARALLEL_FROM_MIN, PARALLEL_FROM_MAX))
}

/// `best` has the shortest time of any backend so far, and is kept up.
fn measure_backend(backend: Backend, probe: &Probe, best: &mut [u64; CLASSES.len()]) -> Measured {
    let mut batch_nanoseconds = [u64::MAX; CLASSES.len()];
    for (class, count) in CLASSES.into_iter().enumerate() {
        let nanoseconds = &mut batch_nanoseconds[class];
        for _ in 0..REPETITIONS {
            *nanoseconds = probe.time(backend, count).min(*nanoseconds);
            if *nanoseconds / u64::from(HOPELESS_FACTOR) > best[class] {
                break;
            }
        }
        best[class] = best[class].min(*nanoseconds);
    }
    let is_candidate = (0..CLASSES.len()).any(|class| batch_nanoseconds[class] == best[class]);
    let wake_nanoseconds =
        if backend.is_wide() && is_candidate { measure_waking(backend, probe, batch_nanoseconds[0]) } else { 0 };
    Measured { backend, batch_nanoseconds, wake_nanoseconds }
}

/// What a share takes longer after a pause.
fn measure_waking(backend: Backend, probe: &Probe, awake: u64) -> u64 {
    let after_pause = |_| {
        let pause = Instant::now();
        while pause.elapsed() < SLEEP_AFTER {
            probe.time(Backend::Scalar, 1);
        }
        probe.time(backend, 1)
    };
    (0..WAKINGS).map(after_pause).min().unwrap_or(awake).saturating_sub(awake)
}

/// A job to be hashed for.
struct Probe {
    midstate: Midstate,
    branches: [Hash256; BRANCHES],
}

impl Probe {
    fn new() -> Self {
        let (midstate, _) = Midstate::new(&[1; 64]);
        Self { midstate, branches: [Hash256::from_internal([2; 32]); BRANCHES] }
    }

    /// Nanoseconds for so many shares of the usual lengths.
    fn time(&self, backend: Backend, count: usize) -> u64 {
        let largest = CLASSES[CLASSES.len() - 1];
        let share = Share {
            midstate: &self.midstate,
            tail: &[3; 18],
            extranonce: &[4; 12],
            suffix: &[5; 117],
            branches: &self.branches,
            ..Share::EMPTY
        };
        let mut shares = [share; CLASSES[CLASSES.len() - 1]];
        let mut hashes = [ShareHash { header: [0; 80], hash: Hash256::ZERO }; CLASSES[CLASSES.len() - 1]];
        let count = count.min(largest);
        let Some(hasher) = Hasher::forced(backend) else { return u64::MAX };
        for (nonce, share) in (0..).zip(&mut shares) {
            share.nonce = nonce;
        }
        let start = Instant::now();
        hasher.hash(black_box(&shares[..count]), &mut hashes[..count]);
        black_box(&hashes);
        u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
