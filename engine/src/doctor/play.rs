//! Plays a recorded client against the pool.

use super::check::Check;
use super::examination::Run;
use super::ledger::Ledger;
use super::miner::Share;
use super::script::{Script, Step};
use super::visit::{Expected, Visit};
use std::collections::HashMap;
use std::time::Duration;

/// How long a client stays after its last line, to hear what comes by itself.
const STAY: Duration = Duration::from_millis(150);

/// Plays `script`. What goes wrong is in the ledger.
pub(super) fn play(script: &Script, run: &mut Run<'_>, ledger: &mut Ledger) {
    let mut names = run.names();
    for part in script.steps.split(|step| matches!(step, Step::Connect)).filter(|part| !part.is_empty()) {
        let Some(mut visit) = run.visit(ledger) else { return };
        let mut player = Player { visit: &mut visit, names: &mut names, skipping: None };
        for step in part {
            player.step(step);
        }
        visit.linger(STAY);
        names.insert("session".into(), visit.miner.session.clone());
    }
}

struct Player<'a, 'b> {
    visit: &'a mut Visit<'b>,
    names: &'a mut HashMap<String, String>,
    /// Why there is no share to send.
    skipping: Option<String>,
}

impl Player<'_, '_> {
    fn step(&mut self, step: &Step) {
        if self.visit.has_ended() {
            return;
        }
        match step {
            // A segment waits for its answers by itself.
            Step::Connect | Step::HangUp | Step::Wait => {}
            Step::Send(lines) => self.send(lines),
            Step::Job => self.visit.wait_for_job(),
            Step::Share { hits, rolls } => self.find(*hits, *rolls),
        }
    }

    fn send(&mut self, lines: &[(String, Expected)]) {
        if let (Some(reason), Some((_, Expected::True | Expected::Code(_) | Expected::Same))) =
            (&self.skipping, lines.first())
        {
            for (_, expected) in lines {
                let check = if *expected == Expected::True { Check::GoodShare } else { check_of(*expected) };
                self.visit.ledger().not_made(check, reason);
            }
            return;
        }
        if lines[0].1 == Expected::Code(&[22]) && !self.visit.last_accepted {
            return self.visit.ledger().not_made(Check::Duplicate, "no share was accepted that could be sent again");
        }
        let filled: Vec<_> = lines.iter().map(|(line, expected)| (self.fill(line), *expected)).collect();
        if lines[0].0.contains("{nonce_unpadded}") {
            // A pool that does not read the nonce says something else than that the share misses.
            self.visit.expect_answer(&filled[0].0, filled[0].1, Some(Check::ShortNonce));
            self.visit.connection().send_lines(&[filled[0].0.clone()]);
            return self.visit.settle();
        }
        self.visit.ask(&filled);
    }

    fn find(&mut self, hits: bool, rolls: bool) {
        let found = if hits { self.visit.miner.hit(rolls) } else { self.visit.miner.miss(rolls) };
        self.skipping = found.as_ref().err().cloned();
        if let Ok(share) = found {
            self.names.extend(names_of(&share));
        }
    }

    /// `text` with every known `{name}` filled in.
    fn fill(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}

fn check_of(expected: Expected) -> Check {
    match expected {
        Expected::Code([22]) => Check::Duplicate,
        Expected::Code([21]) => Check::UnknownJob,
        Expected::Same => Check::ShortNonce,
        _ => Check::LowDifficulty,
    }
}

/// The fields of a submit.
pub(super) fn names_of(share: &Share) -> [(String, String); 6] {
    [
        ("job", share.job.clone()),
        ("extranonce2", share.extranonce2.clone()),
        ("ntime", format!("{:08x}", share.ntime)),
        ("nonce", format!("{:08x}", share.nonce)),
        ("nonce_unpadded", format!("{:x}", share.nonce)),
        ("version", format!("{:08x}", share.version_bits)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}
