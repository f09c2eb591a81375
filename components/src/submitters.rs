//! The usernames of a channel.

use crate::limits::SUBMITTERS_SEARCHED_MAX;
use bevy_ecs::entity::Entity;
use std::collections::HashMap;
use std::sync::Arc;

/// Place by name.
type Places = HashMap<Arc<str>, u32>;

/// Usernames that may submit on a channel, and whom they credit: every authorized one, and those of the same address that
/// turned up in shares. Proxies have up to [`WORKERS_PER_CONNECTION_MAX`](crate::limits::WORKERS_PER_CONNECTION_MAX).
///
/// Finding one neither allocates nor takes longer the more there are. Each has a place that it keeps.
#[derive(Clone, Debug, Default)]
pub struct Submitters {
    entries: Vec<(Arc<str>, Entity)>,
    /// Place by name, once they are too many to be looked through. Boxed, because most channels have one name.
    by_name: Option<Box<Places>>,
    /// Place of the last share's, which is nearly always the next one's too.
    last: u32,
}

impl Submitters {
    /// Place of the username of a share. Remembers it for the next one.
    pub fn find_for_share(&mut self, username: &[u8]) -> Option<u32> {
        if self.entries.get(self.last as usize).is_some_and(|(name, _)| name.as_bytes() == username) {
            return Some(self.last);
        }
        let place = self.find(std::str::from_utf8(username).ok()?)?;
        self.last = place;
        Some(place)
    }

    /// Place of a username.
    pub fn find(&self, username: &str) -> Option<u32> {
        match &self.by_name {
            Some(places) => places.get(username).copied(),
            None => self.entries.iter().position(|(name, _)| &**name == username).map(|place| place as u32),
        }
    }

    /// Adds a username that is not there yet, and gives its place.
    pub fn push(&mut self, username: Arc<str>, worker: Entity) -> u32 {
        let place = self.entries.len() as u32;
        if let Some(places) = &mut self.by_name {
            places.insert(Arc::clone(&username), place);
        }
        if self.entries.is_empty() {
            // A vector that grows by itself begins with room for four.
            self.entries.reserve_exact(1);
        }
        self.entries.push((username, worker));
        if self.by_name.is_none() && self.entries.len() > SUBMITTERS_SEARCHED_MAX {
            let places = self.entries.iter().enumerate().map(|(place, (name, _))| (Arc::clone(name), place as u32));
            self.by_name = Some(Box::new(places.collect()));
        }
        place
    }

    /// Whom the username at a place credits.
    #[inline]
    pub fn worker(&self, place: u32) -> Option<Entity> {
        self.entries.get(place as usize).map(|(_, worker)| *worker)
    }

    /// Usernames and workers, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Entity)> {
        self.entries.iter().map(|(name, worker)| (&**name, *worker))
    }

    /// How many usernames there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_at_its_place_however_many_there_are() {
        let mut submitters = Submitters::default();
        for number in 0..1000_u32 {
            let worker = Entity::from_raw_u32(number).expect("a small number");
            assert_eq!(submitters.push(format!("w{number}").into(), worker), number);
            for (name, expected) in [(number, Some(number)), (0, Some(0)), (number + 1, None)] {
                let name = format!("w{name}");
                assert_eq!(submitters.find(&name), expected, "{name} of {number}");
                assert_eq!(submitters.find_for_share(name.as_bytes()), expected, "{name} of {number}");
            }
            assert_eq!(submitters.worker(number), Some(worker));
        }
        assert_eq!(submitters.find_for_share(b"\xff\xfe"), None);
        assert_eq!(submitters.worker(u32::MAX), None);
    }
}
