//! How the process looks to the machine it runs on: its log and its listeners.

use crate::harness::{Pool, RawMiner, Site, address, node};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

#[test]
fn the_log_is_json_or_plain_text() {
    let (node, _directory) = node();
    for (setting, is_json) in [("true", true), ("false", false)] {
        let pool = Pool::start(&Site::new(&node).with("logging.json", setting));
        let mut miner = RawMiner::join(pool.miners, &address(1));
        let job = miner.job();
        miner.submit_good(&job);
        let (_, log) = pool.terminate();
        assert!(log.len() > 3, "{log:?}");
        for line in log {
            assert_eq!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), is_json, "{line}");
            assert!(!line.contains('\u{1b}'), "colours in a file: {line}");
        }
    }
}

#[test]
fn a_port_alone_listens_on_every_address() {
    let (node, _directory) = node();
    let site = Site::new(&node).with("server.pool_listen", ":0").with("server.status_listen", ":0");
    let mut pool = Pool::start(&site);
    let (miners, http) = (pool.miners.port(), pool.http.port());
    let with_ipv6 = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let addresses = [(true, Ipv4Addr::LOCALHOST.into()), (with_ipv6, Ipv6Addr::LOCALHOST.into())];
    for (_, ip) in addresses.into_iter().filter(|(there, _)| *there) {
        pool.http = SocketAddr::new(ip, http);
        assert_eq!(pool.get("/healthz").0, 200);
        let mut miner = RawMiner::join(SocketAddr::new(ip, miners), &address(1));
        let job = miner.job();
        miner.submit_good(&job);
    }
}
