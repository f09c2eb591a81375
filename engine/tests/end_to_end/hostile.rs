//! What one peer does wrong costs the others nothing.

use crate::harness::{Pool, RawMiner, Site, address, node};
use serde_json::json;

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

#[test]
fn a_peer_that_reads_nothing_holds_nobody_up() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    let mut good = RawMiner::join(pool.miners, &address(1));
    let job = good.job();
    let mut deaf = RawMiner::join(pool.miners, &address(2));
    let request = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n".repeat(200);
    std::thread::scope(|scope| {
        // Writes until the pool stops reading or hangs up; never reads an answer.
        scope.spawn(move || deaf.flood(&request, 200));
        (0..50).for_each(|_| good.submit_good(&job));
    });
    good.submit_good(&job);
}
