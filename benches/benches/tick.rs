//! A tick with shares: everything from the line to the answer but the socket. Shares are counted, not ticks.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hint::black_box;
use std::time::{Duration, Instant};
use warppool_benches::scene::{BRANCHES, Scene, submit};
use warppool_benches::turns::{Cost, Way, in_turns};
use warppool_benches::{plain, table};
use warppool_components::inbox::Inbox;
use warppool_components::limits::LINES_PER_TICK_MAX;
use warppool_components::units::Hash256;

/// Connections that the shares come from.
const CONNECTIONS: u32 = 64;

/// Shares that arrive at once. Sockets give at most 8192 lines a tick: ten thousand are two.
const SHARES: [usize; 6] = [1, 8, 64, 256, 1024, 10_000];

/// Shares measured together, so that reading the clock is nothing beside them.
const SHARES_PER_TURN_MIN: usize = 128;

/// An engine's set of known shares grows; one that has seen so many is replaced, since a pool's job ends too.
const SHARES_PER_ENGINE_MAX: u64 = 400_000;

fn main() {
    table::heading(
        "A tick",
        "From the lines to the answers, without sockets; all shares are good, with 12 branches, from 64 connections. The \
         plain way reads a line into a tree of values, hashes with `sha2`, asks a `HashSet` and formats an answer; it judges \
         and counts nothing.",
    );
    let mut ways: Vec<Way<'_>> = vec![plain_way()];
    ways.extend(SHARES.map(ours));
    let costs = in_turns(Duration::from_secs(8), ways);
    let row = |cost: &Cost| {
        let cells = [
            table::time(cost.shortest),
            table::time(cost.median),
            format!("{:.0}", 1e9 / cost.shortest),
            format!("{:.2}", costs[0].shortest / cost.shortest),
        ];
        (cost.name.clone(), cells.into())
    };
    let columns = ["a share", "median", "shares a second", "times as fast as plain"].map(str::to_owned);
    table::grid("shares a tick", &columns, &costs.iter().map(row).collect::<Vec<_>>());
}

fn ours(shares: usize) -> Way<'static> {
    let scene = RefCell::new(Scene::with_miners(CONNECTIONS));
    let ticks = SHARES_PER_TURN_MIN.div_ceil(shares);
    Way::timed(shares.to_string(), ticks * shares, move || {
        let mut scene = scene.borrow_mut();
        if scene.shares_made() > SHARES_PER_ENGINE_MAX {
            *scene = Scene::with_miners(CONNECTIONS);
        }
        let mut inboxes: Vec<Inbox> = (0..ticks).flat_map(|_| arriving(&mut scene, shares)).collect();
        scene.time_of(&mut inboxes, ticks * shares)
    })
}

/// What sockets would give, tick by tick.
fn arriving(scene: &mut Scene, shares: usize) -> Vec<Inbox> {
    let ticks = shares.div_ceil(LINES_PER_TICK_MAX);
    (0..ticks)
        .map(|tick| scene.shares((shares - tick * LINES_PER_TICK_MAX).min(LINES_PER_TICK_MAX), CONNECTIONS))
        .collect()
}

fn plain_way() -> Way<'static> {
    let branches: Vec<Hash256> = (0..BRANCHES).map(|branch| Hash256::from_internal([branch as u8; 32])).collect();
    let mut made = 0;
    Way::timed("plain, share by share", SHARES_PER_TURN_MIN, move || {
        let lines: Vec<String> = (0..SHARES_PER_TURN_MIN).map(|id| submit(id, 0, made + id as u64)).collect();
        made += lines.len() as u64;
        let (mut seen, mut answers) = (HashSet::new(), String::new());
        let start = Instant::now();
        lines.iter().for_each(|line| plain::share(line.as_bytes(), &branches, &mut seen, &mut answers));
        black_box(&answers);
        start.elapsed()
    })
}
