//! `warppool config default`: a config.toml in which every key stands as a comment with its meaning and default.

use crate::config::keys::{Fallback, KEYS, Key, Reloading, SECTIONS};

/// Widest line of a comment.
const COLUMNS: usize = 100;

/// The commented file. Lines that start with `##` are text; removing `# ` from the others gives the defaults.
pub fn config_default() -> String {
    let mut text = String::from(
        "## Configuration of WarpPool. Each line that starts with a single # shows a default: remove the # and change\n\
         ## the value to have another. Secrets belong in secrets.toml beside this file, mode 0600.\n\
         ## Order of precedence: --set section.key=value, WARPPOOL__SECTION__KEY, this file, the defaults.\n\
         ## Keys marked (reload) apply at SIGHUP, the others at the next start. Check with: warppool check-config\n",
    );
    for (section, about) in SECTIONS {
        text += &format!("\n## {about}\n[{section}]\n");
        let is_here = |key: &&Key| key.name.rsplit_once('.').is_some_and(|(owner, _)| owner == section);
        KEYS.iter().filter(is_here).for_each(|key| text += &describe(key));
        text += example_of_table(section);
    }
    text
}

/// A key: its meaning, and its default or an example.
fn describe(key: &Key) -> String {
    let name = key.name.rsplit('.').next().unwrap_or(key.name);
    let mark = if key.reloading == Reloading::Live { " (reload)" } else { "" };
    let meaning = wrapped(&format!("{}{mark}", key.meaning));
    match key.fallback {
        Fallback::Value(literal) => format!("{meaning}# {name} = {literal}\n"),
        Fallback::Example(literal) => format!("{meaning}## Not set. Example: {name} = {literal}\n"),
    }
}

fn example_of_table(section: &str) -> &'static str {
    match section {
        "mining.aliases" => "## Not set. Example: shed = \"bc1q...\" (reload)\n",
        "node" => {
            "## Further nodes, each with rpc_url, rpc_cookie_path, zmq_hashblock_addr, zmq_rawblock_addr:\n\
             ##   [[node.extra]]\n\
             ##   rpc_url = \"http://192.168.1.2:8332\"\n"
        }
        _ => "",
    }
}

/// `text` as comment lines of a bounded width.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("##");
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > COLUMNS {
            lines += &line;
            lines.push('\n');
            line = String::from("##");
        }
        line.push(' ');
        line += word;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources, load};

    #[test]
    fn every_commented_default_is_the_real_one() {
        let uncommented: String = config_default()
            .lines()
            .filter(|line| !line.starts_with("##"))
            .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or(line)))
            .collect();
        for key in KEYS.iter().filter(|key| matches!(key.fallback, Fallback::Value(_))) {
            let name = key.name.rsplit('.').next().expect("a name");
            assert!(uncommented.contains(&format!("\n{name} = ")), "{}", key.name);
        }
        let path = std::env::temp_dir().join(format!("warppool-default-{}.toml", std::process::id()));
        std::fs::write(&path, uncommented).expect("temporary file");
        let loaded = load(&Sources { config: Some(path.clone()), ..Sources::default() });
        std::fs::remove_file(&path).expect("temporary file");
        let config = loaded.expect("the default file is valid").config;
        assert_eq!(Config { file: None, ..config }, Config::default());
    }

    #[test]
    fn lines_are_not_too_wide() {
        for line in config_default().lines() {
            assert!(line.len() <= 120, "{line}");
        }
    }
}
