//! Setting up a connection, and what becomes of frames that nobody can use.

use crate::client::{Client, Heard, setup};
use std::time::Duration;
use warppool_components::connection::CloseReason;
use warppool_components::limits::{AUTHORIZE_DEADLINE_SECONDS, INVALID_LINES_UNTIL_CLOSED};
use warppool_components::units::Target;
use warppool_net::wire::v2::message::*;
use warppool_net::wire::v2::{ExtensionIds, FrameHeader, Message};
use warppool_tests::pool::Pool;
use warppool_tests::work::address;

#[test]
fn a_setup_that_cannot_be_met_is_refused_by_name() {
    let usual = setup("maker", 0);
    for (request, flags, code) in [
        (SetupConnection { protocol: 1, ..usual }, 0, "unsupported-protocol"),
        (SetupConnection { min_version: 3, max_version: 4, ..usual }, 0, "protocol-version-mismatch"),
        (SetupConnection { min_version: 0, max_version: 1, ..usual }, 0, "protocol-version-mismatch"),
        (SetupConnection { flags: 0b0111, ..usual }, 0b0010, "unsupported-feature-flags"),
        (SetupConnection { flags: 0b1001, ..usual }, 0b1000, "unsupported-feature-flags"),
    ] {
        let mut pool = Pool::default().with_work();
        let mut client = Client::silent(&mut pool);
        let refused = Heard::SetUpRefused { flags, code: code.into() };
        assert_eq!(client.ask(&mut pool, &request), [refused]);
        assert_eq!(client.ask(&mut pool, &SetupConnection { min_version: 1, max_version: 9, ..usual }), [Heard::SetUp]);
    }
}

#[test]
fn nothing_is_opened_before_the_setup_and_nothing_is_set_up_twice() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::silent(&mut pool);
    let open = OpenStandardMiningChannel {
        request_id: 1,
        user_identity: "x".into(),
        nominal_hash_rate: 1.0,
        max_target: Target::MAX,
    };
    assert_eq!(client.ask(&mut pool, &open), []);
    assert_eq!(client.ask(&mut pool, &setup("maker", 0b101)), [Heard::SetUp]);
    assert_eq!(client.ask(&mut pool, &setup("maker", 0)), []);
}

/// There can be no channel yet; an answer before the setup's would be out of turn, one behind it is not.
#[test]
fn a_share_is_not_answered_before_the_setup() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::silent(&mut pool);
    let share = SubmitSharesStandard { channel_id: 7, sequence_number: 3, job_id: 1, nonce: 0, ntime: 0, version: 0 };
    assert_eq!(client.ask(&mut pool, &share), []);
    pool.push_frame(client.conn, &setup("maker", 0).to_frame());
    let refused = Heard::Refused { channel: 7, sequence: 3, code: "invalid-channel-id".into() };
    assert_eq!(client.ask(&mut pool, &share), [Heard::SetUp, refused.clone()]);
    assert_eq!(client.ask(&mut pool, &share), [refused]);
}

#[test]
fn extensions_are_declined_by_name() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::connect(&mut pool, "maker", 0);
    let request = RequestExtensions { request_id: 7, requested_extensions: ExtensionIds::Held(&[2, 0x4000]) };
    let refused = Heard::ExtensionsRefused { request: 7, unsupported: vec![2, 0x4000] };
    assert_eq!(client.ask(&mut pool, &request), [refused]);
}

/// Unknown messages and extensions, and frames that end too early, are passed over; a flood of them ends the connection.
#[test]
fn what_nobody_can_use_is_passed_over_until_it_is_a_flood() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::connect(&mut pool, "maker", 0);
    let frame = |extension, message_type, payload: &[u8]| {
        let payload_bytes = payload.len() as u32;
        let header = FrameHeader { extension, is_channel_message: false, message_type, payload_bytes };
        [&header.encode()[..], payload].concat()
    };
    let useless = [
        frame(0, 0x99, &[1, 2, 3]),
        frame(0x1234, 0x10, &[]),
        frame(0, 0x10, &[1, 2]),
        frame(0, 0x13, &[]),
        frame(0, 0x1a, &[1]),
        frame(0, 0x1b, &[0; 24]),
        frame(0, 0x18, &[9, 0, 0, 0, 0]),
    ];
    useless.iter().for_each(|frame| pool.push_frame(client.conn, frame));
    pool.tick();
    assert_eq!(client.hear(&mut pool), []);
    let (channel, _) = client.open_extended(&mut pool, &address(1));
    assert_eq!(pool.closed(client.conn), None);
    let mut sent = useless.len() as u32;
    while pool.closed(client.conn).is_none() {
        for _ in 0..50 {
            pool.push_frame(client.conn, &useless[0]);
        }
        pool.tick();
        sent += 50;
        assert!(sent < INVALID_LINES_UNTIL_CLOSED + 200, "it goes on after {sent}");
    }
    assert_eq!(pool.closed(client.conn), Some(CloseReason::InvalidLines));
    assert!(client.channels.contains_key(&channel));
}

/// Shares that are refused on many channels are one connection's, and so are the good ones.
#[test]
fn a_connection_is_judged_by_all_its_channels() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::connect(&mut pool, "maker", 0);
    let (good, _) = client.open_extended(&mut pool, &address(1));
    let (bad, _) = client.open_extended(&mut pool, &address(1));
    let share = client.hit(bad, 1);
    assert_eq!(client.submit(&mut pool, bad, &share), Ok(()));
    for round in 0..INVALID_LINES_UNTIL_CLOSED / 50 + 10 {
        for number in 0..8 {
            let share = client.hit(good, u64::from(round * 8 + number));
            client.push_share(&mut pool, good, &share);
        }
        for _ in 0..50 {
            client.push_share(&mut pool, bad, &share);
        }
        pool.tick();
        client.hear(&mut pool);
    }
    pool.advance(Duration::from_secs(2));
    assert_eq!(pool.closed(client.conn), None, "one share in seven is good");
}

/// A flood spread over channels is a flood.
#[test]
fn many_channels_do_not_make_a_flood_smaller() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::connect(&mut pool, "maker", 0);
    let channels: Vec<u32> = (0..10).map(|_| client.open_extended(&mut pool, &address(1)).0).collect();
    let first = &client.channels[&channels[0]];
    let share = first.share(&first.jobs[0], 0, 0x1f, 0, 0);
    let mut sent = 0;
    while pool.closed(client.conn).is_none() {
        for channel in &channels {
            client.push_share(&mut pool, *channel, &share);
        }
        pool.tick();
        sent += channels.len() as u32;
        assert!(sent < INVALID_LINES_UNTIL_CLOSED + 200, "it goes on after {sent}");
    }
    assert_eq!(pool.closed(client.conn), Some(CloseReason::InvalidLines));
}

#[test]
fn a_connection_without_a_channel_ends() {
    let mut pool = Pool::default().with_work();
    let silent = Client::connect(&mut pool, "maker", 0);
    let mut used = Client::connect(&mut pool, "maker", 0);
    let (channel, _) = used.open_extended(&mut pool, &address(1));
    let close = CloseChannel { channel_id: channel, reason_code: "done".into() };
    assert_eq!(used.ask(&mut pool, &close), []);
    pool.advance(Duration::from_secs(AUTHORIZE_DEADLINE_SECONDS + 1));
    assert_eq!(pool.closed(silent.conn), Some(CloseReason::AuthorizeDeadline));
    assert_eq!(pool.closed(used.conn), None, "a proxy may be without miners for a while");
}
