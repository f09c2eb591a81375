//! How the pool proves to a node that it may ask: the node's cookie file, or a user and a password.
//!
//! A node writes a new cookie at every start. So the header is kept until the node refuses it, then made anew from
//! the file; asking the disk before every call would cost more than the call.

use super::secret::Secret;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, io};

/// Why there is nothing to prove it with.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The cookie cannot be read and there is no user and password instead.
    #[error(
        "cannot read the cookie file {}: {source}. The node writes it at its start; the pool's user must be allowed to \
         read it (bitcoind -rpccookieperms=group), or set rpc_user and rpc_pass",
        path.display()
    )]
    Cookie {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Nothing is configured.
    #[error("no credentials for the node: set rpc_cookie_path, or rpc_user and rpc_pass")]
    Missing,
}

/// The ways to prove it, and the header made from one of them.
#[derive(Debug)]
pub(super) struct Credentials {
    cookie_path: Option<PathBuf>,
    login: Option<Secret>,
    header: Mutex<Option<Arc<Secret>>>,
}

impl Credentials {
    pub(super) fn new(cookie_path: Option<PathBuf>, user: Option<&str>, password: Option<&Secret>) -> Self {
        let login = user.map(|user| Secret::new(format!("{user}:{}", password.map_or("", Secret::expose))));
        Self { cookie_path, login, header: Mutex::new(None) }
    }

    /// The value of the `Authorization` header.
    pub(super) fn header(&self) -> Result<Arc<Secret>, CredentialsError> {
        let mut header = self.header.lock().unwrap_or_else(PoisonError::into_inner);
        match &*header {
            Some(header) => Ok(Arc::clone(header)),
            None => Ok(Arc::clone(header.insert(self.make()?))),
        }
    }

    /// Another header after the node refused `refused`; `None` when there is no other.
    pub(super) fn header_instead_of(&self, refused: &Secret) -> Result<Option<Arc<Secret>>, CredentialsError> {
        let fresh = self.make()?;
        let mut header = self.header.lock().unwrap_or_else(PoisonError::into_inner);
        *header = Some(Arc::clone(&fresh));
        Ok((*fresh != *refused).then_some(fresh))
    }

    /// What the operator should look at when the node refuses.
    pub(super) fn describe(&self) -> String {
        match (&self.cookie_path, &self.login) {
            (Some(path), _) => format!("the cookie in {} (read again just now)", path.display()),
            (None, Some(_)) => "rpc_user and rpc_pass".to_owned(),
            (None, None) => "no credentials".to_owned(),
        }
    }

    fn make(&self) -> Result<Arc<Secret>, CredentialsError> {
        let pair = match (&self.cookie_path, &self.login) {
            (Some(path), login) => match (fs::read_to_string(path), login) {
                (Ok(cookie), _) => Secret::new(cookie),
                (Err(_), Some(login)) => login.clone(),
                (Err(source), None) => return Err(CredentialsError::Cookie { path: path.clone(), source }),
            },
            (None, Some(login)) => login.clone(),
            (None, None) => return Err(CredentialsError::Missing),
        };
        let header = format!("Basic {}", base64(pair.expose().trim_end_matches(['\r', '\n']).as_bytes()));
        Ok(Arc::new(Secret::new(header)))
    }
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |word, index| word << 8 | u32::from(chunk.get(index).copied().unwrap_or(0)));
        for digit in 0..4 {
            let value = (word >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit <= chunk.len() { char::from(ALPHABET[value]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_vectors_of_rfc_4648() {
        let table =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (plain, encoded) in table {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn a_missing_cookie_is_named_unless_there_is_a_password() {
        let path = Some(PathBuf::from("/nowhere/.cookie"));
        let error = Credentials::new(path.clone(), None, None).header().expect_err("no file").to_string();
        assert!(error.contains("/nowhere/.cookie"), "{error}");
        let password = Secret::new("secret".to_owned());
        let header = Credentials::new(path, Some("user"), Some(&password)).header().expect("a password");
        assert_eq!(header.expose(), "Basic dXNlcjpzZWNyZXQ=");
        assert!(matches!(Credentials::new(None, None, None).header(), Err(CredentialsError::Missing)));
    }
}
