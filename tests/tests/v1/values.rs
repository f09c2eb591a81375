//! Rules 10 to 18 and 23: extranonces, versions, numbers, difficulties, sizes.

use serde_json::Value;
use std::collections::HashSet;
use std::time::Duration;
use warppool_components::units::Hash256;
use warppool_tests::miner::NOTIFY_BYTES_MAX;
use warppool_tests::pool::{Pool, authorize, settings};
use warppool_tests::work::{address, cut, taproot_address};

#[test]
fn rule_10_extranonces_are_unique_never_zero_and_different_after_a_restart() {
    let mut runs = Vec::new();
    // The last seed makes the counter pass through zero.
    for seed in [0, 1 << 16, 7, 0x0001_0000_8000_0000, u64::MAX - 500] {
        let mut pool = Pool::new(settings(), seed);
        let conns: Vec<_> = (0..1000).map(|_| pool.push_open()).collect();
        conns.iter().for_each(|conn| pool.push_line(*conn, r#"{"id":1,"method":"mining.subscribe"}"#));
        pool.tick();
        let extranonces: HashSet<String> = conns.iter().map(|conn| pool.miner(*conn).extranonce1.clone()).collect();
        let sessions: HashSet<String> = conns.iter().map(|conn| pool.miner(*conn).session.clone()).collect();
        assert_eq!((extranonces.len(), sessions.len()), (1000, 1000), "seed {seed}");
        assert!(extranonces.iter().all(|it| it.len() == 8 && it != "00000000"), "seed {seed}");
        assert_eq!(pool.miner(conns[0]).extranonce2_bytes, 8);
        runs.push((extranonces, sessions));
    }
    assert!(runs[0].0.is_disjoint(&runs[1].0), "another seed gives other values");
    assert!(runs[0].1.is_disjoint(&runs[1].1));
}

#[test]
fn rule_11_version_bits_come_as_bits_or_as_a_whole_version() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join_rolling(&address(1), "d=1e-9");
    assert_eq!(pool.miner(conn).job().version & 0x1fff_e000, 0, "rollable bits are zero");
    let submit = |pool: &mut Pool, extranonce2, bits: u32, sent: u32| {
        let share = pool.miner(conn).search().extranonce2(extranonce2).version_bits(bits).hit();
        let line = share.line(50, &address(1)).replace(&format!("\"{bits:08x}\""), &format!("\"{sent:08x}\""));
        pool.verdict(conn, 50, &line)
    };
    assert_eq!(submit(&mut pool, 1, 0x00c0_0000, 0x00c0_0000), Ok(()), "bits alone");
    assert_eq!(submit(&mut pool, 2, 0x00c0_0000, 0x20c0_0000), Ok(()), "a whole version");
    assert_eq!(submit(&mut pool, 3, 0, 0x2000_0000), Ok(()), "a whole version without rolled bits");
    assert_eq!(submit(&mut pool, 4, 0, 0), Ok(()), "no bits");
    let refused = Err((20, "Version bits outside the mask".to_owned()));
    assert_eq!(submit(&mut pool, 5, 0x0000_1000, 0x0000_1000), refused, "a bit that is not ours to roll");
    assert_eq!(submit(&mut pool, 6, 0x4000_0000, 0x6000_0000), refused, "a whole version of another kind");
}

#[test]
fn rule_11_without_negotiation_no_bit_may_be_rolled() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&address(1), "d=1e-9");
    let share = pool.miner(conn).search().version_bits(0x2000).hit();
    assert_eq!(pool.submit(conn, &address(1), &share), Err((20, "Version bits outside the mask".into())));
    let share = pool.miner(conn).search().version_bits(0).hit();
    assert_eq!(pool.submit(conn, &address(1), &share), Ok(()), "a sixth parameter of zero is harmless");
}

/// Rule 12 and defect 2: every subset of the extensions.
#[test]
fn rule_12_and_defect_02_every_subset_of_extensions_gets_a_whole_answer() {
    let names = ["version-rolling", "minimum-difficulty", "subscribe-extranonce", "info", "made-up"];
    for subset in 0..1 << names.len() {
        let asked: Vec<&str> = (0..names.len()).filter(|bit| subset >> bit & 1 == 1).map(|bit| names[bit]).collect();
        let list = asked.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(",");
        let mut pool = Pool::default();
        let conn = pool.connect();
        let line = format!(
            r#"{{"id":1,"method":"mining.configure","params":[[{list}],{{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":"oops","minimum-difficulty.value":0.5}}]}}"#
        );
        let lines = pool.ask(conn, &line);
        let reply: Value = serde_json::from_str(&lines[0]).expect("JSON for every subset");
        let result = reply["result"].as_object().expect("an object");
        for name in names {
            let answer = result.get(name);
            assert_eq!(answer.is_some(), asked.contains(&name), "{name} in {line}: {}", lines[0]);
            assert_eq!(answer.is_some_and(|it| *it == Value::Bool(true)), answer.is_some() && name != "made-up");
        }
        assert_eq!(result.get("version-rolling.mask").is_some(), asked.contains(&"version-rolling"));
    }
}

#[test]
fn rule_12_the_mask_is_what_both_want() {
    for (asked, granted) in [
        (r#"{"version-rolling.mask":"ffffffff"}"#, "1fffe000"),
        (r#"{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2}"#, "1fffe000"),
        (r#"{"version-rolling.mask":"00c00000","version-rolling.min-bit-count":"x"}"#, "00c00000"),
        (r#"{"version-rolling.mask":"1FFFFFE0"}"#, "1fffffe0"),
        (r#"{"version-rolling.min-bit-count":16}"#, "1fffe000"),
        ("{}", "1fffe000"),
        ("null", "1fffe000"),
    ] {
        let mut pool = Pool::default();
        let conn = pool.connect();
        let line = format!(r#"{{"id":1,"method":"mining.configure","params":[["version-rolling"],{asked}]}}"#);
        let expected = format!(
            r#"{{"id":1,"result":{{"version-rolling":true,"version-rolling.mask":"{granted}"}},"error":null}}"#
        );
        assert_eq!(pool.ask(conn, &line), [expected]);
    }
}

/// Rule 14 and defect 4.
#[test]
fn rule_14_and_defect_04_numbers_have_one_to_eight_digits_of_any_case() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join_rolling(&address(1), "d=1e-10");
    let user = address(1);
    for (extranonce2, write) in [
        (1, (|it| format!("{it:x}")) as fn(u32) -> String),
        (2, |it| format!("0x{it:x}")),
        (3, |it| format!("{it:08X}")),
        (4, |it| format!("0X{it:08X}")),
    ] {
        let share = pool.miner(conn).search().extranonce2(extranonce2).version_bits(0x00c0_e000).hit();
        let [ntime, nonce, bits] = [share.ntime, share.nonce, 0x00c0_e000].map(write);
        let line = format!(
            r#"{{"id":8,"method":"mining.submit","params":["{user}","{}","{}","{ntime}","{nonce}","{bits}"]}}"#,
            share.job, share.extranonce2
        );
        assert_eq!(pool.verdict(conn, 8, &line), Ok(()), "{line}");
    }
    for (nonce, said) in [("", "nonce"), ("123456789", "nonce"), ("12g4", "nonce"), ("-1", "nonce"), ("0x", "nonce")] {
        let line = format!(
            r#"{{"id":8,"method":"mining.submit","params":["{user}","1","0000000000000000","6b49d200","{nonce}"]}}"#
        );
        let (code, text) = pool.verdict(conn, 8, &line).expect_err("no number");
        assert!(code == 20 && text.contains(said), "{line}: {text}");
    }
}

#[test]
fn rule_14_only_small_devices_may_leave_the_zeros_of_extranonce2_out() {
    for (agent, short) in [("NerdMinerV2/1.8", Ok(())), ("bitaxe/BM1370/2.4", Err(20))] {
        let mut pool = Pool::default().with_work();
        let conn = pool.join_as(agent, &address(1), "d=1e-10");
        let share = pool.miner(conn).search().extranonce2(0xab).hit();
        let line = share.line(8, &address(1));
        let verdict = pool.verdict(conn, 8, &line.replace("00000000000000ab", "00ab"));
        assert_eq!(verdict.map_err(|(code, _)| code), short, "{agent}");
        let (code, text) =
            pool.verdict(conn, 8, &line.replace("00000000000000ab", "0000000000000000ab")).expect_err("long");
        assert!(code == 20 && text.contains("extranonce2"), "{agent}: {text}");
    }
}

#[test]
fn rule_15_difficulties_are_powers_of_two_or_plain_decimals() {
    for (asked, told) in [
        ("1024", "1024"),
        ("1000", "1024"),
        ("700", "512"),
        ("1", "1"),
        ("1.2", "1"),
        ("0.5", "0.5"),
        ("0.00015", "0.00015"),
        ("1e-9", "0.000000001"),
        ("1e-12", "0.000000000001"),
        ("1e30", "549755813888"),
    ] {
        let mut pool = Pool::default().with_work();
        let conn = pool.connect();
        pool.send(
            conn,
            &[r#"{"id":1,"method":"mining.subscribe"}"#, &authorize(2, &address(1), &format!("x,d={asked}"))],
        );
        let lines = pool.take(conn);
        assert_eq!(lines[2], format!(r#"{{"id":null,"method":"mining.set_difficulty","params":[{told}]}}"#), "{asked}");
    }
}

/// A bound that is no power of two must not become a difficulty that is none.
#[test]
fn rule_15_holds_at_the_bounds_too() {
    let mut settings = settings();
    settings.vardiff.min = warppool_tests::pool::difficulty(1000.0);
    let mut pool = Pool::new(settings, 7).with_work();
    let conn = pool.join(&address(1), "d=3");
    assert_eq!(pool.miner(conn).difficulty, Some(1024.0));
    let conn = pool.join(&address(2), "md=3000");
    assert_eq!(pool.miner(conn).difficulty, Some(4096.0));
    // Silence eases to the bound, and no further.
    let silent = pool.join_as("bmminer", &address(3), "x");
    pool.advance(Duration::from_secs(300));
    assert_eq!(pool.miner(silent).difficulty, Some(1024.0));
}

#[test]
fn rule_15_a_pin_that_comes_later_is_told_and_governs_the_next_job() {
    let mut pool = Pool::default().with_work();
    let user = address(1);
    let conn = pool.join(&user, "x");
    let before = pool.miner(conn).job().difficulty;
    let lines = pool.ask(conn, &authorize(3, &user, "d=4"));
    assert_eq!(lines[1..], [r#"{"id":null,"method":"mining.set_difficulty","params":[4]}"#], "{lines:?}");
    let share = pool.miner(conn).search().first(|reached| reached >= before && reached < 1.0);
    assert_eq!(pool.submit(conn, &user, &share), Ok(()), "the job at hand keeps its difficulty");
    let lines = pool.ask(conn, &authorize(4, &user, "d=1e-10"));
    assert_eq!(lines.len(), 1, "an easier one goes with its job: {lines:?}");
    pool.advance(Duration::from_secs(30));
    let lines = pool.take(conn);
    assert!(lines[0].contains("0.0000000001]") && lines[1].contains("mining.notify"), "{lines:?}");
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &user, &share), Ok(()));
}

/// Rule 18 and defect 30: 14 branches, 3 outputs and the commitment, the longest tag and addresses.
#[test]
fn rule_18_and_defect_30_a_notify_fits_small_devices() {
    let mut settings = settings();
    settings.pool_tag = "t".repeat(62);
    settings.payout.fee = Some(cut(&taproot_address(8), 100));
    settings.payout.donation = Some(cut(&taproot_address(9), 100));
    let mut pool = Pool::new(settings, u64::from(u32::MAX));
    let mut template = pool.next_tip();
    template.merkle_branches = vec![Hash256::from_internal([0xab; 32]); 14].into();
    template.height = 17_000_000;
    pool.template(template);
    let conn = pool.join(&taproot_address(1), "x");
    let lines = pool.take(conn);
    assert_eq!(lines.len(), 0, "join has read them");
    assert_eq!(pool.miner(conn).jobs.len(), 1);
    // The miner of these tests refuses longer ones; here the exact size is known.
    pool.advance(Duration::from_secs(30));
    let line = pool.take(conn).pop().expect("a refresh");
    assert!(line.contains("mining.notify") && line.len() > 1500 && line.len() < NOTIFY_BYTES_MAX, "{}", line.len());
}

/// `d=N` pins: neither a flood of shares nor an hour of silence moves it, nor does a suggestion. `md=N` is a floor.
#[test]
fn a_pinned_difficulty_stays_and_a_floor_holds() {
    let mut pool = Pool::default().with_work();
    let user = address(1);
    let conn = pool.join(&user, "d=1e-9");
    for share in pool.miner(conn).search().hits(40) {
        pool.submit(conn, &user, &share).expect("good");
    }
    pool.advance(Duration::from_secs(3600));
    pool.take(conn);
    pool.ask(conn, r#"{"id":9,"method":"mining.suggest_difficulty","params":[512]}"#);
    assert!(pool.miner(conn).jobs.iter().all(|job| job.difficulty == 1e-9));
    assert_eq!(pool.miner(conn).difficulty, Some(1e-9));
    let floored = pool.join(&address(2), "md=2");
    pool.advance(Duration::from_secs(600));
    assert_eq!(pool.miner(floored).job().difficulty, 2.0, "silence does not ease below the floor");
}

/// Rule 23 and defect 3.
#[test]
fn rule_23_and_defect_03_suggestions_are_answered_and_do_no_more() {
    let mut pool = Pool::default().with_work();
    let conn = pool.connect();
    let suggest =
        |id: u64, value: &str| format!(r#"{{"id":{id},"method":"mining.suggest_difficulty","params":[{value}]}}"#);
    let yes = |id: u64| format!(r#"{{"id":{id},"result":true,"error":null}}"#);
    assert_eq!(pool.ask(conn, &suggest(1, "0.00015")), [yes(1)], "before anything else");
    pool.send(conn, &[r#"{"id":2,"method":"mining.subscribe"}"#, &authorize(3, &address(1), "x")]);
    assert!(pool.take(conn)[2].contains("\"params\":[0.00015]"), "it is the start");
    for id in 10..40 {
        assert_eq!(pool.ask(conn, &suggest(id, "0.00015")), [yes(id)], "repeated");
    }
    assert_eq!(pool.ask(conn, &suggest(50, "0.0001")), [yes(50)], "an easier one waits for the next job");
    let lines = pool.ask(conn, &suggest(51, "512"));
    assert_eq!(lines, [yes(51), r#"{"id":null,"method":"mining.set_difficulty","params":[512]}"#.into()], "and no job");
    for bad in ["0", "-1", "\"x\"", "null", "1e400"] {
        let lines = pool.ask(conn, &suggest(60, bad));
        assert!(lines.len() == 1 && lines[0].contains("[20,"), "{bad}: {lines:?}");
    }
    assert_eq!(pool.closed(conn), None);
}

#[test]
fn rule_23_a_suggested_target_is_a_suggested_difficulty() {
    let mut pool = Pool::default().with_work();
    let conn = pool.connect();
    let target = format!("00000000{}{}", "003fffc0", "0".repeat(48));
    let line = format!(r#"{{"id":1,"method":"mining.suggest_target","params":["{target}"]}}"#);
    assert_eq!(pool.ask(conn, &line), [r#"{"id":1,"result":true,"error":null}"#]);
    pool.send(conn, &[r#"{"id":2,"method":"mining.subscribe"}"#, &authorize(3, &address(1), "x")]);
    assert_eq!(pool.miner(conn).difficulty, Some(1024.0));
}

/// Rule 23: not a floor for ever. Eight shares in no time let the difficulty leave the suggestion behind.
#[test]
fn rule_23_a_suggestion_is_no_bound() {
    let mut pool = Pool::default().with_work();
    let conn = pool.connect();
    pool.send(
        conn,
        &[
            r#"{"id":1,"method":"mining.subscribe"}"#,
            r#"{"id":2,"method":"mining.suggest_difficulty","params":[1e-9]}"#,
            &authorize(3, &address(1), "x"),
        ],
    );
    pool.take(conn);
    for share in pool.miner(conn).search().hits(8) {
        pool.advance(Duration::from_millis(10));
        assert_eq!(pool.submit(conn, &address(1), &share), Ok(()));
    }
    let raised = pool.miner(conn).difficulty.expect("told");
    assert!(raised > 3e-9, "{raised}");
    pool.take(conn);
    let line = r#"{"id":4,"method":"mining.suggest_difficulty","params":[2e-9]}"#;
    assert_eq!(pool.ask(conn, line).last().map(|line| line.starts_with("{\"id\":4,")), Some(true));
    assert_eq!(pool.miner(conn).difficulty, Some(raised), "shares know better than a suggestion");
}
