//! The node: blocks of others, reorganisations, outages, templates, and found blocks on their way.

use super::*;

impl Simulation {
    pub(super) fn external_block(&mut self) {
        self.soon(Some(self.options.external_block), Event::External);
        self.node.chain.mine_external(self.unix().header_seconds());
        self.chain_changed();
    }

    pub(super) fn reorganise(&mut self) {
        self.soon(self.options.reorganisation.filter(|_| !self.is_calm), Event::Reorganise);
        let depth = self.random.between(1, 6) as u32;
        self.node.chain.reorganise(depth, self.unix().header_seconds());
        self.chain_changed();
    }

    /// ZMQ tells at once, or the poll finds it out within a second.
    pub(super) fn chain_changed(&mut self) {
        let is_silent = !self.is_calm && self.random.chance(self.options.silent_tips);
        let after = if is_silent { self.random.between(1, 1000) } else { 1 };
        self.at(Duration::from_millis(after), Event::TipSeen);
    }

    pub(super) fn tip_seen(&mut self) {
        if !self.node.is_up || self.pool.is_none() || self.node.is_told() {
            return;
        }
        if let Some(template) = self.node.tip_seen(self.unix()) {
            self.tell(node::work(template));
        }
        let longest = if self.is_calm { Duration::from_millis(50) } else { self.options.template_delay };
        let after = Duration::from_nanos(self.random.between(0, nanos(longest)));
        self.at(after, Event::Template { tip: self.node.tip() });
    }

    pub(super) fn template(&mut self, tip: [u8; 32]) {
        if self.node.is_up && self.pool.is_some() && self.node.tip() == tip && self.node.is_told() {
            let template = self.node.template(self.unix());
            self.tell(node::work(template));
        }
    }

    pub(super) fn refresh(&mut self) {
        self.at(self.options.refresh, Event::Refresh);
        self.template(self.node.tip());
    }

    pub(super) fn outage(&mut self) {
        self.soon(self.options.node_outage.filter(|_| !self.is_calm), Event::Outage);
        if !std::mem::replace(&mut self.node.is_up, false) {
            return;
        }
        self.ready_since = None;
        self.tell(node::health(NodeHealth::Lost, self.unix()));
        let after = self.random.between(1, 300);
        self.at(Duration::from_secs(after), Event::NodeUp);
    }

    pub(super) fn node_up(&mut self) {
        if std::mem::replace(&mut self.node.is_up, true) {
            return;
        }
        if self.pool.is_some() {
            self.ready_since = Some(self.now_ns);
        }
        self.tell(node::health(NodeHealth::Ready, self.unix()));
        self.node.forget();
        self.at(Duration::from_millis(1), Event::TipSeen);
        self.at(Duration::from_millis(1), Event::Resubmit);
    }

    pub(super) fn submit_all(&mut self) {
        let now = self.unix();
        let Some(pool) = &mut self.pool else { return };
        let mut news = Vec::new();
        let (node, random) = (&mut self.node, &mut self.random);
        let losses = if self.is_calm { 0.0 } else { 0.3 };
        pool.submissions.retain(|submission| {
            // It may not reach the node, or the answer may not come back.
            if !node.is_up || random.chance(losses) {
                return true;
            }
            let answer = node.submit(&submission.bytes, submission.hash, now);
            if random.chance(losses) {
                return true;
            }
            let state = match answer {
                Answer::Accepted => BlockState::Accepted,
                Answer::Beside => BlockState::Orphaned,
                Answer::Refused(reason) if self.ledger.is_refusal_due(submission.hash, &reason) => {
                    BlockState::Rejected(reason)
                }
                Answer::Refused(reason) => panic!("the node refuses a found block: {reason}"),
            };
            let hash = warppool_components::units::Hash256::from_internal(submission.hash);
            self.ledger.concluded(submission.hash);
            news.push(NodeEvent::Block { hash, state });
            false
        });
        let is_open = !pool.submissions.is_empty();
        for event in news {
            self.tell(event);
        }
        if !self.node.is_told() {
            self.chain_changed();
        }
        if is_open {
            self.at(RESUBMIT, Event::Resubmit);
        }
    }

    pub(super) fn resubmit(&mut self) {
        if self.pool.as_ref().is_some_and(|pool| !pool.submissions.is_empty()) {
            self.submit_all();
        }
    }
}
