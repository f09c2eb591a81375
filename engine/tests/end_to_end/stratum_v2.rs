//! The encryption of Stratum V2 as a client sees it: the key of the pool, its certificate, its ports.

use crate::harness::{DEADLINE, Pool, Program, RawMiner, Site, address, node, until};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::SystemTime;
use warppool_components::units::UnixTime;
use warppool_net::transport::noise::{
    ACT_2_BYTES, AuthorityKey, AuthorityPublicKey, CertificateError, Initiator, NoiseError, NoiseSession,
};

/// Addresses and keys of Stratum V2, as the dashboard is told.
fn listeners(pool: &Pool) -> Vec<(SocketAddr, AuthorityPublicKey)> {
    let of_v2 = |page: &Value| -> Vec<(SocketAddr, AuthorityPublicKey)> {
        let all = page["listeners"].as_array().unwrap().iter().filter(|one| one["protocol"] == "v2");
        let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
        all.map(|one| (text(one, "address").parse().unwrap(), text(one, "authority_key").parse().unwrap())).collect()
    };
    of_v2(&pool.json_when("/api/overview", |page| !of_v2(page).is_empty()))
}

/// A handshake with the real time.
fn shake_hands(address: SocketAddr, authority: AuthorityPublicKey) -> Result<(TcpStream, NoiseSession), NoiseError> {
    let (initiator, act_1) = Initiator::new().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(&act_1).unwrap();
    let mut act_2 = [0; ACT_2_BYTES];
    stream.read_exact(&mut act_2).unwrap();
    let session = initiator.finish(&act_2, authority, UnixTime::from(SystemTime::now()), 1 << 16)?;
    Ok((stream, session))
}

#[test]
fn stratum_v2_works_without_a_step_of_the_operator_and_keeps_its_key() {
    let (node, _directory) = node();
    let mut site = Site::new(&node).with("stratum.sv2_listen", "127.0.0.1:0");
    let mut pool = Pool::start(&site);
    pool.wait_for_log(&["a key for Stratum V2 was made"]);
    pool.wait_for_log(&["miners connect over Stratum V2 to stratum2+tcp://127.0.0.1:"]);
    let file = site.path("sv2-authority-key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let shown = listeners(&pool);
    assert_eq!(shown.len(), 2, "its own port and the common one");
    let key = shown[0].1;
    for (address, authority) in shown {
        assert_eq!(authority, key);
        let (_stream, session) = shake_hands(address, authority).unwrap();
        assert!(!session.has_heard());
    }
    let distrust = shake_hands(pool.miners, AuthorityKey::generate().public()).map(drop);
    assert_eq!(distrust, Err(NoiseError::Certificate(CertificateError::WrongAuthority)));
    until("it is counted", || {
        let count = |result| pool.metric(&format!("warppool_noise_handshakes_total{{result=\"{result}\"}}"));
        (count("answered") == 3.0 && count("abandoned") == 3.0).then_some(())
    });
    pool.wait_for_log(&["Stratum V2 clients that left when they saw who answers", "warppool keys sv2"]);
    // Miners of Stratum V1 on the same port are none the worse for it.
    let mut miner = RawMiner::join(pool.miners, &address(1));
    let job = miner.job();
    miner.submit_good(&job);
    let (_, log) = pool.terminate();
    let secret = fs::read_to_string(&file).unwrap();
    assert!(log.iter().all(|line| !line.contains(secret.trim())), "the secret is in the log");

    let config = site.path("config.toml");
    let arguments = ["keys", "sv2", "--config", config.to_str().unwrap(), "--host", "pool.lan"];
    let (status, output, errors) = Program::start(&arguments, &[]).finish();
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert!(
        output.contains(&format!("stratum2+tcp://pool.lan:0/{key}")) && !output.contains(secret.trim()),
        "{output}"
    );

    site.overrides.clear();
    let pool = Pool::start(&site);
    assert_eq!(listeners(&pool), [(pool.miners, key)], "the same key, on the common port alone");
}

#[test]
fn the_operator_s_own_key_goes_first_and_a_reload_takes_another_over() {
    let (node, _directory) = node();
    let site = Site::new(&node);
    let public = |byte: u8| AuthorityKey::from_secret_bytes(&[byte; 32]).unwrap().public();
    let write = |byte: u8| {
        site.write_secrets(&format!("sv2_authority_secret_key = \"{}\"\n", format!("{byte:02x}").repeat(32)), 0o600)
    };
    write(7);
    let pool = Pool::start(&site);
    assert_eq!(listeners(&pool), [(pool.miners, public(7))]);
    assert!(!site.path("sv2-authority-key").exists());
    write(8);
    pool.signal("HUP");
    until("the other key is shown", || (listeners(&pool) == [(pool.miners, public(8))]).then_some(()));
    assert!(shake_hands(pool.miners, public(8)).is_ok());
}

#[test]
fn a_key_that_cannot_be_used_stops_the_start_and_is_not_replaced() {
    let (node, _directory) = node();
    let site = Site::new(&node);
    let file = site.path("sv2-authority-key");
    fs::write(&file, "broken").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let config = site.path("config.toml");
    let (status, output, errors) = Program::start(&["run", "--config", config.to_str().unwrap()], &[]).finish();
    assert_eq!(status, Some(1));
    let said = format!("{output}{errors}");
    assert!(said.contains("sv2-authority-key") && said.contains("Restore it from a backup"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "broken");
}
