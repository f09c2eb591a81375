//! Two ends in one process, no socket between them. The reference project's crate is the judge of the handshake.

use super::*;
use crate::wire::v2::{FRAME_HEADER_BYTES, FrameHeader};
use noise_sv2::NoiseEngine;
use proptest::prelude::*;
use std::time::Duration;
use warppool_components::limits::{
    FRAME_PAYLOAD_BYTES_MAX, NOISE_CERTIFICATE_LEEWAY_SECONDS, NOISE_CERTIFICATE_SECONDS,
};
use warppool_components::units::UnixTime;

/// A Saturday in November 2026.
const NOW: u64 = 1_795_248_000;

const PAYLOAD_BYTES_MAX: u32 = FRAME_PAYLOAD_BYTES_MAX as u32;

fn at(second: u64) -> UnixTime {
    UnixTime::from_seconds(second)
}

fn responder() -> Responder {
    Responder::new(AuthorityKey::generate())
}

/// Both ends of a new connection, the pool's first. Each takes payloads of up to `payload_bytes_max`.
fn connected(payload_bytes_max: u32) -> (NoiseSession, NoiseSession) {
    let mut responder = responder();
    let (initiator, act_1) = Initiator::new().expect("randomness");
    let (act_2, pool) = responder.answer(&act_1, at(NOW)).expect("randomness");
    let miner = initiator.finish(&act_2, responder.authority(), at(NOW), payload_bytes_max);
    (pool, miner.expect("it is who it should be"))
}

fn frame(message_type: u8, payload: &[u8]) -> Vec<u8> {
    let header =
        FrameHeader { extension: 0, is_channel_message: false, message_type, payload_bytes: payload.len() as u32 };
    [&header.encode(), payload].concat()
}

/// What the reference crate makes of a frame: header and payload, each by itself.
fn sealed_by(engine: &mut NoiseEngine, frame: &[u8]) -> Vec<u8> {
    let (mut header, mut payload) = (frame[..FRAME_HEADER_BYTES].to_vec(), frame[FRAME_HEADER_BYTES..].to_vec());
    engine.encrypt(&mut header).expect("a fresh key");
    engine.encrypt(&mut payload).expect("a fresh key");
    [header, payload].concat()
}

fn opened_by(engine: &mut NoiseEngine, sealed: &[u8]) -> Vec<u8> {
    let (mut header, mut payload) = (sealed[..22].to_vec(), sealed[22..].to_vec());
    engine.decrypt(&mut header).expect("our header");
    engine.decrypt(&mut payload).expect("our payload");
    [header, payload].concat()
}

/// Frames that a session hands out when `stream` comes in pieces of `size` and `frames_max` are taken at a time.
fn frames_of(
    session: &mut NoiseSession,
    stream: &[u8],
    size: usize,
    frames_max: usize,
) -> Result<Vec<Vec<u8>>, NoiseError> {
    let mut frames = Vec::new();
    for piece in stream.chunks(size) {
        let mut piece = piece.to_vec();
        let mut taken = session.receive(&mut piece, frames_max, |frame| frames.push(frame.to_vec()))?;
        while session.has_more() {
            assert_eq!(taken, frames_max, "stopped only by the limit");
            taken = session.resume(frames_max, |frame| frames.push(frame.to_vec()))?;
        }
    }
    Ok(frames)
}

#[test]
fn the_reference_crate_accepts_our_answer_and_both_understand_each_other() {
    let mut responder = responder();
    let mut client = noise_sv2::Initiator::from_raw_k(responder.authority().to_bytes()).expect("a key");
    let act_1 = client.step_0().expect("a key of its own");
    let (act_2, mut session) = responder.answer(&act_1, at(NOW)).expect("randomness");
    let mut engine = client.step_2_with_now(act_2, NOW as u32).expect("our answer and certificate are good");

    for round in 1..4 {
        let request = frame(round, &[7; 300]);
        let sealed = sealed_by(&mut engine, &request);
        assert_eq!(frames_of(&mut session, &sealed, 1000, 9), Ok(vec![request]));
        let (answer, mut sealed) = (frame(round + 100, b"answer"), Vec::new());
        session.seal(&answer, &mut sealed).expect("a whole frame");
        assert_eq!(opened_by(&mut engine, &sealed), answer);
    }
}

#[test]
fn we_accept_the_reference_crate_s_answer_and_both_understand_each_other() {
    let authority = AuthorityKey::generate();
    let (public, validity) = (authority.public(), Duration::from_secs(3600));
    let mut pool = noise_sv2::Responder::from_authority_kp(&public.to_bytes(), &authority.secret_bytes(), validity)
        .expect("a pair of keys");
    let (initiator, act_1) = Initiator::new().expect("randomness");
    let (act_2, mut engine) =
        pool.step_1_with_now_rng(act_1, NOW as u32, &mut noise_sv2_rng()).expect("it answers every key");
    let mut session = initiator.finish(&act_2, public, at(NOW + 9), PAYLOAD_BYTES_MAX).expect("its answer is good");

    let (request, mut sealed) = (frame(1, b"request"), Vec::new());
    session.seal(&request, &mut sealed).expect("a whole frame");
    assert_eq!(opened_by(&mut engine, &sealed), request);
    let answer = frame(2, &[9; 70]);
    assert_eq!(frames_of(&mut session, &sealed_by(&mut engine, &answer), 5, 9), Ok(vec![answer]));
}

/// The reference crate is given its randomness from outside.
fn noise_sv2_rng() -> impl bitcoin::secp256k1::rand::Rng + bitcoin::secp256k1::rand::CryptoRng {
    bitcoin::secp256k1::rand::thread_rng()
}

#[test]
fn a_false_certificate_is_told_by_its_fault() {
    let finish = |authority: Option<AuthorityPublicKey>, signed_at: u64, now: u64| {
        let mut responder = responder();
        let (initiator, act_1) = Initiator::new().expect("randomness");
        let (act_2, _) = responder.answer(&act_1, at(signed_at)).expect("randomness");
        let authority = authority.unwrap_or(responder.authority());
        initiator.finish(&act_2, authority, at(now), PAYLOAD_BYTES_MAX).map(drop)
    };
    let hour = 3600;
    assert_eq!(finish(None, NOW, NOW), Ok(()));
    let wrong = AuthorityKey::generate().public();
    assert_eq!(finish(Some(wrong), NOW, NOW), Err(CertificateError::WrongAuthority.into()));
    assert_eq!(finish(None, NOW, NOW - hour - 10), Ok(()), "a clock that is an hour late");
    assert!(matches!(
        finish(None, NOW, NOW - hour - 11),
        Err(NoiseError::Certificate(CertificateError::NotYetValid { .. }))
    ));
    assert_eq!(finish(None, NOW, NOW + 2 * hour + 10), Ok(()), "a clock that is an hour early, an hour later");
    let expired = finish(None, NOW, NOW + 2 * hour + 11).expect_err("its time is over");
    assert!(matches!(expired, NoiseError::Certificate(CertificateError::Expired { .. })), "{expired}");
    assert!(expired.to_string().contains("does not renew it, or a clock is wrong"), "{expired}");
}

#[test]
fn an_answer_that_was_changed_or_made_for_another_key_is_refused() {
    let mut responder = responder();
    let (_, act_1) = Initiator::new().expect("randomness");
    let (act_2, _) = responder.answer(&act_1, at(NOW)).expect("randomness");
    for place in (0..ACT_2_BYTES).step_by(13) {
        let (initiator, act_1) = Initiator::new().expect("randomness");
        let (mut changed, _) = responder.answer(&act_1, at(NOW)).expect("randomness");
        changed[place] ^= 1;
        let result = initiator.finish(&changed, responder.authority(), at(NOW), PAYLOAD_BYTES_MAX);
        assert_eq!(result.map(drop), Err(NoiseError::Undecipherable), "byte {place}");
    }
    let (initiator, _) = Initiator::new().expect("randomness");
    let result = initiator.finish(&act_2, responder.authority(), at(NOW), PAYLOAD_BYTES_MAX);
    assert_eq!(result.map(drop), Err(NoiseError::Undecipherable));
}

#[test]
fn a_pool_that_is_up_for_days_never_presents_an_old_certificate() {
    let mut responder = responder();
    let mut shown: Vec<Certificate> = Vec::new();
    // A day, a handshake every seven minutes, clients whose clocks are right or wrong by up to an hour.
    for second in (NOW..=NOW + 86_400).step_by(420) {
        for drift in [-3600_i64, -1, 0, 1, 3600] {
            let mut client = noise_sv2::Initiator::from_raw_k(responder.authority().to_bytes()).expect("a key");
            let act_1 = client.step_0().expect("a key of its own");
            let (act_2, _) = responder.answer(&act_1, at(second)).expect("randomness");
            let now = second.saturating_add_signed(drift) as u32;
            assert!(client.step_2_with_now(act_2, now).is_ok(), "{} s after the start, {drift} s off", second - NOW);
        }
        let certificate = responder.certificate().expect("it was shown");
        let second = second as u32;
        assert!(certificate.valid_from <= second - NOISE_CERTIFICATE_LEEWAY_SECONDS);
        assert!(second + NOISE_CERTIFICATE_LEEWAY_SECONDS <= certificate.not_valid_after);
        if shown.last() != Some(&certificate) {
            shown.push(certificate);
        }
    }
    assert!((23..=25).contains(&shown.len()), "signed {} times in a day, not once an hour", shown.len());
    // The machine slept for three days; its clock was then set back by five.
    for second in [NOW + 4 * 86_400, NOW - 86_400] {
        let (initiator, act_1) = Initiator::new().expect("randomness");
        let (act_2, _) = responder.answer(&act_1, at(second)).expect("randomness");
        assert!(initiator.finish(&act_2, responder.authority(), at(second), PAYLOAD_BYTES_MAX).is_ok());
    }
    let second = responder.certificate().expect("shown").valid_from + NOISE_CERTIFICATE_LEEWAY_SECONDS;
    assert_eq!(u64::from(second), NOW - 86_400);
    let _ = responder.answer(&[1; ACT_1_BYTES], at(u64::from(second + NOISE_CERTIFICATE_SECONDS) - 1));
    assert_eq!(responder.certificate().map(|shown| shown.valid_from + NOISE_CERTIFICATE_LEEWAY_SECONDS), Some(second));
}

#[test]
fn the_published_key_has_the_published_text() {
    // Stratum V2 specification, 4.7.
    let text = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
    let bytes = [
        0x76, 0x63, 0x70, 0x00, 0x97, 0x9c, 0x1c, 0x11, 0xaf, 0x0c, 0x30, 0x0b, 0xcd, 0x8c, 0x7f, 0xe4, 0x86, 0x10,
        0xfc, 0xe9, 0xb9, 0xc1, 0x1e, 0x3d, 0xae, 0xe3, 0x5a, 0xe0, 0xb0, 0x8a, 0x74, 0x55,
    ];
    let key = AuthorityPublicKey::from_bytes(&bytes).expect("a key");
    assert_eq!(key.to_string(), text);
    assert_eq!(text.parse(), Ok(key));
    let changed = text.replace("9bXi", "9bXj");
    assert_eq!(changed.parse::<AuthorityPublicKey>(), Err(InvalidAuthorityKey::Text));
    let address = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
    assert_eq!(address.parse::<AuthorityPublicKey>(), Err(InvalidAuthorityKey::Kind));
}

#[test]
fn an_authority_key_survives_its_file_and_is_never_shown() {
    let key = AuthorityKey::generate();
    let again = AuthorityKey::from_secret_bytes(&key.secret_bytes()).expect("a key");
    assert!(again == key && again.public() == key.public());
    assert_eq!(AuthorityKey::from_secret_bytes(&[0; 32]), Err(InvalidAuthorityKey::Secret));
    assert_eq!(AuthorityKey::from_secret_bytes(&[0xff; 32]), Err(InvalidAuthorityKey::Secret));
    let secret: String = key.secret_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let shown = format!("{key:?} {:?}", Responder::new(key.clone()));
    assert!(shown.contains(&key.public().to_string()) && !shown.contains(&secret), "{shown}");
}

#[test]
fn a_frame_may_have_exactly_its_limit_and_frames_before_a_longer_one_are_delivered() {
    for (payload_bytes, is_taken) in [(FRAME_PAYLOAD_BYTES_MAX, true), (FRAME_PAYLOAD_BYTES_MAX + 1, false)] {
        let (mut pool, mut miner) = connected(PAYLOAD_BYTES_MAX);
        let (first, second) = (frame(1, b"first"), frame(2, &vec![3; payload_bytes]));
        let mut sealed = Vec::new();
        miner.seal(&[first.clone(), second.clone()].concat(), &mut sealed).expect("whole frames");
        let mut frames = Vec::new();
        let result = pool.receive(&mut sealed, 9, |frame| frames.push(frame.to_vec()));
        if is_taken {
            assert_eq!((result, frames), (Ok(2), vec![first, second]));
        } else {
            let (payload_bytes, payload_bytes_max) = (PAYLOAD_BYTES_MAX + 1, PAYLOAD_BYTES_MAX);
            assert_eq!(result, Err(NoiseError::FrameTooLong { payload_bytes, payload_bytes_max }));
            assert_eq!(frames, [first]);
        }
    }
}

#[test]
fn an_idle_session_holds_no_memory_but_its_keys() {
    let (mut pool, mut miner) = connected(PAYLOAD_BYTES_MAX);
    let mut sealed = Vec::new();
    miner.seal(&frame(1, &[1; 5000]), &mut sealed).expect("a whole frame");
    let (start, rest) = sealed.split_at_mut(3000);
    assert_eq!(pool.receive(start, 9, |_| ()), Ok(0));
    // The header is open, its tag is forgotten.
    assert_eq!(pool.pending_bytes(), 3000 - 16);
    assert_eq!(pool.receive(rest, 9, |frame| assert_eq!(frame.len(), 5006)), Ok(1));
    assert_eq!(pool.pending_bytes(), 0);
    assert!(pool.has_heard() && !miner.has_heard());
}

#[test]
fn only_whole_frames_are_sent() {
    let (mut pool, _) = connected(PAYLOAD_BYTES_MAX);
    let whole = frame(1, b"payload");
    for end in (1..whole.len()).chain([whole.len() + 1]) {
        let mut bytes = [whole.clone(), whole.clone()].concat();
        bytes.truncate(end);
        assert_eq!(pool.seal(&bytes, &mut Vec::new()), Err(NoiseError::NotWholeFrames), "{end} bytes");
    }
}

/// Frames with payloads of sizes that matter: none, few bytes, about one chunk, several.
fn some_frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let size = prop_oneof![8 => 0_usize..300, 1 => 65_500_usize..65_540, 1 => 131_000_usize..131_100];
    let one = (any::<u8>(), size, any::<u8>());
    prop::collection::vec(one.prop_map(|(message_type, size, byte)| frame(message_type, &vec![byte; size])), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_arrive_as_they_were_sent_however_they_are_cut(
        frames in some_frames(), size in prop_oneof![1_usize..100, 1000_usize..70_000], frames_max in 1_usize..5,
    ) {
        let (mut pool, mut miner) = connected(1 << 20);
        let mut sealed = Vec::new();
        pool.seal(&frames.concat(), &mut sealed).expect("whole frames");
        prop_assert_eq!(frames_of(&mut miner, &sealed, size, frames_max), Ok(frames));
        prop_assert_eq!(miner.pending_bytes(), 0);
    }

    #[test]
    fn a_changed_byte_ends_the_session_and_nothing_behind_it_is_taken(
        frames in some_frames(), size in 1_usize..5000, place in any::<prop::sample::Index>(), bit in 0_u8..8,
    ) {
        let (mut pool, mut miner) = connected(1 << 20);
        let mut sealed = Vec::new();
        pool.seal(&frames.concat(), &mut sealed).expect("whole frames");
        let place = place.index(sealed.len());
        sealed[place] ^= 1 << bit;
        let mut taken = Vec::new();
        let mut result = Ok(0);
        for piece in sealed.chunks(size) {
            result = miner.receive(&mut piece.to_vec(), 9, |frame| taken.push(frame.to_vec()));
            if result.is_err() {
                break;
            }
        }
        prop_assert_eq!(result, Err(NoiseError::Undecipherable));
        prop_assert!(taken.len() < frames.len() && taken == frames[..taken.len()]);
    }

    #[test]
    fn bytes_of_strangers_never_become_a_frame(bytes in prop::collection::vec(any::<u8>(), 22..400), size in 1_usize..50) {
        let (mut pool, _) = connected(PAYLOAD_BYTES_MAX);
        prop_assert_eq!(frames_of(&mut pool, &bytes, size, 9), Err(NoiseError::Undecipherable));
    }
}
