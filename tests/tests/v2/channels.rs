//! Channels of one connection and of many.

use crate::client::{Client, Heard};
use crate::order::subsidy_only;
use std::collections::HashSet;
use std::time::Duration;
use warppool_components::channel::{Channel, Vardiff};
use warppool_components::connection::CloseReason;
use warppool_components::inbox::{Command, MinerMessage, MinerMessageContent};
use warppool_components::limits::CHANNELS_PER_CONNECTION_MAX;
use warppool_components::settings::Payee;
use warppool_components::units::{Difficulty, Target};
use warppool_net::wire::v2::message::*;
use warppool_tests::pool::{Pool, difficulty, settings};
use warppool_tests::work::{address, cut, script};

fn open(request_id: u32, user: &str) -> OpenExtendedMiningChannel<'_> {
    OpenExtendedMiningChannel {
        request_id,
        user_identity: user.into(),
        nominal_hash_rate: 1e12,
        max_target: Target::MAX,
        min_extranonce_size: 8,
    }
}

#[test]
fn a_channel_that_cannot_be_had_is_refused_by_name() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::connect(&mut pool, "maker", 0);
    let user = address(1);
    let usual = open(5, &user);
    let too_hard = Target::from_difficulty(difficulty(1e13));
    for (request, code) in [
        (OpenExtendedMiningChannel { min_extranonce_size: 9, ..usual }, "min-extranonce-size-too-large"),
        (OpenExtendedMiningChannel { max_target: too_hard, ..usual }, "max-target-out-of-range"),
        (
            OpenExtendedMiningChannel { max_target: Target::from_big_endian([0; 32]), ..usual },
            "max-target-out-of-range",
        ),
        (open(5, "nobody"), "unknown-user"),
        (open(5, ""), "unknown-user"),
        (open(5, "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"), "unknown-user"),
    ] {
        assert_eq!(client.ask(&mut pool, &request), [Heard::OpenRefused { request: 5, code: code.into() }]);
    }
    let channels = pool.world().query::<&Channel>().iter(pool.world()).count();
    assert_eq!(channels, 1, "nothing is left of them");
}

/// The same worker whatever the form of its name, and the same as through Stratum V1.
#[test]
fn every_form_of_identity_is_one_worker() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::connect(&mut pool, "maker", 0);
    pool.join(&format!("{}.rig", address(1)), "x");
    for form in ["%.rig", "%/rig", "sri/solo/%/rig", "sri/donate/%/rig"] {
        client.open_extended(&mut pool, &form.replace('%', &address(1)));
    }
    pool.advance(Duration::from_secs(1));
    let snapshot = pool.snapshot.as_ref().expect("a snapshot");
    let workers: Vec<_> = snapshot.workers.iter().map(|worker| (&*worker.label, worker.connections)).collect();
    assert_eq!(workers, [(&*format!("{}.rig", address(1)), 5)]);
}

#[test]
fn extranonces_are_never_equal_on_any_channel_or_v1_connection() {
    let mut pool = Pool::default().with_work();
    let mut seen = HashSet::new();
    for round in 0..20 {
        let v1 = pool.join(&address(1), "d=1e-9");
        assert!(seen.insert(pool.miner(v1).extranonce1.clone()));
        let mut client = Client::connect(&mut pool, "maker", 0);
        for number in 0..5 {
            let (channel, _) = match (round + number) % 2 {
                0 => client.open_extended(&mut pool, &address(2)),
                _ => client.open_standard(&mut pool, &address(2)),
            };
            let prefix = &client.channels[&channel].prefix;
            assert!(seen.insert(prefix[..4].iter().map(|byte| format!("{byte:02x}")).collect()));
            assert!(prefix[4..].iter().all(|byte| *byte == 0) && (prefix.len() == 4 || prefix.len() == 12));
        }
        if round % 3 == 0 {
            pool.hang_up(client.conn);
        }
    }
}

/// A proxy: many channels with names and payees of their own, closed one by one and by group.
#[test]
fn many_channels_live_and_end_on_one_connection() {
    let mut pool = Pool::default().with_work();
    let mut proxy = Client::connect(&mut pool, "proxy", 0);
    let mut groups = HashSet::new();
    for number in 0..60 {
        let user = format!("{}.rig{number}", address(1 + number % 3));
        let (channel, _) = match number % 2 {
            0 => proxy.open_extended(&mut pool, &user),
            _ => proxy.open_standard(&mut pool, &user),
        };
        groups.insert(proxy.channels[&channel].group);
    }
    assert_eq!(groups.len(), 6, "by payee and kind");
    let empty = subsidy_only(&mut pool);
    pool.template(empty);
    pool.advance(Duration::from_millis(1));
    let tips = proxy.hear(&mut pool).iter().filter(|heard| matches!(heard, Heard::Tip { .. })).count();
    assert_eq!(tips, 33, "each of thirty standard channels, and three groups of extended ones");
    assert!(proxy.channels.values().all(|channel| channel.jobs.len() == 2));
    let group = proxy.channels[&1].group;
    let members: Vec<u32> = proxy.channels.iter().filter(|(_, it)| it.group == group).map(|(id, _)| *id).collect();
    for channel_id in [2, 3, group] {
        assert_eq!(proxy.ask(&mut pool, &CloseChannel { channel_id, reason_code: "".into() }), []);
    }
    let shares: Vec<_> = proxy.channels.keys().map(|id| (*id, proxy.hit(*id, 0))).collect();
    for (channel, share) in shares {
        let is_closed = members.contains(&channel) || channel == 2 || channel == 3;
        let verdict = proxy.submit(&mut pool, channel, &share);
        let expected = if is_closed { Err("invalid-channel-id".to_owned()) } else { Ok(()) };
        assert_eq!(verdict, expected, "channel {channel}");
    }
    pool.hang_up(proxy.conn);
    pool.advance(Duration::from_secs(1));
    let channels = pool.world().query::<&Channel>().iter(pool.world()).count();
    assert_eq!(channels, 0);
    let snapshot = pool.snapshot.as_ref().expect("a snapshot");
    assert!(snapshot.workers.iter().all(|worker| worker.connections == 0));
}

/// New names are taken from what the address may name; a farm's miners mine for their address all the same.
#[test]
fn who_names_too_many_workers_mines_for_the_bare_address() {
    let mut pool = Pool::default().with_work();
    let mut proxy = Client::connect(&mut pool, "proxy", 0);
    for number in 0..100 {
        proxy.open_extended(&mut pool, &format!("{}.rig{number}", address(1)));
    }
    let refused = Heard::OpenRefused { request: 9, code: "too-many-identities".into() };
    assert_eq!(proxy.ask(&mut pool, &open(9, &address(2))), [refused], "another payee is another matter");
    pool.advance(Duration::from_secs(1));
    let snapshot = pool.snapshot.as_ref().expect("a snapshot");
    assert_eq!(snapshot.workers.len(), 32, "the first name, a burst of thirty and the address");
    let connections: u32 = snapshot.workers.iter().map(|worker| worker.connections).sum();
    assert_eq!(connections, 100);
}

/// What members of a group have in common is sent once; what one of them lacks, to that one.
#[test]
fn a_group_is_addressed_only_when_its_members_are_alike() {
    let mut pool = Pool::default().with_work();
    let mut proxy = Client::connect(&mut pool, "maker", 0);
    let (one, _) = proxy.open_extended(&mut pool, &address(1));
    let group = proxy.channels[&one].group;
    pool.advance(Duration::from_secs(31));
    assert!(proxy.hear(&mut pool).contains(&Heard::Job { channel: one, job: 2 }), "alone, it is addressed itself");
    let (two, heard) = proxy.open_extended(&mut pool, &address(1));
    let ahead = crate::order::AHEAD;
    let begin = [
        Heard::FutureJob { channel: two, job: 2 },
        Heard::Tip { channel: two, job: 2 },
        Heard::FutureJob { channel: two, job: ahead },
    ];
    assert_eq!(heard, begin);
    let empty = subsidy_only(&mut pool);
    pool.template(empty);
    assert_eq!(proxy.hear(&mut pool), [Heard::Tip { channel: group, job: ahead }]);
    let full = pool.next_template();
    pool.template(full);
    pool.advance(Duration::from_millis(1));
    assert_eq!(
        proxy.hear(&mut pool),
        [Heard::Job { channel: group, job: 4 }, Heard::FutureJob { channel: group, job: ahead + 1 }]
    );
    for channel in [one, two] {
        let share = proxy.hit(channel, 9);
        assert_eq!(proxy.submit(&mut pool, channel, &share), Ok(()));
    }
    // One has its job already when the other's turn comes: a new channel in the same tick as a new tip.
    let template = pool.next_tip();
    pool.push_template(template);
    let (three, heard) = proxy.open_extended(&mut pool, &address(1));
    let tips: Vec<_> = heard.iter().filter(|heard| matches!(heard, Heard::Tip { .. })).collect();
    let expected = [
        &Heard::Tip { channel: three, job: 5 },
        &Heard::Tip { channel: one, job: 5 },
        &Heard::Tip { channel: two, job: 5 },
    ];
    assert_eq!((tips.len(), expected.iter().all(|tip| tips.contains(tip))), (3, true), "{heard:?}");
}

#[test]
fn a_connection_has_a_bounded_number_of_channels() {
    let mut pool = Pool::default().with_work();
    let mut proxy = Client::connect(&mut pool, "proxy", 0);
    let user = address(1);
    for _ in 0..CHANNELS_PER_CONNECTION_MAX {
        proxy.open_standard(&mut pool, &user);
    }
    let refused = Heard::OpenRefused { request: 9, code: "too-many-channels".into() };
    assert_eq!(proxy.ask(&mut pool, &open(9, &user)), [refused]);
    assert_eq!(proxy.ask(&mut pool, &CloseChannel { channel_id: 1, reason_code: "".into() }), []);
    proxy.open_standard(&mut pool, &user);
}

/// What a client says of its hash rate is where it starts; the constant of AxeOS says nothing.
#[test]
fn the_start_follows_what_the_client_says() {
    let mut pool = Pool::default().with_work();
    let usual = settings();
    for (vendor, rate, expected) in [
        ("maker", 1e12, usual.vardiff.initial.value()),
        ("bitaxe", 1e12, 1024.0),
        // 4 TH/s for 10 s are 9313 times 2^32 hashes.
        ("maker", 4e12, 8192.0),
        ("bitaxe", 4e12, 8192.0),
        ("maker", f32::NAN, usual.vardiff.initial.value()),
        ("maker", -1.0, usual.vardiff.initial.value()),
    ] {
        let mut client = Client::connect(&mut pool, vendor, 0);
        let user = address(1);
        let request = OpenExtendedMiningChannel { nominal_hash_rate: rate, ..open(1, &user) };
        client.ask(&mut pool, &request);
        let target = client.channels[&1].target;
        assert_eq!(target, Target::from_difficulty(difficulty(expected)), "{vendor} {rate}");
    }
}

#[test]
fn no_target_is_easier_than_what_the_client_takes() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::connect(&mut pool, "maker", 0);
    let hard = Target::from_difficulty(difficulty(1000.0));
    client.ask(&mut pool, &OpenExtendedMiningChannel { max_target: hard, ..open(1, &address(1)) });
    assert!(client.channels[&1].target.to_big_endian() <= hard.to_big_endian());
    assert_eq!(client.channels[&1].target, Target::from_difficulty(difficulty(1024.0)));
    let harder = Target::from_difficulty(difficulty(5000.0));
    let update = UpdateChannel { channel_id: 1, nominal_hash_rate: 1e12, maximum_target: harder };
    assert_eq!(client.ask(&mut pool, &update), [Heard::Target { channel: 1 }], "it is told its target");
    assert_eq!(client.channels[&1].target, Target::from_difficulty(difficulty(8192.0)));
    let vardiff = pool
        .world()
        .query::<&Vardiff>()
        .iter(pool.world())
        .map(|state| state.announced)
        .max_by(|one, other| one.value().total_cmp(&other.value()));
    assert_eq!(vardiff.map(Difficulty::value), Some(8192.0));
}

#[test]
fn an_update_that_is_wrong_is_refused_by_name() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::connect(&mut pool, "maker", 0);
    let (channel, _) = client.open_extended(&mut pool, &address(1));
    let impossible = Target::from_difficulty(difficulty(1e13));
    for (channel, maximum_target, code) in
        [(77, Target::MAX, "invalid-channel-id"), (channel, impossible, "max-target-out-of-range")]
    {
        let update = UpdateChannel { channel_id: channel, nominal_hash_rate: 1e12, maximum_target };
        let refused = Heard::UpdateRefused { channel, code: code.into() };
        assert_eq!(client.ask(&mut pool, &update), [refused]);
    }
}

/// The operator changes who is paid: from the next job on, on channels that are open too. What was sent ahead for the old
/// payee is not used.
#[test]
fn a_reload_changes_the_payee_of_later_jobs_only() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::connect(&mut pool, "maker", 0);
    let (channel, _) = client.open_extended(&mut pool, &address(1));
    let before = client.channel(channel).jobs[0].clone();
    let mut changed = settings();
    changed.payout.pay_username_address = false;
    let fallback = address(9);
    changed.payout.fallback =
        Some(Payee { address: fallback.as_str().into(), script: script(&fallback).as_bytes().into() });
    changed.payout.fee = Some(cut(&address(8), 100));
    pool.command(Command::Reload(Box::new(changed)));
    pool.advance(Duration::from_millis(1));
    client.hear(&mut pool);
    let empty = subsidy_only(&mut pool);
    pool.template(empty);
    pool.advance(Duration::from_millis(1));
    client.hear(&mut pool);
    let latest = client.channel(channel).jobs.last().expect("a job").clone();
    assert!(before.pays(script(&address(1)).as_bytes()) && !before.pays(script(&fallback).as_bytes()));
    assert!(latest.pays(script(&fallback).as_bytes()) && latest.pays(script(&address(8)).as_bytes()));
    let share = client.hit(channel, 1);
    assert_eq!(client.submit(&mut pool, channel, &share), Ok(()));
}

/// A payee's place among the jobs' coinbases is given to another once it is gone for long, though a job that was sent ahead
/// may wait for hours.
#[test]
fn a_job_that_waits_never_pays_a_former_miner() {
    let mut pool = Pool::default().with_work();
    let mut stays = Client::connect(&mut pool, "maker", 0);
    stays.open_extended(&mut pool, &address(1));
    let mut leaves = Client::connect(&mut pool, "maker", 0);
    leaves.open_extended(&mut pool, &address(2));
    pool.hang_up(leaves.conn);
    pool.advance(Duration::from_secs(3 * 3600));
    let mut comes = Client::connect(&mut pool, "maker", 0);
    let (channel, _) = comes.open_extended(&mut pool, &address(3));
    let empty = subsidy_only(&mut pool);
    pool.template(empty);
    let heard = comes.hear(&mut pool);
    assert!(matches!(heard[..], [Heard::Tip { job: crate::order::AHEAD, .. }]), "{heard:?}");
    let job = comes.channel(channel).jobs.last().expect("a job");
    assert!(job.pays(script(&address(3)).as_bytes()) && !job.pays(script(&address(2)).as_bytes()));
}

#[test]
fn who_comes_back_begins_anew() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::connect(&mut pool, "maker", 0);
    let (channel, _) = client.open_extended(&mut pool, &address(1));
    let prefix = client.channels[&channel].prefix.clone();
    let share = client.hit(channel, 1);
    pool.hang_up(client.conn);
    let mut again = Client::connect(&mut pool, "maker", 0);
    let (channel, heard) = again.open_extended(&mut pool, &address(1));
    assert_eq!((channel, heard.len()), (1, 3));
    assert_ne!(again.channels[&channel].prefix, prefix);
    assert_eq!(again.submit(&mut pool, channel, &share), Err("difficulty-too-low".into()), "its work was another");
}

/// Lines of Stratum V1 are nothing that a V2 miner could read.
#[test]
fn messages_of_the_operator_are_not_sent_in_frames() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::connect(&mut pool, "maker", 0);
    client.open_extended(&mut pool, &address(1));
    pool.join(&address(1), "x");
    let content = MinerMessageContent::Show("hello".into());
    pool.command(Command::TellMiners(MinerMessage { worker: None, content }));
    assert_eq!(pool.messages_shown, [1]);
    assert_eq!(client.hear(&mut pool), []);
    pool.command(Command::Shutdown);
    assert_eq!(pool.closed(client.conn), Some(CloseReason::Shutdown));
}

/// Once, however many channels it has.
#[test]
fn a_connection_is_told_to_connect_anew_when_the_operator_says_so() {
    let mut pool = Pool::default().with_work();
    let mut client = Client::connect(&mut pool, "maker", 0);
    client.open_extended(&mut pool, &address(1));
    client.open_extended(&mut pool, &address(2));
    for (place, expected) in [(None, ("", 0)), (Some(("pool.example.com", 3333)), ("pool.example.com", 3333))] {
        client.hear(&mut pool);
        let content = MinerMessageContent::Reconnect(place.map(|(host, port): (&str, u16)| (host.into(), port)));
        pool.command(Command::TellMiners(MinerMessage { worker: None, content }));
        let (host, port) = expected;
        assert_eq!(client.hear(&mut pool), [Heard::Reconnect { host: host.into(), port }]);
        assert_eq!(pool.messages_shown.last(), Some(&1));
    }
}
