//! Miners of Stratum V2: what they send and hear, shares that they find, channels that they change.

use super::*;
use crate::miner_v2::MinerV2;

impl Simulation {
    /// The connection is there: first the handshake, or the setup at once.
    pub(super) fn begin_v2(&mut self, device: usize, link: usize) {
        let miner = miner_of(&mut self.miners_v2, device);
        let act_1 = miner.wire.begin();
        let segments = miner.connect();
        if !act_1.is_empty() {
            self.send_to_pool(link, &act_1);
        }
        for frames in segments {
            self.say_v2(device, link, &frames);
        }
    }

    fn say_v2(&mut self, device: usize, link: usize, frames: &[u8]) {
        let miner = miner_of(&mut self.miners_v2, device);
        let bytes = miner.wire.seal(frames);
        let users = (0..miner.slots.len()).filter_map(|slot| miner.request_of(slot));
        if let Some(v2) = &mut self.links[link].v2 {
            v2.asked.extend(users);
        }
        if !bytes.is_empty() {
            self.send_to_pool(link, &bytes);
        }
    }

    pub(super) fn hear_v2(&mut self, device: usize, link: usize, bytes: &[u8]) {
        let (authority, now) = (self.responder.authority(), self.unix());
        let is_late = self.now_ns + nanos(PROGRESS) >= self.end_at;
        let miner = miner_of(&mut self.miners_v2, device);
        let (frames, sealed) = miner.wire.receive(bytes, authority, now);
        let (heard, wanted) = miner.hear(&frames);
        for (slot, accepted) in miner.slots.iter_mut().zip(heard.accepted) {
            slot.accepted_lately += if is_late { accepted } else { 0 };
        }
        if !sealed.is_empty() {
            self.send_to_pool(link, &sealed);
        }
        if !wanted.is_empty() {
            self.say_v2(device, link, &wanted);
        }
        for slot in (0..heard.new_work.len()).filter(|slot| heard.new_work[*slot]) {
            self.check_coinbase_v2(device, slot);
            self.appoint_v2(device, slot);
        }
    }

    fn appoint_v2(&mut self, device: usize, slot: usize) {
        let miner = miner_of(&mut self.miners_v2, device);
        if let Some(after) = miner.time_to_find(slot) {
            let work_version = miner.slots[slot].work_version;
            self.at(after, Event::FindV2 { device, slot, work_version });
        }
    }

    pub(super) fn find_v2(&mut self, device: usize, slot: usize, work_version: u64) {
        let Some(link) = self.device_links[device] else { return };
        let miner = miner_of(&mut self.miners_v2, device);
        if miner.slots[slot].work_version != work_version {
            return;
        }
        if let Some((submit, frame)) = miner.find(slot) {
            self.links[link].sent.insert(submit.id, submit);
            self.say_v2(device, link, &frame);
        }
        self.appoint_v2(device, slot);
    }

    /// Half of a share, behind which the connection ends: nobody hears of it.
    pub(super) fn begin_a_frame(&mut self, device: usize, link: usize) {
        let Some(miner) = &mut self.miners_v2[device] else { return };
        let Some((_, frame)) = (0..miner.slots.len()).find_map(|slot| miner.find(slot)) else { return };
        let bytes = miner.wire.seal(&frame);
        if !bytes.is_empty() {
            self.send_to_pool(link, &bytes[..bytes.len() / 2]);
        }
    }

    /// A channel is updated, or closed and opened anew.
    pub(super) fn whim(&mut self, device: usize) {
        self.soon(self.options.whims.filter(|_| !self.is_calm), Event::Whim { device });
        let Some(link) = self.device_links[device] else { return };
        let draw = self.random.between(0, 9);
        let miner = miner_of(&mut self.miners_v2, device);
        let frames = match draw {
            0..=3 => miner.update(),
            4..=7 => miner.close(false),
            _ => miner.close(true),
        };
        let Some(mut frames) = frames else { return };
        let comes_back_at_once = draw.is_multiple_of(2);
        if comes_back_at_once {
            frames.extend(miner.ask_for_all());
        }
        self.say_v2(device, link, &frames);
        if !comes_back_at_once {
            let after = self.random.between(1, 20_000);
            self.at(Duration::from_millis(after), Event::Reopen { device });
        }
    }

    pub(super) fn reopen(&mut self, device: usize) {
        let Some(link) = self.device_links[device] else { return };
        let miner = miner_of(&mut self.miners_v2, device);
        if miner.is_set_up() {
            let frames = miner.ask_for_all();
            self.say_v2(device, link, &frames);
        }
    }
}

/// The miner of a device that speaks Stratum V2.
pub(super) fn miner_of(miners: &mut [Option<MinerV2>], device: usize) -> &mut MinerV2 {
    miners[device].as_mut().expect("events of Stratum V2 are for miners of it")
}
