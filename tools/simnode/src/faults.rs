//! What a test can make go wrong at a node that is otherwise sound.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Faults in force. The default is none. Where a method is named, `"*"` stands for all of them.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// How long a call of the method waits before it is served.
    pub delay: HashMap<String, Duration>,
    /// Methods whose calls wait until other faults are set, and are served then.
    pub hold: HashSet<String>,
    /// Methods whose calls are served at once, but whose answers wait until other faults are set.
    pub hold_answer: HashSet<String>,
    /// What `getblockhash` answers in place of the truth, by height: another chain under the same name.
    pub block_hashes: HashMap<u32, String>,
    /// `getblocktemplate` carries a witness commitment that does not belong to its transactions.
    pub wrong_commitment: bool,
    /// How a call of the method fails. Not applied inside a batch.
    pub fail: HashMap<String, Failure>,
    /// `getblockchaininfo` says that the node is still downloading blocks; templates are refused on chains other
    /// than test chains, and ZMQ is silent, as with Core.
    pub initial_block_download: bool,
    /// Nothing is published over ZMQ, though sequence numbers go on and the sockets stay open.
    pub zmq_silent: bool,
    /// What `submitblock` answers in place of the truth. The block is still judged, and added when valid.
    pub submit_answer: Option<String>,
    /// `submitblock` neither judges nor adds the block; it answers `submit_answer`, or `null` without one.
    pub submit_ignored: bool,
    /// How long a longpoll waits until it looks for new transactions; Core's 60 s when `None`.
    pub longpoll_wait: Option<Duration>,
}

/// A way to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This HTTP status with a line of text, as 503 `Work queue depth exceeded`.
    HttpStatus(u16),
    /// The connection is closed before the call is served.
    DropConnection,
    /// The call is served, then the connection is closed without an answer.
    DropAnswer,
    /// A JSON-RPC error, such as -28 while the node is loading.
    RpcError {
        /// Core's error code.
        code: i64,
        /// Text of the error.
        message: String,
    },
}

impl Faults {
    pub(crate) fn delay_of(&self, method: &str) -> Option<Duration> {
        self.delay.get(method).or_else(|| self.delay.get("*")).copied()
    }

    pub(crate) fn failure_of(&self, method: &str) -> Option<Failure> {
        self.fail.get(method).or_else(|| self.fail.get("*")).cloned()
    }
}
