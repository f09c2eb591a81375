//! The first lines to a pool of Stratum V1: `mining.configure`, `mining.subscribe`, `mining.authorize`, each with its answer.

use super::channel::{FIRST_SUBMIT, V1Channel};
use super::job::number;
use crate::client::message::{self, Message, Reply};
use crate::upstream::UpstreamOptions;
use crate::upstream::address::UpstreamAddress;
use crate::upstream::error::{UpstreamError, printable};
use crate::upstream::link::Link;
use crate::upstream::work::{EXTRANONCE_BYTES_MAX, ROLLED_VERSION_BITS};
use bitcoin::hex::FromHex;
use serde_json::{Value, json};
use warppool_components::upstream::{UPSTREAM_OWN_BYTES, VERSION_MASK_V2};

const USER_AGENT: &str = concat!("WarpPool-translator/", env!("CARGO_PKG_VERSION"));

const CONFIGURE: u32 = 1;
const SUBSCRIBE: u32 = 2;
const AUTHORIZE: u32 = 3;
const EXTRANONCE: u32 = 4;
const _: () = assert!(EXTRANONCE < FIRST_SUBMIT);

/// What a pool leaves to us of the extranonce, and what it puts before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Extranonce {
    /// `extranonce1`.
    pub(super) prefix: Vec<u8>,
    /// Bytes of `extranonce2`.
    pub(super) own_bytes: usize,
}

/// Opens the session of this number. What comes in between is heard later.
pub(in crate::upstream) fn open(
    link: &mut Link,
    address: &UpstreamAddress,
    options: &UpstreamOptions,
    session: u32,
) -> Result<V1Channel, UpstreamError> {
    let mask = format!("{VERSION_MASK_V2:08x}");
    let bits = ROLLED_VERSION_BITS.count_ones();
    let rolling = json!({ "version-rolling.mask": mask, "version-rolling.min-bit-count": bits });
    let answer = ask(link, CONFIGURE, "mining.configure", &json!([["version-rolling"], rolling]))?;
    let version_mask = version_mask(&answer)?;
    let answer = ask(link, SUBSCRIBE, "mining.subscribe", &json!([USER_AGENT]))?;
    let result = answer.result.as_ref().filter(|result| result.is_array());
    let result = result.ok_or_else(|| UpstreamError::Setup(printable(&answer.error_text())))?;
    let extranonce = extranonce(&result[1], &result[2])?;
    let who = json!([options.user, options.password.reveal()]);
    let answer = ask(link, AUTHORIZE, "mining.authorize", &who)?;
    if !answer.is_true() {
        let reason = printable(&answer.error_text());
        return Err(UpstreamError::Unauthorized { user: options.user.clone(), reason });
    }
    // Whether it knows this or not makes no difference.
    link.send(&request(EXTRANONCE, "mining.extranonce.subscribe", &json!([])))?;
    Ok(V1Channel::new(session, &options.user, &address.endpoint, extranonce, version_mask))
}

/// A request as a line without its end.
pub(super) fn request(id: u32, method: &str, params: &Value) -> Vec<u8> {
    json!({ "id": id, "method": method, "params": params }).to_string().into_bytes()
}

fn ask(link: &mut Link, id: u32, method: &str, params: &Value) -> Result<Reply, UpstreamError> {
    link.send(&request(id, method, params))?;
    link.wait_for(|line| match read(line) {
        Ok(Message::Reply(reply)) if is_to(&reply, id) => Some(Ok(reply)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// A line taken apart.
pub(super) fn read(line: &[u8]) -> Result<Message, UpstreamError> {
    message::read(&String::from_utf8_lossy(line)).map_err(|reason| UpstreamError::Line(printable(&reason)))
}

/// The number that a reply answers to. Some pools make a text of it.
pub(super) fn id_of(reply: &Reply) -> Option<u32> {
    reply.id.as_deref()?.trim_matches('"').parse().ok()
}

fn is_to(reply: &Reply, id: u32) -> bool {
    id_of(reply) == Some(id)
}

/// The version bits that may be rolled.
pub(super) fn version_mask(answer: &Reply) -> Result<u32, UpstreamError> {
    let result = answer.result.as_ref().filter(|result| result["version-rolling"] == true);
    let result = result.ok_or(UpstreamError::FixedVersion)?;
    let mask = result["version-rolling.mask"].as_str().and_then(number).ok_or(UpstreamError::FixedVersion)?;
    enough(mask)
}

/// The mask within what we asked for, if it holds what miners roll.
pub(super) fn enough(mask: u32) -> Result<u32, UpstreamError> {
    let is_enough = mask & ROLLED_VERSION_BITS == ROLLED_VERSION_BITS;
    if is_enough { Ok(mask & VERSION_MASK_V2) } else { Err(UpstreamError::VersionMask(mask)) }
}

/// `extranonce1` and the size of `extranonce2`, if they are of use.
pub(super) fn extranonce(prefix: &Value, own_bytes: &Value) -> Result<Extranonce, UpstreamError> {
    let prefix = prefix.as_str().and_then(|text| Vec::from_hex(text).ok());
    let prefix = prefix.filter(|prefix| prefix.len() <= EXTRANONCE_BYTES_MAX);
    let prefix = prefix.ok_or_else(|| UpstreamError::Line("its extranonce1 is no short text of bytes".to_owned()))?;
    let own_bytes = own_bytes.as_u64().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default();
    if own_bytes < UPSTREAM_OWN_BYTES {
        return Err(UpstreamError::Extranonce(own_bytes));
    }
    if own_bytes > EXTRANONCE_BYTES_MAX {
        return Err(UpstreamError::Line(format!("an extranonce2 of {own_bytes} bytes")));
    }
    Ok(Extranonce { prefix, own_bytes })
}
