//! `secrets.toml`: what nobody but the pool may read.
//!
//! The file is refused when its group or others can read it, and no tool of ours ever writes it. Values are never
//! shown, in `Debug` neither, and their memory is overwritten when they are dropped.

use super::document::{Table, parse};
use super::problem::{Origin, Problem};
use super::reader::Reader;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The names of the secrets; in `config.toml` they are misplaced.
pub(super) const KEYS: [&str; 9] = [
    "rpc_user",
    "rpc_pass",
    "admin_username",
    "admin_password_hash",
    "jwt_secret",
    "sv2_authority_secret_key",
    "vapid_public_key",
    "vapid_private_key",
    "vapid_contact",
];

/// Shortest secret that signs sessions, in bytes.
const JWT_SECRET_BYTES_MIN: usize = 32;

/// A text that is not shown and overwritten when dropped.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The text itself. Whoever asks keeps it out of logs and errors.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.is_empty() { "(none)" } else { "(hidden)" })
    }
}

/// Everything in `secrets.toml`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secrets {
    /// User of the node's RPC, where there is no cookie.
    pub rpc_user: Option<Secret>,
    /// Its password.
    pub rpc_pass: Option<Secret>,
    /// Name of the administrator.
    pub admin_username: String,
    /// Argon2id hash of the administrator's password, in PHC form.
    pub admin_password_hash: Option<Secret>,
    /// Key that signs the sessions of administrators.
    pub jwt_secret: Option<Secret>,
    /// Key that certifies this pool to miners of Stratum V2: 32 bytes in hexadecimal.
    pub sv2_authority_secret_key: Option<Secret>,
    /// Public key of web push.
    pub vapid_public_key: Option<String>,
    /// Private key of web push.
    pub vapid_private_key: Option<Secret>,
    /// Whom push services may write to.
    pub vapid_contact: Option<String>,
}

impl Default for Secrets {
    fn default() -> Self {
        Self {
            rpc_user: None,
            rpc_pass: None,
            admin_username: "admin".into(),
            admin_password_hash: None,
            jwt_secret: None,
            sv2_authority_secret_key: None,
            vapid_public_key: None,
            vapid_private_key: None,
            vapid_contact: None,
        }
    }
}

impl Secrets {
    /// Whether administrators can log in: it needs a password's hash and a signing key.
    pub const fn admin_enabled(&self) -> bool {
        self.admin_password_hash.is_some() && self.jwt_secret.is_some()
    }
}

/// Reads the file at `path`. One that is not there is no problem unless it `must_exist`.
pub(super) fn load(path: &Path, must_exist: bool, problems: &mut Vec<Problem>) -> Secrets {
    let shared: Arc<PathBuf> = Arc::new(path.to_path_buf());
    let origin = Origin::File { path: shared.clone(), line: 0 };
    let text = match read_private(path) {
        Ok(Some(text)) => text,
        Ok(None) if !must_exist => return Secrets::default(),
        Ok(None) => {
            problems.push(Problem { origin, key: String::new(), value: None, message: "there is no such file".into() });
            return Secrets::default();
        }
        Err(message) => {
            problems.push(Problem { origin, key: String::new(), value: None, message });
            return Secrets::default();
        }
    };
    let table = parse(&shared, &text, problems);
    read(table, origin, problems)
}

/// The file's text when nobody but its owner can read it; `None` when there is no file.
pub(crate) fn read_private(path: &Path) -> Result<Option<Zeroizing<String>>, String> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    check_mode(&file, path)?;
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(|error| format!("cannot be read: {error}"))?;
    Ok(Some(text))
}

/// The open file is asked, not the path, so that nobody can exchange it in between.
#[cfg(unix)]
fn check_mode(file: &File, path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map_err(|error| format!("cannot be read: {error}"))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(format!(
        "others than its owner can read or write it (mode {mode:04o}): it must be 0600 or stricter; type: chmod 600 {path}"
    ))
}

#[cfg(not(unix))]
fn check_mode(_: &File, _: &Path) -> Result<(), String> {
    Ok(())
}

fn read(table: Table, origin: Origin, problems: &mut Vec<Problem>) -> Secrets {
    let mut reader = Reader::new(table, origin, true);
    let default = Secrets::default();
    let secrets = Secrets {
        rpc_user: secret(&mut reader, "rpc_user", |_| Ok(())),
        rpc_pass: secret(&mut reader, "rpc_pass", |_| Ok(())),
        admin_username: reader.parsed("admin_username", not_empty).unwrap_or(default.admin_username),
        admin_password_hash: secret(&mut reader, "admin_password_hash", check_password_hash),
        jwt_secret: secret(&mut reader, "jwt_secret", check_jwt_secret),
        sv2_authority_secret_key: secret(&mut reader, "sv2_authority_secret_key", check_key),
        vapid_public_key: reader.parsed_or_empty("vapid_public_key", not_empty).flatten(),
        vapid_private_key: secret(&mut reader, "vapid_private_key", |_| Ok(())),
        vapid_contact: reader.parsed_or_empty("vapid_contact", check_contact).flatten(),
    };
    if secrets.rpc_user.is_some() != secrets.rpc_pass.is_some() {
        let (given, missing) =
            if secrets.rpc_user.is_some() { ("rpc_user", "rpc_pass") } else { ("rpc_pass", "rpc_user") };
        reader.complain(given, format!("{missing} is missing: both or none must be given"));
    }
    problems.extend(reader.finish(&[]));
    secrets
}

fn secret(reader: &mut Reader, key: &str, check: impl Fn(&str) -> Result<(), String>) -> Option<Secret> {
    reader.parsed_or_empty(key, |text| check(text).map(|()| Secret::from(text.to_owned()))).flatten()
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn check_password_hash(text: &str) -> Result<(), String> {
    let is_hash = text.starts_with("$argon2id$") && text.matches('$').count() == 5;
    if is_hash {
        Ok(())
    } else {
        Err("must be an Argon2id hash in PHC form, $argon2id$v=19$m=65536,t=3,...".to_owned())
    }
}

fn check_jwt_secret(text: &str) -> Result<(), String> {
    match text.len() {
        JWT_SECRET_BYTES_MIN.. => Ok(()),
        length => Err(format!("must be {JWT_SECRET_BYTES_MIN} bytes or more, not {length}")),
    }
}

fn check_key(text: &str) -> Result<(), String> {
    let is_key = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_key { Ok(()) } else { Err("must be 32 bytes in hexadecimal, 64 digits".to_owned()) }
}

fn check_contact(text: &str) -> Result<String, String> {
    let is_contact = text.starts_with("mailto:") || text.starts_with("https://");
    if is_contact { Ok(text.to_owned()) } else { Err("must be mailto:... or https://...".to_owned()) }
}
