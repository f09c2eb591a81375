//! Bodies on their way out.

use crate::harness::{Server, read_exactly, read_to_end, write_all};
use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use warppool_components::connection::{CloseReason, ConnectionKey};
use warppool_components::inbox::SharedBytes;
use warppool_components::limits::{
    LINES_PER_CONNECTION_PER_TICK_MAX, SEND_BUFFER_BYTES_MAX, SEND_BUFFER_BYTES_UNTIL_UNHEARD,
};

/// Text in which every place is different from its neighbours.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..).flat_map(|number: u32| format!("{number};").into_bytes()).take(bytes).collect()
}

#[test]
fn replies_of_a_tick_leave_in_one_call_and_in_order() {
    let mut server = Server::start();
    let (first, first_key) = server.connect_known();
    let (second, second_key) = server.connect_known();
    let notify: SharedBytes = b"notify\n".as_slice().into();
    for number in 0..8 {
        server.write(first_key, format!("{number}\n").as_bytes());
        server.write(second_key, format!("second {number}\n").as_bytes());
    }
    server.write_shared(first_key, &notify);
    server.write(first_key, b"end\n");
    let report = server.send();
    assert_eq!((report.connections, report.calls), (2, 2));
    assert_eq!(read_exactly(&first, 27), b"0\n1\n2\n3\n4\n5\n6\n7\nnotify\nend\n");
    assert_eq!(read_exactly(&second, 72).len(), 72);
    assert_eq!(report.bytes, 27 + 72);
}

#[test]
fn replies_that_lie_side_by_side_are_one_body() {
    let mut server = Server::start();
    let (stream, key) = server.connect_known();
    for _ in 0..256 {
        server.write(key, b"reply\n");
    }
    let report = server.send();
    assert_eq!((report.calls, report.bytes), (1, 256 * 6));
    assert_eq!(read_exactly(&stream, report.bytes), b"reply\n".repeat(256));
}

#[test]
fn more_bodies_than_fit_into_one_call_arrive_in_order() {
    let mut server = Server::start();
    let (stream, key) = server.connect_known();
    let mut expected = Vec::new();
    for number in 0..200 {
        let text = format!("{number} own\n");
        server.write(key, text.as_bytes());
        let shared: SharedBytes = format!("{number} shared\n").into_bytes().into();
        server.write_shared(key, &shared);
        expected.extend_from_slice(text.as_bytes());
        expected.extend_from_slice(&shared);
    }
    assert_eq!(server.send().bytes, expected.len());
    assert_eq!(read_exactly(&stream, expected.len()), expected);
}

/// Fills the kernel's buffers of a connection that does not read until something is queued. Returns what was
/// sent.
fn clog(server: &mut Server, key: ConnectionKey) -> Vec<u8> {
    let mut sent = Vec::new();
    let body: SharedBytes = pattern(60_000).into();
    while Arc::strong_count(&body) == 1 {
        server.write_shared(key, &body);
        let report = server.send();
        assert_eq!(report.slow_readers, 0);
        sent.extend_from_slice(&body);
    }
    sent
}

/// Leaves `stream` more and more to read until what it says is no longer heard, which must come before it is closed. Returns
/// how much it was sent and how many lines were heard; one more was said.
fn fall_behind(server: &mut Server, stream: &TcpStream, key: ConnectionKey) -> (usize, usize) {
    let (other, other_key) = server.connect_known();
    let mut sent = clog(server, key).len();
    let body: SharedBytes = pattern(SEND_BUFFER_BYTES_UNTIL_UNHEARD / 4).into();
    for said in 1.. {
        server.write_shared(key, &body);
        assert_eq!(server.send().slow_readers, 0);
        sent += body.len();
        write_all(stream, b"said\n");
        for _ in 0..20 {
            let heard = server.lines(other_key).len();
            write_all(&other, b"another\n");
            server.until("another's line", |server| server.lines(other_key).len() > heard);
        }
        if server.lines(key).len() < said {
            return (sent, said - 1);
        }
    }
    unreachable!("the send buffer has a bound")
}

#[test]
fn what_a_socket_does_not_take_at_once_arrives_whole_and_in_order() {
    let mut server = Server::start();
    let (stream, key) = server.connect_known();
    let mut expected = clog(&mut server, key);
    let large = pattern(100_000);
    server.write(key, b"own\n");
    server.write(key, &large);
    server.send();
    expected.extend_from_slice(b"own\n");
    expected.extend_from_slice(&large);
    let count = expected.len();
    let reader = std::thread::spawn(move || (read_exactly(&stream, count), stream));
    server.until("reader", |_| reader.is_finished());
    let (bytes, _stream) = reader.join().expect("the reader");
    assert!(bytes == expected, "the same bytes");
    assert!(server.closed().is_empty());
}

#[test]
fn a_slow_reader_is_closed_and_nobody_else_waits() {
    let mut server = Server::start();
    let (slow, slow_key) = server.connect_known();
    let (other, other_key) = server.connect_known();
    clog(&mut server, slow_key);
    let body: SharedBytes = pattern(SEND_BUFFER_BYTES_MAX / 4).into();
    write_all(&slow, b"last words\n");
    let mut slow_readers = 0;
    let mut received = 0;
    for _ in 0..5 {
        server.write_shared(slow_key, &body);
        server.write_shared(other_key, &body);
        slow_readers += server.send().slow_readers;
        received += read_exactly(&other, body.len()).len();
    }
    assert_eq!((slow_readers, received), (1, 5 * body.len()));
    server.until("close", |server| !server.closed().is_empty());
    assert_eq!(server.closed(), [(slow_key, CloseReason::SlowReader)]);
    assert_eq!(server.lines(slow_key), ["last words"]);
    assert_eq!(Arc::strong_count(&body), 1, "nothing is kept for the one that is gone");
    read_to_end(&slow);
}

fn end_of(server: &Server, key: ConnectionKey) -> Option<CloseReason> {
    server.closed().iter().find(|(closed, _)| *closed == key).map(|(_, reason)| *reason)
}

/// One that asks without end and does not read is slowed down by TCP, not served and not closed; when it reads, it is answered.
#[test]
fn who_does_not_read_is_not_listened_to_until_it_does() {
    let mut server = Server::start();
    let (stream, key) = server.connect_known();
    let (sent, heard) = fall_behind(&mut server, &stream, key);
    let reader = std::thread::spawn(move || (read_exactly(&stream, sent).len(), stream));
    server.until("the line", |server| server.lines(key).len() > heard);
    server.until("reader", |_| reader.is_finished());
    assert_eq!(reader.join().expect("the reader").0, sent);
    assert_eq!(server.lines(key).len(), heard + 1);
    assert!(end_of(&server, key).is_none());
}

/// Its end is noticed all the same, and what it said last is heard.
#[test]
fn who_is_not_listened_to_may_still_leave() {
    let mut server = Server::start();
    let (stream, key) = server.connect_known();
    let (_, heard) = fall_behind(&mut server, &stream, key);
    write_all(&stream, b"last words\n");
    stream.shutdown(std::net::Shutdown::Write).expect("an open connection");
    server.until("close", |server| end_of(server, key).is_some());
    assert_eq!(end_of(&server, key), Some(CloseReason::Peer));
    assert_eq!(server.lines(key)[heard..], ["said", "last words"]);
}

#[test]
fn the_engine_s_close_flushes_and_is_not_reported_back() {
    let mut server = Server::start();
    let (stream, key) = server.connect_known();
    // Unread input must not turn the close into a reset that destroys the farewell.
    write_all(&stream, b"unread\n");
    server.write(key, b"farewell\n");
    server.close(key);
    server.send();
    assert_eq!(server.sockets.connections(), 0);
    let mut received = Vec::new();
    (&stream).read_to_end(&mut received).expect("an orderly end, not a reset");
    assert_eq!(received, b"farewell\n");
    drop(stream);
    let (_other, _) = server.connect_known();
    assert!(server.closed().is_empty());
    assert!(server.lines(key).is_empty());
}

#[test]
fn writing_to_a_peer_that_is_gone_ends_only_its_connection() {
    let mut server = Server::start();
    let (gone, gone_key) = server.connect_known();
    let (stays, stays_key) = server.connect_known();
    let count = 2 * LINES_PER_CONNECTION_PER_TICK_MAX;
    write_all(&gone, "share\n".repeat(count).as_bytes());
    drop(gone);
    // The first write provokes the reset, one of the next ones meets it.
    for _ in 0..50 {
        server.write(gone_key, b"job\n");
        server.write(stays_key, b"job\n");
        server.send();
    }
    assert_eq!(read_exactly(&stays, 200).len(), 200);
    server.until("close", |server| !server.closed().is_empty());
    assert_eq!(server.closed().len(), 1);
    assert_eq!(server.closed()[0].0, gone_key);
    assert_eq!(server.lines(gone_key).len(), count, "what it sent before is not lost");
}
