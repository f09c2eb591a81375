//! What keeps a pool from starting is said in a sentence, and the exit status tells why.

use crate::harness::{Pool, Program, Site, node, run};
use redb::{Database, TableDefinition};
use std::fs;
use std::net::TcpListener;

/// Exit status and errors of a pool that does not start.
fn refusal(site: &Site) -> (Option<i32>, String) {
    let (status, _, errors) = run(site).finish();
    (status, errors)
}

#[test]
fn a_port_in_use_is_named() {
    let (node, _directory) = node();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["server.pool_listen", "server.status_listen"] {
        let (status, errors) = refusal(&Site::new(&node).with(key, &address));
        assert_eq!(status, Some(1), "{errors}");
        assert!(errors.contains(&address) && errors.contains("in use"), "{key}: {errors}");
    }
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let (node, _directory) = node();
    let site = Site::new(&node);
    let path = site.path("pool.redb");
    let meta: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
    let database = Database::create(&path).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(meta).unwrap().insert("format_version", 99_u32.to_le_bytes().as_slice()).unwrap();
    write.commit().unwrap();
    drop(database);
    let before = fs::read(&path).unwrap();
    let (status, errors) = refusal(&site);
    assert_eq!(status, Some(1), "{errors}");
    let path = path.to_str().unwrap();
    for part in [path, "format version 99", "versions up to 1", "run the newer WarpPool"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert_eq!(before.len(), fs::read(path).unwrap().len());
}

#[test]
fn a_store_in_use_by_another_pool_is_named() {
    let (node, _directory) = node();
    let site = Site::new(&node);
    let pool = Pool::start(&site);
    let (status, errors) = refusal(&site);
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("pool.redb") && errors.contains("in use by another process"), "{errors}");
    drop(pool);
}

#[test]
fn three_mistakes_are_all_named() {
    let (node, _directory) = node();
    let site = Site::new(&node);
    site.configure("[node]\nnetwork = \"moon\"\n[server]\npool_listen = 3333\n[vardiff]\nmax_stepp = 4\n");
    let config = site.path("config.toml");
    let config = config.to_str().unwrap();
    for (arguments, expected) in [(vec!["run", "--config", config], 78), (vec!["check-config", config], 1)] {
        let (status, _, errors) = Program::start(&arguments, &[]).finish();
        assert_eq!(status, Some(expected), "{errors}");
        for part in [":2: node.network", ":4: server.pool_listen", ":6: vardiff.max_stepp"] {
            assert!(errors.contains(part), "{part}: {errors}");
        }
    }
}

#[test]
fn secrets_that_others_can_read_are_refused_and_not_shown() {
    let (node, _directory) = node();
    let site = Site::new(&node);
    site.write_secrets("rpc_user = \"me\"\nrpc_pass = \"hush-hush\"\n", 0o644);
    let (status, errors) = refusal(&site);
    assert_eq!(status, Some(78), "{errors}");
    assert!(errors.contains("secrets.toml") && errors.contains("600"), "{errors}");
    assert!(!errors.contains("hush-hush"), "{errors}");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (node, _directory) = node();
    let site = Site::new(&node).with("store.path", "/dev/null/pool.redb");
    let (status, errors) = refusal(&site);
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("/dev/null") && errors.contains("[store] path"), "{errors}");
    fs::remove_file(site.path("config.toml")).unwrap();
    let (status, errors) = refusal(&site);
    assert_eq!(status, Some(78), "{errors}");
    assert!(errors.contains("config.toml"), "{errors}");
}
