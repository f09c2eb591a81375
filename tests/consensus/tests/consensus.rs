//! The pool in court: thousands of blocks that Bitcoin Core must take, and a thousand that it must refuse.
//!
//! `WARPPOOL_JUDGE_TEMPLATES` says how many templates (10,000), `WARPPOOL_JUDGE_SEED` which, and with `WARPPOOL_JUDGE_HIGH=1`
//! two chains are so long that they take minutes to build. A failure names the seed and its chain.

#![forbid(unsafe_code)]

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use warppool_components::settings::Network;
use warppool_components::template::{Template, TemplateId};
use warppool_components::units::UnixTime;
use warppool_consensus::arena::Arena;
use warppool_consensus::breaks::{self, Break, Place, Scene};
use warppool_consensus::chain::Offer;
use warppool_consensus::court::Verdict;
use warppool_consensus::random::Random;
use warppool_consensus::tally::Tally;
use warppool_io::node::template::{Tip, subsidy_only};

/// Templates when nobody says how many.
const TEMPLATES: usize = 10_000;

/// Blocks that are spoilt.
const BROKEN: usize = 1000;

/// Rounds of an arena. Each takes the chain three blocks on.
const ROUNDS: usize = 125;

/// Most transactions of a template: what a full block of the network holds.
const TRANSACTIONS_MAX: u64 = 4000;

/// Heights at which chains begin, so that rounds cross what changes there: BIP34's encodings (17, 128), halvings (each 150).
const HEIGHTS: [u32; 5] = [0, 120, 250, 0, 700];

/// The same for one chain each: where a retarget period would start (each 2016), and the last satoshi of subsidy (4950).
const HEIGHTS_ONCE: [u32; 2] = [4700, 1848];

/// The same for the highest: BIP34's third byte (32768), and the last halving (9600). On regtest Core walks through its whole
/// block index at each block, so these take minutes.
const HEIGHTS_HIGH: [u32; 2] = [32_550, 9450];

fn number(name: &str, otherwise: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => otherwise,
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Runs `count` arenas on all cores; each gives its tally.
fn in_parallel(what: &str, count: usize, run: impl Fn(usize, u64) -> Tally + Sync) -> Tally {
    let seed = number("WARPPOOL_JUDGE_SEED", 1) as u64;
    let (next, done) = (AtomicUsize::new(0), Mutex::new((0, Tally::default(), Vec::new())));
    let started = Instant::now();
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            let seed = Random::new(seed ^ ((index as u64) << 32)).next();
            let outcome = catch_unwind(AssertUnwindSafe(|| run(index, seed)));
            let mut done = done.lock().expect("no thread panics while it holds this");
            done.0 += 1;
            match outcome {
                Ok(tally) => done.1.add(&tally),
                Err(_) => done.2.push(index),
            }
            say(&format!("{what}: {} of {count} chains, {} s", done.0, started.elapsed().as_secs()));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (_, tally, failed) = done.into_inner().expect("no thread panics while it holds this");
    say(&format!("\n{what}, in {} s:\n{tally}", started.elapsed().as_secs()));
    assert!(failed.is_empty(), "chains {failed:?} of seed {seed} failed, see above");
    tally
}

/// How many transactions the next template has: mostly few, at times thousands.
fn size(random: &mut Random) -> usize {
    let size = match random.between(0, 999) {
        0..250 => random.between(0, 3),
        250..850 => random.between(1, 40),
        850..985 => random.between(40, 250),
        985..998 => random.between(250, 1500),
        _ => random.between(1500, TRANSACTIONS_MAX),
    };
    size as usize
}

/// Defects 1 and 33 among others: every block that the pool would submit is taken, and pays to the satoshi what was
/// configured.
#[test]
fn every_block_of_the_pool_is_taken() {
    let templates = number("WARPPOOL_JUDGE_TEMPLATES", TEMPLATES);
    let arenas = templates.div_ceil(ROUNDS);
    let is_high = number("WARPPOOL_JUDGE_HIGH", 0) == 1;
    // The longest first, so that no core waits for another at the end.
    let high: &[u32] = if is_high { &HEIGHTS_HIGH } else { &[] };
    let starts = high.iter().chain(&HEIGHTS_ONCE).chain(HEIGHTS.iter().cycle());
    let starts: Vec<u32> = starts.copied().take(arenas).collect();
    let tally = in_parallel("templates", arenas, |index, seed| {
        let mut arena = Arena::new(seed, starts[index]);
        for round in 0..ROUNDS.min(templates - index * ROUNDS) {
            // One of the fullest, where there are coins.
            let transactions =
                if round == 100 && index % 8 == 3 { TRANSACTIONS_MAX as usize } else { size(&mut arena.random) };
            arena.round(transactions);
        }
        std::mem::take(&mut arena.tally)
    });
    assert_eq!(tally.templates as usize, templates);
    assert_eq!(tally.kinds.len(), 4);
    for (kind, counts) in &tally.kinds {
        assert!(counts.blocks as usize >= templates, "{kind:?}");
        assert_eq!(counts.blocks, counts.accepted, "{kind:?}");
    }
}

/// The judge is able to say no, for exactly the reason that is meant, and takes the same block unspoilt.
#[test]
fn every_broken_block_is_refused_for_its_reason() {
    let arenas = 4;
    assert!(breaks::ALL.len() <= BROKEN);
    let tally = in_parallel("broken blocks", arenas, |index, seed| {
        let mut arena = Arena::new(seed, 200 + 150 * index as u32);
        for number in 0..BROKEN.div_ceil(arenas) {
            let broken = breaks::ALL[(number * arenas + index) % breaks::ALL.len()];
            refuse(&mut arena, &broken);
        }
        std::mem::take(&mut arena.tally)
    });
    assert!(tally.refused.values().sum::<u64>() as usize >= BROKEN);
}

/// An offer whose last transaction can be taken away or doubled, and that has a witness.
fn rich_offer(arena: &mut Arena) -> Offer {
    loop {
        let count = 2 * arena.random.between(1, 12) as usize;
        let offer = arena.offer(count);
        let has_witness =
            |transaction: &bitcoin::Transaction| transaction.input.iter().any(|input| !input.witness.is_empty());
        if offer.transactions.len() == count && offer.transactions.iter().any(|paying| has_witness(&paying.transaction))
        {
            return offer;
        }
        // What was spent is spent only in a block.
        mine(arena, &offer);
    }
}

fn mine(arena: &mut Arena, offer: &Offer) {
    arena.hand_offer(offer);
    let seat = arena.any_seat();
    let found = arena.find(seat);
    assert_eq!(arena.court.judge(&found.bytes), Verdict::Connected(vec![found.block.block_hash()]));
    arena.extend(&found.block);
}

/// Spoils a block, hears Core refuse it, and lets the same work unspoilt become the tip.
fn refuse(arena: &mut Arena, broken: &Break) {
    arena.begin_round();
    if arena.purse.unripe().is_none() {
        arena.extend_cheaply();
    }
    let offer = rich_offer(arena);
    let intact = arena.decode(&offer);
    let random = Random::new(arena.random.next());
    let (unripe, ripe) = (arena.purse.unripe().expect("young coins"), arena.purse.any_ripe().expect("coins"));
    let mut scene = Scene { offer: &offer, unripe, ripe, random };
    let seat = match broken.rolls {
        Some(rolls) => arena.seat(rolls),
        None => arena.any_seat(),
    };
    let bytes = match broken.place {
        Place::Template(spoil) => {
            let mut spoilt = intact.clone();
            spoil(&mut spoilt, &mut scene);
            assert_ne!(spoilt, intact, "{}", broken.name);
            arena.hand(Template { id: TemplateId(u64::MAX - intact.id.0), ..spoilt });
            arena.find(seat).bytes
        }
        Place::Block(spoil) => {
            arena.hand(intact.clone());
            let mut block = arena.find(seat).block;
            spoil(&mut block, &mut scene);
            bitcoin::consensus::serialize(&block)
        }
    };
    let tip = arena.court.tip();
    assert_eq!(arena.court.judge(&bytes), Verdict::Refused(broken.reason.to_owned()), "{}", broken.name);
    assert_eq!(arena.court.tip(), tip, "{}", broken.name);
    *arena.tally.refused.entry(broken.reason.to_owned()).or_default() += 1;
    arena.hand(intact);
    arena.refresh();
    let found = arena.find(seat);
    let verdict = arena.court.judge(&found.bytes);
    assert_eq!(verdict, Verdict::Connected(vec![found.block.block_hash()]), "unspoilt: {}", broken.name);
    arena.extend(&found.block);
}

/// The block has the bits that the miner rolled. The same block without them, as other pools rebuilt it, is refused whenever
/// its hash is no proof of work any more, which on a real network is always.
#[test]
fn defect_01_a_version_rolled_block_is_taken_as_it_was_hashed() {
    let mut arena = Arena::new(1, 120);
    let mut refused = 0;
    for _ in 0..40 {
        let offer = arena.offer(3);
        let template = arena.hand_offer(&offer);
        let found = arena.find(1);
        let mut rebuilt = breaks::copy(&found.bytes);
        rebuilt.header.version = bitcoin::block::Version::from_consensus(template.version as i32);
        assert_ne!(rebuilt.header.version, found.block.header.version);
        if rebuilt.header.validate_pow(rebuilt.header.target()).is_err() {
            let verdict = arena.court.judge(&bitcoin::consensus::serialize(&rebuilt));
            assert_eq!(verdict, Verdict::Refused("high-hash".to_owned()));
            refused += 1;
        }
        assert_eq!(arena.court.judge(&found.bytes), Verdict::Connected(vec![found.block.block_hash()]));
        arena.extend(&found.block);
    }
    assert!(refused > 5, "every second rebuilt block has too high a hash");
}

/// Where a retarget period starts there is no empty job on any network, because its nBits are not known yet; elsewhere there
/// is, and Core takes it. What an empty job under wrong nBits would come to is among the broken blocks: `bad-diffbits`.
#[test]
fn defect_22_no_empty_job_where_a_retarget_period_starts() {
    // A round takes three blocks, and the boundary falls on each of them once.
    for start in [2007, 2008, 2009] {
        let mut arena = Arena::new(22, start);
        while arena.tip.height < 2019 {
            arena.round(4);
        }
        assert!(arena.tally.kinds.values().all(|counts| counts.blocks == counts.accepted));
        assert_eq!(arena.tally.without_empty_job > 0, start != 2009, "at 2016 an empty job was due and not given");
    }
    let mut arena = Arena::new(22, 0);
    let offer = arena.offer(0);
    let last = arena.decode(&offer);
    for network in Network::ALL {
        for height in 1..=6 * 2016 {
            let tip = Tip { height: height - 1, ..arena.tip.told() };
            let is_given = subsidy_only(&tip, &last, network, UnixTime::from_seconds(0)).is_some();
            let is_known = height % 2016 != 0 && network != Network::Testnet4;
            assert_eq!(is_given, is_known, "{network:?} {height}");
        }
    }
}

/// The root commits to txids, the commitment to wtxids, each in the byte order of consensus, whatever the shape of the tree.
#[test]
fn defect_33_a_full_block_commits_to_txids_and_any_mix_up_is_refused() {
    let mix_ups: Vec<&Break> = breaks::ALL
        .iter()
        .filter(|broken| broken.name.contains("branches") || broken.name.contains("commitment to txids"))
        .collect();
    assert!(mix_ups.len() >= 6);
    let mut arena = Arena::new(33, 200);
    for broken in &mix_ups {
        refuse(&mut arena, broken);
    }
    for count in 1..40 {
        let offer = arena.offer(count);
        mine(&mut arena, &offer);
    }
}
