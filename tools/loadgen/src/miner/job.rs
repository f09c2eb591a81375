//! A job as `mining.notify` brings it, decoded strictly, and the header assembled from it.

use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::deserialize;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::hex::FromHex;
use bitcoin::{BlockHash, CompactTarget, Transaction, TxMerkleNode};
use serde_json::Value;

/// A decoded `mining.notify`.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// The tip it builds on.
    pub previous_hash: BlockHash,
    /// Coinbase before extranonce1.
    pub coinbase_prefix: Vec<u8>,
    /// Coinbase after extranonce2.
    pub coinbase_suffix: Vec<u8>,
    /// Merkle path of the coinbase, deepest first.
    pub branches: Vec<[u8; 32]>,
    /// Header version.
    pub version: u32,
    /// `nBits`.
    pub bits: u32,
    /// Header time in seconds.
    pub time: u32,
    /// Whether older jobs are to be dropped.
    pub clean: bool,
}

/// Why a notify cannot be worked on.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JobError {
    /// Another number of parameters than nine.
    #[error("mining.notify has {0} parameters, 9 are needed")]
    ParameterCount(usize),
    /// One that is not what it should be.
    #[error("mining.notify parameter {index} ({name}) is not {expected}")]
    Parameter {
        /// Its place, counted from 0.
        index: usize,
        /// What it is called.
        name: &'static str,
        /// What would do.
        expected: &'static str,
    },
    /// Bytes that are no transaction.
    #[error("the coinbase does not decode as a transaction: {0}")]
    Coinbase(String),
}

impl Job {
    /// Decodes the nine parameters: id, previous hash, coinbase halves, branches, version, bits, time, clean.
    ///
    /// # Errors
    /// [`JobError`] names the parameter that cannot be read.
    pub fn decode(params: &Value) -> Result<Self, JobError> {
        let list = params.as_array().map(Vec::as_slice).unwrap_or_default();
        if list.len() != 9 {
            return Err(JobError::ParameterCount(list.len()));
        }
        let wrong = |index, name, expected| JobError::Parameter { index, name, expected };
        Ok(Self {
            id: list[0].as_str().ok_or(wrong(0, "job id", "a string"))?.to_owned(),
            previous_hash: previous_hash(&list[1]).ok_or(wrong(1, "previous hash", "64 hex digits"))?,
            coinbase_prefix: bytes(&list[2]).ok_or(wrong(2, "coinbase 1", "hex"))?,
            coinbase_suffix: bytes(&list[3]).ok_or(wrong(3, "coinbase 2", "hex"))?,
            branches: branches(&list[4]).ok_or(wrong(4, "merkle branches", "a list of 64 hex digits each"))?,
            version: word(&list[5]).ok_or(wrong(5, "version", "8 hex digits"))?,
            bits: word(&list[6]).ok_or(wrong(6, "bits", "8 hex digits"))?,
            time: word(&list[7]).ok_or(wrong(7, "time", "8 hex digits"))?,
            clean: list[8].as_bool().ok_or(wrong(8, "clean", "a boolean"))?,
        })
    }

    /// The whole coinbase with both extranonces, as it is hashed (without witness).
    pub fn coinbase(&self, extranonce1: &[u8], extranonce2: &[u8]) -> Vec<u8> {
        [&self.coinbase_prefix, extranonce1, extranonce2, &self.coinbase_suffix].concat()
    }

    /// The coinbase decoded by the `bitcoin` crate; every byte must be used.
    ///
    /// # Errors
    /// [`JobError::Coinbase`] with the library's words.
    pub fn decoded_coinbase(&self, extranonce1: &[u8], extranonce2: &[u8]) -> Result<Transaction, JobError> {
        deserialize(&self.coinbase(extranonce1, extranonce2)).map_err(|error| JobError::Coinbase(error.to_string()))
    }

    /// The header over that coinbase; `version` already holds the rolled bits.
    pub fn header(&self, coinbase: &[u8], version: u32) -> Header {
        Header {
            version: Version::from_consensus(version.cast_signed()),
            prev_blockhash: self.previous_hash,
            merkle_root: self.merkle_root(coinbase),
            time: self.time,
            bits: CompactTarget::from_consensus(self.bits),
            nonce: 0,
        }
    }

    /// The coinbase's txid folded with the branches, left to right.
    fn merkle_root(&self, coinbase: &[u8]) -> TxMerkleNode {
        let mut node = sha256d::Hash::hash(coinbase).to_byte_array();
        for branch in &self.branches {
            node = sha256d::Hash::hash(&[node, *branch].concat()).to_byte_array();
        }
        TxMerkleNode::from_byte_array(node)
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    Vec::from_hex(value.as_str()?).ok()
}

fn word(value: &Value) -> Option<u32> {
    Some(u32::from_be_bytes(<[u8; 4]>::from_hex(value.as_str()?).ok()?))
}

fn branches(value: &Value) -> Option<Vec<[u8; 32]>> {
    value.as_array()?.iter().map(|branch| <[u8; 32]>::from_hex(branch.as_str()?).ok()).collect()
}

/// Stratum sends the hash in the header's byte order with the bytes of each 4-byte word reversed.
fn previous_hash(value: &Value) -> Option<BlockHash> {
    let mut hash = <[u8; 32]>::from_hex(value.as_str()?).ok()?;
    hash.chunks_exact_mut(4).for_each(<[u8]>::reverse);
    Some(BlockHash::from_byte_array(hash))
}
