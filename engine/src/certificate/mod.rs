//! The certificate that miners see over TLS: read from its files, checked, and followed while the pool runs.
//!
//! A certificate that is out of its time is no mistake of the files: the pool serves it and says so, since miners that
//! do not look at dates go on, and a pool that stays down after a restart helps nobody.

mod date;
mod validity;
mod watch;

pub(crate) use date::{civil_from_unix, day};
pub use watch::Watch;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use validity::{Validity, validity};
use warppool_components::units::UnixTime;
use warppool_net::transport::tls::{IdentityError, Resumption, server_config};
use zeroize::Zeroizing;

/// How long before its end a certificate is spoken of.
const REMINDER_SECONDS: i64 = 14 * 86_400;

/// Where a certificate is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    /// The chain, leaf first, PEM.
    pub certificate: PathBuf,
    /// The leaf's private key, PEM.
    pub key: PathBuf,
}

impl Files {
    /// The file that is to blame.
    pub fn of(&self, culprit: Culprit) -> &Path {
        match culprit {
            Culprit::Certificate => &self.certificate,
            Culprit::Key => &self.key,
        }
    }
}

/// Which of the files is to blame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Culprit {
    /// The certificate.
    Certificate,
    /// The key.
    Key,
}

/// What is wrong with a file; a sentence without the file's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The file.
    pub culprit: Culprit,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// A certificate that can be served.
#[derive(Clone)]
pub struct Certificate {
    config: Arc<ServerConfig>,
    validity: Validity,
}

impl Certificate {
    /// What TLS connections are served by.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Until when clients that look at dates take it.
    pub fn expires_at(&self) -> UnixTime {
        UnixTime::from_millis(u64::try_from(self.validity.not_after).unwrap_or(0).saturating_mul(1000))
    }

    /// The day of its end, such as `2027-01-31`.
    pub fn last_day(&self) -> String {
        day(self.validity.not_after)
    }

    /// Why clients that look at dates do not take it at `now`.
    pub fn out_of_time(&self, now: UnixTime) -> Option<String> {
        let now = seconds(now);
        if now > self.validity.not_after {
            Some(format!("expired on {}", day(self.validity.not_after)))
        } else if now < self.validity.not_before {
            Some(format!("is not valid before {}", day(self.validity.not_before)))
        } else {
            None
        }
    }

    /// What the operator should know about its time, in one sentence.
    pub fn reminder(&self, now: UnixTime) -> Option<String> {
        let advice = "put a new one in its place; it is taken over at once";
        if let Some(reason) = self.out_of_time(now) {
            return Some(format!("the TLS certificate {reason}: miners that look at it refuse the pool; {advice}"));
        }
        let ends_soon = self.validity.not_after - seconds(now) < REMINDER_SECONDS;
        ends_soon.then(|| format!("the TLS certificate expires on {}: {advice}", day(self.validity.not_after)))
    }
}

/// Without anything of the key.
impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Certificate {{ valid until {} }}", self.last_day())
    }
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.millis() / 1000).unwrap_or(i64::MAX)
}

/// Reads and checks both files.
///
/// # Errors
/// Every [`Fault`] that can be told; whether they belong together only when both can be read.
pub fn load(files: &Files) -> Result<Certificate, Vec<Fault>> {
    let (chain, key) = match (read_chain(&files.certificate), read_key(&files.key)) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => return Err(chain.err().into_iter().chain(key.err()).collect()),
    };
    let leaf = chain.first().and_then(|leaf| validity(leaf));
    let validity = leaf.ok_or_else(|| vec![of_certificate("its first certificate cannot be understood (X.509)")])?;
    let config = resumption().and_then(|resumption| server_config(chain, key, resumption));
    let config = config.map_err(|error| match error {
        IdentityError::KeyMismatch => vec![of_key("does not belong to the certificate in stratum.tls_cert_path")],
        IdentityError::Unusable(error) => {
            vec![of_certificate(&format!(
                "cannot be served with its key: {error}; ECDSA P-256 and RSA work everywhere"
            ))]
        }
    })?;
    Ok(Certificate { config, validity })
}

/// One for the life of the process, so that devices that come back after a change of certificate are still known.
fn resumption() -> Result<&'static Resumption, IdentityError> {
    static RESUMPTION: OnceLock<Resumption> = OnceLock::new();
    if let Some(known) = RESUMPTION.get() {
        return Ok(known);
    }
    let new = Resumption::new()?;
    Ok(RESUMPTION.get_or_init(|| new))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let text = std::fs::read(path).map_err(|error| of_certificate(&format!("cannot be read: {error}")))?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(of_certificate("holds no certificate: PEM is wanted, with a line -----BEGIN CERTIFICATE-----")),
        Err(error) => Err(of_certificate(&format!("is not valid PEM: {error}"))),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    let unreadable = |error: std::io::Error| of_key(&format!("cannot be read: {error}"));
    let mut file = File::open(path).map_err(unreadable)?;
    check_mode(&file, path)?;
    let mut text = Zeroizing::new(Vec::new());
    file.read_to_end(&mut text).map_err(unreadable)?;
    // What the parser says might repeat a line of the key.
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        of_key("holds no private key: PEM is wanted, with a line -----BEGIN PRIVATE KEY-----, not encrypted")
    })
}

/// A group may read it, as many systems arrange it for their services; everybody may not. The open file is asked, not
/// the path, so that nobody can exchange it in between.
#[cfg(unix)]
fn check_mode(file: &File, path: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|error| of_key(&format!("cannot be read: {error}")))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o027 == 0 {
        return Ok(());
    }
    Err(of_key(&format!(
        "everybody can read it, or its group can write it (mode {mode:04o}): it must be 0640 or stricter; type: chmod 600 {}",
        path.display()
    )))
}

#[cfg(not(unix))]
fn check_mode(_: &File, _: &Path) -> Result<(), Fault> {
    Ok(())
}

fn of_certificate(message: &str) -> Fault {
    Fault { culprit: Culprit::Certificate, message: message.to_owned() }
}

fn of_key(message: &str) -> Fault {
    Fault { culprit: Culprit::Key, message: message.to_owned() }
}

#[cfg(test)]
mod tests;
