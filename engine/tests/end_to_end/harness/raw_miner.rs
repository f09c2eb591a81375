//! A miner that is nothing but a stream, plain or over TLS. It hashes nothing: its difficulty is one that every hash meets.

use super::{DEADLINE, TlsStream, job, until};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Pins a difficulty that every hash meets.
const EASY: &str = "d=1e-12";

/// What a miner speaks through.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.0.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.0.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.0.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.0.flush(),
        }
    }
}

/// One connection.
pub(crate) struct RawMiner {
    lines: BufReader<Stream>,
    /// Messages that came while an answer was waited for.
    heard: VecDeque<Value>,
    username: String,
    extranonce1: String,
    extranonce2_bytes: usize,
    requests: u64,
}

impl RawMiner {
    /// A connection on which nothing has been said.
    pub(crate) fn connect(pool: SocketAddr) -> Self {
        let stream = TcpStream::connect(pool).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(Stream::Plain(stream))
    }

    fn over(stream: Stream) -> Self {
        Self {
            lines: BufReader::new(stream),
            heard: VecDeque::new(),
            username: String::new(),
            extranonce1: String::new(),
            extranonce2_bytes: 0,
            requests: 0,
        }
    }

    /// Subscribed and authorized, at a difficulty that every hash meets.
    pub(crate) fn join(pool: SocketAddr, username: &str) -> Self {
        Self::join_with(pool, username, EASY)
    }

    /// Subscribed and authorized.
    pub(crate) fn join_with(pool: SocketAddr, username: &str, password: &str) -> Self {
        Self::connect(pool).log_in(username, password)
    }

    /// Subscribed and authorized over TLS, at a difficulty that every hash meets.
    pub(crate) fn join_over(stream: TlsStream, username: &str) -> Self {
        Self::over(Stream::Tls(Box::new(stream))).log_in(username, EASY)
    }

    fn log_in(self, username: &str, password: &str) -> Self {
        let mut miner = self;
        let subscription = miner.call("mining.subscribe", &json!(["raw/1.0"])).unwrap();
        miner.extranonce1 = subscription["result"][1].as_str().unwrap().to_owned();
        miner.extranonce2_bytes = subscription["result"][2].as_u64().unwrap() as usize;
        let authorized = miner.call("mining.authorize", &json!([username, password])).unwrap();
        assert_eq!(authorized["result"], true, "{authorized}");
        miner.username = username.to_owned();
        miner
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // A pool that hangs up is seen when reading.
        let stream = self.lines.get_mut();
        let _ = stream.write_all(bytes).and_then(|()| stream.flush());
    }

    /// Sends bytes `times` times, or until the pool does not take them.
    pub(crate) fn flood(&mut self, bytes: &[u8], times: usize) {
        let stream = self.lines.get_mut();
        stream.socket().set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        for _ in 0..times {
            if stream.write_all(bytes).is_err() {
                return;
            }
        }
    }

    /// Writes without end and reads nothing, until the pool has taken nothing for a second.
    pub(crate) fn flood_until_unheard(&mut self, bytes: &[u8]) {
        let stream = self.lines.get_mut();
        stream.socket().set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let end = Instant::now() + DEADLINE;
        loop {
            assert!(Instant::now() < end, "the pool listens to whoever does not listen");
            match stream.write(bytes) {
                // Cut lines are as good as whole ones here.
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
                Err(error) => panic!("the pool hung up: {error}"),
            }
        }
    }

    /// The next message; `None` once the pool has hung up.
    pub(crate) fn read(&mut self) -> Option<Value> {
        if let Some(earlier) = self.heard.pop_front() {
            return Some(earlier);
        }
        self.read_line().map(|line| serde_json::from_str(&line).unwrap())
    }

    /// The next message that is an answer; `None` once the pool has hung up.
    pub(crate) fn answer(&mut self) -> Option<Value> {
        loop {
            let message = self.read()?;
            if message.get("method").is_none() {
                return Some(message);
            }
        }
    }

    /// The next line; `None` once the pool has hung up.
    fn read_line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("nothing from the pool: {error}"),
        }
    }

    /// Waits until the pool hangs up.
    pub(crate) fn wait_for_end(&mut self) {
        until("the pool hangs up", || if self.read().is_none() { Some(()) } else { None });
    }

    /// The answer to a request; `None` when the pool hangs up instead.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Option<Value> {
        self.requests += 1;
        let id = self.requests;
        self.send(format!("{}\n", json!({ "id": id, "method": method, "params": params })).as_bytes());
        loop {
            let message: Value = serde_json::from_str(&self.read_line()?).unwrap();
            if message["id"] == id {
                return Some(message);
            }
            self.heard.push_back(message);
        }
    }

    /// The parameters of the next message of a method that are as they should be; others are passed over.
    pub(crate) fn wait_for(&mut self, method: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.read().unwrap_or_else(|| panic!("the pool hung up before {method}"));
            if message["method"] == method && is_so(&message["params"]) {
                return message["params"].clone();
            }
        }
    }

    /// The next job.
    pub(crate) fn job(&mut self) -> Value {
        self.wait_for("mining.notify", |_| true)
    }

    /// Submits a share for a job, with an extranonce2 that was not used before.
    pub(crate) fn submit(&mut self, job: &Value) -> Option<Value> {
        let extranonce2 = self.extranonce2(self.requests);
        let params = self.share(job, &extranonce2);
        self.call("mining.submit", &params)
    }

    /// Submits the last share once more.
    pub(crate) fn submit_again(&mut self, job: &Value) -> Option<Value> {
        let extranonce2 = self.extranonce2(self.requests - 1);
        let params = self.share(job, &extranonce2);
        self.call("mining.submit", &params)
    }

    /// Submits a share that is a block, which two hashes in three are on an easy node; gives its hash. What the pool
    /// says of it is left to the caller.
    pub(crate) fn submit_block(&mut self, job: &Value) -> String {
        let (hash, line) = self.block_line(job);
        self.send(&line);
        hash
    }

    /// The line that submits a block, and the block's hash.
    pub(crate) fn block_line(&mut self, job: &Value) -> (String, Vec<u8>) {
        let mut numbers = (1_000_000..2_000_000).map(|number| self.extranonce2(number));
        let found = numbers.find(|extranonce2| job::is_block(job, &self.extranonce1, extranonce2)).unwrap();
        self.requests += 1;
        let params = self.share(job, &found);
        let line = format!("{}\n", json!({ "id": self.requests, "method": "mining.submit", "params": params }));
        (job::block_hash(job, &self.extranonce1, &found), line.into_bytes())
    }

    /// Ends the connection from this side while the other may still be read.
    pub(crate) fn hang_up(&self) {
        self.lines.get_ref().socket().shutdown(Shutdown::Write).unwrap();
    }

    fn extranonce2(&self, number: u64) -> String {
        format!("{number:0width$x}", width = self.extranonce2_bytes * 2)
    }

    fn share(&self, job: &Value, extranonce2: &str) -> Value {
        json!([self.username, job[0], extranonce2, job[7], "00000001"])
    }

    /// Submits a share that must be accepted.
    pub(crate) fn submit_good(&mut self, job: &Value) {
        let answer = self.submit(job).expect("the pool answers");
        assert_eq!(answer["result"], true, "{answer}");
    }
}
