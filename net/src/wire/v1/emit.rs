//! What the pool writes: each function appends exactly one line with its newline.
//!
//! Replies carry the id as the miner wrote it and always all of `id`, `result` and `error`; notifications
//! carry `"id":null`. Ids and hexadecimal text are copied, everything else is escaped.

use super::hex;
use std::io::Write;
use warppool_components::job::JobId;
use warppool_components::reject::Reject;
use warppool_components::units::{Difficulty, Hash256};

/// Code of every error that has no code of its own.
pub const CODE_OTHER: u32 = 20;
/// Code of a job that is unknown or stale.
pub const CODE_JOB: u32 = 21;
/// Code of a duplicate share.
pub const CODE_DUPLICATE: u32 = 22;
/// Code of a share above its target.
pub const CODE_LOW_DIFFICULTY: u32 = 23;
/// Code of a worker that is not authorized.
pub const CODE_UNAUTHORIZED: u32 = 24;
/// Code of a miner that has not subscribed.
pub const CODE_NOT_SUBSCRIBED: u32 = 25;

/// Text for a method that the pool does not know; its code is [`CODE_OTHER`].
pub const UNSUPPORTED_METHOD: &str = "Unsupported method";

/// Answers `true`. `id` is JSON text.
pub fn true_reply(out: &mut Vec<u8>, id: &[u8]) {
    reply_start(out, id);
    out.extend_from_slice(b"true,\"error\":null}\n");
}

/// Answers `false` without an error, as to a refused authorize.
pub fn false_reply(out: &mut Vec<u8>, id: &[u8]) {
    reply_start(out, id);
    out.extend_from_slice(b"false,\"error\":null}\n");
}

/// Answers `false` with an error `[code, text, null]`: an authorize that failed, and why.
pub fn refused_reply(out: &mut Vec<u8>, id: &[u8], code: u32, text: &str) {
    reply_start(out, id);
    push_display(out, format_args!("false,\"error\":[{code},"));
    push_string(out, text);
    out.extend_from_slice(b",null]}\n");
}

/// Answers with a string.
pub fn text_reply(out: &mut Vec<u8>, id: &[u8], text: &str) {
    reply_start(out, id);
    push_string(out, text);
    out.extend_from_slice(b",\"error\":null}\n");
}

/// Answers `mining.ping`.
pub fn pong_reply(out: &mut Vec<u8>, id: &[u8]) {
    text_reply(out, id, "pong");
}

/// Answers with an error `[code, text, null]`.
pub fn error_reply(out: &mut Vec<u8>, id: &[u8], code: u32, text: &str) {
    reply_start(out, id);
    push_display(out, format_args!("null,\"error\":[{code},"));
    push_string(out, text);
    out.extend_from_slice(b",null]}\n");
}

/// Answers a share that is not credited.
pub fn reject_reply(out: &mut Vec<u8>, id: &[u8], reject: Reject) {
    error_reply(out, id, reject_code(reject), reject_text(reject));
}

/// The error code that miners know for `reject`.
pub const fn reject_code(reject: Reject) -> u32 {
    match reject {
        Reject::StaleTip | Reject::UnknownJob | Reject::JobExhausted => CODE_JOB,
        Reject::Duplicate => CODE_DUPLICATE,
        Reject::LowDifficulty => CODE_LOW_DIFFICULTY,
        Reject::Unauthorized => CODE_UNAUTHORIZED,
        Reject::NotSubscribed => CODE_NOT_SUBSCRIBED,
        Reject::TimeTooOld
        | Reject::TimeTooNew
        | Reject::VersionOutsideMask
        | Reject::Extranonce2Size
        | Reject::Malformed => CODE_OTHER,
    }
}

/// What the owner of a miner reads about `reject`; no two causes share a text.
pub const fn reject_text(reject: Reject) -> &'static str {
    match reject {
        Reject::StaleTip => "Stale share: a new block was found",
        Reject::UnknownJob => "Job not found",
        Reject::Duplicate => "Duplicate share",
        Reject::LowDifficulty => "Low difficulty share",
        Reject::Unauthorized => "Unauthorized worker",
        Reject::NotSubscribed => "Not subscribed",
        Reject::TimeTooOld => "ntime is older than the job",
        Reject::TimeTooNew => "ntime is too far in the future",
        Reject::VersionOutsideMask => "Version bits outside the mask",
        Reject::Extranonce2Size => "extranonce2 has the wrong size",
        Reject::Malformed => "Malformed share: a field is missing or not hexadecimal",
        Reject::JobExhausted => "Job is exhausted, wait for the next",
    }
}

/// Answers `mining.subscribe`: the session by which the extranonce can be had again, the pool's part of the
/// extranonce and the size of the miner's.
pub fn subscribe_reply(out: &mut Vec<u8>, id: &[u8], session_id: u64, extranonce1: &[u8], extranonce2_bytes: usize) {
    reply_start(out, id);
    out.extend_from_slice(b"[[[\"mining.notify\",\"");
    hex::push_bytes(out, &session_id.to_be_bytes());
    out.extend_from_slice(b"\"]],\"");
    hex::push_bytes(out, extranonce1);
    push_display(out, format_args!("\",{extranonce2_bytes}],\"error\":null}}\n"));
}

/// Answers to the extensions of a `mining.configure`; `None` where one was not asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ConfigureAnswer<'a> {
    /// Version bits that the miner may roll. No bits at all are answered as `"version-rolling":false`.
    pub mask: Option<u32>,
    /// `minimum-difficulty`.
    pub minimum_difficulty: Option<bool>,
    /// `subscribe-extranonce`.
    pub subscribe_extranonce: Option<bool>,
    /// `info`.
    pub info: Option<bool>,
    /// Extensions that the pool does not know: all are declined.
    pub unknown: &'a [String],
}

/// Answers `mining.configure` (BIP 310): an object with a member for each extension that was asked for.
pub fn configure_reply(out: &mut Vec<u8>, id: &[u8], answer: &ConfigureAnswer<'_>) {
    reply_start(out, id);
    out.push(b'{');
    let known = [
        ("version-rolling", answer.mask.map(|mask| mask != 0)),
        ("minimum-difficulty", answer.minimum_difficulty),
        ("subscribe-extranonce", answer.subscribe_extranonce),
        ("info", answer.info),
    ];
    let asked = known.iter().filter_map(|(name, granted)| granted.map(|granted| (*name, granted)));
    // A name that would repeat the mask's own member is no extension and would make the object ambiguous.
    let declined = answer.unknown.iter().map(String::as_str).filter(|name| *name != "version-rolling.mask");
    for (index, (name, granted)) in asked.chain(declined.map(|name| (name, false))).enumerate() {
        out.extend_from_slice(if index == 0 { b"" } else { b"," });
        push_string(out, name);
        push_display(out, format_args!(":{granted}"));
        if let Some(mask) = answer.mask.filter(|mask| *mask != 0 && name == "version-rolling") {
            push_display(out, format_args!(",\"version-rolling.mask\":\"{mask:08x}\""));
        }
    }
    out.extend_from_slice(b"},\"error\":null}\n");
}

/// Announces the difficulty of the jobs to come. At 1 and above an integer is written (a fraction is rounded up,
/// so that no share which the miner takes for good is too easy), below a plain decimal without exponent.
pub fn set_difficulty(out: &mut Vec<u8>, difficulty: Difficulty) {
    notification_start(out, "mining.set_difficulty");
    let value = difficulty.value();
    push_display(out, format_args!("{}]}}\n", if value >= 1.0 { value.ceil() } else { value }));
}

/// Announces the version bits that may be rolled from now on.
pub fn set_version_mask(out: &mut Vec<u8>, mask: u32) {
    notification_start(out, "mining.set_version_mask");
    out.push(b'"');
    hex::push_u32(out, mask);
    out.extend_from_slice(b"\"]}\n");
}

/// Shows a sentence on the miner's screen or in its log.
pub fn show_message(out: &mut Vec<u8>, text: &str) {
    notification_start(out, "client.show_message");
    push_string(out, text);
    out.extend_from_slice(b"]}\n");
}

/// Tells a miner to connect anew, to this host and port or to where it is. The port is text, because cgminer and what comes of
/// it keep the present one when it is a number.
pub fn reconnect(out: &mut Vec<u8>, place: Option<(&str, u16)>) {
    notification_start(out, "client.reconnect");
    if let Some((host, port)) = place {
        push_string(out, host);
        out.push(b',');
        push_string(out, &port.to_string());
        out.extend_from_slice(b",0");
    }
    out.extend_from_slice(b"]}\n");
}

/// A job as a miner is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Notify<'a> {
    /// Written in lowercase hexadecimal without padding.
    pub job: JobId,
    /// The tip to build on.
    pub previous_block: &'a Hash256,
    /// Coinbase without witness, up to the extranonce.
    pub coinbase_prefix: &'a [u8],
    /// Coinbase without witness, from behind the extranonce.
    pub coinbase_suffix: &'a [u8],
    /// Merkle path of the coinbase, deepest first.
    pub branches: &'a [Hash256],
    /// Header version; bits that may be rolled are zero.
    pub version: u32,
    /// `nBits`.
    pub bits: u32,
    /// Header time in seconds.
    pub ntime: u32,
    /// Whether older jobs are to be dropped.
    pub clean: bool,
}

/// Hands out a job. The previous block is its hash in internal order with the bytes of each 32-bit word
/// reversed; branches are in internal order; version, bits and time are numbers of 8 digits.
pub fn notify(out: &mut Vec<u8>, job: &Notify<'_>) {
    let hex_bytes = 2 * (job.coinbase_prefix.len() + job.coinbase_suffix.len()) + 67 * job.branches.len();
    out.reserve(hex_bytes + 200);
    notification_start(out, "mining.notify");
    push_display(out, format_args!("\"{:x}\",\"", job.job.0));
    for word in job.previous_block.as_internal().chunks_exact(4) {
        hex::push_bytes(out, &[word[3], word[2], word[1], word[0]]);
    }
    out.extend_from_slice(b"\",\"");
    hex::push_bytes(out, job.coinbase_prefix);
    out.extend_from_slice(b"\",\"");
    hex::push_bytes(out, job.coinbase_suffix);
    out.extend_from_slice(b"\",[");
    for (index, branch) in job.branches.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
        hex::push_bytes(out, branch.as_internal());
        out.push(b'"');
    }
    out.extend_from_slice(b"],\"");
    hex::push_u32(out, job.version);
    out.extend_from_slice(b"\",\"");
    hex::push_u32(out, job.bits);
    out.extend_from_slice(b"\",\"");
    hex::push_u32(out, job.ntime);
    push_display(out, format_args!("\",{}]}}\n", job.clean));
}

fn reply_start(out: &mut Vec<u8>, id: &[u8]) {
    out.extend_from_slice(b"{\"id\":");
    out.extend_from_slice(id);
    out.extend_from_slice(b",\"result\":");
}

fn notification_start(out: &mut Vec<u8>, method: &str) {
    out.extend_from_slice(b"{\"id\":null,\"method\":\"");
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\",\"params\":[");
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is JSON and a Vec takes every byte");
}

fn push_display(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("a Vec takes every byte");
}
