//! The coinbase: the transaction that pays the miner.
//!
//! Everything up to the extranonce is the same for all payees of a job; who is paid stands behind it.
//!
//! ```text
//! version 2 | one input: no previous output, scriptSig, sequence fffffffe | outputs | locktime height - 1
//! scriptSig: push height (BIP34) | push 4 bytes: job number | push tag | push 12 bytes: extranonce1 extranonce2
//! outputs: payee (what is left), fee, donation, witness commitment (BIP141)
//! ```
//! The job number makes every job's coinbase unique, so that two jobs are never the same work even when the node
//! sends the same template twice. Locktime and sequence bind the coinbase to its height, as BIP54 will want.

use std::sync::Arc;
use warppool_components::job::CoinbaseOutput;
use warppool_components::limits::EXTRANONCE_BYTES;
use warppool_components::settings::{Cut, Payee, PayoutSettings};
use warppool_components::template::Template;
use warppool_components::units::Sats;

/// Version of the transaction.
const VERSION: [u8; 4] = 2u32.to_le_bytes();
/// Marker and flag of a transaction with witness (BIP144).
const SEGWIT_MARKER: [u8; 2] = [0, 1];
/// Not final, so that the locktime counts.
const SEQUENCE: [u8; 4] = 0xffff_fffe_u32.to_le_bytes();
/// A witness of one 32-byte item, the reserved value, all zero (BIP141).
const WITNESS_START: [u8; 2] = [1, 32];

/// scriptSig up to the extranonce, its push included.
fn script_start(height: u32, number: u32, tag: &str) -> Vec<u8> {
    let mut script = Vec::with_capacity(100);
    push_height(&mut script, height);
    push(&mut script, &number.to_le_bytes());
    push(&mut script, tag.as_bytes());
    script.push(EXTRANONCE_BYTES as u8);
    script
}

/// The bytes before the extranonce, without witness. `number` is the job's.
pub fn prefix(template: &Template, number: u32, tag: &str) -> Vec<u8> {
    let script = script_start(template.height, number, tag);
    let mut bytes = Vec::with_capacity(160);
    bytes.extend_from_slice(&VERSION);
    bytes.push(1);
    bytes.extend_from_slice(&[0; 32]);
    bytes.extend_from_slice(&u32::MAX.to_le_bytes());
    bytes.push((script.len() + EXTRANONCE_BYTES) as u8);
    bytes.extend_from_slice(&script);
    bytes
}

/// The whole scriptSig for people, the extranonce's bytes as zeros.
pub fn script_for_people(height: u32, number: u32, tag: &str) -> Vec<u8> {
    let mut script = script_start(height, number, tag);
    script.extend_from_slice(&[0; EXTRANONCE_BYTES]);
    script
}

/// The start of the scriptSig of a coinbase that somebody else made, for people: what of it stands before our bytes.
pub fn script_of_prefix(prefix: &[u8]) -> &[u8] {
    // Version, count of inputs, outpoint, length of the script.
    prefix.get(4 + 1 + 36 + 1..).unwrap_or_default()
}

/// The bytes behind the extranonce, without witness.
pub fn suffix(template: &Template, outputs: &[CoinbaseOutput]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64 + 48 * outputs.len());
    bytes.extend_from_slice(&SEQUENCE);
    bytes.push(outputs.len() as u8);
    for output in outputs {
        bytes.extend_from_slice(&output.value.0.to_le_bytes());
        bytes.push(output.script.len() as u8);
        bytes.extend_from_slice(&output.script);
    }
    bytes.extend_from_slice(&(template.height.saturating_sub(1)).to_le_bytes());
    bytes
}

/// The coinbase as a block carries it: with marker, flag and the witness reserved value when the template has a
/// witness commitment.
pub fn with_witness(template: &Template, prefix: &[u8], extranonce: &[u8], suffix: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(prefix.len() + extranonce.len() + suffix.len() + 36);
    let (locktime_at, segwit) = (suffix.len() - 4, template.witness_commitment.is_some());
    bytes.extend_from_slice(&prefix[..4]);
    if segwit {
        bytes.extend_from_slice(&SEGWIT_MARKER);
    }
    bytes.extend_from_slice(&prefix[4..]);
    bytes.extend_from_slice(extranonce);
    bytes.extend_from_slice(&suffix[..locktime_at]);
    if segwit {
        bytes.extend_from_slice(&WITNESS_START);
        bytes.extend_from_slice(&[0; 32]);
    }
    bytes.extend_from_slice(&suffix[locktime_at..]);
    bytes
}

/// Who is paid what: the payee gets what fee and donation leave, so no satoshi is lost by rounding.
pub fn outputs(template: &Template, payee: &Payee, settings: &PayoutSettings) -> Vec<CoinbaseOutput> {
    let cuts: Vec<CoinbaseOutput> = [("fee", &settings.fee), ("donation", &settings.donation)]
        .into_iter()
        .filter_map(|(role, cut)| cut.as_ref().map(|cut| cut_output(role, cut, template.coinbase_value)))
        .filter(|output| output.value > Sats::ZERO)
        .collect();
    let taken: u64 = cuts.iter().map(|output| output.value.0).sum();
    let mut outputs = Vec::with_capacity(cuts.len() + 2);
    outputs.push(CoinbaseOutput {
        role: "miner",
        address: payee.address.clone(),
        script: payee.script.clone(),
        // The configuration allows 99 percent of cuts at most, so this never falls below zero.
        value: Sats(template.coinbase_value.0.saturating_sub(taken)),
    });
    outputs.extend(cuts);
    if let Some(commitment) = &template.witness_commitment {
        outputs.push(CoinbaseOutput {
            role: "witness commitment",
            address: "".into(),
            script: commitment.clone(),
            value: Sats::ZERO,
        });
    }
    outputs
}

fn cut_output(role: &'static str, cut: &Cut, value: Sats) -> CoinbaseOutput {
    let share = u128::from(value.0) * u128::from(cut.basis_points) / 10_000;
    CoinbaseOutput {
        role,
        address: cut.payee.address.clone(),
        script: Arc::clone(&cut.payee.script),
        value: Sats(share as u64),
    }
}

/// Text of the tag as it stands in the coinbase.
pub fn tag_text(pool_tag: &str) -> String {
    format!("/{}/", pool_tag.trim_matches('/'))
}

/// BIP34: the height as Script pushes a number, small ones as their opcodes (`CScript() << nHeight`).
fn push_height(script: &mut Vec<u8>, height: u32) {
    match height {
        0 => script.push(0),
        1..=16 => script.push(0x50 + height as u8),
        _ => {
            let bytes = height.to_le_bytes();
            let used = 4 - height.leading_zeros() as usize / 8;
            // A set top bit would be read as a sign.
            let signed = bytes[used - 1] & 0x80 != 0;
            script.push((used + usize::from(signed)) as u8);
            script.extend_from_slice(&bytes[..used]);
            script.extend_from_slice(&[0][..usize::from(signed)]);
        }
    }
}

/// Pushes at most 75 bytes.
fn push(script: &mut Vec<u8>, bytes: &[u8]) {
    debug_assert!(bytes.len() <= 75);
    script.push(bytes.len() as u8);
    script.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
