//! Work before the template, against what consensus says of the block after a tip.

use super::merkle::LevelHasher;
use super::template::{Tip, parse, subsidy_only};
use proptest::prelude::*;
use warppool_components::settings::Network;
use warppool_components::template::Template;
use warppool_components::units::{Hash256, Sats, UnixTime};

const NOW: UnixTime = UnixTime::from_seconds(1_795_218_700);

fn small() -> Template {
    let json = include_str!("../../../tests/data/gbt-regtest-25tx.json");
    parse(json.as_bytes(), Network::Regtest, NOW, &LevelHasher::default()).expect("Core's own template").template
}

fn tip(height: u32) -> Tip {
    let (time, median_time) = (UnixTime::from_seconds(900), UnixTime::from_seconds(800));
    Tip { hash: Hash256::from_internal([3; 32]), height, bits: 0x1d00_ffff, time, median_time }
}

/// What Bitcoin Core's `GetNextWorkRequired` and `GetBlockSubsidy` say of the block after a tip, written down anew:
/// its subsidy, unless its `nBits` cannot be known from the tip alone.
fn by_consensus(tip_height: u32, network: Network) -> Option<u64> {
    let height = tip_height + 1;
    // Regtest never retargets; elsewhere the bits of every 2016th block are another's business.
    let retargets = network != Network::Regtest && height.is_multiple_of(2016);
    let may_fall_to_minimum = network == Network::Testnet4;
    let halvings = height / if network == Network::Regtest { 150 } else { 210_000 };
    let subsidy = if halvings < 64 { (50 * 100_000_000) >> halvings } else { 0 };
    (!retargets && !may_fall_to_minimum).then_some(subsidy)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn empty_work_is_never_given_where_it_would_be_invalid(
        network in prop::sample::select(Network::ALL.to_vec()),
        period in 0u32..7000, inside in prop_oneof![2013u32..2016, 0u32..3, 0u32..2016],
        halving in prop::option::of((0u32..40, 0u32..3)),
    ) {
        let near_halving = |(count, offset): (u32, u32)| count * network.halving_interval() + network.halving_interval() - 2 + offset;
        let height = halving.map_or(period * 2016 + inside, near_halving);
        let tip = tip(height);
        let given = subsidy_only(&tip, &small(), network, NOW);
        let expected = by_consensus(height, network);
        if expected.is_none() {
            prop_assert!(given.is_none(), "an invalid block on {network:?} at {height}");
        }
        if let Some(template) = given {
            prop_assert_eq!(Some(template.coinbase_value.0), expected);
            prop_assert_eq!((template.height, template.bits, template.previous_block), (height + 1, tip.bits, tip.hash));
            prop_assert!(template.current_time.seconds() > tip.median_time.seconds());
            prop_assert!(template.transactions.is_empty() && template.fees == Sats::ZERO);
        } else {
            // Not where it would be valid either, but for regtest's boundary, where caution costs nothing.
            prop_assert!(expected.is_none() || network == Network::Regtest && (height + 1).is_multiple_of(2016));
        }
    }
}
