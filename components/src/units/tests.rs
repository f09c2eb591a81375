//! Targets, difficulties and amounts against the `bitcoin` crate and against arithmetic done another way.

use super::{Difficulty, Hash256, Sats, Target};
use bitcoin::{CompactTarget, Work};
use proptest::prelude::*;

fn big_endian_of_compact(bits: u32) -> Option<[u8; 32]> {
    Target::from_compact(bits).ok().map(Target::to_big_endian)
}

/// `0xffff << 208` divided by a whole number, in schoolbook long division over bytes.
fn long_division(divisor: u64) -> [u8; 32] {
    let mut quotient = [0; 32];
    let mut remainder = 0u128;
    for (index, digit) in quotient.iter_mut().enumerate() {
        let dividend = remainder << 8 | if (4..6).contains(&index) { 0xff } else { 0 };
        *digit = (dividend / u128::from(divisor)) as u8;
        remainder = dividend % u128::from(divisor);
    }
    quotient
}

/// The number shifted left, `None` when bits are lost.
fn shifted_left(mut bytes: [u8; 32], bits: u32) -> Option<[u8; 32]> {
    for _ in 0..bits {
        if bytes[0] & 0x80 != 0 {
            return None;
        }
        for index in 0..32 {
            bytes[index] = bytes[index] << 1 | bytes.get(index + 1).map_or(0, |next| next >> 7);
        }
    }
    Some(bytes)
}

#[test]
fn known_bits_of_all_networks_round_trip_through_another_library() {
    for bits in [0x1d00_ffff, 0x1b04_864c, 0x1702_8c61, 0x207f_ffff, 0x1e03_77ae, 0x1a05_db8b] {
        let other = bitcoin::Target::from_compact(CompactTarget::from_consensus(bits));
        assert_eq!(big_endian_of_compact(bits), Some(other.to_be_bytes()), "{bits:08x}");
        assert_eq!(other.to_compact_lossy().to_consensus(), bits);
        let ours = Target::from_compact(bits).expect("valid").to_difficulty().value();
        assert!((ours / other.difficulty_float() - 1.0).abs() < 1e-12, "{bits:08x}: {ours}");
    }
}

#[test]
fn subsidies_on_both_sides_of_every_halving() {
    for (interval, halving) in [210_000, 150].into_iter().flat_map(|interval| (1..34).map(move |n| (interval, n))) {
        let height = interval * halving;
        assert_eq!(Sats::subsidy(height - 1, interval), Sats(5_000_000_000 >> (halving - 1)), "{height}");
        assert_eq!(Sats::subsidy(height, interval), Sats(5_000_000_000 >> halving), "{height}");
    }
    assert_eq!(Sats::subsidy(33 * 210_000, 210_000), Sats::ZERO, "the last satoshi is at halving 32");
    let total: u64 = (0..34).map(|halving| Sats::subsidy(halving * 210_000, 210_000).0 * 210_000).sum();
    assert_eq!(total, 2_099_999_997_690_000, "all bitcoin there will be");
}

#[test]
fn a_share_takes_two_to_the_thirty_second_hashes_per_difficulty() {
    for difficulty in [1.0, 1024.0, 65_536.0, 1e12] {
        let difficulty = Difficulty::new(difficulty).expect("positive");
        let target = bitcoin::Target::from_be_bytes(Target::from_difficulty(difficulty).to_big_endian());
        let work: Work = target.to_work();
        let hashes: f64 = work.to_string().parse().expect("a decimal number");
        // The target of difficulty 1 is 0xffff, not 0x10000, times a power of two.
        assert!((hashes / difficulty.hashes() - 65_536.0 / 65_535.0).abs() < 1e-8, "{difficulty}: {hashes}");
    }
}

#[test]
fn amounts_and_hashes_at_their_edges() {
    let highest = Hash256::from_internal([0xff; 32]);
    assert!(Target::MAX.is_met_by(&highest));
    assert!(!Target::DIFFICULTY_ONE.is_met_by(&highest));
    assert!(Target::default().is_met_by(&Hash256::ZERO));
    assert_eq!(Sats(0).to_string(), "0.00000000 BTC");
    assert_eq!(Sats(2_100_000_000_000_000).to_string(), "21000000.00000000 BTC");
}

proptest! {
    #[test]
    fn a_whole_difficulty_divides_as_by_hand(difficulty in 1u64..1 << 53) {
        let target = Target::from_difficulty(Difficulty::new(difficulty as f64).expect("positive"));
        prop_assert_eq!(target.to_big_endian(), long_division(difficulty));
    }

    #[test]
    fn a_difficulty_with_a_fraction_divides_as_the_whole_number_it_is_of(whole in 1u64..1 << 20, halvings in 0u32..52) {
        // whole / 2^halvings is an exact f64; its target is floor((one << halvings) / whole).
        let difficulty = whole as f64 / (1u64 << halvings) as f64;
        let target = Target::from_difficulty(Difficulty::new(difficulty).expect("positive"));
        let lower = shifted_left(long_division(whole), halvings);
        match lower {
            None => prop_assert_eq!(target, Target::MAX),
            // The shifted floor lies below the floor of the shifted by less than 2^halvings.
            Some(lower) => {
                let lower = Target::from_big_endian(lower);
                prop_assert!(target >= lower);
                let mut difference = 0u128;
                for (ours, theirs) in target.limbs()[..2].iter().zip(&lower.limbs()[..2]).rev() {
                    difference = difference << 64 | u128::from(ours.wrapping_sub(*theirs));
                }
                prop_assert!(target.limbs()[2..] != lower.limbs()[2..] || difference < 1 << halvings.max(1));
            }
        }
    }

    #[test]
    fn difficulty_survives_the_way_to_a_target_and_back(exponent in -30.0f64..60.0) {
        let difficulty = Difficulty::new(exponent.exp2()).expect("positive");
        let back = Target::from_difficulty(difficulty).to_difficulty();
        prop_assert!((back.value() / difficulty.value() - 1.0).abs() < 1e-12, "{difficulty} became {back}");
    }

    #[test]
    fn compact_targets_agree_with_another_library(mantissa in 1u32..0x80_0000, size in 3u32..=29) {
        let bits = size << 24 | mantissa;
        let other = bitcoin::Target::from_compact(CompactTarget::from_consensus(bits));
        prop_assert_eq!(big_endian_of_compact(bits), Some(other.to_be_bytes()));
    }

    #[test]
    fn harder_means_a_smaller_target(left in 1e-6f64..1e15, right in 1e-6f64..1e15) {
        let target = |value| Target::from_difficulty(Difficulty::new(value).expect("positive"));
        if left < right {
            prop_assert!(target(left) >= target(right));
        }
        prop_assert!(target(left * 1.001) < target(left));
    }

    #[test]
    fn meeting_a_target_is_comparing_numbers(hash: [u8; 32], target: [u8; 32], shared in 0usize..=32) {
        // A shared start makes the later bytes decide.
        let mut target = target;
        target[..shared].copy_from_slice(&hash[..shared]);
        let met = Target::from_big_endian(target).is_met_by(&Hash256::from_display(hash));
        prop_assert_eq!(met, hash <= target);
        let other = bitcoin::Target::from_be_bytes(target);
        prop_assert_eq!(met, other.is_met_by(bitcoin::hashes::Hash::from_byte_array(*Hash256::from_display(hash).as_internal())));
    }

    #[test]
    fn hashes_read_back_what_they_print(bytes: [u8; 32]) {
        let hash = Hash256::from_internal(bytes);
        prop_assert_eq!(Hash256::parse_display(&hash.to_string()), Ok(hash));
        prop_assert_eq!(Hash256::parse_display(&hash.to_string().to_uppercase()), Ok(hash));
    }

    #[test]
    fn rounding_for_miners_is_a_power_of_two_or_six_digits_and_near(value in 1e-6f64..1e15) {
        let rounded = Difficulty::new(value).expect("positive").rounded_for_miners();
        prop_assert_eq!(rounded.rounded_for_miners(), rounded);
        let off = rounded.value() / value;
        if value >= 1.0 {
            prop_assert_eq!(rounded.value().log2().fract(), 0.0);
            prop_assert!(off.log2().abs() <= 0.500_001);
        } else {
            prop_assert!((off - 1.0).abs() < 1e-5);
            // The miner's side reads decimals without exponent: nothing is lost on the way.
            prop_assert_eq!(rounded.to_string().parse::<f64>(), Ok(rounded.value()));
        }
    }
}
