//! Random days of two channels: every verdict of the pool is that of the reference project's channel objects.
//!
//! Where theirs differ by design it is said in [`difference`].

use crate::oracle::Oracle;
use bitcoin::Target;
use proptest::prelude::*;
use std::time::Duration;
use warppool_components::settings::{Settings, VardiffSettings};
use warppool_reference::message::Message;
use warppool_reference::{JobState, Share, Verdict};
use warppool_tests::pool::{Conn, Pool, difficulty, settings};
use warppool_tests::work;

/// Days that are tried.
const DAYS: u32 = 48;

/// Steps of a day. Theirs keep 16 jobs of a tip: a day has fewer templates than that.
const STEPS: std::ops::Range<usize> = 10..60;

/// Their window for header times, in seconds.
const TIME_WINDOW: u32 = 2 * 60 * 60;

/// A share of some kind, and whether it is the standard channel's.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Good {
        extranonce: u8,
        bits: u32,
    },
    /// The channel's last share once more.
    Again,
    TooEasy {
        extranonce: u8,
    },
    UnknownJob,
    /// On a job so many before the latest.
    Earlier {
        back: u8,
    },
    /// On a job that waits for its tip.
    Future,
    /// With a bit of the version that nobody may change.
    FixedBit {
        bit: u8,
    },
    /// With an extranonce of another size.
    WrongSize,
    TooEarly,
    TooLate,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Submit {
        standard: bool,
        kind: Kind,
    },
    Template,
    Tip,
    /// A tip whose first work is the job that was sent ahead.
    BareTip,
    /// The miner asks for shares that cost it 2 to the power of this at least.
    AskTarget {
        standard: bool,
        zero_bits: u8,
    },
    Wait {
        seconds: u8,
    },
}

fn kind() -> impl Strategy<Value = Kind> {
    // A Bitaxe rolls 1fffe000, the specification 1fffffe0.
    let bits = prop_oneof![Just(0), any::<u32>().prop_map(|bits| bits & 0x1fff_ffe0)];
    prop_oneof![
        6 => (any::<u8>(), bits).prop_map(|(extranonce, bits)| Kind::Good { extranonce, bits }),
        2 => Just(Kind::Again),
        2 => any::<u8>().prop_map(|extranonce| Kind::TooEasy { extranonce }),
        1 => Just(Kind::UnknownJob),
        3 => (1_u8..6).prop_map(|back| Kind::Earlier { back }),
        2 => Just(Kind::Future),
        1 => prop_oneof![0_u8..5, 29_u8..32].prop_map(|bit| Kind::FixedBit { bit }),
        1 => Just(Kind::WrongSize),
        1 => Just(Kind::TooEarly),
        1 => Just(Kind::TooLate),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (any::<bool>(), kind()).prop_map(|(standard, kind)| Step::Submit { standard, kind }),
        1 => Just(Step::Template),
        1 => Just(Step::Tip),
        1 => Just(Step::BareTip),
        1 => (any::<bool>(), 0_u8..12).prop_map(|(standard, zero_bits)| Step::AskTarget { standard, zero_bits }),
        1 => (1_u8..60).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

/// The pool, its two channels and their oracle.
struct Day {
    pool: Pool,
    conn: Conn,
    /// Extended and standard.
    channels: [u32; 2],
    oracle: Oracle,
    last: [Option<Share>; 2],
    submits: u32,
}

/// Difficulties that a test's hashes reach and miss, whatever vardiff makes of them.
fn reachable() -> Settings {
    let known = settings();
    let vardiff = VardiffSettings { min: difficulty(1e-9), max: difficulty(1e-6), ..known.vardiff.clone() };
    Settings { vardiff, ..known }
}

impl Day {
    fn begin() -> Self {
        let mut pool = Pool::new(reachable(), 7).with_work();
        let conn = pool.connect_judged(0);
        let name = work::address(1);
        let extended = pool.open_extended(conn, &name).expect("an extended channel");
        let mut heard: Vec<Message> = pool.client_mut(conn).heard.drain(..).collect();
        let standard = pool.open_standard(conn, &format!("{name}.standard")).expect("a standard channel");
        heard.extend(pool.client_mut(conn).heard.drain(..));
        let mut oracle = Oracle::new(pool.channel(conn, extended), pool.channel(conn, standard));
        oracle.hear(&heard);
        Self { pool, conn, channels: [extended, standard], oracle, last: [None, None], submits: 0 }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Submit { standard, kind } => self.submit(usize::from(standard), kind),
            Step::Template => {
                let template = self.pool.next_template();
                self.pool.template(template);
            }
            Step::Tip => self.pool.new_tip(),
            Step::BareTip => {
                let bare = self.pool.next_bare_tip();
                self.pool.template(bare);
            }
            Step::AskTarget { standard, zero_bits } => {
                let channel = self.channels[usize::from(standard)];
                let frame = self.pool.client_mut(self.conn).update(channel, 1.0, target_of(zero_bits));
                self.pool.send_frames(self.conn, &frame);
            }
            Step::Wait { seconds } => self.pool.advance(Duration::from_secs(u64::from(seconds))),
        }
        let heard: Vec<Message> = self.pool.client_mut(self.conn).heard.drain(..).collect();
        self.oracle.hear(&heard);
    }

    fn submit(&mut self, place: usize, kind: Kind) {
        let Some(share) = self.share(place, kind) else { return };
        self.submits += 1;
        let theirs = self.oracle.judge(&share, self.submits);
        let ours = self.pool.submit_v2(self.conn, &share);
        if ours != theirs {
            let why = self.difference(&share, &ours, &theirs);
            assert!(why.is_some(), "{kind:?}: {ours:?} where the reference project says {theirs:?}: {share:?}");
        }
        if let Kind::Good { .. } = kind {
            self.last[place] = Some(share);
        }
    }

    fn share(&self, place: usize, kind: Kind) -> Option<Share> {
        let channel = self.pool.channel(self.conn, self.channels[place]);
        let search = channel.search();
        Some(match kind {
            Kind::Good { extranonce, bits } => search.extranonce(extranonce.into()).version_bits(bits).hit(),
            Kind::Again => self.last[place].clone()?,
            Kind::TooEasy { extranonce } => search.extranonce(extranonce.into()).miss(),
            Kind::UnknownJob => Share { job: 0xdead_beef, ..search.hit() },
            Kind::Earlier { back } => {
                let sent: Vec<_> = channel.jobs.iter().filter(|job| job.tip.is_some()).collect();
                let place = sent.len().checked_sub(1 + usize::from(back))?;
                channel.search_on(sent[place]).hit()
            }
            Kind::Future => channel.search_on(channel.future_job()?).hit(),
            Kind::FixedBit { bit } => search.version_bits(1 << bit).hit(),
            Kind::WrongSize => {
                let share = search.hit();
                let longer = share.extranonce.as_ref().map(|own| [own.as_slice(), &[0]].concat())?;
                Share { extranonce: Some(longer), ..share }
            }
            Kind::TooEarly => search.ntime(channel.job().min_ntime? - 1).hit(),
            Kind::TooLate => search.ntime(channel.job().min_ntime? + TIME_WINDOW + 1).hit(),
        })
    }

    /// Why the two may differ here, if they may.
    fn difference(&self, share: &Share, ours: &Verdict, theirs: &Verdict) -> Option<&'static str> {
        let job = self.pool.channel(self.conn, share.channel).job_of(share.job)?;
        let (ours, theirs) = (ours.as_ref().err()?.as_str(), theirs.as_ref().err()?.as_str());
        match (ours, theirs) {
            ("version-bits-not-allowed", "invalid-non-rollable-version-bit") => Some("another word for the same"),
            ("ntime-too-old" | "ntime-too-new", "invalid-share") => Some("theirs have no word for times"),
            ("stale-share", "invalid-job-id") if job.state == JobState::Stale => {
                Some("theirs forget the jobs of a tip with the tip after the next, and those that no tip has named")
            }
            _ => None,
        }
    }
}

/// The target that one hash in 2^`zero_bits` meets.
fn target_of(zero_bits: u8) -> Target {
    let mut bytes = [0xff; 32];
    bytes[..4].copy_from_slice(&(u32::MAX >> zero_bits).to_be_bytes());
    Target::from_be_bytes(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: DAYS, ..ProptestConfig::default() })]

    #[test]
    fn every_verdict_is_that_of_the_reference_project(steps in prop::collection::vec(step(), STEPS)) {
        let mut day = Day::begin();
        for step in steps {
            day.step(step);
        }
    }
}
