//! A miner as the pool's lines make it: what it knows, and shares that it finds.
//!
//! Everything is computed with crate `bitcoin`, nothing with code of the pool. While it reads, it checks what holds for
//! every line that any miner is ever sent, so that each test proves it again.

use crate::work::join;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::deserialize;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::hex::FromHex;
use bitcoin::{BlockHash, CompactTarget, Transaction, TxMerkleNode};
use serde_json::Value;
use std::collections::HashSet;

/// Most hashes that a search takes before the test is wrong.
const SEARCH_MAX: u32 = 5_000_000;

/// Bytes a `mining.notify` may have (rule 18).
pub const NOTIFY_BYTES_MAX: usize = 2500;

/// What a miner knows.
#[derive(Clone, Debug, Default)]
pub struct Miner {
    /// Session id of its subscription.
    pub session: String,
    /// The pool's part of the extranonce in hexadecimal; empty before subscribe.
    pub extranonce1: String,
    /// Bytes of its own part.
    pub extranonce2_bytes: usize,
    /// Difficulty that governs the next job.
    pub difficulty: Option<f64>,
    /// Version bits that it may roll.
    pub version_mask: u32,
    /// All jobs, oldest first.
    pub jobs: Vec<MinerJob>,
    /// What the operator had to say.
    pub messages: Vec<String>,
    ids: HashSet<String>,
    /// Hashes of the works, because a miner of weeks has had very many.
    works: HashSet<sha256d::Hash>,
}

/// A job as the miner got it.
#[derive(Clone, Debug)]
pub struct MinerJob {
    /// Its id.
    pub id: String,
    /// Difficulty that was announced last before it.
    pub difficulty: f64,
    /// Header version.
    pub version: u32,
    /// `nBits`.
    pub bits: u32,
    /// Header time.
    pub ntime: u32,
    /// `clean_jobs`.
    pub clean: bool,
    previous_block: BlockHash,
    coinbase_prefix: Vec<u8>,
    coinbase_suffix: Vec<u8>,
    branches: Vec<sha256d::Hash>,
}

/// A nonce and all that belongs to it.
#[derive(Clone, PartialEq, Debug)]
pub struct Share {
    /// The job's id.
    pub job: String,
    /// The miner's part of the extranonce, 16 digits.
    pub extranonce2: String,
    /// Header time.
    pub ntime: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Bits that differ from the job's version; `None` leaves the sixth parameter out.
    pub version_bits: Option<u32>,
    /// The header's version.
    pub version: u32,
    /// Its hash in display order.
    pub hash: String,
    /// Difficulty of the hash.
    pub reached: f64,
}

/// What to look for and where.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    miner: &'a Miner,
    job: &'a MinerJob,
    extranonce2: u64,
    ntime: u32,
    version_bits: Option<u32>,
}

impl MinerJob {
    /// The tip that it builds on, in internal byte order.
    pub fn previous_block(&self) -> [u8; 32] {
        self.previous_block.to_byte_array()
    }

    /// The merkle path, in internal byte order: which transactions the job is about.
    pub fn branches(&self) -> Vec<[u8; 32]> {
        self.branches.iter().map(|branch| branch.to_byte_array()).collect()
    }

    /// What its coinbase pays: scripts and values in order, as crate `bitcoin` reads them.
    ///
    /// # Panics
    /// When the parts with an extranonce of `extranonce_bytes` between them are no transaction.
    pub fn coinbase_outputs(&self, extranonce_bytes: usize) -> Vec<(Vec<u8>, u64)> {
        let whole = [&self.coinbase_prefix[..], &vec![0; extranonce_bytes], &self.coinbase_suffix].concat();
        let coinbase: Transaction =
            deserialize(&whole).unwrap_or_else(|error| panic!("the coinbase of job {} is none: {error}", self.id));
        coinbase.output.iter().map(|output| (output.script_pubkey.to_bytes(), output.value.to_sat())).collect()
    }
}

impl Miner {
    /// Takes a line of the pool in, and checks what holds for each.
    pub fn hear(&mut self, line: &str) {
        let message: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        let members = message.as_object().expect("each line is an object");
        match members.get("method").and_then(Value::as_str) {
            None => {
                let names: Vec<_> = members.keys().map(String::as_str).collect();
                assert_eq!(names, ["error", "id", "result"], "a reply has all three and nothing else: {line}");
                self.hear_reply(&message["result"]);
            }
            Some(method) => {
                assert_eq!(members["id"], Value::Null, "a notification has no id: {line}");
                self.hear_notification(method, &message["params"], line);
            }
        }
    }

    fn hear_reply(&mut self, result: &Value) {
        if result[0][0][0] == "mining.notify" {
            self.session = result[0][0][1].as_str().expect("a session id").to_owned();
            self.extranonce1 = result[1].as_str().expect("an extranonce1").to_owned();
            self.extranonce2_bytes = result[2].as_u64().expect("a size") as usize;
        }
        if let Some(mask) = result["version-rolling.mask"].as_str() {
            self.version_mask = u32::from_str_radix(mask, 16).expect("a mask");
        }
    }

    fn hear_notification(&mut self, method: &str, params: &Value, line: &str) {
        assert!(!self.extranonce1.is_empty(), "nothing unsolicited before the reply to subscribe: {line}");
        match method {
            "mining.set_difficulty" => self.hear_difficulty(params, line),
            "mining.set_version_mask" => {
                let mask = params[0].as_str().expect("a mask");
                self.version_mask = u32::from_str_radix(mask, 16).expect("a mask");
            }
            "mining.notify" => self.hear_job(params, line),
            "client.show_message" => self.messages.push(params[0].as_str().expect("a text").to_owned()),
            // It is in the lines; miners of tests stay.
            "client.reconnect" => {}
            other => panic!("no miner knows {other}"),
        }
    }

    fn hear_difficulty(&mut self, params: &Value, line: &str) {
        let written = line.rsplit('[').next().expect("parameters").trim_end_matches("]}");
        assert!(written.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'), "a plain decimal: {line}");
        let value = params[0].as_f64().expect("a number");
        assert!(value > 0.0, "{line}");
        if value >= 1.0 {
            assert!(params[0].as_u64().is_some_and(u64::is_power_of_two), "a power of two at 1 and above: {line}");
        }
        self.difficulty = Some(value);
    }

    fn hear_job(&mut self, params: &Value, line: &str) {
        assert!(line.len() < NOTIFY_BYTES_MAX, "{} bytes of notify", line.len());
        let text = |index: usize| params[index].as_str().expect("a string").to_owned();
        let number = |index: usize| u32::from_str_radix(params[index].as_str().expect("hex"), 16).expect("32 bits");
        let id = text(0);
        assert!(id.len() <= 8, "job id {id} is too long");
        assert!(self.ids.insert(id.clone()), "job id {id} was used before on this connection");
        let work = format!("{}|{}|{}|{}", text(2), text(3), text(7), text(1));
        assert!(self.works.insert(sha256d::Hash::hash(work.as_bytes())), "the same work twice: {line}");
        let branches = params[4].as_array().expect("a list").iter();
        self.jobs.push(MinerJob {
            id,
            difficulty: self.difficulty.expect("a difficulty precedes the job that it governs"),
            version: number(5),
            bits: number(6),
            ntime: number(7),
            clean: params[8].as_bool().expect("a flag"),
            previous_block: previous_block(&text(1)),
            coinbase_prefix: bytes(&text(2)),
            coinbase_suffix: bytes(&text(3)),
            branches: branches.map(|branch| hash(branch.as_str().expect("a string"))).collect(),
        });
    }

    /// The latest job.
    pub fn job(&self) -> &MinerJob {
        self.jobs.last().expect("a job was sent")
    }

    /// Begins a search on the latest job.
    pub fn search(&self) -> Search<'_> {
        self.search_on(self.job())
    }

    /// Begins a search on the job with `id`.
    pub fn search_job(&self, id: &str) -> Search<'_> {
        self.search_on(self.jobs.iter().find(|job| job.id == id).expect("a job that was sent"))
    }

    fn search_on<'a>(&'a self, job: &'a MinerJob) -> Search<'a> {
        Search { miner: self, job, extranonce2: 0, ntime: job.ntime, version_bits: None }
    }
}

/// The bytes of hexadecimal text.
fn bytes(text: &str) -> Vec<u8> {
    Vec::from_hex(text).expect("hexadecimal")
}

fn hash(text: &str) -> sha256d::Hash {
    sha256d::Hash::from_slice(&bytes(text)).expect("32 bytes")
}

/// Stratum turns the bytes of each 32-bit word of the previous block's hash.
fn previous_block(text: &str) -> BlockHash {
    let turned: Vec<u8> = bytes(text).chunks(4).flat_map(|word| word.iter().rev().copied()).collect();
    BlockHash::from_slice(&turned).expect("32 bytes")
}

impl Search<'_> {
    /// With this extranonce2.
    pub fn extranonce2(self, extranonce2: u64) -> Self {
        Self { extranonce2, ..self }
    }

    /// With this header time.
    pub fn ntime(self, ntime: u32) -> Self {
        Self { ntime, ..self }
    }

    /// With these version bits rolled.
    pub fn version_bits(self, bits: u32) -> Self {
        Self { version_bits: Some(bits), ..self }
    }

    /// The first share that the job's difficulty is met by, with a margin that leaves no doubt.
    pub fn hit(self) -> Share {
        let wanted = self.job.difficulty * 1.01;
        self.first(|reached| reached >= wanted)
    }

    /// The first share that is worth `difficulty`, with the same margin, whatever the job's difficulty is.
    pub fn worth(self, difficulty: f64) -> Share {
        self.first(|reached| reached >= difficulty * 1.01)
    }

    /// The first one that misses it.
    pub fn miss(self) -> Share {
        let wanted = self.job.difficulty * 0.99;
        self.first(|reached| reached < wanted)
    }

    /// The first `count` shares that meet the job's difficulty.
    pub fn hits(self, count: usize) -> Vec<Share> {
        let wanted = self.job.difficulty * 1.01;
        let good = self.headers().filter(|(_, reached)| *reached >= wanted);
        let found: Vec<_> = good.take(count).map(|(header, _)| self.judged(header)).collect();
        assert_eq!(found.len(), count, "the difficulty is too high for a test");
        found
    }

    /// The first share whose difficulty pleases.
    pub fn first(self, pleases: impl Fn(f64) -> bool) -> Share {
        let (header, _) = self.headers().find(|(_, reached)| pleases(*reached)).expect("a share in reach");
        self.judged(header)
    }

    /// The headers of all nonces in order and what their hashes are worth; the tree is hashed once.
    fn headers(self) -> impl Iterator<Item = (Header, f64)> {
        let header = self.header(0);
        (0..SEARCH_MAX).map(move |nonce| {
            let header = Header { nonce, ..header };
            (header, difficulty_of(header.block_hash()))
        })
    }

    /// The share of a nonce, whatever it is worth.
    pub fn share(self, nonce: u32) -> Share {
        self.judged(self.header(nonce))
    }

    fn judged(self, header: Header) -> Share {
        let (nonce, hash) = (header.nonce, header.block_hash());
        Share {
            job: self.job.id.clone(),
            extranonce2: format!("{:016x}", self.extranonce2),
            ntime: self.ntime,
            nonce,
            version_bits: self.version_bits,
            version: header.version.to_consensus() as u32,
            hash: hash.to_string(),
            reached: difficulty_of(hash),
        }
    }

    fn header(&self, nonce: u32) -> Header {
        let version = self.job.version | self.version_bits.unwrap_or(0);
        Header {
            version: Version::from_consensus(version as i32),
            prev_blockhash: self.job.previous_block,
            merkle_root: TxMerkleNode::from_raw_hash(self.root()),
            time: self.ntime,
            bits: CompactTarget::from_consensus(self.job.bits),
            nonce,
        }
    }

    fn root(&self) -> sha256d::Hash {
        let extranonce1 = bytes(&self.miner.extranonce1);
        let parts =
            [&self.job.coinbase_prefix, &extranonce1, &self.extranonce2.to_be_bytes()[..], &self.job.coinbase_suffix];
        let coinbase = sha256d::Hash::hash(&parts.concat());
        self.job.branches.iter().fold(coinbase, |node, branch| join(node, *branch))
    }
}

/// How many times harder than the target of difficulty 1 a hash is.
fn difficulty_of(hash: BlockHash) -> f64 {
    let number = hash.to_byte_array().iter().rev().fold(0.0, |number, byte| number * 256.0 + f64::from(*byte));
    f64::from(0xffff_u32) * 2f64.powi(208) / number
}

impl Share {
    /// The line that submits it.
    pub fn line(&self, id: u64, user: &str) -> String {
        let bits = self.version_bits.map(|bits| format!(",\"{bits:08x}\"")).unwrap_or_default();
        format!(
            r#"{{"id":{id},"method":"mining.submit","params":["{user}","{}","{}","{:08x}","{:08x}"{bits}]}}"#,
            self.job, self.extranonce2, self.ntime, self.nonce
        )
    }
}
