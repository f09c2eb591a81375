//! A disk in memory: it keeps what was synced, loses or tears the rest in a power cut, and refuses writes at random.

use crate::random::Random;
use redb::StorageBackend;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The disk; clones are the same one.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// What a power cut leaves for sure.
    durable: Vec<u8>,
    /// What programs see.
    visible: Vec<u8>,
    /// Changes since the last sync, in order.
    unsynced: Vec<Change>,
    /// Share of operations that fail.
    failing: f64,
    random: Random,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Resize(length) => image.resize(*length, 0),
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if image.len() < end {
                    image.resize(end, 0);
                }
                image[*offset..end].copy_from_slice(data);
            }
        }
    }
}

impl Disk {
    /// An empty disk.
    pub fn new(random: Random) -> Self {
        let state = State { durable: Vec::new(), visible: Vec::new(), unsynced: Vec::new(), failing: 0.0, random };
        Self(Arc::new(Mutex::new(state)))
    }

    /// From now on this share of writes and syncs fails.
    pub fn set_failing(&self, share: f64) {
        self.state().failing = share;
    }

    /// The process died, the machine did not: what was written is there. A handle that a dying process still holds
    /// reaches it no more.
    pub fn after_kill(&self) -> Self {
        let mut state = self.state();
        let random = state.random.fork();
        Self::with_image(state.visible.clone(), random)
    }

    /// The power went: of what was not synced any part may be there. Resizes are, as file systems journal them.
    pub fn after_power_cut(&self) -> Self {
        let mut state = self.state();
        let mut image = state.durable.clone();
        let mut random = state.random.fork();
        for change in &state.unsynced {
            match change {
                Change::Write(offset, data) if random.chance(0.3) => {
                    let kept = random.between(0, data.len() as u64) as usize;
                    Change::Write(*offset, data[..kept].to_vec()).apply(&mut image);
                }
                Change::Write(..) if random.chance(0.4) => {}
                change => change.apply(&mut image),
            }
        }
        Self::with_image(image, random)
    }

    fn with_image(image: Vec<u8>, random: Random) -> Self {
        let state = State { durable: image.clone(), visible: image, unsynced: Vec::new(), failing: 0.0, random };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        change.apply(&mut state.visible);
        state.unsynced.push(change);
        Ok(())
    }
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        let share = self.failing;
        if share > 0.0 && self.random.chance(share) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "simulated: no space left on device"));
        }
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().visible.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let start = offset as usize;
        let data = state.visible.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(data);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Change::Resize(length as usize))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset as usize, data.to_vec()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let changes = std::mem::take(&mut state.unsynced);
        let State { durable, .. } = &mut *state;
        changes.iter().for_each(|change| change.apply(durable));
        Ok(())
    }
}
