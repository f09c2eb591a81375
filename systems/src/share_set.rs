//! The hashes of a job's credited shares, to tell a duplicate.

use bevy_ecs::component::Component;
use warppool_components::limits::SHARE_HASHES_PER_JOB_MAX;
use warppool_components::units::Hash256;

/// What became of an attempt to remember a hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remembered {
    /// It is new.
    New,
    /// It was there.
    Known,
    /// It is new, but the set holds as many as it may.
    Full,
}

/// Open addressing over the low 64 bits of the hash, which are as good as random: the header holds extranonce,
/// ntime, nonce and version, so equal work has equal bits and padding or case of the text does not matter.
/// Grows by doubling, is bounded, and goes with its job.
#[derive(Component, Clone, Debug, Default)]
pub struct ShareSet {
    /// Zero is an empty slot.
    slots: Vec<u64>,
    count: usize,
}

impl ShareSet {
    /// Remembers `hash` unless it is known or the set is full.
    pub fn remember(&mut self, hash: &Hash256) -> Remembered {
        if 4 * (self.count + 1) > 3 * self.slots.len() && self.slots.len() < 2 * SHARE_HASHES_PER_JOB_MAX {
            self.grow();
        }
        let key = key(hash);
        let place = self.place(key);
        if self.slots[place] == key {
            return Remembered::Known;
        }
        if self.count >= SHARE_HASHES_PER_JOB_MAX {
            return Remembered::Full;
        }
        self.slots[place] = key;
        self.count += 1;
        Remembered::New
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The slot that holds `key`, or the empty one where it would go. There always is one: at most 3/4 are used.
    fn place(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut place = key as usize & mask;
        while self.slots[place] != 0 && self.slots[place] != key {
            place = (place + 1) & mask;
        }
        place
    }

    fn grow(&mut self) {
        let larger = vec![0; (2 * self.slots.len()).max(64)];
        let old = std::mem::replace(&mut self.slots, larger);
        for key in old.into_iter().filter(|key| *key != 0) {
            let place = self.place(key);
            self.slots[place] = key;
        }
    }
}

fn key(hash: &Hash256) -> u64 {
    let (words, _) = hash.as_internal().as_chunks::<8>();
    u64::from_le_bytes(words[0]).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> Hash256 {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        Hash256::from_internal(bytes)
    }

    #[test]
    fn each_hash_is_new_once() {
        let mut set = ShareSet::default();
        for number in 0..10_000 {
            assert_eq!(set.remember(&hash(number)), Remembered::New, "{number}");
        }
        for number in 0..10_000 {
            assert_eq!(set.remember(&hash(number)), Remembered::Known, "{number}");
        }
        assert_eq!(set.len(), 10_000);
    }

    #[test]
    fn a_full_set_says_so_and_still_knows_its_own() {
        let mut set = ShareSet::default();
        for number in 0..SHARE_HASHES_PER_JOB_MAX as u64 {
            assert_eq!(set.remember(&hash(number)), Remembered::New);
        }
        assert_eq!(set.remember(&hash(u64::MAX)), Remembered::Full);
        assert_eq!(set.remember(&hash(77)), Remembered::Known);
    }
}
