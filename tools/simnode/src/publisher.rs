//! The ZMQ side: `hashblock` and `rawblock`, each on a PUB socket of its own, with Core's three frames: topic, body,
//! sequence number (u32, little-endian).

use crate::limits::ZMQ_HIGH_WATER_MARK;
use crate::sync::lock;
use bitcoin::Block;
use bitcoin::consensus::encode::serialize;
use std::sync::Mutex;

/// Both topics.
pub(crate) struct Publisher {
    pub(crate) hashblock_address: String,
    pub(crate) rawblock_address: String,
    topics: Mutex<[Topic; 2]>,
}

struct Topic {
    name: &'static str,
    socket: zmq::Socket,
    sequence: u32,
}

impl Publisher {
    /// Binds both sockets to ports of the system's choice on 127.0.0.1.
    pub(crate) fn bind() -> Result<Self, zmq::Error> {
        let context = zmq::Context::new();
        let (hashblock, hashblock_address) = Topic::bind(&context, "hashblock")?;
        let (rawblock, rawblock_address) = Topic::bind(&context, "rawblock")?;
        Ok(Self { hashblock_address, rawblock_address, topics: Mutex::new([hashblock, rawblock]) })
    }

    /// Tells subscribers of a new tip; when `silent`, only counts it.
    pub(crate) fn publish(&self, block: &Block, silent: bool) {
        let mut hash = bitcoin::hashes::Hash::to_byte_array(block.block_hash());
        // Core publishes hashes in display order.
        hash.reverse();
        let raw = serialize(block);
        let mut topics = lock(&self.topics);
        for (topic, body) in topics.iter_mut().zip([&hash[..], &raw[..]]) {
            topic.send(body, silent);
        }
    }
}

impl Topic {
    fn bind(context: &zmq::Context, name: &'static str) -> Result<(Self, String), zmq::Error> {
        let socket = context.socket(zmq::PUB)?;
        socket.set_linger(0)?;
        socket.set_sndhwm(ZMQ_HIGH_WATER_MARK)?;
        socket.bind("tcp://127.0.0.1:*")?;
        let address = socket.get_last_endpoint()?.map_err(|_| zmq::Error::EINVAL)?;
        Ok((Self { name, socket, sequence: 0 }, address))
    }

    fn send(&mut self, body: &[u8], silent: bool) {
        if !silent {
            let sequence = self.sequence.to_le_bytes();
            // A PUB socket drops what it cannot deliver; there is nobody to tell.
            let _ = self.socket.send_multipart([self.name.as_bytes(), body, &sequence], zmq::DONTWAIT);
        }
        self.sequence = self.sequence.wrapping_add(1);
    }
}
