//! Events for browsers: a bounded ring that all listeners read from, each at its own place.
//!
//! Nothing is queued per listener. One that falls further behind than the ring reaches is ended; its browser comes back
//! with `Last-Event-ID` and is told to fetch anew. An event's id is the run of the pool and a rising number, so that an id of
//! an earlier run is not taken for one of this.

use crate::api::events::{event_json, reset_json};
use hyper::body::Bytes;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};
use warppool_components::event::PoolEvent;
use warppool_components::limits::EVENTS_KEPT_MAX;
use warppool_components::settings::Network;
use warppool_components::units::UnixTime;

/// Bytes of events that are handed to a connection at once.
const CHUNK_BYTES_MAX: usize = 32 * 1024;

/// Milliseconds that a browser waits before it comes back.
const RETRY_MS: u32 = 3000;

/// The last events, and the bell for those who wait for the next.
pub(crate) struct EventHub {
    run: String,
    ring: Mutex<Ring>,
    bell: watch::Sender<u64>,
}

struct Ring {
    events: VecDeque<Bytes>,
    /// Number of the first event in the ring; the first of all is 1.
    first: u64,
}

impl Ring {
    fn end(&self) -> u64 {
        self.first + self.events.len() as u64
    }
}

/// What a listener finds at its place.
enum Found {
    /// Text of one or more events, and the place behind them.
    Events(Bytes, u64),
    /// Nothing yet.
    Nothing,
    /// The place has left the ring.
    Lost,
}

impl EventHub {
    /// An empty ring. `run` tells this run of the pool from others.
    pub(crate) fn new(run: String) -> Self {
        let ring = Ring { events: VecDeque::with_capacity(EVENTS_KEPT_MAX), first: 1 };
        Self { run, ring: Mutex::new(ring), bell: watch::Sender::new(0) }
    }

    /// Adds an event; the oldest goes when the ring is full.
    pub(crate) fn push(&self, event: &PoolEvent, network: Network) {
        let end = {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            if ring.events.len() == EVENTS_KEPT_MAX {
                ring.events.pop_front();
                ring.first += 1;
            }
            let text = self.event_text(ring.end(), event.kind.label(), &event_json(event, network));
            ring.events.push_back(text);
            ring.end()
        };
        self.bell.send_replace(end);
    }

    /// A body for a new listener. `last_event_id` is where it left off, absent for a first visit.
    pub(crate) fn listen(
        self: &Arc<Self>,
        last_event_id: Option<&str>,
        permit: OwnedSemaphorePermit,
        heartbeat: Duration,
        now: UnixTime,
    ) -> EventBody {
        // The bell is taken before the place is read, so that nothing falls in between.
        let bell = self.bell.subscribe();
        let (next, end) = self.place(last_event_id);
        let mut opening = format!("retry: {RETRY_MS}\n");
        match next {
            Some(next) => opening.push_str(&format!("id: {}-{}\n\n", self.run, next - 1)),
            None => opening.push_str(&String::from_utf8_lossy(&self.event_text(end - 1, "reset", &reset_json(now)))),
        }
        let listener = Listener { hub: Arc::clone(self), next: next.unwrap_or(end), bell, heartbeat, _permit: permit };
        EventBody { opening: Some(Bytes::from(opening)), next: Some(Box::pin(listener.next())) }
    }

    /// Where to go on, `None` when that cannot be said, and the place behind the last event.
    fn place(&self, last_event_id: Option<&str>) -> (Option<u64>, u64) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let end = ring.end();
        let Some(id) = last_event_id else { return (Some(end), end) };
        let seen: Option<u64> =
            id.rsplit_once('-').filter(|(run, _)| *run == self.run).and_then(|(_, n)| n.parse().ok());
        (seen.and_then(|seen| seen.checked_add(1)).filter(|next| (ring.first..=end).contains(next)), end)
    }

    fn find(&self, place: u64) -> Found {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(skip) = place.checked_sub(ring.first) else { return Found::Lost };
        let mut bytes = Vec::new();
        let mut next = place;
        for event in ring.events.iter().skip(skip as usize) {
            bytes.extend_from_slice(event);
            next += 1;
            if bytes.len() >= CHUNK_BYTES_MAX {
                break;
            }
        }
        if bytes.is_empty() { Found::Nothing } else { Found::Events(bytes.into(), next) }
    }

    fn event_text(&self, number: u64, name: &str, json: &Bytes) -> Bytes {
        let mut text = format!("id: {}-{number}\nevent: {name}\ndata: ", self.run).into_bytes();
        text.extend_from_slice(json);
        text.extend_from_slice(b"\n\n");
        text.into()
    }
}

/// One browser.
struct Listener {
    hub: Arc<EventHub>,
    next: u64,
    bell: watch::Receiver<u64>,
    heartbeat: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    /// The next text to send, or a comment that keeps the connection alive; `None` when the listener was too slow.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        loop {
            match self.hub.find(self.next) {
                Found::Events(bytes, next) => {
                    self.next = next;
                    return Some((bytes, self));
                }
                Found::Lost => return None,
                Found::Nothing => {}
            }
            match tokio::time::timeout(self.heartbeat, self.bell.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => return Some((Bytes::from_static(b": still here\n\n"), self)),
            }
        }
    }
}

type NextEvent = Pin<Box<dyn Future<Output = Option<(Bytes, Listener)>> + Send>>;

/// The body of an answer that goes on for as long as the browser listens.
pub(crate) struct EventBody {
    opening: Option<Bytes>,
    next: Option<NextEvent>,
}

impl EventBody {
    /// The next text, `None` at the end.
    pub(crate) fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(opening) = self.opening.take() {
            return Poll::Ready(Some(opening));
        }
        let Some(next) = self.next.as_mut() else { return Poll::Ready(None) };
        next.as_mut().poll(context).map(|event| {
            let (bytes, listener) = event.map_or((None, None), |(bytes, listener)| (Some(bytes), Some(listener)));
            self.next = listener.map(|listener| -> NextEvent { Box::pin(listener.next()) });
            bytes
        })
    }
}
