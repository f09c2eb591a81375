//! TLS to a pool of Stratum V1: who is believed, and the handshake.
//!
//! Unlike miners' firmware a translator does not talk to whoever has some certificate: what it sends is worth money.

use super::error::UpstreamError;
use crate::client::Endpoint;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Why nobody can be believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// No certificate is in the file.
    #[error("{file} holds no certificate in PEM that can be an authority: {why}", file = .file.display())]
    Authority {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The library refuses its own defaults.
    #[error("TLS cannot be spoken: {0}")]
    Tls(#[from] rustls::Error),
}

/// Believes the authorities that browsers believe, and those in the file `authorities`, which may be a pool's own certificate.
///
/// # Errors
/// When the file is of no use.
pub fn trust(authorities: Option<&Path>) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = authorities {
        let error = |why: String| TrustError::Authority { file: file.to_owned(), why };
        let listed = CertificateDer::pem_file_iter(file).map_err(|why| error(why.to_string()))?;
        let before = roots.len();
        for certificate in listed {
            let certificate = certificate.map_err(|why| error(why.to_string()))?;
            roots.add(certificate).map_err(|why| error(why.to_string()))?;
        }
        if roots.len() == before {
            return Err(error("it is empty".to_owned()));
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Does the handshake before `end`.
pub(super) fn shake(
    stream: &mut TcpStream,
    endpoint: &Endpoint,
    config: &Arc<ClientConfig>,
    end: Instant,
) -> Result<ClientConnection, UpstreamError> {
    let invalid = |error: &dyn ToString| UpstreamError::Name(io::Error::other(error.to_string()));
    let name = ServerName::try_from(endpoint.host.clone()).map_err(|error| invalid(&error))?;
    let mut connection = ClientConnection::new(Arc::clone(config), name).map_err(UpstreamError::Tls)?;
    while connection.is_handshaking() {
        while connection.wants_write() {
            connection.write_tls(stream)?;
        }
        let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        stream.set_read_timeout(Some(left.ok_or(UpstreamError::NoAnswer)?))?;
        match connection.read_tls(stream) {
            Ok(0) => return Err(UpstreamError::Handshake(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
            Err(error) => return Err(UpstreamError::Handshake(error)),
        }
        connection.process_new_packets().map_err(UpstreamError::Tls)?;
    }
    Ok(connection)
}
