//! Events: coming back, falling behind, staying alive.

use super::client::{EventClient, connect, get, send_head};
use super::fixture::{FakeHistory, Files, NOW, Server, options, wait_until};
use crate::state::Bounds;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use warppool_components::event::{PoolEvent, PoolEventKind};
use warppool_components::limits::{EVENT_LISTENERS_MAX, EVENTS_KEPT_MAX};
use warppool_components::node::NodeHealth;

fn worker_up(number: usize) -> PoolEvent {
    PoolEvent { at: NOW, kind: PoolEventKind::WorkerUp { worker: format!("worker{number}").into() } }
}

fn server(bounds: Bounds) -> Server {
    Server::with(options(), bounds, Arc::<FakeHistory>::default(), Files::default())
}

#[test]
fn a_listener_that_comes_back_gets_what_it_missed() {
    let server = Server::new();
    let (mut client, opening) = EventClient::connect(server.address, None);
    (1..=3).for_each(|number| server.publisher.event(worker_up(number)));
    let ids: Vec<String> = (1..=3).map(|_| client.next().expect("an event").id).collect();
    for (last_seen, missed) in [(&opening.id, 1..=3), (&ids[0], 2..=3), (&ids[1], 3..=3)] {
        let (mut again, opening) = EventClient::connect(server.address, Some(last_seen));
        assert_eq!(opening.name, "", "nothing was lost");
        for number in missed {
            let event = again.next().expect("a missed event");
            assert_eq!((&event.id, &event.data["worker"]), (&ids[number - 1], &format!("worker{number}").into()));
        }
    }
    for foreign in ["", "1", "0-1", &ids[0].replace("-1", "-9"), &ids[0].replace("-1", "-18446744073709551615")] {
        let (_, opening) = EventClient::connect(server.address, Some(foreign));
        assert_eq!((opening.name.as_str(), &opening.id), ("reset", &ids[2]), "{foreign:?}");
    }
}

#[test]
fn what_has_left_the_ring_is_told_as_a_reset() {
    let server = Server::new();
    let (mut client, opening) = EventClient::connect(server.address, None);
    for number in 0..EVENTS_KEPT_MAX {
        server.publisher.event(worker_up(number));
        client.next().expect("an event");
    }
    let (_, kept) = EventClient::connect(server.address, Some(&opening.id));
    assert_eq!(kept.name, "");
    server.publisher.event(worker_up(0));
    client.next().expect("an event");
    let (_, lost) = EventClient::connect(server.address, Some(&opening.id));
    assert_eq!(lost.name, "reset");
}

#[test]
fn a_silent_pool_still_gives_a_sign_of_life() {
    let server = server(Bounds { heartbeat: Duration::from_millis(20), ..Bounds::default() });
    let (mut client, _) = EventClient::connect(server.address, None);
    assert_eq!(client.block().as_deref(), Some(": still here"));
    server.publisher.event(worker_up(1));
    assert_eq!(client.next().map(|event| event.name).as_deref(), Some("worker_up"));
}

#[test]
fn a_listener_that_does_not_read_is_dropped_and_holds_up_nobody() {
    let server = server(Bounds { write_deadline: Duration::from_millis(300), ..Bounds::default() });
    let mut sleeper = connect(server.address);
    send_head(&mut sleeper, "GET", "/api/events", &[]);
    let listening =
        |count| move |server: &Server| server.state.listener_places.available_permits() == EVENT_LISTENERS_MAX - count;
    wait_until(|| listening(1)(&server));
    // More than all buffers between here and there hold.
    for _ in 0..500 {
        let message = "x".repeat(64 * 1024);
        server
            .publisher
            .event(PoolEvent { at: NOW, kind: PoolEventKind::Health { health: NodeHealth::Lost, message } });
    }
    assert_eq!(get(server.address, "/healthz").status, 200);
    wait_until(|| listening(0)(&server));
    server.publisher.event(worker_up(1));
    let mut rest = Vec::new();
    // The end is a reset or a close, whichever the system makes of it.
    let _ = sleeper.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("worker_up"));
    assert_eq!(server.publisher.dropped(), 0);
}

#[test]
fn listeners_have_a_cap() {
    let server = Server::new();
    let places = Arc::clone(&server.state.listener_places);
    let _taken = places.try_acquire_many(EVENT_LISTENERS_MAX as u32).expect("all places are free");
    let refused = get(server.address, "/api/events");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
}
