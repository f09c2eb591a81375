//! Any number of shares or nodes of a tree, cut into batches for the backend that is the fastest for what is left.

use super::{Backend, Share};
use warppool_components::share::ShareHash;
use warppool_components::units::Hash256;

/// Smallest number of shares of each class of batches.
pub(super) const CLASSES: [usize; 6] = [1, 2, 4, 8, 16, 64];

/// Lanes of the widest backend.
const LANES_MAX: usize = 16;

/// Hashes shares with a backend for each class of batches. What comes out does not depend on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hasher {
    by_class: [Backend; CLASSES.len()],
}

impl Hasher {
    /// Always this backend; `None` when this processor cannot it.
    pub fn forced(backend: Backend) -> Option<Self> {
        backend.is_available().then_some(Self { by_class: [backend; CLASSES.len()] })
    }

    pub(super) fn chosen(by_class: [Backend; CLASSES.len()]) -> Self {
        Self { by_class }
    }

    /// The backend for so many shares.
    pub fn backend_for(&self, shares: usize) -> Backend {
        let class = CLASSES.iter().rposition(|fewest| *fewest <= shares).unwrap_or(0);
        self.by_class[class]
    }

    /// Hashes each of `shares` to its place in `hashes`.
    ///
    /// # Panics
    /// When there are not as many places as shares.
    pub fn hash(&self, mut shares: &[Share<'_>], mut hashes: &mut [ShareHash]) {
        assert_eq!(shares.len(), hashes.len(), "a place for each share");
        while !shares.is_empty() {
            let backend = self.backend_for(shares.len());
            let count = shares.len().min(backend.lanes());
            let (batch, rest) = shares.split_at(count);
            let (places, rest_places) = hashes.split_at_mut(count);
            backend.hash_batch(batch, places);
            (shares, hashes) = (rest, rest_places);
        }
    }

    /// Takes a level of a merkle tree one up, in place: neighbours of `nodes` are hashed together, and the parents take
    /// the first half. What is in the second half afterwards means nothing.
    ///
    /// # Panics
    /// When the number of nodes is odd: which node is repeated is the tree's rule, not known here.
    pub fn hash_level(&self, nodes: &mut [Hash256]) {
        assert!(nodes.len().is_multiple_of(2), "nodes come in pairs");
        let pairs = nodes.len() / 2;
        let mut batch = [[Hash256::ZERO; 2]; LANES_MAX];
        let mut done = 0;
        while done < pairs {
            let backend = self.backend_for(pairs - done);
            let count = (pairs - done).min(backend.lanes());
            // A copy, because the parents are written over their children.
            let (children, _) = nodes[2 * done..2 * (done + count)].as_chunks::<2>();
            batch[..count].copy_from_slice(children);
            backend.hash_pairs(&batch[..count], &mut nodes[done..done + count]);
            done += count;
        }
    }
}
