//! A pool, its miners, and a court: rounds of one template in all its kinds.
//!
//! A round begins at a tip P and ends three blocks higher:
//!
//! ```text
//! P ── first                     V1 or version-rolled, from the template: connected at once
//! ├── second ── empty            the other of the two, beside it; an empty job on it makes Core change over and validate both
//! └── stale ── empty ── empty    a share for P's job after P is no tip any more; two empty jobs on it, and Core changes over
//! ```
//! So every block that was put aside is validated to its last script in the same round, in a reorganisation of one and of
//! two blocks.

use crate::chain::{Offer, Tip, subsidy};
use crate::coins::Purse;
use crate::court::{Court, Verdict};
use crate::people::{self, Person};
use crate::random::Random;
use crate::tally::{Kind, Tally};
use bitcoin::consensus::deserialize;
use bitcoin::{Block, ScriptBuf};
use std::sync::Arc;
use warppool_components::block::BlockCandidate;
use warppool_components::settings::{Network, Settings};
use warppool_components::template::{Template, TemplateId};
use warppool_io::node::{LevelHasher, template};
use warppool_systems::sha256d::{Backend, Hasher};
use warppool_tests::pool::{CONFIGURE, Conn, Pool, authorize};

/// Rounds until another pool with other settings and other miners takes over.
const ROUNDS_OF_A_POOL: u32 = 16;

/// Whom a miner's connection pays, and what it may roll.
struct Seat {
    conn: Conn,
    user: String,
    pays: Person,
    mask: u32,
}

/// A block that the pool would submit.
pub struct Found {
    /// What the engine put out.
    pub candidate: Arc<BlockCandidate>,
    /// The block as `submitblock` gets it.
    pub bytes: Vec<u8>,
    /// The same, decoded by crate `bitcoin`.
    pub block: Block,
}

/// A pool and its judge.
pub struct Arena {
    /// Where chance comes from.
    pub random: Random,
    /// The judge.
    pub court: Court,
    /// The end of the chain.
    pub tip: Tip,
    /// What can be spent there.
    pub purse: Purse,
    /// What was judged.
    pub tally: Tally,
    pool: Pool,
    settings: Settings,
    backend: Backend,
    level_hasher: LevelHasher,
    seats: Vec<Seat>,
    rounds_left: u32,
    templates: u64,
    /// Whether the latest job on a new tip is an empty one.
    has_empty_job: bool,
}

impl Arena {
    /// A chain of cheap blocks up to `height`, and a pool on it.
    pub fn new(seed: u64, height: u32) -> Self {
        let mut random = Random::new(seed);
        let settings = people::settings(&mut random);
        let mut arena = Self {
            court: Court::new(),
            tip: Tip::genesis(),
            purse: Purse::default(),
            tally: Tally::default(),
            pool: Pool::new(settings.clone(), random.next()),
            settings,
            backend: Backend::Scalar,
            level_hasher: LevelHasher::default(),
            seats: Vec::new(),
            rounds_left: 0,
            templates: 0,
            has_empty_job: false,
            random,
        };
        (0..height).for_each(|_| arena.extend_cheaply());
        arena.new_pool();
        arena
    }

    /// One more block without the pool, whose subsidy anybody may spend.
    pub fn extend_cheaply(&mut self) {
        let block = self.tip.cheap_block();
        let verdict = self.court.judge(&bitcoin::consensus::serialize(&block));
        assert_eq!(verdict, Verdict::Connected(vec![block.block_hash()]));
        self.extend(&block);
    }

    /// Another pool when the present one has had its rounds.
    pub fn begin_round(&mut self) {
        if self.rounds_left == 0 {
            self.new_pool();
        }
        self.rounds_left -= 1;
    }

    /// Another pool with other settings, that hashes in another way, and three miners: one that rolls no version bits, one that
    /// rolls the usual ones, one that rolls all that are ever granted.
    fn new_pool(&mut self) {
        self.settings = people::settings(&mut self.random);
        self.backend = self.random.pick(Backend::available());
        let hasher = Hasher::forced(self.backend).expect("this processor can it");
        self.level_hasher = LevelHasher::new(move |nodes| hasher.hash_level(nodes));
        self.pool = Pool::new(self.settings.clone(), self.random.next()).hashing_with(self.backend);
        self.rounds_left = ROUNDS_OF_A_POOL;
        self.seats.clear();
        // Some template, so that miners have work when they come; every later one is on another tip.
        let tip = Tip::nowhere();
        let offer = Offer { time: tip.time() + 1, tip, transactions: Vec::new(), version: 4 };
        self.hand_offer(&offer);
        for mask in [None, Some("ffffffff"), Some("1fffffe0")] {
            let person = Person::any(&mut self.random);
            let user = format!("{}.rig", person.address);
            let conn = self.pool.connect();
            if let Some(mask) = mask {
                self.pool.send(conn, &[&CONFIGURE.replace("ffffffff", mask)]);
            }
            let lines =
                [r#"{"id":1,"method":"mining.subscribe","params":["judge/1.0"]}"#, &authorize(2, &user, "d=1e-9")];
            self.pool.send(conn, &lines);
            self.pool.take(conn);
            let pays = match &self.settings.payout.fallback {
                Some(payee) if !self.settings.payout.pay_username_address => {
                    Person::of(ScriptBuf::from_bytes(payee.script.to_vec()))
                }
                _ => person,
            };
            let mask = self.pool.miner(conn).version_mask;
            self.seats.push(Seat { conn, user, pays, mask });
        }
    }

    /// Makes a template of at most so many transactions for the tip.
    pub fn offer(&mut self, transactions: usize) -> Offer {
        let transactions = self.purse.transactions(&mut self.random, self.tip.height + 1, transactions);
        let earliest = self.tip.median_time() + 1;
        let time = match self.random.between(0, 3) {
            0 => earliest,
            _ => earliest.max(self.tip.time() + self.random.between(0, 1200) as u32),
        };
        // Deployments that the node signals are not the pool's to signal.
        let version = 0x2000_0000 | if self.random.one_in(2) { 0 } else { 1 << self.random.between(0, 28) };
        Offer { tip: self.tip.clone(), transactions, time, version }
    }

    /// What `io::node` makes of the node's JSON.
    pub fn decode(&mut self, offer: &Offer) -> Template {
        let now = self.pool.now().unix;
        let parsed = template::parse(offer.json().as_bytes(), Network::Regtest, now, &self.level_hasher);
        let template = parsed.expect("a template of the node").template;
        self.templates += 1;
        Template { id: TemplateId(self.templates), ..template }
    }

    /// Gives the pool a template.
    pub fn hand(&mut self, template: Template) {
        self.pool.template(template);
        for seat in &self.seats {
            self.pool.take(seat.conn);
        }
    }

    /// Gives the pool what the node offers.
    pub fn hand_offer(&mut self, offer: &Offer) -> Template {
        let template = self.decode(offer);
        self.hand(template.clone());
        template
    }

    /// The miners get a fresh job on the same tip.
    pub fn refresh(&mut self) {
        self.pool.advance(std::time::Duration::from_secs(31));
        for seat in &self.seats {
            self.pool.take(seat.conn);
        }
    }

    /// Gives the pool the news of a tip before the node has a template for it. Where no empty job may be handed out, a
    /// template without transactions stands in.
    fn hand_tip(&mut self, tip: &Tip, last: &Template) {
        self.has_empty_job = true;
        match template::subsidy_only(&tip.told(), last, Network::Regtest, self.pool.now().unix) {
            Some(template) => {
                self.templates += 1;
                self.hand(Template { id: TemplateId(self.templates), ..template });
            }
            None => {
                assert_eq!((tip.height + 1) % 2016, 0, "elsewhere there is an empty job");
                self.tally.without_empty_job += 1;
                self.has_empty_job = false;
                let time = tip.time().max(tip.median_time() + 1);
                self.hand_offer(&Offer { tip: tip.clone(), transactions: Vec::new(), time, version: 0x2000_0000 });
            }
        }
    }

    /// The latest job of a seat.
    fn job(&self, seat: usize) -> String {
        self.pool.miner(self.seats[seat].conn).job().id.clone()
    }

    /// A seat that rolls version bits, or the one that does not.
    pub fn seat(&mut self, rolls: bool) -> usize {
        if rolls { self.random.between(1, 2) as usize } else { 0 }
    }

    /// Any seat.
    pub fn any_seat(&mut self) -> usize {
        let rolls = self.random.one_in(2);
        self.seat(rolls)
    }

    /// A miner finds a block on its latest job, at the job's own time.
    pub fn find(&mut self, seat: usize) -> Found {
        let job = self.job(seat);
        self.find_on(seat, &job, 0, false)
    }

    /// A miner finds a block on a job so many seconds ahead, and the pool puts it out; `stale` says what is answered.
    fn find_on(&mut self, seat: usize, job: &str, seconds_ahead: u32, stale: bool) -> Found {
        let Seat { conn, user, mask, .. } = &self.seats[seat];
        let miner = self.pool.miner(*conn);
        let ntime = miner.jobs.iter().find(|known| known.id == job).expect("a job that it got").ntime;
        let mut search = miner.search_job(job).extranonce2(self.random.next()).ntime(ntime + seconds_ahead);
        if *mask != 0 {
            let bits = self.random.next() as u32 & mask;
            search = search.version_bits(bits | (mask & mask.wrapping_neg()));
        }
        let share = search.hit();
        let verdict = self.pool.submit(*conn, user, &share);
        assert_eq!(verdict.is_err(), stale, "{verdict:?}");
        assert_eq!(self.pool.blocks.len(), 1, "each block is put out once");
        let candidate = self.pool.blocks.pop().expect("counted just now");
        assert_eq!((candidate.hash.to_string(), candidate.share_rejected), (share.hash.clone(), stale));
        let bytes = candidate.serialise();
        let block: Block = deserialize(&bytes).expect("a block that the network can read");
        assert_eq!(block.block_hash().to_string(), share.hash, "what was hashed is what is submitted");
        assert_eq!(block.header.version.to_consensus() as u32, share.version);
        Found { candidate, bytes, block }
    }

    /// Every output to the satoshi as configured, and the tag.
    fn check_coinbase(&mut self, seat: usize, found: &Found, sats: u64) {
        let coinbase = &found.block.txdata[0];
        let pays = &self.seats[seat].pays;
        let is_commitment = |script: &ScriptBuf| script.as_bytes().starts_with(&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed]);
        let mut paid: Vec<(ScriptBuf, u64)> = Vec::new();
        for output in &coinbase.output {
            if output.value.to_sat() > 0 {
                paid.push((output.script_pubkey.clone(), output.value.to_sat()));
            } else {
                let nothing_to_pay = sats == 0 && output.script_pubkey == pays.script;
                assert!(is_commitment(&output.script_pubkey) || nothing_to_pay, "an output of nothing: {output:?}");
            }
        }
        paid.sort();
        assert_eq!(paid, people::payments(&self.settings, &pays.script, sats));
        assert_eq!(paid.iter().map(|(_, part)| part).sum::<u64>(), sats);
        let tag = format!("/{}/", self.settings.pool_tag);
        let script = coinbase.input[0].script_sig.as_bytes();
        assert!(script.windows(tag.len()).any(|part| part == tag.as_bytes()), "no {tag} in {script:?}");
        let settings = &self.settings;
        self.tally.with_cuts += u64::from(settings.payout.fee.is_some() || settings.payout.donation.is_some());
        *self.tally.tag_lengths.entry(settings.pool_tag.len()).or_default() += 1;
        self.tally.address_types[pays.address_type] += 1;
    }

    /// Finds a block, checks what it pays and hears the court.
    fn submit(&mut self, kind: Kind, seat: usize, job: &str, sats: u64) -> (Found, Verdict) {
        let seconds_ahead = if self.random.one_in(4) { self.random.between(0, 3600) as u32 } else { 0 };
        let found = self.find_on(seat, job, seconds_ahead, kind == Kind::StaleTip);
        self.check_coinbase(seat, &found, sats);
        self.tally.submitted(kind, found.candidate.template.height);
        let verdict = self.court.judge(&found.bytes);
        (found, verdict)
    }

    /// A block on the latest job for `tip`, which has no transactions.
    fn submit_empty(&mut self, tip: &Tip) -> (Kind, Found, Verdict) {
        let rolls = self.random.one_in(2);
        let kind = if self.has_empty_job { Kind::EmptyJob } else { Kind::of(rolls) };
        let seat = self.seat(rolls);
        let job = self.job(seat);
        let (found, verdict) = self.submit(kind, seat, &job, subsidy(tip.height + 1));
        assert_eq!(found.block.txdata.len(), 1);
        (kind, found, verdict)
    }

    /// One template in all its kinds; see the head of this file.
    pub fn round(&mut self, transactions: usize) {
        self.begin_round();
        let offer = self.offer(transactions);
        self.count(&offer);
        let template = self.hand_offer(&offer);
        let jobs: Vec<String> = (0..self.seats.len()).map(|seat| self.job(seat)).collect();

        let rolls_first = self.random.one_in(2);
        let seat = self.seat(rolls_first);
        let (first, verdict) = self.submit(Kind::of(rolls_first), seat, &jobs[seat], offer.value());
        assert_eq!(verdict, Verdict::Connected(vec![first.block.block_hash()]), "{offer:?}");
        self.tally.accepted(Kind::of(rolls_first));
        let seat = self.seat(!rolls_first);
        let (second, verdict) = self.submit(Kind::of(!rolls_first), seat, &jobs[seat], offer.value());
        assert_eq!(verdict, Verdict::Aside);

        self.hand_tip(&offer.tip.with(&first.block.header), &template);
        let seat = self.any_seat();
        let (stale, verdict) = self.submit(Kind::StaleTip, seat, &jobs[seat], offer.value());
        assert_eq!(verdict, Verdict::Aside);

        let tip = offer.tip.with(&second.block.header);
        self.hand_tip(&tip, &template);
        let (kind, empty, verdict) = self.submit_empty(&tip);
        assert_eq!(verdict, connected(&[&second, &empty]));
        self.tally.accepted(Kind::of(!rolls_first));
        self.tally.accepted(kind);

        self.end_on(stale, &offer, &template);
    }

    /// Two empty jobs on the stale block make its branch the best chain.
    fn end_on(&mut self, stale: Found, offer: &Offer, template: &Template) {
        let tip = offer.tip.with(&stale.block.header);
        self.hand_tip(&tip, template);
        let (lower_kind, lower, verdict) = self.submit_empty(&tip);
        assert_eq!(verdict, Verdict::Aside);
        let higher_tip = tip.with(&lower.block.header);
        self.hand_tip(&higher_tip, template);
        let (upper_kind, upper, verdict) = self.submit_empty(&higher_tip);
        assert_eq!(verdict, connected(&[&stale, &lower, &upper]));
        self.tally.accepted(Kind::StaleTip);
        self.tally.accepted(lower_kind);
        self.tally.accepted(upper_kind);
        for found in [&stale, &lower, &upper] {
            self.extend(&found.block);
        }
        assert_eq!((self.court.tip(), self.court.height()), (self.tip.hash, self.tip.height));
    }

    /// The chain goes on with a block that the court has connected.
    pub fn extend(&mut self, block: &Block) {
        self.tip = self.tip.with(&block.header);
        self.purse.earn(&block.txdata[0], self.tip.height);
    }

    fn count(&mut self, offer: &Offer) {
        let has_witness = |input: &bitcoin::TxIn| !input.witness.is_empty();
        let with_witness = offer.transactions.iter().filter(|paying| paying.transaction.input.iter().any(has_witness));
        self.tally.templates += 1;
        *self.tally.backends.entry(self.backend.name()).or_default() += 1;
        self.tally.with_witness += with_witness.count() as u64;
        self.tally.transactions += offer.transactions.len() as u64;
        self.tally.transactions_max = self.tally.transactions_max.max(offer.transactions.len());
    }
}

fn connected(founds: &[&Found]) -> Verdict {
    Verdict::Connected(founds.iter().map(|found| found.block.block_hash()).collect())
}
