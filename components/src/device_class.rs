//! Classes of mining devices, told apart by their user agent.

use crate::units::Difficulty;

/// One class: which user agents belong to it and how its miners start.
#[derive(Clone, PartialEq, Debug)]
pub struct DeviceClass {
    /// Name shown to people.
    pub name: String,
    /// Lowercase substrings of the user agent; `*` inside one stands for any text. One that is found decides.
    pub patterns: Vec<String>,
    /// Difficulty before anything is known of a miner.
    pub start: Difficulty,
    /// Seconds between two shares that vardiff aims at.
    pub seconds_per_share: f64,
    /// Whether an extranonce2 with missing leading zeros is filled up (small devices do not pad).
    pub pads_extranonce2: bool,
}
