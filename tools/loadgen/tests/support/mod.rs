//! A small scripted pool: one thread a connection, and a judge of shares that uses nothing but the `bitcoin` crate.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::{deserialize, serialize};
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::{
    Address, Amount, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Target, Transaction, TxIn, TxMerkleNode,
    TxOut, Txid, Witness, merkle_tree, transaction,
};
use serde_json::{Value, json};

pub const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
const OTHER_ADDRESS: &str = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";
pub const DIFFICULTY: f64 = 0.000005;
const MASK: u32 = 0x1fff_e000;
const VERSION: u32 = 0x2000_0000;
const TIME: u32 = 0x6561_2f00;
/// About one header in 65,536: some of the shares are blocks.
const BITS: u32 = 0x1f00_ffff;

/// What the pool does wrong, or how it judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Checks every share.
    Verify,
    /// Accepts anything.
    AcceptAll,
    /// Answers every second submit with error 23.
    RejectHalf,
    JobBeforeDifficulty,
    ReusedJobId,
    WrongPayout,
    BrokenCoinbase,
    NotifyBeforeAuthorizeReply,
    RollableVersionBits,
    CleanWithoutTip,
    ExponentDifficulty,
}

/// A share as the judge saw it.
#[derive(Debug, Clone)]
pub struct JudgedShare {
    pub extranonce2: String,
    pub nonce: String,
    pub version_bits: u32,
    pub is_good: bool,
    pub is_block: bool,
}

pub struct TestPool {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    script: Script,
    stop: AtomicBool,
    next_extranonce1: AtomicU32,
    tip: AtomicU32,
    streams: Mutex<Vec<TcpStream>>,
    lines: Mutex<Vec<String>>,
    shares: Mutex<Vec<JudgedShare>>,
}

impl TestPool {
    pub fn start(script: Script) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script,
            stop: AtomicBool::new(false),
            next_extranonce1: AtomicU32::new(0x0a00_0001),
            tip: AtomicU32::new(1),
            streams: Mutex::default(),
            lines: Mutex::default(),
            shares: Mutex::default(),
        });
        let for_thread = Arc::clone(&shared);
        let listener = std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                if for_thread.stop.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&for_thread);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, shared, listener: Some(listener) }
    }

    pub fn lines(&self) -> Vec<String> {
        self.shared.lines.lock().unwrap().clone()
    }

    pub fn shares(&self) -> Vec<JudgedShare> {
        self.shared.shares.lock().unwrap().clone()
    }

    /// Sends a clean job on a new tip to everybody.
    pub fn new_tip(&self) {
        let tip = self.shared.tip.fetch_add(1, Ordering::Relaxed) + 1;
        let line = notify(self.shared.script, tip, true);
        for mut stream in self.shared.streams.lock().unwrap().iter() {
            let _ = stream.write_all(line.as_bytes());
        }
    }

    pub fn close_connections(&self) {
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for TestPool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        self.close_connections();
        let _ = self.listener.take().map(JoinHandle::join);
    }
}

/// Polls until the condition holds; panics with the message after the deadline.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Peer {
    extranonce1: u32,
    is_authorized: bool,
    submits: u32,
}

fn serve(stream: TcpStream, shared: &Shared) {
    let mut writer = stream.try_clone().unwrap();
    shared.streams.lock().unwrap().push(stream.try_clone().unwrap());
    let extranonce1 = shared.next_extranonce1.fetch_add(1, Ordering::Relaxed);
    let mut peer = Peer { extranonce1, is_authorized: false, submits: 0 };
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        if !line.contains("mining.submit") || matches!(shared.script, Script::Verify) {
            shared.lines.lock().unwrap().push(line.clone());
        }
        let request: Value = serde_json::from_str(&line).expect("miners send JSON");
        if writer.write_all(answer(&request, &mut peer, shared).as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(request: &Value, peer: &mut Peer, shared: &Shared) -> String {
    let reply = |result: Value| format!("{{\"id\":{},\"result\":{result},\"error\":null}}\n", request["id"]);
    match request["method"].as_str().unwrap() {
        "mining.configure" => {
            let asked =
                u32::from_str_radix(request["params"][1]["version-rolling.mask"].as_str().unwrap(), 16).unwrap();
            let mask = format!("{:08x}", asked & MASK);
            let mut lines = reply(json!({"version-rolling": true, "version-rolling.mask": mask}));
            if peer.is_authorized {
                lines += &format!("{{\"id\":null,\"method\":\"mining.set_version_mask\",\"params\":[\"{mask}\"]}}\n");
            }
            lines
        }
        "mining.subscribe" => {
            let extranonce1 = format!("{:08x}", peer.extranonce1);
            reply(json!([[["mining.set_difficulty", "s1"], ["mining.notify", "s1"]], extranonce1, 8]))
        }
        "mining.authorize" => {
            peer.is_authorized = true;
            after_authorize(shared, &reply(json!(true)))
        }
        "mining.submit" => {
            peer.submits += 1;
            verdict(request, peer, shared)
        }
        _ => reply(json!(true)),
    }
}

fn after_authorize(shared: &Shared, reply: &str) -> String {
    let difficulty =
        if shared.script == Script::ExponentDifficulty { "5e-6".to_owned() } else { DIFFICULTY.to_string() };
    let difficulty = format!("{{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[{difficulty}]}}\n");
    let tip = shared.tip.load(Ordering::Relaxed);
    let job = notify(shared.script, tip, true);
    match shared.script {
        Script::JobBeforeDifficulty => reply.to_owned() + &job + &difficulty,
        Script::NotifyBeforeAuthorizeReply => difficulty + &job + reply,
        Script::ReusedJobId => reply.to_owned() + &difficulty + &job + &job,
        Script::CleanWithoutTip => reply.to_owned() + &difficulty + &job + &job.replace("\"1\"", "\"2\""),
        _ => reply.to_owned() + &difficulty + &job,
    }
}

/// The coinbase's halves around 12 bytes of extranonce.
fn coinbase_halves(script: Script) -> (String, String) {
    let payee = if script == Script::WrongPayout { OTHER_ADDRESS } else { ADDRESS };
    let payee = payee.parse::<Address<_>>().unwrap().assume_checked();
    let coinbase = Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from_bytes([&[0x02, 0x11, 0x22, 0x0c][..], &[0xee; 12]].concat()),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: Amount::from_sat(5_000_000_000), script_pubkey: payee.script_pubkey() }],
    };
    let hex = serialize(&coinbase).to_lower_hex_string();
    let (prefix, suffix) = hex.split_once(&"ee".repeat(12)).unwrap();
    let cut = if script == Script::BrokenCoinbase { 2 } else { 0 };
    (prefix.to_owned(), suffix[..suffix.len() - cut].to_owned())
}

fn other_txids() -> [Txid; 2] {
    [Txid::from_byte_array([0xa1; 32]), Txid::from_byte_array([0xb2; 32])]
}

fn previous_hash(tip: u32) -> BlockHash {
    BlockHash::hash(&tip.to_le_bytes())
}

fn notify(script: Script, tip: u32, clean: bool) -> String {
    let (prefix, suffix) = coinbase_halves(script);
    let mut previous = previous_hash(tip).to_byte_array();
    previous.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    let [first, second] = other_txids().map(Txid::to_byte_array);
    let pair = sha256d::Hash::hash(&[second, second].concat()).to_byte_array();
    let version = if script == Script::RollableVersionBits { VERSION | 0x2000 } else { VERSION };
    let params = json!([
        tip.to_string(),
        previous.to_lower_hex_string(),
        prefix,
        suffix,
        [first.to_lower_hex_string(), pair.to_lower_hex_string()],
        format!("{version:08x}"),
        format!("{BITS:08x}"),
        format!("{TIME:08x}"),
        clean
    ]);
    format!("{{\"id\":null,\"method\":\"mining.notify\",\"params\":{params}}}\n")
}

fn verdict(request: &Value, peer: &Peer, shared: &Shared) -> String {
    let id = &request["id"];
    let is_good = match shared.script {
        Script::Verify => {
            let share = judge(&request["params"], peer);
            let is_good = share.is_good;
            shared.shares.lock().unwrap().push(share);
            is_good
        }
        Script::RejectHalf => peer.submits % 2 == 1,
        _ => true,
    };
    if is_good {
        return format!("{{\"id\":{id},\"result\":true,\"error\":null}}\n");
    }
    format!("{{\"id\":{id},\"result\":null,\"error\":[23,\"Low difficulty\",null]}}\n")
}

/// Builds the header from the submit and the pool's own parts and compares its hash with both targets.
fn judge(params: &Value, peer: &Peer) -> JudgedShare {
    let text = |index: usize| params[index].as_str().unwrap_or_default();
    let number = |index: usize| u32::from_str_radix(text(index), 16).unwrap_or_default();
    let (prefix, suffix) = coinbase_halves(Script::Verify);
    let coinbase = format!("{prefix}{:08x}{}{suffix}", peer.extranonce1, text(2));
    let coinbase: Transaction = deserialize(&Vec::from_hex(&coinbase).unwrap()).expect("extranonce2 has its length");
    let [first, second] = other_txids();
    let leaves = [coinbase.compute_txid(), first, second].map(Txid::to_raw_hash);
    let root = merkle_tree::calculate_root(leaves.into_iter()).unwrap();
    let version_bits = number(5);
    let header = Header {
        version: Version::from_consensus((VERSION | version_bits).cast_signed()),
        prev_blockhash: previous_hash(text(1).parse().unwrap()),
        merkle_root: TxMerkleNode::from_raw_hash(root),
        time: number(3),
        bits: CompactTarget::from_consensus(BITS),
        nonce: number(4),
    };
    let hash = header.block_hash();
    let leading_zeros = hash.to_byte_array().iter().rev().take_while(|byte| **byte == 0).count();
    let difficulty = Target::from_le_bytes(hash.to_byte_array()).difficulty_float();
    JudgedShare {
        extranonce2: text(2).to_owned(),
        nonce: text(4).to_owned(),
        version_bits,
        is_good: leading_zeros >= 1 && difficulty >= DIFFICULTY && version_bits & !MASK == 0 && number(3) == TIME,
        is_block: Target::from_compact(header.bits).is_met_by(hash),
    }
}
