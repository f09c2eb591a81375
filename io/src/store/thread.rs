//! The writer's thread: when to commit, when to prune, and when to try again.

use super::committer::Committer;
use super::error::StoreError;
use super::pending::Queued;
use crossbeam::channel::{self, Receiver};
use std::time::{Duration, Instant};
use warppool_components::limits::STORE_ROWS_PER_COMMIT;

/// Pauses between attempts after a failure: doubled each time, from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(10);

/// Attempts to save the last rows when the store is closed.
const CLOSING_ATTEMPTS: u32 = 3;

/// Sums that wait are written when nothing else came for so long.
const SUMS_AFTER_QUIET: Duration = Duration::from_secs(1);

/// Between two looks for what is too old, and between two steps of one look.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
const RETENTION_STEP_INTERVAL: Duration = Duration::from_millis(100);

/// All that the thread knows.
pub(super) struct WriterThread {
    flush_interval: Duration,
    committer: Committer,
    queue: Receiver<Queued>,
    stopped: Receiver<()>,
    /// Failures since the last success, and when to try again.
    failures: u32,
    retry_at: Option<Instant>,
    retention_due: Instant,
    last_commit_at: Instant,
    last_commit_took: Duration,
}

impl WriterThread {
    pub(super) fn new(
        flush_interval: Duration,
        committer: Committer,
        queue: Receiver<Queued>,
        stopped: Receiver<()>,
    ) -> Self {
        Self {
            flush_interval,
            committer,
            queue,
            stopped,
            failures: 0,
            retry_at: None,
            retention_due: Instant::now(),
            last_commit_at: Instant::now(),
            last_commit_took: Duration::ZERO,
        }
    }

    /// Works until the store is closed. Returns whether all was saved.
    pub(super) fn run(mut self) -> Result<(), StoreError> {
        give_way();
        while !self.wait() {
            self.take_queued();
            self.work();
        }
        let result = self.finish();
        self.committer.close();
        result
    }

    /// Waits for a change or for the next thing to do. Returns whether the store is being closed.
    fn wait(&mut self) -> bool {
        let nothing = channel::never();
        let queue = if self.committer.has_room() { &self.queue } else { &nothing };
        let timeout = self.next_due().saturating_duration_since(Instant::now());
        channel::select! {
            recv(self.stopped) -> _ => true,
            recv(queue) -> queued => match queued {
                Ok(queued) => {
                    self.committer.add(queued);
                    false
                }
                Err(_) => true,
            },
            default(timeout) => false,
        }
    }

    fn next_due(&self) -> Instant {
        let due = [self.flush_due(), self.sums_due()].into_iter().flatten().fold(self.retention_due, Instant::min);
        self.retry_at.unwrap_or(due)
    }

    /// When the pending changes have to be committed: early by the time that the last commit took, so that they
    /// are durable when the interval ends.
    fn flush_due(&self) -> Option<Instant> {
        let interval = self.flush_interval - self.last_commit_took.min(self.flush_interval / 2);
        self.committer.oldest().map(|oldest| oldest + interval)
    }

    /// When sums have to be written although no share comes any more.
    fn sums_due(&self) -> Option<Instant> {
        self.committer.is_behind().then(|| self.last_commit_at + SUMS_AFTER_QUIET)
    }

    fn take_queued(&mut self) {
        while self.committer.has_room() {
            let Ok(queued) = self.queue.try_recv() else { return };
            self.committer.add(queued);
        }
    }

    fn work(&mut self) {
        let now = Instant::now();
        if self.retry_at.is_some_and(|retry_at| now < retry_at) {
            return;
        }
        if let Err(error) = self.recover_if_failed().and_then(|()| self.commit_if_due(now)) {
            self.failed(&error);
            return;
        }
        if now >= self.retention_due {
            self.prune(now);
        }
    }

    fn recover_if_failed(&mut self) -> Result<(), StoreError> {
        if self.committer.needs_recovery() { self.committer.recover() } else { Ok(()) }
    }

    fn commit_if_due(&mut self, now: Instant) -> Result<(), StoreError> {
        let pending = &self.committer.pending;
        let due = self.failures > 0
            || !pending.blocks.is_empty()
            || pending.shares.len() >= STORE_ROWS_PER_COMMIT
            || !pending.has_room()
            || self.flush_due().into_iter().chain(self.sums_due()).any(|due| now >= due);
        if due { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let started = Instant::now();
        self.committer.commit_all()?;
        self.last_commit_took = started.elapsed();
        self.last_commit_at = started;
        self.update_oldest(started);
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "the store writes again");
            (self.failures, self.retry_at) = (0, None);
            self.committer.shared.set_health(None);
        }
        Ok(())
    }

    /// Also the sums, so that the next open has nothing to make good.
    fn commit_to_the_end(&mut self) -> Result<(), StoreError> {
        self.commit()?;
        if self.committer.is_behind() { self.commit() } else { Ok(()) }
    }

    /// All that was taken is durable; what is in the queue came after `emptied`, when it was last taken from.
    fn update_oldest(&self, emptied: Instant) {
        let mut intake = self.committer.shared.intake();
        intake.oldest = (!self.queue.is_empty()).then_some(emptied);
    }

    fn prune(&mut self, now: Instant) {
        match self.committer.prune() {
            Ok(more) => self.retention_due = now + if more { RETENTION_STEP_INTERVAL } else { RETENTION_INTERVAL },
            Err(error) => {
                self.retention_due = now + RETENTION_INTERVAL;
                self.failed(&error);
            }
        }
    }

    /// Notes a failure and when to try again. The database is opened at once, so that readers can go on.
    fn failed(&mut self, error: &StoreError) {
        let pause = RETRY_FIRST.saturating_mul(1 << self.failures.min(16)).min(RETRY_LAST);
        self.failures += 1;
        self.retry_at = Some(Instant::now() + pause);
        let (rows, blocks) = self.committer.rows_waiting();
        let text = format!(
            "the store cannot write: {error}; {rows} share rows and {blocks} block rows wait, next attempt in {pause:?}"
        );
        tracing::error!(failures = self.failures, "{text}");
        self.committer.shared.set_health(Some(text));
        if let Err(error) = self.committer.recover() {
            tracing::warn!(%error, "the store cannot be opened again yet");
        }
    }

    /// Takes what is left in the queue, which nobody fills any more, and saves it if the disk lets it.
    fn finish(&mut self) -> Result<(), StoreError> {
        while let Ok(queued) = self.queue.try_recv() {
            self.committer.add(queued);
        }
        let mut attempt = 1;
        loop {
            let result = self.recover_if_failed().and_then(|()| self.commit_to_the_end());
            let Err(error) = result else { return Ok(()) };
            self.failed(&error);
            if attempt == CLOSING_ATTEMPTS {
                let (rows, blocks) = self.committer.rows_waiting();
                return Err(StoreError::Unsaved { rows, blocks, why: error.to_string() });
            }
            attempt += 1;
            std::thread::sleep(RETRY_FIRST);
        }
    }
}

/// Lets the engine go first where they share a core: nobody waits for a commit as miners wait for their answers. The thread
/// still gets a tenth of a core that has nothing to spare. Linux counts this for the thread alone.
fn give_way() {
    const NICENESS: i32 = 10;
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "the store's thread keeps its priority");
    }
}
