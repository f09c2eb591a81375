//! How the pool is told to stop, to read its configuration again, or to show miners a message.

use crate::certificate::Certificate;
use crossbeam::channel::{self, Receiver, Sender};
use mio::Waker;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals as SignalIterator};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use warppool_components::inbox::MinerMessage;
use warppool_components::limits::CONTROL_REQUESTS_QUEUED_MAX;
use warppool_components::settings::Settings;
use warppool_net::transport::noise::AuthorityKey;

/// New settings for a running pool.
#[derive(Clone, Debug)]
pub struct Reload {
    /// Those that can change live do.
    pub settings: Settings,
    /// What TLS connections from now on are served by, if anything.
    pub certificate: Option<Certificate>,
    /// In whose name handshakes of Stratum V2 are answered from now on; `None` changes nothing.
    pub authority: Option<AuthorityKey>,
    /// Most connections of Stratum V2.
    pub noise_connections_max: usize,
}

/// A message for miners, and who wants to know how many were sent it.
pub(super) type MinerOrder = (MinerMessage, Sender<u32>);

/// Ends or reloads a running pool, or speaks to its miners, from another thread.
#[derive(Clone, Debug)]
pub struct Stop {
    shared: Arc<Shared>,
    waker: Arc<Waker>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: AtomicBool,
    reload: Mutex<Option<Reload>>,
    for_miners: Mutex<Vec<MinerOrder>>,
    certificate: Mutex<Option<Certificate>>,
}

impl Stop {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self { shared: Arc::default(), waker }
    }

    /// The pool writes everything down and ends.
    pub fn ask(&self) {
        self.shared.asked.store(true, Ordering::Release);
        self.wake();
    }

    /// The pool goes on with other settings.
    pub fn reload(&self, reload: Reload) {
        *self.shared.reload.lock().unwrap_or_else(PoisonError::into_inner) = Some(reload);
        self.wake();
    }

    /// Tells miners something; the answer says how many connections were told. `None` when very many messages wait.
    pub fn tell_miners(&self, message: MinerMessage) -> Option<Receiver<u32>> {
        let (sender, receiver) = channel::bounded(1);
        let mut waiting = self.shared.for_miners.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == CONTROL_REQUESTS_QUEUED_MAX {
            return None;
        }
        waiting.push((message, sender));
        drop(waiting);
        self.wake();
        Some(receiver)
    }

    /// The pool goes on with another certificate.
    pub fn replace_certificate(&self, certificate: Certificate) {
        *self.shared.certificate.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate);
        self.wake();
    }

    pub(super) fn take_certificate(&self) -> Option<Certificate> {
        self.shared.certificate.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn is_asked(&self) -> bool {
        self.shared.asked.load(Ordering::Acquire)
    }

    pub(super) fn take_reload(&self) -> Option<Reload> {
        self.shared.reload.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn take_for_miners(&self) -> Vec<MinerOrder> {
        std::mem::take(&mut *self.shared.for_miners.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            // The loop looks by itself once a second.
            tracing::warn!("cannot wake the engine: {error}");
        }
    }
}

/// The thread that listens to SIGINT, SIGTERM and SIGHUP. It ends when this is dropped.
#[derive(Debug)]
pub struct Signals {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Signals {
    /// SIGINT and SIGTERM call `stop`, SIGHUP calls `reload`.
    ///
    /// # Errors
    /// When the system gives no thread or refuses a handler.
    pub fn listen(stop: impl Fn() + Send + 'static, reload: impl FnMut() + Send + 'static) -> std::io::Result<Self> {
        let mut signals = SignalIterator::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let mut reload = reload;
        let thread = std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                if signal == SIGHUP { reload() } else { stop() }
            }
        })?;
        Ok(Self { handle, thread: Some(thread) })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // It does nothing but wait for signals; a panic in it has been reported by itself.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token};
    use warppool_components::inbox::MinerMessageContent;

    #[test]
    fn messages_that_the_engine_does_not_take_are_bounded() {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
        let stop = Stop::new(Arc::new(waker));
        let message = MinerMessage { worker: None, content: MinerMessageContent::Reconnect(None) };
        let show = || stop.tell_miners(message.clone());
        let waiting: Vec<_> = (0..CONTROL_REQUESTS_QUEUED_MAX).map(|_| show().expect("room")).collect();
        assert!(show().is_none());
        for (number, (_, sender)) in stop.take_for_miners().into_iter().enumerate() {
            sender.try_send(number as u32).expect("somebody waits");
        }
        let answers: Vec<u32> = waiting.iter().map(|answer| answer.try_recv().expect("answered")).collect();
        assert!(answers.is_sorted() && answers.len() == CONTROL_REQUESTS_QUEUED_MAX);
        assert!(show().is_some(), "there is room again");
    }
}
