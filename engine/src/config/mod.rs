//! The configuration: `config.toml`, `secrets.toml`, the environment and flags, read into typed values.
//!
//! Reading never stops at the first mistake: all of them are gathered, each with its place, its value and what is
//! allowed. What comes out is checked: addresses belong to the network, parts of a block leave something to the
//! miner, listeners have their own ports. Nothing here opens a socket, writes a file or asks the node.

mod address;
mod convert;
pub mod device_classes;
mod document;
pub mod hardware;
pub mod keys;
mod nearest;
pub mod paths;
mod problem;
pub mod profile;
mod reader;
mod reload;
mod secrets;
mod sections;
mod syntax;
mod types;

#[cfg(test)]
mod tests;

pub use document::ENVIRONMENT_PREFIX;
pub use problem::{Origin, Problem, Problems};
pub use reload::{Changes, changes};
pub(crate) use secrets::read_private;
pub use secrets::{Secret, Secrets};
pub use syntax::{AddressRange, Listen};
pub use types::{
    Branding, Config, FreeTable, Logging, Mining, Node, NodeEndpoint, Profile, RateLimit, Retention, Server, Store,
    Stratum, Tuning, Vardiff,
};

use crate::certificate::Certificate;
use document::{Table, apply_environment, apply_flags, parse};
use reader::Reader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the file of secrets, beside `config.toml`.
pub const SECRETS_FILE_NAME: &str = "secrets.toml";

/// Where the configuration comes from; later ones win.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Sources {
    /// `config.toml`; without one there are only defaults, environment and flags.
    pub config: Option<PathBuf>,
    /// `secrets.toml`; without one, the file of that name beside `config.toml`, if it is there.
    pub secrets: Option<PathBuf>,
    /// Environment variables, of which those with [`ENVIRONMENT_PREFIX`] count.
    pub environment: Vec<(String, String)>,
    /// Flags of the form `section.key=value`.
    pub overrides: Vec<String>,
}

impl Sources {
    /// The given files and flags, and the environment of this process. Variables that are not UTF-8 are left out.
    pub fn of_process(config: Option<PathBuf>, secrets: Option<PathBuf>, overrides: Vec<String>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
            .collect();
        Self { config, secrets, environment, overrides }
    }

    /// The file of secrets, and whether the operator named it.
    fn secrets_file(&self) -> Option<(PathBuf, bool)> {
        let beside = || Some((self.config.as_ref()?.with_file_name(SECRETS_FILE_NAME), false));
        self.secrets.clone().map(|path| (path, true)).or_else(beside)
    }
}

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is not secret.
    pub config: Config,
    /// What is.
    pub secrets: Secrets,
    /// What TLS is served by, when there is anything.
    pub certificate: Option<Certificate>,
    /// What works, but perhaps not as the operator thinks.
    pub warnings: Vec<Problem>,
}

/// Reads and checks all sources.
///
/// # Errors
/// [`Problems`] with every mistake of every file; of one that is no TOML, those of syntax alone.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let (mut root, origin) = read_config_file(sources.config.as_deref(), &mut problems);
    let is_text = |name: &str| keys::find(name).is_some_and(keys::Key::is_text);
    apply_environment(&mut root, &sources.environment, is_text, &mut problems);
    apply_flags(&mut root, &sources.overrides, is_text, &mut problems);

    let directory = sources.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let mut reader = Reader::new(root, origin.clone(), false);
    let mut config = sections::read(&mut reader, directory);
    config.file.clone_from(&sources.config);
    let certificate = sections::certificate(&mut reader, &config);
    let misplaced = secrets::KEYS.map(|key| (key, "belongs in secrets.toml, because everybody may read this file"));
    problems.extend(reader.finish(&misplaced));

    let secrets = match sources.secrets_file() {
        Some((path, must_exist)) => secrets::load(&path, must_exist, &mut problems),
        None => Secrets::default(),
    };
    if problems.is_empty() {
        let warnings = warnings(&config, &secrets, &origin);
        Ok(Loaded { config, secrets, certificate, warnings })
    } else {
        problems.sort_by_key(|problem| position(&problem.origin));
        Err(Problems(problems))
    }
}

fn read_config_file(path: Option<&Path>, problems: &mut Vec<Problem>) -> (Table, Origin) {
    let Some(path) = path else { return (Table::new(), Origin::Default) };
    let shared = Arc::new(path.to_path_buf());
    let origin = Origin::File { path: shared.clone(), line: 0 };
    match std::fs::read_to_string(path) {
        Ok(text) => (parse(&shared, &text, problems), origin),
        Err(error) => {
            let message = format!("cannot be read: {error}");
            problems.push(Problem { origin: origin.clone(), key: String::new(), value: None, message });
            (Table::new(), origin)
        }
    }
}

/// Order of a report: file by file, line by line, then the environment and flags.
fn position(origin: &Origin) -> (u8, PathBuf, usize) {
    match origin {
        Origin::File { path, line } => (0, path.to_path_buf(), *line),
        Origin::Environment(_) => (1, PathBuf::new(), 0),
        Origin::Flag => (2, PathBuf::new(), 0),
        Origin::Default => (3, PathBuf::new(), 0),
    }
}

fn warnings(config: &Config, secrets: &Secrets, origin: &Origin) -> Vec<Problem> {
    let warning = |key: &str, message: &str| Problem {
        origin: origin.clone(),
        key: key.to_owned(),
        value: None,
        message: message.to_owned(),
    };
    let mut warnings = Vec::new();
    let has_password = secrets.rpc_user.is_some();
    if config.node.endpoints().any(|node| node.rpc_cookie_path.is_none() && !has_password) {
        warnings.push(warning(
            "node.rpc_cookie_path",
            "is not set, and secrets.toml has no rpc_user and rpc_pass: the node will refuse the pool",
        ));
    }
    if config.node.endpoints().all(|node| node.zmq_hashblock_addr.is_none()) {
        warnings.push(warning(
            "node.zmq_hashblock_addr",
            "is not set: new tips are found by long polling and polling alone, which may be a little later",
        ));
    }
    let default = Config::default();
    let idle = keys::NOT_IN_EFFECT.iter().filter_map(|name| keys::find(name));
    for key in idle.filter(|key| !(key.same)(config, &default)) {
        warnings.push(warning(key.name, "is not in effect yet: this version does without it"));
    }
    if !secrets.admin_enabled() {
        warnings.push(warning(
            "",
            "secrets.toml has no admin_password_hash or no jwt_secret: the administrator's endpoints answer 503",
        ));
    }
    warnings
}
