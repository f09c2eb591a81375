//! The live view: a line for the pool, a line for each miner, a line for each block.

use super::miners::Kind;
use super::scene::Scene;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashSet;
use std::time::Duration;
use warppool_components::snapshot::Snapshot;
use warppool_components::units::Hash256;

/// How often the spinner turns.
const SPIN: Duration = Duration::from_millis(120);

/// Lines that change in a terminal; elsewhere only blocks are told, a line each.
pub(super) struct View {
    screen: MultiProgress,
    pool: ProgressBar,
    miners: Vec<ProgressBar>,
    told: HashSet<Hash256>,
}

impl View {
    /// The first lines: where everything is.
    pub(super) fn new(scene: &Scene) -> Self {
        let screen = MultiProgress::new();
        let style =
            ProgressStyle::with_template("{spinner:.cyan} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let line = || {
            let bar = screen.add(ProgressBar::new_spinner().with_style(style.clone()));
            bar.enable_steady_tick(SPIN);
            bar
        };
        let view = Self {
            pool: line(),
            miners: scene.miners.iter().map(|_| line()).collect(),
            told: HashSet::new(),
            screen: screen.clone(),
        };
        view.tell(&format!("Node       simulated regtest, {}", scene.node.rpc_url()));
        let places = &scene.places;
        view.tell(&format!("Miners     stratum+tcp://{}", places.pool));
        view.tell(&format!("           stratum2+tcp://{}/{}", places.pool, places.authority));
        view.tell(&format!("Translator stratum+tcp://{}", places.translator));
        view.tell(&format!("Dashboard  http://{}/", scene.dashboard));
        view
    }

    /// The lines of now.
    pub(super) fn show(&mut self, scene: &Scene, snapshot: &Snapshot) {
        for block in snapshot.blocks.iter().rev() {
            let is_final = block.state.label() != "pending";
            if is_final && self.told.insert(block.hash) {
                self.tell(&format!(
                    "Block      {} at height {} by {} ({}) pays {}: {}",
                    short(&block.hash.to_string()),
                    block.height,
                    worker(&block.worker_label),
                    scene.kind_of(block).map_or("-", Kind::label),
                    block.payout,
                    block.state
                ));
            }
        }
        self.pool.set_message(format!(
            "pool       {}  shares {}  height {}  blocks {}",
            hashes(snapshot.pool.hashrates[0]),
            snapshot.pool.accepted,
            snapshot.node.height,
            snapshot.pool.blocks_found
        ));
        for (miner, line) in scene.miners.iter().zip(&self.miners) {
            let stats = miner.stats();
            let trouble = stats.last_error.filter(|_| !stats.connected).unwrap_or_default();
            line.set_message(format!(
                "{:<10} {:<8} {:>8} hashes  shares {:>4}  refused {}  difficulty {}  {trouble}",
                miner.device.name(),
                miner.kind.label(),
                count(stats.hashes),
                stats.accepted,
                stats.rejected,
                stats.difficulty,
            ));
        }
    }

    /// Takes the changing lines away.
    pub(super) fn end(self) {
        self.pool.finish_and_clear();
        self.miners.iter().for_each(ProgressBar::finish_and_clear);
    }

    fn tell(&self, text: &str) {
        if self.screen.is_hidden() {
            super::print(text);
        } else if self.screen.println(text).is_err() {
            // A terminal that is gone: the demonstration goes on.
        }
    }
}

/// The worker's own name: the address is long and not what people look for here.
pub(super) fn worker(label: &str) -> &str {
    label.split_once('.').map_or(label, |(_, name)| name)
}

/// The end of a hash, where it differs from its neighbours.
pub(super) fn short(hash: &str) -> String {
    format!("…{}", hash.get(hash.len().saturating_sub(12)..).unwrap_or(hash))
}

/// Hashes a second for people.
pub(super) fn hashes(rate: f64) -> String {
    format!("{}H/s", si(rate))
}

fn count(number: u64) -> String {
    si(number as f64)
}

fn si(value: f64) -> String {
    let steps = [(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let step = steps.iter().find(|(size, _)| value >= *size);
    step.map_or_else(|| format!("{value:.0} "), |(size, name)| format!("{:.2} {name}", value / size))
}
