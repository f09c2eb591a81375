//! Why a share was not credited. A rejection is data, not an error.

/// The cause of a rejection; one per cause, so that texts, counters and metrics agree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Reject {
    /// The job belongs to a tip that is no longer the chain's.
    StaleTip = 0,
    /// No such job was sent to this channel, or it is too old.
    UnknownJob,
    /// The same work was credited before.
    Duplicate,
    /// The hash is above the target of its job.
    LowDifficulty,
    /// No worker is authorized on the channel.
    Unauthorized,
    /// The miner has not subscribed, so it has no extranonce.
    NotSubscribed,
    /// ntime is below the job's.
    TimeTooOld,
    /// ntime is more than [`NTIME_AHEAD_SECONDS_MAX`](crate::limits::NTIME_AHEAD_SECONDS_MAX) ahead of the clock.
    TimeTooNew,
    /// Version bits were rolled that the mask does not allow.
    VersionOutsideMask,
    /// extranonce2 does not have the announced size.
    Extranonce2Size,
    /// A field is not what it should be (hexadecimal digits, count, type).
    Malformed,
    /// So many shares of the job were credited that a duplicate could no longer be told.
    JobExhausted,
}

impl Reject {
    /// All causes, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::StaleTip,
        Self::UnknownJob,
        Self::Duplicate,
        Self::LowDifficulty,
        Self::Unauthorized,
        Self::NotSubscribed,
        Self::TimeTooOld,
        Self::TimeTooNew,
        Self::VersionOutsideMask,
        Self::Extranonce2Size,
        Self::Malformed,
        Self::JobExhausted,
    ];

    /// How many causes there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The cause's number, its place in arrays of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Short name for metrics and the API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::StaleTip => "stale",
            Self::UnknownJob => "unknown_job",
            Self::Duplicate => "duplicate",
            Self::LowDifficulty => "low_difficulty",
            Self::Unauthorized => "unauthorized",
            Self::NotSubscribed => "not_subscribed",
            Self::TimeTooOld => "time_too_old",
            Self::TimeTooNew => "time_too_new",
            Self::VersionOutsideMask => "version_outside_mask",
            Self::Extranonce2Size => "extranonce2_size",
            Self::Malformed => "malformed",
            Self::JobExhausted => "job_exhausted",
        }
    }
}

/// Counts by cause; the index is [`Reject::index`].
pub type RejectCounts = [u64; Reject::COUNT];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_table() {
        for (index, reject) in Reject::ALL.iter().enumerate() {
            assert_eq!(reject.index(), index);
        }
    }
}
