//! Whole sessions: the engine gets what miners wrote, and every line with an id has exactly one answer, in its order, as
//! valid JSON. The miner of `warppool-tests` listens at the other end and checks what holds for everything that it is told
//! (a difficulty before its job, no work twice, no job id twice, nothing unsolicited before subscribe).
//!
//! Input: lines. Those that begin with `!` are not for the pool: `!t` a new tip, `!w` work on the same tip, `!s` seconds
//! that pass, `!n` the node is lost, `!r` it is back, `!2` to `!4` the next lines are another connection's, `!x` the
//! connection hangs up, `!!` a tick. In the others `$J` stands for the id of the latest job and `$T` for its time.
//!
//! The engine serves many inputs, because a new one takes longer than an input. What it was told since it was new is
//! written to the file that `WARPPOOL_FUZZ_HISTORY` names when an input fails; the failing input alone may not do.

use crate::history::serve;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use warppool_components::limits::REQUEST_ID_BYTES_MAX;
use warppool_components::node::{NodeEvent, NodeHealth, NodeStatus};
use warppool_net::wire::v1::{parse, session_id};
use warppool_tests::pool::{Conn, Pool};

/// Inputs after which time passes between them.
const INPUTS_PER_PAUSE: usize = 16;

/// Connections of an input.
const CONNECTIONS_MAX: usize = 4;

/// Runs one input.
pub fn check(data: &[u8]) {
    serve(INPUTS_PER_PAUSE, data, run);
}

/// A connection's end.
struct End {
    conn: Conn,
    /// What the answers to its lines of this tick must be.
    owed: VecDeque<Owed>,
}

/// What a line is answered with.
#[derive(Debug)]
enum Owed {
    /// One reply with this id.
    Reply(Value),
    /// Nothing, or one reply: a line that only the pool can tell.
    Perhaps,
}

fn run(pool: &mut Pool, data: &[u8]) {
    let mut ends = vec![open(pool)];
    let mut at = 0;
    let (mut job, mut time) = latest_job(pool, &ends);
    for line in data.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        if let [b'!', order, ..] = *line {
            tick(pool, &mut ends);
            match order {
                b't' => pool.new_tip(),
                b'w' => {
                    let template = pool.next_template();
                    pool.template(template);
                }
                b's' => pool.advance(Duration::from_secs(7)),
                b'n' => pool.health(NodeHealth::Lost),
                b'r' => pool.health(NodeHealth::Ready),
                b'2'..=b'4' => at = usize::from(order - b'1').min(CONNECTIONS_MAX - 1),
                b'x' => {
                    if pool.closed(ends[at].conn).is_none() {
                        pool.push_hang_up(ends[at].conn);
                        pool.tick();
                    }
                    ends[at] = open(pool);
                }
                _ => {}
            }
            while ends.len() <= at {
                ends.push(open(pool));
            }
            listen(pool, &mut ends);
            (job, time) = latest_job(pool, &ends);
            continue;
        }
        let line = filled_in(line, &job, time);
        if has_odd_id(&line) {
            continue;
        }
        let owed = expected(&line);
        if pool.closed(ends[at].conn).is_some() {
            ends[at] = open(pool);
        }
        let is_open_question = matches!(owed, Some(Owed::Perhaps));
        if is_open_question {
            // Alone in its tick, so that it cannot be taken for the answer to another.
            tick(pool, &mut ends);
        }
        pool.push_bytes(ends[at].conn, &line);
        ends[at].owed.extend(owed);
        if is_open_question {
            tick(pool, &mut ends);
        }
    }
    tick(pool, &mut ends);
    pool.push_node(NodeEvent::Status(NodeStatus { health: NodeHealth::Ready, ..NodeStatus::default() }));
    for end in &ends {
        if pool.closed(end.conn).is_none() {
            pool.push_hang_up(end.conn);
        }
    }
    pool.tick();
    pool.forget_ended();
    pool.forget_results();
}

fn open(pool: &mut Pool) -> End {
    End { conn: pool.push_open(), owed: VecDeque::new() }
}

fn latest_job(pool: &Pool, ends: &[End]) -> (String, u32) {
    let jobs = ends.iter().filter_map(|end| pool.miner(end.conn).jobs.last());
    jobs.map(|job| (job.id.clone(), job.ntime)).last().unwrap_or_default()
}

fn filled_in(line: &[u8], job: &str, time: u32) -> Vec<u8> {
    let mut whole = Vec::with_capacity(line.len() + 16);
    let mut rest = line;
    while let Some((first, behind)) = rest.split_first() {
        let (place, width) = match (first, behind.first()) {
            (b'$', Some(b'J')) => (job.to_owned(), 2),
            (b'$', Some(b'T')) => (format!("{time:08x}"), 2),
            _ => (String::new(), 1),
        };
        if width == 1 {
            whole.push(*first)
        } else {
            whole.extend_from_slice(place.as_bytes())
        }
        rest = &rest[width..];
    }
    whole
}

/// What a line is owed, by a JSON library's tree; `None` is silence.
fn expected(line: &[u8]) -> Option<Owed> {
    let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(line) else { return Some(Owed::Perhaps) };
    let id = members.get("id");
    match id {
        Some(Value::Array(_) | Value::Object(_)) => return Some(Owed::Reply(Value::Null)),
        Some(_) if line.len() > REQUEST_ID_BYTES_MAX && has_long_id(line) => return Some(Owed::Reply(Value::Null)),
        _ => {}
    }
    let Some(method) = members.get("method").and_then(Value::as_str) else {
        let is_answer = members.contains_key("result") || members.contains_key("error");
        return (!is_answer).then(|| Owed::Reply(id.cloned().unwrap_or(Value::Null)));
    };
    match id {
        Some(_) if matches!(method, "mining.pong" | "pong") => None,
        Some(id) => Some(Owed::Reply(id.clone())),
        // A handshake is answered even without an id, and a malformed one with an error.
        None if matches!(method, "mining.subscribe" | "mining.authorize" | "mining.configure") => {
            Some(Owed::Reply(Value::Null))
        }
        None => None,
    }
}

/// Whether the miner at the other end would not understand its own id: halves of surrogates and numbers beyond all bounds are
/// JSON, but no tree holds them. `v1_lines` has them.
fn has_odd_id(line: &[u8]) -> bool {
    let id = match parse(line) {
        Ok(message) => message.id.map(|id| id.into_owned()),
        Err(error) => error.id,
    };
    id.is_some_and(|id| serde_json::from_slice::<Value>(&id).is_err())
}

/// Whether a line's id is longer than what is echoed. What counts is its text, with escapes and zeros that a tree does not keep.
fn has_long_id(line: &[u8]) -> bool {
    let members: HashMap<String, &RawValue> = serde_json::from_slice(line).unwrap_or_default();
    members.get("id").is_some_and(|id| id.get().len() > REQUEST_ID_BYTES_MAX)
}

fn tick(pool: &mut Pool, ends: &mut [End]) {
    pool.tick();
    listen(pool, ends);
}

/// Takes what every connection was told and compares the answers with what was owed.
fn listen(pool: &mut Pool, ends: &mut [End]) {
    for end in ends {
        let is_closed = pool.closed(end.conn).is_some();
        for line in pool.take(end.conn) {
            // The miner has read it already: it is a valid object.
            let message: Value = serde_json::from_str(&line).expect("JSON");
            if message.get("method").is_some() {
                continue;
            }
            if let Some(session) = message["result"][0][0][1].as_str() {
                assert!(session_id(session).is_some(), "a session that cannot be had again: {line}");
            }
            match end.owed.pop_front() {
                Some(Owed::Reply(id)) => assert_eq!(message["id"], id, "not the next answer: {line}"),
                Some(Owed::Perhaps) => {}
                None => panic!("an answer to nothing: {line}"),
            }
        }
        end.owed.retain(|owed| matches!(owed, Owed::Reply(_)));
        assert!(is_closed || end.owed.is_empty(), "never answered: {:?}", end.owed);
        end.owed.clear();
    }
}
