//! The thread of a simulated miner: the socket, the clock, the hashing in slices, reconnecting with back-off.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::talk::{Talk, talk};
use super::{MinerOptions, MinerStats};
use crate::limits::{HASH_SLICE, RECONNECT_PAUSE};

/// How long connecting or one write may take.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait for the pool before timers and the stop flag are looked at again.
const IDLE_WAIT: Duration = Duration::from_millis(50);

/// How long a miner that is told to stop waits for the verdicts on its last shares.
const LAST_VERDICTS_TIMEOUT: Duration = Duration::from_millis(500);

/// Hashes between two looks at the clock.
const HASHES_PER_LOOK: u32 = 512;

/// A miner on its own thread, until [`SimMiner::stop`] or drop.
pub struct SimMiner {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    stats: Mutex<MinerStats>,
}

impl SimMiner {
    /// Starts the miner. It connects by itself, and again with a growing pause whenever the pool goes away. When the
    /// system gives no thread, [`MinerStats::last_error`] says so.
    #[must_use]
    pub fn start(options: MinerOptions) -> Self {
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), stats: Mutex::default() });
        let for_thread = Arc::clone(&shared);
        let name = format!("miner {}", options.device.name());
        let thread = std::thread::Builder::new().name(name).spawn(move || mine(&options, &for_thread));
        let thread = thread.map_err(|error| shared.stats().last_error = Some(format!("no thread: {error}"))).ok();
        Self { shared, thread }
    }

    /// What it has done so far; at most some 50 ms old.
    #[must_use]
    pub fn stats(&self) -> MinerStats {
        self.shared.stats().clone()
    }

    /// Closes its connection and waits until the thread has ended. Returns the final figures.
    pub fn stop(mut self) -> MinerStats {
        self.end();
        self.stats()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the miner has been printed by the thread itself.
            let _ = thread.join();
        }
    }
}

impl Drop for SimMiner {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn stats(&self) -> MutexGuard<'_, MinerStats> {
        // Plain figures: a panic between two writes leaves nothing half done.
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn mine(options: &MinerOptions, shared: &Shared) {
    let mut session_id = None;
    let mut pause = RECONNECT_PAUSE.0;
    while !shared.is_stopped() {
        match Connection::open(options, session_id.take(), shared) {
            Ok(mut connection) => {
                let error = connection.run();
                if connection.talk.is_authorized() {
                    pause = RECONNECT_PAUSE.0;
                }
                session_id = connection.talk.session_id().map(str::to_owned);
                connection.publish();
                note_loss(shared, error);
            }
            Err(error) => note_loss(shared, Some(format!("cannot connect to {}: {error}", options.pool))),
        }
        wait(pause, shared);
        pause = (pause * 2).min(RECONNECT_PAUSE.1);
    }
}

fn note_loss(shared: &Shared, error: Option<String>) {
    let mut stats = shared.stats();
    stats.connected = false;
    if error.is_some() {
        stats.last_error = error;
    }
}

/// Waits, but not longer than the miner may live.
fn wait(pause: Duration, shared: &Shared) {
    let end = Instant::now() + pause;
    while !shared.is_stopped() && Instant::now() < end {
        std::thread::sleep(IDLE_WAIT.min(end.saturating_duration_since(Instant::now())));
    }
}

/// One connection with what is said on it.
struct Connection<'a> {
    shared: &'a Shared,
    stream: TcpStream,
    talk: Box<dyn Talk>,
    throttle: Throttle,
    /// Figures of the connections before this one.
    before: MinerStats,
    hashes: u64,
}

impl<'a> Connection<'a> {
    fn open(options: &MinerOptions, session_id: Option<String>, shared: &'a Shared) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&options.pool, SOCKET_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(SOCKET_TIMEOUT))?;
        let mut before = shared.stats().clone();
        before.connections += 1;
        Ok(Self {
            shared,
            stream,
            talk: talk(options, session_id)?,
            throttle: Throttle::new(options.hashes_per_second_max, Instant::now()),
            before,
            hashes: 0,
        })
    }

    /// Talks and hashes until told to stop (`None`) or until something breaks (the reason).
    fn run(&mut self) -> Option<String> {
        let mut wait = Duration::ZERO;
        while !self.shared.is_stopped() {
            if let Err(error) = self.exchange(wait) {
                return Some(error.to_string());
            }
            if let Some(failure) = self.talk.failure() {
                return Some(failure.to_owned());
            }
            wait = self.hash_slice();
            self.publish();
        }
        self.hear_last_verdicts();
        None
    }

    /// Sends the last shares and hears of them, so that the final figures add up. A pool that is gone or silent
    /// changes nothing.
    fn hear_last_verdicts(&mut self) {
        let deadline = Instant::now() + LAST_VERDICTS_TIMEOUT;
        while self.talk.awaits_verdicts() && Instant::now() < deadline {
            if self.exchange(LAST_VERDICTS_TIMEOUT).is_err() {
                return;
            }
        }
    }

    /// Writes what is due, waits at most `wait` for the pool, answers it.
    fn exchange(&mut self, wait: Duration) -> io::Result<()> {
        self.talk.advance(Instant::now());
        self.write_outgoing()?;
        self.read(wait)?;
        self.talk.advance(Instant::now());
        self.write_outgoing()
    }

    fn write_outgoing(&mut self) -> io::Result<()> {
        let outgoing = self.talk.take_outgoing();
        if outgoing.is_empty() {
            return Ok(());
        }
        self.stream.set_nonblocking(false)?;
        self.stream.write_all(&outgoing)
    }

    /// Reads what has arrived; with a wait, blocks that long for the first byte.
    fn read(&mut self, wait: Duration) -> io::Result<()> {
        self.stream.set_nonblocking(wait.is_zero())?;
        if !wait.is_zero() {
            self.stream.set_read_timeout(Some(wait))?;
        }
        let mut chunk = [0_u8; 8192];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the pool closed the connection")),
            Ok(bytes) => self.talk.hear(&mut chunk[..bytes]),
            Err(error) if is_only_a_wait(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Hashes for one slice and submits what it finds. Returns how long the socket may be waited for.
    fn hash_slice(&mut self) -> Duration {
        let Some(work) = self.talk.work() else { return IDLE_WAIT };
        let end = Instant::now() + HASH_SLICE;
        let mut found = None;
        let mut now = Instant::now();
        while found.is_none() && now < end {
            let count = self.throttle.allowance(now).min(HASHES_PER_LOOK);
            if count == 0 {
                return self.throttle.pause();
            }
            let (tried, share) = work.search(count);
            if tried == 0 {
                return IDLE_WAIT;
            }
            self.throttle.spend(tried);
            self.hashes += u64::from(tried);
            found = share;
            now = Instant::now();
        }
        if let Some(share) = found {
            self.talk.submit(&share);
        }
        Duration::ZERO
    }

    fn publish(&mut self) {
        let last_error = self.shared.stats().last_error.clone();
        let mut stats = self.talk.stats_after(&self.before);
        stats.hashes += self.hashes;
        stats.last_error = last_error;
        *self.shared.stats() = stats;
    }
}

/// A read that only found nothing to read.
fn is_only_a_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// A token bucket of hashes that holds a tenth of a second.
struct Throttle {
    hashes_per_second_max: Option<f64>,
    tokens: f64,
    filled_at: Instant,
}

impl Throttle {
    fn new(hashes_per_second_max: Option<f64>, now: Instant) -> Self {
        Self { hashes_per_second_max, tokens: 0.0, filled_at: now }
    }

    /// Hashes that may be done now.
    fn allowance(&mut self, now: Instant) -> u32 {
        let Some(rate) = self.hashes_per_second_max else { return u32::MAX };
        let elapsed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + elapsed * rate).min((rate / 10.0).max(1.0));
        self.tokens as u32
    }

    fn spend(&mut self, hashes: u32) {
        self.tokens -= f64::from(hashes);
    }

    /// Time until a worthwhile number of hashes is allowed again.
    fn pause(&self) -> Duration {
        HASH_SLICE.min(IDLE_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::Throttle;
    use std::time::{Duration, Instant};

    #[test]
    fn a_throttled_miner_keeps_its_rate_and_saves_up_only_a_tenth_of_a_second() {
        let start = Instant::now();
        let mut throttle = Throttle::new(Some(1000.0), start);
        assert_eq!(throttle.allowance(start + Duration::from_millis(50)), 50);
        throttle.spend(50);
        assert_eq!(throttle.allowance(start + Duration::from_millis(60)), 10);
        assert_eq!(throttle.allowance(start + Duration::from_secs(60)), 100);
        assert_eq!(Throttle::new(None, start).allowance(start), u32::MAX);
    }
}
