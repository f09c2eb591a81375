//! Shares that were sent and await an answer, bounded in number and time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};
use warppool_components::limits::{UPSTREAM_ANSWER_SECONDS_MAX, UPSTREAM_ANSWERS_PENDING_MAX};

/// What awaits an answer, by the number that it was sent under; the oldest first.
#[derive(Debug)]
pub(super) struct Pending {
    sent: VecDeque<(u32, Instant)>,
    last: u32,
}

impl Pending {
    /// Nothing yet; the first number will be the one after `last`.
    pub(super) const fn after(last: u32) -> Self {
        Self { sent: VecDeque::new(), last }
    }

    /// The number to send the next share under; `None` when too many await an answer.
    pub(super) fn add(&mut self, now: Instant) -> Option<u32> {
        if self.sent.len() >= UPSTREAM_ANSWERS_PENDING_MAX {
            return None;
        }
        self.last = self.last.wrapping_add(1);
        self.sent.push_back((self.last, now));
        Some(self.last)
    }

    /// This one was answered; whether it was waited for.
    pub(super) fn settle(&mut self, number: u32) -> bool {
        let place = self.sent.iter().position(|(sent, _)| *sent == number);
        place.and_then(|place| self.sent.remove(place)).is_some()
    }

    /// All up to this one were answered.
    pub(super) fn settle_through(&mut self, number: u32) {
        self.sent.retain(|(sent, _)| *sent > number);
    }

    /// How many have waited too long, which are then not waited for any more.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let patience = Duration::from_secs(UPSTREAM_ANSWER_SECONDS_MAX);
        let expired = self.sent.iter().take_while(|(_, sent_at)| now.duration_since(*sent_at) >= patience).count();
        self.sent.drain(..expired);
        expired as u64
    }

    /// How many await an answer.
    pub(super) fn count(&self) -> u64 {
        self.sent.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_awaits_an_answer_is_bounded_in_number_and_time() {
        let mut pending = Pending::after(0);
        let now = Instant::now();
        for number in 1..=UPSTREAM_ANSWERS_PENDING_MAX as u32 {
            assert_eq!(pending.add(now), Some(number));
        }
        assert_eq!(pending.add(now), None);
        assert!(pending.settle(7) && !pending.settle(7));
        let patience = Duration::from_secs(UPSTREAM_ANSWER_SECONDS_MAX);
        assert_eq!(pending.expire(now + patience.saturating_sub(Duration::from_millis(1))), 0);
        assert_eq!(pending.expire(now + patience), UPSTREAM_ANSWERS_PENDING_MAX as u64 - 1);
        assert_eq!((pending.count(), pending.add(now).is_some()), (0, true));
    }
}
