//! The thread: one session after another, with whichever upstream is there.

use super::address::UpstreamAddress;
use super::channel::{self, Channel, Verdict};
use super::error::UpstreamError;
use super::link::{Link, PolledLink, unix_now};
use super::preferred::Watch;
use super::{Shared, UpstreamOptions};
use crossbeam::channel::Receiver;
use mio::{Events, Poll, Token};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use warppool_components::limits::{UPSTREAM_RETRY_SECONDS_MAX, UPSTREAM_SILENCE_SECONDS_MAX};
use warppool_components::node::{NodeEvent, NodeHealth, NodeState, NodeStatus};
use warppool_components::template::Template;
use warppool_components::upstream::{UpstreamShare, UpstreamSnapshot};

/// Token of the waker.
pub(super) const WAKER: Token = Token(0);
const SOCKET: Token = Token(1);

/// Longest time without a look at what is due.
const LOOK: Duration = Duration::from_secs(1);

/// A session that lasted so long was a good one: the next attempt begins with the first upstream, without a pause.
const GOOD_SESSION: Duration = Duration::from_secs(10);

/// How often one upstream may send us elsewhere before it is an attempt that failed.
const REDIRECTS_MAX: u32 = 3;

/// Between two lines of the log about the upstream's verdicts.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Between two looks at the hash rate that the upstream was told.
const RATE_INTERVAL: Duration = Duration::from_secs(60);

/// Takes what the engine is to know; must not block.
type Sink = Box<dyn Fn(NodeEvent) + Send>;

/// Carries work down and shares up.
pub(super) struct Carrier {
    options: UpstreamOptions,
    shared: Arc<Shared>,
    shares: Receiver<UpstreamShare>,
    poll: Poll,
    events: Events,
    sink: Sink,
    sessions: u32,
    /// Place of the upstream in the list that is served or tried.
    place: usize,
    /// Looks for the first upstream while another one is served.
    watch: Option<Watch>,
    status: NodeStatus,
    reported: UpstreamSnapshot,
    report_at: Instant,
    tell_rate_at: Instant,
}

impl Carrier {
    pub(super) fn new(
        options: UpstreamOptions,
        shared: Arc<Shared>,
        shares: Receiver<UpstreamShare>,
        poll: Poll,
        sink: Sink,
    ) -> Self {
        Self {
            options,
            shared,
            shares,
            poll,
            events: Events::with_capacity(8),
            sink,
            sessions: 0,
            place: 0,
            watch: None,
            status: NodeStatus::default(),
            reported: UpstreamSnapshot::default(),
            report_at: Instant::now() + REPORT_INTERVAL,
            tell_rate_at: Instant::now() + RATE_INTERVAL,
        }
    }

    /// Until it is told to stop.
    pub(super) fn run(mut self) {
        let mut failures = 0;
        let upstreams = self.options.upstreams.clone();
        while !self.is_stopping() && !upstreams.is_empty() {
            let (address, sessions) = (&upstreams[self.place], self.sessions);
            let begun_at = Instant::now();
            let Err(error) = self.follow(address) else { return };
            self.watch = None;
            tracing::warn!("the upstream {address}: {error}");
            self.lose(address, &error);
            let was_good = self.sessions > sessions && begun_at.elapsed() >= GOOD_SESSION;
            if was_good || matches!(error, UpstreamError::Returning) {
                (self.place, failures) = (0, 0);
                continue;
            }
            self.place = (self.place + 1) % upstreams.len();
            failures += 1;
            if self.place == 0 {
                self.pause(after_round(failures / upstreams.len() as u32));
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }

    /// Sessions with one upstream, which may ask to connect anew at another port; without an error only when everything stops.
    fn follow(&mut self, address: &UpstreamAddress) -> Result<(), UpstreamError> {
        let mut at = address.clone();
        for _ in 0..REDIRECTS_MAX {
            match self.serve(&at) {
                Err(error @ UpstreamError::Redirect { port, wait }) => {
                    tracing::info!("the upstream {at}: {error}");
                    self.lose(&at, &error);
                    at.endpoint.port = port;
                    self.pause(wait);
                }
                other => return other,
            }
        }
        self.serve(&at)
    }

    /// One session, from the connection to its end.
    fn serve(&mut self, address: &UpstreamAddress) -> Result<(), UpstreamError> {
        let session = self.sessions + 1;
        let mut link = Link::connect(address, &self.options.trusted)?;
        let mut channel = channel::open(&mut link, address, &self.options, session)?;
        let mut link = link.polled(self.poll.registry(), SOCKET)?;
        self.sessions = session;
        tracing::info!("work comes from the upstream {address}, for the user \"{}\"", self.options.user);
        if let Some(target) = channel.target() {
            (self.sink)(NodeEvent::UpstreamTarget(target));
        }
        self.shared.count(|figures| {
            figures.name = address.to_string();
            figures.sessions += 1;
        });
        self.watch_for_first();
        let outcome = self.exchange(address, &mut link, &mut *channel);
        self.shared.count(|figures| figures.unanswered += channel.pending().count());
        outcome
    }

    /// While another one is served.
    fn watch_for_first(&mut self) {
        if self.place == 0 || self.options.return_after.is_zero() || self.watch.is_some() {
            return;
        }
        match Watch::start(self.options.clone()) {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => tracing::warn!("nobody looks whether the first upstream is back: {error}"),
        }
    }

    fn exchange(
        &mut self,
        address: &UpstreamAddress,
        link: &mut PolledLink,
        channel: &mut dyn Channel,
    ) -> Result<(), UpstreamError> {
        let mut heard_at = Instant::now();
        loop {
            while let Some(message) = link.next_message() {
                heard_at = Instant::now();
                if let Some(answer) = self.hear(address, channel, &message)? {
                    link.push(&answer)?;
                }
            }
            self.submit(link, channel)?;
            link.flush()?;
            let now = Instant::now();
            let expired = channel.pending().expire(now);
            if expired > 0 {
                self.shared.count(|figures| figures.unanswered += expired);
            }
            self.report(now);
            self.tell_rate(link, channel, now)?;
            if self.is_stopping() {
                return Ok(());
            }
            if self.watch.as_ref().is_some_and(Watch::is_back) {
                return Err(UpstreamError::Returning);
            }
            if now.duration_since(heard_at) >= Duration::from_secs(UPSTREAM_SILENCE_SECONDS_MAX) {
                return Err(UpstreamError::Silent);
            }
            // What is left in the socket after one read is not announced again.
            if !link.read()? {
                self.wait(LOOK)?;
            }
        }
    }

    /// Takes a message in; gives what is to be answered.
    fn hear(
        &mut self,
        address: &UpstreamAddress,
        channel: &mut dyn Channel,
        message: &[u8],
    ) -> Result<Option<Vec<u8>>, UpstreamError> {
        let heard = channel.hear(message, unix_now())?;
        match heard.verdict {
            Some(Verdict::Accepted(count)) => self.shared.count(|figures| figures.accepted += u64::from(count)),
            Some(Verdict::Rejected { code, reason }) => {
                tracing::debug!("the upstream {address} refused a share: {reason}");
                self.shared.count(|figures| count_rejected(figures, code));
            }
            None => {}
        }
        for event in heard.events {
            if let NodeEvent::Given(work) = &event {
                self.tell_ready(address, &work.template);
            }
            (self.sink)(event);
        }
        Ok(heard.answer)
    }

    fn submit(&self, link: &mut PolledLink, channel: &mut dyn Channel) -> Result<(), UpstreamError> {
        let (mut sent, mut dropped) = (0, 0);
        for share in self.shares.try_iter() {
            match channel.submit(&share, Instant::now()) {
                Ok(message) => {
                    link.push(&message)?;
                    sent += 1;
                }
                Err(_) => dropped += 1,
            }
        }
        if sent + dropped > 0 {
            self.shared.count(|figures| {
                figures.sent += sent;
                figures.dropped += dropped;
            });
        }
        Ok(())
    }

    /// Tells the upstream what to expect, once a minute at most.
    fn tell_rate(
        &mut self,
        link: &mut PolledLink,
        channel: &mut dyn Channel,
        now: Instant,
    ) -> Result<(), UpstreamError> {
        if now < self.tell_rate_at {
            return Ok(());
        }
        self.tell_rate_at = now + RATE_INTERVAL;
        let rate = f64::from_bits(self.shared.hashes_per_second.load(Ordering::Relaxed));
        if let Some(message) = channel.tell_rate(rate) {
            link.push(&message)?;
            link.flush()?;
        }
        Ok(())
    }

    /// Waits for socket or waker.
    fn wait(&mut self, longest: Duration) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(longest)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits. Shares that come meanwhile have nowhere to go.
    fn pause(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while !self.is_stopping() {
            let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { return };
            if self.wait(left.min(LOOK)).is_err() {
                return;
            }
            let dropped = self.shares.try_iter().count() as u64;
            self.shared.count(|figures| figures.dropped += dropped);
        }
    }

    /// There is work: the engine may hand it out. Told when anything people see of it changes.
    fn tell_ready(&mut self, address: &UpstreamAddress, template: &Template) {
        // The tip is the parent of the block that is worked on.
        let height = template.height.saturating_sub(1);
        if self.status.health == NodeHealth::Ready && self.status.height == height {
            return;
        }
        let state = NodeState { name: address.to_string(), up: true, height, ..NodeState::default() };
        self.tell(NodeStatus {
            health: NodeHealth::Ready,
            difficulty: template.network_target.to_difficulty().value(),
            height,
            nodes: vec![state],
            ..NodeStatus::default()
        });
    }

    fn lose(&mut self, address: &UpstreamAddress, error: &UpstreamError) {
        let state = NodeState { name: address.to_string(), error: error.to_string(), ..NodeState::default() };
        self.tell(NodeStatus {
            health: NodeHealth::Lost,
            message: format!("no work: the upstream {address}: {error}; the next attempt follows by itself"),
            nodes: vec![state],
            ..self.status.clone()
        });
        self.shared.count(|figures| figures.name.clear());
    }

    fn tell(&mut self, status: NodeStatus) {
        let since = if status.health == self.status.health { self.status.since } else { unix_now() };
        self.status = NodeStatus { since, ..status };
        (self.sink)(NodeEvent::Status(self.status.clone()));
    }

    fn report(&mut self, now: Instant) {
        if now < self.report_at {
            return;
        }
        self.report_at = now + REPORT_INTERVAL;
        let figures = self.shared.figures();
        if figures != self.reported {
            let rejected: u64 = figures.rejected.iter().map(|(_, count)| count).sum();
            tracing::info!(
                "shares at the upstream since the start: {} sent, {} accepted, {rejected} refused, {} without an answer, {} not sent",
                figures.sent,
                figures.accepted,
                figures.unanswered,
                figures.dropped
            );
            self.reported = figures;
        }
    }
}

/// How long to wait after so many rounds without a good session.
fn after_round(round: u32) -> Duration {
    let seconds = 1u64.checked_shl(round.saturating_sub(1)).unwrap_or(u64::MAX);
    Duration::from_secs(seconds.min(UPSTREAM_RETRY_SECONDS_MAX))
}

fn count_rejected(figures: &mut UpstreamSnapshot, code: u32) {
    match figures.rejected.iter_mut().find(|(known, _)| *known == code) {
        Some((_, count)) => *count += 1,
        None => figures.rejected.push((code, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_their_codes() {
        let mut figures = UpstreamSnapshot::default();
        [21, 23, 21].into_iter().for_each(|code| count_rejected(&mut figures, code));
        assert_eq!(figures.rejected, [(21, 2), (23, 1)]);
    }

    #[test]
    fn pauses_grow_up_to_half_a_minute() {
        let seconds = [1, 2, 3, 5, 6, 7, 90].map(|round| after_round(round).as_secs());
        assert_eq!(seconds, [1, 2, 4, 16, 30, 30, 30]);
    }
}
