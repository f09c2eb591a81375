//! The answers' shapes, as `docs/book/api.md` describes them. Each module makes values to be serialised from a snapshot;
//! nothing here knows HTTP but for the [`Problem`](crate::problem::Problem)s it may find.

pub(crate) mod blocks;
pub(crate) mod ckpool;
pub(crate) mod events;
pub(crate) mod hashrate;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod overview;
pub(crate) mod public_pool;
pub(crate) mod qr;
pub(crate) mod workers;

use serde::ser::{Serialize, SerializeMap, Serializer};
use warppool_components::job::CoinbaseOutput;
use warppool_components::reject::{Reject, RejectCounts};
use warppool_components::settings::Network;
use warppool_components::snapshot::{Hashrates, Snapshot};
use warppool_components::units::{Difficulty, Sats, UnixTime};
use warppool_components::worker::{HASHRATE_WINDOW_NAMES, HASHRATE_WINDOWS_SECONDS};

/// Place of the window over which chances are reckoned: one hour, long enough not to jump and short enough to follow.
const ODDS_WINDOW: usize = 3;
const _: () = assert!(HASHRATE_WINDOWS_SECONDS[ODDS_WINDOW] == 3600);

/// Hash rates keyed by their windows.
pub(crate) struct HashratesJson(Hashrates);

impl Serialize for HashratesJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (window, hashes) in HASHRATE_WINDOW_NAMES.iter().zip(self.0) {
            map.serialize_entry(window, &finite(hashes))?;
        }
        map.end()
    }
}

/// Refused shares keyed by their reasons.
pub(crate) struct RejectedJson(RejectCounts);

impl Serialize for RejectedJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for reject in Reject::ALL {
            map.serialize_entry(reject.label(), &self.0[reject.index()])?;
        }
        map.end()
    }
}

/// Shares since the beginning.
#[derive(serde::Serialize)]
pub(crate) struct SharesJson {
    accepted: u64,
    accepted_difficulty: f64,
    rejected: u64,
    rejected_by_reason: RejectedJson,
}

impl SharesJson {
    fn new(accepted: u64, accepted_difficulty: f64, rejected: RejectCounts) -> Self {
        let accepted_difficulty = finite(accepted_difficulty);
        Self {
            accepted,
            accepted_difficulty,
            rejected: rejected.iter().sum(),
            rejected_by_reason: RejectedJson(rejected),
        }
    }
}

/// What the finder of a block would get of it, and at which address.
#[derive(serde::Serialize)]
pub(crate) struct ReceiptJson<'a> {
    address: &'a str,
    sats: u64,
    percent: f64,
}

impl<'a> ReceiptJson<'a> {
    /// `None` when there is no job, or nobody would be paid.
    fn new(outputs: &'a [CoinbaseOutput]) -> Option<Self> {
        let miner = outputs.iter().find(|output| output.role == "miner")?;
        let total = outputs.iter().map(|output| output.value.0).sum();
        Some(Self { address: &miner.address, sats: miner.value.0, percent: percent(miner.value, total) })
    }
}

/// What a coinbase pays to whom.
#[derive(serde::Serialize)]
pub(crate) struct PayoutJson<'a> {
    miner_address: Option<&'a str>,
    miner_sats: u64,
    miner_percent: f64,
    outputs: Vec<OutputJson<'a>>,
}

#[derive(serde::Serialize)]
struct OutputJson<'a> {
    role: &'static str,
    address: Option<&'a str>,
    script: String,
    value_sats: u64,
    percent: f64,
}

impl<'a> PayoutJson<'a> {
    fn new(outputs: &'a [CoinbaseOutput]) -> Self {
        let total: u64 = outputs.iter().map(|output| output.value.0).sum();
        let receipt = ReceiptJson::new(outputs);
        let outputs = outputs.iter().map(|output| OutputJson {
            role: output.role,
            address: Some(&*output.address).filter(|address| !address.is_empty()),
            script: hex(&output.script),
            value_sats: output.value.0,
            percent: percent(output.value, total),
        });
        Self {
            miner_address: receipt.as_ref().map(|receipt| receipt.address),
            miner_sats: receipt.as_ref().map_or(0, |receipt| receipt.sats),
            miner_percent: receipt.as_ref().map_or(0.0, |receipt| receipt.percent),
            outputs: outputs.collect(),
        }
    }
}

/// How long until a block, and how likely one is. Finding blocks is a Poisson process.
#[derive(serde::Serialize)]
pub(crate) struct OddsJson {
    window: &'static str,
    hashes_per_second: f64,
    expected_seconds: Option<f64>,
    p50_seconds: Option<f64>,
    p90_seconds: Option<f64>,
    probability_1d: Option<f64>,
    probability_30d: Option<f64>,
    probability_365d: Option<f64>,
}

impl OddsJson {
    fn new(hashrates: &Hashrates, network_difficulty: Option<f64>) -> Self {
        const DAY_SECONDS: f64 = 86_400.0;
        let hashes_per_second = finite(hashrates[ODDS_WINDOW]);
        let expected = network_difficulty
            .and_then(|difficulty| Difficulty::new(difficulty).ok())
            .map(|difficulty| difficulty.hashes() / hashes_per_second)
            .filter(|seconds| seconds.is_finite());
        let probability = |days: f64| expected.map(|seconds| -(-days * DAY_SECONDS / seconds).exp_m1());
        Self {
            window: HASHRATE_WINDOW_NAMES[ODDS_WINDOW],
            hashes_per_second,
            expected_seconds: expected,
            p50_seconds: expected.map(|seconds| seconds * std::f64::consts::LN_2),
            p90_seconds: expected.map(|seconds| seconds * std::f64::consts::LN_10),
            probability_1d: probability(1.0),
            probability_30d: probability(30.0),
            probability_365d: probability(365.0),
        }
    }
}

/// Difficulty of the network: the node's word, or else what the job's `nBits` mean.
pub(crate) fn network_difficulty(snapshot: &Snapshot) -> Option<f64> {
    let known = |difficulty: f64| (difficulty.is_finite() && difficulty > 0.0).then_some(difficulty);
    known(snapshot.node.difficulty).or_else(|| snapshot.job.as_ref().and_then(|job| known(job.difficulty)))
}

/// Address of an explorer for a network, without trailing slash. A regtest chain has none.
pub(crate) fn explorer(network: Network) -> Option<&'static str> {
    match network {
        Network::Mainnet => Some("https://mempool.space"),
        Network::Testnet4 => Some("https://mempool.space/testnet4"),
        Network::Signet => Some("https://mempool.space/signet"),
        Network::Regtest => None,
    }
}

/// Lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON has no infinity; where one would stand, a sum has run over.
fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

fn percent(part: Sats, total: u64) -> f64 {
    if total == 0 { 0.0 } else { part.0 as f64 * 100.0 / total as f64 }
}

fn age_seconds(now: UnixTime, then: UnixTime) -> u64 {
    now.seconds().saturating_sub(then.seconds())
}

/// RFC 3339 with milliseconds in UTC, as JavaScript's `toISOString` has it.
fn rfc3339(time: UnixTime) -> String {
    const DAY_SECONDS: u64 = 86_400;
    // Beyond the year 9999 the format ends.
    let seconds = time.seconds().min(253_402_300_799);
    let (year, month, day) = civil_date(seconds / DAY_SECONDS);
    let clock = seconds % DAY_SECONDS;
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", time.millis() % 1000)
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar: years are counted from March on, so that
/// the leap day is the last of its year, in eras of 400 years.
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_231_006_505, "2009-01-03T18:15:05.000Z"),
            (1_763_688_000, "2025-11-21T01:20:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(UnixTime::from_seconds(seconds)), expected);
        }
        assert_eq!(rfc3339(UnixTime::from_millis(u64::MAX)).get(..4), Some("9999"));
    }

    #[test]
    fn odds_are_those_of_a_poisson_process() {
        // 2^32 hashes a second at difficulty 86400: one block a day.
        let odds = OddsJson::new(&[4_294_967_296.0; 7], Some(86_400.0));
        let near = |value: Option<f64>, expected: f64| (value.unwrap_or(-1.0) / expected - 1.0).abs() < 1e-4;
        assert!(near(odds.expected_seconds, 86_400.0), "{:?}", odds.expected_seconds);
        assert!(near(odds.p50_seconds, 59_887.9) && near(odds.p90_seconds, 198_943.4));
        assert!(near(odds.probability_1d, 0.632_121) && near(odds.probability_365d, 1.0));
        assert_eq!(OddsJson::new(&[0.0; 7], Some(1.0)).p50_seconds, None);
        assert_eq!(OddsJson::new(&[1.0; 7], None).probability_1d, None);
    }
}
