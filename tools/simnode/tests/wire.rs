//! The wire: HTTP, JSON-RPC errors, cookie, shapes of answers, longpoll, ZMQ, faults.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use support::{Fixture, eventually, post};
use warppool_simnode::{Failure, Faults, SimNode, SimNodeError, SimNodeOptions};

const REAL_TEMPLATE: &str = "gbt-regtest-25tx.json";
const TEMPLATE_CALL: &str = r#"{"id":1,"method":"getblocktemplate","params":[{"rules":["segwit"]}]}"#;

/// Fails where two values differ in keys or types. Of arrays the first elements stand for all.
fn assert_same_shape(path: &str, ours: &Value, real: &Value) {
    match (ours, real) {
        (Value::Object(ours), Value::Object(real)) => {
            let keys = |object: &serde_json::Map<String, Value>| {
                let mut keys: Vec<String> = object.keys().cloned().collect();
                keys.sort();
                keys
            };
            assert_eq!(keys(ours), keys(real), "{path}");
            ours.iter().for_each(|(key, value)| assert_same_shape(&format!("{path}.{key}"), value, &real[key]));
        }
        (Value::Array(ours), Value::Array(real)) => {
            assert_eq!(ours.is_empty(), real.is_empty(), "{path}");
            if let (Some(ours), Some(real)) = (ours.first(), real.first()) {
                assert_same_shape(&format!("{path}[0]"), ours, real);
            }
        }
        _ => assert_eq!(std::mem::discriminant(ours), std::mem::discriminant(real), "{path}: {ours} and {real}"),
    }
}

#[test]
fn answers_have_the_keys_and_types_of_the_real_ones() {
    let fixture = Fixture::start();
    assert_same_shape("getblocktemplate", &with_a_child(fixture.template()), &with_a_child(read_data(REAL_TEMPLATE)));
    for method in ["getblockchaininfo", "getmininginfo", "getnetworkinfo", "getindexinfo", "getzmqnotifications"] {
        let real = read_data(&format!("rpc-{method}.json"));
        assert_same_shape(method, &fixture.call(method, json!([])), &real);
    }
}

/// A template with one transaction that has a parent in place of all, so that `depends` has an element.
fn with_a_child(mut template: Value) -> Value {
    let has_parent = |entry: &&Value| entry["depends"] != json!([]);
    let child = template["transactions"].as_array().unwrap().iter().find(has_parent).unwrap().clone();
    template["transactions"] = json!([child]);
    template
}

fn read_data(name: &str) -> Value {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn values_follow_the_formulas_of_core() {
    let fixture = Fixture::start();
    let (info, real) = (fixture.call("getblockchaininfo", json!([])), read_data("rpc-getblockchaininfo.json"));
    for key in ["chain", "blocks", "headers", "bits", "target", "difficulty", "chainwork", "initialblockdownload"] {
        assert_eq!(info[key], real[key], "{key}");
    }
    let template = fixture.template();
    let real = read_data(REAL_TEMPLATE);
    for key in ["rules", "mutable", "capabilities", "version", "target", "height", "sigoplimit", "weightlimit"] {
        assert_eq!(template[key], real[key], "{key}");
    }
    let fees: u64 =
        template["transactions"].as_array().unwrap().iter().map(|entry| entry["fee"].as_u64().unwrap()).sum();
    assert_eq!(template["coinbasevalue"], json!(5_000_000_000 + fees));
    assert_eq!(template["previousblockhash"], json!(fixture.node.tip()));
    assert!(template["longpollid"].as_str().unwrap().starts_with(&fixture.node.tip()));
    assert_eq!(template["mintime"], json!(info["mediantime"].as_u64().unwrap() + 1));
}

#[test]
fn blocks_and_headers_can_be_read() {
    let fixture = Fixture::start();
    let block = fixture.good_block();
    assert_eq!(fixture.submit(&block), None);
    fixture.node.mine_external_block();
    let hash = block.block_hash().to_string();
    assert_eq!(fixture.call("getblockhash", json!({"height": 131})), json!(hash));
    assert_eq!(fixture.call("getbestblockhash", json!([])), json!(fixture.node.tip()));
    let header = fixture.call("getblockheader", json!([hash]));
    assert_eq!(header["confirmations"], json!(2));
    assert_eq!(header["height"], json!(131));
    assert_eq!(header["previousblockhash"], json!(block.header.prev_blockhash.to_string()));
    assert_eq!(header["nextblockhash"], json!(fixture.node.tip()));
    let raw_header = fixture.call("getblockheader", json!([hash, false]));
    assert_eq!(raw_header, json!(const_hex::encode(serialize(&block.header))));
    assert_eq!(fixture.call("getblock", json!([hash, 0])), json!(const_hex::encode(serialize(&block))));
    let verbose = fixture.call("getblock", json!([hash]));
    assert_eq!(verbose["tx"].as_array().unwrap().len(), 25);
    assert_eq!(verbose["weight"], json!(block.weight().to_wu()));
    assert_eq!(verbose["size"], json!(serialize(&block).len()));
    assert_eq!(fixture.call("getmempoolinfo", json!([]))["size"], json!(24));
}

#[test]
fn errors_are_those_of_core() {
    let fixture = Fixture::start();
    let unknown = "00".repeat(32);
    let segwit = "getblocktemplate must be called with the segwit rule set (call with {\"rules\": [\"segwit\"]})";
    for (method, params, status, code, message) in [
        ("getwarp", json!([]), 404, -32601, "Method not found"),
        ("getblocktemplate", json!([]), 500, -8, segwit),
        ("getblocktemplate", json!([{"rules": ["segwit"], "mode": "x"}]), 500, -8, "Invalid mode"),
        ("getblocktemplate", json!([{"mode": "proposal"}]), 500, -3, "Missing data String key for proposal"),
        ("getblockheader", json!([unknown]), 500, -5, "Block not found"),
        ("getblock", json!([unknown]), 500, -5, "Block not found"),
        ("getblockheader", json!(["ab"]), 500, -8, "blockhash must be of length 64 (not 2, for 'ab')"),
        ("getblockhash", json!([131]), 500, -8, "Block height out of range"),
        ("getblockhash", json!([-1]), 500, -8, "Block height out of range"),
        ("stop", json!([]), 500, -1, "The simulated node is not stopped over RPC"),
        ("uptime", json!(5), 400, -32600, "Params must be an array or object"),
    ] {
        let answer = fixture.answer(method, params);
        let expected = json!({"result": null, "error": {"code": code, "message": message}, "id": 7});
        assert_eq!((answer.status, answer.json()), (status, expected), "{method}");
    }
}

#[test]
fn json_rpc_2_batches_and_garbage_are_answered_as_core_does() {
    let fixture = Fixture::start();
    let cookie = fixture.cookie();
    for (body, status, text) in [
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"x"}"#,
            200,
            r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":"a"}"#,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"getblockcount"}"#, 200, r#"{"jsonrpc":"2.0","result":130,"id":1}"#),
        (r#"{"jsonrpc":"2.0","method":"getblockcount"}"#, 204, ""),
        (
            r#"[{"id":1,"method":"getblockcount"},{"id":2,"method":"x"}]"#,
            200,
            r#"[{"result":130,"error":null,"id":1},{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":2}]"#,
        ),
        ("{", 500, r#"{"result":null,"error":{"code":-32700,"message":"Parse error"},"id":null}"#),
        ("5", 400, r#"{"result":null,"error":{"code":-32600,"message":"Invalid Request object"},"id":null}"#),
        ("{}", 400, r#"{"result":null,"error":{"code":-32600,"message":"Missing method"},"id":null}"#),
    ] {
        let answer = fixture.post(Some(&cookie), body).unwrap();
        assert_eq!((answer.status, answer.text.trim()), (status, text), "{body}");
    }
}

#[test]
fn only_the_cookie_of_this_run_opens_the_door() {
    let fixture = Fixture::start();
    let body = r#"{"id":1,"method":"uptime"}"#;
    let old = fixture.cookie();
    assert!(old.starts_with("__cookie__:"));
    let mode = fs::metadata(fixture.node.cookie_path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fixture.post(None, body).unwrap().status, 401);
    assert_eq!(fixture.post(Some("__cookie__:wrong"), body).unwrap().status, 401);
    assert_eq!(fixture.post(Some(&old), body).unwrap().status, 200);

    let (url, tip) = (fixture.node.rpc_url(), fixture.node.tip());
    fixture.node.stop_rpc();
    assert!(post(&url, Some(&old), body).is_err());
    assert!(!fixture.node.cookie_path().exists());
    fixture.node.start_rpc().unwrap();
    assert_eq!(fixture.node.rpc_url(), url);
    assert_eq!(fixture.post(Some(&old), body).unwrap().status, 401);
    assert_eq!(fixture.call("getbestblockhash", json!([])), json!(tip));
}

#[test]
fn a_connection_is_kept_alive_and_large_bodies_are_waited_for() {
    let fixture = Fixture::start();
    let address = fixture.node.rpc_url();
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut read_until = |request: &str, end: &str| {
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(end.as_bytes()) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        String::from_utf8(answer).unwrap()
    };
    for _ in 0..2 {
        let answer =
            read_until("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", "Content-Length: 0\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"jsonrpc\"\r\n"));
    }
    let head = "POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(read_until(head, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(read_until("{}", "\r\n\r\n").starts_with("HTTP/1.1 401"));
    assert!(read_until("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "POST requests").starts_with("HTTP/1.1 405"));
}

#[test]
fn connections_beyond_the_cap_are_closed_and_room_comes_back() {
    let fixture = Fixture::start();
    let url = fixture.node.rpc_url();
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let idle: Vec<TcpStream> = (0..128).map(|_| TcpStream::connect(address).unwrap()).collect();
    let cookie = fixture.cookie();
    let body = r#"{"id":1,"method":"uptime"}"#;
    assert!(post(&url, Some(&cookie), body).is_err());
    drop(idle);
    eventually("room for a connection", || post(&url, Some(&cookie), body).is_ok());
}

#[test]
fn a_longpoll_is_answered_by_a_new_tip() {
    let fixture = Fixture::start();
    let id = fixture.template()["longpollid"].clone();
    std::thread::scope(|scope| {
        let polling =
            scope.spawn(|| fixture.call("getblocktemplate", json!([{"rules": ["segwit"], "longpollid": id}])));
        eventually("two calls", || fixture.node.calls("getblocktemplate") == 2);
        assert!(!polling.is_finished());
        fixture.node.mine_external_block();
        assert_eq!(polling.join().unwrap()["previousblockhash"], json!(fixture.node.tip()));
    });
    // An identifier of another tip is answered at once.
    let answer = fixture.call("getblocktemplate", json!([{"rules": ["segwit"], "longpollid": id}]));
    assert_eq!(answer["height"], json!(132));
}

#[test]
fn a_longpoll_is_answered_by_new_transactions() {
    let fixture = Fixture::start_with(|options| options.transactions = 10..=60);
    fixture.node.set_faults(Faults { longpoll_wait: Some(Duration::from_millis(50)), ..Faults::default() });
    let template = fixture.template();
    let id = template["longpollid"].clone();
    let answer = fixture.call("getblocktemplate", json!([{"rules": ["segwit"], "longpollid": id}]));
    assert_eq!(answer["previousblockhash"], template["previousblockhash"]);
    let count = |template: &Value| template["transactions"].as_array().unwrap().len();
    assert!(count(&answer) > count(&template));
}

#[test]
fn a_longpoll_ends_when_the_server_stops() {
    let fixture = Fixture::start();
    let id = fixture.template()["longpollid"].as_str().unwrap().to_owned();
    let (url, cookie) = (fixture.node.rpc_url(), fixture.cookie());
    let body = json!({"id": 1, "method": "getblocktemplate", "params": [{"rules": ["segwit"], "longpollid": id}]});
    std::thread::scope(|scope| {
        let polling = scope.spawn(|| post(&url, Some(&cookie), &body.to_string()));
        eventually("two calls", || fixture.node.calls("getblocktemplate") == 2);
        fixture.node.stop_rpc();
        assert!(polling.join().unwrap().is_err());
    });
}

/// A subscriber to one topic at one address.
fn subscribe(address: &str, topic: &str) -> zmq::Socket {
    let socket = zmq::Context::new().socket(zmq::SUB).unwrap();
    socket.set_rcvtimeo(10_000).unwrap();
    socket.set_subscribe(topic.as_bytes()).unwrap();
    socket.connect(address).unwrap();
    socket
}

/// Mines until the subscription, which takes effect some time after connecting, delivers.
fn synchronise(fixture: &Fixture, socket: &zmq::Socket) {
    eventually("first message", || {
        fixture.node.mine_external_block();
        socket.poll(zmq::POLLIN, 20).unwrap() > 0
    });
}

fn sequence_of(message: &[Vec<u8>]) -> u32 {
    u32::from_le_bytes(message[2].as_slice().try_into().unwrap())
}

/// The message with a sequence number; those before it are skipped.
fn receive(socket: &zmq::Socket, sequence: u32) -> Vec<Vec<u8>> {
    loop {
        let message = socket.recv_multipart(0).unwrap();
        assert_eq!(message.len(), 3);
        if sequence_of(&message) >= sequence {
            assert_eq!(sequence_of(&message), sequence);
            return message;
        }
    }
}

#[test]
fn zmq_announces_hash_and_block_in_three_frames() {
    let fixture = Fixture::start();
    let hashes = subscribe(&fixture.node.zmq_hashblock().unwrap(), "hashblock");
    let blocks = subscribe(&fixture.node.zmq_rawblock().unwrap(), "rawblock");
    synchronise(&fixture, &hashes);
    synchronise(&fixture, &blocks);
    let sequence = fixture.node.height() - 130;
    let block = fixture.good_block();
    assert_eq!(fixture.submit(&block), None);
    let mut hash = block.block_hash().to_byte_array();
    hash.reverse();
    assert_eq!(receive(&hashes, sequence)[..2], [b"hashblock".to_vec(), hash.to_vec()]);
    assert_eq!(receive(&blocks, sequence)[..2], [b"rawblock".to_vec(), serialize(&block)]);

    // Silent: the block is not announced, and its number is missing afterwards.
    fixture.node.set_faults(Faults { zmq_silent: true, ..Faults::default() });
    fixture.node.mine_external_block();
    fixture.node.set_faults(Faults::default());
    fixture.node.reorganise(2);
    let message = hashes.recv_multipart(0).unwrap();
    assert_eq!(const_hex::encode(&message[1]), fixture.node.tip());
    assert_eq!(sequence_of(&message), sequence + 2);
}

fn failing(failure: Failure) -> Faults {
    Faults { fail: HashMap::from([("submitblock".to_owned(), failure)]), ..Faults::default() }
}

#[test]
fn failures_hit_the_named_method_alone() {
    let fixture = Fixture::start();
    let cookie = fixture.cookie();
    let block = fixture.good_block();
    let body = json!({"id": 7, "method": "submitblock", "params": [const_hex::encode(serialize(&block))]}).to_string();
    fixture.node.set_faults(failing(Failure::HttpStatus(503)));
    assert_eq!(fixture.post(Some(&cookie), &body).unwrap().status, 503);
    fixture.node.set_faults(failing(Failure::RpcError { code: -28, message: "Loading block index…".to_owned() }));
    assert_eq!(fixture.error("submitblock", json!([])), json!({"code": -28, "message": "Loading block index…"}));
    fixture.node.set_faults(failing(Failure::DropConnection));
    assert!(fixture.post(Some(&cookie), &body).is_err());
    assert_eq!(fixture.node.height(), 130);
    assert_eq!(fixture.call("getblockcount", json!([])), json!(130));
    // The answer is lost, the block is not.
    fixture.node.set_faults(failing(Failure::DropAnswer));
    assert!(fixture.post(Some(&cookie), &body).is_err());
    assert_eq!(fixture.node.tip(), block.block_hash().to_string());
    assert_eq!(fixture.node.calls("submitblock"), 4);
}

#[test]
fn submitblock_can_be_made_to_lie() {
    let fixture = Fixture::start();
    let lie = Some("inconclusive".to_owned());
    fixture.node.set_faults(Faults { submit_answer: lie.clone(), ..Faults::default() });
    assert_eq!(fixture.submit(&fixture.good_block()), lie);
    assert_eq!(fixture.node.height(), 131, "the block was added all the same");
    fixture.node.set_faults(Faults { submit_ignored: true, ..Faults::default() });
    assert_eq!(fixture.submit(&fixture.good_block()), None);
    assert_eq!(fixture.node.height(), 131, "the block was lost");
}

#[test]
fn calls_and_answers_are_held_until_they_are_let_go() {
    let fixture = Fixture::start();
    let block = fixture.good_block();
    let submit = || ["submitblock".to_owned()].into();
    for (faults, taken) in [
        (Faults { hold: submit(), ..Faults::default() }, false),
        (Faults { hold_answer: submit(), ..Faults::default() }, true),
    ] {
        let before = fixture.node.calls("submitblock");
        fixture.node.set_faults(faults);
        std::thread::scope(|scope| {
            let call = scope.spawn(|| fixture.submit(&block));
            let deadline = Instant::now() + Duration::from_secs(20);
            while fixture.node.calls("submitblock") == before && Instant::now() < deadline {
                std::thread::yield_now();
            }
            assert_eq!(fixture.node.wait_for_height(131, if taken { deadline } else { Instant::now() }), taken);
            assert!(!call.is_finished());
            if !taken {
                // What is held is served later, by the faults that are then in force.
                return fixture.node.set_faults(Faults { submit_ignored: true, ..Faults::default() });
            }
            fixture.node.set_faults(Faults::default());
            assert_eq!(call.join().unwrap(), None);
        });
    }
    let told = "11".repeat(32);
    let block_hashes = [(0, told.clone())].into();
    fixture.node.set_faults(Faults { block_hashes, ..Faults::default() });
    assert_eq!(fixture.call("getblockhash", json!([0])), json!(told));
    assert_ne!(fixture.call("getblockhash", json!([1])), json!(told));
}

#[test]
fn delays_are_served_side_by_side_and_counted() {
    let fixture = Fixture::start();
    let delay = HashMap::from([("getblocktemplate".to_owned(), Duration::from_secs(60))]);
    fixture.node.set_faults(Faults { delay, ..Faults::default() });
    let (url, cookie) = (fixture.node.rpc_url(), fixture.cookie());
    std::thread::scope(|scope| {
        let slow = || scope.spawn(|| post(&url, Some(&cookie), TEMPLATE_CALL).is_err());
        let slow = [slow(), slow()];
        eventually("both calls wait", || fixture.node.in_flight_max("getblocktemplate") == 2);
        assert_eq!(fixture.call("getblockcount", json!([])), json!(130), "others are not held up");
        fixture.node.stop_rpc();
        assert!(slow.into_iter().all(|call| call.join().unwrap()));
    });
    assert_eq!(fixture.node.in_flight_max("getblockcount"), 1);
}

#[test]
fn a_node_in_initial_block_download_says_so() {
    for (chain, refused) in [("regtest", false), ("main", true)] {
        let fixture = Fixture::start_with(|options| options.chain = chain.to_owned());
        fixture.node.set_faults(Faults { initial_block_download: true, ..Faults::default() });
        assert_eq!(fixture.call("getblockchaininfo", json!([]))["initialblockdownload"], json!(true));
        let answer = fixture.answer("getblocktemplate", json!([{"rules": ["segwit"]}]));
        assert_eq!(answer.json()["error"]["code"] == json!(-10), refused, "{chain}");
    }
}

#[test]
fn a_lie_about_the_chain_is_told_consistently() {
    let fixture = Fixture::start_with(|options| options.chain = "signet".to_owned());
    assert_eq!(fixture.call("getblockchaininfo", json!([]))["chain"], json!("signet"));
    assert_eq!(fixture.call("getmininginfo", json!([]))["chain"], json!("signet"));
    let error = fixture.error("getblocktemplate", json!([{"rules": ["segwit"]}]));
    assert!(error["message"].as_str().unwrap().contains("signet rule set"));
    let template = fixture.call("getblocktemplate", json!([{"rules": ["segwit", "signet"]}]));
    assert!(template["rules"].as_array().unwrap().contains(&json!("!signet")));
    assert_eq!(fixture.submit(&support::build(&template)), None);
    let address = fixture.node.blocks()[0].coinbase_outputs[0].address.clone().unwrap();
    assert!(address.starts_with("tb1q"));
}

#[test]
fn what_cannot_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let options = SimNodeOptions::regtest(directory.path());
    for (spoil, expected) in [
        ((|options| options.bits = 0x2100_ffff) as fn(&mut SimNodeOptions), "bits is 0x2100ffff"),
        (|options| options.chain = "liquid".to_owned(), "chain is liquid"),
        (|options| options.transactions = 0..=1_000_000, "transactions is 0..=1000000"),
    ] {
        let mut spoiled = options.clone();
        spoil(&mut spoiled);
        let error = SimNode::start(spoiled).err().unwrap().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let first = SimNode::start(options.clone()).unwrap();
    let address = first.rpc_url().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let second = SimNode::start(SimNodeOptions { rpc_address: address, ..options });
    assert!(matches!(second, Err(SimNodeError::Listen { .. })));
    let started = Instant::now();
    first.stop();
    assert!(started.elapsed() < Duration::from_secs(5), "stopping does not wait for idle connections");
}
