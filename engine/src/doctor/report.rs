//! What came of an examination: for people, and for programs.

use super::check::{CHECKS, Check};
use super::examination::Options;
use super::ledger::{Finding, Ledger, Outcome};
use serde_json::{Value, json};
use std::fmt::Write;

/// How a check came out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// As it should be, wherever it was looked at.
    Pass,
    /// Not so at least once.
    Fail,
    /// It could not be made, and why.
    NotTried(String),
}

/// The whole.
#[derive(Clone, Debug)]
pub struct Report {
    pool: String,
    tls: bool,
    /// Clients and probes in their order.
    pub outcomes: Vec<Outcome>,
    /// Checks in their order.
    pub verdicts: Vec<(Check, Verdict)>,
    /// What is no failure, but good to know.
    pub notes: Vec<String>,
}

impl Report {
    pub(super) fn of(options: &Options, outcomes: Vec<Outcome>, mut ledger: Ledger) -> Self {
        if ledger.was_made(Check::Authorize) && !ledger.was_made(Check::FirstJob) {
            ledger.note(format!(
                "the pool takes no worker \"{}\", so little could be tried: give --user with an address of its network",
                options.user
            ));
        }
        let only = options.only.as_deref().and_then(Check::named);
        let wanted = CHECKS.iter().map(|about| about.check).filter(|check| only.is_none_or(|only| only == *check));
        let verdicts = wanted.map(|check| (check, verdict(check, &outcomes, &ledger))).collect();
        let tls = options.way.tls.is_some();
        Self { pool: options.way.endpoint.to_string(), tls, outcomes, verdicts, notes: ledger.into_notes() }
    }

    /// Nothing that was looked at is wrong.
    pub fn has_passed(&self) -> bool {
        self.failed().next().is_none()
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = Check> {
        self.verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Fail).map(|(check, _)| *check)
    }

    /// The table and the conversations of failures.
    pub fn text(&self) -> String {
        let mut text = self.failures();
        text += "\nclients and probes\n";
        for Outcome { name, title, findings } in &self.outcomes {
            let mut failed: Vec<&str> = findings.iter().map(|finding| finding.check.name()).collect();
            failed.dedup();
            let word = if failed.is_empty() { "pass" } else { "FAIL" };
            let _ = writeln!(text, "  {word}  {name:<18} {title}{}", listed(&failed));
        }
        text += "\nchecks\n";
        for (check, verdict) in &self.verdicts {
            let about = check.about();
            let (word, reason) = match verdict {
                Verdict::Pass => ("pass", String::new()),
                Verdict::Fail => ("FAIL", String::new()),
                Verdict::NotTried(reason) => ("  - ", format!(" (not tried: {reason})")),
            };
            let _ = writeln!(text, "  {word}  {:<20} {}{reason}", about.name, about.meaning);
        }
        for note in &self.notes {
            let _ = writeln!(text, "\nnote: {note}");
        }
        let _ = writeln!(text, "\n{}", self.summary());
        text
    }

    fn summary(&self) -> String {
        let count = |wanted: fn(&Verdict) -> bool| self.verdicts.iter().filter(|(_, verdict)| wanted(verdict)).count();
        let passed = count(|verdict| *verdict == Verdict::Pass);
        let failed: Vec<&str> = self.failed().map(Check::name).collect();
        let open = count(|verdict| matches!(verdict, Verdict::NotTried(_)));
        let how = if self.tls { " over TLS" } else { "" };
        let words =
            if failed.is_empty() { "no check failed".to_owned() } else { format!("failed: {}", failed.join(", ")) };
        format!("{}{how}: {passed} checks passed, {open} not tried, {words}", self.pool)
    }

    /// The first conversation of each check that failed.
    fn failures(&self) -> String {
        let mut text = String::new();
        for check in self.failed() {
            let Some((outcome, finding)) = self.first(check) else { continue };
            let _ = writeln!(text, "\nFAIL {} in {}: {}", check.name(), outcome.title, finding.text);
            finding.transcript.lines().for_each(|line| {
                let _ = writeln!(text, "    {line}");
            });
        }
        text
    }

    fn first(&self, check: Check) -> Option<(&Outcome, &Finding)> {
        let of = |outcome: &Outcome| outcome.findings.iter().position(|finding| finding.check == check);
        self.outcomes.iter().find_map(|outcome| Some((outcome, &outcome.findings[of(outcome)?])))
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let outcomes = self.outcomes.iter().map(|Outcome { name, title, findings }| {
            let findings: Vec<Value> = findings.iter().map(finding_json).collect();
            json!({ "name": name, "title": title, "passed": findings.is_empty(), "findings": findings })
        });
        let checks = self.verdicts.iter().map(|(check, verdict)| {
            let (word, reason) = match verdict {
                Verdict::Pass => ("pass", None),
                Verdict::Fail => ("fail", self.first(*check).map(|(_, finding)| finding.text.clone())),
                Verdict::NotTried(reason) => ("not tried", Some(reason.clone())),
            };
            json!({ "name": check.name(), "meaning": check.about().meaning, "verdict": word, "reason": reason })
        });
        json!({
            "pool": self.pool,
            "tls": self.tls,
            "passed": self.has_passed(),
            "checks": checks.collect::<Vec<_>>(),
            "clients": outcomes.collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

fn verdict(check: Check, outcomes: &[Outcome], ledger: &Ledger) -> Verdict {
    let has_failed = outcomes.iter().flat_map(|outcome| &outcome.findings).any(|finding| finding.check == check);
    match (has_failed, ledger.was_made(check)) {
        (true, _) => Verdict::Fail,
        (false, true) => Verdict::Pass,
        (false, false) => Verdict::NotTried(ledger.reason(check).unwrap_or("nothing led to it").to_owned()),
    }
}

fn finding_json(finding: &Finding) -> Value {
    let lines: Vec<&str> = finding.transcript.lines().collect();
    json!({ "check": finding.check.name(), "text": finding.text, "transcript": lines })
}

fn listed(failed: &[&str]) -> String {
    if failed.is_empty() { String::new() } else { format!(": {}", failed.join(", ")) }
}
