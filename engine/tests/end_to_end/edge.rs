//! One port for everything: plain text, TLS, browsers, proxies, and the certificate that changes while the pool runs.

use crate::harness::{DEADLINE, Pool, Program, RawMiner, Site, TlsStream, address, node, until};
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use warppool_loadgen::modes::storm;
use warppool_loadgen::tls::client_config;
use warppool_loadgen::{Protocol, Target};

/// A site with a certificate made by the program itself.
pub(crate) fn with_certificate(site: Site) -> Site {
    make_certificate(site.path("tls").as_path());
    site.with("stratum.tls_cert_path", "tls/tls-cert.pem").with("stratum.tls_key_path", "tls/tls-key.pem")
}

fn make_certificate(directory: &Path) {
    let directory = directory.to_str().unwrap();
    let arguments = ["tls", "self-signed", "--directory", directory, "--name", "pool.test", "--name", "127.0.0.1"];
    let (status, output, errors) = Program::start(&arguments, &[]).finish();
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert!(output.contains("tls_cert_path") && output.contains("pool.test"), "{output}");
}

/// Where its certificate is.
pub(crate) fn certificate_file(site: &Site) -> PathBuf {
    site.path("tls/tls-cert.pem")
}

fn certificate(site: &Site) -> Vec<u8> {
    fs::read(certificate_file(site)).unwrap()
}

#[test]
fn plain_miners_tls_miners_and_browsers_share_a_port() {
    let (node, _directory) = node();
    let site = with_certificate(Site::new(&node)).with("stratum.stratum_tls_listen", "[::1]:0");
    let mut pool = Pool::start(&site);
    let own_port = pool.tls_address();
    pool.wait_for_log(&["TLS is served on every port for miners"]);
    let mut plain = RawMiner::join(pool.miners, &address(1));
    let job = plain.job();
    plain.submit_good(&job);
    for tls12 in [true, false] {
        for port in [pool.miners, own_port] {
            let stream = TlsStream::connect(port, &certificate(&site), tls12).unwrap();
            let mut miner = RawMiner::join_over(stream, &address(2));
            let job = miner.job();
            miner.submit_good(&job);
            until("both are seen", || {
                let active = |label| pool.metric(&format!("warppool_active_connections{{protocol=\"{label}\"}}"));
                (active("v1") == 1.0 && active("v1_tls") == 1.0).then_some(())
            });
            drop(miner);
            until("it is gone", || {
                (pool.metric("warppool_active_connections{protocol=\"v1_tls\"}") == 0.0).then_some(())
            });
        }
    }
    until("all are counted", || (pool.metric("warppool_tls_handshakes_total{result=\"full\"}") == 4.0).then_some(()));
    assert!(pool.metric("warppool_tls_certificate_expires_at_seconds") > 1.7e9);

    let overview = pool.json_when("/api/overview", |page| page["listeners"].as_array().unwrap().len() == 4);
    let protocols: Vec<_> = overview["listeners"].as_array().unwrap().iter().map(|one| &one["protocol"]).collect();
    assert_eq!(protocols, ["v1", "v1_tls", "v1_tls", "v2"], "{overview}");

    let mut browser = TcpStream::connect(pool.miners).unwrap();
    browser.write_all(b"GET / HTTP/1.1\r\nHost: pool.lan\r\n\r\n").unwrap();
    let mut answer = String::new();
    browser.read_to_string(&mut answer).unwrap();
    let location = format!("Location: http://pool.lan:{}/\r\n", pool.http.port());
    assert!(answer.starts_with("HTTP/1.1 302 ") && answer.contains(&location), "{answer}");
    plain.submit_good(&job);
}

/// The same conversations as in plain text, on the port for everything and on that for TLS alone.
#[test]
fn the_doctor_passes_our_pool_over_tls() {
    let (node, _directory) = node();
    let site = with_certificate(Site::new(&node)).with("stratum.stratum_tls_listen", "127.0.0.1:0");
    let mut pool = Pool::start(&site);
    let user = format!("{}.doctor", address(1));
    for (port, only) in [(pool.miners, &[][..]), (pool.tls_address(), &["--only", "cgminer"])] {
        let address = format!("stratum+ssl://{port}");
        let arguments = ["doctor", "--pool", &address, "--user", &user];
        let (status, text, progress) = Program::start(&[&arguments, only].concat(), &[]).finish();
        assert_eq!(status, Some(0), "{text}\n{progress}");
        assert!(text.contains("no check failed") && text.contains("TLS 1."), "{text}");
        assert!(text.lines().any(|line| line.contains("pass") && line.contains("good-share")), "{text}");
    }
}

#[test]
fn a_swarm_over_tls_gets_its_jobs_and_its_verdicts() {
    let (node, _directory) = node();
    let site = with_certificate(Site::new(&node));
    let pool = Pool::start(&site);
    let trusted = site.path("tls/tls-cert.pem");
    for trusted in [None, Some(trusted.as_path())] {
        let target = Target {
            server: pool.miners,
            protocol: Protocol::Stratum,
            username: address(1),
            password: "d=1e-12".to_owned(),
            connections: 20,
            server_pid: None,
            login_timeout: DEADLINE,
            v2: None,
            tls: Some(client_config(trusted).unwrap()),
            sources_from: None,
            is_remote_allowed: false,
        };
        let within = Duration::from_millis(100);
        let figures = storm::run(&storm::Options { target, within }).unwrap();
        assert_eq!((figures.ready, figures.failures.len()), (20, 0), "{figures:?}");
    }
    until("all are counted", || (pool.metric("warppool_tls_handshakes_total{result=\"full\"}") == 40.0).then_some(()));
    // A name that nobody has certified, and the check that is not turned off.
    make_certificate(&site.path("other"));
    let other = site.path("other/tls-cert.pem");
    let stranger = fs::read(other).unwrap();
    assert!(TlsStream::connect(pool.miners, &stranger, false).is_err());
}

#[test]
fn a_new_certificate_is_taken_over_and_a_broken_one_is_not_and_nobody_is_dropped() {
    let (node, _directory) = node();
    let site = with_certificate(Site::new(&node));
    let mut pool = Pool::start(&site);
    let first = certificate(&site);
    let mut miner = RawMiner::join_over(TlsStream::connect(pool.miners, &first, false).unwrap(), &address(1));
    let job = miner.job();
    miner.submit_good(&job);

    // A new pair takes the place of the old one.
    make_certificate(&site.path("next"));
    for name in ["tls-cert.pem", "tls-key.pem"] {
        fs::rename(site.path("next").join(name), site.path("tls").join(name)).unwrap();
    }
    pool.wait_for_log(&["the TLS certificate was replaced"]);
    let second = certificate(&site);
    until("the new certificate is shown", || TlsStream::connect(pool.miners, &second, true).ok());
    assert!(TlsStream::connect(pool.miners, &first, true).is_err(), "the old one is not shown any more");
    miner.submit_good(&job);

    // Nonsense takes its place, by itself and by a reload.
    fs::write(site.path("tls/tls-cert.pem"), "no certificate").unwrap();
    pool.wait_for_log(&["the TLS certificate was not replaced", "holds no certificate"]);
    pool.signal("HUP");
    pool.wait_for_log(&["stratum.tls_cert_path", "holds no certificate"]);
    pool.wait_for_log(&["the configuration was not changed"]);
    TlsStream::connect(pool.miners, &second, false).unwrap();
    miner.submit_good(&job);

    // And a reload takes a sound one at once.
    fs::write(site.path("tls/tls-cert.pem"), &second).unwrap();
    pool.signal("HUP");
    pool.wait_for_log(&["configuration read again"]);
    TlsStream::connect(pool.miners, &second, false).unwrap();
    miner.submit_good(&job);
}

#[test]
fn tls_without_a_certificate_is_told_to_the_operator() {
    let (node, _directory) = node();
    let mut pool = Pool::start(&Site::new(&node));
    assert!(TlsStream::connect(pool.miners, &[], false).is_err());
    pool.wait_for_log(&["connections closed: 1", "there is no certificate", "stratum.tls_cert_path"]);
    until("it is counted", || {
        let count = pool.metric("warppool_connections_refused_total{reason=\"no_certificate\"}");
        (count == 1.0).then_some(())
    });
}

#[test]
fn a_proxy_is_believed_only_where_it_is_listed() {
    let (node, _directory) = node();
    let header = b"PROXY TCP4 198.51.100.7 192.0.2.1 56324 3333\r\n";
    let pool = Pool::start(&Site::new(&node).with("stratum.proxy_protocol_from", "[\"127.0.0.0/8\"]"));
    let mut miner = RawMiner::connect(pool.miners);
    miner.send(header);
    assert!(miner.call("mining.subscribe", &json!([])).unwrap()["result"].is_array());

    let pool = Pool::start(&Site::new(&node));
    let mut miner = RawMiner::connect(pool.miners);
    miner.send(header);
    miner.wait_for_end();
    until("it is counted", || {
        let count = pool.metric("warppool_connections_refused_total{reason=\"proxy_foreign\"}");
        (count == 1.0).then_some(())
    });
}

#[test]
fn check_config_says_what_is_wrong_with_a_certificate() {
    let (node, _directory) = node();
    let site = with_certificate(Site::new(&node));
    let check = |site: &Site| {
        let path = site.path("config.toml");
        let mut arguments = vec!["check-config", path.to_str().unwrap()];
        site.overrides.iter().for_each(|text| arguments.extend(["--set", text]));
        Program::start(&arguments, &[]).finish()
    };
    let (status, output, _) = check(&site);
    assert!(status == Some(0) && output.contains("the certificate is valid until"), "{output}");

    let expired = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["pool.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 2, 29);
    fs::write(site.path("tls/tls-cert.pem"), params.self_signed(&expired).unwrap().pem()).unwrap();
    let (status, _, errors) = check(&site);
    assert!(
        status == Some(1) && errors.contains("stratum.tls_key_path") && errors.contains("does not belong"),
        "{errors}"
    );
    fs::write(site.path("tls/tls-key.pem"), expired.serialize_pem()).unwrap();
    let (status, _, errors) = check(&site);
    assert!(status == Some(1) && errors.contains("the certificate expired on 2020-02-29"), "{errors}");
    // It is served all the same, and said.
    let mut pool = Pool::start(&site);
    pool.wait_for_log(&["the TLS certificate expired on 2020-02-29"]);
}
