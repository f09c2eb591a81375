//! Stratum V2 connections in the clear: the miner is the reference project's, which panics when the pool breaks a rule.

use super::{Conn, Pool};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use warppool_components::connection::Protocol;
use warppool_reference::client::any_target;
use warppool_reference::message::split;
use warppool_reference::{Channel, Client, Share, Verdict};

/// Hashes a second that channels are opened with.
const HASH_RATE: f32 = 1.0;

/// Bytes of extranonce that extended channels ask for, as a Bitaxe does.
const MIN_EXTRANONCE: u16 = 2;

/// How long credit may be gathered before it is told.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

impl Pool {
    // What arrives for the next tick.

    /// A V2 connection of the reference project's miner is accepted, its handshake done.
    pub fn push_open_judged(&mut self) -> Conn {
        let conn = self.push_open_speaking(Protocol::StratumV2, IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.ends[conn.0].client = Some(Box::default());
        conn
    }

    /// Frames arrive.
    pub fn push_frames(&mut self, conn: Conn, bytes: &[u8]) {
        let key = self.ends[conn.0].key;
        split(bytes).into_iter().for_each(|frame| self.inbox.push_line(key, frame));
    }

    // Each of these is one tick.

    /// Opens a V2 connection and sets it up with these flags.
    pub fn connect_judged(&mut self, flags: u32) -> Conn {
        let conn = self.push_open_judged();
        let setup = self.client_mut(conn).setup(flags);
        self.send_frames(conn, &setup);
        assert_eq!(self.client(conn).is_set_up(), Ok(true), "the pool answers SetupConnection");
        conn
    }

    /// Sends frames in one segment.
    pub fn send_frames(&mut self, conn: Conn, bytes: &[u8]) {
        self.push_frames(conn, bytes);
        self.tick();
    }

    /// Opens a standard channel; gives its number.
    ///
    /// # Errors
    /// The code of its refusal.
    pub fn open_standard(&mut self, conn: Conn, identity: &str) -> Result<u32, String> {
        let (request, frame) = self.client_mut(conn).open_standard(identity, HASH_RATE, any_target());
        self.open_channel(conn, request, &frame)
    }

    /// Opens an extended channel; gives its number.
    ///
    /// # Errors
    /// The code of its refusal.
    pub fn open_extended(&mut self, conn: Conn, identity: &str) -> Result<u32, String> {
        let (request, frame) = self.client_mut(conn).open_extended(identity, HASH_RATE, any_target(), MIN_EXTRANONCE);
        self.open_channel(conn, request, &frame)
    }

    /// Sends a request to open a channel; its answer must be the first frame that comes.
    ///
    /// # Errors
    /// The code of its refusal.
    pub fn open_channel(&mut self, conn: Conn, request: u32, frame: &[u8]) -> Result<u32, String> {
        self.client_mut(conn).heard.clear();
        self.send_frames(conn, frame);
        let client = self.client(conn);
        let first = client.heard.front().map_or("nothing", |message| message.name());
        assert!(first.starts_with("Open"), "{first} instead of the answer to Open");
        client.opened(request).expect("an answer")
    }

    // What came of it.

    /// What the miner at the other end of a V2 connection knows.
    ///
    /// # Panics
    /// When the connection is not one of Stratum V2.
    pub fn client(&self, conn: Conn) -> &Client {
        self.ends[conn.0].client.as_deref().expect("a V2 connection")
    }

    /// The same, to let it say something.
    ///
    /// # Panics
    /// When the connection is not one of Stratum V2.
    pub fn client_mut(&mut self, conn: Conn) -> &mut Client {
        self.ends[conn.0].client.as_deref_mut().expect("a V2 connection")
    }

    /// A channel of a V2 connection.
    pub fn channel(&self, conn: Conn, id: u32) -> &Channel {
        self.client(conn).channel(id)
    }

    /// Submits a share and waits for its verdict, at most as long as credit may be gathered.
    ///
    /// # Errors
    /// The code that it is refused with.
    pub fn submit_v2(&mut self, conn: Conn, share: &Share) -> Verdict {
        let (sequence, frame) = self.client_mut(conn).submit(share);
        self.send_frames(conn, &frame);
        if self.client(conn).verdict(share.channel, sequence).is_none() {
            self.advance(ANSWER_WITHIN);
        }
        self.client(conn).verdict(share.channel, sequence).unwrap_or_else(|| panic!("no answer to {share:?}"))
    }
}
