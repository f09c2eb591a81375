//! A stream over TLS that trusts one certificate.

use super::DEADLINE;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// A connection whose handshake is done.
pub(crate) struct TlsStream(pub(crate) StreamOwned<ClientConnection, TcpStream>);

impl TlsStream {
    /// Connects to `pool.test` at `address`, trusting the certificates in `pem` alone, by TLS 1.2 or 1.3.
    pub(crate) fn connect(address: SocketAddr, pem: &[u8], tls12: bool) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        CertificateDer::pem_slice_iter(pem).for_each(|certificate| roots.add(certificate.unwrap()).unwrap());
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[if tls12 { &TLS12 } else { &TLS13 }])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut connection =
            ClientConnection::new(Arc::new(config), ServerName::try_from("pool.test").unwrap()).unwrap();
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.set_nodelay(true)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Self(StreamOwned::new(connection, socket)))
    }
}
