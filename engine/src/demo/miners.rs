//! The miners of the demonstration, of every way to be connected.

use super::pools::payee;
use std::net::SocketAddr;
use std::time::Duration;
use warppool_loadgen::miner::{Device, MinerOptions, MinerStats, SimMiner};
use warppool_net::transport::noise::AuthorityPublicKey;

/// Hashes a second of all miners of a kind together at most: each kind finds as many blocks as the others, and the machine stays
/// usable.
pub(super) const HASHES_PER_SECOND_OF_A_KIND: f64 = 700_000.0;

/// How quickly a NerdMiner reads after it has subscribed; the device takes 1.2 s.
const NERDMINER_DELAY: Duration = Duration::from_millis(200);

/// How a miner is connected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// To the pool, by Stratum V1.
    V1,
    /// To the pool, by Stratum V2.
    V2,
    /// By Stratum V1 to a translator, which is connected to the pool by Stratum V2.
    Translated,
}

impl Kind {
    /// All of them, in the order in which miners are made.
    pub(super) const ALL: [Self; 3] = [Self::V1, Self::V2, Self::Translated];

    /// For tables.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::V1 => "V1",
            Self::V2 => "V2",
            Self::Translated => "V1 to V2",
        }
    }

    /// For sentences.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V1 => "a miner of Stratum V1",
            Self::V2 => "a miner of Stratum V2",
            Self::Translated => "a miner behind the translator",
        }
    }

    /// What firmware speaks so, in turn.
    const fn devices(self) -> &'static [Device] {
        match self {
            Self::V1 => &[Device::NerdMiner, Device::CpuMiner, Device::Bitaxe],
            Self::V2 => &[Device::Bitaxe],
            Self::Translated => &[Device::Cgminer, Device::BmMiner],
        }
    }
}

/// Where miners connect.
#[derive(Clone, Copy)]
pub(super) struct Places {
    /// The pool, for both protocols.
    pub(super) pool: SocketAddr,
    /// Who vouches for it in Stratum V2.
    pub(super) authority: AuthorityPublicKey,
    /// The translator.
    pub(super) translator: SocketAddr,
}

/// One simulated miner.
pub(super) struct Miner {
    /// How it is connected.
    pub(super) kind: Kind,
    /// What it is.
    pub(super) device: Device,
    /// Its username.
    pub(super) username: String,
    miner: Option<SimMiner>,
    last: MinerStats,
}

impl Miner {
    /// What it has done.
    pub(super) fn stats(&self) -> MinerStats {
        self.miner.as_ref().map_or_else(|| self.last.clone(), SimMiner::stats)
    }

    /// Lets it finish, so that what it counts and what the pool counts agree.
    pub(super) fn close(&mut self) {
        if let Some(running) = self.miner.take() {
            self.last = running.stop();
        }
    }
}

/// Starts so many, the kinds in turn.
pub(super) fn start(count: usize, places: Places) -> Vec<Miner> {
    (0..count).map(|number| miner(number, count, places)).collect()
}

/// Who the translator is at the pool.
pub(super) fn translator_user() -> String {
    format!("{}.translator", payee(0x7a).address)
}

fn miner(number: usize, count: usize, places: Places) -> Miner {
    let kinds = Kind::ALL.len();
    let (place, round) = (number % kinds, number / kinds);
    let kind = Kind::ALL[place];
    let device = kind.devices()[round % kind.devices().len()];
    let of_its_kind = (count - place).div_ceil(kinds);
    let protocol = if kind == Kind::V2 { "v2" } else { "v1" };
    // The dashboard shows the name, so it says the protocol.
    let name = format!("{}-{protocol}-{number}", device.name().to_ascii_lowercase());
    // Two devices of one owner, so that both kinds of payout are seen. A translator is told names only: its own user is paid.
    let username = match kind {
        Kind::Translated => format!("barn.{name}"),
        Kind::V1 | Kind::V2 => format!("{}.{name}", payee(1 + round as u8).address),
    };
    let pool = if kind == Kind::Translated { places.translator } else { places.pool };
    let options = MinerOptions {
        authority: (kind == Kind::V2).then_some(places.authority),
        hashes_per_second_max: Some(HASHES_PER_SECOND_OF_A_KIND / of_its_kind as f64),
        seed: number as u64,
        suggest_difficulty: Some(0.0002),
        subscribe_read_delay: NERDMINER_DELAY,
        ..MinerOptions::new(pool, device, username.clone())
    };
    Miner { kind, device, username, miner: Some(SimMiner::start(options)), last: MinerStats::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_share_of_the_miners_and_each_a_name_of_its_own() {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let authority = warppool_net::transport::noise::AuthorityKey::generate().public();
        let miners = start(7, Places { pool: nowhere, authority, translator: nowhere });
        let count = |kind| miners.iter().filter(|miner| miner.kind == kind).count();
        assert_eq!(Kind::ALL.map(count), [3, 2, 2]);
        let names: std::collections::HashSet<_> = miners.iter().map(|miner| &miner.username).collect();
        assert_eq!(names.len(), 7);
    }
}
