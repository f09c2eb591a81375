//! Where a pool lives: its directory with configuration and store, and the node it is to use.

use bitcoin::hashes::Hash;
use bitcoin::{Address, Network, ScriptBuf, WPubkeyHash};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;
use warppool_simnode::{SimNode, SimNodeOptions};

/// Some 16 million hashes a block: no test finds one by chance.
const NO_BLOCKS: u32 = 0x1e00_ffff;

/// A class table that matches nobody, so that the pool's own starting difficulty holds.
const CLASSES: &str =
    "[[class]]\nname = \"none\"\npatterns = [\"nobody\"]\nstart_difficulty = 1\nseconds_per_share = 1\n";

/// A regtest address for which nobody has a key.
pub(crate) fn address(number: u8) -> String {
    let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([number; 20]));
    Address::from_script(&script, Network::Regtest).unwrap().to_string()
}

/// A directory with a configuration. Everything in it is removed at the end.
pub(crate) struct Site {
    directory: TempDir,
    /// Values of `--set`.
    pub(crate) overrides: Vec<String>,
    /// Where the program is to die or to stand still; see `warppool_io::failpoint`.
    pub(crate) failpoints: String,
}

impl Site {
    /// A pool for `node`, at a difficulty of some 4300 hashes a share.
    pub(crate) fn new(node: &SimNode) -> Self {
        let zmq = node.zmq_hashblock().unwrap_or_default();
        Self::at(&node.rpc_url(), &format!("rpc_cookie_path = {:?}\nzmq_hashblock_addr = {zmq:?}", node.cookie_path()))
    }

    /// A pool for whatever answers at `rpc_url`; `keys` are further ones of `[node]`.
    pub(crate) fn at(rpc_url: &str, keys: &str) -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap(), overrides: Vec::new(), failpoints: String::new() };
        fs::write(site.path("classes.toml"), CLASSES).unwrap();
        site.configure(&format!(
            "[node]\nnetwork = \"regtest\"\nrpc_url = \"{rpc_url}\"\n{keys}\npoll_interval_ms = 200\n\
             [server]\npool_listen = \"127.0.0.1:0\"\nstatus_listen = \"127.0.0.1:0\"\n\
             [vardiff]\nenabled = false\nmin_diff = 1e-12\ninitial_diff = 1e-6\ndevice_classes_path = \"classes.toml\"\n\
             [ratelimit]\nenabled = false\n\
             [tuning]\nrayon_threads = 1\n\
             [store]\npath = \"pool.redb\"\nflush_interval_ms = 50\n"
        ));
        site
    }

    /// The same with `key` set to `value`, as on the command line.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.set(key, value);
        self
    }

    /// The same with a second node.
    pub(crate) fn with_second(self, node: &SimNode) -> Self {
        let (url, cookie, zmq) = (node.rpc_url(), node.cookie_path(), node.zmq_hashblock().unwrap_or_default());
        let keys = format!("rpc_url = {url:?}\nrpc_cookie_path = {cookie:?}\nzmq_hashblock_addr = {zmq:?}\n");
        self.configure(&format!("{}[[node.extra]]\n{keys}", self.configuration()));
        self
    }

    /// Sets `key` to `value` from the next start on.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.overrides.retain(|known| !known.starts_with(&format!("{key}=")));
        self.overrides.push(format!("{key}={value}"));
    }

    /// Replaces the configuration file.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.path("config.toml"), text).unwrap();
    }

    /// The configuration file's text.
    pub(crate) fn configuration(&self) -> String {
        fs::read_to_string(self.path("config.toml")).unwrap()
    }

    /// Writes secrets.toml with these permissions.
    pub(crate) fn write_secrets(&self, text: &str, mode: u32) {
        let path = self.path("secrets.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A file of this site.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// A simulated node with transactions and blocks that nobody finds by chance.
pub(crate) fn node() -> (SimNode, TempDir) {
    node_with(|options| options.bits = NO_BLOCKS)
}

/// A simulated node of other options.
pub(crate) fn node_with(change: impl FnOnce(&mut SimNodeOptions)) -> (SimNode, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut options = SimNodeOptions::regtest(directory.path());
    change(&mut options);
    (SimNode::start(options).unwrap(), directory)
}
