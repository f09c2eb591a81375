//! The benches of `warppool-benches`, one after the other, and the record of what they said.
//!
//! A bench prints its tables as Markdown. A record is these tables below a description of the machine, of how busy it was
//! with other things, and the command. Ratios within a record hold; absolute times of two records need not be comparable.

use crate::machine::{Load, Others, describe};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// In the order of a share's way. What takes minutes and has a record of its own (`vardiff`) is run by its name.
const BENCHES: [&str; 8] = ["parse", "validate", "parallel", "tick", "template", "template_steps", "fanout", "store"];

/// Where records are.
const RECORDS: &str = "benches/record";

/// From this share of the cores' time on others disturbed too much.
const QUIET_PERCENT_MAX: f64 = 3.0;

/// Runs them in the repository at `root`; the result is the last line to print. With `record`, the name of one, they are
/// written down; with `long` each takes ten times as long.
///
/// # Errors
/// The first bench that failed, or why the record cannot be written.
pub fn run(root: &Path, record: Option<&str>, long: bool) -> Result<String, String> {
    if record
        .is_some_and(|name| name.is_empty() || !name.chars().all(|letter| letter.is_alphanumeric() || letter == '-'))
    {
        return Err("the name of a record is letters, digits and hyphens".to_owned());
    }
    let mut arguments = vec!["bench", "--package", "warppool-benches", "--locked", "--bench"];
    let place = arguments.len();
    // Compiled before the load is looked at.
    execute(root, &["bench", "--package", "warppool-benches", "--locked", "--no-run"])?;
    let before = Load::now();
    let mut tables = String::new();
    for bench in BENCHES {
        arguments.truncate(place);
        arguments.push(bench);
        if long {
            arguments.extend(["--", "--long"]);
        }
        tables.push_str(&execute(root, &arguments)?);
    }
    let others = before.others_percent(&Load::now());
    let Some(name) = record else { return Ok(format!("bench: {} benches ran", BENCHES.len())) };
    let date = date(SystemTime::now());
    let path = Path::new(RECORDS).join(format!("{date}-{name}.md"));
    let command = format!("cargo xtask bench --record {name}{}", if long { " --long" } else { "" });
    let text = format!("{}{tables}", head(root, &date, &command, others));
    std::fs::write(root.join(&path), text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(format!("bench: recorded in {}", path.display()))
}

fn head(root: &Path, date: &str, command: &str, others: Option<f64>) -> String {
    let mut text = format!(
        "# Benches, {date}\n\n`{command}`. Times are the shortest of many runs, ways of doing the same \
        thing in turns; ratios of one table hold better than times.\n\n"
    );
    for (what, value) in describe(root) {
        // Writing to a String does not fail.
        let _ = writeln!(text, "- {what}: {value}");
    }
    let quiet = match others {
        Some(percent) if percent < QUIET_PERCENT_MAX => {
            format!("a quiet machine: others used {percent:.1} percent of the cores")
        }
        Some(percent) => format!(
            "**not a quiet machine**: others used {percent:.0} percent of the cores; what needs both is \
            worth little"
        ),
        None => "not known how quiet the machine was".to_owned(),
    };
    let _ = writeln!(text, "- {quiet}");
    text
}

/// Cargo with these arguments; its output is shown and given back.
fn execute(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let line = format!("cargo {}", arguments.join(" "));
    let mut child = Command::new("cargo")
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{line}: {error}"))?;
    let mut text = String::new();
    if let Some(output) = child.stdout.take() {
        for output in BufReader::new(output).lines().map_while(Result::ok) {
            // A closed pipe must not end a run half-way.
            let _ = writeln!(std::io::stdout(), "{output}");
            text.push_str(output.trim_end());
            text.push('\n');
        }
    }
    let status = child.wait().map_err(|error| format!("{line}: {error}"))?;
    if status.success() { Ok(text) } else { Err(format!("{line}: {status}")) }
}

/// The day (UTC) as `2026-11-21`.
fn date(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    for (month, length) in (1..).zip(lengths) {
        if days < length {
            return (year, month, days + 1);
        }
        days -= length;
    }
    (year, 12, 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (20_778, (2026, 11, 21)),
        ] {
            assert_eq!(civil(days), expected);
        }
    }

    #[test]
    fn a_record_has_a_plain_name_and_says_how_busy_the_machine_was() {
        let root = Path::new(".");
        for name in ["", "../x", "a b"] {
            assert!(run(root, Some(name), false).is_err(), "{name}");
        }
        assert!(head(root, "d", "c", Some(1.0)).contains("a quiet machine"));
        assert!(head(root, "d", "c", Some(40.0)).contains("**not a quiet machine**: others used 40 percent"));
    }
}
