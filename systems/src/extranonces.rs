//! Who has which `extranonce1`, now and for ten minutes after.

use bevy_ecs::resource::Resource;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;
use warppool_components::channel::DifficultyEpochs;
use warppool_components::job::JobId;
use warppool_components::limits::{EXTRANONCE1_BYTES, SESSION_KEPT_SECONDS, SESSIONS_KEPT_MAX};
use warppool_components::units::Instant;

/// The unique part of a channel's coinbases.
pub type Extranonce1 = [u8; EXTRANONCE1_BYTES];

/// Gives out values that no live channel and no remembered session has. The start comes from the runtime's
/// randomness, so a restarted pool does not hand out the ranges of the one before.
#[derive(Resource, Debug)]
pub struct Extranonces {
    next: u32,
    next_session: u64,
    taken: HashSet<Extranonce1>,
    kept: HashMap<u64, (Former, Instant)>,
    /// In the order in which they ended. One that was resumed has a place of every time it ended; the last one counts.
    kept_order: VecDeque<(u64, Instant)>,
}

/// What is remembered of a channel that ended, so that shares which its miner found meanwhile are still good.
#[derive(Clone, Debug, Default)]
pub struct Former {
    /// The unique part of its coinbases.
    pub extranonce1: Extranonce1,
    /// First job that it was sent.
    pub first_job: Option<JobId>,
    /// Latest job that it was sent.
    pub last_job: Option<JobId>,
    /// The difficulties of those jobs.
    pub epochs: DifficultyEpochs,
}

impl Extranonces {
    /// Begins at a place that `seed` decides.
    pub fn new(seed: u64) -> Self {
        Self {
            next: seed as u32,
            next_session: seed,
            taken: HashSet::new(),
            kept: HashMap::new(),
            kept_order: VecDeque::new(),
        }
    }

    /// A value that is nobody's, and the session id by which it can be had again.
    pub fn take(&mut self) -> (u64, Extranonce1) {
        loop {
            self.next = self.next.wrapping_add(1);
            let value = self.next.to_be_bytes();
            if self.next != 0 && self.taken.insert(value) {
                return (self.session_id(), value);
            }
        }
    }

    /// Frees a value at once: nobody can come back to it. It is given again only after all others were.
    pub fn free(&mut self, value: Extranonce1) {
        self.taken.remove(&value);
    }

    /// What a session had that ended less than ten minutes ago; it then belongs to the caller, whose own value is
    /// free again.
    pub fn resume(&mut self, session: u64, own: Extranonce1) -> Option<Former> {
        let (former, _) = self.kept.remove(&session)?;
        self.taken.remove(&own);
        Some(former)
    }

    /// Remembers a channel that ended.
    pub fn keep(&mut self, session: u64, former: Former, now: Instant) {
        if self.kept_order.len() >= SESSIONS_KEPT_MAX {
            self.forget_oldest();
        }
        self.kept.insert(session, (former, now));
        self.kept_order.push_back((session, now));
    }

    /// Frees the values of sessions that are over for longer than ten minutes.
    pub fn forget_old(&mut self, now: Instant) {
        while let Some((_, since)) = self.kept_order.front() {
            if now.since(*since) < Duration::from_secs(SESSION_KEPT_SECONDS) {
                return;
            }
            self.forget_oldest();
        }
    }

    /// Values that are in use or remembered.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    fn forget_oldest(&mut self) {
        let Some((session, since)) = self.kept_order.pop_front() else { return };
        // One that was resumed since then is alive, or ended later and has another place.
        if self.kept.get(&session).is_none_or(|(_, kept_since)| *kept_since != since) {
            return;
        }
        if let Some((former, _)) = self.kept.remove(&session) {
            self.taken.remove(&former.extranonce1);
        }
    }

    /// Splitmix64: ids that differ in many digits and tell nothing about the number of sessions.
    fn session_id(&mut self) -> u64 {
        self.next_session = self.next_session.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.next_session;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant(0) + Duration::from_secs(seconds)
    }

    #[test]
    fn values_are_unique_and_never_zero() {
        let mut extranonces = Extranonces::new(u64::from(u32::MAX) - 10);
        let values: HashSet<_> = (0..1000).map(|_| extranonces.take().1).collect();
        assert_eq!(values.len(), 1000);
        assert!(!values.contains(&[0; EXTRANONCE1_BYTES]));
    }

    #[test]
    fn a_session_gets_its_value_again_for_ten_minutes() {
        let mut extranonces = Extranonces::new(1);
        let (session, extranonce1) = extranonces.take();
        let former = || Former { extranonce1, ..Former::default() };
        let resumed = |extranonces: &mut Extranonces, own| extranonces.resume(session, own).map(|it| it.extranonce1);
        extranonces.keep(session, former(), at(0));
        extranonces.forget_old(at(599));
        let (_, fresh) = extranonces.take();
        assert_eq!(resumed(&mut extranonces, fresh), Some(extranonce1));
        assert_eq!(resumed(&mut extranonces, extranonce1), None, "a session resumes once");

        extranonces.keep(session, former(), at(700));
        extranonces.forget_old(at(1300));
        assert_eq!(resumed(&mut extranonces, fresh), None);
        assert!(extranonces.is_empty());
    }

    /// Found by the simulation, seed 1: while somebody came back again and again with the same session, no other session
    /// was forgotten.
    #[test]
    fn one_that_resumes_again_and_again_keeps_no_other_session() {
        let mut extranonces = Extranonces::new(1);
        let (session, extranonce1) = extranonces.take();
        let former = |extranonce1| Former { extranonce1, ..Former::default() };
        extranonces.keep(session, former(extranonce1), at(0));
        for round in 1..10 {
            let (other, value) = extranonces.take();
            extranonces.keep(other, former(value), at(500 * round));
            let (_, own) = extranonces.take();
            assert!(extranonces.resume(session, own).is_some(), "it was gone for less than ten minutes");
            extranonces.keep(session, former(extranonce1), at(500 * round));
            extranonces.forget_old(at(500 * round));
            assert!(extranonces.len() <= 3, "{} sessions", extranonces.len());
        }
        extranonces.forget_old(at(10_000));
        assert!(extranonces.is_empty() && extranonces.kept_order.is_empty());
    }
}
