//! The well-behaved miners: each submits in its turn, whether the last verdict is there or not.

use std::time::{Duration, Instant};

use crate::modes::Latency;
use crate::modes::submit::{SubmitLine, Verdict, VerdictReader};
use crate::swarm::{JobText, Link, Observer, Swarm, SwarmError, is_notify};

/// Unanswered submits of one connection whose time is known; more than there are in seconds.
const SUBMITS_REMEMBERED: usize = 256;

/// How long to wait for the kernel between two looks at what is due.
const STEP: Duration = Duration::from_millis(1);

/// Submits of one step when the pace was lost, so that answers are read in between.
const SUBMITS_PER_STEP_MAX: u64 = 2000;

pub(super) struct Others {
    per_second: f64,
    lanes: Vec<Option<Lane>>,
    next: usize,
    reader: VerdictReader,
    latency: Latency,
    refused: u64,
}

struct Lane {
    line: SubmitLine,
    sent: u64,
    sent_at_ns: Vec<u64>,
}

impl Others {
    pub(super) fn new(connections: usize, per_second: u32) -> Self {
        Self {
            per_second: f64::from(per_second),
            lanes: (0..connections).map(|_| None).collect(),
            next: 0,
            reader: VerdictReader::default(),
            latency: Latency::default(),
            refused: 0,
        }
    }

    /// Counting begins anew.
    pub(super) fn begin(&mut self) {
        self.latency = Latency::default();
    }

    pub(super) fn take_latency(&mut self) -> Latency {
        std::mem::take(&mut self.latency)
    }

    /// Refused shares since the start.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn submit_for(&mut self, swarm: &mut Swarm, time: Duration) -> Result<(), SwarmError> {
        let end = Instant::now() + time;
        self.submit_until(swarm, || Instant::now() >= end)
    }

    pub(super) fn submit_until(&mut self, swarm: &mut Swarm, is_over: impl Fn() -> bool) -> Result<(), SwarmError> {
        let start = Instant::now();
        let mut sent = 0;
        while !is_over() {
            if swarm.ready_count() == 0 {
                return Err(SwarmError::AllClosed(swarm.reasons()));
            }
            let due = (start.elapsed().as_secs_f64() * self.per_second) as u64;
            for _ in 0..(due - sent).min(SUBMITS_PER_STEP_MAX) {
                self.submit(swarm);
            }
            // What could not be sent in time is not made up for: that would be a burst.
            sent = due;
            swarm.turn(STEP, self)?;
        }
        Ok(())
    }

    fn submit(&mut self, swarm: &mut Swarm) {
        let index = self.next;
        self.next = (index + 1) % self.lanes.len();
        let Some(lane) = self.lanes[index].as_mut() else { return };
        let at_ns = swarm.now_ns();
        swarm.with(index, |link| {
            lane.line.append_to(&mut link.outbound);
            lane.sent_at_ns[lane.sent as usize % SUBMITS_REMEMBERED] = at_ns;
            lane.sent += 1;
        });
    }
}

impl Observer for Others {
    fn ready(&mut self, link: &mut Link, _at_ns: u64) {
        let Some(job) = link.job.take() else { return };
        let line = SubmitLine::new(&link.username, &job, link.extranonce2_bytes);
        self.lanes[link.index] = Some(Lane { line, sent: 0, sent_at_ns: vec![0; SUBMITS_REMEMBERED] });
    }

    fn line(&mut self, link: &mut Link, line: &[u8], at_ns: u64) {
        let Some(lane) = self.lanes[link.index].as_mut() else { return };
        if let Some(verdict) = self.reader.read(line) {
            self.refused += u64::from(matches!(verdict, Verdict::Rejected(..)));
            let number = verdict.number();
            if number < lane.sent && lane.sent - number <= SUBMITS_REMEMBERED as u64 {
                let sent_at_ns = lane.sent_at_ns[number as usize % SUBMITS_REMEMBERED];
                self.latency.record(at_ns.saturating_sub(sent_at_ns));
            }
        } else if is_notify(line)
            && let Some(job) = JobText::of(&serde_json::from_slice(line).unwrap_or_default())
        {
            lane.line.follow(&link.username, &job);
        }
    }
}
