//! One attacker's connection: blocking, with short time-outs, and a thread that reads when it is to read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// How long a connect may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a read or write may take before the clock is looked at.
const PATIENCE: Duration = Duration::from_millis(100);

/// A connection that was not accepted or was closed at once.
pub(super) fn connect(server: SocketAddr, source: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    if server.is_ipv4() {
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    socket.connect_timeout(&server.into(), CONNECT)?;
    let stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Subscribes and authorizes, and waits until the first job is there.
pub(super) fn log_in(stream: &mut TcpStream, username: &str, password: &str) -> io::Result<()> {
    let lines = format!(
        "{{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"abuse\"]}}\n\
         {{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"{username}\",\"{password}\"]}}\n"
    );
    stream.write_all(lines.as_bytes())?;
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    let end = Instant::now() + CONNECT;
    while !heard.windows(13).any(|window| window == b"mining.notify") {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => heard.extend_from_slice(&buffer[..count]),
            Err(error) if is_time_out(&error) && Instant::now() < end => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_time_out(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Writes `bytes` as far as the server takes them before `end`. Gives how many it took.
///
/// # Errors
/// When the connection has ended.
pub(super) fn write_until(stream: &mut TcpStream, bytes: &[u8], end: Instant) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() && Instant::now() < end {
        match stream.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if is_time_out(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// Whether the server has ended the connection, as far as one read tells. What it says is thrown away.
pub(super) fn has_ended(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return !is_time_out(&error),
        }
    }
}

/// Reads and throws away all that comes, on a thread of its own.
pub(super) struct Drain {
    lines: Arc<AtomicU64>,
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drain {
    pub(super) fn start(stream: &TcpStream) -> io::Result<Self> {
        let mut stream = stream.try_clone()?;
        let (lines, is_stopped) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stop) = (Arc::clone(&lines), Arc::clone(&is_stopped));
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while !stop.load(Ordering::Relaxed) {
                match stream.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(count) => {
                        let newlines = buffer[..count].iter().filter(|byte| **byte == b'\n').count();
                        counter.fetch_add(newlines as u64, Ordering::Relaxed);
                    }
                    Err(error) if is_time_out(&error) => {}
                    Err(_) => return,
                }
            }
        });
        Ok(Self { lines, is_stopped, thread: Some(thread) })
    }

    /// Whether nothing comes any more.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Lines that came.
    pub(super) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        // A panic in it has been reported by itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
