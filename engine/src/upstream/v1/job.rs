//! `mining.notify`, checked.

use bitcoin::hex::FromHex;
use serde_json::Value;
use std::sync::Arc;
use warppool_components::limits::MERKLE_BRANCHES_MAX;
use warppool_components::units::Hash256;

/// Most characters of a job's name that are kept.
const NAME_BYTES_MAX: usize = 256;

/// A job as the pool sent it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Notify {
    /// Its name, which shares repeat.
    pub(super) name: String,
    pub(super) previous_block: Hash256,
    /// Up to the extranonce.
    pub(super) coinbase_start: Vec<u8>,
    /// From behind the extranonce.
    pub(super) coinbase_end: Vec<u8>,
    pub(super) merkle_path: Arc<[Hash256]>,
    pub(super) version: u32,
    pub(super) bits: u32,
    pub(super) ntime: u32,
    /// Earlier jobs are of no use any more.
    pub(super) clean: bool,
}

impl Notify {
    /// Reads the parameters.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn read(params: &Value) -> Result<Self, &'static str> {
        let text = |place: usize| params[place].as_str();
        let bytes = |place: usize| text(place).and_then(|text| Vec::from_hex(text).ok());
        let name = text(0).filter(|name| name.len() <= NAME_BYTES_MAX).ok_or("it has no name, or a very long one")?;
        Ok(Self {
            name: name.to_owned(),
            previous_block: bytes(1).and_then(previous_block).ok_or("its previous block is no hash")?,
            coinbase_start: bytes(2).ok_or("the start of its coinbase is not hexadecimal")?,
            coinbase_end: bytes(3).ok_or("the end of its coinbase is not hexadecimal")?,
            merkle_path: merkle_path(&params[4])?,
            version: text(5).and_then(number).ok_or("its version is no number of 32 bits")?,
            bits: text(6).and_then(number).ok_or("its nBits are no number of 32 bits")?,
            ntime: text(7).and_then(number).ok_or("its time is no number of 32 bits")?,
            // Pools of the past leave it out, or send a number.
            clean: params[8].as_bool().unwrap_or_else(|| params[8].as_u64() != Some(0)),
        })
    }
}

/// Hexadecimal digits, most significant first.
pub(super) fn number(text: &str) -> Option<u32> {
    let is_hex = text.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

/// The hash in internal order, from its words with their bytes turned round.
fn previous_block(mut bytes: Vec<u8>) -> Option<Hash256> {
    bytes.chunks_mut(4).for_each(<[u8]>::reverse);
    Some(Hash256::from_internal(bytes.try_into().ok()?))
}

fn merkle_path(branches: &Value) -> Result<Arc<[Hash256]>, &'static str> {
    let branches = branches.as_array().ok_or("it has no list of merkle branches")?;
    if branches.len() > MERKLE_BRANCHES_MAX {
        return Err("its merkle path is longer than any block's");
    }
    let hash = |branch: &Value| <[u8; 32]>::from_hex(branch.as_str()?).ok().map(Hash256::from_internal);
    branches.iter().map(|branch| hash(branch).ok_or("a merkle branch is no hash")).collect()
}
