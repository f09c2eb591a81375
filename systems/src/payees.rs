//! The payees that jobs are prepared for: a small dense index for each payout script in use.

use bevy_ecs::resource::Resource;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use warppool_components::job::JobId;
use warppool_components::limits::{PAYEES_LINGERING_PER_ADDRESS_MAX, PAYOUTS_MAX};
use warppool_components::settings::Payee;
use warppool_net::admission::PeerNetwork;

/// Payees by index. An index is given anew only after no job knows its former owner any more, so that no share can ever be
/// judged with another's coinbase: because those jobs are gone, or because the caller of [`Payees::release`] has taken the
/// payee out of them.
#[derive(Resource, Debug, Default)]
pub struct Payees {
    entries: Vec<Entry>,
    by_script: HashMap<Arc<[u8]>, u32>,
    free: Vec<u32>,
    /// Payees without a channel that jobs still know, by the network that left them last, longest ago first.
    lingering: HashMap<PeerNetwork, VecDeque<u32>>,
}

#[derive(Debug)]
struct Entry {
    payee: Payee,
    channels: u32,
    /// Newest job when the last channel left, and whose that was; the index may be reused once this job is gone.
    released: Option<(JobId, PeerNetwork)>,
}

impl Payees {
    /// The index of `payee` for one more channel; `None` when there are too many payees.
    pub fn retain(&mut self, payee: &Payee) -> Option<u32> {
        if let Some(index) = self.by_script.get(&payee.script) {
            let index = *index;
            self.stay(index);
            self.entries[index as usize].channels += 1;
            return Some(index);
        }
        let entry = Entry { payee: payee.clone(), channels: 1, released: None };
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = entry;
                index
            }
            None if self.entries.len() < PAYOUTS_MAX => {
                self.entries.push(entry);
                self.entries.len() as u32 - 1
            }
            None => return None,
        };
        self.by_script.insert(payee.script.clone(), index);
        Some(index)
    }

    /// One channel of `peer` less; `newest` is the latest job there is. When `peer` has left too many payees, gives the
    /// index of one that is free from now on: the caller takes it out of all jobs at once.
    #[must_use]
    pub fn release(&mut self, index: u32, newest: JobId, peer: PeerNetwork) -> Option<u32> {
        let entry = &mut self.entries[index as usize];
        entry.channels = entry.channels.saturating_sub(1);
        if entry.channels > 0 {
            return None;
        }
        entry.released = Some((newest, peer));
        let left = self.lingering.entry(peer).or_default();
        left.push_back(index);
        let oldest = if left.len() > PAYEES_LINGERING_PER_ADDRESS_MAX { left.front().copied() } else { None };
        oldest.inspect(|oldest| self.free(*oldest))
    }

    /// The payee of `index` is not left behind any more.
    fn stay(&mut self, index: u32) {
        let Some((_, peer)) = self.entries[index as usize].released.take() else { return };
        let Some(left) = self.lingering.get_mut(&peer) else { return };
        left.retain(|other| *other != index);
        if left.is_empty() {
            self.lingering.remove(&peer);
        }
    }

    fn free(&mut self, index: u32) {
        self.stay(index);
        self.by_script.remove(&self.entries[index as usize].payee.script);
        self.free.push(index);
    }

    /// Frees the indexes that no job older than `oldest` can name any more, and gives them: a job that was sent ahead may
    /// still know them.
    pub fn reuse(&mut self, oldest: JobId) -> Vec<u32> {
        let is_over = |entry: &Entry| entry.released.is_some_and(|(released_at, _)| released_at < oldest);
        let over = self.entries.iter().enumerate().filter(|(_, entry)| is_over(entry));
        let over: Vec<u32> = over.map(|(index, _)| index as u32).collect();
        over.iter().for_each(|index| self.free(*index));
        over
    }

    /// Who has `index`.
    pub fn payee(&self, index: u32) -> &Payee {
        &self.entries[index as usize].payee
    }

    /// Indexes that live channels use, rising.
    pub fn in_use(&self) -> impl Iterator<Item = u32> + '_ {
        self.entries.iter().enumerate().filter(|(_, entry)| entry.channels > 0).map(|(index, _)| index as u32)
    }

    /// One more than the largest index.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there never was one.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payee(number: u32) -> Payee {
        Payee { address: number.to_string().into(), script: number.to_le_bytes().to_vec().into() }
    }

    #[test]
    fn an_index_is_reused_only_after_its_last_job() {
        let mut payees = Payees::default();
        let first = payees.retain(&payee(1)).expect("room");
        assert_eq!(payees.retain(&payee(1)), Some(first));
        assert_eq!(payees.release(first, JobId(5), PeerNetwork::default()), None);
        payees.reuse(JobId(100));
        assert_eq!(payees.in_use().collect::<Vec<_>>(), [first], "one channel is left");
        assert_eq!(payees.release(first, JobId(7), PeerNetwork::default()), None);
        payees.reuse(JobId(7));
        assert_ne!(payees.retain(&payee(2)), Some(first), "job 7 still knows the index");
        payees.reuse(JobId(8));
        assert_eq!(payees.retain(&payee(3)), Some(first));
        assert_eq!(payees.payee(first), &payee(3));
    }

    #[test]
    fn one_that_comes_back_keeps_its_index() {
        let mut payees = Payees::default();
        let first = payees.retain(&payee(1)).expect("room");
        assert_eq!(payees.release(first, JobId(5), PeerNetwork::default()), None);
        assert_eq!(payees.retain(&payee(1)), Some(first));
        payees.reuse(JobId(100));
        assert_eq!(payees.payee(first), &payee(1));
        assert_eq!(payees.in_use().count(), 1);
    }

    #[test]
    fn an_address_leaves_a_bounded_number_behind_and_the_oldest_goes_first() {
        let peer = PeerNetwork::of([192, 0, 2, 1].into());
        let mut payees = Payees::default();
        let mut evicted = Vec::new();
        for number in 0..1000 {
            let index = payees.retain(&payee(number)).expect("room");
            evicted.extend(payees.release(index, JobId(1), peer));
            if number % 10 == 0 {
                // One that comes back counts as new.
                let index = payees.retain(&payee(number)).expect("room");
                evicted.extend(payees.release(index, JobId(1), peer));
            }
        }
        assert_eq!(evicted.len(), 1000 - PAYEES_LINGERING_PER_ADDRESS_MAX);
        assert_eq!((evicted[0], payees.len()), (0, PAYEES_LINGERING_PER_ADDRESS_MAX + 1));
        payees.reuse(JobId(2));
        assert!(payees.lingering.is_empty() && payees.by_script.is_empty());
        assert_eq!(payees.free.len(), payees.len());
    }
}
