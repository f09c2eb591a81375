//! A client of the node's RPC and a builder of blocks that shares no code with the node.

#![allow(dead_code, reason = "each test file uses a part")]

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::{
    Amount, Block, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Witness,
    transaction,
};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use warppool_simnode::{SimNode, SimNodeOptions};

/// A node with its directory, and a client for it.
pub(crate) struct Fixture {
    pub(crate) node: SimNode,
    pub(crate) directory: TempDir,
}

/// What came back over HTTP.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Fixture {
    /// A regtest node whose templates hold 24 transactions, so that a block has an odd number.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(adjust: impl FnOnce(&mut SimNodeOptions)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut options = SimNodeOptions::regtest(directory.path());
        options.transactions = 24..=24;
        adjust(&mut options);
        Self { node: SimNode::start(options).unwrap(), directory }
    }

    pub(crate) fn cookie(&self) -> String {
        fs::read_to_string(self.node.cookie_path()).unwrap()
    }

    /// Posts a body with a cookie.
    pub(crate) fn post(&self, cookie: Option<&str>, body: &str) -> Result<Answer, ureq::Error> {
        post(&self.node.rpc_url(), cookie, body)
    }

    /// Calls a method with JSON-RPC 1.0; gives the whole answer.
    pub(crate) fn answer(&self, method: &str, params: Value) -> Answer {
        let body = json!({"id": 7, "method": method, "params": params}).to_string();
        self.post(Some(&self.cookie()), &body).unwrap()
    }

    /// Calls a method that must succeed.
    pub(crate) fn call(&self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert_eq!(answer.status, 200, "{method}: {}", answer.text);
        answer.json()["result"].take()
    }

    /// The error object of a call that must fail.
    pub(crate) fn error(&self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert_ne!(answer.status, 200, "{method}: {}", answer.text);
        answer.json()["error"].take()
    }

    pub(crate) fn template(&self) -> Value {
        self.call("getblocktemplate", json!([{"rules": ["segwit"]}]))
    }

    /// `submitblock`'s answer: `None` for `null`.
    pub(crate) fn submit(&self, block: &Block) -> Option<String> {
        self.call("submitblock", json!([serialize_hex(block)])).as_str().map(str::to_owned)
    }

    /// A mined block from the current template.
    pub(crate) fn good_block(&self) -> Block {
        build(&self.template())
    }
}

pub(crate) fn post(url: &str, cookie: Option<&str>, body: &str) -> Result<Answer, ureq::Error> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_idle_connections(0)
        .timeout_global(Some(Duration::from_secs(20)));
    let agent = ureq::Agent::new_with_config(config.build());
    let mut request = agent.post(url).header("Content-Type", "application/json");
    if let Some(cookie) = cookie {
        request = request.header("Authorization", format!("Basic {}", base64(cookie)));
    }
    let mut response = request.send(body)?;
    let status = response.status().as_u16();
    Ok(Answer { status, text: response.body_mut().with_config().limit(64 << 20).read_to_string()? })
}

fn base64(text: &str) -> String {
    let bits: Vec<u8> = text.bytes().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let digit = |six: &[u8]| (0..6).fold(0, |value, bit| value << 1 | usize::from(*six.get(bit).unwrap_or(&0)));
    let mut encoded: String = bits.chunks(6).map(|six| alphabet[digit(six)]).collect();
    while !encoded.len().is_multiple_of(4) {
        encoded.push('=');
    }
    encoded
}

/// A mined block with all transactions of a template.
pub(crate) fn build(template: &Value) -> Block {
    let transactions = template["transactions"].as_array().unwrap();
    let decode = |entry: &Value| deserialize_hex::<Transaction>(entry["data"].as_str().unwrap()).unwrap();
    let mut block = Block {
        header: Header {
            version: Version::from_consensus(template["version"].as_i64().unwrap() as i32),
            prev_blockhash: template["previousblockhash"].as_str().unwrap().parse().unwrap(),
            merkle_root: TxMerkleNode::all_zeros(),
            time: template["curtime"].as_u64().unwrap() as u32,
            bits: CompactTarget::from_unprefixed_hex(template["bits"].as_str().unwrap()).unwrap(),
            nonce: 0,
        },
        txdata: std::iter::once(coinbase(template)).chain(transactions.iter().map(decode)).collect(),
    };
    seal(&mut block);
    block
}

fn coinbase(template: &Value) -> Transaction {
    let height = template["height"].as_u64().unwrap() as u32;
    let commitment = const_hex::decode(template["default_witness_commitment"].as_str().unwrap()).unwrap();
    let output = |sats, script| TxOut { value: Amount::from_sat(sats), script_pubkey: ScriptBuf::from_bytes(script) };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::from_consensus(height - 1),
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: Builder::new().push_int(i64::from(height)).push_slice(b"/test/").into_script(),
            sequence: Sequence(0xffff_fffe),
            witness: Witness::from_slice(&[[0_u8; 32]]),
        }],
        output: vec![
            output(template["coinbasevalue"].as_u64().unwrap(), [&[0, 20][..], &[7; 20]].concat()),
            output(0, commitment),
        ],
    }
}

/// Puts the right merkle root into the header and mines it.
pub(crate) fn seal(block: &mut Block) {
    block.header.merkle_root = block.compute_merkle_root().unwrap_or_else(TxMerkleNode::all_zeros);
    mine(block);
}

/// Puts the right witness commitment into the coinbase, then seals.
pub(crate) fn commit_and_seal(block: &mut Block) {
    let root = block.witness_root().unwrap();
    let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
    let script = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed][..], commitment.as_byte_array()].concat();
    block.txdata[0].output[1].script_pubkey = ScriptBuf::from_bytes(script);
    seal(block);
}

pub(crate) fn mine(block: &mut Block) {
    let target = block.header.target();
    while !target.is_met_by(block.block_hash()) {
        block.header.nonce += 1;
    }
}

/// Polls a condition for at most ten seconds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        std::thread::yield_now();
    }
}
