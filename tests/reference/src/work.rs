//! Coinbase, merkle root and header by crate `bitcoin`, and shares found by hashing.

use crate::channel::{Channel, Job, Work};
use bitcoin::block::{Header, Version};
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{CompactTarget, Target, TxMerkleNode};

/// Bits of the version that a miner may roll (BIP323).
pub const VERSION_MASK: u32 = 0x1fff_ffe0;

/// Most hashes that a search takes before the test is wrong.
const SEARCH_MAX: u32 = 2_000_000;

/// A nonce and all that belongs to it.
#[derive(Clone, PartialEq, Debug)]
pub struct Share {
    /// The channel.
    pub channel: u32,
    /// The job.
    pub job: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Header time.
    pub ntime: u32,
    /// Header version.
    pub version: u32,
    /// The miner's part of the extranonce; `None` in a standard channel.
    pub extranonce: Option<Vec<u8>>,
    /// Its hash as explorers show it.
    pub hash: String,
    /// Difficulty of the hash.
    pub reached: f64,
}

/// What to look for and where.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    channel: &'a Channel,
    job: &'a Job,
    extranonce: u64,
    ntime: u32,
    version: u32,
    first_nonce: u32,
}

impl Channel {
    /// Begins a search on the latest job that can be worked on.
    pub fn search(&self) -> Search<'_> {
        self.search_on(self.job())
    }

    /// Begins a search on a job, whatever its state. One without a tip is searched on the present tip.
    pub fn search_on<'a>(&'a self, job: &'a Job) -> Search<'a> {
        let ntime = job.min_ntime.or_else(|| self.tip.map(|tip| tip.min_ntime)).unwrap_or(0);
        Search { channel: self, job, extranonce: 0, ntime, version: job.version, first_nonce: 0 }
    }
}

impl Search<'_> {
    /// With this extranonce.
    pub fn extranonce(self, extranonce: u64) -> Self {
        Self { extranonce, ..self }
    }

    /// With this header time.
    pub fn ntime(self, ntime: u32) -> Self {
        Self { ntime, ..self }
    }

    /// With these bits of the version other than the job's.
    pub fn version_bits(self, bits: u32) -> Self {
        Self { version: self.job.version ^ bits, ..self }
    }

    /// Beginning at this nonce.
    pub fn from_nonce(self, first_nonce: u32) -> Self {
        Self { first_nonce, ..self }
    }

    /// The first share that the job's target is met by.
    pub fn hit(self) -> Share {
        let target = self.target();
        self.first(|hash| hash <= target)
    }

    /// The first one that misses it and the network's.
    pub fn miss(self) -> Share {
        let target = self.target().max(self.network_target());
        self.first(|hash| hash > target)
    }

    /// The first one that is a block and meets the job's target.
    pub fn block(self) -> Share {
        let target = self.network_target().min(self.target());
        self.first(|hash| hash <= target)
    }

    /// The first one that meets the job's target and is no block.
    pub fn hit_without_block(self) -> Share {
        let (target, network) = (self.target(), self.network_target());
        self.first(|hash| hash <= target && hash > network)
    }

    /// The first share whose hash, as a number, pleases.
    ///
    /// # Panics
    /// When none is in reach.
    pub fn first(self, pleases: impl Fn(Target) -> bool) -> Share {
        let header = self.header();
        let nonces = (0..SEARCH_MAX).map(|step| self.first_nonce.wrapping_add(step));
        let found = nonces.map(|nonce| Header { nonce, ..header }).find(|header| pleases(number_of(header)));
        self.share(found.expect("a share in reach of a test"))
    }

    /// What governs the job's shares; the channel's target for a job without a tip.
    pub fn target(&self) -> Target {
        self.job.target.unwrap_or(self.channel.target)
    }

    fn network_target(&self) -> Target {
        Target::from_compact(self.header().bits)
    }

    fn share(&self, header: Header) -> Share {
        Share {
            channel: self.channel.id,
            job: self.job.id,
            nonce: header.nonce,
            ntime: header.time,
            version: header.version.to_consensus().cast_unsigned(),
            extranonce: (self.channel.own_extranonce_bytes() > 0).then(|| self.own_extranonce()),
            hash: header.block_hash().to_string(),
            reached: number_of(&header).difficulty_float(),
        }
    }

    fn header(&self) -> Header {
        let tip = self.job.tip.or(self.channel.tip).expect("a tip before a search");
        Header {
            version: Version::from_consensus(self.version.cast_signed()),
            prev_blockhash: tip.previous_block,
            merkle_root: TxMerkleNode::from_raw_hash(self.root()),
            time: self.ntime,
            bits: CompactTarget::from_consensus(tip.bits),
            nonce: 0,
        }
    }

    fn root(&self) -> sha256d::Hash {
        match &self.job.work {
            Work::Root(root) => sha256d::Hash::from_byte_array(*root),
            Work::Coinbase { prefix, suffix, path } => {
                let own = self.own_extranonce();
                let coinbase = [prefix, &self.job.extranonce_prefix, &own, suffix].map(Vec::as_slice).concat();
                path.iter().fold(sha256d::Hash::hash(&coinbase), |node, sibling| {
                    sha256d::Hash::hash(&[node.to_byte_array(), *sibling].concat())
                })
            }
        }
    }

    /// The number, big endian, in the last bytes of the miner's part.
    fn own_extranonce(&self) -> Vec<u8> {
        let bytes = self.channel.own_extranonce_bytes();
        let number = self.extranonce.to_be_bytes();
        let filled = bytes.min(number.len());
        [vec![0; bytes - filled], number[number.len() - filled..].to_vec()].concat()
    }
}

fn number_of(header: &Header) -> Target {
    Target::from_le_bytes(header.block_hash().to_byte_array())
}
