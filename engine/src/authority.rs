//! The key in whose name the pool answers miners of Stratum V2.
//!
//! It is the operator's (`sv2_authority_secret_key` in `secrets.toml`), or one that the pool made at its first start and
//! keeps in a file of its own beside the database, so that Stratum V2 works without a step of the operator. A key that is there is never
//! replaced: every miner has its public half in the pool's address.

use crate::config::{Config, Secrets, read_private};
use bitcoin::hex::{DisplayHex, FromHex};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use warppool_net::transport::noise::AuthorityKey;
use zeroize::{Zeroize, Zeroizing};

/// Name of the file, beside the database.
const FILE_NAME: &str = "sv2-authority-key";

/// Where a key is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The operator's file of secrets.
    Secrets,
    /// The pool's own file.
    File(PathBuf),
    /// The same, made this moment.
    Made(PathBuf),
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The operator's is none.
    #[error(
        "sv2_authority_secret_key in secrets.toml is not a private key of secp256k1; any other 64 random hexadecimal digits are"
    )]
    Secret,
    /// The file is there and cannot be used.
    #[error("{}, the key of Stratum V2, {message}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
    /// A new file cannot be written.
    #[error("{}, a new key for Stratum V2, cannot be written: {source}; it stands beside the database, whose place is [store] path", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The key of this pool; a new one when there is none.
///
/// # Errors
/// [`AuthorityError`] when a key is there that cannot be used, or a new one cannot be kept.
pub fn load_or_make(config: &Config, secrets: &Secrets) -> Result<(AuthorityKey, Origin), AuthorityError> {
    if let Some(secret) = &secrets.sv2_authority_secret_key {
        let key = parse(secret.reveal()).ok_or(AuthorityError::Secret)?;
        return Ok((key, Origin::Secrets));
    }
    let path = config.store_path().with_file_name(FILE_NAME);
    match load(&path)? {
        Some(key) => Ok((key, Origin::File(path))),
        None => make(path),
    }
}

fn load(path: &Path) -> Result<Option<AuthorityKey>, AuthorityError> {
    if path.parent().is_some_and(|directory| !directory.as_os_str().is_empty() && !directory.is_dir()) {
        return Ok(None);
    }
    let failed = |message| AuthorityError::File { path: path.to_owned(), message };
    let Some(text) = read_private(path).map_err(failed)? else { return Ok(None) };
    let advice = "does not hold one: 64 hexadecimal digits. Restore it from a backup; without one, move the file away, and a \
                  new key is made, whose address miners must then be given";
    parse(text.trim_ascii()).map(Some).ok_or_else(|| failed(advice.to_owned()))
}

fn parse(text: &str) -> Option<AuthorityKey> {
    let mut bytes = <[u8; 32]>::from_hex(text).ok()?;
    let key = AuthorityKey::from_secret_bytes(&bytes).ok();
    bytes.zeroize();
    key
}

fn make(path: PathBuf) -> Result<(AuthorityKey, Origin), AuthorityError> {
    let key = AuthorityKey::generate();
    let mut bytes = key.secret_bytes();
    let text = Zeroizing::new(format!("{}\n", bytes.as_hex()));
    bytes.zeroize();
    match write_new(&path, text.as_bytes()) {
        Ok(()) => Ok((key, Origin::Made(path))),
        // Somebody else was a moment earlier; theirs counts.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => match load(&path)? {
            Some(key) => Ok((key, Origin::File(path))),
            None => Err(AuthorityError::Write { path, source: error }),
        },
        Err(source) => Err(AuthorityError::Write { path, source }),
    }
}

/// Writes a file that nobody else can read, on the disk with its directory's entry. Never overwrites, never follows a link.
fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn config(directory: &Path) -> Config {
        let mut config = Config::default();
        config.store.path = Some(directory.join("new/warppool.redb"));
        config
    }

    #[test]
    fn a_key_is_made_once_kept_to_its_owner_and_found_again() {
        let place = tempfile::tempdir().expect("a directory");
        let config = config(place.path());
        let path = place.path().join("new").join(FILE_NAME);
        let (key, origin) = load_or_make(&config, &Secrets::default()).expect("made");
        assert_eq!(origin, Origin::Made(path.clone()));
        let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("a directory"))), (0o600, 0o700));
        let (again, origin) = load_or_make(&config, &Secrets::default()).expect("read");
        assert!(again == key && origin == Origin::File(path));
        let secrets = Secrets { sv2_authority_secret_key: Some("07".repeat(32).into()), ..Secrets::default() };
        let (operators, origin) = load_or_make(&config, &secrets).expect("the operator's");
        assert!(operators != key && origin == Origin::Secrets);
    }

    #[test]
    fn a_key_that_cannot_be_used_is_said_and_not_replaced() {
        let place = tempfile::tempdir().expect("a directory");
        let (config, path) = (config(place.path()), place.path().join("new").join(FILE_NAME));
        load_or_make(&config, &Secrets::default()).expect("made");
        let refuse = |config: &Config| load_or_make(config, &Secrets::default()).expect_err("unusable").to_string();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("an owner");
        assert!(refuse(&config).contains("chmod 600"), "{}", refuse(&config));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("an owner");
        for text in ["", "hush", &"0".repeat(64)] {
            fs::write(&path, text).expect("an owner");
            let error = refuse(&config);
            assert!(error.contains("Restore it from a backup") && !error.contains("hush"), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("a file"), text);
        }
        let secrets = Secrets { sv2_authority_secret_key: Some("ff".repeat(32).into()), ..Secrets::default() };
        assert!(matches!(load_or_make(&config, &secrets), Err(AuthorityError::Secret)));
    }
}
