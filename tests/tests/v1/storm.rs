//! Arbitrary sequences of what miners, nodes and clocks may do: nothing panics, what each miner reads stays in order
//! (the miners of these tests check every line), and in the end all gauges are back at zero and all sums are equal.

use proptest::prelude::*;
use std::time::Duration;
use warppool_components::inbox::{Command, MinerMessage, MinerMessageContent};
use warppool_components::node::NodeHealth;
use warppool_tests::pool::{Conn, Pool, authorize, settings};
use warppool_tests::work::{self, address, with_bits};

/// Most connections of a storm.
const CONNECTIONS: usize = 6;

#[derive(Clone, Debug)]
enum Event {
    Open,
    HangUp(usize),
    Line(usize, Line),
    Tick,
    Pass(u64),
    NewTip(bool),
    SameTip,
    Node(bool),
    Message(Option<u8>),
}

#[derive(Clone, Debug)]
enum Line {
    Subscribe(&'static str),
    Resume(usize),
    Authorize(u8, &'static str),
    Configure(u32),
    Suggest(f64),
    Share { user: u8, extranonce2: u64, nonce: u32, version: Option<u32>, job: u32, ntime: i32 },
    Text(String),
}

fn line() -> impl Strategy<Value = Line> {
    let agents = prop::sample::select(vec!["bitaxe", "NerdMinerV2", "cgminer/4.12", ""]);
    let passwords = prop::sample::select(vec!["x", "d=1e-9", "d=4", "md=1e-8", "d=0", "d=1e300,md=1e-300"]);
    let share = (0..5u8, 0..3u64, 0..40u32, prop::option::of(any::<u32>()), 0..6u32, -2..8000i32);
    prop_oneof![
        3 => agents.prop_map(Line::Subscribe),
        1 => (0..CONNECTIONS).prop_map(Line::Resume),
        4 => (0..5u8, passwords).prop_map(|(user, password)| Line::Authorize(user, password)),
        1 => any::<u32>().prop_map(Line::Configure),
        1 => any::<f64>().prop_map(Line::Suggest),
        12 => share.prop_map(|(user, extranonce2, nonce, version, job, ntime)| {
            Line::Share { user, extranonce2, nonce, version, job, ntime }
        }),
        1 => "[ -~]{0,40}".prop_map(Line::Text),
        1 => "\\PC{0,20}".prop_map(|text| Line::Text(format!("{{\"id\":1,\"method\":\"mining.authorize\",\"params\":[{text:?}]}}"))),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Open),
        1 => (0..CONNECTIONS).prop_map(Event::HangUp),
        20 => (0..CONNECTIONS, line()).prop_map(|(conn, line)| Event::Line(conn, line)),
        6 => Just(Event::Tick),
        2 => (1..100u64).prop_map(Event::Pass),
        1 => any::<bool>().prop_map(Event::NewTip),
        1 => Just(Event::SameTip),
        1 => any::<bool>().prop_map(Event::Node),
        1 => prop::option::of(0..3u8).prop_map(Event::Message),
    ]
}

/// A storm in progress.
struct Storm {
    pool: Pool,
    conns: Vec<Conn>,
}

impl Storm {
    fn happen(&mut self, event: Event) {
        match event {
            Event::Open if self.conns.len() < CONNECTIONS => {
                let conn = self.pool.push_open();
                self.conns.push(conn);
            }
            Event::Open => {}
            Event::HangUp(place) => {
                if place < self.conns.len() {
                    let conn = self.conns.swap_remove(place);
                    self.pool.push_hang_up(conn);
                    // What the sockets do: a connection that has ended says nothing more.
                    self.pool.tick();
                }
            }
            Event::Line(place, line) => {
                if let Some(conn) = self.conns.get(place).copied() {
                    let text = self.text(conn, line);
                    self.pool.push_line(conn, &text);
                }
            }
            Event::Tick => self.pool.tick(),
            Event::Pass(seconds) => self.pool.advance(Duration::from_secs(seconds)),
            Event::NewTip(empty) => {
                let template = self.pool.next_tip();
                let empty_one = work::subsidy_only(template.id.0, template.height - 1000, template.received_at);
                self.pool.push_template(with_bits(if empty { empty_one } else { template }, 0x2000_ffff));
            }
            Event::SameTip => {
                let template = self.pool.next_template();
                self.pool.push_template(with_bits(template, 0x2000_ffff));
            }
            Event::Message(number) => {
                let content = MinerMessageContent::Show("hello".into());
                let message = MinerMessage { worker: number.map(|number| user(number).into()), content };
                self.pool.command(Command::TellMiners(message));
            }
            Event::Node(up) => self.pool.health(if up { NodeHealth::Ready } else { NodeHealth::Lost }),
        }
        let pool = &self.pool;
        self.conns.retain(|conn| pool.closed(*conn).is_none());
    }

    fn text(&self, conn: Conn, line: Line) -> String {
        match line {
            Line::Subscribe(agent) => format!(r#"{{"id":1,"method":"mining.subscribe","params":["{agent}"]}}"#),
            Line::Resume(place) => {
                let session =
                    self.conns.get(place).map(|conn| self.pool.miner(*conn).session.clone()).unwrap_or_default();
                format!(r#"{{"id":1,"method":"mining.subscribe","params":["cgminer","{session}"]}}"#)
            }
            Line::Authorize(number, password) => authorize(2, &user(number), password),
            Line::Configure(mask) => format!(
                r#"{{"id":3,"method":"mining.configure","params":[["version-rolling"],{{"version-rolling.mask":"{mask:x}"}}]}}"#
            ),
            Line::Suggest(value) => format!(r#"{{"id":4,"method":"mining.suggest_difficulty","params":[{value:e}]}}"#),
            Line::Share { user: number, extranonce2, nonce, version, job, ntime } => {
                let jobs = &self.pool.miner(conn).jobs;
                let at = jobs.len().checked_sub(1 + job as usize).and_then(|place| jobs.get(place));
                let (id, time) = at.map_or(("1", 0), |job| (&job.id, job.ntime));
                let version = version.map(|version| format!(",\"{:x}\"", version & 0x20ff_e000)).unwrap_or_default();
                let time = time.saturating_add_signed(ntime);
                let name = user(number);
                format!(
                    r#"{{"id":5,"method":"mining.submit","params":["{name}","{id}","{extranonce2:016x}","{time:x}","{nonce:x}"{version}]}}"#
                )
            }
            Line::Text(text) => text,
        }
    }

    fn calm_down(mut self) -> Result<(), TestCaseError> {
        self.pool.tick();
        let pool = &mut self.pool;
        self.conns.retain(|conn| pool.closed(*conn).is_none());
        for conn in self.conns.drain(..) {
            pool.push_hang_up(conn);
        }
        pool.advance(Duration::from_secs(2));
        let snapshot = pool.snapshot.as_ref().expect("published");
        prop_assert_eq!((snapshot.pool.connections_v1, snapshot.pool.workers_online), (0, 0));
        prop_assert!(snapshot.workers.iter().all(|worker| worker.connections == 0));
        prop_assert_eq!(snapshot.pool.accepted, snapshot.workers.iter().map(|worker| worker.accepted).sum::<u64>());
        let rows = pool.shares.iter().filter(|row| row.reject.is_none());
        prop_assert_eq!(snapshot.pool.accepted, rows.count() as u64);
        for block in &pool.blocks {
            let block: bitcoin::Block = bitcoin::consensus::deserialize(&block.serialise()).expect("a block");
            prop_assert!(block.check_merkle_root() && block.check_witness_commitment());
        }
        Ok(())
    }
}

/// Three addresses, an address in two spellings, and one that is none.
fn user(number: u8) -> String {
    match number {
        0..=2 => format!("{}.rig", address(number)),
        3 => format!("{}_rig", address(0)),
        _ => "nobody".to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_pool_stays_whole(seed: u64, events in prop::collection::vec(event(), 1..120)) {
        let mut storm = Storm { pool: Pool::new(settings(), seed).with_work(), conns: Vec::new() };
        for event in events {
            storm.happen(event);
        }
        storm.calm_down()?;
    }
}
