//! The search space of one job on one device: which extranonce2, version bits and nonces are hashed in which order.

use std::sync::Arc;

use bitcoin::block::Header;
use bitcoin::consensus::encode::serialize;

use super::device::Device;
use super::hasher::{Found, HEADER_BYTES, HeaderHasher};
use super::job::Job;
use super::target::Target;

/// Version patterns tried under one extranonce2 before the next one.
const VERSIONS_PER_EXTRANONCE: u64 = 16;

/// What a subscription and a configuration contribute to every header.
#[derive(Debug, Clone, Default)]
pub(crate) struct Space {
    pub(crate) extranonce1: Vec<u8>,
    pub(crate) extranonce2_bytes: usize,
    /// Version bits that may be rolled; zero without version rolling.
    pub(crate) version_mask: u32,
}

/// A share that meets the target, with everything that a submit needs.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    pub(crate) job_id: String,
    pub(crate) extranonce2: Vec<u8>,
    pub(crate) time: u32,
    pub(crate) nonce: u32,
    /// The rolled bits alone.
    pub(crate) version_bits: u32,
    /// The header's whole version.
    pub(crate) version: u32,
    /// Whether the hash meets the network's target too.
    pub(crate) is_block_candidate: bool,
}

/// A position in a job's search space.
pub(crate) struct Work {
    job: Arc<Job>,
    target: Target,
    network_target: Target,
    space: Space,
    device: Device,
    seed: u64,
    /// Counts (extranonce2, version) pairs.
    unit: u64,
    next_nonce: u32,
    nonces_left: u64,
    current: Unit,
}

/// One header without its nonce.
struct Unit {
    hasher: HeaderHasher,
    header: Header,
    extranonce2: Vec<u8>,
    version_bits: u32,
}

impl Work {
    pub(crate) fn new(job: Arc<Job>, target: Target, space: Space, device: Device, seed: u64) -> Self {
        let current = unit_of(&job, &space, device, seed, 0);
        Self {
            network_target: Target::from_compact(job.bits),
            target,
            device,
            seed,
            unit: 0,
            next_nonce: device.first_nonce(seed),
            nonces_left: device.nonces_per_header(),
            current,
            job,
            space,
        }
    }

    /// Hashes at most `count` nonces. Returns how many were hashed and a share if the last one was.
    /// Fewer than `count` without a share means that the header is used up; none, that the device's whole space is.
    pub(crate) fn search(&mut self, count: u32) -> (u32, Option<Share>) {
        if self.nonces_left == 0 && !self.next_unit() {
            return (0, None);
        }
        let count = u32::try_from(self.nonces_left).unwrap_or(u32::MAX).min(count);
        let (tried, found) = self.current.hasher.search(self.next_nonce, count, &self.target);
        self.next_nonce = self.next_nonce.wrapping_add(tried);
        self.nonces_left -= u64::from(tried);
        (tried, found.map(|found| self.share(&found)))
    }

    /// Moves on to the next version or extranonce2; false when the device never changes them.
    fn next_unit(&mut self) -> bool {
        if self.device.has_fixed_extranonce2() {
            return false;
        }
        self.unit += 1;
        self.current = unit_of(&self.job, &self.space, self.device, self.seed, self.unit);
        self.nonces_left = self.device.nonces_per_header();
        true
    }

    fn share(&self, found: &Found) -> Share {
        debug_assert!(self.target.is_met_by(&found.digest));
        debug_assert_eq!(hash_words(&self.current.header, found.nonce), found.digest);
        Share {
            job_id: self.job.id.clone(),
            extranonce2: self.current.extranonce2.clone(),
            time: self.job.time,
            nonce: found.nonce,
            version_bits: self.current.version_bits,
            version: self.current.header.version.to_consensus().cast_unsigned(),
            is_block_candidate: self.network_target.is_met_by(&found.digest),
        }
    }
}

fn unit_of(job: &Job, space: &Space, device: Device, seed: u64, unit: u64) -> Unit {
    // Never the pattern without a bit, so that a pool which ignores rolled bits refuses the first share already.
    let patterns = 1_u64.checked_shl(space.version_mask.count_ones()).unwrap_or(u64::MAX) - 1;
    let versions = VERSIONS_PER_EXTRANONCE.min(patterns).max(1);
    let extranonce2 = unit / versions;
    let pattern = if patterns == 0 { 0 } else { 1 + (seed % 1024 + unit % versions) % patterns };
    let version_bits = scatter(pattern as u32, space.version_mask);
    let extranonce2 = extranonce2_bytes(device.first_extranonce2() + extranonce2, space.extranonce2_bytes);
    let coinbase = job.coinbase(&space.extranonce1, &extranonce2);
    let header = job.header(&coinbase, (job.version & !space.version_mask) | version_bits);
    let mut bytes = [0_u8; HEADER_BYTES];
    bytes.copy_from_slice(&serialize(&header));
    Unit { hasher: HeaderHasher::new(&bytes), header, extranonce2, version_bits }
}

/// Puts the low bits of `pattern` onto the set bits of `mask`, lowest first; what does not fit is dropped.
fn scatter(pattern: u32, mask: u32) -> u32 {
    let set_bits = (0..u32::BITS).filter(|bit| mask & (1 << bit) != 0);
    set_bits.enumerate().fold(0, |bits, (index, bit)| bits | (((pattern >> index) & 1) << bit))
}

/// The counter as big-endian bytes of the pool's length, its low end when it is longer.
fn extranonce2_bytes(counter: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0_u8; length];
    for (place, byte) in bytes.iter_mut().rev().zip(counter.to_le_bytes()) {
        *place = byte;
    }
    bytes
}

/// The same hash by the `bitcoin` crate, as words of the SHA-256 state.
fn hash_words(header: &Header, nonce: u32) -> [u32; 8] {
    use bitcoin::hashes::Hash;
    let bytes = Header { nonce, ..*header }.block_hash().to_byte_array();
    let mut words = [0_u32; 8];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = chunk.iter().fold(0, |word, byte| (word << 8) | u32::from(*byte));
    }
    words
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use super::{Space, extranonce2_bytes, scatter, unit_of};
    use crate::miner::device::Device;
    use crate::miner::job::Job;

    #[test]
    fn headers_do_not_repeat_while_versions_and_extranonces_change() {
        let params =
            serde_json::json!(["1", "00".repeat(32), "01", "02", [], "20000000", "207fffff", "65612f00", true]);
        let job = Arc::new(Job::decode(&params).expect("a job"));
        for version_mask in [0, 0x0040_0000, 0x00c0_0000, 0x1fff_e000] {
            let space = Space { extranonce1: vec![1; 4], extranonce2_bytes: 8, version_mask };
            let units = (0..100).map(|unit| unit_of(&job, &space, Device::Bitaxe, 1023, unit));
            let headers: HashSet<_> = units.map(|unit| unit.header).collect();
            assert_eq!(headers.len(), 100, "mask {version_mask:08x}");
        }
    }

    #[test]
    fn patterns_stay_within_the_mask_and_differ() {
        assert_eq!(scatter(0b101, 0x1fff_e000), 0xa000);
        assert_eq!(scatter(0b11, 0x00c0_0000), 0x00c0_0000);
        assert_eq!(scatter(0b111, 0x00c0_0000), 0x00c0_0000);
        assert_eq!(scatter(7, 0), 0);
    }

    #[test]
    fn extranonce2_has_the_pools_length() {
        assert_eq!(extranonce2_bytes(1, 8), [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(extranonce2_bytes(0x0001_0203, 2), [2, 3]);
    }
}
