//! The payees that jobs are prepared for: a small dense index for each payout script in use.

use bevy_ecs::resource::Resource;
use std::collections::HashMap;
use std::sync::Arc;
use warppool_components::job::JobId;
use warppool_components::limits::PAYOUTS_MAX;
use warppool_components::settings::Payee;

/// Payees by index. An index is given anew only after every job that knew its former owner is gone, so that no
/// share can ever be judged with another's coinbase.
#[derive(Resource, Debug, Default)]
pub struct Payees {
    entries: Vec<Entry>,
    by_script: HashMap<Arc<[u8]>, u32>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    payee: Payee,
    channels: u32,
    /// Newest job when the last channel left; the index may be reused once this job is gone.
    released_at: Option<JobId>,
}

impl Payees {
    /// The index of `payee` for one more channel; `None` when there are too many payees.
    pub fn retain(&mut self, payee: &Payee) -> Option<u32> {
        if let Some(index) = self.by_script.get(&payee.script) {
            let entry = &mut self.entries[*index as usize];
            entry.channels += 1;
            entry.released_at = None;
            return Some(*index);
        }
        let entry = Entry { payee: payee.clone(), channels: 1, released_at: None };
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

    /// One channel less; `newest` is the latest job there is.
    pub fn release(&mut self, index: u32, newest: JobId) {
        let entry = &mut self.entries[index as usize];
        entry.channels = entry.channels.saturating_sub(1);
        if entry.channels == 0 {
            entry.released_at = Some(newest);
        }
    }

    /// Frees the indexes that no job older than `oldest` can name any more.
    pub fn reuse(&mut self, oldest: JobId) {
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if entry.released_at.is_some_and(|released_at| released_at < oldest) {
                entry.released_at = None;
                self.by_script.remove(&entry.payee.script);
                self.free.push(index as u32);
            }
        }
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
        payees.release(first, JobId(5));
        payees.reuse(JobId(100));
        assert_eq!(payees.in_use().collect::<Vec<_>>(), [first], "one channel is left");
        payees.release(first, JobId(7));
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
        payees.release(first, JobId(5));
        assert_eq!(payees.retain(&payee(1)), Some(first));
        payees.reuse(JobId(100));
        assert_eq!(payees.payee(first), &payee(1));
        assert_eq!(payees.in_use().count(), 1);
    }
}
