//! The pool's certificate: judged by Mozilla's roots, which miners' firmware has built in too, and
//! reported. It is never refused here: a miner on a LAN would not refuse it either.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::{Arc, Mutex, PoisonError};

/// How TLS is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TlsOptions {
    /// Offer TLS 1.2 alone, as small devices do.
    pub only_1_2: bool,
}

/// What a handshake has shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsReport {
    /// The version of TLS that was agreed on.
    pub version: String,
    /// Bytes of the whole chain of certificates.
    pub chain_bytes: usize,
    /// Why a stranger would not believe the certificate; `None` when he would.
    pub doubt: Option<String>,
}

/// What the verifier saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) chain_bytes: usize,
    pub(super) doubt: Option<String>,
}

/// Judges as a browser would and writes the verdict down.
#[derive(Debug)]
struct Witness {
    judge: Arc<WebPkiServerVerifier>,
    seen: Arc<Mutex<Seen>>,
}

/// The configuration of a connection, and where the verdict about its certificate will be.
///
/// # Errors
/// When the library refuses its own defaults.
pub(super) fn configure(options: TlsOptions) -> Result<(ClientConfig, Arc<Mutex<Seen>>), Error> {
    let provider: Arc<CryptoProvider> = Arc::new(aws_lc_rs::default_provider());
    let roots = Arc::new(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    let judge = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let witness = Arc::new(Witness { judge, seen: Arc::clone(&seen) });
    let versions: &[_] = if options.only_1_2 { &[&rustls::version::TLS12] } else { rustls::DEFAULT_VERSIONS };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(witness)
        .with_no_client_auth();
    Ok((config, seen))
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.chain_bytes = end_entity.len() + intermediates.iter().map(|it| it.len()).sum::<usize>();
        seen.doubt = verdict.err().map(|error| error.to_string());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
