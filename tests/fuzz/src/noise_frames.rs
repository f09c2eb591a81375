//! Encrypted connections of both generations after their handshake: frames arrive as they were sent, in whatever pieces; what
//! is changed on its way is noticed, and nothing behind it is taken.
//!
//! Input: a byte of how (`Plan`), one of the pieces, one of the frames that are taken at a time, three of the place and the
//! change; then frames, each a byte of its type, one of its length, and its payload.

use crate::bytes::{Bytes, pieces};
use warppool_components::limits::FRAME_PAYLOAD_BYTES_MAX;
use warppool_net::transport::noise::{NoiseError, NoiseSession};
use warppool_net::wire::v2::FrameHeader;

const KEYS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

/// The least that is taken of a payload where an input asks for a low limit.
const LOW_PAYLOAD_BYTES_MAX: u32 = 48;

/// What a connection keeps beyond a payload while a frame is not whole: its header, tags and lengths of either generation.
const BESIDE_PAYLOAD_BYTES: usize = 64;

/// A long frame is so many times as long as its payload in the input.
const LONG: usize = 90;

/// How an input is played.
struct Plan {
    is_first_generation: bool,
    payload_bytes_max: u32,
    /// Where and by which bits the stream is changed; by none at all it is cut there.
    change: Option<(usize, u8)>,
    /// The last frame is made long.
    is_long: bool,
    piece_seed: u8,
    frames_at_once: usize,
}

/// Runs one input.
pub fn check(data: &[u8]) {
    let mut bytes = Bytes(data);
    let (how, piece_seed, frames_at_once) = (bytes.byte(), bytes.byte(), 1 + usize::from(bytes.byte() % 9));
    let (place, bits) = (bytes.short(), bytes.byte());
    let plan = Plan {
        is_first_generation: how & 1 != 0,
        payload_bytes_max: if how & 2 != 0 { LOW_PAYLOAD_BYTES_MAX } else { FRAME_PAYLOAD_BYTES_MAX as u32 },
        change: (how & 4 != 0).then_some((place, bits)),
        is_long: how & 8 != 0,
        piece_seed,
        frames_at_once,
    };
    let frames = frames(&plan, bytes);
    let sealed = sealed(&plan, &frames);
    let ends: Vec<usize> = sealed
        .iter()
        .scan(0, |end, frame| {
            *end += frame.len();
            Some(*end)
        })
        .collect();
    let mut stream = sealed.concat();
    let spoiled_at = plan.change.filter(|_| !stream.is_empty()).map(|(place, bits)| {
        let place = place % stream.len();
        if bits == 0 {
            stream.truncate(place)
        } else {
            stream[place] ^= bits
        }
        place
    });
    let (heard, outcome) = hear(&plan, &stream);
    let too_long = frames.iter().position(|frame| frame.len() > 6 + plan.payload_bytes_max as usize);
    let good = too_long.unwrap_or(frames.len());
    let whole = ends.iter().take_while(|end| spoiled_at.is_none_or(|place| **end <= place)).count();
    assert!(frames.starts_with(&heard), "frames that were never sent");
    assert_eq!(heard.len(), good.min(whole), "frames before the first that is bad: {outcome:?}");
    match (&outcome, plan.change) {
        (Ok(()), None) => assert_eq!(too_long, None, "a frame that is too long was taken"),
        (Ok(()), Some((_, 0))) => {}
        // A length that was changed lets the reader wait for more than there is, or take what is not its end.
        (Ok(()), Some(_)) => assert!(spoiled_at.is_none() || is_waiting(&plan, &ends, spoiled_at), "nobody noticed"),
        (Err(NoiseError::FrameTooLong { .. }), None) => assert!(too_long.is_some()),
        (Err(_), None | Some((_, 0))) => assert!(too_long.is_some(), "{outcome:?} of an honest peer"),
        (Err(_), Some(_)) => {}
    }
}

/// Only the length before a message of the first generation is not authenticated by itself.
fn is_waiting(plan: &Plan, ends: &[usize], spoiled_at: Option<usize>) -> bool {
    let Some(place) = spoiled_at else { return true };
    let start = ends.iter().copied().take_while(|end| *end <= place).last().unwrap_or(0);
    plan.is_first_generation && place < start + 2
}

fn frames(plan: &Plan, mut bytes: Bytes<'_>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (message_type, length) = (bytes.byte(), usize::from(bytes.byte()));
        let (payload, rest) = bytes.rest().split_at(length.min(bytes.rest().len()));
        bytes = Bytes(rest);
        let payload = if plan.is_long && rest.is_empty() { payload.repeat(LONG) } else { payload.to_vec() };
        let header =
            FrameHeader { extension: 0, is_channel_message: false, message_type, payload_bytes: payload.len() as u32 };
        frames.push([&header.encode()[..], &payload].concat());
    }
    frames
}

fn sealed(plan: &Plan, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut peer = NoiseSession::of_keys(plan.is_first_generation, &KEYS[0], &KEYS[1], u32::MAX);
    let seal = |frame: &Vec<u8>| {
        let mut sealed = Vec::new();
        peer.seal(frame, &mut sealed).expect("a whole frame");
        sealed
    };
    frames.iter().map(seal).collect()
}

/// What the pool's end makes of the stream.
fn hear(plan: &Plan, stream: &[u8]) -> (Vec<Vec<u8>>, Result<(), NoiseError>) {
    let mut session = NoiseSession::of_keys(plan.is_first_generation, &KEYS[1], &KEYS[0], plan.payload_bytes_max);
    let mut heard = Vec::new();
    for piece in pieces(stream, plan.piece_seed) {
        let mut piece = piece.to_vec();
        let mut outcome = session.receive(&mut piece, plan.frames_at_once, |frame| heard.push(frame.to_vec()));
        while let Ok(taken) = outcome
            && session.has_more()
        {
            assert_eq!(taken, plan.frames_at_once, "stopped only by the limit");
            outcome = session.resume(plan.frames_at_once, |frame| heard.push(frame.to_vec()));
        }
        if let Err(error) = outcome {
            return (heard, Err(error));
        }
        let kept = session.pending_bytes();
        let allowed = plan.payload_bytes_max as usize + BESIDE_PAYLOAD_BYTES;
        assert!(kept <= allowed, "{kept} bytes are kept where {allowed} are allowed");
    }
    (heard, Ok(()))
}
