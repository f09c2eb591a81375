//! Live connections by slot.

use super::connection::Connection;
use warppool_components::connection::ConnectionKey;

/// Slots that are used again and again; small numbers first come back.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    /// Uses of the slot that are over: the generation of the present or the next one.
    generation: u32,
    connection: Option<Connection>,
}

impl Table {
    pub(super) fn live(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// The key that the next connection gets.
    pub(super) fn next_key(&self) -> ConnectionKey {
        match self.free.last() {
            Some(slot) => ConnectionKey { slot: *slot, generation: self.entries[*slot as usize].generation },
            None => ConnectionKey { slot: self.entries.len() as u32, generation: 0 },
        }
    }

    /// Enters a connection under [`Self::next_key`].
    pub(super) fn insert(&mut self, connection: Connection) {
        match self.free.pop() {
            Some(slot) => self.entries[slot as usize].connection = Some(connection),
            None => self.entries.push(Entry { generation: 0, connection: Some(connection) }),
        }
    }

    /// The connection, unless its slot has been freed since.
    #[inline]
    pub(super) fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        let entry = self.entries.get_mut(key.slot as usize)?;
        entry.connection.as_mut().filter(|_| entry.generation == key.generation)
    }

    pub(super) fn remove(&mut self, key: ConnectionKey) -> Option<Connection> {
        let entry = self.entries.get_mut(key.slot as usize).filter(|entry| entry.generation == key.generation)?;
        let connection = entry.connection.take()?;
        // Two words of a token are left to listeners and the waker, which no generation may reach.
        entry.generation = if entry.generation == GENERATION_MAX { 0 } else { entry.generation + 1 };
        self.free.push(key.slot);
        Some(connection)
    }
}

/// Far below what tokens of listeners need; a slot that was used so often starts anew.
const GENERATION_MAX: u32 = u32::MAX / 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_costs_little() {
        let bytes = std::mem::size_of::<Entry>();
        assert!(bytes <= 96, "{bytes} bytes for each connection");
    }
}
