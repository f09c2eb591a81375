//! Recorded clients: files of the lines that a firmware sends, with what must come back.
//!
//! ```text
//! # a remark
//! title TEXT         what people call the client
//! connect            a connection; a further one replaces the former
//! > LINE             the client sends; lines that follow each other leave in one segment, then all answers are awaited
//! >[ok] LINE         the same, and the answer must be true; lines of shares wait for each other
//! >[same] LINE       the same, and the answer must be the one that the share before got
//! >[23] LINE         the same, and the answer must be an error of this code
//! wait               the next line does not leave before the answers are here
//! job                waits for a job
//! share [bits]       finds a share of the newest job: {job} {extranonce2} {ntime} {nonce} {nonce_unpadded} {version};
//!                    with bits, one version bit is rolled when that was agreed on
//! miss [bits]        the same, but the share misses the difficulty
//! hang up            the client goes
//! ```
//! `{user}`, `{password}`, `{address}` and `{session}` stand for what the run was given and the pool has said.

use super::visit::Expected;

/// The clients, by their names for `--only`.
pub(super) const CLIENTS: [(&str, &str); 9] = [
    ("antminer_bmminer", include_str!("clients/antminer_bmminer.txt")),
    ("axeos", include_str!("clients/axeos.txt")),
    ("braiins_os", include_str!("clients/braiins_os.txt")),
    ("cgminer", include_str!("clients/cgminer.txt")),
    ("cpuminer", include_str!("clients/cpuminer.txt")),
    ("nerdminer", include_str!("clients/nerdminer.txt")),
    ("nicehash", include_str!("clients/nicehash.txt")),
    ("odd_json", include_str!("clients/odd_json.txt")),
    ("proxy", include_str!("clients/proxy.txt")),
];

/// One step of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Connect,
    /// Lines of one segment.
    Send(Vec<(String, Expected)>),
    Wait,
    Job,
    Share {
        hits: bool,
        rolls: bool,
    },
    HangUp,
}

/// A client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Script {
    pub(super) title: String,
    pub(super) steps: Vec<Step>,
}

/// Reads a client's file.
///
/// # Errors
/// The line that is not understood.
pub(super) fn read(text: &str) -> Result<Script, String> {
    let mut script = Script { title: String::new(), steps: Vec::new() };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(rest) = line.strip_prefix('>') {
            push_line(&mut script.steps, sent(rest).ok_or_else(|| line.to_owned())?);
            continue;
        }
        script.steps.push(match line {
            "connect" => Step::Connect,
            "wait" => Step::Wait,
            "job" => Step::Job,
            "share" => Step::Share { hits: true, rolls: false },
            "share bits" => Step::Share { hits: true, rolls: true },
            "miss" => Step::Share { hits: false, rolls: false },
            "miss bits" => Step::Share { hits: false, rolls: true },
            "hang up" => Step::HangUp,
            _ => {
                script.title = line.strip_prefix("title ").ok_or_else(|| line.to_owned())?.to_owned();
                continue;
            }
        });
    }
    Ok(script)
}

/// What stands behind `>`.
fn sent(rest: &str) -> Option<(String, Expected)> {
    let Some(rest) = rest.strip_prefix('[') else { return Some((rest.trim().to_owned(), Expected::Usual)) };
    let (word, line) = rest.split_once("] ")?;
    let expected = match word {
        "ok" => Expected::True,
        "same" => Expected::Same,
        "21" => Expected::Code(&[21]),
        "22" => Expected::Code(&[22]),
        "23" => Expected::Code(&[23]),
        _ => return None,
    };
    Some((line.to_owned(), expected))
}

/// Lines without an expectation of their own join the segment before them.
fn push_line(steps: &mut Vec<Step>, line: (String, Expected)) {
    match steps.last_mut() {
        Some(Step::Send(lines)) if line.1 == Expected::Usual => lines.push(line),
        _ => steps.push(Step::Send(vec![line])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_can_be_read_and_does_something() {
        for (name, text) in CLIENTS {
            let script = read(text).unwrap_or_else(|line| panic!("{name}: {line}"));
            assert!(!script.title.is_empty() && script.steps.contains(&Step::Job), "{name}");
        }
    }

    #[test]
    fn lines_join_segments_and_mistakes_are_named() {
        let script = read("title x\nconnect\n> a\n> b\n>[ok] c\njob\n> d").expect("valid");
        let line = |text: &str, expected| (text.to_owned(), expected);
        let first = Step::Send(vec![line("a", Expected::Usual), line("b", Expected::Usual)]);
        assert_eq!(script.steps[1..3], [first, Step::Send(vec![line("c", Expected::True)])]);
        assert_eq!(script.steps.len(), 5);
        assert_eq!(read("fly"), Err("fly".to_owned()));
        assert_eq!(read(">[99] {}"), Err(">[99] {}".to_owned()));
    }
}
