//! What the operator says to miners.

use warppool_components::inbox::{Command, MinerMessage, MinerMessageContent};
use warppool_tests::pool::{Pool, authorize};
use warppool_tests::work::address;

fn message(worker: Option<&str>, text: &str) -> Command {
    let content = MinerMessageContent::Show(text.into());
    Command::TellMiners(MinerMessage { worker: worker.map(Into::into), content })
}

#[test]
fn a_message_goes_to_all_to_an_address_or_to_one_worker() {
    let mut pool = Pool::default().with_work();
    let names = [format!("{}.a", address(1)), format!("{}.b", address(1)), format!("{}.c", address(2))];
    let conns = names.each_ref().map(|name| pool.join(name, "x"));
    let subscribed = pool.connect();
    pool.send(subscribed, &[r#"{"id":1,"method":"mining.subscribe"}"#]);
    for (worker, expected) in [
        (None, [true, true, true]),
        (Some(&*address(1)), [true, true, false]),
        (Some(&*names[1]), [false, true, false]),
        (Some("nobody"), [false; 3]),
    ] {
        conns.iter().for_each(|conn| drop(pool.take(*conn)));
        pool.take(subscribed);
        pool.command(message(worker, "Hot \"day\""));
        let line = r#"{"id":null,"method":"client.show_message","params":["Hot \"day\""]}"#;
        let got = conns.map(|conn| pool.take(conn).contains(&line.to_owned()));
        assert_eq!(got, expected, "{worker:?}");
        assert!(pool.take(subscribed).is_empty(), "who has no worker hears nothing");
        let count = expected.iter().filter(|it| **it).count() as u32;
        assert_eq!(pool.messages_shown.last(), Some(&count), "{worker:?}");
    }
}

/// Rule 7: it stands behind every answer and job of its tick, and a proxy with several workers hears it once.
#[test]
fn rule_07_a_message_waits_for_the_answers() {
    let mut pool = Pool::default().with_work();
    let conn = pool.join(&format!("{}.a", address(1)), "x");
    pool.push_line(conn, &authorize(3, &format!("{}.b", address(1)), "x"));
    let next = pool.next_tip();
    pool.push_template(next);
    pool.command(message(None, "hello"));
    let lines = pool.take(conn);
    assert!(lines.len() == 3 && lines[0].starts_with("{\"id\":3,"), "{lines:?}");
    assert!(lines[1].contains("mining.notify") && lines[2].contains("client.show_message"), "{lines:?}");
    pool.command(message(Some(&address(1)), "again"));
    assert_eq!(pool.take(conn).len(), 1);
    assert_eq!(pool.miner(conn).messages, ["hello", "again"]);
}

/// The port is text: cgminer and what comes of it stay on theirs when it is a number. Nobody is closed.
#[test]
fn miners_are_told_to_connect_anew_when_the_operator_says_so() {
    let mut pool = Pool::default().with_work();
    let conns = [address(1), address(2)].map(|name| pool.join(&name, "x"));
    for (worker, place, line) in [
        (None, None, r#"{"id":null,"method":"client.reconnect","params":[]}"#),
        (
            Some(&*address(2)),
            Some(("pool.example.com", 3333)),
            r#"{"id":null,"method":"client.reconnect","params":["pool.example.com","3333",0]}"#,
        ),
    ] {
        conns.iter().for_each(|conn| drop(pool.take(*conn)));
        let content = MinerMessageContent::Reconnect(place.map(|(host, port)| (host.into(), port)));
        pool.command(Command::TellMiners(MinerMessage { worker: worker.map(Into::into), content }));
        let told = conns.map(|conn| pool.take(conn).contains(&line.to_owned()));
        assert_eq!(told, [worker.is_none(), true]);
        assert_eq!(pool.messages_shown.last(), Some(&told.map(u32::from).iter().sum()));
    }
    assert!(conns.iter().all(|conn| pool.closed(*conn).is_none()));
}
