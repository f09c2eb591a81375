//! A job: one template made ready for miners.

use crate::inbox::SharedBytes;
use crate::limits::{EXTRANONCE_BYTES, EXTRANONCE1_BYTES, EXTRANONCE2_BYTES};
use crate::template::Template;
use crate::units::{Instant, Sats};
use crate::upstream::GivenCoinbase;
use bevy_ecs::component::Component;
use std::sync::Arc;

/// Number of a job, unique and rising in one run of the pool; miners of Stratum V1 see it in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct JobId(pub u32);

/// Number of a tip as the pool saw them, rising. Jobs of an older tip are stale.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TipNumber(pub u32);

/// A job. What depends on the payout script is in its [`Payout`]s.
#[derive(Component, Clone, Debug)]
pub struct Job {
    /// Its place in the order of jobs.
    pub id: JobId,
    /// The number in its coinbase, by which Stratum V2 names it: its `id`, but of a job that was sent ahead of its tip, which
    /// had to have a coinbase before it had a place in the order.
    pub number: u32,
    /// The tip it builds on.
    pub tip: TipNumber,
    /// What it is made of.
    pub template: Arc<Template>,
    /// ntime handed out.
    pub ntime: u32,
    /// Start of the coinbase without witness, up to the extranonce; the same for all payouts.
    pub coinbase_prefix: Arc<[u8]>,
    /// When it was made.
    pub created_at: Instant,
    /// Whether miners are to drop what they have: a new tip.
    pub clean: bool,
    /// The coinbase as another pool made it; `None` when it is our own.
    pub given: Option<Arc<GivenCoinbase>>,
}

impl Job {
    /// The bytes that differ from share to share, as the coinbase holds them: the channel's unique part and the miner's, which is
    /// filled up with zeros at the left.
    pub fn extranonce(
        &self,
        extranonce1: [u8; EXTRANONCE1_BYTES],
        extranonce2: &[u8; EXTRANONCE2_BYTES],
    ) -> [u8; EXTRANONCE_BYTES] {
        if let Some(given) = &self.given {
            return given.extranonce(extranonce1, extranonce2);
        }
        let mut bytes = [0; EXTRANONCE_BYTES];
        bytes[..EXTRANONCE1_BYTES].copy_from_slice(&extranonce1);
        bytes[EXTRANONCE1_BYTES..].copy_from_slice(extranonce2);
        bytes
    }

    /// Version bits in which a share may differ from the job, whatever its miner was told.
    pub fn version_mask(&self) -> u32 {
        self.given.as_deref().map_or(u32::MAX, |given| given.version_mask)
    }

    /// What stands before those bytes.
    pub fn hashed_once(&self) -> &[u8] {
        self.given.as_deref().map_or(&*self.coinbase_prefix, GivenCoinbase::hashed_once)
    }
}

/// One output of a coinbase, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoinbaseOutput {
    /// Who: `miner`, `fee`, `donation` or `witness commitment`.
    pub role: &'static str,
    /// The address, empty for the commitment.
    pub address: Arc<str>,
    /// scriptPubKey.
    pub script: Arc<[u8]>,
    /// How much.
    pub value: Sats,
}

/// A job's coinbase for one payee: what comes after the extranonce, and what miners are sent.
#[derive(Clone, Debug)]
pub struct Payout {
    /// End of the coinbase without witness, from behind the extranonce.
    pub coinbase_suffix: Arc<[u8]>,
    /// Who is paid what.
    pub outputs: Arc<[CoinbaseOutput]>,
    /// `mining.notify` that leaves the miner its old work, once somebody was sent it.
    pub notify: Option<SharedBytes>,
    /// The same with `clean_jobs` set.
    pub notify_clean: Option<SharedBytes>,
}

/// A job's payouts by the index of their payee; empty where no channel of that payee was sent the job.
#[derive(Component, Clone, Debug, Default)]
pub struct JobPayouts {
    /// By payee index.
    pub by_payee: Vec<Option<Payout>>,
}
