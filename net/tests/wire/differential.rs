//! The fast path and the general parser agree on every line that the fast path takes.

use proptest::prelude::*;
use warppool_net::wire::v1::{Request, parse, scan_submit};

const LINES: [&str; 6] = [
    r#"{"id": 7, "method": "mining.submit", "params": ["bc1qexample.axe", "1f", "00000000000000a1", "6720b6e1", "9e1f03b2", "0004c000"]}"#,
    r#"{"id":3,"method":"mining.submit","params":["bc1qexample.nerd","2a","0000000000000001","6720b6e1","a1"]}"#,
    r#"{"params": ["user.1", "ffffffff", "0100000000000000", "5f5e1000", "deadbeef"], "id": 1234, "method": "mining.submit"}"#,
    r#"{"method": "mining.submit", "params": ["user", "1", "00", "0x5f5e1000", "1"], "id":null}"#,
    r#"{"id":"x","params":["u","","","1","1",""],"method":"mining.submit"}"#,
    r#"{"id":1,"method":"mining.subscribe","params":["cpuminer/2.5.1"]}"#,
];

/// Pieces that mean something in one place or another.
const PIECES: [&str; 30] = [
    "\"",
    "\\",
    ",",
    ":",
    "[",
    "]",
    "{",
    "}",
    " ",
    "\t",
    "\r",
    "\n",
    "0",
    "00",
    "0x",
    "-",
    ".5",
    "e1",
    "g",
    "ü",
    "\u{7f}",
    "\u{1}",
    "null",
    "true",
    "\"id\":",
    "\"params\":",
    "\"method\":",
    "\"mining.submit\"",
    "\\u0041",
    "[[]]",
];

#[derive(Clone, Debug)]
enum Edit {
    Insert(&'static str),
    Delete(usize),
    Replace(u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => proptest::sample::select(&PIECES[..]).prop_map(Edit::Insert),
        2 => (1usize..20).prop_map(Edit::Delete),
        2 => any::<u8>().prop_map(Edit::Replace),
    ]
}

fn apply(line: &mut Vec<u8>, place: prop::sample::Index, edit: &Edit) {
    let at = place.index(line.len() + 1);
    match edit {
        Edit::Insert(piece) => {
            line.splice(at..at, piece.bytes());
        }
        Edit::Delete(count) => {
            let end = (at + count).min(line.len());
            line.drain(at..end);
        }
        Edit::Replace(byte) => line.splice(at..(at + 1).min(line.len()), [*byte]).for_each(drop),
    }
}

fn assert_agreement(line: &[u8]) {
    let Some(submit) = scan_submit(line) else { return };
    let text = String::from_utf8_lossy(line);
    let message = parse(line).unwrap_or_else(|error| panic!("only the fast path takes {text}: {error}"));
    assert_eq!(message.id.as_deref(), Some(submit.id), "{text}");
    let Request::Submit { username, claim } = message.request else { panic!("{text}: {:?}", message.request) };
    assert_eq!((username.as_bytes(), claim), (submit.username, Ok(submit.claim)), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_paths_agree_on_mutated_lines(
        line in proptest::sample::select(&LINES[..]),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), edit()), 0..4),
    ) {
        let mut line = line.as_bytes().to_vec();
        for (place, edit) in &edits {
            apply(&mut line, *place, edit);
        }
        assert_agreement(&line);
    }

    #[test]
    fn bytes_of_any_kind_are_survived(line in proptest::collection::vec(any::<u8>(), 0..300)) {
        assert_agreement(&line);
        let _ = parse(&line);
    }

    #[test]
    fn well_formed_submits_take_the_fast_path(
        id in any::<u64>(), username in "[ -!#-\\[\\]-~]{1,40}", job in any::<u32>(), extranonce2 in any::<u64>(),
        ntime in any::<u32>(), nonce in any::<u32>(), version in proptest::option::of(any::<u32>()),
    ) {
        let version_text = version.map(|version| format!(",\"{version:08x}\"")).unwrap_or_default();
        let line = format!(
            "{{\"id\":{id},\"method\":\"mining.submit\",\"params\":[\"{username}\",\"{job:x}\",\"{extranonce2:016x}\",\"{ntime:08x}\",\"{nonce:x}\"{version_text}]}}"
        );
        let submit = scan_submit(line.as_bytes()).expect("a usual shape");
        prop_assert_eq!(submit.username, username.as_bytes());
        prop_assert_eq!(submit.claim.job.0, job);
        prop_assert_eq!(submit.claim.extranonce2, extranonce2.to_be_bytes());
        prop_assert_eq!((submit.claim.ntime, submit.claim.nonce, submit.claim.version), (ntime, nonce, version));
        assert_agreement(line.as_bytes());
    }
}
