//! The program as a process.

use super::{DEADLINE, LOOK, Site, until};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;
use warppool_io::failpoint;

/// The signal of `abort`.
const SIGABRT: i32 = 6;

const PROGRAM: &str = env!("CARGO_BIN_EXE_warppool");

/// How long a whole run of a command may take.
const RUN_MAX: u32 = 4;

/// A running `warppool`. It is killed when dropped.
pub(crate) struct Program {
    child: Child,
    output: Lines,
    errors: Lines,
}

impl Program {
    /// Starts it with these arguments and variables.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &Path)]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).envs(variables.iter().copied()).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (output, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, output: Lines::read(output), errors: Lines::read(errors) }
    }

    /// Waits for a line of its output that holds `text`.
    pub(crate) fn wait_for_output(&mut self, text: &str) -> String {
        wait_for_line(&mut self.child, &self.output, &[text])
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for its end; gives exit status, output and errors.
    pub(crate) fn finish(mut self) -> (Option<i32>, String, String) {
        let status = self.wait();
        (status.code(), self.output.end().join("\n"), self.errors.end().join("\n"))
    }

    /// Waits until it has died of a failpoint.
    pub(crate) fn wait_for_abort(&mut self) {
        let status = self.wait();
        assert_eq!(status.signal(), Some(SIGABRT), "{status}: {}", self.errors.end().join("\n"));
    }

    fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + DEADLINE * RUN_MAX;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the process does not end");
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines of a stream as they come.
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn read(stream: impl Read + Send + 'static) -> Self {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let into = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| into.lock().unwrap().push(line));
        });
        Self { lines, reader: Some(reader) }
    }

    fn so_far(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// All of them, once the process has ended.
    fn end(&mut self) -> Vec<String> {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.so_far()
    }
}

fn wait_for_line(child: &mut Child, lines: &Lines, texts: &[&str]) -> String {
    until(&format!("a line with {texts:?}"), || {
        let found = lines.so_far().into_iter().find(|line| texts.iter().all(|text| line.contains(text)));
        if found.is_none() {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "the program has ended with {ended:?}");
        }
        found
    })
}

/// A running `warppool run`. Its log is shown when the test fails.
pub(crate) struct Pool {
    program: Program,
    /// Where miners connect.
    pub(crate) miners: SocketAddr,
    /// Where HTTP is.
    pub(crate) http: SocketAddr,
}

impl Pool {
    /// Starts the pool of `site` and waits until it listens.
    pub(crate) fn start(site: &Site) -> Self {
        Self::of(run(site))
    }

    /// Waits until a program that serves miners listens.
    pub(crate) fn of(program: Program) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut pool = Self { program, miners: nowhere, http: nowhere };
        pool.miners = pool.address_after("miners connect to stratum+tcp://");
        pool.http = pool.address_after("the dashboard is at http://");
        pool
    }

    /// Starts it again where it was, for miners that come back.
    pub(crate) fn start_again(site: &mut Site, miners: SocketAddr) -> Self {
        site.set("server.pool_listen", &miners.to_string());
        Self::start(site)
    }

    /// Where miners connect that speak TLS alone.
    pub(crate) fn tls_address(&mut self) -> SocketAddr {
        self.address_after("stratum+ssl://")
    }

    /// Waits for a line of the log that holds all of `texts`.
    pub(crate) fn wait_for_log(&mut self, texts: &[&str]) -> String {
        wait_for_line(&mut self.program.child, &self.program.errors, texts)
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        self.program.signal(name);
    }

    /// Waits until it has died of a failpoint.
    pub(crate) fn wait_for_abort(&mut self) {
        self.program.wait_for_abort();
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.program.child.kill().unwrap();
        self.program.child.wait().unwrap();
    }

    /// Asks it to end and waits until it has; gives its exit status and its log.
    pub(crate) fn terminate(mut self) -> (Option<i32>, Vec<String>) {
        self.signal("TERM");
        let status = self.program.wait();
        (status.code(), self.program.errors.end())
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.program.child.try_wait().unwrap().is_none()
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
        if std::thread::panicking() {
            eprintln!("log of the pool:\n{}", self.program.errors.so_far().join("\n"));
        }
    }
}

/// `warppool run` with the configuration of `site`.
pub(crate) fn run(site: &Site) -> Program {
    let config = site.path("config.toml");
    let mut arguments = vec!["run", "--config", config.to_str().unwrap()];
    site.overrides.iter().for_each(|text| arguments.extend(["--set", text]));
    Program::start(&arguments, &[(failpoint::VARIABLE, Path::new(&site.failpoints))])
}
