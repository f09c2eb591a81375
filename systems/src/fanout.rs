//! Who has yet to be sent the latest job: largest hash rate first, so many a tick.
//!
//! Writing to ten thousand sockets takes the kernel tens of milliseconds. In one tick the first byte would wait until the
//! last write is prepared, and every submit of that time until the last byte has gone. So a tick serves only the largest
//! of those who wait; the next one follows at once, with what arrived meanwhile.

use bevy_ecs::entity::Entity;
use bevy_ecs::resource::Resource;
use warppool_components::limits::FANOUT_CONNECTIONS_PER_TICK;

/// A channel that has yet to be sent the latest job.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Waiting {
    /// Its hash rate, in hashes a second.
    pub hashes_per_second: f64,
    /// The channel.
    pub channel: Entity,
    /// The job is the first of a tip for this channel.
    pub is_clean: bool,
}

/// Those who wait.
#[derive(Resource, Debug, Default)]
pub struct Fanout(Vec<Waiting>);

impl Fanout {
    /// A job goes to `everybody`. Whoever still waited for the first job of a tip gets this one in its place, so it is
    /// the first of that tip for him.
    pub fn begin(&mut self, everybody: impl Iterator<Item = Waiting>) {
        let mut late: Vec<Entity> =
            self.0.iter().filter(|waiting| waiting.is_clean).map(|waiting| waiting.channel).collect();
        late.sort_unstable();
        self.0.clear();
        self.0.extend(everybody.map(|waiting| {
            let is_late = late.binary_search(&waiting.channel).is_ok();
            Waiting { is_clean: waiting.is_clean || is_late, ..waiting }
        }));
    }

    /// Takes those whose turn it is, in order.
    pub fn take_largest(&mut self) -> Vec<Waiting> {
        let rest = self.0.len().saturating_sub(FANOUT_CONNECTIONS_PER_TICK);
        // Smallest first, so that those who go are at the end; what stays needs no order.
        let rising = |one: &Waiting, other: &Waiting| {
            one.hashes_per_second.total_cmp(&other.hashes_per_second).then(other.channel.cmp(&one.channel))
        };
        if rest > 0 {
            self.0.select_nth_unstable_by(rest, rising);
        }
        let mut largest = self.0.split_off(rest);
        largest.sort_unstable_by(|one, other| rising(other, one));
        largest
    }

    /// Whether all have been served.
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(number: u32, is_clean: bool) -> Waiting {
        let channel = Entity::from_raw_u32(number).expect("a small number");
        Waiting { hashes_per_second: f64::from(number % 1000), channel, is_clean }
    }

    #[test]
    fn the_largest_go_first_and_everybody_goes_once() {
        let mut fanout = Fanout::default();
        let count = 3 * FANOUT_CONNECTIONS_PER_TICK as u32 + 7;
        fanout.begin((0..count).map(|number| waiting(number, false)));
        let mut served = Vec::new();
        while !fanout.is_done() {
            let some = fanout.take_largest();
            assert!(some.len() <= FANOUT_CONNECTIONS_PER_TICK);
            served.extend(some);
        }
        assert!(served.is_sorted_by(|one, other| one.hashes_per_second >= other.hashes_per_second));
        let mut channels: Vec<Entity> = served.iter().map(|waiting| waiting.channel).collect();
        channels.sort_unstable();
        channels.dedup();
        assert_eq!(channels.len(), count as usize);
    }

    #[test]
    fn who_missed_the_first_job_of_a_tip_gets_the_next_one_as_such() {
        let mut fanout = Fanout::default();
        let count = FANOUT_CONNECTIONS_PER_TICK as u32 + 2;
        fanout.begin((0..count).map(|number| waiting(number, true)));
        fanout.take_largest();
        fanout.begin((0..count).map(|number| waiting(number, false)));
        let mut clean = 0;
        while !fanout.is_done() {
            clean += fanout.take_largest().iter().filter(|waiting| waiting.is_clean).count();
        }
        assert_eq!(clean, 2);
    }
}
