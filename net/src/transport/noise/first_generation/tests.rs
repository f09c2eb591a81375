//! The other end is the library of the pattern with its own primitives; the certificate's form is that of a published one.

use super::*;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use snow::TransportState;

/// A Saturday in November 2026.
const NOW: u64 = 1_795_248_000;

fn now() -> UnixTime {
    UnixTime::from_seconds(NOW)
}

fn decode<const N: usize>(text: &str) -> [u8; N] {
    base58::decode_check(text).expect("a checksum").try_into().expect("its length")
}

/// From the reference project's first guide to its encryption ("Test vectors").
#[test]
fn a_published_certificate_is_signed_over_what_ours_are() {
    let authority = decode::<32>("2BGDpgySfGGF5tsDdXGqwC9qyUkbyPLkgqTWB55tA3vobbsXbq");
    let static_key = decode::<32>("2gJayqSdwyRFhLvdcwvm1v4fEVfZxYBhqbnh6xpifd2vmztFvG");
    let signature =
        decode::<64>("DEvFcgFhqsYa3dZUB91NxRK3EJXwQF5wNLpt6V47zC8nVxbNiUMntHPQhgAL9aos6H8agUqkWTAcyL3dX1M51PYVnxUn1");
    let times = [&[0, 0][..], &1_661_358_236_u32.to_le_bytes(), &2_006_958_236_u32.to_le_bytes()].concat();
    let signed = certificate::signed_bytes(&times, &static_key, &authority);
    assert!(UnparsedPublicKey::new(&ED25519, authority).verify(&signed, &signature).is_ok());
}

/// A peer's handshake after an offer of these ciphers, or without one. Returns the certificate, the static key, both ends.
fn connect(pool: &mut FirstGeneration, offer: Option<&[&[u8]]>) -> (Vec<u8>, Vec<u8>, NoiseSession, TransportState) {
    let mut prologue = None;
    if let Some(names) = offer {
        let list = [&[names.len() as u8][..], &names.concat()].concat();
        let message = with_length(&[&b"STR3"[..], &list].concat());
        assert_eq!(first_message_bytes(&message), Ok(Some(message.len())));
        let Ok(Reply::Chosen { answer, prologue: committed }) = pool.answer(&message, None, now()) else {
            panic!("an offer with our cipher")
        };
        assert_eq!(answer, [&[4, 0][..], b"CHCH"].concat());
        assert_eq!(*committed, [&list[..], b"CHCH"].concat());
        prologue = Some(committed);
    }
    let builder = Builder::with_resolver(NAME.parse().expect("a name"), Box::new(DefaultResolver));
    let builder = builder.prologue(prologue.as_deref().unwrap_or_default()).expect("once");
    let mut peer = builder.build_initiator().expect("a peer");
    let mut buffer = [0; 500];
    let length = peer.write_message(&[], &mut buffer).expect("a key");
    let message = with_length(&buffer[..length]);
    let Ok(Reply::Done { answer, session }) = pool.answer(&message, prologue.as_deref(), now()) else {
        panic!("a key is answered")
    };
    let length = peer.read_message(&answer[LENGTH_BYTES..], &mut buffer).expect("our answer");
    let static_key = peer.get_remote_static().expect("a key").to_vec();
    (buffer[..length].to_vec(), static_key, *session, peer.into_transport_mode().expect("the end of the handshake"))
}

#[test]
fn a_peer_is_shown_the_same_keys_at_every_start_and_a_certificate_that_is_good() {
    let authority = AuthorityKey::from_secret_bytes(&[7; 32]).expect("a key");
    let mut pool = FirstGeneration::new(&authority);
    for offer in [None, Some([b"AESG".as_slice(), b"CHCH"].as_slice())] {
        let (certificate, static_key, ..) = connect(&mut pool, offer);
        let again = FirstGeneration::new(&authority);
        let (key, public) = (decode::<32>(&again.static_text()), decode::<32>(&again.authority_text()));
        assert_eq!(static_key, key);
        let signed = certificate::signed_bytes(&certificate[..10], &key, &public);
        assert!(UnparsedPublicKey::new(&ED25519, public).verify(&signed, &certificate[10..]).is_ok());
        let second = |at: usize| u32::from_le_bytes(certificate[at..at + 4].try_into().expect("four bytes"));
        assert_eq!((second(2), second(6)), (NOW as u32 - 3600, NOW as u32 + 7200));
    }
    let late = pool.signer.certificate(&[1; 32], UnixTime::from_seconds(NOW + 3600));
    assert_eq!(late[2..6], (NOW as u32).to_le_bytes(), "renewed after an hour");
}

#[test]
fn what_is_no_handshake_of_this_generation_is_refused() {
    let mut pool = FirstGeneration::new(&AuthorityKey::generate());
    for message in [&b"STR3\x01AESG"[..], b"STR3\x02CHCH", b"STR3", b"STR9\x01CHCH", b"", &[1; 31]] {
        let outcome = pool.answer(&with_length(message), None, now()).map(drop);
        assert_eq!(outcome, Err(NoiseError::NotFirstGeneration), "{message:?}");
    }
    let twice = pool.answer(&with_length(b"STR3\x01CHCH"), Some(b"\x01CHCHCHCH"), now()).map(drop);
    assert_eq!(twice, Err(NoiseError::NotFirstGeneration));
    assert_eq!(first_message_bytes(b"{\"id\":1"), Err(NoiseError::NotFirstGeneration));
    assert_eq!(first_message_bytes(&[32]), Ok(None));
    assert_eq!(first_message_bytes(&[32, 0, 1]), Ok(None));
}

#[test]
fn frames_pass_both_ways_however_they_are_cut_and_a_changed_byte_ends_it() {
    let frame = |message_type: u8, payload: &[u8]| {
        let payload_bytes = payload.len() as u32;
        let header =
            crate::wire::v2::FrameHeader { extension: 0, is_channel_message: true, message_type, payload_bytes };
        [&header.encode(), payload].concat()
    };
    let frames = [frame(1, &[5; 100]), frame(2, &[]), frame(3, &[6; 16_000])];
    for size in [1, 2, 7, 300, 40_000] {
        let mut pool = FirstGeneration::new(&AuthorityKey::generate());
        let (_, _, mut session, mut peer) = connect(&mut pool, None);
        let mut buffer = vec![0; 70_000];
        let mut stream = Vec::new();
        for frame in &frames {
            let length = peer.write_message(frame, &mut buffer).expect("a message");
            stream.extend(with_length(&buffer[..length]));
        }
        let mut taken = Vec::new();
        for piece in stream.chunks(size) {
            session.receive(&mut piece.to_vec(), 1, |frame| taken.push(frame.to_vec())).expect("sound");
            while session.has_more() {
                session.resume(1, |frame| taken.push(frame.to_vec())).expect("sound");
            }
        }
        assert_eq!((taken.as_slice(), session.pending_bytes()), (&frames[..], 0), "pieces of {size}");
        let mut sealed = Vec::new();
        session.seal(&frames.concat(), &mut sealed).expect("whole frames");
        for frame in &frames {
            let whole = LENGTH_BYTES + usize::from(u16::from_le_bytes([sealed[0], sealed[1]]));
            let message: Vec<u8> = sealed.drain(..whole).collect();
            let length = peer.read_message(&message[LENGTH_BYTES..], &mut buffer).expect("ours");
            assert_eq!(buffer[..length], frame[..]);
        }
        let length = peer.write_message(&frames[0], &mut buffer).expect("a message");
        buffer[length / 2] ^= 1;
        let outcome = session.receive(&mut with_length(&buffer[..length]), 9, |_| panic!("it was changed"));
        assert_eq!(outcome, Err(NoiseError::Undecipherable));
    }
}

#[test]
fn frames_before_a_broken_message_are_taken_however_few_at_a_time() {
    let keys = [[1; 32], [2; 32]];
    let mut peer = LengthsSession::new(&keys[0], &keys[1], 100);
    let mut pool = LengthsSession::new(&keys[1], &keys[0], 100);
    let frames: Vec<Vec<u8>> = (0..3).map(|number| vec![0, 0, number, 1, 0, 0, 9]).collect();
    let mut stream = Vec::new();
    peer.seal(&frames.concat(), &mut stream).expect("whole frames");
    *stream.last_mut().expect("three messages") ^= 1;
    let mut taken = Vec::new();
    let mut outcome = pool.receive(&stream, 1, |frame| taken.push(frame.to_vec()));
    while outcome.is_ok() {
        assert!(pool.has_more(), "what was changed is noticed");
        outcome = pool.resume(1, |frame| taken.push(frame.to_vec()));
    }
    assert_eq!((taken.as_slice(), outcome), (&frames[..2], Err(NoiseError::Undecipherable)));
}
