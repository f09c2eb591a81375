//! A small HTTP/1.1 server, one thread a connection, with keep-alive. Enough for RPC clients; no TLS, no chunked
//! requests, no pipelining.

use crate::limits::{HTTP_BODY_BYTES_MAX, HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_IDLE_TIMEOUT};
use crate::sync::lock;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// A request as the handler sees it.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// What the handler wants done.
pub(crate) enum Response {
    Answer {
        status: u16,
        content_type: &'static str,
        body: Vec<u8>,
    },
    /// Close the connection without a word.
    Drop,
}

/// Serves requests, on many threads at once.
pub(crate) trait Handler: Send + Sync + 'static {
    fn handle(&self, request: &Request) -> Response;
}

/// A listening server; stops when told, or when dropped.
pub(crate) struct HttpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stopping: AtomicBool,
    connections: Mutex<HashMap<u64, TcpStream>>,
}

impl HttpServer {
    /// Listens at `address`; port 0 lets the system choose.
    pub(crate) fn start<H: Handler>(address: SocketAddr, handler: Arc<H>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let acceptor_shared = Arc::clone(&shared);
        let acceptor = thread::Builder::new()
            .name("simnode-accept".to_owned())
            .spawn(move || accept_all(&listener, &acceptor_shared, &handler))?;
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    /// Closes the listener and all connections. Threads that still serve a request end when they want to answer.
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the acceptor; when this fails there is none to wake.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        for connection in lock(&self.shared.connections).values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn accept_all<H: Handler>(listener: &TcpListener, shared: &Arc<Shared>, handler: &Arc<H>) {
    for (id, stream) in (0_u64..).zip(listener.incoming()) {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let Ok(copy) = stream.try_clone() else { continue };
        let mut connections = lock(&shared.connections);
        if connections.len() >= HTTP_CONNECTIONS_MAX {
            continue;
        }
        connections.insert(id, copy);
        let (thread_shared, handler) = (Arc::clone(shared), Arc::clone(handler));
        let spawned = thread::Builder::new().name("simnode-rpc".to_owned()).spawn(move || {
            // A connection that breaks concerns its client alone.
            let _ = serve(stream, handler.as_ref());
            lock(&thread_shared.connections).remove(&id);
        });
        if spawned.is_err() {
            connections.remove(&id);
        }
    }
}

fn serve<H: Handler>(mut stream: TcpStream, handler: &H) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(HTTP_IDLE_TIMEOUT))?;
    stream.set_write_timeout(Some(HTTP_IDLE_TIMEOUT))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let Some(head) = read_head(&mut reader)? else { return Ok(()) };
        if head.body_bytes > HTTP_BODY_BYTES_MAX || head.is_chunked {
            let status = if head.is_chunked { 411 } else { 413 };
            return write_answer(&mut stream, status, "text/plain", b"", false);
        }
        if head.expects_continue {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = vec![0; head.body_bytes];
        reader.read_exact(&mut body)?;
        let request = Request { method: head.method, authorization: head.authorization, body };
        match handler.handle(&request) {
            Response::Drop => return stream.shutdown(Shutdown::Both),
            Response::Answer { status, content_type, body } => {
                write_answer(&mut stream, status, content_type, &body, head.keep_alive)?;
            }
        }
        if !head.keep_alive {
            return stream.shutdown(Shutdown::Both);
        }
    }
}

struct Head {
    method: String,
    authorization: Option<String>,
    body_bytes: usize,
    keep_alive: bool,
    expects_continue: bool,
    is_chunked: bool,
}

/// The request's line and headers; `None` when the client hung up between requests.
fn read_head(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Head>> {
    let mut limited = reader.take(HTTP_HEAD_BYTES_MAX as u64);
    let Some(request_line) = read_line(&mut limited)? else { return Ok(None) };
    let mut head = Head {
        method: request_line.split(' ').next().unwrap_or_default().to_owned(),
        authorization: None,
        body_bytes: 0,
        keep_alive: request_line.ends_with("HTTP/1.1"),
        expects_continue: false,
        is_chunked: false,
    };
    loop {
        let line = read_line(&mut limited)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(Some(head));
        }
        let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
        apply_header(&mut head, name, value.trim())?;
    }
}

fn apply_header(head: &mut Head, name: &str, value: &str) -> io::Result<()> {
    match name.to_ascii_lowercase().as_str() {
        "authorization" => head.authorization = Some(value.to_owned()),
        "content-length" => head.body_bytes = value.parse().map_err(|_| io::ErrorKind::InvalidData)?,
        "connection" if value.eq_ignore_ascii_case("close") => head.keep_alive = false,
        "connection" if value.eq_ignore_ascii_case("keep-alive") => head.keep_alive = true,
        "expect" => head.expects_continue = value.eq_ignore_ascii_case("100-continue"),
        "transfer-encoding" => head.is_chunked = true,
        _ => {}
    }
    Ok(())
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    if !line.ends_with('\n') {
        return Err(io::ErrorKind::InvalidData.into());
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(Some(line))
}

fn write_answer(
    stream: &mut TcpStream,
    status: u16,
    content_type: &str,
    body: &[u8],
    keep_alive: bool,
) -> io::Result<()> {
    let challenge = if status == 401 { "WWW-Authenticate: Basic realm=\"jsonrpc\"\r\n" } else { "" };
    let connection = if keep_alive { "" } else { "Connection: close\r\n" };
    let mut answer = format!(
        "HTTP/1.1 {status} {}\r\n{challenge}{connection}Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        reason_phrase(status),
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    stream.write_all(&answer)
}

fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Payload Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}
