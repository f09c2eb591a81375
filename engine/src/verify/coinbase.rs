//! The coinbase of a job, read as the network would read it.

use bitcoin::script::Instruction;
use bitcoin::{Amount, ScriptBuf, Transaction};
use warppool_components::limits::{COINBASE_SCRIPT_BYTES_MAX, MERKLE_BRANCHES_MAX};
use warppool_loadgen::miner::Job;

/// Fewest bytes of a coinbase's scriptSig (consensus).
const SCRIPT_BYTES_MIN: usize = 2;

/// A part of the reward.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// How much.
    pub value: Amount,
    /// To whom.
    pub script: ScriptBuf,
}

/// What a coinbase says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coinbase {
    /// The block's height (BIP34).
    pub height: u32,
    /// Bytes of its scriptSig.
    pub script_bytes: usize,
    /// Text in its scriptSig, such as a pool's tag.
    pub text: String,
    /// Outputs in their order.
    pub outputs: Vec<Output>,
}

/// Why a coinbase would make no block.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CoinbaseError {
    /// Bytes that are no transaction.
    #[error("the coinbase cannot be read: {0}")]
    NotATransaction(String),
    /// A transaction that spends something.
    #[error("the coinbase is not one: it spends an output")]
    Spends,
    /// Consensus allows 2 to 100 bytes.
    #[error("the coinbase's scriptSig has {0} bytes, {SCRIPT_BYTES_MIN} to {COINBASE_SCRIPT_BYTES_MAX} are allowed")]
    ScriptSize(usize),
    /// No height where BIP34 wants it.
    #[error("the coinbase does not begin with the block's height (BIP34)")]
    NoHeight,
    /// Longer than any block's.
    #[error("the job has {0} merkle branches, a block has at most {MERKLE_BRANCHES_MAX}")]
    Branches(usize),
}

impl Coinbase {
    /// Puts the coinbase of a job together and reads it.
    ///
    /// # Errors
    /// [`CoinbaseError`] when no block could hold it.
    pub fn read(job: &Job, extranonce1: &[u8], extranonce2_bytes: usize) -> Result<Self, CoinbaseError> {
        let decoded = job.decoded_coinbase(extranonce1, &vec![0; extranonce2_bytes]);
        let transaction: Transaction = decoded.map_err(|error| CoinbaseError::NotATransaction(error.to_string()))?;
        if !transaction.is_coinbase() {
            return Err(CoinbaseError::Spends);
        }
        if job.branches.len() > MERKLE_BRANCHES_MAX {
            return Err(CoinbaseError::Branches(job.branches.len()));
        }
        let script = &transaction.input[0].script_sig;
        if !(SCRIPT_BYTES_MIN..=COINBASE_SCRIPT_BYTES_MAX).contains(&script.len()) {
            return Err(CoinbaseError::ScriptSize(script.len()));
        }
        let outputs = transaction
            .output
            .iter()
            .map(|output| Output { value: output.value, script: output.script_pubkey.clone() });
        Ok(Self {
            height: height(script).ok_or(CoinbaseError::NoHeight)?,
            script_bytes: script.len(),
            text: text(script.as_bytes()),
            outputs: outputs.collect(),
        })
    }

    /// Everything that the block would create and collect.
    pub fn total(&self) -> Amount {
        self.outputs.iter().map(|output| output.value).sum()
    }
}

/// The number that a script begins with.
fn height(script: &bitcoin::Script) -> Option<u32> {
    let first = script.instructions().next()?.ok()?;
    match first {
        Instruction::PushBytes(bytes) if (1..=4).contains(&bytes.len()) => {
            let (bytes, mut number) = (bytes.as_bytes(), [0; 4]);
            number[..bytes.len()].copy_from_slice(bytes);
            let is_negative = bytes[bytes.len() - 1] & 0x80 != 0;
            (!is_negative).then(|| u32::from_le_bytes(number))
        }
        Instruction::PushBytes(_) => None,
        // Heights 1 to 16 of a young chain.
        Instruction::Op(opcode) => (0x51..=0x60).contains(&opcode.to_u8()).then(|| u32::from(opcode.to_u8() - 0x50)),
    }
}

/// Runs of at least four printable letters.
fn text(bytes: &[u8]) -> String {
    let is_letter = |byte: &u8| (0x20..0x7f).contains(byte);
    let runs = bytes.split(|byte| !is_letter(byte)).filter(|run| run.len() >= 4);
    runs.map(|run| String::from_utf8_lossy(run)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_read_as_bip34_writes_them() {
        // Block 227,836 is the first that had to; 840,000 by Core's encoding; small numbers are opcodes.
        for (bytes, expected) in [
            (&[3, 0xfc, 0x79, 0x03, 0x01][..], Some(227_836)),
            (&[3, 0x40, 0xd1, 0x0c], Some(840_000)),
            (&[2, 0x80, 0x00], Some(128)),
            (&[0x51, 0x00], Some(1)),
            (&[0x60], Some(16)),
            (&[1, 0x81], None),
            (&[0x04, 1], None),
            (&[], None),
        ] {
            assert_eq!(height(bitcoin::Script::from_bytes(bytes)), expected, "{bytes:02x?}");
        }
        assert_eq!(text(b"\x03abc\x00/warppool/\x01xy\xffmore"), "/warppool/ more");
    }
}
