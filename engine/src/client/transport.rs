//! The socket: plain, or with TLS around it.

use super::certificate::{self, TlsReport};
use super::{Endpoint, TlsOptions, Way};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// Why a pool cannot be reached, in a sentence for the one who typed its name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name means nothing.
    #[error("{endpoint} cannot be found: {why}")]
    Unknown {
        /// As it was typed.
        endpoint: String,
        /// The system's words.
        why: String,
    },
    /// Nobody listens, or nobody answers in time.
    #[error("{endpoint} does not take a connection: {why}")]
    Refused {
        /// As it was typed.
        endpoint: String,
        /// The system's words.
        why: String,
    },
    /// TLS failed.
    #[error("{endpoint} and TLS do not agree: {why}")]
    Tls {
        /// As it was typed.
        endpoint: String,
        /// The library's words.
        why: String,
    },
}

/// Bytes to and from a pool.
pub(super) enum Transport {
    /// As they are.
    Plain(TcpStream),
    /// Sealed.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Transport {
    /// Connects until `deadline`; a report when there is TLS.
    pub(super) fn open(way: &Way, deadline: Instant) -> Result<(Self, Option<TlsReport>), ConnectError> {
        let stream = dial(&way.endpoint, deadline)?;
        match way.tls {
            None => Ok((Self::Plain(stream), None)),
            Some(options) => {
                let error = |why: String| ConnectError::Tls { endpoint: way.endpoint.to_string(), why };
                let (stream, report) = seal(stream, &way.endpoint, options, deadline).map_err(error)?;
                Ok((Self::Tls(Box::new(stream)), Some(report)))
            }
        }
    }

    /// Lets a read end after `patience` with [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::TimedOut`].
    pub(super) fn wait_at_most(&self, patience: Duration) -> io::Result<()> {
        // Zero would mean for ever.
        self.socket().set_read_timeout(Some(patience.max(Duration::from_millis(1))))
    }

    /// Ends both directions.
    pub(super) fn close(&mut self) {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            // Whoever is gone needs no farewell.
            let _ = stream.conn.complete_io(&mut stream.sock);
        }
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// The first address of the name that takes a connection.
fn dial(endpoint: &Endpoint, deadline: Instant) -> Result<TcpStream, ConnectError> {
    let name = endpoint.to_string();
    let found = (endpoint.host.as_str(), endpoint.port).to_socket_addrs();
    let addresses = found.map_err(|error| ConnectError::Unknown { endpoint: name.clone(), why: error.to_string() })?;
    let mut why = "it has no address".to_owned();
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, left).and_then(|stream| prepare(&stream, left).map(|()| stream)) {
            Ok(stream) => return Ok(stream),
            Err(error) => why = error.to_string(),
        }
    }
    Err(ConnectError::Refused { endpoint: name, why })
}

fn prepare(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(patience))?;
    stream.set_read_timeout(Some(patience))
}

fn seal(
    mut stream: TcpStream,
    endpoint: &Endpoint,
    options: TlsOptions,
    deadline: Instant,
) -> Result<(StreamOwned<ClientConnection, TcpStream>, TlsReport), String> {
    let (config, seen) = certificate::configure(options).map_err(|error| error.to_string())?;
    let name = ServerName::try_from(endpoint.host.clone()).map_err(|error| error.to_string())?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    while connection.is_handshaking() {
        if Instant::now() >= deadline {
            return Err("the handshake does not end in time".to_owned());
        }
        connection.complete_io(&mut stream).map_err(|error| error.to_string())?;
    }
    let version = connection.protocol_version().map_or_else(|| "unknown".to_owned(), |version| format!("{version:?}"));
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let report = TlsReport {
        version: version.replace("TLSv1_", "TLS 1."),
        chain_bytes: seen.chain_bytes,
        doubt: seen.doubt.clone(),
    };
    Ok((StreamOwned::new(connection, stream), report))
}
