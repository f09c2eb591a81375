//! What a miner learns from the lines of a pool, and shares that it finds.

use bitcoin::consensus::encode::serialize;
use std::time::{Duration, Instant};
use warppool_loadgen::miner::{HEADER_BYTES, HeaderHasher, Job, ShareTarget};

/// Time that the search for one share may take.
const HASHING_MAX: Duration = Duration::from_secs(8);

/// Hashes between two looks at the clock.
const CHUNK: u32 = 50_000;

/// Hashes of difficulty 1.
const HASHES_PER_DIFFICULTY: f64 = 4_294_967_296.0;

/// What one connection knows.
#[derive(Clone, Default, Debug)]
pub(super) struct Miner {
    /// The pool's part of the extranonce, once subscribed.
    pub(super) extranonce1: Option<Vec<u8>>,
    /// Bytes of the miner's own part.
    pub(super) extranonce2_bytes: usize,
    /// By which the session can be had again.
    pub(super) session: String,
    /// Version bits that may be rolled; `None` before they were agreed on.
    pub(super) version_mask: Option<u32>,
    /// What governs the next job.
    pub(super) difficulty: Option<f64>,
    /// All jobs with their difficulties, oldest first.
    pub(super) jobs: Vec<(Job, f64)>,
    /// How many jobs there were when the last share was looked for.
    worked_on: usize,
    shares: u64,
}

/// What a submit needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Share {
    pub(super) job: String,
    pub(super) extranonce2: String,
    pub(super) ntime: u32,
    pub(super) nonce: u32,
    pub(super) version_bits: u32,
}

/// A header without its nonce, and what it was made of.
struct Field {
    hasher: HeaderHasher,
    target: ShareTarget,
    share: Share,
    difficulty: f64,
}

impl Miner {
    /// A share that meets the difficulty of the newest job.
    ///
    /// # Errors
    /// Why none was searched for, or found.
    pub(super) fn hit(&mut self, rolls: bool) -> Result<Share, String> {
        let mut field = self.field(rolls)?;
        let wanted = field.difficulty * HASHES_PER_DIFFICULTY;
        let started_at = Instant::now();
        let mut tried = 0_u32;
        loop {
            let (count, found) = field.hasher.search(tried, CHUNK, &field.target);
            if let Some(found) = found {
                return Ok(Share { nonce: found.nonce, ..field.share });
            }
            tried = tried.checked_add(count).ok_or("every nonce of a header misses")?;
            let rate = f64::from(tried) / started_at.elapsed().as_secs_f64().max(1e-9);
            let affordable = rate * HASHING_MAX.as_secs_f64();
            if wanted > affordable {
                let difficulty = field.difficulty;
                return Err(format!(
                    "difficulty {difficulty} takes {wanted:.2e} hashes, {affordable:.1e} are within reach here; \
                     many pools set it by --password d=0.0001"
                ));
            }
            if started_at.elapsed() > 4 * HASHING_MAX {
                return Err(format!("no luck in {tried} hashes"));
            }
        }
    }

    /// A share that misses it, although its nonce is short.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn miss(&mut self, rolls: bool) -> Result<Share, String> {
        let mut field = self.field(rolls)?;
        let misses = |nonce: &u32| field.hasher.search(*nonce, 1, &field.target).1.is_none();
        let nonce = (0xa1..0x0fff_ffff).take(100_000).find(misses).ok_or("every hash meets the difficulty")?;
        Ok(Share { nonce, ..field.share })
    }

    /// A block was found elsewhere since the last share was looked for, so that it may be refused as stale.
    pub(super) fn has_new_tip(&self) -> bool {
        self.jobs.iter().skip(self.worked_on).any(|(job, _)| job.clean)
    }

    /// The next extranonce2 of the newest job.
    fn field(&mut self, rolls: bool) -> Result<Field, String> {
        let extranonce1 = self.extranonce1.as_ref().ok_or("the pool gave no extranonce")?;
        let (job, difficulty) = self.jobs.last().ok_or("the pool gave no job")?;
        self.worked_on = self.jobs.len();
        self.shares += 1;
        let counter = self.shares.to_be_bytes();
        let extranonce2 = &counter[counter.len() - self.extranonce2_bytes.clamp(1, counter.len())..];
        let mask = self.version_mask.filter(|_| rolls).unwrap_or(0);
        // One bit alone: the least that a pool which ignores rolled bits would get wrong.
        let version_bits = mask & mask.wrapping_neg();
        let header = job.header(&job.coinbase(extranonce1, extranonce2), job.version | version_bits);
        let bytes: [u8; HEADER_BYTES] = serialize(&header).try_into().map_err(|_| "a header has 80 bytes")?;
        let digits = extranonce2.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Field {
            hasher: HeaderHasher::new(&bytes),
            target: ShareTarget::from_difficulty(*difficulty).ok_or("the pool's difficulty is no number")?,
            share: Share { job: job.id.clone(), extranonce2: digits, ntime: job.time, nonce: 0, version_bits },
            difficulty: *difficulty,
        })
    }
}
