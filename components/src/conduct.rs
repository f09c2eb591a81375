//! How a connection behaves.

use crate::job::JobId;
use crate::units::Instant;

/// What a connection sent lately: credited shares, and lines that were of no use. Both fade.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Conduct {
    /// Credited shares.
    pub good: u32,
    /// Lines that were refused through a fault of the sender.
    pub bad: u32,
    /// When both were last halved, or counting began.
    pub faded_at: Option<Instant>,
}

/// Credited shares of a connection, so that it cannot fill the duplicate check of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CreditCount {
    /// The newest job that had a share.
    job: JobId,
    of_job: u32,
    of_earlier_jobs: u32,
}

impl CreditCount {
    /// The count that a share of `job` belongs to: of the newest job, or of all before it since there is a newer one.
    pub fn of(&mut self, job: JobId) -> &mut u32 {
        if job > self.job {
            *self = Self { job, ..Self::default() };
        }
        if job == self.job { &mut self.of_job } else { &mut self.of_earlier_jobs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_back_and_forth_between_jobs_gains_nothing() {
        let mut count = CreditCount::default();
        for _ in 0..10 {
            *count.of(JobId(7)) += 1;
            *count.of(JobId(5)) += 1;
            *count.of(JobId(6)) += 1;
        }
        assert_eq!((*count.of(JobId(7)), *count.of(JobId(5)), *count.of(JobId(6))), (10, 20, 20));
        assert_eq!((*count.of(JobId(8)), *count.of(JobId(7))), (0, 0));
    }
}
