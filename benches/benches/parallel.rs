//! From how many items on a second core pays, for hashing and for reading lines; and what it costs when there is nothing to
//! do. Other than in a loop of nothing else, the other threads sleep before each measured run, as they do between ticks.

use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::{ParallelSlice, ParallelSliceMut};
use std::hint::black_box;
use std::time::{Duration, Instant};
use warppool_benches::plain::{COINBASE_END, COINBASE_START};
use warppool_benches::scene::{BRANCHES, Scene, submit};
use warppool_benches::table;
use warppool_benches::turns::{Way, in_turns};
use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;
use warppool_net::wire::v1::scan_submit;
use warppool_systems::sha256d::{Calibration, Midstate, Share};

/// Shares that `hash` gives to one core at a time.
const SHARES_PER_CHUNK: usize = 64;

/// Lines for one core at a time: some 15 us of them.
const LINES_PER_CHUNK: usize = 128;

/// How long nothing happens before a run: threads of the parallel pool look for work that long before they sleep.
const PAUSE: Duration = Duration::from_micros(300);

/// How long small ticks run while the other threads are watched.
const IDLE: Duration = Duration::from_secs(1);

fn main() {
    rayon::ThreadPoolBuilder::new()
        .thread_name(|number| format!("hash-{number}"))
        .build_global()
        .expect("nothing ran in parallel before");
    table::heading(
        "A second core",
        &format!(
            "All work on one core beside all cores ({}); times are of the whole batch. Above one it pays.",
            rayon::current_num_threads()
        ),
    );
    table::paragraph(&format!(
        "Hashing goes to all cores from {} shares on.",
        Calibration::of_this_machine().parallel_from
    ));
    bench_hashing();
    bench_reading();
    watch_idle_threads();
}

fn bench_hashing() {
    let branches: Vec<Hash256> = (0..BRANCHES as u8).map(|branch| Hash256::from_internal([branch; 32])).collect();
    let midstate = Midstate::new(&COINBASE_START).0;
    let hasher = Calibration::of_this_machine().hasher;
    let mut rows = Vec::new();
    for count in [64, 96, 128, 192, 256, 512, 1024, 8192] {
        let share = |nonce| Share {
            midstate: &midstate,
            tail: &COINBASE_START[64..],
            extranonce: &[9; 12],
            suffix: &COINBASE_END,
            branches: &branches,
            nonce,
            ..Share::EMPTY
        };
        let shares: Vec<Share<'_>> = (0..count as u32).map(share).collect();
        let blank = ShareHash { header: [0; 80], hash: Hash256::ZERO };
        let (mut one, mut all) = (vec![blank; count], vec![blank; count]);
        let chunks = |all: &mut [ShareHash]| {
            let chunks = shares.par_chunks(SHARES_PER_CHUNK).zip(all.par_chunks_mut(SHARES_PER_CHUNK));
            chunks.for_each(|(shares, hashes)| hasher.hash(shares, hashes));
        };
        rows.push(compare(count, || hasher.hash(black_box(&shares), &mut one), || chunks(&mut all)));
    }
    table::grid("shares", &columns(), &rows);
    table::paragraph("");
}

fn bench_reading() {
    let mut rows = Vec::new();
    for count in [128, 256, 512, 1024, 2048, 8192] {
        let lines: Vec<String> = (0..count).map(|number| submit(number, 7, number as u64)).collect();
        let read = |line: &String| scan_submit(line.as_bytes()).map_or(0, |submit| submit.claim.nonce);
        let mut one = vec![0; count];
        let mut all = vec![0; count];
        let in_turn = |nonces: &mut [u32]| nonces.iter_mut().zip(&lines).for_each(|(nonce, line)| *nonce = read(line));
        let chunks = |nonces: &mut [u32]| {
            let chunks = lines.par_chunks(LINES_PER_CHUNK).zip(nonces.par_chunks_mut(LINES_PER_CHUNK));
            chunks
                .for_each(|(lines, nonces)| nonces.iter_mut().zip(lines).for_each(|(nonce, line)| *nonce = read(line)));
        };
        rows.push(compare(count, || in_turn(&mut one), || chunks(&mut all)));
    }
    table::grid("lines", &columns(), &rows);
}

fn columns() -> Vec<String> {
    ["one core", "all cores", "median of all", "times as fast"].map(str::to_owned).into()
}

/// A row of the table.
fn compare(count: usize, one: impl FnMut(), all: impl FnMut()) -> (String, Vec<String>) {
    let costs = in_turns(Duration::from_millis(600), vec![after_pause(one), after_pause(all)]);
    let cells = [
        table::time(costs[0].shortest),
        table::time(costs[1].shortest),
        table::time(costs[1].median),
        format!("{:.2}", costs[0].shortest / costs[1].shortest),
    ];
    (count.to_string(), cells.into())
}

fn after_pause<'a>(mut run: impl FnMut() + 'a) -> Way<'a> {
    Way::timed("", 1, move || {
        let pause = Instant::now();
        while pause.elapsed() < PAUSE {
            // The core stays awake, its wide units too, as at load.
            black_box(warppool_benches::plain::double_sha256(&[0; 64]));
        }
        let start = Instant::now();
        run();
        start.elapsed()
    })
}

/// What the parallel pool's threads ran while the engine judged one share a tick.
fn watch_idle_threads() {
    let mut scene = Scene::with_miners(1);
    std::thread::sleep(Duration::from_millis(100));
    let (before, start) = (processor_time(), Instant::now());
    let mut ticks = 0u64;
    while start.elapsed() < IDLE {
        let mut inbox = scene.shares(1, 1);
        scene.tick(&mut inbox);
        ticks += 1;
    }
    let text = match (before, processor_time()) {
        (Some(before), Some(after)) => format!("used {} ns of processor time", after - before),
        _ => "could not be watched: this system has no schedstat".to_owned(),
    };
    table::paragraph(&format!("While {ticks} ticks of one share each ran, the other threads of the pool {text}."));
}

/// Nanoseconds that the threads of the parallel pool have run.
fn processor_time() -> Option<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let path = task.ok()?.path();
        if std::fs::read_to_string(path.join("comm")).ok()?.starts_with("hash-") {
            let statistics = std::fs::read_to_string(path.join("schedstat")).ok()?;
            sum += statistics.split_whitespace().next()?.parse::<u64>().ok()?;
        }
    }
    Some(sum)
}
