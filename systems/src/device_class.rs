//! Which class of device a user agent tells of.

use warppool_components::device_class::DeviceClass;

/// The first class with a pattern that is found in `agent`, whatever its case.
pub fn find<'a>(classes: &'a [DeviceClass], agent: &str) -> Option<&'a DeviceClass> {
    let agent = agent.to_ascii_lowercase();
    classes.iter().find(|class| class.patterns.iter().any(|pattern| matches(pattern, &agent)))
}

/// Whether the parts of `pattern` between its `*` stand in `agent` one after the other.
fn matches(pattern: &str, agent: &str) -> bool {
    let mut rest = agent;
    !pattern.is_empty()
        && pattern.split('*').all(|part| match rest.find(part) {
            Some(place) => {
                rest = &rest[place + part.len()..];
                true
            }
            None => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use warppool_components::units::Difficulty;

    fn class(name: &str, patterns: &[&str]) -> DeviceClass {
        DeviceClass {
            name: name.into(),
            patterns: patterns.iter().map(|pattern| (*pattern).into()).collect(),
            start: Difficulty::ONE,
            seconds_per_share: 10.0,
            pads_extranonce2: false,
        }
    }

    #[test]
    fn the_first_class_that_matches_decides() {
        let classes =
            [class("esp32", &["nerdminerv2", "han*solo"]), class("bitaxe", &["bitaxe"]), class("axe", &["axe"])];
        let name = |agent| find(&classes, agent).map(|class| class.name.as_str());
        assert_eq!(name("NerdMinerV2/1.6"), Some("esp32"));
        assert_eq!(name("HAN_SOLO"), Some("esp32"));
        assert_eq!(name("solo han"), None);
        assert_eq!(name("bitaxe/BM1370/v2.4"), Some("bitaxe"));
        assert_eq!(name("NerdAxe"), Some("axe"));
        assert_eq!(name(""), None);
    }
}
