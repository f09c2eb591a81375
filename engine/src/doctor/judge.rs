//! What single messages must look like. Nothing is remembered here.

use super::check::Check;
use super::miner::Miner;
use bitcoin::hex::FromHex;
use serde_json::Value;
use warppool_loadgen::miner::Job;

/// Bytes that a whole `mining.notify` may have: NerdMiner's document of 4096 bytes takes no more.
const NOTIFY_BYTES_MAX: usize = 2500;

/// Bytes of a job's id that every firmware keeps.
const JOB_ID_BYTES_MAX: usize = 64;

/// Version bits that miners roll (BIP320).
const VERSION_MASK_USUAL: u32 = 0x1fff_e000;

/// What is wrong, and what it breaks.
pub(super) type Wrong = (Check, String);

/// An answer's error: null, or a list that starts with a code and a text.
pub(super) fn error_shape(error: &Value) -> Result<(), Wrong> {
    let good = match error {
        Value::Null => true,
        Value::Array(list) => list.len() >= 2 && list[0].is_i64() && list[1].is_string(),
        _ => false,
    };
    good.then_some(()).ok_or_else(|| (Check::ReplyShape, format!("the error {error} is not [code, text, null]")))
}

/// The answer to `mining.subscribe`: session, extranonce1, size of extranonce2.
pub(super) fn subscription(result: &Value) -> Result<(String, Vec<u8>, usize), Wrong> {
    let wrong = |check, text: &str| (check, format!("{text}: {result}"));
    let list = result.as_array().filter(|list| list.len() >= 3 && list[0].is_array());
    let list = list
        .ok_or_else(|| wrong(Check::Subscribe, "the answer to mining.subscribe is not [[...], extranonce1, size]"))?;
    if !list[0].to_string().contains("mining.notify") {
        return Err(wrong(Check::SubscribeFirst, "the answer to mining.subscribe does not name mining.notify"));
    }
    let own = list[1].as_str().and_then(|text| Vec::<u8>::from_hex(text).ok());
    let own = own.filter(|own| own.iter().any(|byte| *byte != 0));
    let own = own.ok_or_else(|| wrong(Check::Extranonce, "extranonce1 is not hexadecimal, empty or zero"))?;
    let size = list[2].as_u64().filter(|size| (2..=8).contains(size));
    let size = size.ok_or_else(|| wrong(Check::Extranonce, "the size of extranonce2 is not 2 to 8"))?;
    let session = session(&list[0]);
    Ok((session, own, size as usize))
}

/// The id that belongs to `mining.notify`, in one of the shapes that pools use.
fn session(subscriptions: &Value) -> String {
    let is_notify = |pair: &&Value| pair[0] == "mining.notify";
    let nested = subscriptions.as_array().into_iter().flatten().find(is_notify);
    let pair = nested.unwrap_or(subscriptions);
    pair[1].as_str().unwrap_or_default().to_owned()
}

/// The answer to `mining.configure`; gives the mask that was agreed on.
pub(super) fn configuration(asked: &Value, result: &Value) -> Result<Option<u32>, Wrong> {
    let wrong = |text: String| (Check::Configure, text);
    let members = result.as_object().ok_or_else(|| wrong(format!("mining.configure is answered with {result}")))?;
    for extension in asked[0].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(extension) {
            return Err(wrong(format!("the answer to mining.configure leaves {extension} out: {result}")));
        }
    }
    if members.get("version-rolling") != Some(&Value::Bool(true)) {
        return Ok(None);
    }
    let mask = members.get("version-rolling.mask").and_then(Value::as_str);
    let granted = mask.filter(|mask| mask.len() == 8).and_then(|mask| u32::from_str_radix(mask, 16).ok());
    let granted =
        granted.ok_or_else(|| wrong(format!("version-rolling.mask is not 8 hexadecimal digits: {result}")))?;
    let wanted = asked[1]["version-rolling.mask"].as_str().and_then(|mask| u32::from_str_radix(mask, 16).ok());
    match wanted.filter(|wanted| granted & !wanted != 0) {
        Some(wanted) => Err(wrong(format!("the mask {granted:08x} has bits that were not asked for: {wanted:08x}"))),
        None => Ok(Some(granted)),
    }
}

/// The difficulty of `mining.set_difficulty`, also by how it is written.
pub(super) fn difficulty(params: &Value, written: &str) -> Result<f64, Wrong> {
    let value = params[0].as_f64().filter(|value| *value > 0.0);
    let value =
        value.ok_or_else(|| (Check::DifficultyNumber, format!("the difficulty is no number above 0: {written}")))?;
    if written.contains(['e', 'E']) {
        return Err((
            Check::DifficultyNumber,
            format!("the difficulty has an exponent, which firmware does not read: {written}"),
        ));
    }
    Ok(value)
}

/// All that is wrong with a job; the job when it can be worked on.
pub(super) fn job(params: &Value, line_bytes: usize, miner: &Miner) -> (Option<Job>, Vec<Wrong>) {
    let job = match Job::decode(params) {
        Ok(job) => job,
        Err(error) => return (None, vec![(Check::JobShape, error.to_string())]),
    };
    let mut wrong = Vec::new();
    if line_bytes >= NOTIFY_BYTES_MAX {
        wrong.push((Check::JobSize, format!("a job has {line_bytes} bytes, small devices take {NOTIFY_BYTES_MAX}")));
    }
    if miner.jobs.iter().any(|(known, _)| known.id == job.id) {
        wrong.push((Check::JobId, format!("the job id {} was used before on this connection", job.id)));
    } else if job.id.is_empty() || job.id.len() > JOB_ID_BYTES_MAX {
        wrong.push((Check::JobId, format!("a job id has {} bytes, 1 to {JOB_ID_BYTES_MAX} are usual", job.id.len())));
    } else if miner.jobs.iter().any(|(known, _)| is_same_work(known, &job)) {
        wrong.push((Check::JobWork, format!("job {} is the same work as an earlier one", job.id)));
    }
    let mask = miner.version_mask.unwrap_or(VERSION_MASK_USUAL);
    if job.version & mask != 0 {
        wrong.push((Check::RollableBits, format!("version {:08x} has bits of the mask {mask:08x} set", job.version)));
    }
    let own = miner.extranonce1.as_deref().unwrap_or_default();
    let coinbase = job.decoded_coinbase(own, &vec![0; miner.extranonce2_bytes]);
    if let (Err(error), true) = (coinbase, miner.extranonce1.is_some()) {
        wrong.push((Check::JobShape, error.to_string()));
    }
    if miner.jobs.is_empty() && !job.clean {
        wrong.push((Check::FirstJob, "the first job of a connection does not say clean_jobs=true".to_owned()));
    }
    (Some(job), wrong)
}

fn is_same_work(one: &Job, other: &Job) -> bool {
    one.coinbase_prefix == other.coinbase_prefix
        && one.coinbase_suffix == other.coinbase_suffix
        && one.branches == other.branches
        && one.previous_hash == other.previous_hash
        && one.time == other.time
}
