//! Difficulty: how much harder than the easiest historical target.

use std::fmt;

/// How many times harder than difficulty 1, whose target is `0xffff << 208`. One share of difficulty `d` takes
/// `d * 2^32` hashes on average. Always finite and above zero.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub struct Difficulty(f64);

/// A number that is not a difficulty.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("a difficulty is a finite number above 0, not {0}")]
pub struct DifficultyError(pub f64);

impl Difficulty {
    /// The historical minimum of the main network.
    pub const ONE: Self = Self(1.0);

    /// Hashes that a share of difficulty 1 takes on average.
    pub const HASHES_AT_ONE: f64 = 4_294_967_296.0;

    /// From a plain number.
    ///
    /// # Errors
    /// [`DifficultyError`] for zero, negative and non-finite numbers.
    pub fn new(value: f64) -> Result<Self, DifficultyError> {
        if value.is_finite() && value > 0.0 { Ok(Self(value)) } else { Err(DifficultyError(value)) }
    }

    /// The plain number.
    pub const fn value(self) -> f64 {
        self.0
    }

    /// Hashes that a share takes on average.
    pub fn hashes(self) -> f64 {
        self.0 * Self::HASHES_AT_ONE
    }

    /// What miners are told: the nearest power of two at 1 and above (some firmware keeps an integer, some a power
    /// of two); below 1 six significant decimals.
    pub fn rounded_for_miners(self) -> Self {
        if self.0 >= 1.0 {
            Self(self.0.log2().round().exp2())
        } else {
            let digits = (-self.0.log10()).ceil() + 5.0;
            let scale = 10f64.powf(digits);
            Self((self.0 * scale).round().max(1.0) / scale)
        }
    }

    /// What miners are told, held between two bounds: at 1 and above still a power of two, the nearest one within them.
    pub fn rounded_between(self, min: Self, max: Self) -> Self {
        let held = self.rounded_for_miners().clamp(min, max);
        if held.0 < 1.0 {
            return held;
        }
        let exponent = held.0.log2();
        Self(if held <= min { exponent.ceil() } else { exponent.floor() }.exp2())
    }

    /// This difficulty held between two others.
    pub fn clamp(self, min: Self, max: Self) -> Self {
        Self(self.0.max(min.0).min(max.0))
    }
}

impl fmt::Display for Difficulty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_positive_finite_numbers_are_difficulties() {
        assert!(Difficulty::new(0.0).is_err());
        assert!(Difficulty::new(-1.0).is_err());
        assert!(Difficulty::new(f64::NAN).is_err());
        assert!(Difficulty::new(f64::INFINITY).is_err());
        assert!(Difficulty::new(0.00015).is_ok());
    }

    #[test]
    fn miners_are_told_powers_of_two_or_short_decimals() {
        let told = |value| Difficulty::new(value).expect("positive").rounded_for_miners().value();
        assert_eq!(told(1.0), 1.0);
        assert_eq!(told(1400.0), 1024.0);
        assert_eq!(told(1500.0), 2048.0);
        assert_eq!(told(4096.0), 4096.0);
        assert_eq!(told(0.002), 0.002);
        assert_eq!(told(0.001_234_567_8), 0.001_234_57);
    }

    #[test]
    fn bounds_that_are_no_powers_of_two_do_not_show() {
        let difficulty = |value| Difficulty::new(value).expect("positive");
        let told = |value, min, max| difficulty(value).rounded_between(difficulty(min), difficulty(max)).value();
        assert_eq!(told(3.0, 1000.0, 1e12), 1024.0);
        assert_eq!(told(1e30, 1000.0, 1e12), 549_755_813_888.0);
        assert_eq!(told(5000.0, 1000.0, 1e12), 4096.0);
        assert_eq!(told(0.1, 0.3, 1.0), 0.3);
        assert_eq!(told(7.0, 4.0, 4.0), 4.0);
    }
}
