//! Units as types: a bare `f64` or `[u8; 32]` does not cross a module's border.

mod difficulty;
mod hash256;
mod sats;
mod target;
mod time;

pub use difficulty::{Difficulty, DifficultyError};
pub use hash256::{Hash256, HexError};
pub use sats::Sats;
pub use target::{CompactTargetError, Target};
pub use time::{Instant, UnixTime};

#[cfg(test)]
mod tests;
