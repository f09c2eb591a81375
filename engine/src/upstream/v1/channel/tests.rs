//! The session hears lines and sends shares.

use super::*;
use warppool_components::units::Hash256;
use warppool_components::upstream::GivenWork;

const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

/// The job of block 840,000's parent's child as pools send it; only what is checked here is real.
fn notify(name: &str, previous: &str, clean: bool) -> String {
    let start = format!("02000000{}{}{}{}", "01", "00".repeat(32), "ffffffff", "140340d10c");
    let branch = "05".repeat(32);
    json!({ "id": null, "method": "mining.notify", "params":
        [name, previous, start, "ffffffff00000000", [branch], "20002000", "1d00ffff", "665a2b00", clean] })
    .to_string()
}

fn previous(byte: &str) -> String {
    // The first word's bytes are turned round.
    format!("{}{}", "04030201", byte.repeat(28))
}

fn channel(own_bytes: usize) -> V1Channel {
    let endpoint = "pool.lan:3333".parse().expect("an endpoint");
    let extranonce = Extranonce { prefix: vec![0xaa, 0xbb, 0xcc, 0xdd], own_bytes };
    V1Channel::new(3, "bc1q.farm", &endpoint, extranonce, 0x1fff_e000)
}

fn hear(channel: &mut V1Channel, line: &str) -> Heard {
    channel.hear(line.as_bytes(), NOW).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn work(heard: Heard) -> GivenWork {
    let given = heard.events.into_iter().find_map(|event| match event {
        NodeEvent::Given(work) => Some(work),
        _ => None,
    });
    given.expect("work")
}

fn told(channel: &mut V1Channel, method: &str, params: &str) -> Heard {
    hear(channel, &format!("{{\"id\":null,\"method\":\"{method}\",\"params\":{params}}}"))
}

fn share(job_id: u32) -> UpstreamShare {
    let extranonce = [1, 2, 3, 4, 5, 6, 7, 8];
    UpstreamShare { session: 3, job_id, nonce: 0x12, ntime: 0x665a_2b01, version: 0x20c0_0000, extranonce }
}

fn target(difficulty: f64) -> Target {
    Target::from_difficulty(Difficulty::new(difficulty).expect("positive"))
}

#[test]
fn a_job_becomes_work_under_the_difficulty_that_was_told_before_it() {
    let mut channel = channel(10);
    let told_16 = told(&mut channel, "mining.set_difficulty", "[16]");
    assert_eq!(told_16.events, [NodeEvent::UpstreamTarget(target(16.0))]);
    let first = work(hear(&mut channel, &notify("a", &previous("09"), true)));
    let (template, coinbase) = (&first.template, &first.coinbase);
    let expected = [&[1, 2, 3, 4][..], &[9; 28]].concat();
    assert_eq!(template.previous_block, Hash256::from_internal(expected.try_into().expect("32 bytes")));
    assert_eq!((template.height, template.bits, template.version), (840_000, 0x1d00_ffff, 0x2000_0000));
    assert_eq!(template.time_at(NOW).header_seconds(), 0x665a_2b00);
    assert!(coinbase.prefix.ends_with(&[0x0c, 0xaa, 0xbb, 0xcc, 0xdd, 0, 0]), "unused bytes of ours are zeros");
    assert_eq!((coinbase.session, coinbase.target, first.clean), (3, target(16.0), true));
    assert_eq!(coinbase.version_mask, 0x1fff_e000);
    told(&mut channel, "mining.set_difficulty", "[32]");
    let second = work(hear(&mut channel, &notify("b", &previous("09"), false)));
    assert_eq!((second.coinbase.target, second.clean), (target(32.0), false));
    assert_ne!(second.coinbase.job_id, first.coinbase.job_id);
}

#[test]
fn a_pool_that_tells_no_difficulty_means_one() {
    let mut channel = channel(8);
    let heard = hear(&mut channel, &notify("a", &previous("09"), true));
    assert_eq!(heard.events[0], NodeEvent::UpstreamTarget(target(1.0)));
    assert_eq!(work(heard).coinbase.target, target(1.0));
}

#[test]
fn shares_are_sent_by_the_name_of_their_job_and_answers_counted_by_their_codes() {
    let mut channel = channel(10);
    let now = Instant::now();
    let job = work(hear(&mut channel, &notify("weird\"name", &previous("09"), true))).coinbase.job_id;
    let lines: Vec<Value> = (0..8)
        .map(|_| serde_json::from_slice(&channel.submit(&share(job), now).expect("sent")).expect("a line of JSON"))
        .collect();
    assert_eq!(lines[0]["method"], "mining.submit");
    let expected = ["bc1q.farm", "weird\"name", "00000102030405060708", "665a2b01", "00000012", "00c00000"];
    assert_eq!(lines[0]["params"], json!(expected));
    let answers = [
        ("\"result\":true,\"error\":null", Verdict::Accepted(1)),
        ("\"result\":false,\"error\":[21,\"Job not found\",null]", refused(21, "Job not found")),
        ("\"result\":null,\"error\":[23,\"low\\u0007 difficulty\",null]", refused(23, "low difficulty")),
        ("\"result\":null,\"error\":{\"code\":22}", refused(20, "{\"code\":22}")),
        ("\"result\":false", refused(20, "no error is given")),
        ("\"error\":[99999,\"new\"]", refused(20, "new")),
        ("\"result\":true", Verdict::Accepted(1)),
    ];
    for (line, (answer, verdict)) in lines.iter().zip(answers) {
        let answer = format!("{{\"id\":{},{answer}}}", line["id"]);
        assert_eq!(hear(&mut channel, &answer).verdict, Some(verdict), "{answer}");
        assert_eq!(hear(&mut channel, &answer).verdict, None, "nobody waits for it twice");
    }
    assert_eq!(channel.pending.count(), 1);
    assert_eq!(channel.submit(&UpstreamShare { session: 2, ..share(job) }, now), Err(Dropped::OtherSession));
    assert_eq!(channel.submit(&share(job + 1), now), Err(Dropped::JobGone));
}

fn refused(code: u32, reason: &str) -> Verdict {
    Verdict::Rejected { code, reason: reason.to_owned() }
}

#[test]
fn another_extranonce_ends_what_miners_have() {
    let mut channel = channel(8);
    let old = work(hear(&mut channel, &notify("a", &previous("09"), true))).coinbase.job_id;
    told(&mut channel, "mining.set_extranonce", "[\"aabbccdd\", 8]");
    assert!(channel.submit(&share(old), Instant::now()).is_ok(), "the same one again changes nothing");
    told(&mut channel, "mining.set_extranonce", "[\"0102030405\", 9]");
    assert_eq!(channel.submit(&share(old), Instant::now()), Err(Dropped::JobGone));
    let next = work(hear(&mut channel, &notify("b", &previous("09"), false)));
    assert!(next.clean && next.coinbase.prefix.ends_with(&[0x0c, 1, 2, 3, 4, 5, 0]));
}

#[test]
fn pings_are_answered_and_people_read_messages_without_tricks() {
    let mut channel = channel(8);
    for (line, answer) in [
        (r#"{"id":"x7","method":"mining.ping","params":[]}"#, Some(r#"{"id":"x7","result":"pong","error":null}"#)),
        (r#"{"id":null,"method":"mining.ping","params":[]}"#, None),
        (r#"{"id":1,"method":"something.new","params":{}}"#, None),
        (r#"{"id":null,"method":"client.show_message","params":["hello"]}"#, None),
    ] {
        let heard = hear(&mut channel, line);
        assert_eq!(heard.answer.as_deref(), answer.map(str::as_bytes), "{line}");
    }
    let version = hear(&mut channel, r#"{"id":2,"method":"client.get_version","params":[]}"#).answer;
    assert!(version.expect("an answer").starts_with(b"{\"id\":2,\"result\":\"WarpPool/"));
    assert_eq!(printable("a\x1b[31mred\n").as_str(), "a[31mred");
}

#[test]
fn a_pool_may_send_us_to_another_port_but_not_to_another_host() {
    let mut channel = channel(8);
    told(&mut channel, "client.reconnect", "[\"evil.example\", 3333, 0]");
    for (params, port, seconds) in [
        ("[]", 3333, 0),
        ("[\"POOL.lan\", 4444, 5]", 4444, 5),
        ("[\"\", \"4444\", 100000]", 4444, 30),
        ("[\"pool.lan\", 99999]", 3333, 0),
    ] {
        let line = format!("{{\"method\":\"client.reconnect\",\"params\":{params}}}");
        let Err(UpstreamError::Redirect { port: found, wait }) = channel.hear(line.as_bytes(), NOW) else {
            panic!("{params} is followed")
        };
        assert_eq!((found, wait.as_secs()), (port, seconds), "{params}");
    }
}

#[test]
fn a_pool_of_no_use_is_left_with_a_reason() {
    let bad_job = |place: usize, value: Value| {
        let mut line: Value = serde_json::from_str(&notify("a", &previous("09"), true)).expect("JSON");
        line["params"][place] = value;
        line.to_string()
    };
    let branches = Value::from(vec!["00".repeat(32); 40]);
    for (line, reason) in [
        ("HTTP/1.1 400 Bad Request".to_owned(), "no Stratum V1"),
        ("[]".to_owned(), "no Stratum V1"),
        ("\u{fffd}".to_owned(), "no Stratum V1"),
        ("[".repeat(100_000), "no Stratum V1"),
        (bad_job(0, json!(5)), "it has no name"),
        (bad_job(1, json!("00")), "its previous block"),
        (bad_job(2, json!("0")), "the start of its coinbase"),
        (bad_job(4, branches), "its merkle path is longer"),
        (bad_job(4, json!([7])), "a merkle branch"),
        (bad_job(5, json!("+5")), "its version"),
        (bad_job(6, json!("00000000")), "impossible nBits"),
        (bad_job(7, json!("123456789")), "its time"),
        ("{\"method\":\"mining.notify\"}".to_owned(), "it has no name"),
        ("{\"method\":\"mining.set_difficulty\",\"params\":[0]}".to_owned(), "mining.set_difficulty"),
        ("{\"method\":\"mining.set_difficulty\",\"params\":[\"a\"]}".to_owned(), "mining.set_difficulty"),
        ("{\"method\":\"mining.set_extranonce\",\"params\":[\"00\",4]}".to_owned(), "leaves 4 bytes of the extranonce"),
        ("{\"method\":\"mining.set_extranonce\",\"params\":[\"00\",99]}".to_owned(), "an extranonce2 of 99 bytes"),
        ("{\"method\":\"mining.set_version_mask\",\"params\":[\"00c00000\"]}".to_owned(), "00c00000 only; 1fffe000"),
    ] {
        let error = channel(8).hear(line.as_bytes(), NOW).expect_err(reason).to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn no_line_makes_it_panic() {
    let job = notify("a", &previous("09"), true);
    let lines = [
        job.as_str(),
        r#"{"id":5,"result":null,"error":[23,"Low difficulty share",null]}"#,
        r#"{"id":null,"method":"mining.set_difficulty","params":[0.0001]}"#,
        r#"{"id":null,"method":"mining.set_extranonce","params":["0a0b0c0d",8]}"#,
        r#"{"id":null,"method":"mining.set_version_mask","params":["1fffe000"]}"#,
        r#"{"id":null,"method":"client.reconnect","params":["pool.lan",3333,5]}"#,
        r#"{"id":7,"method":"mining.ping","params":[]}"#,
    ];
    // A generator of no quality, but the same each time.
    let mut state = 1u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut channel = channel(8);
    for _ in 0..20_000 {
        let mut line = lines[random(lines.len())].as_bytes().to_vec();
        for _ in 0..random(4) {
            let at = random(line.len());
            match random(4) {
                0 => line[at] = random(256) as u8,
                1 => line.truncate(at.max(1)),
                2 => line.insert(at, b"0[]{},:\"-.ea\\"[random(13)]),
                _ => drop(line.remove(at)),
            }
            if line.is_empty() {
                line.push(b' ');
            }
        }
        let heard = channel.hear(&line, NOW);
        let job = heard.ok().and_then(|heard| {
            heard.events.into_iter().find_map(|event| match event {
                NodeEvent::Given(work) => Some(work.coinbase.job_id),
                _ => None,
            })
        });
        if let Some(job) = job {
            // What was taken for a job can be worked on.
            channel.pending = Pending::after(channel.newest);
            assert!(channel.submit(&share(job), Instant::now()).is_ok());
        }
    }
    assert!(channel.newest > 500, "many lines are still jobs");
}
