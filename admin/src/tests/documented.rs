//! The answers are those that `docs/book/api.md` shows, and the routes those that the OpenAPI description lists.

use super::client::{EventClient, get};
use super::fixture::{NOW, Server, hash};
use crate::route::ROUTES;
use serde_json::Value;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use warppool_components::block::BlockState;
use warppool_components::event::{PoolEvent, PoolEventKind};
use warppool_components::node::NodeHealth;
use warppool_components::units::Sats;

const DOCUMENT: &str = include_str!("../../../docs/book/api.md");

/// The first JSON block under each heading.
fn examples() -> BTreeMap<&'static str, Value> {
    let mut examples = BTreeMap::new();
    for section in DOCUMENT.split("\n###").skip(1) {
        let heading = section.lines().next().unwrap_or_default().trim_start_matches('#').trim();
        if let Some((_, rest)) = section.split_once("```json\n") {
            let json = rest.split("```").next().unwrap_or_default();
            let value = serde_json::from_str(json).unwrap_or_else(|error| panic!("the example of {heading}: {error}"));
            examples.insert(heading, value);
        }
    }
    examples
}

/// Same keys, same kinds of value. An example of a whole number asks for a whole number.
fn assert_same_shape(place: &str, example: &Value, actual: &Value) {
    match (example, actual) {
        (Value::Object(example), Value::Object(actual)) => {
            let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(keys(example), keys(actual), "keys of {place}");
            for (key, value) in example {
                assert_same_shape(&format!("{place}.{key}"), value, &actual[key]);
            }
        }
        (Value::Array(example), Value::Array(actual)) => {
            assert!(example.is_empty() || !actual.is_empty(), "{place} is empty");
            for (index, value) in actual.iter().enumerate() {
                assert_same_shape(&format!("{place}[{index}]"), &example[index.min(example.len() - 1)], value);
            }
        }
        (Value::Number(example), Value::Number(actual)) => {
            assert!(!example.is_u64() || actual.is_u64(), "{place} is {actual}, not whole");
        }
        _ => assert_eq!(
            std::mem::discriminant(example),
            std::mem::discriminant(actual),
            "{place}: {actual} in place of {example}"
        ),
    }
}

#[test]
fn every_answer_has_the_documented_shape() {
    let server = Server::new();
    let examples = examples();
    for (heading, path) in [
        ("GET /healthz", "/healthz"),
        ("GET /readyz", "/readyz"),
        ("GET /api/overview", "/api/overview"),
        ("GET /api/hashrate?worker=&hours=&step=", "/api/hashrate?worker=bc1qexample.rig1"),
        ("GET /api/jobs/current", "/api/jobs/current"),
        ("GET /api/qr?text=", "/api/qr?text=stratum%2Btcp://pool.lan:3333"),
        ("GET /api/workers?q=&sort=&cursor=&limit=", "/api/workers?q=RIG1"),
        ("GET /api/workers/{name}", "/api/workers/bc1qexample.rig1"),
        ("GET /api/hashrate?worker=&hours=&step=", "/api/workers/bc1qexample.rig1/history?hours=1"),
        ("GET /api/blocks?cursor=&limit=", "/api/blocks"),
        ("GET /api/client/{address}", "/api/client/bc1qexample"),
        ("GET /api/client/{address}/{worker}", "/api/client/bc1qexample/rig1"),
        ("GET /api/info", "/api/info"),
        ("GET /api/pool", "/api/pool"),
        ("GET /api/network", "/api/network"),
        ("GET /users/{address}", "/users/bc1qexample"),
    ] {
        let example = examples.get(heading).unwrap_or_else(|| panic!("no example of {heading}"));
        assert_same_shape(path, example, &server.json(path));
    }
    let problem = get(server.address, "/api/workers/nobody");
    assert_same_shape("a problem", &examples["Example of a problem"], &problem.json());
    let status = get(server.address, "/pool/pool.status");
    assert_eq!(status.text().lines().count(), 3);
    for (number, line) in status.text().lines().enumerate() {
        let heading = format!("Line {} of pool.status", number + 1);
        let line = serde_json::from_str(line).expect("a line of JSON");
        assert_same_shape(&heading, &examples[heading.as_str()], &line);
    }
}

fn events() -> Vec<PoolEventKind> {
    let worker = || "bc1qexample.rig1".into();
    vec![
        PoolEventKind::BlockFound {
            hash: hash(1),
            height: 923_456,
            worker: worker(),
            payout: Sats(311_107_500),
            state: BlockState::Accepted,
        },
        PoolEventKind::NewJob {
            height: 924_001,
            job: "1a2b".into(),
            clean: true,
            transactions: 3120,
            value: Sats(314_250_000),
        },
        PoolEventKind::SharesAccepted { accepted: 31, difficulty: 126_976.0, rejected: 1 },
        PoolEventKind::WorkerUp { worker: worker() },
        PoolEventKind::WorkerDown { worker: worker() },
        PoolEventKind::Health { health: NodeHealth::Lost, message: "No node answers.".into() },
    ]
}

#[test]
fn every_event_has_the_documented_shape_type_and_time() {
    let server = Server::new();
    let examples = examples();
    let (mut client, _) = EventClient::connect(server.address, None);
    for kind in events() {
        let name = kind.label();
        server.publisher.event(PoolEvent { at: NOW, kind });
        let event = client.next().expect("the event");
        assert_eq!(
            (event.name.as_str(), &event.data["type"], &event.data["at"]),
            (name, &name.into(), &NOW.seconds().into())
        );
        assert_same_shape(name, &examples[format!("Event {name}").as_str()], &event.data);
    }
    let (_client, reset) = EventClient::connect(server.address, Some("of another run-7"));
    assert_same_shape("reset", &examples["Event reset"], &reset.data);
    assert_eq!(reset.name, "reset");
}

#[test]
fn the_openapi_description_lists_the_routes() {
    let server = Server::new();
    let description = server.json("/api/openapi.json");
    let listed: BTreeSet<&str> = description["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    assert_eq!(listed, ROUTES.iter().map(|route| route.pattern).collect());
    for (path, item) in description["paths"].as_object().expect("paths") {
        let parameters = item["get"]["parameters"].as_array().cloned().unwrap_or_default();
        let in_path: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let braces: BTreeSet<&str> =
            path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(in_path, braces, "{path}");
        assert!(item["get"]["responses"]["200"].is_object(), "{path}");
    }
    assert_references_resolve(&description, &description);
}

fn assert_references_resolve(description: &Value, value: &Value) {
    match value {
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').expect("references stay within the document");
                assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            map.values().for_each(|value| assert_references_resolve(description, value));
        }
        Value::Array(values) => values.iter().for_each(|value| assert_references_resolve(description, value)),
        _ => {}
    }
}

#[test]
fn answers_fit_their_schemas() {
    let server = Server::new();
    let description = server.json("/api/openapi.json");
    let schemas = &description["components"]["schemas"];
    for (schema, path) in [
        ("Overview", "/api/overview"),
        ("Workers", "/api/workers"),
        ("Worker", "/api/workers/bc1qother"),
        ("History", "/api/hashrate"),
        ("Blocks", "/api/blocks"),
        ("CurrentJob", "/api/jobs/current"),
        ("Qr", "/api/qr?text=stratum%2Btcp://pool.lan:3333"),
        ("PublicPoolClient", "/api/client/bc1qother"),
        ("CkpoolUser", "/users/bc1qother"),
    ] {
        assert_fits(path, &schemas[schema], &server.json(path));
    }
    // A pool of which nothing is known yet answers with null, not with other shapes.
    server.show(warppool_components::snapshot::Snapshot::default());
    for (schema, path) in
        [("Overview", "/api/overview"), ("CurrentJob", "/api/jobs/current"), ("PublicPoolPool", "/api/pool")]
    {
        assert_fits(path, &schemas[schema], &server.json(path));
    }
}

fn assert_fits(place: &str, schema: &Value, value: &Value) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = |name: &str| name == kind || name == "integer" && value.is_u64();
    let types = &schema["type"];
    let fits = types.as_str().is_some_and(allowed)
        || types.as_array().is_some_and(|types| types.iter().filter_map(Value::as_str).any(allowed));
    assert!(fits, "{place} is {value}, allowed is {types}");
    if let Value::Object(map) = value {
        let known: BTreeSet<&String> = schema["properties"].as_object().expect("properties").keys().collect();
        assert_eq!(known, map.keys().collect(), "{place}");
        map.iter().for_each(|(key, value)| assert_fits(&format!("{place}.{key}"), &schema["properties"][key], value));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        assert_fits(&format!("{place}[{index}]"), &schema["items"], item);
    }
}
