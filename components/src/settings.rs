//! What the operator decided, after parsing and checking: the engine's share of the configuration.

use crate::units::Difficulty;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// A Bitcoin network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Network {
    /// The one with money.
    #[default]
    Mainnet,
    /// BIP94.
    Testnet4,
    /// BIP325.
    Signet,
    /// A private chain on the operator's machine.
    Regtest,
}

impl Network {
    /// The name in our configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// The name that Bitcoin Core's `getblockchaininfo` reports.
    pub const fn chain(self) -> &'static str {
        match self {
            Self::Mainnet => "main",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// Blocks between two halvings of the subsidy.
    pub const fn halving_interval(self) -> u32 {
        if matches!(self, Self::Regtest) { 150 } else { 210_000 }
    }

    /// Whether a block may fall to the minimum difficulty when the last one is old, so that the next block's
    /// `nBits` cannot be known ahead.
    pub const fn has_minimum_difficulty_rule(self) -> bool {
        matches!(self, Self::Testnet4)
    }

    /// All networks.
    pub const ALL: [Self; 4] = [Self::Mainnet, Self::Testnet4, Self::Signet, Self::Regtest];
}

/// An output script, and the address it was made from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Payee {
    /// The address in its usual text form.
    pub address: Arc<str>,
    /// The scriptPubKey; empty where another pool makes the coinbase, and pays whom it likes.
    pub script: Arc<[u8]>,
}

impl Payee {
    /// Whoever is paid by the pool that gives the work; `user` is the name that is known there.
    pub fn upstream(user: &str) -> Self {
        Self { address: user.into(), script: [].into() }
    }

    /// Whether another pool decides who is paid.
    pub fn is_upstream(&self) -> bool {
        self.script.is_empty()
    }
}

/// A part of the reward that goes to somebody else than the miner.
#[derive(Clone, PartialEq, Debug)]
pub struct Cut {
    /// Who gets it.
    pub payee: Payee,
    /// Hundredths of a percent of the coinbase's value: 1 percent is 100.
    pub basis_points: u32,
}

/// Who is paid by a block.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PayoutSettings {
    /// Paid when a username holds no valid address; `None` refuses such miners.
    pub fallback: Option<Payee>,
    /// Whether the address of the username is paid. When false the fallback is.
    pub pay_username_address: bool,
    /// The pool's fee.
    pub fee: Option<Cut>,
    /// The operator's donation.
    pub donation: Option<Cut>,
    /// Short names that stand for addresses, for firmware that cuts long usernames.
    pub aliases: BTreeMap<String, String>,
}

/// How difficulty follows a miner's hash rate.
#[derive(Clone, PartialEq, Debug)]
pub struct VardiffSettings {
    /// Whether difficulty is adapted at all.
    pub enabled: bool,
    /// Seconds between two shares of a miner whose device class does not say otherwise.
    pub target_seconds_per_share: f64,
    /// Easiest difficulty.
    pub min: Difficulty,
    /// Hardest difficulty.
    pub max: Difficulty,
    /// Relative distance from the ideal that is left alone.
    pub hysteresis: f64,
    /// Largest factor of one change.
    pub max_step: f64,
    /// Where a miner of unknown class starts.
    pub initial: Difficulty,
}

/// What one network address may do: a whole IPv4 address, or the /64 of an IPv6 one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RateLimits {
    /// Connections a second in the long run.
    pub connects_per_second: f64,
    /// Connections at once.
    pub connect_burst: u32,
    /// Authorizes a second in the long run, beside the first of each connection.
    pub authorizes_per_second: f64,
    /// Authorizes at once, beside the first of each connection.
    pub authorize_burst: u32,
    /// Live connections; `None` for no limit.
    pub connections_per_address_max: Option<NonZeroU32>,
    /// Time without an attempt after which an address starts anew.
    pub forget_after: Duration,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            connects_per_second: 5.0,
            connect_burst: 120,
            authorizes_per_second: 1.0,
            authorize_burst: 30,
            connections_per_address_max: None,
            forget_after: Duration::from_secs(300),
        }
    }
}

/// What the engine needs to know.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// The network, for addresses and the subsidy.
    pub network: Network,
    /// Who is paid.
    pub payout: PayoutSettings,
    /// Text in the coinbase, without its slashes: the coinbase holds `/warppool/`.
    pub pool_tag: String,
    /// Difficulty.
    pub vardiff: VardiffSettings,
    /// Device classes in the order in which they are tried.
    pub device_classes: Arc<[crate::device_class::DeviceClass]>,
    /// Password that every miner must give, empty for none.
    pub stratum_password: Arc<str>,
    /// Most live connections.
    pub connections_max: usize,
    /// How often a snapshot is published.
    pub snapshot_interval: Duration,
    /// Silence of the node after which miners are released to their own fail-over.
    pub node_loss_disconnect: Duration,
    /// Workers remembered for one address.
    pub saved_workers_per_user_max: usize,
    /// Workers remembered in all; the ones not seen for longest go first.
    pub saved_workers_total_max: usize,
    /// What one network address may do, and how much one connection; `None` limits nothing but by fixed bounds.
    pub rate_limits: Option<RateLimits>,
    /// A connection without any line for so long is closed, unless it has authorized.
    pub idle_evict: Duration,
}
