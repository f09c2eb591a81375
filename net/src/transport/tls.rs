//! TLS, 1.2 and 1.3, server's side: from the bytes of a socket to plain text and back, over the caller's buffers.
//!
//! The order of calls: [`TlsServer::receive`] for each piece of the stream, [`TlsServer::seal`] for what is to be sent once
//! [`TlsServer::is_established`], [`TlsServer::close`] at the end. Each may leave bytes for the socket in
//! [`Scratch::cipher`]; they must be sent in order, also after an error, which they tell the peer.
//!
//! A connection keeps no buffer of its own but the part of a record that is not whole yet. No client is asked for a
//! certificate, no early data is taken, and sessions are resumed by tickets or by their number, so that a device that comes
//! back needs no signature.

use rustls::crypto::aws_lc_rs;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, ReadTraffic, UnbufferedStatus, WriteTraffic};
use rustls::{Error, HandshakeKind, InconsistentKeys, ServerConfig};
use std::fmt;
use std::sync::Arc;
use warppool_components::limits::{TLS_RECEIVE_BYTES_MAX, TLS_RECORD_BYTES_MAX, TLS_SESSIONS_KEPT_MAX};

pub use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Room for header, nonce, tag and padding of one record, with something to spare.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// Bytes that a scratch buffer may keep between two uses.
const SCRATCH_BYTES_KEPT: usize = 256 * 1024;

/// Why a certificate and key cannot be used.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum IdentityError {
    /// The key is another certificate's.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The library does not take them.
    #[error("not usable: {0}")]
    Unusable(Error),
}

/// Why a connection's TLS has ended.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum TlsError {
    /// The peer broke the protocol, or has nothing in common with us.
    #[error("{0}")]
    Protocol(#[from] Error),
    /// A record or handshake message over [`TLS_RECEIVE_BYTES_MAX`].
    #[error("a TLS message is longer than {TLS_RECEIVE_BYTES_MAX} bytes")]
    TooLong,
    /// Something is to be sent before the handshake is over, or after the end.
    #[error("nothing can be sent at this point of the connection")]
    NotReady,
}

/// What lets sessions be resumed. Kept over a change of certificate, so that devices that come back are still known.
#[derive(Clone, Debug)]
pub struct Resumption {
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
}

impl Resumption {
    /// Keys of its own, which live and die with this process.
    ///
    /// # Errors
    /// [`IdentityError::Unusable`] when the system gives no randomness.
    pub fn new() -> Result<Self, IdentityError> {
        let tickets = aws_lc_rs::Ticketer::new().map_err(IdentityError::Unusable)?;
        Ok(Self { tickets, sessions: ServerSessionMemoryCache::new(TLS_SESSIONS_KEPT_MAX) })
    }
}

/// What connections are served by: a certificate chain, leaf first, and its key.
///
/// # Errors
/// [`IdentityError`] when they do not belong together or are of a kind that TLS does not know.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    resumption: &Resumption,
) -> Result<Arc<ServerConfig>, IdentityError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => IdentityError::KeyMismatch,
            other => IdentityError::Unusable(other),
        })?;
    config.ticketer = Arc::clone(&resumption.tickets);
    config.session_storage = Arc::clone(&resumption.sessions);
    // One is enough: a miner opens one connection at a time.
    config.send_tls13_tickets = 1;
    config.max_fragment_size = Some(TLS_RECORD_BYTES_MAX);
    Ok(Arc::new(config))
}

/// Buffers that all connections use in turn.
#[derive(Default)]
pub struct Scratch {
    /// What a peer said.
    pub plain: Vec<u8>,
    /// What is to be sent to it.
    pub cipher: Vec<u8>,
}

impl Scratch {
    /// Empties both; memory beyond the usual is given back.
    pub fn clear(&mut self) {
        for buffer in [&mut self.plain, &mut self.cipher] {
            buffer.clear();
            buffer.shrink_to(SCRATCH_BYTES_KEPT);
        }
    }
}

/// By hand, because what miners say may hold a password.
impl fmt::Debug for Scratch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Scratch {{ plain: {} bytes, cipher: {} bytes }}", self.plain.len(), self.cipher.len())
    }
}

/// One connection's TLS.
pub struct TlsServer {
    connection: UnbufferedServerConnection,
    /// The start of a record or message that is not whole yet.
    pending: Vec<u8>,
    peer_closed: bool,
}

/// What is done once the connection can write.
enum Then<'a> {
    Nothing,
    Send(&'a [u8]),
    Close,
}

impl TlsServer {
    /// A connection on which nothing has been said.
    ///
    /// # Errors
    /// [`TlsError::Protocol`] when the configuration is not usable, which [`server_config`] does not make.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self { connection, pending: Vec::new(), peer_closed: false })
    }

    /// Takes what a socket gave; it is decrypted where it stands. Plain text and bytes to be sent are appended to
    /// `scratch`.
    ///
    /// # Errors
    /// [`TlsError`]: the connection is over, when the alert in `scratch` has been sent. Plain text that came before counts.
    pub fn receive(&mut self, received: &mut [u8], scratch: &mut Scratch) -> Result<(), TlsError> {
        if self.pending.is_empty() {
            let used = self.turn(received, scratch, &Then::Nothing)?;
            self.pending.extend_from_slice(&received[used..]);
        } else {
            let mut whole = std::mem::take(&mut self.pending);
            whole.extend_from_slice(received);
            let used = self.turn(&mut whole, scratch, &Then::Nothing)?;
            if used < whole.len() {
                whole.drain(..used);
                self.pending = whole;
            }
        }
        if self.pending.len() > TLS_RECEIVE_BYTES_MAX { Err(TlsError::TooLong) } else { Ok(()) }
    }

    /// Appends `plain`, encrypted, to `cipher`.
    ///
    /// # Errors
    /// [`TlsError::NotReady`] before the handshake is over; [`TlsError::Protocol`] when keys are used up.
    pub fn seal(&mut self, plain: &[u8], cipher: &mut Vec<u8>) -> Result<(), TlsError> {
        self.write(cipher, &Then::Send(plain))
    }

    /// Appends the word that nothing more will come. Before the handshake is over there is none.
    pub fn close(&mut self, cipher: &mut Vec<u8>) {
        // The connection ends in any case; this is politeness.
        let _ = self.write(cipher, &Then::Close);
    }

    /// Whether the handshake is over.
    pub fn is_established(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Whether the peer was known from an earlier connection, so that no signature was needed.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether the peer has said that nothing more will come.
    pub const fn is_closed_by_peer(&self) -> bool {
        self.peer_closed
    }

    fn write(&mut self, cipher: &mut Vec<u8>, then: &Then<'_>) -> Result<(), TlsError> {
        let mut scratch = Scratch { plain: Vec::new(), cipher: std::mem::take(cipher) };
        // The library wants to see what is not whole yet at every turn.
        let mut pending = std::mem::take(&mut self.pending);
        let used = self.turn(&mut pending, &mut scratch, then);
        if let Ok(used) = used {
            pending.drain(..used);
        }
        self.pending = pending;
        *cipher = scratch.cipher;
        debug_assert!(scratch.plain.is_empty(), "whole records are decrypted when they are received");
        used.map(drop)
    }

    /// Turns until the library has nothing more to do with `buffer`. Returns how much of its front is used up.
    fn turn(&mut self, buffer: &mut [u8], scratch: &mut Scratch, then: &Then<'_>) -> Result<usize, TlsError> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(&mut buffer[used..]);
            let is_over = match state {
                Ok(ConnectionState::ReadTraffic(traffic)) => {
                    discard += take_records(traffic, &mut scratch.plain)?;
                    false
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append_handshake(&mut scratch.cipher, |out| data.encode(out))?;
                    false
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.peer_closed = true;
                    false
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    act(&mut traffic, then, &mut scratch.cipher)?;
                    true
                }
                Ok(_) if matches!(then, Then::Send(_)) => return Err(TlsError::NotReady),
                Ok(_) => true,
                Err(error) => {
                    self.append_alert(&mut buffer[used + discard..], &mut scratch.cipher);
                    return Err(error.into());
                }
            };
            used += discard;
            if is_over {
                return Ok(used);
            }
        }
    }

    /// What the library wants to tell the peer about an error: at most one alert, after which it must not be asked again.
    fn append_alert(&mut self, buffer: &mut [u8], cipher: &mut Vec<u8>) {
        let status = self.connection.process_tls_records(buffer);
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state {
            // The connection ends in any case.
            let _ = append_handshake(cipher, |out| data.encode(out));
        }
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TlsServer {{ pending: {} bytes }}", self.pending.len())
    }
}

/// Appends the records that were decrypted; returns how much more of the buffer they used.
fn take_records(
    mut traffic: ReadTraffic<'_, '_, rustls::server::ServerConnectionData>,
    plain: &mut Vec<u8>,
) -> Result<usize, TlsError> {
    let mut used = 0;
    while let Some(record) = traffic.next_record() {
        let record = record?;
        used += record.discard;
        plain.extend_from_slice(record.payload);
    }
    Ok(used)
}

type Writer<'a> = WriteTraffic<'a, rustls::server::ServerConnectionData>;

fn act(traffic: &mut Writer<'_>, then: &Then<'_>, cipher: &mut Vec<u8>) -> Result<(), TlsError> {
    match then {
        Then::Nothing => Ok(()),
        Then::Send(plain) => {
            let records = plain.len() / (TLS_RECORD_BYTES_MAX / 2) + 1;
            append_sealed(cipher, plain.len() + records * RECORD_OVERHEAD_BYTES, |out| traffic.encrypt(plain, out))
        }
        Then::Close => append_sealed(cipher, RECORD_OVERHEAD_BYTES, |out| traffic.queue_close_notify(out)),
    }
}

/// Appends what `encode` writes; it says by itself how much room it needs.
fn append_handshake(
    out: &mut Vec<u8>,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<(), TlsError> {
    let start = out.len();
    let mut result = encode(&mut []);
    if let Err(EncodeError::InsufficientSize(size)) = &result {
        out.resize(start + size.required_size, 0);
        result = encode(&mut out[start..]);
    }
    let written = result.map_err(|error| Error::General(error.to_string()))?;
    out.truncate(start + written);
    Ok(())
}

/// Appends what `encrypt` writes; `room` is a guess that is nearly always enough.
fn append_sealed(
    out: &mut Vec<u8>,
    room: usize,
    mut encrypt: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), TlsError> {
    let start = out.len();
    out.resize(start + room, 0);
    let mut result = encrypt(&mut out[start..]);
    if let Err(EncryptError::InsufficientSize(size)) = &result {
        out.resize(start + size.required_size, 0);
        result = encrypt(&mut out[start..]);
    }
    let written = result.as_ref().copied().unwrap_or(0);
    out.truncate(start + written);
    result.map(drop).map_err(|_| TlsError::NotReady)
}

#[cfg(test)]
mod tests;
