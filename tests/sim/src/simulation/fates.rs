//! What must be true of the pool's choice among its nodes, and of the blocks that it found.

use super::*;
use crate::nodes::Node;
use std::collections::HashSet;
use warppool_components::limits::{BLOCKS_PER_READ_MAX, CONFIRMATIONS_FOLLOWED};
use warppool_components::record::{BlockRow, Restored};
use warppool_components::template::{Template, TemplateKind};
use warppool_components::units::Hash256;

/// How long the pool may take to notice what a node does, beside the time between two of its looks: a call that was lost in
/// a spell that has ended, and the pause behind it.
const NOTICE: Duration = Duration::from_secs(20);

/// Until a block has gone to each node, however many calls before it wait for answers that never come.
const SENT_MAX: Duration = Duration::from_secs(300);

/// A block that some node cannot place, because it never saw the one before it, waits this long for that.
const UNPLACED_MAX: Duration = Duration::from_secs(400);

/// The end of the run in which only what is on its way between pool and nodes still happens.
const SETTLING: Duration = Duration::from_secs(10);

/// Height of a block that starts a retarget period has no work before the full template is there.
const RETARGET_INTERVAL: u32 = 2016;

/// The books about nodes.
#[derive(Debug, Default)]
pub(super) struct Fates {
    /// Tip of the work that the pool hands out, and whose full templates it does.
    chosen: Option<[u8; 32]>,
    provider: Option<usize>,
    started_ns: u64,
    /// Tips that the pool worked on, and that it is on again, since when, in seconds.
    visited: HashSet<[u8; 32]>,
    present: Option<[u8; 32]>,
    returned_at: Option<u32>,
    /// Found blocks that have not been sent to all nodes yet: when they were found, and to which they were.
    unsent: BTreeMap<[u8; 32], (u64, HashSet<usize>)>,
}

impl Fates {
    /// The pool was started: it has chosen nothing yet, and blocks of which it does not know that a node took them go to all.
    pub(super) fn restart(&mut self, now_ns: u64, restored: &Restored) {
        *self = Self { started_ns: now_ns, ..Self::default() };
        let open = restored.blocks.iter().filter(|row| row.state == BlockState::Pending);
        open.for_each(|row| self.found(*row.hash.as_internal(), now_ns));
    }

    /// When the pool came back to `tip`, its present one, if it had left it before.
    pub(super) fn returned_at(&mut self, tip: Option<[u8; 32]>, now: UnixTime) -> Option<u32> {
        if tip != self.present {
            let is_known = tip.is_some_and(|tip| !self.visited.insert(tip));
            self.returned_at = is_known.then(|| now.header_seconds());
            self.present = tip;
        }
        self.returned_at
    }

    /// A block was found.
    pub(super) fn found(&mut self, hash: [u8; 32], now_ns: u64) {
        self.unsent.insert(hash, (now_ns, HashSet::new()));
    }

    /// A block leaves for a node.
    pub(super) fn sent(&mut self, hash: [u8; 32], node: usize) {
        if let Some((_, nodes)) = self.unsent.get_mut(&hash) {
            nodes.insert(node);
        }
    }
}

/// What became of the blocks of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BlockFates {
    /// In the best chain.
    pub in_chain: usize,
    /// Beside it: another block of their height was faster, or a reorganisation took them out.
    pub lost_races: usize,
    /// Open, for a header time in the future.
    pub open: usize,
    /// Kept out of the journal by a crash in the tick that found them; a node has them all the same.
    pub unlisted: usize,
}

impl Simulation {
    /// Something that the node side tells the engine.
    pub(super) fn hear(&mut self, event: NodeEvent) {
        match &event {
            NodeEvent::Template(template) => self.check_work(template),
            NodeEvent::Status(status) => {
                let is_ready = status.health == NodeHealth::Ready;
                self.ready_since = is_ready.then(|| self.ready_since.unwrap_or(self.now_ns));
            }
            NodeEvent::Block { hash, state } => self.note_state(*hash.as_internal(), state),
            NodeEvent::Given(_) | NodeEvent::UpstreamTarget(_) => {}
        }
        self.tell(event);
    }

    fn note_state(&mut self, hash: [u8; 32], state: &BlockState) {
        match state {
            BlockState::Pending => return,
            BlockState::Rejected(reason) => {
                assert!(self.ledger.is_refusal_due(hash, reason), "the pool takes a found block for refused: {reason}");
            }
            BlockState::Accepted | BlockState::Confirmed(_) | BlockState::Orphaned => {}
        }
        self.ledger.concluded(hash);
    }

    /// How long something must have been so, for the pool to act on it for sure.
    fn notice(&self) -> Duration {
        NOTICE + 2 * self.options.nodes.poll_interval
    }

    /// The pool leaves a tip for a higher one, or when no node that is well stands on it; on a tip it takes full templates
    /// from another node only when the former one is not well.
    fn check_work(&mut self, template: &Template) {
        self.nodes.note_work(template);
        let (tip, notice, now_ns) = (*template.previous_block.as_internal(), self.notice(), self.now_ns);
        if let Some(before) = self.fates.chosen.filter(|before| *before != tip) {
            let is_higher = self.nodes.height_of(tip) > self.nodes.height_of(before);
            let stands = |node: &Node| {
                let since = Duration::from_nanos(now_ns - node.tip_since_ns);
                node.tip() == before && since >= notice && node.is_well_for(notice, now_ns)
            };
            let stays = self.nodes.all.iter().position(stands);
            assert!(
                is_higher || stays.is_none(),
                "the pool leaves the tip of node {stays:?}, which is well, for no higher one"
            );
            self.fates.provider = None;
        }
        self.fates.chosen = Some(tip);
        if template.kind != TemplateKind::Full {
            return;
        }
        let giver = self.nodes.giver(template);
        if let (Some(former), Some(giver)) = (self.fates.provider, giver) {
            // Whoever gives the next template after a failure of the former one takes its place.
            let next_template = self.options.refresh + 2 * self.options.template_delay;
            let is_well = self.nodes.all[former].is_well_for(notice + next_template, now_ns);
            assert!(giver == former || !is_well, "node {giver} gives work in place of node {former}, which is well");
        }
        self.fates.provider = giver.or(self.fates.provider);
    }

    /// Work is on a tip as high as that of any node that has been well for long enough.
    pub(super) fn check_choice(&self) {
        let lag = self.notice() + 2 * self.options.template_delay;
        let (now_ns, lag_ns) = (self.now_ns, nanos(lag));
        let Some((tip, then_ns)) = self.pool_tip.zip(now_ns.checked_sub(lag_ns)) else { return };
        if self.fates.started_ns > then_ns {
            return;
        }
        let height = self.nodes.height_of(tip).expect("work is on a tip that some node has");
        for (number, node) in self.nodes.all.iter().enumerate().filter(|(_, node)| node.is_well_for(lag, now_ns)) {
            let due = node.height_at(then_ns).unwrap_or(0);
            let may_wait = (due + 1).is_multiple_of(RETARGET_INTERVAL);
            assert!(height >= due || may_wait, "work is at height {height}, node {number} has been at {due} for long");
        }
    }

    /// Every block that was found, or was open at the start, has been sent to every node.
    pub(super) fn check_sent(&mut self) {
        let (now_ns, nodes) = (self.now_ns, self.nodes.all.len());
        self.fates.unsent.retain(|_, (_, sent)| sent.len() < nodes);
        let late = self.fates.unsent.values().find(|(at, _)| Duration::from_nanos(now_ns - at) > SENT_MAX);
        assert!(late.is_none(), "a block was not sent to all nodes: {late:?}");
    }

    /// Lets what is on its way between pool and nodes arrive.
    pub(super) fn settle(&mut self) {
        let end_at = self.end_at + nanos(SETTLING + 2 * self.options.nodes.poll_interval);
        while let Some(event) = self.next_event(end_at) {
            if matches!(event, Event::Nodes(_) | Event::Tick | Event::Flush) {
                self.happen(event);
            }
        }
        self.now_ns = end_at;
    }

    /// The fate of every found block, as the store tells it at the end: that is the nodes' as well.
    pub(super) fn check_fates(&self, pool: &PoolSide) -> BlockFates {
        let rows = all_blocks(pool);
        let mut fates = BlockFates::default();
        for (hash, found_ns) in &self.ledger.candidates {
            let shown = Hash256::from_internal(*hash);
            let Some(row) = rows.get(hash) else {
                assert!(self.ledger.unlisted.contains(hash), "found block {shown} is not in the store");
                fates.unlisted += 1;
                continue;
            };
            match row.state {
                BlockState::Accepted => self.check_depth(shown, 1),
                BlockState::Confirmed(count) => self.check_depth(shown, count),
                BlockState::Orphaned => self.check_lost(shown),
                BlockState::Pending => self.check_open(shown, *found_ns),
                BlockState::Rejected(_) => panic!("found block {shown} is {}", row.state),
            }
            match row.state {
                BlockState::Orphaned => fates.lost_races += 1,
                BlockState::Pending => fates.open += 1,
                _ => fates.in_chain += 1,
            }
        }
        fates
    }

    /// Nodes with the longest chain. There are two of different opinion only until the next block.
    fn best_nodes(&self) -> impl Iterator<Item = &Node> {
        let best = self.nodes.all.iter().map(|node| node.chain.tip().height).max();
        self.nodes.all.iter().filter(move |node| Some(node.chain.tip().height) == best)
    }

    fn check_depth(&self, hash: Hash256, count: u32) {
        let depths: Vec<i64> = self
            .best_nodes()
            .filter_map(|node| node.chain.header(*hash.as_internal()))
            .map(|(_, confirmations)| confirmations)
            .collect();
        let followed = i64::from(CONFIRMATIONS_FOLLOWED);
        let fits =
            |depth: &i64| *depth == i64::from(count) || i64::from(count) >= followed && *depth >= i64::from(count);
        assert!(
            depths.iter().any(fits),
            "found block {hash} is confirmed({count}) in the store and {depths:?} in the chain"
        );
    }

    fn check_lost(&self, hash: Hash256) {
        let is_known = self.nodes.know(*hash.as_internal());
        assert!(is_known, "found block {hash} is orphaned, and no node knows it");
        let has_lost = self.best_nodes().any(|node| !node.chain.is_active(*hash.as_internal()));
        assert!(has_lost, "found block {hash} is orphaned in the store, and in the best chain of all nodes");
    }

    fn check_open(&self, hash: Hash256, found_ns: u64) {
        let (hash, is_young) = (*hash.as_internal(), self.now_ns - found_ns < nanos(UNPLACED_MAX));
        let is_unplaced = self.nodes.all.iter().any(|node| !node.chain.knows(hash));
        let is_known = self.nodes.know(hash);
        let is_excused = if is_known { is_unplaced && is_young } else { self.ledger.is_mistimed(hash) };
        let what = if is_known { "is pending, although nodes know it" } else { "never reached the chain" };
        assert!(is_excused, "found block {} {what}", Hash256::from_internal(hash));
    }
}

/// All blocks of the store, by hash in internal byte order.
fn all_blocks(pool: &PoolSide) -> HashMap<[u8; 32], BlockRow> {
    let reader = pool.store.reader();
    let mut all = HashMap::new();
    let mut before = None;
    loop {
        let page = reader.blocks(before, BLOCKS_PER_READ_MAX).unwrap_or_else(|error| panic!("the blocks: {error}"));
        before = page.last().map(|row| (row.height, row.hash));
        all.extend(page.into_iter().map(|row| (*row.hash.as_internal(), row)));
        if before.is_none() {
            return all;
        }
    }
}
