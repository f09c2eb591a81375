//! What was judged: counted while it happens, printed as a table at the end.

use crate::people::ADDRESS_TYPES;
use std::collections::BTreeMap;
use std::fmt;

/// Kinds of blocks that the pool submits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A share without version bits.
    Plain,
    /// A share of a miner that rolls version bits.
    VersionRolled,
    /// A share of a subsidy-only job.
    EmptyJob,
    /// A share of a job whose tip is not the tip any more.
    StaleTip,
}

impl Kind {
    /// Of a share on the node's own template.
    pub const fn of(rolls: bool) -> Self {
        if rolls { Self::VersionRolled } else { Self::Plain }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "V1",
            Self::VersionRolled => "V1, version rolled",
            Self::EmptyJob => "empty job at a new tip",
            Self::StaleTip => "candidate on a stale tip",
        }
    }
}

/// Counts of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Submitted.
    pub blocks: u64,
    /// Validated by Core to the last script and accepted.
    pub accepted: u64,
}

/// All counts.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Templates.
    pub templates: u64,
    /// Templates by what merkle trees and shares are hashed with.
    pub backends: BTreeMap<&'static str, u64>,
    /// Blocks by kind.
    pub kinds: BTreeMap<Kind, Counts>,
    /// Transactions in templates, and those of them with a witness.
    pub transactions: u64,
    /// Those of them with a witness.
    pub with_witness: u64,
    /// Most transactions of a template.
    pub transactions_max: usize,
    /// Templates by the type of address that is paid.
    pub address_types: [u64; ADDRESS_TYPES.len()],
    /// Blocks whose coinbase pays a fee or a donation.
    pub with_cuts: u64,
    /// Lengths of tags in bytes, by how many blocks have them.
    pub tag_lengths: BTreeMap<usize, u64>,
    /// Lowest and highest block.
    pub heights: Option<(u32, u32)>,
    /// Tips on which no empty job is handed out, because a retarget period starts.
    pub without_empty_job: u64,
    /// Broken blocks by Core's reason to refuse them.
    pub refused: BTreeMap<String, u64>,
}

impl Tally {
    /// A block was submitted.
    pub fn submitted(&mut self, kind: Kind, height: u32) {
        self.kinds.entry(kind).or_default().blocks += 1;
        let (low, high) = self.heights.unwrap_or((height, height));
        self.heights = Some((low.min(height), high.max(height)));
    }

    /// It was accepted.
    pub fn accepted(&mut self, kind: Kind) {
        self.kinds.entry(kind).or_default().accepted += 1;
    }

    /// Adds another day in court.
    pub fn add(&mut self, other: &Self) {
        self.templates += other.templates;
        other.backends.iter().for_each(|(name, count)| *self.backends.entry(name).or_default() += count);
        for (kind, counts) in &other.kinds {
            let sum = self.kinds.entry(*kind).or_default();
            *sum = Counts { blocks: sum.blocks + counts.blocks, accepted: sum.accepted + counts.accepted };
        }
        self.transactions += other.transactions;
        self.with_witness += other.with_witness;
        self.transactions_max = self.transactions_max.max(other.transactions_max);
        self.address_types.iter_mut().zip(other.address_types).for_each(|(sum, count)| *sum += count);
        self.with_cuts += other.with_cuts;
        other.tag_lengths.iter().for_each(|(length, count)| *self.tag_lengths.entry(*length).or_default() += count);
        self.heights = match (self.heights, other.heights) {
            (Some((low, high)), Some((other_low, other_high))) => Some((low.min(other_low), high.max(other_high))),
            (one, another) => one.or(another),
        };
        self.without_empty_job += other.without_empty_job;
        other.refused.iter().for_each(|(reason, count)| *self.refused.entry(reason.clone()).or_default() += count);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.kinds.is_empty() {
            self.fmt_accepted(formatter)?;
        }
        if !self.refused.is_empty() {
            writeln!(formatter, "{:<40} {:>9}", "broken blocks, by Core's reason", "refused")?;
            for (reason, count) in &self.refused {
                writeln!(formatter, "{reason:<40} {count:>9}")?;
            }
            writeln!(formatter, "{:<40} {:>9}", "all", self.refused.values().sum::<u64>())?;
        }
        Ok(())
    }
}

impl Tally {
    fn fmt_accepted(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{:<28} {:>10} {:>10}", "blocks of the pool", "submitted", "accepted")?;
        for (kind, counts) in &self.kinds {
            writeln!(formatter, "{:<28} {:>10} {:>10}", kind.name(), counts.blocks, counts.accepted)?;
        }
        let (low, high) = self.heights.unwrap_or_default();
        writeln!(formatter, "templates {}, heights {low} to {high}", self.templates)?;
        let backends = self.backends.iter().map(|(name, count)| format!("{name} {count}"));
        writeln!(formatter, "hashed with: {}", backends.collect::<Vec<_>>().join(", "))?;
        writeln!(
            formatter,
            "transactions {}, with witness {}, most in a template {}",
            self.transactions, self.with_witness, self.transactions_max
        )?;
        let types = ADDRESS_TYPES.iter().zip(self.address_types).map(|(name, count)| format!("{name} {count}"));
        writeln!(formatter, "miner paid at: {}", types.collect::<Vec<_>>().join(", "))?;
        writeln!(
            formatter,
            "blocks with fee or donation {}, lengths of tags {}, tips without an empty job (retarget) {}",
            self.with_cuts,
            self.tag_lengths.len(),
            self.without_empty_job
        )
    }
}
