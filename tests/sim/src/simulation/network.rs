//! Miners and the network between them and the pool: connections, segments and their delays, shares that are found.

use super::*;
use crate::pool::Intake;
use warppool_components::limits::{SEND_BUFFER_BYTES_MAX, SOCKET_SEND_BYTES_MAX};

impl Simulation {
    pub(super) fn connect(&mut self, device: usize) {
        if self.device_links[device].is_some() {
            return;
        }
        let Some(pool) = &mut self.pool else {
            let after = self.random.between(1, 10);
            return self.at(Duration::from_secs(after), Event::Connect { device });
        };
        let miner_v2 = self.miners_v2[device].as_ref();
        let key = pool.key(miner_v2.map(|miner| miner.wire.is_noise));
        let peer = IpAddr::V4(Ipv4Addr::new(10, 0, (device / 250) as u8, (device % 250) as u8 + 1));
        let protocol = if miner_v2.is_some() { Protocol::StratumV2 } else { Protocol::StratumV1 };
        pool.inbox.opened.push(Opened { connection: key, peer, protocol });
        let v2 = miner_v2.map(|_| SaidV2::default());
        let now_ns = self.now_ns;
        self.links.push(Link {
            device,
            key: Some(key),
            is_at_miner: true,
            to_pool_at: now_ns,
            to_miner_at: now_ns,
            last_line_at: now_ns,
            is_working: false,
            has_ended: false,
            unread_bytes: 0,
            extranonce1: String::new(),
            tip: String::new(),
            lines: VecDeque::new(),
            unfinished: None,
            sent: HashMap::new(),
            v2,
        });
        let link = self.links.len() - 1;
        self.by_slot.insert(key.slot, link);
        self.device_links[device] = Some(link);
        self.want_tick(now_ns);
        if self.miners_v2[device].is_some() {
            return self.begin_v2(device, link);
        }
        for segment in self.devices[device].connect() {
            self.send_to_pool(link, segment.as_bytes());
        }
    }

    pub(super) fn send_to_pool(&mut self, link: usize, bytes: &[u8]) {
        for piece in self.pieces(bytes) {
            let at = self.arrival(self.links[link].to_pool_at);
            self.links[link].to_pool_at = at;
            self.at_ns(at, Event::ToPool { link, bytes: piece });
        }
    }

    pub(super) fn send_to_miner(&mut self, link: usize, bytes: &[u8]) {
        self.links[link].unread_bytes += bytes.len();
        if self.links[link].unread_bytes > SOCKET_SEND_BYTES_MAX + SEND_BUFFER_BYTES_MAX {
            // As the sockets do with a miner that does not read.
            self.end_at_pool(link, CloseReason::SlowReader);
            let at = self.links[link].to_miner_at.max(self.now_ns);
            return self.at_ns(at, Event::EndToMiner { link });
        }
        for piece in self.pieces(bytes) {
            let at = self.arrival(self.links[link].to_miner_at);
            self.links[link].to_miner_at = at;
            self.at_ns(at, Event::ToMiner { link, bytes: piece });
        }
    }

    /// Bytes as they arrive: at once, in a few pieces, or one by one.
    pub(super) fn pieces(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        if self.is_calm || !self.random.chance(self.options.cuts) {
            return vec![bytes.to_vec()];
        }
        let longest = *self.random.pick(&[1, 7, 100]).min(&bytes.len()).max(&(bytes.len() / 12 + 1));
        bytes.chunks(longest).map(<[u8]>::to_vec).collect()
    }

    /// When something that is sent now arrives, but not before `earliest`.
    pub(super) fn arrival(&mut self, earliest: u64) -> u64 {
        let longest = if self.is_calm { Duration::from_millis(5) } else { self.options.latency };
        let delay = self.random.between(0, nanos(longest));
        (self.now_ns + delay).max(earliest)
    }

    pub(super) fn reach_pool(&mut self, link: usize, bytes: &[u8]) {
        let now = self.unix();
        let one = &mut self.links[link];
        let Some((pool, key)) = self.pool.as_mut().zip(one.key).filter(|_| !one.has_ended) else { return };
        let mut answer = Vec::new();
        match pool.wires.get_mut(&key.slot).expect("an open connection has its wire") {
            Intake::Lines(lines) => {
                let result = lines.receive(bytes, usize::MAX, |line| one.lines.push_back(line.to_vec()));
                assert!(result.is_ok(), "no miner sends lines that long");
            }
            Intake::Frames(wire) => {
                let (frames, sealed) = wire.receive(bytes, &mut self.responder, now);
                one.lines.extend(frames);
                answer = sealed;
            }
        }
        if !one.lines.is_empty() && !self.talking.contains(&link) {
            self.talking.push(link);
        }
        self.want_tick(self.now_ns);
        if !answer.is_empty() {
            self.send_to_miner(link, &answer);
        }
    }

    pub(super) fn end_at_pool(&mut self, link: usize, reason: CloseReason) {
        let one = &mut self.links[link];
        let Some((pool, key)) = self.pool.as_mut().zip(one.key).filter(|_| !one.has_ended) else { return };
        one.has_ended = true;
        if !one.lines.is_empty() && reason == CloseReason::SocketError && one.lines.len() > LINES_PER_TICK {
            one.lines.truncate(LINES_PER_TICK);
        }
        if reason == CloseReason::Peer && one.lines.len() < LINES_PER_TICK {
            let known = one.lines.len();
            // The start of a frame is nothing; that of a line may be all of it.
            if let Some(Intake::Lines(lines)) = pool.wires.get_mut(&key.slot) {
                lines.finish(|line| one.lines.push_back(line.to_vec()));
            }
            let last = one.lines.back().and_then(|line| submit_id(line));
            assert!(one.unfinished.is_none_or(|id| last == Some(id)), "the last line of a stream was dropped");
            if one.lines.len() > known {
                self.ledger.unfinished_line();
                if !self.talking.contains(&link) {
                    self.talking.push(link);
                }
            }
        }
        pool.inbox.closed.push(Closed { connection: key, reason });
        self.ended.push(link);
        self.want_tick(self.now_ns);
    }

    /// Puts the lines that came into the inbox, those of a connection together; gives the submits among them.
    pub(super) fn read_lines(&mut self) -> Vec<(usize, Submit)> {
        let mut judged = Vec::new();
        for link in std::mem::take(&mut self.talking) {
            let one = &mut self.links[link];
            let Some((pool, key)) = self.pool.as_mut().zip(one.key) else { continue };
            let count = one.lines.len().min(LINES_PER_TICK);
            for line in one.lines.drain(..count) {
                pool.inbox.push_line(key, &line);
                let id = match &mut one.v2 {
                    Some(v2) => v2.hear(&line),
                    None => submit_id(&line),
                };
                judged.extend(id.and_then(|id| Some((link, one.sent.remove(&id)?))));
            }
            if !one.lines.is_empty() {
                self.talking.push(link);
            }
        }
        judged
    }

    /// Connections that the tick has heard the end of are gone.
    pub(super) fn forget_ended(&mut self) {
        for link in std::mem::take(&mut self.ended) {
            let Some(key) = self.links[link].key.take() else { continue };
            self.by_slot.remove(&key.slot);
            if let Some(pool) = &mut self.pool {
                pool.free(key, self.now_ns);
            }
        }
    }

    pub(super) fn reach_miner(&mut self, link: usize, bytes: &[u8]) {
        if !self.links[link].is_at_miner {
            return;
        }
        self.links[link].unread_bytes -= bytes.len();
        let device = self.links[link].device;
        if self.miners_v2[device].is_some() {
            return self.hear_v2(device, link, bytes);
        }
        for heard in self.devices[device].read(bytes) {
            match heard {
                Heard::Work => {
                    self.check_coinbase(device);
                    self.appoint(device);
                }
                Heard::Verdict(id, verdict) => {
                    let oldest = self.devices[device].unanswered.pop_front().map(|submit| submit.id);
                    assert_eq!(oldest, Some(id), "an answer {verdict:?} that is not for the oldest open submit");
                    let is_late = self.now_ns + nanos(PROGRESS) >= self.end_at;
                    self.accepted_lately[device] += u64::from(verdict.is_ok() && is_late);
                }
                Heard::Other => {}
            }
        }
    }

    pub(super) fn end_at_miner(&mut self, link: usize) {
        if !std::mem::replace(&mut self.links[link].is_at_miner, false) {
            return;
        }
        let device = self.links[link].device;
        self.device_links[device] = None;
        self.devices[device].work_version += 1;
        if let Some(miner) = &mut self.miners_v2[device] {
            miner.slots.iter_mut().for_each(|slot| slot.work_version += 1);
        }
        let after = self.random.between(200, 10_000);
        self.at(Duration::from_millis(after), Event::Connect { device });
    }

    pub(super) fn appoint(&mut self, device: usize) {
        if let Some(after) = self.devices[device].time_to_find() {
            let work_version = self.devices[device].work_version;
            self.at(after, Event::Find { device, work_version });
        }
    }

    pub(super) fn find(&mut self, device: usize, work_version: u64) {
        let Some(link) = self.device_links[device] else { return };
        if self.devices[device].work_version != work_version || !self.devices[device].authorized {
            return;
        }
        self.submit(device, link, "\n");
        self.appoint(device);
    }

    fn submit(&mut self, device: usize, link: usize, end_of_line: &str) {
        let (submit, share) = self.devices[device].find(self.links[link].unread_bytes > 0);
        let line = share.line(submit.id, &submit.user) + end_of_line;
        self.links[link].sent.insert(submit.id, submit.clone());
        self.links[link].unfinished = end_of_line.is_empty().then_some(submit.id);
        self.devices[device].unanswered.push_back(submit);
        self.send_to_pool(link, line.as_bytes());
    }

    pub(super) fn reset(&mut self, device: usize) {
        self.soon(self.options.reset.filter(|_| !self.is_calm), Event::Reset { device });
        let Some(link) = self.device_links[device] else { return };
        if self.random.chance(0.5) {
            self.begin_a_frame(device, link);
            let can_submit = self.devices[device].authorized && !self.devices[device].knows.jobs.is_empty();
            if can_submit && self.random.chance(0.5) {
                // The end of the stream takes the place of the newline.
                self.submit(device, link, "");
            }
            // What is on its way to the pool still arrives, then the end.
            let at = self.links[link].to_pool_at.max(self.now_ns);
            self.at_ns(at, Event::EndToPool { link, reason: CloseReason::Peer });
        } else {
            self.end_at_pool(link, CloseReason::SocketError);
        }
        self.end_at_miner(link);
    }

    /// The miner loses its power or its route: it is gone, and the pool learns of it when its kernel gives up.
    pub(super) fn vanish(&mut self, device: usize) {
        self.soon(self.options.vanish.filter(|_| !self.is_calm), Event::Vanish { device });
        let Some(link) = self.device_links[device] else { return };
        let after = Duration::from_secs(self.random.between(20, 900));
        self.at(after, Event::EndToPool { link, reason: CloseReason::SocketError });
        self.end_at_miner(link);
    }

    /// A switch restarts: all connections end at one moment.
    pub(super) fn storm(&mut self) {
        self.soon(self.options.storm.filter(|_| !self.is_calm), Event::Storm);
        for link in self.device_links.clone().into_iter().flatten() {
            self.end_at_pool(link, CloseReason::SocketError);
            self.end_at_miner(link);
        }
    }

    pub(super) fn stall(&mut self, device: usize) {
        self.soon(self.options.stall.filter(|_| !self.is_calm), Event::Stall { device });
        let Some(link) = self.device_links[device] else { return };
        let longest = *self.random.pick(&[120, 120, 7200]);
        let until = self.now_ns + nanos(Duration::from_secs(self.random.between(1, longest)));
        let until = until.min(nanos(self.options.troubled));
        self.links[link].to_miner_at = self.links[link].to_miner_at.max(until);
    }
}
