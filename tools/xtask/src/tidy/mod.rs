//! Rules of the repository that no compiler knows.

mod dependencies;
mod documents;
mod sources;

use std::fmt;
use std::path::Path;

/// A broken rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The file, relative to the repository, or the package.
    pub place: String,
    /// The line, counted from 1; 0 when the whole is meant.
    pub line: usize,
    /// What is wrong and what is wanted.
    pub message: String,
}

impl Violation {
    fn new(place: &str, line: usize, message: impl Into<String>) -> Self {
        Self { place: place.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.place, self.message),
            line => write!(formatter, "{}:{line}: {}", self.place, self.message),
        }
    }
}

/// Directories that hold what is made, not written.
const MADE: [&str; 6] = [".git", "target", "node_modules", "dist", "test-results", "corpus"];

/// Endings of files that are texts of ours.
const TEXTS: [&str; 17] = [
    "rs", "toml", "md", "ts", "mts", "mjs", "js", "svelte", "css", "html", "json", "lock", "sh", "yml", "yaml",
    "service", "txt",
];

/// Checks the repository at `root`; the result is the number of files.
///
/// # Errors
/// Every violation, one a line.
pub fn check(root: &Path) -> Result<usize, String> {
    let mut files = Vec::new();
    collect(root, root, &mut files).map_err(|error| format!("the repository cannot be read: {error}"))?;
    let mut violations = Vec::new();
    for (path, text) in &files {
        violations.extend(sources::check(path, text));
        violations.extend(documents::check(path, text, &|target| root.join(target).exists()));
    }
    violations.extend(dependencies::check(root)?);
    if violations.is_empty() {
        return Ok(files.len());
    }
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    Err(format!("{}\n{} rules broken", lines.join("\n"), lines.len()))
}

/// Paths relative to `root`, with `/`, and the texts behind them.
fn collect(root: &Path, directory: &Path, files: &mut Vec<(String, String)>) -> std::io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(directory)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let kind = entry.file_type()?;
        if kind.is_dir() && !MADE.contains(&&*name) {
            collect(root, &path, files)?;
        } else if kind.is_file() && is_text(&path) {
            let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            // What is not UTF-8 is data, whatever its name says.
            if let Ok(text) = std::fs::read_to_string(&path) {
                files.push((relative, text));
            }
        }
    }
    Ok(())
}

fn is_text(path: &Path) -> bool {
    match path.extension() {
        Some(extension) => TEXTS.iter().any(|text| extension == *text),
        None => path.file_name().is_some_and(|name| name == "Makefile" || name == "run"),
    }
}
