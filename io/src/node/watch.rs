//! What is asked of one node to find a new tip, and to know whether the node is to be trusted. Pure.
//!
//! The best block is asked for every `poll_interval`, and at once when ZMQ, or a block of our own, says that there
//! is one. Templates are never asked for here: those may take half a minute, and a tip is not to wait behind one.
//!
//! A look is a few questions, one after the other: the chain, when the node was gone; the tip; the chain, now and then;
//! what is good to know. The first that fails ends it, but for the last ones.

use super::pins::{Stranger, pins};
use super::question::{Next, Outcome, Question, Reply};
use super::rpc::{ChainInfo, Header, NetworkInfo, RpcError};
use super::side::Known;
use super::status::Standing;
use std::time::Duration;
use warppool_components::inbox::Now;
use warppool_components::units::{Hash256, Instant};

/// How often a node that is fine is asked for its chain and whether it is still in step.
const CHAIN_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Between two attempts to reach a node that does not answer.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Oldest Bitcoin Core whose answers the pool is made for.
const VERSION_MIN: u32 = 270_000;

/// The watch over one node.
#[derive(Debug)]
pub(super) struct Watch {
    node: usize,
    /// The last attempt was answered.
    connected: bool,
    standing: Standing,
    /// Pinned blocks that the node was found to have since it was last gone.
    pins_seen: usize,
    chain_checked_at: Option<Instant>,
    /// When the node was last not there at all.
    gone_at: Option<Instant>,
    /// The best block at the last look.
    last_best: Option<Hash256>,
    /// A tip that the poll found before ZMQ said a word.
    unannounced: Option<Hash256>,
    /// When the next look is due.
    due: Instant,
    /// Until the next look, should this one fail.
    pause: Duration,
    look: Option<Look>,
    question: Option<Question>,
}

/// A look under way.
#[derive(Debug)]
struct Look {
    step: Step,
    /// The node did not answer at the last attempt.
    came_back: bool,
    /// The tip is another one.
    moved: bool,
    /// A block that is probably the tip.
    hint: Option<Hash256>,
    /// The node's tip, as it was known when it was asked for.
    known: Option<Hash256>,
}

/// What was asked.
#[derive(Debug)]
enum Step {
    Chain,
    Pin(ChainInfo),
    Named,
    Best,
    Header,
    Network,
    Notifications(Option<NetworkInfo>),
    Mining,
}

/// The look as it goes on with a question, or its end.
type GoesOn = Result<Option<(Look, Question)>, RpcError>;

impl Watch {
    pub(super) const fn new(node: usize, now: Instant) -> Self {
        Self {
            node,
            connected: false,
            standing: Standing::Unknown,
            pins_seen: 0,
            chain_checked_at: None,
            gone_at: None,
            last_best: None,
            unannounced: None,
            due: now,
            pause: PAUSE_MIN,
            look: None,
            question: None,
        }
    }

    /// What to ask, while no question is open.
    pub(super) fn next(&mut self, known: &mut Known, now: Now) -> Next {
        if self.look.is_none() {
            let call = &mut known.calls[self.node];
            if !call.is_due && self.due > now.instant {
                return Next::Wait(Some(self.due));
            }
            call.is_due = false;
            let hint = call.block.take();
            let came_back = !self.connected;
            let look = Look { step: Step::Chain, came_back, moved: false, hint, known: None };
            let (look, question) = if came_back { (look, Question::ChainInfo) } else { self.ask_tip(look, known) };
            (self.look, self.question) = (Some(look), Some(question));
        }
        self.question.take().map_or(Next::Wait(None), |question| Next::Ask(self.node, question))
    }

    /// How the question ended.
    pub(super) fn answered(&mut self, outcome: Outcome, known: &mut Known, now: Now) {
        let Some(look) = self.look.take() else { return };
        match self.go_on(look, outcome, known, now) {
            Ok(Some((look, question))) => (self.look, self.question) = (Some(look), Some(question)),
            Ok(None) => {
                self.replace_stalled_fetcher(known, now.instant);
                known.source.alive(self.node, known.latencies[self.node], now.unix);
                self.pause = PAUSE_MIN;
                self.due = now.instant + known.options.poll_interval;
            }
            Err(error) => self.failed(&error, known, now),
        }
    }

    fn go_on(&mut self, mut look: Look, outcome: Outcome, known: &mut Known, now: Now) -> GoesOn {
        let step = std::mem::replace(&mut look.step, Step::Chain);
        match (step, outcome) {
            (Step::Chain, outcome) => match outcome? {
                Reply::ChainInfo(chain) => {
                    self.chain_checked_at = Some(now.instant);
                    self.check_pins(look, chain, known, now)
                }
                _ => Err(RpcError::Empty { method: "getblockchaininfo" }),
            },
            (Step::Pin(chain), outcome) => match outcome? {
                Reply::Hash(found) => self.compare_pin(look, chain, found, known, now),
                _ => Err(RpcError::Empty { method: "getblockhash" }),
            },
            (Step::Named, outcome) => match outcome? {
                Reply::Header(Some(header)) if header.confirmations == 1 => self.take_tip(look, header, known, now),
                _ => Ok(Some(ask(look, Step::Best, Question::BestBlockHash))),
            },
            (Step::Best, outcome) => match outcome? {
                Reply::Hash(best) => self.take_best(look, best, known, now),
                _ => Err(RpcError::Empty { method: "getbestblockhash" }),
            },
            (Step::Header, outcome) => match outcome? {
                Reply::Header(Some(header)) => self.take_tip(look, header, known, now),
                _ => Err(RpcError::Empty { method: "getblockheader" }),
            },
            // What is good to know but nothing depends on: a node that does not tell is no worse.
            (Step::Network, outcome) => {
                let network = if let Ok(Reply::NetworkInfo(info)) = outcome { Some(info) } else { None };
                Ok(Some(ask(look, Step::Notifications(network), Question::ZmqNotifications)))
            }
            (Step::Notifications(network), outcome) => {
                self.describe(network, &outcome, known, now);
                Ok(Some(ask(look, Step::Mining, Question::MiningInfo)))
            }
            (Step::Mining, outcome) => {
                if let Ok(Reply::MiningInfo(info)) = outcome {
                    known.source.network_hashrate(info.networkhashps, now.unix);
                }
                Ok(None)
            }
        }
    }

    /// Finds out whether the tip is another one.
    fn ask_tip(&self, mut look: Look, known: &Known) -> (Look, Question) {
        look.known = known.source.tip_of(self.node).map(|tip| tip.hash);
        match look.hint.filter(|hash| Some(*hash) != look.known) {
            Some(hash) => ask(look, Step::Named, Question::BlockHeader(hash)),
            None => ask(look, Step::Best, Question::BestBlockHash),
        }
    }

    fn take_best(&mut self, look: Look, best: Hash256, known: &mut Known, now: Now) -> GoesOn {
        self.compare_with_zmq(best, known, now);
        if Some(best) == look.known {
            return Ok(self.after_tip(look, now.instant));
        }
        known.hear_of_tip(best, now.instant);
        // The template is asked for already while the header is on its way.
        known.want_tip(self.node, best, now.instant);
        Ok(Some(ask(look, Step::Header, Question::BlockHeader(best))))
    }

    fn take_tip(&mut self, mut look: Look, header: Header, known: &mut Known, now: Now) -> GoesOn {
        known.hear_of_tip(header.tip.hash, now.instant);
        self.last_best = Some(header.tip.hash);
        known.want_tip(self.node, header.tip.hash, now.instant);
        known.tip(self.node, header.tip, look.known, now);
        tracing::debug!(node = self.node, height = header.tip.height, tip = %header.tip.hash, "new tip");
        look.moved = true;
        Ok(self.after_tip(look, now.instant))
    }

    /// A tip that the poll found should have been announced by the time of the next poll. The first tip after a
    /// connection was made is nobody's to announce.
    fn compare_with_zmq(&mut self, best: Hash256, known: &mut Known, now: Now) {
        let heard = known.source.zmq_heard(self.node);
        let is_new = self.last_best != Some(best);
        if let Some(hash) = self.unannounced.take()
            && heard != Some(hash)
            && !is_new
        {
            known.zmq(self.node, now, |zmq| zmq.silent = zmq.configured);
        }
        if is_new && self.last_best.is_some() && heard != Some(best) {
            self.unannounced = Some(best);
        }
        self.last_best = Some(best);
    }

    fn after_tip(&self, look: Look, now: Instant) -> Option<(Look, Question)> {
        let due = self.chain_checked_at.is_none_or(|at| now.since(at) >= CHAIN_CHECK_INTERVAL);
        if !look.came_back && (due || self.standing != Standing::Ready) {
            return Some(ask(look, Step::Chain, Question::ChainInfo));
        }
        wind_up(look)
    }

    /// Asks for the next pinned block that the node has reached and was not asked for since it was last gone.
    fn check_pins(&mut self, look: Look, chain: ChainInfo, known: &mut Known, now: Now) -> GoesOn {
        let network = known.options.network;
        let pin = pins(network).get(self.pins_seen).filter(|pin| pin.height <= chain.blocks);
        match pin.filter(|_| chain.chain == network.chain()) {
            Some(pin) => Ok(Some(ask(look, Step::Pin(chain), Question::BlockHash(pin.height)))),
            None => Ok(self.judge_chain(look, &chain, None, known, now)),
        }
    }

    fn compare_pin(&mut self, look: Look, chain: ChainInfo, found: Hash256, known: &mut Known, now: Now) -> GoesOn {
        let Some(pin) = pins(known.options.network).get(self.pins_seen) else { return Ok(None) };
        let expected = pin.hash();
        if found != expected {
            let stranger = Stranger { height: pin.height, found, expected };
            return Ok(self.judge_chain(look, &chain, Some(stranger), known, now));
        }
        self.pins_seen += 1;
        self.check_pins(look, chain, known, now)
    }

    fn judge_chain(
        &mut self,
        look: Look,
        chain: &ChainInfo,
        stranger: Option<Stranger>,
        known: &mut Known,
        now: Now,
    ) -> Option<(Look, Question)> {
        self.standing = known.source.answers(self.node, chain, stranger, now.unix);
        known.set_usable(self.node, self.standing == Standing::Ready);
        if !look.came_back {
            return wind_up(look);
        }
        self.connected = true;
        Some(self.ask_tip(look, known))
    }

    fn describe(&self, network: Option<NetworkInfo>, notifications: &Outcome, known: &mut Known, now: Now) {
        let unpublished = matches!(notifications, Ok(Reply::ZmqNotifications(all)) if !all.iter().any(|it| it.kind == "pubhashblock"));
        if let Some(info) = network.as_ref().filter(|info| info.version < VERSION_MIN) {
            let (node, version) = (known.source.name(self.node), &info.subversion);
            tracing::warn!(node, version, "the pool is made for Bitcoin Core 27 and newer");
        }
        known.source.describe(self.node, network.map(|info| info.subversion), unpublished, now.unix);
    }

    fn replace_stalled_fetcher(&self, known: &mut Known, now: Instant) {
        if known.fetches[self.node].is_stalled(self.gone_at, known.options.template_patience, now) {
            let node = known.source.name(self.node);
            tracing::info!(node, "a template request died with its connection; asking anew");
            known.replace_fetcher(self.node, now);
        }
    }

    fn failed(&mut self, error: &RpcError, known: &mut Known, now: Now) {
        // Slow is not gone: a node that is only slow keeps the request that it is working on.
        let gone = !matches!(error, RpcError::TimedOut { .. });
        if matches!(error, RpcError::Connect { .. }) {
            self.gone_at = Some(now.instant);
        }
        self.connected = false;
        (self.last_best, self.unannounced) = (None, None);
        if gone {
            self.standing = Standing::Unknown;
            // Another node may stand there when one answers again.
            self.pins_seen = 0;
            known.set_usable(self.node, false);
        }
        known.source.down(self.node, error.to_string(), gone, now.unix);
        self.due = now.instant + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }
}

/// The end of a look that went well: what is told in passing.
fn wind_up(look: Look) -> Option<(Look, Question)> {
    if look.came_back {
        Some(ask(look, Step::Network, Question::NetworkInfo))
    } else if look.moved {
        Some(ask(look, Step::Mining, Question::MiningInfo))
    } else {
        None
    }
}

fn ask(look: Look, step: Step, question: Question) -> (Look, Question) {
    let Look { came_back, moved, hint, known, .. } = look;
    (Look { step, came_back, moved, hint, known }, question)
}
