//! What the documents say is shown by a test is shown by a test that exists.

use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Names such as `engine/tests/end_to_end/tips.rs::a_test`, between backticks.
fn named_tests(page: &str) -> Vec<(String, String)> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|text| text.split_once(".rs::"))
        .map(|(file, test)| (format!("{file}.rs"), test.to_owned()))
        .collect()
}

#[test]
fn tests_that_documents_name_exist() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/node-faults.md")).unwrap();
    let tests = named_tests(&page);
    let lines: Vec<&str> = page.lines().collect();
    // A table's head stands above its line of dashes.
    let rows = lines.windows(2).filter(|pair| pair[0].starts_with("| ") && !pair[1].starts_with("|---"));
    for row in rows.map(|pair| pair[0]) {
        assert!(!named_tests(row).is_empty(), "no test: {row}");
    }
    assert!(tests.len() > 20, "{}", tests.len());
    for (file, test) in tests {
        let source = fs::read_to_string(Path::new(ROOT).join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
    }
}
