//! Everything that must be green before a change goes in, cheapest first.
//!
//! The dashboard is built before the Rust code, because the program embeds it. Where Node is missing or too old the
//! dashboard's steps are left out and said so; the rest does not need it.

use crate::steps::{Steps, execute};
use crate::tidy;
use std::path::Path;
use std::process::Command;

/// The oldest Node with which the dashboard's tools run.
const NODE_MAJOR_MIN: u32 = 20;

/// The dashboard's steps in `ui/`.
const UI_STEPS: [(&str, &[&str]); 6] = [
    ("dashboard: packages", &["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund"]),
    ("dashboard: types", &["npm", "run", "check"]),
    ("dashboard: logic", &["npm", "test"]),
    ("dashboard: build", &["npm", "run", "build"]),
    ("dashboard: size", &["npm", "run", "size"]),
    ("dashboard: browser", &["npm", "run", "test:browser"]),
];

/// The steps of the Rust code.
const CARGO_STEPS: [(&str, &[&str]); 3] = [
    ("clippy", &["cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    ("tests", &["cargo", "test", "--workspace", "--locked"]),
    ("documentation", &["cargo", "doc", "--workspace", "--no-deps", "--lib", "--locked"]),
];

/// Says which backends of the hashing of shares this machine has.
const BACKENDS: [&str; 8] =
    ["cargo", "run", "--quiet", "--locked", "--package", "warppool-systems", "--example", "sha256d_backends"];

/// The setting of the program, which the tests' harnesses heed too.
const BACKEND_VARIABLE: &str = "WARPPOOL__TUNING__SHA256D_BACKEND";

/// The engine without sockets and the simulation, once with each of them. What tries all of them by itself, as the tests of
/// the kernels do too, has had its run.
const BACKEND_TESTS: [&str; 11] = [
    "cargo",
    "test",
    "--quiet",
    "--locked",
    "--package",
    "warppool-tests",
    "--package",
    "warppool-simulation",
    "--",
    "--skip",
    "every_backend",
];

/// Runs all steps in the repository at `root`; the result is the last line to print.
///
/// # Errors
/// The first step that failed.
pub fn run(root: &Path, skip_ui: bool) -> Result<String, String> {
    let mut steps = Steps::default();
    steps.run("format", |counts| execute(root, &["cargo", "fmt", "--all", "--check"], counts))?;
    steps.run("tidy", |_| tidy::check(root).map(drop))?;
    let node = node_version();
    match node.as_deref().and_then(node_major) {
        _ if skip_ui => steps.note("dashboard left out, as asked"),
        Some(NODE_MAJOR_MIN..) => {
            let ui = root.join("ui");
            for (name, command) in UI_STEPS {
                steps.run(name, |counts| execute(&ui, command, counts))?;
            }
        }
        _ => {
            let found = node.unwrap_or_else(|| "none".to_owned());
            steps.note(&format!("dashboard NOT checked: it needs Node {NODE_MAJOR_MIN} or newer, found {found}"));
        }
    }
    for (name, command) in CARGO_STEPS {
        steps.run(name, |counts| execute(root, command, counts))?;
    }
    for backend in backends(root)? {
        let variable = format!("{BACKEND_VARIABLE}={backend}");
        let command: Vec<&str> = ["env", &variable].into_iter().chain(BACKEND_TESTS).collect();
        steps.run(&format!("tests with {backend}"), |counts| execute(root, &command, counts))?;
    }
    Ok(steps.summary())
}

/// In how many ways this machine can hash.
fn backends(root: &Path) -> Result<Vec<String>, String> {
    let [program, arguments @ ..] = BACKENDS;
    let output = Command::new(program).args(arguments).current_dir(root).output();
    let output = output.map_err(|error| format!("{}: {error}", BACKENDS.join(" ")))?;
    let names: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    if output.status.success() && !names.is_empty() {
        Ok(names)
    } else {
        Err(format!("{}: {}", BACKENDS.join(" "), String::from_utf8_lossy(&output.stderr)))
    }
}

fn node_version() -> Option<String> {
    let output = Command::new("node").arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// 20 of `v20.20.2`.
fn node_major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node() {
        assert_eq!(node_major("v20.20.2"), Some(20));
        assert_eq!(node_major("v18"), Some(18));
        assert_eq!(node_major("command not found"), None);
    }
}
