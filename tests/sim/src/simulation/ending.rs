//! The calm at the end, and what must be true then.

use super::bounds::check_sums;
use super::*;
use crate::miner::HASHES_PER_DIFFICULTY;
use crate::miner_v2::Slot;

/// How far from the seconds that it aims at vardiff may leave a miner after 25 minutes without faults. It does much better nearly
/// always (docs/vardiff.md); this leaves room for chance.
const VARDIFF_OFF_BY_MAX: f64 = 6.0;

impl Simulation {
    pub(super) fn calm(&mut self) {
        self.is_calm = true;
        self.crash_at_block = false;
        self.disk.set_failing(0.0);
        self.calm_nodes();
    }

    pub(super) fn finish(mut self) -> Outcome {
        self.now_ns = self.end_at;
        self.check_progress();
        self.settle();
        let fates = self.close_down();
        Outcome {
            hash: self.output.finalize().into(),
            accepted: self.ledger.accepted,
            refused: self.ledger.refused,
            blocks: self.ledger.candidates.len(),
            fates,
            crashes: self.crashes,
            ticks: self.ticks,
        }
    }

    /// Every miner that should have found twenty shares and more in the calm has been credited some.
    pub(super) fn check_progress(&self) {
        assert!(self.pool.is_some(), "the pool does not run in the calm");
        for (number, device) in self.devices.iter().enumerate() {
            assert!(self.device_links[number].is_some(), "miner {number} is not connected in the calm");
            if let Some(miner) = &self.miners_v2[number] {
                (0..miner.slots.len()).for_each(|slot| self.check_progress_v2(number, miner, slot));
                continue;
            }
            let Some(job) = device.knows.jobs.last() else { panic!("miner {number} has no work in the calm") };
            let got = self.accepted_lately[number];
            self.check_rate(&format!("miner {number}"), job.difficulty, device.hashes_per_second, got);
        }
    }

    /// The same for each channel.
    fn check_progress_v2(&self, number: usize, miner: &MinerV2, slot: usize) {
        let name = format!("channel {slot} of miner {number}");
        let channel = miner.channel(slot).unwrap_or_else(|| panic!("{name} is not open in the calm"));
        let job = channel.active_job().unwrap_or_else(|| panic!("{name} has no work in the calm"));
        let difficulty = job.target.expect("a job that can be worked on has a target").difficulty_float();
        let Slot { hashes_per_second, accepted_lately, .. } = miner.slots[slot];
        self.check_rate(&name, difficulty, hashes_per_second, accepted_lately);
    }

    fn check_rate(&self, name: &str, difficulty: f64, hashes_per_second: f64, got: u64) {
        let seconds_per_share = difficulty * HASHES_PER_DIFFICULTY / hashes_per_second;
        let expected = PROGRESS.as_secs_f64() / seconds_per_share;
        assert!(expected < 20.0 || got > 0, "{name} should have some {expected:.0} shares and has none");
        let off_by = seconds_per_share / self.options.seconds_per_share;
        assert!(
            (1.0 / VARDIFF_OFF_BY_MAX..=VARDIFF_OFF_BY_MAX).contains(&off_by),
            "{name} of {hashes_per_second} hashes/s should have a share each {seconds_per_share:.1} s at {difficulty}"
        );
    }

    /// Stops the pool in order and compares what the store holds.
    pub(super) fn close_down(&mut self) -> BlockFates {
        let Some(pool) = &mut self.pool else { return BlockFates::default() };
        pool.inbox.commands.push(Command::Shutdown);
        self.tick();
        self.flush();
        // As the runtime does: what the store had no room for follows as soon as it has.
        if self.pool.as_ref().is_some_and(|pool| pool.is_dirty) {
            self.flush();
        }
        let Some(pool) = self.pool.take() else { return BlockFates::default() };
        assert!(!pool.is_dirty, "rows are left when the pool stops");
        drop(pool);
        let disk = self.disk.after_power_cut();
        let started = PoolSide::start(self.settings(), 1, &self.options, &disk, &self.wall, self.now());
        let (pool, restored) = started.unwrap_or_else(|error| panic!("the store does not open at the end: {error}"));
        self.ledger.check_store(&restored);
        check_sums(&pool, &restored, self.unix());
        self.check_fates(&pool)
    }
}
