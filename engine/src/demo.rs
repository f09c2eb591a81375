//! `warppool demo`: the whole pool without a node, in one process.
//!
//! A simulated regtest node that speaks Core's RPC and ZMQ and judges every block, a real pool, a translator that mines at it, and
//! simulated miners of several device classes that really hash and speak Stratum V1 and V2 over loopback sockets, one of
//! them behind the translator. Only the difficulty is small.

mod directory;
mod miners;
mod pools;
mod report;
mod scene;
mod view;

use crate::cli::arguments::Demo;
use crate::cli::exit_code;
use crate::logging::{self, LogOptions};
use crate::runtime::Signals;
use crossbeam::channel::{Receiver, RecvTimeoutError};
use miners::Kind;
use scene::Scene;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use view::View;
use warppool_components::snapshot::Snapshot;

/// Whatever keeps the demonstration from running, for people.
type Failure = Box<dyn std::error::Error>;

/// Longest time without a look at the miners.
const REFRESH: Duration = Duration::from_millis(500);

/// Runs the demonstration; the result is the exit status.
pub fn demo(arguments: &Demo) -> u8 {
    let _log = logging::start(LogOptions { filter: "warn", json: false });
    match play(arguments) {
        Ok(()) => exit_code::DONE,
        Err(reason) => {
            tell(&format!("The demonstration failed: {reason}"));
            exit_code::FAILED
        }
    }
}

#[expect(clippy::print_stderr, reason = "the operator reads it")]
fn tell(text: &str) {
    eprintln!("{text}");
}

fn play(arguments: &Demo) -> Result<(), Failure> {
    let (mut scene, snapshots) = Scene::open(arguments)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&interrupted);
    let signals = Signals::listen(move || heard.store(true, Ordering::Release), || {})?;
    let mut view = View::new(&scene);
    let outcome = watch(arguments, &scene, &snapshots, &mut view, &interrupted);
    view.end();
    scene.close_miners();
    let told = outcome.map(|last| (report::table(&last, &scene), report::faults(&last, &scene)));
    // However it went: the pool is stopped and the files are removed.
    let closed = scene.close();
    drop(signals);
    let (table, faults) = told?;
    closed?;
    print(&table);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ").into()) }
}

/// Prints a line. An output that nobody reads any more ends nothing.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Shows what happens until it is over; gives the last picture.
fn watch(
    arguments: &Demo,
    scene: &Scene,
    snapshots: &Receiver<Arc<Snapshot>>,
    view: &mut View,
    interrupted: &AtomicBool,
) -> Result<Arc<Snapshot>, String> {
    let deadline = Instant::now() + arguments.time_limit();
    let mut last = Arc::new(Snapshot::default());
    let mut found = BTreeSet::new();
    loop {
        match snapshots.recv_timeout(REFRESH) {
            Ok(snapshot) => last = snapshot,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err("the pool has stopped by itself".into()),
        }
        view.show(scene, &last);
        found.extend(
            last.blocks.iter().filter(|block| report::is_taken(block)).filter_map(|block| scene.kind_of(block)),
        );
        if interrupted.load(Ordering::Acquire) {
            return Ok(last);
        }
        let Some(wanted) = arguments.blocks_until_exit() else { continue };
        let missing = Kind::ALL.into_iter().find(|kind| !found.contains(kind));
        let count = last.pool.blocks_found;
        if count >= u64::from(wanted) && missing.is_none() {
            return Ok(last);
        }
        if Instant::now() >= deadline {
            let (seconds, excuse) = (arguments.timeout, report::excuse(&last, scene));
            let nobody = missing.map(|kind| format!(", none of them found by {}", kind.name())).unwrap_or_default();
            return Err(format!("{count} of {wanted} blocks were accepted within {seconds} s{nobody}; {excuse}"));
        }
    }
}
