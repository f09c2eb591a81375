//! Frames over TCP and Noise, by the reference project's handshake and codec.

use codec_sv2::{Decrypted, Handshake, NoiseDecoder, NoiseEncoder, TransportDecryptState, TransportEncryptState};
use framing_sv2::framing::SerializedFrame;
use noise_sv2::{INITIATOR_EXPECTED_HANDSHAKE_MESSAGE_SIZE, Initiator};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a pool may take for anything.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The two bytes before the key in an authority key's text: its version, little endian.
const KEY_VERSION: [u8; 2] = [1, 0];

/// A connection after its handshake.
pub struct Secured {
    stream: TcpStream,
    encoder: NoiseEncoder,
    decoder: NoiseDecoder,
    encryption: TransportEncryptState,
    /// Taken for good by the first bytes that do not authenticate.
    decryption: Option<TransportDecryptState>,
}

/// The authority key of `stratum2+tcp://host:port/KEY`.
///
/// # Panics
/// When the text is not one.
pub fn authority_key(text: &str) -> [u8; 32] {
    let bytes = bitcoin::base58::decode_check(text).unwrap_or_else(|error| panic!("{text} is no key: {error}"));
    let key = bytes.strip_prefix(&KEY_VERSION).unwrap_or_else(|| panic!("{text} begins with another version"));
    key.try_into().unwrap_or_else(|_| panic!("{text} has {} bytes of key", key.len()))
}

impl Secured {
    /// Connects and does the handshake; the pool's certificate must be signed by `authority`.
    ///
    /// # Errors
    /// What the handshake failed at, in the reference crates' words.
    ///
    /// # Panics
    /// When nothing listens there.
    pub fn connect(pool: SocketAddr, authority: [u8; 32]) -> Result<Self, String> {
        let stream = TcpStream::connect(pool).unwrap_or_else(|error| panic!("nothing listens at {pool}: {error}"));
        Self::over(stream, authority)
    }

    /// The same over a stream.
    ///
    /// # Errors
    /// What the handshake failed at.
    pub fn over(mut stream: TcpStream, authority: [u8; 32]) -> Result<Self, String> {
        stream.set_read_timeout(Some(DEADLINE)).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let initiator = Initiator::from_raw_k(authority).map_err(|error| format!("{error:?}"))?;
        let (first, waiting) = Handshake::initiator(initiator).step_0().map_err(|error| format!("{error:?}"))?;
        stream.write_all(first.payload()).map_err(|error| format!("act 1: {error}"))?;
        let mut second = [0; INITIATOR_EXPECTED_HANDSHAKE_MESSAGE_SIZE];
        stream.read_exact(&mut second).map_err(|error| format!("act 2: {error}"))?;
        let (encryption, decryption) = waiting.step_2(second).map_err(|error| format!("{error:?}"))?.split();
        Ok(Self {
            stream,
            encoder: NoiseEncoder::new(),
            decoder: NoiseDecoder::new(),
            encryption,
            decryption: Some(decryption),
        })
    }

    /// Sends one frame. A pool that has hung up is noticed by reading.
    ///
    /// # Panics
    /// When `frame` is not one.
    pub fn send(&mut self, frame: &[u8]) {
        let sealed = self.seal(frame);
        let _ = self.stream.write_all(&sealed);
    }

    /// One frame as it would leave. Frames must leave in the order in which they were sealed.
    ///
    /// # Panics
    /// When `frame` is not one.
    pub fn seal(&mut self, frame: &[u8]) -> Vec<u8> {
        let frame = SerializedFrame::from_bytes(frame.to_vec()).expect("exactly one frame");
        let sealed = self.encoder.encode_transport(frame, &mut self.encryption).expect("a frame that can be sealed");
        sealed.to_vec()
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next frame; `None` once the pool has hung up.
    ///
    /// # Panics
    /// When nothing comes in time, or what comes does not authenticate.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let mut state = self.decryption.take()?;
        loop {
            match self.stream.read_exact(self.decoder.writable()) {
                Ok(()) => {}
                Err(error) if is_end(error.kind()) => return None,
                Err(error) => panic!("nothing from the pool: {error}"),
            }
            match self.decoder.next_transport_frame(state) {
                Ok(Decrypted::Frame(frame, next)) => {
                    self.decryption = Some(next);
                    return Some(frame.as_bytes().to_vec());
                }
                Ok(Decrypted::Incomplete(_, next)) => state = next,
                Err(error) => panic!("what the pool sent cannot be opened: {error:?}"),
            }
        }
    }

    /// Ends the connection.
    pub fn hang_up(&self) {
        // The pool may have been faster.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn is_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
