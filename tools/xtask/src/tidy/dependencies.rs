//! The direction of dependencies: `components <- net::wire, io, systems <- engine <- tests, benches`.
//!
//! Each package has the packages of ours that it may name, and crates that it must not reach by any way. What a
//! package reaches is asked of `cargo tree` for that package alone, since the features of the whole workspace would
//! mix in others' needs.

use super::Violation;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What one package may and must not do.
struct Rule {
    package: &'static str,
    /// Packages of ours that it may depend on.
    may_use: &'static [&'static str],
    /// Crates that it must not name itself; its vocabulary may bring them along.
    must_not_name: &'static [&'static str],
    /// Crates that must not be anywhere below it.
    must_not_reach: &'static [&'static str],
}

/// What an outer package may see: everything of ours.
const ALL: &[&str] = &[
    "components",
    "net",
    "io",
    "systems",
    "engine",
    "admin",
    "loadgen",
    "simnode",
    "tests",
    "reference",
    "simulation",
];

/// Packages without a rule are not known and are refused, so that a new one gets its place. The components' derive
/// brings bevy_ecs to everybody, so what counts there is who names it: only those may look into a World.
const RULES: [Rule; 16] = [
    Rule {
        package: "components",
        may_use: &[],
        must_not_name: &[],
        must_not_reach: &["mio", "tokio", "redb", "zmq", "rayon", "hyper"],
    },
    Rule {
        package: "net",
        may_use: &["components"],
        must_not_name: &["bevy_ecs"],
        must_not_reach: &["tokio", "redb", "zmq", "hyper"],
    },
    Rule {
        package: "io",
        may_use: &["components"],
        must_not_name: &["bevy_ecs"],
        must_not_reach: &["tokio", "hyper", "warppool-net"],
    },
    Rule {
        package: "systems",
        may_use: &["components", "net"],
        must_not_name: &[],
        must_not_reach: &["warppool-io", "warppool-admin", "mio", "tokio", "zmq", "redb", "hyper"],
    },
    Rule {
        package: "admin",
        may_use: &["components", "io"],
        must_not_name: &["bevy_ecs", "mio"],
        must_not_reach: &["warppool-systems", "warppool-engine", "warppool-net"],
    },
    Rule {
        package: "engine",
        may_use: &["components", "net", "io", "systems", "admin", "loadgen", "simnode"],
        must_not_name: &["redb", "zmq", "tokio", "hyper"],
        must_not_reach: &[],
    },
    Rule {
        package: "loadgen",
        may_use: &["components", "net"],
        must_not_name: &["bevy_ecs"],
        must_not_reach: &["warppool-engine"],
    },
    Rule {
        package: "simnode",
        may_use: &["components"],
        must_not_name: &["bevy_ecs"],
        must_not_reach: &["warppool-engine"],
    },
    Rule { package: "tests", may_use: ALL, must_not_name: &[], must_not_reach: &[] },
    Rule {
        package: "reference",
        // It judges the pool's wire: a codec of ours in it would judge itself.
        may_use: &[],
        must_not_name: &["bevy_ecs", "mio", "snow"],
        must_not_reach: &["warppool-components", "warppool-net", "warppool-systems"],
    },
    Rule { package: "simulation", may_use: ALL, must_not_name: &["mio", "tokio"], must_not_reach: &[] },
    Rule { package: "sim", may_use: &["simulation"], must_not_name: &["bevy_ecs"], must_not_reach: &[] },
    Rule { package: "fuzz", may_use: ALL, must_not_name: &["mio", "tokio"], must_not_reach: &[] },
    Rule {
        package: "consensus",
        may_use: &["components", "io", "systems", "tests"],
        must_not_name: &["bevy_ecs"],
        // Only with its feature, which nobody has who does not ask for it: its C++ takes minutes to compile.
        must_not_reach: &["bitcoinkernel"],
    },
    Rule { package: "benches", may_use: ALL, must_not_name: &[], must_not_reach: &[] },
    Rule { package: "xtask", may_use: &[], must_not_name: &["bevy_ecs"], must_not_reach: &["warppool-components"] },
];

/// Asks cargo about every package of the workspace.
pub(super) fn check(root: &Path) -> Result<Vec<Violation>, String> {
    let metadata = cargo(root, &["metadata", "--format-version", "1", "--no-deps", "--locked"])?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let mut violations = Vec::new();
    for (package, uses) in workspace(&metadata) {
        let Some(rule) = RULES.iter().find(|rule| name(rule) == package) else {
            violations.push(Violation::new(&package, 0, "has no place in the direction of dependencies yet"));
            continue;
        };
        violations.extend(check_uses(rule, &uses));
        let tree =
            ["tree", "--package", &package, "--edges", "normal", "--prefix", "none", "--format", "{p}", "--locked"];
        violations.extend(check_reach(rule, &cargo(root, &tree)?));
    }
    Ok(violations)
}

/// Each package of the workspace with what it names as normal dependencies.
fn workspace(metadata: &Value) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let uses = |package: &Value| {
        let all = package["dependencies"].as_array().map(Vec::as_slice).unwrap_or_default();
        let normal = all.iter().filter(|dependency| dependency["kind"].is_null());
        normal.map(|dependency| text(&dependency["name"])).collect()
    };
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    packages.iter().map(|package| (text(&package["name"]), uses(package))).collect()
}

fn check_uses(rule: &Rule, uses: &[String]) -> Vec<Violation> {
    let is_wrong = |used: &&String| match used.strip_prefix("warppool-") {
        Some(ours) => !rule.may_use.contains(&ours),
        None => rule.must_not_name.contains(&used.as_str()),
    };
    let wrong = uses.iter().filter(is_wrong);
    wrong.map(|used| Violation::new(&name(rule), 0, format!("must not depend on {used}"))).collect()
}

/// `tree` has a package a line, its name first.
fn check_reach(rule: &Rule, tree: &str) -> Vec<Violation> {
    let reached = |krate: &str| tree.lines().any(|line| line.split(' ').next() == Some(krate));
    let wrong = rule.must_not_reach.iter().filter(|krate| reached(krate));
    wrong.map(|krate| Violation::new(&name(rule), 0, format!("reaches {krate}, see cargo tree -i {krate}"))).collect()
}

fn name(rule: &Rule) -> String {
    format!("warppool-{}", rule.package)
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program).args(arguments).current_dir(root).output();
    let output = output.map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(package: &str) -> &'static Rule {
        RULES.iter().find(|rule| rule.package == package).expect("a rule")
    }

    #[test]
    fn a_dependency_against_the_direction_is_found() {
        let metadata = serde_json::json!({ "packages": [{
            "name": "warppool-systems",
            "dependencies": [
                { "name": "warppool-components", "kind": null },
                { "name": "warppool-io", "kind": null },
                { "name": "warppool-engine", "kind": "dev" },
                { "name": "rayon", "kind": null },
            ],
        }] });
        let found = workspace(&metadata);
        assert_eq!(found[0].0, "warppool-systems");
        let violations = check_uses(rule("systems"), &found[0].1);
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert!(violations[0].message.contains("warppool-io"));
        let names_a_world = ["warppool-components".to_owned(), "bevy_ecs".to_owned()];
        assert_eq!(check_uses(rule("admin"), &names_a_world).len(), 1);
        assert_eq!(check_uses(rule("systems"), &names_a_world).len(), 0);
    }

    #[test]
    fn a_forbidden_crate_below_is_found() {
        let tree = "warppool-systems v0.1.0 (systems)\nwarppool-net v0.1.0 (net)\nmio v1.2.3\nmio-extras v1.0.0\n";
        let violations = check_reach(rule("systems"), tree);
        assert_eq!(violations.len(), 1, "{violations:?}");
        assert!(violations[0].message.starts_with("reaches mio,"));
        assert!(check_reach(rule("engine"), tree).is_empty());
    }
}
