//! Random days: whatever clients, node and operator do, and in whatever order it arrives, every client can follow every frame
//! (what holds for each is checked while it reads), nothing is left of those who have gone, and the same day twice is the
//! same, byte for byte.

use crate::client::Client;
use crate::order::subsidy_only;
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;
use warppool_components::channel::Channel;
use warppool_components::channel_v2::ConnectionV2;
use warppool_components::inbox::Command;
use warppool_components::node::NodeHealth;
use warppool_components::units::Target;
use warppool_net::wire::v2::Message;
use warppool_net::wire::v2::message::UpdateChannel;
use warppool_tests::pool::{Pool, difficulty, settings};
use warppool_tests::work::{address, cut};

/// Connections of a day.
const CLIENTS: usize = 3;

#[derive(Clone, Debug)]
enum Event {
    Open { client: usize, user: u8, is_extended: bool },
    Close { client: usize, channel: u32 },
    Update { client: usize, channel: u32, difficulty: f64 },
    Shares { client: usize, channel: u32, job: usize, count: u32 },
    Garbage { client: usize, bytes: Vec<u8> },
    Reconnect { client: usize },
    EmptyTip,
    FullTip,
    Template,
    Reload { fee: u32 },
    Node { is_lost: bool },
    Wait { milliseconds: u64 },
    Tick,
}

fn event() -> impl Strategy<Value = Event> {
    let client = 0..CLIENTS;
    prop_oneof![
        6 => (client.clone(), 1u8..4, any::<bool>()).prop_map(|(client, user, is_extended)| Event::Open { client, user, is_extended }),
        1 => (client.clone(), 0u32..12).prop_map(|(client, channel)| Event::Close { client, channel }),
        1 => (client.clone(), 0u32..12, 1e-9..1e-6).prop_map(|(client, channel, difficulty)| Event::Update { client, channel, difficulty }),
        8 => (client.clone(), 0u32..12, 0usize..8, 1u32..20)
            .prop_map(|(client, channel, job, count)| Event::Shares { client, channel, job, count }),
        1 => (client.clone(), vec(any::<u8>(), 0..80)).prop_map(|(client, bytes)| Event::Garbage { client, bytes }),
        1 => client.prop_map(|client| Event::Reconnect { client }),
        3 => Just(Event::EmptyTip),
        1 => Just(Event::FullTip),
        3 => Just(Event::Template),
        1 => (0u32..500).prop_map(|fee| Event::Reload { fee }),
        1 => any::<bool>().prop_map(|is_lost| Event::Node { is_lost }),
        4 => (0u64..40_000).prop_map(|milliseconds| Event::Wait { milliseconds }),
        8 => Just(Event::Tick),
    ]
}

struct Day {
    pool: Pool,
    clients: Vec<Client>,
    nonces: u32,
}

impl Day {
    fn begin() -> Self {
        let mut pool = Pool::default().traced().with_work();
        let clients = (0..CLIENTS).map(|_| Client::connect(&mut pool, "maker", 0)).collect();
        Self { pool, clients, nonces: 0 }
    }

    fn happen(&mut self, event: &Event) {
        let pool = &mut self.pool;
        match event {
            Event::Open { client, user, is_extended } => {
                self.clients[*client].push_open(pool, &format!("{}.rig", address(*user)), *is_extended);
            }
            Event::Close { client, channel } => self.clients[*client].push_close(pool, *channel),
            Event::Update { client, channel, difficulty: wanted } => {
                let maximum_target = Target::from_difficulty(difficulty(*wanted));
                let update = UpdateChannel { channel_id: *channel, nominal_hash_rate: 1e6, maximum_target };
                pool.push_frame(self.clients[*client].conn, &update.to_frame());
            }
            Event::Shares { client, channel, job, count } => {
                let client = &mut self.clients[*client];
                let Some(known) = client.channels.get(channel) else { return };
                let Some(job) = known.jobs.iter().rev().nth(*job).cloned() else { return };
                for _ in 0..*count {
                    self.nonces += 1;
                    let share = client.channels[channel].share(&job, 0, 0, job.ntime, self.nonces);
                    client.push_share(pool, *channel, &share);
                }
            }
            Event::Garbage { client, bytes } => pool.push_frame(self.clients[*client].conn, bytes),
            Event::Reconnect { client } => {
                self.tick();
                self.pool.hang_up(self.clients[*client].conn);
                self.clients[*client] = Client::connect(&mut self.pool, "maker", 0);
            }
            Event::EmptyTip => {
                let template = subsidy_only(pool);
                pool.push_template(template);
            }
            Event::FullTip => {
                let template = pool.next_tip();
                pool.push_template(template);
            }
            Event::Template => {
                let template = pool.next_template();
                pool.push_template(template);
            }
            Event::Reload { fee } => {
                let mut changed = settings();
                changed.payout.fee = Some(cut(&address(9), *fee));
                pool.command(Command::Reload(Box::new(changed)));
            }
            Event::Node { is_lost } => pool.health(if *is_lost { NodeHealth::Lost } else { NodeHealth::Ready }),
            Event::Wait { milliseconds } => pool.advance(Duration::from_millis(*milliseconds)),
            Event::Tick => self.tick(),
        }
        self.hear();
    }

    fn tick(&mut self) {
        self.pool.tick();
        self.hear();
    }

    fn hear(&mut self) {
        for client in &mut self.clients {
            client.hear(&mut self.pool);
            if self.pool.closed(client.conn).is_some() {
                // Its node was lost for too long.
                *client = Client::connect(&mut self.pool, "maker", 0);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_client_can_follow_every_day(events in vec(event(), 0..120)) {
        let play = || {
            let mut day = Day::begin();
            events.iter().for_each(|event| day.happen(event));
            day.tick();
            day.pool
        };
        let (mut one, other) = (play(), play());
        prop_assert!(one.trace == other.trace, "the same day twice is not the same");
        let world = one.world();
        let open: usize = world.query::<&ConnectionV2>().iter(world).map(|link| link.channels.len()).sum();
        let there = world.query::<&Channel>().iter(world).count();
        prop_assert_eq!(there, open + CLIENTS, "a channel is on the list of its connection");
    }
}
