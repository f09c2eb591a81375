//! Amounts of bitcoin.

use std::fmt;

/// An amount in satoshis, the 100,000,000th part of a bitcoin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Sats(pub u64);

impl Sats {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// The block subsidy at `height` where it halves every `halving_interval` blocks (210,000 but on regtest,
    /// where it is 150). Source: `GetBlockSubsidy` of Bitcoin Core.
    pub const fn subsidy(height: u32, halving_interval: u32) -> Self {
        let halvings = height / halving_interval;
        if halvings >= 64 { Self(0) } else { Self(5_000_000_000 >> halvings) }
    }
}

impl fmt::Display for Sats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:08} BTC", self.0 / 100_000_000, self.0 % 100_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subsidy_halves_and_ends() {
        assert_eq!(Sats::subsidy(209_999, 210_000), Sats(5_000_000_000));
        assert_eq!(Sats::subsidy(210_000, 210_000), Sats(2_500_000_000));
        assert_eq!(Sats::subsidy(840_000, 210_000), Sats(312_500_000));
        assert_eq!(Sats::subsidy(u32::MAX, 150), Sats::ZERO);
    }

    #[test]
    fn amounts_show_eight_places() {
        assert_eq!(Sats(312_500_001).to_string(), "3.12500001 BTC");
    }
}
