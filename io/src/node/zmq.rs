//! A node's ZMQ notifications: the fastest word of a new tip, and never the only one.
//!
//! PUB and SUB lose messages silently, so a notification only ever makes the watcher look earlier; the poll finds
//! what was lost. The third frame counts the messages of a topic: a gap makes the watcher ask at once. Liveness of
//! the connection itself is watched by heartbeats and the socket's own monitor.

use super::merkle::double_sha256;
use std::time::Duration;
use warppool_components::limits::ZMQ_MESSAGE_BYTES_MAX;
use warppool_components::units::Hash256;

/// How long the thread sleeps at most before it looks whether it is to end.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Heartbeats: a dead peer is known after the interval and the timeout.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(20);

/// Where the monitor of the one socket in a context speaks.
const MONITOR_ADDRESS: &str = "inproc://monitor";

/// What was heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notification {
    /// A block became the tip.
    Block(Hash256),
    /// At least one message was lost: look.
    Gap,
    /// The publisher is there.
    Connected,
    /// The publisher is gone.
    Disconnected,
}

/// A subscription to one node.
pub(super) struct Subscription {
    socket: ::zmq::Socket,
    monitor: ::zmq::Socket,
    last_hashblock: Option<u32>,
    last_rawblock: Option<u32>,
    // Last, so that it outlives the sockets.
    _context: ::zmq::Context,
}

impl Subscription {
    /// Subscribes to `hashblock` and `rawblock` where there is an address. Connecting happens in the background,
    /// again and again; an error is an address that is none.
    pub(super) fn connect(hashblock: Option<&str>, rawblock: Option<&str>) -> Result<Self, ::zmq::Error> {
        let context = ::zmq::Context::new();
        let socket = context.socket(::zmq::SUB)?;
        configure(&socket)?;
        socket.monitor(MONITOR_ADDRESS, i32::from(::zmq::SocketEvent::ALL.to_raw()))?;
        let monitor = context.socket(::zmq::PAIR)?;
        monitor.set_linger(0)?;
        monitor.connect(MONITOR_ADDRESS)?;
        for (topic, address) in [("hashblock", hashblock), ("rawblock", rawblock)] {
            if let Some(address) = address {
                socket.set_subscribe(topic.as_bytes())?;
                if topic == "hashblock" || hashblock != Some(address) {
                    socket.connect(address)?;
                }
            }
        }
        Ok(Self { socket, monitor, last_hashblock: None, last_rawblock: None, _context: context })
    }

    /// Hands everything heard to `heard` until `goes_on` says no, which is asked a few times a second.
    pub(super) fn run(mut self, goes_on: impl Fn() -> bool, heard: impl Fn(Notification)) {
        while goes_on() {
            let mut items = [self.socket.as_poll_item(::zmq::POLLIN), self.monitor.as_poll_item(::zmq::POLLIN)];
            if let Err(error) = ::zmq::poll(&mut items, POLL_INTERVAL.as_millis() as i64)
                && error != ::zmq::Error::EINTR
            {
                tracing::warn!(%error, "ZMQ notifications end; tips are found by polling");
                return heard(Notification::Disconnected);
            }
            while let Ok(frames) = self.monitor.recv_multipart(::zmq::DONTWAIT) {
                connection_change(&frames).into_iter().for_each(&heard);
            }
            while let Ok(frames) = self.socket.recv_multipart(::zmq::DONTWAIT) {
                self.read(&frames).into_iter().flatten().for_each(&heard);
            }
        }
    }

    /// What a message says: possibly a gap, and the block.
    fn read(&mut self, frames: &[Vec<u8>]) -> [Option<Notification>; 2] {
        let [topic, body, sequence] = frames else { return [None; 2] };
        let (last, block) = match topic.as_slice() {
            b"hashblock" => (&mut self.last_hashblock, hash_of_display(body)),
            b"rawblock" => (&mut self.last_rawblock, body.get(..80).map(double_sha256)),
            _ => return [None; 2],
        };
        let sequence = <[u8; 4]>::try_from(sequence.as_slice()).ok().map(u32::from_le_bytes);
        let expected = last.map(|last| last.wrapping_add(1));
        // A node that restarts counts from 0 again: nothing of that count was lost.
        let gap = expected.is_some() && sequence != expected && sequence != Some(0);
        *last = sequence;
        [gap.then_some(Notification::Gap), block.map(Notification::Block)]
    }
}

fn configure(socket: &::zmq::Socket) -> Result<(), ::zmq::Error> {
    socket.set_linger(0)?;
    socket.set_ipv6(true)?;
    socket.set_maxmsgsize(ZMQ_MESSAGE_BYTES_MAX)?;
    socket.set_tcp_keepalive(1)?;
    socket.set_tcp_keepalive_idle(30)?;
    socket.set_tcp_keepalive_intvl(10)?;
    socket.set_heartbeat_ivl(HEARTBEAT_INTERVAL.as_millis() as i32)?;
    socket.set_heartbeat_timeout(HEARTBEAT_TIMEOUT.as_millis() as i32)?;
    socket.set_reconnect_ivl(100)?;
    socket.set_reconnect_ivl_max(5000)
}

/// Bitcoin Core publishes hashes in display order.
fn hash_of_display(body: &[u8]) -> Option<Hash256> {
    body.try_into().ok().map(Hash256::from_display)
}

fn connection_change(frames: &[Vec<u8>]) -> Option<Notification> {
    let event = frames.first()?.get(..2)?;
    let event = u16::from_ne_bytes([event[0], event[1]]);
    if event == ::zmq::SocketEvent::HANDSHAKE_SUCCEEDED.to_raw() {
        Some(Notification::Connected)
    } else if event == ::zmq::SocketEvent::DISCONNECTED.to_raw() {
        Some(Notification::Disconnected)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription() -> Subscription {
        Subscription::connect(Some("tcp://127.0.0.1:1"), None).expect("a valid address")
    }

    fn message(topic: &str, body: &[u8], sequence: u32) -> Vec<Vec<u8>> {
        vec![topic.as_bytes().to_vec(), body.to_vec(), sequence.to_le_bytes().to_vec()]
    }

    #[test]
    fn hashes_come_in_display_order_and_gaps_are_noticed() {
        let mut subscription = subscription();
        let mut display = [0u8; 32];
        display[31] = 1;
        let block = Some(Notification::Block(Hash256::from_display(display)));
        assert_eq!(subscription.read(&message("hashblock", &display, 7)), [None, block]);
        assert_eq!(subscription.read(&message("hashblock", &display, 8)), [None, block]);
        assert_eq!(subscription.read(&message("hashblock", &display, 10)), [Some(Notification::Gap), block]);
        assert_eq!(subscription.read(&message("hashblock", &display, 0)), [None, block], "the node restarted");
    }

    #[test]
    fn a_raw_block_is_known_by_its_header() {
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin);
        let body = bitcoin::consensus::serialize(&genesis);
        let hash = Hash256::parse_display("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
        let block = Some(Notification::Block(hash.expect("a hash")));
        assert_eq!(subscription().read(&message("rawblock", &body, 1)), [None, block]);
    }

    #[test]
    fn what_is_not_understood_is_ignored() {
        let mut subscription = subscription();
        for frames in [vec![], message("hashtx", &[0; 32], 1), message("hashblock", &[0; 31], 1)] {
            assert_eq!(subscription.read(&frames), [None, None]);
        }
        assert!(Subscription::connect(Some("nonsense"), None).is_err());
    }
}
