//! When to ask one node for a template: at most one `getblocktemplate` in flight, whatever happens. Pure.
//!
//! A template is fetched at once when the tip changes or a refresh is ordered, and every `template_refresh`. Where
//! ZMQ works that is all. Where it does not, a long poll fills the time in between, so that the node itself says
//! when there is something newer; a waiting long poll is not given up for a refresh, because the node would go on
//! waiting with it, one of its few RPC threads each time. (It answers by itself when the tip changes, or after a
//! minute when its mempool did.) Only a request that cannot be answered any more is left behind: see
//! [`Fetch::is_stalled`].
//!
//! On failure the last valid work stays with the miners and is asked for again, at most every
//! [`PAUSE_MAX`].

use super::question::{Next, Question};
use std::time::Duration;
use warppool_components::units::{Hash256, Instant};

/// Between two failures.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A long poll that is answered sooner with the same tip means that the node does not know long polling.
const LONGPOLL_SHORTEST: Duration = Duration::from_secs(1);

/// A request that was sent.
#[derive(Debug)]
struct InFlight {
    started: Instant,
    longpoll: bool,
    /// The tip for which it was sent.
    wanted: Option<Hash256>,
    /// Since when the node should have answered a long poll.
    overdue_since: Option<Instant>,
}

/// A request that has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ended {
    /// It was a long poll, which may time out without anything being wrong.
    pub(super) was_longpoll: bool,
    /// A long poll that was answered at once, with what was known already.
    was_futile: bool,
    /// The template is not on the tip for which it was fetched: ask again soon.
    is_other_tip: bool,
}

/// When to ask next, and how.
#[derive(Debug)]
struct Plan {
    due: Instant,
    pause: Duration,
    longpoll_id: Option<String>,
    tip: Option<Hash256>,
}

impl Plan {
    const fn new(due: Instant) -> Self {
        Self { due, pause: PAUSE_MIN, longpoll_id: None, tip: None }
    }
}

/// Orders for the templates of one node, and what came of them. There is one fetcher after the other: whoever asks names
/// the generation that it is, and what an earlier one still brings is passed over.
#[derive(Debug)]
pub(super) struct Fetch {
    /// Number of the fetcher that these orders are for.
    generation: u64,
    usable: bool,
    longpoll_useful: bool,
    refresh: bool,
    wanted: Option<Hash256>,
    /// The tip of the latest template.
    fetched: Option<Hash256>,
    in_flight: Option<InFlight>,
    plan: Plan,
}

impl Fetch {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            generation: 0,
            usable: false,
            longpoll_useful: true,
            refresh: false,
            wanted: None,
            fetched: None,
            in_flight: None,
            plan: Plan::new(now),
        }
    }

    /// The tip is another one: a template on it is wanted now, unless that was what brought the news.
    pub(super) fn want_tip(&mut self, tip: Hash256, now: Instant) {
        if self.fetched == Some(tip) {
            return;
        }
        self.wanted = Some(tip);
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.overdue_since.get_or_insert(now);
        }
    }

    /// The latest template came too late to be of use: what it was on may be wanted again.
    pub(super) const fn forget_latest(&mut self) {
        self.fetched = None;
    }

    /// A newer template is wanted now.
    pub(super) const fn refresh(&mut self) {
        self.refresh = true;
    }

    /// Whether the node's templates may be used at all. When that begins, one is wanted now.
    pub(super) const fn set_usable(&mut self, usable: bool) {
        self.refresh |= usable && !self.usable;
        self.usable = usable;
    }

    /// Whether long polls have a use: not where ZMQ works.
    pub(super) const fn set_longpoll_useful(&mut self, useful: bool) {
        self.longpoll_useful = useful;
    }

    /// Whether the request in flight cannot be answered any more: the node was gone since it was sent, or it is a
    /// long poll and the node has not answered it although the tip changed `patience` ago.
    pub(super) fn is_stalled(&self, node_gone_at: Option<Instant>, patience: Duration, now: Instant) -> bool {
        self.in_flight.as_ref().is_some_and(|request| {
            node_gone_at.is_some_and(|gone| gone > request.started)
                || request.longpoll && request.overdue_since.is_some_and(|since| now.since(since) > patience)
        })
    }

    /// Leaves the present fetcher to its fate; gives the number of the next.
    pub(super) fn supersede(&mut self, now: Instant) -> u64 {
        self.generation += 1;
        self.in_flight = None;
        self.refresh = true;
        self.plan = Plan::new(now);
        self.generation
    }

    /// What the fetcher of this generation is to do, which has no request in flight.
    pub(super) fn next(&mut self, node: usize, generation: u64, now: Instant) -> Next {
        if self.generation != generation {
            return Next::End;
        }
        if !self.usable {
            return Next::Wait(None);
        }
        let fetch = self.refresh || self.wanted.is_some() || self.plan.due <= now;
        let longpoll = self.longpoll_useful && self.plan.longpoll_id.is_some();
        if !fetch && !longpoll {
            return Next::Wait(Some(self.plan.due));
        }
        let longpoll_id = self.plan.longpoll_id.take().filter(|_| !fetch);
        let wanted = self.wanted.take();
        self.refresh = false;
        self.in_flight = Some(InFlight { started: now, longpoll: !fetch, wanted, overdue_since: None });
        Next::Ask(node, Question::Template { longpoll_id })
    }

    /// The request has ended, with a template on this tip or without one; `None` when another fetcher has taken over.
    pub(super) fn done(&mut self, generation: u64, tip: Option<Hash256>, now: Instant) -> Option<Ended> {
        if self.generation != generation {
            return None;
        }
        let request = self.in_flight.take()?;
        self.fetched = tip.or(self.fetched);
        if tip.is_some() && self.wanted == tip {
            // The tip changed while the request waited, and it brought the template for that.
            self.wanted = None;
        }
        let is_known = tip.is_some() && self.plan.tip == tip;
        Some(Ended {
            was_longpoll: request.longpoll,
            was_futile: request.longpoll && is_known && now.since(request.started) < LONGPOLL_SHORTEST,
            is_other_tip: tip.is_some() && request.wanted.is_some() && request.wanted != tip && self.wanted.is_none(),
        })
    }

    /// Plans the next request after one that brought a template on `tip`. `longpoll_id` is absent where long polls are of
    /// no use.
    pub(super) fn succeeded(
        &mut self,
        ended: Ended,
        template_refresh: Duration,
        longpoll_id: Option<String>,
        tip: Hash256,
        now: Instant,
    ) {
        let longpoll_id = longpoll_id.filter(|_| !ended.was_futile);
        self.plan = Plan { due: now + template_refresh, pause: PAUSE_MIN, longpoll_id, tip: Some(tip) };
        if ended.is_other_tip {
            self.plan.due = now + PAUSE_MIN;
            self.plan.longpoll_id = None;
        }
    }

    /// Plans the next request after one that brought none.
    pub(super) fn failed(&mut self, now: Instant) {
        self.plan.due = now + self.plan.pause;
        self.plan.pause = (self.plan.pause * 2).min(PAUSE_MAX);
        self.plan.longpoll_id = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIP: Hash256 = Hash256::from_internal([1; 32]);
    const OTHER: Hash256 = Hash256::from_internal([2; 32]);
    const START: Instant = Instant(1_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    /// Sends the next request; whether it is a long poll.
    fn asks(fetch: &mut Fetch, now: Instant) -> Option<bool> {
        let generation = fetch.generation;
        match fetch.next(0, generation, now) {
            Next::Ask(0, Question::Template { longpoll_id }) => Some(longpoll_id.is_some()),
            _ => None,
        }
    }

    /// The request brings a template on this tip; whether another one is to follow because that was not the wanted one.
    fn brings(fetch: &mut Fetch, tip: Hash256, now: Instant) -> bool {
        let ended = fetch.done(fetch.generation, Some(tip), now).expect("its own request");
        fetch.succeeded(ended, HOUR, Some("id".to_owned()), tip, now);
        ended.is_other_tip
    }

    const FETCH: Option<bool> = Some(false);
    const LONGPOLL: Option<bool> = Some(true);

    fn usable() -> Fetch {
        let mut fetch = Fetch::new(START);
        assert_eq!(asks(&mut fetch, START), None, "not before the node may be used");
        fetch.set_usable(true);
        assert_eq!(asks(&mut fetch, START), FETCH, "the first is wanted at once");
        assert!(!brings(&mut fetch, TIP, START));
        fetch
    }

    #[test]
    fn long_polls_fill_the_time_unless_zmq_works() {
        let mut fetch = usable();
        assert_eq!(asks(&mut fetch, START), LONGPOLL);
        assert!(!brings(&mut fetch, TIP, START + HOUR));
        fetch.set_longpoll_useful(false);
        assert_eq!(asks(&mut fetch, START + HOUR), None, "then only the interval counts");
        assert_eq!(asks(&mut fetch, START + HOUR * 2), FETCH);
    }

    #[test]
    fn a_node_that_answers_long_polls_at_once_is_not_asked_by_them() {
        let mut fetch = usable();
        assert_eq!(asks(&mut fetch, START), LONGPOLL);
        assert!(!brings(&mut fetch, TIP, START));
        assert_eq!(asks(&mut fetch, START), None);
    }

    #[test]
    fn a_long_poll_that_brings_the_wanted_tip_is_not_followed_by_another_request() {
        let mut fetch = usable();
        assert_eq!(asks(&mut fetch, START), LONGPOLL);
        fetch.want_tip(OTHER, START);
        assert!(!brings(&mut fetch, OTHER, START));
        assert_eq!(asks(&mut fetch, START), LONGPOLL);
    }

    #[test]
    fn a_tip_that_a_template_was_first_to_know_is_not_fetched_again() {
        let mut fetch = usable();
        fetch.want_tip(TIP, START);
        assert_eq!(asks(&mut fetch, START), LONGPOLL);
    }

    #[test]
    fn defect_10_a_tip_during_a_request_is_fetched_right_after_it() {
        let mut fetch = usable();
        fetch.refresh();
        assert_eq!(asks(&mut fetch, START), FETCH);
        fetch.want_tip(OTHER, START);
        assert!(!brings(&mut fetch, TIP, START));
        assert_eq!(asks(&mut fetch, START), FETCH);
        assert!(brings(&mut fetch, TIP, START), "the node has not got there");
        assert_eq!(asks(&mut fetch, START), None);
        assert_eq!(asks(&mut fetch, START + PAUSE_MIN), FETCH, "soon again");
    }

    #[test]
    fn what_fails_is_asked_for_again_ever_more_slowly() {
        let mut fetch = usable();
        let mut now = START + HOUR;
        for pause_ms in [250, 500, 1000, 2000, 4000, 5000, 5000] {
            assert_eq!(asks(&mut fetch, now), FETCH);
            assert!(fetch.done(0, None, now).is_some());
            fetch.failed(now);
            assert!(
                matches!(fetch.next(0, 0, now), Next::Wait(Some(due)) if due == now + Duration::from_millis(pause_ms))
            );
            now = now + Duration::from_millis(pause_ms);
        }
    }

    #[test]
    fn a_request_that_died_with_its_node_is_left_behind() {
        let mut fetch = usable();
        assert_eq!(asks(&mut fetch, START), LONGPOLL);
        assert!(!fetch.is_stalled(Some(START), Duration::ZERO, START + HOUR));
        assert!(fetch.is_stalled(Some(START + Duration::from_secs(1)), Duration::MAX, START + HOUR));
        let later = START + HOUR;
        assert!(!fetch.is_stalled(None, Duration::ZERO, later), "a long poll may wait as long as the tip is the same");
        fetch.want_tip(OTHER, later);
        assert!(!fetch.is_stalled(None, Duration::from_secs(60), later));
        assert!(fetch.is_stalled(None, Duration::from_secs(60), later + Duration::from_secs(61)));
        let generation = fetch.supersede(later);
        assert_eq!(fetch.done(0, Some(TIP), later), None);
        assert!(matches!(fetch.next(0, 0, later), Next::End));
        assert!(matches!(fetch.next(0, generation, later), Next::Ask(0, Question::Template { longpoll_id: None })));
    }
}
