//! Workers under observation, looked at once a second as the engine does: slow ones, silent ones, those that come back.

use super::*;
use std::time::Duration;

/// Difficulty of a NerdMiner's class, and its 300 kH/s.
const NERDMINER: (f64, f64) = (0.002, 300e3);
/// An Antminer S21 at the difficulty that ten seconds a share need.
const ANTMINER: (f64, f64) = (524_288.0, 200e12);
/// A device that finds a share in three hours, because its difficulty is far too hard.
const MISPLACED: (f64, f64) = (0.75, 300e3);

fn at(seconds: f64) -> Instant {
    Instant(1) + Duration::from_secs_f64(seconds)
}

fn work(difficulty: f64) -> Work {
    Work { difficulty: Difficulty::new(difficulty).expect("positive"), aimed_seconds: Some(30.0) }
}

fn interval_seconds((difficulty, hashes_per_second): (f64, f64)) -> f64 {
    difficulty * Difficulty::HASHES_AT_ONE / hashes_per_second
}

/// A worker under observation: looked at once a second, as the engine does.
struct Watched {
    presence: WorkerPresence,
    work: Work,
    now: f64,
    looked: f64,
    news: Vec<(f64, bool)>,
}

impl Watched {
    fn connected(difficulty: f64) -> Self {
        let presence = WorkerPresence { connections: 1, ..WorkerPresence::default() };
        let mut watched = Self { presence, work: work(difficulty), now: 0.0, looked: 0.0, news: Vec::new() };
        watched.pass(0.0);
        watched
    }

    fn pass(&mut self, seconds: f64) {
        let end = self.now + seconds;
        loop {
            let here = (self.presence.connections > 0).then_some(&self.work);
            watch(&mut self.presence, here, at(self.looked), at(self.now));
            self.looked = self.now;
            let told = news(&mut self.presence, at(self.now));
            self.news.extend(told.map(|is_up| (self.now, is_up)));
            if self.now >= end {
                return;
            }
            self.now = (self.now + 1.0).min(end);
        }
    }

    fn share(&mut self) {
        hear(&mut self.presence, Some(self.work.difficulty), at(self.now));
    }

    /// As many shares, evenly spaced.
    fn mine(&mut self, shares: u32, interval_seconds: f64) {
        for _ in 0..shares {
            self.pass(interval_seconds);
            self.share();
        }
    }

    fn state(&self) -> PresenceState {
        state(&self.presence)
    }

    fn expected(&self) -> Option<f32> {
        expected_seconds(&self.presence, &self.work, at(self.now))
    }

    /// Passes silent time until the state is no longer what it was; gives its length.
    fn silence_until_changed(&mut self) -> f64 {
        let (before, start) = (self.state(), self.now);
        while self.state() == before {
            self.pass(1.0);
            assert!(self.now - start < 1e6, "never changes");
        }
        self.now - start
    }
}

#[test]
fn silence_is_measured_by_the_workers_own_rate() {
    for (name, miner) in [("NerdMiner", NERDMINER), ("Antminer", ANTMINER), ("misplaced NerdMiner", MISPLACED)] {
        let interval = interval_seconds(miner);
        let mut watched = Watched::connected(miner.0);
        watched.mine(200, interval);
        assert_eq!(watched.state(), PresenceState::Mining, "{name}");
        let expected = f64::from(watched.expected().expect("known"));
        assert!((expected / interval - 1.0).abs() < 1e-4, "{name}: {expected} against {interval}");
        let intervals = watched.silence_until_changed() / interval;
        assert_eq!(watched.state(), PresenceState::Silent, "{name}");
        assert!((9.21..11.5).contains(&intervals), "{name}: silent after {intervals} intervals");
    }
}

#[test]
fn a_slow_miner_waits_for_its_first_share_however_long_that_takes() {
    let mut watched = Watched::connected(NERDMINER.0);
    assert_eq!((watched.state(), watched.expected()), (PresenceState::Waiting, Some(30.0)));
    watched.pass(20.0);
    assert_eq!((watched.state(), watched.expected()), (PresenceState::Waiting, Some(30.0)));
    watched.pass(3600.0);
    assert_eq!(watched.state(), PresenceState::Waiting, "nobody knows its rate");
    assert_eq!(watched.expected(), Some(3620.0), "who has waited an hour will wait another one");
    watched.share();
    assert_eq!(watched.state(), PresenceState::Mining);
    assert_eq!(watched.news, [(0.0, true)]);
}

#[test]
fn a_rate_known_from_few_shares_needs_a_longer_silence() {
    // (1 + missed / n)^-n < 10^-4
    for (shares, expected_intervals) in [(2, 198.0), (5, 26.5), (20, 11.9)] {
        let mut watched = Watched::connected(1.0);
        watched.mine(shares, 10.0);
        let intervals = watched.silence_until_changed() / 10.0;
        assert!((intervals / expected_intervals - 1.0).abs() < 0.2, "{shares} shares: {intervals}");
    }
}

#[test]
fn an_easier_difficulty_counts_from_the_moment_on_at_which_it_is_in_force() {
    let mut watched = Watched::connected(16.0);
    watched.mine(200, 160.0);
    watched.pass(320.0);
    watched.work = work(1.0);
    watched.pass(60.0);
    // Two intervals at the old difficulty, and six at one a tenth as long.
    assert_eq!(watched.state(), PresenceState::Mining);
    assert_eq!(watched.expected().map(f32::round), Some(10.0));
    watched.pass(60.0);
    assert_eq!(watched.state(), PresenceState::Silent);
}

#[test]
fn a_refused_share_is_a_sign_of_life_and_no_evidence_of_a_rate() {
    let mut watched = Watched::connected(1.0);
    watched.mine(100, 10.0);
    watched.pass(60.0);
    hear(&mut watched.presence, None, at(watched.now));
    watched.pass(60.0);
    assert_eq!(watched.state(), PresenceState::Mining);
    let mut refused = Watched::connected(1.0);
    for _ in 0..50 {
        refused.pass(1.0);
        hear(&mut refused.presence, None, at(refused.now));
    }
    assert_eq!((refused.state(), refused.expected()), (PresenceState::Waiting, Some(30.0)));
}

#[test]
fn silence_does_not_make_a_miner_slower() {
    let mut watched = Watched::connected(1.0);
    watched.mine(100, 10.0);
    watched.pass(7200.0);
    assert_eq!(watched.state(), PresenceState::Silent);
    watched.share();
    assert_eq!(watched.state(), PresenceState::Mining);
    assert_eq!(watched.expected().map(f32::round), Some(10.0));
    assert_eq!(watched.news.iter().map(|(_, is_up)| *is_up).collect::<Vec<_>>(), [true, false]);
    watched.pass(1.0);
    assert_eq!(watched.news.len(), 3, "and it is told that it is back");
}

#[test]
fn a_remembered_rate_counts_little_until_there_are_shares() {
    let mut watched = Watched::connected(1.0);
    watched.presence.hashes_per_second = Difficulty::HASHES_AT_ONE / 10.0;
    assert_eq!((watched.state(), watched.expected()), (PresenceState::Waiting, Some(10.0)));
    watched.pass(600.0);
    assert_eq!(watched.state(), PresenceState::Waiting);
    watched.pass(1800.0);
    assert_eq!(watched.state(), PresenceState::Silent);
}

#[test]
fn half_the_connections_bring_half_the_shares() {
    let mut watched = Watched::connected(1.0);
    watched.presence.connections = 2;
    watched.mine(200, 5.0);
    watched.presence.connections = 1;
    watched.pass(60.0);
    assert_eq!(watched.expected().map(f32::round), Some(10.0));
    assert_eq!(watched.state(), PresenceState::Mining, "twelve intervals of before, six of now");
}

#[test]
fn short_intervals_do_not_make_a_pause_of_the_network_a_silence() {
    let mut watched = Watched::connected(1.0);
    watched.mine(500, 0.01);
    watched.pass(25.0);
    assert_eq!(watched.state(), PresenceState::Mining);
    watched.pass(25.0);
    assert_eq!(watched.state(), PresenceState::Silent);
}

#[test]
fn who_comes_back_at_once_was_never_gone() {
    let mut watched = Watched::connected(1.0);
    watched.mine(20, 10.0);
    for _ in 0..5 {
        watched.presence.connections = 0;
        watched.pass(20.0);
        assert_eq!(watched.state(), PresenceState::Disconnected);
        watched.presence.connections = 1;
        watched.pass(100.0);
        assert_eq!(watched.state(), PresenceState::Waiting);
    }
    assert_eq!(watched.news, [(0.0, true)]);
    watched.presence.connections = 0;
    watched.pass(60.0);
    assert_eq!(watched.news.len(), 2);
    assert!(!watched.news[1].1);
    watched.presence.connections = 1;
    watched.pass(1.0);
    assert!(watched.news[2].1);
}

/// A steady miner of ten seconds a share, over a year with random intervals.
#[test]
fn a_steady_miner_is_hardly_ever_told_to_be_down() {
    let mut watched = Watched::connected(1.0);
    let (mut seed, mut silent) = (7_u64, 0);
    let shares = 300_000;
    for _ in 0..shares {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let uniform = ((seed >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let end = watched.now - uniform.ln() * 10.0;
        // Looked at only just before the share, which is when a silence is longest.
        watched.now = end;
        watch(&mut watched.presence, Some(&watched.work), at(watched.looked), at(end));
        watched.looked = end;
        silent += u32::from(watched.state() == PresenceState::Silent);
        watched.news.extend(news(&mut watched.presence, at(end)).map(|is_up| (end, is_up)));
        watched.share();
    }
    // One in 10,000 is 30.
    assert!((5..80).contains(&silent), "{silent} silences of {shares}");
    assert!(watched.news.len() <= 1, "{:?}", watched.news);
}
