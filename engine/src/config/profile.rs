//! Profiles: one word that sets the caps for a class of machine, and the advice which one fits.
//!
//! The advice is a function of a [`Hardware`], which is measured elsewhere.

use super::hardware::{Disk, Hardware};
use std::time::Duration;

const GIB: u64 = 1 << 30;

/// A class of machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ProfileKind {
    /// A board with one or two gigabytes.
    Small,
    /// A small server or a board with four.
    Medium,
    /// A server.
    Large,
    /// A server that does nothing else.
    Enterprise,
}

impl ProfileKind {
    /// All, smallest first.
    pub const ALL: [Self; 4] = [Self::Small, Self::Medium, Self::Large, Self::Enterprise];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
            Self::Enterprise => "enterprise",
        }
    }

    /// The caps on a machine with so many cores.
    pub fn caps(self, cores: usize) -> Caps {
        let (connections_max, rayon_threads, raw_share_hours, snapshot_interval_ms) = match self {
            Self::Small => (64, 1, 1, 1000),
            Self::Medium => (256, 2, 1, 1000),
            Self::Large => (1024, 4, 6, 1000),
            Self::Enterprise => (4096, cores.saturating_sub(1).max(1), 24, 500),
        };
        Caps {
            connections_max,
            rayon_threads,
            raw_shares_kept: Duration::from_secs(raw_share_hours * 3600),
            snapshot_interval: Duration::from_millis(snapshot_interval_ms),
        }
    }
}

/// The name of a profile or one of its aliases.
pub(super) fn profile_kind(text: &str) -> Result<ProfileKind, String> {
    match text {
        "small" | "klein" => Ok(ProfileKind::Small),
        "medium" | "mittel" => Ok(ProfileKind::Medium),
        "large" | "gross" => Ok(ProfileKind::Large),
        "enterprise" => Ok(ProfileKind::Enterprise),
        _ => Err("must be small, medium, large or enterprise (or klein, mittel, gross)".to_owned()),
    }
}

/// What a profile bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caps {
    /// Most live connections of miners.
    pub connections_max: usize,
    /// Threads for the heavy columns of a tick.
    pub rayon_threads: usize,
    /// How long single shares are kept.
    pub raw_shares_kept: Duration,
    /// How often the dashboard gets a snapshot.
    pub snapshot_interval: Duration,
}

/// A profile that fits a machine, and what its owner should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recommendation {
    /// The profile.
    pub kind: ProfileKind,
    /// Sentences for the operator.
    pub notes: Vec<String>,
}

/// The profile for a machine: memory and cores decide; the disk and the expected number of miners give notes.
pub fn recommend(hardware: &Hardware, expected_miner_count: usize) -> Recommendation {
    let kind = match hardware.memory_bytes {
        memory if memory < 2 * GIB => ProfileKind::Small,
        memory if memory < 6 * GIB || hardware.cores < 4 => ProfileKind::Medium,
        memory if memory < 24 * GIB => ProfileKind::Large,
        _ => ProfileKind::Enterprise,
    };
    let mut notes: Vec<String> = disk_note(hardware).into_iter().collect();
    let connections_max = kind.caps(hardware.cores).connections_max;
    if expected_miner_count > connections_max {
        notes.push(format!(
            "{expected_miner_count} miners are expected, but the profile {} holds {connections_max} connections: \
             choose a larger profile or set tuning.max_connections.",
            kind.name()
        ));
    }
    Recommendation { kind, notes }
}

fn disk_note(hardware: &Hardware) -> Option<String> {
    let machine = if hardware.is_raspberry_pi { "This Raspberry Pi" } else { "This machine" };
    match hardware.disk {
        Disk::SdCard => Some(format!(
            "{machine} keeps its data on an SD card: each flush wears it and may take long. Use an SSD or NVMe \
             drive for store.path, or raise store.flush_interval_ms."
        )),
        Disk::Spinning => Some(format!(
            "{machine} keeps its data on a spinning disk: a flush takes some 10 ms. An SSD is better for a large pool."
        )),
        Disk::SolidState | Disk::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(cores: usize, memory_gib: u64, disk: Disk) -> Hardware {
        Hardware { cores, memory_bytes: memory_gib * GIB, disk, is_raspberry_pi: false }
    }

    #[test]
    fn memory_and_cores_choose_the_profile() {
        for (cores, memory_gib, expected) in [
            (4, 1, ProfileKind::Small),
            (2, 2, ProfileKind::Medium),
            (8, 5, ProfileKind::Medium),
            (2, 64, ProfileKind::Medium),
            (4, 6, ProfileKind::Large),
            (16, 23, ProfileKind::Large),
            (4, 24, ProfileKind::Enterprise),
        ] {
            let found = recommend(&machine(cores, memory_gib, Disk::SolidState), 5);
            assert_eq!(found, Recommendation { kind: expected, notes: vec![] }, "{cores} cores, {memory_gib} GiB");
        }
    }

    #[test]
    fn a_raspberry_pi_on_an_sd_card_is_told_so() {
        let board = Hardware { is_raspberry_pi: true, ..machine(4, 4, Disk::SdCard) };
        let found = recommend(&board, 5);
        assert_eq!(found.kind, ProfileKind::Medium);
        assert!(found.notes[0].contains("Raspberry Pi") && found.notes[0].contains("SD card"), "{:?}", found.notes);
    }

    #[test]
    fn too_many_expected_miners_are_noted() {
        let found = recommend(&machine(2, 1, Disk::SolidState), 65);
        assert!(found.notes[0].contains("65 miners") && found.notes[0].contains("64 connections"));
    }

    #[test]
    fn names_and_aliases_lead_to_profiles() {
        for kind in ProfileKind::ALL {
            assert_eq!(profile_kind(kind.name()), Ok(kind));
        }
        assert_eq!(profile_kind("gross"), Ok(ProfileKind::Large));
        assert!(profile_kind("huge").is_err());
    }

    #[test]
    fn an_enterprise_leaves_a_core_to_the_engine() {
        assert_eq!(ProfileKind::Enterprise.caps(8).rayon_threads, 7);
        assert_eq!(ProfileKind::Enterprise.caps(1).rayon_threads, 1);
        assert_eq!(ProfileKind::Small.caps(8).rayon_threads, 1);
    }
}
