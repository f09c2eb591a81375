//! `warppool demo`, as a visitor runs it.

use crate::harness::finish;

#[test]
fn the_demonstration_finds_blocks_and_tells_of_them() {
    let output = finish(&["demo", "--blocks", "2", "--exit", "--timeout", "120"]);
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    let found = text.lines().filter(|line| line.contains('…') && !line.starts_with("Block")).collect::<Vec<_>>();
    assert!(found.len() >= 2, "{text}");
    for line in found {
        assert!(line.contains(" BTC") && (line.contains("accepted") || line.contains("confirmed")), "{line}");
    }
    for title in ["height", "finder", "miner", "hashes", "accepted", "Dashboard  http://", "Miners     stratum+tcp://"]
    {
        assert!(text.contains(title), "{title}: {text}");
    }
}

#[test]
fn a_demonstration_without_the_blocks_fails_with_a_reason() {
    let output = finish(&["demo", "--blocks", "10000", "--exit", "--timeout", "1"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("of 10000 blocks were accepted within 1 s"), "{errors}");
    assert!(errors.contains("miners are connected") && errors.contains("the node is ready"), "{errors}");
}
