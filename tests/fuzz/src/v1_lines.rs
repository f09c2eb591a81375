//! Lines of Stratum V1: cut out of the stream as a naive splitter does it, whatever the pieces; read alike by the fast
//! path, by the general parser and by a JSON library's own tree; answered by one line of valid JSON.
//!
//! Input: a byte that decides how the stream arrives, one that decides how many lines are taken at a time (and, rarely,
//! that a line near the longest stands in the middle), and the stream.

use crate::bytes::{Bytes, pieces};
use serde_json::Value;
use warppool_components::limits::{LINE_BYTES_MAX, REQUEST_ID_BYTES_MAX};
use warppool_components::reject::Reject;
use warppool_net::transport::lines::{LineTooLong, Lines};
use warppool_net::wire::v1::{Fault, Message, Request, emit, parse, scan_submit};

/// Runs one input.
pub fn check(data: &[u8]) {
    let mut bytes = Bytes(data);
    let (seed, limit) = (bytes.byte(), bytes.byte());
    let mut long = Vec::new();
    let mut stream = bytes.rest();
    if limit >= 0xf8 {
        let (start, end) = stream.split_at(stream.len() / 2);
        long = [start, &vec![b'x'; LINE_BYTES_MAX - 64], end].concat();
        stream = &long;
    }
    let naive = naive_lines(stream);
    let cut = cut_lines(&pieces(stream, seed), 1 + usize::from(limit % 8));
    assert_eq!(cut, naive, "the lines depend on how they arrive");
    if long.is_empty() {
        naive.0.iter().for_each(|line| check_line(line));
    }
}

type Cut = (Vec<Vec<u8>>, Result<(), LineTooLong>);

/// What a splitter without limits and without memory would say.
fn naive_lines(stream: &[u8]) -> Cut {
    let mut lines = Vec::new();
    for line in stream.split(|byte| *byte == b'\n') {
        if line.len() > LINE_BYTES_MAX {
            return (lines, Err(LineTooLong));
        }
        let text = line.trim_ascii();
        if !text.is_empty() {
            lines.push(text.to_vec());
        }
    }
    (lines, Ok(()))
}

fn cut_lines(pieces: &[&[u8]], lines_max: usize) -> Cut {
    let (mut lines, mut texts) = (Lines::default(), Vec::new());
    let mut deliver = |text: &[u8]| texts.push(text.to_vec());
    let mut receive = |piece: &[u8]| {
        let mut taken = lines.receive(piece, lines_max, &mut deliver)?;
        while lines.has_more() {
            assert_eq!(taken, lines_max, "stopped only by the limit");
            taken = lines.resume(lines_max, &mut deliver)?;
        }
        assert!(lines.pending_bytes() <= LINE_BYTES_MAX, "no more than a line is kept");
        Ok(())
    };
    let result = pieces.iter().try_for_each(|piece| receive(piece));
    if result.is_ok() {
        lines.finish(deliver);
    }
    (texts, result)
}

fn check_line(line: &[u8]) {
    let parsed = parse(line);
    if let Some(submit) = scan_submit(line) {
        let Ok(Message { id, request: Request::Submit { username, claim } }) = &parsed else {
            panic!("only the fast path takes it: {parsed:?}");
        };
        assert_eq!(id.as_deref(), Some(submit.id));
        assert_eq!((username.as_bytes(), *claim), (submit.username, Ok(submit.claim)));
    }
    match &parsed {
        Ok(message) => check_replies(message),
        Err(error) => {
            let id = error.id.as_deref().unwrap_or(b"null");
            check_reply(id, |out| emit::error_reply(out, id, emit::CODE_OTHER, &error.to_string()));
        }
    }
    compare_with_a_tree(line, parsed.as_ref().map_err(|error| (error.id.as_deref(), error.fault)));
}

/// Everything that the pool may say to this request.
fn check_replies(message: &Message<'_>) {
    let id = message.id.as_deref().unwrap_or(b"null");
    check_reply(id, |out| emit::true_reply(out, id));
    match &message.request {
        Request::Submit { claim: Err(error), .. } => {
            check_reply(id, |out| emit::error_reply(out, id, emit::reject_code(error.reject()), &error.to_string()));
        }
        Request::Submit { .. } => drop(check_reply(id, |out| emit::reject_reply(out, id, Reject::Duplicate))),
        Request::Authorize { username, .. } => {
            check_reply(id, |out| emit::refused_reply(out, id, emit::CODE_UNAUTHORIZED, username));
        }
        Request::Unknown { method } => drop(check_reply(id, |out| emit::text_reply(out, id, method))),
        Request::Configure(configure) => {
            let answer = emit::ConfigureAnswer {
                mask: configure.version_rolling.map(|rolling| rolling.mask),
                minimum_difficulty: configure.minimum_difficulty.map(|difficulty| difficulty.is_some()),
                subscribe_extranonce: configure.subscribe_extranonce.then_some(true),
                info: configure.info.then_some(false),
                unknown: &configure.unknown,
            };
            let Some(reply) = check_reply(id, |out| emit::configure_reply(out, id, &answer)) else { return };
            let members = reply["result"].as_object().expect("an object").len();
            let asked = [answer.mask.map(|mask| mask != 0), answer.minimum_difficulty, answer.subscribe_extranonce];
            let known = asked.iter().flatten().count() + usize::from(answer.info.is_some());
            let declined = configure.unknown.iter().filter(|name| *name != "version-rolling.mask").count();
            let mask = usize::from(answer.mask.is_some_and(|mask| mask != 0));
            assert_eq!(members, known + declined + mask, "each extension is answered once: {reply}");
        }
        _ => {}
    }
}

/// The reply is one line, valid JSON, has all members and the id.
fn check_reply(id: &[u8], emit: impl FnOnce(&mut Vec<u8>)) -> Option<Value> {
    let mut line = Vec::new();
    emit(&mut line);
    let text = std::str::from_utf8(&line).expect("lines are text");
    assert_eq!(text.find('\n'), Some(text.len() - 1), "one line: {text:?}");
    let Ok(reply) = serde_json::from_str::<Value>(text) else {
        // A tree refuses numbers beyond f64 and halves of surrogates, which are JSON all the same.
        let raw: &serde_json::value::RawValue = serde_json::from_str(text).expect("valid JSON");
        assert!(raw.get().starts_with('{'));
        assert!(serde_json::from_slice::<Value>(id).is_err(), "only the id may be the reason: {text}");
        return None;
    };
    let members: Vec<&str> = reply.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, ["error", "id", "result"], "{text}");
    assert_eq!(reply["id"], serde_json::from_slice::<Value>(id).expect("an id of a valid reply is valid"), "{text}");
    Some(reply)
}

type Outcome<'a> = Result<&'a Message<'a>, (Option<&'a [u8]>, Fault)>;

/// Method and id are those that a tree of the whole line has.
fn compare_with_a_tree(line: &[u8], outcome: Outcome<'_>) {
    let Ok(Value::Object(tree)) = serde_json::from_slice::<Value>(line) else {
        // What a tree refuses but for its depth and odd numbers is no request.
        return;
    };
    let id = tree.get("id");
    let method = tree.get("method").and_then(Value::as_str);
    match outcome {
        Ok(message) => {
            let told = message.id.as_deref().map(|id| serde_json::from_slice::<Value>(id).expect("JSON"));
            assert_eq!(told.as_ref(), id);
            match (&message.request, method) {
                (Request::Response, None) => assert!(tree.contains_key("result") || tree.contains_key("error")),
                (Request::Response, Some(method)) => assert!(method.ends_with("pong")),
                (Request::Unknown { method: told }, Some(method)) => assert_eq!(told, method),
                (Request::Submit { username, .. }, Some(method)) => {
                    assert_eq!(method, "mining.submit");
                    let text = tree.get("params").and_then(|params| params[0].as_str()).unwrap_or_default();
                    assert_eq!(username, text);
                }
                (Request::Authorize { username, .. }, Some(_)) => {
                    assert_eq!(Some(&**username), tree["params"][0].as_str());
                }
                (_, Some(_)) => {}
                (request, None) => panic!("{request:?} without a method"),
            }
        }
        Err((told, fault)) => {
            let told = told.map(|id| serde_json::from_slice::<Value>(id).expect("JSON"));
            match fault {
                Fault::NotUtf8(_) | Fault::NotAnObject(_) => panic!("a tree reads it: {fault}"),
                Fault::NoMethod => assert_eq!(method, None),
                Fault::IdTooLong => assert!(line.len() > REQUEST_ID_BYTES_MAX),
                Fault::IdNotScalar => assert!(id.is_some_and(|id| id.is_array() || id.is_object())),
                Fault::Authorize => assert_eq!(
                    tree.get("params").and_then(|params| params[0].as_str()),
                    None,
                    "a username that is there"
                ),
                Fault::Configure | Fault::ConfigureTooMany => assert_eq!(method, Some("mining.configure")),
            }
            if !matches!(fault, Fault::IdTooLong | Fault::IdNotScalar) {
                assert_eq!(told.as_ref(), id, "{fault}");
            }
        }
    }
}
