//! What the HTTP thread knows: the latest snapshot with what was made of it, the events, and the bounds.

use crate::assets::Assets;
use crate::events::EventHub;
use crate::handler::wall_clock;
use crate::history::{History, HistoryError};
use crate::options::AdminOptions;
use crate::problem::Problem;
use hyper::body::Bytes;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use warppool_components::limits::{EVENT_LISTENERS_MAX, HISTORY_CALLS_MAX, HTTP_CONNECTIONS_MAX};
use warppool_components::snapshot::Snapshot;

/// Deadlines and caps that tests tighten, so that they need not wait or open a thousand connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Open connections at once.
    pub(crate) connections_max: usize,
    /// For the head of a request, and for an idle connection.
    pub(crate) header_deadline: Duration,
    /// For a peer that takes nothing.
    pub(crate) write_deadline: Duration,
    /// Between two signs of life to a listener of events.
    pub(crate) heartbeat: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: HTTP_CONNECTIONS_MAX,
            header_deadline: Duration::from_secs(10),
            write_deadline: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// A snapshot and the bodies made of it, each at most once.
pub(crate) struct Published {
    /// The picture.
    pub(crate) snapshot: Arc<Snapshot>,
    /// When it came, on the clock of this thread.
    pub(crate) received_at: Instant,
    /// Body of `/api/overview`.
    pub(crate) overview: OnceLock<Bytes>,
    /// Body of `/metrics`.
    pub(crate) metrics: OnceLock<Bytes>,
}

/// All that requests share.
pub(crate) struct State {
    /// What the operator decided.
    pub(crate) options: AdminOptions,
    /// Deadlines and caps.
    pub(crate) bounds: Bounds,
    /// The dashboard's files.
    pub(crate) assets: Arc<dyn Assets>,
    /// Events.
    pub(crate) events: Arc<EventHub>,
    /// Places for listeners of events.
    pub(crate) listener_places: Arc<Semaphore>,
    history: Arc<dyn History>,
    history_places: Arc<Semaphore>,
    published: Mutex<Option<Arc<Published>>>,
}

impl State {
    /// Nothing published yet.
    pub(crate) fn new(
        options: AdminOptions,
        bounds: Bounds,
        history: Arc<dyn History>,
        assets: Arc<dyn Assets>,
    ) -> Self {
        let run = format!("{:x}", wall_clock().millis());
        Self {
            options,
            bounds,
            assets,
            events: Arc::new(EventHub::new(run)),
            listener_places: Arc::new(Semaphore::new(EVENT_LISTENERS_MAX)),
            history,
            history_places: Arc::new(Semaphore::new(HISTORY_CALLS_MAX)),
            published: Mutex::new(None),
        }
    }

    /// Takes a snapshot as the latest.
    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>) {
        let published =
            Published { snapshot, received_at: Instant::now(), overview: OnceLock::new(), metrics: OnceLock::new() };
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(published));
    }

    /// The latest snapshot.
    ///
    /// # Errors
    /// There is none yet.
    pub(crate) fn published(&self) -> Result<Arc<Published>, Problem> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .ok_or_else(|| Problem::busy("The pool is starting and has no figures yet; ask again in a second."))
    }

    /// Asks the store, on a thread that may block, a few at once.
    ///
    /// # Errors
    /// All places are taken, or the store failed.
    pub(crate) async fn ask_history<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn History) -> Result<T, HistoryError> + Send + 'static,
    ) -> Result<T, Problem> {
        let Ok(place) = Arc::clone(&self.history_places).try_acquire_owned() else {
            return Err(Problem::busy(format!(
                "{HISTORY_CALLS_MAX} questions about the past are being answered already; ask again in a second."
            )));
        };
        let history = Arc::clone(&self.history);
        // The place goes along, so that it is taken until the store has answered even when the browser has left.
        let call = tokio::task::spawn_blocking(move || (question(&*history), place));
        match call.await {
            Ok((Ok(answer), _)) => Ok(answer),
            Ok((Err(error), _)) => Err(history_problem(&error)),
            Err(error) => {
                tracing::error!(%error, "a question to the store broke off");
                Err(Problem::internal("The history could not be read; the pool's log says why."))
            }
        }
    }
}

fn history_problem(error: &HistoryError) -> Problem {
    tracing::warn!(%error, "the history could not be read");
    match error {
        HistoryError::Unavailable(_) => Problem::busy("The store is busy or closing; ask again in a second."),
        HistoryError::Failed(_) => Problem::internal("The history could not be read; the pool's log says why."),
    }
}
