//! Questions that no recorded client asks, each on a connection of its own.

use super::check::Check;
use super::examination::Run;
use super::ledger::Ledger;
use super::miner::Share;
use super::visit::{Expected, Visit};
use std::time::{Duration, Instant};

/// A probe: its name, what people call it, whether `--long` alone asks for it, and what it does.
pub(super) struct Probe {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) when: When,
    pub(super) ask: fn(&mut Run<'_>, &mut Ledger),
}

/// When a probe is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum When {
    Always,
    Long,
    Tls,
}

const fn probe(name: &'static str, title: &'static str, when: When, ask: fn(&mut Run<'_>, &mut Ledger)) -> Probe {
    Probe { name, title, when, ask }
}

/// All probes in their order.
pub(super) const PROBES: [Probe; 10] = [
    probe("handshake", "TLS as small devices speak it", When::Tls, handshake),
    probe("extensions", "every subset of extensions", When::Always, extensions),
    probe("suggestions", "suggestions before and after everything", When::Always, suggestions),
    probe("pings", "pings", When::Always, pings),
    probe("strangers", "methods that nobody knows", When::Always, strangers),
    probe("pieces", "lines in pieces", When::Always, pieces),
    probe("any_order", "authorize before subscribe, and twice", When::Always, any_order),
    probe("refusals", "shares that must be refused", When::Always, refusals),
    probe("endless", "a line of 64 KB", When::Always, endless),
    probe("idle", "a minute of silence", When::Long, idle),
];

/// Bytes of certificates that small devices have room for.
const CHAIN_BYTES_MAX: usize = 4096;

fn usual(line: &str) -> (String, Expected) {
    (line.to_owned(), Expected::Usual)
}

fn subscribe(id: u32) -> (String, Expected) {
    usual(&format!(r#"{{"id":{id},"method":"mining.subscribe","params":["warppool-doctor/1.0"]}}"#))
}

/// Subscribed, authorized and given a job.
fn join(visit: &mut Visit<'_>, authorize: &str) {
    visit.ask(&[subscribe(1)]);
    visit.ask(&[usual(authorize)]);
    visit.wait_for_job();
}

fn handshake(run: &mut Run<'_>, ledger: &mut Ledger) {
    let is_strict = run.is_strict();
    let Some(mut visit) = run.visit(ledger) else { return };
    let Some(report) = visit.connection().tls().cloned() else { return };
    let bytes = report.chain_bytes;
    visit.ledger().made(Check::Certificate);
    visit.ledger().note(format!("{}; the chain of certificates has {bytes} bytes", report.version));
    if bytes > CHAIN_BYTES_MAX {
        visit.found(Check::Certificate, format!("the chain has {bytes} bytes, small devices take {CHAIN_BYTES_MAX}"));
    }
    match report.doubt.map(|doubt| format!("a stranger would not believe the certificate: {doubt}")) {
        Some(text) if is_strict => visit.found(Check::Certificate, text),
        Some(text) => visit.ledger().note(format!("{text} (--strict makes this a failure)")),
        None => {}
    }
    drop(visit);
    ledger.made(Check::Tls12);
    if let Some(mut visit) = run.visit_by_tls_1_2(ledger) {
        visit.blame = Some(Check::Tls12);
        visit.ask(&[subscribe(1)]);
    }
}

fn extensions(run: &mut Run<'_>, ledger: &mut Ledger) {
    let names = ["version-rolling", "minimum-difficulty", "subscribe-extranonce", "info"];
    let Some(mut visit) = run.visit(ledger) else { return };
    for subset in 1..1_u32 << names.len() {
        let asked: Vec<String> =
            (0..names.len()).filter(|bit| subset >> bit & 1 == 1).map(|bit| format!("\"{}\"", names[bit])).collect();
        let list = asked.join(",");
        visit.ask(&[usual(&format!(
            r#"{{"id":{subset},"method":"mining.configure","params":[[{list}],{{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2,"minimum-difficulty.value":1}}]}}"#
        ))]);
        if visit.is_settled(Check::Configure) {
            return;
        }
    }
}

fn suggestions(run: &mut Run<'_>, ledger: &mut Ledger) {
    let authorize = run.authorize(2);
    let Some(mut visit) = run.visit(ledger) else { return };
    let suggest = r#"{"id":7,"method":"mining.suggest_difficulty","params":[0.00015]}"#;
    visit.ask(&[usual(suggest)]);
    join(&mut visit, &authorize);
    let target = "00000000ffff0000000000000000000000000000000000000000000000000000";
    let target = format!(r#"{{"id":8,"method":"mining.suggest_target","params":["{target}"]}}"#);
    for line in [suggest, suggest, suggest, &target] {
        if !visit.is_settled(Check::SuggestDifficulty) {
            visit.ask(&[usual(line)]);
        }
    }
}

fn pings(run: &mut Run<'_>, ledger: &mut Ledger) {
    let Some(mut visit) = run.visit(ledger) else { return };
    visit.ask(&[subscribe(1)]);
    visit.ask(&[usual(r#"{"id":2,"method":"mining.ping","params":[]}"#)]);
}

fn strangers(run: &mut Run<'_>, ledger: &mut Ledger) {
    let Some(mut visit) = run.visit(ledger) else { return };
    for number in 1..=3 {
        if !visit.is_settled(Check::UnknownMethod) {
            visit.ask(&[usual(&format!(r#"{{"id":{number},"method":"mining.no_such_{number}","params":[]}}"#))]);
        }
    }
    visit.blame = Some(Check::UnknownMethod);
    visit.ask(&[subscribe(4)]);
}

fn pieces(run: &mut Run<'_>, ledger: &mut Ledger) {
    let authorize = run.authorize(2);
    let Some(mut visit) = run.visit(ledger) else { return };
    visit.ledger().made(Check::Framing);
    visit.blame = Some(Check::Framing);
    let (line, expected) = subscribe(1);
    visit.connection().send_bytes(b"\n", "(a lone newline)");
    visit.expect_answer(&line, expected, None);
    visit.connection().send_bytes(format!("{line}\r\n").as_bytes(), &format!("{line} (with CRLF)"));
    visit.settle();
    visit.expect_answer(&authorize, Expected::Usual, None);
    let (head, tail) = authorize.split_at(authorize.len() / 2);
    visit.connection().send_bytes(head.as_bytes(), &format!("{head} (the first half of a line)"));
    // Long enough that the halves leave as segments of their own.
    visit.linger(Duration::from_millis(60));
    visit.connection().send_bytes(format!("{tail}\r\n\r\n \n").as_bytes(), &format!("{tail} (and blank lines)"));
    visit.settle();
    visit.ask(&[subscribe(3), subscribe(4)]);
}

fn any_order(run: &mut Run<'_>, ledger: &mut Ledger) {
    let authorize = run.authorize(1);
    let names = run.names();
    let Some(mut visit) = run.visit(ledger) else { return };
    visit.ask(&[usual(&authorize)]);
    visit.ask(&[subscribe(2)]);
    visit.wait_for_job();
    visit.ask(&[subscribe(3)]);
    let user = &names["user"];
    submit_miss(&mut visit, 4, user, Expected::Code(&[23]));
    visit.ledger().made(Check::SecondAuthorize);
    visit.blame = Some(Check::SecondAuthorize);
    visit.ask(&[(r#"{"id":5,"method":"mining.authorize","params":["nobody.doctor","x"]}"#.to_owned(), Expected::Any)]);
    // Whatever is said of a share, it is what was said before.
    submit_miss(&mut visit, 6, user, Expected::Same);
}

/// Submits a share that misses the difficulty, if there is a job to find one in.
fn submit_miss(visit: &mut Visit<'_>, id: u32, user: &str, expected: Expected) {
    let Ok(Share { job, extranonce2, ntime, nonce, .. }) = visit.miner.miss(false) else { return };
    let line = format!(
        r#"{{"id":{id},"method":"mining.submit","params":["{user}","{job}","{extranonce2}","{ntime:08x}","{nonce:08x}"]}}"#
    );
    visit.ask(&[(line, expected)]);
}

fn refusals(run: &mut Run<'_>, ledger: &mut Ledger) {
    let (authorize, names) = (run.authorize(2), run.names());
    let user = &names["user"];
    let Some(mut visit) = run.visit(ledger) else { return };
    visit.ask(&[subscribe(1)]);
    let submit = |id: u32, job: &str, extranonce2: &str, ntime: &str| {
        format!(
            r#"{{"id":{id},"method":"mining.submit","params":["{user}","{job}","{extranonce2}","{ntime}","00000001"]}}"#
        )
    };
    let zeros = "00".repeat(visit.miner.extranonce2_bytes);
    visit.ask(&[(submit(3, "1", &zeros, "60000000"), Expected::Code(&[24, 25, 21]))]);
    visit.ask(&[usual(&authorize)]);
    visit.wait_for_job();
    let ntime = visit.miner.jobs.last().map_or(0, |(job, _)| job.time);
    let ntime = format!("{ntime:08x}");
    visit.ask(&[(submit(4, "7ffffff1", &zeros, &ntime), Expected::Code(&[21]))]);
}

fn endless(run: &mut Run<'_>, ledger: &mut Ledger) {
    let Some(mut visit) = run.visit(ledger) else { return };
    visit.ask(&[subscribe(1)]);
    visit.blame = Some(Check::LongLine);
    visit.ledger().made(Check::LongLine);
    if let Err(error) = run.shout(&[vec![b'x'; 64 * 1024], b"\n".to_vec()].concat()) {
        visit.found(Check::LongLine, error);
    }
    visit.ask(&[subscribe(2)]);
}

fn idle(run: &mut Run<'_>, ledger: &mut Ledger) {
    let (authorize, silence_max) = (run.authorize(2), run.silence_max());
    let Some(mut visit) = run.visit(ledger) else { return };
    join(&mut visit, &authorize);
    visit.ledger().made(Check::IdleJob);
    if !visit.hear_next(Instant::now() + silence_max) && !visit.has_ended() {
        visit.found(Check::IdleJob, format!("nothing was sent for {} s", silence_max.as_secs_f32()));
    }
}
