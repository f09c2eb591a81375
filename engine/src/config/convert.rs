//! From the configuration to what the parts of the pool are given.

use super::hardware::Hardware;
use super::paths::Directories;
use super::profile::{Caps, ProfileKind, recommend};
use super::types::{Config, Mining, RateLimit};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use warppool_components::settings::{Cut, Payee, PayoutSettings, RateLimits, Settings, VardiffSettings};

/// Name of the database file in the data directory.
const STORE_FILE_NAME: &str = "warppool.redb";

impl Config {
    /// The engine's share of the configuration, on this machine.
    pub fn settings(&self) -> Settings {
        self.settings_with(&self.caps())
    }

    /// The engine's share of the configuration under given caps.
    pub fn settings_with(&self, caps: &Caps) -> Settings {
        Settings {
            network: self.node.network,
            payout: payout(&self.mining),
            pool_tag: self.mining.pooltag_prefix.clone(),
            vardiff: self.vardiff_settings(),
            device_classes: self.vardiff.device_classes.clone(),
            stratum_password: self.stratum.stratum_password.reveal().into(),
            connections_max: caps.connections_max,
            snapshot_interval: caps.snapshot_interval,
            node_loss_disconnect: self.node.node_loss_disconnect,
            saved_workers_per_user_max: self.tuning.max_saved_workers_per_user,
            saved_workers_total_max: self.tuning.max_saved_workers_pool_total,
            rate_limits: self.ratelimit.enabled.then(|| rate_limits(&self.ratelimit)),
            idle_evict: self.ratelimit.idle_evict,
        }
    }

    /// The profile: the operator's choice, else what this machine is recommended.
    pub fn profile_kind(&self) -> ProfileKind {
        self.profile.kind.unwrap_or_else(|| self.recommended(&Hardware::detect(&self.store_path())))
    }

    /// The caps on this machine.
    pub fn caps(&self) -> Caps {
        self.caps_on(&Hardware::detect(&self.store_path()))
    }

    /// The caps on a machine: the profile's, where no key says otherwise.
    pub fn caps_on(&self, hardware: &Hardware) -> Caps {
        let kind = self.profile.kind.unwrap_or_else(|| self.recommended(hardware));
        let caps = kind.caps(hardware.cores);
        Caps {
            connections_max: self.tuning.max_connections.unwrap_or(caps.connections_max),
            rayon_threads: self.tuning.rayon_threads.unwrap_or(caps.rayon_threads),
            raw_shares_kept: self.retention.shares_raw.unwrap_or(caps.raw_shares_kept),
            snapshot_interval: caps.snapshot_interval,
        }
    }

    /// The database file.
    pub fn store_path(&self) -> PathBuf {
        let default = || Directories::from_environment().data(self.file.as_deref()).join(STORE_FILE_NAME);
        self.store.path.clone().unwrap_or_else(default)
    }

    /// How long sums of a day are kept; `None` for ever.
    pub fn daily_sums_kept(&self) -> Option<Duration> {
        Some(self.retention.shares_daily).filter(|kept| !kept.is_zero())
    }

    /// How long sums of 5 minutes are kept; `None` for ever.
    pub fn five_minute_sums_kept(&self) -> Option<Duration> {
        Some(self.retention.shares_5min).filter(|kept| !kept.is_zero())
    }

    fn recommended(&self, hardware: &Hardware) -> ProfileKind {
        recommend(hardware, self.profile.expected_miner_count).kind
    }

    fn vardiff_settings(&self) -> VardiffSettings {
        VardiffSettings {
            enabled: self.vardiff.enabled,
            target_seconds_per_share: self.vardiff.target_seconds_per_share,
            min: self.vardiff.min_diff,
            max: self.vardiff.max_diff,
            hysteresis: self.vardiff.hysteresis,
            max_step: self.vardiff.max_step,
            initial: self.vardiff.initial_diff,
        }
    }
}

fn rate_limits(limits: &RateLimit) -> RateLimits {
    RateLimits {
        connects_per_second: limits.connects_per_sec,
        connect_burst: limits.connect_burst,
        authorizes_per_second: limits.auths_per_sec,
        authorize_burst: limits.auth_burst,
        connections_per_address_max: NonZeroU32::new(limits.max_connections_per_ip),
        forget_after: limits.idle_evict,
    }
}

fn payout(mining: &Mining) -> PayoutSettings {
    PayoutSettings {
        fallback: mining.payout_address.clone(),
        pay_username_address: mining.pay_username_address,
        fee: cut(mining.pool_fee_address.as_ref(), mining.pool_fee_basis_points),
        donation: cut(mining.operator_donation_address.as_ref(), mining.operator_donation_basis_points),
        aliases: mining.aliases.clone(),
    }
}

/// An address without a percentage gets no output at all.
fn cut(payee: Option<&Payee>, basis_points: u32) -> Option<Cut> {
    payee.filter(|_| basis_points > 0).map(|payee| Cut { payee: payee.clone(), basis_points })
}
