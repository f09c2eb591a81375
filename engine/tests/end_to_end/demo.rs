//! `warppool demo`, as a visitor runs it.

use crate::harness::Program;
use std::net::TcpListener;
use tempfile::TempDir;

/// A demonstration whose temporary files are where the test sees them.
fn demo(arguments: &[&str]) -> (Program, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let arguments = [&["demo"], arguments].concat();
    (Program::start(&arguments, &[("TMPDIR", directory.path())]), directory)
}

fn assert_empty(directory: &TempDir) {
    let left: Vec<_> = directory.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "files are left: {left:?}");
}

#[test]
fn the_demonstration_finds_blocks_and_tells_of_them() {
    let (program, directory) = demo(&["--blocks", "2", "--exit", "--timeout", "110"]);
    let (status, text, errors) = program.finish();
    assert_eq!(status, Some(0), "{text}\n{errors}");
    let found = text.lines().filter(|line| line.contains('…') && !line.starts_with("Block")).collect::<Vec<_>>();
    // Two miners may find a block of the same height at once: then one of them is orphaned.
    let states = ["accepted", "confirmed", "orphaned", "pending"];
    for line in &found {
        assert!(line.contains(" BTC") && states.iter().any(|state| line.contains(state)), "{line}");
    }
    let taken = found.iter().filter(|line| line.contains("accepted") || line.contains("confirmed")).count();
    assert!(taken >= 2, "{text}");
    // The finder's protocol stands behind its name.
    for kind in [" V1 ", " V2 ", " translator       V1 to V2 "] {
        let by_kind = |line: &&&str| line.contains(kind) && (line.contains("accepted") || line.contains("confirmed"));
        assert!(found.iter().any(|line| by_kind(&line)), "no block of {kind}: {text}");
    }
    for title in [
        "height",
        "finder",
        "stratum",
        "miner",
        "hashes",
        "accepted",
        "Dashboard  http://",
        "Miners     stratum+tcp://",
        "Translator stratum+tcp://",
    ] {
        assert!(text.contains(title), "{title}: {text}");
    }
    assert_empty(&directory);
}

#[test]
fn a_demonstration_without_the_blocks_fails_with_a_reason() {
    let (program, directory) = demo(&["--blocks", "10000", "--exit", "--timeout", "1"]);
    let (status, _, errors) = program.finish();
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("of 10000 blocks were accepted within 1 s"), "{errors}");
    assert!(errors.contains("miners are connected") && errors.contains("the node is ready"), "{errors}");
    assert_empty(&directory);
}

#[test]
fn a_demonstration_that_cannot_listen_names_the_port() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (program, directory) = demo(&["--listen", &address]);
    let (status, _, errors) = program.finish();
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains(&address) && errors.contains("in use"), "{errors}");
    assert_empty(&directory);
}

#[test]
fn an_interrupted_demonstration_ends_with_its_table() {
    let (mut program, directory) = demo(&[]);
    program.wait_for_output("Dashboard  http://");
    program.signal("INT");
    let (status, text, errors) = program.finish();
    assert_eq!(status, Some(0), "{text}\n{errors}");
    assert!(text.contains("refused"), "{text}");
    assert_empty(&directory);
}
