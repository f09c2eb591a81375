//! The bound that Poisson's law sets, whatever the rule: who sees a fall in a given time must now and then see one where
//! there is none.

/// The chance that a test calls a steady miner slower, if it finds a fall by `factor` with the chance `power` in a time
/// in which `expected` shares come of a steady one. The best test there is (Neyman and Pearson) is to count, and to
/// toss a coin at the threshold.
pub(crate) fn false_alarms(expected: f64, factor: f64, power: f64) -> f64 {
    let (mut seen, mut false_alarms) = (0.0, 0.0);
    let (mut slower, mut steady) = ((-expected * factor).exp(), (-expected).exp());
    for shares in 1.. {
        if seen + slower >= power {
            return false_alarms + steady * (power - seen) / slower;
        }
        (seen, false_alarms) = (seen + slower, false_alarms + steady);
        (slower, steady) = (slower * expected * factor / f64::from(shares), steady * expected / f64::from(shares));
    }
    false_alarms
}
