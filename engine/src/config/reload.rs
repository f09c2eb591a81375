//! What a reload changes: some keys apply at once, others at the next start.

use super::keys::{KEYS, Reloading};
use super::types::Config;

/// The keys in which two configurations differ.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// These apply while the pool runs.
    pub live: Vec<&'static str>,
    /// These apply at the next start.
    pub needs_restart: Vec<&'static str>,
}

/// Compares two configurations key by key. Secrets are not compared here.
pub fn changes(old: &Config, new: &Config) -> Changes {
    let mut changes = Changes::default();
    for key in KEYS.iter().filter(|key| !(key.same)(old, new)) {
        match key.reloading {
            Reloading::Live => changes.live.push(key.name),
            Reloading::Restart => changes.needs_restart.push(key.name),
        }
    }
    let tables = [
        ("mining.aliases", old.mining.aliases == new.mining.aliases, true),
        ("vardiff.device_classes", old.vardiff.device_classes == new.vardiff.device_classes, true),
        ("notifier", old.notifier == new.notifier, true),
        ("mining.electricity", old.mining.electricity == new.mining.electricity, false),
        ("node.extra", old.node.extra == new.node.extra, false),
        ("upnp", old.upnp == new.upnp, false),
        ("telemetry", old.telemetry == new.telemetry, false),
        ("update", old.update == new.update, false),
    ];
    for (name, _, is_live) in tables.into_iter().filter(|(_, same, _)| !same) {
        if is_live { changes.live.push(name) } else { changes.needs_restart.push(name) }
    }
    changes
}
