//! A simulated Bitcoin Core on regtest inside a process: the same RPC and ZMQ wire, a mempool that changes, and a
//! judge that refuses bad blocks with Core's own reasons.
//!
//! What does not happen here: scripts are not executed, there is no peer-to-peer network, nothing is stored on disk
//! but the cookie, and history and other people's blocks have no proof of work when the difficulty is not trivial.
//! See [`SimNode`].

#![forbid(unsafe_code)]

mod answers;
mod chain;
mod cookie;
mod faults;
mod http;
mod jsonrpc;
mod limits;
mod mempool;
mod node;
mod offline;
mod publisher;
mod random;
mod rpc;
mod sync;
mod template;
mod transactions;
mod validation;

pub use faults::{Failure, Faults};
pub use offline::{OfflineChain, OfflineTip};

use bitcoin::{Address, CompactTarget, Target};
use chain::{Chain, ChainRules, StoredBlock};
use crossbeam::channel::Receiver;
use http::HttpServer;
use node::Node;
use publisher::Publisher;
use rpc::RpcService;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use std::{fs, io};
use sync::lock;

/// What the simulated node is like.
#[derive(Clone, Debug)]
pub struct SimNodeOptions {
    /// nBits of every block, such as 0x207fffff (two hashes a block) or 0x1e00ffff (16 million). No retarget.
    pub bits: u32,
    /// Seed of the mempool: the same seed gives the same transactions in the same order.
    pub seed: u64,
    /// Transactions in a template: filled to a number of this range after each block; more arrive with time as long
    /// as there are fewer than its end. A range of one number gives templates that change only with the tip.
    pub transactions: RangeInclusive<usize>,
    /// Where RPC listens; port 0 lets the system choose.
    pub rpc_address: SocketAddr,
    /// Whether blocks are announced over ZMQ, on ports of the system's choice on 127.0.0.1.
    pub zmq: bool,
    /// Where `.cookie` is written; created when missing.
    pub data_directory: PathBuf,
    /// Blocks without transactions that are there at the start.
    pub initial_height: u32,
    /// Name of the chain that the node reports: regtest; main, test, testnet4 or signet to try a pool's reaction.
    /// Addresses, genesis block and halving interval go with it.
    pub chain: String,
}

impl SimNodeOptions {
    /// A regtest node of the easiest difficulty, 130 blocks, 20 to 30 transactions a template, RPC and ZMQ on
    /// loopback ports of the system's choice.
    pub fn regtest(data_directory: impl Into<PathBuf>) -> Self {
        Self {
            bits: 0x207f_ffff,
            seed: 1,
            transactions: 20..=30,
            rpc_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            zmq: true,
            data_directory: data_directory.into(),
            initial_height: 130,
            chain: "regtest".to_owned(),
        }
    }
}

/// Why the node does not start.
#[derive(Debug, thiserror::Error)]
pub enum SimNodeError {
    /// An option is out of its range.
    #[error("{option} is {value}, allowed is {allowed}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What may be given.
        allowed: &'static str,
    },
    /// RPC cannot listen.
    #[error("RPC cannot listen on {address}: {source}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The cookie cannot be written.
    #[error("the cookie cannot be written to {path}: {source}")]
    Cookie {
        /// Where it was to be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// ZMQ cannot bind.
    #[error("ZMQ cannot bind to 127.0.0.1: {0}")]
    Zmq(#[from] zmq::Error),
}

/// An output of a coinbase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinbaseOutput {
    /// Its script, in hexadecimal digits.
    pub script_hex: String,
    /// The script's address on the node's chain, when it has one.
    pub address: Option<String>,
    /// Its value.
    pub sats: u64,
}

/// A block of the active chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimBlock {
    /// Distance from the genesis block.
    pub height: u32,
    /// Hash in display order.
    pub hash: String,
    /// Version field of the header.
    pub version: i32,
    /// Who is paid what.
    pub coinbase_outputs: Vec<CoinbaseOutput>,
    /// Number of transactions, the coinbase included.
    pub transactions: usize,
    /// Whether it came by `submitblock`, else somebody else found it.
    pub submitted: bool,
}

/// News of blocks. Hashes are in display order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockEvent {
    /// A submitted block is the new tip.
    Accepted {
        /// Its height.
        height: u32,
        /// Its hash.
        hash: String,
        /// Its transactions, the coinbase included.
        transactions: usize,
    },
    /// A submitted block is valid, but beside the active chain.
    SideChain {
        /// Its hash.
        hash: String,
    },
    /// A submitted block is refused.
    Refused {
        /// Its hash.
        hash: String,
        /// Core's reason.
        reason: String,
    },
    /// Somebody else's block is the new tip.
    External {
        /// Its height.
        height: u32,
        /// Its hash.
        hash: String,
    },
}

/// A running simulated node. It stops when dropped.
pub struct SimNode {
    node: Arc<Node>,
    options: SimNodeOptions,
    /// With the port that the system chose, kept over restarts.
    rpc_address: SocketAddr,
    server: Mutex<Option<HttpServer>>,
}

impl SimNode {
    /// Builds the chain, binds ZMQ, writes the cookie and serves RPC.
    ///
    /// # Errors
    /// [`SimNodeError`] for an option out of range, an address in use, a directory that cannot be written to.
    pub fn start(options: SimNodeOptions) -> Result<Self, SimNodeError> {
        let rules = check_options(&options)?;
        let cookie_error = |source| SimNodeError::Cookie { path: options.data_directory.clone(), source };
        fs::create_dir_all(&options.data_directory).map_err(cookie_error)?;
        let publisher = if options.zmq { Some(Publisher::bind()?) } else { None };
        let node = Arc::new(Node::new(&options, rules, publisher));
        let rpc_address = options.rpc_address;
        let mut started = Self { node, options, rpc_address, server: Mutex::new(None) };
        let server = started.serve()?;
        started.rpc_address = server.address();
        *lock(&started.server) = Some(server);
        Ok(started)
    }

    /// Address of the RPC server, `http://IP:PORT/`. It stays the same over restarts.
    pub fn rpc_url(&self) -> String {
        format!("http://{}/", self.rpc_address)
    }

    /// The cookie file.
    pub fn cookie_path(&self) -> PathBuf {
        cookie_path(&self.options.data_directory)
    }

    /// Address of the `hashblock` topic, when there is ZMQ.
    pub fn zmq_hashblock(&self) -> Option<String> {
        self.node.publisher.as_ref().map(|publisher| publisher.hashblock_address.clone())
    }

    /// Address of the `rawblock` topic, when there is ZMQ.
    pub fn zmq_rawblock(&self) -> Option<String> {
        self.node.publisher.as_ref().map(|publisher| publisher.rawblock_address.clone())
    }

    /// Height of the tip.
    pub fn height(&self) -> u32 {
        self.node.chain().height()
    }

    /// Hash of the tip, in display order.
    pub fn tip(&self) -> String {
        self.node.chain().tip().to_string()
    }

    /// Blocks of the active chain above the initial history, oldest first.
    pub fn blocks(&self) -> Vec<SimBlock> {
        let chain = self.node.chain();
        let heights = self.options.initial_height + 1..=chain.height();
        heights.filter_map(|height| describe_block(&chain, height)).collect()
    }

    /// News of blocks from now on. At most 1024 wait; those that find the queue full are lost to this receiver.
    pub fn subscribe(&self) -> Receiver<BlockEvent> {
        self.node.subscribe()
    }

    /// Somebody else finds a block with two thirds of the mempool: new tip, ZMQ, longpolls answered.
    pub fn mine_external_block(&self) {
        self.node.change_from_outside(Chain::mine_external);
    }

    /// Replaces the last `depth` blocks by `depth + 1` of somebody else; ZMQ tells the new tip alone, as Core does.
    pub fn reorganise(&self, depth: u32) {
        self.node.change_from_outside(|chain, now| chain.reorganise(depth, now));
    }

    /// Puts faults in force in place of those before; calls that the former ones held go on.
    pub fn set_faults(&self, faults: Faults) {
        self.node.set_faults(faults);
    }

    /// Stops RPC as a node that goes down: connections break, the cookie is gone. Chain and ZMQ sockets stay.
    pub fn stop_rpc(&self) {
        // The server is taken out of the lock first: dropping it waits for its thread.
        let server = lock(&self.server).take();
        if server.is_some() {
            drop(server);
            // Only now: calls that wait must not find their connection still open.
            self.node.interrupt_calls();
            let _ = fs::remove_file(self.cookie_path());
        }
    }

    /// Serves RPC again, on the same port, with a new cookie. Does nothing when it is being served.
    ///
    /// # Errors
    /// [`SimNodeError`] when the port was taken meanwhile or the cookie cannot be written.
    pub fn start_rpc(&self) -> Result<(), SimNodeError> {
        let mut server = lock(&self.server);
        if server.is_none() {
            *server = Some(self.serve()?);
        }
        Ok(())
    }

    /// How often a method was called, over all restarts; 0 for a method that is not served.
    pub fn calls(&self, method: &str) -> u64 {
        self.node.count(method).total
    }

    /// Most calls of a method that were being served at the same time.
    pub fn in_flight_max(&self, method: &str) -> u64 {
        self.node.count(method).in_flight_max
    }

    /// Waits until the chain is at least `height` high; `false` when `deadline` came first.
    pub fn wait_for_height(&self, height: u32, deadline: Instant) -> bool {
        self.node.wait_for_height(height, deadline)
    }

    /// Stops the node; the same as dropping it.
    pub fn stop(self) {}

    fn serve(&self) -> Result<HttpServer, SimNodeError> {
        let path = self.cookie_path();
        let authorization = cookie::write(&path).map_err(|source| SimNodeError::Cookie { path, source })?;
        let service = Arc::new(RpcService::new(Arc::clone(&self.node), authorization));
        let address = self.rpc_address;
        HttpServer::start(address, service).map_err(|source| SimNodeError::Listen { address, source })
    }
}

impl Drop for SimNode {
    fn drop(&mut self) {
        self.stop_rpc();
    }
}

fn cookie_path(data_directory: &Path) -> PathBuf {
    data_directory.join(".cookie")
}

fn check_options(options: &SimNodeOptions) -> Result<ChainRules, SimNodeError> {
    let refuse = |option, value, allowed| Err(SimNodeError::Option { option, value, allowed });
    let target = Target::from_compact(CompactTarget::from_consensus(options.bits));
    let easiest = Target::from_compact(CompactTarget::from_consensus(0x207f_ffff));
    if target == Target::ZERO || target > easiest || options.bits >> 24 > 0x20 {
        return refuse("bits", format!("{:#010x}", options.bits), "a target from 1 to that of 0x207fffff");
    }
    if options.transactions.is_empty() || *options.transactions.end() > limits::TEMPLATE_TRANSACTIONS_MAX {
        return refuse("transactions", format!("{:?}", options.transactions), "a range within 0..=10000");
    }
    if options.initial_height > 1_000_000 {
        return refuse("initial_height", options.initial_height.to_string(), "0 to 1000000");
    }
    match ChainRules::new(&options.chain, options.bits) {
        Some(rules) => Ok(rules),
        None => refuse("chain", options.chain.clone(), "main, test, testnet4, signet or regtest"),
    }
}

fn describe_block(chain: &Chain, height: u32) -> Option<SimBlock> {
    let hash = chain.at(height)?;
    let stored: &StoredBlock = chain.get(&hash)?;
    let describe_output = |output: &bitcoin::TxOut| CoinbaseOutput {
        script_hex: const_hex::encode(output.script_pubkey.as_bytes()),
        address: Address::from_script(&output.script_pubkey, chain.rules().network)
            .ok()
            .map(|address| address.to_string()),
        sats: output.value.to_sat(),
    };
    Some(SimBlock {
        height,
        hash: hash.to_string(),
        version: stored.header.version.to_consensus(),
        coinbase_outputs: stored.coinbase_outputs.iter().map(describe_output).collect(),
        transactions: stored.transaction_count,
        submitted: stored.submitted,
    })
}
