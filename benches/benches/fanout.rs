//! A new tip to every connection: the pool's tick and its way of writing beside bare writes of the same bytes to as many
//! sockets of the same kind, all on loopback. What miners read in between is not measured.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use warppool_benches::scene::{Scene, hello};
use warppool_benches::table;
use warppool_benches::turns::{Way, in_turns};
use warppool_components::connection::ConnectionKey;
use warppool_components::inbox::{Inbox, SharedBytes};
use warppool_components::outbox::{Body, Outbox};
use warppool_net::sockets::{ListenOptions, Sockets};

/// Connections, of each kind. A connection takes two descriptors here, and a process has mostly 20,000 at the most.
const CONNECTIONS: [usize; 2] = [1000, 4900];

/// Connections opened before the listener looks at them.
const OPENED_AT_ONCE: usize = 200;

/// A line of a connection's own in front of the shared body.
const HEADER: &[u8] = b"{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[1024]}\n";

/// Nothing more is on its way after so long.
const QUIET: Duration = Duration::from_millis(50);

fn main() {
    for connections in CONNECTIONS {
        let pool = RefCell::new(Pool::with_miners(connections));
        let notify = pool.borrow_mut().notify();
        let bare = RefCell::new(Bare::with_peers(connections));
        table::heading(
            &format!("A new tip to {connections} connections"),
            &format!(
                "A notify of {} bytes, 12 branches; on one core, to the moment that the kernel has the last one.",
                notify.len()
            ),
        );
        let both: Vec<u8> = [HEADER, &notify].concat();
        let costs = in_turns(
            Duration::from_secs(6),
            vec![
                Way::timed("plain: a bare write to each", connections, || bare.borrow_mut().write_each(&[&notify])),
                Way::timed("our send alone", connections, || pool.borrow_mut().send_again(&notify, false)),
                Way::timed("our tick and send: template to the last socket", connections, || {
                    pool.borrow_mut().new_tip()
                }),
                Way::timed("plain, a line of its own before it, one write", connections, || {
                    bare.borrow_mut().write_each(&[&both])
                }),
                Way::timed("plain, a line of its own before it, two writes", connections, || {
                    bare.borrow_mut().write_each(&[HEADER, &notify])
                }),
                Way::timed("our send, a line of its own before it", connections, || {
                    pool.borrow_mut().send_again(&notify, true)
                }),
            ],
        );
        table::ratios("connection", &costs);
    }
}

/// The miners' ends.
struct Miners(Vec<TcpStream>);

impl Miners {
    fn open(&mut self, address: SocketAddr) -> &mut TcpStream {
        let stream = TcpStream::connect(address).expect("a listener on loopback");
        self.0.push(stream);
        self.0.last_mut().expect("pushed just now")
    }

    /// Reads until so many bytes have come.
    fn read(&mut self, mut bytes: usize) {
        while bytes > 0 {
            bytes -= self.read_what_is_there();
        }
    }

    fn read_what_is_there(&mut self) -> usize {
        let mut buffer = [0; 1 << 16];
        let read = |stream: &mut TcpStream| match stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("a connection is gone: {error}"),
        };
        self.0.iter_mut().map(read).sum()
    }
}

/// The engine on its sockets, without the rest of the runtime.
struct Pool {
    scene: Scene,
    sockets: Sockets,
    keys: Vec<ConnectionKey>,
    miners: Miners,
}

impl Pool {
    fn with_miners(count: usize) -> Self {
        let addresses = vec!["127.0.0.1:0".into()];
        let options = ListenOptions { addresses, connections_max: count, backlog: 4096, ..ListenOptions::default() };
        let sockets = Sockets::bind(&options).expect("a port on loopback");
        let mut pool = Self { scene: Scene::empty(), sockets, keys: Vec::new(), miners: Miners(Vec::new()) };
        let mut tip = pool.scene.new_tip();
        pool.scene.tick(&mut tip);
        let address = pool.sockets.local_addresses()[0];
        for slot in 0..count {
            let greeting = hello(slot as u32);
            pool.miners.open(address).write_all(greeting.as_bytes()).expect("room for two lines");
            if slot % OPENED_AT_ONCE == 0 {
                pool.turn(Duration::ZERO);
            }
        }
        while pool.turn(QUIET) || pool.sockets.connections() < count {}
        pool.miners.0.iter().for_each(|stream| stream.set_nonblocking(true).expect("a socket"));
        while pool.miners.read_what_is_there() > 0 {}
        pool
    }

    /// One turn of the loop; whether anything happened.
    fn turn(&mut self, wait: Duration) -> bool {
        let mut inbox = Inbox::default();
        self.sockets.receive(Some(wait), &mut inbox).expect("an event queue");
        let happened = !inbox.is_empty();
        self.keys.extend(inbox.opened.iter().map(|opened| opened.connection));
        self.scene.tick(&mut inbox);
        self.sockets.send(&self.scene.outbox);
        happened
    }

    /// The text that a new tip brings.
    fn notify(&mut self) -> SharedBytes {
        let mut inbox = self.scene.new_tip();
        self.scene.tick(&mut inbox);
        let report = self.sockets.send(&self.scene.outbox);
        self.miners.read(report.bytes);
        let notify = self.scene.outbox.writes.iter().find_map(|write| match &write.body {
            Body::Shared(bytes) => Some(Arc::clone(bytes)),
            Body::Own(_) => None,
        });
        notify.expect("a job's text is shared")
    }

    fn new_tip(&mut self) -> Duration {
        let mut inbox = self.scene.new_tip();
        let (mut connections, mut bytes) = (0, 0);
        let start = Instant::now();
        // A tick may leave some for the next, so that submits are judged in between; here there are none.
        while connections < self.miners.0.len() {
            self.scene.tick(&mut inbox);
            let report = self.sockets.send(&self.scene.outbox);
            assert!(report.connections > 0, "everybody gets the job");
            connections += report.connections;
            bytes += report.bytes;
        }
        let duration = start.elapsed();
        self.miners.read(bytes);
        duration
    }

    fn send_again(&mut self, notify: &SharedBytes, with_header: bool) -> Duration {
        let mut outbox = Outbox::default();
        for connection in &self.keys {
            let connection = *connection;
            if with_header {
                let start = outbox.bytes.len() as u32;
                outbox.bytes.extend_from_slice(HEADER);
                let body = Body::Own(start..outbox.bytes.len() as u32);
                outbox.writes.push(warppool_components::outbox::Write { connection, body });
            }
            let body = Body::Shared(Arc::clone(notify));
            outbox.writes.push(warppool_components::outbox::Write { connection, body });
        }
        let start = Instant::now();
        let report = self.sockets.send(&outbox);
        let duration = start.elapsed();
        assert_eq!((report.connections, report.calls), (self.miners.0.len(), self.miners.0.len()), "one call each");
        self.miners.read(report.bytes);
        duration
    }
}

/// Sockets as the pool's are, and nothing else.
struct Bare {
    peers: Vec<TcpStream>,
    miners: Miners,
}

impl Bare {
    fn with_peers(count: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("it is bound");
        let mut bare = Self { peers: Vec::new(), miners: Miners(Vec::new()) };
        for _ in 0..count {
            bare.miners.open(address).set_nonblocking(true).expect("a socket");
            let (peer, _) = listener.accept().expect("a connection waits");
            peer.set_nodelay(true).and_then(|()| peer.set_nonblocking(true)).expect("a socket");
            bare.peers.push(peer);
        }
        bare
    }

    fn write_each(&mut self, parts: &[&[u8]]) -> Duration {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let start = Instant::now();
        for peer in &mut self.peers {
            for part in parts {
                assert_eq!(peer.write(part).expect("room for a notify"), part.len());
            }
        }
        let duration = start.elapsed();
        self.miners.read(bytes * self.peers.len());
        duration
    }
}
