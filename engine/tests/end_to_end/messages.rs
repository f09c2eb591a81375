//! `warppool message`: the operator speaks to miners.

use crate::harness::{Pool, Program, RawMiner, Site, address, node};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

fn message(site: &Site, more: &[&str]) -> (Option<i32>, String, String) {
    let config = site.path("config.toml");
    Program::start(&[&["message", "--config", config.to_str().unwrap()], more].concat(), &[]).finish()
}

#[test]
fn a_message_reaches_whom_it_is_for_and_nobody_else() {
    let (node, _directory) = node();
    let site = Site::new(&node);
    let pool = Pool::start(&site);
    let (one, two) = (format!("{}.one", address(1)), format!("{}.two", address(2)));
    let mut miners = [&one, &two].map(|name| RawMiner::join(pool.miners, name));
    let (status, text, errors) = message(&site, &["Maintenance at 22:00, Grüße"]);
    assert_eq!((status, &*text), (Some(0), "sent to 2 connections"), "{errors}");
    let (status, text, _) = message(&site, &["--worker", &two, "Yours is hot"]);
    assert_eq!((status, &*text), (Some(0), "sent to 1 connection"));
    for miner in &mut miners {
        assert_eq!(miner.wait_for("client.show_message", |_| true)[0], "Maintenance at 22:00, Grüße");
    }
    assert_eq!(miners[1].wait_for("client.show_message", |_| true)[0], "Yours is hot");
    let (status, _, errors) = message(&site, &["--worker", "nobody", "hello"]);
    assert!(status == Some(1) && errors.contains("no worker nobody is connected"), "{errors}");
    let (status, _, errors) = message(&site, &["two\nlines"]);
    assert!(status == Some(2) && errors.contains("control character"), "{errors}");
}

#[test]
fn miners_are_asked_to_move_when_the_operator_says_so() {
    let (node, _directory) = node();
    let site = Site::new(&node);
    let pool = Pool::start(&site);
    let config = site.path("config.toml");
    let reconnect = |more: &[&str]| {
        Program::start(&[&["reconnect", "--config", config.to_str().unwrap()], more].concat(), &[]).finish()
    };
    let mut miner = RawMiner::join(pool.miners, &format!("{}.one", address(1)));
    let (status, text, errors) = reconnect(&["pool.example.com:3333"]);
    assert_eq!((status, &*text), (Some(0), "sent to 1 connection"), "{errors}");
    let asked = miner.wait_for("client.reconnect", |_| true);
    assert_eq!(asked, serde_json::json!(["pool.example.com", "3333", 0]));
    let (status, _, errors) = reconnect(&["pool.example.com"]);
    assert!(status == Some(2) && errors.contains("is not HOST:PORT"), "{errors}");
}

#[test]
fn the_socket_is_its_owners_alone_outlives_a_crash_and_ends_with_the_pool() {
    let (node, _directory) = node();
    let site = Site::new(&node);
    let socket = site.path("control.sock");
    let mut pool = Pool::start(&site);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    // Whoever connects and says nothing holds neither the pool nor the next one up for long.
    let _silent = UnixStream::connect(&socket).unwrap();
    let (status, _, errors) = message(&site, &["hello"]);
    assert!(status == Some(1) && errors.contains("no miner is connected"), "{errors}");
    pool.kill();
    assert!(socket.exists());
    let (status, _, errors) = message(&site, &["hello"]);
    assert!(status == Some(1) && errors.contains("no pool takes orders"), "{errors}");
    let pool = Pool::start(&site);
    let (status, _, errors) = message(&site, &["hello"]);
    assert!(status == Some(1) && errors.contains("no miner is connected"), "{errors}");
    let (status, _) = pool.terminate();
    assert_eq!((status, socket.exists()), (Some(0), false));
}
