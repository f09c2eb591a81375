//! Between `judge` and `block`: whether a connection sends anything of use.
//!
//! A connection whose lines are nearly all invalid, thousands of them, costs the pool work and finds nothing. First nothing
//! but the number of its lines is kept, then `reap` closes it. The counts fade over some ten minutes and nine in ten must be
//! invalid, so neither a slow miner nor an unlucky one nor one with a bad board gets there. What is not the miner's fault
//! does not count: shares of a tip that is gone, shares of a job that was full.
//!
//! Its shares are assembled, hashed and looked at as everybody's, because one may be a block.

use crate::resources::{Deadlines, LiveShares, Moment};
use bevy_ecs::system::{Query, Res, ResMut};
use std::time::Duration;
use warppool_components::channel::Channel;
use warppool_components::conduct::Conduct;
use warppool_components::limits::{INVALID_LINES_UNTIL_CHEAP, INVALID_LINES_UNTIL_CLOSED};
use warppool_components::reject::Reject;
use warppool_components::share::{ShareOrigin, ShareVerdict};
use warppool_components::units::Instant;

/// Time in which counts lose half of their weight.
const FADING: Duration = Duration::from_secs(300);

/// So many times more invalid lines than credited shares are a flood.
const INVALID_PER_GOOD: u32 = 9;

/// Counts this tick's shares for and against their connections.
pub fn conduct(
    moment: Res<Moment>,
    live: Res<LiveShares>,
    rows: Query<(&ShareOrigin, &ShareVerdict)>,
    mut channels: Query<&mut Channel>,
    mut deadlines: ResMut<Deadlines>,
) {
    if live.0 == 0 {
        return;
    }
    let mut columns = rows.contiguous_iter().expect("share components are stored in tables");
    let (origins, verdicts) = columns.next().expect("the share rows are spawned at start");
    let (origins, verdicts) = (&origins[..live.0], &verdicts[..live.0]);
    let mut at = 0;
    for group in origins.chunk_by(|one, other| one.sender == other.sender) {
        let verdicts = &verdicts[at..at + group.len()];
        at += group.len();
        if let Ok(mut channel) = channels.get_mut(group[0].sender) {
            let bad = verdicts.iter().filter(|verdict| verdict.reject.is_some_and(is_its_fault)).count();
            let good = verdicts.iter().filter(|verdict| verdict.reject.is_none()).count();
            count(&mut channel.conduct, good as u32, bad as u32, moment.0.instant, &mut deadlines);
        }
    }
}

/// Whether a miner that does everything right is never told this.
const fn is_its_fault(reject: Reject) -> bool {
    !matches!(reject, Reject::StaleTip | Reject::JobExhausted)
}

/// Adds `good` and `bad` lines. When that is too much, `reap` looks through the connections in this tick.
pub fn count(conduct: &mut Conduct, good: u32, bad: u32, now: Instant, deadlines: &mut Deadlines) {
    let was_over = is_over(conduct);
    let since = *conduct.faded_at.get_or_insert(now);
    let halvings = (now.since(since).as_secs() / FADING.as_secs()).min(u64::from(u32::BITS - 1)) as u32;
    if halvings > 0 {
        conduct.good >>= halvings;
        conduct.bad >>= halvings;
        conduct.faded_at = Some(now);
    }
    conduct.good = conduct.good.saturating_add(good);
    conduct.bad = conduct.bad.saturating_add(bad);
    if !was_over && is_over(conduct) {
        deadlines.sweep_at = now;
    }
}

/// Whether no more is done for its invalid lines than to answer and count them.
pub const fn is_answered_cheaply(conduct: &Conduct) -> bool {
    is_flood(conduct, INVALID_LINES_UNTIL_CHEAP)
}

/// Whether the connection is to be closed.
pub const fn is_over(conduct: &Conduct) -> bool {
    is_flood(conduct, INVALID_LINES_UNTIL_CLOSED)
}

const fn is_flood(conduct: &Conduct, from: u32) -> bool {
    conduct.bad >= from && conduct.bad / INVALID_PER_GOOD >= conduct.good
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant(1) + Duration::from_secs(seconds)
    }

    /// What becomes of one who sends so many good and bad lines every `seconds`, for a day.
    fn after_a_day(good: u32, bad: u32, seconds: u64) -> (bool, bool) {
        let mut conduct = Conduct::default();
        let (mut cheap, mut over) = (false, false);
        for step in 0..86_400 / seconds {
            count(&mut conduct, good, bad, at(step * seconds), &mut Deadlines::default());
            cheap |= is_answered_cheaply(&conduct);
            over |= is_over(&conduct);
        }
        (cheap, over)
    }

    #[test]
    fn only_a_flood_of_mostly_invalid_lines_ends() {
        let cases = [
            ("a slow miner that finds nothing good", (0, 1, 30), (false, false)),
            ("a miner with one bad share a second", (0, 1, 1), (true, false)),
            ("a flood", (0, 10, 1), (true, true)),
            ("a fast proxy that loses half", (100, 100, 1), (false, false)),
            ("a proxy of which eight in nine are bad", (20, 160, 1), (false, false)),
            ("a flood with a good share now and then", (1, 1000, 1), (true, true)),
        ];
        for (what, (good, bad, seconds), expected) in cases {
            assert_eq!(after_a_day(good, bad, seconds), expected, "{what}");
        }
    }

    #[test]
    fn what_the_pool_or_the_chain_did_does_not_count() {
        let innocent: Vec<_> = Reject::ALL.into_iter().filter(|reject| !is_its_fault(*reject)).collect();
        assert_eq!(innocent, [Reject::StaleTip, Reject::JobExhausted]);
    }

    #[test]
    fn who_goes_on_well_is_forgiven() {
        let mut conduct = Conduct::default();
        let mut deadlines = Deadlines { sweep_at: at(1), ..Deadlines::default() };
        count(&mut conduct, 0, INVALID_LINES_UNTIL_CLOSED - 1, at(0), &mut deadlines);
        assert!(is_answered_cheaply(&conduct) && !is_over(&conduct));
        assert_eq!(deadlines.sweep_at, at(1));
        let mut worse = conduct;
        count(&mut worse, 0, 1, at(0), &mut deadlines);
        assert_eq!((is_over(&worse), deadlines.sweep_at), (true, at(0)), "ended at once");
        count(&mut conduct, 60, 0, at(1800), &mut deadlines);
        assert!(!is_answered_cheaply(&conduct), "{conduct:?}");
    }
}
