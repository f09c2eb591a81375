//! The frames that a miner with one extended channel needs, written and read by hand, whatever the pool's own codec does.

use crate::swarm::frames::{Fields, HEADER_BYTES, frame, push_text};

/// AxeOS says so of every device.
const HASH_RATE: f32 = 1e12;

/// Bytes of extranonce that AxeOS asks for.
const MIN_EXTRANONCE: u16 = 2;

/// Our number for the one request for a channel.
const REQUEST: u32 = 1;

/// What a pool said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    SetUp,
    Opened(Opened),
    Target {
        channel: u32,
        target: [u32; 8],
    },
    Job {
        channel: u32,
        job: ExtendedJob,
    },
    Tip {
        channel: u32,
        tip: Tip,
    },
    /// So many more were accepted, up to this sequence number.
    Accepted {
        last: u32,
        count: u32,
    },
    Refused {
        sequence: u32,
        code: String,
    },
    /// The connection or channel is over, for this reason.
    Unwanted(String),
    Other,
}

/// An open channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) id: u32,
    pub(super) group: u32,
    /// Least significant limb first.
    pub(super) target: [u32; 8],
    pub(super) prefix: Vec<u8>,
    pub(super) own_bytes: usize,
}

/// A job without its tip.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExtendedJob {
    pub(super) id: u32,
    /// `None` when it waits for its tip.
    pub(super) min_ntime: Option<u32>,
    pub(super) version: u32,
    pub(super) branches: Vec<[u8; 32]>,
    pub(super) coinbase_prefix: Vec<u8>,
    pub(super) coinbase_suffix: Vec<u8>,
}

/// A tip, and the job on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) job: u32,
    pub(super) previous_hash: [u8; 32],
    pub(super) time: u32,
    pub(super) bits: u32,
}

/// Reads a frame; `None` when it ends within a field.
pub(super) fn read(frame: &[u8]) -> Option<Heard> {
    let mut payload = Fields(frame.get(HEADER_BYTES..)?);
    Some(match frame[2] {
        0x01 => Heard::SetUp,
        0x02 | 0x12 | 0x18 => {
            payload.number()?;
            Heard::Unwanted(text(payload.short()?))
        }
        0x14 => {
            payload.number()?;
            let (id, target) = (payload.number()?, target(&mut payload)?);
            let (own_bytes, prefix) = (payload.half()?.into(), payload.short()?.to_vec());
            Heard::Opened(Opened { id, group: payload.number()?, target, prefix, own_bytes })
        }
        0x1c => {
            payload.number()?;
            Heard::Accepted { last: payload.number()?, count: payload.number()? }
        }
        0x1d => {
            payload.number()?;
            Heard::Refused { sequence: payload.number()?, code: text(payload.short()?) }
        }
        0x1f => Heard::Job { channel: payload.number()?, job: job(&mut payload)? },
        0x20 => {
            let (channel, job, previous_hash) = (payload.number()?, payload.number()?, hash(&mut payload)?);
            Heard::Tip { channel, tip: Tip { job, previous_hash, time: payload.number()?, bits: payload.number()? } }
        }
        0x21 => Heard::Target { channel: payload.number()?, target: target(&mut payload)? },
        _ => Heard::Other,
    })
}

fn job(payload: &mut Fields<'_>) -> Option<ExtendedJob> {
    let id = payload.number()?;
    let min_ntime = if payload.take(1)? == [0] { None } else { Some(payload.number()?) };
    let version = payload.number()?;
    let _version_rolling_allowed = payload.take(1)?;
    let branches = payload.take(1)?[0];
    let branches = (0..branches).map(|_| hash(payload)).collect::<Option<_>>()?;
    let (coinbase_prefix, coinbase_suffix) = (long(payload)?, long(payload)?);
    Some(ExtendedJob { id, min_ntime, version, branches, coinbase_prefix, coinbase_suffix })
}

fn long(payload: &mut Fields<'_>) -> Option<Vec<u8>> {
    let bytes = payload.half()?;
    payload.take(bytes.into()).map(<[u8]>::to_vec)
}

fn hash(payload: &mut Fields<'_>) -> Option<[u8; 32]> {
    payload.take(32)?.try_into().ok()
}

/// A number of 256 bits, least significant byte first.
fn target(payload: &mut Fields<'_>) -> Option<[u32; 8]> {
    let mut limbs = [0; 8];
    for limb in &mut limbs {
        *limb = payload.number()?;
    }
    Some(limbs)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `SetupConnection` as AxeOS sends it.
pub(super) fn setup() -> Vec<u8> {
    let mut payload = vec![0, 2, 0, 2, 0, 0, 0, 0, 0];
    push_text(&mut payload, "localhost");
    payload.extend_from_slice(&0_u16.to_le_bytes());
    for text in ["bitaxe", "BM1370", "v2.9.0", ""] {
        push_text(&mut payload, text);
    }
    frame(0x00, false, &payload)
}

/// A request for an extended channel, whatever its target.
pub(super) fn open(username: &str) -> Vec<u8> {
    let mut payload = REQUEST.to_le_bytes().to_vec();
    push_text(&mut payload, username);
    payload.extend_from_slice(&HASH_RATE.to_le_bytes());
    payload.extend_from_slice(&[0xff; 32]);
    payload.extend_from_slice(&MIN_EXTRANONCE.to_le_bytes());
    frame(0x13, false, &payload)
}

/// A share.
pub(super) struct Submit<'a> {
    pub(super) channel: u32,
    pub(super) sequence: u32,
    pub(super) job: u32,
    pub(super) nonce: u32,
    pub(super) time: u32,
    /// Whole.
    pub(super) version: u32,
    pub(super) extranonce: &'a [u8],
}

impl Submit<'_> {
    /// `SubmitSharesExtended`.
    pub(super) fn frame(&self) -> Vec<u8> {
        let Self { channel, sequence, job, nonce, time, version, extranonce } = *self;
        let numbers = [channel, sequence, job, nonce, time, version];
        let mut payload: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        payload.push(extranonce.len() as u8);
        payload.extend_from_slice(extranonce);
        frame(0x1b, true, &payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths and places are those of the specification (5.3).
    #[test]
    fn frames_are_read_field_by_field() {
        let opened = [&[1, 0, 0, 0, 5, 0, 0, 0][..], &[7; 32], &[8, 0], &[4, 1, 2, 3, 4], &[6, 0, 0, 0]].concat();
        let expected = Opened { id: 5, group: 6, target: [0x0707_0707; 8], prefix: vec![1, 2, 3, 4], own_bytes: 8 };
        assert_eq!(read(&frame(0x14, false, &opened)), Some(Heard::Opened(expected)));
        let start = [5, 0, 0, 0, 9, 0, 0, 0];
        let end = [&[0, 0, 0, 0x20, 1, 2][..], &[1; 32], &[2; 32], &[2, 0, 0xaa, 0xbb], &[1, 0, 0xcc]].concat();
        let job = |min_ntime| ExtendedJob {
            id: 9,
            min_ntime,
            version: 0x2000_0000,
            branches: vec![[1; 32], [2; 32]],
            coinbase_prefix: vec![0xaa, 0xbb],
            coinbase_suffix: vec![0xcc],
        };
        for (option, min_ntime) in [(&[0][..], None), (&[1, 3, 0, 0, 0], Some(3))] {
            let bytes = frame(0x1f, true, &[&start[..], option, &end].concat());
            assert_eq!(read(&bytes), Some(Heard::Job { channel: 5, job: job(min_ntime) }));
            assert_eq!(read(&bytes[..bytes.len() - 1]), None);
        }
        let tip = [&start[..], &[3; 32], &[4, 0, 0, 0], &[0xff, 0xff, 0, 0x1d]].concat();
        let expected = Tip { job: 9, previous_hash: [3; 32], time: 4, bits: 0x1d00_ffff };
        assert_eq!(read(&frame(0x20, true, &tip)), Some(Heard::Tip { channel: 5, tip: expected }));
    }
}
