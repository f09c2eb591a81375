//! Blocks of others, and reorganisations.

use super::*;

impl Simulation {
    pub(super) fn external_block(&mut self) {
        self.soon(Some(self.options.external_block), Event::External);
        let node = self.node_of_others();
        let now = self.unix().header_seconds();
        self.nodes.all[node].chain.mine_external(now);
        self.tip_changed(node);
    }

    pub(super) fn reorganise(&mut self) {
        self.soon(self.options.reorganisation.filter(|_| !self.is_calm), Event::Reorganise);
        let depth = self.random.between(1, 6) as u32;
        let node = self.node_of_others();
        let now = self.unix().header_seconds();
        self.nodes.all[node].chain.reorganise(depth, now);
        self.tip_changed(node);
    }

    /// The node that hears first of a block of others. A node whose process does not run hears of none, unless it is the
    /// only one, which stands for the network.
    fn node_of_others(&mut self) -> usize {
        let is_parted = self.nodes.is_parted;
        let is_second =
            self.nodes.all.len() > 1 && is_parted && self.wire.random.chance(self.options.nodes.branch_share);
        let first = usize::from(is_second);
        let running = (0..self.nodes.all.len()).map(|number| (first + number) % self.nodes.all.len());
        running.into_iter().find(|node| self.nodes.all[*node].runs).unwrap_or(first)
    }
}
