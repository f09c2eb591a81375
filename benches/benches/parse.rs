//! Reading a `mining.submit`: the scanner beside the general parser and beside a tree of values, on the same line.

use serde_json::Value;
use std::hint::black_box;
use std::time::Duration;
use warppool_benches::table;
use warppool_benches::turns::{Way, in_turns};
use warppool_net::wire::v1::{parse, scan_submit};

const LINE: &[u8] = br#"{"id":42,"method":"mining.submit","params":["bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080.rig7","1a2f","00000000deadbeef","6920f3c4","1b2c3d4e","00c00000"]}"#;

/// Lines read between two looks at the clock.
const LINES: usize = 200;

fn main() {
    table::heading("Reading a submit", "A line of 155 bytes, with version bits, as miners send it.");
    let repeat = |name, read: fn(&[u8]) -> bool| {
        Way::new(name, LINES, move || {
            for _ in 0..LINES {
                black_box(read(black_box(LINE)));
            }
        })
    };
    let costs = in_turns(
        Duration::from_secs(2),
        vec![
            repeat("plain: a tree of values (serde_json)", |line| serde_json::from_slice::<Value>(line).is_ok()),
            repeat("general parser (serde_json, borrowed)", |line| parse(line).is_ok()),
            repeat("scanner", |line| scan_submit(line).is_some()),
        ],
    );
    table::ratios("line", &costs);
}
