//! Steps of a long check: a heading before, the time after, and the verdict of the first that fails.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Tests that ran, summed over all runners that say so in cargo's way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TestCounts {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that were not run.
    pub ignored: u64,
}

impl TestCounts {
    /// Adds a line such as `test result: ok. 40 passed; 0 failed; 0 ignored; ...`; other lines add nothing.
    pub fn add_line(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for count in counts.split("; ") {
            match count.split_once(' ').and_then(|(number, what)| Some((number.parse::<u64>().ok()?, what))) {
                Some((number, "passed")) => self.passed += number,
                Some((number, "failed")) => self.failed += number,
                Some((number, "ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// Runs steps one after the other and says how long each took.
pub struct Steps {
    started: Instant,
    done: usize,
    /// Tests of the steps so far.
    pub counts: TestCounts,
}

impl Default for Steps {
    fn default() -> Self {
        Self { started: Instant::now(), done: 0, counts: TestCounts::default() }
    }
}

impl Steps {
    /// Runs `step` under a heading.
    ///
    /// # Errors
    /// The step's, with its name.
    pub fn run(&mut self, name: &str, step: impl FnOnce(&mut TestCounts) -> Result<(), String>) -> Result<(), String> {
        say(&format!("\n==> {name}"));
        let started = Instant::now();
        step(&mut self.counts).map_err(|error| format!("{name} failed: {error}"))?;
        self.done += 1;
        say(&format!("<== {name}: {}", readable(started.elapsed())));
        Ok(())
    }

    /// A note between steps.
    pub fn note(&self, text: &str) {
        say(&format!("\n--- {text}"));
    }

    /// The last line, once all steps have passed.
    pub fn summary(&self) -> String {
        let TestCounts { passed, failed, ignored } = self.counts;
        let time = readable(self.started.elapsed());
        format!(
            "ci: {} steps passed in {time}; Rust tests: {passed} passed, {failed} failed, {ignored} ignored",
            self.done
        )
    }
}

/// A command's way through a step: its output goes to ours, and lines of test runners are counted.
///
/// # Errors
/// When it cannot be started or does not succeed, with the command line.
pub fn execute(directory: &Path, command: &[&str], counts: &mut TestCounts) -> Result<(), String> {
    let line = command.join(" ");
    let (program, arguments) = command.split_first().ok_or("an empty command")?;
    say(&format!("$ {line}"));
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("RUSTDOCFLAGS", "-D warnings")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{line}: {error}"))?;
    if let Some(output) = child.stdout.take() {
        for text in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&text);
            counts.add_line(&text);
            say(&text);
        }
    }
    let status = child.wait().map_err(|error| format!("{line}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{line}: {status}")) }
}

fn say(line: &str) {
    // A closed pipe must not end a check half-way.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn readable(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=59 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_test_runners_are_summed() {
        let mut counts = TestCounts::default();
        counts
            .add_line("test result: ok. 40 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.07s");
        counts.add_line("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out");
        counts.add_line("test something ... ok");
        assert_eq!(counts, TestCounts { passed: 42, failed: 3, ignored: 1 });
    }

    #[test]
    fn a_failing_command_ends_the_steps() {
        let (mut steps, here) = (Steps::default(), Path::new("."));
        assert!(steps.run("good", |counts| execute(here, &["true"], counts)).is_ok());
        let error = steps.run("bad", |counts| execute(here, &["false"], counts)).expect_err("false fails");
        assert!(error.starts_with("bad failed: false: "), "{error}");
        let error = steps.run("gone", |counts| execute(here, &["no-such-program"], counts)).expect_err("not there");
        assert!(error.contains("no-such-program"), "{error}");
        assert!(steps.summary().starts_with("ci: 1 steps passed"), "{}", steps.summary());
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(readable(Duration::from_millis(59_900)), "59 s");
        assert_eq!(readable(Duration::from_secs(125)), "2 min 5 s");
    }
}
