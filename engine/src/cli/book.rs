//! Holds `docs/book/configuration.md` to the catalogue of keys: its tables are made here, and the test compares.
//!
//! After a change of the catalogue run `WARPPOOL_UPDATE_BOOK=1 cargo test -p warppool-engine book` and look at the
//! difference.

use crate::config::keys::{Fallback, KEYS, Key, Reloading, SECTIONS};
use std::path::Path;

const START: &str = "<!-- The tables below are made from the catalogue of keys; a test compares them. -->\n";
const END: &str = "<!-- End of the tables. -->\n";

#[test]
fn the_book_describes_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/book/configuration.md");
    let book = std::fs::read_to_string(&path).expect("the book has a chapter on the configuration");
    let (before, rest) = book.split_once(START).expect("the start of the tables is marked");
    let (_, after) = rest.split_once(END).expect("the end of the tables is marked");
    let wanted = format!("{before}{START}{}{END}{after}", tables());
    if std::env::var_os("WARPPOOL_UPDATE_BOOK").is_some() {
        std::fs::write(&path, &wanted).expect("the book can be written");
    } else {
        assert!(book == wanted, "the book is not up to date: run this test with WARPPOOL_UPDATE_BOOK=1");
    }
}

#[test]
fn every_table_row_has_a_default_and_a_meaning() {
    for key in KEYS {
        assert!(key.meaning.ends_with('.'), "{} has no sentence", key.name);
        assert!(!key.meaning.contains('|'), "{} would break its table", key.name);
    }
}

fn tables() -> String {
    let mut text = String::new();
    for (section, about) in SECTIONS {
        let is_here = |key: &&Key| key.name.rsplit_once('.').is_some_and(|(owner, _)| owner == section);
        let rows: String = KEYS.iter().filter(is_here).map(row).collect();
        text += &format!("\n## [{section}]\n\n{about}\n");
        if !rows.is_empty() {
            text += &format!("\n| key | default | reload | meaning |\n|---|---|---|---|\n{rows}");
        }
    }
    text + "\n"
}

fn row(key: &Key) -> String {
    let name = key.name.rsplit('.').next().unwrap_or(key.name);
    let reload = if key.reloading == Reloading::Live { "yes" } else { "restart" };
    let default = match key.fallback {
        Fallback::Value(literal) => format!("`{literal}`"),
        Fallback::Example(literal) => format!("not set; e.g. `{literal}`"),
    };
    format!("| `{name}` | {default} | {reload} | {} |\n", key.meaning)
}
