//! The handshakes of Stratum V2, of both generations, perhaps behind a proxy's header: whatever comes, in whatever pieces, a
//! session begins only after a whole message, and whoever has not got its keys is not heard in it.
//!
//! Input: a byte of how (bit 0 the first generation, bit 1 a peer that keeps to the rules, bit 2 a PROXY header ahead, bit 3
//! the peer's first message is changed, bit 4 its first frame is changed), one of the pieces, one of the place of the change,
//! one of its bits; then the stream, in which a good peer's first message stands in front.

use crate::bytes::{Bytes, pieces};
use snow::resolvers::DefaultResolver;
use snow::{Builder, HandshakeState, TransportState};
use std::cell::RefCell;
use warppool_components::limits::PROXY_HEADER_BYTES_MAX;
use warppool_components::units::UnixTime;
use warppool_net::transport::noise::first_generation::{
    FIRST_MESSAGE_BYTES_MAX, FirstGeneration, Reply, first_message_bytes,
};
use warppool_net::transport::noise::{ACT_1_BYTES, ACT_2_BYTES, AuthorityKey, Initiator, NoiseSession, Responder};
use warppool_net::transport::proxy;

/// A Saturday in November 2026.
const NOW: UnixTime = UnixTime::from_seconds(1_795_248_000);

/// The name of the first generation's handshake, which goes into every key.
const FIRST_GENERATION: &str = "Noise_NX_25519_ChaChaPoly_BLAKE2s";

/// Most bytes that a peer of the first generation is answered with.
const FIRST_ANSWER_BYTES_MAX: usize = 256;

/// The most that a frame of a stranger can be before it is found not to be one: its header, or the length that it claims.
const STRANGER_BYTES_MAX: usize = 65_535 + 2;

const PAYLOAD_BYTES_MAX: u32 = 16 * 1024;

const PROXY_HEADER: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 3333\r\n";

/// `SetupConnection` without a field, which the transport does not mind.
const FRAME: &[u8] = &[0, 0, 0, 3, 0, 0, 1, 2, 3];

thread_local! {
    static POOL: RefCell<(Responder, FirstGeneration)> = RefCell::new({
        let authority = AuthorityKey::from_secret_bytes(&[7; 32]).expect("a key");
        let first = FirstGeneration::new(&authority);
        (Responder::new(authority), first)
    });
}

/// The other side, if it keeps to the rules.
enum Peer {
    Present(Initiator),
    First(Box<HandshakeState>),
}

/// The same once it has its keys.
enum Session {
    Present(Box<NoiseSession>),
    First(Box<TransportState>),
}

/// Runs one input.
pub fn check(data: &[u8]) {
    let mut bytes = Bytes(data);
    let (how, piece_seed, place, bits) = (bytes.byte(), bytes.byte(), bytes.byte(), bytes.byte());
    let is_first = how & 1 != 0;
    let (mut peer, mut stream) = if how & 2 != 0 { begin(is_first) } else { (None, Vec::new()) };
    let is_changed = peer.is_some() && how & 8 != 0 && bits != 0;
    if is_changed {
        let place = usize::from(place) % stream.len();
        stream[place] ^= bits;
    }
    stream.extend_from_slice(bytes.rest());
    if how & 4 != 0 {
        stream.splice(0..0, PROXY_HEADER.iter().copied());
    }
    let Some((answer, mut session, rest)) = Door::default().hear_all(is_first, how & 4 != 0, &stream, piece_seed)
    else {
        return;
    };
    assert!(!session.has_heard(), "nobody has shown that it has the keys");
    let Some(peer) = peer.take().and_then(|peer| finish(peer, &answer, is_changed)) else {
        return stranger(is_first, &mut session, rest);
    };
    exchange(peer, &mut session, (how & 16 != 0).then_some((place, bits)));
}

/// A peer's first message.
fn begin(is_first: bool) -> (Option<Peer>, Vec<u8>) {
    if !is_first {
        let (initiator, act_1) = Initiator::new().expect("randomness");
        return (Some(Peer::Present(initiator)), act_1.to_vec());
    }
    let builder = Builder::with_resolver(FIRST_GENERATION.parse().expect("a name"), Box::new(DefaultResolver));
    let mut handshake = builder.build_initiator().expect("a peer");
    let mut message = [0; FIRST_MESSAGE_BYTES_MAX];
    let length = handshake.write_message(&[], &mut message).expect("a key");
    (Some(Peer::First(Box::new(handshake))), with_length(&message[..length]))
}

fn with_length(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_le_bytes()[..], message].concat()
}

/// The peer reads the answer. It was not meant for it when its own message was changed on the way.
fn finish(peer: Peer, answer: &[u8], is_changed: bool) -> Option<Session> {
    let session = match peer {
        Peer::Present(initiator) => {
            let authority = POOL.with_borrow(|(responder, _)| responder.authority());
            let act_2: &[u8; ACT_2_BYTES] = answer.try_into().expect("the answer's length");
            let session = initiator.finish(act_2, authority, NOW, PAYLOAD_BYTES_MAX).ok();
            session.map(|session| Session::Present(Box::new(session)))
        }
        Peer::First(mut handshake) => {
            let mut payload = [0; FIRST_ANSWER_BYTES_MAX];
            let read = handshake.read_message(&answer[2..], &mut payload).ok();
            read.map(|_| Session::First(Box::new(handshake.into_transport_mode().expect("the end of the handshake"))))
        }
    };
    assert_eq!(session.is_some(), !is_changed, "an honest peer is understood, and a changed message noticed");
    session
}

/// A frame of the peer, perhaps changed on its way.
fn exchange(peer: Session, session: &mut NoiseSession, change: Option<(u8, u8)>) {
    let mut sealed = Vec::new();
    match peer {
        Session::Present(mut peer) => peer.seal(FRAME, &mut sealed).expect("a whole frame"),
        Session::First(mut peer) => {
            let mut message = [0; 64];
            let length = peer.write_message(FRAME, &mut message).expect("a message");
            sealed = with_length(&message[..length]);
        }
    }
    // A changed length makes the reader wait.
    let change =
        change.filter(|(_, bits)| *bits != 0).map(|(place, bits)| (2 + usize::from(place) % (sealed.len() - 2), bits));
    if let Some((place, bits)) = change {
        sealed[place] ^= bits;
    }
    let mut heard = Vec::new();
    let outcome = session.receive(&mut sealed, 8, |frame| heard.push(frame.to_vec()));
    match change {
        None => {
            assert_eq!((outcome, heard), (Ok(1), vec![FRAME.to_vec()]));
            assert!(session.has_heard());
        }
        Some(_) => assert!(outcome.is_err() && heard.is_empty(), "a changed frame is taken: {heard:02x?}"),
    }
}

/// Who has no keys is not heard.
fn stranger(is_first: bool, session: &mut NoiseSession, stream: &[u8]) {
    let mut taken = 0;
    for piece in pieces(stream, 16) {
        taken += piece.len();
        let outcome = session.receive(&mut piece.to_vec(), 8, |frame| panic!("a stranger's frame: {frame:02x?}"));
        if outcome.is_err() {
            return;
        }
        assert!(is_first || taken < 22, "a header that nobody encrypted");
        assert!(session.pending_bytes() <= STRANGER_BYTES_MAX);
    }
    assert!(!session.has_heard());
}

/// The way from the first byte to the session, as the sockets go it: no more is looked at than what the next message needs.
#[derive(Default)]
struct Door {
    kept: Vec<u8>,
    used: usize,
    prologue: Option<Box<[u8]>>,
}

impl Door {
    /// The answer, the session, and what of the stream stands behind the handshake. `None` when it is refused or not over.
    fn hear_all(
        mut self,
        is_first: bool,
        mut is_behind_proxy: bool,
        stream: &[u8],
        piece_seed: u8,
    ) -> Option<(Vec<u8>, NoiseSession, &[u8])> {
        for piece in pieces(stream, piece_seed) {
            self.kept.extend_from_slice(piece);
            if is_behind_proxy {
                let seen = &self.kept[..self.kept.len().min(PROXY_HEADER_BYTES_MAX)];
                let Some(header) = proxy::parse(seen).ok()? else { continue };
                self.take(header.bytes);
                is_behind_proxy = false;
            }
            loop {
                let reply = if is_first { self.hear_first()? } else { self.hear_present() };
                match reply {
                    Progress::NeedMore => break,
                    Progress::Again => {}
                    Progress::Done(answer, session) => return Some((answer, *session, &stream[self.used..])),
                }
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.used += count;
        self.kept.drain(..count).collect()
    }

    fn hear_present(&mut self) -> Progress {
        if self.kept.len() < ACT_1_BYTES {
            return Progress::NeedMore;
        }
        let act_1: [u8; ACT_1_BYTES] = self.take(ACT_1_BYTES).try_into().expect("so many were taken");
        let (act_2, session) = POOL
            .with_borrow_mut(|(responder, _)| responder.answer(&act_1, NOW))
            .expect("all of 64 bytes are a key, whatever they are");
        Progress::Done(act_2.to_vec(), Box::new(session))
    }

    /// `None` when it is refused.
    fn hear_first(&mut self) -> Option<Progress> {
        let seen = &self.kept[..self.kept.len().min(FIRST_MESSAGE_BYTES_MAX)];
        let Some(whole) = first_message_bytes(seen).ok()? else {
            assert!(seen.len() < FIRST_MESSAGE_BYTES_MAX, "waits for more than the longest message");
            return Some(Progress::NeedMore);
        };
        let message = self.take(whole);
        let prologue = self.prologue.clone();
        let reply = POOL.with_borrow_mut(|(_, first)| first.answer(&message, prologue.as_deref(), NOW)).ok()?;
        match reply {
            Reply::Chosen { answer, prologue } => {
                assert!(self.prologue.is_none(), "a cipher is chosen once");
                assert_eq!(answer, with_length(b"CHCH"), "the only cipher that is spoken");
                self.prologue = Some(prologue);
                Some(Progress::Again)
            }
            Reply::Done { answer, session } => {
                assert!(answer.len() <= FIRST_ANSWER_BYTES_MAX);
                Some(Progress::Done(answer, session))
            }
        }
    }
}

enum Progress {
    NeedMore,
    Again,
    Done(Vec<u8>, Box<NoiseSession>),
}
