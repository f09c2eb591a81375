//! `/api/hashrate` and `/api/workers/{name}/history`: the past in steps.

use super::finite;
use crate::problem::Problem;
use crate::query::Query;
use crate::state::State;
use serde::Serialize;
use std::time::Duration;
use warppool_components::limits::HISTORY_POINTS_MAX;
use warppool_components::record::HistoryPoint;
use warppool_components::units::{Difficulty, UnixTime};
use warppool_components::worker::WorkerId;

/// Longest time asked for: a year and a day.
const HOURS_MAX: u64 = 8784;

/// Steps to choose from when none is asked for, in seconds. Minutes only for the last hour, of which single shares are kept.
const STEPS_SECONDS: [u64; 11] = [300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 604_800];

/// Points that a chart is given when it asks for no step.
const POINTS: u64 = 300;

/// The answer.
#[derive(Serialize)]
pub(crate) struct HistoryJson {
    worker: Option<String>,
    from: u64,
    to: u64,
    step_seconds: u64,
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Point {
    at: u64,
    hashes_per_second: f64,
    accepted: u64,
    accepted_difficulty: f64,
    rejected: u64,
    best_share: f64,
}

/// Makes the answer for one worker, or for the pool.
///
/// # Errors
/// A parameter is malformed, nobody has that name, or the store cannot answer.
pub(crate) async fn history(state: &State, name: Option<&str>, query: &Query) -> Result<HistoryJson, Problem> {
    let hours = query.number("hours", 1..=HOURS_MAX)?.unwrap_or(24);
    let step = query.number("step", 10..=604_800)?.unwrap_or_else(|| default_step(hours));
    if hours * 3600 / step > HISTORY_POINTS_MAX {
        return Err(Problem::bad_request(format!(
            "{hours} hours in steps of {step} s are more than {HISTORY_POINTS_MAX} points; use a step of {} s or more.",
            (hours * 3600).div_ceil(HISTORY_POINTS_MAX)
        )));
    }
    let published = state.published()?;
    let worker = name.map(|name| super::workers::find(&published.snapshot, name)).transpose()?.map(|worker| worker.id);
    let (from, to) = span(published.snapshot.at, hours, step);
    let points = points(state, worker, from, to, step).await?;
    let points = points.iter().map(|point| Point::new(point, to, step)).collect();
    Ok(HistoryJson {
        worker: name.map(str::to_owned),
        from: from.seconds(),
        to: to.seconds(),
        step_seconds: step,
        points,
    })
}

/// Points as the store has them.
///
/// # Errors
/// The store cannot answer.
pub(super) async fn points(
    state: &State,
    worker: Option<WorkerId>,
    from: UnixTime,
    to: UnixTime,
    step_seconds: u64,
) -> Result<Vec<HistoryPoint>, Problem> {
    let step = Duration::from_secs(step_seconds);
    state.ask_history(move |history| history.history(worker, from, to, step)).await
}

/// The last hours before `now`, from the start of a step.
pub(super) fn span(now: UnixTime, hours: u64, step_seconds: u64) -> (UnixTime, UnixTime) {
    let from = now.seconds().saturating_sub(hours * 3600) / step_seconds * step_seconds;
    (UnixTime::from_seconds(from), UnixTime::from_seconds(now.seconds()))
}

/// Hash rate of a step. The step that is not over yet counts for the part that has passed, but for a tenth at least, so that
/// one early share does not make a peak.
pub(super) fn hashes_per_second(point: &HistoryPoint, to: UnixTime, step_seconds: u64) -> f64 {
    let passed = to.seconds().saturating_sub(point.at.seconds()).clamp(step_seconds.div_ceil(10), step_seconds);
    finite(point.accepted_difficulty * Difficulty::HASHES_AT_ONE / passed as f64)
}

fn default_step(hours: u64) -> u64 {
    if hours == 1 {
        return 60;
    }
    STEPS_SECONDS.into_iter().find(|step| hours * 3600 / step <= POINTS).unwrap_or(604_800)
}

impl Point {
    fn new(point: &HistoryPoint, to: UnixTime, step_seconds: u64) -> Self {
        Self {
            at: point.at.seconds(),
            hashes_per_second: hashes_per_second(point, to, step_seconds),
            accepted: point.accepted,
            accepted_difficulty: finite(point.accepted_difficulty),
            rejected: point.rejected,
            best_share: finite(point.best),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_the_time_asked_for() {
        for (hours, step) in [(1, 60), (2, 300), (24, 300), (168, 3600), (720, 14_400), (8784, 604_800)] {
            assert_eq!(default_step(hours), step, "{hours}");
        }
        assert_eq!((1..=HOURS_MAX).map(|hours| hours * 3600 / default_step(hours)).max(), Some(POINTS));
    }

    #[test]
    fn a_step_that_goes_on_counts_for_what_has_passed() {
        let point =
            HistoryPoint { at: UnixTime::from_seconds(600), accepted_difficulty: 300.0, ..HistoryPoint::default() };
        let rate = |to| hashes_per_second(&point, UnixTime::from_seconds(to), 300) / Difficulty::HASHES_AT_ONE;
        assert_eq!((rate(900), rate(5000), rate(700), rate(601)), (1.0, 1.0, 3.0, 10.0));
    }
}
