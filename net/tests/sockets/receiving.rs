//! Lines on their way in.

use crate::harness::{Server, write_all};
use std::net::Shutdown;
use warppool_components::connection::{CloseReason, ConnectionKey};
use warppool_components::limits::{LINE_BYTES_MAX, LINES_PER_CONNECTION_PER_TICK_MAX, LINES_PER_TICK_MAX};

#[test]
fn a_line_may_come_in_many_segments_and_many_lines_in_one() {
    let mut server = Server::start();
    let (stream, key) = server.connect_known();
    stream.set_nodelay(true).expect("an option");
    for byte in b"{\"id\":1}\r\n" {
        write_all(&stream, &[*byte]);
        server.receive_once();
    }
    write_all(&stream, b"\r\n {\"id\":2} \n\n{\"id\":3}\n{\"id\"");
    server.until("three lines", |server| server.lines(key).len() == 3);
    write_all(&stream, b":4}\n");
    server.until("four lines", |server| server.lines(key).len() == 4);
    assert_eq!(server.lines(key), ["{\"id\":1}", "{\"id\":2}", "{\"id\":3}", "{\"id\":4}"]);
}

#[test]
fn a_flood_is_taken_in_portions_in_order_and_without_new_events() {
    let mut server = Server::start();
    let (stream, key) = server.connect_known();
    let count = 5 * LINES_PER_CONNECTION_PER_TICK_MAX + 7;
    let text: String = (0..count).map(|number| format!("{number}\n")).collect();
    write_all(&stream, text.as_bytes());
    server.until("all lines", |server| server.lines(key).len() == count);
    let expected: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    assert_eq!(server.lines(key), expected);
    let most = server.history.iter().map(|arrived| arrived.lines.len()).max();
    assert_eq!(most, Some(LINES_PER_CONNECTION_PER_TICK_MAX), "the cap for one connection is used and kept");
}

#[test]
fn all_connections_together_keep_the_cap_of_a_tick_and_none_is_forgotten() {
    let mut server = Server::start();
    let count = 2 * LINES_PER_TICK_MAX / LINES_PER_CONNECTION_PER_TICK_MAX;
    let clients: Vec<_> = (0..count).map(|_| server.connect_known()).collect();
    let text: String = (0..LINES_PER_CONNECTION_PER_TICK_MAX).map(|number| format!("{number}\n")).collect();
    for (stream, _) in &clients {
        write_all(stream, text.as_bytes());
    }
    let total = count * LINES_PER_CONNECTION_PER_TICK_MAX;
    let received = |server: &Server| server.history.iter().map(|arrived| arrived.lines.len()).sum::<usize>();
    server.until("all lines", |server| received(server) == total);
    for arrived in &server.history {
        assert!(arrived.lines.len() <= LINES_PER_TICK_MAX);
        let mut owners: Vec<ConnectionKey> = arrived.lines.iter().map(|(key, _)| *key).collect();
        owners.dedup();
        let runs = owners.len();
        owners.sort_by_key(|key| key.slot);
        owners.dedup();
        assert_eq!(owners.len(), runs, "the lines of one connection are contiguous");
    }
}

#[test]
fn a_line_that_is_too_long_ends_its_connection_alone() {
    let mut server = Server::start();
    let (offender, offender_key) = server.connect_known();
    let (neighbour, neighbour_key) = server.connect_known();
    let mut text = b"good\n".to_vec();
    text.resize(text.len() + LINE_BYTES_MAX + 1024, b'x');
    write_all(&offender, &text);
    server.until("close", |server| !server.closed().is_empty());
    assert_eq!(server.closed(), [(offender_key, CloseReason::LineTooLong)]);
    assert_eq!(server.lines(offender_key), ["good"]);
    write_all(&neighbour, b"still here\n");
    server.until("neighbour", |server| server.lines(neighbour_key) == ["still here"]);
    assert_eq!(server.sockets.connections(), 1);
}

#[test]
fn defect_16_the_last_lines_come_no_later_than_the_hang_up() {
    for last in ["{\"block\":1}\n", "{\"block\":1}"] {
        let mut server = Server::start();
        let (stream, key) = server.connect_known();
        // Line and end are both there before the server looks.
        write_all(&stream, format!("first\n{last}").as_bytes());
        stream.shutdown(Shutdown::Write).expect("a connected socket");
        server.until("close", |server| !server.closed().is_empty());
        assert_eq!(server.closed(), [(key, CloseReason::Peer)]);
        assert_eq!(server.lines(key), ["first", "{\"block\":1}"]);
        assert_eq!(server.sockets.connections(), 0);
    }
}

#[test]
fn lines_beyond_a_cap_are_delivered_before_the_hang_up() {
    let mut server = Server::start();
    let (stream, key) = server.connect_known();
    let count = 3 * LINES_PER_CONNECTION_PER_TICK_MAX;
    write_all(&stream, "x\n".repeat(count).as_bytes());
    drop(stream);
    server.until("close", |server| !server.closed().is_empty());
    assert_eq!(server.lines(key).len(), count);
    assert_eq!(server.closed(), [(key, CloseReason::Peer)]);
}

#[test]
fn a_reset_is_a_close_of_that_connection() {
    let mut server = Server::start();
    let (stream, key) = server.connect_known();
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).expect("an option");
    drop(stream);
    server.until("close", |server| !server.closed().is_empty());
    assert_eq!(server.closed(), [(key, CloseReason::SocketError)]);
}

#[test]
fn a_slot_is_used_again_under_a_new_generation() {
    let mut server = Server::start();
    let (first, first_key) = server.connect_known();
    drop(first);
    server.until("close", |server| server.closed().len() == 1);
    let (second, second_key) = server.connect_known();
    assert_eq!(second_key.slot, first_key.slot);
    assert_ne!(second_key.generation, first_key.generation);
    server.write(first_key, b"for the dead\n");
    server.close(first_key);
    server.write(second_key, b"for the living\n");
    let report = server.send();
    assert_eq!((report.stale, report.connections), (1, 1));
    assert_eq!(crate::harness::read_exactly(&second, 15), b"for the living\n");
    assert_eq!(server.sockets.connections(), 1);
}

#[test]
fn three_hundred_connections_at_once() {
    let mut server = Server::start();
    let streams: Vec<_> = (0..300).map(|_| server.connect()).collect();
    for (number, stream) in streams.iter().enumerate() {
        write_all(stream, format!("{number}\n").as_bytes());
    }
    let received = |server: &Server| server.history.iter().map(|arrived| arrived.lines.len()).sum::<usize>();
    server.until("300 lines", |server| received(server) == 300);
    let lines: Vec<_> = server.history.iter().flat_map(|arrived| arrived.lines.clone()).collect();
    for (key, text) in &lines {
        server.write(*key, format!("to {text}\n").as_bytes());
    }
    assert_eq!(server.send().connections, 300);
    for (number, stream) in streams.iter().enumerate() {
        let expected = format!("to {number}\n");
        assert_eq!(crate::harness::read_exactly(stream, expected.len()), expected.as_bytes());
    }
    drop(streams);
    server.until("300 closes", |server| server.closed().len() == 300);
    assert_eq!(server.sockets.connections(), 0);
}
