//! The whole examination: every client and every probe, one after the other, never two floods at once.

use super::check::Check;
use super::ledger::Ledger;
use super::play::play;
use super::probes::{PROBES, When};
use super::report::Report;
use super::script::{self, CLIENTS};
use super::visit::Visit;
use crate::client::{ConnectError, Connection, Received, TlsOptions, Way};
use crate::config::Secret;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Time between two connections to a pool that is not on this machine: far from what any pool takes for a flood.
const BETWEEN_CONNECTIONS: Duration = Duration::from_millis(300);

/// What is examined, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the pool is.
    pub way: Way,
    /// `ADDRESS.worker`.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// One client, probe or check alone.
    pub only: Option<String>,
    /// Also what takes a minute.
    pub long: bool,
    /// A certificate that strangers do not believe is a failure.
    pub strict: bool,
    /// Longest silence towards an idle miner that is allowed; the first firmware gives a pool up after 90 s.
    pub silence_max: Duration,
    /// How long an answer may take; a miner's firmware takes a pool for dead after 5 s.
    pub patience: Duration,
}

/// A run over a pool.
pub(super) struct Run<'a> {
    options: &'a Options,
    last_connection: Option<Instant>,
}

/// What `--only` may name.
pub fn names() -> Vec<&'static str> {
    let (clients, probes) = (CLIENTS.iter().map(|(name, _)| *name), PROBES.iter().map(|probe| probe.name));
    let checks = super::check::CHECKS.iter().map(|about| about.name);
    clients.chain(probes).chain(checks).collect()
}

/// Examines a pool. `progress` is told the name of each client and probe before it begins.
///
/// # Errors
/// [`ConnectError`] when the pool cannot be reached at all.
pub fn examine(options: &Options, mut progress: impl FnMut(&str)) -> Result<Report, ConnectError> {
    drop(Connection::open(&options.way, Instant::now() + options.patience)?);
    let mut run = Run { options, last_connection: Some(Instant::now()) };
    let (mut ledger, mut outcomes) = (Ledger::default(), Vec::new());
    ledger.not_made(Check::Certificate, "only with --tls");
    ledger.not_made(Check::Tls12, "only with --tls");
    ledger.not_made(Check::IdleJob, "only with --long");
    // A check can be found out by any of them, so all are played for its sake.
    let only = options.only.as_deref().filter(|only| Check::named(only).is_none());
    let is_wanted = |name: &str| only.is_none_or(|only| only == name);
    for probe in PROBES.iter().filter(|probe| is_wanted(probe.name) && options.asks_for(probe.when)) {
        progress(probe.title);
        (probe.ask)(&mut run, &mut ledger);
        outcomes.push(ledger.end_of(probe.name, probe.title.to_owned()));
    }
    for (name, text) in CLIENTS.iter().filter(|(name, _)| is_wanted(name)) {
        let script = script::read(text).expect("the recorded clients can be read; a test says so");
        progress(&script.title);
        play(&script, &mut run, &mut ledger);
        outcomes.push(ledger.end_of(name, script.title));
    }
    Ok(Report::of(options, outcomes, ledger))
}

impl Options {
    fn asks_for(&self, when: When) -> bool {
        match when {
            When::Always => true,
            When::Long => self.long,
            When::Tls => self.way.tls.is_some(),
        }
    }
}

impl Run<'_> {
    /// Longest silence that is allowed.
    pub(super) fn silence_max(&self) -> Duration {
        self.options.silence_max
    }

    /// Whether a doubtful certificate is a failure.
    pub(super) fn is_strict(&self) -> bool {
        self.options.strict
    }

    /// A fresh connection; a pool that refuses it has failed.
    pub(super) fn visit<'b>(&mut self, ledger: &'b mut Ledger) -> Option<Visit<'b>> {
        match self.dial(self.options.way.tls) {
            Ok(connection) => Some(Visit::over(connection, self.options.patience, ledger)),
            Err(error) => {
                ledger.found(Check::Connects, error.to_string(), error.to_string());
                None
            }
        }
    }

    /// A fresh connection with devices' TLS; one that refuses it has failed.
    pub(super) fn visit_by_tls_1_2<'b>(&mut self, ledger: &'b mut Ledger) -> Option<Visit<'b>> {
        match self.dial(Some(TlsOptions { only_1_2: true })) {
            Ok(connection) => Some(Visit::over(connection, self.options.patience, ledger)),
            Err(error) => {
                ledger.found(Check::Tls12, error.to_string(), error.to_string());
                None
            }
        }
    }

    fn dial(&mut self, tls: Option<TlsOptions>) -> Result<Connection, ConnectError> {
        self.keep_distance();
        let way = Way { tls, ..self.options.way.clone() };
        let mut connection = Connection::open(&way, Instant::now() + self.options.patience)?;
        let password = self.options.password.reveal();
        // Without them nobody could tell from the conversation what was tried.
        if password != "x" && !password.starts_with("d=") {
            connection.conceal(password);
        }
        Ok(connection)
    }

    /// Sends bytes on a connection of their own and waits until the pool has hung up or said something.
    ///
    /// # Errors
    /// What the pool did instead of taking the connection.
    pub(super) fn shout(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut connection = self.dial(self.options.way.tls).map_err(|error| error.to_string())?;
        connection.send_bytes(bytes, "(a very long line)");
        // Either is fine, and so is silence: what counts is what becomes of the others.
        let _: Received = connection.receive(Instant::now() + Duration::from_millis(500));
        Ok(())
    }

    /// What `{name}` in a script stands for.
    pub(super) fn names(&self) -> HashMap<String, String> {
        let quoted = |text: &str| {
            let quoted = serde_json::to_string(text).unwrap_or_default();
            quoted.trim_matches('"').to_owned()
        };
        let user = &self.options.user;
        let address = user.split('.').next().unwrap_or(user);
        let names =
            [("user", &**user), ("password", self.options.password.reveal()), ("address", address), ("session", "")];
        names.map(|(name, value)| (name.to_owned(), quoted(value))).into()
    }

    /// `mining.authorize` of the worker of this run.
    pub(super) fn authorize(&self, id: u32) -> String {
        let names = self.names();
        format!(r#"{{"id":{id},"method":"mining.authorize","params":["{}","{}"]}}"#, names["user"], names["password"])
    }

    /// Never many connections at once.
    fn keep_distance(&mut self) {
        let here = matches!(&*self.options.way.endpoint.host, "127.0.0.1" | "localhost" | "::1");
        let since = self.last_connection.replace(Instant::now());
        let wait = since.map_or(Duration::ZERO, |since| BETWEEN_CONNECTIONS.saturating_sub(since.elapsed()));
        if !here && !wait.is_zero() {
            std::thread::sleep(wait);
        }
    }
}
