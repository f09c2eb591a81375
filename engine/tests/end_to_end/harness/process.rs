//! The program as a process.

use super::{DEADLINE, Site, until};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

const PROGRAM: &str = env!("CARGO_BIN_EXE_warppool");

/// A running `warppool run`. It is killed when dropped; its log is shown when the test fails.
pub(crate) struct Pool {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
    /// Where miners connect.
    pub(crate) miners: SocketAddr,
    /// Where HTTP is.
    pub(crate) http: SocketAddr,
}

impl Pool {
    /// Starts the pool of `site` and waits until it listens.
    pub(crate) fn start(site: &Site) -> Self {
        let mut child = run(site).spawn().unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let (into, errors) = (Arc::clone(&log), child.stderr.take().unwrap());
        let reader = std::thread::spawn(move || {
            BufReader::new(errors).lines().map_while(Result::ok).for_each(|line| into.lock().unwrap().push(line));
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut pool = Self { child, log, reader: Some(reader), miners: nowhere, http: nowhere };
        pool.miners = pool.address_after("stratum+tcp://");
        pool.http = pool.address_after("the dashboard is at http://");
        pool
    }

    /// Starts it again where it was, for miners that come back.
    pub(crate) fn start_again(site: &mut Site, before: &Self) -> Self {
        site.set("server.pool_listen", &before.miners.to_string());
        Self::start(site)
    }

    /// All lines of the log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line of the log that holds all of `texts`.
    pub(crate) fn wait_for_log(&mut self, texts: &[&str]) -> String {
        until(&format!("a log line with {texts:?}"), || {
            let found = self.log().into_iter().find(|line| texts.iter().all(|text| line.contains(text)));
            if found.is_none() {
                let ended = self.child.try_wait().unwrap();
                assert!(ended.is_none(), "the pool has ended with {ended:?}");
            }
            found
        })
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end and waits until it has; gives its exit status and its log.
    pub(crate) fn terminate(mut self) -> (ExitStatus, Vec<String>) {
        self.signal("TERM");
        let status = wait(&mut self.child);
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status, self.log())
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn address_after(&mut self, text: &str) -> SocketAddr {
        let line = self.wait_for_log(&[text]);
        let rest = &line[line.find(text).unwrap() + text.len()..];
        let is_of_address = |symbol: char| symbol.is_ascii_hexdigit() || ".:[]".contains(symbol);
        let end = rest.find(|symbol| !is_of_address(symbol)).unwrap_or(rest.len());
        rest[..end].parse().unwrap()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("log of the pool:\n{}", self.log().join("\n"));
        }
    }
}

fn run(site: &Site) -> Command {
    let mut command = program();
    command.args(["run", "--config"]).arg(site.path("config.toml")).stdout(Stdio::null()).stderr(Stdio::piped());
    for text in &site.overrides {
        command.args(["--set", text]);
    }
    command
}

fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

/// Runs the program with `arguments` to its end; what it wrote is little.
pub(crate) fn finish(arguments: &[&str]) -> Output {
    let mut child = program().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait(&mut child);
    child.wait_with_output().unwrap()
}

/// Waits for the end; after the deadline the process is killed.
fn wait(child: &mut Child) -> ExitStatus {
    let end = std::time::Instant::now() + DEADLINE * 4;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if std::time::Instant::now() > end {
            child.kill().unwrap();
            panic!("the process does not end");
        }
        std::thread::sleep(super::LOOK);
    }
}
