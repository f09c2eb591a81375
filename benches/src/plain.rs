//! The plain ways that others are measured against: what one writes who knows the libraries and has no thought of speed.

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fmt::Write;
use warppool_components::units::Hash256;

/// The coinbase around the extranonces: as long as ours.
pub const COINBASE_START: [u8; 82] = [7; 82];
/// What stands behind them: two outputs and the commitment.
pub const COINBASE_END: [u8; 117] = [5; 117];

/// Double SHA-256 with crate `sha2`, which uses SHA instructions where there are any.
pub fn double_sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// A share's hash: coinbase put together, hashed, folded with its branches, put into a header, hashed.
pub fn share_hash(extranonce: &[u8], branches: &[Hash256], nonce: u32) -> [u8; 32] {
    let coinbase = [&COINBASE_START[..], extranonce, &COINBASE_END].concat();
    let root = branches
        .iter()
        .fold(double_sha256(&coinbase), |left, right| double_sha256(&[&left[..], right.as_internal()].concat()));
    let mut header = [3; 80];
    header[36..68].copy_from_slice(&root);
    header[76..].copy_from_slice(&nonce.to_le_bytes());
    double_sha256(&header)
}

/// All of a share but its socket: JSON to a tree of values, hash, duplicate check, answer.
pub fn share(line: &[u8], branches: &[Hash256], seen: &mut HashSet<[u8; 32]>, answers: &mut String) {
    let request: Value = serde_json::from_slice(line).expect("the bench's own line");
    let text = |index: usize| request["params"][index].as_str().expect("a text");
    let mut extranonce = vec![0; 4];
    extranonce.extend(hex(text(2)));
    let nonce = u32::from_str_radix(text(4), 16).expect("hexadecimal");
    let accepted = seen.insert(share_hash(&extranonce, branches, nonce));
    // Writing to a String does not fail.
    let _ = writeln!(answers, r#"{{"id":{},"result":{accepted},"error":null}}"#, request["id"]);
}

/// A template's JSON to a tree of values, hashes digit by digit, and the paths and roots of both its trees.
pub fn template(json: &[u8]) -> Vec<[u8; 32]> {
    let template: Value = serde_json::from_slice(json).expect("the node's own answer");
    let transactions = template["transactions"].as_array().expect("a list");
    let ids = |field: &str| -> Vec<[u8; 32]> {
        let id = |transaction: &Value| {
            let mut bytes = hex(transaction[field].as_str().expect("a text"));
            bytes.reverse();
            bytes.try_into().expect("32 bytes")
        };
        transactions.iter().map(id).collect()
    };
    let bytes: usize = transactions.iter().map(|each| hex(each["data"].as_str().expect("a text")).len()).sum();
    assert!(bytes > 0, "transactions have bytes");
    let [mut branches, witness] = [ids("txid"), ids("hash")].map(branches);
    branches.extend(witness);
    branches
}

/// The path of the first leaf of a tree whose others these are.
pub fn branches(mut level: Vec<[u8; 32]>) -> Vec<[u8; 32]> {
    let mut branches = Vec::new();
    while !level.is_empty() {
        branches.push(level.remove(0));
        level = level.chunks(2).map(|pair| double_sha256(&[pair[0], pair[pair.len() - 1]].concat())).collect();
    }
    branches
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}
