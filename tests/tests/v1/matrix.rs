//! Every client in every order of its messages with ids of every type: each request is answered with its own id and in
//! its place, lines that nobody asked for stand where firmware expects them, and a share is credited. The same for a
//! session that is resumed.
//!
//! Requests without an id are answered where nobody could go on without the answer, to `null`; a share without an id is
//! credited and not answered.

use serde_json::Value;
use std::time::Duration;
use warppool_tests::miner::Share;
use warppool_tests::pool::{Conn, Pool, authorize};
use warppool_tests::work::address;

/// What tells one client from another.
struct Client {
    agent: &'static str,
    /// Parameters of `mining.configure`; those without do not send it.
    configure: Option<&'static str>,
    /// Bits that it rolls.
    bits: Option<u32>,
    /// It leaves zeros before the nonce out.
    short: bool,
    /// It puts `params` before `method`.
    params_first: bool,
    /// The size of extranonce2 is padded.
    pads: bool,
}

const USUAL: Client = Client { agent: "", configure: None, bits: None, short: false, params_first: false, pads: false };

const CLIENTS: [Client; 8] = [
    Client {
        agent: "bitaxe/BM1370/v2.4.1",
        configure: Some(r#"["version-rolling"],{"version-rolling.mask":"ffffffff"}"#),
        bits: Some(0x00c0_2000),
        ..USUAL
    },
    Client { agent: "NerdMinerV2/V1.8.3", short: true, params_first: true, pads: true, ..USUAL },
    Client {
        agent: "cgminer/4.12.1",
        configure: Some(r#"["version-rolling"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2}"#),
        bits: Some(0x2000),
        params_first: true,
        ..USUAL
    },
    Client { agent: "cpuminer/2.5.1", params_first: true, ..USUAL },
    Client {
        agent: "bmminer/2.0.0",
        configure: Some(r#"["version-rolling"],{"version-rolling.mask":"00c00000"}"#),
        bits: Some(0x0080_0000),
        ..USUAL
    },
    Client {
        agent: "bosminer/23.03",
        configure: Some(r#"["version-rolling"],{"version-rolling.min-bit-count":16}"#),
        bits: Some(0x1fff_e000),
        ..USUAL
    },
    Client {
        agent: "NiceHash/1.0.0",
        configure: Some(
            r#"["version-rolling","minimum-difficulty","subscribe-extranonce"],{"version-rolling.mask":"1fffe000","minimum-difficulty.value":1e-10}"#,
        ),
        bits: Some(0),
        ..USUAL
    },
    Client { agent: "", configure: Some(r#"["info"],{}"#), ..USUAL },
];

/// Orders of configure, subscribe, authorize and a suggestion.
const ORDERS: [&str; 12] = ["csa", "cas", "sca", "sac", "asc", "acs", "xcsa", "scax", "casx", "axsc", "saxc", "sxac"];

/// JSON text of the nth id of a type; the last type has none.
const IDS: [fn(u32) -> Option<String>; 7] = [
    |n| Some(n.to_string()),
    |n| Some(format!("\"id-{n}\\u0041\"")),
    |_| Some("null".to_owned()),
    |n| Some(format!("{n}.50")),
    |n| Some(format!("-{n}e2")),
    |n| Some(format!("12345678901234567890{n}")),
    |_| None,
];

impl Client {
    fn line(&self, id: Option<&String>, method: &str, params: &str) -> String {
        let id = id.map(|id| format!("\"id\":{id},")).unwrap_or_default();
        match self.params_first {
            true => format!("{{\"params\":[{params}],{id}\"method\":\"mining.{method}\"}}"),
            false => format!("{{{id}\"method\":\"mining.{method}\",\"params\":[{params}]}}"),
        }
    }

    /// The request that a letter of an order stands for.
    fn request(&self, letter: char, id: Option<&String>, session: &str) -> Option<String> {
        let user = format!("\"{}.rig\",\"d=1e-9\"", address(1));
        Some(match letter {
            'c' => self.line(id, "configure", self.configure?),
            's' if session.is_empty() => self.line(id, "subscribe", &format!("\"{}\"", self.agent)),
            's' => self.line(id, "subscribe", &format!("\"{}\",\"{session}\"", self.agent)),
            'a' => self.line(id, "authorize", &user),
            _ => self.line(id, "suggest_difficulty", "0.00015"),
        })
    }

    fn submit(&self, id: Option<&String>, share: &Share) -> String {
        let nonce = if self.short { format!("{:x}", share.nonce) } else { format!("{:08x}", share.nonce) };
        let extranonce2 = if self.pads { &share.extranonce2[8..] } else { &share.extranonce2 };
        let bits = share.version_bits.map(|bits| format!(",\"{bits:08x}\"")).unwrap_or_default();
        let (user, ntime) = (address(1), share.ntime);
        let params = format!("\"{user}.rig\",\"{}\",\"{extranonce2}\",\"{ntime:08x}\",\"{nonce}\"{bits}", share.job);
        self.line(id, "submit", &params)
    }
}

/// Joins in one order, all requests in one segment or one by one; gives what came back.
fn join(
    pool: &mut Pool,
    conn: Conn,
    client: &Client,
    order: &str,
    ids: fn(u32) -> Option<String>,
    session: &str,
) -> String {
    let in_one_segment = order.len().is_multiple_of(2);
    let mut expected = Vec::new();
    let (mut letters, mut lines) = (String::new(), Vec::new());
    for (number, letter) in order.chars().enumerate() {
        let id = ids(number as u32 + 1);
        let Some(line) = client.request(letter, id.as_ref(), session) else { continue };
        letters.push(letter);
        // A suggestion without an id is a notification like any other.
        expected.extend(id.or_else(|| (letter != 'x').then(|| "null".to_owned())));
        lines.push(line);
    }
    let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
    match in_one_segment {
        true => pool.send(conn, &texts),
        false => texts.iter().for_each(|line| pool.send(conn, &[line])),
    }
    let heard = pool.take(conn);
    let is_reply = |line: &&String| !line.contains("\"method\":");
    let replies: Vec<String> = heard.iter().filter(is_reply).map(|line| id_of(line)).collect();
    assert_eq!(replies, expected, "{letters} of {}: {heard:#?}", client.agent);
    assert_unsolicited(&heard, &letters, client);
    heard.join("\n")
}

/// The id of a reply, byte for byte.
fn id_of(line: &str) -> String {
    let rest = line.strip_prefix("{\"id\":").expect("a reply begins with its id");
    let end = rest.find(",\"result\":").expect("its result follows");
    assert!(rest.contains(",\"error\":"), "{line}");
    rest[..end].to_owned()
}

/// What nobody asked for: mask, difficulty, job, once each, and only behind the answers to subscribe and authorize.
fn assert_unsolicited(heard: &[String], letters: &str, client: &Client) {
    let kinds: Vec<String> = heard
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter_map(|line| line["method"].as_str().map(str::to_owned))
        .collect();
    let late = letters.find('c') > letters.find('a') && client.bits.is_some();
    let mut expected = vec!["mining.set_difficulty", "mining.notify"];
    if late {
        // Before the first job when it is known by then, behind it when it comes later.
        let ready = letters.find('s').max(letters.find('a'));
        let place = if letters.find('c') > ready && letters.len() % 2 == 1 { 2 } else { 0 };
        expected.insert(place, "mining.set_version_mask");
    }
    assert_eq!(kinds, expected, "{letters} of {}: {heard:#?}", client.agent);
}

/// Finds a share and submits it; it must be credited, and answered when it has an id.
fn mine(pool: &mut Pool, conn: Conn, client: &Client, id: Option<&String>, extranonce2: u64) {
    let mut search = pool.miner(conn).search().extranonce2(extranonce2);
    if let Some(bits) = client.bits {
        search = search.version_bits(bits);
    }
    let share = search.hit();
    let before = pool.shares.len();
    let heard = pool.ask(conn, &client.submit(id, &share));
    // Rows leave within a moment; so may the next job.
    pool.advance(Duration::from_millis(100));
    pool.take(conn);
    let row = pool.shares.get(before).expect("written down");
    assert_eq!(row.reject, None, "{} {heard:?}", client.agent);
    let yes = id.map(|id| format!("{{\"id\":{id},\"result\":true,\"error\":null}}"));
    assert_eq!(heard.first().cloned(), yes, "{} {heard:?}", client.agent);
}

#[test]
fn every_client_in_every_order_with_every_id_is_served_and_mines() {
    for client in &CLIENTS {
        let mut pool = Pool::default().with_work();
        for order in ORDERS {
            for ids in IDS {
                let conn = pool.connect();
                join(&mut pool, conn, client, order, ids, "");
                mine(&mut pool, conn, client, ids(9).as_ref(), 0xab);
                assert_eq!(pool.closed(conn), None);
                pool.hang_up(conn);
            }
        }
    }
}

#[test]
fn every_client_resumes_its_session_in_every_order_that_names_it_first() {
    for client in &CLIENTS {
        let mut pool = Pool::default().with_work();
        for order in ORDERS {
            for ids in IDS {
                let first = pool.connect();
                join(&mut pool, first, client, "csa", ids, "");
                let kept = pool.miner(first).clone();
                let mut pending = pool.miner(first).search().extranonce2(5);
                if let Some(bits) = client.bits {
                    pending = pending.version_bits(bits);
                }
                let pending = pending.hit();
                pool.hang_up(first);
                let again = pool.connect();
                join(&mut pool, again, client, order, ids, &kept.session);
                let resumed = pool.miner(again);
                assert_eq!((&resumed.session, &resumed.extranonce1), (&kept.session, &kept.extranonce1), "{order}");
                // The share that was found before the connection broke.
                let before = pool.shares.len();
                pool.ask(again, &client.submit(ids(8).as_ref(), &pending));
                pool.advance(Duration::from_millis(100));
                pool.take(again);
                assert_eq!(pool.shares[before].reject, None, "{order} of {}", client.agent);
                mine(&mut pool, again, client, ids(9).as_ref(), 0xcd);
                pool.hang_up(again);
            }
        }
    }
}

/// The methods beside the handshake, with ids of every type.
#[test]
fn other_methods_are_answered_with_every_id() {
    for ids in IDS {
        let mut pool = Pool::default().with_work();
        let conn = pool.connect();
        pool.send(conn, &[r#"{"id":1,"method":"mining.subscribe"}"#, &authorize(2, &address(1), "d=4")]);
        pool.take(conn);
        let version = format!("\"WarpPool/{}\"", env!("CARGO_PKG_VERSION"));
        for (method, params, result) in [
            ("mining.extranonce.subscribe", "[]", "true"),
            ("mining.suggest_difficulty", "[0.00015]", "true"),
            ("mining.suggest_target", "[\"00000000ffff\"]", "true"),
            ("mining.ping", "[]", "\"pong\""),
            ("client.get_version", "[]", &version),
            ("mining.get_version", "[]", &version),
            ("mining.multi_version", "[4]", "true"),
        ] {
            let id = ids(3);
            let member = id.as_ref().map(|id| format!("\"id\":{id},")).unwrap_or_default();
            let heard = pool.ask(conn, &format!("{{{member}\"method\":\"{method}\",\"params\":{params}}}"));
            let expected = id.map(|id| format!("{{\"id\":{id},\"result\":{result},\"error\":null}}"));
            assert_eq!(heard, expected.into_iter().collect::<Vec<_>>(), "{method}");
        }
        // What a miner answers when it is asked for its version, in every shape that firmware knows.
        for answer in [
            r#"{"id":1,"result":"cgminer/4.12.1","error":null}"#,
            r#"{"id":null,"result":null,"error":[-1,"no",null]}"#,
        ] {
            assert_eq!(pool.ask(conn, answer), Vec::<String>::new());
        }
        assert_eq!(pool.closed(conn), None);
    }
}
