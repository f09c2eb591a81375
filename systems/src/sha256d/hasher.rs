//! Any number of shares, cut into batches for the backend that is the fastest for what is left.

use super::{Backend, Share};
use warppool_components::share::ShareHash;

/// Smallest number of shares of each class of batches.
pub(super) const CLASSES: [usize; 6] = [1, 2, 4, 8, 16, 64];

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
}
