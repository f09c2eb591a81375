//! The bound that Poisson's law sets, whatever the rule: who sees a fall in a given time must now and then see one where
//! there is none.

use crate::simulation::Random;

/// What the miner makes that all of this is about.
const SECONDS_PER_SHARE: f64 = 10.0;
/// The time in which a halving is to be seen.
const SECONDS_TO_REACT: f64 = 300.0;

/// The chance that a test calls a steady miner changed, if it finds a change by `factor` with the chance `power` in a time
/// in which `expected` shares come of a steady one. The best test there is (Neyman and Pearson) is to count, and to
/// toss a coin at the threshold.
fn false_alarms(expected: f64, factor: f64, power: f64) -> f64 {
    // Few shares speak for a fall, many for a rise: the counts from those that speak loudest.
    let most = (4.0 * expected * factor.max(1.0) + 40.0) as u32;
    let counts: Vec<_> = if factor < 1.0 { (0..=most).collect() } else { (0..=most).rev().collect() };
    let (mut seen, mut false_alarms) = (0.0, 0.0);
    for count in counts {
        let (changed, steady) = (poisson(expected * factor, count), poisson(expected, count));
        if seen + changed >= power {
            return false_alarms + steady * (power - seen) / changed;
        }
        (seen, false_alarms) = (seen + changed, false_alarms + steady);
    }
    false_alarms
}

/// The chance of just `count` where `mean` are expected.
fn poisson(mean: f64, count: u32) -> f64 {
    let logarithm: f64 = (1..=count).map(|number| (mean / f64::from(number)).ln()).sum();
    (logarithm - mean).exp()
}

/// The false alarms an hour that go at least with seeing the part `seen` of all doublings within `seconds`, at a share
/// in 10 seconds.
pub(crate) fn false_rises_per_hour(seconds: f64, seen: f64) -> f64 {
    3600.0 / seconds * false_alarms(seconds / SECONDS_PER_SHARE, 2.0, seen)
}

/// The retargets of a steady miner an hour that go at least with seeing the part `seen` of all halvings in five minutes:
/// each false alarm is an easing, and its way back.
pub(crate) fn retargets_of_a_halving(seen: f64) -> f64 {
    2.0 * 3600.0 / SECONDS_TO_REACT * false_alarms(SECONDS_TO_REACT / SECONDS_PER_SHARE, 0.5, seen)
}

/// What the best known test achieves that does not know the moment of a change beforehand (Page's, sharpest against 0.6
/// of the hash rate), with nothing else around it: the same two figures at thresholds from high to low.
pub(crate) fn sequential() -> Vec<(f64, f64)> {
    (2..=28).rev().map(|quarters| at_threshold(f64::from(quarters) / 4.0)).collect()
}

fn at_threshold(threshold: f64) -> (f64, f64) {
    const HOURS: f64 = 2000.0;
    const TRIALS: u32 = 2000;
    const SECONDS_BEFORE: f64 = 1800.0;
    let mut random = Random::new(1);
    let (mut false_alarms, mut at) = (0.0, 0.0);
    while at < HOURS * 3600.0 {
        at += alarm_after(&mut random, threshold, f64::INFINITY, HOURS * 3600.0 - at);
        false_alarms += f64::from(u8::from(at < HOURS * 3600.0));
    }
    let mut seen = 0.0;
    for _ in 0..TRIALS {
        // An alarm before the change is over by then.
        let mut before = 0.0;
        let alarm = loop {
            let alarm = before + alarm_after(&mut random, threshold, SECONDS_BEFORE - before, 1e5);
            if alarm >= SECONDS_BEFORE {
                break alarm;
            }
            before = alarm;
        };
        seen += f64::from(u8::from(alarm - SECONDS_BEFORE <= SECONDS_TO_REACT));
    }
    (2.0 * false_alarms / HOURS, seen / f64::from(TRIALS))
}

/// Seconds until the alarm of a miner with a share in 10 seconds that is halved after `halved_after` seconds.
fn alarm_after(random: &mut Random, threshold: f64, halved_after: f64, seconds_max: f64) -> f64 {
    const SLOWER: f64 = 0.6;
    let (mut now, mut score) = (0.0, 0.0f64);
    while now < seconds_max {
        let pace = if now < halved_after { 1.0 } else { 0.5 };
        let mut gap = -random.uniform().ln() * SECONDS_PER_SHARE / pace;
        if now < halved_after && now + gap > halved_after {
            gap = halved_after - now + 2.0 * (now + gap - halved_after);
        }
        let needed = (threshold - score) * SECONDS_PER_SHARE / (1.0 - SLOWER);
        if needed <= gap {
            return now + needed;
        }
        score = (score + (1.0 - SLOWER) * gap / SECONDS_PER_SHARE + SLOWER.ln()).max(0.0);
        now += gap;
    }
    seconds_max
}
