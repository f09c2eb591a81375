//! The pictures of `docs/vardiff.md`: how difficulty goes with single miners, and what seeing a halving costs.

use crate::bound;
use crate::figures::Results;
use crate::rules::Kind;
use crate::simulation::Simulation;
use crate::svg::{Panel, Picture, Scale};
use std::path::Path;

/// Hash rate of the miner in the pictures: at a fifth more than a power of two, where rounding neither helps nor hurts.
const HASHES_PER_SECOND: f64 = 1.2 * 16384.0 * 4_294_967_296.0 / 10.0;
const SEED: u64 = 7;
const RULES: [(Kind, &str); 3] = [(Kind::CkpoolScaled, "ckpool"), (Kind::Ladder, "ladder"), (Kind::Ours, "ours")];

/// Which of the changes that are measured.
const HALVING: usize = 1;

/// One miner whose hash rate goes its way.
struct Scenario {
    title: &'static str,
    /// Difficulty of the start as part of the ideal one. At 1 three hours have gone before.
    start: f64,
    minutes: u64,
    /// Part of the full hash rate, at a minute.
    hash_rate: fn(f64) -> f64,
    /// Lowest and highest difficulty of the panel, as parts of the ideal one.
    shown: (f64, f64),
}

const SCENARIOS: [Scenario; 6] = [
    Scenario {
        title: "A start 64 times too easy",
        start: 1.0 / 64.0,
        minutes: 10,
        hash_rate: |_| 1.0,
        shown: (1.0 / 64.0, 8.0),
    },
    Scenario { title: "Steady", start: 1.0, minutes: 480, hash_rate: |_| 1.0, shown: (0.125, 4.0) },
    Scenario {
        title: "Half of it fails after 30 minutes",
        start: 1.0,
        minutes: 180,
        hash_rate: |minute| if minute < 30.0 { 1.0 } else { 0.5 },
        shown: (0.125, 4.0),
    },
    Scenario {
        title: "Twice as much after 30 minutes",
        start: 1.0,
        minutes: 180,
        hash_rate: |minute| if minute < 30.0 { 1.0 } else { 2.0 },
        shown: (0.25, 8.0),
    },
    Scenario {
        title: "On and off, half an hour each",
        start: 1.0,
        minutes: 240,
        hash_rate: |minute| if minute % 60.0 < 30.0 { 1.0 } else { 0.0 },
        shown: (1.0 / 64.0, 8.0),
    },
    Scenario {
        title: "Here for 10 minutes, elsewhere for 50",
        start: 1.0,
        minutes: 240,
        hash_rate: |minute| if minute % 60.0 < 10.0 { 1.0 } else { 0.0 },
        shown: (1.0 / 64.0, 8.0),
    },
];

/// Writes the pictures into `folder`
pub(crate) fn write(folder: &Path, results: &[Results]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let pictures = [("vardiff-miners.svg", miners()), ("vardiff-trade-off.svg", trade_off(results))];
    pictures.into_iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
}

/// The difficulty of one miner under each rule, a panel a scenario.
fn miners() -> String {
    let mut picture = Picture::new(940, 720, "Difficulty of one simulated miner under three rules");
    let keys = [
        ("ideal", "what 10 seconds a share ask for"),
        ("ours", "WarpPool (powers of two)"),
        ("ckpool", "ckpool, scaled to 10 seconds"),
        ("ladder", "V2 reference"),
    ];
    for (place, (class, text)) in keys.into_iter().enumerate() {
        picture.key([48.0, 330.0, 560.0, 790.0][place], 22.0, class, text);
    }
    for (place, scenario) in SCENARIOS.iter().enumerate() {
        let panel = Panel {
            left: 48.0 + 462.0 * (place % 2) as f64,
            top: 62.0 + 222.0 * (place / 2) as f64,
            width: 412.0,
            height: 160.0,
            across: Scale::Even(0.0, scenario.minutes as f64),
            up: Scale::Logarithmic(scenario.shown.0, scenario.shown.1),
        };
        scenario.draw(&mut picture, &panel);
    }
    picture.finish()
}

impl Scenario {
    fn draw(&self, picture: &mut Picture, panel: &Panel) {
        let every = if self.minutes <= 30 { 2 } else { 30 * self.minutes.div_ceil(240) };
        let minutes: Vec<_> = (0..=self.minutes).step_by(every as usize).map(|at| (at as f64, time(at))).collect();
        let across: Vec<_> = minutes.iter().map(|(at, text)| (*at, text.as_str())).collect();
        let marks = [(1.0 / 64.0, "1/64"), (1.0 / 16.0, "1/16"), (0.25, "1/4"), (0.5, "1/2"), (1.0, "1"), (2.0, "2")];
        let above = [(4.0, "4"), (8.0, "8")];
        let is_shown = |(value, _): &(f64, &str)| (self.shown.0..=self.shown.1).contains(value);
        let up: Vec<_> = marks.into_iter().chain(above).filter(is_shown).collect();
        panel.frame(picture, self.title, &across, &up);
        self.draw_hash_rate(picture, panel);
        for (kind, class) in RULES {
            panel.steps(picture, class, &self.difficulties(kind));
        }
    }

    /// The ideal difficulty where there is one, and when there is none.
    fn draw_hash_rate(&self, picture: &mut Picture, panel: &Panel) {
        let mut from = 0;
        for minute in 1..=self.minutes {
            let now = (self.hash_rate)(from as f64);
            if (self.hash_rate)(minute as f64) == now && minute < self.minutes {
                continue;
            }
            let (start, end) = (from as f64, minute as f64);
            if now > 0.0 {
                panel.line(picture, "ideal", &[(start, now), (end, now)]);
            } else {
                panel.shade(picture, start, end);
            }
            from = minute;
        }
    }

    /// Minutes and difficulties, as parts of the ideal one at full hash rate, whenever another one was decided.
    fn difficulties(&self, kind: Kind) -> Vec<(f64, f64)> {
        let mut simulation = if self.start < 1.0 {
            let ideal = HASHES_PER_SECOND * kind.seconds_per_share() / 4_294_967_296.0;
            Simulation::new(kind, SEED, HASHES_PER_SECOND, ideal * self.start)
        } else {
            Simulation::settled(kind, SEED, HASHES_PER_SECOND)
        };
        let ideal = simulation.ideal();
        let mut points: Vec<(f64, f64)> = vec![(0.0, simulation.rule.decided() / ideal)];
        for second in 0..self.minutes * 60 {
            simulation.hashes_per_second = HASHES_PER_SECOND * (self.hash_rate)(second as f64 / 60.0);
            simulation.second();
            let decided = simulation.rule.decided() / ideal;
            if points.last().is_some_and(|(_, last)| *last != decided) {
                points.push(((second + 1) as f64 / 60.0, decided));
            }
        }
        points
    }
}

fn time(minutes: u64) -> String {
    if minutes.is_multiple_of(60) && minutes > 0 { format!("{} h", minutes / 60) } else { format!("{minutes} min") }
}

/// Retargets of a steady miner against halvings that are followed in time: the rules, and what bounds them.
fn trade_off(results: &[Results]) -> String {
    let mut picture = Picture::new(860, 470, "What following a halving within five minutes costs a steady miner");
    let panel = Panel {
        left: 62.0,
        top: 40.0,
        width: 770.0,
        height: 330.0,
        across: Scale::Logarithmic(0.05, 20.0),
        up: Scale::Even(0.0, 1.0),
    };
    let across = [
        (0.05, "0.05"),
        (0.1, "0.1"),
        (0.2, "0.2"),
        (0.5, "0.5"),
        (1.0, "1"),
        (2.0, "2"),
        (5.0, "5"),
        (10.0, "10"),
        (20.0, "20"),
    ];
    let up = [(0.0, "0 %"), (0.25, "25 %"), (0.5, "50 %"), (0.75, "75 %"), (0.9, "90 %"), (1.0, "100 %")];
    panel.frame(&mut picture, "Halvings that are followed within 5 minutes, of those that must be", &across, &up);
    let best: Vec<_> =
        (1..100).map(|part| f64::from(part) / 100.0).map(|seen| (bound::retargets_of_a_halving(seen), seen)).collect();
    let best: Vec<_> = best.into_iter().filter(|(retargets, _)| *retargets >= 0.05).collect();
    panel.shut(&mut picture, &best);
    panel.line(&mut picture, "bound", &best);
    panel.line(&mut picture, "page", &bound::sequential());
    for rule in results {
        let class = match rule.kind {
            Kind::Ours => "ours",
            Kind::Ckpool | Kind::CkpoolScaled => "ckpool",
            Kind::Ladder => "ladder",
        };
        let followed = rule.reactions[HALVING].in_time_where_needed;
        panel.dot(&mut picture, class, (rule.steady.retargets_per_hour, followed), rule.kind.name());
    }
    picture.label(447.0, 403.0, "middle", "retargets of a steady miner an hour");
    picture.key(62.0, 430.0, "bound", "bound of Neyman and Pearson at a share in 10 seconds: no rule is above it while every halving has to be followed");
    picture.key(
        62.0,
        452.0,
        "page",
        "Page's sequential test alone, at every threshold: the moment of a change is not known beforehand",
    );
    picture.finish()
}
