//! What one peer does wrong costs the others nothing.

use crate::harness::{DEADLINE, Pool, RawMiner, Site, address, node, until};
use serde_json::json;
use std::time::Duration;
use warppool_loadgen::modes::storm;
use warppool_loadgen::{Protocol, Target};
use warppool_simnode::SimNode;

/// What becomes of the one who sent it.
enum After {
    Answer,
    End,
    Silence,
}

#[test]
fn bad_input_costs_nobody_else_anything() {
    let (node, _directory) = node();
    let mut pool = Pool::start(&Site::new(&node));
    let mut good = RawMiner::join(pool.miners, &address(1));
    let job = good.job();
    let long = [vec![b'x'; 17 * 1024], vec![b'\n']].concat();
    let endless = vec![b'['; 64 * 1024];
    let inputs: [(&str, &[u8], After); 7] = [
        ("malformed JSON", b"{\"id\": 1, \"method\": \n", After::Answer),
        ("a 17 KiB line", &long, After::End),
        ("a line without an end", &endless, After::End),
        ("bytes that are not UTF-8", b"\xff\xfe{\"id\":1}\n", After::Answer),
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: pool\r\n\r\n", After::Answer),
        ("JSON that is no object", b"[1, 2, 3]\n", After::Answer),
        ("zeros", &[0; 512], After::Silence),
    ];
    for (what, bytes, after) in inputs {
        let mut bad = RawMiner::connect(pool.miners);
        bad.send(bytes);
        good.submit_good(&job);
        drop(bad);
        // The same from a miner that was sound before.
        let mut bad = RawMiner::connect(pool.miners);
        bad.call("mining.subscribe", &json!([])).expect("subscribed");
        bad.send(bytes);
        good.submit_good(&job);
        match after {
            After::Answer => assert!(bad.answer().unwrap()["error"].is_array(), "{what}"),
            After::End => bad.wait_for_end(),
            After::Silence => {}
        }
    }
    assert!(pool.is_running());
    assert_eq!(pool.get("/healthz").0, 200);
}

#[test]
fn what_is_wrong_is_said_to_the_one_who_did_it() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::connect(pool.miners);
    miner.call("mining.subscribe", &json!([])).unwrap();
    let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.rig";
    let answer = miner.call("mining.authorize", &json!([mainnet, "x"])).unwrap();
    assert_ne!(answer["result"], true, "{answer}");
    let text = answer["error"][1].as_str().unwrap();
    assert!(text.contains("regtest"), "an address of the wrong network is told so: {answer}");
    // The refused one may try again on the same connection.
    let answer = miner.call("mining.authorize", &json!([address(3), "x"])).unwrap();
    assert_eq!(answer["result"], true, "{answer}");
    let answer = {
        miner.send(b"GET / HTTP/1.1\r\nHost: pool\r\n\r\n");
        miner.answer().expect("an answer before the end")
    };
    assert!(answer["error"][1].as_str().unwrap().contains("not one JSON object"), "{answer}");
}

/// Defect 15. Peers that send without end and read nothing: each is listened to no longer when it leaves too much unread.
#[test]
fn defect_15_peers_that_read_nothing_hold_nobody_up() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    let mut good = RawMiner::join(pool.miners, &address(1));
    let job = good.job();
    let mut deaf: Vec<RawMiner> = (0..5).map(|_| RawMiner::join(pool.miners, &address(2))).collect();
    let request = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n".repeat(200);
    std::thread::scope(|scope| {
        for deaf in &mut deaf {
            let request = &request;
            scope.spawn(move || deaf.flood_until_unheard(request));
        }
        (0..200).for_each(|_| good.submit_good(&job));
    });
    good.submit_good(&job);
    until("nobody is dropped for it", || (connections(&pool) == 6.0).then_some(()));
    drop(deaf);
    good.submit_good(&job);
    until("only the good one is left", || (connections(&pool) == 1.0).then_some(()));
}

/// Defect 18. What AxeOS does every 30 to 60 s, by a house full of them.
#[test]
fn defect_18_health_probes_are_not_banned() {
    let (node, _directory) = node();
    let pool = Pool::start(&limited(&node));
    for _ in 0..119 {
        RawMiner::connect(pool.miners).hang_up();
    }
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    miner.submit_good(&job);
}

/// Defect 20. Everybody comes back at once, all from one address, while somebody mines.
#[test]
fn defect_20_a_storm_of_reconnects_is_served_and_the_others_mine_on() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node).with("tuning.max_connections", "5000"));
    let mut good = RawMiner::join(pool.miners, &address(1));
    let job = good.job();
    let target = Target {
        server: pool.miners,
        protocol: Protocol::Stratum,
        username: address(2),
        password: "x".to_owned(),
        connections: 2000,
        server_pid: None,
        login_timeout: DEADLINE,
        sources_from: None,
        v2: None,
        tls: None,
        is_remote_allowed: false,
    };
    for _ in 0..2 {
        let storm = storm::Options { target: target.clone(), within: Duration::from_millis(500) };
        let figures = std::thread::scope(|scope| {
            let storm = scope.spawn(move || storm::run(&storm).unwrap());
            while !storm.is_finished() {
                good.submit_good(&job);
            }
            storm.join().unwrap()
        });
        assert_eq!((figures.ready, figures.extranonces_repeated), (2000, 0), "{:?}", figures.failures);
    }
    until("all are gone again", || (connections(&pool) == 1.0).then_some(()));
}

/// An address that connects without end is turned away, says the log, and those who are inside do not notice.
#[test]
fn a_flood_of_connects_is_turned_away() {
    let (node, _directory) = node();
    let site = Site::new(&node);
    let (off, on) = ("[ratelimit]\nenabled = false", "[ratelimit]\nconnect_burst = 20\nconnects_per_sec = 0.001");
    let unlimited = site.configuration();
    site.configure(&unlimited.replace(off, on));
    let mut pool = Pool::start(&site);
    let mut good = RawMiner::join(pool.miners, &address(1));
    let job = good.job();
    for _ in 0..19 {
        RawMiner::connect(pool.miners).hang_up();
    }
    for _ in 0..50 {
        RawMiner::connect(pool.miners).wait_for_end();
    }
    good.submit_good(&job);
    pool.wait_for_log(&["turned away", "connect too often"]);
    // The operator sees why, and what he does about it applies at once.
    site.configure(&unlimited);
    pool.signal("HUP");
    pool.wait_for_log(&["configuration read again", "ratelimit.enabled"]);
    good.submit_good(&job);
    let mut other = until("another miner", || {
        let mut miner = RawMiner::connect(pool.miners);
        miner.call("mining.subscribe", &json!([])).map(|_| miner)
    });
    assert_eq!(other.call("mining.authorize", &json!([address(3), "x"])).unwrap()["result"], true);
}

/// Shares and lines that are nothing are answered, until it is too much.
#[test]
fn a_flood_of_invalid_lines_ends_with_its_connection() {
    let (node, _directory) = node();
    let mut pool = Pool::start(&limited(&node));
    let mut good = RawMiner::join(pool.miners, &address(1));
    let job = good.job();
    let submit = format!(r#"{{"id":7,"method":"mining.submit","params":["{}","ffff","00","0","0"]}}"#, address(2));
    for line in
        [submit.as_str(), "\u{1}\u{2}noise", r#"{"id":7,"method":"mining.submit","params":[[[[[[[["x"]]]]]]]]}"#]
    {
        let mut bad = RawMiner::join(pool.miners, &address(2));
        bad.send(format!("{line}\n").repeat(4500).as_bytes());
        assert!(bad.answer().unwrap()["error"].is_array());
        while bad.read().is_some() {}
        good.submit_good(&job);
    }
    pool.wait_for_log(&["nearly all its shares or lines are invalid"]);
}

/// A million empty lines, a line of a mebibyte, JSON of a thousand levels, a line that never ends.
#[test]
fn odd_bytes_cost_only_the_one_who_sends_them() {
    let (node, _directory) = node();
    let mut pool = Pool::start(&limited(&node));
    let mut good = RawMiner::join(pool.miners, &address(1));
    let job = good.job();
    let deep = [vec![b'['; 8000], vec![b']'; 8000], vec![b'\n']].concat();
    let half_open = b"{\"id\":1,\"method\":\"mining.subs".to_vec();
    let mut halves: Vec<RawMiner> = (0..20).map(|_| RawMiner::connect(pool.miners)).collect();
    halves.iter_mut().for_each(|half| half.send(&half_open));
    let mut newlines = RawMiner::join(pool.miners, &address(2));
    newlines.flood(&vec![b'\n'; 10_000], 100);
    let job_of_newlines = newlines.job();
    newlines.submit_good(&job_of_newlines);
    let mut long = RawMiner::join(pool.miners, &address(2));
    long.send(&vec![b'x'; 1024 * 1024]);
    long.wait_for_end();
    let mut nested = RawMiner::join(pool.miners, &address(2));
    nested.send(&deep);
    assert!(nested.answer().unwrap()["error"].is_array());
    good.submit_good(&job);
    // What was begun can still be finished.
    for half in &mut halves {
        half.send(b"cribe\",\"params\":[]}\n");
        assert!(half.answer().unwrap()["result"].is_array());
    }
    assert!(pool.is_running());
}

/// A site on which rates are limited as they are by default.
fn limited(node: &SimNode) -> Site {
    Site::new(node).with("ratelimit.enabled", "true")
}

fn connections(pool: &Pool) -> f64 {
    pool.metric("warppool_active_connections{protocol=\"v1\"}")
}
