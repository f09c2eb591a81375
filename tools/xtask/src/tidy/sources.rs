//! Rules about source files, each seen one by one.

use super::Violation;
use crate::mask::code_only;

/// Longest source file in lines: what is longer is more than one thing.
const LINES_MAX: usize = 600;

/// Where alone `unsafe` may stand: vector instructions.
const UNSAFE_FOLDER: &str = "systems/src/sha256d/";

/// The root of the package that holds it; it denies what the folder allows again.
const UNSAFE_ROOT: &str = "systems/src/lib.rs";

/// Checks one file; `path` is relative to the repository.
pub(super) fn check(path: &str, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let is_source = [".rs", ".ts", ".mjs", ".svelte", ".sh"].iter().any(|ending| path.ends_with(ending));
    let count = text.lines().count();
    if is_source && count >= LINES_MAX {
        violations.push(Violation::new(
            path,
            0,
            format!("{count} lines: a file is one thing and under {LINES_MAX} lines"),
        ));
    }
    if path.ends_with(".rs") {
        check_head(path, text, &mut violations);
        check_unsafe(path, text, &mut violations);
        check_code(path, text, &mut violations);
    }
    violations
}

fn check_head(path: &str, text: &str, violations: &mut Vec<Violation>) {
    if !text.starts_with("//!") {
        violations.push(Violation::new(path, 1, "must begin with //! and a sentence that says what this file is"));
    }
}

fn check_unsafe(path: &str, text: &str, violations: &mut Vec<Violation>) {
    if is_crate_root(path) {
        let wanted = if path == UNSAFE_ROOT { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
        let found = text.lines().any(|line| line == wanted || line == "#![forbid(unsafe_code)]");
        // The workspace denies unsafe code; a package root that may allow it again in one folder needs no line.
        if !found && path != UNSAFE_ROOT {
            violations.push(Violation::new(path, 0, format!("must say {wanted}")));
        }
    }
    if path.starts_with(UNSAFE_FOLDER) {
        return;
    }
    for (number, line) in numbered(&code_only(text)) {
        let allows = ["allow(unsafe_code", "expect(unsafe_code"].iter().any(|word| line.contains(word));
        if allows || has_word(line, "unsafe") {
            violations.push(Violation::new(path, number, format!("unsafe code is allowed in {UNSAFE_FOLDER} alone")));
        }
    }
}

fn check_code(path: &str, text: &str, violations: &mut Vec<Violation>) {
    let code = code_only(text);
    let tests_from = if is_test_file(path) { 0 } else { first_test_line(&code) };
    for (number, line) in numbered(&code) {
        for (word, message) in [
            ("todo!(", "todo! is not finished work"),
            ("unimplemented!(", "unimplemented! is not finished work"),
            ("dbg!(", "dbg! is a leftover"),
        ] {
            if line.contains(word) {
                violations.push(Violation::new(path, number, message));
            }
        }
        let original = text.lines().nth(number - 1).unwrap_or_default();
        // Helper processes of a test are written as tests that only their parent runs, and say so.
        if line.contains("#[ignore") && !original.contains("#[ignore = \"run by ") {
            violations.push(Violation::new(path, number, "a test that is ignored is no test"));
        }
        if number < tests_from.max(1) && line.contains(".unwrap()") {
            let message = "unwrap() outside tests: return an error, or expect(\"the reason why it holds\")";
            violations.push(Violation::new(path, number, message));
        }
    }
}

/// The first line of the tests at the end of a file, or one past the last line.
fn first_test_line(code: &str) -> usize {
    let lines: Vec<&str> = code.lines().collect();
    let is_start = |at: &usize| {
        let next = lines.get(at + 1).map_or("", |line| line.trim_start());
        lines[*at].starts_with("#[cfg(test)]") && (next.starts_with("mod ") || next.starts_with("pub(crate) mod "))
    };
    (0..lines.len()).find(is_start).map_or(lines.len() + 1, |at| at + 1)
}

fn is_test_file(path: &str) -> bool {
    let is_folder = path.split('/').any(|part| matches!(part, "tests" | "benches" | "examples" | "fuzz"));
    is_folder || path.ends_with("/tests.rs") || path.ends_with("_tests.rs")
}

fn is_crate_root(path: &str) -> bool {
    path.ends_with("src/lib.rs") || path.ends_with("src/main.rs") || path.contains("/src/bin/")
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Whether `word` stands in `line` as a whole word.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of the violations in a file with a proper head.
    fn lines_of(path: &str, body: &str) -> Vec<usize> {
        let text = format!("//! Head.\n{body}");
        check(path, &text).iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn seeded_violations_are_found() {
        for (path, body, lines) in [
            ("io/src/a.rs", "fn a() { todo!() }", vec![2]),
            ("io/src/a.rs", "\nfn a() { unimplemented!(\"x\") }", vec![3]),
            ("io/src/a.rs", "fn a() { dbg!(1); }", vec![2]),
            ("io/src/a.rs", "#[test]\n#[ignore]\nfn a() {}", vec![3]),
            ("io/src/a.rs", "#[ignore = \"slow\"]", vec![2]),
            ("io/src/a.rs", "fn a() { b().unwrap(); }", vec![2]),
            ("io/src/a.rs", "unsafe fn a() {}", vec![2]),
            ("systems/src/judge.rs", "#[allow(unsafe_code)]\nmod a;", vec![2]),
            ("io/src/lib.rs", "mod a;", vec![0]),
            ("engine/src/main.rs", "fn main() {}", vec![0]),
        ] {
            assert_eq!(lines_of(path, body), lines, "{path}: {body}");
        }
        assert_eq!(check("io/src/a.rs", "fn a() {}\n").len(), 1, "a head is missing");
        assert_eq!(lines_of("io/src/a.rs", &"\n".repeat(LINES_MAX - 1)), [0], "too long");
        assert_eq!(check("ui/src/a.ts", &"x\n".repeat(LINES_MAX)).len(), 1, "too long");
    }

    #[test]
    fn what_is_allowed_is_let_through() {
        for (path, body) in [
            ("io/src/a.rs", "// todo!() and unsafe and .unwrap() in a comment"),
            ("io/src/a.rs", "const A: &str = \"todo!() unsafe .unwrap()\";"),
            ("io/src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { c().unwrap(); }\n}"),
            ("io/tests/a.rs", "fn a() { b().unwrap(); }"),
            ("io/src/store/tests.rs", "fn a() { b().unwrap(); }"),
            ("io/tests/a.rs", "#[ignore = \"run by the test that kills it\"]\nfn a() {}"),
            ("systems/src/sha256d/avx2.rs", "#[allow(unsafe_code)]\nunsafe fn a() {}"),
            ("systems/src/lib.rs", "mod a;"),
            ("io/src/lib.rs", "#![forbid(unsafe_code)]"),
            ("io/src/a.rs", "fn is_unsafe_name() {}"),
            ("io/src/a.rs", "fn a() { b().unwrap_or_default(); }"),
        ] {
            assert_eq!(lines_of(path, body), Vec::<usize>::new(), "{path}: {body}");
        }
    }
}
