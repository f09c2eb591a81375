//! Everything impure around the engine: clocks, sockets, node, store, HTTP, log.
//!
//! One thread turns the event loop: wait for sockets, take what the node's threads left, tick, carry out the outbox.
//! Found blocks go to the nodes before anything else happens. The store's and the HTTP side's queues are bounded and
//! never waited for: what the store does not take now is merged and offered again.

mod history;
mod measure;
mod pending;
mod refused;
mod source;
mod stop;

use crate::Engine;
use crate::certificate::Certificate;
use crossbeam::channel::{self, Receiver, Sender};
use history::StoreHistory;
use measure::Measures;
use pending::PendingRecords;
use refused::Refused;
use source::Source;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use warppool_admin::{AdminHandle, AdminOptions, Publisher};
use warppool_components::inbox::{Command, Inbox, Now};
use warppool_components::limits::NODE_EVENTS_QUEUED_MAX;
use warppool_components::node::NodeEvent;
use warppool_components::outbox::{NoticeLevel, Outbox};
use warppool_components::record::Restored;
use warppool_components::settings::Settings;
use warppool_components::snapshot::Snapshot;
use warppool_components::units::Instant;
use warppool_io::failpoint;
use warppool_io::node::{self, Upkeep};
use warppool_io::store::{self, Store, StoreOptions};
use warppool_net::sockets::{Dashboard, ListenOptions, Sockets};
use warppool_net::transport::noise::{AuthorityKey, AuthorityPublicKey};
use warppool_systems::hash::Hashing;

pub use source::SourceOptions;
pub use stop::{Reload, Signals, Stop};

/// Longest time the loop waits for sockets, so that a stop is noticed even if its wake-up is lost.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The window of hash rates that a pool above is told: five minutes, so that one share more or less does not matter.
const HASH_RATE_WINDOW: usize = 1;

/// How long the store may take to accept the last rows when the pool stops.
const FAREWELL: Duration = Duration::from_millis(200);

/// All that a pool is made of.
#[derive(Debug)]
pub struct PoolOptions {
    /// The engine's settings.
    pub settings: Settings,
    /// Where miners are served.
    pub listen: ListenOptions,
    /// What TLS is served by.
    pub certificate: Option<Certificate>,
    /// In whose name miners of Stratum V2 are answered; without one they are not served.
    pub authority: Option<AuthorityKey>,
    /// Where work comes from.
    pub source: SourceOptions,
    /// The store.
    pub store: StoreOptions,
    /// HTTP.
    pub admin: AdminOptions,
    /// Name of the profile, for people.
    pub profile: String,
    /// Core on which the engine's thread is pinned.
    pub engine_core: Option<usize>,
    /// How shares are hashed.
    pub hashing: Hashing,
}

/// Why a pool cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The miners' side.
    #[error(transparent)]
    Net(#[from] warppool_net::sockets::NetError),
    /// The node's side.
    #[error(transparent)]
    Node(#[from] node::NodeError),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// HTTP.
    #[error(transparent)]
    Admin(#[from] warppool_admin::AdminError),
}

/// A pool that listens and is ready to run on the thread that calls [`Pool::run`].
pub struct Pool {
    engine: Engine,
    sockets: Sockets,
    source: Source,
    node_events: Receiver<NodeEvent>,
    store: Store,
    pending: PendingRecords,
    admin: AdminHandle,
    publisher: Publisher,
    watcher: Option<Sender<Arc<Snapshot>>>,
    measures: Measures,
    refused: Refused,
    certificate: Option<Certificate>,
    authority: Option<AuthorityPublicKey>,
    clock: Clock,
    stop: Stop,
    /// Who waits to know how many miners this tick's messages were sent to.
    message_senders: Vec<Sender<u32>>,
    profile: String,
    engine_core: Option<usize>,
}

impl Pool {
    /// Opens the store, binds the listeners, starts the node's and the HTTP side's threads.
    ///
    /// # Errors
    /// [`PoolError`] of the part that cannot start. A node that is down is no error.
    pub fn start(options: PoolOptions) -> Result<Self, PoolError> {
        let clock = Clock::start();
        let mut sockets = Sockets::bind(&options.listen)?;
        sockets.set_tls(options.certificate.as_ref().map(Certificate::config));
        let authority = options.authority.as_ref().map(AuthorityKey::public);
        sockets.set_authority(options.authority);
        let public_url = Some(options.admin.public_url.clone()).filter(|url| !url.is_empty());
        sockets.set_rate_limits(options.settings.rate_limits);
        let (store, mut restored) = store::open(options.store)?;
        let history = Arc::new(StoreHistory(store.reader()));
        let (admin, publisher) = warppool_admin::start(options.admin, history)?;
        let port = admin.addresses().first().map(SocketAddr::port);
        sockets.set_dashboard(Dashboard { public_url, port });
        let (sender, node_events) = channel::bounded(NODE_EVENTS_QUEUED_MAX);
        let waker = sockets.waker();
        let source = Source::start(options.source, move |event| {
            // A full queue means that the engine has not turned for minutes; templates and states come again.
            if sender.try_send(event).is_err() {
                tracing::error!("the engine does not take the node's news");
            }
            if let Err(error) = waker.wake() {
                tracing::error!("cannot wake the engine: {error}");
            }
        })?;
        take_up_blocks(&source, &mut restored);
        let mut engine = Engine::new(options.settings, clock.seed(), restored, clock.now());
        engine.set_hashing(options.hashing);
        if source.is_upstream() {
            engine.take_work_from_upstream();
        }
        let pending = PendingRecords::new(store.writer());
        let stop = Stop::new(sockets.waker());
        let measures = Measures::default();
        Ok(Self {
            engine,
            sockets,
            source,
            node_events,
            store,
            pending,
            admin,
            publisher,
            watcher: None,
            measures,
            refused: Refused::default(),
            certificate: options.certificate,
            authority,
            clock,
            stop,
            message_senders: Vec::new(),
            profile: options.profile,
            engine_core: options.engine_core,
        })
    }

    /// Where miners are served.
    pub fn miner_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.local_addresses()
    }

    /// Where miners are served over TLS alone.
    pub fn miner_tls_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.tls_addresses()
    }

    /// Where miners are served over Stratum V2 alone.
    pub fn miner_sv2_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.noise_addresses()
    }

    /// Where miners are served over the first generation of Stratum V2 alone.
    pub fn miner_first_generation_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.first_generation_addresses()
    }

    /// Where HTTP is served.
    pub fn dashboard_addresses(&self) -> Vec<SocketAddr> {
        self.admin.addresses()
    }

    /// The means to end or reload this pool from another thread.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Snapshots as they are published. Those that nobody takes in time are left out.
    pub fn watch(&mut self) -> Receiver<Arc<Snapshot>> {
        let (sender, receiver) = channel::bounded(1);
        self.watcher = Some(sender);
        receiver
    }

    /// Serves until it is told to stop, then writes everything down.
    ///
    /// # Errors
    /// [`PoolError`] when the event loop fails, or the last rows cannot be saved.
    pub fn run(mut self) -> Result<(), PoolError> {
        pin(self.engine_core);
        let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
        loop {
            let wait = self.wait(outbox.wake_at);
            self.sockets.receive(Some(wait), &mut inbox)?;
            let stopping = self.stop.is_asked();
            self.gather(&mut inbox, stopping);
            self.turn(&mut inbox, &mut outbox);
            if stopping {
                return self.end(&mut inbox);
            }
        }
    }

    /// How long nothing is due.
    fn wait(&self, wake_at: Option<Instant>) -> Duration {
        let now = self.clock.now().instant;
        let due = wake_at.map_or(WAIT_MAX, |at| at.since(now)).min(WAIT_MAX);
        if self.pending.is_waiting() { due.min(pending::RETRY) } else { due }
    }

    /// What reached the pool beside sockets.
    fn gather(&mut self, inbox: &mut Inbox, stopping: bool) {
        inbox.node.extend(self.node_events.try_iter());
        if let Some(certificate) = self.stop.take_certificate() {
            self.serve_by(Some(certificate));
        }
        if let Some(Reload { settings, certificate, authority, noise_connections_max }) = self.stop.take_reload() {
            self.serve_by(certificate);
            if let Some(authority) = authority {
                self.authority = Some(authority.public());
                self.sockets.set_authority(Some(authority));
            }
            self.sockets.set_noise_connections_max(noise_connections_max);
            self.sockets.set_connections_max(settings.connections_max);
            self.sockets.set_rate_limits(settings.rate_limits);
            inbox.commands.push(Command::Reload(Box::new(settings)));
        }
        for (message, sender) in self.stop.take_for_miners() {
            inbox.commands.push(Command::TellMiners(message));
            self.message_senders.push(sender);
        }
        if stopping {
            inbox.commands.push(Command::Shutdown);
        }
    }

    /// Handshakes from now on see this certificate; connections that are there stay.
    fn serve_by(&mut self, certificate: Option<Certificate>) {
        self.sockets.set_tls(certificate.as_ref().map(Certificate::config));
        self.certificate = certificate;
    }

    /// One tick, and what it wants done: blocks first.
    fn turn(&mut self, inbox: &mut Inbox, outbox: &mut Outbox) {
        let received_at = self.clock.now();
        self.engine.tick(received_at, inbox, outbox);
        let ticked_at = self.clock.now();
        self.submit(outbox, ticked_at);
        let tells_tip = outbox.new_tip && !outbox.writes.is_empty();
        let report = self.sockets.send(outbox);
        let sent_at = self.clock.now();
        self.measures.tick(received_at.instant, ticked_at.instant, sent_at.instant, outbox.shares);
        for (sender, shown) in self.message_senders.drain(..).zip(&outbox.messages_shown) {
            // Whoever asked may have gone.
            let _ = sender.try_send(*shown);
        }
        if tells_tip {
            let heard_at = self.source.tip_heard_at().map_or(received_at.instant, |at| self.clock.instant(at));
            self.measures.tip_begins(heard_at, ticked_at.instant);
        }
        if outbox.fanout_done {
            self.measures.tip_ends(sent_at.instant);
        }
        if report.slow_readers > 0 {
            tracing::info!("{} miners do not read what they are sent and are dropped", report.slow_readers);
        }
        self.pending.offer(&mut outbox.records, sent_at.instant);
        outbox.notices.drain(..).for_each(|notice| log(notice.level, &notice.text));
        outbox.events.drain(..).for_each(|event| self.publisher.event(event));
        self.publish(outbox);
    }

    /// Hands found blocks to the nodes, or shares to the pool that gave the work, and only then to the store; neither waits
    /// for what miners are to be told.
    fn submit(&mut self, outbox: &mut Outbox, ticked_at: Now) {
        self.source.forward(outbox.upstream.drain(..));
        if !outbox.blocks.is_empty() {
            failpoint::reached("block.found");
            outbox.blocks.drain(..).for_each(|block| self.source.submit(block));
            failpoint::reached("block.handed-to-all");
        }
        if !outbox.records.blocks.is_empty() {
            self.pending.offer(&mut outbox.records, ticked_at.instant);
        }
    }

    fn publish(&mut self, outbox: &mut Outbox) {
        let Some(mut snapshot) = outbox.snapshot.take() else { return };
        let (counters, connections_max) = (self.sockets.counters(), self.sockets.connections_max());
        let refused = self.refused.look(counters, connections_max, self.clock.now().instant);
        refused.iter().for_each(|sentence| tracing::warn!("{sentence}"));
        snapshot.runtime = self.measures.snapshot();
        snapshot.runtime.connections_accepted = counters.accepted;
        snapshot.runtime.connections_over_cap = counters.over_cap;
        snapshot.runtime.accept_failures = counters.accept_failures;
        snapshot.runtime.admin_messages_dropped = self.publisher.dropped();
        snapshot.runtime.store_lag_seconds = self.pending.lag(self.clock.now().instant).as_secs_f64();
        snapshot.runtime.store_rows_dropped = self.pending.rows_dropped();
        snapshot.runtime.store_commit_seconds = measure::commits(&self.pending.commits());
        snapshot.runtime.listeners = self.listeners();
        snapshot.runtime.sockets = measure::sockets(&self.sockets, self.certificate.as_ref());
        snapshot.runtime.profile.clone_from(&self.profile);
        snapshot.runtime.upstream = self.source.figures();
        self.source.set_hash_rate(snapshot.pool.hashrates[HASH_RATE_WINDOW]);
        let snapshot = Arc::from(snapshot);
        if let Some(watcher) = &self.watcher {
            // A watcher that is busy or gone misses this one.
            let _ = watcher.try_send(Arc::clone(&snapshot));
        }
        self.publisher.publish(snapshot);
    }

    /// Where miners are served: plain text as the bare address, TLS with its scheme, Stratum V2 with scheme and key.
    fn listeners(&self) -> Vec<String> {
        let common = self.sockets.local_addresses();
        let over_tls = if self.certificate.is_some() { common.as_slice() } else { &[] };
        let own = self.sockets.tls_addresses();
        let over_tls = over_tls.iter().chain(&own).map(|address| format!("stratum+ssl://{address}"));
        let mut listeners: Vec<String> = common.iter().map(SocketAddr::to_string).chain(over_tls).collect();
        if let Some(key) = self.authority {
            let own = self.sockets.noise_addresses();
            listeners.extend(own.iter().chain(&common).map(|address| format!("stratum2+tcp://{address}/{key}")));
        }
        listeners
    }

    /// The last tick closed every connection. What is left to write is written, after the ports are free again.
    fn end(self, inbox: &mut Inbox) -> Result<(), PoolError> {
        let Self { mut sockets, source, store, mut pending, admin, .. } = self;
        inbox.clear();
        // One more look lets the kernel take the last answers.
        sockets.receive(Some(Duration::ZERO), inbox)?;
        drop(sockets);
        admin.stop();
        source.stop();
        pending.flush(FAREWELL);
        drop(pending);
        store.close()?;
        tracing::info!("the pool has stopped; everything is saved");
        Ok(())
    }
}

/// Blocks of the store whose fate is open: journaled ones are submitted again, all are followed.
fn take_up_blocks(source: &Source, restored: &mut Restored) {
    failpoint::reached("restart.journal-read");
    for row in &mut restored.blocks {
        let (hash, height) = (row.hash, row.height);
        match Upkeep::of(row) {
            Upkeep::Submit(raw) => {
                tracing::info!("block {hash} at height {height} has no final answer yet: submitting again");
                source.resubmit(hash, raw);
            }
            Upkeep::Follow => source.follow(hash),
            Upkeep::Nothing => {}
        }
    }
}

fn log(level: NoticeLevel, text: &str) {
    match level {
        NoticeLevel::Debug => tracing::debug!("{text}"),
        NoticeLevel::Info => tracing::info!("{text}"),
        NoticeLevel::Warn => tracing::warn!("{text}"),
    }
}

fn pin(core: Option<usize>) {
    let Some(id) = core else { return };
    if !core_affinity::set_for_current(core_affinity::CoreId { id }) {
        tracing::warn!("the engine cannot be pinned to core {id}: this machine does not allow it");
    }
}

/// Both clocks. The wall clock may jump; ticks go by the other.
#[derive(Clone, Copy, Debug)]
struct Clock {
    started_at: std::time::Instant,
}

impl Clock {
    fn start() -> Self {
        Self { started_at: std::time::Instant::now() }
    }

    /// A moment of the system's monotonic clock on the engine's.
    fn instant(&self, at: std::time::Instant) -> Instant {
        let nanos = u64::try_from(at.saturating_duration_since(self.started_at).as_nanos()).unwrap_or(u64::MAX);
        // The engine's clock starts above zero, so that "since the beginning of time" is in the past.
        Instant(nanos.saturating_add(1))
    }

    fn now(&self) -> Now {
        let instant = self.instant(std::time::Instant::now());
        Now { instant, unix: SystemTime::now().into() }
    }

    /// A number that differs from one start to the next.
    fn seed(&self) -> u64 {
        use std::hash::{BuildHasher, Hasher};
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_u64(self.now().unix.millis());
        hasher.finish()
    }
}
