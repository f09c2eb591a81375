//! The hunt for mutants: a copy of the repository, one defect at a time, and seeds until one finds it.
//!
//! The copy and what is built of it stand in folders of their own in the target directory: cargo tells packages of the
//! copy and of the repository apart by nothing but their place in the workspace, and would take a mutant for the real one. It
//! is not optimised: most defects are found in the first minutes of simulated time, so compiling would take longer than it saves.

use crate::mutant::{self, Mutant};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A mutant that was built and played.
struct Found {
    mutant: Mutant,
    /// The seed, and what its checker said; absent when the mutant survived.
    by: Option<(u64, String)>,
}

/// Hunts the mutants whose names contain one of `names` (all, if there is none), with at most `seeds` seeds each, and
/// prints the table. Whether all were found.
///
/// # Errors
/// A sentence about what kept it from hunting.
pub(crate) fn hunt(names: &[String], seeds: u64) -> Result<bool, String> {
    let is_wanted = |mutant: &Mutant| names.is_empty() || names.iter().any(|name| mutant.name.contains(name.as_str()));
    let mutants: Vec<Mutant> = mutant::all()?.into_iter().filter(is_wanted).collect();
    let copy = Copy::make()?;
    let count = mutants.len();
    let mut table = Vec::new();
    for (number, mutant) in mutants.into_iter().enumerate() {
        say(&format!("{} of {count}: {}", number + 1, mutant.name));
        let by = copy.play(&mutant, seeds).unwrap_or_else(|error| {
            say(&error);
            None
        });
        let verdict = by.as_ref().map_or("SURVIVES".to_owned(), |(seed, said)| format!("seed {seed}: {said}"));
        say(&format!("  {verdict}"));
        table.push(Found { mutant, by });
    }
    copy.restore(&[])?;
    print(&table);
    Ok(table.iter().all(|found| found.by.is_some()))
}

fn print(table: &[Found]) {
    say("\n| defect | found by seed | what the checker said |\n|---|---|---|");
    for Found { mutant, by } in table {
        let (seed, said) = by.clone().map_or(("none".to_owned(), "nothing".to_owned()), |(seed, said)| {
            (seed.to_string(), said.replace('|', "/"))
        });
        say(&format!("| {} | {seed} | {said} |", mutant.defect));
    }
    let found = table.iter().filter(|found| found.by.is_some()).count();
    say(&format!("\n{found} of {} mutants found", table.len()));
}

/// The copy.
struct Copy {
    root: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// Brings the copy up to date with the repository; files that are the same keep their times.
    fn make() -> Result<Self, String> {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| mutant::repository().join("target"), PathBuf::from);
        let copy = Self { root: target.join("mutants/source"), target: target.join("mutants/built") };
        let listed =
            run(Command::new("git").args(["ls-files", "-z", "-c", "-o", "--exclude-standard"]), &mutant::repository())?;
        for file in String::from_utf8_lossy(&listed.stdout).split('\0').filter(|file| !file.is_empty()) {
            // A file that was removed and not yet committed is listed all the same.
            if let Ok(content) = fs::read(mutant::repository().join(file)) {
                copy.write(file, &content)?;
            }
        }
        Ok(copy)
    }

    fn write(&self, file: &str, content: &[u8]) -> Result<(), String> {
        let path = self.root.join(file);
        if fs::read(&path).is_ok_and(|present| present == content) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.root);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, content));
        written.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Takes every defect out but those of the files in `but`.
    fn restore(&self, but: &[(String, String)]) -> Result<(), String> {
        for mutant in mutant::all()? {
            for (file, _) in mutant.apply(&mutant::repository())? {
                let original =
                    fs::read(mutant::repository().join(&file)).map_err(|error| format!("{file}: {error}"))?;
                if !but.iter().any(|(changed, _)| *changed == file) {
                    self.write(&file, &original)?;
                }
            }
        }
        Ok(())
    }

    /// Builds the mutant and plays seeds until one finds it: the noted one first.
    fn play(&self, mutant: &Mutant, seeds: u64) -> Result<Option<(u64, String)>, String> {
        let changed = mutant.apply(&mutant::repository())?;
        self.restore(&changed)?;
        for (file, text) in &changed {
            self.write(file, text.as_bytes())?;
        }
        let built = self.cargo(&["build", "--quiet", "--locked", "--package", "warppool-sim"])?;
        if !built.status.success() {
            return Err(format!("it cannot be built:\n{}", String::from_utf8_lossy(&built.stderr)));
        }
        // The name it was built under is the next one's too.
        let program = self.target.join("debug/warppool-sim");
        let noted = first_finding(&program, mutant.seed, 1)?;
        if noted.is_some() { Ok(noted) } else { first_finding(&program, 1, seeds) }
    }

    fn cargo(&self, arguments: &[&str]) -> Result<Output, String> {
        let mut command = Command::new("cargo");
        command.args(arguments).env("CARGO_TARGET_DIR", &self.target).current_dir(&self.root);
        command.output().map_err(|error| format!("cargo: {error}"))
    }
}

/// The first of `seeds` seeds that finds something, and what.
fn first_finding(program: &Path, from: u64, seeds: u64) -> Result<Option<(u64, String)>, String> {
    let (from, seeds) = (from.to_string(), seeds.to_string());
    let mut command = Command::new(program);
    command.args(["--from", &from, "--seeds", &seeds, "--until-found"]);
    let output = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    if output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let finding = text.lines().find_map(|line| {
        let (seed, said) = line.strip_prefix("seed ")?.split_once(": ")?;
        Some((seed.parse().ok()?, shortened(said)))
    });
    finding.map(Some).ok_or_else(|| format!("the simulation ended without a word: {}", output.status))
}

/// As much of a sentence as a table has room for.
fn shortened(said: &str) -> String {
    const CHARACTERS_MAX: usize = 160;
    let mut short: String = said.chars().take(CHARACTERS_MAX).collect();
    if short.len() < said.len() {
        short.push_str(" ...");
    }
    short
}

fn run(command: &mut Command, folder: &Path) -> Result<Output, String> {
    let output = command.current_dir(folder).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() { Ok(output) } else { Err(format!("{command:?}: {}", output.status)) }
}

fn say(line: &str) {
    // A closed pipe must not end the hunt half-way.
    let _ = writeln!(io::stdout(), "{line}");
}
