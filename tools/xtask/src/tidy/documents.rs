//! Rules about texts of every kind: links that lead somewhere, and nothing of one machine.

use super::Violation;

/// Hosts that packages come from. They belong into lock files alone, where clients put them.
const REGISTRY_HOSTS: [&str; 5] = [
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("pypi.", "org"),
    concat!("files.python", "hosted.org"),
];

/// Starts of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/tmp/", "wt/"),
    concat!("/tmp/", "target/"),
    concat!("/Us", "ers/"),
];

/// Checks one file; `exists` says whether a path relative to the repository leads somewhere.
pub(super) fn check(path: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Violation> {
    if let Some(file) = LockFile::named(path) {
        return check_lock(path, text, file);
    }
    let mut violations = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        for host in REGISTRY_HOSTS.iter().filter(|host| line.contains(**host)) {
            violations.push(Violation::new(path, number, format!("names the package registry {host}")));
        }
        for start in MACHINE_PATHS.iter().filter(|start| starts_a_path(line, start)) {
            violations.push(Violation::new(path, number, format!("a path of one machine: {start}")));
        }
        if path.ends_with(".md") {
            let broken = links(line).filter_map(|link| target(path, link)).filter(|target| !exists(target));
            violations.extend(
                broken.map(|target| Violation::new(path, number, format!("a link to {target}, which is not there"))),
            );
        }
    }
    violations
}

/// A file in which a package manager notes what it chose.
#[derive(Clone, Copy)]
enum LockFile {
    Cargo,
    Npm,
}

impl LockFile {
    fn named(path: &str) -> Option<Self> {
        match path.rsplit('/').next() {
            Some("Cargo.lock") => Some(Self::Cargo),
            Some("package-lock.json") => Some(Self::Npm),
            _ => None,
        }
    }
}

/// Packages come from the public registries: a mirror of one machine would break everybody else's build.
fn check_lock(path: &str, text: &str, file: LockFile) -> Vec<Violation> {
    let (key, wanted) = match file {
        LockFile::Cargo => ("source = \"", "registry+https://github.com/rust-lang/crates.io-index\""),
        LockFile::Npm => ("\"resolved\": \"", concat!("https://registry.", "npmjs.org/")),
    };
    let is_foreign =
        |line: &&str| line.trim_start().strip_prefix(key).is_some_and(|source| !source.starts_with(wanted));
    let lines = text.lines().enumerate().filter(|(_, line)| is_foreign(line));
    lines.map(|(index, _)| Violation::new(path, index + 1, "a package that is not from the public registry")).collect()
}

fn starts_a_path(line: &str, start: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.' | '}' | '~' | ')' | '*');
    line.match_indices(start).any(|(at, _)| !line[..at].ends_with(is_part))
}

/// The targets of `[text](target)` in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next())
}

/// The path that a link in the document `path` means; `None` when it leads out of the repository or within the page.
fn target(path: &str, link: &str) -> Option<String> {
    let file = link.split('#').next().filter(|file| !file.is_empty())?;
    if file.contains("://") || file.starts_with("mailto:") {
        return None;
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, text: &str) -> Vec<String> {
        let exists = |target: &str| matches!(target, "docs/book/a.md" | "README.md" | "docs");
        check(path, text, &exists).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn broken_links_are_found() {
        assert_eq!(
            messages("docs/book/b.md", "x\n[a](c.md)"),
            ["docs/book/b.md:2: a link to docs/book/c.md, which is not there"]
        );
        assert_eq!(
            messages("README.md", "[a](docs/book/a.md#part) [b](docs/) [c](#part) [d](https://example.com/x)"),
            [""; 0]
        );
        assert_eq!(messages("docs/book/b.md", "[a](./a.md), [b](../../README.md)"), [""; 0]);
        assert_eq!(messages("README.md", "[a](docs/book/a.md) and [b](none.md)").len(), 1);
    }

    #[test]
    fn hosts_and_machine_paths_are_found() {
        assert_eq!(messages("a.toml", &format!("url = \"https://{}/x\"", REGISTRY_HOSTS[0])).len(), 1);
        for start in MACHINE_PATHS {
            assert_eq!(messages("a.sh", &format!("cd {start}x")).len(), 1, "{start}");
            assert_eq!(messages("a.sh", &format!("cd some{start}x")).len(), 0, "{start} inside another path");
        }
    }

    #[test]
    fn lock_files_name_public_registries_only() {
        let good = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        let bad = "source = \"sparse+https://mirror.example/index/\"\n";
        assert_eq!(messages("Cargo.lock", good), [""; 0]);
        assert_eq!(messages("Cargo.lock", &format!("{good}{bad}")).len(), 1);
        assert_eq!(messages("ui/package-lock.json", "\"resolved\": \"https://mirror.example/a.tgz\"").len(), 1);
        assert_eq!(
            messages("ui/package-lock.json", concat!("\"resolved\": \"https://registry.", "npmjs.org/a.tgz\"")),
            [""; 0]
        );
    }
}
