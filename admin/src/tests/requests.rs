//! Requests and their answers, one matter each.

use super::client::{get, request};
use super::fixture::{FakeHistory, Files, NOW, Server, block, options, snapshot, worker};
use crate::options::AdminOptions;
use crate::state::Bounds;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use warppool_components::block::BlockState;
use warppool_components::limits::BLOCKS_IN_SNAPSHOT_MAX;
use warppool_components::node::NodeHealth;
use warppool_components::settings::Network;
use warppool_components::snapshot::Snapshot;
use warppool_components::units::UnixTime;
use warppool_components::worker::PresenceState;

fn server_with(options: AdminOptions) -> Server {
    Server::with(options, Bounds::default(), Arc::default(), Files::default())
}

fn names(page: &Value) -> Vec<&str> {
    page["workers"].as_array().expect("workers").iter().filter_map(|worker| worker["name"].as_str()).collect()
}

#[test]
fn the_overview_follows_the_snapshot() {
    let server = Server::new();
    let overview = server.json("/api/overview");
    assert_eq!(overview["workers"], json!({ "online": 2, "known": 3 }));
    assert_eq!(overview["shares"]["rejected"], 17);
    assert_eq!(overview["best_share"]["ever_worker"], "bc1qexample.rig1");
    assert_eq!(overview["pool"]["uptime_seconds"], 86_400);
    assert_eq!(overview["listeners"][0]["port"], 3333);
    let expected = overview["odds"]["expected_seconds"].as_f64().expect("a number");
    assert!((expected / (152_270_000_000_000.5 * 4_294_967_296.0 / 3.2e12) - 1.0).abs() < 1e-12);
    let mut next = snapshot();
    next.pool.blocks_found = 2;
    server.show(next);
    assert_eq!(server.json("/api/overview")["blocks_found"], 2);
}

#[test]
fn a_chain_of_the_operators_own_has_no_explorer() {
    let server = server_with(AdminOptions { network: Network::Regtest, ..options() });
    assert_eq!(server.json("/api/overview")["network"]["explorer"], Value::Null);
    assert_eq!(server.json("/api/blocks")["blocks"][0]["explorer_url"], Value::Null);
    assert_eq!(server.json("/api/network")["chain"], "regtest");
}

#[test]
fn before_the_first_snapshot_there_are_no_figures() {
    let server = Server::silent(options(), Bounds::default(), Arc::default(), Files::default());
    let answer = get(server.address, "/api/overview");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(get(server.address, "/healthz").status, 200);
    assert_eq!(get(server.address, "/readyz").status, 503);
}

#[test]
fn ready_means_a_synchronised_node_and_a_fresh_job() {
    let server = Server::new();
    assert_eq!(get(server.address, "/readyz").status, 200);
    let mut old = snapshot();
    old.at = UnixTime::from_seconds(NOW.seconds() + 111);
    server.show(old);
    let answer = get(server.address, "/readyz");
    assert_eq!((answer.status, &answer.json()["ready"]), (503, &json!(false)));
    assert!(answer.text().contains("The latest job is 121 s old."), "{}", answer.text());
    let mut lost = snapshot();
    let node = Arc::make_mut(&mut lost.node);
    (node.health, node.message) = (NodeHealth::Lost, "Check that bitcoind runs.".into());
    server.show(lost);
    let answer = get(server.address, "/readyz");
    assert_eq!(answer.json()["reasons"], json!(["The node is lost. Check that bitcoind runs."]));
    server.show(Snapshot::default());
    assert_eq!(get(server.address, "/readyz").json()["reasons"].as_array().map(Vec::len), Some(2));
}

#[test]
fn workers_are_sorted_searched_and_paged() {
    let server = Server::new();
    for (query, expected) in [
        ("", vec!["bc1qexample.rig1", "bc1qother", "bc1qother.Übung <b>/#1"]),
        ("?sort=-hashrate", vec!["bc1qother.Übung <b>/#1", "bc1qother", "bc1qexample.rig1"]),
        ("?sort=name", vec!["bc1qexample.rig1", "bc1qother", "bc1qother.Übung <b>/#1"]),
        ("?sort=-name&limit=1", vec!["bc1qother.Übung <b>/#1"]),
        ("?q=%C3%9CBUNG", vec!["bc1qother.Übung <b>/#1"]),
        ("?q=nobody", vec![]),
    ] {
        assert_eq!(names(&server.json(&format!("/api/workers{query}"))), expected, "{query}");
    }
    for malformed in
        ["?sort=height", "?limit=0", "?limit=1001", "?cursor=x", "?sort=name&cursor=1.2", "?page=2", "?q=%ff"]
    {
        assert_eq!(get(server.address, &format!("/api/workers{malformed}")).status, 400, "{malformed}");
    }
}

#[test]
fn pages_join_without_gap_though_the_list_moves() {
    for sort in ["hashrate", "-hashrate", "best_share", "shares", "rejected", "last_share", "name", "-name"] {
        let server = Server::new();
        let mut crowd = snapshot();
        crowd.workers = (1..=25).map(|id| worker(id, "a", &format!("w{id}"), f64::from(id % 4), id % 2)).collect();
        server.show(crowd.clone());
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.json(&format!("/api/workers?limit=4&sort={sort}&cursor={cursor}"));
            seen.extend(names(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = next.to_owned();
            // One who is on a page already leaves; the rest must still come once each.
            crowd.workers.retain(|worker| *worker.label != *seen[0]);
            server.show(crowd.clone());
        }
        assert_eq!(seen.len(), 25, "{sort}");
        assert_eq!(seen.iter().collect::<std::collections::BTreeSet<_>>().len(), 25, "{sort}");
    }
}

#[test]
fn names_with_odd_characters_are_found_by_their_encoding() {
    let server = Server::new();
    let path = "/api/workers/bc1qother.%C3%9Cbung%20%3Cb%3E%2F%231";
    let detail = server.json(path);
    assert_eq!(detail["worker"]["worker_name"], "Übung <b>/#1");
    assert_eq!(server.json(&format!("{path}/history?hours=1"))["worker"], "bc1qother.Übung <b>/#1");
    assert_eq!(server.json("/api/hashrate?worker=bc1qother.%C3%9Cbung+%3Cb%3E/%231")["points"][0]["rejected"], 3);
    assert_eq!(server.json("/api/client/bc1qother/%C3%9Cbung%20%3Cb%3E%2F%231")["name"], "Übung <b>/#1");
    for malformed in ["/api/workers/%", "/api/workers/%zz", "/api/workers/%ff"] {
        assert_eq!(get(server.address, malformed).status, 400, "{malformed}");
    }
}

#[test]
fn a_worker_is_told_what_it_would_get() {
    let server = Server::new();
    let payout = &server.json("/api/workers/bc1qexample.rig1")["payout"];
    assert_eq!((&payout["miner_sats"], &payout["miner_percent"]), (&json!(311_107_500), &json!(99.0)));
    let outputs = payout["outputs"].as_array().expect("outputs");
    let total: u64 = outputs.iter().filter_map(|output| output["value_sats"].as_u64()).sum();
    assert_eq!(total, 314_250_000);
    assert_eq!(outputs[2]["address"], Value::Null);
    assert_eq!(payout["miner_address"], "bc1qexample");
    let listed = &server.json("/api/workers?q=rig1")["workers"][0]["block_pays"];
    assert_eq!(*listed, json!({ "address": "bc1qexample", "sats": 311_107_500, "percent": 99.0 }));
}

#[test]
fn the_current_job_says_whom_a_block_would_pay() {
    let (server, mut snapshot) = (Server::new(), snapshot());
    let outputs = snapshot.workers[1].outputs.iter().cloned().map(|mut output| {
        if output.role == "miner" {
            output.address = "bc1qother".into();
        }
        output
    });
    snapshot.workers[1].outputs = outputs.collect();
    snapshot.workers.push(worker(4, "bc1qexample", "rig2", 1.0e12, 1));
    server.show(snapshot);
    let job = &server.json("/api/jobs/current")["job"];
    assert_eq!((&job["subsidy_sats"], &job["coinbase"]["miner_address"]), (&json!(312_500_000), &json!("bc1qexample")));
    // The worker that is not connected pays nobody.
    let payee = |address: &str, workers: u32, hashes: f64| json!({ "address": address, "sats": 311_107_500, "percent": 99.0, "workers": workers, "hashes_per_second": hashes });
    assert_eq!(job["payees"], json!([payee("bc1qexample", 2, 2.2e12), payee("bc1qother", 1, 1.0e12)]));
}

#[test]
fn a_silent_worker_is_offline_everywhere_and_a_waiting_one_is_not() {
    let (server, mut snapshot) = (Server::new(), snapshot());
    snapshot.workers[0].presence = PresenceState::Silent;
    snapshot.workers[1].presence = PresenceState::Waiting;
    snapshot.pool.workers_online = 1;
    server.show(snapshot);
    let workers = server.json("/api/workers");
    let shown = |place: usize| {
        let worker = &workers["workers"][place];
        (worker["name"].clone(), worker["presence"].clone(), worker["online"].clone())
    };
    assert_eq!(shown(0), (json!("bc1qother"), json!("waiting"), json!(true)));
    assert_eq!(shown(2), (json!("bc1qexample.rig1"), json!("silent"), json!(false)));
    assert_eq!(server.json("/users/bc1qexample")["workers"], 0);
    let status = get(server.address, "/pool/pool.status");
    assert!(status.text().contains("\"Users\":1,\"Workers\":1,\"Idle\":1,\"Disconnected\":1}"), "{}", status.text());
    let metrics = get(server.address, "/metrics/workers");
    for line in [
        "warppool_worker_online{worker=\"bc1qexample.rig1\"} 0",
        "warppool_worker_connections{worker=\"bc1qexample.rig1\"} 2",
        "warppool_worker_online{worker=\"bc1qother\"} 1",
    ] {
        assert!(metrics.text().contains(line), "{line}");
    }
}

#[test]
fn history_has_bounds() {
    let server = Server::new();
    let history = server.json("/api/hashrate?hours=24&step=600");
    assert_eq!((&history["worker"], &history["step_seconds"]), (&Value::Null, &json!(600)));
    assert_eq!(history["to"].as_u64().zip(history["from"].as_u64()).map(|(to, from)| to - from), Some(86_400));
    let rate = history["points"][0]["hashes_per_second"].as_f64().expect("a number");
    assert!((rate / (223_517.5 * 4_294_967_296.0 / 600.0) - 1.0).abs() < 1e-12);
    for malformed in ["?hours=0", "?hours=9000", "?hours=x", "?step=5", "?hours=24&step=10", "?hour=1"] {
        assert_eq!(get(server.address, &format!("/api/hashrate{malformed}")).status, 400, "{malformed}");
    }
    assert_eq!(get(server.address, "/api/hashrate?worker=nobody").status, 404);
}

#[test]
fn blocks_go_on_in_the_store_where_the_snapshot_ends() {
    let all: Vec<_> = (0..100).map(|age| block(1000 - age)).collect();
    let history = FakeHistory { blocks: all.clone(), ..FakeHistory::default() };
    let server = Server::with(options(), Bounds::default(), Arc::new(history), Files::default());
    let mut recent = snapshot();
    recent.blocks = all[..BLOCKS_IN_SNAPSHOT_MAX].to_vec().into();
    server.show(recent);
    let (mut heights, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.json(&format!("/api/blocks?limit=30&cursor={cursor}"));
        heights.extend(page["blocks"].as_array().expect("blocks").iter().filter_map(|block| block["height"].as_u64()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!(heights, (901..=1000).rev().collect::<Vec<u64>>());
    assert_eq!(get(server.address, "/api/blocks?cursor=5").status, 400);
}

#[test]
fn states_of_blocks_say_how_far_or_why() {
    let server = Server::new();
    let states = [BlockState::Confirmed(7), BlockState::Rejected("high-hash".into()), BlockState::Orphaned];
    let mut shown = snapshot();
    let row = |state: BlockState| warppool_components::record::BlockRow { state, ..block(5) };
    shown.blocks = states.map(row).into();
    server.show(shown);
    let page = server.json("/api/blocks");
    let told = |index: usize| ["state", "confirmations", "reject_reason"].map(|key| page["blocks"][index][key].clone());
    assert_eq!(told(0), [json!("confirmed"), json!(7), Value::Null]);
    assert_eq!(told(1), [json!("rejected"), Value::Null, json!("high-hash")]);
    assert_eq!(told(2), [json!("orphaned"), Value::Null, Value::Null]);
}

#[test]
fn small_screens_find_what_they_read() {
    let server = Server::new();
    let client = server.json("/api/client/bc1qexample");
    assert_eq!((&client["workersCount"], &client["workers"][0]["hashRate"]), (&json!(1), &json!(1.2e12)));
    assert_eq!(client["workers"][0]["bestDifficulty"], "98123456789.50");
    assert_eq!(server.json("/api/client/unknown"), json!({ "bestDifficulty": 0.0, "workersCount": 0, "workers": [] }));
    let user = server.json("/users/bc1qother");
    assert_eq!((&user["workers"], user["worker"].as_array().map(Vec::len)), (&json!(1), Some(2)));
    assert_eq!(user["hashrate1hr"], "2.5T");
    assert_eq!(get(server.address, "/users/unknown").status, 404);
    assert_eq!(server.json("/api/pool")["fee"], 1.0);
    let status = get(server.address, "/pool/pool.status");
    assert!(status.text().starts_with(
        "{\"runtime\":86400,\"lastupdate\":1763688000,\"Users\":2,\"Workers\":2,\"Idle\":0,\"Disconnected\":1}\n"
    ));
}

#[test]
fn methods_that_only_read_are_known() {
    let server = Server::new();
    let whole = get(server.address, "/api/overview");
    let head = request(server.address, "HEAD", "/api/overview", &[]);
    assert_eq!((head.status, head.header("content-length")), (200, whole.header("content-length")));
    let options = request(server.address, "OPTIONS", "/api/overview", &[]);
    assert_eq!((options.status, options.header("allow")), (204, Some("GET, HEAD, OPTIONS")));
    for (method, path) in [("POST", "/api/overview"), ("DELETE", "/"), ("PUT", "/api/workers/x")] {
        let refused = request(server.address, method, path, &[]);
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{method} {path}");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    }
}

#[test]
fn a_wrong_path_is_told_what_is_near_and_never_as_html() {
    let server = Server::new();
    let answer = get(server.address, "/api/worker");
    assert_eq!(answer.status, 404);
    assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains("Did you mean /api/workers")));
    for path in [
        "/%3Cscript%3Ealert(1)%3C/script%3E",
        "/api/workers/%3Cscript%3E",
        "/api/workers?sort=%3Cscript%3E",
        "/../etc/passwd",
    ] {
        let answer = get(server.address, path);
        assert!(matches!(answer.status, 400 | 404), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(
            answer.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'self'"))
        );
    }
    let long = get(server.address, &format!("/{}", "a".repeat(5000)));
    assert!(long.status == 404 && long.body.len() < 500, "{}", long.text());
}

#[test]
fn login_and_administration_are_off() {
    let server = Server::new();
    for (method, path) in [
        ("POST", "/api/auth/login"),
        ("GET", "/api/auth/whoami"),
        ("GET", "/api/admin/audit"),
        ("DELETE", "/api/admin"),
    ] {
        let refused = request(server.address, method, path, &[]);
        assert_eq!((refused.status, &refused.json()["title"]), (503, &json!("auth disabled")), "{method} {path}");
    }
    assert_eq!(get(server.address, "/api/administrator").status, 404);
}

#[test]
fn reading_can_be_restricted() {
    let server = server_with(AdminOptions { public_reads: false, ..options() });
    for path in ["/api/overview", "/api/events", "/api/workers/x", "/users/x", "/pool/pool.status", "/metrics/workers"]
    {
        let refused = get(server.address, path);
        assert_eq!((refused.status, &refused.json()["title"]), (503, &json!("auth disabled")), "{path}");
    }
    for path in ["/healthz", "/readyz", "/metrics", "/api/openapi.json", "/"] {
        assert_eq!(get(server.address, path).status, 200, "{path}");
    }
}

#[test]
fn metrics_of_workers_are_on_demand() {
    assert_eq!(get(Server::new().address, "/metrics/workers").status, 200);
    let server = server_with(AdminOptions { worker_metrics: false, ..options() });
    assert_eq!(get(server.address, "/metrics/workers").status, 404);
}

fn dashboard() -> Server {
    let files: [(&str, &[u8]); 6] = [
        ("index.html", b"<!doctype html>dashboard"),
        ("assets/app-1f2e.js", b"plain script"),
        ("assets/app-1f2e.js.gz", b"gzipped script"),
        ("assets/app-1f2e.js.br", b"brotli script"),
        ("assets/app-1f2e.css", b"style"),
        (".secret", b"hidden"),
    ];
    Server::with(options(), Bounds::default(), Arc::default(), Files(files.into()))
}

#[test]
fn files_come_compressed_when_the_browser_takes_it() {
    let server = dashboard();
    let script = "/assets/app-1f2e.js";
    for (accepted, encoding, body) in [
        ("gzip, deflate, br", Some("br"), "brotli script"),
        ("gzip;q=0.8, br;q=0", Some("gzip"), "gzipped script"),
        ("identity", None, "plain script"),
    ] {
        let file = request(server.address, "GET", script, &[("accept-encoding", accepted)]);
        assert_eq!((file.header("content-encoding"), file.text()), (encoding, body), "{accepted}");
        assert_eq!(file.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(file.header("vary"), Some("accept-encoding"));
    }
    let style = request(server.address, "GET", "/assets/app-1f2e.css", &[("accept-encoding", "br")]);
    assert_eq!((style.header("content-encoding"), style.text()), (None, "style"));
}

#[test]
fn files_are_kept_by_browsers_as_long_as_they_hold() {
    let server = dashboard();
    let index = get(server.address, "/");
    assert_eq!((index.text(), index.header("cache-control")), ("<!doctype html>dashboard", Some("no-cache")));
    let tag = index.header("etag").expect("a tag");
    for known in [tag.to_owned(), format!("\"other\", W/{tag}"), "*".into()] {
        let again = request(server.address, "GET", "/index.html", &[("if-none-match", &known)]);
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag)), "{known}");
    }
    assert_eq!(request(server.address, "GET", "/", &[("if-none-match", "\"other\"")]).status, 200);
    let script = get(server.address, "/assets/app-1f2e.js");
    assert!(script.header("cache-control").is_some_and(|cache| cache.contains("immutable")));
    for absent in ["/assets/none.js", "/.secret", "/assets/../index.html", "/assets%2Fapp-1f2e.js", "/placeholder.css"]
    {
        assert_eq!(get(server.address, absent).status, 404, "{absent}");
    }
}

#[test]
fn without_a_dashboard_a_page_says_how_to_get_one() {
    let server = Server::new();
    let page = get(server.address, "/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("make ui") && page.text().contains("api/overview"));
    assert!(!page.text().contains("<script") && !page.text().contains("<style"), "the policy forbids both");
    assert_eq!(get(server.address, "/placeholder.css").status, 200);
    for link in page.text().split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        let status = request(server.address, "OPTIONS", &format!("/{link}"), &[]).status;
        assert_eq!(status, 204, "{link}");
    }
}

#[test]
fn a_stop_ends_connections_that_would_go_on() {
    let server = Server::new();
    let (mut listener, _) = super::client::EventClient::connect(server.address, None);
    let address = server.address;
    drop(server);
    assert_eq!(listener.next(), None);
    assert!(std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_err());
}
