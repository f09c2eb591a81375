//! What to hand out, decided from what all nodes say. Pure: no clock, no socket, no thread.
//!
//! Several nodes may be asked, but miners work on one tip. The pool keeps to a tip as long as a usable node is on
//! it, and leaves it for a higher one or when the last such node leaves it. (Height, not chain work, decides
//! between nodes that disagree: what really has more work wins among the nodes themselves soon, and the
//! disagreement is said to the operator.) On a tip the node whose template came first keeps providing, so that
//! two nodes do not double the number of jobs.

use super::template::{Tip, subsidy_only};
use std::collections::VecDeque;
use std::sync::Arc;
use warppool_components::limits::FORMER_TIPS_KEPT_MAX;
use warppool_components::settings::Network;
use warppool_components::template::{Template, TemplateId};
use warppool_components::units::{Hash256, UnixTime};

/// A node's tips: the present one and former ones.
#[derive(Debug, Default)]
struct Tips {
    present: Option<Tip>,
    former: VecDeque<Hash256>,
}

impl Tips {
    fn move_to(&mut self, tip: Tip) {
        if let Some(before) = self.present.replace(tip)
            && before.hash != tip.hash
        {
            self.former.retain(|hash| *hash != tip.hash);
            if self.former.len() == FORMER_TIPS_KEPT_MAX {
                self.former.pop_front();
            }
            self.former.push_back(before.hash);
        }
    }
}

/// The decision so far.
#[derive(Debug)]
pub(super) struct Work {
    network: Network,
    empty_job_on_new_tip: bool,
    tips: Vec<Tips>,
    usable: Vec<bool>,
    current: Option<Tip>,
    /// Whose templates are handed out on the current tip.
    provider: Option<usize>,
    last_full: Option<Arc<Template>>,
    next_id: u64,
}

impl Work {
    /// For so many nodes, none usable yet. `first_id` numbers the first template.
    pub(super) fn new(network: Network, empty_job_on_new_tip: bool, nodes: usize) -> Self {
        Self {
            network,
            empty_job_on_new_tip,
            tips: (0..nodes).map(|_| Tips::default()).collect(),
            usable: vec![false; nodes],
            current: None,
            provider: None,
            last_full: None,
            next_id: 1,
        }
    }

    /// Whether templates of this node may be handed out. Gives work when that changes the tip.
    pub(super) fn set_usable(&mut self, node: usize, usable: bool, now: UnixTime) -> Option<Arc<Template>> {
        self.usable[node] = usable;
        if !usable && self.provider == Some(node) {
            self.provider = None;
        }
        if self.choose() { self.empty_work(now) } else { None }
    }

    /// Whether a word of the node about its tip is still worth something: it was asked for while the tip was
    /// `before`, and since then nothing newer has come another way.
    pub(super) fn is_fresh(&self, node: usize, tip: &Tip, before: Option<Hash256>) -> bool {
        let present = self.tips[node].present.map(|present| present.hash);
        present == before || present == Some(tip.hash)
    }

    /// Whether a template can be of use: it is on the node's tip, or on a higher one that it is the first to tell
    /// of. A lower or equal one may have been overtaken by the watcher; if not, the watcher will find it.
    pub(super) fn is_timely(&self, node: usize, template: &Template) -> bool {
        let tips = &self.tips[node];
        tips.present.is_none_or(|tip| {
            tip.hash == template.previous_block
                || template.height > tip.height + 1 && !tips.former.contains(&template.previous_block)
        })
    }

    /// The node's tip. Gives work at once when it is a new one for the pool.
    pub(super) fn tip(&mut self, node: usize, tip: Tip, now: UnixTime) -> Option<Arc<Template>> {
        self.tips[node].move_to(tip);
        if self.choose() { self.empty_work(now) } else { None }
    }

    /// A checked template of the node. Gives it back, numbered, when it is to be handed out.
    pub(super) fn template(&mut self, node: usize, template: Template, now: UnixTime) -> Option<Arc<Template>> {
        if !self.is_timely(node, &template) {
            return None;
        }
        let tips = &mut self.tips[node];
        if tips.present.is_none_or(|tip| tip.hash != template.previous_block) {
            tips.move_to(tip_under(&template));
        }
        let changed = self.choose();
        let wanted = self.usable[node]
            && self.current.is_some_and(|tip| tip.hash == template.previous_block)
            && self.provider.is_none_or(|provider| provider == node);
        if !wanted {
            return if changed { self.empty_work(now) } else { None };
        }
        self.provider = Some(node);
        let template = self.number(template);
        self.last_full = Some(Arc::clone(&template));
        Some(template)
    }

    /// The tip that is worked on, or would be.
    pub(super) fn current(&self) -> Option<&Tip> {
        self.current.as_ref()
    }

    /// The tip of a node.
    pub(super) fn tip_of(&self, node: usize) -> Option<&Tip> {
        self.tips[node].present.as_ref()
    }

    /// Usable nodes whose tip is another than the one that is worked on.
    pub(super) fn disagreeing(&self) -> impl Iterator<Item = usize> + '_ {
        let current = self.current.map(|tip| tip.hash);
        (0..self.tips.len()).filter(move |node| {
            self.usable[*node] && self.tips[*node].present.is_some_and(|tip| Some(tip.hash) != current)
        })
    }

    /// Nodes in the order in which they should be asked about the chain: those on the current tip first.
    pub(super) fn nodes_to_ask(&self) -> Vec<usize> {
        let disagreeing: Vec<usize> = self.disagreeing().collect();
        let mut nodes: Vec<usize> = (0..self.tips.len()).filter(|node| self.usable[*node]).collect();
        nodes.sort_by_key(|node| disagreeing.contains(node));
        nodes
    }

    /// Decides on the tip; true when it is another one now.
    fn choose(&mut self) -> bool {
        let usable =
            || (0..self.tips.len()).filter(|node| self.usable[*node]).filter_map(|node| self.tips[node].present);
        // On equal heights the first wins, and the current one before it.
        let best = usable().fold(None::<Tip>, |best, tip| match best {
            Some(best) if best.height >= tip.height => Some(best),
            _ => Some(tip),
        });
        let Some(best) = best else { return false };
        if let Some(current) = self.current
            && usable().any(|tip| tip.hash == current.hash)
            && best.height <= current.height
        {
            return false;
        }
        let changed = self.current.is_none_or(|current| current.hash != best.hash);
        self.current = Some(best);
        if changed {
            self.provider = None;
        }
        changed
    }

    fn empty_work(&mut self, now: UnixTime) -> Option<Arc<Template>> {
        if !self.empty_job_on_new_tip {
            return None;
        }
        let template = subsidy_only(self.current.as_ref()?, self.last_full.as_ref()?, self.network, now)?;
        Some(self.number(template))
    }

    fn number(&mut self, mut template: Template) -> Arc<Template> {
        template.id = TemplateId(self.next_id);
        self.next_id += 1;
        Arc::new(template)
    }
}

/// What a template tells of the tip it builds on.
fn tip_under(template: &Template) -> Tip {
    let median_time = UnixTime::from_seconds(template.min_time.seconds().saturating_sub(1));
    // The tip's own time is not in a template; it is new, or the node would have told of it before.
    Tip {
        hash: template.previous_block,
        height: template.height.saturating_sub(1),
        bits: template.bits,
        time: template.current_time,
        median_time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::LevelHasher;
    use crate::node::template::parse;
    use warppool_components::template::TemplateKind;

    const NOW: UnixTime = UnixTime::from_seconds(2_000_000_000);
    const JSON: &str = include_str!("../../../tests/data/gbt-regtest-25tx.json");

    fn tip(name: u8, height: u32) -> Tip {
        let time = UnixTime::from_seconds(1_900_000_000);
        Tip { hash: Hash256::from_internal([name; 32]), height, bits: 0x207f_ffff, time, median_time: time }
    }

    fn template(on: Tip) -> Template {
        let full = parse(JSON.as_bytes(), Network::Regtest, NOW, &LevelHasher::default())
            .expect("Core's own template")
            .template;
        Template { previous_block: on.hash, height: on.height + 1, ..full }
    }

    fn ready(nodes: usize) -> Work {
        let mut work = Work::new(Network::Regtest, true, nodes);
        for node in 0..nodes {
            assert!(work.set_usable(node, true, NOW).is_none());
        }
        work
    }

    fn kind_and_tip(template: Option<Arc<Template>>) -> Option<(TemplateKind, u8)> {
        template.map(|template| (template.kind, template.previous_block.as_internal()[0]))
    }

    const FULL: TemplateKind = TemplateKind::Full;
    const EMPTY: TemplateKind = TemplateKind::SubsidyOnly;

    #[test]
    fn a_new_tip_gives_empty_work_at_once_and_full_work_when_it_comes() {
        let mut work = ready(1);
        assert_eq!(kind_and_tip(work.tip(0, tip(1, 100), NOW)), None, "no version is known yet");
        assert_eq!(kind_and_tip(work.template(0, template(tip(1, 100)), NOW)), Some((FULL, 1)));
        assert_eq!(kind_and_tip(work.tip(0, tip(2, 101), NOW)), Some((EMPTY, 2)));
        assert_eq!(kind_and_tip(work.template(0, template(tip(1, 100)), NOW)), None, "asked for before the tip");
        assert_eq!(kind_and_tip(work.template(0, template(tip(2, 101)), NOW)), Some((FULL, 2)));
        let ids = [work.template(0, template(tip(2, 101)), NOW), work.tip(0, tip(3, 102), NOW)];
        assert_eq!(ids.map(|it| it.expect("work").id), [TemplateId(4), TemplateId(5)], "numbers rise");
    }

    #[test]
    fn no_empty_work_when_switched_off() {
        let mut work = Work::new(Network::Regtest, false, 1);
        work.set_usable(0, true, NOW);
        work.template(0, template(tip(1, 100)), NOW).expect("work");
        assert_eq!(kind_and_tip(work.tip(0, tip(2, 101), NOW)), None);
        assert_eq!(kind_and_tip(work.template(0, template(tip(2, 101)), NOW)), Some((FULL, 2)));
    }

    #[test]
    fn a_template_may_be_the_first_to_know_of_a_tip() {
        let mut work = ready(1);
        work.template(0, template(tip(1, 100)), NOW).expect("work");
        assert_eq!(kind_and_tip(work.template(0, template(tip(2, 101)), NOW)), Some((FULL, 2)));
        assert_eq!(kind_and_tip(work.tip(0, tip(2, 101), NOW)), None, "already worked on");
    }

    #[test]
    fn late_words_do_not_move_the_tip_back() {
        let mut work = ready(1);
        work.tip(0, tip(1, 100), NOW);
        work.template(0, template(tip(2, 101)), NOW).expect("work");
        assert!(!work.is_fresh(0, &tip(1, 100), None), "asked for before the template told of a newer tip");
        assert!(work.is_fresh(0, &tip(3, 102), Some(tip(2, 101).hash)));
        assert_eq!(kind_and_tip(work.tip(0, tip(4, 103), NOW)), Some((EMPTY, 4)));
        assert_eq!(kind_and_tip(work.template(0, template(tip(3, 102)), NOW)), None, "overtaken, though never seen");
    }

    #[test]
    fn a_reorganisation_and_the_way_back_are_followed() {
        let mut work = ready(1);
        work.template(0, template(tip(1, 100)), NOW).expect("work");
        assert_eq!(kind_and_tip(work.tip(0, tip(2, 100), NOW)), Some((EMPTY, 2)));
        assert_eq!(kind_and_tip(work.tip(0, tip(1, 100), NOW)), Some((EMPTY, 1)));
        assert_eq!(kind_and_tip(work.template(0, template(tip(1, 100)), NOW)), Some((FULL, 1)));
    }

    #[test]
    fn the_first_template_wins_and_its_node_keeps_providing() {
        let mut work = ready(2);
        assert_eq!(kind_and_tip(work.template(1, template(tip(1, 100)), NOW)), Some((FULL, 1)));
        assert_eq!(kind_and_tip(work.template(0, template(tip(1, 100)), NOW)), None);
        work.set_usable(1, false, NOW);
        assert_eq!(kind_and_tip(work.template(0, template(tip(1, 100)), NOW)), Some((FULL, 1)));
    }

    #[test]
    fn nodes_that_disagree_are_named_and_the_higher_one_wins() {
        let mut work = ready(2);
        work.template(0, template(tip(1, 100)), NOW).expect("work");
        assert_eq!(kind_and_tip(work.tip(1, tip(2, 100), NOW)), None, "of equal height: the current one stays");
        assert_eq!(work.disagreeing().collect::<Vec<_>>(), [1]);
        assert_eq!(work.nodes_to_ask(), [0, 1]);
        assert_eq!(kind_and_tip(work.tip(1, tip(3, 101), NOW)), Some((EMPTY, 3)));
        assert_eq!(work.nodes_to_ask(), [1, 0]);
        assert_eq!(kind_and_tip(work.template(0, template(tip(1, 100)), NOW)), None, "the lower one's work is stale");
        assert_eq!(kind_and_tip(work.set_usable(1, false, NOW)), Some((EMPTY, 1)), "only the lower one is left");
    }

    #[test]
    fn a_node_that_may_not_be_used_gives_no_work() {
        let mut work = Work::new(Network::Regtest, true, 1);
        assert_eq!(kind_and_tip(work.template(0, template(tip(1, 100)), NOW)), None);
    }
}
