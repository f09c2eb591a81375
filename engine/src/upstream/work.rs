//! A job of a pool above, as the engine takes it.

use super::error::UpstreamError;
use std::sync::Arc;
use warppool_components::limits::MERKLE_BRANCHES_MAX;
use warppool_components::node::NodeEvent;
use warppool_components::template::{Template, TemplateId, TemplateKind};
use warppool_components::units::{Hash256, Sats, Target, UnixTime};
use warppool_components::upstream::{GivenCoinbase, GivenWork, UPSTREAM_OWN_BYTES};
use warppool_systems::coinbase::script_of_prefix;

/// Version bits that miners roll (BIP320). They are zero in what miners are given, so that bits and whole versions can be told
/// apart, and no pool above is of use that allows less.
pub(super) const ROLLED_VERSION_BITS: u32 = 0x1fff_e000;

/// Most bytes of an extranonce on the wire, of which ours are a part.
pub(super) const EXTRANONCE_BYTES_MAX: usize = 32;

/// What all jobs of a tip have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tip {
    pub(super) previous_block: Hash256,
    pub(super) bits: u32,
    pub(super) network_target: Target,
}

impl Tip {
    pub(super) fn new(previous_block: Hash256, bits: u32) -> Result<Self, UpstreamError> {
        Ok(Self { previous_block, bits, network_target: Target::from_compact(bits)? })
    }
}

/// A job without its tip.
#[derive(Clone, Debug)]
pub(super) struct GivenJob {
    /// Its number, by which shares name it.
    pub(super) id: u32,
    /// As it is handed out: without the bits that miners roll.
    pub(super) version: u32,
    pub(super) merkle_path: Arc<[Hash256]>,
    /// Up to our bytes of the extranonce.
    pub(super) coinbase_prefix: Vec<u8>,
    pub(super) coinbase_suffix: Vec<u8>,
}

impl GivenJob {
    /// Checks what comes from outside. `extranonce_prefix` is the pool's part, `own_bytes` what it leaves to us; those of them that
    /// we do not use are zeros before ours.
    pub(super) fn new(
        id: u32,
        version: u32,
        merkle_path: Arc<[Hash256]>,
        coinbase: (&[u8], &[u8]),
        extranonce_prefix: &[u8],
        own_bytes: usize,
    ) -> Result<Self, UpstreamError> {
        if merkle_path.len() > MERKLE_BRANCHES_MAX {
            return Err(UpstreamError::Job("its merkle path is longer than any block's"));
        }
        let unused = vec![0; unused_bytes(own_bytes)];
        Ok(Self {
            id,
            version: version & !ROLLED_VERSION_BITS,
            merkle_path,
            coinbase_prefix: [coinbase.0, extranonce_prefix, &unused].concat(),
            coinbase_suffix: coinbase.1.to_vec(),
        })
    }
}

/// When and under which terms a job takes effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) session: u32,
    /// Rises with every job that takes effect.
    pub(super) template: u64,
    /// What shares must meet.
    pub(super) target: Target,
    /// Version bits that shares may differ in.
    pub(super) version_mask: u32,
    /// Seconds, as in a header.
    pub(super) min_ntime: u32,
    /// Earlier jobs are of no use any more, also those of the same tip.
    pub(super) clean: bool,
}

/// The job for the engine.
pub(super) fn work(job: &GivenJob, tip: Tip, terms: Terms, now: UnixTime) -> Result<NodeEvent, UpstreamError> {
    let (prefix, suffix) = (&job.coinbase_prefix, &job.coinbase_suffix);
    let coinbase = GivenCoinbase::new(terms.session, job.id, prefix, suffix, terms.target)
        .ok_or(UpstreamError::Job("its coinbase is too short"))?
        .with_version_mask(terms.version_mask);
    let time = UnixTime::from_seconds(u64::from(terms.min_ntime));
    let template = Template {
        id: TemplateId(terms.template),
        kind: TemplateKind::Full,
        height: height(prefix),
        version: job.version,
        previous_block: tip.previous_block,
        bits: tip.bits,
        network_target: tip.network_target,
        current_time: time,
        min_time: time,
        coinbase_value: value(prefix, suffix),
        fees: Sats::ZERO,
        witness_commitment: None,
        merkle_branches: Arc::clone(&job.merkle_path),
        transaction_count: 0,
        transactions: [].into(),
        weight: 0,
        received_at: now,
    };
    let (template, coinbase) = (Arc::new(template), Arc::new(coinbase));
    Ok(NodeEvent::Given(GivenWork { template, coinbase, clean: terms.clean }))
}

/// A share's bytes of the extranonce, filled up to what the pool leaves to us.
pub(super) fn own_extranonce(share: &[u8; UPSTREAM_OWN_BYTES], own_bytes: usize) -> Vec<u8> {
    [&vec![0; unused_bytes(own_bytes)][..], share].concat()
}

fn unused_bytes(own_bytes: usize) -> usize {
    own_bytes.min(EXTRANONCE_BYTES_MAX).saturating_sub(UPSTREAM_OWN_BYTES)
}

/// The height that a coinbase begins its script with (BIP34); 0 when it cannot be read. For people.
fn height(prefix: &[u8]) -> u32 {
    match script_of_prefix(prefix) {
        [small @ 0x51..=0x60, ..] => u32::from(small - 0x50),
        [length @ 1..=4, rest @ ..] if rest.len() >= usize::from(*length) => {
            rest[..usize::from(*length)].iter().rev().fold(0, |height, byte| height << 8 | u32::from(*byte))
        }
        _ => 0,
    }
}

/// What the outputs of a coinbase sum to; 0 when it cannot be read. For people.
fn value(prefix: &[u8], suffix: &[u8]) -> Sats {
    let coinbase = [prefix, &[0; UPSTREAM_OWN_BYTES], suffix].concat();
    let transaction = bitcoin::consensus::deserialize::<bitcoin::Transaction>(&coinbase);
    let outputs = transaction.map(|transaction| transaction.output).unwrap_or_default();
    Sats(outputs.iter().fold(0, |sum, output| sum.saturating_add(output.value.to_sat())))
}
