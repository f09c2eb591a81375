//! What was found out so far.

use super::check::Check;
use std::collections::BTreeMap;

/// Something that a pool does wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What it breaks.
    pub check: Check,
    /// One sentence.
    pub text: String,
    /// The conversation up to there.
    pub transcript: String,
}

/// One client or probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// What `--only` calls it.
    pub name: &'static str,
    /// For people.
    pub title: String,
    /// What went wrong in it; empty is a pass.
    pub findings: Vec<Finding>,
}

/// Gathers findings, and which checks were made at all.
#[derive(Clone, Default, Debug)]
pub(super) struct Ledger {
    findings: Vec<Finding>,
    made: BTreeMap<Check, u32>,
    not_made: BTreeMap<Check, String>,
    notes: Vec<String>,
}

impl Ledger {
    /// A check was made, however it came out.
    pub(super) fn made(&mut self, check: Check) {
        *self.made.entry(check).or_default() += 1;
    }

    /// A check could not be made here.
    pub(super) fn not_made(&mut self, check: Check, reason: &str) {
        self.not_made.entry(check).or_insert_with(|| reason.to_owned());
    }

    /// A check has failed. The same thing found again in the same conversation says nothing new.
    pub(super) fn found(&mut self, check: Check, text: String, transcript: String) {
        self.made(check);
        if !self.has_found(check) {
            self.findings.push(Finding { check, text, transcript });
        }
    }

    /// Whether the check has failed for the client at hand.
    pub(super) fn has_found(&self, check: Check) -> bool {
        self.findings.iter().any(|finding| finding.check == check)
    }

    /// Something to know that is no failure.
    pub(super) fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// The findings of the client that has ended; the next one begins without any.
    pub(super) fn end_of(&mut self, name: &'static str, title: String) -> Outcome {
        Outcome { name, title, findings: std::mem::take(&mut self.findings) }
    }

    /// Whether the check was made at all.
    pub(super) fn was_made(&self, check: Check) -> bool {
        self.made.contains_key(&check)
    }

    /// Why a check was not made.
    pub(super) fn reason(&self, check: Check) -> Option<&str> {
        self.not_made.get(&check).map(String::as_str)
    }

    /// What there is to know beside.
    pub(super) fn into_notes(self) -> Vec<String> {
        self.notes
    }
}
