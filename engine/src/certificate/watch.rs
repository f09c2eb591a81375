//! The thread that follows a certificate's files.
//!
//! It looks at their times and sizes every other second, through links, since that is how most tools put a new certificate
//! in its place. A change is taken up when it has lasted for one more look, so that a certificate whose key is still being
//! written is not read. New files that cannot be served change nothing; the log says why.

use super::{Certificate, Files, load};
use crossbeam::channel::{self, RecvTimeoutError, Sender};
use std::fs;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use warppool_components::limits::CERTIFICATE_ORDERS_QUEUED_MAX;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(2);

/// Time between two reminders of a certificate that ends soon.
const REMINDER_INTERVAL: Duration = Duration::from_secs(86_400);

/// A certificate that was read and where it came from.
type Served = Option<(Files, Certificate)>;

/// The running thread. It ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    orders: Option<Sender<Served>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Follows `served`, if there is something to follow, and gives each new certificate to `deliver`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(served: Served, deliver: impl Fn(Certificate) + Send + 'static) -> std::io::Result<Self> {
        let (orders, receiver) = channel::bounded(CERTIFICATE_ORDERS_QUEUED_MAX);
        let mut follower = Follower::new(served);
        let thread = std::thread::Builder::new().name("certificate".into()).spawn(move || {
            loop {
                match receiver.recv_timeout(INTERVAL) {
                    Ok(served) => follower = Follower::new(served),
                    Err(RecvTimeoutError::Timeout) => follower.look().into_iter().for_each(&deliver),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Follows something else from now on.
    pub fn follow(&self, served: Served) {
        // A full queue means that the thread has not turned since some reloads; it will see the files change.
        let _ = self.orders.as_ref().map(|orders| orders.try_send(served));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been reported by itself.
            let _ = thread.join();
        }
    }
}

/// What tells one state of a file from another; `None` when it is not there.
type Stamp = Option<(SystemTime, u64, u64)>;

/// What is followed.
#[derive(Debug)]
struct Follower {
    served: Served,
    /// The state of the files that was read last, whatever came of it.
    read: [Stamp; 2],
    /// Their state at the last look.
    last: [Stamp; 2],
    reminded_at: Option<Instant>,
}

impl Follower {
    fn new(served: Served) -> Self {
        let stamps = served.as_ref().map_or([None; 2], |(files, _)| stamps(files));
        Self { served, read: stamps, last: stamps, reminded_at: None }
    }

    /// A new certificate, when there is one.
    fn look(&mut self) -> Option<Certificate> {
        self.remind();
        let (files, _) = self.served.as_ref()?;
        let files = files.clone();
        if !self.has_changed(stamps(&files)) {
            return None;
        }
        match load(&files) {
            Ok(certificate) => {
                tracing::info!(
                    "the TLS certificate was replaced; the new one is valid until {}",
                    certificate.last_day()
                );
                self.served = Some((files, certificate.clone()));
                self.reminded_at = None;
                Some(certificate)
            }
            Err(faults) => {
                for fault in faults {
                    let path = files.of(fault.culprit).display();
                    tracing::error!(
                        "the TLS certificate was not replaced, the old one is served: {path} {}",
                        fault.message
                    );
                }
                None
            }
        }
    }

    /// Whether there is a change that has lasted from one look to the next and was not read yet.
    fn has_changed(&mut self, now: [Stamp; 2]) -> bool {
        let is_settled = self.last == now;
        self.last = now;
        if !is_settled || self.read == now {
            return false;
        }
        self.read = now;
        true
    }

    fn remind(&mut self) {
        let Some((_, certificate)) = &self.served else { return };
        if self.reminded_at.is_some_and(|at| at.elapsed() < REMINDER_INTERVAL) {
            return;
        }
        self.reminded_at = Some(Instant::now());
        certificate.reminder(SystemTime::now().into()).iter().for_each(|sentence| tracing::warn!("{sentence}"));
    }
}

fn stamps(files: &Files) -> [Stamp; 2] {
    [stamp(&files.certificate), stamp(&files.key)]
}

#[cfg(unix)]
fn stamp(path: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

#[cfg(not(unix))]
fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_once_and_only_when_it_has_lasted() {
        let state = |seconds: u64| [Some((SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), 1, 1)), None];
        let mut follower = Follower { served: None, read: state(1), last: state(1), reminded_at: None };
        for (seconds, expected) in [
            (1, false),
            (2, false),
            (3, false),
            (3, true),
            (3, false),
            (4, false),
            (3, false),
            (3, false),
            (5, false),
            (5, true),
        ] {
            assert_eq!(follower.has_changed(state(seconds)), expected, "{seconds}");
        }
    }
}
