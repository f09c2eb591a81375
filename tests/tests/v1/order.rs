//! Rules 3 to 9, 13 and 22: what is answered, and in which order lines leave the pool.

use serde_json::{Value, json};
use warppool_tests::pool::{CONFIGURE, Pool, authorize};
use warppool_tests::work::address;

const SUBSCRIBE: &str = r#"{"id":1,"method":"mining.subscribe","params":["test/1.0"]}"#;

fn json(line: &str) -> Value {
    serde_json::from_str(line).expect("JSON")
}

/// What each line is: the id of a reply, or the method of a notification.
fn kinds(lines: &[String]) -> Vec<String> {
    let kind = |line: &String| match &json(line)["method"] {
        Value::String(method) => method.clone(),
        _ => json(line)["id"].to_string(),
    };
    lines.iter().map(kind).collect()
}

#[test]
fn rule_03_ids_are_echoed_byte_for_byte() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&address(1), "x");
    let ids = ["1", "0", "-7", "1.50", "1e3", "null", "\"\"", "\"x y\"", "\"\\u0041\\\"\"", "false"];
    let long = "123456789012345678901234567890";
    for id in ids.into_iter().chain([long]) {
        for request in
            ["\"method\":\"mining.ping\",\"params\":[]", "\"method\":\"no.such\"", "\"method\":\"mining.submit\""]
        {
            for line in [format!("{{\"id\":{id},{request}}}"), format!(" {{ {request} , \"id\" : {id} }} ")] {
                let lines = pool.ask(conn, &line);
                assert!(
                    lines.len() == 1 && lines[0].starts_with(&format!("{{\"id\":{id},\"result\":")),
                    "{line} {lines:?}"
                );
            }
            let share = pool.miner(conn).search().miss();
            let line = share.line(77, &address(1)).replace("77", id);
            let lines = pool.ask(conn, &line);
            assert!(lines[0].starts_with(&format!("{{\"id\":{id},\"result\":")), "{line} {lines:?}");
        }
    }
    assert_eq!(pool.ask(conn, r#"{"method":"mining.ping"}"#), Vec::<String>::new(), "no id, no answer");
}

#[test]
fn rule_04_and_defect_07_unknown_methods_are_answered_and_the_connection_lives_on() {
    let mut pool = Pool::default();
    let conn = pool.connect();
    for number in 0..20 {
        let lines = pool.ask(conn, &format!(r#"{{"id":{number},"method":"mining.unknown_{number}","params":[]}}"#));
        assert_eq!(lines, [format!(r#"{{"id":{number},"result":null,"error":[20,"Unsupported method",null]}}"#)]);
    }
    assert_eq!(pool.closed(conn), None);
    assert_eq!(kinds(&pool.ask(conn, SUBSCRIBE)), ["1"]);
}

#[test]
fn rule_05_params_may_be_missing_null_empty_or_an_object() {
    let methods = [
        "mining.subscribe",
        "mining.configure",
        "mining.authorize",
        "mining.submit",
        "mining.suggest_difficulty",
        "mining.suggest_target",
        "mining.extranonce.subscribe",
        "mining.ping",
        "mining.multi_version",
        "client.get_version",
    ];
    for method in methods {
        for params in ["", ",\"params\":null", ",\"params\":[]", ",\"params\":{}", ",\"params\":{\"a\":[1]}"] {
            let mut pool = Pool::default().with_work();
            let conn = pool.connect();
            let lines = pool.ask(conn, &format!("{{\"id\":5,\"method\":\"{method}\"{params}}}"));
            assert_eq!(kinds(&lines), ["5"], "{method} {params}");
            assert_eq!(pool.closed(conn), None);
            let lines = pool.ask(conn, SUBSCRIBE);
            assert_eq!(kinds(&lines), ["1"], "{method} {params}");
        }
    }
}

#[test]
fn rule_06_the_reply_to_subscribe_is_the_first_line_and_holds_mining_notify() {
    let mut pool = Pool::default().with_work();
    let conn = pool.connect();
    pool.new_tip();
    assert_eq!(pool.take(conn), Vec::<String>::new(), "nothing unsolicited");
    let template = pool.next_tip();
    pool.push_template(template);
    let lines = pool.ask(conn, SUBSCRIBE);
    assert!(lines.len() == 1 && lines[0].contains("mining.notify") && lines[0].len() < 1023, "{lines:?}");
    let reply = json(&lines[0]);
    assert_eq!(reply["result"][0][0][0], "mining.notify");
    assert_eq!(reply["result"][1].as_str().map(str::len), Some(8));
    assert_eq!(reply["result"][2], 8);
    pool.new_tip();
    assert_eq!(pool.take(conn), Vec::<String>::new(), "no job before authorize");
}

#[test]
fn rule_06_a_mask_waits_for_the_reply_to_subscribe() {
    let mut pool = Pool::default().with_work();
    let conn = pool.connect();
    assert_eq!(kinds(&pool.ask(conn, &authorize(2, &address(1), "x"))), ["2"]);
    assert_eq!(kinds(&pool.ask(conn, CONFIGURE)), ["0"]);
    let kinds = kinds(&pool.ask(conn, SUBSCRIBE));
    assert_eq!(kinds, ["1", "mining.set_version_mask", "mining.set_difficulty", "mining.notify"]);
}

#[test]
fn rule_07_nothing_stands_between_authorize_and_its_reply() {
    let mut pool = Pool::default().with_work();
    let conn = pool.connect();
    pool.ask(conn, CONFIGURE);
    pool.ask(conn, SUBSCRIBE);
    let template = pool.next_tip();
    pool.push_template(template);
    let lines = pool.ask(conn, &authorize(2, &address(1), "x"));
    assert_eq!(kinds(&lines), ["2", "mining.set_difficulty", "mining.notify"]);
    assert_eq!(lines[0], r#"{"id":2,"result":true,"error":null}"#);
}

#[test]
fn rule_08_difficulty_then_a_clean_job_follow_authorize() {
    let mut pool = Pool::default().with_work();
    pool.advance(std::time::Duration::from_secs(31));
    let conn = pool.connect();
    pool.ask(conn, SUBSCRIBE);
    let lines = pool.ask(conn, &authorize(2, &address(1), "x"));
    assert_eq!(kinds(&lines), ["2", "mining.set_difficulty", "mining.notify"]);
    assert_eq!(json(&lines[2])["params"][8], true, "the first job is clean although it is no new tip");
}

#[test]
fn rule_08_without_work_the_job_follows_as_soon_as_there_is_some() {
    let mut pool = Pool::default();
    let conn = pool.connect();
    pool.ask(conn, SUBSCRIBE);
    assert_eq!(kinds(&pool.ask(conn, &authorize(2, &address(1), "x"))), ["2"]);
    pool.new_tip();
    let lines = pool.take(conn);
    assert_eq!(kinds(&lines), ["mining.set_difficulty", "mining.notify"]);
    assert_eq!(json(&lines[1])["params"][8], true);
}

/// Rules 9 and 13: every order of the three requests, one by one and in one segment.
#[test]
fn rule_09_and_13_configure_subscribe_and_authorize_in_any_order() {
    let user = authorize(2, &address(1), "x");
    let all = [("0", CONFIGURE), ("1", SUBSCRIBE), ("2", user.as_str())];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for in_one_segment in [false, true] {
            let mut pool = Pool::default().with_work();
            let conn = pool.connect();
            let sent = order.map(|place| all[place].1);
            if in_one_segment {
                pool.send(conn, &sent);
            } else {
                sent.iter().for_each(|line| pool.send(conn, &[line]));
            }
            let kinds = kinds(&pool.take(conn));
            let at = |wanted: &str| kinds.iter().position(|kind| kind == wanted).unwrap_or_else(|| panic!("{kinds:?}"));
            let places = order.map(|place| at(all[place].0));
            assert!(places.is_sorted(), "{order:?}: answers in the order of requests: {kinds:?}");
            let configured_late = order.iter().position(|it| *it == 0) > order.iter().position(|it| *it == 2);
            let masks = kinds.iter().filter(|kind| *kind == "mining.set_version_mask").count();
            assert_eq!(masks, usize::from(configured_late), "{order:?} {kinds:?}");
            assert!(at("mining.set_difficulty") < at("mining.notify"), "{order:?} {kinds:?}");
            assert_eq!(kinds.len(), 5 + masks, "{order:?} {kinds:?}");
            assert_eq!(pool.miner(conn).version_mask, 0x1fff_e000);
        }
    }
}

#[test]
fn rule_09_a_repeated_subscribe_gives_the_same_values() {
    let mut pool = Pool::default().with_work();
    let conn = pool.connect();
    let first = pool.ask(conn, SUBSCRIBE);
    assert_eq!(pool.ask(conn, SUBSCRIBE), first);
    pool.ask(conn, &authorize(2, &address(1), "x"));
    assert_eq!(pool.ask(conn, r#"{"id":1,"method":"mining.subscribe","params":[]}"#), first, "and no job again");
    let share = pool.miner(conn).search().hit();
    assert_eq!(pool.submit(conn, &address(1), &share), Ok(()));
}

#[test]
fn rule_13_a_mask_is_sent_at_each_late_configure_and_never_else() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join_rolling(&address(1), "x");
    pool.advance(std::time::Duration::from_secs(100));
    pool.new_tip();
    assert!(!kinds(&pool.take(conn)).contains(&"mining.set_version_mask".to_owned()));
    let narrow = CONFIGURE.replace("ffffffff", "00c00000");
    let lines = pool.ask(conn, &narrow);
    assert_eq!(kinds(&lines), ["0", "mining.set_version_mask"]);
    assert_eq!(json(&lines[1])["params"], json!(["00c00000"]));
    let lone = r#"{"id":9,"method":"mining.configure","params":[["info"],{}]}"#;
    assert_eq!(kinds(&pool.ask(conn, lone)), ["9"], "only version rolling has a mask");
}

#[test]
fn rule_22_pings_are_answered_and_pongs_of_any_shape_are_not() {
    let mut pool = Pool::default();
    let conn = pool.connect();
    let lines = pool.ask(conn, r#"{"id":9,"method":"mining.ping","params":[]}"#);
    assert_eq!(lines, [r#"{"id":9,"result":"pong","error":null}"#]);
    for pong in [
        r#"{"result":"pong"}"#,
        r#"{"id":1,"result":"pong","error":null}"#,
        r#"{"id":3,"method":"pong"}"#,
        r#"{"id":null,"result":true,"error":null}"#,
    ] {
        assert_eq!(pool.ask(conn, pong), Vec::<String>::new(), "{pong}");
    }
    assert_eq!(pool.closed(conn), None);
}
