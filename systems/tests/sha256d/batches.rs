//! Batches of shares that backends may take for what they are not: jobs that share some of their memory and not the rest,
//! jobs that are equal but for a byte, lengths around the borders of blocks, words at the ends of their range.

use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;
use warppool_systems::sha256d::{Backend, Hasher, Midstate, Share};

/// Numbers that look random (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// Any number, or one where carries and signs change.
    fn word(&mut self) -> u32 {
        const EDGES: [u32; 6] = [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
        if self.one_in(4) { EDGES[self.below(EDGES.len())] } else { self.next() as u32 }
    }

    /// Random bytes, words at the ends of their range, or the same byte throughout.
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        match self.below(4) {
            0 => vec![[0, 0x80, 0xff][self.below(3)]; count],
            1 => (0..count.div_ceil(4)).flat_map(|_| self.word().to_be_bytes()).take(count).collect(),
            _ => (0..count).map(|_| self.next() as u8).collect(),
        }
    }

    pub(crate) fn hash(&mut self) -> Hash256 {
        Hash256::from_internal(self.bytes(32).try_into().expect("32 bytes"))
    }
}

/// The start of a coinbase.
struct Start {
    prefix: Vec<u8>,
    midstate: Midstate,
}

impl Start {
    fn new(prefix: Vec<u8>) -> Self {
        let (midstate, _) = Midstate::new(&prefix);
        Self { prefix, midstate }
    }

    fn tail(&self) -> &[u8] {
        &self.prefix[self.prefix.len() / 64 * 64..]
    }
}

/// What differs from share to share, and which of the batch's parts it is made of.
struct Row {
    parts: [usize; 4],
    extranonce: Vec<u8>,
    numbers: [u32; 4],
}

/// Shares with the memory that they refer to.
pub(crate) struct Batch {
    starts: Vec<Start>,
    suffixes: Vec<Vec<u8>>,
    paths: Vec<Vec<Hash256>>,
    previous_blocks: Vec<Hash256>,
    rows: Vec<Row>,
}

impl Batch {
    /// A batch of `size` shares. With `deep` paths and coinbases are as long as they can be.
    pub(crate) fn random(random: &mut Random, size: usize, deep: bool) -> Self {
        let (lengths, depths) = if deep { ([200, 330], 17) } else { ([90, 130], 4) };
        let kinds = 1 + random.below(3);
        let mut batch = Self {
            starts: (0..kinds).map(|_| random_start(random, lengths[0])).collect(),
            suffixes: (0..kinds).map(|_| random_bytes(random, lengths[1])).collect(),
            paths: (0..kinds).map(|_| random_path(random, depths)).collect(),
            previous_blocks: (0..kinds).map(|_| random.hash()).collect(),
            rows: Vec::new(),
        };
        if random.one_in(3) {
            batch.add_twins(random);
        }
        // One job, one job for two payees, or anything.
        let mixing = random.below(3);
        let usual_extranonce = random.below(20);
        for _ in 0..size {
            let mut parts = [0; 4];
            match mixing {
                0 => {}
                1 => parts[1] = random.below(batch.suffixes.len()),
                _ => parts = batch.counts().map(|count| random.below(count)),
            }
            let length = if random.one_in(8) { random.below(20) } else { usual_extranonce };
            let numbers = std::array::from_fn(|_| random.word());
            batch.rows.push(Row { parts, extranonce: random.bytes(length), numbers });
        }
        batch
    }

    /// To each kind of part one that is as long as the first and differs in a byte, or is equal in other memory.
    fn add_twins(&mut self, random: &mut Random) {
        let mut prefix = self.starts[0].prefix.clone();
        change_a_byte(random, &mut prefix);
        self.starts.push(Start::new(prefix));
        let mut suffix = self.suffixes[0].clone();
        change_a_byte(random, &mut suffix);
        self.suffixes.push(suffix);
        let mut path = self.paths[0].clone();
        if let Some(last) = path.last_mut() {
            *last = random.hash();
        }
        self.paths.push(path);
        self.previous_blocks.push(self.previous_blocks[0]);
    }

    fn counts(&self) -> [usize; 4] {
        [self.starts.len(), self.suffixes.len(), self.paths.len(), self.previous_blocks.len()]
    }

    pub(crate) fn shares(&self) -> Vec<Share<'_>> {
        self.rows.iter().map(|row| self.share(row)).collect()
    }

    fn share<'a>(&'a self, row: &'a Row) -> Share<'a> {
        let [start, suffix, path, previous_block] = row.parts;
        let [version, ntime, bits, nonce] = row.numbers;
        Share {
            midstate: &self.starts[start].midstate,
            tail: self.starts[start].tail(),
            extranonce: &row.extranonce,
            suffix: &self.suffixes[suffix],
            branches: &self.paths[path],
            version,
            previous_block: &self.previous_blocks[previous_block],
            ntime,
            bits,
            nonce,
        }
    }
}

fn random_start(random: &mut Random, length_max: usize) -> Start {
    Start::new(random_bytes(random, length_max))
}

fn random_bytes(random: &mut Random, length_max: usize) -> Vec<u8> {
    let length = random.below(length_max);
    random.bytes(length)
}

fn random_path(random: &mut Random, depths: usize) -> Vec<Hash256> {
    (0..random.below(depths)).map(|_| random.hash()).collect()
}

fn change_a_byte(random: &mut Random, bytes: &mut [u8]) {
    if !bytes.is_empty() && !random.one_in(4) {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }
}

/// Hashes the shares in every way that this machine has; gives how many ways that were beside the scalar one.
///
/// # Errors
/// Which backend disagrees with the scalar way, and in which share.
pub(crate) fn compare_shares(shares: &[Share<'_>]) -> Result<usize, String> {
    let blank = ShareHash { header: [0; 80], hash: Hash256::ZERO };
    let hash = |backend| {
        let mut hashes = vec![blank; shares.len()];
        Hasher::forced(backend).expect("an available backend").hash(shares, &mut hashes);
        hashes
    };
    let expected = hash(Backend::Scalar);
    for backend in others() {
        let is_other = |(found, expected): (&ShareHash, &ShareHash)| {
            found.header != expected.header || found.hash != expected.hash
        };
        if let Some(row) = hash(*backend).iter().zip(&expected).position(is_other) {
            return Err(format!("{} differs in share {row} of {}: {:?}", backend.name(), shares.len(), shares[row]));
        }
    }
    Ok(others().len())
}

/// The same for a level of a merkle tree.
///
/// # Errors
/// Which backend disagrees with the scalar way, and in which node.
pub(crate) fn compare_level(nodes: &[Hash256]) -> Result<(), String> {
    let level = |backend| {
        let mut nodes = nodes.to_vec();
        Hasher::forced(backend).expect("an available backend").hash_level(&mut nodes);
        nodes.truncate(nodes.len() / 2);
        nodes
    };
    let expected = level(Backend::Scalar);
    for backend in others() {
        if let Some(row) = level(*backend).iter().zip(&expected).position(|(found, expected)| found != expected) {
            return Err(format!("{} differs in parent {row} of {}", backend.name(), expected.len()));
        }
    }
    Ok(())
}

fn others() -> &'static [Backend] {
    &Backend::available()[1..]
}
