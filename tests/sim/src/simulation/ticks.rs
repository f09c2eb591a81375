//! The pool: starts, ticks and what comes of them, commits, crashes.

use super::bounds::check_sums;
use super::said::FEE_OWNER;
use super::*;
use crate::pool::Intake;

impl Simulation {
    pub(super) fn start(&mut self) {
        if self.pool.is_some() {
            return;
        }
        self.starts += 1;
        self.set_wall();
        self.disk.set_failing(0.0);
        let seed = self.random.bits();
        let started = PoolSide::start(self.settings(), seed, &self.options, &self.disk, &self.wall, self.now());
        let (mut pool, restored) =
            started.unwrap_or_else(|error| panic!("the store does not open after a crash: {error}"));
        check_sums(&pool, &restored, self.unix());
        self.disk.set_failing(if self.is_calm { 0.0 } else { self.options.disk_errors });
        self.ledger.restart(&restored);
        self.fates.restart(self.now_ns, &restored);
        pool.take_up_blocks(restored, self.now().instant);
        self.pool = Some(pool);
        self.baseline = None;
        (self.pool_tip, self.ready_since) = (None, None);
        self.connect_nodes();
        self.want_tick(self.now_ns);
    }

    pub(super) fn settings(&self) -> Settings {
        let mut settings = settings();
        // The classes' difficulties are those of real hardware.
        settings.device_classes = [].into();
        settings.vardiff.target_seconds_per_share = self.options.seconds_per_share;
        settings.snapshot_interval = self.options.snapshot_interval;
        settings.payout.fee =
            (self.options.fee_basis_points > 0).then(|| cut(&address(FEE_OWNER), self.options.fee_basis_points));
        settings
    }

    pub(super) fn set_wall(&self) {
        self.wall.store(self.unix().millis(), atomic::Ordering::Relaxed);
    }

    pub(super) fn tell(&mut self, event: NodeEvent) {
        if let Some(pool) = &mut self.pool {
            pool.inbox.node.push(event);
            self.want_tick(self.now_ns);
        }
    }

    pub(super) fn tick_if_due(&mut self) {
        if self.tick_due.is_some_and(|due| due <= self.now_ns) && self.pool.is_some() {
            self.tick_due = None;
            self.tick();
        }
    }

    pub(super) fn tick(&mut self) {
        self.ticks += 1;
        self.check_spinning();
        self.set_wall();
        let now = self.now();
        let judged = self.read_lines();
        let Some(pool) = &mut self.pool else { return };
        let template = pool.inbox.node.iter().rev().find_map(|event| match event {
            NodeEvent::Template(template) => Some(*template.previous_block.as_internal()),
            _ => None,
        });
        let mut tips = Tips { before: self.pool_tip, after: template.or(self.pool_tip), returned_at: None };
        if tips.after != tips.before {
            self.tip_since = self.now_ns;
        }
        tips.returned_at = self.fates.returned_at(tips.after, now.unix);
        self.pool_tip = tips.after;
        pool.ended_now = 0;
        pool.engine.tick(now, &mut pool.inbox, &mut pool.outbox);
        let expected = self.expectations(judged, tips);
        self.take_blocks(&expected);
        let is_crashing = self.crash_at_block && self.has_new_submissions();
        self.deliver(expected);
        self.forget_ended();
        if is_crashing {
            // The blocks have gone out, nothing of this tick is on the disk.
            self.crash_at_block = false;
            return self.crash(true);
        }
        self.keep();
        if !self.talking.is_empty() {
            self.want_tick(self.now_ns + 1);
        }
    }

    /// What each submit of the tick may be answered, in their order.
    pub(super) fn expectations(&mut self, judged: Vec<(usize, Submit)>, tips: Tips) -> Vec<Expected> {
        let unix_seconds = self.unix().header_seconds();
        let mut expected = Vec::new();
        for (link, submit) in judged {
            let allowed = self.ledger.allowed(&submit, tips, unix_seconds);
            let is_block = submit.reached >= crate::nodes::DIFFICULTY * 1.0001;
            if is_block {
                self.ledger.expect_block(&submit, unix_seconds);
            }
            if matches!(submit.intention, Intention::TooNew | Intention::TooOld) {
                self.ledger.expect_refusal(&submit.hash);
            }
            expected.push(Expected { link, submit, allowed });
        }
        expected
    }

    pub(super) fn take_blocks(&mut self, expected: &[Expected]) {
        let Some(pool) = &self.pool else { return };
        for block in &pool.outbox.blocks {
            let shown = block.hash.to_string();
            if let Some(finder) = expected.iter().find(|one| one.submit.hash == shown) {
                self.check_reward(&block.serialise(), &finder.submit.user);
            }
        }
        let now = self.now().instant;
        let Some(pool) = &mut self.pool else { return };
        for block in &pool.outbox.blocks {
            let hash = *block.hash.as_internal();
            let row = pool.outbox.records.blocks.iter().find(|row| row.hash == block.hash);
            assert!(row.is_some_and(|row| row.raw.is_some()), "a block is handed over that the journal does not get");
            self.ledger.found(&block.hash.to_string(), hash, self.now_ns);
            self.output.update(hash);
            self.fates.found(hash, self.now_ns);
            pool.nodes.submit(Arc::clone(block), now);
        }
        self.ledger.check_blocks();
        if !pool.outbox.blocks.is_empty() {
            self.drive_nodes();
        }
    }

    pub(super) fn has_new_submissions(&self) -> bool {
        self.pool.as_ref().is_some_and(|pool| !pool.outbox.blocks.is_empty())
    }

    pub(super) fn deliver(&mut self, expected: Vec<Expected>) {
        let Some(pool) = &self.pool else { return };
        let writes: Vec<(ConnectionKey, Vec<u8>)> =
            pool.outbox.writes.iter().map(|write| (write.connection, pool.outbox.body(&write.body).to_vec())).collect();
        let closes: Vec<Close> = pool.outbox.closes.clone();
        let mut answers = HashMap::new();
        let mut open = self.open_v2(&expected);
        for (key, bytes) in writes {
            self.output.update(key.slot.to_le_bytes());
            self.output.update(&bytes);
            let link = *self.by_slot.get(&key.slot).expect("nothing is written to a connection that has ended");
            assert_eq!(self.links[link].key, Some(key), "a write for a former owner of the slot");
            self.links[link].last_line_at = self.now_ns;
            if self.links[link].v2.is_some() {
                self.read_frames(link, &bytes, &mut open, &mut answers);
            } else {
                self.read_answers(link, &bytes, &mut answers);
            }
            if !self.links[link].has_ended {
                let bytes = self.seal(key, bytes);
                self.send_to_miner(link, &bytes);
            }
        }
        self.check_updates();
        for one in expected {
            self.judge(one, &mut answers);
        }
        for close in closes {
            self.output.update([close.reason as u8]);
            self.close(close);
        }
    }

    /// A write as it goes to the socket.
    fn seal(&mut self, key: ConnectionKey, bytes: Vec<u8>) -> Vec<u8> {
        match self.pool.as_mut().and_then(|pool| pool.wires.get_mut(&key.slot)) {
            Some(Intake::Frames(wire)) => wire.seal(&bytes),
            _ => bytes,
        }
    }

    pub(super) fn read_answers(
        &mut self,
        link: usize,
        bytes: &[u8],
        answers: &mut HashMap<(usize, u64), Result<(), i64>>,
    ) {
        assert_eq!(bytes.last(), Some(&b'\n'), "a write is whole lines");
        let text = std::str::from_utf8(bytes).expect("lines are text");
        for line in text.lines() {
            match read_answer(line) {
                Some((2, Ok(()))) => self.note_session(link, line),
                Some((id, verdict)) => {
                    let former = answers.insert((link, id), verdict);
                    assert!(former.is_none(), "two answers to one request: {line}");
                }
                None if line.contains(r#""method":"mining.notify""#) => self.note_job(link, line),
                None => {
                    // Only a line that its miner did not finish may be no request.
                    let is_said = self.links[link].has_ended || line.contains(r#""method":"#);
                    assert!(is_said, "a miner's line was not understood: {line}");
                }
            }
        }
    }

    /// A submit that came is answered in its tick, unless its miner has hung up meanwhile.
    pub(super) fn judge(&mut self, one: Expected, answers: &mut HashMap<(usize, u64), Result<(), i64>>) {
        let Expected { link, submit, allowed } = one;
        match answers.remove(&(link, submit.id)) {
            Some(verdict) => self.ledger.verdict(&submit, &allowed, verdict, self.now_ns),
            None if self.links[link].has_ended => self.ledger.unanswered(&submit, &allowed, self.now_ns),
            None => panic!("no answer to a submit in its tick, allowed {allowed:?}: {submit:?}"),
        }
    }

    pub(super) fn close(&mut self, close: Close) {
        let Some(link) = self.by_slot.remove(&close.connection.slot) else { return };
        self.links[link].key = None;
        if let Some(pool) = &mut self.pool {
            pool.free(close.connection, self.now_ns);
        }
        assert!(
            matches!(close.reason, CloseReason::NodeLost | CloseReason::AuthorizeDeadline | CloseReason::Shutdown),
            "a miner that did nothing wrong was closed: {:?}",
            close.reason
        );
        let at = self.links[link].to_miner_at.max(self.now_ns);
        self.at_ns(at, Event::EndToMiner { link });
    }

    /// Everything of a tick that is not for miners.
    pub(super) fn keep(&mut self) {
        let now_ns = self.now_ns;
        let Some(pool) = &mut self.pool else { return };
        let records = &pool.outbox.records;
        self.output.update(format!("{:?}", records.shares));
        self.ledger.rows(records, now_ns);
        let has_blocks = !pool.outbox.records.blocks.is_empty();
        pool.offer_records();
        // A block is journaled at once.
        let has_blocks = !pool.waiting.blocks.is_empty() || has_blocks;
        let (is_dirty, wake_at) = (pool.is_dirty, pool.outbox.wake_at);
        if let Some(snapshot) = pool.outbox.snapshot.take() {
            self.ledger.check_snapshot(&snapshot);
            self.check_silence();
            self.check_currency();
            self.check_choice();
            self.check_sent();
            self.snapshots += 1;
            if self.snapshots.is_multiple_of(SNAPSHOTS_PER_LOOK_INSIDE) {
                self.check_bounds();
                self.check_presence(&snapshot);
            }
        }
        if has_blocks && now_ns >= self.flush_not_before {
            self.flush();
        } else if is_dirty && self.flush_due.is_none() {
            self.want_flush(self.options.flush_interval);
        }
        if let Some(at) = wake_at {
            self.want_tick((at.0 - 1_000_000_000).max(now_ns + 1));
        }
    }

    /// While the node is well, every miner with work hears something once a minute.
    pub(super) fn check_silence(&self) {
        let Some(since) = self.ready_since else { return };
        let now_ns = self.now_ns;
        self.check_silence_v2(since, SILENCE_MAX);
        for link in self.by_slot.values().map(|link| &self.links[*link]).filter(|link| link.is_working) {
            let silence = now_ns - link.last_line_at.max(since);
            assert!(
                silence <= nanos(SILENCE_MAX),
                "miner {} has heard nothing for {} s",
                link.device,
                silence / 1_000_000_000
            );
        }
    }

    fn want_flush(&mut self, after: Duration) {
        self.flush_due = Some(self.now_ns + nanos(after));
        self.at(after, Event::Flush);
    }

    pub(super) fn flush_if_due(&mut self) {
        if self.flush_due == Some(self.now_ns) {
            self.flush();
        }
    }

    pub(super) fn flush(&mut self) {
        self.flush_due = None;
        self.set_wall();
        let Some(pool) = &mut self.pool else { return };
        let is_committed = pool.commit();
        if is_committed {
            self.ledger.committed();
        }
        if self.now_ns - self.pruned_at > nanos(RETENTION_EVERY) {
            self.pruned_at = self.now_ns;
            // A step that the disk refuses is made again later.
            let _ = pool.store.prune();
        }
        if pool.is_dirty {
            let intervals = if is_committed { 1 } else { RECOVER_AFTER_INTERVALS };
            let after = self.options.flush_interval * intervals;
            self.flush_not_before = if is_committed { 0 } else { self.now_ns + nanos(after) };
            self.want_flush(after);
        }
    }

    pub(super) fn crash_some_time(&mut self) {
        self.soon(self.options.crash.filter(|_| !self.is_calm), Event::Crash);
        if self.random.chance(0.5) {
            self.crash_at_block = true;
        } else {
            self.crash(false);
        }
    }

    /// `is_at_block`: in the tick that found a block, before anything of it is on the disk.
    pub(super) fn crash(&mut self, is_at_block: bool) {
        if self.pool.take().is_none() {
            return;
        }
        self.crashes += 1;
        let is_excused = self.options.disk_errors > 0.0 || is_at_block;
        self.ledger.crash(is_excused, |hash| self.nodes.know(hash));
        self.disk = if self.options.power_cuts { self.disk.after_power_cut() } else { self.disk.after_kill() };
        (self.tick_due, self.flush_due) = (None, None);
        self.flush_not_before = 0;
        self.talking.clear();
        self.ended.clear();
        self.by_slot.clear();
        for link in 0..self.links.len() {
            if self.links[link].key.take().is_some() {
                let at = self.links[link].to_miner_at.max(self.now_ns);
                self.at_ns(at, Event::EndToMiner { link });
            }
        }
        let after = self.random.between(1, 30);
        self.at(Duration::from_secs(after), Event::Start);
    }

    pub(super) fn reload(&mut self) {
        self.soon(self.options.reload.filter(|_| !self.is_calm), Event::Reload);
        let settings = self.settings();
        if let Some(pool) = &mut self.pool {
            pool.inbox.commands.push(Command::Reload(Box::new(settings)));
            self.want_tick(self.now_ns);
        }
    }
}
