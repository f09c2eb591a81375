//! How the pool is told to stop or to read its configuration again.

use mio::Waker;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals as SignalIterator};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use warppool_components::settings::Settings;

/// New settings for a running pool.
#[derive(Clone, Debug)]
pub struct Reload {
    /// Those that can change live do.
    pub settings: Settings,
}

/// Ends or reloads a running pool from another thread.
#[derive(Clone, Debug)]
pub struct Stop {
    shared: Arc<Shared>,
    waker: Arc<Waker>,
}

#[derive(Debug, Default)]
struct Shared {
    asked: AtomicBool,
    reload: Mutex<Option<Reload>>,
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

    pub(super) fn is_asked(&self) -> bool {
        self.shared.asked.load(Ordering::Acquire)
    }

    pub(super) fn take_reload(&self) -> Option<Reload> {
        self.shared.reload.lock().unwrap_or_else(PoisonError::into_inner).take()
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
