//! Costs as tables of Markdown on standard output, from where `cargo xtask bench --record` takes them into a record.

use crate::turns::Cost;
use std::io::Write;

/// A heading and what the figures below it are.
pub fn heading(title: &str, text: &str) {
    say(&format!("\n## {title}\n{text}\n"));
}

/// A paragraph.
pub fn paragraph(text: &str) {
    say(&format!("\n{text}\n"));
}

/// A row for each way, with its ratio to the first, which is the plain one. `item` is what is counted.
pub fn ratios(item: &str, costs: &[Cost]) {
    say(&format!("| | a {item} | median | times as fast |\n|---|---|---|---|"));
    for cost in costs {
        let ratio = costs[0].shortest / cost.shortest;
        say(&format!("| {} | {} | {} | {ratio:.2} |", cost.name, time(cost.shortest), time(cost.median)));
    }
}

/// Rows and columns of figures that are already text.
pub fn grid(corner: &str, columns: &[String], rows: &[(String, Vec<String>)]) {
    say(&format!("| {corner} | {} |\n|---|{}", columns.join(" | "), "---|".repeat(columns.len())));
    for (name, cells) in rows {
        say(&format!("| {name} | {} |", cells.join(" | ")));
    }
}

/// Nanoseconds in the unit that reads best.
pub fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        ..1e3 => format!("{nanoseconds:.0} ns"),
        1e3..1e6 => format!("{:.2} us", nanoseconds / 1e3),
        1e6.. => format!("{:.2} ms", nanoseconds / 1e6),
        _ => "?".to_owned(),
    }
}

fn say(line: &str) {
    // A closed pipe ends nothing.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable() {
        assert_eq!([3.4, 999.0, 1000.0, 2_500_000.0].map(time), ["3 ns", "999 ns", "1.00 us", "2.50 ms"]);
    }
}
