//! Stratum V2's frames in the clear, as far as the swarm speaks them: written and read by hand, whatever the pool's own
//! codec does.

/// Bytes of a frame's header.
pub(crate) const HEADER_BYTES: usize = 6;

/// The top bit of the extension field: the message belongs to a channel.
const CHANNEL_BIT: u16 = 1 << 15;

/// Hashes a second that channels are opened with: next to none, so that the pool's easiest difficulty is theirs.
const HASH_RATE: f32 = 1e-9;

/// Bytes of extranonce that an extended channel asks for.
const MIN_EXTRANONCE: u16 = 8;

/// What a pool said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Heard<'a> {
    /// The connection is set up.
    SetUp,
    /// A channel is open. `extranonce_bytes` is the miner's part in an extended one.
    Opened { channel: u32, group: u32, prefix: &'a [u8], extranonce_bytes: Option<usize> },
    /// A job; without a time it waits for its tip.
    Job { channel: u32, job: JobNumbers, is_future: bool },
    /// A tip, and the job on it.
    Tip { channel: u32, job: u32, time: u32 },
    /// So many submits were accepted, the last of them with this sequence number.
    Accepted { last: u32, count: u32 },
    /// A submit was refused.
    Refused { sequence: u32, code: &'a [u8] },
    /// The pool does not want this connection or channel, for this reason.
    Unwanted(&'a [u8]),
    /// Something that the swarm need not understand.
    Other,
}

/// What a submit repeats of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct JobNumbers {
    pub(crate) id: u32,
    pub(crate) time: u32,
    pub(crate) version: u32,
}

/// Reads a frame; `None` when it ends within a field.
pub(crate) fn read(frame: &[u8]) -> Option<Heard<'_>> {
    let mut payload = Fields(frame.get(HEADER_BYTES..)?);
    Some(match frame[2] {
        0x01 => Heard::SetUp,
        0x02 => {
            payload.number()?;
            Heard::Unwanted(payload.short()?)
        }
        kind @ (0x11 | 0x14) => {
            payload.number()?;
            let channel = payload.number()?;
            payload.take(32)?;
            let extranonce_bytes = if kind == 0x14 { Some(payload.half()?.into()) } else { None };
            let prefix = payload.short()?;
            Heard::Opened { channel, group: payload.number()?, prefix, extranonce_bytes }
        }
        0x12 => {
            payload.number()?;
            Heard::Unwanted(payload.short()?)
        }
        0x15 | 0x1f => {
            let (channel, id) = (payload.number()?, payload.number()?);
            let is_future = payload.take(1)? == [0];
            let time = if is_future { 0 } else { payload.number()? };
            Heard::Job { channel, job: JobNumbers { id, time, version: payload.number()? }, is_future }
        }
        0x18 => {
            payload.number()?;
            Heard::Unwanted(payload.short()?)
        }
        0x1c => {
            payload.number()?;
            Heard::Accepted { last: payload.number()?, count: payload.number()? }
        }
        0x1d => {
            payload.number()?;
            Heard::Refused { sequence: payload.number()?, code: payload.short()? }
        }
        0x20 => {
            let (channel, job) = (payload.number()?, payload.number()?);
            payload.take(32)?;
            Heard::Tip { channel, job, time: payload.number()? }
        }
        _ => Heard::Other,
    })
}

/// Takes fields off the front.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(field)
    }

    pub(crate) fn number(&mut self) -> Option<u32> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*field))
    }

    pub(crate) fn half(&mut self) -> Option<u16> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_le_bytes(*field))
    }

    pub(crate) fn short(&mut self) -> Option<&'a [u8]> {
        let bytes = self.take(1)?[0];
        self.take(bytes.into())
    }
}

/// `SetupConnection` for mining, version 2, of a device that needs nothing.
pub(crate) fn setup() -> Vec<u8> {
    let mut payload = vec![0, 2, 0, 2, 0, 0, 0, 0, 0];
    push_text(&mut payload, "localhost");
    payload.extend_from_slice(&0_u16.to_le_bytes());
    for text in ["warppool-loadgen", "", "0.1", ""] {
        push_text(&mut payload, text);
    }
    frame(0x00, false, &payload)
}

/// A channel for a user, whatever its target.
pub(crate) fn open(request: u32, username: &str, is_standard: bool) -> Vec<u8> {
    let mut payload = request.to_le_bytes().to_vec();
    push_text(&mut payload, username);
    payload.extend_from_slice(&HASH_RATE.to_le_bytes());
    payload.extend_from_slice(&[0xff; 32]);
    if is_standard {
        return frame(0x10, false, &payload);
    }
    payload.extend_from_slice(&MIN_EXTRANONCE.to_le_bytes());
    frame(0x13, false, &payload)
}

/// Appends a text with its length before it.
pub(crate) fn push_text(payload: &mut Vec<u8>, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(usize::from(u8::MAX))];
    payload.push(bytes.len() as u8);
    payload.extend_from_slice(bytes);
}

/// A whole frame.
pub(crate) fn frame(kind: u8, is_channel: bool, payload: &[u8]) -> Vec<u8> {
    let extension = if is_channel { CHANNEL_BIT } else { 0 };
    let mut frame = extension.to_le_bytes().to_vec();
    frame.push(kind);
    frame.extend_from_slice(&(payload.len() as u32).to_le_bytes()[..3]);
    frame.extend_from_slice(payload);
    frame
}

/// The next submit of one channel as bytes, made once a job: each share counts up its numbers in place.
#[derive(Debug)]
pub(crate) struct SubmitFrame(Vec<u8>);

const SEQUENCE_AT: usize = HEADER_BYTES + 4;
const JOB_AT: usize = HEADER_BYTES + 8;
const NONCE_AT: usize = HEADER_BYTES + 12;
const TIME_AT: usize = HEADER_BYTES + 16;
const VERSION_AT: usize = HEADER_BYTES + 20;
/// The byte before it is the extranonce's length.
const EXTRANONCE_AT: usize = HEADER_BYTES + 25;

impl SubmitFrame {
    /// The first one of a channel for a job.
    pub(crate) fn new(channel: u32, extranonce_bytes: Option<usize>, job: JobNumbers) -> Self {
        let mut payload = channel.to_le_bytes().to_vec();
        payload.resize(24, 0);
        if let Some(bytes) = extranonce_bytes {
            payload.push(bytes as u8);
            payload.resize(25 + bytes, 0);
        }
        let kind = if extranonce_bytes.is_some() { 0x1b } else { 0x1a };
        let mut submit = Self(frame(kind, true, &payload));
        submit.follow(job);
        submit
    }

    /// The same counters under another job: nothing is ever submitted twice.
    pub(crate) fn follow(&mut self, job: JobNumbers) {
        for (at, number) in [(JOB_AT, job.id), (TIME_AT, job.time), (VERSION_AT, job.version)] {
            self.0[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
    }

    /// Appends the frame and moves the counters on: an extended channel's extranonce, a standard one's nonce.
    pub(crate) fn append_to(&mut self, outbound: &mut Vec<u8>) {
        outbound.extend_from_slice(&self.0);
        increment(&mut self.0[SEQUENCE_AT..JOB_AT]);
        let has_wrapped = self.0.get_mut(EXTRANONCE_AT..).is_none_or(increment);
        if has_wrapped {
            increment(&mut self.0[NONCE_AT..TIME_AT]);
        }
    }
}

/// Adds one to a number, lowest byte first. True when it wrapped to zero, as nothing does.
fn increment(number: &mut [u8]) -> bool {
    number.iter_mut().all(|byte| {
        *byte = byte.wrapping_add(1);
        *byte == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobNumbers = JobNumbers { id: 7, time: 9, version: 0x2000_0000 };

    #[test]
    fn every_submit_is_new_over_a_new_job_too() {
        for (extranonce_bytes, changing) in [(Some(2), EXTRANONCE_AT), (None, NONCE_AT)] {
            let mut submit = SubmitFrame::new(5, extranonce_bytes, JOB);
            let mut frames = Vec::new();
            for _ in 0..300 {
                let mut frame = Vec::new();
                submit.append_to(&mut frame);
                frames.push(frame);
            }
            assert_eq!(frames[299][SEQUENCE_AT..JOB_AT], 299_u32.to_le_bytes());
            assert_eq!(frames[299][changing..changing + 2], 299_u16.to_le_bytes());
            submit.follow(JobNumbers { id: 8, ..JOB });
            let mut later = Vec::new();
            submit.append_to(&mut later);
            assert_eq!(later[SEQUENCE_AT..JOB_AT], 300_u32.to_le_bytes());
            assert_eq!(later[JOB_AT..NONCE_AT], 8_u32.to_le_bytes());
        }
    }

    #[test]
    fn a_short_extranonce_carries_into_the_nonce() {
        let mut submit = SubmitFrame::new(5, Some(1), JOB);
        let mut works = std::collections::HashSet::new();
        for _ in 0..600 {
            let mut frame = Vec::new();
            submit.append_to(&mut frame);
            frame[SEQUENCE_AT..JOB_AT].fill(0);
            works.insert(frame);
        }
        assert_eq!(works.len(), 600);
    }

    /// Lengths and places are those of the specification (5.3).
    #[test]
    fn frames_are_read() {
        let job = frame(0x15, true, &[&[5, 0, 0, 0, 7, 0, 0, 0, 1, 9, 0, 0, 0, 0, 0, 0, 0x20][..], &[1; 32]].concat());
        assert_eq!(read(&job), Some(Heard::Job { channel: 5, job: JOB, is_future: false }));
        let future = frame(0x1f, true, &[5, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0x20, 1]);
        let waiting = JobNumbers { time: 0, ..JOB };
        assert_eq!(read(&future), Some(Heard::Job { channel: 5, job: waiting, is_future: true }));
        let tip = frame(0x20, true, &[&[5, 0, 0, 0, 7, 0, 0, 0][..], &[2; 32], &[9, 0, 0, 0, 1, 1, 1, 1]].concat());
        assert_eq!(read(&tip), Some(Heard::Tip { channel: 5, job: 7, time: 9 }));
        let accepted = frame(0x1c, true, &[5, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(read(&accepted), Some(Heard::Accepted { last: 4, count: 3 }));
        let refused = frame(0x1d, true, &[5, 0, 0, 0, 4, 0, 0, 0, 2, b'n', b'o']);
        assert_eq!(read(&refused), Some(Heard::Refused { sequence: 4, code: b"no" }));
        assert_eq!(read(&refused[..15]), None);
    }
}
