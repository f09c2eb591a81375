//! Seeded defects, to show what the checkers are worth: each is a small change of the source, kept as a text file.
//!
//! ```text
//! What is broken, in a sentence
//! seed 7
//! --- systems/src/judge.rs
//! <<<<
//! text that stands in that file once
//! ====
//! text that takes its place
//! >>>>
//! ```
//! The seed is the one that finds it, as of the last time somebody looked: it is tried first. A mutant may change several
//! places. Nothing of it is ever compiled into the program: [`crate::hunt`] applies it to a copy of the repository.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

/// A defect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mutant {
    /// Its file's name without the ending.
    pub(crate) name: String,
    /// What is broken.
    pub(crate) defect: String,
    /// The seed that is tried first.
    pub(crate) seed: u64,
    changes: Vec<Change>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Change {
    file: String,
    from: String,
    to: String,
}

/// The folder of the repository that this program was built from.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All mutants, by name.
///
/// # Errors
/// A sentence about the file that cannot be read.
pub(crate) fn all() -> Result<Vec<Mutant>, String> {
    let folder = repository().join("tools/sim/mutants");
    let entries = fs::read_dir(&folder).map_err(|error| about(folder.display(), error))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "mutant"));
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Result<Mutant, String> {
    let text = fs::read_to_string(file).map_err(|error| about(file.display(), error))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    parse(name, &text).map_err(|error| about(file.display(), error))
}

fn parse(name: String, text: &str) -> Result<Mutant, String> {
    let mut lines = text.lines();
    let defect = lines.next().filter(|line| !line.is_empty()).ok_or("the first line says what is broken")?;
    let seed = lines.next().and_then(|line| line.strip_prefix("seed ")?.parse().ok());
    let mut mutant = Mutant {
        name,
        defect: defect.to_owned(),
        seed: seed.ok_or("the second line is `seed` and a number")?,
        changes: Vec::new(),
    };
    let mut file = None;
    while let Some(line) = lines.next() {
        if let Some(named) = line.strip_prefix("--- ") {
            file = Some(named.to_owned());
        } else if line == "<<<<" {
            let from = block(&mut lines, "====")?;
            let to = block(&mut lines, ">>>>")?;
            let file = file.clone().ok_or("a change stands behind the name of its file")?;
            mutant.changes.push(Change { file, from, to });
        } else if !line.is_empty() {
            return Err(format!("`{line}` is no part of a mutant"));
        }
    }
    if mutant.changes.is_empty() { Err("nothing is changed".to_owned()) } else { Ok(mutant) }
}

/// Lines up to `end`, each with its newline.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>, end: &str) -> Result<String, String> {
    let mut text = String::new();
    for line in lines {
        if line == end {
            return Ok(text);
        }
        text.push_str(line);
        text.push('\n');
    }
    Err(format!("`{end}` is missing"))
}

impl Mutant {
    /// The files that it changes, as they are with the defect; `root` is the repository without it.
    ///
    /// # Errors
    /// A text that is not in its file exactly once.
    pub(crate) fn apply(&self, root: &Path) -> Result<Vec<(String, String)>, String> {
        let mut files: Vec<(String, String)> = Vec::new();
        for change in &self.changes {
            let place = match files.iter().position(|(file, _)| *file == change.file) {
                Some(place) => place,
                None => {
                    let path = root.join(&change.file);
                    let text = fs::read_to_string(&path).map_err(|error| about(path.display(), error))?;
                    files.push((change.file.clone(), text));
                    files.len() - 1
                }
            };
            let text = &mut files[place].1;
            match text.matches(&change.from).count() {
                1 => *text = text.replacen(&change.from, &change.to, 1),
                count => {
                    return Err(format!("{}: found {count} times in {}:\n{}", self.name, change.file, change.from));
                }
            }
        }
        Ok(files)
    }
}

fn about(what: impl Display, error: impl Display) -> String {
    format!("{what}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_still_applies_and_changes_something() {
        let mutants = all().expect("readable");
        assert!(mutants.len() >= 25, "{} mutants", mutants.len());
        for mutant in mutants {
            for (file, text) in mutant.apply(&repository()).unwrap_or_else(|error| panic!("{error}")) {
                assert_ne!(fs::read_to_string(repository().join(&file)).expect("there"), text, "{}", mutant.name);
            }
        }
    }

    #[test]
    fn a_file_that_is_no_mutant_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "first line"),
            ("x\n", "second line"),
            ("x\nseed 1\n", "nothing"),
            ("x\nseed 1\n<<<<\na\n====\nb\n>>>>\n", "name of its file"),
            ("x\nseed 1\n--- f\n<<<<\na\n====\nb\n", "`>>>>` is missing"),
            ("x\nseed 1\nhm\n", "`hm`"),
        ] {
            let error = parse("m".to_owned(), text).expect_err(text);
            assert!(error.contains(reason), "{error}");
        }
    }
}
