//! The template fetcher of one node: at most one `getblocktemplate` in flight, whatever happens.
//!
//! A template is fetched at once when the tip changes or a refresh is ordered, and every `template_refresh`. Where
//! ZMQ works that is all. Where it does not, a long poll fills the time in between, so that the node itself says
//! when there is something newer; a waiting long poll is not given up for a refresh, because the node would go on
//! waiting with it, one of its few RPC threads each time. (It answers by itself when the tip changes, or after a
//! minute when its mempool did.) Only a request that cannot be answered any more is left behind: see
//! [`Orders::is_stalled`].
//!
//! On failure the last valid work stays with the miners and is asked for again, at most every
//! [`PAUSE_MAX`].

use super::rpc::RpcError;
use super::template::{CheckedTemplate, TemplateError};
use super::{Shared, now};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use warppool_components::units::Hash256;

/// Between two failures.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A long poll that is answered sooner with the same tip means that the node does not know long polling.
const LONGPOLL_SHORTEST: Duration = Duration::from_secs(1);

/// Why there is no template.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// What the fetcher is to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Errand {
    Fetch,
    Longpoll,
}

/// How a request ended for the orders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Done {
    /// Another fetcher has taken over.
    Superseded,
    /// All as ordered.
    Satisfied,
    /// The template is not on the tip for which it was fetched: ask again soon.
    OtherTip,
}

#[derive(Debug)]
struct InFlight {
    started: Instant,
    longpoll: bool,
    /// The tip for which it was sent.
    wanted: Option<Hash256>,
    /// Since when the node should have answered a long poll.
    overdue_since: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    /// Number of the fetcher that these orders are for.
    generation: u64,
    usable: bool,
    longpoll_useful: bool,
    refresh: bool,
    wanted: Option<Hash256>,
    /// The tip of the latest template.
    fetched: Option<Hash256>,
    in_flight: Option<InFlight>,
}

/// Orders to the fetcher of one node.
#[derive(Debug)]
pub(super) struct Orders {
    state: Mutex<State>,
    changed: Condvar,
}

impl Orders {
    pub(super) fn new() -> Self {
        let state = State { longpoll_useful: true, ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The tip is another one: a template on it is wanted now, unless that was what brought the news.
    pub(super) fn want_tip(&self, tip: Hash256) {
        self.order(|state| {
            if state.fetched == Some(tip) {
                return;
            }
            state.wanted = Some(tip);
            if let Some(in_flight) = &mut state.in_flight {
                in_flight.overdue_since.get_or_insert_with(Instant::now);
            }
        });
    }

    /// The latest template came too late to be of use: what it was on may be wanted again.
    pub(super) fn forget_latest(&self) {
        self.order(|state| state.fetched = None);
    }

    /// A newer template is wanted now.
    pub(super) fn refresh(&self) {
        self.order(|state| state.refresh = true);
    }

    /// Whether the node's templates may be used at all. When that begins, one is wanted now.
    pub(super) fn set_usable(&self, usable: bool) {
        self.order(|state| {
            state.refresh |= usable && !state.usable;
            state.usable = usable;
        });
    }

    /// Whether long polls have a use: not where ZMQ works.
    pub(super) fn set_longpoll_useful(&self, useful: bool) {
        self.order(|state| state.longpoll_useful = useful);
    }

    /// Ends the fetcher as soon as it has no request in flight.
    pub(super) fn stop(&self) {
        self.order(|state| state.stopped = true);
    }

    /// Whether the request in flight cannot be answered any more: the node was gone since it was sent, or it is a
    /// long poll and the node has not answered it although the tip changed `patience` ago.
    pub(super) fn is_stalled(&self, node_gone_at: Option<Instant>, patience: Duration) -> bool {
        self.lock().in_flight.as_ref().is_some_and(|request| {
            node_gone_at.is_some_and(|gone| gone > request.started)
                || request.longpoll && request.overdue_since.is_some_and(|since| since.elapsed() > patience)
        })
    }

    /// Leaves the present fetcher to its fate; gives the number of the next.
    pub(super) fn supersede(&self) -> u64 {
        let mut state = self.lock();
        state.generation += 1;
        state.in_flight = None;
        state.refresh = true;
        self.changed.notify_all();
        state.generation
    }

    fn order(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do; `None` ends the fetcher.
    fn next(&self, generation: u64, due: Instant, has_longpoll_id: bool) -> Option<Errand> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.generation != generation {
                return None;
            }
            let wait = due.saturating_duration_since(Instant::now());
            if state.usable {
                let fetch = state.refresh || state.wanted.is_some() || wait.is_zero();
                if fetch || state.longpoll_useful && has_longpoll_id {
                    let (started, longpoll) = (Instant::now(), !fetch);
                    let wanted = state.wanted.take();
                    state.refresh = false;
                    state.in_flight = Some(InFlight { started, longpoll, wanted, overdue_since: None });
                    return Some(if fetch { Errand::Fetch } else { Errand::Longpoll });
                }
            }
            let wait = if state.usable { wait } else { Duration::from_secs(3600) };
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The request has ended, with a template on this tip or without one.
    fn done(&self, generation: u64, tip: Option<Hash256>) -> Done {
        let mut state = self.lock();
        if state.stopped || state.generation != generation {
            return Done::Superseded;
        }
        let wanted = state.in_flight.take().and_then(|request| request.wanted);
        state.fetched = tip.or(state.fetched);
        if tip.is_some() && state.wanted == tip {
            // The tip changed while the request waited, and it brought the template for that.
            state.wanted = None;
        }
        if tip.is_some() && wanted.is_some() && wanted != tip && state.wanted.is_none() {
            return Done::OtherTip;
        }
        Done::Satisfied
    }
}

/// When to ask next, and how.
struct Plan {
    due: Instant,
    pause: Duration,
    longpoll_id: Option<String>,
    tip: Option<Hash256>,
}

impl Plan {
    fn after_failure(&mut self) {
        self.due = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.longpoll_id = None;
    }

    fn after_success(&mut self, template_refresh: Duration, longpoll_id: Option<String>, tip: Hash256) {
        self.due = Instant::now() + template_refresh;
        self.pause = PAUSE_MIN;
        self.longpoll_id = longpoll_id;
        self.tip = Some(tip);
    }
}

/// Fetches templates of `node` until it is stopped or superseded.
pub(super) fn run(shared: &Shared, node: usize, generation: u64) {
    let orders = &shared.nodes[node].orders;
    let mut plan = Plan { due: Instant::now(), pause: PAUSE_MIN, longpoll_id: None, tip: None };
    while let Some(errand) = orders.next(generation, plan.due, plan.longpoll_id.is_some()) {
        let longpoll_id = plan.longpoll_id.take().filter(|_| errand == Errand::Longpoll);
        let started = Instant::now();
        let outcome = fetch(shared, node, longpoll_id.as_deref());
        let tip = outcome.as_ref().ok().map(|checked| checked.template.previous_block);
        let done = orders.done(generation, tip);
        if done == Done::Superseded {
            return;
        }
        match outcome {
            Ok(CheckedTemplate { template, longpoll_id }) => {
                let tip = template.previous_block;
                let was_futile =
                    errand == Errand::Longpoll && plan.tip == Some(tip) && started.elapsed() < LONGPOLL_SHORTEST;
                shared.template(node, template);
                // Under the minimum-difficulty rule `bits` change with time alone, and no long poll tells of it.
                let is_useful = !was_futile && !shared.network.has_minimum_difficulty_rule();
                plan.after_success(shared.template_refresh, longpoll_id.filter(|_| is_useful), tip);
            }
            Err(error) => {
                tracing::debug!(node, %error, "no template");
                // A long poll may time out without anything being wrong.
                if errand == Errand::Fetch {
                    shared.source.no_template(node, error.to_string());
                }
                plan.after_failure();
            }
        }
        if done == Done::OtherTip {
            plan.due = Instant::now() + PAUSE_MIN;
            plan.longpoll_id = None;
        }
    }
}

fn fetch(shared: &Shared, node: usize, longpoll_id: Option<&str>) -> Result<CheckedTemplate, FetchError> {
    let answer = shared.nodes[node].rpc.block_template(shared.network, longpoll_id)?;
    Ok(answer.parse()?.check(shared.network, now(), &shared.level_hasher)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIP: Hash256 = Hash256::from_internal([1; 32]);
    const OTHER: Hash256 = Hash256::from_internal([2; 32]);

    fn usable() -> (Orders, Instant) {
        let orders = Orders::new();
        orders.set_usable(true);
        let later = Instant::now() + Duration::from_secs(3600);
        assert_eq!(orders.next(0, later, true), Some(Errand::Fetch), "the first is wanted at once");
        assert_eq!(orders.done(0, Some(TIP)), Done::Satisfied);
        (orders, later)
    }

    #[test]
    fn long_polls_fill_the_time_unless_zmq_works() {
        let (orders, later) = usable();
        assert_eq!(orders.next(0, later, true), Some(Errand::Longpoll));
        assert_eq!(orders.done(0, Some(TIP)), Done::Satisfied);
        orders.set_longpoll_useful(false);
        assert_eq!(orders.next(0, Instant::now(), true), Some(Errand::Fetch), "then only the interval counts");
    }

    #[test]
    fn a_long_poll_that_brings_the_wanted_tip_is_not_followed_by_another_request() {
        let (orders, later) = usable();
        assert_eq!(orders.next(0, later, true), Some(Errand::Longpoll));
        orders.want_tip(OTHER);
        assert_eq!(orders.done(0, Some(OTHER)), Done::Satisfied);
        assert_eq!(orders.next(0, later, true), Some(Errand::Longpoll));
    }

    #[test]
    fn a_tip_that_a_template_was_first_to_know_is_not_fetched_again() {
        let (orders, later) = usable();
        orders.want_tip(TIP);
        assert_eq!(orders.next(0, later, true), Some(Errand::Longpoll));
    }

    #[test]
    fn defect_10_a_tip_during_a_request_is_fetched_right_after_it() {
        let (orders, later) = usable();
        orders.refresh();
        assert_eq!(orders.next(0, later, false), Some(Errand::Fetch));
        orders.want_tip(OTHER);
        assert_eq!(orders.done(0, Some(TIP)), Done::Satisfied);
        assert_eq!(orders.next(0, later, false), Some(Errand::Fetch));
        assert_eq!(orders.done(0, Some(TIP)), Done::OtherTip, "the node has not got there: soon again");
    }

    #[test]
    fn a_request_that_died_with_its_node_is_left_behind() {
        let (orders, later) = usable();
        let before = Instant::now();
        assert_eq!(orders.next(0, later, true), Some(Errand::Longpoll));
        assert!(!orders.is_stalled(Some(before), Duration::ZERO));
        assert!(orders.is_stalled(Some(Instant::now() + Duration::from_secs(1)), Duration::MAX));
        assert!(!orders.is_stalled(None, Duration::ZERO), "a long poll may wait as long as the tip is the same");
        orders.want_tip(OTHER);
        assert!(!orders.is_stalled(None, Duration::from_secs(60)));
        let generation = orders.supersede();
        assert_eq!(orders.done(0, Some(TIP)), Done::Superseded);
        assert_eq!(orders.next(0, later, true), None);
        assert_eq!(orders.next(generation, later, true), Some(Errand::Fetch));
    }
}
