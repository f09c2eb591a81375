//! Whether the first upstream of the list is there again while another one works.
//!
//! A thread of its own asks, because reaching somebody who is not there takes seconds, and miners are served meanwhile. What it
//! finds is a flag; going back is the carrier's.

use super::UpstreamOptions;
use super::address::UpstreamAddress;
use super::channel;
use super::error::UpstreamError;
use super::link::Link;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Attempts within the time that the first upstream must have been there.
const ATTEMPTS: u32 = 10;

/// Between two attempts, at least and at most.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The running watch; it ends when dropped, at the latest after the attempt that is being made.
#[derive(Debug)]
pub(super) struct Watch {
    is_back: Arc<AtomicBool>,
    _alive: Sender<Infallible>,
}

impl Watch {
    /// Watches for the first upstream.
    pub(super) fn start(options: UpstreamOptions) -> io::Result<Self> {
        let is_back = Arc::new(AtomicBool::new(false));
        let (alive, ended) = bounded(0);
        let found = Arc::clone(&is_back);
        let watch = move || found.store(is_seen_long_enough(&options, &ended), Ordering::Release);
        std::thread::Builder::new().name("upstream watch".into()).spawn(watch)?;
        Ok(Self { is_back, _alive: alive })
    }

    /// Whether it has been there long enough, and has opened a session.
    pub(super) fn is_back(&self) -> bool {
        self.is_back.load(Ordering::Acquire)
    }
}

/// Waits until it is so; false when nobody waits for it any more.
fn is_seen_long_enough(options: &UpstreamOptions, ended: &Receiver<Infallible>) -> bool {
    let Some(first) = options.upstreams.first() else { return false };
    let interval = (options.return_after / ATTEMPTS).clamp(INTERVAL.0, INTERVAL.1);
    let mut seen_since: Option<Instant> = None;
    while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        let Ok(link) = Link::connect(first, &options.trusted) else {
            seen_since = None;
            continue;
        };
        if seen_since.get_or_insert_with(Instant::now).elapsed() < options.return_after {
            continue;
        }
        match opens(link, first, options) {
            Ok(()) => return true,
            Err(error) => {
                tracing::debug!("the upstream {first} can be reached again, but is of no use yet: {error}");
                seen_since = None;
            }
        }
    }
    false
}

/// Opens a session and leaves it at once: who listens but gives no work is not worth going back to.
fn opens(mut link: Link, address: &UpstreamAddress, options: &UpstreamOptions) -> Result<(), UpstreamError> {
    channel::open(&mut link, address, options, 0).map(drop)
}
