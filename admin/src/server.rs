//! The HTTP thread: listening, connections and what the engine hands over.

use crate::assets::BuiltDashboard;
use crate::handler::handle;
use crate::history::History;
use crate::options::{AdminError, AdminOptions};
use crate::stall::StallGuard;
use crate::state::{Bounds, State};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use warppool_components::event::PoolEvent;
use warppool_components::limits::{ADMIN_MESSAGES_QUEUED_MAX, HISTORY_CALLS_MAX};
use warppool_components::snapshot::Snapshot;

/// Bytes that hyper reads ahead or keeps to be written on one connection; also the longest head of a request.
const CONNECTION_BUFFER_BYTES: usize = 32 * 1024;

/// How long a stop waits for a store call that is under way.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// Starts HTTP on a thread of its own and returns when it listens.
///
/// # Errors
/// [`AdminError`] names the address that cannot be listened on, and why.
pub fn start(options: AdminOptions, history: Arc<dyn History>) -> Result<(AdminHandle, Publisher), AdminError> {
    start_with(Arc::new(State::new(options, Bounds::default(), history, Arc::new(BuiltDashboard))))
}

/// [`start`] with all that requests will share.
pub(crate) fn start_with(state: Arc<State>) -> Result<(AdminHandle, Publisher), AdminError> {
    let listeners = listen_on_all(&state.options.listen)?;
    let addresses = listeners.iter().map(std::net::TcpListener::local_addr).collect::<Result<_, _>>();
    let addresses: Vec<SocketAddr> = addresses.map_err(AdminError::Thread)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(HISTORY_CALLS_MAX)
        .thread_name("admin-history")
        .build()
        .map_err(AdminError::Thread)?;
    let (messages, inbox) = mpsc::channel(ADMIN_MESSAGES_QUEUED_MAX);
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || {
            runtime.block_on(serve(state, listeners, inbox, stopped));
            runtime.shutdown_timeout(STOP_GRACE);
        })
        .map_err(AdminError::Thread)?;
    let publisher = Publisher { messages, dropped: Arc::default() };
    Ok((AdminHandle { addresses, stop, thread }, publisher))
}

/// The running HTTP thread. It ends with [`AdminHandle::stop`], or when this is dropped.
#[derive(Debug)]
pub struct AdminHandle {
    addresses: Vec<SocketAddr>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl AdminHandle {
    /// Where it listens, ports chosen by the system filled in.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// Closes all connections and waits for the thread.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the HTTP thread had panicked");
        }
    }
}

/// Hands snapshots and events to the HTTP thread. Never waits: what does not fit is dropped, for the next snapshot holds all
/// that matters.
#[derive(Clone, Debug)]
pub struct Publisher {
    messages: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Snapshot(Arc<Snapshot>),
    Event(PoolEvent),
}

impl Publisher {
    /// Makes a snapshot the one that is answered from.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.send(Message::Snapshot(snapshot));
    }

    /// Tells an event to all who listen.
    pub fn event(&self, event: PoolEvent) {
        self.send(Message::Event(event));
    }

    /// How many snapshots and events were dropped because the HTTP thread lagged or has ended.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn send(&self, message: Message) {
        if self.messages.try_send(message).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn serve(
    state: Arc<State>,
    listeners: Vec<std::net::TcpListener>,
    inbox: mpsc::Receiver<Message>,
    stopped: oneshot::Receiver<()>,
) {
    tokio::spawn(take_messages(Arc::clone(&state), inbox));
    let places = Arc::new(Semaphore::new(state.bounds.connections_max));
    for listener in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => drop(tokio::spawn(accept(Arc::clone(&state), listener, Arc::clone(&places)))),
            Err(error) => tracing::error!(%error, "an address cannot be served"),
        }
    }
    // An error means that the handle was dropped: a stop as well.
    let _ = stopped.await;
}

async fn take_messages(state: Arc<State>, mut inbox: mpsc::Receiver<Message>) {
    while let Some(message) = inbox.recv().await {
        match message {
            Message::Snapshot(snapshot) => state.publish(snapshot),
            Message::Event(event) => state.events.push(&event, state.options.network),
        }
    }
}

async fn accept(state: Arc<State>, listener: TcpListener, places: Arc<Semaphore>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of files, most likely: the others need theirs, and trying at once would spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            refuse(&stream);
            continue;
        };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            serve_connection(state, stream, peer).await;
            drop(place);
        });
    }
}

/// Says that all places are taken, if the socket takes it at once.
fn refuse(stream: &TcpStream) {
    let _ = stream.try_write(
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    );
}

async fn serve_connection(state: Arc<State>, stream: TcpStream, peer: SocketAddr) {
    // Events are small and must not wait for each other.
    let _ = stream.set_nodelay(true);
    let bounds = state.bounds;
    let service = service_fn(move |request| {
        let answer = handle(Arc::clone(&state), peer.ip().to_canonical(), request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_deadline)
        .max_buf_size(CONNECTION_BUFFER_BYTES)
        .serve_connection(TokioIo::new(StallGuard::new(stream, bounds.write_deadline)), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, %peer, "an http connection broke off");
    }
}

fn listen_on_all(addresses: &[String]) -> Result<Vec<std::net::TcpListener>, AdminError> {
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.extend(listen(address)?);
    }
    if listeners.is_empty() {
        return Err(AdminError::NoAddress);
    }
    Ok(listeners)
}

fn listen(address: &str) -> Result<Vec<std::net::TcpListener>, AdminError> {
    let refused = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => AdminError::InUse { address: address.to_owned() },
        _ => AdminError::Listen { address: address.to_owned(), source },
    };
    if let Some(port) = address.strip_prefix(':').and_then(|port| port.parse().ok()) {
        return listen_everywhere(port).map_err(refused);
    }
    let parsed: SocketAddr = address.parse().map_err(|_| AdminError::Address { address: address.to_owned() })?;
    Ok(vec![bind(parsed).map_err(refused)?])
}

/// Listens on every address of both families. Where one IPv6 socket takes IPv4 too, the second one is in use by the first;
/// where the machine has no IPv6, IPv4 alone is all there is.
fn listen_everywhere(port: u16) -> io::Result<Vec<std::net::TcpListener>> {
    let v6 = match bind((Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
        other => other.ok(),
    };
    let Some(v6) = v6 else { return Ok(vec![bind((Ipv4Addr::UNSPECIFIED, port).into())?]) };
    let port = v6.local_addr()?.port();
    match bind((Ipv4Addr::UNSPECIFIED, port).into()) {
        Ok(v4) => Ok(vec![v6, v4]),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(vec![v6]),
        Err(error) => Err(error),
    }
}

fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
