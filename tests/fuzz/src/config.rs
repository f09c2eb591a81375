//! The configuration: whatever the files, the environment and the flags hold, it is refused with sentences that tell no
//! secret, or it is a configuration; and that one, printed as one TOML file from all its sources, is read back equal.
//!
//! Input: the text of `config.toml`; behind `\n%s` that of `secrets.toml`, behind `\n%e` a variable of the environment
//! without its prefix, behind `\n%f` a flag. `$S` stands for a secret where a secret is given, `$P` for an address with a
//! password in it, both only behind the `=` of a line: names are repeated in errors, as they must be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use warppool_engine::config::keys::{self, Fallback};
use warppool_engine::config::{Config, ENVIRONMENT_PREFIX, Loaded, Problems, Sources, changes, load};

/// What nobody may read in an error.
const SECRET: &str = "Zq7hushhushhushhushhushhushhushhushZq7";

/// The password of an address, which no sentence tells. Where an address is a name or a path it is one.
const PASSWORD: &str = "Wx5whisperWx5";

/// Where the files of the inputs are: in memory where the machine has such a directory.
static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let directory = parent.join(format!("warppool-fuzz-{}", std::process::id()));
    fs::create_dir_all(directory.join("private")).expect("a directory for files");
    let secrets = directory.join("private/secrets.toml");
    fs::write(&secrets, "").expect("a file of secrets");
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).expect("a file of one's own");
    directory
});

/// An input in its parts.
struct Parts {
    config: String,
    secrets: Option<String>,
    environment: Vec<(String, String)>,
    flags: Vec<String>,
}

/// Runs one input.
pub fn check(data: &[u8]) {
    let parts = parts(&String::from_utf8_lossy(data));
    let result = load_parts(&parts, &parts.config);
    let told = match &result {
        Ok(loaded) => {
            assert!(!format!("{loaded:?}").contains(SECRET), "a secret is told: {loaded:?}");
            shown(&loaded.warnings)
        }
        Err(Problems(problems)) => {
            assert!(!problems.is_empty(), "refused without a reason");
            assert!(problems.iter().all(|problem| !problem.message.is_empty()));
            format!("{problems:?} {}", shown(problems))
        }
    };
    assert!(!told.contains(SECRET) && !told.contains(PASSWORD), "a secret is told: {told}");
    if let Ok(Loaded { config, .. }) = &result {
        let url = config.server.status_public_url.as_deref().unwrap_or_default();
        assert!(url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>".contains(&byte)), "{url:?} in a header");
    }
    if let (Ok(loaded), Some(text)) = (result, as_one_file(&parts)) {
        read_back(loaded, &parts, &text);
    }
}

fn shown(problems: &[warppool_engine::config::Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn parts(text: &str) -> Parts {
    let mut pieces = text.split("\n%");
    let config = with_secrets(pieces.next().unwrap_or_default(), is_secret_line);
    let mut parts = Parts { config, secrets: None, environment: Vec::new(), flags: Vec::new() };
    for piece in pieces {
        let mut letters = piece.chars();
        let kind = letters.next();
        let rest = letters.as_str();
        match kind {
            Some('s') => parts.secrets = Some(with_secrets(rest, |_| true)),
            Some('e') => {
                if let Some((name, value)) = rest.split_once('=') {
                    let value = value.replace("$P", &address());
                    // The system knows no zeros in names and values.
                    parts.environment.push((format!("{ENVIRONMENT_PREFIX}{name}"), value));
                }
            }
            Some('f') => parts.flags.push(with_secrets(rest, |_| false)),
            _ => {}
        }
    }
    parts
}

fn address() -> String {
    format!("http://user:{PASSWORD}@node:8332")
}

/// Only what stands behind the first `=` of a line is a value.
fn with_secrets(text: &str, may_be_secret: impl Fn(&str) -> bool) -> String {
    let line = |line: &str| match line.split_once('=') {
        Some((name, value)) => {
            let value = value.replace("$P", &address());
            let value = if may_be_secret(name) { value.replace("$S", SECRET) } else { value };
            format!("{name}={value}")
        }
        None => line.to_owned(),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A key whose name says that its value is secret, and nothing else.
fn is_secret_line(name: &str) -> bool {
    matches!(name.trim(), "stratum_password" | "rpc_pass" | "jwt_secret" | "webhook_token")
}

fn load_parts(parts: &Parts, config: &str) -> Result<Loaded, Problems> {
    let path = DIRECTORY.join("config.toml");
    fs::write(&path, config).expect("a file can be written");
    let secrets = parts.secrets.as_ref().map(|text| {
        let path = DIRECTORY.join("private/secrets.toml");
        fs::write(&path, text).expect("a file can be written");
        path
    });
    let sources =
        Sources { config: Some(path), secrets, environment: parts.environment.clone(), overrides: parts.flags.clone() };
    load(&sources)
}

/// All sources as one file, put together by crate `toml`; `None` when there are values that its tables do not have, such as
/// numbers beyond 64 bits, and when a number is none and so never equal to itself.
fn as_one_file(parts: &Parts) -> Option<String> {
    let mut root: toml::Table = toml::from_str(&parts.config).ok()?;
    for (name, value) in &parts.environment {
        let key = name.strip_prefix(ENVIRONMENT_PREFIX)?.to_lowercase().replace("__", ".");
        insert(&mut root, &key, value_of(&key, value)?)?;
    }
    for flag in &parts.flags {
        let (key, value) = flag.split_once('=')?;
        insert(&mut root, key.trim(), value_of(key.trim(), value.trim())?)?;
    }
    toml::to_string(&root).ok().filter(|text| !text.contains("nan"))
}

fn value_of(key: &str, text: &str) -> Option<toml::Value> {
    let is_text = keys::find(key).is_some_and(|key| {
        let (Fallback::Value(literal) | Fallback::Example(literal)) = key.fallback;
        literal.starts_with('"')
    });
    let plain = || toml::Value::String(text.to_owned());
    if is_text && !text.starts_with(['"', '\'']) {
        return Some(plain());
    }
    match toml::from_str::<toml::Table>(&format!("value = {text}")) {
        Ok(mut table) if table.len() == 1 => table.remove("value"),
        // A text of several lines may be a table of its own, or a value and a comment.
        _ if text.contains(['\n', '#']) => None,
        _ => Some(plain()),
    }
}

fn insert(root: &mut toml::Table, key: &str, value: toml::Value) -> Option<()> {
    let (tables, last) = key.rsplit_once('.').map_or((None, key), |(tables, last)| (Some(tables), last));
    let mut table = root;
    for name in tables.into_iter().flat_map(|tables| tables.split('.')) {
        table = table.entry(name).or_insert_with(|| toml::Table::new().into()).as_table_mut()?;
    }
    table.insert(last.to_owned(), value);
    Some(())
}

fn read_back(loaded: Loaded, parts: &Parts, text: &str) {
    let alone = Parts { config: String::new(), secrets: parts.secrets.clone(), environment: vec![], flags: vec![] };
    let again = load_parts(&alone, text).unwrap_or_else(|problems| {
        panic!("the same in one file is refused: {}\n{text}", shown(&problems.0));
    });
    let changes = changes(&loaded.config, &again.config);
    assert!(changes.live.is_empty() && changes.needs_restart.is_empty(), "{changes:?}\n{text}");
    assert_eq!(without_file(loaded.config), without_file(again.config));
    assert!(loaded.secrets == again.secrets);
}

fn without_file(config: Config) -> Config {
    Config { file: None, ..config }
}
