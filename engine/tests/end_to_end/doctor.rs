//! `warppool doctor`: it passes our pool, and names what others get wrong by the one check that it breaks.

use crate::fake_pool::{Defect, FakePool};
use crate::harness::{Pool, Program, Site, address, node};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use warppool_engine::client::{Endpoint, Way};
use warppool_engine::doctor::{Options, Report, Verdict, examine};

/// Runs the program against a pool.
fn doctor(pool: SocketAddr, more: &[&str]) -> (Option<i32>, String, String) {
    let pool = pool.to_string();
    Program::start(&[&["doctor", "--pool", &pool], more].concat(), &[]).finish()
}

/// Examines a fake in this process.
fn examined(pool: &FakePool, only: Option<&str>, patience: Duration) -> Report {
    let endpoint = Endpoint { host: pool.address.ip().to_string(), port: pool.address.port(), tls: false };
    let options = Options {
        way: Way { endpoint, tls: None },
        user: format!("{}.doctor", address(1)),
        password: "x".to_owned().into(),
        only: only.map(str::to_owned),
        long: only == Some("idle"),
        strict: false,
        silence_max: Duration::from_millis(300),
        patience,
    };
    examine(&options, |_| {}).unwrap()
}

#[test]
fn our_pool_passes() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    let user = format!("{}.doctor", address(1));
    let (status, text, progress) = doctor(pool.miners, &["--user", &user]);
    assert_eq!(status, Some(0), "{text}\n{progress}");
    assert!(text.contains("no check failed") && progress.contains("NerdMiner"), "{text}\n{progress}");
    let tried =
        ["good-share", "duplicate", "unknown-job", "low-difficulty", "short-nonce", "second-authorize", "framing"];
    for check in tried {
        assert!(text.lines().any(|line| line.contains("pass") && line.contains(check)), "{check}: {text}");
    }
    let (status, text, _) = doctor(pool.miners, &["--user", &user, "--only", "nerdminer", "--json"]);
    assert_eq!(status, Some(0), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["passed"], &report["clients"][0]["name"]), (&Value::Bool(true), &"nerdminer".into()));
    assert_eq!(report["clients"].as_array().unwrap().len(), 1);
}

#[test]
fn what_a_difficulty_keeps_from_being_tried_is_said_and_is_no_failure() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node).with("vardiff.min_diff", "1024").with("vardiff.initial_diff", "1024"));
    let user = format!("{}.doctor", address(1));
    let (status, text, _) = doctor(pool.miners, &["--user", &user, "--only", "cpuminer"]);
    assert_eq!(status, Some(0), "{text}");
    let line = text.lines().find(|line| line.contains("good-share")).unwrap();
    assert!(line.contains("not tried: difficulty 1024 takes 4.40e12 hashes"), "{line}");
    assert!(text.lines().any(|line| line.contains("pass") && line.contains("low-difficulty")), "{text}");
}

#[test]
fn wrong_usage_and_a_pool_that_is_not_there_are_told_apart() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (status, _, errors) = doctor(nobody, &[]);
    assert!(status == Some(1) && errors.contains("does not take a connection"), "{status:?} {errors}");
    let (status, _, errors) = doctor(nobody, &["--only", "abacus"]);
    assert!(status == Some(2) && errors.contains("nerdminer") && errors.contains("job-id"), "{status:?} {errors}");
}

#[test]
fn a_refused_worker_is_told_in_the_pools_words() {
    let (node, _directory) = node();
    let pool = Pool::start(&Site::new(&node));
    let (status, text, _) = doctor(pool.miners, &["--only", "cpuminer"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("FAIL authorize") && text.contains("regtest"), "{text}");
    assert!(text.contains("note: the pool takes no worker"), "{text}");
    assert!(text.contains("> {\"id\": 2, \"method\": \"mining.authorize\""), "the conversation: {text}");
}

#[test]
fn tls_is_spoken_and_its_certificate_is_judged() {
    let pool = FakePool::start_with_tls();
    let user = format!("{}.doctor", address(1));
    let run = |more: &[&str]| {
        let localhost = format!("localhost:{}", pool.address.port());
        Program::start(&[&["doctor", "--pool", &localhost, "--user", &user], more].concat(), &[]).finish()
    };
    let (status, text, errors) = run(&["--tls"]);
    assert_eq!(status, Some(0), "{text}\n{errors}");
    assert!(text.contains("TLS 1.3; the chain of certificates has"), "{text}");
    assert!(text.contains("a stranger would not believe the certificate"), "self-signed: {text}");
    assert!(text.lines().any(|line| line.contains("pass") && line.contains("tls-1.2")), "{text}");
    let (status, text, _) = run(&["--tls", "--strict", "--only", "handshake"]);
    assert!(status == Some(1) && text.contains("FAIL certificate"), "{text}");
    let (status, _, errors) = run(&["--only", "pings"]);
    assert_eq!(status, Some(1), "plain text to a port of TLS: {errors}");
}

#[test]
fn plain_text_where_tls_is_expected_is_said() {
    let pool = FakePool::start(Defect::None);
    let (status, _, errors) = doctor(pool.address, &["--tls"]);
    assert!(status == Some(1) && errors.contains("TLS"), "{errors}");
}

#[test]
fn a_good_pool_of_others_passes_every_check() {
    let pool = FakePool::start(Defect::None);
    let report = examined(&pool, None, Duration::from_secs(20));
    assert!(report.has_passed(), "{}", report.text());
    let open: Vec<&str> = report
        .verdicts
        .iter()
        .filter(|(_, verdict)| matches!(verdict, Verdict::NotTried(_)))
        .map(|(check, _)| check.name())
        .collect();
    assert_eq!(open, ["certificate", "tls-1.2", "idle-job"], "{}", report.text());
}

#[test]
fn a_share_that_a_new_block_made_stale_is_nobodys_fault() {
    let pool = FakePool::start(Defect::FindsBlocks);
    let report = examined(&pool, None, Duration::from_secs(20));
    assert!(report.has_passed(), "{}", report.text());
    let pool = FakePool::start(Defect::StaleWithoutReason);
    let report = examined(&pool, Some("cpuminer"), Duration::from_secs(20));
    let failed: Vec<&str> = report.failed().map(|check| check.name()).collect();
    assert_eq!(failed, ["good-share"], "{}", report.text());
}

/// A pool with one defect fails one check, and that is the right one.
fn assert_named(cases: &[(Defect, &str)]) {
    let assert_one = |defect: Defect, expected: &str| {
        let pool = FakePool::start(defect);
        let report = examined(&pool, None, Duration::from_secs(20));
        let failed: Vec<&str> = report.failed().map(|check| check.name()).collect();
        assert_eq!(failed, [expected], "{defect:?}: {}", report.text());
        let text = report.text();
        assert!(text.contains(&format!("FAIL {expected} in ")) && text.contains(" ms > "), "{text}");
    };
    // An examination mostly waits.
    std::thread::scope(|scope| {
        for (defect, expected) in cases {
            scope.spawn(move || assert_one(*defect, expected));
        }
    });
}

#[test]
fn wrong_answers_are_named() {
    assert_named(&[
        (Defect::BrokenConfigure, "configure"),
        (Defect::ConfigureLeavesOut, "configure"),
        (Defect::ClosesOnTinySuggestion, "suggest-difficulty"),
        (Defect::DropsTextIds, "reply-id"),
        (Defect::RoundsIds, "reply-id"),
        (Defect::NoErrorMember, "reply-shape"),
        (Defect::TextErrors, "reply-shape"),
        (Defect::HugeExtranonce2, "extranonce"),
        (Defect::OtherExtranonceWhenAskedAgain, "repeated-subscribe"),
        (Defect::ClosesOnUnknownMethod, "unknown-method"),
        (Defect::RefusesEarlyAuthorize, "authorize"),
        (Defect::ForgetsFirstWorker, "second-authorize"),
        (Defect::AnswersBackwards, "reply-order"),
        (Defect::BlankLines, "json-lines"),
        (Defect::ChokesOnBlankLine, "framing"),
    ]);
}

#[test]
fn wrong_jobs_are_named() {
    assert_named(&[
        (Defect::NotifyBeforeSubscribe, "subscribe-first"),
        (Defect::LineBeforeAuthorizeReply, "authorize-quiet"),
        (Defect::JobBeforeDifficulty, "difficulty-first"),
        (Defect::RepeatsJobIds, "job-id"),
        (Defect::RepeatsWork, "job-work"),
        (Defect::RollableBits, "rollable-bits"),
        (Defect::LargeJob, "job-size"),
        (Defect::FirstJobNotClean, "first-job"),
        (Defect::ExponentInDifficulty, "difficulty-number"),
        (Defect::NotificationWithId, "notification-shape"),
        (Defect::CoinbaseWithoutExtranonce, "job-shape"),
    ]);
}

#[test]
fn wrong_verdicts_on_shares_are_named() {
    assert_named(&[
        (Defect::RefusesShortNonce, "short-nonce"),
        (Defect::UnknownJobIsOther, "unknown-job"),
        (Defect::DuplicateIsAccepted, "duplicate"),
        (Defect::LowDifficultyIsOther, "low-difficulty"),
        (Defect::RefusesGoodShares, "good-share"),
        (Defect::AcceptsAnybody, "unauthorized"),
    ]);
}

#[test]
fn one_check_alone_is_told_of_and_the_password_is_hidden() {
    let pool = FakePool::start(Defect::FirstJobNotClean);
    let more = ["--user", &format!("{}.doctor", address(1)), "--only", "first-job", "--password", "hush"];
    let (status, text, _) = doctor(pool.address, &more);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("FAIL  first-job") && !text.contains("rollable-bits"), "{text}");
    assert!(text.contains("(hidden)") && !text.contains("hush"), "{text}");
}

#[test]
fn an_idle_miner_that_hears_nothing_is_told_of() {
    let pool = FakePool::start(Defect::None);
    let report = examined(&pool, Some("idle"), Duration::from_secs(20));
    assert_eq!(report.failed().map(|check| check.name()).collect::<Vec<_>>(), ["idle-job"], "{}", report.text());
}

#[test]
fn silence_is_named() {
    for (defect, expected) in [(Defect::NoPing, "ping"), (Defect::SilentOnUnknownMethod, "unknown-method")] {
        let pool = FakePool::start(defect);
        let probe = if expected == "ping" { "pings" } else { "strangers" };
        let report = examined(&pool, Some(probe), Duration::from_secs(1));
        assert!(report.failed().any(|check| check.name() == expected), "{defect:?}: {}", report.text());
    }
}
