//! `/api/jobs/current`: what is worked on, with its coinbase decoded.

use super::overview::kind_name;
use super::workers::PAGE_ROWS;
use super::{PayoutJson, ReceiptJson, age_seconds, finite};
use serde::Serialize;
use std::collections::HashMap;
use warppool_components::snapshot::{JobSnapshot, Snapshot};
use warppool_components::units::UnixTime;

/// The answer.
#[derive(Serialize)]
pub(crate) struct Current<'a> {
    at: u64,
    job: Option<Job<'a>>,
}

/// Makes the answer.
pub(crate) fn current(snapshot: &Snapshot) -> Current<'_> {
    Current { at: snapshot.at.seconds(), job: snapshot.job.as_ref().map(|job| Job::new(job, snapshot)) }
}

#[derive(Serialize)]
struct Job<'a> {
    id: &'a str,
    height: u32,
    previous_block: String,
    version: String,
    bits: String,
    difficulty: f64,
    ntime: u32,
    created_at: u64,
    age_seconds: u64,
    kind: &'static str,
    transactions: u32,
    weight: u64,
    coinbase_value_sats: u64,
    fees_sats: u64,
    subsidy_sats: u64,
    merkle_branches: u32,
    payouts: u32,
    coinbase: Coinbase<'a>,
    payees: Vec<PayeeJson<'a>>,
}

/// Whom a block would pay, by the workers that mine for it.
#[derive(Serialize)]
struct PayeeJson<'a> {
    #[serde(flatten)]
    receipt: ReceiptJson<'a>,
    workers: usize,
    hashes_per_second: f64,
}

#[derive(Serialize)]
struct Coinbase<'a> {
    tag: &'a str,
    script: &'a str,
    #[serde(flatten)]
    payout: PayoutJson<'a>,
}

impl<'a> Job<'a> {
    fn new(job: &'a JobSnapshot, snapshot: &'a Snapshot) -> Self {
        let now: UnixTime = snapshot.at;
        // Live workers come first, by falling hash rate.
        let largest = snapshot.workers.first().filter(|worker| worker.connections > 0 && !worker.outputs.is_empty());
        let outputs = largest.map_or(&job.outputs, |worker| &worker.outputs);
        Self {
            id: &job.id,
            height: job.height,
            previous_block: job.previous_block.to_string(),
            version: format!("{:08x}", job.version),
            bits: format!("{:08x}", job.bits),
            difficulty: finite(job.difficulty),
            ntime: job.ntime,
            created_at: job.created_at.seconds(),
            age_seconds: age_seconds(now, job.created_at),
            kind: kind_name(job.kind),
            transactions: job.transactions,
            weight: job.weight,
            coinbase_value_sats: job.coinbase_value.0,
            fees_sats: job.fees.0,
            subsidy_sats: job.coinbase_value.0.saturating_sub(job.fees.0),
            merkle_branches: job.merkle_branches,
            payouts: job.payouts,
            coinbase: Coinbase { tag: &job.tag, script: &job.coinbase_script, payout: PayoutJson::new(outputs) },
            payees: payees(snapshot),
        }
    }
}

/// The payees of connected workers with the largest hash rates.
fn payees(snapshot: &Snapshot) -> Vec<PayeeJson<'_>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut payees: Vec<PayeeJson<'_>> = Vec::new();
    for worker in snapshot.workers.iter().filter(|worker| worker.connections > 0) {
        let Some(receipt) = ReceiptJson::new(&worker.outputs) else { continue };
        let place = *places.entry(receipt.address).or_insert(payees.len());
        if place == payees.len() {
            payees.push(PayeeJson { receipt, workers: 0, hashes_per_second: 0.0 });
        }
        payees[place].workers += 1;
        payees[place].hashes_per_second += finite(worker.hashrates[super::ODDS_WINDOW]);
    }
    payees.sort_by(|one, other| other.hashes_per_second.total_cmp(&one.hashes_per_second));
    payees.truncate(PAGE_ROWS);
    payees
}
