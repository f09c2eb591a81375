//! A share's way through a tick, one column a step.
//!
//! `SHARES_PER_TICK_MAX` entities with exactly these components are spawned at start. Rows `0..live` are this
//! tick's; nothing is inserted, removed, spawned or despawned on the share path.

use crate::job::JobId;
use crate::limits::EXTRANONCE2_BYTES;
use crate::reject::Reject;
use crate::units::{Difficulty, Hash256, Target};
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;

/// Where a share came from: written by `parse`.
#[derive(Component, Clone, Copy, PartialEq, Debug)]
pub struct ShareOrigin {
    /// Its channel.
    pub channel: Entity,
    /// What [`Connection::channel`](crate::connection::Connection::channel) is: what one connection may do is counted there,
    /// however many channels it has.
    pub sender: Entity,
    /// Index of its line in the tick's inbox, for the reply.
    pub line: u32,
    /// Place of the username in the channel's submitters; `u32::MAX` when it is not among them.
    pub submitter: u32,
}

/// What the miner claims: written by `parse`.
#[derive(Component, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShareClaim {
    /// The job it says it worked on.
    pub job: JobId,
    /// Its part of the coinbase, filled up with zeros at the left when it sent fewer digits.
    pub extranonce2: [u8; EXTRANONCE2_BYTES],
    /// How many hexadecimal digits it sent; other than twice [`EXTRANONCE2_BYTES`] is an error, but for small
    /// devices, which do not pad. [`EXTRANONCE2_FIXED`] says that the miner has no part of its own.
    pub extranonce2_digits: u8,
    /// Header time.
    pub ntime: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Version bits or a whole version, as sent; `None` is the job's.
    pub version: Option<u32>,
    /// `version` is a whole one, never the rolled bits alone (Stratum V2).
    pub is_whole_version: bool,
}

/// In the place of a number of digits: the pool has fixed the whole extranonce, the miner's part is zero.
pub const EXTRANONCE2_FIXED: u8 = u8::MAX;

/// What is to be hashed: written by `assemble`, turned into a header by `hash`.
#[derive(Component, Clone, Copy, Debug)]
pub struct ShareWork {
    /// The job's entity.
    pub job: Entity,
    /// Index of the payee in the job.
    pub payout: u32,
    /// The channel's unique part and the miner's part of the coinbase.
    pub extranonce: [u8; crate::limits::EXTRANONCE_BYTES],
    /// The version with the rolled bits.
    pub version: u32,
    /// The difficulty that governed the job.
    pub difficulty: Difficulty,
    /// The target of that difficulty.
    pub target: Target,
    /// Who is credited, once known.
    pub worker: Option<Entity>,
    /// Whether there is a hash: false when the claim was unusable.
    pub hashable: bool,
}

/// The header and its hash: written by `hash`.
#[derive(Component, Clone, Copy, Debug)]
pub struct ShareHash {
    /// The header as the block would have it.
    pub header: [u8; 80],
    /// Its double SHA-256.
    pub hash: Hash256,
}

/// The judgement: begun by `parse` and `assemble` (what cannot be hashed), finished by `judge`.
#[derive(Component, Clone, Copy, PartialEq, Debug, Default)]
pub struct ShareVerdict {
    /// Why it is not credited; `None` is a good share once judged.
    pub reject: Option<Reject>,
    /// The hash meets the network's target.
    pub is_block: bool,
    /// Difficulty that the hash reached; 0 when nothing was hashed or nobody needs to know.
    pub reached: f64,
}
