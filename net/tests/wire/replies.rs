//! The exact bytes that miners get.

use serde_json::{Value, json};
use warppool_components::job::JobId;
use warppool_components::reject::Reject;
use warppool_components::units::{Difficulty, Hash256};
use warppool_net::wire::v1::emit::{self, ConfigureAnswer, Notify};

/// The text that `emit` appends; asserts that it is one line and leaves alone what was there.
fn line(emit: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = b"before".to_vec();
    emit(&mut out);
    let text = String::from_utf8(out).expect("UTF-8");
    let text = text.strip_prefix("before").expect("appended only");
    let text = text.strip_suffix('\n').expect("ends with a newline");
    assert!(!text.contains('\n'), "{text}");
    text.to_owned()
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn rule_02_and_03_replies_are_one_line_with_id_result_and_error() {
    let cases = [
        (line(|out| emit::true_reply(out, b"1")), r#"{"id":1,"result":true,"error":null}"#),
        (line(|out| emit::false_reply(out, b"\"a\"")), r#"{"id":"a","result":false,"error":null}"#),
        (line(|out| emit::pong_reply(out, b"1.50")), r#"{"id":1.50,"result":"pong","error":null}"#),
        (line(|out| emit::text_reply(out, b"null", "a\"b")), r#"{"id":null,"result":"a\"b","error":null}"#),
        (
            line(|out| emit::error_reply(out, b"3", emit::CODE_OTHER, emit::UNSUPPORTED_METHOD)),
            r#"{"id":3,"result":null,"error":[20,"Unsupported method",null]}"#,
        ),
        (
            line(|out| emit::reject_reply(out, b"4", Reject::Duplicate)),
            r#"{"id":4,"result":null,"error":[22,"Duplicate share",null]}"#,
        ),
        (
            line(|out| emit::subscribe_reply(out, b"2", 0xab, &[0, 1, 0xfe, 0xff], 8)),
            r#"{"id":2,"result":[[["mining.notify","00000000000000ab"]],"0001feff",8],"error":null}"#,
        ),
    ];
    for (written, expected) in cases {
        assert_eq!(written, expected);
        value(&written);
    }
}

#[test]
fn notifications_carry_a_null_id() {
    let cases = [
        (
            line(|out| emit::set_version_mask(out, 0x00c0_0000)),
            r#"{"id":null,"method":"mining.set_version_mask","params":["00c00000"]}"#,
        ),
        (
            line(|out| emit::show_message(out, "line\nbreak")),
            r#"{"id":null,"method":"client.show_message","params":["line\nbreak"]}"#,
        ),
    ];
    for (written, expected) in cases {
        assert_eq!(written, expected);
    }
}

#[test]
fn a_difficulty_is_an_integer_or_a_plain_decimal() {
    let cases = [
        (1.0, "1"),
        (4096.0, "4096"),
        (1e20, "100000000000000000000"),
        (1500.5, "1501"),
        (0.5, "0.5"),
        (0.002, "0.002"),
        (0.00015, "0.00015"),
        (1e-9, "0.000000001"),
        (4.656_542_373_906_925e-10, "0.0000000004656542373906925"),
    ];
    for (difficulty, text) in cases {
        let difficulty = Difficulty::new(difficulty).expect("positive");
        let expected = format!(r#"{{"id":null,"method":"mining.set_difficulty","params":[{text}]}}"#);
        assert_eq!(line(|out| emit::set_difficulty(out, difficulty)), expected);
    }
}

#[test]
fn each_cause_of_rejection_has_its_code_and_a_text_of_its_own() {
    let mut texts: Vec<&str> = Reject::ALL.into_iter().map(emit::reject_text).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), Reject::COUNT);
    let codes = [21, 21, 22, 23, 24, 25, 20, 20, 20, 20, 20, 21];
    assert_eq!(Reject::ALL.map(emit::reject_code), codes);
}

#[test]
fn defect_02_every_subset_of_extensions_is_answered_with_valid_json() {
    for subset in 0..64u32 {
        let asked = |bit: u32| subset >> bit & 1 == 1;
        let unknown: Vec<String> = ["od\"d", "new\\thing"].into_iter().map(str::to_owned).collect();
        let unknown = &unknown[..(subset >> 4) as usize % 3];
        let answer = ConfigureAnswer {
            mask: asked(0).then_some(0x1fff_e000),
            minimum_difficulty: asked(1).then_some(true),
            subscribe_extranonce: asked(2).then_some(false),
            info: asked(3).then_some(true),
            unknown,
        };
        let mut expected = serde_json::Map::new();
        if asked(0) {
            expected.insert("version-rolling".into(), json!(true));
            expected.insert("version-rolling.mask".into(), json!("1fffe000"));
        }
        let others = [(1, "minimum-difficulty", true), (2, "subscribe-extranonce", false), (3, "info", true)];
        for (_, name, granted) in others.into_iter().filter(|(bit, ..)| asked(*bit)) {
            expected.insert(name.into(), json!(granted));
        }
        expected.extend(unknown.iter().map(|name| (name.clone(), json!(false))));
        let written = line(|out| emit::configure_reply(out, b"0", &answer));
        assert_eq!(value(&written), json!({"id": 0, "result": expected, "error": null}), "{written}");
    }
}

#[test]
fn no_bits_to_roll_is_a_refusal_and_the_mask_is_never_written_twice() {
    let unknown = ["version-rolling.mask".to_owned()];
    let refused = ConfigureAnswer { mask: Some(0), ..ConfigureAnswer::default() };
    let written = line(|out| emit::configure_reply(out, b"1", &refused));
    assert_eq!(written, r#"{"id":1,"result":{"version-rolling":false},"error":null}"#);
    let twice = ConfigureAnswer { mask: Some(0x2000), unknown: &unknown, ..ConfigureAnswer::default() };
    let written = line(|out| emit::configure_reply(out, b"1", &twice));
    assert_eq!(written, r#"{"id":1,"result":{"version-rolling":true,"version-rolling.mask":"00002000"},"error":null}"#);
}

/// Block 100000 of the main network as a job: the tip as miners were told in 2010's terms.
#[test]
fn a_notify_is_written_in_the_byte_orders_of_the_protocol() {
    let previous = "000000000002d01c1fccc21636b607dfd930d31d01c3a62104612a1719011250";
    let previous = Hash256::parse_display(previous).expect("a hash");
    let branches = [Hash256::from_internal([0x11; 32]), Hash256::from_internal(std::array::from_fn(|at| at as u8))];
    let job = Notify {
        job: JobId(0x1f),
        previous_block: &previous,
        coinbase_prefix: &[0x01, 0x00],
        coinbase_suffix: &[0xff],
        branches: &branches,
        version: 0x2000_0000,
        bits: 0x1b04_864c,
        ntime: 0x4d1b_2237,
        clean: true,
    };
    let expected = concat!(
        r#"{"id":null,"method":"mining.notify","params":["1f","#,
        r#""1901125004612a1701c3a621d930d31d36b607df1fccc2160002d01c00000000","0100","ff","#,
        r#"["1111111111111111111111111111111111111111111111111111111111111111","#,
        r#""000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"],"#,
        r#""20000000","1b04864c","4d1b2237",true]}"#
    );
    assert_eq!(line(|out| emit::notify(out, &job)), expected);
    let empty = Notify { branches: &[], clean: false, ..job };
    let written = value(&line(|out| emit::notify(out, &empty)));
    assert_eq!((&written["params"][4], &written["params"][8]), (&json!([]), &json!(false)));
}

#[test]
fn defect_30_a_notify_with_14_branches_and_3_outputs_fits_small_devices() {
    // Version, input count, previous output, script length, then at most 100 bytes of script less the extranonce.
    let prefix = vec![0xab; 4 + 1 + 36 + 1 + 100 - 12];
    // Sequence, three taproot outputs and the witness commitment, lock time.
    let suffix = vec![0xcd; 4 + 1 + 3 * (8 + 1 + 34) + (8 + 1 + 38) + 4];
    let branches = [Hash256::from_internal([0xee; 32]); 14];
    let job = Notify {
        job: JobId(u32::MAX),
        previous_block: &Hash256::ZERO,
        coinbase_prefix: &prefix,
        coinbase_suffix: &suffix,
        branches: &branches,
        version: 0x2000_0000,
        bits: 0x1703_4219,
        ntime: 0x6720_b6e1,
        clean: false,
    };
    let written = line(|out| emit::notify(out, &job));
    assert!(written.len() < 2500, "{} bytes", written.len());
}
