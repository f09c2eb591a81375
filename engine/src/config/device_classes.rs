//! The table of device classes: the built-in one, or a file of the operator's with the same form.

use super::document::{Table, parse};
use super::problem::{Origin, Problem};
use super::reader::{Reader, text_of};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use warppool_components::device_class::DeviceClass;
use warppool_components::units::Difficulty;

/// The text of the table that is part of the program.
pub const BUILT_IN: &str = include_str!("../../data/device-classes.toml");

/// Difficulties that make sense at all: the floor is for benches, which mine with a handful of hashes.
pub(super) const DIFFICULTIES: std::ops::RangeInclusive<f64> = 1e-12..=1e15;

/// The built-in classes, in the order in which they are tried.
pub fn built_in() -> Arc<[DeviceClass]> {
    static CLASSES: LazyLock<Arc<[DeviceClass]>> = LazyLock::new(|| {
        let mut problems = Vec::new();
        let path = Arc::new(PathBuf::from("device-classes.toml"));
        let classes = read(parse(&path, BUILT_IN, &mut problems), Origin::Default, &mut problems);
        assert!(problems.is_empty(), "a test reads the built-in table: {problems:?}");
        classes
    });
    CLASSES.clone()
}

/// The classes of the file at `path`.
pub(super) fn load(path: &Path, problems: &mut Vec<Problem>) -> Arc<[DeviceClass]> {
    let shared = Arc::new(path.to_path_buf());
    let origin = Origin::File { path: shared.clone(), line: 0 };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let table = parse(&shared, &text, problems);
            read(table, origin, problems)
        }
        Err(error) => {
            let message = format!("the table of device classes cannot be read: {error}");
            problems.push(Problem { origin, key: String::new(), value: None, message });
            built_in()
        }
    }
}

fn read(table: Table, origin: Origin, problems: &mut Vec<Problem>) -> Arc<[DeviceClass]> {
    let mut reader = Reader::new(table, origin, false);
    let mut classes = Vec::new();
    for mut part in reader.tables("class") {
        classes.extend(class(&mut part));
        reader.finish_part("class", part);
    }
    problems.extend(reader.finish(&[]));
    classes.into()
}

fn class(part: &mut Reader) -> Option<DeviceClass> {
    let name = part.text("name");
    let patterns = part.list("patterns", |value| pattern(text_of(value)?));
    let start = part.number("start_difficulty", DIFFICULTIES).and_then(|number| Difficulty::new(number).ok());
    let seconds_per_share = part.number("seconds_per_share", 0.1..=600.0);
    let pads_extranonce2 = part.boolean("pads_extranonce2").unwrap_or(false);
    for key in ["name", "patterns", "start_difficulty", "seconds_per_share"] {
        if !part.is_given(key) {
            part.complain(key, "is missing from this class");
        }
    }
    Some(DeviceClass {
        name: name?,
        patterns: patterns?,
        start: start?,
        seconds_per_share: seconds_per_share?,
        pads_extranonce2,
    })
}

fn pattern(text: &str) -> Result<String, String> {
    let is_pattern = text.chars().any(|letter| letter != '*') && text.to_lowercase() == text;
    if is_pattern {
        Ok(text.to_owned())
    } else {
        Err(format!("must hold lowercase parts of user agents, with * for any text, not {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_is_whole_and_ordered() {
        let classes = built_in();
        assert!(classes.len() >= 14, "a class for each row of the specification");
        let first_match = |agent: &str| {
            let found = |class: &&DeviceClass| class.patterns.iter().any(|pattern| matches(pattern, agent));
            classes.iter().find(found).map(|class| (class.name.as_str(), class.start.value()))
        };
        for (agent, name, start) in [
            ("nerdnos/1.0", "NerdNOS", 256.0),
            ("nerdminerv2", "ESP32", 0.002),
            ("han_solo_v1", "ESP32", 0.002),
            ("bitaxe/bm1370/v2.6.0", "Bitaxe", 4096.0),
            ("bitaxe/bm1397/v2.0.0", "Bitaxe", 1024.0),
            ("nerdqaxe++/bm1370/v1.0.30", "multi-ASIC hobby", 16384.0),
            ("nerdqaxe+/bm1368/v1.0.30", "multi-ASIC hobby", 8192.0),
            ("cgminer/4.12.1", "unknown", 1024.0),
            ("avalon q/1.0", "Avalon Q", 16384.0),
            ("bmminer/2.0.0", "Antminer", 65536.0),
            ("antminer s21/2024", "Antminer", 524_288.0),
            ("btminer/1.0", "Whatsminer", 262_144.0),
            ("bosminer-plus-tuner 0.2.0", "Braiins OS", 262_144.0),
            ("farm-proxy/24.06", "proxy", 1_048_576.0),
            ("luxminer 2024 antminer s19", "third-party firmware", 262_144.0),
            ("nicehash/1.0.0", "NiceHash", 524_288.0),
            ("miningrigrentals/1.0", "rental", 1_048_576.0),
            ("cpuminer/2.5.1", "CPU or GPU", 0.1),
        ] {
            assert_eq!(first_match(agent), Some((name, start)), "{agent}");
        }
    }

    /// Pattern by pattern what the specification says: class, seconds a share, and the range of starts.
    #[test]
    fn the_built_in_table_is_the_specification_s() {
        let classes = built_in();
        for (patterns, name, seconds, start) in [
            ("nerdnos", "NerdNOS", 10.0, 256.0..=256.0),
            ("nerdminerv2|han*solo|nmminer|leafminer|esp32|arduino|sparkminer", "ESP32", 30.0, 0.002..=0.002),
            ("bitaxe/bm1397|bitaxe/bm1366|bitaxe/bm1368|bitaxe/bm1370", "Bitaxe", 10.0, 1024.0..=4096.0),
            ("nerdqaxe|nerdoctaxe|octaxe|zyber", "multi-ASIC hobby", 10.0, 8192.0..=32_768.0),
            ("cgminer", "unknown", 10.0, 1024.0..=1024.0),
            ("avalon q|avalonq", "Avalon Q", 10.0, 16_384.0..=16_384.0),
            ("bmminer|antminer|s19|s21", "Antminer", 10.0, 65_536.0..=524_288.0),
            ("btminer|whatsminer", "Whatsminer", 10.0, 262_144.0..=262_144.0),
            ("braiins|bosminer|bos", "Braiins OS", 10.0, 262_144.0..=262_144.0),
            ("farm*proxy", "proxy", 3.0, 1_048_576.0..=1_048_576.0),
            ("vnish|xminer|luxos|luxminer|powerplay-bm", "third-party firmware", 10.0, 262_144.0..=262_144.0),
            ("nicehash|excavator", "NiceHash", 5.0, 524_288.0..=524_288.0),
            ("miningrigrentals|mrr|cudo", "rental", 5.0, 1_048_576.0..=1_048_576.0),
            ("cpuminer|ccminer|sgminer", "CPU or GPU", 10.0, 0.1..=0.1),
        ] {
            for pattern in patterns.split('|') {
                let class = classes.iter().find(|class| class.patterns.iter().any(|own| own == pattern));
                let class = class.unwrap_or_else(|| panic!("{pattern} is missing"));
                assert_eq!((class.name.as_str(), class.seconds_per_share), (name, seconds), "{pattern}");
                assert!(start.contains(&class.start.value()), "{pattern} starts at {}", class.start);
                assert_eq!(class.pads_extranonce2, name == "ESP32", "{pattern}");
            }
        }
    }

    /// Operators copy the table and put their own class in front, or behind: the order of the file decides.
    #[test]
    fn an_extended_table_keeps_the_order_of_its_file() {
        let own = "[[class]]\nname = \"Shed\"\npatterns = [\"bitaxe/bm1370\"]\nstart_difficulty = 64\nseconds_per_share = 20\n";
        for (text, expected) in [(format!("{own}{BUILT_IN}"), "Shed"), (format!("{BUILT_IN}{own}"), "Bitaxe")] {
            let mut problems = Vec::new();
            let path = Arc::new(PathBuf::from("classes.toml"));
            let origin = Origin::File { path: path.clone(), line: 0 };
            let classes = read(parse(&path, &text, &mut problems), origin, &mut problems);
            assert!(problems.is_empty(), "{problems:?}");
            let found = warppool_systems::device_class::find(&classes, "bitaxe/BM1370/v2.6");
            assert_eq!(found.map(|class| class.name.as_str()), Some(expected));
        }
    }

    #[test]
    fn a_bad_class_is_told_line_by_line() {
        let text = "[[class]]\nname = \"X\"\npatterns = [\"UPPER\"]\nseconds_per_share = 0\nstart = 3\n";
        let mut problems = Vec::new();
        let path = Arc::new(PathBuf::from("classes.toml"));
        let origin = Origin::File { path: path.clone(), line: 0 };
        let classes = read(parse(&path, text, &mut problems), origin, &mut problems);
        assert!(classes.is_empty());
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 4, "{told:#?}");
        assert!(told[0].starts_with("classes.toml:3: class.patterns"), "{told:#?}");
        assert!(told[1].starts_with("classes.toml:4: class.seconds_per_share = 0: must be"), "{told:#?}");
        assert!(told[2].starts_with("classes.toml:1: class.start_difficulty: is missing"), "{told:#?}");
        assert!(told[3].starts_with("classes.toml:5: class.start = 3: there is no such key"), "{told:#?}");
    }

    /// What `*` means, written as plainly as possible.
    fn matches(pattern: &str, agent: &str) -> bool {
        let mut rest = agent;
        pattern.split('*').all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    }
}
