//! What a Stratum V2 handshake and a frame cost the pool, beside what the reference project's crate takes for the same.
//!
//! `cargo run --release -p warppool-net --example noise_handshake`. Both sides are measured in turns, in one run, so that the
//! ratios say something on a machine whose speed drifts.

use noise_sv2::Initiator;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime};
use warppool_components::units::UnixTime;
use warppool_net::transport::noise::{ACT_1_BYTES, AuthorityKey, NoiseSession, Responder};
use warppool_net::wire::v2::FrameHeader;

/// Turns of both sides; the median counts.
const TURNS: usize = 21;

/// Handshakes in a turn.
const HANDSHAKES: u32 = 50;

/// Frames in a turn.
const FRAMES: u32 = 20_000;

/// Bytes of the payload of a share.
const PAYLOAD_BYTES: usize = 24;

fn main() -> std::io::Result<()> {
    let now = UnixTime::from(SystemTime::now());
    let authority = AuthorityKey::generate();
    let (public, secret) = (authority.public().to_bytes(), authority.secret_bytes());
    let mut responder = Responder::new(authority);
    let key: [u8; ACT_1_BYTES] = Initiator::from_raw_k(public).expect("a key").step_0().expect("a message of its own");

    let handshakes = in_turns(
        HANDSHAKES,
        || {
            black_box(responder.answer(black_box(&key), now).expect("randomness"));
        },
        || {
            let validity = Duration::from_secs(3600);
            let mut naive =
                noise_sv2::Responder::from_authority_kp(&public, &secret, validity).expect("a pair of keys");
            black_box(naive.step_1(black_box(key)).expect("it answers every key"));
        },
    );

    let (mut client, engine) = connect(&mut responder, public, now);
    let mut engine = engine;
    let header =
        FrameHeader { extension: 0, is_channel_message: true, message_type: 0x1a, payload_bytes: PAYLOAD_BYTES as u32 };
    let frame = [&header.encode()[..], &[7; PAYLOAD_BYTES]].concat();
    let (mut sealed, mut parts) = (Vec::new(), (Vec::new(), Vec::new()));
    let frames = in_turns(
        FRAMES,
        || {
            sealed.clear();
            client.seal(black_box(&frame), &mut sealed).expect("a whole frame");
        },
        || {
            parts.0.clear();
            parts.1.clear();
            parts.0.extend_from_slice(&frame[..6]);
            parts.1.extend_from_slice(&frame[6..]);
            engine.encrypt(&mut parts.0).expect("a fresh key");
            engine.encrypt(&mut parts.1).expect("a fresh key");
        },
    );
    let mut out = std::io::stdout().lock();
    writeln!(out, "median of {TURNS} turns           ours      reference crate   ratio")?;
    for (what, (ours, naive)) in [("handshake, us", handshakes), ("frame of a share, us", frames)] {
        writeln!(out, "{what:<24} {ours:>8.2} {naive:>18.2} {:>7.2}", ours / naive)?;
    }
    Ok(())
}

/// Both ends after a handshake, the pool's first.
fn connect(responder: &mut Responder, public: [u8; 32], now: UnixTime) -> (NoiseSession, noise_sv2::NoiseEngine) {
    let mut initiator = Initiator::from_raw_k(public).expect("a key");
    let act_1 = initiator.step_0().expect("a message of its own");
    let (act_2, session) = responder.answer(&act_1, now).expect("randomness");
    (session, initiator.step_2(act_2).expect("the certificate is good"))
}

/// Medians of both in microseconds a call.
fn in_turns(calls: u32, mut ours: impl FnMut(), mut naive: impl FnMut()) -> (f64, f64) {
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        times.0.push(time(calls, &mut ours));
        times.1.push(time(calls, &mut naive));
    }
    (median(times.0), median(times.1))
}

fn time(calls: u32, call: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(|_| call());
    start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
