//! Ways of doing the same thing, measured in turns, so that what disturbs the machine disturbs all of them.
//!
//! One round runs each way once. The shortest time of all rounds is what the way costs: disturbances only ever add. The
//! median stands beside it to show how much there was of them. Ratios of shortest times of one run hold on machines on
//! which absolute times do not.

use std::time::{Duration, Instant};

/// Rounds that are measured however long they take.
const ROUNDS_MIN: usize = 10;

/// Rounds after which the shortest time hardly gets shorter.
const ROUNDS_MAX: usize = 4000;

/// A way to do something to a number of items.
pub struct Way<'a> {
    name: String,
    items: usize,
    run: Box<dyn FnMut() -> Duration + 'a>,
}

impl<'a> Way<'a> {
    /// Calls `run`, which does it to so many items. It should take microseconds at least, since a clock is read around it.
    /// It runs twice a turn, once unmeasured, so that its code and its units are awake.
    pub fn new(name: impl Into<String>, items: usize, mut run: impl FnMut() + 'a) -> Self {
        let timed = move || {
            run();
            let start = Instant::now();
            run();
            start.elapsed()
        };
        Self::timed(name, items, timed)
    }

    /// The same where `run` reads the clock itself, because there is something to prepare.
    pub fn timed(name: impl Into<String>, items: usize, run: impl FnMut() -> Duration + 'a) -> Self {
        Self { name: name.into(), items, run: Box::new(run) }
    }
}

/// What a way cost.
#[derive(Clone, PartialEq, Debug)]
pub struct Cost {
    /// The way.
    pub name: String,
    /// Nanoseconds an item in the shortest run.
    pub shortest: f64,
    /// Nanoseconds an item in the median run.
    pub median: f64,
    /// Items a run.
    pub items: usize,
}

/// Measures all ways in turns, for about so long (ten times that with `--long` on the command line).
pub fn in_turns(budget: Duration, mut ways: Vec<Way<'_>>) -> Vec<Cost> {
    let budget = if std::env::args().any(|argument| argument == "--long") { 10 * budget } else { budget };
    let mut times: Vec<Vec<Duration>> = ways.iter().map(|_| Vec::new()).collect();
    let start = Instant::now();
    for round in 0..ROUNDS_MAX {
        if round >= ROUNDS_MIN && start.elapsed() >= budget {
            break;
        }
        for (way, times) in ways.iter_mut().zip(&mut times) {
            times.push((way.run)());
        }
    }
    ways.into_iter().zip(times).map(|(way, times)| cost(way.name, way.items, times)).collect()
}

fn cost(name: String, items: usize, mut times: Vec<Duration>) -> Cost {
    times.sort_unstable();
    let each = |time: Duration| time.as_nanos() as f64 / items.max(1) as f64;
    Cost { name, shortest: each(times[0]), median: each(times[times.len() / 2]), items }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_and_the_median_run_count_for_each_item() {
        let mut left = vec![50, 10, 30, 20, 90, 70, 40, 60, 80, 100].into_iter().map(Duration::from_nanos);
        let costs = in_turns(Duration::ZERO, vec![Way::timed("a", 10, move || left.next().expect("ten rounds"))]);
        assert_eq!(costs, [Cost { name: "a".into(), shortest: 1.0, median: 6.0, items: 10 }]);
    }

    #[test]
    fn ways_take_turns() {
        let log = std::cell::RefCell::new(Vec::new());
        let way = |name: char| {
            let log = &log;
            Way::timed(name, 1, move || {
                log.borrow_mut().push(name);
                Duration::ZERO
            })
        };
        in_turns(Duration::ZERO, vec![way('a'), way('b')]);
        assert_eq!(log.borrow()[..4], ['a', 'b', 'a', 'b']);
    }
}
