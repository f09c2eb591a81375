//! Work from another pool, for the translator.
//!
//! A thread of its own keeps one connection to one of the upstreams, by Stratum `v2` with one extended channel for all miners
//! below, or by Stratum `v1` as one worker. What it hears becomes [`NodeEvent`]s, as a node's news does; shares come to it by
//! a bounded queue. When the connection ends the next upstream of the list is tried, and again from the first after a pause that
//! grows. Miners are not concerned: they keep their connections, and the first job of the next session is a clean one.
//!
//! What does not happen here: no share is judged, no miner is answered.

mod address;
mod channel;
mod coding;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod link;
mod pending;
mod preferred;
mod session;
mod tls;
mod v1;
mod v2;
mod work;

pub use address::{InvalidUpstream, UpstreamAddress, UpstreamProtocol};
pub use tls::{TrustError, trust};

use crate::config::Secret;
use crossbeam::channel::{Receiver, Sender, bounded};
use mio::{Poll, Waker};
use rustls::ClientConfig;
use session::Carrier;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use warppool_components::limits::UPSTREAM_SHARES_QUEUED_MAX;
use warppool_components::node::NodeEvent;
use warppool_components::upstream::{UpstreamShare, UpstreamSnapshot};

/// How long [`UpstreamHandle::stop`] waits for the thread, which may be waiting for somebody else.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// Where work comes from and who is credited for it there.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// The pools, the preferred one first; at least one.
    pub upstreams: Vec<UpstreamAddress>,
    /// Who is credited at every one of them: the worker of Stratum V1, the user identity of Stratum V2.
    pub user: String,
    /// The worker's password, where a pool of Stratum V1 asks for one.
    pub password: Secret,
    /// Whose certificates are believed, of pools that speak TLS; see [`trust`].
    pub trusted: Arc<ClientConfig>,
    /// Hashes a second that a pool of Stratum V2 is told to expect.
    pub nominal_hash_rate: f32,
    /// How long the first of `upstreams` must have been there again before a session with another one is left for it; zero is
    /// never.
    pub return_after: Duration,
}

/// What the thread and its handle share.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Shares that found the queue full.
    overflowed: AtomicU64,
    /// Hash rate of all miners below, as the bits of an `f64`.
    hashes_per_second: AtomicU64,
    figures: Mutex<UpstreamSnapshot>,
}

impl Shared {
    fn count(&self, change: impl FnOnce(&mut UpstreamSnapshot)) {
        change(&mut self.figures.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn figures(&self) -> UpstreamSnapshot {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        figures.dropped += self.overflowed.load(Ordering::Relaxed);
        figures
    }
}

/// The running thread.
#[derive(Debug)]
pub struct UpstreamHandle {
    shared: Arc<Shared>,
    shares: Sender<UpstreamShare>,
    waker: Arc<Waker>,
    ended: Receiver<Infallible>,
}

/// Starts it. Events go to `sink`, which must not block.
///
/// # Errors
/// When the system gives no thread or no means to wait for sockets. An upstream that is not there is no error.
pub fn start(options: UpstreamOptions, sink: impl Fn(NodeEvent) + Send + 'static) -> io::Result<UpstreamHandle> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), session::WAKER)?);
    let shared = Arc::new(Shared::default());
    let (shares, queue) = bounded(UPSTREAM_SHARES_QUEUED_MAX);
    let (alive, ended) = bounded(0);
    let carrier = Carrier::new(options, Arc::clone(&shared), queue, poll, Box::new(sink));
    std::thread::Builder::new().name("upstream".into()).spawn(move || {
        carrier.run();
        drop(alive);
    })?;
    Ok(UpstreamHandle { shared, shares, waker, ended })
}

impl UpstreamHandle {
    /// Hands shares over; those that find no room are counted as dropped.
    pub fn forward(&self, shares: impl Iterator<Item = UpstreamShare>) {
        let mut is_any = false;
        for share in shares {
            is_any = true;
            if self.shares.try_send(share).is_err() {
                self.shared.overflowed.fetch_add(1, Ordering::Relaxed);
            }
        }
        if is_any {
            self.wake();
        }
    }

    /// What the miners below make together, for the pool above.
    pub fn set_hash_rate(&self, hashes_per_second: f64) {
        self.shared.hashes_per_second.store(hashes_per_second.to_bits(), Ordering::Relaxed);
    }

    /// What became of shares so far.
    pub fn figures(&self) -> UpstreamSnapshot {
        self.shared.figures()
    }

    /// Ends the connection. A thread that waits for an answer of somebody else is left behind.
    pub fn stop(self) {
        self.shared.stop.store(true, Ordering::Release);
        self.wake();
        let _ = self.ended.recv_timeout(STOP_PATIENCE);
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            // The thread looks by itself once a second.
            tracing::warn!("cannot wake the thread of the upstream: {error}");
        }
    }
}
