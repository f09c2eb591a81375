//! Engines with miners, and what they send.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use warppool_components::connection::{ConnectionKey, Protocol};
use warppool_components::inbox::{Inbox, Now, Opened};
use warppool_components::node::NodeEvent;
use warppool_components::outbox::Outbox;
use warppool_components::record::Restored;
use warppool_components::settings::{Settings, VardiffSettings};
use warppool_components::template::Template;
use warppool_components::units::{Hash256, Instant, Sats, Target, UnixTime};
use warppool_engine::Engine;
use warppool_net::wire::v2::message::{OpenExtendedMiningChannel, SetupConnection, SubmitSharesExtended};
use warppool_net::wire::v2::{Message, Text};
use warppool_tests::pool::{self, START_SECONDS, difficulty};
use warppool_tests::work::{self, address};

/// Branches of a full block.
pub const BRANCHES: usize = 12;

/// An engine and its moment.
pub struct Scene {
    /// The engine.
    pub engine: Engine,
    /// The moment of its last tick.
    pub now: Now,
    /// What it wanted done then.
    pub outbox: Outbox,
    tip: u32,
    extranonce2: u64,
}

impl Scene {
    /// An engine with work and this many miners, for whom every hash is a share.
    pub fn with_miners(miners: u32) -> Self {
        let mut scene = Self::empty();
        let mut inbox = scene.new_tip();
        for slot in 0..miners {
            log_in(slot, &mut inbox);
        }
        scene.tick(&mut inbox);
        scene
    }

    /// The same with miners of Stratum V2, an extended channel each. The job for the next tip waits on every channel.
    pub fn with_miners_v2(miners: u32) -> Self {
        let mut scene = Self::empty();
        let mut inbox = scene.new_tip();
        for slot in 0..miners {
            log_in_v2(slot, &mut inbox);
        }
        scene.tick(&mut inbox);
        scene.settle();
        scene
    }

    /// Ticks until nobody waits for a job any more.
    pub fn settle(&mut self) {
        // What is due at once is named as the next nanosecond.
        while self.outbox.wake_at.is_some_and(|at| at <= self.now.instant + Duration::from_nanos(1)) {
            self.tick(&mut Inbox::default());
        }
    }

    /// One that nobody has connected to.
    pub fn empty() -> Self {
        let now = Now { instant: Instant(1_000_000_000), unix: UnixTime::from_seconds(START_SECONDS) };
        let engine = Engine::new(settings(), 1, Restored::default(), now);
        Self { engine, now, outbox: Outbox::default(), tip: 0, extranonce2: 0 }
    }

    /// A tick, ten microseconds after the last.
    pub fn tick(&mut self, inbox: &mut Inbox) {
        self.now.instant = self.now.instant + Duration::from_micros(10);
        self.engine.tick(self.now, inbox, &mut self.outbox);
    }

    /// News of a tip with a template as deep as that of a full block.
    pub fn new_tip(&mut self) -> Inbox {
        self.tip += 1;
        let branches = (0..BRANCHES).map(|branch| Hash256::from_internal([branch as u8; 32])).collect();
        let template = work::template(u64::from(self.tip), self.tip, self.now.unix);
        let template = Template { merkle_branches: branches, ..template };
        Inbox { node: vec![NodeEvent::Template(template.into())], ..Inbox::default() }
    }

    /// So many shares for the first job, none like another; lines of one miner follow each other, as sockets give them.
    pub fn shares(&mut self, count: usize, miners: u32) -> Inbox {
        let mut inbox = Inbox::default();
        let each = count.div_ceil(miners as usize);
        for number in 0..count {
            self.extranonce2 += 1;
            let slot = (number / each) as u32;
            inbox.push_line(key(slot), submit(number, slot, self.extranonce2).as_bytes());
        }
        inbox
    }

    /// A share each of `count` miners, beginning with that of `slot`.
    pub fn shares_from(&mut self, slot: u32, count: u32, miners: u32) -> Inbox {
        let mut inbox = Inbox::default();
        for slot in (slot..slot + count).map(|slot| slot % miners) {
            self.extranonce2 += 1;
            inbox.push_line(key(slot), submit(slot as usize, slot, self.extranonce2).as_bytes());
        }
        inbox
    }

    /// News of a tip with the subsidy only, as it was foreseen.
    pub fn new_empty_tip(&mut self) -> Inbox {
        self.tip += 1;
        let template = work::subsidy_only(u64::from(self.tip), self.tip, self.now.unix);
        let interval = settings().network.halving_interval();
        let template = Template { coinbase_value: Sats::subsidy(template.height, interval), ..template };
        Inbox { node: vec![NodeEvent::Template(template.into())], ..Inbox::default() }
    }

    /// The full work on the latest tip.
    pub fn full_template(&mut self) -> Inbox {
        self.tip -= 1;
        self.new_tip()
    }

    /// As [`Self::shares`], in frames of Stratum V2.
    pub fn shares_v2(&mut self, count: usize, miners: u32) -> Inbox {
        let mut inbox = Inbox::default();
        let each = count.div_ceil(miners as usize);
        for number in 0..count {
            self.extranonce2 += 1;
            let share = SubmitSharesExtended {
                channel_id: 1,
                sequence_number: number as u32,
                job_id: 1,
                nonce: number as u32,
                ntime: START_SECONDS as u32,
                version: 0x2000_0000,
                extranonce: &self.extranonce2.to_be_bytes(),
            };
            inbox.push_line(key((number / each) as u32), &share.to_frame());
        }
        inbox
    }

    /// How long the ticks of `inboxes` take, in which so many shares are answered.
    pub fn time_of(&mut self, inboxes: &mut [Inbox], shares: usize) -> Duration {
        let start = std::time::Instant::now();
        let mut answered = 0;
        for inbox in inboxes {
            self.tick(inbox);
            answered += self.outbox.shares;
        }
        let duration = start.elapsed();
        assert_eq!(answered as usize, shares, "every line is a share");
        duration
    }

    /// Shares made so far.
    pub fn shares_made(&self) -> u64 {
        self.extranonce2
    }
}

/// The settings of tests, with a difficulty that every hash meets.
pub fn settings() -> Settings {
    let settings = pool::settings();
    let easiest = difficulty(1e-12);
    let vardiff = VardiffSettings { enabled: false, initial: easiest, min: easiest, ..settings.vardiff };
    Settings { vardiff, device_classes: [].into(), connections_max: 100_000, ..settings }
}

/// The connection of a slot.
pub fn key(slot: u32) -> ConnectionKey {
    ConnectionKey { slot, generation: 1 }
}

/// A miner connects and says what miners say.
pub fn log_in(slot: u32, inbox: &mut Inbox) {
    let (connection, peer) = (key(slot), IpAddr::V4(Ipv4Addr::LOCALHOST));
    inbox.opened.push(Opened { connection, peer, protocol: Protocol::StratumV1 });
    hello(slot).lines().for_each(|line| inbox.push_line(connection, line.as_bytes()));
}

/// A miner of Stratum V2 connects and opens a channel.
fn log_in_v2(slot: u32, inbox: &mut Inbox) {
    let (connection, peer) = (key(slot), IpAddr::V4(Ipv4Addr::new(127, 0, (slot >> 8) as u8, slot as u8)));
    inbox.opened.push(Opened { connection, peer, protocol: Protocol::StratumV2 });
    let nothing = Text::default();
    let setup = SetupConnection {
        protocol: 0,
        min_version: 2,
        max_version: 2,
        flags: 0,
        endpoint_host: nothing,
        endpoint_port: 0,
        vendor: "bench".into(),
        hardware_version: nothing,
        firmware: nothing,
        device_id: nothing,
    };
    let user = format!("{}.w{slot}", address(1));
    let open = OpenExtendedMiningChannel {
        request_id: 1,
        user_identity: user.as_str().into(),
        nominal_hash_rate: 1e12,
        max_target: Target::MAX,
        min_extranonce_size: 8,
    };
    inbox.push_line(connection, &setup.to_frame());
    inbox.push_line(connection, &open.to_frame());
}

/// Its lines.
pub fn hello(slot: u32) -> String {
    let user = format!("{}.w{slot}", address(1));
    format!(
        "{{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"bench\"]}}\n\
         {{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"{user}\",\"x\"]}}\n"
    )
}

/// A share of the first job.
pub fn submit(id: usize, slot: u32, extranonce2: u64) -> String {
    format!(
        r#"{{"id":{id},"method":"mining.submit","params":["{}.w{slot}","1","{extranonce2:016x}","{:x}","{:08x}"]}}"#,
        address(1),
        START_SECONDS,
        id as u32
    )
}
