//! Stratum V2 beside Stratum V1 in the engine, without sockets and without encryption: what a verdict costs, and what a new
//! tip costs a channel.

use std::cell::RefCell;
use std::time::{Duration, Instant};
use warppool_benches::scene::Scene;
use warppool_benches::table;
use warppool_benches::turns::{Cost, Way, in_turns};
use warppool_components::inbox::Inbox;
use warppool_components::outbox::Outbox;

/// Connections that the shares come from.
const CONNECTIONS: u32 = 64;

/// Shares that arrive at once.
const SHARES: [usize; 4] = [1, 8, 64, 1024];

/// Shares measured together, so that reading the clock is nothing beside them.
const SHARES_PER_TURN_MIN: usize = 128;

/// One connection may have so many credited shares in a job; an engine that has seen as many is replaced.
const SHARES_PER_ENGINE_MAX: u64 = 60_000;

/// Channels that are told a tip.
const CHANNELS: u32 = 10_000;

fn main() {
    verdicts();
    tips();
}

fn verdicts() {
    table::heading(
        "A verdict of Stratum V2",
        "From lines or frames in the clear to the answers; all shares are good, with 12 branches, from 64 connections.",
    );
    let ways = SHARES.into_iter().flat_map(|shares| [verdict(shares, false), verdict(shares, true)]).collect();
    let costs = in_turns(Duration::from_secs(8), ways);
    let row = |pair: &[Cost]| {
        let cells = [
            table::time(pair[0].shortest),
            table::time(pair[1].shortest),
            format!("{:.2}", pair[1].shortest / pair[0].shortest),
        ];
        (pair[0].name.clone(), cells.into())
    };
    let rows: Vec<_> = costs.chunks(2).map(row).collect();
    table::grid("shares a tick", &["V1", "V2", "V2 to V1"].map(str::to_owned), &rows);
}

fn verdict(shares: usize, is_v2: bool) -> Way<'static> {
    let make = move || if is_v2 { Scene::with_miners_v2(CONNECTIONS) } else { Scene::with_miners(CONNECTIONS) };
    let scene = RefCell::new(make());
    let ticks = SHARES_PER_TURN_MIN.div_ceil(shares);
    Way::timed(shares.to_string(), ticks * shares, move || {
        let mut scene = scene.borrow_mut();
        if scene.shares_made() > SHARES_PER_ENGINE_MAX {
            *scene = make();
        }
        let arriving = |scene: &mut Scene| match is_v2 {
            true => scene.shares_v2(shares, CONNECTIONS),
            false => scene.shares(shares, CONNECTIONS),
        };
        let mut inboxes: Vec<Inbox> = (0..ticks).map(|_| arriving(&mut scene)).collect();
        scene.time_of(&mut inboxes, ticks * shares)
    })
}

fn tips() {
    let v1 = RefCell::new(Scene::with_miners(CHANNELS));
    v1.borrow_mut().settle();
    let v2 = RefCell::new(Scene::with_miners_v2(CHANNELS));
    let bytes = [tip(&mut v1.borrow_mut()).1, tip(&mut v2.borrow_mut()).1];
    table::heading(
        &format!("A new tip to {CHANNELS} channels"),
        &format!(
            "From the subsidy-only template to the last write, not yet sealed nor sent: {} bytes for each connection of V1, {} \
             for each of V2, to which encryption adds 38.",
            bytes[0] / CHANNELS as usize,
            bytes[1] / CHANNELS as usize
        ),
    );
    let ways = vec![
        Way::timed("V1", CHANNELS as usize, || tip(&mut v1.borrow_mut()).0),
        Way::timed("V2", CHANNELS as usize, || tip(&mut v2.borrow_mut()).0),
    ];
    table::ratios("channel", &in_turns(Duration::from_secs(6), ways));
}

/// Tells a tip, and the full work on it afterwards, unmeasured. Time and bytes of the first.
fn tip(scene: &mut Scene) -> (Duration, usize) {
    let mut inbox = scene.new_empty_tip();
    let (mut told, mut bytes) = (0, 0);
    let start = Instant::now();
    while told < CHANNELS as usize {
        scene.tick(&mut inbox);
        told += scene.outbox.writes.len();
        bytes += written(&scene.outbox);
    }
    let duration = start.elapsed();
    assert_eq!(told, CHANNELS as usize, "everybody is told once");
    let mut inbox = scene.full_template();
    scene.tick(&mut inbox);
    scene.settle();
    (duration, bytes)
}

fn written(outbox: &Outbox) -> usize {
    outbox.writes.iter().map(|write| outbox.body(&write.body).len()).sum()
}
