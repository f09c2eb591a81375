//! Every backend against the scalar way, and that against another library.

use super::*;
use bitcoin::hashes::{Hash, sha256d};
use warppool_components::share::ShareHash;

/// Another library's answer.
fn oracle(bytes: &[u8]) -> [u8; 32] {
    sha256d::Hash::hash(bytes).to_byte_array()
}

#[test]
fn every_length_and_every_cut_agrees_with_another_library() {
    let bytes: Vec<u8> = (0..300u32).map(|index| (index * 7 + index / 13) as u8).collect();
    for length in 0..bytes.len() {
        assert_eq!(double(&bytes[..length]).as_internal(), &oracle(&bytes[..length]), "length {length}");
    }
    for cut in 0..bytes.len() {
        let (midstate, tail) = Midstate::new(&bytes[..cut]);
        let middle = cut + (bytes.len() - cut) / 3;
        let hash = midstate.finish_double([tail, &bytes[cut..middle], &bytes[middle..]]);
        assert_eq!(hash.as_internal(), &oracle(&bytes), "cut at {cut}");
    }
}

#[test]
fn the_genesis_header_has_its_hash() {
    let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin);
    let bytes: [u8; 80] = bitcoin::consensus::serialize(&genesis.header).try_into().expect("80 bytes");
    assert_eq!(header(&bytes).to_string(), "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
}

#[test]
fn a_pair_is_the_hash_of_both() {
    let (left, right) = (Hash256::from_internal([3; 32]), Hash256::from_internal([9; 32]));
    let mut both = [3; 64];
    both[32..].fill(9);
    assert_eq!(pair(&left, &right).as_internal(), &oracle(&both));
    assert_eq!(fold(left, &[right]), pair(&left, &right));
    assert_eq!(fold(left, &[]), left);
}

/// The levels of the tree of 1 to 70 leaves, the last repeated where there is no other (as consensus does it), up to the
/// root.
#[test]
fn levels_of_trees_lead_to_the_roots_of_another_library() {
    let leaves: Vec<Hash256> = (0..70u32).map(|number| double(&number.to_le_bytes())).collect();
    for (backend, count) in Backend::available().iter().flat_map(|backend| (1..70).map(move |count| (backend, count))) {
        let hasher = Hasher::forced(*backend).expect("an available backend");
        let mut level = leaves[..count].to_vec();
        while level.len() > 1 {
            if level.len() % 2 == 1 {
                level.extend(level.last().copied());
            }
            hasher.hash_level(&mut level);
            level.truncate(level.len() / 2);
        }
        let ids = leaves[..count].iter().map(|leaf| sha256d::Hash::from_byte_array(*leaf.as_internal()));
        let root = bitcoin::merkle_tree::calculate_root(ids).expect("there are leaves");
        assert_eq!(level[0].as_internal(), root.as_byte_array(), "{} {count}", backend.name());
    }
}

/// A share with memory of its own.
struct Owned {
    prefix: Vec<u8>,
    midstate: Midstate,
    extranonce: Vec<u8>,
    suffix: Vec<u8>,
    branches: Vec<Hash256>,
    header_numbers: [u32; 4],
    previous_block: Hash256,
}

impl Owned {
    fn new(prefix: Vec<u8>, extranonce: Vec<u8>, suffix: Vec<u8>, branches: Vec<Hash256>, seed: &mut Seed) -> Self {
        let (midstate, _) = Midstate::new(&prefix);
        let header_numbers = std::array::from_fn(|_| seed.next());
        Self { prefix, midstate, extranonce, suffix, branches, header_numbers, previous_block: seed.hash() }
    }

    fn share(&self) -> Share<'_> {
        let [version, ntime, bits, nonce] = self.header_numbers;
        Share {
            midstate: &self.midstate,
            tail: &self.prefix[self.prefix.len() / 64 * 64..],
            extranonce: &self.extranonce,
            suffix: &self.suffix,
            branches: &self.branches,
            version,
            previous_block: &self.previous_block,
            ntime,
            bits,
            nonce,
        }
    }

    /// Another library's answer, straight from the definition.
    fn expected(&self) -> ShareHash {
        let mut node = oracle(&[&self.prefix[..], &self.extranonce, &self.suffix].concat());
        for branch in &self.branches {
            node = oracle(&[&node[..], branch.as_internal()].concat());
        }
        let [version, ntime, bits, nonce] = self.header_numbers.map(u32::to_le_bytes);
        let parts = [&version[..], self.previous_block.as_internal(), &node, &ntime, &bits, &nonce];
        let header: [u8; 80] = parts.concat().try_into().expect("80 bytes");
        ShareHash { header, hash: Hash256::from_internal(oracle(&header)) }
    }
}

/// Numbers that look random (xorshift).
struct Seed(u64);

impl Seed {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    fn hash(&mut self) -> Hash256 {
        Hash256::from_internal(self.bytes(32).try_into().expect("32 bytes"))
    }

    fn share(&mut self) -> Owned {
        let lengths = [self.below(200), self.below(20), self.below(300)];
        let [prefix, extranonce, suffix] = lengths.map(|length| self.bytes(length));
        let branches = (0..self.below(17)).map(|_| self.hash()).collect();
        Owned::new(prefix, extranonce, suffix, branches, self)
    }
}

const BLANK: ShareHash = ShareHash { header: [0; 80], hash: Hash256::ZERO };

/// Hashes with every backend, and with the choice of each class.
fn check(shares: &[Share<'_>], expected: &[ShareHash], what: &str) {
    for backend in Backend::available() {
        let hasher = Hasher::forced(*backend).expect("an available backend");
        let mut hashes = vec![BLANK; shares.len()];
        hasher.hash(shares, &mut hashes);
        for (number, (hash, expected)) in hashes.iter().zip(expected).enumerate() {
            let name = backend.name();
            assert_eq!(hash.header, expected.header, "{name}, {what}: header of {number} in {}", shares.len());
            assert_eq!(hash.hash, expected.hash, "{name}, {what}: hash of {number} in {}", shares.len());
        }
    }
}

fn check_owned(owned: &[Owned], what: &str) {
    let shares: Vec<Share<'_>> = owned.iter().map(Owned::share).collect();
    let expected: Vec<ShareHash> = owned.iter().map(Owned::expected).collect();
    check(&shares, &expected, what);
}

#[test]
fn shares_of_many_jobs_agree_in_batches_of_every_size() {
    let mut seed = Seed(0x9e37_79b9_7f4a_7c15);
    for count in 0..=33 {
        let owned: Vec<Owned> = (0..count).map(|_| seed.share()).collect();
        check_owned(&owned, "mixed");
    }
}

#[test]
fn shares_of_two_jobs_agree() {
    let mut seed = Seed(7);
    let jobs = [seed.share(), seed.share()];
    for count in [1, 2, 3, 7, 8, 9, 15, 16, 17, 33] {
        for jobs_used in [1, 2] {
            let nonces = seed.bytes(12 * count);
            let share = |number: usize| Share {
                extranonce: &nonces[12 * number..][..12],
                nonce: number as u32,
                ..jobs[number % jobs_used].share()
            };
            let shares: Vec<Share<'_>> = (0..count).map(share).collect();
            let expected: Vec<ShareHash> = shares.iter().map(Share::hash).collect();
            check(&shares, &expected, "same job");
        }
    }
}

/// All coinbase lengths around the borders of blocks, and all depths, in one batch each and one by one.
#[test]
fn every_length_and_every_depth_agrees() {
    let mut seed = Seed(11);
    let coinbases: Vec<Owned> = (0..200)
        .map(|length| {
            let (prefix, extranonce) = (seed.bytes(length / 2), seed.bytes(length % 13));
            let suffix = seed.bytes(length - length / 2);
            Owned::new(prefix, extranonce, suffix, vec![], &mut seed)
        })
        .collect();
    check_owned(&coinbases, "lengths");
    let depths: Vec<Owned> = (0..=16)
        .map(|depth| {
            let branches = (0..depth).map(|_| seed.hash()).collect();
            Owned::new(seed.bytes(82), seed.bytes(12), seed.bytes(117), branches, &mut seed)
        })
        .collect();
    check_owned(&depths, "depths");
    for single in coinbases.iter().step_by(7).chain(&depths) {
        check(&[single.share()], &[single.expected()], "alone");
    }
}

#[test]
fn zeros_and_ones_agree() {
    for byte in [0, 0xff] {
        let make = |number: usize| {
            let branches = vec![Hash256::from_internal([byte; 32]); number];
            let mut owned =
                Owned::new(vec![byte; 82], vec![byte; 12], vec![byte; 117], branches, &mut Seed(number as u64 + 1));
            owned.header_numbers = [u32::from_ne_bytes([byte; 4]); 4];
            owned.previous_block = Hash256::from_internal([byte; 32]);
            owned
        };
        check_owned(&(0..17).map(make).collect::<Vec<_>>(), "constant bytes");
    }
}

/// Blocks 0 and 100,000 of the main chain: coinbase, merkle path and header as published.
#[test]
fn published_blocks_have_their_hashes() {
    let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin);
    let genesis_coinbase = bitcoin::consensus::serialize(&genesis.txdata[0]);
    let later_coinbase = hex(concat!(
        "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff08044c86041b020602ffffffff",
        "0100f2052a010000004341041b0e8c2567c12536aa13357b79a073dc4444acb83c4ec7a0e2f99dd7457516c5817242da796924ca4e99",
        "947d087fedf9ce467cb9f7c6287078f801df276fdf84ac00000000"
    ));
    let display = |text| Hash256::parse_display(text).expect("a hash");
    let third = display("6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4");
    let fourth = display("e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d");
    let second = display("fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4");
    let later_path = [second, pair(&third, &fourth)];
    let later_previous = display("000000000002d01c1fccc21636b607dfd930d31d01c3a62104612a1719011250");
    let (start, empty) = (Midstate::EMPTY, Hash256::ZERO);
    let blank = Share { midstate: &start, ..Share::EMPTY };
    let shares = [
        Share {
            tail: &genesis_coinbase[..40],
            extranonce: &genesis_coinbase[40..60],
            suffix: &genesis_coinbase[60..],
            previous_block: &empty,
            version: 1,
            ntime: 1_231_006_505,
            bits: 0x1d00_ffff,
            nonce: 2_083_236_893,
            ..blank
        },
        Share {
            tail: &later_coinbase[..45],
            extranonce: &later_coinbase[45..50],
            suffix: &later_coinbase[50..],
            branches: &later_path,
            previous_block: &later_previous,
            version: 1,
            ntime: 1_293_623_863,
            bits: 0x1b04_864c,
            nonce: 274_148_111,
            ..blank
        },
    ];
    let hashes = [
        "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
        "000000000003ba27aa200b1cecaad478d2b00432346c3f1f3986da1afd33e506",
    ];
    for backend in Backend::available() {
        let mut found = [BLANK; 2];
        Hasher::forced(*backend).expect("an available backend").hash(&shares, &mut found);
        assert_eq!(found.map(|found| found.hash.to_string()), hashes, "{}", backend.name());
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).expect("a digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn a_backend_is_forced_only_where_it_is_available() {
    assert_eq!(Backend::available()[0], Backend::Scalar);
    for backend in Backend::ALL {
        assert_eq!(Backend::by_name(backend.name()), Some(backend));
        let hasher = Hasher::forced(backend);
        assert_eq!(hasher.is_some(), backend.is_available());
        assert!(hasher.is_none_or(|hasher| (0..100).all(|count| hasher.backend_for(count) == backend)));
    }
}

#[test]
fn calibration_knows_every_backend_and_names_its_choice() {
    let calibration = Calibration::of_this_machine();
    let measured: Vec<Backend> = calibration.measured.iter().map(|measured| measured.backend).collect();
    assert_eq!(measured, Backend::available());
    let text = calibration.describe();
    for count in [1, 2, 4, 8, 16, 64] {
        let wanted = format!("from {count} {} (", calibration.hasher.backend_for(count).name());
        assert!(text.contains(&wanted), "{text} does not say {wanted}");
    }
    assert!(!text.contains('\n'));
}

#[test]
fn a_backend_that_somebody_chose_is_taken_for_every_batch() {
    for backend in Backend::ALL {
        let Some(calibration) = Calibration::forced(backend) else {
            assert!(!backend.is_available());
            continue;
        };
        assert_eq!(calibration.hasher, Hasher::forced(backend).expect("it was measured"));
        assert!(calibration.describe().contains(&format!("from 1 {} (", backend.name())), "{}", calibration.describe());
    }
}

#[test]
fn a_batch_between_two_sizes_takes_the_choice_of_the_smaller() {
    let [scalar, wide] = [Backend::Scalar, Backend::Avx2];
    let hasher = Hasher::chosen([scalar, scalar, scalar, wide, wide, wide]);
    for (count, backend) in [(0, scalar), (1, scalar), (7, scalar), (8, wide), (15, wide), (1000, wide)] {
        assert_eq!(hasher.backend_for(count), backend, "{count}");
    }
}
