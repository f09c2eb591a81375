//! Found blocks and their way into the chain.

use crate::template::Template;
use crate::units::{Difficulty, Hash256, Sats, UnixTime};
use crate::worker::WorkerId;
use std::fmt;
use std::sync::Arc;

/// What became of a found block.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum BlockState {
    /// Submitted, or about to be; no node has given a final answer.
    #[default]
    Pending,
    /// A node took it; it is in the best chain as its tip, or not yet buried.
    Accepted,
    /// It is in the best chain with so many blocks from it to the tip, itself included.
    Confirmed(u32),
    /// It is valid, but another block of its height is in the best chain.
    Orphaned,
    /// A node refused it, for this reason.
    Rejected(String),
}

impl BlockState {
    /// Short name for the API.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Confirmed(_) => "confirmed",
            Self::Orphaned => "orphaned",
            Self::Rejected(_) => "rejected",
        }
    }
}

impl fmt::Display for BlockState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed(count) => write!(formatter, "confirmed({count})"),
            Self::Rejected(reason) => write!(formatter, "rejected({reason})"),
            other => formatter.write_str(other.label()),
        }
    }
}

/// A header that meets the network's target, with all that is needed to submit and to remember it.
#[derive(Clone, PartialEq, Debug)]
pub struct BlockCandidate {
    /// Its hash.
    pub hash: Hash256,
    /// The header as mined, rolled version bits included.
    pub header: [u8; 80],
    /// The coinbase with its witness, serialised.
    pub coinbase: Arc<[u8]>,
    /// The rest of the block.
    pub template: Arc<Template>,
    /// Who found it.
    pub worker: WorkerId,
    /// `address.name` of the finder.
    pub worker_label: Arc<str>,
    /// The address that the coinbase pays what is left after fee and donation.
    pub address: Arc<str>,
    /// What that address gets.
    pub payout: Sats,
    /// Difficulty of the hash.
    pub share_difficulty: Difficulty,
    /// When it was found.
    pub found_at: UnixTime,
    /// Whether the share was otherwise refused (stale, duplicate, low for vardiff).
    pub share_rejected: bool,
}

impl BlockCandidate {
    /// The whole block as `submitblock` takes it: header, count, coinbase with witness, transactions.
    pub fn serialise(&self) -> Vec<u8> {
        let count = u64::from(self.template.transaction_count) + 1;
        let mut block = Vec::with_capacity(80 + 9 + self.coinbase.len() + self.template.transactions.len());
        block.extend_from_slice(&self.header);
        match count {
            0..=0xfc => block.push(count as u8),
            0xfd..=0xffff => {
                block.push(0xfd);
                block.extend_from_slice(&(count as u16).to_le_bytes());
            }
            _ => {
                block.push(0xfe);
                block.extend_from_slice(&(count as u32).to_le_bytes());
            }
        }
        block.extend_from_slice(&self.coinbase);
        block.extend_from_slice(&self.template.transactions);
        block
    }
}
