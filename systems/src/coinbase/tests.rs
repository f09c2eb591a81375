//! The coinbase against the `bitcoin` crate, which knows nothing of how ours is built.

use super::*;
use crate::sha256d;
use bitcoin::consensus::deserialize;
use bitcoin::script::Builder;
use bitcoin::{Block, Transaction};
use proptest::prelude::*;
use warppool_components::limits::{COINBASE_SCRIPT_BYTES_MAX, POOL_TAG_BYTES_MAX};
use warppool_components::template::{TemplateId, TemplateKind};
use warppool_components::units::{Hash256, Target, UnixTime};

/// Every height at which the push of BIP34 takes another form.
const HEIGHTS: [u32; 14] =
    [1, 16, 17, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 8_388_607, 8_388_608, 0x7fff_ffff];

const EXTRANONCE: [u8; EXTRANONCE_BYTES] = [0xa1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xfc];

fn template(height: u32, value: u64, segwit: bool) -> Template {
    let mut commitment = vec![0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    commitment.extend_from_slice(&[0x5c; 32]);
    Template {
        id: TemplateId(1),
        kind: TemplateKind::Full,
        height,
        version: 0x2000_0000,
        previous_block: Hash256::ZERO,
        bits: 0x207f_ffff,
        network_target: Target::from_compact(0x207f_ffff).expect("regtest's own"),
        current_time: UnixTime::from_seconds(1_700_000_000),
        min_time: UnixTime::from_seconds(1_600_000_000),
        coinbase_value: Sats(value),
        fees: Sats::ZERO,
        witness_commitment: segwit.then(|| commitment.into()),
        merkle_branches: [].into(),
        transaction_count: 0,
        transactions: [].into(),
        weight: 0,
        received_at: UnixTime::from_seconds(1_700_000_000),
    }
}

/// A payee of P2WPKH form, told apart by `byte`.
fn payee(byte: u8) -> Payee {
    let script: Vec<u8> = [0, 20].into_iter().chain([byte; 20]).collect();
    Payee { address: format!("address {byte}").into(), script: script.into() }
}

fn cut(byte: u8, basis_points: u32) -> Option<Cut> {
    (basis_points > 0).then(|| Cut { payee: payee(byte), basis_points })
}

fn payout(fee: u32, donation: u32) -> PayoutSettings {
    PayoutSettings { fee: cut(2, fee), donation: cut(3, donation), ..PayoutSettings::default() }
}

/// The coinbase without and with witness.
fn build(template: &Template, job: u32, tag: &str, settings: &PayoutSettings) -> [Vec<u8>; 2] {
    let prefix = prefix(template, job, tag);
    let suffix = suffix(template, &outputs(template, &payee(1), settings));
    let whole = with_witness(template, &prefix, &EXTRANONCE, &suffix);
    [[&prefix[..], &EXTRANONCE, &suffix].concat(), whole]
}

fn parse(bytes: &[u8]) -> Transaction {
    deserialize(bytes).expect("a transaction with nothing behind it")
}

#[test]
fn both_forms_are_one_transaction() {
    for segwit in [true, false] {
        let [plain, whole] = build(&template(840_000, 312_500_000, segwit), 7, "/warppool/", &payout(100, 50));
        let (without, with) = (parse(&plain), parse(&whole));
        assert_eq!(without.compute_txid(), with.compute_txid());
        assert_eq!(sha256d::double(&plain).to_string(), with.compute_txid().to_string());
        assert!(with.is_coinbase());
        assert_eq!(with.version.0, 2);
        let witness: Vec<&[u8]> = with.input[0].witness.iter().collect();
        assert_eq!(witness, if segwit { vec![&[0u8; 32][..]] } else { Vec::new() });
        assert_eq!(plain == whole, !segwit, "marker and flag only beside a commitment");
    }
}

#[test]
fn the_height_is_what_script_and_bip34_say() {
    for height in HEIGHTS {
        let [_, whole] = build(&template(height, 1, true), 1, "/warppool/", &payout(0, 0));
        let coinbase = parse(&whole);
        let expected = Builder::new().push_int(i64::from(height)).into_script();
        let script = coinbase.input[0].script_sig.clone();
        assert!(script.as_bytes().starts_with(expected.as_bytes()), "{height}: {script}");
        assert_eq!(coinbase.lock_time.to_consensus_u32(), height - 1, "{height}");
        assert_eq!(coinbase.input[0].sequence.0, 0xffff_fffe, "{height}");
        if height > 16 {
            // Below 17 the height is an opcode, which the crate's reader does not take.
            assert_eq!(block_with(coinbase).bip34_block_height(), Ok(u64::from(height)));
        }
    }
}

fn block_with(coinbase: Transaction) -> Block {
    let mut block = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
    block.header.version = bitcoin::block::Version::TWO;
    block.txdata = vec![coinbase];
    block
}

#[test]
fn script_sig_holds_tag_and_extranonce_and_fits_at_its_longest() {
    let tag = tag_text(&"t".repeat(POOL_TAG_BYTES_MAX - 2));
    assert_eq!(tag.len(), POOL_TAG_BYTES_MAX);
    for height in HEIGHTS {
        let [plain, _] = build(&template(height, 1, true), u32::MAX, &tag, &payout(0, 0));
        let script = parse(&plain).input[0].script_sig.to_bytes();
        assert!((2..=COINBASE_SCRIPT_BYTES_MAX).contains(&script.len()), "{height}: {} bytes", script.len());
        assert!(script.ends_with(&EXTRANONCE));
        assert!(script.windows(tag.len()).any(|window| window == tag.as_bytes()));
        let shown = script_for_people(height, u32::MAX, &tag);
        assert_eq!(shown[..shown.len() - EXTRANONCE_BYTES], script[..script.len() - EXTRANONCE_BYTES]);
    }
}

#[test]
fn jobs_of_one_template_are_never_the_same_work() {
    let template = template(101, 5_000_000_000, true);
    let coinbases = [1, 2, 0x100, 0x0100_0000].map(|job| build(&template, job, "/x/", &payout(0, 0))[0].clone());
    for (index, coinbase) in coinbases.iter().enumerate() {
        assert!(!coinbases[..index].contains(coinbase), "job {index}");
    }
}

#[test]
fn the_miner_comes_first_and_the_commitment_last() {
    let template = template(840_000, 312_500_000, true);
    let outputs = outputs(&template, &payee(1), &payout(150, 50));
    let seen: Vec<_> = outputs.iter().map(|output| (output.role, output.value.0)).collect();
    let expected = [("miner", 306_250_000), ("fee", 4_687_500), ("donation", 1_562_500), ("witness commitment", 0)];
    assert_eq!(seen, expected);
    let [_, whole] = build(&template, 1, "/x/", &payout(150, 50));
    for (parsed, ours) in parse(&whole).output.iter().zip(&outputs) {
        assert_eq!((parsed.value.to_sat(), parsed.script_pubkey.as_bytes()), (ours.value.0, &ours.script[..]));
    }
}

#[test]
fn a_cut_that_rounds_to_nothing_has_no_output() {
    let outputs = outputs(&template(1, 99, false), &payee(1), &payout(100, 101));
    assert_eq!(outputs.len(), 1);
    assert_eq!((outputs[0].role, outputs[0].value), ("miner", Sats(99)));
}

#[test]
fn tags_have_one_slash_on_either_side() {
    for tag in ["warppool", "/warppool/", "//warppool"] {
        assert_eq!(tag_text(tag), "/warppool/");
    }
}

#[test]
fn mainnet_block_100000_has_its_root_and_its_hash() {
    let hash = |text: &str| Hash256::parse_display(text).expect("64 digits");
    let [coinbase, first, second, third] = [
        "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
        "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
        "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
        "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
    ]
    .map(hash);
    let root = sha256d::fold(coinbase, &[first, sha256d::pair(&second, &third)]);
    assert_eq!(root.to_string(), "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766");
    let mut header = [0; 80];
    header[..4].copy_from_slice(&1u32.to_le_bytes());
    let previous = hash("000000000002d01c1fccc21636b607dfd930d31d01c3a62104612a1719011250");
    header[4..36].copy_from_slice(previous.as_internal());
    header[36..68].copy_from_slice(root.as_internal());
    header[68..72].copy_from_slice(&1_293_623_863u32.to_le_bytes());
    header[72..76].copy_from_slice(&0x1b04_864c_u32.to_le_bytes());
    header[76..].copy_from_slice(&274_148_111u32.to_le_bytes());
    let found = sha256d::header(&header);
    assert_eq!(found.to_string(), "000000000003ba27aa200b1cecaad478d2b00432346c3f1f3986da1afd33e506");
    assert!(Target::from_compact(0x1b04_864c).expect("mainnet's own").is_met_by(&found));
}

proptest! {
    #[test]
    fn no_satoshi_is_lost_or_made(
        value in 0u64..=2_100_000_000_000_000,
        fee in 0u32..=9_900,
        rest in 0u32..=9_900,
        segwit: bool,
    ) {
        let donation = rest.min(9_900 - fee);
        let template = template(840_000, value, segwit);
        let [_, whole] = build(&template, 1, "/warppool/", &payout(fee, donation));
        let coinbase = parse(&whole);
        let values: Vec<u64> = coinbase.output.iter().map(|output| output.value.to_sat()).collect();
        prop_assert_eq!(values.iter().sum::<u64>(), value);
        // Rounding is in the miner's favour: no cut exceeds its part.
        let cuts = u128::from(value) * u128::from(fee + donation) / 10_000;
        prop_assert!(u128::from(value - values[0]) <= cuts);
        prop_assert!(values[1..values.len() - usize::from(segwit)].iter().all(|cut| *cut > 0));
    }
}
