//! The machine as far as the choice of a profile needs it.

use std::path::Path;
use sysinfo::{DiskKind, DiskRefreshKind, Disks, MemoryRefreshKind, RefreshKind, System};

/// Cores, memory and disk of a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hardware {
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory in bytes; a smaller limit of the control group counts instead.
    pub memory_bytes: u64,
    /// What holds the pool's data.
    pub disk: Disk,
    /// Whether the board says that it is a Raspberry Pi.
    pub is_raspberry_pi: bool,
}

/// A kind of disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disk {
    /// SSD or NVMe.
    SolidState,
    /// With moving parts.
    Spinning,
    /// Flash that wears out soon.
    SdCard,
    /// The system does not say.
    Unknown,
}

impl Hardware {
    /// Measures this machine; `data` is the directory that the store will use. What cannot be found out counts as
    /// little: one core, no memory, unknown disk.
    pub fn detect(data: &Path) -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory_bytes().unwrap_or(0),
            disk: disk_of(data).unwrap_or(Disk::Unknown),
            is_raspberry_pi: std::fs::read_to_string("/proc/device-tree/model")
                .is_ok_and(|model| model.starts_with("Raspberry Pi")),
        }
    }
}

fn memory_bytes() -> Option<u64> {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(what).ok()?;
    let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    Some(system.total_memory().min(limit))
}

/// The disk whose mount point is the longest prefix of `data`.
fn disk_of(data: &Path) -> Option<Disk> {
    let existing = data.ancestors().find_map(|directory| directory.canonicalize().ok())?;
    let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing().with_kind()).ok()?;
    let disk = disks
        .iter()
        .filter(|disk| existing.starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().as_os_str().len())?;
    Some(disk_kind(&disk.name().to_string_lossy(), disk.kind()))
}

/// Linux names SD cards and soldered eMMC `mmcblk`, and calls both solid state.
fn disk_kind(name: &str, kind: DiskKind) -> Disk {
    match kind {
        _ if name.contains("mmcblk") => Disk::SdCard,
        DiskKind::SSD => Disk::SolidState,
        DiskKind::HDD => Disk::Spinning,
        DiskKind::Unknown(_) => Disk::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_measured() {
        let found = Hardware::detect(Path::new("/nowhere/at/all"));
        assert!(found.cores >= 1);
        assert!(found.memory_bytes > 1 << 26, "{found:?}");
    }

    #[test]
    fn sd_cards_are_told_by_their_name() {
        assert_eq!(disk_kind("/dev/mmcblk0p2", DiskKind::SSD), Disk::SdCard);
        assert_eq!(disk_kind("/dev/nvme0n1p2", DiskKind::SSD), Disk::SolidState);
        assert_eq!(disk_kind("/dev/sda1", DiskKind::HDD), Disk::Spinning);
        assert_eq!(disk_kind("overlay", DiskKind::Unknown(-1)), Disk::Unknown);
    }
}
