//! Distributions of times.

use hdrhistogram::Histogram;

use crate::limits::LATENCY_NS_MAX;
use crate::report::Report;

/// A histogram of nanoseconds, exact to three digits.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("the bounds are constants that fit"))
    }
}

impl Latency {
    /// Records one time; those beyond 60 s count as 60 s.
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// Times recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that this share (0 to 1) of all stays at or under, in microseconds.
    #[must_use]
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e3
    }

    /// The longest, in microseconds.
    #[must_use]
    pub fn max_us(&self) -> f64 {
        self.0.max() as f64 / 1e3
    }

    /// Adds p50, p99 and max to a report.
    pub fn add_to(&self, report: &mut Report, name: &str) {
        report
            .add_decimal(&format!("{name}_p50_us"), self.quantile_us(0.5))
            .add_decimal(&format!("{name}_p99_us"), self.quantile_us(0.99))
            .add_decimal(&format!("{name}_max_us"), self.max_us());
    }
}
