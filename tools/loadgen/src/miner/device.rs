//! Firmware families: in which order each one talks, the bytes of its requests, and how it walks its search space.
//!
//! Facts are those of the firmware sources (ESP-Miner, NerdMiner v2, cgminer, cpuminer, bmminer); the wording of the
//! requests is kept to the byte, because key order and spaces are what a pool's parser has to survive.

use bitcoin::hex::DisplayHex;

use super::work::Share;

/// A firmware family that [`SimMiner`](super::SimMiner) can imitate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// NerdMiner v2 on an ESP32: reads one line after subscribe, authorizes without reading the answer, suggests a
    /// difficulty every 30 s, constant extranonce2 and first nonce, nonce without padding.
    NerdMiner,
    /// Bitaxe with AxeOS (ESP-Miner): configure, subscribe and authorize in one go, version rolling.
    Bitaxe,
    /// cgminer and its descendants: configure first with id 0, each step waits for its reply, `params` first.
    Cgminer,
    /// cpuminer: id 4 for every submit, answers matched by their order, no version rolling.
    CpuMiner,
    /// Antminer's bmminer: configures after authorize and waits for `mining.set_version_mask`.
    BmMiner,
}

/// A request of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Configure,
    Subscribe,
    Authorize,
    SuggestDifficulty,
    SubscribeExtranonce,
    Submit,
}

/// One step of the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Send(Request),
    AwaitReply(Request),
    /// Waits `subscribe_read_delay` without reading.
    Pause,
    AwaitVersionMask,
}

use Request::{Authorize, Configure, Subscribe, SubscribeExtranonce, SuggestDifficulty};
use Step::{AwaitReply, AwaitVersionMask, Pause, Send};

impl Device {
    /// All families, for tables and swarms.
    pub const ALL: [Self; 5] = [Self::NerdMiner, Self::Bitaxe, Self::Cgminer, Self::CpuMiner, Self::BmMiner];

    /// User agent sent in `mining.subscribe`.
    #[must_use]
    pub fn user_agent(self) -> &'static str {
        match self {
            Self::NerdMiner => "NerdMinerV2/V1.8.3",
            Self::Bitaxe => "bitaxe/BM1370/v2.9.0",
            Self::Cgminer => "cgminer/4.11.1",
            Self::CpuMiner => "cpuminer/2.5.1",
            Self::BmMiner => "bmminer/2.0.0",
        }
    }

    /// Name for tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NerdMiner => "NerdMiner",
            Self::Bitaxe => "Bitaxe",
            Self::Cgminer => "cgminer",
            Self::CpuMiner => "cpuminer",
            Self::BmMiner => "bmminer",
        }
    }

    pub(crate) fn handshake(self) -> &'static [Step] {
        match self {
            Self::NerdMiner => {
                &[Send(Subscribe), Pause, AwaitReply(Subscribe), Send(Authorize), Send(SuggestDifficulty)]
            }
            Self::Bitaxe => &[
                Send(Configure),
                Send(Subscribe),
                Send(Authorize),
                AwaitReply(Authorize),
                Send(SuggestDifficulty),
                Send(SubscribeExtranonce),
            ],
            Self::Cgminer => &[
                Send(Configure),
                AwaitReply(Configure),
                Send(Subscribe),
                AwaitReply(Subscribe),
                Send(Authorize),
                AwaitReply(Authorize),
                Send(SuggestDifficulty),
            ],
            Self::CpuMiner => &[Send(Subscribe), AwaitReply(Subscribe), Send(Authorize), AwaitReply(Authorize)],
            Self::BmMiner => &[
                Send(Subscribe),
                AwaitReply(Subscribe),
                Send(Authorize),
                AwaitReply(Authorize),
                Send(SuggestDifficulty),
                Send(Configure),
                AwaitReply(Configure),
                AwaitVersionMask,
            ],
        }
    }

    /// Id of the first request.
    pub(crate) fn first_id(self) -> u64 {
        match self {
            Self::NerdMiner | Self::Bitaxe | Self::CpuMiner => 1,
            Self::Cgminer | Self::BmMiner => 0,
        }
    }

    /// Id that every submit carries, where the firmware does not count.
    pub(crate) fn fixed_submit_id(self) -> Option<u64> {
        (self == Self::CpuMiner).then_some(4)
    }

    /// Mask asked for in `mining.configure`; zero when the firmware does not roll versions.
    pub(crate) fn requested_mask(self) -> u32 {
        match self {
            Self::NerdMiner | Self::CpuMiner => 0,
            Self::Bitaxe | Self::Cgminer => 0xffff_ffff,
            Self::BmMiner => 0x00c0_0000,
        }
    }

    /// Whether the firmware sends `mining.suggest_difficulty` again every 30 s.
    pub(crate) fn repeats_suggestion(self) -> bool {
        self == Self::NerdMiner
    }

    /// Sends its session id again when it comes back.
    pub(crate) fn resumes_session(self) -> bool {
        matches!(self, Self::Cgminer | Self::BmMiner)
    }

    /// NerdMiner never changes extranonce2, so two equal jobs give equal shares.
    pub(crate) fn has_fixed_extranonce2(self) -> bool {
        self == Self::NerdMiner
    }

    pub(crate) fn first_extranonce2(self) -> u64 {
        u64::from(self == Self::NerdMiner)
    }

    pub(crate) fn first_nonce(self, seed: u64) -> u32 {
        match self {
            Self::NerdMiner => 0xda54_e700,
            Self::CpuMiner => 0,
            // An ASIC's cores start all over the range.
            Self::Bitaxe | Self::Cgminer | Self::BmMiner => (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32,
        }
    }

    /// Nonces tried under one header before version or extranonce2 change. An ASIC runs through the whole range in
    /// milliseconds; here a fraction of it stands for that, so that rolling is seen at a processor's speed.
    pub(crate) fn nonces_per_header(self) -> u64 {
        match self {
            Self::NerdMiner | Self::CpuMiner => 1 << 32,
            Self::Bitaxe | Self::Cgminer | Self::BmMiner => 1 << 16,
        }
    }

    /// The difficulty to suggest as the firmware prints it, or `None` when it would send nothing.
    pub(crate) fn suggestion(self, wanted: Option<f64>) -> Option<String> {
        match self {
            Self::NerdMiner => Some(wanted.unwrap_or(0.00015).to_string()),
            Self::Bitaxe => integer(wanted.unwrap_or(1000.0)),
            Self::Cgminer | Self::BmMiner => integer(wanted?),
            Self::CpuMiner => None,
        }
    }

    pub(crate) fn configure_line(self, id: u64) -> String {
        let mask = self.requested_mask();
        format!(
            "{{\"id\": {id}, \"method\": \"mining.configure\", \"params\": [[\"version-rolling\"], \
             {{\"version-rolling.mask\": \"{mask:08x}\"}}]}}\n"
        )
    }

    pub(crate) fn subscribe_line(self, id: u64, session_id: Option<&str>) -> String {
        let agent = self.user_agent();
        let session = session_id.map(|session| format!(", {}", quoted(session))).unwrap_or_default();
        format!("{{\"id\": {id}, \"method\": \"mining.subscribe\", \"params\": [\"{agent}\"{session}]}}\n")
    }

    pub(crate) fn authorize_line(self, id: u64, username: &str, password: &str) -> String {
        let params = format!("[{}, {}]", quoted(username), quoted(password));
        if self == Self::NerdMiner {
            return format!("{{\"params\": {params}, \"id\": {id}, \"method\": \"mining.authorize\"}}\n");
        }
        format!("{{\"id\": {id}, \"method\": \"mining.authorize\", \"params\": {params}}}\n")
    }

    pub(crate) fn suggest_line(id: u64, difficulty: &str) -> String {
        format!("{{\"id\": {id}, \"method\": \"mining.suggest_difficulty\", \"params\": [{difficulty}]}}\n")
    }

    pub(crate) fn extranonce_line(id: u64) -> String {
        format!("{{\"id\": {id}, \"method\": \"mining.extranonce.subscribe\", \"params\": []}}\n")
    }

    /// A submit in the firmware's own key order and padding. `rolls` tells whether version rolling was agreed.
    pub(crate) fn submit_line(self, id: u64, username: &str, share: &Share, rolls: bool) -> String {
        let (user, job) = (quoted(username), quoted(&share.job_id));
        let extranonce2 = share.extranonce2.to_lower_hex_string();
        let Share { time, nonce, version_bits, .. } = share;
        let version = if rolls { format!(", \"{version_bits:08x}\"") } else { String::new() };
        match self {
            Self::NerdMiner => format!(
                "{{\"id\":{id},\"method\":\"mining.submit\",\"params\":[{user},{job},\"{extranonce2}\",\"{time:08x}\",\
                 \"{nonce:x}\"]}}\n"
            ),
            Self::Bitaxe => format!(
                "{{\"id\": {id}, \"method\": \"mining.submit\", \"params\": [{user}, {job}, \"{extranonce2}\", \
                 \"{time:08x}\", \"{nonce:08x}\"{version}]}}\n"
            ),
            Self::CpuMiner => format!(
                "{{\"method\": \"mining.submit\", \"params\": [{user}, {job}, \"{extranonce2}\", \"{time:08x}\", \
                 \"{nonce:08x}\"], \"id\":{id}}}\n"
            ),
            Self::Cgminer | Self::BmMiner => format!(
                "{{\"params\": [{user}, {job}, \"{extranonce2}\", \"{time:08x}\", \"{nonce:08x}\"{version}], \
                 \"id\": {id}, \"method\": \"mining.submit\"}}\n"
            ),
        }
    }

    /// The answer to the pool's `mining.ping`; NerdMiner and cpuminer give none.
    pub(crate) fn pong_line(self, id: &serde_json::Value) -> Option<String> {
        match self {
            Self::NerdMiner | Self::CpuMiner => None,
            Self::Bitaxe => Some(format!("{{\"id\": {id}, \"method\": \"pong\", \"params\": []}}\n")),
            Self::Cgminer | Self::BmMiner => Some(format!("{{\"id\": {id}, \"result\": \"pong\", \"error\": null}}\n")),
        }
    }
}

/// What `%ld` prints of a difficulty; nothing below 1, where the firmware could only send 0.
fn integer(difficulty: f64) -> Option<String> {
    (difficulty >= 1.0).then(|| format!("{difficulty:.0}"))
}

/// A JSON string. Firmware does not escape, but a quote in a name must not break the line here.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::Device;
    use crate::miner::work::Share;

    fn share() -> Share {
        Share {
            job_id: "1f".to_owned(),
            extranonce2: vec![0, 0, 0, 0, 0, 0, 0, 1],
            time: 0x6561_2f00,
            nonce: 0x00ab_cdef,
            version_bits: 0x2000,
            version: 0x2000_2000,
            is_block_candidate: false,
        }
    }

    #[test]
    fn submits_have_each_firmwares_key_order_and_padding() {
        let line = |device: Device, id| device.submit_line(id, "bc1q.w", &share(), device.requested_mask() != 0);
        let cases = [
            (
                Device::NerdMiner,
                r#"{"id":9,"method":"mining.submit","params":["bc1q.w","1f","0000000000000001","65612f00","abcdef"]}"#,
            ),
            (
                Device::Bitaxe,
                r#"{"id": 9, "method": "mining.submit", "params": ["bc1q.w", "1f", "0000000000000001", "65612f00", "00abcdef", "00002000"]}"#,
            ),
            (
                Device::Cgminer,
                r#"{"params": ["bc1q.w", "1f", "0000000000000001", "65612f00", "00abcdef", "00002000"], "id": 9, "method": "mining.submit"}"#,
            ),
            (
                Device::CpuMiner,
                r#"{"method": "mining.submit", "params": ["bc1q.w", "1f", "0000000000000001", "65612f00", "00abcdef"], "id":9}"#,
            ),
        ];
        for (device, expected) in cases {
            assert_eq!(line(device, 9), format!("{expected}\n"), "{device:?}");
        }
    }

    #[test]
    fn suggestions_are_printed_as_the_firmware_can() {
        let cases = [
            (Device::NerdMiner, None, Some("0.00015")),
            (Device::Bitaxe, None, Some("1000")),
            (Device::Bitaxe, Some(0.5), None),
            (Device::Cgminer, None, None),
            (Device::BmMiner, Some(65536.0), Some("65536")),
            (Device::CpuMiner, Some(1.0), None),
        ];
        for (device, wanted, expected) in cases {
            assert_eq!(device.suggestion(wanted).as_deref(), expected, "{device:?} {wanted:?}");
        }
    }
}
