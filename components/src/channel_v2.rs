//! What a connection and a channel of Stratum V2 have beside what every one has. A V1 connection carries none of it.

use crate::job::TipNumber;
use crate::units::{Difficulty, Target};
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;

/// A connection's channels by the numbers that its messages name them by.
///
/// Its [`Connection::channel`](crate::connection::Connection::channel) is none of them and never mines: what the connection
/// sends that belongs to no channel is counted there.
#[derive(Component, Clone, PartialEq, Debug, Default)]
pub struct ConnectionV2 {
    /// `SetupConnection` was answered well.
    pub is_set_up: bool,
    /// A channel was opened, though it may be closed again.
    pub has_opened: bool,
    /// The last number that was given to a channel or group; numbers are not given twice.
    pub last_number: u32,
    /// Open channels by rising number.
    pub channels: Vec<ChannelPlace>,
    /// Groups that channels were put into.
    pub groups: Vec<Group>,
}

/// Where a channel is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChannelPlace {
    /// Its number on the connection.
    pub number: u32,
    /// The group that it was put into.
    pub group: u32,
    /// Its entity.
    pub entity: Entity,
    /// Whether it is an extended one, whose miner makes the coinbase.
    pub is_extended: bool,
}

/// Channels of one kind with one payee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its number; channels and groups share one row of numbers.
    pub number: u32,
    /// Index of the payee.
    pub payout: u32,
    /// Whether its channels are extended ones.
    pub is_extended: bool,
}

impl ConnectionV2 {
    /// The channel with a number.
    #[inline]
    pub fn channel(&self, number: u32) -> Option<&ChannelPlace> {
        let place = self.channels.binary_search_by_key(&number, |channel| channel.number).ok()?;
        Some(&self.channels[place])
    }

    /// The channels of a group.
    pub fn members(&self, group: u32) -> impl Iterator<Item = Entity> {
        self.channels.iter().filter(move |channel| channel.group == group).map(|channel| channel.entity)
    }

    /// The next number for a channel or group.
    pub const fn next_number(&mut self) -> u32 {
        self.last_number += 1;
        self.last_number
    }

    /// The group for channels of this kind and payee, made when there is none.
    pub fn group(&mut self, payout: u32, is_extended: bool) -> u32 {
        let known = self.groups.iter().find(|group| group.payout == payout && group.is_extended == is_extended);
        if let Some(group) = known {
            return group.number;
        }
        let number = self.next_number();
        self.groups.push(Group { number, payout, is_extended });
        number
    }
}

/// What only a channel of Stratum V2 has.
#[derive(Component, Clone, PartialEq, Debug)]
pub struct ChannelV2 {
    /// Its number on the connection.
    pub number: u32,
    /// The group that it was put into.
    pub group: u32,
    /// Whether its miner makes the coinbase.
    pub is_extended: bool,
    /// Its client has closed it: it is told nothing more but verdicts.
    pub is_closing: bool,
    /// Easiest target that its miner takes.
    pub max_target: Target,
    /// The tip of the latest `SetNewPrevHash`.
    pub tip: Option<TipNumber>,
    /// Number in the coinbase of the job that was sent ahead for the next tip.
    pub held: Option<u32>,
    /// Part of credited difficulty below one that was not told yet: sums on the wire are whole numbers.
    pub untold: f64,
}

impl ChannelV2 {
    /// The target on the wire for a difficulty: never easier than what the miner takes.
    pub fn target(&self, difficulty: Difficulty) -> Target {
        let target = Target::from_difficulty(difficulty);
        if target.to_big_endian() > self.max_target.to_big_endian() { self.max_target } else { target }
    }

    /// Takes credited difficulty in and gives the whole number that is to be told.
    pub fn tell(&mut self, difficulty: f64) -> u64 {
        let sum = self.untold + difficulty;
        let whole = sum.floor();
        self.untold = sum - whole;
        whole as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_one_row_and_groups_are_by_payee_and_kind() {
        let mut connection = ConnectionV2::default();
        let channel = connection.next_number();
        let first = connection.group(7, true);
        assert_eq!((channel, first), (1, 2));
        assert_eq!(connection.group(7, true), first);
        assert_ne!(connection.group(7, false), first);
        assert_ne!(connection.group(8, true), first);
        assert_eq!(connection.next_number(), 5);
    }

    #[test]
    fn nothing_of_a_difficulty_is_lost_in_whole_numbers() {
        let mut channel = ChannelV2 {
            number: 1,
            group: 2,
            is_extended: true,
            is_closing: false,
            max_target: Target::MAX,
            tip: None,
            held: None,
            untold: 0.0,
        };
        let told: u64 = (0..1000).map(|_| channel.tell(0.75)).sum();
        assert_eq!(told, 750);
        assert_eq!(channel.tell(0.5), 0);
        assert_eq!(channel.tell(2.5), 3);
    }
}
