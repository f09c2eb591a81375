//! Judges what a pool sends against the protocol. Nothing here stops the miner: a violation is noted and it goes on.

use std::collections::HashSet;

use bitcoin::address::NetworkUnchecked;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Address, BlockHash, ScriptBuf, Transaction};

use super::job::Job;
use crate::limits::{JOB_ID_CHARACTERS_MAX, JOBS_REMEMBERED_MAX, NOTIFY_BYTES_MAX, VIOLATIONS_KEPT_MAX};

/// Branches up to which the whole notify must stay short.
const BRANCHES_OF_A_SHORT_NOTIFY: usize = 14;

/// What one connection's traffic showed, judged as it arrives.
pub(crate) struct Checker {
    payout: Option<ScriptBuf>,
    job_ids: HashSet<String>,
    /// Digests of (coinbase, time, previous hash).
    job_contents: HashSet<[u8; 32]>,
    tip: Option<BlockHash>,
    violations: Vec<String>,
    violations_total: u64,
}

impl Checker {
    /// A checker for a new connection of this user; a valid address in the name must be paid by every coinbase.
    pub(crate) fn new(username: &str) -> Self {
        Self {
            payout: payout_script(username),
            job_ids: HashSet::new(),
            job_contents: HashSet::new(),
            tip: None,
            violations: Vec::new(),
            violations_total: 0,
        }
    }

    /// Notes a violation found by somebody else.
    pub(crate) fn note(&mut self, violation: impl Into<String>) {
        self.violations_total += 1;
        if self.violations.len() < VIOLATIONS_KEPT_MAX {
            self.violations.push(violation.into());
        }
    }

    pub(crate) fn violations(&self) -> (&[String], u64) {
        (&self.violations, self.violations_total)
    }

    /// A job of a line of `line_bytes`, with the extranonces that the miner would put into its coinbase.
    pub(crate) fn job(&mut self, job: &Job, line_bytes: usize, extranonce1: &[u8], extranonce2: &[u8], mask: u32) {
        self.job_is_new(job);
        self.clean_means_new_tip(job);
        self.version(job, mask);
        if line_bytes >= NOTIFY_BYTES_MAX && job.branches.len() <= BRANCHES_OF_A_SHORT_NOTIFY {
            self.note(format!("job {} is a line of {line_bytes} bytes, under {NOTIFY_BYTES_MAX} are allowed", job.id));
        }
        match job.decoded_coinbase(extranonce1, extranonce2) {
            Ok(coinbase) => self.coinbase(&job.id, &coinbase),
            Err(error) => self.note(format!("job {}: {error}", job.id)),
        }
    }

    /// Rollable bits are zero in the advertised version, so that or, exclusive or and replacing give the same.
    pub(crate) fn version(&mut self, job: &Job, mask: u32) {
        if job.version & mask != 0 {
            self.note(format!("job {} has version {:08x} with rollable bits of {mask:08x} set", job.id, job.version));
        }
    }

    fn job_is_new(&mut self, job: &Job) {
        if job.id.is_empty() || job.id.len() > JOB_ID_CHARACTERS_MAX {
            self.note(format!("job id {:?} has {} characters, 1 to 8 are allowed", job.id, job.id.len()));
        }
        if self.job_ids.len() >= JOBS_REMEMBERED_MAX {
            self.job_ids.clear();
            self.job_contents.clear();
        }
        if !self.job_ids.insert(job.id.clone()) {
            self.note(format!("job id {:?} is used twice on one connection", job.id));
        }
        let content = [
            job.coinbase_prefix.as_slice(),
            &job.coinbase_suffix,
            &job.time.to_le_bytes(),
            job.previous_hash.as_byte_array(),
        ]
        .concat();
        if !self.job_contents.insert(sha256d::Hash::hash(&content).to_byte_array()) {
            self.note(format!("job {} repeats coinbase, time and previous hash of an earlier one", job.id));
        }
    }

    fn clean_means_new_tip(&mut self, job: &Job) {
        let is_new_tip = self.tip.replace(job.previous_hash) != Some(job.previous_hash);
        match (job.clean, is_new_tip) {
            (true, false) => self.note(format!("job {} says clean without a new tip", job.id)),
            (false, true) => self.note(format!("job {} has a new tip without saying clean", job.id)),
            _ => {}
        }
    }

    fn coinbase(&mut self, job_id: &str, coinbase: &Transaction) {
        if !coinbase.is_coinbase() {
            self.note(format!("job {job_id}: the first transaction is no coinbase"));
            return;
        }
        let script_bytes = coinbase.input[0].script_sig.len();
        if !(2..=100).contains(&script_bytes) {
            self.note(format!("job {job_id}: the coinbase's script has {script_bytes} bytes, 2 to 100 are allowed"));
        }
        let pays = |script: &ScriptBuf| coinbase.output.iter().any(|output| output.script_pubkey == *script);
        if self.payout.as_ref().is_some_and(|script| !pays(script)) {
            self.note(format!("job {job_id}: the coinbase does not pay the address of the username"));
        }
    }
}

/// The script of the address at the start of `address.worker`, on whatever network it belongs to.
fn payout_script(username: &str) -> Option<ScriptBuf> {
    let address = username.split(['.', '_']).next()?;
    let address: Address<NetworkUnchecked> = address.parse().ok()?;
    Some(address.assume_checked().script_pubkey())
}
