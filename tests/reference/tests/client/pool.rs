//! A pool that keeps the rules and credits every share, of the reference project's parts.

use crate::says;
use binary_sv2::from_bytes;
use bitcoin::Target;
use bitcoin::secp256k1::{Keypair, Secp256k1};
use codec_sv2::{Decrypted, Handshake, NoiseDecoder, NoiseEncoder};
use common_messages_sv2::MESSAGE_TYPE_SETUP_CONNECTION;
use framing_sv2::framing::SerializedFrame;
use mining_sv2::{
    MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL, MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL,
    MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED, MESSAGE_TYPE_SUBMIT_SHARES_STANDARD, OpenExtendedMiningChannel,
    OpenStandardMiningChannel, SubmitSharesExtended, SubmitSharesStandard,
};
use noise_sv2::{ELLSWIFT_ENCODING_SIZE, Responder};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const CERTIFICATE_VALIDITY: Duration = Duration::from_secs(3600);

/// Bytes of the extranonce in all.
const EXTRANONCE_BYTES: usize = 12;

/// In the clear.
#[derive(Default)]
pub(crate) struct HonestPool {
    channels: u32,
    jobs: u32,
}

impl HonestPool {
    /// All that a frame is answered with.
    pub(crate) fn answer(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut frame = SerializedFrame::from_bytes(frame.to_vec()).expect("one frame");
        match frame.header().msg_type() {
            MESSAGE_TYPE_SETUP_CONNECTION => says::setup_success(0),
            MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL => {
                let asked: OpenStandardMiningChannel = from_bytes(frame.payload()).expect("readable");
                let channel = self.next_channel();
                let prefix = [vec![0; EXTRANONCE_BYTES - 1], vec![channel as u8]].concat();
                let opened = says::standard_opened(asked.request_id, channel, &prefix, Target::MAX_ATTAINABLE_REGTEST);
                let job = self.next_job();
                [opened, says::job(channel, job, None), says::tip(channel, job)].concat()
            }
            MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL => {
                let asked: OpenExtendedMiningChannel = from_bytes(frame.payload()).expect("readable");
                let channel = self.next_channel();
                let own = usize::from(asked.min_extranonce_size);
                let prefix = vec![channel as u8; EXTRANONCE_BYTES - own];
                let size = asked.min_extranonce_size;
                let target = Target::MAX_ATTAINABLE_REGTEST;
                let opened = says::extended_opened(asked.request_id, channel, &prefix, size, target);
                let job = self.next_job();
                let coinbase = says::coinbase(job, EXTRANONCE_BYTES);
                let job_frame = says::extended_job_of((channel, job), None, coinbase);
                [opened, job_frame, says::tip(channel, job)].concat()
            }
            MESSAGE_TYPE_SUBMIT_SHARES_STANDARD => {
                let share: SubmitSharesStandard = from_bytes(frame.payload()).expect("readable");
                says::credited(share.channel_id, share.sequence_number, 1, 0)
            }
            MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED => {
                let share: SubmitSharesExtended = from_bytes(frame.payload()).expect("readable");
                says::credited(share.channel_id, share.sequence_number, 1, 0)
            }
            other => panic!("type {other} is nothing that the judge sends here"),
        }
    }

    fn next_channel(&mut self) -> u32 {
        self.channels += 1;
        self.channels
    }

    fn next_job(&mut self) -> u32 {
        self.jobs += 1;
        self.jobs
    }
}

/// Behind the reference project's handshake, on a port of its own; gives its authority key too.
pub(crate) fn listen() -> (SocketAddr, [u8; 32]) {
    let secret = [3; 32];
    let pair = Keypair::from_seckey_slice(&Secp256k1::new(), &secret).expect("a key");
    let authority = pair.x_only_public_key().0.serialize();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream, authority, secret));
        }
    });
    (address, authority)
}

/// Serves one miner until it hangs up.
fn serve(mut stream: TcpStream, authority: [u8; 32], secret: [u8; 32]) {
    let responder = Responder::from_authority_kp(&authority, &secret, CERTIFICATE_VALIDITY).expect("a responder");
    let mut first = [0; ELLSWIFT_ENCODING_SIZE];
    stream.read_exact(&mut first).expect("act 1");
    let (second, transport) = Handshake::responder(responder).step_1(first).expect("act 1 is right");
    stream.write_all(second.payload()).expect("act 2");
    let (mut encryption, mut decryption) = transport.split();
    let (mut encoder, mut decoder) = (NoiseEncoder::new(), NoiseDecoder::new());
    let mut pool = HonestPool::default();
    while stream.read_exact(decoder.writable()).is_ok() {
        match decoder.next_transport_frame(decryption).expect("authentic") {
            Decrypted::Incomplete(_, state) => decryption = state,
            Decrypted::Frame(frame, state) => {
                decryption = state;
                let answer = pool.answer(frame.as_bytes());
                for frame in warppool_reference::message::split(&answer) {
                    let frame = SerializedFrame::from_bytes(frame.to_vec()).expect("one frame");
                    let sealed = encoder.encode_transport(frame, &mut encryption).expect("sealed");
                    stream.write_all(&sealed).expect("sent");
                }
            }
        }
    }
}
